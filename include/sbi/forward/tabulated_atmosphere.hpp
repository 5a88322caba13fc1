// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/spectral_grid.hpp>

#include <cmath>
#include <span>
#include <vector>

namespace sbi::forward {

/// Any atmosphere as a grid of spectra on its own wavelengths, at the given log T_eff [K], log g and [M/H]
/// (each increasing). Nodes that the atmosphere does not cover stay missing. In parallel; the result does not
/// depend on the number of threads. Throws ValueError for axes that do not increase.
template <Atmosphere A>
[[nodiscard]] SpectralGrid tabulate(const A& atmosphere, std::vector<double> log_teffs,
                                    std::vector<double> log_gs, std::vector<double> mhs, int threads = 0) {
  const std::span<const double> w = atmosphere.wavelengths();
  std::vector<double> teffs;
  for (const double t : log_teffs) teffs.push_back(std::pow(10, t));
  SpectralGrid grid(teffs, log_gs, mhs, {w.begin(), w.end()});
  const std::size_t rows = mhs.size() * log_teffs.size();
  Cpu<double>(threads).for_each(static_cast<index_t>(rows), [&](index_t task) {
    const std::size_t m = static_cast<std::size_t>(task) / log_teffs.size(),
                      t = static_cast<std::size_t>(task) % log_teffs.size();
    std::vector<double> flux(w.size());
    for (std::size_t g = 0; g < log_gs.size(); ++g) {
      if (!atmosphere.covers(log_teffs[t], log_gs[g], mhs[m])) continue;
      atmosphere.flux(log_teffs[t], log_gs[g], mhs[m], flux);
      grid.set(t, g, m, flux);
    }
  });
  return grid;
}

} // namespace sbi::forward
