// SPDX-License-Identifier: MIT
#include "device_clouds.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace sbi;
using ot::SquaredEuclidean;

namespace {
template <class T> constexpr T infinity = std::numeric_limits<T>::infinity();

/// Points, a potential and log-weights of m columns, every third of them without weight.
template <class T> struct Problem {
  Tensor<double> x, y;
  Tensor<T> tx, ty;
  std::vector<T> g, log_b;
  std::vector<double> wide_g, wide_b;

  Problem(index_t n, index_t m, index_t d) : x(random_points(1, n, d)), y(random_points(2, m, d)) {
    tx = as<T>(x), ty = as<T>(y);
    x = as<double>(tx), y = as<double>(ty); // the oracle sees the rounded points
    Rng rng(3);
    for (index_t j = 0; j < m; ++j) {
      const bool none = j % 3 == 1; // without weight, whatever the potential is
      g.push_back(none ? std::numeric_limits<T>::quiet_NaN() : static_cast<T>(rng.normal()));
      log_b.push_back(none ? -infinity<T> : static_cast<T>(std::log(0.1 + rng.uniform())));
      wide_g.push_back(static_cast<double>(g.back()));
      wide_b.push_back(static_cast<double>(log_b.back()));
    }
  }
  [[nodiscard]] ot::DotForm<T> form() const {
    return SquaredEuclidean{}.dot_form(View<const T>(tx.view()), View<const T>(ty.view()));
  }
};
template <class B> Tensor<double> costs(const B& be, const Tensor<double>& x, const Tensor<double>& y) {
  return ot::cost_matrix(be, SquaredEuclidean{}, x.view(), y.view());
}

/// The largest difference of the softmins of the matrix in double and of the form, over eps.
template <class T> double softmin_error(const Cuda<T>& gpu, index_t n, index_t m, index_t d, double eps) {
  const Problem<T> p(n, m, d);
  const Cpu<double> cpu;
  std::vector<double> slow(static_cast<std::size_t>(n));
  ot::softmin(cpu, costs(cpu, p.x, p.y).view(), p.wide_b, p.wide_g, eps, slow);
  std::vector<T> fast(slow.size());
  const ot::detail::DeviceForm<T> form(gpu, p.form());
  softmin(gpu, form, p.log_b, p.g, eps, std::span<T>(fast));
  return largest_difference(fast, slow) / eps;
}

template <class T> double plan_error(const Cuda<T>& gpu, index_t n, index_t m, index_t d, double eps) {
  const Problem<T> p(n, m, d);
  const Cpu<double> cpu;
  const Tensor<double> cost = costs(cpu, p.x, p.y);
  const ot::DotForm<T> form = p.form();
  std::vector<T> f(static_cast<std::size_t>(n)), left(f.size()), sums(f.size());
  std::vector<double> wide(f.size());
  ot::softmin(cpu, cost.view(), p.wide_b, p.wide_g, eps, wide);
  for (std::size_t i = 0; i < f.size(); ++i)
    left[i] = i % 5 == 2 ? -infinity<T> : static_cast<T>(wide[i] / eps); // rows of sum 1, or 0
  const std::vector<T> right = ot::detail::biases<T>(p.log_b, p.g, eps);
  Tensor<T> weighted(Shape{n, d});
  ot::detail::DeviceForm<T>(gpu, form).pairs().apply_plan(left.data(), right.data(), eps, sums.data(),
                                                          weighted.data());
  double worst = 0;
  for (index_t i = 0; i < n; ++i) {
    double sum = 0;
    std::vector<double> row(static_cast<std::size_t>(d), 0);
    for (index_t j = 0; j < m; ++j) {
      const double plan =
          std::exp(static_cast<double>(left[static_cast<std::size_t>(i)]) +
                   static_cast<double>(right[static_cast<std::size_t>(j)]) - cost(i, j) / eps);
      sum += plan;
      for (index_t k = 0; k < d; ++k)
        row[static_cast<std::size_t>(k)] += plan * static_cast<double>(form.k(j, k));
    }
    worst = std::max(worst, std::abs(sum - static_cast<double>(sums[static_cast<std::size_t>(i)])));
    for (index_t k = 0; k < d; ++k)
      worst =
          std::max(worst, std::abs(row[static_cast<std::size_t>(k)] - static_cast<double>(weighted(i, k))));
  }
  return worst;
}
} // namespace

TEST_CASE("ot/cuda: softmin is that of the matrix, for any size and any width") {
  const Cuda<float> single;
  const Cuda<double> twofold;
  for (index_t d : {1, 2, 3, 4, 5, 6, 8, 11, 16, 17, 24, 50, 64, 130})
    for (const Extents size : {Extents{1, 1}, {7, 1}, {1, 33}, {33, 7}, {128, 129}, {1000, 301}}) {
      CAPTURE(d);
      CAPTURE(size.n);
      CAPTURE(size.m);
      // Costs reach 10 d, with a rounding of 1e-16 of that each (6e-8 in float), over eps = d / 20.
      CHECK(softmin_error<double>(twofold, size.n, size.m, d, 0.05 * static_cast<double>(d)) < 1e-12);
      CHECK(softmin_error<float>(single, size.n, size.m, d, 0.05 * static_cast<double>(d)) < 5e-4);
    }
  // Tiles of many rows.
  CHECK(softmin_error<float>(single, 33'000, 3'000, 3, 0.2) < 5e-4);
  CHECK(softmin_error<float>(single, 4'097, 4'100, 20, 1) < 5e-4);
  CHECK(softmin_error<double>(twofold, 33'000, 3'000, 3, 0.2) < 1e-12);
  // Exponents far from 0: costs over eps of 1e4.
  CHECK(softmin_error<double>(twofold, 40, 700, 3, 1e-3) < 1e-9);
  CHECK(softmin_error<double>(twofold, 40, 700, 20, 1e-2) < 1e-9);
}

TEST_CASE("ot/cuda: a plan applied to points is the sum over its entries") {
  const Cuda<float> single;
  const Cuda<double> twofold;
  for (index_t d : {1, 2, 3, 4, 6, 8, 11, 16, 17, 50, 64, 130})
    for (const Extents size : {Extents{1, 1}, {7, 33}, {129, 128}, {1000, 301}}) {
      CAPTURE(d);
      CAPTURE(size.n);
      CAPTURE(size.m);
      CHECK(plan_error<double>(twofold, size.n, size.m, d, 0.05 * static_cast<double>(d)) < 1e-11);
      CHECK(plan_error<float>(single, size.n, size.m, d, 0.05 * static_cast<double>(d)) < 2e-3);
    }
  CHECK(plan_error<float>(single, 300, 9'000, 6, 1) < 2e-3); // more columns than are added up in float
  CHECK(plan_error<float>(single, 300, 9'000, 40, 4) < 2e-3);
}

TEST_CASE("ot/cuda: rows of a hundred thousand keep their digits in float") {
  const Cuda<float> gpu;
  const index_t m = 100'000;
  for (index_t d : {1, 20}) {
    const Tensor<float> x(Shape{1, d}), y(Shape{m, d}); // costs of 0: the mean of equal numbers
    std::vector<float> log_b(static_cast<std::size_t>(m), -std::log(static_cast<float>(m))), g(log_b.size()),
        out(1);
    const ot::detail::DeviceForm<float> form(
        gpu, SquaredEuclidean{}.dot_form(View<const float>(x.view()), View<const float>(y.view())));
    softmin(gpu, form, log_b, g, 1.0, std::span<float>(out));
    CHECK(std::abs(out[0]) < 2e-6); // the rounding of log m = 11.5 in float
  }
}

TEST_CASE_TEMPLATE("ot/cuda: estimates that are far off change nothing", T, float, double) {
  // From one epsilon to another a thousand times smaller and back: the softmins of the round before say
  // nothing about the next, too little or too much.
  const Cuda<T> gpu;
  for (const auto& [d, stored] : {std::pair<index_t, bool>{3, false}, {20, false}, {3, true}, {20, true}}) {
    const Tensor<T> x = as<T>(random_points(1, 300, d)), y = as<T>(random_points(2, 500, d, 2));
    const ot::Weights<T> a("a", {}, 300), b("b", {}, 500);
    const ot::detail::DeviceForm<T> form(
        gpu, SquaredEuclidean{}.dot_form(View<const T>(x.view()), View<const T>(y.view())));
    const std::vector<T> zero(300);
    ot::detail::DevicePotentials<T> potentials(form.pairs(), ot::detail::marginal_of(a, ot::exact_marginal),
                                               ot::detail::marginal_of(b, ot::exact_marginal), zero.data(),
                                               stored);
    const double scale = static_cast<double>(d);
    for (double eps : {1.0, 1e-3, 1e-3, 1.0, 0.02, 5.0}) {
      const auto round = potentials.alternate({eps * scale, 1, 0, 0});
      std::vector<T> f(300), g(500), expected(500), rows(300);
      potentials.read(f.data(), g.data());
      softmin(gpu, form.transposed(), a.log, f, eps * scale, std::span<T>(expected));
      softmin(gpu, form, b.log, g, eps * scale, std::span<T>(rows));
      const double rounding = sizeof(T) == 4 ? 2e-5 : 1e-13; // costs reach 30 d
      CHECK(largest_difference(g, expected) / scale < rounding);
      double mass = 0;
      const double residual = ot::detail::row_residual<T>(a, f, rows, eps * scale, ot::exact_marginal, mass);
      CHECK(std::abs(residual - round.residual) <= rounding / eps * (1 + residual));
      CHECK(std::abs(mass - round.mass) <= rounding / eps * (1 + mass));
    }
  }
}

TEST_CASE_TEMPLATE("ot/cuda: a form made on the device is that of the host", T, float, double) {
  const Cuda<T> gpu;
  const auto compare = [&](const auto& cost, index_t n, index_t m, index_t d) {
    using C = std::decay_t<decltype(cost)>;
    CAPTURE(n);
    CAPTURE(d);
    Tensor<T> x = as<T>(random_points(1, n, d)), y = as<T>(random_points(2, m, d, 1.3));
    for (T& v : x) v += T{100}; // the centre counts
    for (T& v : y) v += T{100};
    for (index_t k = 0; k < d; ++k) x(n - 1, k) = 0; // no direction
    const View<const T> xv = x.view(), yv = y.view();
    const auto [on_x, on_y] = ot::detail::device_clouds<C, T>(gpu, "test", xv, yv);
    const ot::detail::DeviceForm<T> made = on_x.form(cost, on_y);
    const ot::DotForm<T> host = cost.dot_form(xv, yv);
    const ot::detail::DeviceForm<T> copied(gpu, host);
    const double close = sizeof(T) == 4 ? 1e-5 : 1e-12; // of points, offsets and products in T
    const ot::Weights<T> a("a", as<T>(random_weights(3, n)), n), b("b", as<T>(random_weights(4, m)), m);
    const double range = ot::detail::checked_range(gpu, host, a, b), mean = ot::detail::mean_cost(host, a, b);
    CHECK(made.pairs().range() == doctest::Approx(range).epsilon(close));
    CHECK(copied.pairs().range() == doctest::Approx(range).epsilon(close));
    CHECK(ot::detail::mean_cost(made, a, b) == doctest::Approx(mean).epsilon(close));
    CHECK(ot::detail::mean_cost(copied, a, b) == doctest::Approx(mean).epsilon(close));
    const std::vector<T> g(static_cast<std::size_t>(m));
    std::vector<T> one(static_cast<std::size_t>(n)), other(one);
    softmin(gpu, made, b.log, g, 0.1 * mean, std::span<T>(one));
    softmin(gpu, copied, b.log, g, 0.1 * mean, std::span<T>(other));
    CHECK(largest_difference(one, other) < 10 * close * range);
  };
  for (index_t d : {1, 3, 17, 64})
    for (const Extents size : {Extents{2, 3}, {300, 9'000}}) { // more points than one part of the sums has
      compare(SquaredEuclidean{}, size.n, size.m, d);
      compare(ot::Cosine{}, size.n, size.m, d);
    }
}

TEST_CASE_TEMPLATE("ot/cuda: clouds of one and the same point have costs of 0", T, float, double) {
  const Cuda<T> gpu;
  for (index_t d : {3, 40}) {
    Tensor<T> x(Shape{700, d}), y(Shape{300, d});
    for (T& v : x) v = static_cast<T>(0.1);
    for (T& v : y) v = static_cast<T>(0.1);
    const auto [on_x, on_y] = ot::detail::device_clouds<SquaredEuclidean, T>(
        gpu, "test", View<const T>(x.view()), View<const T>(y.view()));
    CHECK(on_x.form(SquaredEuclidean{}, on_y).pairs().range() == 0);
  }
}
