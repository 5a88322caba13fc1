// SPDX-License-Identifier: MIT
#include <sbi/forward/black_body.hpp>
#include <sbi/forward/passband.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
std::vector<double> log_grid(double from, double to, int n) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(from * std::pow(to / from, static_cast<double>(i) / (n - 1)));
  return out;
}
} // namespace

TEST_CASE("forward/black_body: the integral over all wavelengths is sigma T^4") {
  const BlackBody star(log_grid(0.005, 5000, 4000));
  std::vector<double> f(4000);
  for (double teff : {1000., 5772., 40000.}) {
    star.flux(std::log10(teff), 4, 0, f);
    double sum = 0; // trapezium rule in ln(lambda) converges exponentially; the tails beyond hold 1e-7
    const double step = std::log(1e6) / 3999;
    for (std::size_t i = 0; i < f.size(); ++i) sum += f[i] * star.wavelengths()[i] * step * 1e4;
    CHECK(sum == doctest::Approx(5.670374419e-5 * std::pow(teff, 4)).epsilon(1e-6));
  }
}

TEST_CASE("forward/black_body: Wien's law and the two limits of Planck's") {
  for (double teff : {3000., 5772., 20000.}) {
    // Golden-section search for the maximum; near it F is flat, so it is known to the root of the rounding.
    double a = 0.5 * 2897.77 / teff, b = 2 * 2897.77 / teff;
    while (b - a > 1e-9 * b) {
      const double c = b - (b - a) / std::numbers::phi, d = a + (b - a) / std::numbers::phi;
      (black_body_flux(c, teff) > black_body_flux(d, teff) ? b : a) =
          black_body_flux(c, teff) > black_body_flux(d, teff) ? d : c;
    }
    CHECK(0.5 * (a + b) * teff == doctest::Approx(2897.771955).epsilon(1e-6)); // micron K, CODATA 2018
  }
  // Rayleigh-Jeans: 2 pi c k T / lambda^4 with c = 2.99792458e10 cm/s, k = 1.380649e-16 erg/K; 1 cm = 1e4
  // micron = 1e8 Angstrom.
  const double lambda = 1e4; // micron: 1 cm
  CHECK(black_body_flux(lambda, 6000) ==
        doctest::Approx(2 * std::numbers::pi * 2.99792458e10 * 1.380649e-16 * 6000 * 1e-8).epsilon(2e-4));
  CHECK(black_body_flux(0.01, 3000) > 0);
  CHECK(black_body_flux(0.005, 3000) == 0); // e^-959 is not representable
}

TEST_CASE("forward/black_body: colours by quadrature, gravity and metallicity without effect, range") {
  const BlackBody star(log_grid(0.3, 30, 600));
  std::vector<double> f(600), g(600);
  star.flux(std::log10(5772.), 4.4, 0, f);
  star.flux(std::log10(5772.), 0, -2, g);
  CHECK(f == g);
  // Far in the infrared every hot black body has the colour of lambda^-4.
  star.flux(6, 4, 0, f);
  for (std::size_t i = 0; i < f.size(); ++i) g[i] = std::pow(star.wavelengths()[i], -4);
  const auto colour = [&](const std::vector<double>& flux) {
    return magnitude(star.wavelengths(), flux, passband("WISE.W1")) -
           magnitude(star.wavelengths(), flux, passband("WISE.W3"));
  };
  // Next order: F lambda^4 is less by c2 / (2 lambda T) = .0022 at 3.4 and .0006 at 11.6 micron: 1.7 mmag.
  CHECK(std::abs(colour(f) - colour(g) - 0.0017) < 0.0003);
  const AtmosphereRange r = range(star);
  CHECK((r.teff_min == 10 && r.teff_max == 1e7 && r.wavelength_min == doctest::Approx(0.3)));
  CHECK((r.log_g_min < -100 && r.mh_max > 100));
  CHECK_FALSE(star.covers(0.9, 4, 0));
  CHECK_FALSE(star.covers(7.1, 4, 0));
  CHECK_FALSE(star.covers(missing, 4, 0));
  CHECK_FALSE(star.covers(4, missing, 0));
}

TEST_CASE("forward/black_body: bad wavelengths, stars and sizes are refused") {
  CHECK_THROWS_WITH_AS(BlackBody({}), doctest::Contains("no wavelengths"), ValueError);
  CHECK_THROWS_WITH_AS(BlackBody({1, 1}), doctest::Contains("wavelength 1 micron"), ValueError);
  CHECK_THROWS_WITH_AS(BlackBody({-1, 1}), doctest::Contains("wavelength -1 micron"), ValueError);
  CHECK_THROWS_AS(BlackBody({1, missing}), ValueError);
  const BlackBody star({1, 2});
  std::vector<double> f(2), three(3);
  CHECK_THROWS_WITH_AS(star.flux(0, 4, 0, f), doctest::Contains("log T_eff = 0"), ValueError);
  CHECK_THROWS_WITH_AS(star.flux(4, 4, 0, three), doctest::Contains("room for 3"), ShapeError);
}
