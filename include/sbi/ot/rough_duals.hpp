// SPDX-License-Identifier: MIT
// Dual variables near the optimal ones of a transport problem between given costs, to begin from: some rounds
// of Sinkhorn's algorithm at falling epsilon, in float, without a claim to convergence.
#pragma once
#include <sbi/ot/transport_arcs.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace sbi::ot::detail {

struct RoughDuals {
  std::vector<double> f, g; ///< [n], [m]
};

/// The largest f for which f_i + g_j <= C_ij; 0 for a row without arcs.
[[nodiscard]] inline double row_slack(const double* cost, const double* g, index_t m) {
  const double least = -VectorRow<double>{m}.max([&](auto j) { return load(g, j) - load(cost, j); });
  return is_finite(least) ? least : 0;
}

/// How far costs stand above the least of their row: the median over a sample of at most 64 x 64. 0 when all
/// of them are the same.
[[nodiscard]] inline double typical_slack(View<const double> cost) {
  const auto step = [](index_t size) { return std::max<index_t>(1, size / 64); };
  std::vector<double> above;
  for (index_t i = 0; i < cost.rows(); i += step(cost.rows())) {
    double least = no_arc;
    for (index_t j = 0; j < cost.cols(); j += step(cost.cols())) least = std::min(least, cost(i, j));
    for (index_t j = 0; j < cost.cols(); j += step(cost.cols()))
      if (cost(i, j) < no_arc && cost(i, j) > least) above.push_back(cost(i, j) - least);
  }
  if (above.empty()) return 0;
  const auto middle = above.begin() + static_cast<std::ptrdiff_t>(above.size() / 2);
  std::nth_element(above.begin(), middle, above.end());
  return *middle;
}

/// Sinkhorn's algorithm between every `stride`-th row and column, on the kernel exp((f_i + g_j - C_ij) /
/// eps), which is taken anew with every epsilon, so that nothing leaves the range of float.
class KernelRounds {
public:
  KernelRounds(View<const double> cost, const std::vector<double>& a, const std::vector<double>& b,
               index_t stride)
      : cost_(cost), stride_(stride), rows_((cost.rows() + stride - 1) / stride),
        columns_((cost.cols() + stride - 1) / stride), a_(every(a)), b_(every(b)),
        kernel_(Shape{rows_, padded(columns_)}), left_(static_cast<std::size_t>(rows_)),
        right_(static_cast<std::size_t>(padded(columns_))), sum_(right_.size()),
        row_(static_cast<std::size_t>(columns_)) {
    double of_a = 0, of_b = 0;
    for (const float w : a_) of_a += static_cast<double>(w);
    for (const float w : b_) of_b += static_cast<double>(w);
    for (float& w : b_) w *= static_cast<float>(of_b > 0 ? std::clamp(of_a / of_b, 1e-6, 1e6) : 1);
  }

  /// `rounds` updates of both sides at this epsilon. f is made from g first, g is used and changed at the
  /// columns that take part.
  void run(double eps, int rounds, std::vector<double>& f, std::vector<double>& g) {
    const std::vector<double> other = every_double(g);
    fill(eps, f, other);
    std::fill(right_.begin(), right_.end(), 0.0f);
    std::fill_n(right_.begin(), columns_, 1.0f);
    std::fill(left_.begin(), left_.end(), 1.0f);
    for (int round = 0; round < rounds; ++round) update();
    // Sides that vanish in float keep their potential.
    for (index_t i = 0; i < rows_; ++i)
      f[at(i * stride_)] += eps * std::log(static_cast<double>(left_[at(i)]));
    for (index_t j = 0; j < columns_; ++j)
      g[at(j * stride_)] += eps * std::log(static_cast<double>(right_[at(j)]));
  }

private:
  using V = Vec<float>;
  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
  static index_t padded(index_t count) { return (count + 4 * V::lanes - 1) / (4 * V::lanes) * 4 * V::lanes; }
  [[nodiscard]] std::vector<float> every(const std::vector<double>& x) const {
    std::vector<float> out;
    for (std::size_t i = 0; i < x.size(); i += at(stride_)) out.push_back(static_cast<float>(x[i]));
    return out;
  }
  [[nodiscard]] std::vector<double> every_double(const std::vector<double>& x) const {
    std::vector<double> out;
    for (std::size_t i = 0; i < x.size(); i += at(stride_)) out.push_back(x[i]);
    return out;
  }
  void fill(double eps, std::vector<double>& f, const std::vector<double>& g) {
    const double scale = 1.4426950408889634 / eps;
    for (index_t i = 0; i < rows_; ++i) {
      const double* cost = cost_.row(i * stride_);
      if (stride_ > 1) {
        for (index_t j = 0; j < columns_; ++j) row_[at(j)] = cost[j * stride_];
        cost = row_.data();
      }
      const double own = row_slack(cost, g.data(), columns_);
      f[at(i * stride_)] = own;
      float* k = kernel_.row(i);
      constexpr index_t step = native_lanes<double>;
      for (index_t j = 0; j < columns_; j += step)
        write(k + j, cost + j, g.data() + j, own, scale, columns_ - j);
    }
  }
  /// exp((own + g_j - cost_j) / eps) of one vector of columns, at most `count`.
  static void write(float* k, const double* cost, const double* g, double own, double scale, index_t count) {
    using Wide = Vec<double>;
    using Narrow = Vec<float, Wide::lanes>;
    const bool all = count >= Wide::lanes;
    const Wide c = all ? Wide::load(cost) : Wide::load(cost, count);
    const Wide other = all ? Wide::load(g) : Wide::load(g, count);
    const Wide power = (Wide(own) + (other - c)) * Wide(scale);
    const Narrow narrow(__builtin_convertvector(select(power < Wide(-126), Wide(-126), power).raw,
                                                typename Narrow::raw_type));
    const Narrow value = select(narrow > Narrow(-100), exp2_bounded(narrow), Narrow(0));
    all ? value.store(k) : value.store(k, count);
  }
  /// One pass: the rows with the old columns, and what the new rows send to the columns.
  void update() {
    constexpr float least = 1e-30f;
    const index_t width = kernel_.cols();
    std::fill(sum_.begin(), sum_.end(), 0.0f);
    for (index_t i = 0; i < rows_; ++i) {
      const float* k = kernel_.row(i);
      V part[4] = {V(0), V(0), V(0), V(0)};
      for (index_t j = 0; j < width; j += 4 * V::lanes)
#pragma GCC unroll 4
        for (index_t v = 0; v < 4; ++v)
          part[v] = fused_multiply_add(V::load(k + j + v * V::lanes),
                                       V::load(right_.data() + j + v * V::lanes), part[v]);
      const float row = horizontal_sum((part[0] + part[1]) + (part[2] + part[3]));
      if (row > least) left_[at(i)] = std::max(least, a_[at(i)] / row);
      const V own(left_[at(i)]);
      for (index_t j = 0; j < width; j += V::lanes)
        fused_multiply_add(own, V::load(k + j), V::load(sum_.data() + j)).store(sum_.data() + j);
    }
    for (index_t j = 0; j < columns_; ++j)
      if (sum_[at(j)] > least) right_[at(j)] = std::max(least, b_[at(j)] / sum_[at(j)]);
  }

  View<const double> cost_;
  index_t stride_, rows_, columns_;
  std::vector<float> a_, b_;
  Tensor<float> kernel_; ///< rows padded with zeros
  std::vector<float> left_, right_, sum_;
  std::vector<double> row_;
};

/// Of costs [n, m], some of which may be infinite, and weights of positive sum.
[[nodiscard]] inline RoughDuals rough_duals(View<const double> cost, const std::vector<double>& a,
                                            const std::vector<double>& b) {
  const FlushDenormals flush; // alike on every thread
  const index_t n = cost.rows(), m = cost.cols();
  RoughDuals out{std::vector<double>(a.size(), 0), std::vector<double>(b.size(), 0)};
  const double unit = typical_slack(cost), mass = std::accumulate(a.begin(), a.end(), 0.0);
  constexpr index_t few = 48, coarse = 4;
  if (n * m >= few * few && unit > 1e-290) { // what epsilon divides stays in range
    // Weights near 1, in the range of float.
    std::vector<double> wa(a), wb(b);
    for (double& w : wa) w *= static_cast<double>(n) / mass;
    for (double& w : wb) w *= static_cast<double>(n) / mass;
    double eps = unit / 5;
    const auto run = [&](index_t stride, int stages, int updates) {
      KernelRounds rounds(cost, wa, wb, stride);
      for (int stage = 0; stage < stages; ++stage, eps /= 2) rounds.run(eps, updates, out.f, out.g);
    };
    const bool two_sizes = std::min(n, m) >= coarse * few;
    if (two_sizes) {
      run(coarse, 2, 8);
      std::fill(out.g.begin(), out.g.end(), no_arc);
      for (index_t i = 0; i < n; i += coarse)
        for (index_t j = 0; j < m; ++j) {
          double& g = out.g[static_cast<std::size_t>(j)];
          g = std::min(g, cost(i, j) - out.f[static_cast<std::size_t>(i)]);
        }
      std::replace(out.g.begin(), out.g.end(), no_arc, 0.0);
    }
    run(1, two_sizes ? 3 : 5, 6);
  }
  for (index_t i = 0; i < n; ++i)
    out.f[static_cast<std::size_t>(i)] = row_slack(cost.row(i), out.g.data(), m);
  return out;
}

} // namespace sbi::ot::detail
