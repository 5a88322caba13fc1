// SPDX-License-Identifier: MIT
#include <sbi/forward/surface_gravity.hpp>
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::forward;

TEST_CASE("forward/surface_gravity: the Sun, and any star as M / R^2 with L = R^2 T^4") {
  CHECK(surface_gravity(0, 0, std::log10(solar_teff)) == doctest::Approx(solar_log_g).epsilon(1e-12));
  // 4 pi G M sigma T^4 / L in cgs, with G M of the Sun 1.32712440018e26 (IAU 2015 B3): log g of the Sun is
  // rounded to 3 decimals in the library.
  const double pi = 3.14159265358979323846, mass = 0.3, log_l = -2, teff = 3400;
  const double cgs = 4 * pi * 1.32712440018e26 * mass * stefan_boltzmann * std::pow(teff, 4) /
                     (std::pow(10, log_l) * solar_luminosity);
  CHECK(std::abs(surface_gravity(std::log10(mass), log_l, std::log10(teff)) - std::log10(cgs)) < 6e-4);
  const auto star = Tout1996{}.state(0.7, 7, -0.3); // its gravity comes from the fitted radius
  REQUIRE(star.has_value());
  CHECK(surface_gravity(star->log_mass, star->log_l, star->log_teff) ==
        doctest::Approx(star->log_g).epsilon(1e-12));
}
