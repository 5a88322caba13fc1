// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {
template <class T> Tensor<T> as(const Tensor<double>& x) {
  Tensor<T> out(x.shape());
  std::copy(x.begin(), x.end(), out.begin());
  return out;
}
template <class T> constexpr T infinity = std::numeric_limits<T>::infinity();

/// The largest difference of the softmins of the matrix in double and of the form, over eps.
template <class T> double softmin_error(index_t n, index_t m, index_t d, double eps, T estimate) {
  const Tensor<double> x = random_points(1, n, d), y = random_points(2, m, d);
  const Tensor<T> tx = as<T>(x), ty = as<T>(y);
  Rng rng(3);
  std::vector<T> g(static_cast<std::size_t>(m)), log_b(g.size());
  std::vector<double> wide_g(g.size()), wide_b(g.size());
  for (std::size_t j = 0; j < g.size(); ++j) {
    const bool none = j % 3 == 1; // without weight, whatever the potential is
    wide_g[j] = g[j] = none ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(rng.normal());
    wide_b[j] = log_b[j] = none ? -infinity<T> : static_cast<T>(std::log(0.1 + rng.uniform()));
  }
  const auto form = ot::SquaredEuclidean{}.dot_form(View<const T>(tx.view()), View<const T>(ty.view()));
  const Tensor<double> cost =
      ot::cost_matrix(Reference<double>(), ot::SquaredEuclidean{}, x.view(), y.view());
  std::vector<double> slow(static_cast<std::size_t>(n));
  ot::softmin(Reference<double>(), cost.view(), wide_b, wide_g, eps, slow);
  double worst = 0;
  std::vector<T> fast(slow.size(), estimate), reference(slow.size());
  ot::softmin(Cpu<T>(2), form, log_b, g, eps, std::span<T>(fast));
  ot::softmin(Reference<T>(), form, log_b, g, eps, std::span<T>(reference));
  for (std::size_t i = 0; i < slow.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(fast[i]) - slow[i]) / eps);
    worst = std::max(worst, std::abs(static_cast<double>(reference[i]) - slow[i]) / eps);
  }
  return worst;
}
ot::SinkhornOptions with(ot::Costs costs, double eps) {
  ot::SinkhornOptions o;
  o.epsilon = eps, o.costs = costs, o.tolerance = 1e-10;
  return o;
}
} // namespace

TEST_CASE("ot/dot_pairs: softmin is that of the matrix, for any size and any estimate") {
  for (index_t m : {1, 3, 8, 15, 16, 17, 33, 64, 257})
    for (index_t n : {1, 5, 32, 33})
      for (index_t d : {1, 4, 19}) {
        // Costs reach 100, with a rounding of 1e-16 of that each (6e-8 in float), over eps.
        CHECK(softmin_error<double>(n, m, d, 0.3, 0.0) < 1e-12);
        CHECK(softmin_error<float>(n, m, d, 0.3, 0.0F) < 1e-3);
      }
  for (double estimate : {0.0, 3.0, -1e6, 1e6, 1e300, -infinity<double>, infinity<double>, missing})
    CHECK(softmin_error<double>(40, 70, 3, 1e-3, estimate) < 1e-9);
  for (float estimate : {0.0F, 3.0F, -1e6F, 1e30F, infinity<float>, static_cast<float>(missing)})
    CHECK(softmin_error<float>(40, 70, 3, 0.05F, estimate) < 1e-3);
}

TEST_CASE("ot/dot_pairs: rows of a hundred thousand keep their digits in float") {
  const index_t m = 100'000;
  const Tensor<float> x(Shape{1, 1}), y(Shape{m, 1}); // costs of 0: the mean of equal numbers
  std::vector<float> log_b(static_cast<std::size_t>(m), -std::log(static_cast<float>(m))), g(log_b.size()),
      out(1);
  const auto form = ot::SquaredEuclidean{}.dot_form(View<const float>(x.view()), View<const float>(y.view()));
  for (int round = 0; round < 2; ++round) { // without and with an estimate
    ot::softmin(Cpu<float>(1), form, log_b, g, 1.0, std::span<float>(out));
    CHECK(std::abs(out[0]) < 2e-6); // the rounding of log m = 11.5 in float
  }
}

TEST_CASE("ot/dot_pairs: a row without weighted partner gives plus infinity") {
  const Tensor<double> x = random_points(1, 3, 2);
  const auto form =
      ot::SquaredEuclidean{}.dot_form(View<const double>(x.view()), View<const double>(x.view()));
  const std::vector<double> log_b(3, -infinity<double>), g(3, 0);
  std::vector<double> out(3, 0);
  ot::softmin(Cpu<double>(1), form, log_b, g, 1.0, std::span<double>(out));
  for (double v : out) CHECK(v == infinity<double>);
}

TEST_CASE("ot/dot_pairs: Sinkhorn without a matrix finds the potentials of Sinkhorn with one") {
  const Tensor<double> x = random_points(1, 60, 3), y = random_points(2, 45, 3, 1.3);
  const std::vector<double> a = random_weights(3, 60), b = random_weights(4, 45);
  const Cpu<double> be(2);
  const auto same = [&](const auto& cost, ot::SinkhornOptions options) {
    options.costs = ot::Costs::stored;
    const auto stored = ot::sinkhorn(be, cost, x.view(), y.view(), a, b, options);
    options.costs = ot::Costs::recomputed;
    const auto recomputed = ot::sinkhorn(be, cost, x.view(), y.view(), a, b, options);
    CHECK(stored.converged);
    CHECK(recomputed.converged);
    CHECK(recomputed.value == doctest::Approx(stored.value).epsilon(1e-9)); // both within 1e-10 of the mass
    const double shift = recomputed.f[0] - stored.f[0];
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(recomputed.f[i] - stored.f[i] - shift) < 1e-7);
    for (std::size_t j = 0; j < b.size(); ++j) CHECK(std::abs(recomputed.g[j] - stored.g[j] + shift) < 1e-7);
  };
  same(ot::SquaredEuclidean{}, with({}, 0.2));
  same(ot::Cosine{}, with({}, 0.05));
  ot::SinkhornOptions unbalanced = with({}, 0.2);
  unbalanced.rho_a = 2, unbalanced.rho_b = 5;
  same(ot::SquaredEuclidean{}, unbalanced);
}

TEST_CASE("ot/dot_pairs: the divergence and its gradients without matrices, every price") {
  const Tensor<double> x = random_points(1, 50, 3), y = random_points(2, 45, 3, 1.3);
  const std::vector<double> a = random_weights(3, 50), b = random_weights(4, 45);
  const Cpu<double> be(2);
  const auto same = [&](const auto& cost, double rho_a, double rho_b) {
    ot::DivergenceOptions options;
    options.sinkhorn = with(ot::Costs::stored, 0.1);
    options.sinkhorn.rho_a = rho_a, options.sinkhorn.rho_b = rho_b, options.unit = ot::Unit::mean_cost;
    const auto stored = ot::sinkhorn_divergence(be, cost, x.view(), y.view(), a, b, options);
    options.sinkhorn.costs = ot::Costs::recomputed;
    const auto recomputed = ot::sinkhorn_divergence(be, cost, x.view(), y.view(), a, b, options);
    CHECK(recomputed.epsilon == doctest::Approx(stored.epsilon).epsilon(1e-12));
    CHECK(recomputed.value == doctest::Approx(stored.value).epsilon(1e-8));
    for (index_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(recomputed.dx.data()[i] - stored.dx.data()[i]) < 1e-8);
    for (index_t i = 0; i < y.size(); ++i)
      CHECK(std::abs(recomputed.dy.data()[i] - stored.dy.data()[i]) < 1e-8);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(recomputed.w[i] - stored.w[i]) < 1e-8);
  };
  same(ot::SquaredEuclidean{}, ot::exact_marginal, ot::exact_marginal);
  same(ot::SquaredEuclidean{}, 2, 2);
  same(ot::SquaredEuclidean{}, 2, ot::exact_marginal);
  same(ot::Cosine{}, ot::exact_marginal, ot::exact_marginal);
}

TEST_CASE("ot/dot_pairs: bits do not depend on the number of threads") {
  const Tensor<float> x = as<float>(random_points(1, 200, 3)), y = as<float>(random_points(2, 150, 3));
  ot::SinkhornOptions options;
  options.epsilon = 0.1, options.costs = ot::Costs::recomputed;
  const auto one = ot::sinkhorn(Cpu<float>(1), ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options),
             two = ot::sinkhorn(Cpu<float>(2), ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
  CHECK(one.f == two.f);
  CHECK(one.g == two.g);
}

TEST_CASE("ot/dot_pairs: what cannot be recomputed is refused, and points are checked") {
  const Cpu<double> be(1);
  Tensor<double> x = random_points(1, 4, 2), y = random_points(2, 5, 2), wide = random_points(2, 5, 3);
  const auto options = with(ot::Costs::recomputed, 0.1);
  CHECK_THROWS_AS((void)ot::sinkhorn(be, ot::Euclidean{}, x.view(), y.view(), {}, {}, options), ValueError);
  CHECK_THROWS_AS((void)ot::sinkhorn(be, ot::Cosine{}, x.view(), wide.view(), {}, {}, options), ShapeError);
  y(3, 1) = missing;
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn(be, ot::Cosine{}, x.view(), y.view(), {}, {}, options),
                       "ot: sinkhorn: y[3,1] = nan; want finite", ValueError);
}
