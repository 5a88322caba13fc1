// SPDX-License-Identifier: MIT
// Stars along lines of sight, and in cones made of such lines.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/dust_map.hpp>
#include <sbi/forward/galaxy_frame.hpp>
#include <sbi/forward/sky.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A Galaxy of `size()` components of stars: how many of component i there are per cubic kpc at a place, and
/// a random one of them there (`fill` sets what does not depend on the observer: mass, age, [M/H], velocity,
/// population). Safe to call from many threads at once.
template <class G>
concept StarField = requires(const G& galaxy, std::size_t i, const Galactocentric& place, Rng& rng,
                             Star& star) {
  { galaxy.frame() } -> std::convertible_to<const GalaxyFrame&>;
  { galaxy.size() } -> std::convertible_to<std::size_t>;
  { galaxy.number_density(i, place) } -> std::convertible_to<double>;
  galaxy.fill(rng, i, place, star);
};

/// The part of a line of sight that stars are drawn from [pc].
struct DistanceRange {
  double min = 0, max = 0;

  /// Throws ValueError unless 0 <= min < max and both are finite.
  void check() const {
    if (!(min >= 0 && min < max) || !is_finite(max))
      throw ValueError(
          sbi::text("line of sight: distances from ", min, " to ", max, " pc; want 0 <= first < second"));
  }
};

/// Stars along one line of sight, whose distances follow d^2 n(d) with the number density n of each
/// component. The densities are tabulated at distances that are halved until each component's integral holds
/// to `tolerance` of the whole, and in every interval that matters to about half a per cent of its own;
/// between them n is linear in d^3, so that the sampled density is continuous, its cumulative distribution
/// has an exact inverse, and a constant n has no error at all. Structure narrower than 0.2 kpc along the line
/// (2 per cent of the distance beyond 10 kpc) can be missed.
template <StarField G> class LineOfSight {
public:
  /// Refers to the galaxy, which must live longer. Throws ValueError for what is no range, and what the
  /// galaxy throws.
  LineOfSight(const G& galaxy, const SkyDirection& direction, DistanceRange range, double tolerance = 1e-4)
      : galaxy_(&galaxy), direction_(direction), stars_(galaxy.size(), 0.0) {
    range.check();
    if (!(tolerance > 0 && tolerance < 1))
      throw ValueError(sbi::text("line of sight: tolerance ", tolerance, "; want above 0 and below 1"));
    const std::vector<double> nodes = first_nodes(range);
    for (std::size_t i = 0; i < galaxy.size(); ++i) tabulate(i, nodes, tolerance);
    double sum = 0;
    for (Piece& piece : pieces_) {
      stars_[piece.component] += piece.stars();
      piece.until = sum += piece.stars();
    }
    total_ = sum;
    start_.resize(pieces_.size());
    std::size_t at = 0;
    for (std::size_t k = 0; k < start_.size(); ++k) {
      const double reached = total_ * static_cast<double>(k) / static_cast<double>(start_.size());
      while (at + 1 < pieces_.size() && pieces_[at].until <= reached) ++at;
      start_[k] = static_cast<std::uint32_t>(at);
    }
  }
  LineOfSight(const G&&, const SkyDirection&, DistanceRange, double = 1e-4) = delete;

  [[nodiscard]] const SkyDirection& direction() const { return direction_; }
  /// Stars in the range of distances per steradian, of all components and of one.
  [[nodiscard]] double stars() const { return total_; }
  [[nodiscard]] double stars(std::size_t component) const { return stars_.at(component); }
  /// Of those, the ones of one component nearer than `distance` [pc].
  [[nodiscard]] double stars_within(std::size_t component, double distance) const {
    const double kpc = distance / 1000, v = kpc * kpc * kpc;
    double sum = 0;
    for (const Piece& piece : pieces_)
      if (piece.component == component) sum += piece.stars(std::clamp((v - piece.v) / piece.dv, 0.0, 1.0));
    return sum;
  }
  /// Intervals of the table, of all components.
  [[nodiscard]] std::size_t intervals() const { return pieces_.size(); }

  /// A random star of the line; R_V is Star's. Throws ValueError where there is none, and where the dust map
  /// gives an A_V that is negative or not finite.
  template <DustMap D = NoDust> [[nodiscard]] Star draw(Rng& rng, const D& a_v = {}) const {
    return draw(rng, direction_, a_v);
  }
  /// The same seen in another direction, in which the densities are taken to be those of this line.
  template <DustMap D = NoDust>
  [[nodiscard]] Star draw(Rng& rng, const SkyDirection& towards, const D& a_v = {}) const {
    if (pieces_.empty())
      throw ValueError(sbi::text("line of sight: no stars towards longitude ", direction_.longitude,
                                 ", latitude ", direction_.latitude, " in this range of distances"));
    const Piece& piece = find(rng.uniform());
    const double v = piece.quantile(rng.uniform()), distance = 1000 * std::cbrt(v);
    Star star;
    star.longitude = towards.longitude, star.latitude = towards.latitude;
    star.log_distance = 3 + std::log10(v) / 3;
    galaxy_->fill(rng, piece.component, galaxy_->frame().place(towards, distance), star);
    star.a_v = a_v(star.longitude, star.latitude, distance);
    if (!(star.a_v >= 0) || !is_finite(star.a_v))
      throw ValueError(sbi::text("line of sight: A_V = ", star.a_v, " at longitude ", star.longitude,
                                 ", latitude ", star.latitude, ", ", distance, " pc; want 0 or more"));
    return star;
  }

private:
  /// An interval of d^3 [kpc^3] in which the number density goes linearly from n0 to n1.
  struct Piece {
    double v, dv, n0, n1, until;
    std::size_t component;
    /// Stars per steradian in its first fraction s: int n d^2 dd = int n dv / 3.
    [[nodiscard]] double stars(double s = 1) const { return dv * s * (n0 + (n1 - n0) * s / 2) / 3; }
    /// The d^3 below which the fraction u of its stars lies.
    [[nodiscard]] double quantile(double u) const {
      const double s = u * (n0 + n1) / (n0 + std::sqrt(n0 * n0 + u * (n1 - n0) * (n1 + n0)));
      return v + std::min(s, 1.0) * dv;
    }
  };
  struct Node {
    double d, v, n;
  };

  static std::vector<double> first_nodes(DistanceRange range) {
    const double end = range.max / 1000, most = (range.max - range.min) / 16e3;
    std::vector<double> nodes;
    for (double d = range.min / 1000; d < end; d += std::min(most, std::max(0.2, 0.02 * d)))
      nodes.push_back(d);
    nodes.push_back(end);
    return nodes;
  }

  void tabulate(std::size_t component, const std::vector<double>& distances, double tolerance) {
    const auto node = [&](double d) {
      const double n = galaxy_->number_density(component, galaxy_->frame().place(direction_, 1000 * d));
      return Node{d, d * d * d, n};
    };
    const auto piece = [&](const Node& a, const Node& b) {
      return Piece{a.v, b.v - a.v, a.n, b.n, 0, component};
    };
    std::vector<Node> nodes;
    for (double d : distances) nodes.push_back(node(d));
    double whole = 0;
    for (std::size_t i = 1; i < nodes.size(); ++i) whole += piece(nodes[i - 1], nodes[i]).stars();
    const auto refine = [&](const auto& self, const Node& a, const Node& b, int depth) -> void {
      const Node middle = node((a.d + b.d) / 2);
      const Piece left = piece(a, middle), right = piece(middle, b);
      const double stars = left.stars() + right.stars(), change = std::abs(stars - piece(a, b).stars());
      whole = std::max(whole, stars);
      if (depth < 40 &&
          (change > 3e-3 * tolerance * whole || (change > 5e-3 * stars && stars > 1e-8 * whole))) {
        self(self, a, middle, depth + 1), self(self, middle, b, depth + 1);
        return;
      }
      if (left.stars() > 0) pieces_.push_back(left);
      if (right.stars() > 0) pieces_.push_back(right);
    };
    for (std::size_t i = 1; i < nodes.size(); ++i) refine(refine, nodes[i - 1], nodes[i], 0);
  }

  [[nodiscard]] const Piece& find(double u) const {
    const auto part = static_cast<std::size_t>(u * static_cast<double>(start_.size()));
    const double wanted = u * total_;
    std::size_t at = start_[std::min(part, start_.size() - 1)];
    while (at + 1 < pieces_.size() && pieces_[at].until < wanted) ++at;
    return pieces_[at];
  }

  const G* galaxy_;
  SkyDirection direction_;
  std::vector<double> stars_;
  std::vector<Piece> pieces_;
  std::vector<std::uint32_t> start_; ///< for each of as many equal parts of the total, its first piece
  double total_ = 0;
};

/// Stars in a cap of the sky. It is cut into patches of about `patch` degrees; in each, positions are uniform
/// and distances and components those of the line of sight through its middle (tabulated to 1e-3), so
/// densities are taken as constant across a patch. A cap of half that radius has a single line, its axis.
/// Tables take about 0.1 MB and a millisecond a patch.
template <StarField G> class Cone {
public:
  /// `radius` and `patch` in degrees. Refers to the galaxy, which must live longer. Throws ValueError for a
  /// radius outside 0 .. 180, a patch smaller than radius / 150, and as LineOfSight.
  Cone(const G& galaxy, const SkyDirection& axis, double radius, DistanceRange range, double patch = 1)
      : axis_(axis) {
    if (!(radius > 0 && radius <= 180))
      throw ValueError(sbi::text("cone: radius ", radius, " degrees; want above 0 to 180"));
    if (!(patch > 0 && radius / patch <= 150))
      throw ValueError(sbi::text("cone: patches of ", patch, " degrees in a radius of ", radius,
                                 "; want at least 1/150 of the radius"));
    const double l = axis.longitude * radians_per_degree, b = axis.latitude * radians_per_degree;
    north_ = {-std::sin(b) * std::cos(l), -std::sin(b) * std::sin(l), std::cos(b)};
    east_ = {-std::sin(l), std::cos(l), 0};
    // A disc of half a ring's width in the middle, then rings of patches as long as they are wide.
    const int rings = static_cast<int>(std::ceil(radius / patch + 0.5));
    const double width = radius * radians_per_degree / (rings - 0.5);
    for (int ring = 0; ring < rings; ++ring) {
      const double middle = ring * width;
      const double inner = from_axis(std::max(0.0, middle - width / 2));
      const double outer = from_axis(std::min(radius * radians_per_degree, middle + width / 2));
      const double around = 2 * std::numbers::pi * std::sin(middle);
      const int parts = std::max(1, static_cast<int>(std::ceil(around / width)));
      const double turn = 2 * std::numbers::pi / parts;
      for (int k = 0; k < parts; ++k) {
        LineOfSight<G> line(galaxy, direction(from_axis(middle), (k + 0.5) * turn), range, 1e-3);
        total_ += line.stars() * turn * 2 * (outer - inner);
        patches_.push_back({inner, outer, k * turn, turn, total_, std::move(line)});
      }
    }
  }
  Cone(const G&&, const SkyDirection&, double, DistanceRange, double = 1) = delete;

  /// Expected number of stars.
  [[nodiscard]] double stars() const { return total_; }
  [[nodiscard]] std::size_t patches() const { return patches_.size(); }

  /// A random star; throws as LineOfSight.
  template <DustMap D = NoDust> [[nodiscard]] Star draw(Rng& rng, const D& a_v = {}) const {
    const double wanted = patches_.size() > 1 ? rng.uniform() * total_ : 0;
    const auto found = std::lower_bound(patches_.begin(), patches_.end() - 1, wanted,
                                        [](const Patch& p, double value) { return p.until < value; });
    const double away = rng.uniform(found->inner, found->outer);
    return found->line.draw(rng, direction(away, found->start + found->turn * rng.uniform()), a_v);
  }

private:
  struct Patch {
    double inner, outer, start, turn, until; ///< distances from the axis; azimuths; stars up to here
    LineOfSight<G> line;
  };

  /// The measure of an angle from the axis in which a cap's area is uniform, exact for small ones.
  static double from_axis(double angle) { return std::sin(angle / 2) * std::sin(angle / 2); }

  /// The direction at a distance from the axis, sin^2(angle / 2), and an azimuth from the north.
  [[nodiscard]] SkyDirection direction(double away, double azimuth) const {
    const double cosine = 1 - 2 * away, sine = 2 * std::sqrt(away * (1 - away));
    const double up = sine * std::cos(azimuth), along = sine * std::sin(azimuth);
    const auto at = [&](std::size_t k) { return cosine * axis_.unit[k] + up * north_[k] + along * east_[k]; };
    return SkyDirection::of(at(0), at(1), at(2));
  }

  SkyDirection axis_;
  std::array<double, 3> north_{}, east_{};
  std::vector<Patch> patches_;
  double total_ = 0;
};

} // namespace sbi::forward
