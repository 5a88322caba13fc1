// SPDX-License-Identifier: MIT
#include "device_clouds.hpp"

#include <doctest/doctest.h>

using namespace sbi;
using ot::Cosine;
using ot::SquaredEuclidean;

namespace {
ot::DivergenceOptions with(double eps, double tolerance, double rho_a, double rho_b) {
  ot::DivergenceOptions o;
  o.sinkhorn.epsilon = eps, o.sinkhorn.tolerance = tolerance;
  o.sinkhorn.rho_a = rho_a, o.sinkhorn.rho_b = rho_b, o.unit = ot::Unit::mean_cost;
  return o;
}

/// Value and gradients on the GPU against those of the CPU in double.
template <class T, class C>
void compare(const C& cost, index_t n, index_t m, index_t d, double rho_a = ot::exact_marginal,
             double rho_b = ot::exact_marginal) {
  CAPTURE(n);
  CAPTURE(m);
  CAPTURE(d);
  CAPTURE(rho_a);
  CAPTURE(rho_b);
  const Tensor<T> x = as<T>(random_points(1, n, d)), y = as<T>(random_points(2, m, d, 1.3));
  const Tensor<double> xs = as<double>(x), ys = as<double>(y);
  const std::vector<T> a = as<T>(random_weights(3, n)), b = as<T>(weights_with_zeros(4, m));
  const std::vector<double> wide_a = as<double>(a), wide_b = as<double>(b);
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-9;
  const auto fast =
      ot::sinkhorn_divergence(Cuda<T>(), cost, x.view(), y.view(), a, b, with(0.1, tolerance, rho_a, rho_b));
  const auto slow = ot::sinkhorn_divergence(Cpu<double>(), cost, xs.view(), ys.view(), wide_a, wide_b,
                                            with(0.1, 1e-10, rho_a, rho_b));
  CHECK(fast.converged);
  const double unit = slow.epsilon / 0.1, close = sizeof(T) == 4 ? 1e-4 : 1e-8;
  CHECK(fast.epsilon == doctest::Approx(slow.epsilon).epsilon(1e-6));
  CHECK(std::abs(fast.value - slow.value) < close * unit);
  // Gradients of points carry the points' weights, about 1/n.
  CHECK(largest_difference(fast.dx, slow.dx) * static_cast<double>(n) < 10 * close * unit);
  CHECK(largest_difference(fast.dy, slow.dy) * static_cast<double>(m) < 10 * close * unit);
  const bool constant = !std::isfinite(rho_a) && !std::isfinite(rho_b);
  CHECK(largest_difference(fast.da, slow.da, constant) < 10 * close * unit);
  CHECK(largest_difference(fast.db, slow.db, constant) < 10 * close * unit);
  CHECK(largest_difference(fast.w, slow.w) * static_cast<double>(n) < 10 * close);
}
} // namespace

TEST_CASE("ot/cuda: divergences and their gradients are those of the CPU in double") {
  for (index_t d : {1, 2, 6, 16, 50, 64})
    for (const auto [n, m] : {Extents{7, 33}, {300, 201}}) {
      compare<double>(SquaredEuclidean{}, n, m, d);
      compare<float>(SquaredEuclidean{}, n, m, d);
      compare<double>(SquaredEuclidean{}, n, m, d, 1, 1);
      compare<double>(SquaredEuclidean{}, n, m, d, 1); // the simulations reweighted
      if (d > 1) compare<double>(Cosine{}, n, m, d);
      if (d > 1) compare<float>(Cosine{}, n, m, d);
    }
  compare<float>(SquaredEuclidean{}, 1000, 4097, 6);
  compare<float>(SquaredEuclidean{}, 1000, 1100, 64);
}

TEST_CASE("ot/cuda: the gradient is the slope of the value") {
  const Cuda<double> gpu;
  for (index_t d : {3, 20}) {
    Tensor<double> x = random_points(1, 40, d);
    const Tensor<double> y = random_points(2, 50, d);
    ot::DivergenceOptions o = with(0.2, 1e-12, ot::exact_marginal, ot::exact_marginal);
    o.unit = ot::Unit::cost, o.sinkhorn.epsilon = 0.4 * static_cast<double>(d);
    const auto at = [&] {
      return ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, o);
    };
    const auto centre = at();
    constexpr double step = 1e-4;
    for (index_t i : {0, 17}) {
      const double was = x(i, 1);
      x(i, 1) = was + step;
      const double up = at().value;
      x(i, 1) = was - step;
      const double down = at().value;
      x(i, 1) = was;
      CHECK((up - down) / (2 * step) == doctest::Approx(centre.dx(i, 1)).epsilon(1e-6));
    }
  }
}

TEST_CASE_TEMPLATE("ot/cuda: equal clouds are at distance 0, and a warm start ends at once", T, float,
                   double) {
  const Cuda<T> gpu;
  for (index_t d : {3, 40}) {
    const Tensor<T> x = as<T>(random_points(1, 500, d)), y = as<T>(random_points(2, 400, d));
    const auto options = with(0.1, 0, ot::exact_marginal, ot::exact_marginal);
    const auto zero = ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), x.view(), {}, {}, options);
    CHECK(std::abs(zero.value) < (sizeof(T) == 4 ? 2e-4 : 1e-6) * zero.epsilon);
    const auto cold = ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
    const auto again = ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
    CHECK(std::equal(cold.dx.begin(), cold.dx.end(), again.dx.begin())); // the same bits
    CHECK(cold.value == again.value);
    const auto warm =
        ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options, &cold);
    CHECK(warm.iterations <= 6);
    CHECK(warm.value == doctest::Approx(cold.value).epsilon(sizeof(T) == 4 ? 1e-3 : 1e-5));
  }
}
