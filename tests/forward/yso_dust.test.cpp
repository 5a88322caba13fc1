// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/yso_dust.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

using namespace sbi::forward;

namespace {
const YsoDust dust;

/// The 200-point sum over frequency of a function of wavelength in F_nu.
double wien_peak(const YsoSpectrum& f_nu) { // micron, of lambda F_lambda
  std::size_t best = 0;
  for (std::size_t i = 0; i < f_nu.size(); ++i)
    if (f_nu[i] / dust.wavelengths()[i] > f_nu[best] / dust.wavelengths()[best]) best = i;
  return dust.wavelengths()[best];
}
} // namespace

TEST_CASE("forward/yso_dust: the wavelengths are those of the published cubes") {
  // First, second, 100th and last of the listing in the notebook of the grid, stored in single precision.
  const auto w = dust.wavelengths();
  CHECK(w.size() == 200);
  CHECK(w[0] == doctest::Approx(1.03334993e-02).epsilon(2e-7));
  CHECK(w[1] == doctest::Approx(1.10342359e-02).epsilon(2e-7));
  CHECK(w[100] == doctest::Approx(7.30688742).epsilon(2e-7));
  CHECK(w[199] == doctest::Approx(4838.63172).epsilon(2e-7));
}

TEST_CASE("forward/yso_dust: the thinned opacity follows Draine's table") {
  const std::string path = sbi_test::data_file("dust/kext_albedo_WD_MW_5.5A_30_D03.dat");
  if (path.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  std::ifstream in(path);
  std::string line;
  while (std::getline(in, line) && !line.starts_with("-----")) {
  }
  int rows = 0;
  double worst = 0;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    double w = 0, albedo = 0, cosine = 0, c_ext = 0, k_abs = 0;
    if (!(words >> w >> albedo >> cosine >> c_ext >> k_abs) || w < .01 || w > 5000) continue;
    const DustOpacity k = yso_opacity(w);
    worst = std::max(worst, std::abs(std::log(k.absorption / k_abs)));
    worst = std::max(worst, std::abs(std::log(k.extinction / (c_ext / 2.199e-26))));
    // Absorption is what the albedo leaves of the extinction: the two columns of nodes belong together.
    CHECK(k.absorption / k.extinction == doctest::Approx(1 - albedo).epsilon(.04));
    ++rows;
  }
  CHECK(rows > 600);
  CHECK(worst < .02); // how the table was thinned, rounded to four digits
}

TEST_CASE("forward/yso_dust: the opacity is defined from 0.01 to 5248 micron") {
  CHECK(yso_opacity(.01).absorption == doctest::Approx(1.181e4));
  CHECK(yso_opacity(5248).extinction == doctest::Approx(.02374));
  CHECK_THROWS_WITH_AS((void)yso_opacity(.0099), "YSO dust: wavelength 0.0099 micron; want 0.01 to 5248",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)yso_opacity(5249), sbi::ValueError);
  CHECK_THROWS_AS((void)yso_opacity(std::nan("")), sbi::ValueError);
}

TEST_CASE("forward/yso_dust: no albedo below zero") {
  for (std::size_t i = 0; i < 200; ++i) CHECK(dust.extinction()[i] >= dust.absorption()[i]);
}

TEST_CASE("forward/yso_dust: black bodies keep Stefan-Boltzmann's and Wien's laws") {
  for (double t : {10., 100., 4000., 30000.}) {
    CAPTURE(t);
    YsoSpectrum b;
    dust.black_body(t, b);
    // A sum over a smooth function in ln(nu) is exact; the range cuts 2e-6 of 100 K off, 0.2 % of 10 K.
    CHECK(dust.integral(b) ==
          doctest::Approx(stefan_boltzmann * std::pow(t, 4)).epsilon(t == 10 ? 3e-3 : 1e-5));
    CHECK(wien_peak(b) * t == doctest::Approx(3669.7).epsilon(.035)); // lambda F_lambda; half a bin
  }
}

TEST_CASE("forward/yso_dust: Planck means and radii of a temperature") {
  // From the full table by quadrature over 40 001 wavelengths; the thinned table is within 2 % of it.
  const double means[][2]{{10, 2.33258},   {30, 24.8849},    {100, 277.600},
                          {300, 848.484},  {1000, 1012.27},  {1600, 1494.01},
                          {4000, 4044.54}, {10000, 12719.9}, {30000, 34360.8}};
  for (const auto& m : means) {
    CAPTURE(m[0]);
    CHECK(dust.planck_mean(m[0]) == doctest::Approx(m[1]).epsilon(.02));
  }
  CHECK(dust.sublimation_radius(2000) == doctest::Approx(1.06574).epsilon(.01));
  CHECK(dust.sublimation_radius(4000) == doctest::Approx(5.16619).epsilon(.01));
  CHECK(dust.sublimation_radius(10000) == doctest::Approx(56.9917).epsilon(.01));
  CHECK(dust.sublimation_radius(30000) == doctest::Approx(842.999).epsilon(.01));
  CHECK(dust.sublimation_radius(1500) == 1);
  CHECK(dust.radius_of(10, 4000) == doctest::Approx(3330557).epsilon(.01));
}

TEST_CASE("forward/yso_dust: slabs, thin and thick") {
  for (double t : {15., 150., 1500.}) {
    CAPTURE(t);
    const double black = stefan_boltzmann * std::pow(t, 4);
    // Thin: 4 kappa_P sigma T^4 per gram; the table's error is that of linear interpolation, 0.4 %.
    CHECK(dust.slab_flux(t, 1e-8) == doctest::Approx(4 * dust.planck_mean(t) * black * 1e-8).epsilon(.004));
    CHECK(dust.slab_flux(t, 1e-14) == doctest::Approx(4 * dust.planck_mean(t) * black * 1e-14).epsilon(.004));
    CHECK(dust.slab_flux(t, 1e5) == doctest::Approx(2 * black).epsilon(.004));
    CHECK(dust.slab_flux(t, 1e9) == doctest::Approx(2 * black).epsilon(.004));
    for (double column : {1e-12, 1e-5, 1e-3, .1, 30.})
      CHECK(dust.slab_temperature(dust.slab_flux(t, column), column) == doctest::Approx(t).epsilon(1e-9));
  }
  // In between, by quadrature over wavelength and angle (exponential integral E_3(1) = 0.1096920).
  const double column = 1 / yso_opacity(10).absorption;
  YsoSpectrum b, thick;
  dust.black_body(300, b);
  for (std::size_t i = 0; i < b.size(); ++i) {
    const double tau = dust.absorption()[i] * column;
    double sum = 0; // midpoint rule in mu
    for (int k = 0; k < 400; ++k) {
      const double mu = (k + .5) / 400;
      sum += 2 * mu * (1 - std::exp(-tau / mu)) / 400;
    }
    thick[i] = b[i] * sum;
  }
  CHECK(dust.slab_flux(300, column) == doctest::Approx(2 * dust.integral(thick)).epsilon(.004));
}
