// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/concepts.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sbi::forward {

/// Which models of a grid to load.
struct GridRange {
  double teff_min = 0, teff_max = 1e6, mh_min = -10, mh_max = 10;
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

  /// Stores the surface flux [erg/s/cm^2/A] of one node, by the positions of its values on the axes. Throws
  /// ShapeError for another number of wavelengths, ValueError for a flux that is negative or not finite.
  void set(std::size_t teff, std::size_t log_g, std::size_t mh, std::span<const double> flux) {
    if (flux.size() != wavelengths_.size())
      throw ShapeError(text("spectral grid: ", flux.size(), " fluxes; want ", wavelengths_.size()));
    const std::size_t node = index(teff, log_g, mh);
    float* out = &ln_flux_[node * wavelengths_.size()];
    for (std::size_t i = 0; i < flux.size(); ++i) {
      if (!(flux[i] >= 0) || !is_finite(flux[i]))
        throw ValueError(
            text("spectral grid: flux ", flux[i], " at ", wavelengths_[i], " micron; want 0 or more"));
      out[i] = static_cast<float>(std::log(std::max(flux[i], 1e-40)));
    }
    present_[node] = 1;
  }
  /// Fills every missing node that has models on both sides in T_eff, at the same log g and [M/H], by
  /// interpolating between the nearest of them: temperatures known for some gravities only would otherwise
  /// cut the grid in two.
  void fill_gaps() {
    for (std::size_t m = 0; m < mhs_.size(); ++m)
      for (std::size_t g = 0; g < log_gs_.size(); ++g)
        for (std::size_t t = 1, below = log_teffs_.size(); t < log_teffs_.size(); ++t) {
          if (present_[index(t - 1, g, m)]) below = t - 1;
          if (present_[index(t, g, m)] || below == log_teffs_.size()) continue;
          std::size_t above = t;
          while (above < log_teffs_.size() && !present_[index(above, g, m)]) ++above;
          if (above == log_teffs_.size()) break;
          const auto w = static_cast<float>((log_teffs_[t] - log_teffs_[below]) /
                                            (log_teffs_[above] - log_teffs_[below]));
          const float *a = ln_flux(index(below, g, m)), *b = ln_flux(index(above, g, m));
          float* out = &ln_flux_[index(t, g, m) * wavelengths_.size()];
          for (std::size_t i = 0; i < wavelengths_.size(); ++i) out[i] = std::lerp(a[i], b[i], w);
          present_[index(t, g, m)] = 1;
        }
  }

  [[nodiscard]] std::span<const double> wavelengths() const { return wavelengths_; }
  [[nodiscard]] std::span<const double> log_teffs() const { return log_teffs_; }
  [[nodiscard]] std::span<const double> log_gs() const { return log_gs_; }
  [[nodiscard]] std::span<const double> metallicities() const { return mhs_; }
  [[nodiscard]] bool has(std::size_t teff, std::size_t log_g, std::size_t mh) const {
    return present_[index(teff, log_g, mh)] != 0;
  }

  [[nodiscard]] bool covers(double log_teff, double log_g, double mh) const {
    return corners(log_teff, log_g, mh).has_value();
  }
  /// Surface flux [erg/s/cm^2/A] at every wavelength. Throws ValueError where not covered, ShapeError for an
  /// `out` of another size.
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    const std::optional<Corners> c = corners(log_teff, log_g, mh);
    if (!c)
      throw ValueError(text("spectral grid: no models around log T_eff = ", log_teff, ", log g = ", log_g,
                            ", [M/H] = ", mh));
    if (out.size() != wavelengths_.size())
      throw ShapeError(text("spectral grid: room for ", out.size(), " fluxes; want ", wavelengths_.size()));
    std::fill(out.begin(), out.end(), 0.0);
    for (int k = 0; k < c->count; ++k) {
      const float* f = ln_flux(c->node[static_cast<std::size_t>(k)]);
      const double w = c->weight[static_cast<std::size_t>(k)];
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += w * static_cast<double>(f[i]);
    }
    for (double& f : out) f = std::exp(f);
  }

private:
  struct Corners {
    std::array<std::size_t, 8> node;
    std::array<double, 8> weight;
    int count;
  };
  struct Position {
    std::size_t low;
    double fraction;
  };
  static std::optional<Position> locate(const std::vector<double>& axis, double x) {
    constexpr double rounding = 1e-9; // log10 of a tabulated T_eff may come back one bit off
    if (!(x >= axis.front() - rounding && x <= axis.back() + rounding)) return std::nullopt;
    if (axis.size() == 1) return Position{0, 0};
    const auto i =
        static_cast<std::size_t>(std::upper_bound(axis.begin() + 1, axis.end() - 1, x) - axis.begin()) - 1;
    const double f = std::clamp((x - axis[i]) / (axis[i + 1] - axis[i]), 0.0, 1.0);
    return Position{i, f < rounding ? 0 : f > 1 - rounding ? 1 : f};
  }
  /// The nodes with a positive weight; nothing if one of them is missing.
  [[nodiscard]] std::optional<Corners> corners(double log_teff, double log_g, double mh) const {
    const auto t = locate(log_teffs_, log_teff), g = locate(log_gs_, log_g), m = locate(mhs_, mh);
    if (!t || !g || !m) return std::nullopt;
    Corners c{{}, {}, 0};
    for (std::size_t k = 0; k < 8; ++k) {
      const std::size_t dt = k & 1, dg = k >> 1 & 1, dm = k >> 2;
      const double w = (dt ? t->fraction : 1 - t->fraction) * (dg ? g->fraction : 1 - g->fraction) *
                       (dm ? m->fraction : 1 - m->fraction);
      if (!(w > 0)) continue;
      const std::size_t node = index(t->low + dt, g->low + dg, m->low + dm);
      if (!present_[node]) return std::nullopt;
      c.node[static_cast<std::size_t>(c.count)] = node;
      c.weight[static_cast<std::size_t>(c.count++)] = w;
    }
    return c;
  }
  [[nodiscard]] std::size_t index(std::size_t teff, std::size_t log_g, std::size_t mh) const {
    return (mh * log_teffs_.size() + teff) * log_gs_.size() + log_g;
  }
  [[nodiscard]] const float* ln_flux(std::size_t node) const { return &ln_flux_[node * wavelengths_.size()]; }

  std::vector<double> log_teffs_, log_gs_, mhs_, wavelengths_;
  std::vector<float> ln_flux_; ///< [M/H, T_eff, log g, wavelength]
  std::vector<char> present_;
};

static_assert(Atmosphere<SpectralGrid>);

} // namespace sbi::forward
