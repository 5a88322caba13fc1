// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/evolution_range.hpp>
#include <sbi/forward/surface_gravity.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A star of a grid of tracks: log10 of its mass [solar masses] and of its age [years].
struct MassAge {
  double log_mass = 0, log_age = 0;
};

/// Evolution of contracting stars as a grid in (log age, log mass) of log T_eff and log L, for one
/// metallicity; satisfies `Evolution`. Between nodes both are bilinear in (log age, log mass). A node may be
/// missing; a star next to a missing node that would have to contribute is outside, and nothing is ever
/// extrapolated. Gravity follows from mass, L and T_eff; mass loss is ignored.
///
/// Stars change slowly along these axes, so interpolation at fixed mass is enough before the end of the main
/// sequence: see `read_track_grid` for measured errors. Beyond it a grid like this is useless (a giant and a
/// turn-off star would be mixed): use `Isochrones`.
class TrackGrid {
public:
  static constexpr bool has_age = true;

  /// log_ages [Na] and log_masses [Nm]: increasing, two or more each. log_teff and log_l: [Na, Nm],
  /// row-major, NaN where there is no model. The grid stands for metallicities within mh_tolerance of mh.
  /// Throws ShapeError for other sizes, ValueError for axes that do not increase, a value that is infinite or
  /// missing in one table only, no cell with four models, or a tolerance below 0.
  TrackGrid(std::vector<double> log_ages, std::vector<double> log_masses, std::vector<double> log_teff,
            std::vector<double> log_l, double mh = 0, double mh_tolerance = 0.1)
      : log_ages_(std::move(log_ages)), log_masses_(std::move(log_masses)), log_teff_(std::move(log_teff)),
        log_l_(std::move(log_l)), mh_min_(mh - mh_tolerance), mh_max_(mh + mh_tolerance) {
    for (const auto* axis : {&log_ages_, &log_masses_})
      if (axis->size() < 2 ||
          std::adjacent_find(axis->begin(), axis->end(), std::greater_equal<>()) != axis->end())
        throw ValueError(text("track grid: ", axis == &log_ages_ ? "log age" : "log mass", " of ",
                              axis->size(), " values; want two or more, increasing"));
    const std::size_t nodes = log_ages_.size() * log_masses_.size();
    if (log_teff_.size() != nodes || log_l_.size() != nodes)
      throw ShapeError(text("track grid: ", log_teff_.size(), " log T_eff and ", log_l_.size(),
                            " log L; want ", log_ages_.size(), " ages x ", log_masses_.size(), " masses"));
    if (!(mh_tolerance >= 0))
      throw ValueError(text("track grid: tolerance of [M/H] ", mh_tolerance, "; want 0 or more"));
    for (std::size_t n = 0; n < nodes; ++n)
      if (is_missing(log_teff_[n]) != is_missing(log_l_[n]) || (has(n) && !is_finite(log_teff_[n])) ||
          (has(n) && !is_finite(log_l_[n])))
        throw ValueError(text("track grid: log T_eff ", log_teff_[n], ", log L ", log_l_[n], " at log age ",
                              log_ages_[n / log_masses_.size()], ", log mass ",
                              log_masses_[n % log_masses_.size()], "; want both finite or both NaN"));
    make_blocks();
  }

  /// The star of this mass and age, with the log_mass, log_age and mh asked for; nothing outside the grid or
  /// further than the tolerance from its metallicity.
  [[nodiscard]] std::optional<StarState> state(double log_mass, double log_age, double mh) const {
    const std::optional<Position> at = position(log_mass, log_age);
    if (!at || !(mh >= mh_min_ && mh <= mh_max_)) return std::nullopt;
    const double l = value(*at, log_l_), t = value(*at, log_teff_);
    return StarState{log_mass, log_age, mh, l, t, surface_gravity(log_mass, l, t)};
  }
  [[nodiscard]] bool inside(double log_mass, double log_age) const {
    return position(log_mass, log_age).has_value();
  }
  /// The least and the greatest log mass at this age; nothing where there is none. All masses between are
  /// inside unless the grid has a hole there.
  [[nodiscard]] std::optional<std::pair<double, double>> mass_range(double log_age) const {
    const std::optional<Place> row = place(log_ages_, log_age);
    if (!row) return std::nullopt;
    std::optional<std::pair<double, double>> range;
    for (std::size_t j = 0; j < log_masses_.size(); ++j)
      if ((row->fraction == 1 || has(node(row->below, j))) &&
          (row->fraction == 0 || has(node(row->below + 1, j))))
        range = {range ? range->first : log_masses_[j], log_masses_[j]};
    return range;
  }

  /// Every star of the grid with this T_eff and L, the youngest first: a star that contracts and one that
  /// leaves the main sequence may look alike. Solutions closer than 1e-6 dex in both mass and age count as
  /// one. Only cells with four models are searched, each inverted in closed form. Where a track stands still
  /// (on the main sequence, to the precision of the file) its age is any of that stretch.
  [[nodiscard]] std::vector<MassAge> stars_at(double log_teff, double log_l) const {
    std::vector<MassAge> found;
    const auto add = [&](MassAge star) {
      for (const MassAge& f : found)
        if (std::abs(f.log_mass - star.log_mass) < 1e-6 && std::abs(f.log_age - star.log_age) < 1e-6) return;
      found.push_back(star);
    };
    for (const Block& b : blocks_)
      if (b.box.holds(log_teff, log_l))
        for (std::size_t i = b.age; i < std::min(b.age + block, log_ages_.size() - 1); ++i)
          for (std::size_t j = b.mass; j < std::min(b.mass + block, log_masses_.size() - 1); ++j)
            if (cell_box(i, j).holds(log_teff, log_l)) invert(i, j, log_teff, log_l, add);
    std::sort(found.begin(), found.end(),
              [](const MassAge& a, const MassAge& b) { return a.log_age < b.log_age; });
    return found;
  }
  /// The first of `stars_at`: what a star known to be young is.
  [[nodiscard]] std::optional<MassAge> youngest_at(double log_teff, double log_l) const {
    const std::vector<MassAge> found = stars_at(log_teff, log_l);
    return found.empty() ? std::nullopt : std::optional(found.front());
  }

  /// The box around the nodes that have a model.
  [[nodiscard]] EvolutionRange range() const {
    constexpr double most = std::numeric_limits<double>::max();
    EvolutionRange r{most, -most, most, -most, mh_min_, mh_max_};
    for (std::size_t i = 0; i < log_ages_.size(); ++i)
      for (std::size_t j = 0; j < log_masses_.size(); ++j) {
        if (!has(node(i, j))) continue;
        r.log_mass_min = std::min(r.log_mass_min, log_masses_[j]);
        r.log_mass_max = std::max(r.log_mass_max, log_masses_[j]);
        r.log_age_min = std::min(r.log_age_min, log_ages_[i]);
        r.log_age_max = std::max(r.log_age_max, log_ages_[i]);
      }
    return r;
  }
  [[nodiscard]] const std::vector<double>& log_ages() const { return log_ages_; }
  [[nodiscard]] const std::vector<double>& log_masses() const { return log_masses_; }
  /// log T_eff and log L [Na, Nm], NaN where there is no model.
  [[nodiscard]] const std::vector<double>& log_teff() const { return log_teff_; }
  [[nodiscard]] const std::vector<double>& log_l() const { return log_l_; }

private:
  struct Place {
    std::size_t below;
    double fraction;
  };
  struct Position {
    std::array<std::size_t, 4> node;
    std::array<double, 4> weight;
  };
  struct Box {
    double t_min = std::numeric_limits<double>::max(), t_max = -t_min, l_min = t_min, l_max = -t_min;
    void add(double t, double l) {
      t_min = std::min(t_min, t), t_max = std::max(t_max, t);
      l_min = std::min(l_min, l), l_max = std::max(l_max, l);
    }
    [[nodiscard]] bool holds(double t, double l) const {
      constexpr double rounding = 1e-9; // a node on the edge of its cell must be found again
      return t >= t_min - rounding && t <= t_max + rounding && l >= l_min - rounding && l <= l_max + rounding;
    }
  };
  /// A square of `block` x `block` cells with the box around their models, so that few cells are looked at.
  struct Block {
    std::size_t age, mass;
    Box box;
  };
  static constexpr std::size_t block = 16;

  [[nodiscard]] std::size_t node(std::size_t age, std::size_t mass) const {
    return age * log_masses_.size() + mass;
  }
  [[nodiscard]] bool has(std::size_t n) const { return !is_missing(log_l_[n]); }

  static std::optional<Place> place(const std::vector<double>& axis, double x) {
    if (!(x >= axis.front() && x <= axis.back())) return std::nullopt;
    const auto above = std::upper_bound(axis.begin() + 1, axis.end() - 1, x);
    const auto i = static_cast<std::size_t>(above - axis.begin()) - 1;
    return Place{i, (x - axis[i]) / (axis[i + 1] - axis[i])};
  }
  [[nodiscard]] std::optional<Position> position(double log_mass, double log_age) const {
    const std::optional<Place> a = place(log_ages_, log_age), m = place(log_masses_, log_mass);
    if (!a || !m) return std::nullopt;
    Position p{};
    for (std::size_t k = 0; k < 4; ++k) {
      p.node[k] = node(a->below + k / 2, m->below + k % 2);
      p.weight[k] = (k / 2 ? a->fraction : 1 - a->fraction) * (k % 2 ? m->fraction : 1 - m->fraction);
      if (p.weight[k] > 0 && !has(p.node[k])) return std::nullopt;
    }
    return p;
  }
  static double value(const Position& p, const std::vector<double>& table) {
    double sum = 0;
    for (std::size_t k = 0; k < 4; ++k)
      if (p.weight[k] > 0) sum += p.weight[k] * table[p.node[k]];
    return sum;
  }

  [[nodiscard]] Box cell_box(std::size_t i, std::size_t j) const {
    Box box;
    const std::array<std::size_t, 4> corners{node(i, j), node(i, j + 1), node(i + 1, j), node(i + 1, j + 1)};
    for (const std::size_t n : corners)
      if (!has(n)) return {};
    for (const std::size_t n : corners) box.add(log_teff_[n], log_l_[n]);
    return box;
  }
  void make_blocks() {
    for (std::size_t i = 0; i + 1 < log_ages_.size(); i += block)
      for (std::size_t j = 0; j + 1 < log_masses_.size(); j += block) {
        Box around;
        for (std::size_t a = i; a < std::min(i + block, log_ages_.size() - 1); ++a)
          for (std::size_t b = j; b < std::min(j + block, log_masses_.size() - 1); ++b)
            if (const Box box = cell_box(a, b); box.l_min <= box.l_max)
              around.add(box.t_min, box.l_min), around.add(box.t_max, box.l_max);
        if (around.l_min <= around.l_max) blocks_.push_back({i, j, around});
      }
    if (blocks_.empty()) throw ValueError("track grid: no four neighbouring models; want one cell or more");
  }

  /// The points (u, v) of [0, 1]^2 where A + B u + C v + D u v meets the target, in both coordinates: without
  /// u it is a quadratic in v.
  template <class Add>
  void invert(std::size_t i, std::size_t j, double log_teff, double log_l, Add&& add) const {
    using Pair = std::array<double, 2>;
    const auto at = [&](std::size_t n) { return Pair{log_teff_[n], log_l_[n]}; };
    const Pair p00 = at(node(i, j)), p10 = at(node(i, j + 1)), p01 = at(node(i + 1, j)),
               p11 = at(node(i + 1, j + 1));
    Pair b{}, c{}, d{}, h{};
    for (std::size_t k = 0; k < 2; ++k) {
      b[k] = p10[k] - p00[k], c[k] = p01[k] - p00[k], d[k] = (p11[k] - p01[k]) - b[k];
      h[k] = (k == 0 ? log_teff : log_l) - p00[k];
    }
    const auto cross = [](const Pair& x, const Pair& y) { return x[0] * y[1] - x[1] * y[0]; };
    const double k2 = cross(d, c), k1 = cross(b, c) + cross(h, d), k0 = cross(h, b);
    const double root = k1 * k1 - 4 * k2 * k0;
    if (root < 0) return;
    const double q = -0.5 * (k1 + std::copysign(std::sqrt(root), k1));
    const bool still = k1 == 0 && k2 == 0; // the same track points at both ages: u alone, at the lower age
    if (still && std::abs(k0) > 1e-12 * (b[0] * b[0] + b[1] * b[1])) return;
    for (const double v : {still ? 0 : q != 0 ? k0 / q : 2, k2 != 0 ? q / k2 : 2}) {
      const double x = b[0] + d[0] * v, y = b[1] + d[1] * v; // h = (x, y) u + c v
      if (x * x + y * y == 0) continue;
      const double u = ((h[0] - c[0] * v) * x + (h[1] - c[1] * v) * y) / (x * x + y * y);
      constexpr double rounding = 1e-7;
      if (!(u >= -rounding && u <= 1 + rounding && v >= -rounding && v <= 1 + rounding)) continue;
      add(MassAge{std::lerp(log_masses_[j], log_masses_[j + 1], std::clamp(u, 0.0, 1.0)),
                  std::lerp(log_ages_[i], log_ages_[i + 1], std::clamp(v, 0.0, 1.0))});
    }
  }

  std::vector<double> log_ages_, log_masses_, log_teff_, log_l_;
  double mh_min_, mh_max_;
  std::vector<Block> blocks_;
};

static_assert(RangedEvolution<TrackGrid>);

} // namespace sbi::forward
