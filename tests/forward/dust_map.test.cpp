// SPDX-License-Identifier: MIT
#include <sbi/forward/dust_map.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Adaptive Simpson quadrature: the oracle, which knows nothing of the disc.
template <class F>
double simpson(const F& f, double a, double b, double fa, double fm, double fb, double tolerance, int depth) {
  const double m = 0.5 * (a + b), left = f(0.5 * (a + m)), right = f(0.5 * (m + b));
  const double coarse = (b - a) / 6 * (fa + 4 * fm + fb),
               fine = (b - a) / 12 * (fa + 4 * left + 2 * fm + 4 * right + fb);
  if (depth == 0 || std::abs(fine - coarse) < 15 * tolerance) return fine + (fine - coarse) / 15;
  return simpson(f, a, m, fa, left, fm, tolerance / 2, depth - 1) +
         simpson(f, m, b, fm, right, fb, tolerance / 2, depth - 1);
}
template <class F> double integral(const F& f, double end) {
  double sum = 0; // pieces that grow from the Sun outwards, so that nothing near it is overlooked
  for (double a = 0, b = std::min(end, 1e-3); a < end; a = b, b = std::min(1.2 * b + 1e-3, end))
    sum += simpson(f, a, b, f(a), f(0.5 * (a + b)), f(b), 1e-11 * (b - a) + 1e-13, 40);
  return sum;
}

/// A_V by the definition of the disc in Cartesian coordinates.
double oracle(const DustDisc& d, double longitude, double latitude, double distance_kpc) {
  const double l = longitude * std::numbers::pi / 180, b = latitude * std::numbers::pi / 180;
  return d.density * integral(
                         [&](double s) {
                           const double x = d.sun_radius - s * std::cos(b) * std::cos(l),
                                        y = s * std::cos(b) * std::sin(l), z = d.sun_height + s * std::sin(b);
                           return std::exp(-(std::sqrt(x * x + y * y) - d.sun_radius) / d.scale_length -
                                           std::abs(z) / d.scale_height);
                         },
                         distance_kpc);
}

} // namespace

TEST_CASE("forward/dust_map: the exponential disc against adaptive quadrature") {
  const DustDisc discs[]{{}, {1.1, 2.2, 0.3, 8.2, -0.2}, {0.5, 1.0, 0.02, 8.5, 0.05}};
  for (const DustDisc& disc : discs) {
    const ExponentialDust dust(disc);
    for (double longitude : {0.0, 0.003, 0.5, 7.0, 60.0, 178.0, 180.0, 271.0, 359.99})
      for (double latitude : {0.0, 0.02, -0.6, 3.0, -25.0, 70.0, 90.0, -90.0})
        for (double distance : {10.0, 130.0, 2000.0, 8000.0, 8100.0, 25000.0}) {
          CAPTURE(longitude);
          CAPTURE(latitude);
          CAPTURE(distance);
          const double want = oracle(disc, longitude, latitude, distance / 1000);
          // The promise is 1e-6; the oracle's own error is 1e-9.
          CHECK(std::abs(dust(longitude, latitude, distance) / want - 1) < 1e-6);
        }
  }
}

TEST_CASE("forward/dust_map: the exponential disc in its analytic limits") {
  constexpr double tolerance = 2e-7; // measured 6e-8; promised 1e-6
  const DustDisc disc;
  const ExponentialDust dust(disc);
  const double rho = disc.density, h = disc.scale_height, z = disc.sun_height, length = disc.scale_length;
  // To the poles R does not change: rho h exp(-z/h) above the Sun, and below it the plane is crossed once.
  CHECK(dust(0, 90, infinity) == doctest::Approx(rho * h * std::exp(-z / h)).epsilon(tolerance));
  CHECK(dust(40, -90, 1e6) == doctest::Approx(rho * h * (2 - std::exp(-z / h))).epsilon(tolerance));
  CHECK(dust(0, 90, 200) ==
        doctest::Approx(rho * h * (std::exp(-z / h) - std::exp(-(z + 0.2) / h))).epsilon(tolerance));
  // In the plane, from a Sun in the plane: away from the centre, towards it, and beyond it.
  DustDisc flat = disc;
  flat.sun_height = 0;
  const ExponentialDust in_plane(flat);
  CHECK(in_plane(180, 0, infinity) == doctest::Approx(rho * length).epsilon(tolerance));
  CHECK(in_plane(180, 0, 3000) ==
        doctest::Approx(rho * length * (1 - std::exp(-3 / length))).epsilon(tolerance));
  CHECK(in_plane(0, 0, 5000) ==
        doctest::Approx(rho * length * (std::exp(5 / length) - 1)).epsilon(tolerance));
  const double centre = std::exp(8 / length);
  CHECK(in_plane(0, 0, infinity) == doctest::Approx(rho * length * (2 * centre - 1)).epsilon(tolerance));
  // Nearby it is the local density times the distance.
  CHECK(in_plane(77, 0, 1e-3) == doctest::Approx(rho * 1e-6).epsilon(1e-6));
  CHECK(dust(77, 12, 0) == 0);
}

TEST_CASE("forward/dust_map: the exponential disc grows with distance and is symmetric in longitude") {
  const ExponentialDust dust;
  for (double longitude : {0.0, 33.0, 120.0, 180.0})
    for (double latitude : {-40.0, -1.0, 0.0, 5.0}) {
      double before = 0;
      for (double distance = 1; distance < 1e5; distance *= 1.5) {
        const double a_v = dust(longitude, latitude, distance);
        CHECK(a_v >= before * (1 - 1e-7)); // within the accuracy of the quadrature where it has ended
        before = a_v;
        CHECK(a_v == doctest::Approx(dust(360 - longitude, latitude, distance)).epsilon(1e-12));
      }
    }
  // The density is a factor.
  DustDisc thick;
  thick.density = 2.1;
  CHECK(ExponentialDust(thick)(20, 1, 900) == doctest::Approx(3 * dust(20, 1, 900)).epsilon(1e-12));
}

TEST_CASE("forward/dust_map: a grid is linear in distance within a cell") {
  const SkyCells cells(1);
  const std::vector<double> distances{100, 300, 1000};
  std::vector<double> a_v;
  for (int c = 0; c < 12; ++c)
    for (double step : {0.1, 0.5, 2.0}) a_v.push_back(step * (c + 1));
  const GridDust map(cells, distances, a_v);
  CHECK(map.last_distance() == 1000);
  CHECK(map.cells().count() == 12);
  for (index_t c = 0; c < 12; ++c) {
    const auto [l, b] = cells.centre(c);
    const auto n = static_cast<double>(c + 1);
    CHECK(map.covers(l, b));
    CHECK(map(l, b, 0) == 0);
    CHECK(map(l, b, 50) == doctest::Approx(0.05 * n).epsilon(1e-14));
    CHECK(map(l, b, 100) == doctest::Approx(0.1 * n).epsilon(1e-14));
    CHECK(map(l, b, 150) == doctest::Approx(0.2 * n).epsilon(1e-14));
    CHECK(map(l, b, 650) == doctest::Approx(1.25 * n).epsilon(1e-14));
    CHECK(map(l, b, 1000) == doctest::Approx(2 * n).epsilon(1e-14));
    CHECK(map(l, b, 5000) == map(l, b, 1000)); // the dust ends with the map
    Rng rng(1);
    const auto [l2, b2] = cells.draw(c, rng);
    CHECK(map(l2, b2, 150) == map(l, b, 150)); // all over the cell
  }
}

TEST_CASE("forward/dust_map: a grid of densities, and one made of the disc") {
  const SkyCells cells(2);
  const std::vector<double> distances{100, 300};
  std::vector<double> density;
  for (int c = 0; c < 48; ++c) density.insert(density.end(), {1.0, 0.25 * c}); // mag/kpc
  const GridDust map(cells, distances, density, GridDust::Values::density);
  for (index_t c : {0, 17, 47}) {
    const auto [l, b] = cells.centre(c);
    CHECK(map(l, b, 60) == doctest::Approx(0.06).epsilon(1e-14));
    CHECK(map(l, b, 200) == doctest::Approx(0.1 + 0.025 * static_cast<double>(c)).epsilon(1e-14));
  }
  // A fine map of the disc gives the disc back where it was asked.
  const ExponentialDust disc;
  const SkyCells fine(8);
  std::vector<double> steps, a_v;
  for (int i = 1; i <= 40; ++i) steps.push_back(50 * i);
  for (index_t c = 0; c < fine.count(); ++c) {
    const auto [l, b] = fine.centre(c);
    for (double d : steps) a_v.push_back(disc(l, b, d));
  }
  const GridDust grid(fine, steps, a_v);
  for (index_t c = 0; c < fine.count(); c += 11) {
    const auto [l, b] = fine.centre(c);
    CHECK(grid(l, b, 750) == doctest::Approx(disc(l, b, 750)).epsilon(1e-14));
    // Between entries: a chord of an exponential, off by (50 pc / 88 pc)^2 / 8 of one step at most.
    CHECK(std::abs(grid(l, b, 775) - disc(l, b, 775)) < 0.002);
  }
}

TEST_CASE("forward/dust_map: cells without a map") {
  const SkyCells cells(1);
  std::vector<double> a_v(24, 1.0);
  a_v[6] = a_v[7] = missing; // cell 3
  const GridDust map(cells, {100, 200}, a_v);
  const auto [l, b] = cells.centre(3);
  CHECK(!map.covers(l, b));
  CHECK(map.covers(10, -40));
  CHECK_THROWS_WITH_AS((void)map(315, 45, 100),
                       "dust map: nothing is known at longitude 315, latitude 45 degrees; want a covered "
                       "direction",
                       ValueError);
}

TEST_CASE("forward/dust_map: constant dust") {
  const ConstantDust dust(0.4);
  CHECK(dust(0, 0, 0) == 0.4);
  CHECK(dust(123, -80, 1e5) == 0.4);
  CHECK_THROWS_WITH_AS(ConstantDust(-1), "constant dust: A_V = -1; want 0 or more", ValueError);
  CHECK_THROWS_AS(ConstantDust{missing}, ValueError);
}

TEST_CASE("forward/dust_map: what is refused is named") {
  const ExponentialDust disc;
  const SkyCells cells(1);
  const GridDust grid(cells, {100}, std::vector<double>(12, 1.0));
  const ConstantDust constant(1);
  const auto check = [](const auto& map) {
    CHECK_THROWS_WITH_AS(
        (void)map(10, 91, 5),
        "dust map: longitude 10, latitude 91 degrees, distance 5 pc; want a finite longitude, "
        "a latitude of -90 to 90, a distance >= 0",
        ValueError);
    CHECK_THROWS_AS((void)map(10, 0, -5), ValueError);
    CHECK_THROWS_AS((void)map(10, 0, missing), ValueError);
    CHECK_THROWS_AS((void)map(missing, 0, 5), ValueError);
    CHECK_THROWS_AS((void)map(infinity, 0, 5), ValueError);
  };
  check(disc);
  check(grid);
  check(constant);

  DustDisc bad;
  bad.scale_height = 0;
  CHECK_THROWS_WITH_AS(ExponentialDust{bad},
                       "exponential dust: scale height 0; want a positive length in kpc", ValueError);
  bad = {};
  bad.density = -1;
  CHECK_THROWS_WITH_AS(ExponentialDust{bad}, "exponential dust: density -1; want 0 or more mag/kpc",
                       ValueError);
  bad = {};
  bad.sun_height = -2;
  CHECK_THROWS_WITH_AS(ExponentialDust{bad},
                       "exponential dust: height of the Sun -2; want at most 20 scale heights", ValueError);
  bad = {};
  bad.sun_radius = 90;
  CHECK_THROWS_WITH_AS(ExponentialDust{bad},
                       "exponential dust: distance of the Sun from the axis 90; want 0 to 20 scale lengths",
                       ValueError);
  bad = {};
  bad.sun_height = missing;
  CHECK_THROWS_AS(ExponentialDust{bad}, ValueError);

  CHECK_THROWS_WITH_AS(GridDust(cells, {100}, std::vector<double>(11, 1.0)),
                       "dust map: 11 values for 12 cells and 1 distances; want one for each pair, and a "
                       "distance at least",
                       ShapeError);
  CHECK_THROWS_AS(GridDust(cells, {}, {}), ShapeError);
  CHECK_THROWS_WITH_AS(GridDust(cells, {0}, std::vector<double>(12, 1.0)),
                       "dust map: distance 0 is 0 pc; want more than 0", ValueError);
  CHECK_THROWS_WITH_AS(GridDust(cells, {100, 100}, std::vector<double>(24, 1.0)),
                       "dust map: distance 1 is 100 pc; want more than 100", ValueError);
  std::vector<double> values(24, 1.0);
  values[7] = 0.5;
  CHECK_THROWS_WITH_AS(GridDust(cells, {100, 200}, values),
                       "dust map: cell 3, distance 200 pc: A_V = 0.5 after 1; want A_V that does not fall",
                       ValueError);
  CHECK(GridDust(cells, {100, 200}, values, GridDust::Values::density).last_distance() == 200);
  values[7] = missing;
  CHECK_THROWS_WITH_AS(GridDust(cells, {100, 200}, values),
                       "dust map: cell 3, distance 200 pc: nan; want 0 or more, or NaN in the whole cell",
                       ValueError);
  values[7] = -1;
  CHECK_THROWS_AS(GridDust(cells, {100, 200}, values, GridDust::Values::density), ValueError);
  values[7] = infinity;
  CHECK_THROWS_AS(GridDust(cells, {100, 200}, values), ValueError);
}
