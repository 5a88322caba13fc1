// SPDX-License-Identifier: MIT
#include <sbi/forward/constants.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using namespace sbi::forward;

TEST_CASE("forward/constants: the constants agree with each other") {
  const double pi = std::numbers::pi;
  // int pi B_lambda dlambda = c1 pi^4 / (15 c2^4) T^4; 1e4 Angstrom a micron
  CHECK(1e4 * radiation_c1 * std::pow(pi / radiation_c2, 4) / 15 ==
        doctest::Approx(stefan_boltzmann).epsilon(1e-9));
  CHECK(std::log10(1.3271244e26 / (solar_radius * solar_radius)) ==
        doctest::Approx(solar_log_g).epsilon(1e-4));
  CHECK(4 * pi * solar_radius * solar_radius * stefan_boltzmann * std::pow(solar_teff, 4) ==
        doctest::Approx(solar_luminosity).epsilon(1e-3)); // T_eff is rounded to a kelvin
  CHECK(parsec == doctest::Approx(1.495978707e13 * 180 * 3600 / pi).epsilon(1e-12));
}
