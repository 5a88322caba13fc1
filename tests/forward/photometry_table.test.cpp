// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/passband_file.hpp>
#include <sbi/forward/photometry_table.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// Black bodies with a slope that gravity and metallicity tilt; missing below log g 2 for hot stars.
struct Tilted {
  std::vector<double> grid;
  Tilted() {
    for (int i = 0; i < 300; ++i) grid.push_back(0.3 * std::exp(0.016 * i));
  }
  [[nodiscard]] std::span<const double> wavelengths() const { return grid; }
  [[nodiscard]] static bool covers(double log_teff, double log_g, double) {
    return log_teff < 3.8 || log_g >= 2;
  }
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    const double t = std::pow(10, log_teff);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = 3.741771852e7 * std::pow(grid[i], -5) / std::expm1(14387.769 / (grid[i] * t)) *
               std::pow(grid[i], 0.1 * (log_g - 4) - 0.2 * mh);
  }
};

TableAxes axes() {
  TableAxes a;
  for (double t = 3.6; t < 3.95; t += 0.01) a.log_teff.push_back(t);
  for (double g = 1; g <= 5; g += 0.5) a.log_g.push_back(g);
  a.mh = {-1, -0.5, 0, 0.5};
  return a;
}
const std::vector<Passband> bands = passbands({"GaiaDR3.G", "GaiaDR3.BP", "2MASS.Ks"});

} // namespace

TEST_CASE("forward/photometry_table: refined axes keep their values") {
  const std::vector<double> axis{1, 2, 4};
  CHECK(refined(axis, 1) == axis);
  CHECK(refined(axis, 2) == std::vector<double>{1, 1.5, 2, 3, 4});
  CHECK(refined(std::vector<double>{3}, 4) == std::vector<double>{3});
}

TEST_CASE(
    "forward/photometry_table: magnitudes are those of integration, at any luminosity, dust and distance") {
  const StellarPhotometry<Tilted, CCM89> direct(Tilted{}, CCM89{}, bands);
  const PhotometryTable table(direct, axes(), 4, 2);
  std::vector<double> spectrum(300), want(3), got(3);
  Rng rng(3);
  for (int i = 0; i < 300; ++i) {
    const StarState star{
        0, 9, rng.uniform(-1, 0.5), rng.uniform(-2, 3), rng.uniform(3.6, 3.93), rng.uniform(2, 5)};
    const double a_v = i == 0 ? 0 : i == 1 ? 4 : rng.uniform(0, 4), log_distance = rng.uniform(1, 4);
    direct.magnitudes(star, a_v, log_distance, spectrum, want);
    table.magnitudes(star, a_v, log_distance, got);
    for (std::size_t b = 0; b < 3; ++b)
      CHECK(std::abs(got[b] - want[b]) < 0.001); // steps of 0.01 in log T_eff
  }
}

TEST_CASE("forward/photometry_table: not covered, negative dust and bad axes are errors") {
  const StellarPhotometry<Tilted, CCM89> direct(Tilted{}, CCM89{}, bands);
  const PhotometryTable table(direct, axes(), 4, 2);
  std::vector<double> m(3);
  const auto star = [](double log_teff, double log_g) { return StarState{0, 9, 0, 0, log_teff, log_g}; };
  CHECK(table.covers(star(3.7, 1.2)));
  CHECK_FALSE(table.covers(star(3.85, 1.2)));
  CHECK_FALSE(table.covers(star(3.85, 1.8))); // needs the node at log g 1.5
  CHECK(table.covers(star(3.85, 2)));
  CHECK_FALSE(table.covers(star(3.5, 4)));
  CHECK_THROWS_AS(table.magnitudes(star(3.5, 4), 0, 1, m), ValueError);
  CHECK_THROWS_AS(table.magnitudes(star(3.7, 4), -0.1, 1, m), ValueError);
  CHECK_THROWS_AS(table.magnitudes(star(3.7, 4), 4.1, 1, m), ValueError);
  CHECK_THROWS_AS(PhotometryTable(direct, TableAxes{{3.7, 3.6}, {4, 5}, {0}}), ValueError);
  CHECK_THROWS_AS(PhotometryTable(direct, axes(), 0), ValueError);
  m.resize(2);
  CHECK_THROWS_AS(table.magnitudes(star(3.7, 4), 0, 1, m), ShapeError);
}

TEST_CASE("forward/photometry_table: within 3 mmag of integration for Castelli & Kurucz atmospheres, dust to "
          "6 mag") {
  if (sbi_test::data_file("ck04").empty() || sbi_test::data_file("passbands_speclite").empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  // The coolest, most metal-rich corner, where lines make spectra least linear.
  const SpectralGrid grid = read_kurucz_grid(sbi_test::data_file("ck04"), {3500, 4000, 0, 0.5});
  std::vector<Passband> full;
  for (const auto& [file, name] : {std::pair{"gaiadr2-G", "GaiaDR2.G"},
                                   {"gaiadr2-BP", "GaiaDR2.BP"},
                                   {"gaiadr2-RP", "GaiaDR2.RP"},
                                   {"twomass-J", "2MASS.J"},
                                   {"wise2010-W3", "WISE.W3"}}) {
    full.push_back(read_passband(sbi_test::data_file("passbands_speclite") + "/" + file + ".ecsv", name));
    full.back().zero_point = passband(name).zero_point;
  }
  const StellarPhotometry<SpectralGrid, CCM89> direct(grid, CCM89{}, full);
  const PhotometryTable table(
      direct, {refined(grid.log_teffs(), 3), refined(grid.log_gs(), 1), refined(grid.metallicities(), 3)});
  std::vector<double> spectrum(grid.wavelengths().size()), want(full.size()), got(full.size());
  Rng rng(5);
  double worst = 0;
  for (int i = 0; i < 500; ++i) {
    const StarState star{
        0, 9, rng.uniform(0, 0.5), 0, rng.uniform(std::log10(3500.), std::log10(4000.)), rng.uniform(0, 5)};
    if (!grid.covers(star.log_teff, star.log_g, star.mh)) continue;
    const double a_v = rng.uniform(0, 6);
    direct.magnitudes(star, a_v, 1, spectrum, want);
    table.magnitudes(star, a_v, 1, got);
    for (std::size_t b = 0; b < full.size(); ++b) worst = std::max(worst, std::abs(got[b] - want[b]));
  }
  MESSAGE("largest difference " << worst << " mag");
  CHECK(worst < 0.003);
}
