// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/partial.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

Tensor<double> random_cost(std::uint64_t seed, index_t n, index_t m, double low = 0) {
  Rng rng(seed);
  Tensor<double> c(Shape{n, m});
  for (double& v : c) v = low + rng.uniform();
  return c;
}
Tensor<double> on_a_line(const Vector& x, const Vector& y) {
  Tensor<double> c(Shape{static_cast<index_t>(x.size()), static_cast<index_t>(y.size())});
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j)
      c(i, j) = std::pow(x[static_cast<std::size_t>(i)] - y[static_cast<std::size_t>(j)], 2);
  return c;
}
ot::SinkhornOptions options(double eps, double tolerance = 1e-11) {
  ot::SinkhornOptions o;
  o.epsilon = eps, o.tolerance = tolerance, o.max_iterations = 50'000;
  return o;
}
Vector uniform(index_t n) { return Vector(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n)); }
double inner(const Tensor<double>& p, const Tensor<double>& c) {
  return std::inner_product(p.begin(), p.end(), c.begin(), 0.0);
}
/// The least cost of pairing k rows with k columns, by trying all.
double best_matching(const Tensor<double>& c, index_t k, index_t row = 0, unsigned taken = 0) {
  if (k == 0) return 0;
  if (c.rows() - row < k) return std::numeric_limits<double>::infinity();
  double best = best_matching(c, k, row + 1, taken);
  for (index_t j = 0; j < c.cols(); ++j)
    if (!(taken >> j & 1u))
      best = std::min(best, c(row, j) + best_matching(c, k - 1, row + 1, taken | 1u << j));
  return best;
}
/// That the plan and the duals are feasible and have the same value, which proves both optimal.
void check_optimal(const ot::PartialExactResult& r, const Tensor<double>& c, const Vector& a, const Vector& b,
                   double mass) {
  CHECK(r.converged);
  Vector rows(a.size(), 0), columns(b.size(), 0);
  double value = 0, dual = mass * r.mass_dual, moved = 0, worst = 0;
  for (const auto& s : r.plan) {
    CHECK(s.mass > 0);
    rows[static_cast<std::size_t>(s.from)] += s.mass, columns[static_cast<std::size_t>(s.to)] += s.mass;
    value += s.mass * c(s.from, s.to), moved += s.mass;
  }
  CHECK(std::abs(moved - mass) < 1e-14);
  CHECK(r.mass == doctest::Approx(moved).epsilon(1e-14));
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(rows[i] <= a[i] + 1e-15);
    CHECK(r.f[i] <= 0);
    dual += a[i] * r.f[i];
  }
  for (std::size_t j = 0; j < b.size(); ++j) {
    CHECK(columns[j] <= b[j] + 1e-15);
    CHECK(r.g[j] <= 0);
    dual += b[j] * r.g[j];
  }
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j)
      worst = std::min(worst, c(i, j) - r.f[static_cast<std::size_t>(i)] - r.g[static_cast<std::size_t>(j)] -
                                  r.mass_dual);
  CHECK(worst > -1e-12);
  CHECK(std::abs(r.value - value) < 1e-14);
  CHECK(std::abs(dual - value) < 1e-12);
}
struct Sums {
  Vector rows, columns;
  double mass = 0;
  explicit Sums(const Tensor<double>& p)
      : rows(static_cast<std::size_t>(p.rows()), 0), columns(static_cast<std::size_t>(p.cols()), 0) {
    for (index_t i = 0; i < p.rows(); ++i)
      for (index_t j = 0; j < p.cols(); ++j) {
        rows[static_cast<std::size_t>(i)] += p(i, j), columns[static_cast<std::size_t>(j)] += p(i, j);
        mass += p(i, j);
      }
  }
};
} // namespace

TEST_CASE("ot/partial: equal points move as the best of all partial pairings") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed)
    for (index_t k = 0; k <= 4; ++k) {
      // Also with negative costs, where the price of the slack's corner has to hold against a gain.
      const auto c = random_cost(seed, 5, 5, seed % 2 ? 0 : -0.8);
      const double mass = 0.2 * static_cast<double>(k);
      const auto r = ot::partial_transport<double>(c.view(), {}, {}, mass);
      CHECK(std::abs(r.value - best_matching(c, k) / 5) < 1e-14);
      check_optimal(r, c, uniform(5), uniform(5), mass);
    }
}

TEST_CASE("ot/partial: plan and duals prove each other for any sizes, weights and masses") {
  const std::pair<index_t, index_t> sizes[] = {{1, 1}, {1, 6}, {7, 1}, {20, 13}, {40, 60}};
  for (auto [n, m] : sizes)
    for (const double part : {0.0, 0.3, 0.8, 1.0}) {
      const auto c = random_cost(static_cast<std::uint64_t>(10 * n + m), n, m, -0.3);
      const Vector a = random_weights(1, n);
      Vector b = random_weights(2, m);
      for (double& w : b) w *= 1.4;
      check_optimal(ot::partial_transport<double>(c.view(), a, b, part), c, a, b, part);
    }
}

TEST_CASE("ot/partial: on a line the answer is known") {
  const auto c = on_a_line({0, 1, 2}, {0, 1, 10});
  // The first two thirds stay where they are, the rest goes from 2 to 10.
  for (const double mass : {0.0, 0.5, 2.0 / 3, 0.8, 1.0}) {
    const auto r = ot::partial_transport<double>(c.view(), {}, {}, mass);
    CHECK(std::abs(r.value - 64 * std::max(0.0, mass - 2.0 / 3)) < 1e-13);
  }
  CHECK(ot::partial_transport<double>(c.view(), {}, {}, 0.8).mass_dual == doctest::Approx(64));
  CHECK(ot::partial_transport<double>(c.view(), {}, {}, 0.5).mass_dual == doctest::Approx(0));
  // A single point sends half of its mass to the two points that lie nearest, of weight 1/4 each.
  const auto r = ot::partial_transport<double>(on_a_line({0}, {-3, 1, 2, 7}).view(), {}, {}, 0.5);
  CHECK(r.value == doctest::Approx(0.25 * 1 + 0.25 * 4));
}

TEST_CASE("ot/partial: all of the mass is balanced transport") {
  const auto c = random_cost(3, 17, 23);
  const Vector a = random_weights(4, 17), b = random_weights(5, 23);
  CHECK(ot::partial_transport<double>(c.view(), a, b, 1).value ==
        doctest::Approx(ot::exact_transport<double>(c.view(), a, b).value).epsilon(1e-13));
  const auto r = ot::partial_sinkhorn(be, c.view(), a, b, 1, options(0.05));
  const auto s = ot::sinkhorn(be, c.view(), a, b, options(0.05));
  REQUIRE(r.converged);
  CHECK(r.value == doctest::Approx(s.value).epsilon(1e-10));
  const auto p = ot::transport_plan(be, c.view(), a, b, r, 0.05);
  const auto q = ot::transport_plan(be, c.view(), a, b, s, 0.05);
  for (index_t k = 0; k < p.size(); ++k) CHECK(std::abs(p.data()[k] - q.data()[k]) < 1e-11);
}

TEST_CASE("ot/partial: no mass moves nothing") {
  const auto c = random_cost(6, 4, 3, 0.1);
  const auto exact = ot::partial_transport<double>(c.view(), {}, {}, 0);
  CHECK(exact.plan.empty());
  CHECK(exact.value == 0);
  CHECK(exact.mass_dual == doctest::Approx(*std::min_element(c.begin(), c.end()))); // what the first bit pays
  const auto r = ot::partial_sinkhorn(be, c.view(), {}, {}, 0, options(0.1));
  CHECK(r.converged);
  CHECK(r.value == doctest::Approx(0.1)); // eps KL(0 | a x b)
  for (double v : ot::transport_plan(be, c.view(), {}, {}, r, 0.1)) CHECK(v == 0);
}

TEST_CASE("ot/partial: the entropic plan fulfils the optimality conditions") {
  const index_t n = 14, m = 11;
  const auto c = random_cost(7, n, m);
  Vector a = random_weights(8, n), b = random_weights(9, m);
  for (double& w : b) w *= 1.3;
  for (const double mass : {0.2, 0.7, 0.97, 1.0}) {
    CAPTURE(mass);
    const double eps = 0.05;
    const auto r = ot::partial_sinkhorn(be, c.view(), a, b, mass, options(eps));
    REQUIRE(r.converged);
    CHECK(r.iterations < 1000);
    const auto p = ot::transport_plan(be, c.view(), a, b, r, eps);
    const Sums sums(p);
    // 1e-10: ten times the tolerance of the residual.
    CHECK(std::abs(sums.mass - mass) < 1e-10);
    CHECK(std::abs(r.mass - mass) < 1e-10);
    const auto side = [](const Vector& moved, const Vector& there, const Vector& dual) {
      for (std::size_t i = 0; i < moved.size(); ++i) {
        CHECK(moved[i] <= there[i] + 1e-10);
        CHECK(dual[i] <= 0);
        CHECK(std::abs(dual[i] * (there[i] - moved[i])) < 1e-10);
      }
    };
    side(sums.rows, a, r.f), side(sums.columns, b, r.g);
    double primal = inner(p, c);
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < m; ++j) {
        const double product = a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)];
        primal += eps * (p(i, j) * std::log(p(i, j) / product) - p(i, j) + product);
      }
    CHECK(primal == doctest::Approx(r.value).epsilon(1e-9));
  }
}

TEST_CASE("ot/partial: the plan is the gradient in the cost, the duals those in mass and weights") {
  const index_t n = 6, m = 7;
  const auto c = random_cost(10, n, m);
  const Vector a = random_weights(11, n), b = random_weights(12, m);
  const double eps = 0.1, mass = 0.6, h = 1e-4;
  const auto o = options(eps, 1e-13);
  const auto r = ot::partial_sinkhorn(be, c.view(), a, b, mass, o);
  const auto p = ot::transport_plan(be, c.view(), a, b, r, eps);
  const auto slope = [&](auto&& change) { // error of fourth order in h
    const auto value = [&](double step) {
      Tensor<double> cost = c;
      Vector left = a;
      double moved = mass;
      change(step, cost, left, moved);
      return ot::partial_sinkhorn(be, cost.view(), left, b, moved, o).value;
    };
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
  };
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < m; j += 3)
      CHECK(std::abs(slope([&](double step, Tensor<double>& cost, Vector&, double&) { cost(i, j) += step; }) -
                     p(i, j)) < 1e-8);
  CHECK(slope([&](double step, Tensor<double>&, Vector&, double& moved) { moved += step; }) ==
        doctest::Approx(r.mass_dual).epsilon(1e-6));
  const Sums sums(p);
  for (std::size_t i = 0; i < a.size(); ++i) // the reference a x b changes with a too
    CHECK(slope([&](double step, Tensor<double>&, Vector& left, double&) { left[i] += step; }) ==
          doctest::Approx(r.f[i] + eps * (1 - sums.rows[i] / a[i])).epsilon(1e-6));

  const auto exact = ot::partial_transport<double>(c.view(), a, b, mass);
  const auto more = ot::partial_transport<double>(c.view(), a, b, mass + 1e-6),
             less = ot::partial_transport<double>(c.view(), a, b, mass - 1e-6);
  CHECK((more.value - less.value) / 2e-6 == doctest::Approx(exact.mass_dual).epsilon(1e-6));
  for (const auto& s : exact.plan) {
    Tensor<double> cost = c;
    cost(s.from, s.to) -= 1e-6;
    CHECK((exact.value - ot::partial_transport<double>(cost.view(), a, b, mass).value) / 1e-6 ==
          doctest::Approx(s.mass).epsilon(1e-6));
  }
}

TEST_CASE("ot/partial: the entropic plan comes down on the exact one") {
  const auto c = random_cost(13, 20, 25);
  const Vector a = random_weights(14, 20), b = random_weights(15, 25);
  for (const double mass : {0.4, 0.9}) {
    const double exact = ot::partial_transport<double>(c.view(), a, b, mass).value;
    double last = 1e9;
    for (const double eps : {0.3, 0.1, 0.03, 0.01, 0.003}) {
      const auto r = ot::partial_sinkhorn(be, c.view(), a, b, mass, options(eps, 1e-10));
      REQUIRE(r.converged);
      const double gap = inner(ot::transport_plan(be, c.view(), a, b, r, eps), c) - exact;
      CHECK(gap > -1e-9);
      CHECK(gap < last);
      last = gap;
    }
    CHECK(last < 1e-3);
  }
}

TEST_CASE("ot/partial: small epsilon against large costs stays finite and is right") {
  const index_t n = 50;
  const auto x = random_points(16, n, 2), y = random_points(17, n, 2);
  Tensor<double> c = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
  for (double& v : c) v *= 50;
  const double exact = ot::partial_transport<double>(c.view(), {}, {}, 0.6).value;
  for (const double eps : {1.0, 0.05, 1e-4}) {
    auto o = options(eps, 1e-6);
    o.max_iterations = 3000;
    const auto r = ot::partial_sinkhorn(be, c.view(), {}, {}, 0.6, o);
    CAPTURE(eps);
    CAPTURE(r.residual);
    CAPTURE(r.iterations);
    CHECK(is_finite(r.value));
    CHECK(is_finite(r.residual));
    if (eps >= 0.05) CHECK(r.converged);
    const auto p = ot::transport_plan(be, c.view(), {}, {}, r, eps);
    for (double v : p) CHECK(is_finite(v));
    CHECK(Sums(p).mass == doctest::Approx(0.6).epsilon(1e-6));
    // The dual value is a lower bound of the entropic minimum, at most KL of any plan above the exact one.
    CHECK(r.value <= exact + eps * (0.6 * std::log(2500.0) + 1));
    if (eps == 0.05) CHECK(inner(p, c) == doctest::Approx(exact).epsilon(0.02));
  }
}

TEST_CASE("ot/partial: clouds that share a part leave the strangers behind") {
  auto x = random_points(18, 30, 2);
  auto y = random_points(19, 24, 2);
  for (index_t i = 20; i < 30; ++i) x(i, 0) += 40;
  for (index_t j = 20; j < 24; ++j) y(j, 1) -= 40;
  const auto c = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
  const auto exact = ot::partial_transport<double>(c.view(), {}, {}, 0.6);
  for (const auto& s : exact.plan) CHECK((s.from < 20 && s.to < 20));
  const auto r = ot::partial_sinkhorn(be, c.view(), {}, {}, 0.6, options(1));
  const Sums sums(ot::transport_plan(be, c.view(), {}, {}, r, 1));
  for (std::size_t i = 20; i < 30; ++i) CHECK(sums.rows[i] < 1e-12);
  for (std::size_t j = 20; j < 24; ++j) CHECK(sums.columns[j] < 1e-12);
}

TEST_CASE("ot/partial: points without weight take no part, forbidden pairs carry nothing") {
  auto c = random_cost(20, 5, 6);
  const Vector a{0.5, 0, 0.25, 0.25, 0}, b{0, 0.25, 0.25, 0, 0.5, 0};
  check_optimal(ot::partial_transport<double>(c.view(), a, b, 0.7), c, a, b, 0.7);
  check_optimal(ot::partial_transport<double>(c.view(), a, b, 1), c, a, b, 1);
  c(0, 1) = std::numeric_limits<double>::infinity();
  const auto r = ot::partial_sinkhorn(be, c.view(), a, b, 0.7, options(0.05));
  CHECK(r.converged);
  const auto p = ot::transport_plan(be, c.view(), a, b, r, 0.05);
  CHECK(p(0, 1) == 0);
  const Sums sums(p);
  CHECK(sums.rows[1] == 0);
  CHECK(sums.columns[3] == 0);
  CHECK(sums.mass == doctest::Approx(0.7).epsilon(1e-10));
}

TEST_CASE("ot/partial: bits do not depend on the number of threads; float and the reference backend agree") {
  const index_t n = 150, m = 130;
  Rng rng(21);
  Tensor<float> c(Shape{n, m});
  for (float& v : c) v = static_cast<float>(rng.uniform());
  ot::SinkhornOptions o;
  o.epsilon = 0.05;
  const auto one = ot::partial_sinkhorn(Cpu<float>(1), c.view(), {}, {}, 0.7, o);
  const auto two = ot::partial_sinkhorn(Cpu<float>(2), c.view(), {}, {}, 0.7, o);
  CHECK(one.converged);
  CHECK(one.f == two.f);
  CHECK(one.g == two.g);
  CHECK(one.value == two.value);
  CHECK(one.value == doctest::Approx(ot::partial_sinkhorn(Reference<float>(), c.view(), {}, {}, 0.7, o).value)
                         .epsilon(1e-5));
  CHECK(ot::partial_transport<float>(c.view(), {}, {}, 0.7).mass == doctest::Approx(0.7).epsilon(1e-14));
}

TEST_CASE("ot/partial: bad input is refused and named, a limit of rounds is reported") {
  const auto c = random_cost(22, 3, 4);
  const auto exact = [&](double mass) { return ot::partial_transport<double>(c.view(), {}, {}, mass); };
  CHECK_THROWS_WITH_AS((void)exact(1.2),
                       "partial transport: mass = 1.2; want 0 to 1, the smaller one of the masses of a and b",
                       ValueError);
  CHECK_THROWS_AS((void)exact(-0.1), ValueError);
  CHECK_THROWS_AS((void)exact(missing), ValueError);
  const auto entropic = [&](const Vector& a, double mass, const ot::SinkhornOptions& o) {
    return ot::partial_sinkhorn(be, c.view(), a, {}, mass, o);
  };
  CHECK_THROWS_AS((void)entropic({}, 1.2, options(0.1)), ValueError);
  CHECK_THROWS_AS((void)entropic({}, missing, options(0.1)), ValueError);
  CHECK_THROWS_AS((void)entropic({}, 0.5, options(0)), ValueError);
  CHECK_THROWS_AS((void)entropic({1, 1}, 0.5, options(0.1)), ShapeError);
  CHECK_THROWS_AS((void)entropic({1, -1, 1}, 0.5, options(0.1)), ValueError);
  auto o = options(0.1);
  o.rho_a = 1;
  CHECK_THROWS_WITH_AS((void)entropic({}, 0.5, o),
                       "partial transport: rho_a = 1, rho_b = inf; want infinity for both", ValueError);
  Tensor<double> bad = c;
  bad(1, 2) = missing;
  CHECK_THROWS_AS((void)ot::partial_transport<double>(bad.view(), {}, {}, 0.5), ValueError);
  CHECK_THROWS_AS((void)ot::partial_sinkhorn(be, bad.view(), {}, {}, 0.5, options(0.1)), ValueError);
  const Tensor<double> flat(Shape{4}, {1, 2, 3, 4});
  CHECK_THROWS_AS((void)ot::partial_transport<double>(flat.view(), {}, {}, 0.5), ShapeError);
  CHECK_THROWS_AS((void)ot::partial_sinkhorn(be, flat.view(), {}, {}, 0.5, options(0.1)), ShapeError);

  o = options(0.01), o.max_iterations = 2;
  const auto r = ot::partial_sinkhorn(be, random_cost(23, 30, 30).view(), {}, {}, 0.5, o);
  CHECK_FALSE(r.converged);
  CHECK(r.iterations == 2);
  CHECK(r.residual > 0);
  ot::ExactOptions few;
  few.max_pivots = 1;
  CHECK_FALSE(ot::partial_transport<double>(random_cost(24, 30, 30).view(), {}, {}, 0.5, few).converged);
}

TEST_CASE("ot/partial: all of the mass of float weights, and mass that forbidden pairs leave behind") {
  const Tensor<float> c(Shape{4, 4}, std::vector<float>(16, 1.0f));
  const std::vector<float> a{.1f, .2f, .3f, .4f}, b{.7f, .1f, .1f, .1f}; // sums differ by their rounding
  const auto r = ot::partial_transport<float>(c.view(), a, b, 1.0);
  CHECK(r.converged);
  CHECK(r.mass == doctest::Approx(1).epsilon(1e-6));
  const Tensor<double> d(Shape{4, 1}, {-.002, .0298, .0447, std::numeric_limits<double>::infinity()});
  const Vector some{5.36e-6, 1 - 5.36e-6 - 2.96e-11 - 1.54e-10, 2.96e-11, 1.54e-10}, one{1};
  CHECK_FALSE(ot::partial_transport<double>(d.view(), some, one, 1).converged);
}
