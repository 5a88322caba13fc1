// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/divergence.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace sbi;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();

template <class T> std::vector<double> wide(const std::vector<T>& x) { return {x.begin(), x.end()}; }
/// Costs up to about 1.
Tensor<double> symmetric(std::uint64_t seed, index_t n) {
  Tensor<double> c = random_matrix(seed, n, n);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j <= i; ++j) c(i, j) = c(j, i) = i == j ? 0 : c(i, j);
  return c;
}
template <class T> const Tensor<T>& costs(const Tensor<T>& matrix) { return matrix; }
template <class T> Tensor<T> costs(const ot::DotForm<T>& form) {
  const Cpu<T> be(1);
  const ArenaScope scope(be.arena());
  const View<const T> c = ot::detail::cost_rows(be, form, 0, form.q.rows());
  return Tensor<T>(c.shape, std::vector<T>(c.data, c.data + c.size()));
}

/// Rounds beside those by definition in double, for potentials that move by `step` epsilons a round and
/// weights that change in each. Gives the largest difference in units of the last digit of costs of size 1.
template <class T, class M>
double course(const M& cost, std::vector<T> w, double eps, double step, int rounds, std::uint64_t seed) {
  const Cpu<T> be(2);
  const Reference<double> exact;
  const index_t n = static_cast<index_t>(w.size());
  const Tensor<T> narrow = costs(cost);
  const Tensor<double> all(narrow.shape(), std::vector<double>(narrow.begin(), narrow.end()));
  const auto run = [&](const auto& given) {
    ot::detail::SelfUpdates<Cpu<T>, T, std::remove_cvref_t<decltype(given)>> update(
        be, given, ot::SinkhornDomain::automatic);
    Rng rng(seed);
    std::vector<T> p(w.size(), T{0}), next = p;
    double worst = 0, now = eps;
    for (int round = 0; round < rounds; ++round) {
      if (round % 5 == 4) now *= round % 2 ? 0.25 : 4;
      if (round % 3)
        for (T& v : p) v += static_cast<T>(step * now * rng.normal());
      for (T& v : w) v *= static_cast<T>(std::exp(0.1 * rng.normal()));
      const ot::Weights<T> weights("w", w, n);
      update.round(weights, p, now, next);
      std::vector<double> want(w.size());
      ot::softmin(exact, all.view(), ot::Weights<double>("w", wide(w), n).log, wide(p), now, want);
      const double unit = (sizeof(T) == 4 ? 6e-8 : 1.1e-16) * (1 + 20 * step * now + 4 * now);
      for (std::size_t i = 0; i < want.size(); ++i) {
        if (is_finite(want[i]))
          worst = std::max(worst, std::abs(static_cast<double>(next[i]) - want[i]) / unit);
        else if (static_cast<double>(next[i]) != want[i])
          worst = inf;
        const T mean = static_cast<T>(0.5) * (p[i] + next[i]);
        p[i] = is_finite(mean) ? mean : T{0};
      }
    }
    return worst;
  };
  if constexpr (std::is_same_v<M, Tensor<T>>)
    return run(View<const T>(cost.view()));
  else
    return run(cost);
}
} // namespace

TEST_CASE_TEMPLATE("ot/self_updates: half a matrix times a vector and times a matrix", T, float, double) {
  for (index_t n : {1, 2, 63, 64, 65, 200, 530}) {
    const Cpu<T> be(2);
    const ArenaScope scope(be.arena());
    const Tensor<T> full = cast<T>(symmetric(1, n)), z = cast<T>(random_matrix(2, n, 5));
    ot::detail::SymmetricKernel<T> half(be.arena(), n);
    std::vector<T> x(static_cast<std::size_t>(half.padded()), T{0}), sums = x;
    for (index_t i = 0; i < n; ++i) x[static_cast<std::size_t>(i)] = z(i, 0);
    const auto build = [&](index_t panel) {
      const index_t first = half.first(panel);
      for (index_t r = 0; r < half.rows(panel); ++r)
        std::copy(full.row(first + r) + first, full.row(first + r) + n, half.row(panel, r));
    };
    half.multiply(be, x.data(), sums.data(), build);
    Tensor<T> products(z.shape());
    half.multiply(be, z.view(), products.view());
    double worst = 0;
    for (index_t i = 0; i < n; ++i)
      for (index_t k = 0; k < 5; ++k) {
        double want = 0;
        for (index_t j = 0; j < n; ++j)
          want += static_cast<double>(full(i, j)) * static_cast<double>(z(j, k));
        worst = std::max(worst, std::abs(static_cast<double>(products(i, k)) - want));
        if (k == 0)
          worst = std::max(worst, std::abs(static_cast<double>(sums[static_cast<std::size_t>(i)]) - want));
      }
    // Partial sums of up to n, rounded n times, the errors of random signs.
    CHECK(worst <
          std::pow(static_cast<double>(n), 1.5) * static_cast<double>(std::numeric_limits<T>::epsilon()));
  }
}

TEST_CASE_TEMPLATE("ot/self_updates: rounds are those of the log domain wherever potentials go", T, float,
                   double) {
  for (index_t n : {1, 7, 90})
    for (double eps : {1.0, 0.05, 2e-3, 1e-5})
      for (double step : {0.1, 3.0, 30.0, 300.0}) {
        CAPTURE(n);
        CAPTURE(eps);
        CAPTURE(step);
        CHECK(course<T>(cast<T>(symmetric(3, n)), cast<T>(random_weights(4, n)), eps, step, 12, 1) < 16);
        const Tensor<T> x = cast<T>(random_points(5, n, 3));
        auto form = ot::SquaredEuclidean{}.dot_form(View<const T>(x.view()), View<const T>(x.view()));
        // Their costs are of size 20, and sums of products.
        CHECK(course<T>(form, cast<T>(random_weights(4, n)), eps, step, 12, 1) < 16 * 40);
      }
}

TEST_CASE_TEMPLATE("ot/self_updates: forbidden pairs, far points, points without weight, tiny weights", T,
                   float, double) {
  const index_t n = 90;
  Tensor<T> cost = cast<T>(symmetric(6, n));
  std::vector<T> w = cast<T>(random_weights(7, n));
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      if ((i + j) % 3 == 1) cost(i, j) = std::numeric_limits<T>::infinity();
  CHECK(course<T>(cost, w, 0.02, 0.5, 12, 2) < 16);
  w[3] = w[80] = 0;
  for (index_t j = 0; j < n; ++j)
    if (j != 3) cost(3, j) = cost(j, 3) = 50; // a sum that no float holds
  CHECK(course<T>(cost, w, 0.02, 0.5, 12, 3) < 16 * 50);
  cost(80, 80) = std::numeric_limits<T>::infinity();
  for (index_t j = 0; j < n; ++j) cost(80, j) = cost(j, 80) = std::numeric_limits<T>::infinity();
  CHECK(course<T>(cost, w, 0.02, 0.5, 12, 4) < 16 * 50);
  w[5] = static_cast<T>(sizeof(T) == 4 ? 1e-25 : 1e-200);
  CHECK(course<T>(cost, w, 0.02, 0.5, 12, 5) < 16 * 50);
  w[5] = static_cast<T>(sizeof(T) == 4 ? 1e-37 : 1e-305); // beyond the kernel domain
  CHECK(course<T>(cost, w, 0.02, 0.5, 12, 6) < 16 * 50);
  // Costs far from 0 on the diagonal: no kernel of potentials 0 holds them.
  Tensor<T> far = cast<T>(symmetric(8, n));
  for (T& c : far) c += 10;
  CHECK(course<T>(far, cast<T>(random_weights(7, n)), 0.02, 0.5, 12, 7) < 16 * 20);
  for (T& c : far) c -= 20;
  CHECK(course<T>(far, cast<T>(random_weights(7, n)), 0.02, 0.5, 12, 8) < 16 * 20);
}

TEST_CASE("ot/self_updates: the plan's sums and products, and no plan where there is no kernel") {
  const Cpu<double> be(1);
  const index_t n = 70;
  const Tensor<double> cost = symmetric(9, n), z = random_matrix(10, n, 3);
  const std::vector<double> w = random_weights(11, n);
  const View<const double> view = cost.view();
  std::vector<double> p(static_cast<std::size_t>(n), 0.01), next(p), sums;
  const ot::Weights<double> weights("w", w, n);
  Tensor<double> products;
  const double eps = 0.1;
  for (const auto domain : {ot::SinkhornDomain::automatic, ot::SinkhornDomain::log}) {
    ot::detail::SelfUpdates<Cpu<double>, double, View<const double>> update(be, view, domain);
    CHECK_FALSE(update.multiply_plan(p, p, eps, Transpose::no, z.view(), sums, products));
    update.round(weights, p, eps, next);
    if (domain == ot::SinkhornDomain::log) {
      CHECK_FALSE(update.multiply_plan(p, p, eps, Transpose::no, z.view(), sums, products));
      continue;
    }
    p[4] += 0.1; // what K is relative to is not where the plan is
    REQUIRE(update.multiply_plan(p, p, eps, Transpose::no, z.view(), sums, products));
    for (index_t i = 0; i < n; ++i) {
      double sum = 0, product = 0;
      for (index_t j = 0; j < n; ++j) {
        const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        const double mass = w[a] * w[b] * std::exp((p[a] + p[b] - cost(i, j)) / eps);
        sum += mass, product += mass * z(j, 2);
      }
      CHECK(sums[static_cast<std::size_t>(i)] == doctest::Approx(sum).epsilon(1e-12));
      CHECK(products(i, 2) == doctest::Approx(product).epsilon(1e-10));
    }
    CHECK_FALSE(update.multiply_plan(p, p, 2 * eps, Transpose::no, z.view(), sums, products));
  }
}

TEST_CASE(
    "ot/self_updates: divergences by kernels are those of the log domain, for every price and threads") {
  const index_t n = 110, m = 70, d = 6;
  const Tensor<double> x = random_points(12, n, d), y = random_points(13, m, d);
  std::vector<double> a = random_weights(14, n), b = random_weights(15, m);
  a[8] += a[7], b[9] += b[60];
  a[7] = b[60] = 0;
  const auto largest = [](const Tensor<double>& u, const Tensor<double>& v) {
    double error = 0, most = 0;
    for (index_t k = 0; k < u.size(); ++k) {
      error = std::max(error, std::abs(u.data()[k] - v.data()[k]));
      most = std::max(most, std::abs(v.data()[k]));
    }
    return error / most;
  };
  for (const auto& prices : {std::pair{inf, inf}, {1.0, 1.0}, {1.0, inf}, {0.02, inf}})
    for (double eps : {0.2, 0.02}) {
      CAPTURE(prices.first);
      CAPTURE(eps);
      ot::DivergenceOptions o;
      o.sinkhorn.epsilon = eps, o.sinkhorn.rho_a = prices.first, o.sinkhorn.rho_b = prices.second;
      o.sinkhorn.tolerance = 1e-9, o.sinkhorn.max_iterations = 20000, o.unit = ot::Unit::mean_cost;
      const auto run = [&](const ot::DivergenceOptions& options, int threads) {
        return ot::sinkhorn_divergence(Cpu<double>(threads), ot::SquaredEuclidean{}, x.view(), y.view(), a, b,
                                       options);
      };
      auto slow_options = o;
      slow_options.sinkhorn.domain = ot::SinkhornDomain::log, slow_options.sinkhorn.costs = ot::Costs::stored;
      const auto one = run(o, 1), two = run(o, 2), slow = run(slow_options, 1);
      CHECK(one.value == two.value);
      CHECK(std::equal(one.dx.begin(), one.dx.end(), two.dx.begin()));
      CHECK(std::equal(one.dy.begin(), one.dy.end(), two.dy.begin()));
      // What the tolerance leaves open, over the contraction.
      CHECK(one.value == doctest::Approx(slow.value).epsilon(1e-7));
      CHECK(largest(one.dx, slow.dx) < 1e-5);
      CHECK(largest(one.dy, slow.dy) < 1e-5);
    }
}
