// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/dust.hpp>

#include <algorithm>
#include <cmath>

namespace sbi::forward {

namespace detail {

/// 0 below `low`, 1 above `high`, a cubic without a kink between.
inline double smooth_step(double x, double low, double high) {
  const double t = std::clamp((x - low) / (high - low), 0.0, 1.0);
  return t * t * (3 - 2 * t);
}

/// A Drude profile of unit height in t (a wavelength or its inverse).
inline double drude(double t, double centre, double width) {
  const double w = width / centre, d = t / centre - centre / t;
  return w * w / (d * d + w * w);
}

} // namespace detail

/// The Milky Way's mean law of Gordon et al. (2023, ApJ 950, 86), from 912 A to 32 micron (1/32 <= x <=
/// 1/.0912 per micron) for 2.3 <= R_V <= 5.6: A(lambda)/A_V = (a(x) + b(x) (1/R_V - 1/3.1)) / 0.9854. All of
/// it is the authors'; the silicate features at 10 and 20 micron are in it. The divisor is theirs, too, of
/// 2026 (the package dust_extinction in its version 1.7): it corrects for 1.5 % between the photometry and
/// the spectra behind the law, and makes it 1 at 5490 A within 0.1 %. The forms a and b of the ultraviolet,
/// optical and infrared pass into each other over 0.30 to 0.33 and 0.9 to 1.1 micron, so the law is
/// continuous, with its first derivative.
struct G23 {
  static constexpr double x_min = 1 / 32.0, x_max = 1 / 0.0912;
  static constexpr double r_v_min = 2.3, r_v_max = 5.6;

  /// For an R_V that is a number or a Dual. Throws ValueError outside the ranges.
  template <class R> [[nodiscard]] detail::DustNumber<R> operator()(double x, const R& r_v) const {
    const auto r = static_cast<detail::DustNumber<R>>(r_v);
    detail::check_dust<G23>("G23", x, detail::plain(r));
    const double wavelength = 1 / x;
    detail::DustTerms terms{0, 0};
    const auto add = [&](double weight, detail::DustTerms t) {
      terms.a += weight * t.a;
      terms.b += weight * t.b;
    };
    const double not_ultraviolet = detail::smooth_step(wavelength, 0.30, 0.33);
    const double is_infrared = detail::smooth_step(wavelength, 0.9, 1.1);
    if (not_ultraviolet < 1) add(1 - not_ultraviolet, ultraviolet(x));
    if (not_ultraviolet > 0 && is_infrared < 1) add(not_ultraviolet * (1 - is_infrared), optical(x));
    if (is_infrared > 0) add(is_infrared, infrared(wavelength));
    terms.a -= terms.b / 3.1;
    return terms.at(r) / 0.9854;
  }

private:
  /// Their table of FM90 parameters.
  static detail::DustTerms ultraviolet(double x) {
    return {detail::fitzpatrick_massa(x, {.81297, .27750, 1.06295, .11303}, 4.60, .99),
            detail::fitzpatrick_massa(x, {-2.97868, 1.89808, 3.10334, .65484}, 4.60, .99)};
  }
  /// Polynomials of degree four and the intermediate-scale structure: three Drude profiles in x.
  static detail::DustTerms optical(double x) {
    const double d1 = detail::drude(x, 2.288, .243), d2 = detail::drude(x, 2.054, .179),
                 d3 = detail::drude(x, 1.587, .243);
    return {-.35848 + x * (.71220 + x * (.08746 + x * (-.05403 + x * .00674))) + .03893 * d1 + .02965 * d2 +
                .01747 * d3,
            .12354 + x * (-2.68335 + x * (2.01901 + x * (-.39299 + x * .03355))) + .18453 * d1 + .19728 * d2 +
                .17130 * d3};
  }
  /// Two power laws that pass into each other around 4.3 micron, and the silicates: Drude profiles in
  /// wavelength, of a width that varies across them.
  static detail::DustTerms infrared(double wavelength) {
    const double steep = .38526 * std::pow(wavelength, -1.68467);
    const double flat = .38526 * std::pow(4.30578, .78791 - 1.68467) * std::pow(wavelength, -.78791);
    const double w = detail::smooth_step(wavelength, 4.30578 - 4.78338 / 2, 4.30578 + 4.78338 / 2);
    const auto silicate = [&](double centre, double width, double asymmetry) {
      return detail::drude(wavelength, centre, 2 * width / (1 + std::exp(asymmetry * (wavelength - centre))));
    };
    return {(1 - w) * steep + w * flat + .06652 * silicate(9.8434, 2.21205, -.24703) +
                .02670 * silicate(19.58294, 17, -.27),
            -1.01251 * std::pow(wavelength, -1.06099)};
  }
};

static_assert(DustLaw<G23>);

} // namespace sbi::forward
