// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/sky.hpp>
#include <sbi/forward/sky_cells.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <numbers>
#include <utility>
#include <vector>

namespace sbi::forward {

namespace detail {

/// Throws ValueError unless the place is one: any finite longitude, a latitude of -90 to 90 degrees, and a
/// distance of 0 or more, infinity included.
inline void check_sight_line(double longitude_deg, double latitude_deg, double distance_pc) {
  if (!is_finite(longitude_deg) || !(std::abs(latitude_deg) <= 90) || !(distance_pc >= 0))
    throw ValueError(text("dust map: longitude ", longitude_deg, ", latitude ", latitude_deg,
                          " degrees, distance ", distance_pc,
                          " pc; want a finite longitude, a latitude of -90 to 90, a distance >= 0"));
}

/// Gauss-Legendre quadrature of f over [a, b] with eight points.
template <class F> double gauss8(double a, double b, const F& f) {
  constexpr std::array<double, 4> node{0.1834346424956498, 0.5255324099163290, 0.7966664774136267,
                                       0.9602898564975363},
      weight{0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};
  const double centre = 0.5 * (a + b), half = 0.5 * (b - a);
  double sum = 0;
  for (std::size_t i = 0; i < 4; ++i)
    sum += weight[i] * (f(centre - half * node[i]) + f(centre + half * node[i]));
  return half * sum;
}

} // namespace detail

/// How much dust there is from the Sun to a place: A_V [mag] of galactic longitude and latitude [degrees] and
/// distance [pc]. Safe to call from many threads at once.
template <class D>
concept DustMap = requires(const D& a_v, double longitude, double latitude, double distance) {
  { a_v(longitude, latitude, distance) } -> std::convertible_to<double>;
};

/// A clear sky.
struct NoDust {
  double operator()(double, double, double) const { return 0; }
};

/// One A_V [mag] for every line of sight and distance: a screen in front of all stars.
class ConstantDust {
public:
  /// Throws ValueError for an A_V that is negative or not finite.
  explicit ConstantDust(double a_v) : a_v_(a_v) {
    if (!(a_v >= 0) || !is_finite(a_v))
      throw ValueError(text("constant dust: A_V = ", a_v, "; want 0 or more"));
  }
  [[nodiscard]] double operator()(double longitude_deg, double latitude_deg, double distance_pc) const {
    detail::check_sight_line(longitude_deg, latitude_deg, distance_pc);
    return a_v_;
  }

private:
  double a_v_;
};

/// A disc of dust, exponential in the distance R from the galactic axis and in the height z over the plane,
/// without warp or flare: density [mag A_V / kpc] exp(-(R - sun_radius)/scale_length - |z|/scale_height).
/// Lengths in kpc. Scale length and height are those of Galaxia (Sharma et al. 2011, ApJ 730, 3), the density
/// is that of the Besancon model (Robin et al. 2003, A&A 409, 523); both from memory. The Sun's place is that
/// of Besancon as Galaxia has it.
struct DustDisc {
  double density = 0.7; ///< in the plane at the Sun's distance from the axis
  double scale_length = 4.2, scale_height = 0.088;
  double sun_radius = 8.0, sun_height = 0.015;
};

/// A_V through a DustDisc.
class ExponentialDust {
public:
  /// Throws ValueError for a density that is negative or a scale that is not positive, and for a Sun that is
  /// more than 20 scales from the axis or the plane.
  explicit ExponentialDust(const DustDisc& disc = {}) : disc_(disc) {
    const auto check = [](const char* name, double value, bool good, const char* wanted) {
      if (!good || !is_finite(value))
        throw ValueError(text("exponential dust: ", name, " ", value, "; want ", wanted));
    };
    check("density", disc.density, disc.density >= 0, "0 or more mag/kpc");
    check("scale length", disc.scale_length, disc.scale_length > 0, "a positive length in kpc");
    check("scale height", disc.scale_height, disc.scale_height > 0, "a positive length in kpc");
    // Within 20 scales, so that the density of no line of sight spans more than a double or than `reach`
    // minds.
    check("distance of the Sun from the axis", disc.sun_radius,
          disc.sun_radius >= 0 && disc.sun_radius <= 20 * disc.scale_length, "0 to 20 scale lengths");
    check("height of the Sun", disc.sun_height, std::abs(disc.sun_height) <= 20 * disc.scale_height,
          "at most 20 scale heights");
  }
  [[nodiscard]] const DustDisc& disc() const { return disc_; }

  /// A_V [mag] from the Sun to there, to 1e-6 relative. Throws ValueError for no such place.
  [[nodiscard]] double operator()(double longitude_deg, double latitude_deg, double distance_pc) const {
    detail::check_sight_line(longitude_deg, latitude_deg, distance_pc);
    const double sin_b = std::sin(latitude_deg * radians_per_degree),
                 cos_b = std::cos(latitude_deg * radians_per_degree);
    const double ahead = disc_.sun_radius * std::cos(longitude_deg * radians_per_degree);
    const double aside = disc_.sun_radius * std::sin(longitude_deg * radians_per_degree);
    const auto radius = [&](double s) { return std::hypot(aside, s * cos_b - ahead); };
    const auto density = [&](double s) {
      return std::exp((disc_.sun_radius - radius(s)) / disc_.scale_length -
                      std::abs(disc_.sun_height + s * sin_b) / disc_.scale_height);
    };

    // Farther out than `reach` the density is below e^-40 of that at the Sun.
    const double reach = std::min(
        (disc_.scale_height * (40 + disc_.sun_radius / disc_.scale_length) + 2 * std::abs(disc_.sun_height)) /
            std::max(std::abs(sin_b), 1e-300),
        (2 * disc_.sun_radius + 40 * disc_.scale_length) / std::max(cos_b, 1e-300));
    const double end = std::min(distance_pc / 1000, reach);
    // The density has a kink in the plane, and almost one where the line passes near the axis. Between these
    // points, Gauss-Legendre panels go away from the latter, over at most e^7 in density and twice the
    // distance from the axis: a longer one would feel the kink. Measured error: 6e-8.
    const double nearest = std::clamp(ahead / std::max(cos_b, 1e-300), 0.0, end);
    const double plane = sin_b == 0 ? 0 : std::clamp(-disc_.sun_height / sin_b, 0.0, end);
    const double rate = std::abs(sin_b) / disc_.scale_height + cos_b / disc_.scale_length;
    const auto panel = [&](double s) {
      return 1 / std::max(rate / 7, cos_b / std::max(2 * radius(s), 0.01 * disc_.scale_length));
    };
    const std::array<double, 4> cuts{0, std::min(nearest, plane), std::max(nearest, plane), end};
    double sum = 0;
    for (std::size_t piece = 0; piece < 3; ++piece) {
      const double first = cuts[piece], last = cuts[piece + 1];
      if (first >= nearest)
        for (double s = first, next = s; s < last; s = next) {
          next = std::min(s + panel(s), last);
          sum += detail::gauss8(s, next, density);
        }
      else
        for (double s = last, next = s; s > first; s = next) {
          next = std::max(s - panel(s), first);
          sum += detail::gauss8(next, s, density);
        }
    }
    return disc_.density * sum;
  }

private:
  DustDisc disc_;
};

/// A map of dust in three dimensions: for every cell of the sky, A_V at a few distances. Zero at the Sun,
/// linear in distance between the entries, the same all over a cell. Where the entries end the dust ends: A_V
/// stays what it was at the last distance (see `last_distance`). Cells that a survey did not see have none.
class GridDust {
public:
  /// What the entries are: A_V [mag] from the Sun to each distance, or the density [mag A_V / kpc] between
  /// the distance before (at first the Sun) and this one.
  enum class Values { a_v, density };

  /// Distances [pc] increase; values are row-major [cells, distances], cells in HEALPix's ring order. A cell
  /// is empty if all its values are NaN. Throws ShapeError for other lengths; ValueError for distances that
  /// are not positive or do not increase, and values that are negative, not finite, or an A_V that falls.
  GridDust(const SkyCells& cells, std::vector<double> distances, std::vector<double> values,
           Values kind = Values::a_v)
      : cells_(cells), distances_(std::move(distances)), a_v_(std::move(values)) {
    const std::size_t n = distances_.size(), count = static_cast<std::size_t>(cells_.count());
    if (n == 0 || a_v_.size() != n * count)
      throw ShapeError(text("dust map: ", a_v_.size(), " values for ", count, " cells and ", n,
                            " distances; want one for each pair, and a distance at least"));
    for (std::size_t i = 0; i < n; ++i)
      if (!(distances_[i] > (i == 0 ? 0 : distances_[i - 1])) || !is_finite(distances_[i]))
        throw ValueError(text("dust map: distance ", i, " is ", distances_[i], " pc; want more than ",
                              i == 0 ? 0 : distances_[i - 1]));
    for (std::size_t c = 0; c < count; ++c) {
      double* row = &a_v_[c * n];
      if (std::all_of(row, row + n, [](double x) { return is_missing(x); })) continue;
      for (std::size_t i = 0; i < n; ++i) {
        if (!(row[i] >= 0) || !is_finite(row[i]))
          throw ValueError(text("dust map: cell ", c, ", distance ", distances_[i], " pc: ", row[i],
                                "; want 0 or more, or NaN in the whole cell"));
        const double before = i == 0 ? 0 : row[i - 1];
        if (kind == Values::density)
          row[i] = before + row[i] * (distances_[i] - (i == 0 ? 0 : distances_[i - 1])) / 1000;
        else if (row[i] < before)
          throw ValueError(text("dust map: cell ", c, ", distance ", distances_[i], " pc: A_V = ", row[i],
                                " after ", before, "; want A_V that does not fall"));
      }
    }
  }

  [[nodiscard]] const SkyCells& cells() const { return cells_; }
  /// Where the map ends [pc].
  [[nodiscard]] double last_distance() const { return distances_.back(); }
  /// Whether there is a map in this direction.
  [[nodiscard]] bool covers(double longitude_deg, double latitude_deg) const {
    return !is_missing(row(longitude_deg, latitude_deg)[0]);
  }

  /// A_V [mag] from the Sun to there. Throws ValueError for no such place and where the map is empty.
  [[nodiscard]] double operator()(double longitude_deg, double latitude_deg, double distance_pc) const {
    detail::check_sight_line(longitude_deg, latitude_deg, distance_pc);
    const double* values = row(longitude_deg, latitude_deg);
    if (is_missing(values[0]))
      throw ValueError(text("dust map: nothing is known at longitude ", longitude_deg, ", latitude ",
                            latitude_deg, " degrees; want a covered direction"));
    const auto after = std::upper_bound(distances_.begin(), distances_.end(), distance_pc);
    const auto i = static_cast<std::size_t>(after - distances_.begin());
    if (i == distances_.size()) return values[i - 1];
    const double near = i == 0 ? 0 : distances_[i - 1], near_a_v = i == 0 ? 0 : values[i - 1];
    return near_a_v + (values[i] - near_a_v) * (distance_pc - near) / (distances_[i] - near);
  }

private:
  [[nodiscard]] const double* row(double longitude_deg, double latitude_deg) const {
    return &a_v_[static_cast<std::size_t>(cells_.cell(longitude_deg, latitude_deg)) * distances_.size()];
  }

  SkyCells cells_;
  std::vector<double> distances_, a_v_; ///< [distances] and cumulative [cells, distances]
};

} // namespace sbi::forward
