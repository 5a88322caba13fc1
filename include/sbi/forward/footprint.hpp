// SPDX-License-Identifier: MIT
// Where on the sky a survey has looked.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/noise.hpp>

#include <algorithm>
#include <bitset>
#include <cmath>
#include <concepts>
#include <functional>
#include <numbers>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Galactic longitude and latitude [degrees]; missing where nobody said.
struct SkyPosition {
  double longitude = missing, latitude = missing;
};

/// Says whether a position, galactic longitude and latitude in degrees, is covered. Safe to call from many
/// threads at once.
template <class F>
concept Footprint = requires(const F& footprint, double longitude, double latitude) {
  { footprint.covers(longitude, latitude) } -> std::convertible_to<bool>;
};

/// Everything within `radius` degrees of a centre, 0 to 180; throws ValueError for another radius and a
/// centre that is none.
class Cap {
public:
  Cap(double longitude, double latitude, double radius)
      : longitude_(longitude), latitude_(latitude),
        limit_(radius < 180 ? haversine(radius) : 2) { // a whole sky has no last point
    if (!(radius >= 0 && radius <= 180))
      throw ValueError(sbi::text("cap: radius ", radius, " degrees; want 0 to 180"));
    if (!is_finite(longitude) || !(std::abs(latitude) <= 90))
      throw ValueError(sbi::text("cap: centre at longitude ", longitude, ", latitude ", latitude,
                                 " degrees; want a finite one, and -90 to 90"));
  }
  [[nodiscard]] bool covers(double l, double b) const {
    return haversine(b - latitude_) +
               std::cos(degree * b) * std::cos(degree * latitude_) * haversine(l - longitude_) <=
           limit_;
  }

private:
  static constexpr double degree = std::numbers::pi / 180;
  /// sin^2(angle / 2): the cosine of a distance would lose caps below some arcseconds.
  static double haversine(double angle) {
    const double sine = std::sin(0.5 * degree * angle);
    return sine * sine;
  }

  double longitude_, latitude_, limit_;
};

/// Latitudes with least <= |b| <= most: without the plane, or nothing but it. Throws ValueError unless 0 <=
/// least < most.
class LatitudeCut {
public:
  explicit LatitudeCut(double least, double most = 90) : least_(least), most_(most) {
    if (!(least >= 0 && least < most))
      throw ValueError(sbi::text("latitude cut: |b| from ", least, " to ", most,
                                 " degrees; want 0 or more, and the second larger"));
  }
  [[nodiscard]] bool covers(double, double b) const { return std::abs(b) >= least_ && std::abs(b) <= most_; }

private:
  double least_, most_;
};

/// From longitude_min eastwards to longitude_max, through 0 where the second is smaller, and from
/// latitude_min to latitude_max: half-open, so that neighbours share no star; the pole belongs to
/// the rectangle that reaches it. 360 degrees or more are every longitude. Throws ValueError where nothing
/// lies between.
class SkyRectangle {
public:
  SkyRectangle(double longitude_min, double longitude_max, double latitude_min, double latitude_max)
      : start_(turn(longitude_min)), end_(turn(longitude_max)), all_(longitude_max - longitude_min >= 360),
        latitude_min_(latitude_min), latitude_max_(latitude_max) {
    if (!(all_ || start_ < end_ || start_ > end_) || !(latitude_min < latitude_max))
      throw ValueError(sbi::text("sky rectangle: longitude ", longitude_min, " to ", longitude_max,
                                 ", latitude ", latitude_min, " to ", latitude_max,
                                 "; want something between"));
  }
  [[nodiscard]] bool covers(double l, double b) const {
    const double at = turn(l);
    return b >= latitude_min_ && (b < latitude_max_ || (b == 90 && latitude_max_ == 90)) &&
           (all_ || (start_ < end_ ? at >= start_ && at < end_ : at >= start_ || at < end_));
  }

private:
  /// The same longitude in [0, 360).
  static double turn(double angle) {
    const double turned = angle - 360 * std::floor(angle / 360);
    return turned < 360 ? turned : 0; // a tiny negative angle rounds to 360
  }

  double start_, end_;
  bool all_;
  double latitude_min_, latitude_max_;
};

/// Everything that one of its parts covers: a list of fields or cells.
template <Footprint F> struct AnyOf {
  std::vector<F> parts;

  [[nodiscard]] bool covers(double l, double b) const {
    return std::any_of(parts.begin(), parts.end(), [&](const F& part) { return part.covers(l, b); });
  }
};

/// The missions that cover a position.
using MissionSet = std::bitset<most_missions>;

/// The footprints of the missions. One without any covers the whole sky; one with several, what all of them
/// cover.
class Footprints {
public:
  template <Footprint F> Footprints& add(Mission mission, F footprint) {
    if (static_cast<std::size_t>(mission) >= most_missions)
      throw ValueError(sbi::text("footprints: ", mission_name(mission), "; want one below ", most_missions));
    parts_.emplace_back(mission, [footprint = std::move(footprint)](double l, double b) -> bool {
      return footprint.covers(l, b);
    });
    return *this;
  }

  /// Throws ValueError where there are footprints and the position is missing or not finite.
  [[nodiscard]] MissionSet covering(SkyPosition where) const {
    MissionSet out = MissionSet().set();
    if (parts_.empty()) return out;
    if (!is_finite(where.longitude) || !is_finite(where.latitude))
      throw ValueError(sbi::text("footprints: longitude ", where.longitude, ", latitude ", where.latitude,
                                 " of a star; want finite degrees"));
    for (const auto& [mission, covers] : parts_)
      if (!covers(where.longitude, where.latitude)) out.reset(static_cast<std::size_t>(mission));
    return out;
  }

private:
  std::vector<std::pair<Mission, std::function<bool(double, double)>>> parts_;
};

} // namespace sbi::forward
