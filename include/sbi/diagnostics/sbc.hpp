// SPDX-License-Identifier: MIT
// Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788): are the ranks of the truths uniform?
#pragma once
#include <sbi/diagnostics/incomplete_gamma.hpp>
#include <sbi/diagnostics/ranks.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sbi::diagnostics {

/// A test of a null hypothesis: its statistic and the probability of one as large if the hypothesis holds.
struct TestResult {
  double statistic = 0, p_value = 1;
};

/// Counts of normalised ranks u (Ranks::of) in equal bins on (0, 1).
[[nodiscard]] inline std::vector<index_t> rank_histogram(std::span<const double> u, int bins) {
  if (bins < 2) throw ValueError(sbi::text("rank histogram: ", bins, " bins; want 2 or more"));
  std::vector<index_t> counts(static_cast<std::size_t>(bins));
  for (double v : u) {
    if (!(v > 0 && v < 1)) throw ValueError(sbi::text("rank histogram: u = ", v, "; want 0 < u < 1"));
    ++counts[std::min(static_cast<std::size_t>(v * bins), counts.size() - 1)];
  }
  return counts;
}

/// Pearson's chi-squared test of uniform ranks. The number of samples a rank was taken among, plus 1, should
/// be a multiple of `bins`, and a bin should expect 5 ranks or more.
[[nodiscard]] inline TestResult chi_squared_uniformity(std::span<const double> u, int bins = 20) {
  if (u.empty()) throw ValueError("chi-squared test: no ranks; want one or more");
  const double expected = static_cast<double>(u.size()) / bins;
  double statistic = 0;
  for (index_t count : rank_histogram(u, bins))
    statistic += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  return {statistic, chi_squared_tail(statistic, bins - 1)};
}

/// Limiting distribution of sqrt(n) D: P(K > x) = 2 sum_k (-1)^(k-1) exp(-2 k^2 x^2) (Kolmogorov 1933), below
/// x = 1 by its theta-function transform, which converges there.
[[nodiscard]] inline double kolmogorov_tail(double x) {
  if (x <= 0.04) return 1;
  double sum = 0;
  if (x < 1) {
    for (int k = 1; k <= 9; k += 2)
      sum += std::exp(-k * k * std::numbers::pi * std::numbers::pi / (8 * x * x));
    return 1 - std::sqrt(2 * std::numbers::pi) / x * sum;
  }
  for (int k = 1; k <= 5; ++k) sum += (k % 2 ? 2 : -2) * std::exp(-2 * k * k * x * x);
  return sum;
}

/// Kolmogorov-Smirnov test of uniform ranks: D = max |F_n - F|, its p-value with Stephens' (1970, JRSS B 32)
/// correction for finite n. Ranks among few samples are discrete, which makes the test conservative.
[[nodiscard]] inline TestResult kolmogorov_smirnov_uniformity(std::span<const double> u) {
  if (u.empty()) throw ValueError("Kolmogorov-Smirnov test: no ranks; want one or more");
  std::vector<double> sorted(u.begin(), u.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  double distance = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto below = static_cast<double>(i);
    distance = std::max({distance, sorted[i] - below / n, (below + 1) / n - sorted[i]});
  }
  return {distance, kolmogorov_tail((std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * distance)};
}

} // namespace sbi::diagnostics
