// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/normal.hpp>
#include <sbi/inference/simulator.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

namespace sbi {

namespace detail {

/// Calls f(); an error of a value in it names row i, too.
template <class F> void in_row(index_t i, F&& f) {
  try {
    f();
  } catch (const ValueError& error) {
    throw ValueError(sbi::text("row ", i, ": ", error.what()));
  }
}

} // namespace detail

/// Maps a node between its own unit and the network's: a bijection that takes bounds to infinity (probit
/// between two bounds, logarithm at one), then zero mean and unit variance. Whatever the network samples lies
/// inside the bounds.
class NodeTransform {
public:
  NodeTransform() = default;
  /// Throws ValueError for low >= high.
  explicit NodeTransform(Bounds bounds) : bounds_(bounds) {
    if (!(bounds.low < bounds.high))
      throw ValueError(sbi::text("bounds [", bounds.low, ", ", bounds.high, "]; want low < high"));
  }
  NodeTransform(Bounds bounds, double mean, double stddev) : NodeTransform(bounds) {
    mean_ = mean, stddev_ = stddev;
  }

  /// Sets mean and standard deviation from values (missing ones left out). A constant node keeps deviation 1.
  /// Throws ValueError naming row and node for a value outside the bounds, and naming the node where the
  /// variance overflows.
  template <class Values> void fit(const Values& values, const std::string& name) {
    double n = 0, sum = 0, square = 0;
    index_t row = 0;
    for (double v : values) {
      detail::in_row(row++, [&] {
        if (is_missing(v)) return;
        const double u = unbounded(v, name), d = u - sum / std::max(n, 1.0);
        n += 1, sum += u, square += d * (u - sum / n); // Welford
      });
    }
    mean_ = n > 0 ? sum / n : 0;
    const double variance = n > 1 ? square / n : 0;
    if (!is_finite(variance) || !is_finite(mean_ * mean_))
      throw ValueError(sbi::text(name, ": mean ", mean_, " and variance ", variance,
                                 "; want values whose squares are finite"));
    stddev_ = variance > 1e-24 * mean_ * mean_ ? std::sqrt(variance) : 1; // rounding leaves 1e-32 at most
  }
  /// Throws ValueError for a value outside the bounds or not finite; `name` is how the error calls it.
  [[nodiscard]] double to_network(double v, std::string_view name = "value") const {
    return (unbounded(v, name) - mean_) / stddev_;
  }
  [[nodiscard]] double from_network(double z) const {
    constexpr double most = std::numeric_limits<double>::max();
    const double u = mean_ + stddev_ * z;
    switch (kind()) { // the sum of the first may round to beyond the bound, the exponentials may overflow
    case Kind::both:
      return std::min(bounds_.low + (bounds_.high - bounds_.low) * normal_cdf(u), bounds_.high);
    case Kind::low:
      return std::min(bounds_.low + std::exp(u), most);
    case Kind::high:
      return std::max(bounds_.high - std::exp(-u), -most);
    default:
      return u;
    }
  }
  /// A measurement error in the network's unit. Only unbounded nodes carry errors.
  [[nodiscard]] double error_to_network(double sigma) const { return sigma / stddev_; }
  /// The same in T. Throws ValueError for an error that is negative, not finite or too large for T.
  template <class T> [[nodiscard]] T error_to_network(double sigma, std::string_view name) const {
    if (!is_finite(sigma) || sigma < 0)
      throw ValueError(sbi::text("error of ", name, " = ", sigma, "; want a finite number, at least 0"));
    const T out = static_cast<T>(error_to_network(sigma));
    if (!is_finite(out))
      throw ValueError(sbi::text("error of ", name, " = ", sigma, "; want a number within ",
                                 std::numeric_limits<T>::max(), " standard deviations (", stddev_, ")"));
    return out;
  }
  [[nodiscard]] Bounds bounds() const { return bounds_; }
  [[nodiscard]] double mean() const { return mean_; }
  [[nodiscard]] double stddev() const { return stddev_; }

private:
  enum class Kind { none, low, high, both };
  [[nodiscard]] Kind kind() const {
    const bool low = is_finite(bounds_.low), high = is_finite(bounds_.high);
    return low && high ? Kind::both : low ? Kind::low : high ? Kind::high : Kind::none;
  }
  [[nodiscard]] double unbounded(double v, std::string_view name) const {
    if (!is_finite(v) || v < bounds_.low || v > bounds_.high)
      throw ValueError(
          sbi::text(name, " = ", v, "; want a finite value in [", bounds_.low, ", ", bounds_.high, "]"));
    // A value on the bound itself, which a prior may draw in rounded numbers, is moved inside: by 1e-12 of
    // the range, or of the node's unit where there is but one bound.
    constexpr double margin = 1e-12;
    switch (kind()) {
    case Kind::both:
      return normal_quantile(
          std::clamp((v - bounds_.low) / (bounds_.high - bounds_.low), margin, 1 - margin));
    case Kind::low:
      return std::log(v > bounds_.low ? v - bounds_.low : margin);
    case Kind::high:
      return -std::log(v < bounds_.high ? bounds_.high - v : margin);
    default:
      return v;
    }
  }

  Bounds bounds_;
  double mean_ = 0, stddev_ = 1;
};

} // namespace sbi
