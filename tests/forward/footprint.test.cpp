// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/forward/footprint.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using namespace sbi::forward;

namespace {

static_assert(Footprint<Cap> && Footprint<LatitudeCut> && Footprint<SkyRectangle> && Footprint<AnyOf<Cap>>);

/// A footprint of one's own: the northern half of the first quadrant.
struct Quadrant {
  bool covers(double l, double b) const { return l >= 0 && l < 90 && b > 0; }
};
static_assert(Footprint<Quadrant>);

/// Share of the sphere that is covered, from n uniform positions.
template <Footprint F> double share(const F& footprint, int n = 40'000) {
  sbi::Rng rng(5);
  int covered = 0;
  for (int i = 0; i < n; ++i) {
    const double l = rng.uniform(0, 360), b = std::asin(rng.uniform(-1, 1)) * 180 / std::numbers::pi;
    covered += footprint.covers(l, b);
  }
  return covered / static_cast<double>(n);
}
/// Four standard errors of such a share.
double tolerance(double p) { return 4 * std::sqrt(p * (1 - p) / 40'000); }

} // namespace

TEST_CASE("forward/footprint: caps have their area, edge and centre") {
  for (const double radius : {10.0, 60.0, 90.0, 170.0}) {
    const double area = (1 - std::cos(radius * std::numbers::pi / 180)) / 2;
    CHECK(std::abs(share(Cap(215.7, 31.9, radius)) - area) < tolerance(area));
  }
  const Cap field(215.7, 31.9, 1);
  CHECK(field.covers(215.7, 31.9));
  CHECK(field.covers(215.7, 32.8999));
  CHECK_FALSE(field.covers(215.7, 32.9001));
  const double across = 1 / std::cos(31.9 * std::numbers::pi / 180); // one degree of arc along the parallel
  CHECK(field.covers(215.7 + .999 * across, 31.9));
  CHECK_FALSE(field.covers(215.7 + 1.001 * across, 31.9));
  CHECK(Cap(359.9, 0, 1).covers(0.5, 0)); // through longitude 0
  CHECK(Cap(10, 89.5, 1).covers(190, 89.6));
  CHECK(Cap(10, 0, 1e-4).covers(10, .9e-4)); // below an arcsecond
  CHECK_FALSE(Cap(10, 0, 1e-4).covers(10, 1.1e-4));
  CHECK(Cap(10, 20, 180).covers(190, -20));
  CHECK_THROWS_WITH_AS(Cap(0, 0, -1), doctest::Contains("radius -1"), sbi::ValueError);
  CHECK_THROWS_AS(Cap(0, 0, 181), sbi::ValueError);
  CHECK_THROWS_AS(Cap(sbi::missing, 0, 180), sbi::ValueError);
  CHECK_THROWS_WITH_AS(Cap(0, 200, 10), doctest::Contains("latitude 200"), sbi::ValueError);
  CHECK(Cap(241.91937681049325, -2.7979218145459446, 180).covers(61.91937681049325, 2.7979218145459446));
}

TEST_CASE("forward/footprint: cuts in latitude, rectangles, and lists of them") {
  CHECK(std::abs(share(LatitudeCut(30)) - .5) < tolerance(.5)); // sin 30
  CHECK(std::abs(share(LatitudeCut(0, 30)) - .5) < tolerance(.5));
  CHECK(LatitudeCut(10).covers(0, -10));
  CHECK_FALSE(LatitudeCut(10).covers(0, 9.999));
  CHECK_THROWS_WITH_AS(LatitudeCut(20, 10), doctest::Contains("|b| from 20 to 10"), sbi::ValueError);

  const SkyRectangle wrapped(350, 10, -5, 5);
  CHECK(wrapped.covers(355, 0));
  CHECK(wrapped.covers(-5, 0));
  CHECK(wrapped.covers(5, -5));
  CHECK_FALSE(wrapped.covers(10, 0)); // half-open
  CHECK_FALSE(wrapped.covers(180, 0));
  CHECK_FALSE(wrapped.covers(0, 5));
  CHECK(SkyRectangle(0, 360, 60, 90).covers(123, 90)); // the pole
  CHECK_FALSE(SkyRectangle(0, 90, 60, 80).covers(45, 80));
  CHECK_THROWS_WITH_AS(SkyRectangle(10, 10, 0, 1), doctest::Contains("longitude 10 to 10"), sbi::ValueError);
  CHECK_THROWS_AS(SkyRectangle(10, 20, 1, 1), sbi::ValueError);

  sbi::Rng places(8); // neighbours share no star, and lose none
  for (int i = 0; i < 3000; ++i) {
    const double edge = std::round(places.uniform(-1800, 3600)) / 10, west = edge - places.uniform(1, 100),
                 east = edge + places.uniform(1, 100);
    const double star = edge < 0 ? edge + 360 : edge;
    const bool left = SkyRectangle(west, edge, -5, 5).covers(star, 0),
               right = SkyRectangle(edge, east, -5, 5).covers(star, 0);
    REQUIRE(left != right);
  }

  AnyOf<SkyRectangle> grid; // a chequered sky: every star in one of 72 cells, half of them kept
  for (int i = 0; i < 12; ++i)
    for (int j = 0; j < 6; ++j)
      if ((i + j) % 2 == 0) grid.parts.emplace_back(30 * i, 30 * (i + 1), 30 * j - 90, 30 * (j + 1) - 90);
  CHECK(std::abs(share(grid) - .5) < tolerance(.5));
  CHECK_FALSE(AnyOf<Cap>{}.covers(0, 0));
}

TEST_CASE("forward/footprint: a mission is where all of its footprints are, and everywhere without one") {
  Footprints footprints;
  CHECK(footprints.covering({}).all()); // no footprint, no position needed
  footprints.add(Mission::wise, LatitudeCut(10)).add(Mission::wise, Quadrant{}).add(Mission{7}, Cap(0, 0, 5));
  const auto at = [&](double l, double b, Mission mission) {
    return footprints.covering({l, b}).test(static_cast<std::size_t>(mission));
  };
  CHECK(at(45, 20, Mission::wise));
  CHECK_FALSE(at(45, 5, Mission::wise));
  CHECK_FALSE(at(145, 20, Mission::wise));
  CHECK(at(145, 20, Mission::gaia));
  CHECK_FALSE(at(145, 20, Mission{7}));
  CHECK(at(1, 2, Mission{7}));
  CHECK_THROWS_WITH_AS((void)footprints.covering({}), doctest::Contains("want finite degrees"),
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS(footprints.add(Mission{8}, Quadrant{}), doctest::Contains("mission 8"),
                       sbi::ValueError);
}
