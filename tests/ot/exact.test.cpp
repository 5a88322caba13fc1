// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>
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
/// That the plan is feasible, the duals are, and both have the same value: a proof of optimality.
void check_optimal(const ot::ExactResult& r, const Tensor<double>& c, const Vector& a, const Vector& b) {
  CHECK(r.optimal);
  Vector rows(a.size(), 0), columns(b.size(), 0);
  double value = 0, dual = 0, worst = 0;
  for (const auto& s : r.plan) {
    CHECK(s.mass > 0);
    rows[static_cast<std::size_t>(s.from)] += s.mass, columns[static_cast<std::size_t>(s.to)] += s.mass;
    value += s.mass * c(s.from, s.to);
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
  CHECK(worst > -1e-12);
  CHECK(r.value == doctest::Approx(value).epsilon(1e-12));
  CHECK(std::abs(dual - value) < 1e-12);
}
} // namespace

TEST_CASE("ot/exact: an assignment is the best of all permutations") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto c = random_cost(seed, 6, 6);
    std::vector<index_t> p(6);
    std::iota(p.begin(), p.end(), 0);
    double best = 1e9;
    do {
      double sum = 0;
      for (index_t i = 0; i < 6; ++i) sum += c(i, p[static_cast<std::size_t>(i)]) / 6;
      best = std::min(best, sum);
    } while (std::next_permutation(p.begin(), p.end()));
    const auto r = ot::exact_transport<double>(c.view(), {}, {});
    CHECK(r.value == doctest::Approx(best).epsilon(1e-12));
    check_optimal(r, c, Vector(6, 1.0 / 6), Vector(6, 1.0 / 6));
  }
}

TEST_CASE("ot/exact: plan and duals prove each other for any sizes and weights") {
  const std::pair<index_t, index_t> sizes[] = {{1, 1},   {1, 7},   {9, 1},     {2, 2},
                                               {30, 17}, {17, 30}, {120, 120}, {200, 133}};
  for (auto [n, m] : sizes) {
    const auto c = random_cost(static_cast<std::uint64_t>(100 * n + m), n, m);
    const Vector a = random_weights(1, n), b = random_weights(2, m);
    check_optimal(ot::exact_transport<double>(c.view(), a, b), c, a, b);
    const Vector ua(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n)),
        ub(static_cast<std::size_t>(m), 1.0 / static_cast<double>(m)); // many pivots without flow
    check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, ua, ub);
  }
}

TEST_CASE("ot/exact: costs with ties, constant and negative ones") {
  auto c = random_cost(3, 40, 40);
  for (double& v : c) v = std::floor(4 * v) - 2;
  const Vector uniform(40, 1.0 / 40), a = random_weights(4, 40);
  check_optimal(ot::exact_transport<double>(c.view(), {}, {}), c, uniform, uniform);
  check_optimal(ot::exact_transport<double>(c.view(), a, uniform), c, a, uniform);
  for (double& v : c) v = -7;
  check_optimal(ot::exact_transport<double>(c.view(), a, uniform), c, a, uniform);
}

TEST_CASE("ot/exact: on a line the order is kept") {
  Rng rng(5);
  Vector x(50), y(50);
  for (double& v : x) v = rng.normal();
  for (double& v : y) v = rng.normal(1, 2);
  Tensor<double> c(Shape{50, 50});
  for (index_t i = 0; i < 50; ++i)
    for (index_t j = 0; j < 50; ++j)
      c(i, j) = std::pow(x[static_cast<std::size_t>(i)] - y[static_cast<std::size_t>(j)], 2);
  const auto r = ot::exact_transport<double>(c.view(), {}, {});
  std::sort(x.begin(), x.end()), std::sort(y.begin(), y.end());
  double sum = 0;
  for (std::size_t i = 0; i < 50; ++i) sum += std::pow(x[i] - y[i], 2) / 50;
  CHECK(r.value == doctest::Approx(sum).epsilon(1e-12));
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
  const Vector uniform(40, 1.0 / 40);
  ot::SinkhornOptions o;
  o.epsilon = 0.005, o.tolerance = 1e-9, o.max_iterations = 100'000;
  const auto s = ot::sinkhorn(be, c.view(), {}, {}, o);
  const auto p = ot::transport_plan(be, c.view(), uniform, uniform, s, o.epsilon);
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
  CHECK_THROWS_WITH_AS(run({}, {}), "exact transport: cost[1,2] = nan; want finite", ValueError);
}
