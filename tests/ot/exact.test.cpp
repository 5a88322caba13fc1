// SPDX-License-Identifier: MIT
#include "clouds.hpp"
#include "exact_proof.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/line.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

Tensor<double> random_cost(std::uint64_t seed, index_t n, index_t m) {
  Rng rng(seed);
  Tensor<double> c(Shape{n, m});
  for (double& v : c) v = rng.uniform();
  return c;
}
Vector uniform(index_t n) { return Vector(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n)); }
Tensor<double> squared(const Tensor<double>& x, const Tensor<double>& y) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
}
} // namespace

TEST_CASE("ot/exact: an assignment is the best of all permutations") {
  for (std::uint64_t seed = 1; seed <= 24; ++seed) {
    const auto n = static_cast<index_t>(seed % 8 + 1);
    const auto c = random_cost(seed, n, n);
    std::vector<index_t> p(static_cast<std::size_t>(n));
    std::iota(p.begin(), p.end(), 0);
    double best = 1e9;
    do {
      double sum = 0;
      for (index_t i = 0; i < n; ++i) sum += c(i, p[static_cast<std::size_t>(i)]) / static_cast<double>(n);
      best = std::min(best, sum);
    } while (std::next_permutation(p.begin(), p.end()));
    const auto r = ot::exact_transport<double>(c.view(), {}, {});
    CHECK(r.value == doctest::Approx(best).epsilon(1e-12));
    CHECK(r.plan.size() == p.size()); // a vertex: whole weights, exactly
    for (const auto& s : r.plan) CHECK(s.mass == 1.0 / static_cast<double>(n));
    check_optimal(r, c, uniform(n), uniform(n));
  }
}

TEST_CASE("ot/exact: plan and duals prove each other for any sizes and weights") {
  const std::pair<index_t, index_t> sizes[] = {{1, 1},     {1, 7},     {9, 1},    {2, 2},
                                               {30, 17},   {17, 30},   {48, 47},  {120, 120},
                                               {200, 133}, {300, 300}, {5, 1500}, {1500, 5}};
  for (auto [n, m] : sizes) {
    const auto c = random_cost(static_cast<std::uint64_t>(100 * n + m), n, m);
    const Vector a = random_weights(1, n), b = random_weights(2, m);
    check_optimal(ot::exact_transport<double>(c.view(), a, b), c, a, b);
    // Many pivots without flow.
    check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, uniform(n), uniform(m));
  }
}

TEST_CASE("ot/exact: clouds on the plane and in many dimensions, where the start is made in two sizes") {
  for (const index_t d : {2, 40}) {
    const auto c = squared(random_points(21, 260, d), random_points(22, 230, d, 1.5));
    const Vector a = random_weights(23, 260), b = random_weights(24, 230);
    check_optimal(ot::exact_transport<double>(c.view(), a, b), c, a, b, 100);
    check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, uniform(260), uniform(230), 100);
  }
}

TEST_CASE("ot/exact: costs with ties, constant and negative ones, points on top of each other") {
  for (const index_t n : {40, 250}) {
    auto c = random_cost(3, n, n);
    for (double& v : c) v = std::floor(4 * v) - 2;
    const Vector a = random_weights(4, n);
    check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, uniform(n), uniform(n));
    check_optimal(ot::exact_transport<double>(c.view(), a, {}), c, a, uniform(n));
    for (double& v : c) v = -7;
    check_optimal(ot::exact_transport<double>(c.view(), a, {}), c, a, uniform(n), 10);
    // Three places for all the points.
    Tensor<double> x(Shape{n, 1}), y(Shape{n, 1});
    for (index_t i = 0; i < n; ++i)
      x(i, 0) = static_cast<double>(i % 3), y(i, 0) = static_cast<double>(i % 2);
    c = squared(x, y);
    check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, uniform(n), uniform(n));
    check_optimal(ot::exact_transport<double>(c.view(), a, a), c, a, a);
    CHECK(ot::exact_transport<double>(squared(x, x).view(), a, a).value < 1e-15);
  }
}

TEST_CASE("ot/exact: weights that are equal up to 1e-12") {
  const index_t n = 120;
  const auto c = squared(random_points(31, n, 2), random_points(32, n, 2));
  Rng rng(33);
  Vector a = uniform(n), b = uniform(n);
  for (double& w : a) w *= 1 + 1e-12 * rng.normal();
  for (double& w : b) w *= 1 + 1e-12 * rng.normal();
  for (Vector* w : {&a, &b}) {
    const double sum = std::accumulate(w->begin(), w->end(), 0.0);
    for (double& v : *w) v /= sum;
  }
  const auto r = ot::exact_transport<double>(c.view(), a, b);
  check_optimal(r, c, a, b, 10);
  CHECK(r.value == doctest::Approx(ot::exact_transport<double>(c.view(), {}, {}).value).epsilon(1e-10));
}

TEST_CASE("ot/exact: on a line the order is kept") {
  Rng rng(5);
  for (const index_t n : {1, 50, 210}) {
    const index_t m = n + 10;
    Vector x(static_cast<std::size_t>(n)), y(static_cast<std::size_t>(m));
    for (double& v : x) v = rng.normal();
    for (double& v : y) v = rng.normal(1, 2);
    Tensor<double> c(Shape{n, m});
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < m; ++j)
        c(i, j) = std::pow(x[static_cast<std::size_t>(i)] - y[static_cast<std::size_t>(j)], 2);
    const Vector a = random_weights(6, n), b = random_weights(7, m);
    CHECK(ot::exact_transport<double>(c.view(), a, b).value ==
          doctest::Approx(ot::line_transport<double>(x, y, a, b, 2).value).epsilon(1e-12));
  }
}

TEST_CASE("ot/exact: the plan is the gradient of the value in the costs and with it in the points") {
  const index_t n = 14, m = 11, d = 3;
  const ot::SquaredEuclidean cost;
  Tensor<double> x = random_points(41, n, d), y = random_points(42, m, d);
  const Vector a = random_weights(43, n), b = random_weights(44, m);
  const auto value = [&] { return ot::exact_transport<double>(squared(x, y).view(), a, b).value; };
  const auto r = ot::exact_transport<double>(squared(x, y).view(), a, b);
  Tensor<double> dx(x.shape());
  const auto point = [](auto& of, index_t i) { return std::span(of.row(i), static_cast<std::size_t>(d)); };
  for (const auto& s : r.plan)
    cost.add_gradient<double>(s.mass, point(std::as_const(x), s.from), point(std::as_const(y), s.to),
                              point(dx, s.from));
  const double h = 1e-6; // the plan stays: the value is a parabola, whose central differences are exact
  for (index_t i = 0; i < n; ++i)
    for (index_t k = 0; k < d; ++k) {
      const double before = x(i, k);
      x(i, k) = before + h;
      const double up = value();
      x(i, k) = before - h;
      const double down = value();
      x(i, k) = before;
      CHECK((up - down) / (2 * h) == doctest::Approx(dx(i, k)).epsilon(1e-6));
    }
}

TEST_CASE("ot/exact: points without weight take no part but have feasible duals") {
  const auto c = random_cost(6, 5, 6);
  const Vector a{0.5, 0, 0.25, 0.25, 0}, b{0, 0.25, 0.25, 0, 0.5, 0};
  const auto r = ot::exact_transport<double>(c.view(), a, b);
  check_optimal(r, c, a, b);
  for (const auto& s : r.plan)
    CHECK((a[static_cast<std::size_t>(s.from)] > 0 && b[static_cast<std::size_t>(s.to)] > 0));
}

TEST_CASE("ot/exact: the duals are the gradients with respect to the weights") {
  const auto c = random_cost(7, 12, 15);
  const Vector a = random_weights(8, 12), b = random_weights(9, 15);
  const auto r = ot::exact_transport<double>(c.view(), a, b);
  for (std::size_t i = 1; i < 12; ++i) { // mass moves from point 0 to point i
    Vector up = a, down = a;
    const double h = 1e-5;
    up[i] += h, up[0] -= h, down[i] -= h, down[0] += h;
    const double slope = (ot::exact_transport<double>(c.view(), up, b).value -
                          ot::exact_transport<double>(c.view(), down, b).value) /
                         (2 * h);
    CHECK(slope == doctest::Approx(r.f[i] - r.f[0]).epsilon(1e-6));
  }
}

TEST_CASE("ot/exact: entropic transport comes down on it") {
  const auto c = random_cost(10, 40, 40);
  const double exact = ot::exact_transport<double>(c.view(), {}, {}).value;
  const Vector weight = uniform(40);
  ot::SinkhornOptions o;
  o.epsilon = 0.005, o.tolerance = 1e-9, o.max_iterations = 100'000;
  const auto s = ot::sinkhorn(be, c.view(), {}, {}, o);
  const auto p = ot::transport_plan(be, c.view(), weight, weight, s, o.epsilon);
  double linear = 0;
  for (index_t i = 0; i < p.size(); ++i) linear += p.data()[i] * c.data()[i];
  CHECK(linear >= exact - 1e-9);
  CHECK(linear - exact <= o.epsilon * std::log(40.0));
}

TEST_CASE("ot/exact: in float the result is that of the rounded costs") {
  const auto c = random_cost(11, 30, 20);
  Tensor<float> single(c.shape());
  Tensor<double> rounded(c.shape());
  for (index_t k = 0; k < c.size(); ++k)
    single.data()[k] = static_cast<float>(c.data()[k]),
    rounded.data()[k] = static_cast<double>(single.data()[k]);
  CHECK(ot::exact_transport<float>(single.view(), {}, {}).value ==
        doctest::Approx(ot::exact_transport<double>(rounded.view(), {}, {}).value).epsilon(1e-12));
}

TEST_CASE("ot/exact: the unit of the costs does not matter") {
  const index_t n = 60;
  const auto c = random_cost(51, n, n);
  const Vector a = random_weights(52, n), b = random_weights(53, n);
  const double value = ot::exact_transport<double>(c.view(), a, b).value;
  for (const double unit : {1e-305, 1e-200, 1e-30, 1e30, 1e280}) {
    auto other = c;
    for (double& v : other) v *= unit;
    const auto r = ot::exact_transport<double>(other.view(), a, b);
    CHECK(r.optimal);
    CHECK(r.value / unit == doctest::Approx(value).epsilon(1e-12));
  }
}

TEST_CASE("ot/exact: a limit of pivots leaves a feasible plan and says so") {
  const auto c = random_cost(12, 60, 60);
  ot::ExactOptions o;
  o.max_pivots = 3;
  const auto r = ot::exact_transport<double>(c.view(), {}, {}, o);
  CHECK(!r.optimal);
  CHECK(r.pivots == 3);
  double mass = 0;
  for (const auto& s : r.plan) mass += s.mass;
  CHECK(mass == doctest::Approx(1).epsilon(1e-12));
  CHECK(r.value > ot::exact_transport<double>(c.view(), {}, {}).value);
}

TEST_CASE("ot/exact: what cannot be solved is refused by name") {
  auto c = random_cost(13, 2, 3);
  const auto run = [&](const Vector& a, const Vector& b) {
    std::ignore = ot::exact_transport<double>(c.view(), a, b);
  };
  CHECK_THROWS_WITH_AS(run({1, 1}, {1, 1, 1}), "exact transport: a sums to 2, b to 3; want equal masses",
                       ValueError);
  CHECK_THROWS_WITH_AS(run({1, -1}, {}), "ot: weight a[1] = -1; want >= 0 and finite", ValueError);
  CHECK_THROWS_AS(run({1}, {}), ShapeError);
  c(1, 2) = missing;
  CHECK_THROWS_WITH_AS(
      run({}, {}),
      "exact transport: cost[1,2] = nan; want finite (1e290 at most), or infinity where there is no arc",
      ValueError);
  c(1, 2) = 1e300;
  CHECK_THROWS_AS(run({}, {}), ValueError);
}

TEST_CASE("ot/exact: what only far costs can serve is served, however small it is") {
  const double w = 1e-8;
  const std::vector<double> a{1}, b{(1 - w) / 3, (1 - w) / 3, (1 - w) / 3, w};
  const Tensor<double> c(Shape{1, 4}, {1, 1, 1, 1e12});
  const auto r = ot::exact_transport<double>(c.view(), a, b);
  CHECK(r.optimal);
  CHECK(r.unserved < 1e-14); // rounding of the weights
  CHECK(r.plan.size() == 4);
  CHECK(r.value == doctest::Approx(10001).epsilon(1e-6)); // weights of 1e-8 have eight digits
}
