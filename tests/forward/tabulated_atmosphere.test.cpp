// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/passband.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
std::vector<double> steps(double from, double to, double step) {
  std::vector<double> out;
  for (int i = 0; from + i * step < to + 0.5 * step; ++i) out.push_back(from + i * step);
  return out;
}
} // namespace

TEST_CASE("forward/tabulated_atmosphere: the nodes are the atmosphere, those outside it stay missing") {
  const AnalyticAtmosphere atmosphere;
  const SpectralGrid grid = tabulate(atmosphere, {3.3, 3.5, 3.75}, {2, 4, 5}, {-0.5, 0}, 2);
  CHECK(grid.wavelengths().size() == AnalyticAtmosphere::grid_size);
  std::vector<double> want(AnalyticAtmosphere::grid_size), got(want.size());
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t g = 0; g < 3; ++g)
      for (std::size_t m = 0; m < 2; ++m) {
        CHECK(grid.has(t, g, m) == (t > 0 && g > 0)); // 2500 K, log g 3 and up
        if (!grid.has(t, g, m)) continue;
        atmosphere.flux(grid.log_teffs()[t], grid.log_gs()[g], grid.metallicities()[m], want);
        grid.flux(grid.log_teffs()[t], grid.log_gs()[g], grid.metallicities()[m], got);
        // Single-precision logarithms: half a unit in the last place of a number up to 128, and what the grid
        // calls its least flux.
        for (std::size_t i = 0; i < want.size(); ++i)
          if (want[i] > 1e-39) CHECK(got[i] == doctest::Approx(want[i]).epsilon(5e-6));
      }
}

TEST_CASE(
    "forward/tabulated_atmosphere: between nodes a fine table gives the atmosphere's magnitudes, however "
    "many threads made it") {
  const AnalyticAtmosphere atmosphere(2);
  const std::vector<double> log_teffs = steps(3.6, 3.7, 0.01), log_gs = steps(4, 5, 0.25),
                            mhs = steps(-0.5, 0, 0.25);
  const SpectralGrid grid = tabulate(atmosphere, log_teffs, log_gs, mhs, 1),
                     two = tabulate(atmosphere, log_teffs, log_gs, mhs, 2);
  for (std::size_t n = 0; n < log_teffs.size() * log_gs.size() * mhs.size(); ++n)
    CHECK(std::equal(grid.ln_flux(n).begin(), grid.ln_flux(n).end(), two.ln_flux(n).begin()));
  std::vector<double> want(AnalyticAtmosphere::grid_size), got(want.size());
  for (const char* name : {"GaiaDR3.BP", "GaiaDR3.RP", "2MASS.Ks"})
    for (double log_teff : {3.605, 3.652, 3.698}) {
      atmosphere.flux(log_teff, 4.6, -0.3, want);
      grid.flux(log_teff, 4.6, -0.3, got);
      // Half a step of 0.01 in log T_eff is 1.2 %; curvature leaves about its square.
      CHECK(std::abs(magnitude(grid.wavelengths(), got, passband(name)) -
                     magnitude(grid.wavelengths(), want, passband(name))) < 0.002);
    }
  CHECK_THROWS_WITH_AS((void)tabulate(atmosphere, {3.7, 3.6}, {4}, {0}),
                       doctest::Contains("T_eff of 2 values; want increasing"), ValueError);
}
