// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/photometry.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sbi::forward {

/// Where a photometry table has its nodes: log T_eff, log g and [M/H], increasing.
struct TableAxes {
  std::vector<double> log_teff, log_g, mh;
};

/// The axis with `parts` equal steps between each two of its values.
[[nodiscard]] inline std::vector<double> refined(std::span<const double> axis, int parts) {
  std::vector<double> out;
  for (std::size_t i = 0; i + 1 < axis.size(); ++i)
    for (int k = 0; k < parts; ++k)
      out.push_back(std::lerp(axis[i], axis[i + 1], static_cast<double>(k) / parts));
  if (!axis.empty()) out.push_back(axis.back());
  return out;
}

/// Apparent magnitudes by interpolation instead of integration, for simulations of millions of stars. Each
/// node holds the magnitudes of a star of one solar luminosity at 10 pc, integrated behind dust of seven
/// values of A_V between 0 and a_v_max (Chebyshev-Lobatto points). Between nodes the magnitudes are linear in
/// (log T_eff, log g, [M/H]), along A_V they are the polynomial of degree six through the seven. A star next
/// to a node outside the atmosphere is not covered.
///
/// With the axes of a spectral grid refined (`refined`) by 3, 1 and 3 the result is within 3 mmag of direct
/// integration for Castelli & Kurucz spectra, Gaia to WISE bands, 3500-12000 K, A_V to 6.
class PhotometryTable {
public:
  static constexpr std::size_t dust_nodes = 7;

  /// Integrates every node with `direct`, in parallel. Throws ValueError for an axis that is empty or does
  /// not increase, or a_v_max that is not positive.
  template <Atmosphere A, DustLaw D>
  PhotometryTable(const StellarPhotometry<A, D>& direct, TableAxes axes, double a_v_max = 6, int threads = 0)
      : bands_(direct.bands()), axes_(std::move(axes)), a_v_max_(a_v_max) {
    for (const auto* axis : {&axes_.log_teff, &axes_.log_g, &axes_.mh})
      if (axis->empty() ||
          std::adjacent_find(axis->begin(), axis->end(), std::greater_equal<>()) != axis->end())
        throw ValueError(
            text("photometry table: an axis of ", axis->size(), " values; want increasing values"));
    if (!(a_v_max > 0)) throw ValueError(text("photometry table: a_v_max = ", a_v_max, "; want > 0"));
    for (std::size_t k = 0; k < dust_nodes; ++k)
      a_v_[k] = 0.5 * a_v_max * (1 - std::cos(std::numbers::pi * static_cast<double>(k) / (dust_nodes - 1)));
    const std::size_t rows = axes_.mh.size() * axes_.log_teff.size();
    present_.resize(rows * axes_.log_g.size());
    magnitude_.resize(present_.size() * dust_nodes * bands_.size());
    Cpu<double>(threads).for_each(static_cast<index_t>(rows), [&](index_t task) {
      const auto row = static_cast<std::size_t>(task);
      std::vector<double> spectrum(direct.atmosphere().wavelengths().size()), out(bands_.size());
      StarState star; // of one solar luminosity
      star.mh = axes_.mh[row / axes_.log_teff.size()];
      star.log_teff = axes_.log_teff[row % axes_.log_teff.size()];
      for (std::size_t g = 0; g < axes_.log_g.size(); ++g) {
        star.log_g = axes_.log_g[g];
        if (!direct.atmosphere().covers(star.log_teff, star.log_g, star.mh)) continue;
        const std::size_t node = row * axes_.log_g.size() + g;
        present_[node] = 1;
        for (std::size_t k = 0; k < dust_nodes; ++k) {
          direct.magnitudes(star, a_v_[k], 1, spectrum, out);
          std::transform(out.begin(), out.end(),
                         magnitude_.begin() + static_cast<index_t>((node * dust_nodes + k) * out.size()),
                         [](double m) { return static_cast<float>(m); });
        }
      }
    });
  }

  [[nodiscard]] const std::vector<Passband>& bands() const { return bands_; }
  [[nodiscard]] double a_v_max() const { return a_v_max_; }
  [[nodiscard]] bool covers(const StarState& star) const { return cell(star).has_value(); }

  /// Magnitudes [bands] of one star behind a_v magnitudes of dust at 10^log_distance parsec. Throws
  /// ValueError for a star that is not covered or a_v outside [0, a_v_max], ShapeError for an `out` of
  /// another size.
  void magnitudes(const StarState& star, double a_v, double log_distance, std::span<double> out) const {
    const std::optional<Cell> c = cell(star);
    if (!c)
      throw ValueError(text("photometry table: no models around log T_eff = ", star.log_teff,
                            ", log g = ", star.log_g, ", [M/H] = ", star.mh));
    if (!(a_v >= 0 && a_v <= a_v_max_))
      throw ValueError(text("photometry table: A_V = ", a_v, "; want 0 to ", a_v_max_));
    if (out.size() != bands_.size())
      throw ShapeError(text("photometry table: room for ", out.size(), " magnitudes; want ", bands_.size()));
    std::array<double, dust_nodes> lagrange{};
    for (std::size_t k = 0; k < dust_nodes; ++k) {
      lagrange[k] = 1;
      for (std::size_t j = 0; j < dust_nodes; ++j)
        if (j != k) lagrange[k] *= (a_v - a_v_[j]) / (a_v_[k] - a_v_[j]);
    }
    std::fill(out.begin(), out.end(), 5 * (log_distance - 1) - 2.5 * star.log_l);
    for (std::size_t n = 0; n < c->count; ++n) {
      const float* m = &magnitude_[c->node[n] * dust_nodes * out.size()];
      for (const double l : lagrange) {
        const double w = c->weight[n] * l;
        for (std::size_t b = 0; b < out.size(); ++b) out[b] += w * static_cast<double>(m[b]);
        m += out.size();
      }
    }
  }

private:
  struct Cell {
    std::array<std::size_t, 8> node;
    std::array<double, 8> weight;
    std::size_t count;
  };
  static std::optional<std::pair<std::size_t, double>> locate(const std::vector<double>& axis, double x) {
    if (!(x >= axis.front() && x <= axis.back())) return std::nullopt;
    if (axis.size() == 1) return std::pair{std::size_t{0}, 0.0};
    const auto i =
        static_cast<std::size_t>(std::upper_bound(axis.begin() + 1, axis.end() - 1, x) - axis.begin()) - 1;
    return std::pair{i, (x - axis[i]) / (axis[i + 1] - axis[i])};
  }
  [[nodiscard]] std::optional<Cell> cell(const StarState& star) const {
    const auto t = locate(axes_.log_teff, star.log_teff), g = locate(axes_.log_g, star.log_g),
               m = locate(axes_.mh, star.mh);
    if (!t || !g || !m) return std::nullopt;
    Cell c{{}, {}, 0};
    for (std::size_t k = 0; k < 8; ++k) {
      const std::size_t dt = k & 1, dg = k >> 1 & 1, dm = k >> 2;
      const double w = (dt ? t->second : 1 - t->second) * (dg ? g->second : 1 - g->second) *
                       (dm ? m->second : 1 - m->second);
      if (!(w > 0)) continue;
      const std::size_t node =
          ((m->first + dm) * axes_.log_teff.size() + t->first + dt) * axes_.log_g.size() + g->first + dg;
      if (!present_[node]) return std::nullopt;
      c.node[c.count] = node;
      c.weight[c.count++] = w;
    }
    return c;
  }

  std::vector<Passband> bands_;
  TableAxes axes_;
  double a_v_max_;
  std::array<double, dust_nodes> a_v_{};
  std::vector<char> present_;
  std::vector<float> magnitude_; ///< [M/H, T_eff, log g, A_V, band]
};

} // namespace sbi::forward
