// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diagnostics/quantile.hpp>

#include <numbers>

namespace sbi::diagnostics {

/// Density of a one-dimensional marginal known by samples: a Gaussian kernel density with weight 1 - floor
/// plus the uniform density on the prior's range with weight `floor`, so that one far outlier costs
/// -log(floor / range) at most. The bandwidth is Silverman's 0.9 min(sd, IQR / 1.34) n^(-1/5) (1986,
/// equation 3.31), robust to outliers. The kernels are not cut at the range: a marginal that piles up at its
/// edge loses up to half its mass there.
class MarginalDensity {
public:
  /// Throws ValueError for fewer than two samples, samples that are not finite or all equal, an empty range
  /// or a floor outside [0, 1).
  MarginalDensity(std::vector<double> samples, double low, double high, double floor = 0.001)
      : samples_(sorted(std::move(samples))), low_(low), high_(high), floor_(floor) {
    if (samples_.size() < 2)
      throw ValueError(sbi::text("density: ", samples_.size(), " samples; want 2 or more"));
    if (!(low < high) || !is_finite(high - low))
      throw ValueError(sbi::text("density: range is ", low, " to ", high, "; want a finite interval"));
    if (!(floor >= 0 && floor < 1))
      throw ValueError(sbi::text("density: floor = ", floor, "; want 0 <= floor < 1"));
    const auto n = static_cast<double>(samples_.size());
    double mean = 0, squares = 0;
    for (double x : samples_) mean += x / n;
    for (double x : samples_) squares += (x - mean) * (x - mean);
    const double sd = std::sqrt(squares / (n - 1));
    const double robust = (quantile(samples_, 0.75) - quantile(samples_, 0.25)) / 1.34;
    // Half the samples on one value make the interquartile range 0: the standard deviation is left.
    bandwidth_ = 0.9 * (robust > 0 ? std::min(sd, robust) : sd) * std::pow(n, -0.2);
    if (!(bandwidth_ > 0))
      throw ValueError(sbi::text("density: all ", samples_.size(), " samples are ", samples_[0]));
  }

  [[nodiscard]] double bandwidth() const { return bandwidth_; }

  /// Kernels further than 8.5 bandwidths away are below 2e-16 of their peak and are left out.
  [[nodiscard]] double density(double x) const {
    const double reach = 8.5 * bandwidth_;
    double sum = 0;
    for (auto i = std::lower_bound(samples_.begin(), samples_.end(), x - reach);
         i != samples_.end() && *i <= x + reach; ++i) {
      const double z = (x - *i) / bandwidth_;
      sum += std::exp(-z * z / 2);
    }
    const double kernels =
        sum / (static_cast<double>(samples_.size()) * bandwidth_ * std::sqrt(2 * std::numbers::pi));
    return (1 - floor_) * kernels + (x >= low_ && x <= high_ ? floor_ / (high_ - low_) : 0);
  }

  /// Negative log density of the true value; infinity outside the range where no kernel reaches.
  [[nodiscard]] double nll(double truth) const {
    if (!is_finite(truth)) throw ValueError(sbi::text("density: truth is ", truth, "; want a finite value"));
    return -std::log(density(truth));
  }

private:
  std::vector<double> samples_;
  double low_, high_, floor_, bandwidth_ = 0;
};

} // namespace sbi::diagnostics
