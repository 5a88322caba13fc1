// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/spectral_grid.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace sbi::forward {

namespace detail {

/// Borders between points on an increasing axis, half way in the logarithm, n + 1 for n points. The outermost
/// are as far from the end points as the next ones, but within [first, last].
inline std::vector<double> bin_edges(std::span<const double> points, double first, double last) {
  const std::size_t n = points.size();
  std::vector<double> edges(n + 1);
  for (std::size_t i = 1; i < n; ++i) edges[i] = std::sqrt(points[i - 1] * points[i]);
  edges[0] = std::max(first, n > 1 ? points[0] * points[0] / edges[1] : points[0]);
  edges[n] = std::min(last, n > 1 ? points[n - 1] * points[n - 1] / edges[n - 1] : points[0]);
  return edges;
}

/// int F dlambda from a to b of the power law with ln F = ln_a at a and ln_b at b.
inline double power_law_integral(double a, double b, double ln_a, double ln_b) {
  const double step = std::log(b / a), q = ln_b - ln_a + step;
  return std::exp(ln_a) * a * step * (std::abs(q) < 1e-8 ? 1 + 0.5 * q : std::expm1(q) / q);
}

} // namespace detail

/// A grid on other wavelengths [micron], so that two libraries can share one. Spectra are power laws between
/// their points. Where a new bin (from half way to the last wavelength to half way to the next, in the
/// logarithm) is wider than the old ones there, the new value is the mean of the old spectrum over it, which
/// keeps the integral of the flux; elsewhere it is the old spectrum's value at the new wavelength. Throws
/// ValueError for wavelengths that do not increase or reach beyond the grid's: nothing is extrapolated.
[[nodiscard]] inline SpectralGrid resample(const SpectralGrid& grid, std::vector<double> wavelengths,
                                           int threads = 0) {
  const std::span<const double> old = grid.wavelengths();
  if (wavelengths.empty() || !(wavelengths.front() >= old.front()) || !(wavelengths.back() <= old.back()))
    throw ValueError(text("resample: wavelengths ", wavelengths.empty() ? missing : wavelengths.front(),
                          " to ", wavelengths.empty() ? missing : wavelengths.back(),
                          " micron; want some within ", old.front(), " to ", old.back()));
  std::vector<double> teffs;
  for (const double t : grid.log_teffs()) teffs.push_back(std::pow(10, t));
  SpectralGrid out(teffs, {grid.log_gs().begin(), grid.log_gs().end()},
                   {grid.metallicities().begin(), grid.metallicities().end()}, wavelengths);

  // Where a wavelength lies: between old points i and i + 1, at the fraction t of their distance in the log.
  struct Place {
    std::size_t i;
    double t;
  };
  const auto place = [&](double w) {
    if (old.size() == 1) return Place{0, 0};
    const auto i =
        static_cast<std::size_t>(std::upper_bound(old.begin() + 1, old.end() - 1, w) - old.begin()) - 1;
    return Place{i, std::log(w / old[i]) / std::log(old[i + 1] / old[i])};
  };
  const std::vector<double> old_edges = detail::bin_edges(old, old.front(), old.back()),
                            edges = detail::bin_edges(wavelengths, old.front(), old.back());
  struct Bin {
    bool mean;
    Place low, high; // of its edges; of the wavelength itself where no mean is taken
  };
  std::vector<Bin> bins;
  for (std::size_t k = 0; k < wavelengths.size(); ++k) {
    const auto j = std::min(
        static_cast<std::size_t>(std::upper_bound(old_edges.begin() + 1, old_edges.end(), wavelengths[k]) -
                                 old_edges.begin() - 1),
        old.size() - 1);
    constexpr double wider = 1 + 1e-6;
    if (edges[k + 1] - edges[k] > wider * (old_edges[j + 1] - old_edges[j]))
      bins.push_back({true, place(edges[k]), place(edges[k + 1])});
    else
      bins.push_back({false, place(wavelengths[k]), {}});
  }
  const std::size_t rows = grid.metallicities().size() * grid.log_teffs().size();
  Cpu<double>(threads).for_each(static_cast<index_t>(rows), [&](index_t task) {
    const std::size_t m = static_cast<std::size_t>(task) / grid.log_teffs().size(),
                      t = static_cast<std::size_t>(task) % grid.log_teffs().size();
    std::vector<double> flux(wavelengths.size());
    for (std::size_t g = 0; g < grid.log_gs().size(); ++g) {
      if (!grid.has(t, g, m)) continue;
      const std::span<const float> ln = grid.ln_flux(grid.node(t, g, m));
      const auto value = [&](const Place& p) {
        return std::lerp(double{ln[p.i]}, double{ln[std::min(p.i + 1, ln.size() - 1)]}, p.t);
      };
      for (std::size_t k = 0; k < bins.size(); ++k) {
        const Bin& bin = bins[k];
        if (!bin.mean) {
          flux[k] = std::exp(value(bin.low));
          continue;
        }
        double sum = 0, from = edges[k], ln_from = value(bin.low);
        for (std::size_t i = bin.low.i + 1; i <= bin.high.i; ++i) {
          sum += detail::power_law_integral(from, old[i], ln_from, double{ln[i]});
          from = old[i], ln_from = double{ln[i]};
        }
        sum += detail::power_law_integral(from, edges[k + 1], ln_from, value(bin.high));
        flux[k] = sum / (edges[k + 1] - edges[k]);
      }
      out.set(t, g, m, flux);
    }
  });
  return out;
}

} // namespace sbi::forward
