// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>

#include <array>

namespace sbi::forward {

/// A system as populations draw it: everything that the true data of an unresolved point of light depend on,
/// before any model of evolution or atmospheres. Logarithms to base 10.
struct Star {
  static constexpr int most_companions = 3;

  double log_mass = 0;     ///< of the primary, initial, solar masses
  double log_age = 0;      ///< years
  double mh = 0;           ///< [M/H], dex
  double log_distance = 1; ///< parsec
  double a_v = 0, r_v = 3.1;
  /// Masses of unresolved companions in units of the primary's, the largest first; 0 where there is none.
  std::array<double, most_companions> companions{};
  double longitude = missing, latitude = missing; ///< galactic, degrees
  /// U, V, W [km/s]: towards the galactic centre, along the rotation, to the north; relative to the circular
  /// motion at the star's place.
  std::array<double, 3> velocity{};
  int population = 0; ///< which part of the source drew it; the source says what the numbers mean
};

} // namespace sbi::forward
