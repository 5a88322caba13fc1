// SPDX-License-Identifier: MIT
// What implicit differentiation of a plan is made of: its products with vectors, the solution of its singular
// system, and its two sides.
#pragma once
#include <sbi/ot/dense.hpp>
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::ot::detail {

/// Q v for a matrix in T and a vector in double; every row is summed in a fixed order.
template <class B, class T> [[nodiscard]] Column times(const B& be, const Tensor<T>& q, const Column& w) {
  Column out(static_cast<std::size_t>(q.rows()));
  const double* const v = w.data();
  for_each_row(be, q.rows(), [&](index_t i) {
    constexpr index_t chains = 8; // that do not wait for each other
    const T* row = q.row(i);
    double sum[chains] = {};
    index_t j = 0;
    for (; j + chains <= q.cols(); j += chains)
      for (index_t k = 0; k < chains; ++k) sum[k] += static_cast<double>(row[j + k]) * v[j + k];
    for (index_t k = 0; j + k < q.cols(); ++k) sum[k] += static_cast<double>(row[j + k]) * v[j + k];
    out[static_cast<std::size_t>(i)] = std::accumulate(sum, sum + chains, 0.0);
  });
  return out;
}
/// Q^T v
template <class B, class T>
[[nodiscard]] Column transposed_times(const B& be, const Tensor<T>& q, const Column& v) {
  Column out(static_cast<std::size_t>(q.cols()));
  constexpr index_t width = 256;
  be.for_each((q.cols() + width - 1) / width, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * width, count = std::min(width, q.cols() - first);
    double sum[width] = {};
    for (index_t i = 0; i < q.rows(); ++i) {
      const double factor = v[static_cast<std::size_t>(i)];
      const T* row = q.row(i) + first;
      for (index_t j = 0; j < count; ++j) sum[j] += factor * static_cast<double>(row[j]);
    }
    std::copy_n(sum, count, out.data() + first);
  });
  return out;
}

struct Solution {
  Column x;
  double residual = 0;
  int iterations = 0;
};

/// S x = rhs for symmetric S >= 0 with null vector 1 and rhs of sum 0, by conjugate gradients with a diagonal
/// preconditioner (Hestenes & Stiefel 1952), in the norm sum_i v_i^2 / weight_i. Entries of weight 0 stay 0.
/// `floor`: the rounding error of rhs in that norm, below which nothing is left to solve. The residual is
/// that of x itself, not of the recurrence, which is restarted while that helps.
template <class Apply>
[[nodiscard]] Solution conjugate_gradients(Apply&& apply, Column rhs, const Column& weight,
                                           const Column& diagonal, double floor, double tolerance,
                                           int max_iterations) {
  const std::size_t n = rhs.size();
  const double mass = total(weight);
  const auto norm = [&](const Column& v) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += v[i] * v[i] / (weight[i] > 0 ? weight[i] : 1);
    return std::sqrt(sum);
  };
  const auto add = [n](Column& to, double factor, const Column& v) {
    for (std::size_t i = 0; i < n; ++i) to[i] += factor * v[i];
  };
  // Rounding errors along the null vector would stay and grow.
  const auto into_range = [&](Column& v) { add(v, -total(v) / mass, weight); };
  const auto precondition = [&](const Column& v) {
    Column z = column(n, [&](std::size_t i) { return weight[i] > 0 ? v[i] / diagonal[i] : 0; });
    const double mean = dot(z, weight) / mass;
    for (std::size_t i = 0; i < n; ++i) z[i] -= weight[i] > 0 ? mean : 0;
    return z;
  };
  into_range(rhs);
  const double scale = norm(rhs), goal = std::max(tolerance * scale, floor);
  Solution out{Column(n, 0), 0, 0};
  Column residual = rhs;
  double size = scale, before = std::numeric_limits<double>::infinity();
  for (; size > goal && size < before / 2 && out.iterations < max_iterations; size = norm(residual)) {
    before = size;
    Column z = precondition(residual), direction = z;
    double product = dot(residual, z);
    while (norm(residual) > goal && out.iterations < max_iterations) {
      const Column image = apply(direction);
      const double curvature = dot(direction, image);
      if (!(curvature > 0)) break;
      ++out.iterations;
      add(out.x, product / curvature, direction), add(residual, -product / curvature, image);
      into_range(residual);
      z = precondition(residual);
      const double next = dot(residual, z);
      add(z, next / product, direction);
      direction.swap(z);
      product = next;
    }
    residual = rhs;
    add(residual, -1, apply(out.x));
    into_range(residual);
  }
  out.residual = size <= floor ? 0 : size / scale;
  return out;
}

/// dL/df or dL/dg in double, checked.
template <class T>
[[nodiscard]] Column checked_column(const char* name, std::span<const T> of, std::size_t count) {
  Column out(count, 0);
  if (!of.empty() && of.size() != count)
    throw ShapeError(sbi::text("implicit gradient: ", name, " has ", of.size(), " entries; want ", count));
  for (std::size_t i = 0; i < of.size(); ++i) {
    out[i] = static_cast<double>(of[i]);
    if (!is_finite(of[i]))
      throw ValueError(sbi::text("implicit gradient: ", name, "[", i, "] = ", of[i], "; want finite"));
  }
  return out;
}

/// The points of one side. Those without weight are given weight 1 in the plan, but do not take part.
template <class T> struct Side {
  Column weight, on, off, unit; ///< on: 1 with weight, 0 without; off = 1 - on; unit: the weight, or 1
  std::vector<T> potential;
  explicit Side(const Weights<T>& w, const std::vector<T>& known)
      : weight(w.value), on(column(weight.size(), [&](std::size_t i) { return weight[i] > 0 ? 1.0 : 0.0; })),
        off(column(weight.size(), [&](std::size_t i) { return 1 - on[i]; })),
        unit(column(weight.size(), [&](std::size_t i) { return weight[i] + off[i]; })), potential(known) {}

  [[nodiscard]] bool all_on() const { return total(off) == 0; }
  /// Potentials without weight follow from the other side's; a start may have left them where they were.
  template <class B>
  void extend(const B& be, View<const T> cost, const Weights<T>& other, const std::vector<T>& known,
              double eps) {
    std::vector<T> extension(potential.size());
    softmin(be, cost, other.log, known, eps, extension);
    for (std::size_t i = 0; i < potential.size(); ++i)
      if (on[i] == 0) potential[i] = extension[i];
  }
  [[nodiscard]] std::vector<T> bias(double eps) const {
    std::vector<T> out(potential.size(), -std::numeric_limits<T>::infinity()); // what no partner can reach
    for (std::size_t i = 0; i < out.size(); ++i)
      if (is_finite(potential[i]))
        out[i] = static_cast<T>(static_cast<double>(potential[i]) / eps + std::log(unit[i]));
    return out;
  }
  /// l1 error of the plan's sums, relative to the mass; an empty row would determine nothing.
  [[nodiscard]] double error(const Column& sums) const {
    constexpr double infinite = std::numeric_limits<double>::infinity();
    double error = 0;
    for (std::size_t i = 0; i < on.size(); ++i)
      if (on[i] > 0) error += sums[i] > 0 ? std::abs(sums[i] - weight[i]) : infinite;
    return error / total(weight);
  }
};
} // namespace sbi::ot::detail
