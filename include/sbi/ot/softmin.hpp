// SPDX-License-Identifier: MIT
// The inner loop of entropic transport: a log-sum-exp of every row of the cost matrix.
#pragma once
#include <sbi/ot/cost.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace sbi::ot {

/// Weights of a cloud, checked: values in double, their logarithms (minus infinity for 0) and their sum.
template <class T> struct Weights {
  std::vector<double> value;
  std::vector<T> log;
  double mass = 0;

  /// An empty span stands for 1/n each. Throws ShapeError for another size than n, ValueError for a weight
  /// that is negative or not finite and for weights that are all 0.
  Weights(const char* name, std::span<const T> weights, index_t n) {
    if (n == 0) throw ShapeError(sbi::text("ot: cloud ", name, " has no points; want at least 1"));
    if (!weights.empty() && static_cast<index_t>(weights.size()) != n)
      throw ShapeError(sbi::text("ot: ", weights.size(), " weights ", name, " for ", n, " points"));
    value.assign(static_cast<std::size_t>(n), 1.0 / static_cast<double>(n));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      value[i] = static_cast<double>(weights[i]);
      if (!is_finite(value[i]) || value[i] < 0)
        throw ValueError(sbi::text("ot: weight ", name, "[", i, "] = ", value[i], "; want >= 0 and finite"));
    }
    for (double w : value) mass += w;
    if (!(mass > 0)) throw ValueError(sbi::text("ot: the weights ", name, " sum to ", mass, "; want > 0"));
    log.resize(value.size());
    set_logs();
  }
  void scale(double factor) {
    for (double& w : value) w *= factor;
    mass *= factor;
    set_logs();
  }
  /// value_i = base_i exp(log_factor_i), 0 where base_i is, whatever the factor
  void assign_scaled(const Weights& base, const std::vector<double>& log_factor) {
    using V = Vec<double>;
    mass = VectorRow<double>{static_cast<index_t>(value.size())}.sum([&](auto at) {
      const V weight = load(base.value.data(), at);
      const V scaled = select(weight > V(0), weight * exp(load(log_factor.data(), at)), V(0));
      store(value.data(), at, scaled);
      return scaled;
    });
    // From the logarithm, which stays finite where the weight underflows.
    for (std::size_t i = 0; i < value.size(); ++i)
      if (base.value[i] > 0) log[i] = static_cast<T>(static_cast<double>(base.log[i]) + log_factor[i]);
  }

private:
  void set_logs() {
    for (std::size_t i = 0; i < value.size(); ++i)
      log[i] = value[i] > 0 ? static_cast<T>(std::log(value[i])) : -std::numeric_limits<T>::infinity();
  }
};

namespace detail {
/// Scales b to the mass of a; throws ValueError, in the name of `who`, when they differ by more than
/// rounding. `otherwise`: what else would do.
template <class T>
void balance(const char* who, const Weights<T>& a, Weights<T>& b, const char* otherwise = "") {
  if (std::abs(a.mass - b.mass) > std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())) * a.mass)
    throw ValueError(
        sbi::text(who, ": a sums to ", a.mass, ", b to ", b.mass, "; want equal masses", otherwise));
  b.scale(a.mass / b.mass);
}

/// log sum_j exp(bias_j - scale c_j) of one row, minus infinity when no term is above it.
template <class Row, class T>
[[nodiscard]] typename Row::scalar log_sum_exp_row(Row row, const T* cost, const T* bias,
                                                   typename Row::scalar scale) {
  using std::exp;
  using S = typename Row::scalar;
  // In one rounding by name: which products compilers fuse differs between copies of this code, for one
  // thread and for several, and with it the bits.
  const auto term = [&](auto j) {
    return fused_multiply_add(decltype(load(bias, j))(-scale), load(cost, j), load(bias, j));
  };
  const S top = row.max(term);
  if (top == -std::numeric_limits<S>::infinity()) return top;
  return top + std::log(row.sum([&](auto j) { return exp(term(j) - decltype(load(bias, j))(top)); }));
}

/// out_j = exp(left + right_j - scale c_j), exactly 0 where a bias is minus infinity.
template <class Row, class T>
void plan_row(Row row, const T* cost, const T* right, typename Row::scalar left, typename Row::scalar scale,
              T* out) {
  using std::exp;
  row.each([&](auto j) {
    using V = decltype(load(cost, j));
    store(out, j, exp(fused_multiply_add(V(-scale), load(cost, j), V(left) + load(right, j))));
  });
}

/// g_j / eps + log b_j, minus infinity without weight whatever the potential is.
template <class T>
[[nodiscard]] std::vector<T> biases(std::span<const T> log_b, std::span<const T> g, double eps) {
  std::vector<T> out(log_b.begin(), log_b.end());
  for (std::size_t j = 0; j < out.size(); ++j)
    if (is_finite(out[j]))
      out[j] = static_cast<T>(static_cast<double>(g[j]) / eps + static_cast<double>(out[j]));
  return out;
}
/// g_j + eps log b_j: the same in units of the cost.
template <class T>
[[nodiscard]] std::vector<T> levels(std::span<const T> log_b, std::span<const T> g, double eps) {
  std::vector<T> out(log_b.begin(), log_b.end());
  for (std::size_t j = 0; j < out.size(); ++j)
    if (is_finite(out[j]))
      out[j] = static_cast<T>(static_cast<double>(g[j]) + eps * static_cast<double>(out[j]));
  return out;
}

/// Whether sums of powers of two relative to an estimate have lost nothing that counts: no term is above
/// 2^80, where exponents are cut off at 2^126, and the sum is not below 2^-60, so that what is lost below
/// 2^-126 is far below rounding.
[[nodiscard]] inline bool is_safe(double sum) { return sum > 1e-18 && sum < 1e24; }

/// -top - eps log sum, of sum = sum_j exp((level_j - cost_j - top) / eps); plus infinity without a term, NaN
/// where one is not a number.
[[nodiscard]] inline double softmin_of(double top, double sum, double eps) {
  if (!is_finite(top)) return -top;
  return is_safe(sum) ? -top - eps * std::log(sum) : missing;
}
} // namespace detail

/// out_i = -eps log sum_j b_j exp((g_j - C_ij) / eps) for cost C [n, m], log b [m] and g [m]: the potential
/// that makes the rows exact. Entries of weight 0 take no part, whatever their potential; a row without any
/// finite term gives plus infinity. `out` holds an estimate on entry, such as its value of the round before:
/// a good one saves a pass over the row, and changes nothing but the last digits.
template <class B, class T = typename B::compute_t>
void softmin(const B& be, std::type_identity_t<View<const T>> cost,
             std::type_identity_t<std::span<const T>> log_b, std::type_identity_t<std::span<const T>> g,
             double eps, std::type_identity_t<std::span<T>> out) {
  const auto row = row_of(be, cost.cols());
  if constexpr (is_reference_v<B>) {
    const std::vector<T> bias = detail::biases<T>(log_b, g, eps);
    detail::for_each_row(be, cost.rows(), [&](index_t i) {
      out[static_cast<std::size_t>(i)] =
          static_cast<T>(-eps * detail::log_sum_exp_row(row, cost.row(i), bias.data(), 1 / eps));
    });
  } else {
    using V = Vec<T>;
    const std::vector<T> level = detail::levels<T>(log_b, g, eps);
    const V scale(1.4426950408889634 / eps);
    detail::for_each_row(be, cost.rows(), [&](index_t i) {
      const auto term = [&](auto j) { return load(level.data(), j) - load(cost.row(i), j); };
      const auto sum_above = [&](T top) {
        return static_cast<double>(row.sum([&](auto j) { return exp2_bounded((term(j) - V(top)) * scale); }));
      };
      T& value = out[static_cast<std::size_t>(i)];
      T top = is_finite(value) ? -value : T{0};
      double sum = sum_above(top);
      if (!detail::is_safe(sum)) {
        top = row.max(term);
        if (is_finite(top)) sum = sum_above(top);
      }
      value = static_cast<T>(detail::softmin_of(static_cast<double>(top), sum, eps));
    });
  }
}

/// out_j = -eps log sum_i a_i exp((f_i - C_ij) / eps): the softmin of the columns, as `softmin` of the
/// transposed cost gives it.
template <class B, class T = typename B::compute_t>
void softmin_columns(const B& be, std::type_identity_t<View<const T>> cost,
                     std::type_identity_t<std::span<const T>> log_a,
                     std::type_identity_t<std::span<const T>> f, double eps,
                     std::type_identity_t<std::span<T>> out) {
  if constexpr (is_reference_v<B>) {
    const Tensor<T> columns = detail::transposed(cost, cost.rows());
    softmin(be, columns.view(), log_a, f, eps, out);
  } else {
    using V = Vec<T>;
    constexpr int vectors = 4;
    constexpr index_t panel = vectors * V::lanes; // of columns
    const std::vector<T> level = detail::levels<T>(log_a, f, eps);
    const V scale(1.4426950408889634 / eps);
    be.for_each((cost.cols() + panel - 1) / panel, [&](index_t block) {
      const FlushDenormals flush;
      const index_t first = block * panel, count = std::min(panel, cost.cols() - first);
      V top[vectors], sum[vectors];
      T tops[panel] = {}, sums[panel];
      const auto each_term = [&](auto&& use) {
        for (index_t i = 0; i < cost.rows(); ++i) {
          const T* row = cost.row(i) + first;
          const V own(level[static_cast<std::size_t>(i)]);
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v) {
            const index_t at = v * V::lanes;
            if (at + V::lanes <= count)
              use(v, own - V::load(row + at));
            else if (at < count)
              use(v, own - V::load(row + at, count - at));
          }
        }
      };
      const auto sum_above_tops = [&] {
        for (int v = 0; v < vectors; ++v) top[v] = V::load(tops + v * V::lanes), sum[v] = V(0);
        each_term([&](int v, V term) { sum[v] += exp2_bounded((term - top[v]) * scale); });
        for (int v = 0; v < vectors; ++v) sum[v].store(sums + v * V::lanes);
      };
      T* to = out.data() + first;
      for (index_t j = 0; j < count; ++j) tops[j] = is_finite(to[j]) ? -to[j] : T{0};
      sum_above_tops();
      if (!std::all_of(sums, sums + count, detail::is_safe)) {
        for (V& t : top) t = V(-std::numeric_limits<T>::infinity());
        each_term([&](int v, V term) { top[v] = max(term, top[v]); });
        for (int v = 0; v < vectors; ++v) top[v].store(tops + v * V::lanes);
        sum_above_tops();
      }
      for (index_t j = 0; j < count; ++j)
        to[j] = static_cast<T>(
            detail::softmin_of(static_cast<double>(tops[j]), static_cast<double>(sums[j]), eps));
    });
  }
}

} // namespace sbi::ot
