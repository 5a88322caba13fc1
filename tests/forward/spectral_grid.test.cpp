// SPDX-License-Identifier: MIT
#include <sbi/forward/spectral_grid.hpp>

#include <doctest/doctest.h>

#include <array>
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
  CHECK_THROWS_WITH_AS(grid.set(7, 0, 0, std::vector<double>{1, 2, 1, 2}),
                       doctest::Contains("node (7, 0, 0)"), ValueError);
  CHECK_THROWS_AS(SpectralGrid({5000, std::numeric_limits<double>::quiet_NaN()}, {4}, {0}, wavelengths),
                  ValueError);
  grid.set(0, 0, 0, std::vector<double>{0, 2, 1, 2}); // zero flux is a flux
  std::vector<double> f(4);
  grid.flux(std::log10(5000.), 4, 0, f);
  CHECK(f[0] < 1e-39);
}

TEST_CASE("forward/spectral_grid: the corners give the flux and, by their slopes, its derivatives") {
  const SpectralGrid grid = grid_with_hole();
  const auto ln_flux = [&](double log_teff, double g, double mh) {
    const auto c = grid.corners(log_teff, g, mh);
    REQUIRE(c);
    std::vector<double> sum(wavelengths.size());
    double total = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(c->count); ++k) {
      total += c->weight[k];
      for (std::size_t i = 0; i < sum.size(); ++i)
        sum[i] += c->weight[k] * double(grid.ln_flux(c->node[k])[i]);
    }
    CHECK(total == doctest::Approx(1).epsilon(1e-14));
    return sum;
  };
  std::vector<double> f(wavelengths.size());
  for (const auto& [teff, g, mh] : {std::array{4321., 4.3, -0.2},
                                    {5700., 4.9, 0.},
                                    {4999., 4.001, -0.999},
                                    {4000., 4., -1.},
                                    {5000., 5., 0.}}) {
    const double t = std::log10(teff);
    grid.flux(t, g, mh, f);
    const auto ln = ln_flux(t, g, mh);
    for (std::size_t i = 0; i < f.size(); ++i) CHECK(f[i] == doctest::Approx(std::exp(ln[i])).epsilon(1e-12));
  }
  // Within a cell the weights are linear in each coordinate: a difference quotient is exact to rounding.
  const std::array<double, 3> at{std::log10(4321.), 4.3, -0.2};
  const auto c = grid.corners(at[0], at[1], at[2]);
  REQUIRE(c);
  CHECK(c->count == 8);
  for (std::size_t a = 0; a < 3; ++a) {
    const double h = 1e-3;
    auto up = at, down = at;
    up[a] += h, down[a] -= h;
    const auto cu = grid.corners(up[0], up[1], up[2]), cd = grid.corners(down[0], down[1], down[2]);
    REQUIRE((cu && cd));
    for (std::size_t k = 0; k < 8; ++k) {
      CHECK((c->node[k] == cu->node[k] && c->node[k] == cd->node[k]));
      CHECK(c->slope[a][k] == doctest::Approx((cu->weight[k] - cd->weight[k]) / (2 * h)).epsilon(1e-9));
    }
  }
}

TEST_CASE("forward/spectral_grid: on a node or a wall the slope is that of a neighbouring cell that exists") {
  const SpectralGrid grid = grid_with_hole();
  const std::array<std::vector<double>, 3> axes{
      {{std::log10(4000.), std::log10(5000.), std::log10(6000.)}, {4, 5}, {-1, 0}}};
  // d ln F along one axis from a difference into the cell that is expected, at wavelength 0.5.
  const auto value = [&](std::array<double, 3> p, std::size_t axis) {
    const auto c = grid.corners(p[0], p[1], p[2]);
    REQUIRE(c);
    double sum = 0, total = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(c->count); ++k) {
      const double f = double(grid.ln_flux(c->node[k])[1]);
      sum += (axis < 3 ? c->slope[axis][k] : c->weight[k]) * f;
      total += axis < 3 ? c->slope[axis][k] : c->weight[k];
    }
    CHECK(std::abs(total - (axis < 3 ? 0 : 1)) < 1e-12);
    return sum;
  };
  struct Case {
    std::array<double, 3> point;
    std::array<int, 3> side; // of the cell whose slope is expected: +1, -1, 0 for none
    int count;
  };
  const double t0 = axes[0][0], t1 = axes[0][1], t2 = axes[0][2], between = std::log10(4400.);
  for (const Case& k : {
           Case{{t0, 4, -1}, {+1, +1, +1}, 4},       // first node: three walls, cells above
           Case{{t2, 5, 0}, {-1, -1, -1}, 4},        // last node: cells below
           Case{{t1, 4.5, -0.5}, {-1, +1, +1}, 8},   // the cell above touches the hole
           Case{{t1, 4.5, 0}, {+1, +1, -1}, 6},      // here the hole has no part in the slope
           Case{{between, 4, -0.5}, {+1, +1, +1}, 8} // a wall in log g
       }) {
    const auto c = grid.corners(k.point[0], k.point[1], k.point[2]);
    REQUIRE(c);
    CHECK(c->count == k.count);
    for (std::size_t a = 0; a < 3; ++a) {
      auto moved = k.point;
      moved[a] += 1e-3 * k.side[a];
      const double want = (value(moved, 3) - value(k.point, 3)) / (1e-3 * k.side[a]);
      CHECK(value(k.point, a) == doctest::Approx(want).epsilon(1e-9));
    }
  }
  // No model on either side: a slope of 0 along that axis, also on an axis of one value.
  SpectralGrid sparse({4000, 5000}, {4, 5}, {0}, wavelengths);
  sparse.set(0, 0, 0, model(t0, 4, 0));
  sparse.set(1, 0, 0, model(t1, 4, 0));
  sparse.set(1, 1, 0, model(t1, 5, 0));
  const auto c = sparse.corners(t0, 4, 0);
  REQUIRE(c);
  CHECK(c->count == 2);
  CHECK(c->slope[0][0] == doctest::Approx(-1 / (t1 - t0)));
  CHECK((c->slope[1][0] == 0 && c->slope[1][1] == 0 && c->slope[2][0] == 0));
  CHECK_FALSE(sparse.corners(t0, 4.5, 0));
  CHECK_THROWS_WITH_AS((void)sparse.ln_flux(sparse.node(0, 1, 0)), doctest::Contains("no model at node 1"),
                       ValueError);
}
