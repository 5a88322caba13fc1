// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/star.hpp>

#include <array>
#include <cmath>

namespace sbi::forward {

/// One stellar surface: what an atmosphere needs, and its size. log_radius in solar radii.
struct Photosphere {
  double log_teff = 0, log_g = 0, mh = 0, log_radius = 0;
};

/// The surface of a star of this state: L = 4 pi R^2 sigma T^4 gives the radius.
[[nodiscard]] inline Photosphere photosphere(const StarState& star) {
  static const double solar_log_t = std::log10(solar_teff);
  return {star.log_teff, star.log_g, star.mh, 0.5 * star.log_l - 2 * (star.log_teff - solar_log_t)};
}

/// A point of light: a star and its unresolved companions at one distance behind the same dust.
struct LightSource {
  std::array<Photosphere, 1 + Star::most_companions> stars{};
  int count = 1;           ///< how many of them there are; the primary is the first
  double log_distance = 1; ///< parsec
  double a_v = 0, r_v = 3.1;
};

/// What became of a light source: `dark_companions` are those outside the atmospheres, whose light is left
/// out; without models of the primary, or with numbers that are not finite or dust out of the law's range,
/// there is nothing.
enum class Coverage : unsigned char { whole, dark_companions, no_model, bad_value };

} // namespace sbi::forward
