// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cmath>
#include <numbers>

namespace sbi::forward {

inline constexpr double radians_per_degree = std::numbers::pi / 180;

/// Unit vector towards longitude and latitude [degrees].
[[nodiscard]] inline std::array<double, 3> sky_vector(double longitude, double latitude) {
  const double l = longitude * radians_per_degree, b = latitude * radians_per_degree;
  return {std::cos(b) * std::cos(l), std::cos(b) * std::sin(l), std::sin(b)};
}

/// Longitude in [0, 360) and latitude [degrees] of a vector of any length but 0.
[[nodiscard]] inline std::array<double, 2> sky_angles(const std::array<double, 3>& v) {
  double longitude = std::atan2(v[1], v[0]) / radians_per_degree;
  if (longitude < 0) longitude += 360;
  if (longitude >= 360) longitude = 0; // rounding of a tiny negative angle
  return {longitude, std::atan2(v[2], std::hypot(v[0], v[1])) / radians_per_degree};
}

} // namespace sbi::forward
