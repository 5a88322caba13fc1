// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace sbi::diagnostics {

/// Quantile of sorted values at probability p by linear interpolation between order statistics, p (n - 1)
/// from the first (type 7 of Hyndman & Fan 1996). Throws ValueError for no values or p outside [0, 1].
[[nodiscard]] inline double quantile(std::span<const double> sorted, double p) {
  if (sorted.empty()) throw ValueError("quantile: no values; want one or more");
  if (!(p >= 0 && p <= 1)) throw ValueError(sbi::text("quantile: p = ", p, "; want 0 to 1"));
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

/// The values in increasing order. Throws ValueError for one that is not finite.
[[nodiscard]] inline std::vector<double> sorted(std::vector<double> values) {
  for (double x : values)
    if (!is_finite(x)) throw ValueError(sbi::text("samples: one is ", x, "; want finite values"));
  std::sort(values.begin(), values.end());
  return values;
}

/// Column j of samples [n, parameters]: the samples of one marginal. Throws ShapeError where there is none.
template <class T> [[nodiscard]] std::vector<double> marginal(View<T> samples, index_t j) {
  if (samples.shape.rank() != 2 || j < 0 || j >= samples.cols())
    throw ShapeError(sbi::text("samples: no column ", j, " in ", samples.shape, "; want [n, parameters]"));
  std::vector<double> values(static_cast<std::size_t>(samples.rows()));
  for (index_t i = 0; i < samples.rows(); ++i)
    values[static_cast<std::size_t>(i)] = static_cast<double>(samples(i, j));
  return values;
}

} // namespace sbi::diagnostics
