// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>
#include <sbi/forward/yso_class.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/yso_class: the index of a power law, and least squares around it") {
  const std::vector<double> w{1, 2, 3.6, 5.8, 8, 24, 70};
  for (double alpha : {-2.9, -.7, 0., 1.4}) {
    std::vector<double> f;
    for (double x : w) f.push_back(5 * std::pow(x, alpha + 1)); // lambda F_lambda = nu F_nu ~ lambda^alpha
    f.front() = 1e9, f.back() = 1e-9;                           // outside 2 to 24 micron
    CHECK(spectral_index(w, f) == doctest::Approx(alpha).epsilon(1e-12));
    f[2] = missing;
    CHECK(spectral_index(w, f) == doctest::Approx(alpha).epsilon(1e-12));
  }
  // Residuals r at log10(lambda) = u add sum (u - mean u) r / sum (u - mean u)^2.
  const std::vector<double> x{2, 4, 8, 16};
  std::vector<double> f;
  const double r[]{.1, -.2, .05, .3};
  for (std::size_t i = 0; i < 4; ++i) f.push_back(x[i] * std::pow(10, r[i]));
  const double step = std::log10(2.);
  CHECK(spectral_index(x, f) ==
        doctest::Approx((-1.5 * .1 - .5 * -.2 + .5 * .05 + 1.5 * .3) / (5 * step)).epsilon(1e-12));
}

TEST_CASE("forward/yso_class: the index between magnitudes") {
  // A spectrum flat in lambda F_lambda: F_nu ~ lambda.
  const double k = -2.5 * std::log10(2.159 / 666.7), w4 = -2.5 * std::log10(22.0883 / 8.363),
               mips = -2.5 * std::log10(23.68 / 7.17);
  CHECK(std::abs(spectral_index(k, two_mass_ks, w4, wise_w4)) < 1e-12);
  CHECK(std::abs(spectral_index(k, two_mass_ks, mips, mips_24)) < 1e-12);
  // Vega: F_nu ~ lambda^-2, so alpha = -3; published zero points keep that to 0.05.
  CHECK(spectral_index(0, two_mass_ks, 0, wise_w4) == doctest::Approx(-2.88).epsilon(.02));
  // A magnitude redder raises the index by 0.4 / log10(22.0883 / 2.159).
  CHECK(spectral_index(1, two_mass_ks, 0, wise_w4) - spectral_index(0, two_mass_ks, 0, wise_w4) ==
        doctest::Approx(.4 / std::log10(22.0883 / 2.159)));
  CHECK(is_missing(spectral_index(missing, two_mass_ks, 0, wise_w4)));
  CHECK_THROWS_AS((void)spectral_index(0, two_mass_ks, 0, two_mass_ks), ValueError);
}

TEST_CASE("forward/yso_class: limits of the classes") {
  CHECK(yso_class(.31) == YsoClass::I);
  CHECK(yso_class(.3) == YsoClass::flat);
  CHECK(yso_class(-.3) == YsoClass::flat);
  CHECK(yso_class(-.31) == YsoClass::II);
  CHECK(yso_class(-1.6) == YsoClass::II);
  CHECK(yso_class(-1.61) == YsoClass::III);
  CHECK(yso_class_name(YsoClass::flat) == "flat");
  CHECK(yso_class_name(yso_class(-4)) == "III");
  CHECK_THROWS_AS((void)yso_class(missing), ValueError);
}

TEST_CASE("forward/yso_class: stages by the mass of the envelope, the temperature and the disc") {
  CHECK(yso_stage(.2, 2900, true) == 0);
  CHECK(yso_stage(.2, 3100, false) == 1);
  CHECK(yso_stage(.1, 2900, true) == 2);
  CHECK(yso_stage(0, 10000, false) == 3);
  CHECK_THROWS_AS((void)yso_stage(-1, 4000, true), ValueError);
  CHECK_THROWS_AS((void)yso_stage(missing, 4000, true), ValueError);
}

TEST_CASE("forward/yso_class: what cannot be fitted is named") {
  const std::vector<double> w{1, 3, 5}, f{1, 1, 1};
  CHECK_THROWS_WITH_AS((void)spectral_index(w, f, 4, 6), doctest::Contains("1 points from 4 to 6 micron"),
                       ValueError);
  CHECK_THROWS_WITH_AS((void)spectral_index(w, std::vector<double>{1, 0, 1}),
                       doctest::Contains("flux 0 at 3 micron"), ValueError);
  CHECK_THROWS_AS((void)spectral_index(std::vector<double>{3, 3}, std::vector<double>{1, 2}), ValueError);
  CHECK_THROWS_AS((void)spectral_index(w, std::vector<double>{1, 2}), ShapeError);
}
