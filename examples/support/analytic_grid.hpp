// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>

#include <cmath>
#include <vector>

namespace example {

/// from, to and steps - 1 values in between, evenly.
inline std::vector<double> even_axis(double from, double to, int steps) {
  std::vector<double> out;
  for (int k = 0; k <= steps; ++k) out.push_back(std::lerp(from, to, static_cast<double>(k) / steps));
  return out;
}

/// The embedded atmospheres, all of them, as a grid.
inline sbi::forward::SpectralGrid analytic_grid(int threads) {
  using A = sbi::forward::AnalyticAtmosphere;
  return sbi::forward::tabulate(A(), even_axis(std::log10(A::teff_min), std::log10(A::teff_max), 54),
                                even_axis(A::log_g_min, A::log_g_max, 5), even_axis(A::mh_min, A::mh_max, 6),
                                threads);
}

} // namespace example
