// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace sbi::forward {

/// The natural cubic spline through points (x, y): twice continuously differentiable, with no curvature at
/// its ends. Never extrapolates.
class CubicSpline {
public:
  CubicSpline() = default;
  /// Throws ShapeError for unequal lengths or fewer than two points, ValueError unless x increases and all
  /// values are finite.
  CubicSpline(std::vector<double> x, std::vector<double> y) : x_(std::move(x)), y_(std::move(y)) {
    const std::size_t n = x_.size();
    if (n < 2 || y_.size() != n)
      throw ShapeError(sbi::text("cubic spline: ", n, " abscissae and ", y_.size(),
                                 " ordinates; want as many of each, two or more"));
    for (std::size_t i = 0; i < n; ++i)
      if (!is_finite(x_[i]) || !is_finite(y_[i]) || (i > 0 && !(x_[i] > x_[i - 1])))
        throw ValueError(
            sbi::text("cubic spline: point ", x_[i], ", ", y_[i], "; want finite values at increasing x"));
    // Second derivatives m: h0 m0 + 2 (h0 + h1) m1 + h1 m2 = 6 (slope1 - slope0) at every inner point.
    curvature_.assign(n, 0.0);
    std::vector<double> upper(n, 0.0);
    for (std::size_t i = 1; i + 1 < n; ++i) {
      const double h0 = x_[i] - x_[i - 1], h1 = x_[i + 1] - x_[i];
      const double pivot = 2 * (h0 + h1) - h0 * upper[i - 1];
      upper[i] = h1 / pivot;
      curvature_[i] =
          (6 * ((y_[i + 1] - y_[i]) / h1 - (y_[i] - y_[i - 1]) / h0) - h0 * curvature_[i - 1]) / pivot;
    }
    for (std::size_t i = n - 1; i-- > 1;) curvature_[i] -= upper[i] * curvature_[i + 1];
  }

  [[nodiscard]] const std::vector<double>& x() const { return x_; }
  [[nodiscard]] const std::vector<double>& y() const { return y_; }

  /// Throws ValueError outside [x.front(), x.back()].
  [[nodiscard]] double operator()(double x) const {
    const std::size_t i = interval(x);
    const double h = x_[i + 1] - x_[i], b = (x - x_[i]) / h, a = 1 - b;
    return a * y_[i] + b * y_[i + 1] -
           h * h / 6 * a * b * ((1 + a) * curvature_[i] + (1 + b) * curvature_[i + 1]);
  }
  /// First derivative; throws as the value does.
  [[nodiscard]] double derivative(double x) const {
    const std::size_t i = interval(x);
    const double h = x_[i + 1] - x_[i], b = (x - x_[i]) / h, a = 1 - b;
    return (y_[i + 1] - y_[i]) / h +
           h / 6 * ((1 - 3 * a * a) * curvature_[i] + (3 * b * b - 1) * curvature_[i + 1]);
  }

private:
  [[nodiscard]] std::size_t interval(double x) const {
    if (x_.empty() || !(x >= x_.front() && x <= x_.back()))
      throw ValueError(sbi::text("cubic spline: x = ", x, "; want ", x_.empty() ? missing : x_.front(),
                                 " to ", x_.empty() ? missing : x_.back()));
    return static_cast<std::size_t>(std::upper_bound(x_.begin() + 1, x_.end() - 1, x) - x_.begin()) - 1;
  }

  std::vector<double> x_, y_, curvature_;
};

} // namespace sbi::forward
