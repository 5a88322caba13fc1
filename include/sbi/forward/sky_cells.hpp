// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/sky.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace sbi::forward {

/// The sky in 12 nside^2 cells of equal area: the HEALPix tessellation (Gorski et al. 2005, ApJ 622, 759) in
/// its ring scheme, for any nside, with galactic longitude as phi and latitude as 90 degrees - theta. Cell 0
/// touches the north pole at longitude 0; indices grow with longitude, then southwards. All functions are
/// safe to call from many threads at once.
struct SkyCells {
  /// Throws ValueError for nside outside 1 .. 2^29.
  explicit SkyCells(int nside) : n_(nside) {
    if (nside < 1 || nside > 1 << 29)
      throw ValueError(text("sky cells: nside = ", nside, "; want 1 to 2^29"));
  }

  [[nodiscard]] int nside() const { return static_cast<int>(n_); }
  [[nodiscard]] index_t count() const { return 12 * n_ * n_; }
  /// Of one cell, in steradian.
  [[nodiscard]] double area() const { return 4 * std::numbers::pi / static_cast<double>(count()); }

  /// The cell that holds a direction [degrees]. A point on an edge belongs to one of the cells that meet
  /// there. Throws ValueError for a longitude that is not finite or a latitude outside -90 .. 90.
  [[nodiscard]] index_t cell(double longitude_deg, double latitude_deg) const {
    if (!is_finite(longitude_deg) || !(std::abs(latitude_deg) <= 90))
      throw ValueError(text("sky cells: longitude ", longitude_deg, ", latitude ", latitude_deg,
                            " degrees; want a finite longitude and a latitude of -90 to 90"));
    const auto n = static_cast<double>(n_);
    const double turn = longitude_deg / 360, quarters = 4 * (turn - std::floor(turn)); // phi / 90 degrees
    // The distance from the nearer pole in rings, n sqrt(3 (1 - |z|)), without cancellation at the pole.
    const double r = n * std::sqrt(6.0) * std::sin((90 - std::abs(latitude_deg)) * radians_per_degree / 2);
    if (r < n) { // polar caps: count the edges that rise and those that fall with longitude (section 4.1)
      const double t = quarters - std::floor(quarters);
      const index_t ring = std::min(whole(t * r) + whole((1 - t) * r) + 1, n_);
      const index_t along = whole(quarters * static_cast<double>(ring)) % (4 * ring);
      return latitude_deg > 0 ? 2 * ring * (ring - 1) + along : count() - 2 * ring * (ring + 1) + along;
    }
    const double x = n * (0.5 + quarters);
    const double y = std::clamp(0.75 * n * std::sin(latitude_deg * radians_per_degree), -0.5 * n, 0.5 * n);
    const index_t falling = whole(x - y), rising = whole(x + y);
    // Rings from the northern edge of the belt, 1 .. 2n + 1; rounding may not carry a point beyond it.
    const index_t ring = std::clamp<index_t>(n_ + 1 + falling - rising, 1, 2 * n_ + 1);
    const index_t along = ((falling + rising - n_ + 2 - ring % 2) / 2) % (4 * n_);
    return 2 * n_ * (n_ - 1) + (ring - 1) * 4 * n_ + along;
  }

  /// Galactic longitude (0 <= l < 360) and latitude of the centre [degrees]. Throws ValueError for no cell.
  [[nodiscard]] std::array<double, 2> centre(index_t cell) const { return place(diamond(cell), 0, 0); }

  /// A direction [degrees] drawn uniformly from the cell. Throws ValueError for no cell.
  [[nodiscard]] std::array<double, 2> draw(index_t cell, Rng& rng) const {
    const Diamond d = diamond(cell);
    for (;;) { // repeats only when rounding puts a point on the edge into the next cell
      const double u = rng.uniform(), v = rng.uniform();
      const auto direction = place(d, u + v - 1, u - v);
      if (this->cell(direction[0], direction[1]) == cell) return direction;
    }
  }

private:
  /// A cell in the projection that makes all cells equal diamonds (Calabretta & Roukema 2007, MNRAS 381,
  /// 865): ring 0 .. 4n from the north pole, column in eighths of a turn over n, and the quarter of the sky
  /// the cell lies in, which is where the projection is cut open towards the poles. Edges: one ring and one
  /// column away.
  struct Diamond {
    double ring, column, quarter;
  };
  [[nodiscard]] Diamond diamond(index_t cell) const {
    if (cell < 0 || cell >= count())
      throw ValueError(text("sky cells: cell ", cell, "; want 0 to ", count() - 1));
    const index_t cap = 2 * n_ * (n_ - 1);
    if (cell >= cap && cell < count() - cap) {
      const index_t ring = (cell - cap) / (4 * n_) + n_, along = (cell - cap) % (4 * n_);
      const index_t column = 2 * along + 1 - (ring - n_) % 2;
      return {static_cast<double>(ring), static_cast<double>(column), static_cast<double>(along / n_)};
    }
    const bool north = cell < cap;
    const index_t k =
        north ? cell : count() - 1 - cell; // a half turn about an equatorial axis: k from the pole
    index_t ring = (1 + whole(std::sqrt(1 + 2 * static_cast<double>(k)))) / 2;
    while (2 * ring * (ring - 1) > k) --ring; // the root of a large k is rounded
    while (2 * ring * (ring + 1) <= k) ++ring;
    const index_t from_start = k - 2 * ring * (ring - 1);
    const index_t along = north ? from_start : 4 * ring - 1 - from_start;
    const index_t quarter = along / ring;
    const index_t column = 2 * n_ * quarter + n_ + 2 * (along % ring) + 1 - ring;
    return {static_cast<double>(north ? ring : 4 * n_ - ring), static_cast<double>(column),
            static_cast<double>(quarter)};
  }
  /// The direction at (d.ring + down, d.column + right).
  [[nodiscard]] std::array<double, 2> place(const Diamond& d, double down, double right) const {
    const auto n = static_cast<double>(n_);
    const double ring = d.ring + down, column = d.column + right, from_pole = std::min(ring, 4 * n - ring);
    if (from_pole >= n) {
      const double longitude = 45 * column / n;
      return {longitude < 0 ? longitude + 360 : longitude,
              std::asin((2 - ring / n) * 2 / 3) / radians_per_degree};
    }
    const double middle = n * (2 * d.quarter + 1);
    const double latitude = 90 - 2 * std::asin(from_pole / (n * std::sqrt(6.0))) / radians_per_degree;
    return {45 * ((2 * d.quarter + 1) + (column - middle) / from_pole), ring < 2 * n ? latitude : -latitude};
  }
  static index_t whole(double x) { return static_cast<index_t>(std::floor(x)); }

  index_t n_;
};

} // namespace sbi::forward
