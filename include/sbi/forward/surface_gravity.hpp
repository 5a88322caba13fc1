// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/constants.hpp>

#include <cmath>

namespace sbi::forward {

/// log10 of the surface gravity [cm/s^2] of a star of present mass M and luminosity L [solar units, both as
/// log10] and log10 T_eff [K]: g = G M / R^2 with L = 4 pi R^2 sigma T_eff^4, relative to the nominal Sun.
[[nodiscard]] inline double surface_gravity(double log_mass, double log_l, double log_teff) {
  return solar_log_g + log_mass - log_l + 4 * (log_teff - std::log10(solar_teff));
}

} // namespace sbi::forward
