// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diagnostics/quantile.hpp>

namespace sbi::diagnostics {

/// Which estimator of the spread term E|X - X'| the score uses.
enum class Crps {
  fair,     ///< divisor n (n - 1): unbiased for the distribution behind the samples (Ferro 2014, QJRMS 140)
  ensemble, ///< divisor n^2: exact for the empirical distribution of the samples themselves
};

/// Continuous ranked probability score E|X - truth| - E|X - X'| / 2 (Gneiting & Raftery 2007, JASA 102,
/// equation 21) of a marginal known by samples, in the unit of the values; lower is better. O(n log n): with
/// sorted samples the sum of |x_i - x_j| over all pairs is 2 sum_i (2 i - n + 1) x_i. Throws ValueError for
/// no samples (two are wanted by the fair estimator), or for a value that is not finite.
[[nodiscard]] inline double crps(std::vector<double> samples, double truth, Crps estimator = Crps::fair) {
  const std::size_t wanted = estimator == Crps::fair ? 2 : 1;
  if (samples.size() < wanted)
    throw ValueError(sbi::text("crps: ", samples.size(), " samples; want ", wanted, " or more"));
  if (!is_finite(truth)) throw ValueError(sbi::text("crps: truth is ", truth, "; want a finite value"));
  const auto values = sorted(std::move(samples));
  const auto n = static_cast<double>(values.size());
  double distance = 0, spread = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    distance += std::abs(values[i] - truth);
    spread += (2 * static_cast<double>(i) - n + 1) *
              (values[i] - truth); // the weights sum to 0: any origin will do
  }
  return distance / n - spread / (n * (estimator == Crps::fair ? n - 1 : n));
}

} // namespace sbi::diagnostics
