// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/divergence.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

using namespace sbi;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();

/// Rounds of the kernel domain beside those by definition in double, for potentials that move by `step`
/// epsilons a round, a different one in every point. Gives the largest difference in units of `unit`.
template <class T> struct Course {
  Tensor<T> cost;
  std::vector<T> a, b;
  double eps, unit;

  [[nodiscard]] double run(std::uint64_t seed, double step, int rounds) const {
    const Cpu<T> be(2);
    const Reference<double> exact;
    const ot::Weights<T> wa("a", a, cost.rows()), wb("b", b, cost.cols());
    const View<const T> view = cost.view();
    ot::detail::PairUpdates<Cpu<T>, T, View<const T>> update(be, view, wa, wb, ot::SinkhornDomain::automatic,
                                                             seed % 2 == 0);
    Tensor<double> wide(cost.shape(), std::vector<double>(cost.begin(), cost.end()));
    const Tensor<double> turned = ot::detail::transposed<double>(wide.view(), wide.rows());
    const ot::Weights<double> da("a", std::vector<double>(a.begin(), a.end()), wide.rows()),
        db("b", std::vector<double>(b.begin(), b.end()), wide.cols());
    Rng rng(seed);
    std::vector<T> f(a.size(), T{0}), g(b.size(), T{0}), next = f;
    std::vector<double> want;
    double worst = 0;
    const auto compare = [&](const std::vector<T>& got) {
      for (std::size_t i = 0; i < got.size(); ++i)
        if (is_finite(want[i]))
          worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]) / unit);
        else if (static_cast<double>(got[i]) != want[i])
          worst = inf;
    };
    double now = eps;
    for (int round = 0; round < rounds; ++round) {
      if (round % 5 == 4) now *= round % 2 ? 0.25 : 4;
      if (round % 3)
        for (T& v : f) v += static_cast<T>(step * now * rng.normal());
      const double damping = round % 4 == 3 ? 0.8 : 1;
      update.round(f, now, damping, g, next);
      want.resize(g.size());
      ot::softmin(exact, turned.view(), da.log, std::vector<double>(f.begin(), f.end()), now, want);
      for (double& v : want) v *= damping;
      compare(g);
      want.resize(f.size());
      ot::softmin(exact, wide.view(), db.log, std::vector<double>(g.begin(), g.end()), now, want);
      compare(next);
      f = next;
      for (T& v : f)
        if (!is_finite(v)) v = 0;
    }
    return worst;
  }
};
template <class T> Course<T> course(std::uint64_t seed, index_t n, index_t m, double eps, double unit) {
  return {cast<T>(random_matrix(seed, n, m)), cast<T>(random_weights(seed + 1, n)),
          cast<T>(random_weights(seed + 2, m)), eps, unit};
}
/// Rounding of costs and potentials of size 1, a few of them in an exponent; the sums of hundreds of terms
/// add eps times theirs.
template <class T> constexpr double last_digit = sizeof(T) == 4 ? 6e-8 : 1.1e-16;
} // namespace

TEST_CASE_TEMPLATE("ot/pair_updates: rounds are those of the log domain wherever potentials go", T, float,
                   double) {
  for (const auto& size :
       {std::pair<index_t, index_t>{1, 1}, {1, 40}, {40, 1}, {37, 53}, {130, 67}, {64, 300}})
    for (double eps : {1.0, 0.05, 2e-3, 1e-5})
      for (double step : {0.1, 3.0, 30.0, 300.0}) {
        CAPTURE(size.first);
        CAPTURE(size.second);
        CAPTURE(eps);
        CAPTURE(step);
        const double size_of_potentials = 1 + 20 * step * eps + 4 * eps;
        auto c = course<T>(7, size.first, size.second, eps, last_digit<T> * size_of_potentials);
        CHECK(c.run(1, step, 12) < 16);
      }
}

TEST_CASE_TEMPLATE("ot/pair_updates: forbidden pairs, points without weight, tiny weights and large masses",
                   T, float, double) {
  auto c = course<T>(11, 45, 38, 0.02, last_digit<T> * 10);
  for (index_t i = 0; i < 45; ++i)
    for (index_t j = 0; j < 38; ++j)
      if ((i + j) % 3 == 0) c.cost(i, j) = std::numeric_limits<T>::infinity();
  CHECK(c.run(2, 0.5, 12) < 16);
  c.a[3] = c.a[44] = c.b[0] = c.b[37] = 0;
  CHECK(c.run(3, 0.5, 12) < 16);
  c.a[5] = c.b[9] = static_cast<T>(sizeof(T) == 4 ? 1e-25 : 1e-200);
  CHECK(c.run(4, 0.5, 12) < 16);
  c.a[5] = c.b[9] = static_cast<T>(sizeof(T) == 4 ? 1e-37 : 1e-305); // beyond the kernel domain
  CHECK(c.run(5, 0.5, 12) < 16);
  for (T& w : c.a) w *= static_cast<T>(1e15);
  CHECK(c.run(6, 0.5, 12) < 64); // potentials are 35 eps = .7 larger
  auto alone = course<T>(12, 20, 20, 0.1, last_digit<T> * 10);
  for (index_t j = 0; j < 20; ++j) alone.cost(7, j) = alone.cost(j, 4) = std::numeric_limits<T>::infinity();
  alone.a[7] = alone.b[4] = 0;
  CHECK(alone.run(7, 0.5, 12) < 16);
}

TEST_CASE("ot/pair_updates: columns by lanes are the rows of the transposed cost") {
  for (index_t m : {1, 15, 64, 65, 200}) {
    const index_t n = 31;
    auto c = course<float>(13, n, m, 0.01, 1);
    c.a[2] = 0;
    const ot::Weights<float> w("a", c.a, n);
    std::vector<float> f(static_cast<std::size_t>(n), 0.3F), fast(static_cast<std::size_t>(m)), slow = fast;
    f[2] = std::numeric_limits<float>::quiet_NaN();
    const Tensor<float> turned = ot::detail::transposed<float>(c.cost.view(), n);
    ot::softmin_columns(Cpu<float>(2), c.cost.view(), w.log, f, 0.01, fast);
    ot::softmin(Reference<float>(), turned.view(), w.log, f, 0.01, slow);
    for (std::size_t j = 0; j < fast.size(); ++j) CHECK(std::abs(fast[j] - slow[j]) < 4e-7F);
    ot::softmin_columns(Reference<float>(), c.cost.view(), w.log, f, 0.01, fast);
    CHECK(fast == slow);
  }
}

TEST_CASE("ot/pair_updates: a hundred iterations leave the potentials of the log domain") {
  const index_t n = 210, m = 180;
  const Tensor<double> x = random_points(1, n, 5), y = random_points(2, m, 5);
  const std::vector<double> a = random_weights(3, n), b = random_weights(4, m);
  const Cpu<double> wide(1);
  const Tensor<double> cost = ot::cost_matrix(wide, ot::SquaredEuclidean{}, x.view(), y.view());
  double mean = 0;
  for (double c : cost) mean += c / static_cast<double>(cost.size());
  // But for a common constant, which walks by rounding where both marginals are exact.
  const auto spread = [](const auto& u, const auto& v) {
    double low = inf, high = -inf;
    for (std::size_t i = 0; i < u.size(); ++i) {
      const double d = static_cast<double>(u[i]) - static_cast<double>(v[i]);
      low = std::min(low, d), high = std::max(high, d);
    }
    return high - low;
  };
  const Tensor<float> narrow = cast<float>(cost);
  const auto fa = cast<float>(a), fb = cast<float>(b);
  const Cpu<float> single(1);
  for (double rho : {ot::exact_marginal, 0.3})
    for (double scaling : {1.0, 0.25})
      for (double relative : {0.05, 0.01, 1e-3})
        for (int rounds : {3, 20, 100}) {
          CAPTURE(rho);
          CAPTURE(scaling);
          CAPTURE(relative);
          CAPTURE(rounds);
          ot::SinkhornOptions o;
          o.epsilon = relative * mean, o.rho_b = rho * mean, o.scaling = scaling;
          o.max_iterations = rounds, o.tolerance = 1e-300;
          auto in_log = o;
          in_log.domain = ot::SinkhornDomain::log;
          const auto exact = ot::sinkhorn(wide, cost.view(), a, b, in_log);
          const auto kernel = ot::sinkhorn(wide, cost.view(), a, b, o);
          const auto slow = ot::sinkhorn(single, narrow.view(), fa, fb, in_log);
          const auto fast = ot::sinkhorn(single, narrow.view(), fa, fb, o);
          const double error_log = spread(slow.f, exact.f), error = spread(fast.f, exact.f);
          // Extrapolation multiplies rounding; far from convergence, with luck, by more here or there.
          CHECK(spread(kernel.f, exact.f) < 1e-6 * mean);
          CHECK(error < 8 * error_log + 1e-5 * mean);
          // What a difference of 1e-6 of the mean cost in the potentials is to entries of the plan.
          CHECK(std::abs(kernel.residual - exact.residual) < 1e-6 / relative * exact.residual + 1e-12);
        }
}

TEST_CASE("ot/pair_updates: large clouds of few and of many coordinates, whatever is stored") {
  const Cpu<double> wide(1);
  for (index_t d : {3, 24}) { // computed anew for every kernel; kept beside it
    const index_t n = 530, m = 515;
    const Tensor<double> x = random_points(21, n, d), y = random_points(22, m, d);
    std::vector<double> a = random_weights(23, n), b = random_weights(24, m);
    ot::DivergenceOptions o;
    o.sinkhorn.epsilon = 0.1, o.sinkhorn.tolerance = 1e-9, o.unit = ot::Unit::mean_cost;
    auto stored = o;
    stored.sinkhorn.costs = ot::Costs::stored, stored.sinkhorn.domain = ot::SinkhornDomain::log;
    for (double rho : {ot::exact_marginal, 1.0}) {
      o.sinkhorn.rho_a = o.sinkhorn.rho_b = stored.sinkhorn.rho_a = stored.sinkhorn.rho_b = rho;
      const auto run = [&](const auto& options) {
        return ot::sinkhorn_divergence(wide, ot::SquaredEuclidean{}, x.view(), y.view(), a, b, options);
      };
      const auto kernel = run(o), slow = run(stored);
      CHECK(kernel.value == doctest::Approx(slow.value).epsilon(1e-8));
      const auto agree = [](const Tensor<double>& u, const Tensor<double>& v) {
        double largest = 0, error = 0;
        for (index_t k = 0; k < u.size(); ++k) {
          largest = std::max(largest, std::abs(v.data()[k]));
          error = std::max(error, std::abs(u.data()[k] - v.data()[k]));
        }
        CHECK(error < 1e-6 * largest); // the residual over the contraction
      };
      agree(kernel.dx, slow.dx), agree(kernel.dy, slow.dy);
    }
    auto same = o.sinkhorn;
    same.epsilon = 0.2 * static_cast<double>(d), same.rho_a = same.rho_b = ot::exact_marginal;
    const auto points = [&](const auto& options, const Cpu<double>& be) {
      return ot::sinkhorn(be, ot::SquaredEuclidean{}, x.view(), y.view(), a, b, options);
    };
    const auto one = points(same, wide), two = points(same, Cpu<double>(2));
    CHECK(one.converged);
    CHECK(one.f == two.f);
    CHECK(one.g == two.g);
    CHECK(one.value == two.value);
    same.costs = ot::Costs::recomputed;
    CHECK(points(same, wide).value == doctest::Approx(one.value).epsilon(1e-10));
  }
}

TEST_CASE("ot/pair_updates: kernels come from the thread's arena once and go back to it") {
  const Cpu<float> be(1);
  const Tensor<float> cost = cast<float>(random_matrix(31, 300, 200));
  ot::SinkhornOptions o;
  o.epsilon = 0.05;
  const auto first = ot::sinkhorn(be, cost.view(), {}, {}, o);
  const std::size_t taken = be.arena().capacity();
  for (int repeat = 0; repeat < 3; ++repeat) CHECK(ot::sinkhorn(be, cost.view(), {}, {}, o).f == first.f);
  CHECK(be.arena().capacity() == taken);
  CHECK(be.arena().mark().offset == 0);
}
