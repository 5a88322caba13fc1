// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/bt_settl_file.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/photometry.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
const SpectralGrid& whole_grid(const std::string& folder) { // read once
  static const SpectralGrid grid = read_bt_settl_grid(folder);
  return grid;
}
} // namespace

TEST_CASE("forward/bt_settl_file: file names give T_eff and log g, other metallicities are not taken") {
  double teff = 0, log_g = 0;
  CHECK(forward::detail::parse_bt_settl_name("lte058.0-4.5-0.0a+0.0.BT-Settl.spec.txt.gz", teff, log_g));
  CHECK(teff == 5800);
  CHECK(log_g == 4.5);
  CHECK(forward::detail::parse_bt_settl_name("lte015.5-5.0-0.0a+0.0.BT-Settl.spec.txt", teff, log_g));
  CHECK(teff == 1550);
  CHECK_FALSE(forward::detail::parse_bt_settl_name("lte058.0-4.5-0.5a+0.0.BT-Settl.spec.txt", teff, log_g));
  CHECK_FALSE(forward::detail::parse_bt_settl_name("README.txt", teff, log_g));
}

TEST_CASE("forward/bt_settl_file: averaging in bins keeps the integral, inside bins and across them") {
  std::vector<double> w, f;
  for (int i = 0; i <= 400; ++i) w.push_back(1 + 0.0025 * i), f.push_back(2 + std::sin(40 * w.back()));
  double trapezoid = 0;
  for (std::size_t i = 1; i < w.size(); ++i) trapezoid += 0.5 * (f[i] + f[i - 1]) * (w[i] - w[i - 1]);
  for (int bins : {1, 7, 3000}) { // coarser and finer than the spectrum, and wider than it
    std::vector<double> edges;
    for (int b = 0; b <= bins; ++b) edges.push_back(0.9 + 1.2 * b / bins);
    const auto mean = forward::detail::rebin(w, f, edges);
    double sum = 0;
    for (std::size_t b = 0; b < mean.size(); ++b) sum += mean[b] * (edges[b + 1] - edges[b]);
    CHECK(sum == doctest::Approx(trapezoid).epsilon(1e-12));
  }
}

TEST_CASE("forward/bt_settl_file: the grid holds sigma T^4 and differs from Kurucz as measured") {
  const std::string folder = sbi_test::data_file("btsettl_cifist");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  GridRange range;
  range.teff_min = 5600;
  range.teff_max = 6000;
  const SpectralGrid grid = read_bt_settl_grid(folder, range);
  CHECK(grid.covers(std::log10(5777.), 4.3, 0));
  CHECK_FALSE(grid.covers(std::log10(5777.), 4.3, 0.2));
  CHECK_FALSE(grid.covers(std::log10(5777.), 2.0, 0));
  std::vector<double> f(grid.wavelengths().size());
  grid.flux(std::log10(5777.), 4.44, 0, f);
  double sum = 0;
  for (std::size_t i = 1; i < f.size(); ++i)
    sum += 0.5 * (f[i] + f[i - 1]) * 1e4 * (grid.wavelengths()[i] - grid.wavelengths()[i - 1]);
  CHECK(sum == doctest::Approx(5.670374e-5 * std::pow(5777., 4)).epsilon(0.01)); // the files: 0.994 to 1.009
  const StellarPhotometry<SpectralGrid, CCM89> photometry(grid, CCM89{},
                                                          passbands({"GaiaDR3.G", "2MASS.Ks", "WISE.W4"}));
  std::vector<double> m(3);
  photometry.magnitudes({0, 9.66, 0, 0, std::log10(5772.), 4.438}, 0, 1, f, m);
  CHECK(std::abs(m[0] - 4.67) < 0.03); // the Sun; BT-Settl is within .02-.03 mag of Kurucz at 6000 K
  CHECK(std::abs(m[1] - 3.28) < 0.04);
}

TEST_CASE("forward/bt_settl_file: all models: their integrals, and what interpolation in T_eff costs") {
  const std::string folder = sbi_test::data_file("btsettl_cifist");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const SpectralGrid& grid = whole_grid(folder);
  const AtmosphereRange r = range(grid);
  CHECK(r.teff_min == doctest::Approx(1200).epsilon(1e-12));
  CHECK(r.teff_max == doctest::Approx(7000).epsilon(1e-12));
  CHECK((r.log_g_min == 2.5 && r.log_g_max == 5.5 && r.mh_min == 0 && r.mh_max == 0));
  const std::span<const double> w = grid.wavelengths();
  std::pair<double, double> dwarf{9, 0}, warm{9, 0}, all{9, 0};
  for (std::size_t t = 0; t < grid.log_teffs().size(); ++t)
    for (std::size_t g = 0; g < grid.log_gs().size(); ++g) {
      if (!grid.has(t, g, 0)) continue;
      const std::span<const float> ln = grid.ln_flux(grid.node(t, g, 0));
      double sum = 0;
      for (std::size_t i = 1; i < w.size(); ++i)
        sum += 0.5e4 * (std::exp(double{ln[i]}) + std::exp(double{ln[i - 1]})) * (w[i] - w[i - 1]);
      const double log_teff = grid.log_teffs()[t], log_g = grid.log_gs()[g];
      const double ratio = sum / (5.670374419e-5 * std::pow(10, 4 * log_teff));
      const auto widen = [&](std::pair<double, double>& b) {
        b = {std::min(b.first, ratio), std::max(b.second, ratio)};
      };
      widen(all);
      if (log_teff > std::log10(2990.)) widen(warm);
      if (log_teff > std::log10(2990.) && log_g == 4.5) widen(dwarf);
    }
  MESSAGE("int F / sigma T^4 from 3000 K: " << dwarf.first << " to " << dwarf.second << " at log g 4.5, "
                                            << warm.first << " to " << warm.second << " at all; below too "
                                            << all.first << " to " << all.second);
  // Properties of the files, the same from the unbinned spectra.
  CHECK((dwarf.first > 0.993 && dwarf.second < 1.011));
  CHECK((warm.first > 0.967 && warm.second < 1.016)); // the least at log g 2.5
  CHECK((all.first > 0.81 && all.second < 1.11));     // lte022.0-5.5 and lte015.0-4.0

  const Photometry photometry(w, passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J", "2MASS.Ks"}));
  const std::vector<double> clear = photometry.extinction(CCM89{}, 3.1);
  std::vector<double> f(w.size()), a(w.size()), m(5), n(5);
  double worst = 0, cool = 0;
  for (std::size_t t = 1; t + 1 < grid.log_teffs().size(); ++t)
    for (std::size_t g = 0; g < grid.log_gs().size(); ++g) {
      if (!grid.has(t - 1, g, 0) || !grid.has(t, g, 0) || !grid.has(t + 1, g, 0)) continue;
      const std::span<const double> axis = grid.log_teffs();
      const double weight = (axis[t] - axis[t - 1]) / (axis[t + 1] - axis[t - 1]);
      for (std::size_t i = 0; i < w.size(); ++i) {
        f[i] = std::exp(double{grid.ln_flux(grid.node(t, g, 0))[i]});
        a[i] = std::exp(std::lerp(double{grid.ln_flux(grid.node(t - 1, g, 0))[i]},
                                  double{grid.ln_flux(grid.node(t + 1, g, 0))[i]}, weight));
      }
      photometry.magnitudes(f, clear, 0, m), photometry.magnitudes(a, clear, 0, n);
      double& into = axis[t] < std::log10(3150.) ? cool : worst;
      for (std::size_t b = 0; b < m.size(); ++b) into = std::max(into, std::abs(m[b] - n[b]));
    }
  MESSAGE("a temperature left out: up to " << worst << " mag from 3200 K on, " << cool << " below");
  CHECK(worst < 0.06);
  CHECK(worst > 0.01);
  CHECK(cool < 1); // the models scatter from one to the next
}

TEST_CASE("forward/bt_settl_file: BT-Settl minus Kurucz (1993), as it was measured and on whole boxes") {
  const std::string folder = sbi_test::data_file("btsettl_cifist"),
                    kurucz = sbi_test::data_file("kurucz93_kp00");
  if (folder.empty() || kurucz.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const SpectralGrid source = read_kurucz_grid(kurucz, {3500, 7000});
  const std::array<std::pair<double, double>, 9> boxes{
      {{.38, .43}, {.43, .5}, {.5, .6}, {.6, .7}, {.7, .9}, {1.1, 1.35}, {1.5, 1.8}, {2, 2.35}, {3, 3.8}}};
  std::vector<double> f(source.wavelengths().size()), g;
  const std::span<const double> w = source.wavelengths();
  double worst = 0, least = 9, most = -9;
  for (std::size_t t = 0; t < 5; ++t) {
    const double teff = forward::detail::library_teff[t], log_teff = std::log10(teff);
    const SpectralGrid target = read_bt_settl_grid(folder, {teff, teff}, 5000); // finer than the files
    g.resize(target.wavelengths().size());
    source.flux(log_teff, 4.5, 0, f), target.flux(log_teff, 4.5, 0, g);
    for (std::size_t b = 0; b < boxes.size(); ++b) {
      const auto [from, to] = boxes[b];
      // The box without the photons' weight lambda.
      const Passband box{"box", {from, to}, {1 / from, 1 / to}, 1};
      const double bright = mean_flux(target.wavelengths(), g, box), whole = mean_flux(w, f, box);
      // The published table integrated Kurucz' spectrum between the first and the last point in the box,
      // which misses up to one of its steps of 1-100 A.
      double inside = 0;
      for (std::size_t i = 1; i < w.size(); ++i)
        if (w[i - 1] >= from - 1e-9 && w[i] <= to + 1e-9)
          inside += 0.5 * (f[i] + f[i - 1]) * (w[i] - w[i - 1]);
      const double table = forward::detail::library_shift[t][b];
      worst = std::max(worst, std::abs(-2.5 * std::log10(bright * (to - from) / inside) - table));
      const double beyond = -2.5 * std::log10(bright / whole) - table;
      least = std::min(least, beyond), most = std::max(most, beyond);
    }
  }
  MESSAGE("the measurement repeated: within " << worst << " mag; on whole boxes the difference is more by "
                                              << least << " to " << most);
  CHECK(worst < 0.02);
  CHECK(least > 0.005);
  CHECK(most < 0.04);
}

TEST_CASE("forward/bt_settl_file: the mean dwarfs of Pecaut & Mamajek, F to M") {
  const std::string folder = sbi_test::data_file("btsettl_cifist");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const StellarPhotometry<SpectralGrid, CCM89> photometry(
      whole_grid(folder), CCM89{},
      passbands({"GaiaDR2.G", "GaiaDR2.BP", "GaiaDR2.RP", "2MASS.J", "2MASS.Ks", "WISE.W1"}));
  // T_eff, log L, mass; M_G, BP - RP (Gaia DR2), M_J, M_Ks, Ks - W1 of F5V, G2V, K0V, M0V, M5V, version
  // 2022.04.16 of the table, and how far these models may be from it.
  struct Row {
    double teff, log_l, mass;
    std::array<double, 5> table, bound;
  };
  const std::array<double, 5> dwarf{.03, .035, .05, .05, .05};
  std::vector<double> spectrum(photometry.atmosphere().wavelengths().size()), m(6);
  for (const Row& row : {Row{6550, .56, 1.33, {3.26, .587, 2.52, 2.291, .052}, dwarf},
                         Row{5770, .01, 1.00, {4.635, .823, 3.60, 3.236, .061}, dwarf},
                         Row{5270, -.34, .88, {5.553, .983, 4.31, 3.827, .070}, dwarf},
                         Row{3850, -1.16, .57, {8.16, 1.84, 5.97, 5.15, .120}, dwarf},
                         Row{3060, -2.52, .162, {12.45, 3.35, 9.09, 8.20, .210}, {.2, .15, .05, .06, .05}}}) {
    StarState star{std::log10(row.mass), 9, 0, row.log_l, std::log10(row.teff), 0};
    star.log_g = solar_log_g + star.log_mass + 4 * (star.log_teff - std::log10(solar_teff)) - star.log_l;
    photometry.magnitudes(star, 0, 1, spectrum, m);
    const std::array<double, 5> found{m[0], m[1] - m[2], m[3], m[4], m[4] - m[5]};
    CAPTURE(row.teff);
    for (std::size_t k = 0; k < 5; ++k) CHECK(std::abs(found[k] - row.table[k]) < row.bound[k]);
  }
}
