// SPDX-License-Identifier: MIT
#include <sbi/forward/spectral_grid.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
const std::vector<double> wavelengths{0.3, 0.5, 1, 2};

/// ln F linear in (log T, log g, [M/H]) and different at every wavelength: what the grid must reproduce
/// exactly.
std::vector<double> model(double log_teff, double log_g, double mh) {
  std::vector<double> f;
  for (double w : wavelengths) f.push_back(std::exp(3 * w * log_teff - w * w * log_g + 0.3 * mh / w));
  return f;
}
SpectralGrid grid_with_hole() {
  const std::vector<double> teffs{4000, 5000, 6000}, log_gs{4, 5}, mhs{-1, 0};
  SpectralGrid grid(teffs, log_gs, mhs, wavelengths);
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t m = 0; m < 2; ++m)
        if (!(t == 2 && g == 0 && m == 0)) grid.set(t, g, m, model(std::log10(teffs[t]), log_gs[g], mhs[m]));
  return grid;
}
} // namespace

TEST_CASE("forward/spectral_grid: log F is linear in log T_eff, log g and [M/H], on nodes and between them") {
  const SpectralGrid grid = grid_with_hole();
  std::vector<double> f(wavelengths.size());
  for (double teff : {4000., 4321., 5000., 5700.})
    for (double g : {4.3, 5.})
      for (double mh : {-0.2, 0.}) {
        if (teff > 5000 && mh != 0) continue; // next to the hole
        grid.flux(std::log10(teff), g, mh, f);
        const auto want = model(std::log10(teff), g, mh);
        // Single-precision logarithms of size 30: 2e-6.
        for (std::size_t i = 0; i < f.size(); ++i) CHECK(f[i] == doctest::Approx(want[i]).epsilon(5e-6));
      }
}

TEST_CASE("forward/spectral_grid: nothing beyond the hull or next to a missing model") {
  const SpectralGrid grid = grid_with_hole();
  const auto covers = [&](double teff, double g, double mh) { return grid.covers(std::log10(teff), g, mh); };
  CHECK(covers(4000, 4, -1));
  CHECK_FALSE(covers(3999, 4, -1));
  CHECK_FALSE(covers(6001, 5, 0));
  CHECK_FALSE(covers(5000, 3.9, 0));
  CHECK_FALSE(covers(5000, 4.5, 0.1));
  CHECK_FALSE(covers(6000, 4, -1));   // the hole
  CHECK_FALSE(covers(5500, 4.5, -1)); // a corner of the cell is the hole
  CHECK_FALSE(covers(5500, 4.5, -0.5));
  CHECK(covers(5500, 5, -1));  // on the edge that does not touch it
  CHECK(covers(5500, 4.5, 0)); // the hole would have no weight
  CHECK_FALSE(grid.covers(std::nan(""), 4, 0));
  std::vector<double> f(wavelengths.size());
  CHECK_THROWS_AS(grid.flux(std::log10(5500.), 4.5, -1, f), ValueError);
  f.resize(3);
  CHECK_THROWS_AS(grid.flux(std::log10(5500.), 4.5, 0, f), ShapeError);
}

TEST_CASE("forward/spectral_grid: a gap in temperature is filled between its neighbours, an edge is not") {
  SpectralGrid grid({4000, 5000, 6000, 7000}, {4, 5}, {0}, wavelengths);
  for (std::size_t t : {0UL, 1UL, 2UL, 3UL}) {
    const double log_teff = std::log10(4000. + 1000. * static_cast<double>(t));
    grid.set(t, 1, 0, model(log_teff, 5, 0));
    if (t != 1 && t != 3) grid.set(t, 0, 0, model(log_teff, 4, 0));
  }
  CHECK_FALSE(grid.covers(std::log10(4500.), 4.5, 0));
  grid.fill_gaps();
  CHECK(grid.has(1, 0, 0));
  CHECK_FALSE(grid.has(3, 0, 0));
  std::vector<double> f(wavelengths.size());
  grid.flux(std::log10(4600.), 4.2, 0, f);
  const auto want = model(std::log10(4600.), 4.2, 0);
  for (std::size_t i = 0; i < f.size(); ++i) CHECK(f[i] == doctest::Approx(want[i]).epsilon(5e-6));
  CHECK_FALSE(grid.covers(std::log10(4600.), 4.2, 0.1)); // one metallicity covers itself only
}

TEST_CASE("forward/spectral_grid: bad axes and fluxes are refused") {
  CHECK_THROWS_AS(SpectralGrid({}, {4}, {0}, wavelengths), ValueError);
  CHECK_THROWS_AS(SpectralGrid({5000, 4000}, {4}, {0}, wavelengths), ValueError);
  CHECK_THROWS_AS(SpectralGrid({-5000, 4000}, {4}, {0}, wavelengths), ValueError);
  SpectralGrid grid({5000}, {4}, {0}, wavelengths);
  CHECK_THROWS_AS(grid.set(0, 0, 0, std::vector<double>{1, 2}), ShapeError);
  CHECK_THROWS_AS(grid.set(0, 0, 0, std::vector<double>{1, 2, -1, 2}), ValueError);
  grid.set(0, 0, 0, std::vector<double>{0, 2, 1, 2}); // zero flux is a flux
  std::vector<double> f(4);
  grid.flux(std::log10(5000.), 4, 0, f);
  CHECK(f[0] < 1e-39);
}
