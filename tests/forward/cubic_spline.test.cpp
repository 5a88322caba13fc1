// SPDX-License-Identifier: MIT
#include <sbi/forward/cubic_spline.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/cubic_spline: three points by hand") {
  // Natural through (0,0), (1,1), (2,0): 4 m = 6 (-1 - 1), so the curvature in the middle is -3 and the
  // spline is 1.5 t - 0.5 t^3 on [0, 1] with its mirror image on [1, 2].
  const CubicSpline s({0, 1, 2}, {0, 1, 0});
  for (const double t : {0.0, 0.25, 0.5, 0.8, 1.0}) {
    CHECK(s(t) == doctest::Approx(1.5 * t - 0.5 * t * t * t).epsilon(1e-14));
    CHECK(s(2 - t) == doctest::Approx(s(t)).epsilon(1e-14));
    CHECK(s.derivative(t) == doctest::Approx(1.5 - 1.5 * t * t).epsilon(1e-14));
    CHECK(s.derivative(2 - t) == doctest::Approx(1.5 * t * t - 1.5).epsilon(1e-14));
  }
}

TEST_CASE("forward/cubic_spline: reproduces lines, passes through its points, and converges") {
  const CubicSpline line({1, 2, 4, 4.5, 9}, {3, 5, 9, 10, 19});
  for (const double x : {1.0, 1.7, 3.3, 4.4, 8.0, 9.0}) {
    CHECK(line(x) == doctest::Approx(2 * x + 1).epsilon(1e-14));
    CHECK(line.derivative(x) == doctest::Approx(2).epsilon(1e-13));
  }
  const CubicSpline two({0, 2}, {1, 5});
  CHECK(two(0.5) == doctest::Approx(2));

  // A sine has no curvature at 0 and pi, as the spline has none, so the error is 5/384 h^4 max|f''''|.
  double before = 0;
  for (const int n : {10, 20, 40}) {
    std::vector<double> x, y;
    for (int i = 0; i <= n; ++i) {
      x.push_back(std::acos(-1) * i / n);
      y.push_back(std::sin(x.back()));
    }
    const CubicSpline s(x, y);
    double worst = 0;
    for (int i = 0; i < 10 * n; ++i) {
      const double t = std::acos(-1) * (i + 0.5) / (10 * n);
      worst = std::max(worst, std::abs(s(t) - std::sin(t)));
    }
    for (std::size_t i = 0; i < x.size(); ++i) CHECK(s(x[i]) == doctest::Approx(y[i]).epsilon(1e-14));
    CHECK(worst < 5. / 384 * std::pow(std::acos(-1) / n, 4));
    if (before > 0) CHECK(before / worst == doctest::Approx(16).epsilon(0.1));
    before = worst;
  }
}

TEST_CASE("forward/cubic_spline: bad input") {
  CHECK_THROWS_WITH_AS(CubicSpline({1}, {1}), doctest::Contains("1 abscissae"), ShapeError);
  CHECK_THROWS_WITH_AS(CubicSpline({1, 2}, {1, 2, 3}), doctest::Contains("3 ordinates"), ShapeError);
  CHECK_THROWS_WITH_AS(CubicSpline({1, 1}, {1, 2}), doctest::Contains("increasing"), ValueError);
  CHECK_THROWS_AS(CubicSpline({1, 2}, {1, missing}), ValueError);
  const CubicSpline s({1, 2}, {1, 2});
  CHECK_THROWS_WITH_AS((void)s(2.5), doctest::Contains("want 1 to 2"), ValueError);
  CHECK_THROWS_AS((void)s.derivative(0.9), ValueError);
  CHECK_THROWS_AS((void)s(missing), ValueError);
  CHECK_THROWS_AS((void)CubicSpline()(1), ValueError);
}
