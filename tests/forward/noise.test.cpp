// SPDX-License-Identifier: MIT
#include <sbi/forward/noise.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::forward;

TEST_CASE("forward/noise: an error curve adds its floor in quadrature and falls with observations") {
  constexpr ErrorCurve curve{[](double m) { return 0.01 * m; }, 0.03, 100};
  CHECK(curve(4) == doctest::Approx(0.05).epsilon(1e-15)); // hypot(.03, .04)
  CHECK(curve.with_floor(0)(4) == doctest::Approx(0.04).epsilon(1e-15));
  const ErrorCurve often = curve.with_observations(400);
  CHECK(often.with_floor(0)(4) == doctest::Approx(0.02).epsilon(1e-15));
  CHECK(often(4) == doctest::Approx(std::hypot(.03, .02)).epsilon(1e-15));
  CHECK(often.with_observations(100)(4) == doctest::Approx(curve(4)).epsilon(1e-15)); // there and back
  CHECK(ErrorCurve{}(4) == 0);
  CHECK_THROWS_WITH_AS((void)curve.with_observations(0), doctest::Contains("0 observations"),
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)curve.with_observations(sbi::missing), doctest::Contains("observations"),
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)curve.with_floor(-0.1), doctest::Contains("floor -0.1"), sbi::ValueError);
}

TEST_CASE("forward/noise: detection falls from its plateau, and the depth is its inverse") {
  constexpr Detection soft{0.96, 17, 0.25};
  CHECK(soft(10) == doctest::Approx(0.96).epsilon(1e-11)); // e^-28 below
  CHECK(soft(17) == doctest::Approx(0.48).epsilon(1e-15));
  CHECK(soft(17.5) == doctest::Approx(0.96 / (1 + std::exp(2.0))).epsilon(1e-15));
  for (const double luck : {1e-9, 0.01, 0.5, 0.95}) CHECK(soft(soft.depth(luck)) == doctest::Approx(luck));
  CHECK(soft.depth(0.2) > soft.depth(0.3)); // lucky stars are found deeper down
  constexpr Detection step{0.9, 17.65, 0};
  CHECK(step(17.6499) == 0.9);
  CHECK(step(17.65) == 0);
  CHECK(step.depth(0.4) == 17.65);
}

TEST_CASE("forward/noise: missions have names, and a channel lists itself unless told otherwise") {
  CHECK(mission_name(Mission::gaia) == "Gaia");
  CHECK(mission_name(Mission::two_mass) == "2MASS");
  CHECK(mission_name(Mission::wise) == "WISE");
  CHECK(mission_name(Mission{5}) == "mission 5");
  constexpr Channel channel{"x", Mission::gaia, 3, {}, {1, 20, 1}};
  static_assert(channel.listed_by == 3 && channel.least_snr == 0 && channel.offset == 0);
  CHECK(channel.brightest < -1e300);
}
