// SPDX-License-Identifier: MIT
#include <sbi/forward/light_source.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::forward;

TEST_CASE("forward/light_source: radii follow from luminosity and temperature") {
  StarState star;
  star.log_teff = std::log10(solar_teff), star.log_g = 4.4, star.mh = -.3;
  CHECK(photosphere(star).log_radius == doctest::Approx(0).epsilon(1e-14));
  CHECK(photosphere(star).mh == -.3);
  star.log_l = 2; // at the same temperature: ten times the radius
  CHECK(photosphere(star).log_radius == doctest::Approx(1).epsilon(1e-12));
  star.log_teff += std::log10(2); // at twice the temperature: a quarter of that
  CHECK(photosphere(star).log_radius == doctest::Approx(1 - std::log10(4)).epsilon(1e-12));
  CHECK(LightSource().stars.size() == 1 + Star::most_companions);
}
