// SPDX-License-Identifier: MIT
#include "clouds.hpp"
#include "exact_proof.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The arcs of a matrix that are not infinite, as a list.
struct List {
  std::vector<index_t> start{0}, column;
  Vector cost;
  index_t columns;

  explicit List(const Tensor<double>& c) : columns(c.cols()) {
    for (index_t i = 0; i < c.rows(); ++i) {
      for (index_t j = c.cols(); j-- > 0;) // rows need no order
        if (c(i, j) < infinity) column.push_back(j), cost.push_back(c(i, j));
      start.push_back(static_cast<index_t>(cost.size()));
    }
  }
  [[nodiscard]] ot::SparseCost<double> view() const { return {columns, start, column, cost}; }
};

/// A tenth of the pairs, and those of some plan between a and b, so that there is one.
Tensor<double> some_arcs(std::uint64_t seed, const Vector& a, const Vector& b, double share = 0.1) {
  Rng rng(seed);
  const auto n = static_cast<index_t>(a.size()), m = static_cast<index_t>(b.size());
  Tensor<double> c(Shape{n, m});
  for (double& v : c) v = rng.uniform() < share ? rng.uniform() : infinity;
  double of_a = 0, of_b = 0; // the plan that goes down the diagonal
  for (index_t i = 0, j = 0; i < n && j < m;) {
    c(i, j) = rng.uniform();
    const double next_a = of_a + a[static_cast<std::size_t>(i)],
                 next_b = of_b + b[static_cast<std::size_t>(j)];
    next_a <= next_b ? (of_a = next_a, ++i) : (of_b = next_b, ++j);
  }
  return c;
}
Vector uniform(index_t n) { return Vector(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n)); }
ot::ExactResult solve(const Tensor<double>& c, const Vector& a, const Vector& b,
                      const ot::ExactOptions& o = {}) {
  return ot::exact_transport<double>(c.view(), a, b, o);
}
ot::ExactResult solve(const List& c, const Vector& a, const Vector& b, const ot::ExactOptions& o = {}) {
  return ot::exact_transport(c.view(), a, b, o);
}
} // namespace

TEST_CASE("ot/exact arcs: a list of all arcs is the matrix") {
  for (auto [n, m] : {std::pair<index_t, index_t>{1, 1}, {3, 50}, {60, 45}, {100, 100}}) {
    Rng rng(static_cast<std::uint64_t>(n * m));
    Tensor<double> c(Shape{n, m});
    for (double& v : c) v = rng.normal();
    const Vector a = random_weights(1, n), b = random_weights(2, m);
    const auto r = solve(List(c), a, b);
    check_optimal(r, c, a, b, 10);
    CHECK(r.value == doctest::Approx(solve(c, a, b).value).epsilon(1e-12));
  }
}

TEST_CASE("ot/exact arcs: forbidden pairs carry nothing, in a matrix as in a list") {
  for (auto [n, m] : {std::pair<index_t, index_t>{20, 30}, {90, 70}, {250, 240}}) {
    for (const bool weighted : {true, false}) {
      const Vector a = weighted ? random_weights(3, n) : uniform(n),
                   b = weighted ? random_weights(4, m) : uniform(m);
      const auto c = some_arcs(static_cast<std::uint64_t>(n), a, b);
      const auto dense = solve(c, a, b), sparse = solve(List(c), a, b);
      check_optimal(dense, c, a, b, 10);
      check_optimal(sparse, c, a, b, 10);
      CHECK(dense.value == doctest::Approx(sparse.value).epsilon(1e-12));
      for (const auto& s : dense.plan) CHECK(c(s.from, s.to) < infinity);
    }
  }
}

TEST_CASE("ot/exact arcs: with forbidden pairs the best of the permutations that are left, or none") {
  int without = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    const index_t n = 6;
    Tensor<double> c(Shape{n, n});
    for (double& v : c) v = rng.uniform() < 0.4 ? rng.uniform() : infinity;
    std::vector<index_t> p(6);
    std::iota(p.begin(), p.end(), 0);
    double best = infinity;
    do {
      double sum = 0;
      for (index_t i = 0; i < n; ++i) sum += c(i, p[static_cast<std::size_t>(i)]) / 6;
      best = std::min(best, sum);
    } while (std::next_permutation(p.begin(), p.end()));
    if (best == infinity) {
      ++without;
      CHECK_THROWS_AS((void)solve(c, {}, {}), ValueError);
      CHECK_THROWS_AS((void)solve(List(c), {}, {}), ValueError);
    } else {
      check_optimal(solve(c, {}, {}), c, uniform(n), uniform(n));
      CHECK(solve(List(c), {}, {}).value == doctest::Approx(best).epsilon(1e-12));
    }
  }
  CHECK(without > 10);
  CHECK(without < 50);
}

TEST_CASE("ot/exact arcs: one arc for every entry of the plan") {
  // Nothing to choose: a path, whose flows the weights force.
  const index_t n = 40;
  Tensor<double> c(Shape{n, n});
  std::fill(c.begin(), c.end(), infinity);
  for (index_t i = 0; i < n; ++i) {
    c(i, i) = 1;
    if (i + 1 < n) c(i, i + 1) = 2;
  }
  Vector a(static_cast<std::size_t>(n), 1), b(a);
  a[0] = 1.5, b[static_cast<std::size_t>(n - 1)] = 1.5; // half a unit moves on at each step
  for (Vector* w : {&a, &b})
    for (double& v : *w) v /= 40.5;
  const auto r = solve(List(c), a, b);
  check_optimal(r, c, a, b, 100);
  CHECK(r.plan.size() == 79);
  CHECK(r.value == doctest::Approx((39 * 0.5 * 3 + 1.5) / 40.5).epsilon(1e-12));
}

TEST_CASE("ot/exact arcs: parts without arcs between them") {
  const index_t n = 60;
  Rng rng(8);
  Tensor<double> c(Shape{n, n});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) c(i, j) = i / 20 == j / 20 ? rng.uniform() : infinity;
  check_optimal(solve(c, {}, {}), c, uniform(n), uniform(n), 10);
  double sum = 0;
  for (index_t part = 0; part < 3; ++part) {
    const auto block = c.view().row_block(20 * part, 20).columns(20 * part, 20);
    sum += ot::exact_transport<double>(block, {}, {}).value / 3;
  }
  CHECK(solve(List(c), {}, {}).value == doctest::Approx(sum).epsilon(1e-12));
}

TEST_CASE("ot/exact arcs: who cannot be served is named") {
  const auto message = [](const auto& c, const Vector& a, const Vector& b) -> std::string {
    try {
      std::ignore = solve(c, a, b);
    } catch (const ValueError& e) {
      return e.what();
    }
    return "no error";
  };
  Tensor<double> c(Shape{4, 5});
  for (double& v : c) v = 1;
  const Vector a(4, 0.25), b(5, 0.2);
  for (index_t j = 0; j < 5; ++j) c(2, j) = infinity;
  CHECK(
      message(c, a, b) ==
      "exact transport: weight 0.25 in row 2, only 0 in columns at the other end of an arc; want more arcs");
  c(2, 1) = 0; // 0.25 do not fit into a column of 0.2
  CHECK(message(c, a, b) == "exact transport: weight 0.25 in row 2, only 0.2 in columns at the other end of "
                            "an arc; want more arcs");
  CHECK(message(List(c), a, b) == message(c, a, b));
  c(2, 3) = 0;
  CHECK(message(c, a, b) == "no error");
  for (index_t i = 0; i < 4; ++i) c(i, 4) = infinity;
  CHECK(message(c, a, b) ==
        "exact transport: weight 0.2 in column 4, only 0 in rows at the other end of an arc; want more arcs");
  c(0, 4) = c(0, 3) = 3;
  for (index_t i = 1; i < 4; ++i) c(i, 3) = infinity; // columns 3 and 4 of weight 0.4 from row 0 alone
  CHECK(message(List(c), a, b) == "exact transport: weight 0.4 in columns 3, 4, only 0.25 in rows at the "
                                  "other end of an arc; want more arcs");
  // With no weight there, nothing is missing.
  CHECK(message(c, a, {0.3, 0.4, 0.3, 0, 0}) == "no error");
}

TEST_CASE("ot/exact arcs: what rounding of the weights leaves is reported") {
  // The diagonal alone, and weights that differ by 1e-12: nothing serves the difference.
  Tensor<double> c(Shape{2, 2}, {1, infinity, infinity, 1});
  const auto r = solve(c, {0.5, 0.5}, {0.5 + 1e-12, 0.5 - 1e-12});
  CHECK(r.optimal);
  CHECK(r.unserved == doctest::Approx(1e-12).epsilon(1e-3));
  CHECK(r.value == doctest::Approx(1).epsilon(1e-11));
  CHECK_THROWS_AS((void)solve(c, {0.5, 0.5}, {0.5 + 1e-6, 0.5 - 1e-6}), ValueError);
}

TEST_CASE("ot/exact arcs: costs of 1e32 beside 1 take no digits") {
  for (const index_t n : {30, 240}) {
    const Vector a = random_weights(5, n), b = random_weights(6, n);
    Tensor<double> c = some_arcs(7, a, b, 0.3);
    const auto expected = solve(c, a, b);
    Tensor<double> huge = c;
    for (double& v : huge)
      if (v == infinity) v = 1e32;
    const auto r = solve(huge, a, b);
    check_optimal(r, huge, a, b, 10);
    CHECK(r.value == doctest::Approx(expected.value).epsilon(1e-12));
    CHECK(solve(List(huge), a, b).value == doctest::Approx(expected.value).epsilon(1e-12));
  }
  // Where one of them has to be paid, it is one.
  Tensor<double> c(Shape{3, 3}, {1e32, 1e32, 1e32, 1, 3, 1e32, 2, 1, 1});
  const auto r = solve(c, {}, {});
  CHECK(r.optimal);
  CHECK(r.value == doctest::Approx(1e32 / 3).epsilon(1e-12));
}

TEST_CASE("ot/exact arcs: points without weight take no part but have feasible duals") {
  Vector a = random_weights(9, 30), b = random_weights(10, 25);
  a[3] = a[17] = b[0] = b[24] = 0;
  for (Vector* w : {&a, &b}) {
    const double sum = std::accumulate(w->begin(), w->end(), 0.0);
    for (double& v : *w) v /= sum;
  }
  Tensor<double> c = some_arcs(11, a, b, 0.3);
  for (index_t j = 0; j < 25; ++j) c(17, j) = infinity;
  c(17, 24) = 0.5; // between two of them
  check_optimal(solve(c, a, b), c, a, b, 10);
  check_optimal(solve(List(c), a, b), c, a, b, 10);
}

TEST_CASE("ot/exact arcs: the cheapest of several arcs between the same points") {
  const std::vector<index_t> start{0, 3, 5}, column{1, 0, 1, 0, 1};
  const Vector cost{5, 1, 2, 0, 7};
  const ot::SparseCost<double> c{2, start, column, cost};
  const auto r = ot::exact_transport(c, {}, {});
  CHECK(r.value == doctest::Approx(1).epsilon(1e-14)); // 2 and 0, of half the weight each
  CHECK(r.plan.size() == 2);
}

TEST_CASE("ot/exact arcs: a limit of pivots leaves what it leaves and says so") {
  const Vector a = random_weights(12, 50), b = random_weights(13, 50);
  const List c(some_arcs(14, a, b, 0.05));
  ot::ExactOptions o;
  for (const long limit : {1, 5, 20}) {
    o.max_pivots = limit;
    const auto r = solve(c, a, b, o);
    CHECK(!r.optimal);
    CHECK(r.pivots == limit);
    double mass = r.unserved;
    for (const auto& s : r.plan) mass += s.mass;
    CHECK(mass == doctest::Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("ot/exact arcs: lists that do not hold together are refused by name") {
  std::vector<index_t> start{0, 2, 3}, column{0, 1, 1};
  Vector cost{1, 2, 3};
  const auto run = [&] {
    std::ignore = ot::exact_transport(ot::SparseCost<double>{2, start, column, cost}, {}, {});
  };
  CHECK_NOTHROW(run());
  column[1] = 2;
  CHECK_THROWS_WITH_AS(run(), "exact transport: column[1] = 2; want 0 to 1", ValueError);
  column[1] = -1;
  CHECK_THROWS_AS(run(), ValueError);
  column[1] = 1, cost[2] = -infinity;
  CHECK_THROWS_WITH_AS(
      run(),
      "exact transport: cost[2] = -inf; want finite (1e290 at most), or infinity where there is no arc",
      ValueError);
  cost[2] = 3, start = {0, 3, 2};
  CHECK_THROWS_AS(run(), ShapeError);
  start = {0, 4, 3};
  CHECK_THROWS_WITH_AS(run(), "exact transport: row start 2 = 3 is below the one before, 4", ValueError);
  start = {0, 2, 3}, cost.pop_back();
  CHECK_THROWS_AS(run(), ShapeError);
}
