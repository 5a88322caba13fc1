// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/dual.hpp>
#include <sbi/core/error.hpp>
#include <sbi/forward/concepts.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

namespace sbi::forward {

namespace detail {

/// The number a law computes with for an R_V of type R: double for any built-in number, else R itself.
template <class R> using DustNumber = std::conditional_t<std::is_arithmetic_v<R>, double, R>;

inline double plain(double x) { return x; }
template <class T> double plain(const Dual<T>& x) { return plain(x.value); }

/// Throws ValueError unless both arguments are in the range the law declares.
template <class Law> void check_dust(const char* name, double x, double r_v) {
  if (!(x >= Law::x_min && x <= Law::x_max))
    throw ValueError(sbi::text(name, ": x = ", x, " per micron; want ", Law::x_min, " to ", Law::x_max));
  if (Law::r_v_min > 0 ? r_v >= Law::r_v_min && r_v <= Law::r_v_max : r_v > 0) return;
  throw ValueError(Law::r_v_min > 0
                       ? sbi::text(name, ": R_V = ", r_v, "; want ", Law::r_v_min, " to ", Law::r_v_max)
                       : sbi::text(name, ": R_V = ", r_v, "; want a positive value"));
}

/// A(lambda)/A_V = a + b/R_V at one wavelength.
struct DustTerms {
  double a, b;

  template <class R> [[nodiscard]] R at(const R& r_v) const { return a + b / r_v; }
};

/// Cardelli, Clayton & Mathis (1989): all but the optical part, for x < 1.1 and x >= 3.3 per micron.
inline DustTerms ccm89_terms(double x) {
  if (x < 1.1) { // equations 2a, 2b
    const double power = std::pow(x, 1.61);
    return {0.574 * power, -0.527 * power};
  }
  if (x <= 8) { // equations 4a, 4b
    const double w = x > 5.9 ? x - 5.9 : 0;
    return {1.752 - 0.316 * x - 0.104 / ((x - 4.67) * (x - 4.67) + 0.341) - w * w * (.04473 + .009779 * w),
            -3.090 + 1.825 * x + 1.206 / ((x - 4.62) * (x - 4.62) + 0.263) + w * w * (.2130 + .1207 * w)};
  }
  const double w = x - 8; // equations 5a, 5b
  return {-1.073 + w * (-.628 + w * (.137 - w * .070)), 13.670 + w * (4.257 + w * (-.420 + w * .374))};
}

/// The ultraviolet curve of Fitzpatrick & Massa (1990, ApJS 72, 163): c1 + c2 x, the bump at x0 with the
/// width gamma, and the rise beyond 5.9 per micron.
constexpr double fitzpatrick_massa(double x, const std::array<double, 4>& c, double x0, double gamma) {
  const double d = x * x - x0 * x0, w = std::max(x - 5.9, 0.0);
  return c[0] + c[1] * x + c[2] * x * x / (d * d + x * x * gamma * gamma) +
         c[3] * w * w * (0.5392 + 0.05644 * w);
}

} // namespace detail

/// The extinction law of Cardelli, Clayton & Mathis (1989, ApJ 345, 245), A(lambda)/A_V = a(x) + b(x)/R_V
/// with x = 1/lambda [1/micron], for any positive R_V. Theirs for 0.3 <= x <= 10 per micron; below, the
/// infrared power law x^1.61 continues to x = 0.01 (100 micron), as is usual for the mid-infrared bands.
struct CCM89 {
  static constexpr double x_min = 0.01, x_max = 10;
  static constexpr double r_v_min = 0,
                          r_v_max = std::numeric_limits<double>::infinity(); ///< without the ends

  /// For an R_V that is a number or a Dual. Throws ValueError outside the ranges.
  template <class R> [[nodiscard]] detail::DustNumber<R> operator()(double x, const R& r_v) const {
    const auto r = static_cast<detail::DustNumber<R>>(r_v);
    detail::check_dust<CCM89>("CCM89", x, detail::plain(r));
    if (x < 1.1 || x >= 3.3) return detail::ccm89_terms(x).at(r);
    const double y = x - 1.82; // equations 3a, 3b
    const double a =
        1 + y * (.17699 +
                 y * (-.50447 + y * (-.02427 + y * (.72085 + y * (.01979 + y * (-.77530 + y * .32999))))));
    const double b =
        y * (1.41338 +
             y * (2.28305 + y * (1.07233 + y * (-5.38434 + y * (-.62251 + y * (5.30260 - y * 2.09002))))));
    return detail::DustTerms{a, b}.at(r);
  }
};

/// CCM89 with the optical part (1.1 <= x < 3.3 per micron) of O'Donnell (1994, ApJ 422, 158, section 2). The
/// ranges, and what lies outside that part, are those of CCM89.
struct ODonnell94 {
  static constexpr double x_min = CCM89::x_min, x_max = CCM89::x_max;
  static constexpr double r_v_min = CCM89::r_v_min, r_v_max = CCM89::r_v_max;

  /// For an R_V that is a number or a Dual. Throws ValueError outside the ranges.
  template <class R> [[nodiscard]] detail::DustNumber<R> operator()(double x, const R& r_v) const {
    const auto r = static_cast<detail::DustNumber<R>>(r_v);
    detail::check_dust<ODonnell94>("ODonnell94", x, detail::plain(r));
    if (x < 1.1 || x >= 3.3) return detail::ccm89_terms(x).at(r);
    const double y = x - 1.82;
    const double a =
        1 + y * (.104 + y * (-.609 +
                             y * (.701 + y * (1.137 + y * (-1.718 + y * (-.827 + y * (1.647 - y * .505)))))));
    const double b =
        y *
        (1.952 +
         y * (2.908 + y * (-3.989 + y * (-7.985 + y * (11.102 + y * (5.491 + y * (-10.805 + y * 3.347)))))));
    return detail::DustTerms{a, b}.at(r);
  }
};

static_assert(DustLaw<CCM89> && DustLaw<ODonnell94>);

} // namespace sbi::forward
