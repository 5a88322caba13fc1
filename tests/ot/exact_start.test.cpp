// SPDX-License-Identifier: MIT
#include "clouds.hpp"
#include "exact_proof.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

Tensor<double> squared(const Tensor<double>& x, const Tensor<double>& y) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
}
Vector uniform(index_t n) { return Vector(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n)); }
ot::ExactOptions from(const ot::ExactResult& r) {
  ot::ExactOptions o;
  o.f = r.f, o.g = r.g;
  return o;
}
} // namespace

TEST_CASE("ot/exact start: from the optimal duals of a unique plan nothing is left to do") {
  for (auto [n, m] : {std::pair<index_t, index_t>{40, 30}, {30, 40}, {200, 210}, {300, 300}}) {
    const auto c = squared(random_points(1, n, 3), random_points(2, m, 3));
    const Vector a = random_weights(3, n), b = random_weights(4, m);
    const auto cold = ot::exact_transport<double>(c.view(), a, b);
    CHECK(cold.pivots > n / 2);
    const auto warm = ot::exact_transport<double>(c.view(), a, b, from(cold));
    CHECK(warm.pivots == 0);
    CHECK(warm.value == doctest::Approx(cold.value).epsilon(1e-13));
    check_optimal(warm, c, a, b, 10);
  }
}

TEST_CASE("ot/exact start: where plans or duals are not unique, few pivots are left") {
  const index_t n = 250;
  const auto c = squared(random_points(5, n, 2), random_points(6, n, 2));
  const auto cold = ot::exact_transport<double>(c.view(), {}, {});
  const auto warm = ot::exact_transport<double>(c.view(), {}, {}, from(cold));
  CHECK(warm.pivots < cold.pivots / 20);
  check_optimal(warm, c, uniform(n), uniform(n), 10);
  // Whole costs: many plans.
  auto whole = c;
  for (double& v : whole) v = std::round(v);
  const auto first = ot::exact_transport<double>(whole.view(), {}, {});
  const auto again = ot::exact_transport<double>(whole.view(), {}, {}, from(first));
  check_optimal(again, whole, uniform(n), uniform(n), 10);
  CHECK(again.value == doctest::Approx(first.value).epsilon(1e-13));
}

TEST_CASE("ot/exact start: a problem like the one before takes few pivots") {
  const index_t n = 220;
  auto x = random_points(7, n, 4), y = random_points(8, n, 4);
  const Vector a = random_weights(9, n), b = random_weights(10, n);
  const auto before = ot::exact_transport<double>(squared(x, y).view(), a, b);
  Rng rng(11);
  for (double& v : x) v += 1e-3 * rng.normal();
  const auto c = squared(x, y);
  const auto cold = ot::exact_transport<double>(c.view(), a, b);
  const auto warm = ot::exact_transport<double>(c.view(), a, b, from(before));
  CHECK(warm.pivots < cold.pivots / 2);
  CHECK(warm.value == doctest::Approx(cold.value).epsilon(1e-13));
  check_optimal(warm, c, a, b, 10);
}

TEST_CASE("ot/exact start: any duals lead to the optimum, those of lists too") {
  const index_t n = 80, m = 70;
  const auto c = squared(random_points(12, n, 2), random_points(13, m, 2));
  const Vector a = random_weights(14, n), b = random_weights(15, m);
  const double best = ot::exact_transport<double>(c.view(), a, b).value;
  std::vector<index_t> row_start{0}, column;
  Vector cost;
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j < m; ++j) column.push_back(j), cost.push_back(c(i, j));
    row_start.push_back(static_cast<index_t>(cost.size()));
  }
  const ot::SparseCost<double> list{m, row_start, column, cost};
  Rng rng(16);
  for (const double scale : {0.0, 1e-9, 1.0, 1e6}) {
    Vector f(static_cast<std::size_t>(n)), g(static_cast<std::size_t>(m));
    for (double& v : f) v = scale * rng.normal();
    for (double& v : g) v = scale * rng.normal();
    ot::ExactOptions o;
    o.f = f, o.g = g;
    check_optimal(ot::exact_transport<double>(c.view(), a, b, o), c, a, b, 10);
    CHECK(ot::exact_transport(list, a, b, o).value == doctest::Approx(best).epsilon(1e-12));
  }
  const auto cold = ot::exact_transport(list, a, b);
  CHECK(ot::exact_transport(list, a, b, from(cold)).pivots == 0);
}

TEST_CASE("ot/exact start: a cold start is near the optimum") {
  // From duals of 0, the cheapest arcs first, it takes several times as many pivots.
  const index_t n = 400;
  const auto c = squared(random_points(17, n, 8), random_points(18, n, 8));
  const Vector a = random_weights(19, n), b = random_weights(20, n), zero(static_cast<std::size_t>(n), 0);
  ot::ExactOptions o;
  o.f = zero, o.g = zero;
  const auto plain = ot::exact_transport<double>(c.view(), a, b, o);
  const auto cold = ot::exact_transport<double>(c.view(), a, b);
  CHECK(cold.pivots < plain.pivots / 2);
  CHECK(cold.value == doctest::Approx(plain.value).epsilon(1e-12));
}

TEST_CASE("ot/exact start: duals that do not fit are refused by name") {
  const auto c = squared(random_points(21, 3, 2), random_points(22, 4, 2));
  const auto run = [&](const Vector& f, const Vector& g) {
    ot::ExactOptions o;
    o.f = f, o.g = g;
    std::ignore = ot::exact_transport<double>(c.view(), {}, {}, o);
  };
  CHECK_THROWS_WITH_AS(run({1, 2}, {1, 2, 3, 4}),
                       "exact transport: 2 and 4 dual variables to begin from; want 3 and 4", ShapeError);
  CHECK_THROWS_AS(run({1, 2, 3}, {}), ShapeError);
  CHECK_THROWS_WITH_AS(run({1, 2, 3}, {1, missing, 3, 4}),
                       "exact transport: g[1] = nan to begin from; want finite", ValueError);
}
