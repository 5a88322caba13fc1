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

/// Kolmogorov-Smirnov test of uniform normalised ranks u among `samples` samples each, the p-value with
/// Stephens' (1970, JRSS B 32) correction for a finite number n of ranks. A rank stands for the interval of
/// width 1 / (samples + 1) around its u, and D = max |F_n - F| over the edges of these intervals. Calibrated
/// ranks without ties, each moved at random inside its interval, would be continuous and uniform with a D at
/// least as large: the test is conservative, the more so the fewer samples there are. Throws ValueError for
/// no ranks, fewer than one sample and a u that is no rank among so many.
[[nodiscard]] inline TestResult kolmogorov_smirnov_uniformity(std::span<const double> u, index_t samples) {
  if (u.empty()) throw ValueError("Kolmogorov-Smirnov test: no ranks; want one or more");
  if (samples < 1)
    throw ValueError(sbi::text("Kolmogorov-Smirnov test: ranks among ", samples, " samples; want 1 or more"));
  const double half = 0.5 / static_cast<double>(samples + 1);
  std::vector<double> sorted(u.begin(), u.end());
  for (double v : sorted) {
    const double edges = v / half; // 1, 3, 5, ... or, where ties count half, an even number between
    if (!(edges > 0.5 && v < 1) || std::abs(edges - std::round(edges)) > 1e-6)
      throw ValueError(sbi::text("Kolmogorov-Smirnov test: u = ", v, " is no normalised rank among ", samples,
                                 " samples"));
  }
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  double distance = 0;
  for (std::size_t first = 0, last = 0; first < sorted.size(); first = last) {
    const double low = sorted[first] - half, high = sorted[first] + half;
    while (last < sorted.size() && sorted[last] < sorted[first] + half / 2) ++last; // the ranks at this u
    distance = std::max({distance, std::abs(static_cast<double>(first) / n - low),
                         std::abs(static_cast<double>(last) / n - high)});
  }
  return {distance, kolmogorov_tail((std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * distance)};
}

} // namespace sbi::diagnostics
