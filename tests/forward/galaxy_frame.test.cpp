// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/forward/galaxy_frame.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using sbi::Rng;
using sbi::forward::Galactocentric;
using sbi::forward::GalaxyFrame;
using sbi::forward::SkyDirection;

TEST_CASE("forward/galaxy_frame: the axes point where the definition says") {
  const GalaxyFrame frame; // the Sun at R = 8 kpc, 15 pc above the plane
  const auto at = [&](double l, double b, double pc) { return frame.place(SkyDirection(l, b), pc); };
  const auto check = [](const Galactocentric& p, double x, double y, double z) {
    CHECK(std::abs(p.x - x) < 1e-14); // rounding of numbers up to 8
    CHECK(std::abs(p.y - y) < 1e-14);
    CHECK(std::abs(p.z - z) < 1e-14);
  };
  check(frame.sun(), -8, 0, .015);
  check(at(123, 45, 0), -8, 0, .015);
  check(at(0, 0, 8000), 0, 0, .015);
  check(at(90, 0, 3000), -8, 3, .015);
  check(at(180, 0, 1000), -9, 0, .015);
  check(at(270, 0, 3000), -8, -3, .015);
  check(at(77, 90, 500), -8, 0, .515);
  check(at(77, -90, 500), -8, 0, -.485);
  CHECK(at(90, 0, 6000).radius() == doctest::Approx(10).epsilon(1e-14));
  check(GalaxyFrame(8.5, -.02).sun(), -8.5, 0, -.02);
}

TEST_CASE("forward/galaxy_frame: places and directions are inverse to each other") {
  Rng rng(4);
  for (const GalaxyFrame& frame : {GalaxyFrame(), GalaxyFrame(8.5, 0), GalaxyFrame(8.178, .0208)})
    for (int i = 0; i < 200; ++i) {
      const double l = rng.uniform(0, 360), b = rng.uniform(-89, 89), d = std::exp(rng.uniform(0, 11));
      const Galactocentric p = frame.place(SkyDirection(l, b), d);
      const SkyDirection back = frame.direction(p);
      // Rounding of coordinates of about 8 kpc, seen at distance d, in degrees; 89 degrees: a factor 57 in l.
      const double tolerance = 1e-14 + 3e-12 * (1 + 1 / (d / 1000));
      CHECK(std::abs(std::remainder(back.longitude - l, 360)) < 57 * tolerance);
      CHECK(std::abs(back.latitude - b) < tolerance);
      CHECK(frame.distance(p) == doctest::Approx(d).epsilon(tolerance));
    }
  const SkyDirection south = SkyDirection::of(0, 0, -2);
  CHECK(south.latitude == -90);
  CHECK(SkyDirection::of(1, -1e-3, 0).longitude > 359.9); // from 0 to 360
  const SkyDirection same(30, 40), turned(390, 40);
  for (std::size_t k = 0; k < 3; ++k) CHECK(same.unit[k] == doctest::Approx(turned.unit[k]).epsilon(1e-14));
}

TEST_CASE("forward/galaxy_frame: bad input is named") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   infinite = std::numeric_limits<double>::infinity();
  const GalaxyFrame frame;
  CHECK_THROWS_WITH_AS(SkyDirection(0, 90.5),
                       "sky direction: longitude 0, latitude 90.5 degrees; want a finite longitude and a "
                       "latitude of -90 to 90",
                       sbi::ValueError);
  CHECK_THROWS_AS(SkyDirection(0, nan), sbi::ValueError);
  CHECK_THROWS_AS(SkyDirection(nan, 0), sbi::ValueError);
  CHECK_THROWS_AS(SkyDirection(infinite, 0), sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)SkyDirection::of(0, 0, 0), "sky direction of (0, 0, 0); want a finite vector",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)SkyDirection::of(nan, 0, 1), sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)frame.place(SkyDirection(0, 0), -1),
                       "galaxy frame: distance -1 pc; want 0 or more", sbi::ValueError);
  CHECK_THROWS_AS((void)frame.place(SkyDirection(0, 0), nan), sbi::ValueError);
  CHECK_THROWS_AS((void)frame.place(SkyDirection(0, 0), infinite), sbi::ValueError);
  CHECK_THROWS_AS((void)frame.direction(frame.sun()), sbi::ValueError);
  CHECK_THROWS_WITH_AS(
      GalaxyFrame(0, 0),
      "galaxy frame: the Sun at R = 0, z = 0 kpc; want a positive radius and a finite height",
      sbi::ValueError);
  CHECK_THROWS_AS(GalaxyFrame(nan, 0), sbi::ValueError);
  CHECK_THROWS_AS(GalaxyFrame(8, nan), sbi::ValueError);
}
