// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/atmosphere_range.hpp>
#include <sbi/forward/concepts.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Which models of a grid to load.
struct GridRange {
  double teff_min = 0, teff_max = 1e6, mh_min = -10, mh_max = 10;
};

/// The models around a point of a grid: `count` nodes (as `SpectralGrid::node` numbers them), their weights
/// in ln F_lambda, which add up to 1, and slope[axis] = d weight / d log_teff, d log_g, d mh, each adding up
/// to 0. Nodes of positive weight come first; where the point lies on a node or a cell wall, nodes of zero
/// weight follow that only the slopes need.
struct GridCorners {
  std::array<std::size_t, 8> node{};
  std::array<double, 8> weight{};
  std::array<std::array<double, 8>, 3> slope{};
  int count = 0;
};

/// A grid of model spectra on (T_eff, log g, [M/H]); satisfies `Atmosphere`. Between models, log F_lambda is
/// linear in (log T_eff, log g, [M/H]). A node may be missing; a star next to a missing node that would have
/// to contribute is not covered, and nothing is ever extrapolated. Fluxes below 1e-40 (the far ultraviolet of
/// cool stars, where files hold 0) count as 1e-40. Kept as single-precision logarithms: 4 bytes a value, 1e-6
/// relative.
class SpectralGrid {
public:
  /// Axes in K, dex and dex, wavelengths in micron, all increasing; every node missing at first. An axis of
  /// one value covers that value only. Throws ValueError for an axis that is empty or does not increase, or
  /// is not positive where it must be.
  SpectralGrid(std::vector<double> teffs, std::vector<double> log_gs, std::vector<double> mhs,
               std::vector<double> wavelengths)
      : log_teffs_(std::move(teffs)), log_gs_(std::move(log_gs)), mhs_(std::move(mhs)),
        wavelengths_(std::move(wavelengths)) {
    const auto check = [](const std::vector<double>& axis, const char* name, bool positive) {
      if (axis.empty() || std::adjacent_find(axis.begin(), axis.end(), std::greater_equal<>()) != axis.end())
        throw ValueError(
            text("spectral grid: ", name, " of ", axis.size(), " values; want increasing values"));
      for (const double v : axis)
        if (!is_finite(v)) throw ValueError(text("spectral grid: ", name, " ", v, "; want finite values"));
      if (positive && !(axis[0] > 0))
        throw ValueError(text("spectral grid: ", name, " ", axis[0], "; want > 0"));
    };
    check(log_teffs_, "T_eff", true);
    check(log_gs_, "log g", false);
    check(mhs_, "[M/H]", false);
    check(wavelengths_, "wavelength", true);
    for (double& t : log_teffs_) t = std::log10(t);
    const std::size_t nodes = mhs_.size() * log_teffs_.size() * log_gs_.size();
    ln_flux_.resize(nodes * wavelengths_.size());
    present_.resize(nodes);
  }

  /// Stores the surface flux [erg/s/cm^2/A] of one node, by the positions of its values on the axes.
  /// Different nodes may be stored from different threads at once. Throws ShapeError for another number of
  /// wavelengths, ValueError for a position beyond an axis and a flux that is negative or not finite.
  void set(std::size_t teff, std::size_t log_g, std::size_t mh, std::span<const double> flux) {
    if (flux.size() != wavelengths_.size())
      throw ShapeError(text("spectral grid: ", flux.size(), " fluxes; want ", wavelengths_.size()));
    if (teff >= log_teffs_.size() || log_g >= log_gs_.size() || mh >= mhs_.size())
      throw ValueError(text("spectral grid: node (", teff, ", ", log_g, ", ", mh, "); want positions below (",
                            log_teffs_.size(), ", ", log_gs_.size(), ", ", mhs_.size(), ")"));
    const std::size_t n = node(teff, log_g, mh);
    float* out = &ln_flux_[n * wavelengths_.size()];
    for (std::size_t i = 0; i < flux.size(); ++i) {
      if (!(flux[i] >= 0) || !is_finite(flux[i]))
        throw ValueError(
            text("spectral grid: flux ", flux[i], " at ", wavelengths_[i], " micron; want 0 or more"));
      out[i] = static_cast<float>(std::log(std::max(flux[i], 1e-40)));
    }
    present_[n] = 1;
  }
  /// Fills every missing node that has models on both sides in T_eff, at the same log g and [M/H], by
  /// interpolating between the nearest of them: temperatures known for some gravities only would otherwise
  /// cut the grid in two.
  void fill_gaps() {
    for (std::size_t m = 0; m < mhs_.size(); ++m)
      for (std::size_t g = 0; g < log_gs_.size(); ++g)
        for (std::size_t t = 1, below = log_teffs_.size(); t < log_teffs_.size(); ++t) {
          if (present_[node(t - 1, g, m)]) below = t - 1;
          if (present_[node(t, g, m)] || below == log_teffs_.size()) continue;
          std::size_t above = t;
          while (above < log_teffs_.size() && !present_[node(above, g, m)]) ++above;
          if (above == log_teffs_.size()) break;
          const auto w = static_cast<float>((log_teffs_[t] - log_teffs_[below]) /
                                            (log_teffs_[above] - log_teffs_[below]));
          const std::span<const float> a = ln_flux(node(below, g, m)), b = ln_flux(node(above, g, m));
          float* out = &ln_flux_[node(t, g, m) * wavelengths_.size()];
          for (std::size_t i = 0; i < wavelengths_.size(); ++i) out[i] = std::lerp(a[i], b[i], w);
          present_[node(t, g, m)] = 1;
        }
  }

  [[nodiscard]] std::span<const double> wavelengths() const { return wavelengths_; }
  [[nodiscard]] std::span<const double> log_teffs() const { return log_teffs_; }
  [[nodiscard]] std::span<const double> log_gs() const { return log_gs_; }
  [[nodiscard]] std::span<const double> metallicities() const { return mhs_; }
  /// The number of a node, from the positions of its values on the axes: [M/H] varies slowest, log g fastest.
  [[nodiscard]] std::size_t node(std::size_t teff, std::size_t log_g, std::size_t mh) const {
    return (mh * log_teffs_.size() + teff) * log_gs_.size() + log_g;
  }
  [[nodiscard]] bool has(std::size_t teff, std::size_t log_g, std::size_t mh) const {
    return present_[node(teff, log_g, mh)] != 0;
  }
  /// ln F_lambda of one node at every wavelength. Throws ValueError where there is no model.
  [[nodiscard]] std::span<const float> ln_flux(std::size_t node) const {
    if (node >= present_.size() || !present_[node])
      throw ValueError(text("spectral grid: no model at node ", node, " of ", present_.size()));
    return {&ln_flux_[node * wavelengths_.size()], wavelengths_.size()};
  }

  /// The box around the models that are there. Throws ValueError if there are none.
  [[nodiscard]] AtmosphereRange range() const {
    std::array<std::size_t, 3> low{log_teffs_.size(), log_gs_.size(), mhs_.size()}, high{};
    for (std::size_t m = 0; m < mhs_.size(); ++m)
      for (std::size_t t = 0; t < log_teffs_.size(); ++t)
        for (std::size_t g = 0; g < log_gs_.size(); ++g) {
          if (!has(t, g, m)) continue;
          const std::array<std::size_t, 3> at{t, g, m};
          for (std::size_t a = 0; a < 3; ++a)
            low[a] = std::min(low[a], at[a]), high[a] = std::max(high[a], at[a]);
        }
    if (low[0] == log_teffs_.size()) throw ValueError("spectral grid: no models; want one or more");
    return {std::pow(10, log_teffs_[low[0]]),
            std::pow(10, log_teffs_[high[0]]),
            log_gs_[low[1]],
            log_gs_[high[1]],
            mhs_[low[2]],
            mhs_[high[2]],
            wavelengths_.front(),
            wavelengths_.back()};
  }

  [[nodiscard]] bool covers(double log_teff, double log_g, double mh) const {
    return position(log_teff, log_g, mh).has_value();
  }
  /// The models that make up the spectrum at a point, with the derivatives of their weights; nothing where
  /// the point is not covered. The slopes are those of the cell the point is in. On a node or a cell wall,
  /// each axis on which the point has exactly a tabulated value takes the cell above it, or the one below
  /// where it is the last value or a node that the slope needs is missing above; where both sides lack a node
  /// (or the axis has one value only) its slope is 0.
  [[nodiscard]] std::optional<GridCorners> corners(double log_teff, double log_g, double mh) const {
    const std::optional<std::array<Position, 3>> at = position(log_teff, log_g, mh);
    if (!at) return std::nullopt;
    GridCorners c;
    const std::array<const std::vector<double>*, 3> axes{&log_teffs_, &log_gs_, &mhs_};
    std::array<std::array<double, 2>, 3> slope{}; // over the weight, at the lower and the upper end
    for (std::size_t a = 0; a < 3; ++a) {
      const auto [low, high, fraction] = (*at)[a];
      if (low == high) continue;
      const double step = (*axes[a])[high] - (*axes[a])[low];
      slope[a] = {-1 / ((1 - fraction) * step), 1 / (fraction * step)};
    }
    each_node(*at, [&](std::size_t n, double w, std::size_t end) {
      const auto k = static_cast<std::size_t>(c.count++);
      c.node[k] = n;
      c.weight[k] = w;
      for (std::size_t a = 0; a < 3; ++a) c.slope[a][k] = w * slope[a][end >> a & 1];
      return true;
    });
    for (std::size_t a = 0; a < 3; ++a) {
      const std::size_t on = (*at)[a].low;
      if (on != (*at)[a].high) continue;
      if (!(on + 1 < axes[a]->size() && add_slope(c, *at, a, on, on + 1)) && on > 0)
        add_slope(c, *at, a, on - 1, on);
    }
    return c;
  }
  /// Surface flux [erg/s/cm^2/A] at every wavelength. Throws ValueError where not covered, ShapeError for an
  /// `out` of another size.
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    const std::optional<std::array<Position, 3>> at = position(log_teff, log_g, mh);
    if (!at)
      throw ValueError(text("spectral grid: no models around log T_eff = ", log_teff, ", log g = ", log_g,
                            ", [M/H] = ", mh));
    if (out.size() != wavelengths_.size())
      throw ShapeError(text("spectral grid: room for ", out.size(), " fluxes; want ", wavelengths_.size()));
    std::fill(out.begin(), out.end(), 0.0);
    each_node(*at, [&](std::size_t n, double w, std::size_t) {
      const float* f = &ln_flux_[n * wavelengths_.size()];
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += w * static_cast<double>(f[i]);
      return true;
    });
    for (double& f : out) f = std::exp(f);
  }

private:
  /// Between the axis values `low` and `high`, or on the value low = high.
  struct Position {
    std::size_t low, high;
    double fraction;
  };
  static std::optional<Position> locate(const std::vector<double>& axis, double x) {
    constexpr double rounding = 1e-9; // log10 of a tabulated T_eff may come back one bit off
    if (!(x >= axis.front() - rounding && x <= axis.back() + rounding)) return std::nullopt;
    if (axis.size() == 1) return Position{0, 0, 0};
    const auto i =
        static_cast<std::size_t>(std::upper_bound(axis.begin() + 1, axis.end() - 1, x) - axis.begin()) - 1;
    const double f = (x - axis[i]) / (axis[i + 1] - axis[i]);
    if (f < rounding) return Position{i, i, 0};
    if (f > 1 - rounding) return Position{i + 1, i + 1, 0};
    return Position{i, i + 1, f};
  }
  /// Calls f(node, weight, end) for the nodes around a position, bit a of `end` saying that the node is at
  /// the upper end of axis a; stops and returns false where f does.
  template <class F> bool each_node(const std::array<Position, 3>& at, F&& f) const {
    for (std::size_t k = 0; k < 8; ++k) {
      std::array<std::size_t, 3> i{};
      double w = 1;
      bool twice = false; // an axis on which the position is a single value
      for (std::size_t a = 0; a < 3; ++a) {
        const bool up = (k >> a & 1) != 0;
        twice = twice || (up && at[a].low == at[a].high);
        i[a] = up ? at[a].high : at[a].low;
        w *= up ? at[a].fraction : 1 - at[a].fraction;
      }
      if (!twice && !f(node(i[0], i[1], i[2]), w, k)) return false;
    }
    return true;
  }
  /// The position of a point, if all nodes around it are there.
  [[nodiscard]] std::optional<std::array<Position, 3>> position(double log_teff, double log_g,
                                                                double mh) const {
    const auto t = locate(log_teffs_, log_teff), g = locate(log_gs_, log_g), m = locate(mhs_, mh);
    if (!t || !g || !m) return std::nullopt;
    const std::array<Position, 3> at{*t, *g, *m};
    if (!all_present(at)) return std::nullopt;
    return at;
  }
  [[nodiscard]] bool all_present(const std::array<Position, 3>& at) const {
    return each_node(at, [&](std::size_t n, double, std::size_t) { return present_[n] != 0; });
  }
  /// The slope along an axis on which the position is a single value, from a cell that ends there; false if a
  /// node of it is missing.
  bool add_slope(GridCorners& c, const std::array<Position, 3>& at, std::size_t axis, std::size_t low,
                 std::size_t high) const {
    std::array<Position, 3> cell = at;
    cell[axis] = {low, high, 0.5};
    if (!all_present(cell)) return false;
    const std::vector<double>& values = axis == 0 ? log_teffs_ : axis == 1 ? log_gs_ : mhs_;
    const double slope = 2 / (values[high] - values[low]); // of weights 1/2
    each_node(cell, [&](std::size_t n, double w, std::size_t end) {
      std::size_t k = 0;
      while (k < static_cast<std::size_t>(c.count) && c.node[k] != n) ++k;
      if (k == static_cast<std::size_t>(c.count)) c.node[k] = n, ++c.count;
      c.slope[axis][k] = (end >> axis & 1) != 0 ? w * slope : -w * slope;
      return true;
    });
    return true;
  }

  std::vector<double> log_teffs_, log_gs_, mhs_, wavelengths_;
  std::vector<float> ln_flux_; ///< [M/H, T_eff, log g, wavelength]
  std::vector<char> present_;
};

static_assert(RangedAtmosphere<SpectralGrid>);

} // namespace sbi::forward
