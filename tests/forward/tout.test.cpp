// SPDX-License-Identifier: MIT
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <cmath>

using sbi::forward::StarState;
using sbi::forward::Tout1996;

namespace {

double radius(const StarState& s) {
  return std::pow(10, 0.5 * s.log_l - 2 * (s.log_teff - std::log10(sbi::forward::solar_teff)));
}

} // namespace

TEST_CASE("forward/tout: luminosity, radius and temperature of the zero-age main sequence") {
  struct Row {
    double mass, luminosity, radius, teff;
  };
  const Row rows[]{{.1, 9.58247e-4, .130456, 2811.7}, {.5, .0378742, .458758, 3759.4},
                   {1, .697717, .888249, 5597.3},     {2, 15.8913, 1.61021, 9081.9},
                   {5, 530.13, 2.63559, 17060},       {10, 5551.89, 3.94191, 25095},
                   {50, 358398, 10.7828, 0},          {100, 1.27067e6, 17.2261, 0}};
  for (const Row& r : rows) { // six digits in the reference, five in T_eff
    CAPTURE(r.mass);
    const auto s = Tout1996{}.state(std::log10(r.mass), 9, 0);
    REQUIRE(s.has_value());
    CHECK(std::pow(10, s->log_l) == doctest::Approx(r.luminosity).epsilon(1e-5));
    CHECK(radius(*s) == doctest::Approx(r.radius).epsilon(1e-5));
    if (r.teff > 0) CHECK(std::pow(10, s->log_teff) == doctest::Approx(r.teff).epsilon(5e-5));
    CHECK(s->log_g == doctest::Approx(sbi::forward::solar_log_g + std::log10(r.mass / (r.radius * r.radius)))
                          .epsilon(1e-5));
    CHECK(s->log_age == 9);
  }
}

TEST_CASE("forward/tout: metal-poor stars are hotter and brighter") {
  const double mh = std::log10(.001 / .02);
  const auto one = Tout1996{}.state(0, 9, mh), ten = Tout1996{}.state(1, 9, mh);
  REQUIRE(one.has_value());
  REQUIRE(ten.has_value());
  CHECK(std::pow(10, one->log_l) == doctest::Approx(1.45620).epsilon(1e-5));
  CHECK(radius(*one) == doctest::Approx(.894538).epsilon(1e-5));
  CHECK(std::pow(10, one->log_teff) == doctest::Approx(6704.0).epsilon(5e-5));
  CHECK(std::pow(10, ten->log_l) == doctest::Approx(5823.97).epsilon(1e-5));
  CHECK(radius(*ten) == doctest::Approx(2.91506).epsilon(1e-5));
}

TEST_CASE("forward/tout: nothing outside the range of the fit") {
  const Tout1996 tout;
  CHECK(tout.state(-1, 9, 0).has_value()); // both ends belong to it
  CHECK(tout.state(2, 9, 0).has_value());
  CHECK(tout.state(0, 9, std::log10(.03 / .02)).has_value());
  CHECK(tout.state(0, 9, std::log10(1e-4 / .02)).has_value());
  CHECK_FALSE(tout.state(-1.01, 9, 0).has_value());
  CHECK_FALSE(tout.state(2.01, 9, 0).has_value());
  CHECK_FALSE(tout.state(0, 9, 0.18).has_value());
  CHECK_FALSE(tout.state(0, 9, -2.31).has_value());
  CHECK_FALSE(tout.state(std::nan(""), 9, 0).has_value());
}
