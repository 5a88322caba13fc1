// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diagnostics/quantile.hpp>

#include <array>

namespace sbi::diagnostics {

/// One marginal of a posterior in numbers.
struct MarginalSummary {
  static constexpr std::array levels{0.05, 0.16, 0.50, 0.84, 0.95};
  double mean = 0;
  double standard_deviation = 0;     ///< with divisor n - 1; 0 for one sample
  std::array<double, 5> quantiles{}; ///< at `levels`
  [[nodiscard]] double median() const { return quantiles[2]; }
  /// Half the width of the central 68 % interval: the standard deviation of a Gaussian, robust for others.
  [[nodiscard]] double half_width() const { return (quantiles[3] - quantiles[1]) / 2; }
};

/// Summary of one marginal. Throws ValueError for no samples or one that is not finite.
[[nodiscard]] inline MarginalSummary summarize(std::vector<double> samples) {
  const auto values = sorted(std::move(samples));
  MarginalSummary out;
  for (std::size_t k = 0; k < out.quantiles.size(); ++k)
    out.quantiles[k] = quantile(values, MarginalSummary::levels[k]);
  const auto n = static_cast<double>(values.size());
  for (double x : values) out.mean += x / n;
  double squares = 0;
  for (double x : values) squares += (x - out.mean) * (x - out.mean);
  if (values.size() > 1) out.standard_deviation = std::sqrt(squares / (n - 1));
  return out;
}

/// Summaries of every column of samples [n, parameters].
template <class T> [[nodiscard]] std::vector<MarginalSummary> summarize(View<T> samples) {
  std::vector<MarginalSummary> out;
  for (index_t j = 0; j < samples.cols(); ++j) out.push_back(summarize(marginal(samples, j)));
  return out;
}

} // namespace sbi::diagnostics
