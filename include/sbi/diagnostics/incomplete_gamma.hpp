// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <cmath>
#include <limits>

namespace sbi::diagnostics {

/// Regularised upper incomplete gamma function Q(a, x) = Gamma(a, x) / Gamma(a), by its power series below a
/// + 1 (DLMF 8.7.1) and by its continued fraction above (DLMF 8.9.2, modified Lentz). Relative accuracy about
/// 1e-13. Throws ValueError unless a is positive and finite and x >= 0 (infinity included).
[[nodiscard]] inline double gamma_q(double a, double x) {
  if (!(a > 0) || !is_finite(a) || !(x >= 0))
    throw ValueError(sbi::text("gamma_q: a = ", a, ", x = ", x, "; want a finite a > 0 and x >= 0"));
  if (x == 0) return 1;
  if (!is_finite(x)) return 0;
  constexpr double tolerance = std::numeric_limits<double>::epsilon();
  const double front = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1) {
    double term = 1 / a, sum = term;
    for (double k = a + 1; term > tolerance * sum; ++k) sum += term *= x / k;
    return 1 - front * sum;
  }
  // 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / ...)): every partial denominator is positive here.
  double b = x + 1 - a, c = std::numeric_limits<double>::infinity(), d = 1 / b, fraction = d;
  for (double k = 1;; ++k) {
    const double numerator = -k * (k - a);
    b += 2;
    d = 1 / (numerator * d + b);
    c = b + numerator / c;
    fraction *= c * d;
    if (std::abs(c * d - 1) <= tolerance) return front * fraction;
  }
}

/// Probability that a chi-squared variable of `degrees` degrees of freedom exceeds x.
[[nodiscard]] inline double chi_squared_tail(double x, double degrees) { return gamma_q(degrees / 2, x / 2); }

} // namespace sbi::diagnostics
