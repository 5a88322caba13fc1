// SPDX-License-Identifier: MIT
#include <sbi/forward/galaxy.hpp>
#include <sbi/forward/line_of_sight.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

using namespace sbi::forward;
using sbi::Rng;

namespace {

/// Stars of one kind with a density that depends on the place alone.
template <class N> struct Field {
  N density; ///< per cubic kpc, of a Galactocentric
  GalaxyFrame sun{};
  [[nodiscard]] const GalaxyFrame& frame() const { return sun; }
  [[nodiscard]] std::size_t size() const { return 1; }
  [[nodiscard]] double number_density(std::size_t, const Galactocentric& p) const { return density(p); }
  void fill(Rng&, std::size_t, const Galactocentric& p, Star& star) const {
    star.population = 7;
    star.velocity = {p.x, p.y, p.z}; // so that tests see the place
  }
};
template <class N> Field(N) -> Field<N>;

/// Adaptive Simpson rule to a relative error far below 1e-6 in `parts` parts of [a, b].
template <class F> double integral(const F& f, double a, double b, int parts = 200) {
  const auto split = [&](const auto& self, double x, double fx, double y, double fy, double fm, double rough,
                         double tolerance, int depth) -> double {
    const double m = (x + y) / 2, fl = f((x + m) / 2), fr = f((m + y) / 2);
    const double left = (m - x) / 6 * (fx + 4 * fl + fm), right = (y - m) / 6 * (fm + 4 * fr + fy);
    if (depth == 0 || std::abs(left + right - rough) < tolerance) return left + right;
    return self(self, x, fx, m, fm, fl, left, tolerance / 2, depth - 1) +
           self(self, m, fm, y, fy, fr, right, tolerance / 2, depth - 1);
  };
  double rough = 0, sum = 0;
  for (int k = 0; k < parts; ++k) rough += f(a + (b - a) * (k + .5) / parts) * (b - a) / parts;
  for (int k = 0; k < parts; ++k) {
    const double x = a + (b - a) * k / parts, y = a + (b - a) * (k + 1) / parts;
    const double fx = f(x), fy = f(y), fm = f((x + y) / 2);
    sum += split(split, x, fx, y, fy, fm, (y - x) / 6 * (fx + 4 * fm + fy), 1e-7 * rough / parts, 30);
  }
  return sum;
}

/// Draws n numbers, which should be uniform: Kolmogorov's distance, beyond 2.7 / sqrt(n) once in a million.
template <class Draw> void check_uniform(int n, const Draw& draw) {
  std::vector<double> u;
  for (int i = 0; i < n; ++i) u.push_back(draw());
  std::sort(u.begin(), u.end());
  double worst = 0;
  for (int i = 0; i < n; ++i)
    worst = std::max(worst, std::abs(u[static_cast<std::size_t>(i)] - (i + .5) / n));
  CHECK(worst * std::sqrt(n) < 2.7);
}

/// Stars per steradian of component i nearer than d [pc].
double expected(const Galaxy<>& galaxy, const SkyDirection& direction, std::size_t i, double d) {
  return integral(
      [&](double kpc) {
        return kpc * kpc * galaxy.number_density(i, galaxy.frame().place(direction, 1000 * kpc));
      },
      0, d / 1000);
}

} // namespace

TEST_CASE("forward/line_of_sight: densities that are linear in d^3 are exact") {
  const Field field{[](const Galactocentric&) { return 5e6; }};
  const LineOfSight line(field, SkyDirection(40, 10), {0, 2000});
  CHECK(line.stars() == doctest::Approx(5e6 * 8 / 3).epsilon(1e-13));
  CHECK(line.stars_within(0, 20) == doctest::Approx(5e6 * 8e-6 / 3).epsilon(1e-13));
  CHECK(LineOfSight(field, SkyDirection(0, 0), {500, 1000}).stars() ==
        doctest::Approx(5e6 * (1 - .125) / 3).epsilon(1e-13));
  Rng rng(1);
  check_uniform(40'000, [&] { return std::pow(10, 3 * (line.draw(rng).log_distance - std::log10(2000))); });
  // A density that grows with d^3 needs no refinement: (d / 1 kpc)^6 is uniform across 32 wide intervals.
  const Field growing{[](const Galactocentric& p) { return std::pow(GalaxyFrame().distance(p), 3); }};
  const LineOfSight rising(growing, SkyDirection(0, 0), {0, 1000});
  CHECK(rising.intervals() == 32);
  CHECK(rising.stars() == doctest::Approx(1e9 / 6).epsilon(1e-12));
  check_uniform(400'000, [&] { return std::pow(10, 6 * (rising.draw(rng).log_distance - 3)); });
}

TEST_CASE("forward/line_of_sight: a disc seen under an angle, an edge, a thin layer far away") {
  const SkyDirection direction(0, 30);
  const auto stars = [&](auto density, double to) {
    const Field field{density};
    return LineOfSight(field, direction, {0, to}).stars();
  };
  // exp(-z / h) towards b = 30 degrees: int d^2 exp(-d / (2 h)) dd = 2 (2 h)^3 over all d; z starts at 15 pc.
  CHECK(stars([](const Galactocentric& p) { return std::exp(-(p.z - .015) / .2); }, 20'000) ==
        doctest::Approx(2 * std::pow(.4, 3)).epsilon(1e-4)); // the promise
  CHECK(stars([](const Galactocentric& p) { return p.z < 1.015 ? 1.0 : 0.0; }, 20'000) ==
        doctest::Approx(8 / 3.).epsilon(1e-4)); // z = 1 kpc above the Sun is at 2 kpc
  const auto layer = [](const Galactocentric& p) { return std::exp(-.5 * std::pow((p.z - 4.015) / .1, 2)); };
  // A Gaussian of width 0.2 kpc in d about 8 kpc: <d^2> = 64 + .04.
  CHECK(stars(layer, 20'000) == doctest::Approx(std::sqrt(2 * std::numbers::pi) * .2 * 64.04).epsilon(1e-4));
}

TEST_CASE("forward/line_of_sight: columns of the Milky Way agree with quadratures elsewhere") {
  // Mass in d^2 dd out to 1, 5, 15 kpc [solar masses, bulge: stars; per steradian], each of the ten
  // components: Python's quad on the published formulas written a second time, seven digits.
  struct Column {
    double l, b, kpc;
    std::array<double, 10> mass;
  };
  const std::array<Column, 9> columns{{
      {0,
       90,
       1,
       {385.522, 26306.22, 58908.02, 118062.2, 312426.8, 348428.1, 473656.1, 232968.3, 3044.224, 0}},
      {0, 90, 5, {385.522, 26309.92, 59182.74, 125436.6, 371238.3, 454454.5, 622007.5, 1684143, 261637, 0}},
      {0, 90, 15, {385.522, 26309.92, 59182.74, 125436.6, 371238.3, 454454.5, 622007.5, 1775997, 2045847, 0}},
      {90, 0, 1, {1318372, 2603199, 2048387, 1322295, 1912053, 1620570, 2167110, 440044.3, 3071.569, 0}},
      {90,
       0,
       5,
       {5.75823e7, 2.067403e8, 1.703836e8, 1.130301e8, 1.649215e8, 1.402366e8, 1.875657e8, 3.970392e7,
        303284.6, 0}},
      {90,
       0,
       15,
       {5.952635e7, 4.15759e8, 3.906791e8, 2.827496e8, 4.253212e8, 3.657536e8, 4.895017e8, 2.168574e8,
        3087503, 0}},
      {0, 0, 1, {2088460, 3468159, 2732459, 1765138, 2552993, 2163980, 2893799, 604708.3, 3961.58, 0}},
      {0,
       0,
       5,
       {7.344042e8, 1.163589e9, 9.175696e8, 5.930302e8, 8.57859e8, 7.271833e8, 9.724346e8, 2.675417e8,
        2187602, 3.297254e9}},
      {0,
       0,
       15,
       {1.493464e10, 2.858914e10, 2.208096e10, 1.407704e10, 2.026595e10, 1.714842e10, 2.292965e10,
        1.097052e10, 8.809167e8, 2.882474e12}},
  }};
  const Galaxy<> galaxy = besancon();
  for (const Column& column : columns) {
    const LineOfSight line(galaxy, SkyDirection(column.l, column.b), {0, 15'000});
    const LineOfSight shorter(galaxy, SkyDirection(column.l, column.b), {0, 1000 * column.kpc});
    for (std::size_t i = 0; i < 10; ++i) {
      if (column.mass[i] == 0) continue;
      const GalaxyComponent& c = galaxy.component(i);
      const double per_star = c.density / galaxy.number_density(i, c.anchor);
      CAPTURE(column.l);
      CAPTURE(column.b);
      CAPTURE(column.kpc);
      CAPTURE(i);
      CHECK(shorter.stars(i) * per_star == doctest::Approx(column.mass[i]).epsilon(1e-4));
      // A part of a long table: half a per cent of each interval, and of the whole line 1e-4.
      const double slack = 1e-3 * column.mass[i] + 1e-4 * line.stars(i) * per_star;
      CHECK(std::abs(line.stars_within(i, 1000 * column.kpc) * per_star - column.mass[i]) < slack);
    }
  }
}

TEST_CASE("forward/line_of_sight: integrals and draws follow the densities in any direction") {
  const Galaxy<> galaxy = besancon();
  for (const auto& [l, b] : {std::array{0., 90.}, {90., 0.}, {0., 0.}, {90., 9.}, {265., -4.}}) {
    const SkyDirection direction(l, b);
    const LineOfSight line(galaxy, direction, {0, 30'000});
    constexpr std::array<double, 6> edges{0, 300, 1000, 3000, 10'000, 30'000};
    std::array<std::array<double, 5>, 10> want{}, got{};
    double total = 0;
    for (std::size_t i = 0; i < 10; ++i) {
      double before = 0;
      for (std::size_t k = 0; k < 5; ++k) {
        const double within = expected(galaxy, direction, i, edges[k + 1]);
        want[i][k] = std::max(0.0, within - before); // rounding, where nothing is left
        before = within;
      }
      total += before;
      CAPTURE(direction.longitude);
      CAPTURE(direction.latitude);
      CAPTURE(i);
      if (before > 0) CHECK(line.stars(i) == doctest::Approx(before).epsilon(1e-4));
    }
    CHECK(line.stars() == doctest::Approx(total).epsilon(1e-4));
    Rng rng(17);
    constexpr int n = 50'000;
    for (int s = 0; s < n; ++s) {
      const Star star = line.draw(rng);
      const double d = std::pow(10, star.log_distance);
      const auto bin = std::upper_bound(edges.begin() + 1, edges.end() - 1, d) - edges.begin() - 1;
      ++got[static_cast<std::size_t>(star.population - GalaxyPopulation::first)]
           [static_cast<std::size_t>(bin)];
    }
    double chi2 = 0, cells = 0; // Pearson's, of component and distance; rare cells only bounded
    for (std::size_t i = 0; i < 10; ++i)
      for (std::size_t k = 0; k < 5; ++k) {
        const double e = want[i][k] / total * n;
        if (e > 10)
          chi2 += (got[i][k] - e) * (got[i][k] - e) / e, ++cells;
        else
          CHECK(got[i][k] < e + 4 * std::sqrt(e) + 5);
      }
    CHECK(cells > 5);
    CHECK(chi2 < cells + 4 * std::sqrt(2 * cells)); // 4 sigma
  }
}

TEST_CASE("forward/line_of_sight: what a drawn star says") {
  const Field field{[](const Galactocentric&) { return 1.0; }};
  const LineOfSight line(field, SkyDirection(120, -30), {100, 3000});
  Rng rng(3);
  const auto dust = [](double l, double b, double d) { return l + b + d / 1000; };
  for (int i = 0; i < 100; ++i) {
    const Star star = line.draw(rng, dust);
    const double d = std::pow(10, star.log_distance);
    CHECK(star.longitude == 120);
    CHECK(star.latitude == -30);
    CHECK(d >= 100);
    CHECK(d <= 3000 * (1 + 1e-12));
    CHECK(star.a_v == doctest::Approx(90 + d / 1000).epsilon(1e-12));
    CHECK(star.r_v == 3.1);
    CHECK(star.population == 7);
    const Galactocentric p = field.frame().place(SkyDirection(120, -30), d);
    CHECK(std::abs(star.velocity[1] - p.y) < 1e-12);
    CHECK(line.draw(rng).a_v == 0);
  }
  const Star elsewhere = line.draw(rng, SkyDirection(121, -29));
  CHECK(elsewhere.longitude == 121);
  CHECK(elsewhere.latitude == -29);
}

TEST_CASE("forward/line_of_sight: a cone has its area, its edge and uniform positions") {
  const Field field{[](const Galactocentric&) { return 1e3; }};
  for (const auto& [l, b, radius, patch] : {std::array{10., 0., .5, 1.},
                                            {200., 89.9, 3., 1.},
                                            {350., -60., 40., 8.},
                                            {0., 0., 1e-6, 1.},
                                            {0., 0., 180., 20.}}) {
    const SkyDirection axis(l, b);
    const Cone cone(field, axis, radius, {0, 1000}, patch);
    const double half = std::sin(radius / 2 * std::numbers::pi / 180),
                 area = 4 * std::numbers::pi * half * half;
    CHECK(cone.stars() == doctest::Approx(area * 1e3 / 3).epsilon(1e-12));
    Rng rng(5);
    constexpr int n = 20'000;
    std::array<double, 8> sectors{};
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const Star star = cone.draw(rng);
      const SkyDirection at(star.longitude, star.latitude);
      double chord2 = 0;
      for (std::size_t k = 0; k < 3; ++k) chord2 += std::pow(at.unit[k] - axis.unit[k], 2);
      sum += chord2 / (4 * half * half); // sin^2 of half the distance over its highest value: uniform
      CHECK(chord2 <= 4 * half * half * (1 + 1e-6) + 1e-15 * 1e-15);
      // The azimuth about the axis, from the components to the east and north.
      const double deg = std::numbers::pi / 180, x = at.unit[0], y = at.unit[1];
      const double east = -x * std::sin(l * deg) + y * std::cos(l * deg);
      const double north = at.unit[2] * std::cos(b * deg) -
                           (x * std::cos(l * deg) + y * std::sin(l * deg)) * std::sin(b * deg);
      ++sectors[static_cast<std::size_t>(std::min(7.0, 4 + std::atan2(east, north) * 4 / std::numbers::pi))];
    }
    CHECK(std::abs(sum / n - .5) < 4 * std::sqrt(1 / 12. / n)); // 4 standard errors
    for (double s : sectors) CHECK(std::abs(s - n / 8.) < 4 * std::sqrt(n / 8.));
  }
}

TEST_CASE("forward/line_of_sight: a wide cone knows where the stars are") {
  const Galaxy<> galaxy = besancon();
  const SkyDirection axis(60, 25);
  const DistanceRange range{0, 5000};
  const Cone cone(galaxy, axis, 15, range, 3);
  CHECK(cone.patches() > 50);
  // The expected number by lines on a fine grid of latitudes and longitudes: midpoints of 1 degree.
  double all = 0, low = 0;
  const double deg = std::numbers::pi / 180;
  for (double b = 10.5; b < 40; ++b)
    for (double l = 40.5; l < 80; l += 1) {
      const SkyDirection at(l, b);
      double cosine = 0;
      for (std::size_t k = 0; k < 3; ++k) cosine += at.unit[k] * axis.unit[k];
      if (cosine < std::cos(15 * deg)) continue;
      const double stars = LineOfSight(galaxy, at, range, 1e-2).stars() * deg * deg * std::cos(b * deg);
      all += stars;
      if (b < 20) low += stars;
    }
  // Patches of 3 degrees against a grid whose edge is ragged at the level of 1 per cent.
  CHECK(cone.stars() == doctest::Approx(all).epsilon(.02));
  Rng rng(9);
  constexpr int n = 40'000;
  double below = 0;
  for (int i = 0; i < n; ++i) below += cone.draw(rng).latitude < 20 ? 1 : 0;
  CHECK(std::abs(below / n - low / all) < .015); // the same raggedness; 4 standard errors are .010
}

TEST_CASE("forward/line_of_sight: bad input is named") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(),
                   infinite = std::numeric_limits<double>::infinity();
  const Field field{[](const Galactocentric&) { return 1.0; }};
  const SkyDirection here(0, 0);
  const auto line = [&](DistanceRange range, double tolerance = 1e-4) {
    (void)LineOfSight(field, here, range, tolerance);
  };
  CHECK_THROWS_WITH_AS(line({100, 100}),
                       "line of sight: distances from 100 to 100 pc; want 0 <= first < second",
                       sbi::ValueError);
  CHECK_THROWS_AS(line({-1, 100}), sbi::ValueError);
  CHECK_THROWS_AS(line({nan, 100}), sbi::ValueError);
  CHECK_THROWS_AS(line({0, nan}), sbi::ValueError);
  CHECK_THROWS_AS(line({0, infinite}), sbi::ValueError);
  CHECK_THROWS_WITH_AS(line({0, 1}, 0), "line of sight: tolerance 0; want above 0 and below 1",
                       sbi::ValueError);
  CHECK_THROWS_AS(line({0, 1}, nan), sbi::ValueError);

  Rng rng(1);
  const Field nothing{[](const Galactocentric&) { return 0.0; }};
  const LineOfSight empty(nothing, SkyDirection(10, 20), {0, 100});
  CHECK(empty.stars() == 0);
  CHECK_THROWS_WITH_AS((void)empty.draw(rng),
                       "line of sight: no stars towards longitude 10, latitude 20 in this range of distances",
                       sbi::ValueError);
  const LineOfSight good(field, here, {0, 100});
  CHECK_THROWS_WITH_AS((void)good.draw(rng, [](double, double, double) { return -1.0; }),
                       doctest::Contains("A_V = -1 at longitude 0, latitude 0"), sbi::ValueError);
  CHECK_THROWS_AS((void)good.draw(rng, [&](double, double, double) { return nan; }), sbi::ValueError);
  CHECK_THROWS_AS((void)good.draw(rng, [&](double, double, double) { return infinite; }), sbi::ValueError);
  const auto cone = [&](double radius, double patch) { (void)Cone(field, here, radius, {0, 1}, patch); };
  CHECK_THROWS_WITH_AS(cone(0, 1), "cone: radius 0 degrees; want above 0 to 180", sbi::ValueError);
  CHECK_THROWS_AS(cone(181, 10), sbi::ValueError);
  CHECK_THROWS_AS(cone(nan, 1), sbi::ValueError);
  CHECK_THROWS_WITH_AS(cone(60, .1),
                       "cone: patches of 0.1 degrees in a radius of 60; want at least 1/150 of the radius",
                       sbi::ValueError);
  CHECK_THROWS_AS(cone(1, nan), sbi::ValueError);
}
