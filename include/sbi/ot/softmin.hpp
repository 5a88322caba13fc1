// SPDX-License-Identifier: MIT
// The inner loop of entropic transport: a log-sum-exp of every row of the cost matrix.
#pragma once
#include <sbi/ot/cost.hpp>

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
  /// value_i = base_i exp(log_factor_i)
  void assign_scaled(const Weights& base, const std::vector<double>& log_factor) {
    mass = 0;
    for (std::size_t i = 0; i < value.size(); ++i) {
      value[i] = base.value[i] * std::exp(log_factor[i]);
      mass += value[i];
      // From the logarithm, which stays finite where the weight underflows.
      if (base.value[i] > 0) log[i] = static_cast<T>(std::log(base.value[i]) + log_factor[i]);
    }
  }

private:
  void set_logs() {
    for (std::size_t i = 0; i < value.size(); ++i)
      log[i] = value[i] > 0 ? static_cast<T>(std::log(value[i])) : -std::numeric_limits<T>::infinity();
  }
};

namespace detail {
/// log sum_j exp(bias_j - scale c_j), minus infinity when no term is above it. Two passes: the maximum, then
/// the sum.
template <class T> [[nodiscard]] T log_sum_exp_row(const T* cost, const T* bias, T scale, index_t count) {
  using V = Vec<T>;
  constexpr index_t lanes = V::lanes, chunk = 4 * lanes;
  const T lowest = -std::numeric_limits<T>::infinity();
  const index_t tail = count / lanes * lanes;
  const V factor(-scale);
  const auto term = [&](index_t j) { return V::load(bias + j) + factor * V::load(cost + j); };
  const auto tail_term = [&] {
    const index_t rest = count - tail;
    return first_lanes(V::load(bias + tail, rest) + factor * V::load(cost + tail, rest), rest, lowest);
  };
  V best[4] = {V(lowest), V(lowest), V(lowest), V(lowest)};
  index_t j = 0;
  for (; j + chunk <= count; j += chunk)
    for (int v = 0; v < 4; ++v) best[v] = max(term(j + v * lanes), best[v]);
  for (; j < tail; j += lanes) best[0] = max(term(j), best[0]);
  if (tail < count) best[0] = max(tail_term(), best[0]);
  const T peak = horizontal_max(max(max(best[0], best[1]), max(best[2], best[3])));
  if (peak == lowest) return lowest;
  const V shift(-peak);
  V sum[4] = {V(0), V(0), V(0), V(0)};
  for (j = 0; j + chunk <= count; j += chunk)
    for (int v = 0; v < 4; ++v) sum[v] += exp(term(j + v * lanes) + shift);
  for (; j < tail; j += lanes) sum[0] += exp(term(j) + shift);
  if (tail < count) sum[0] += exp(tail_term() + shift);
  return peak + std::log(horizontal_sum((sum[0] + sum[1]) + (sum[2] + sum[3])));
}

/// out_j = exp(left + right_j - scale c_j), exactly 0 where a bias is minus infinity.
template <class T> void plan_row(const T* cost, const T* right, T left, T scale, index_t count, T* out) {
  using V = Vec<T>;
  const V row(left), factor(-scale);
  index_t j = 0;
  for (; j + V::lanes <= count; j += V::lanes)
    exp(row + V::load(right + j) + factor * V::load(cost + j)).store(out + j);
  if (j < count)
    exp(row + V::load(right + j, count - j) + factor * V::load(cost + j, count - j))
        .store(out + j, count - j);
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
} // namespace detail

/// out_i = -eps log sum_j b_j exp((g_j - C_ij) / eps) for cost C [n, m], log b [m] and g [m]: the potential
/// that makes the rows exact. Entries of weight 0 take no part, whatever their potential; a row without any
/// finite term gives plus infinity.
template <class B, class T = typename B::compute_t>
void softmin(const B& be, std::type_identity_t<View<const T>> cost,
             std::type_identity_t<std::span<const T>> log_b, std::type_identity_t<std::span<const T>> g,
             double eps, std::type_identity_t<std::span<T>> out) {
  const auto m = static_cast<std::size_t>(cost.cols());
  const std::vector<T> bias = detail::biases<T>(log_b, g, eps);
  if constexpr (is_reference_v<B>) {
    for (index_t i = 0; i < cost.rows(); ++i) {
      double peak = -std::numeric_limits<double>::infinity(), sum = 0;
      const auto term = [&](std::size_t j) {
        return static_cast<double>(bias[j]) - static_cast<double>(cost(i, static_cast<index_t>(j))) / eps;
      };
      for (std::size_t j = 0; j < m; ++j) peak = std::max(peak, term(j));
      if (peak > -std::numeric_limits<double>::infinity())
        for (std::size_t j = 0; j < m; ++j) sum += std::exp(term(j) - peak);
      out[static_cast<std::size_t>(i)] = static_cast<T>(-eps * (sum > 0 ? peak + std::log(sum) : peak));
    }
  } else {
    const T scale = static_cast<T>(1 / eps);
    detail::for_each_row(be, cost.rows(), [&](index_t i) {
      const T value = detail::log_sum_exp_row(cost.row(i), bias.data(), scale, cost.cols());
      out[static_cast<std::size_t>(i)] = static_cast<T>(-eps * static_cast<double>(value));
    });
  }
}

} // namespace sbi::ot
