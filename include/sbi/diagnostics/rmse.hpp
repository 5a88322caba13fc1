// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>

#include <cmath>
#include <span>

namespace sbi::diagnostics {

/// Errors of point estimates over many objects, in the unit of the values.
struct PointErrors {
  index_t count = 0; ///< pairs of which neither is missing
  double bias = missing, rmse = missing;
};

/// Mean and root mean square of estimate - truth over the pairs of which neither is missing; missing where
/// there are none. Throws ShapeError for unequal lengths.
[[nodiscard]] inline PointErrors point_errors(std::span<const double> estimates,
                                              std::span<const double> truths) {
  if (estimates.size() != truths.size())
    throw ShapeError(
        sbi::text("point errors: ", estimates.size(), " estimates for ", truths.size(), " truths"));
  PointErrors out;
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < truths.size(); ++i) {
    if (is_missing(estimates[i]) || is_missing(truths[i])) continue;
    const double error = estimates[i] - truths[i];
    sum += error, squares += error * error, ++out.count;
  }
  if (out.count > 0) {
    const auto n = static_cast<double>(out.count);
    out.bias = sum / n, out.rmse = std::sqrt(squares / n);
  }
  return out;
}

} // namespace sbi::diagnostics
