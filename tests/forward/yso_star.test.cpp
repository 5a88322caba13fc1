// SPDX-License-Identifier: MIT
#include <sbi/core/error.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/yso_star.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
const YsoDust dust;

/// A black body on a grid of its own, to compare with the one on the grid of the objects.
struct FinePlanck {
  std::vector<double> grid;
  FinePlanck(double from, double to, int n) {
    for (int i = 0; i < n; ++i) grid.push_back(from * std::pow(to / from, static_cast<double>(i) / (n - 1)));
  }
  [[nodiscard]] std::span<const double> wavelengths() const { return grid; }
  [[nodiscard]] bool covers(double, double, double) const { return true; }
  void flux(double log_teff, double, double, std::span<double> out) const {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = radiation_c1 * std::pow(grid[i], -5) /
               std::expm1(radiation_c2 / (grid[i] * std::pow(10, log_teff)));
  }
};
} // namespace

TEST_CASE("forward/yso_star: the black body is an atmosphere with the energy of one") {
  const BlackBodyStar star;
  std::vector<double> f(200);
  star.flux(std::log10(5000.), 4, 0, f);
  // F_lambda -> F_nu by lambda^2 / c: the same as the dust's pi B_nu.
  YsoSpectrum b;
  YsoStar<BlackBodyStar>().flux(dust, 5000, b);
  for (std::size_t i = 0; i < 200; ++i) {
    const double angstrom = 1e4 * star.wavelengths()[i];
    CHECK(f[i] * angstrom * angstrom / light_speed == doctest::Approx(b[i]).epsilon(1e-10));
  }
  CHECK(dust.integral(b) == doctest::Approx(stefan_boltzmann * std::pow(5000., 4)).epsilon(1e-6));
  CHECK_FALSE(star.covers(std::log10(-1.), 4, 0));
  f.resize(3);
  CHECK_THROWS_AS(star.flux(3.7, 4, 0, f), ShapeError);
}

TEST_CASE("forward/yso_star: bins keep the spectrum and its energy, and a black body continues it") {
  // A tabulated black body from 0.2 to 20 micron must come out as one over all wavelengths.
  const YsoStar<FinePlanck> star(FinePlanck(.2, 20, 3000));
  YsoSpectrum binned, exact;
  star.flux(dust, 6000, binned);
  dust.black_body(6000, exact);
  for (std::size_t i = 0; i < 200; ++i) {
    if (dust.wavelengths()[i] < .08) continue; // 1e-8 of the light
    CAPTURE(dust.wavelengths()[i]);
    // Averaging over a bin adds (h^2 / 24) of the second derivative, 1 % at x = 30; the black body's own
    // points lie a bin apart and add twice as much more.
    const double x = radiation_c2 / (dust.wavelengths()[i] * 6000);
    CHECK(binned[i] == doctest::Approx(exact[i]).epsilon(2e-3 + 8e-5 * x * x));
  }
  CHECK(dust.integral(binned) == doctest::Approx(dust.integral(exact)).epsilon(2e-4));
}

TEST_CASE("forward/yso_star: a line-blanketed atmosphere keeps sigma T^4") {
  const YsoStar<AnalyticAtmosphere> star;
  YsoSpectrum f;
  for (double t : {3000., 4500., 20000.}) {
    star.flux(dust, t, f);
    // AnalyticAtmosphere is normalised on its own grid; 4e-4 of 3000 K lie beyond its 50 micron.
    CHECK(dust.integral(f) == doctest::Approx(stefan_boltzmann * std::pow(t, 4)).epsilon(1e-3));
  }
  CHECK_THROWS_AS(star.flux(dust, 2400, f), ValueError);
}
