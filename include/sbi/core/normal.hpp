// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>

#include <cmath>
#include <numbers>

namespace sbi {

/// Standard normal distribution function.
[[nodiscard]] inline double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

/// Its inverse on (0, 1): a rational start (Abramowitz & Stegun 1964, 26.2.23, error 4.5e-4) and three Newton
/// steps of third order on the logarithmic side that does not cancel; accurate to a few units in the last
/// place.
[[nodiscard]] inline double normal_quantile(double p) {
  if (!(p > 0 && p < 1)) throw ValueError(sbi::text("normal quantile: p = ", p, "; want 0 < p < 1"));
  const bool upper = p > 0.5;
  const double tail = upper ? 1 - p : p, t = std::sqrt(-2 * std::log(tail));
  double x =
      t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (int k = 0; k < 3; ++k) { // Halley on log Q(x) - log tail, Q the upper tail
    const double q = 0.5 * std::erfc(x / std::numbers::sqrt2);
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    const double u = q * std::log(q / tail) / density;
    x += u / (1 - u * (x - density / q) / 2);
  }
  return upper ? x : -x;
}

} // namespace sbi
