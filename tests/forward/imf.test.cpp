// SPDX-License-Identifier: MIT
#include <sbi/forward/imf.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using sbi::Rng;
using sbi::forward::BrokenPowerLaw;
using sbi::forward::BulgeMasses;
using sbi::forward::Kroupa;
using sbi::forward::MassFunction;
using sbi::forward::OldDiscMasses;
using sbi::forward::Salpeter;
using sbi::forward::ThinDiscMasses;

TEST_CASE("forward/imf: means, medians and fractions of the published functions") {
  // Reference values are given to five digits.
  const Salpeter salpeter(0.1, 100);
  CHECK(salpeter.mean() == doctest::Approx(.35137).epsilon(2e-5));
  CHECK(salpeter.quantile(0.5) == doctest::Approx(.16709).epsilon(3e-5));
  CHECK(Kroupa(.01, 100).mean() == doctest::Approx(.37618).epsilon(2e-5));
  CHECK(Kroupa(.01, 100).quantile(0.5) == doctest::Approx(.11961).epsilon(5e-5));
  CHECK(Kroupa(.08, 120).mean() == doctest::Approx(.57947).epsilon(2e-5));
  CHECK(Kroupa(.08, 120).quantile(0.5) == doctest::Approx(.23693).epsilon(3e-5));
  CHECK(Kroupa(.1, 100).mean() == doctest::Approx(.63771).epsilon(2e-5));
  CHECK(1 - Kroupa(.01, 100).cdf(8) == doctest::Approx(.003942).epsilon(2e-4));
}

TEST_CASE("forward/imf: Kroupa over all masses has the published normalisation") {
  const Kroupa imf(0, std::numeric_limits<double>::infinity());
  // The reference comes from amplitudes of six digits.
  CHECK(imf.cdf(.08) == doctest::Approx(.4352460).epsilon(5e-6));
  CHECK(imf.cdf(.5) == doctest::Approx(.8647514).epsilon(5e-6));
  CHECK(imf.pdf(.05) == doctest::Approx(1.78513 * std::pow(.05, -.3)).epsilon(1e-5));
  CHECK(imf.pdf(.3) == doctest::Approx(.142810 * std::pow(.3, -1.3)).epsilon(1e-5));
  CHECK(imf.pdf(3) == doctest::Approx(.0714053 * std::pow(3, -2.3)).epsilon(1e-5));
}

TEST_CASE("forward/imf: the mass functions of Galaxia's components") {
  static_assert(MassFunction<BrokenPowerLaw<1>> && MassFunction<BrokenPowerLaw<3>> && !MassFunction<double>);
  const ThinDiscMasses disc;
  CHECK(disc.lower() == .07);
  CHECK(disc.upper() == 100);
  CHECK(disc.pdf(.1) / disc.pdf(.2) == doctest::Approx(std::pow(2, 1.6)).epsilon(1e-12));
  CHECK(disc.pdf(10) / disc.pdf(20) == doctest::Approx(8).epsilon(1e-12));
  CHECK(disc.pdf(1 - 1e-12) == doctest::Approx(disc.pdf(1 + 1e-12)).epsilon(1e-9));
  // Integrals by hand: N below 1 is (.07^-.6 - 1)/.6, above (1 - 1e-4)/2.
  const double below = (std::pow(.07, -.6) - 1) / .6, above = (1 - 1e-4) / 2;
  CHECK(disc.cdf(1) == doctest::Approx(below / (below + above)).epsilon(1e-12));
  CHECK(OldDiscMasses().pdf(.1) / OldDiscMasses().pdf(.4) == doctest::Approx(2).epsilon(1e-12));
  CHECK(OldDiscMasses(0, 4).cdf(1) == doctest::Approx(.5).epsilon(1e-12)); // sqrt(m/4)
  CHECK(BulgeMasses().pdf(1) / BulgeMasses().pdf(10) == doctest::Approx(std::pow(10, 2.35)).epsilon(1e-12));
}

TEST_CASE("forward/imf: the quantile inverts the cumulative distribution, whose slope is the density") {
  for (const Kroupa& imf : {Kroupa(.01, 100), Kroupa(.3, 2.5), Kroupa(.08, .5), Kroupa(1, 2)}) {
    for (double u = 0.005; u < 1; u += 0.01) {
      const double m = imf.quantile(u), h = 1e-6 * m;
      CHECK(std::abs(imf.cdf(m) - u) < 1e-12);
      if (m - h > imf.lower() && m + h < imf.upper()) // central difference, error h^2 and rounding / h
        CHECK((imf.cdf(m + h) - imf.cdf(m - h)) / (2 * h) == doctest::Approx(imf.pdf(m)).epsilon(1e-5));
    }
    CHECK(imf.quantile(0) == doctest::Approx(imf.lower()).epsilon(1e-12));
    CHECK(imf.quantile(1) == doctest::Approx(imf.upper()).epsilon(1e-12));
    CHECK(imf.pdf(imf.upper() * 1.01) == 0);
    CHECK(imf.cdf(imf.lower() * 0.5) == 0);
    CHECK(imf.cdf(imf.upper() * 2) == 1);
  }
  const BrokenPowerLaw<1> flat_in_log({1.0}, {}, 1, 100); // the logarithmic case
  CHECK(flat_in_log.quantile(0.5) == doctest::Approx(10).epsilon(1e-12));
  CHECK(flat_in_log.cdf(10) == doctest::Approx(0.5).epsilon(1e-12));
}

TEST_CASE("forward/imf: samples have the mean of the function") {
  const Kroupa imf(.3, 2.5);
  Rng rng(11);
  constexpr int n = 20000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double m = imf.sample(rng);
    REQUIRE(m >= .3);
    REQUIRE(m <= 2.5);
    sum += m, squares += m * m;
  }
  const double mean = sum / n, error = std::sqrt((squares / n - mean * mean) / n);
  CHECK(std::abs(mean - imf.mean()) < 4 * error); // 4 sigma
}

TEST_CASE("forward/imf: the density at the lower limit is that just above it, wherever the breaks lie") {
  for (const double lower : {.01, .08, .1, .5, 1., 50.}) {
    const Kroupa imf(lower, 100);
    CHECK(imf.pdf(lower) ==
          doctest::Approx(imf.pdf(lower * (1 + 1e-9))).epsilon(1e-7)); // slopes of 2.3 at most
  }
  CHECK(Kroupa(50, 50.0001).pdf(50) == doctest::Approx(1e4).epsilon(1e-5)); // one star on 1e-4 masses
}

TEST_CASE("forward/imf: without an upper limit every fraction below 1 has a mass") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  sbi::Rng rng(4);
  for (int i = 0; i < 300; ++i) {
    const Kroupa imf(std::exp(rng.uniform(std::log(.01), std::log(50.))), inf);
    for (const double u : {1 - 0x1p-53, 1 - 0x1p-52, 1.0}) REQUIRE(imf.quantile(u) >= imf.quantile(.999));
  }
}

TEST_CASE("forward/imf: ranges that hold no or infinitely many stars are refused") {
  CHECK_THROWS_AS(Kroupa(1, 1), sbi::ValueError);
  CHECK_THROWS_AS(Kroupa(-1, 1), sbi::ValueError);
  CHECK_THROWS_AS(Salpeter(0, 1), sbi::ValueError);
  CHECK_THROWS_AS((BrokenPowerLaw<1>({0.5}, {}, 1, std::numeric_limits<double>::infinity())),
                  sbi::ValueError);
  CHECK_THROWS_AS((BrokenPowerLaw<3>({0.3, 1.3, 2.3}, {0.5, 0.08}, .01, 1)), sbi::ValueError);
  CHECK_THROWS_AS((void)Kroupa().quantile(1.5), sbi::ValueError);
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH_AS((BrokenPowerLaw<2>({1.3, 2.3}, {nan}, .1, 100)),
                       "imf: break at nan solar masses; want a positive, finite mass", sbi::ValueError);
  CHECK_THROWS_AS((BrokenPowerLaw<2>({1.3, 2.3}, {0}, .1, 100)), sbi::ValueError);
  CHECK_THROWS_WITH_AS((BrokenPowerLaw<2>({1.3, nan}, {.5}, .1, 100)), "imf: slope nan; want a finite number",
                       sbi::ValueError);
}
