// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/sky.hpp>

#include <array>
#include <cmath>

namespace sbi::forward {

/// A place in kpc from the centre of the Galaxy: x points from the Sun to the centre, y along the rotation at
/// the Sun (to l = 90 degrees), z to the north galactic pole.
struct Galactocentric {
  double x = 0, y = 0, z = 0;
  /// Distance from the axis.
  [[nodiscard]] double radius() const { return std::sqrt(x * x + y * y); }
};

/// A direction seen from the Sun: galactic longitude and latitude [degrees] and the unit vector to there.
struct SkyDirection {
  double longitude = 0, latitude = 0;
  std::array<double, 3> unit{1, 0, 0};

  /// Throws ValueError for a longitude that is not finite or a latitude outside -90 .. 90.
  SkyDirection(double longitude_deg, double latitude_deg) : longitude(longitude_deg), latitude(latitude_deg) {
    if (!is_finite(longitude_deg) || !(std::abs(latitude_deg) <= 90))
      throw ValueError(sbi::text("sky direction: longitude ", longitude_deg, ", latitude ", latitude_deg,
                                 " degrees; want a finite longitude and a latitude of -90 to 90"));
    unit = sky_vector(longitude_deg, latitude_deg);
  }
  /// The direction of a vector of any length; longitude in 0 .. 360. Throws ValueError for the zero vector
  /// and for what is not finite.
  [[nodiscard]] static SkyDirection of(double x, double y, double z) {
    const double length = std::hypot(x, y, z);
    if (!is_finite(length) || !(length > 0))
      throw ValueError(sbi::text("sky direction of (", x, ", ", y, ", ", z, "); want a finite vector"));
    SkyDirection out;
    const auto [longitude, latitude] = sky_angles({x, y, z});
    out.longitude = longitude, out.latitude = latitude;
    out.unit = {x / length, y / length, z / length};
    return out;
  }

private:
  SkyDirection() = default;
};

/// Where the Sun is: galactocentric radius and height above the plane [kpc]. Latitude 0 is taken parallel to
/// the plane (the tilt of z_sun / r_sun, 0.1 degrees, is left out).
class GalaxyFrame {
public:
  /// Throws ValueError unless r_sun is positive and z_sun finite.
  explicit GalaxyFrame(double r_sun = 8, double z_sun = 0.015) : r_sun_(r_sun), z_sun_(z_sun) {
    if (!(r_sun > 0) || !is_finite(r_sun) || !is_finite(z_sun))
      throw ValueError(sbi::text("galaxy frame: the Sun at R = ", r_sun, ", z = ", z_sun,
                                 " kpc; want a positive radius and a finite height"));
  }

  [[nodiscard]] double r_sun() const { return r_sun_; }
  [[nodiscard]] double z_sun() const { return z_sun_; }
  [[nodiscard]] Galactocentric sun() const { return {-r_sun_, 0, z_sun_}; }

  /// The place at a distance [pc] in a direction. Throws ValueError for a distance below 0 or not finite.
  [[nodiscard]] Galactocentric place(const SkyDirection& direction, double distance) const {
    if (!(distance >= 0) || !is_finite(distance))
      throw ValueError(sbi::text("galaxy frame: distance ", distance, " pc; want 0 or more"));
    const double d = distance / 1000;
    return {d * direction.unit[0] - r_sun_, d * direction.unit[1], d * direction.unit[2] + z_sun_};
  }
  /// Distance of a place from the Sun [pc].
  [[nodiscard]] double distance(const Galactocentric& p) const {
    const double x = p.x + r_sun_, z = p.z - z_sun_;
    return 1000 * std::sqrt(x * x + p.y * p.y + z * z);
  }
  /// Where a place stands in the sky. Throws ValueError for the place of the Sun itself.
  [[nodiscard]] SkyDirection direction(const Galactocentric& p) const {
    return SkyDirection::of(p.x + r_sun_, p.y, p.z - z_sun_);
  }

private:
  double r_sun_, z_sun_;
};

} // namespace sbi::forward
