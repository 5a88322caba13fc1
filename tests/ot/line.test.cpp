// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/line.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;

Vector random_line(std::uint64_t seed, std::size_t n, double mean = 0, double sigma = 1) {
  Rng rng(seed);
  Vector x(n);
  for (double& v : x) v = rng.normal(mean, sigma);
  return x;
}
Vector uniform(std::size_t n) { return Vector(n, 1.0 / static_cast<double>(n)); }
Tensor<double> powers(const Vector& x, const Vector& y, double p) {
  Tensor<double> c(Shape{static_cast<index_t>(x.size()), static_cast<index_t>(y.size())});
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < y.size(); ++j)
      c(static_cast<index_t>(i), static_cast<index_t>(j)) = std::pow(std::abs(x[i] - y[j]), p);
  return c;
}
double value(const Vector& x, const Vector& y, const Vector& a, const Vector& b, double p) {
  return ot::line_transport<double>(x, y, a, b, p).value;
}
/// That the plan is feasible, the duals are, and both have the same value: a proof of optimality.
void check_optimal(const ot::LineResult& r, const Vector& x, const Vector& y, const Vector& a,
                   const Vector& b, double p) {
  const Tensor<double> c = powers(x, y, p);
  Vector rows(a.size(), 0), columns(b.size(), 0);
  double primal = 0, dual = 0, worst = 0;
  for (const auto& s : r.plan) {
    CHECK(s.mass > 0);
    rows[static_cast<std::size_t>(s.from)] += s.mass, columns[static_cast<std::size_t>(s.to)] += s.mass;
    primal += s.mass * c(s.from, s.to);
    CHECK(std::abs(r.f[static_cast<std::size_t>(s.from)] + r.g[static_cast<std::size_t>(s.to)] -
                   c(s.from, s.to)) < 1e-11);
  }
  CHECK(r.plan.size() <= a.size() + b.size() - 1);
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(std::abs(rows[i] - a[i]) < 1e-14);
    dual += a[i] * r.f[i];
  }
  for (std::size_t j = 0; j < b.size(); ++j) {
    CHECK(std::abs(columns[j] - b[j]) < 1e-14);
    dual += b[j] * r.g[j];
  }
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j)
      worst = std::min(worst, c(i, j) - r.f[static_cast<std::size_t>(i)] - r.g[static_cast<std::size_t>(j)]);
  CHECK(worst > -1e-11); // potentials are sums of up to n + m costs
  CHECK(r.value == doctest::Approx(primal).epsilon(1e-12));
  CHECK(std::abs(dual - primal) < 1e-11);
}
} // namespace

TEST_CASE("ot/line: value, plan and duals are those of the exact solver, whatever sizes, weights and power") {
  const std::pair<std::size_t, std::size_t> sizes[] = {{1, 1}, {1, 6},   {7, 1},  {2, 2},
                                                       {3, 6}, {20, 13}, {40, 40}};
  for (const auto& size : sizes)
    for (double p : {1.0, 1.5, 2.0, 3.0}) {
      const std::size_t n = size.first, m = size.second;
      CAPTURE(n);
      CAPTURE(m);
      CAPTURE(p);
      const Vector x = random_line(n + 1, n), y = random_line(m + 2, m, 0.5, 2);
      const auto c = powers(x, y, p);
      const Vector a = random_weights(1, static_cast<index_t>(n)),
                   b = random_weights(2, static_cast<index_t>(m));
      const auto r = ot::line_transport<double>(x, y, a, b, p);
      check_optimal(r, x, y, a, b, p);
      CHECK(r.value == doctest::Approx(ot::exact_transport<double>(c.view(), a, b).value).epsilon(1e-12));
      const auto equal = ot::line_transport<double>(x, y, {}, {}, p); // many points used up together
      check_optimal(equal, x, y, uniform(n), uniform(m), p);
      CHECK(equal.value ==
            doctest::Approx(ot::exact_transport<double>(c.view(), {}, {}).value).epsilon(1e-12));
    }
}

TEST_CASE("ot/line: equal weights in thirds and sixths are used up together, though sums are rounded") {
  const Vector x = random_line(3, 21), y = random_line(4, 42);
  CHECK(ot::line_transport<double>(x, y, {}, {}).plan.size() == 42); // 62 with slivers
  const Vector z = random_line(5, 49), w = random_line(6, 98);
  CHECK(ot::line_transport<double>(z, w, {}, {}).plan.size() == 98);
}

TEST_CASE("ot/line: a shift by v costs |v|^p, a scaling about the origin the p-th absolute moment") {
  const Vector x = random_line(7, 30);
  const Vector a = random_weights(8, 30);
  for (double p : {1.0, 1.5, 2.0, 3.0}) {
    Vector shifted = x, scaled = x;
    double moment = 0;
    for (double& v : shifted) v -= 3.5;
    for (double& v : scaled) v *= 1.5;
    for (std::size_t i = 0; i < x.size(); ++i) moment += a[i] * std::pow(0.5 * std::abs(x[i]), p);
    CHECK(value(x, shifted, a, a, p) == doctest::Approx(std::pow(3.5, p)).epsilon(1e-13));
    CHECK(value(x, scaled, a, a, p) == doctest::Approx(moment).epsilon(1e-13));
  }
  // W_1 is the difference of the means whenever one side lies below the other, whatever the shapes.
  Vector y = random_line(9, 17, 20, 2);
  const Vector b = random_weights(10, 17);
  const double mean_x = std::inner_product(x.begin(), x.end(), a.begin(), 0.0),
               mean_y = std::inner_product(y.begin(), y.end(), b.begin(), 0.0);
  CHECK(value(x, y, a, b, 1) == doctest::Approx(mean_y - mean_x).epsilon(1e-13));
}

TEST_CASE("ot/line: W_1 is the area between the distribution functions") {
  const Vector x = random_line(11, 25), y = random_line(12, 18, 0.3, 1.5);
  const Vector a = random_weights(13, 25), b = random_weights(14, 18);
  std::vector<std::pair<double, double>> jumps;
  for (std::size_t i = 0; i < x.size(); ++i) jumps.emplace_back(x[i], a[i]);
  for (std::size_t j = 0; j < y.size(); ++j) jumps.emplace_back(y[j], -b[j]);
  std::sort(jumps.begin(), jumps.end());
  double area = 0, height = 0;
  for (std::size_t k = 0; k + 1 < jumps.size(); ++k) {
    height += jumps[k].second;
    area += std::abs(height) * (jumps[k + 1].first - jumps[k].first);
  }
  CHECK(value(x, y, a, b, 1) == doctest::Approx(area).epsilon(1e-13));
}

TEST_CASE("ot/line: normals of different widths on fine quantiles have the closed form of W_2") {
  // |dm|^2 + (s - t)^2 for any family of one shape: exact for the quantiles themselves.
  const Vector z = random_line(15, 500);
  double mean = 0, square = 0;
  for (double v : z) mean += v / 500, square += v * v / 500;
  Vector x, y;
  for (double v : z) x.push_back(1 + 2 * v), y.push_back(-1 + 0.5 * v);
  CHECK(value(x, y, {}, {}, 2) ==
        doctest::Approx(4 + 2 * 2 * 1.5 * mean + 1.5 * 1.5 * square).epsilon(1e-12));
}

TEST_CASE("ot/line: gradients with respect to points are those of finite differences") {
  Vector x = random_line(16, 9), y = random_line(17, 7, 0.4, 2);
  for (double p : {1.0, 1.5, 2.0, 3.0})
    for (const bool weighted : {false, true}) {
      CAPTURE(p);
      const Vector a = weighted ? random_weights(18, 9) : Vector(9, 1.0 / 9),
                   b = weighted ? random_weights(19, 7) : Vector(7, 1.0 / 7);
      const auto r = ot::line_transport<double>(x, y, a, b, p);
      const auto check = [&](Vector& points, const Vector& gradient) {
        for (std::size_t i = 0; i < points.size(); ++i) {
          const double at = points[i], h = 1e-5;
          points[i] = at + h;
          const double up = value(x, y, a, b, p);
          points[i] = at - h;
          const double down = value(x, y, a, b, p);
          points[i] = at;
          CHECK(gradient[i] == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6).scale(0.1));
        }
      };
      check(x, r.dx), check(y, r.dy);
    }
}

TEST_CASE("ot/line: duals are the gradients with respect to weights, at kinks the mean of both sides") {
  const Vector x = random_line(20, 8), y = random_line(21, 8, 0.4, 2);
  for (double p : {1.0, 1.5, 2.0, 3.0})
    for (const bool weighted : {false, true}) {
      CAPTURE(p);
      CAPTURE(weighted);
      const Vector a = weighted ? random_weights(22, 8) : Vector(8, 0.125),
                   b = weighted ? random_weights(23, 8) : a;
      const auto r = ot::line_transport<double>(x, y, a, b, p);
      for (std::size_t i = 1; i < 8; ++i) { // mass moves from point 0 to point i
        const double h = 1e-5; // the value is piecewise linear in the weights: rounding alone remains
        Vector up = a, down = a;
        up[i] += h, up[0] -= h, down[i] -= h, down[0] += h;
        CHECK(r.f[i] - r.f[0] ==
              doctest::Approx((value(x, y, up, b, p) - value(x, y, down, b, p)) / (2 * h)).epsilon(1e-8));
        up = b, down = b;
        up[i] += h, up[0] -= h, down[i] -= h, down[0] += h;
        CHECK(r.g[i] - r.g[0] ==
              doctest::Approx((value(x, y, a, up, p) - value(x, y, a, down, p)) / (2 * h)).epsilon(1e-8));
      }
    }
  // Equal clouds: the value has its minimum, 0, in the weights.
  const auto same = ot::line_transport<double>(x, x, {}, {}, 2);
  CHECK(same.value == 0);
  for (double f : same.f) CHECK(std::abs(f - same.f[0]) < 1e-14);
}

TEST_CASE("ot/line: exchanging the sides, reflecting and moving the line change nothing") {
  const Vector x = random_line(24, 11), y = random_line(25, 8);
  const Vector a = random_weights(26, 11), b = random_weights(27, 8);
  for (double p : {1.0, 1.5, 2.0}) {
    const auto r = ot::line_transport<double>(x, y, a, b, p),
               back = ot::line_transport<double>(y, x, b, a, p);
    CHECK(back.value == doctest::Approx(r.value).epsilon(1e-13));
    CHECK(back.plan.size() == r.plan.size());
    Vector u = x, v = y;
    for (double& w : u) w = 3 - w;
    for (double& w : v) w = 3 - w;
    const auto mirrored = ot::line_transport<double>(u, v, a, b, p);
    CHECK(mirrored.value == doctest::Approx(r.value).epsilon(1e-13));
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(back.dy[i] == doctest::Approx(r.dx[i]).epsilon(1e-12));
      CHECK(mirrored.dx[i] == doctest::Approx(-r.dx[i]).epsilon(1e-12));
      CHECK(mirrored.f[i] - mirrored.f[0] == doctest::Approx(r.f[i] - r.f[0]).epsilon(1e-11).scale(1));
    }
  }
}

TEST_CASE("ot/line: points without weight take no part but have feasible duals") {
  const Vector x{0.3, -5, 1, 2, 9, 1.5}, y{7, 0, 1, -4, 2, 20};
  const Vector a{0.5, 0, 0.25, 0.25, 0, 0}, b{0, 0.25, 0.25, 0, 0.5, 0};
  for (double p : {1.0, 2.0, 2.5}) {
    const auto r = ot::line_transport<double>(x, y, a, b, p);
    check_optimal(r, x, y, a, b, p);
    CHECK(r.value == doctest::Approx(value({0.3, 1, 2}, {0, 1, 2}, {0.5, 0.25, 0.25}, {0.25, 0.25, 0.5}, p)));
    for (const auto& s : r.plan)
      CHECK((a[static_cast<std::size_t>(s.from)] > 0 && b[static_cast<std::size_t>(s.to)] > 0));
    CHECK(r.dx[1] == 0);
    CHECK(r.dy[5] == 0);
    const auto c = powers(x, y, p); // none can be raised alone
    for (index_t i = 0; i < 6; ++i) {
      double slack = 1e9;
      for (index_t j = 0; j < 6; ++j)
        slack =
            std::min(slack, c(i, j) - r.f[static_cast<std::size_t>(i)] - r.g[static_cast<std::size_t>(j)]);
      CHECK(std::abs(slack) < 1e-12);
    }
  }
}

TEST_CASE("ot/line: weights of any common mass; the value grows with it") {
  const Vector x = random_line(28, 6), y = random_line(29, 4);
  CHECK(value(x, y, Vector(6, 0.5), Vector(4, 0.75), 2) ==
        doctest::Approx(3 * value(x, y, {}, {}, 2)).epsilon(1e-13));
}

TEST_CASE("ot/line: in float the result is that of the rounded points") {
  const std::vector<float> x{0.1f, -0.7f, 2.3f}, y{1.1f, 0.2f};
  const Vector u(x.begin(), x.end()), v(y.begin(), y.end());
  CHECK(ot::line_transport<float>(x, y, {}, {}, 1.5).value == value(u, v, {}, {}, 1.5));
}

TEST_CASE("ot/line: a hundred thousand points close the duality gap") {
  const Vector x = random_line(30, 100'000), y = random_line(31, 70'000, 1);
  const Vector a = random_weights(32, 100'000), b = random_weights(33, 70'000);
  const auto r = ot::line_transport<double>(x, y, a, b, 2);
  const double dual = std::inner_product(a.begin(), a.end(), r.f.begin(), 0.0) +
                      std::inner_product(b.begin(), b.end(), r.g.begin(), 0.0);
  CHECK(dual == doctest::Approx(r.value).epsilon(1e-9));
  CHECK(r.value == doctest::Approx(1).epsilon(0.05)); // standard error of the means: 0.01
}

TEST_CASE("ot/line: what cannot be solved is refused by name") {
  const auto run = [](const Vector& x, const Vector& y, const Vector& a, const Vector& b, double p) {
    std::ignore = ot::line_transport<double>(x, y, a, b, p);
  };
  CHECK_THROWS_WITH_AS(run({1, 2}, {1}, {}, {}, 0.5), "line transport: p = 0.5; want finite and >= 1",
                       ValueError);
  CHECK_THROWS_AS(run({1, 2}, {1}, {}, {}, missing), ValueError);
  CHECK_THROWS_WITH_AS(run({1, missing}, {1}, {}, {}, 2), "line transport: x[1] = nan; want finite",
                       ValueError);
  CHECK_THROWS_WITH_AS(run({1, 2}, {1}, {1, 1}, {1}, 2),
                       "line transport: a sums to 2, b to 1; want equal masses", ValueError);
  CHECK_THROWS_AS(run({1, 2}, {1}, {1, -1}, {}, 2), ValueError);
  CHECK_THROWS_AS(run({1, 2}, {1}, {1}, {}, 2), ShapeError);
  CHECK_THROWS_AS(run({}, {1}, {}, {}, 2), ShapeError);
  CHECK_THROWS_WITH_AS(run({1e200}, {0}, {}, {}, 2),
                       "line transport: points are 1e+200 apart; want a finite power 2", ValueError);
}
