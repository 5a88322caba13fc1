// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/noise.hpp>

#include <cmath>

namespace sbi::forward {

namespace detail {

/// Statistical error scale 10^(slope (m - pivot)).
inline double infrared_noise(double scale, double slope, double pivot, double m) {
  return scale * std::pow(10, slope * (m - pivot));
}

} // namespace detail

/// Errors of 2MASS and AllWISE magnitudes [mag], fitted to the published errors of the stars of M67: in bins
/// of half a magnitude with ten stars or more (J 10.5 to 17, H 10 to 16.5, Ks, W1 and W2 10 to 16, W3 10 to
/// 13, W4 8.5 to 9) the median ratio is 0.9 to 1.1. Slopes of 0.4 in W3 and W4 are those of a background: an
/// error of the flux that is the same for all faint stars. WISE looked longer towards the ecliptic poles:
/// `with_observations` takes the exposure in units of M67's.
inline constexpr ErrorCurve j_error{[](double m) { return detail::infrared_noise(.113, .37, 16.5, m); },
                                    .022},
    h_error{[](double m) { return detail::infrared_noise(.109, .38, 15.5, m); }, .022},
    ks_error{[](double m) { return detail::infrared_noise(.160, .37, 15.5, m); }, .0185},
    w1_error{[](double m) { return detail::infrared_noise(.038, .27, 15.5, m); }, .0225},
    w2_error{[](double m) { return detail::infrared_noise(.115, .32, 15.5, m); }, .0205},
    w3_error{[](double m) { return detail::infrared_noise(.0875, .40, 10.5, m); }, .018},
    w4_error{[](double m) { return detail::infrared_noise(.385, .40, 8.5, m); }, .026};

} // namespace sbi::forward
