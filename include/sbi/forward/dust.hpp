// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/forward/concepts.hpp>

#include <cmath>

namespace sbi::forward {

/// The extinction law of Cardelli, Clayton & Mathis (1989, ApJ 345, 245), A(lambda)/A_V = a(x) + b(x)/R_V
/// with x = 1/lambda, for any positive R_V. Theirs for 0.3 <= x <= 10 per micron; below, the infrared power
/// law x^1.61 continues to x = 0.01 (100 micron), as is usual for the mid-infrared bands.
struct CCM89 {
  static constexpr double x_min = 0.01, x_max = 10;

  /// Throws ValueError outside [x_min, x_max] or for R_V <= 0.
  [[nodiscard]] double operator()(double x, double r_v) const {
    if (!(x >= x_min && x <= x_max))
      throw ValueError(sbi::text("CCM89: x = ", x, " per micron; want ", x_min, " to ", x_max));
    if (!(r_v > 0)) throw ValueError(sbi::text("CCM89: R_V = ", r_v, "; want a positive value"));
    if (x < 1.1) { // equations 2a, 2b
      const double power = std::pow(x, 1.61);
      return 0.574 * power - 0.527 * power / r_v;
    }
    if (x < 3.3) { // equations 3a, 3b
      const double y = x - 1.82;
      const double a =
          1 + y * (.17699 +
                   y * (-.50447 + y * (-.02427 + y * (.72085 + y * (.01979 + y * (-.77530 + y * .32999))))));
      const double b =
          y * (1.41338 +
               y * (2.28305 + y * (1.07233 + y * (-5.38434 + y * (-.62251 + y * (5.30260 - y * 2.09002))))));
      return a + b / r_v;
    }
    if (x <= 8) { // equations 4a, 4b
      const double w = x > 5.9 ? x - 5.9 : 0;
      const double a =
          1.752 - 0.316 * x - 0.104 / ((x - 4.67) * (x - 4.67) + 0.341) - w * w * (.04473 + .009779 * w);
      const double b =
          -3.090 + 1.825 * x + 1.206 / ((x - 4.62) * (x - 4.62) + 0.263) + w * w * (.2130 + .1207 * w);
      return a + b / r_v;
    }
    const double w = x - 8; // equations 5a, 5b
    const double a = -1.073 + w * (-.628 + w * (.137 - w * .070));
    const double b = 13.670 + w * (4.257 + w * (-.420 + w * .374));
    return a + b / r_v;
  }
};

static_assert(DustLaw<CCM89>);

} // namespace sbi::forward
