// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/batch.hpp>
#include <sbi/ot/exact.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace sbi;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();

template <class T> Tensor<T> random_cost(std::uint64_t seed, index_t n, index_t m) {
  Rng rng(seed);
  Tensor<T> c(Shape{n, m});
  for (T& v : c) v = static_cast<T>(rng.uniform());
  return c;
}
template <class T> std::vector<T> weights_of(std::uint64_t seed, index_t n) {
  const auto w = random_weights(seed, n);
  return {w.begin(), w.end()};
}
/// Problems that own their data.
template <class T> struct List {
  std::vector<Tensor<T>> cost;
  std::vector<std::vector<T>> a, b;
  std::vector<double> epsilon;

  void add(Tensor<T> c, std::vector<T> left, std::vector<T> right, double eps) {
    cost.push_back(std::move(c)), a.push_back(std::move(left)), b.push_back(std::move(right));
    epsilon.push_back(eps);
  }
  [[nodiscard]] std::vector<ot::BatchProblem<T>> problems() const {
    std::vector<ot::BatchProblem<T>> out;
    for (std::size_t k = 0; k < cost.size(); ++k) out.push_back({cost[k].view(), a[k], b[k], epsilon[k]});
    return out;
  }
};
ot::BatchOptions options(double tolerance, int iterations = 100'000) {
  ot::BatchOptions o;
  o.sinkhorn.tolerance = tolerance, o.sinkhorn.max_iterations = iterations;
  return o;
}
/// sum_i |(P 1)_i - a_i| + sum_j |(P^T 1)_j - b_j|
template <class T>
double marginal_error(const Tensor<T>& p, const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> rows(a.size()), columns(b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j) {
      const double v = static_cast<double>(p(static_cast<index_t>(i), static_cast<index_t>(j)));
      rows[i] += v, columns[j] += v;
    }
  double error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) error += std::abs(rows[i] - a[i]);
  for (std::size_t j = 0; j < b.size(); ++j) error += std::abs(columns[j] - b[j]);
  return error;
}
/// The largest difference of f_i + g_j of points with weight.
template <class T>
double difference(const ot::SinkhornResult<T>& x, const ot::SinkhornResult<T>& y, const std::vector<T>& a,
                  const std::vector<T>& b) {
  double low = inf, high = -inf, low_g = inf, high_g = -inf;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] > 0) {
      const double d = static_cast<double>(x.f[i]) - static_cast<double>(y.f[i]);
      low = std::min(low, d), high = std::max(high, d);
    }
  for (std::size_t j = 0; j < b.size(); ++j)
    if (b[j] > 0) {
      const double d = static_cast<double>(x.g[j]) - static_cast<double>(y.g[j]);
      low_g = std::min(low_g, d), high_g = std::max(high_g, d);
    }
  return std::max(std::abs(high + high_g), std::abs(low + low_g));
}
template <class T> bool all_finite(const ot::BatchItem<T>& item) {
  bool good = is_finite(item.value) && !is_missing(item.residual) && is_finite(item.mass);
  for (T f : item.f) good &= !is_missing(f);
  for (T g : item.g) good &= !is_missing(g);
  return good;
}
template <class T> bool same_bits(const ot::BatchItem<T>& x, const ot::BatchItem<T>& y) {
  return x.f == y.f && x.g == y.g && x.value == y.value && x.residual == y.residual && x.mass == y.mass &&
         x.iterations == y.iterations && x.status == y.status;
}

/// Every item against `sinkhorn`. `precision` is that of the potentials in units of epsilon where the
/// residual is at its tolerance.
template <class T> void compare_with_sinkhorn(double tolerance, double precision) {
  const Cpu<T> be(1);
  List<T> list;
  Rng rng(1);
  std::uint64_t seed = 100;
  for (double eps : {3.0, 0.3, 0.1, 0.03})
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto n = static_cast<index_t>(1 + 40 * rng.uniform()),
                 m = static_cast<index_t>(1 + 40 * rng.uniform());
      list.add(random_cost<T>(seed, n, m), weights_of<T>(seed + 1, n), weights_of<T>(seed + 2, m), eps);
      seed += 3;
    }
  for (ot::SinkhornDomain domain : {ot::SinkhornDomain::automatic, ot::SinkhornDomain::log}) {
    auto o = options(tolerance);
    o.sinkhorn.domain = domain;
    const auto items = ot::sinkhorn_batch(be, list.problems(), o);
    REQUIRE(items.size() == list.cost.size());
    for (std::size_t k = 0; k < items.size(); ++k) {
      const auto& item = items[k];
      const double eps = list.epsilon[k];
      CAPTURE(k);
      CAPTURE(list.cost[k].shape().text());
      CAPTURE(eps);
      CHECK(item.status == ot::BatchStatus::converged);
      // The last of the kernel domain's iterations is checked in the log domain, where a few more may follow.
      if (domain == ot::SinkhornDomain::log)
        CHECK(item.kernel_iterations == 0);
      else
        CHECK(2 * item.kernel_iterations >= item.iterations);
      auto so = o.sinkhorn;
      so.epsilon = eps;
      const auto single = ot::sinkhorn(be, list.cost[k].view(), list.a[k], list.b[k], so);
      CHECK(std::abs(item.value - single.value) < precision * eps);
      CHECK(difference<T>(item, single, list.a[k], list.b[k]) < precision * eps);
      const auto plan = ot::transport_plan(be, list.cost[k].view(), list.a[k], list.b[k], item, eps);
      const std::vector<double> a(list.a[k].begin(), list.a[k].end()), b(list.b[k].begin(), list.b[k].end());
      CHECK(marginal_error(plan, a, b) < 2 * tolerance);
      CHECK(item.mass == doctest::Approx(1).epsilon(tolerance + 1e-6));
    }
  }
}
} // namespace

TEST_CASE("ot/batch: items equal sinkhorn in both domains, in double") {
  compare_with_sinkhorn<double>(1e-12, 1e-8); // a residual r leaves errors of r / (1 - contraction)
}
TEST_CASE("ot/batch: items equal sinkhorn in both domains, in float") {
  compare_with_sinkhorn<float>(2e-5, 1e-2);
}

TEST_CASE_TEMPLATE(
    "ot/batch: a fixed number of plain iterations gives the potentials of the loop by definition", T, double,
    float) {
  const Cpu<T> be(1);
  // Rounding of C / eps in exponents, about eps_T range / eps, and the walk of the common
  // constant over the rounds are all that differs.
  const double rounding = sizeof(T) == 4 ? 5e-6 : 4e-14;
  for (double eps : {1.0, 0.1, 0.02, 4e-3, 1e-3, 1e-4, 1e-5}) {
    const index_t n = 27, m = 33;
    const auto cost = random_cost<T>(5, n, m);
    const auto a = weights_of<T>(6, n), b = weights_of<T>(7, m);
    const int rounds = 40;
    const ot::Weights<T> wa("a", a, n), wb("b", b, m);
    const auto back = ot::detail::transposed<T>(cost.view(), n);
    ot::SinkhornResult<T> plain;
    plain.f.assign(a.size(), T{0}), plain.g.assign(b.size(), T{0});
    for (int r = 0; r < rounds; ++r) {
      if (r > 0) ot::softmin(be, cost.view(), wb.log, plain.g, eps, std::span<T>(plain.f));
      ot::softmin(be, back.view(), wa.log, plain.f, eps, std::span<T>(plain.g));
    }
    auto o = options(1e-300, rounds);
    if (sizeof(T) == 4) o.sinkhorn.tolerance = 1e-30;
    o.sinkhorn.scaling = 1, o.sinkhorn.epsilon = eps;
    for (ot::SinkhornDomain domain : {ot::SinkhornDomain::automatic, ot::SinkhornDomain::log}) {
      o.sinkhorn.domain = domain;
      const auto item = ot::sinkhorn_batch(be, cost.view(), 1, View<const T>(a.data(), {1, n}),
                                           View<const T>(b.data(), {1, m}), o)[0];
      CAPTURE(eps);
      CAPTURE(item.kernel_iterations);
      CHECK(item.iterations == rounds);
      CHECK(item.status == ot::BatchStatus::not_converged);
      if (domain == ot::SinkhornDomain::automatic)
        CHECK(item.kernel_iterations > (eps > 3e-4 ? rounds / 2 : 0));
      double worst = 0;
      for (std::size_t i = 0; i < a.size(); ++i)
        worst = std::max(worst, std::abs(static_cast<double>(item.f[i]) - static_cast<double>(plain.f[i])));
      for (std::size_t j = 0; j < b.size(); ++j)
        worst = std::max(worst, std::abs(static_cast<double>(item.g[j]) - static_cast<double>(plain.g[j])));
      CHECK(worst < rounding * std::max(1.0, eps));
    }
  }
}

TEST_CASE("ot/batch: tiny epsilons converge, most of their iterations in the kernel domain") {
  const Cpu<double> be(1);
  List<double> list;
  for (std::uint64_t seed = 11; seed < 15; ++seed) list.add(random_cost<double>(seed, 12, 12), {}, {}, 4e-3);
  const auto items = ot::sinkhorn_batch(be, list.problems(), options(1e-8));
  for (std::size_t k = 0; k < items.size(); ++k) {
    CHECK(items[k].status == ot::BatchStatus::converged);
    CHECK(2 * items[k].kernel_iterations > items[k].iterations);
    // A plan of this form with these marginals is the solution.
    const std::vector<double> each(12, 1.0 / 12);
    const auto p = ot::transport_plan(be, list.cost[k].view(), {}, {}, items[k], 4e-3);
    CHECK(marginal_error(p, each, each) < 2e-8);
    double cost = 0;
    for (index_t i = 0; i < p.size(); ++i) cost += p.data()[i] * list.cost[k].data()[i];
    const double exact = ot::exact_transport<double>(list.cost[k].view(), {}, {}).value;
    CHECK(cost >= exact - 1e-8);
    CHECK(cost <= exact + 4e-3 * std::log(12.0));
    CHECK(items[k].value >= exact - 1e-8); // the entropy is relative to the product, so positive
  }
}

TEST_CASE("ot/batch: two by two and one by one in closed form") {
  const Cpu<double> be(1);
  const Tensor<double> cost(Shape{4, 2}, {0, 1, 1, 0, 1, 3, 3, 1});
  auto o = options(1e-13);
  const std::vector<double> eps{1, 0.1};
  const auto items = ot::sinkhorn_batch(be, cost.view(), 2, {}, {}, o, eps);
  for (std::size_t k = 0; k < 2; ++k) {
    const double gap = k == 0 ? 1 : 2;
    const auto p = ot::transport_plan(be, cost.view().row_block(static_cast<index_t>(2 * k), 2), {}, {},
                                      items[k], eps[k]);
    CHECK(p(0, 0) == doctest::Approx(1 / (2 * (1 + std::exp(-gap / eps[k])))).epsilon(1e-12));
  }
  const Tensor<double> one(Shape{1, 1}, {3.5});
  o.sinkhorn.epsilon = 0.1;
  CHECK(ot::sinkhorn_batch(be, one.view(), 1, {}, {}, o)[0].value == doctest::Approx(3.5).epsilon(1e-14));
}

TEST_CASE("ot/batch: points without weight and forbidden pairs") {
  const Cpu<double> be(1);
  List<double> list;
  for (double eps : {0.3, 0.02}) {
    auto cost = random_cost<double>(21, 9, 13);
    auto a = weights_of<double>(22, 9), b = weights_of<double>(23, 13);
    a[0] = a[7] = 0, b[2] = b[12] = 0;
    list.add(cost, a, b, eps);
    for (index_t i = 0; i < 9; ++i)
      for (index_t j = 0; j < 13; ++j)
        if ((i + j) % 3 == 0) cost(i, j) = inf;
    for (index_t j = 0; j < 13; ++j) cost(7, j) = inf; // without weight, without partner
    const double mass = std::accumulate(a.begin(), a.end(), 0.0),
                 other = std::accumulate(b.begin(), b.end(), 0.0);
    for (double& v : a) v /= mass;
    for (double& v : b) v /= other;
    list.a.back() = a, list.b.back() = b;
    list.add(cost, a, b, eps);
  }
  for (ot::SinkhornDomain domain : {ot::SinkhornDomain::automatic, ot::SinkhornDomain::log}) {
    auto o = options(1e-11);
    o.sinkhorn.domain = domain;
    const auto items = ot::sinkhorn_batch(be, list.problems(), o);
    for (std::size_t k = 0; k < items.size(); ++k) {
      const auto& item = items[k];
      CAPTURE(k);
      CAPTURE(item.reason);
      REQUIRE(item.converged);
      CHECK(all_finite(item));
      auto so = o.sinkhorn;
      so.epsilon = list.epsilon[k];
      const auto single = ot::sinkhorn(be, list.cost[k].view(), list.a[k], list.b[k], so);
      CHECK(item.value == doctest::Approx(single.value).epsilon(1e-8));
      CHECK(difference<double>(item, single, list.a[k], list.b[k]) < 1e-7);
      const auto p = ot::transport_plan(be, list.cost[k].view(), list.a[k], list.b[k], item, so.epsilon);
      CHECK(marginal_error(p, list.a[k], list.b[k]) < 1e-10);
      // Points without weight have the potential that makes their column exact per weight.
      for (const std::size_t j : {std::size_t{2}, std::size_t{12}})
        CHECK(item.g[j] - item.g[0] == doctest::Approx(single.g[j] - single.g[0]).epsilon(1e-6));
      const bool masked = k % 2 == 1;
      CHECK(is_finite(item.f[7]) == !masked);
      CHECK(item.f[0] - item.f[1] == doctest::Approx(single.f[0] - single.f[1]).epsilon(1e-6));
    }
  }
}

TEST_CASE("ot/batch: bad items say why and leave the bits of the others") {
  const auto run = []<class T>(T) {
    const Cpu<T> be(1);
    List<T> good, mixed;
    const auto nan = static_cast<T>(missing);
    for (std::uint64_t k = 0; k < 24; ++k) {
      const index_t n = 3 + static_cast<index_t>(k) % 11, m = 5 + static_cast<index_t>(k) % 7;
      const auto cost = random_cost<T>(300 + k, n, m);
      good.add(cost, weights_of<T>(400 + k, n), weights_of<T>(500 + k, m), k % 2 ? 0.1 : 0.01);
      mixed.add(cost, good.a.back(), good.b.back(), good.epsilon.back());
      auto bad = random_cost<T>(600 + k, n, m);
      auto a = weights_of<T>(700 + k, n), b = weights_of<T>(800 + k, m);
      double eps = 0.05;
      switch (k % 8) {
      case 0:
        bad(1, 2) = nan;
        break;
      case 1:
        for (index_t j = 0; j < m; ++j) bad(2, j) = static_cast<T>(inf);
        break;
      case 2:
        a[1] = nan;
        break;
      case 3:
        b[0] += 1;
        break;
      case 4:
        eps = 0;
        break;
      case 5:
        eps = missing;
        break;
      case 6:
        bad(0, 0) = static_cast<T>(sizeof(T) == 4 ? 1e38 : 1e308);
        break;
      default:
        a[0] = -1;
      }
      mixed.add(bad, a, b, eps);
      // Converges never: costs from 1e-3 to 1e30 with epsilon 1e-3, and two points of weight > 1/2 for one of
      // 1/2.
      auto hard = random_cost<T>(900 + k, 6, 6);
      for (T& c : hard) c = static_cast<T>(std::pow(10.0, 33 * static_cast<double>(c) - 3));
      mixed.add(hard, {}, {}, 1e-3);
      const auto never = static_cast<T>(inf);
      const Tensor<T> closed(Shape{3, 2}, {0, never, 1, never, 1, 0});
      mixed.add(closed, {}, {}, 0.1);
    }
    const auto o = options(0, 3000);
    const auto alone = ot::sinkhorn_batch(be, good.problems(), o);
    const auto together = ot::sinkhorn_batch(be, mixed.problems(), o);
    const char* reasons[8] = {"sinkhorn: cost[1,2] = nan", "sinkhorn: row 2 of the cost has weight",
                              "ot: weight a[1] = nan",     "sinkhorn: a sums to",
                              "sinkhorn: epsilon = 0",     "sinkhorn: epsilon = nan",
                              "sinkhorn: cost / epsilon",  "ot: weight a[0] = -1"};
    for (std::size_t k = 0; k < alone.size(); ++k) {
      CAPTURE(k);
      CHECK(alone[k].status == ot::BatchStatus::converged);
      CHECK(same_bits(alone[k], together[4 * k]));
      const auto& bad = together[4 * k + 1];
      CHECK(bad.status == ot::BatchStatus::invalid);
      CAPTURE(bad.reason);
      CHECK(bad.reason.find(reasons[k % 8]) == 0);
      CHECK(all_finite(bad));
      CHECK(bad.f.size() == alone[k].f.size());
      CHECK_FALSE(bad.converged);
      CHECK(all_finite(together[4 * k + 2]));
      CHECK(together[4 * k + 3].status == ot::BatchStatus::not_converged);
      CHECK(together[4 * k + 3].iterations == 3000);
      CHECK(all_finite(together[4 * k + 3]));
    }
  };
  run(1.0), run(1.0f);
}

TEST_CASE("ot/batch: bits do not depend on threads, on the form of the call or on the neighbours") {
  const index_t count = 53, n = 19, m = 21;
  const auto cost = random_cost<float>(31, count * n, m);
  std::vector<float> a, b;
  for (std::uint64_t k = 0; k < 53; ++k) {
    for (float w : weights_of<float>(1000 + k, n)) a.push_back(w);
    for (float w : weights_of<float>(2000 + k, m)) b.push_back(w);
  }
  auto o = options(0, 2000);
  o.sinkhorn.epsilon = 0.01;
  const View<const float> va(a.data(), {count, n}), vb(b.data(), {count, m});
  const auto one = ot::sinkhorn_batch(Cpu<float>(1), cost.view(), count, va, vb, o);
  const auto two = ot::sinkhorn_batch(Cpu<float>(2), cost.view(), count, va, vb, o);
  std::vector<ot::BatchProblem<float>> list;
  for (index_t k = count - 1; k >= 0; --k)
    list.push_back({cost.view().row_block(k * n, n), {va.row(k), 19}, {vb.row(k), 21}});
  const auto back = ot::sinkhorn_batch(Cpu<float>(2), list, o);
  for (std::size_t k = 0; k < one.size(); ++k) {
    CHECK(one[k].converged);
    CHECK(same_bits(one[k], two[k]));
    CHECK(same_bits(one[k], back[one.size() - 1 - k]));
  }
  // Uniform weights, shared by all problems or an item's own.
  const auto uniform = ot::sinkhorn_batch(Cpu<float>(1), cost.view(), count, {}, {}, o);
  std::vector<ot::BatchProblem<float>> mixed{{cost.view().row_block(n, n), {}, {}}, {cost.view(), {}, {}}};
  CHECK(same_bits(uniform[1], ot::sinkhorn_batch(Cpu<float>(1), mixed, o)[0]));
}

TEST_CASE("ot/batch: every width of vectors and the reference backend agree; rows of views may be apart") {
  const auto cost = random_cost<double>(41, 3 * 17, 11);
  auto o = options(1e-11);
  o.sinkhorn.epsilon = 0.05;
  const Cpu<double> be(1);
  const auto native = ot::sinkhorn_batch(be, cost.view(), 3, {}, {}, o);
  const auto agree = [&](const auto& items) {
    for (std::size_t k = 0; k < 3; ++k) {
      CHECK(items[k].converged);
      CHECK(items[k].value == doctest::Approx(native[k].value).epsilon(1e-10));
    }
  };
  agree(ot::sinkhorn_batch<Cpu<double>, double, 2>(be, cost.view(), 3, {}, {}, o));
  agree(ot::sinkhorn_batch<Cpu<double>, double, 4>(be, cost.view(), 3, {}, {}, o));
  agree(ot::sinkhorn_batch<Cpu<double>, double, 8>(be, cost.view(), 3, {}, {}, o));
  agree(ot::sinkhorn_batch(Reference<double>(), cost.view(), 3, {}, {}, o));
  Tensor<double> wide(Shape{3 * 17, 14});
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t j = 0; j < 11; ++j) wide(i, j + 2) = cost(i, j);
  const auto apart = ot::sinkhorn_batch(be, View<const double>(wide.view()).columns(2, 11), 3, {}, {}, o);
  for (std::size_t k = 0; k < 3; ++k) CHECK(same_bits(apart[k], native[k]));
}

TEST_CASE("ot/batch: unbalanced and semi-unbalanced items equal sinkhorn") {
  const Cpu<double> be(1);
  List<double> list;
  for (std::uint64_t k = 0; k < 6; ++k) {
    const index_t n = 5 + 4 * static_cast<index_t>(k), m = 23 - 3 * static_cast<index_t>(k);
    auto a = weights_of<double>(50 + k, n), b = weights_of<double>(60 + k, m);
    for (double& w : a) w *= 1.7;
    if (k % 2) a[1] = b[3] = 0;
    list.add(random_cost<double>(70 + k, n, m), a, b, k < 3 ? 0.2 : 0.03);
  }
  for (const auto& prices :
       {std::pair{1.0, 1.0}, {0.3, 5.0}, {0.5, ot::exact_marginal}, {ot::exact_marginal, 2.0}, {1e4, 1e4}}) {
    auto o = options(1e-11, 20'000);
    o.sinkhorn.rho_a = prices.first, o.sinkhorn.rho_b = prices.second;
    const auto items = ot::sinkhorn_batch(be, list.problems(), o);
    for (std::size_t k = 0; k < items.size(); ++k) {
      CAPTURE(k);
      CAPTURE(prices.first);
      CAPTURE(items[k].residual);
      REQUIRE(items[k].converged);
      CHECK(items[k].kernel_iterations == 0);
      auto so = o.sinkhorn;
      so.epsilon = list.epsilon[k];
      const auto single = ot::sinkhorn(be, list.cost[k].view(), list.a[k], list.b[k], so);
      REQUIRE(single.converged);
      CHECK(items[k].value == doctest::Approx(single.value).epsilon(1e-9));
      CHECK(items[k].mass == doctest::Approx(single.mass).epsilon(1e-8));
      for (std::size_t i = 0; i < single.f.size(); ++i) // no free constant but where both are exact
        CHECK(items[k].f[i] == doctest::Approx(single.f[i]).epsilon(1e-6));
    }
  }
}

TEST_CASE("ot/batch: shapes and options that do not fit are refused, an empty list is not") {
  const Cpu<double> be(1);
  const Tensor<double> cost(Shape{6, 4}), weights(Shape{3, 2}), wrong(Shape{2, 3});
  auto o = options(1e-6);
  o.sinkhorn.epsilon = 1;
  CHECK_NOTHROW((void)ot::sinkhorn_batch(be, cost.view(), 3, weights.view(), {}, o));
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn_batch(be, cost.view(), 4, {}, {}, o),
                       "sinkhorn batch: the cost is [6,4] for 4 problems; want [count n, m]", ShapeError);
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, cost.view(), 0, {}, {}, o), ShapeError);
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn_batch(be, cost.view(), 3, wrong.view(), {}, o),
                       "sinkhorn batch: weights a are [2,3]; want [3,2]", ShapeError);
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, cost.view(), 3, {}, wrong.view(), o), ShapeError);
  const std::vector<double> two{1, 1};
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, cost.view(), 3, {}, {}, o, two), ShapeError);
  const std::vector<ot::BatchProblem<double>> bad{{cost.view(), two, {}}};
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn_batch(be, bad, o),
                       "sinkhorn batch: problem 0 has 2 weights a; want 6", ShapeError);
  const std::vector<ot::BatchProblem<double>> empty{{View<const double>(cost.data(), {0, 4}), {}, {}}};
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, empty, o), ShapeError);
  CHECK(ot::sinkhorn_batch(be, std::span<const ot::BatchProblem<double>>{}, o).empty());
  o.sinkhorn.epsilon = 0;
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, cost.view(), 3, {}, {}, o), ValueError);
  const std::vector<double> own{1, 2, 3}; // no epsilon of the options is needed
  CHECK_NOTHROW((void)ot::sinkhorn_batch(be, cost.view(), 3, {}, {}, o, own));
  o.sinkhorn.epsilon = 1, o.sinkhorn.rho_a = -1;
  CHECK_THROWS_AS((void)ot::sinkhorn_batch(be, cost.view(), 3, {}, {}, o), ValueError);
}

TEST_CASE("ot/batch: acceleration does not run away along what potentials may exchange") {
  const std::vector<double> a{.6, .2, .2}, b{.5, 1 / 6., 1 / 3.};
  const Tensor<double> c(Shape{3, 3}, {.5, 1, .5, 1, .5, 0, 1, .5, 1});
  const Cpu<double> be(1);
  ot::BatchOptions o;
  o.sinkhorn.epsilon = .00409051;
  std::vector<ot::BatchProblem<double>> problems(1);
  problems[0] = {c.view(), a, b};
  const auto r = ot::sinkhorn_batch(be, problems, o);
  REQUIRE(r[0].converged);
  const auto plan = ot::transport_plan(be, c.view(), a, b, r[0], o.sinkhorn.epsilon);
  for (index_t i = 0; i < 3; ++i)
    CHECK(std::abs(std::accumulate(plan.row(i), plan.row(i) + 3, 0.0) - a[static_cast<std::size_t>(i)]) <
          1e-5);
}
