// SPDX-License-Identifier: MIT
#include "device_clouds.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace sbi;
using ot::Cosine;
using ot::SquaredEuclidean;

namespace {
ot::SinkhornOptions with(double eps, double tolerance, double rho_a = ot::exact_marginal,
                         double rho_b = ot::exact_marginal) {
  ot::SinkhornOptions o;
  o.epsilon = eps, o.tolerance = tolerance, o.rho_a = rho_a, o.rho_b = rho_b;
  return o;
}

/// Both backends on the same problem; the potentials' largest difference in units of the mean cost.
template <class T, class C>
double potentials_error(const Cuda<T>& gpu, const C& cost, index_t n, index_t m, index_t d, bool zeros,
                        double rho_a = ot::exact_marginal, double rho_b = ot::exact_marginal) {
  const Tensor<T> x = as<T>(random_points(1, n, d)), y = as<T>(random_points(2, m, d, 1.2));
  const auto a = as<T>(zeros ? weights_with_zeros(3, n) : random_weights(3, n)),
             b = as<T>(zeros ? weights_with_zeros(4, m) : random_weights(4, m));
  const Tensor<double> xs = as<double>(x), ys = as<double>(y);
  const std::vector<double> wide_a = as<double>(a), wide_b = as<double>(b);
  const double unit = std::is_same_v<C, Cosine> ? 1 : 2 * static_cast<double>(d);
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-10;
  const auto fast = ot::sinkhorn(gpu, cost, x.view(), y.view(), a, b,
                                 with(0.1 * unit, tolerance, rho_a * unit, rho_b * unit));
  auto slow_options = with(0.1 * unit, 1e-11, rho_a * unit, rho_b * unit);
  const Cpu<double> cpu;
  const auto slow = ot::sinkhorn(cpu, cost, xs.view(), ys.view(), wide_a, wide_b, slow_options);
  CHECK(fast.converged);
  CHECK(slow.converged);
  CHECK(fast.residual <= tolerance);
  CHECK(std::abs(fast.value - slow.value) <= (sizeof(T) == 4 ? 2e-5 : 1e-9) * unit);
  CHECK(std::abs(fast.mass - slow.mass) <= (sizeof(T) == 4 ? 1e-4 : 1e-8));
  const bool constant = !std::isfinite(rho_a) && !std::isfinite(rho_b);
  return std::max(largest_difference(fast.f, slow.f, constant),
                  largest_difference(fast.g, slow.g, constant)) /
         unit;
}
} // namespace

TEST_CASE("ot/cuda: potentials and values are those of the CPU in double") {
  const Cuda<float> single;
  const Cuda<double> twofold;
  const double inf = ot::exact_marginal;
  for (const Extents size : {Extents{1, 1}, {7, 33}, {33, 7}, {1000, 513}})
    for (index_t d : {1, 2, 6, 16, 50, 64})
      for (bool zeros : {false, true}) {
        CAPTURE(size.n);
        CAPTURE(size.m);
        CAPTURE(d);
        CAPTURE(zeros);
        // What the tolerance leaves open: eps times the residual, and more where a direction converges
        // slowly, as on the line, where few entries hold a plan of small epsilon together.
        CHECK(potentials_error(twofold, SquaredEuclidean{}, size.n, size.m, d, zeros) <
              (d == 1 ? 1e-5 : 1e-8));
        CHECK(potentials_error(single, SquaredEuclidean{}, size.n, size.m, d, zeros) < 1e-4);
        CHECK(potentials_error(twofold, SquaredEuclidean{}, size.n, size.m, d, zeros, 0.5, inf) < 1e-8);
        CHECK(potentials_error(twofold, SquaredEuclidean{}, size.n, size.m, d, zeros, inf, 2.0) < 1e-8);
        CHECK(potentials_error(twofold, SquaredEuclidean{}, size.n, size.m, d, zeros, 0.5, 2.0) < 1e-8);
        CHECK(potentials_error(single, SquaredEuclidean{}, size.n, size.m, d, zeros, 0.5, 2.0) < 1e-4);
        if (d == 1) continue; // directions are signs
        CHECK(potentials_error(twofold, Cosine{}, size.n, size.m, d, zeros) < 1e-8);
        CHECK(potentials_error(single, Cosine{}, size.n, size.m, d, zeros) < 1e-4);
      }
  for (index_t d : {6, 64}) {
    CHECK(potentials_error(twofold, SquaredEuclidean{}, 4097, 1000, d, true) < 1e-8);
    CHECK(potentials_error(single, SquaredEuclidean{}, 4097, 4100, d, false) < 1e-4);
  }
}

TEST_CASE_TEMPLATE("ot/cuda: a small epsilon needs the schedule and extrapolation", T, float, double) {
  const Cuda<T> gpu;
  const Tensor<T> x = as<T>(random_points(1, 400, 2)), y = as<T>(random_points(2, 300, 2));
  const auto options = with(0.01, sizeof(T) == 4 ? 1e-4 : 1e-9);
  const auto fast = ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
  const auto slow = ot::sinkhorn(Cpu<T>(), SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
  CHECK(fast.converged);
  CHECK(slow.converged);
  CHECK(fast.value == doctest::Approx(slow.value).epsilon(sizeof(T) == 4 ? 1e-4 : 1e-8));
  CHECK(fast.iterations <= slow.iterations * 3 / 2 + 20); // the same algorithm
}

TEST_CASE_TEMPLATE("ot/cuda: the problem of a cloud with itself", T, float, double) {
  const Cuda<T> gpu;
  const Cpu<double> cpu;
  for (index_t n : {1, 7, 1000})
    for (index_t d : {2, 20})
      for (double rho : {ot::exact_marginal, 3.0}) {
        const Tensor<T> x = as<T>(random_points(5, n, d));
        const Tensor<double> wide = as<double>(x);
        const double eps = 0.2 * static_cast<double>(d);
        const auto fast = ot::sinkhorn_self(gpu, SquaredEuclidean{}, x.view(), {}, with(eps, 1e-5, rho));
        const auto slow =
            ot::sinkhorn_self(cpu, ot::cost_matrix(cpu, SquaredEuclidean{}, wide.view(), wide.view()).view(),
                              {}, with(eps, 1e-9, rho));
        CHECK(fast.converged);
        CHECK(largest_difference(fast.f, slow.f) < 1e-4 * static_cast<double>(d));
        CHECK(fast.f == fast.g);
        CHECK(fast.value == doctest::Approx(slow.value).epsilon(1e-4).scale(static_cast<double>(d)));
      }
}

TEST_CASE_TEMPLATE("ot/cuda: the same bits twice, and a warm start that has nothing left to do", T, float,
                   double) {
  for (index_t d : {3, 40}) {
    const Tensor<T> x = as<T>(random_points(1, 700, d)), y = as<T>(random_points(2, 1300, d));
    const auto options = with(0.1 * static_cast<double>(d), 0);
    const Cuda<T> gpu;
    const auto first = ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
    const auto second = ot::sinkhorn(Cuda<T>(), SquaredEuclidean{}, x.view(), y.view(), {}, {}, options);
    CHECK(first.f == second.f);
    CHECK(first.g == second.g);
    CHECK(first.value == second.value);
    CHECK(first.residual == second.residual);
    const auto warm = ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, options, &first);
    CHECK(warm.iterations <= 2);
    CHECK(warm.converged);
  }
}

TEST_CASE_TEMPLATE("ot/cuda: kept products change nothing but the last digits", T, float, double) {
  const Cuda<T> gpu;
  const double inf = ot::exact_marginal;
  for (const Extents size : {Extents{1, 1}, {7, 200}, {1000, 513}, {4500, 300}})
    for (index_t d : {2, 20})
      for (const auto& [rho_a, rho_b] : {std::pair{inf, inf}, {0.5, inf}, {inf, 2.0}, {0.5, 2.0}}) {
        CAPTURE(size.n);
        CAPTURE(size.m);
        CAPTURE(d);
        CAPTURE(rho_a);
        CAPTURE(rho_b);
        const double unit = 2 * static_cast<double>(d);
        const Tensor<T> x = as<T>(random_points(1, size.n, d)), y = as<T>(random_points(2, size.m, d, 1.2));
        const auto a = as<T>(weights_with_zeros(3, size.n)), b = as<T>(weights_with_zeros(4, size.m));
        auto options = with(0.05 * unit, sizeof(T) == 4 ? 1e-5 : 1e-10, rho_a * unit, rho_b * unit);
        options.costs = ot::Costs::stored;
        const auto run = [&] {
          return ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), a, b, options);
        };
        const auto kept = run(), again = run();
        CHECK(kept.f == again.f); // the same bits
        CHECK(kept.g == again.g);
        options.costs = ot::Costs::recomputed;
        const auto anew = run();
        CHECK(kept.converged);
        CHECK(anew.converged);
        CHECK(std::abs(kept.iterations - anew.iterations) <= 2 + anew.iterations / 10);
        const bool constant = !std::isfinite(rho_a) && !std::isfinite(rho_b);
        const double close = sizeof(T) == 4 ? 1e-4 : 1e-8;
        CHECK(largest_difference(kept.f, anew.f, constant) < close * unit);
        CHECK(largest_difference(kept.g, anew.g, constant) < close * unit);
        CHECK(std::abs(kept.value - anew.value) < close * unit);
        const auto self = [&](ot::Costs costs) {
          options.costs = costs;
          return ot::sinkhorn_self(gpu, SquaredEuclidean{}, x.view(), a, options);
        };
        CHECK(largest_difference(self(ot::Costs::stored).f, self(ot::Costs::recomputed).f) < close * unit);
      }
  auto few = with(1e-3, 1e-30); // ends where it is told to
  few.max_iterations = 150;     // more than one launch does
  const Tensor<T> x = as<T>(random_points(1, 40, 3)), y = as<T>(random_points(2, 50, 3));
  CHECK(ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, few).iterations == 150);
}

TEST_CASE("ot/cuda: bad input is refused by name") {
  const Cuda<float> gpu;
  const Tensor<float> x = as<float>(random_points(1, 5, 2)), y = as<float>(random_points(2, 4, 2)),
                      wide = as<float>(random_points(2, 4, 3));
  const auto run = [&](const Tensor<float>& u, const Tensor<float>& v, const std::vector<float>& a,
                       const ot::SinkhornOptions& o) {
    return ot::sinkhorn(gpu, SquaredEuclidean{}, u.view(), v.view(), a, {}, o);
  };
  CHECK_THROWS_AS(run(x, wide, {}, with(1, 0)), ShapeError);
  CHECK_THROWS_AS(run(x, y, {1, 1}, with(1, 0)), ShapeError);
  CHECK_THROWS_AS(run(x, y, {1, 1, 1, 1, -1}, with(1, 0)), ValueError);
  CHECK_THROWS_AS(run(x, y, {1, 1, 1, 1, 1}, with(1, 0)), ValueError); // masses differ
  CHECK_THROWS_AS(run(x, y, {}, with(0, 0)), ValueError);
  Tensor<float> bad = x;
  bad(3, 1) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(run(bad, y, {}, with(1, 0)), ValueError);
  ot::SinkhornResult<float> start;
  start.f.assign(3, 0);
  CHECK_THROWS_AS(static_cast<void>(
                      ot::sinkhorn(gpu, SquaredEuclidean{}, x.view(), y.view(), {}, {}, with(1, 0), &start)),
                  ShapeError);
  CHECK_THROWS_AS(static_cast<void>(ot::sinkhorn_self(gpu, SquaredEuclidean{}, bad.view(), {}, with(1, 0))),
                  ValueError);
  ot::DivergenceOptions divergence;
  divergence.sinkhorn = with(1, 0, 2, 3);
  CHECK_THROWS_AS(static_cast<void>(ot::sinkhorn_divergence(gpu, SquaredEuclidean{}, x.view(), y.view(), {},
                                                            {}, divergence)),
                  ValueError);
}
