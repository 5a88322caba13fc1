// SPDX-License-Identifier: MIT
// The atmosphere files against published magnitudes: the end-to-end check of spectra, bands, dust and zero
// points.
#include "../data_file.hpp"
#include "calspec.hpp"

#include <sbi/forward/dust.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/passband_file.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

Passband full_band(const std::string& file, const char* name) {
  Passband band = read_passband(sbi_test::data_file("passbands_speclite") + "/" + file + ".ecsv", name);
  band.zero_point = passband(name).zero_point;
  return band;
}
bool no_data() {
  for (const char* folder : {"kurucz93_kp00", "kurucz93_km05", "passbands_speclite",
                             "isochrones_basti_gaiadr3", "calspec", "ck04"})
    if (sbi_test::data_file(folder).empty()) {
      MESSAGE("no data folder: skipped");
      return true;
    }
  return false;
}
using sbi_test::calspec;
using sbi_test::Spectrum;

/// int F dlambda over sigma T^4 of one model, by trapezia between the file's wavelengths.
double bolometric(const SpectralGrid& grid, std::size_t node, double log_teff) {
  const std::span<const float> ln = grid.ln_flux(node);
  const std::span<const double> w = grid.wavelengths();
  double sum = 0;
  for (std::size_t i = 1; i < w.size(); ++i)
    sum += 0.5e4 * (std::exp(double{ln[i]}) + std::exp(double{ln[i - 1]})) * (w[i] - w[i - 1]);
  return sum / (5.670374419e-5 * std::pow(10, 4 * log_teff));
}
struct Bounds {
  double low = 9, high = 0;
  std::size_t models = 0;
};
Bounds bolometric_bounds(const SpectralGrid& grid) {
  Bounds b;
  for (std::size_t m = 0; m < grid.metallicities().size(); ++m)
    for (std::size_t t = 0; t < grid.log_teffs().size(); ++t)
      for (std::size_t g = 0; g < grid.log_gs().size(); ++g) {
        if (!grid.has(t, g, m)) continue;
        const double ratio = bolometric(grid, grid.node(t, g, m), grid.log_teffs()[t]);
        b.low = std::min(b.low, ratio), b.high = std::max(b.high, ratio), ++b.models;
      }
  return b;
}
/// A row of a BaSTI isochrone: initial and final mass, log L, log T_eff, then magnitudes.
StarState basti_star(const io::NumberTable& basti, index_t row, double mh) {
  StarState star{std::log10(basti(row, 0)), 9, mh, basti(row, 2), basti(row, 3), 0};
  star.log_g =
      solar_log_g + std::log10(basti(row, 1)) + 4 * (star.log_teff - std::log10(solar_teff)) - star.log_l;
  return star;
}

} // namespace

TEST_CASE("forward/kurucz_file: file names give [M/H] and T_eff") {
  double mh = 9, teff = 9;
  CHECK(forward::detail::parse_kurucz_name("ckm05_5750.fits.gz", mh, teff));
  CHECK(mh == doctest::Approx(-0.5));
  CHECK(teff == 5750);
  CHECK(forward::detail::parse_kurucz_name("kp00_10000.fits", mh, teff));
  CHECK(mh == 0);
  for (const char* name :
       {"README.txt", "ckm05.fits", "ckx05_5750.fits", "ckm0a_5750.fits", "ckm05_x.fits", "_1.fits"})
    CHECK_FALSE(forward::detail::parse_kurucz_name(name, mh, teff));
  CHECK_THROWS_WITH_AS((void)read_kurucz_grid("no/such/folder"), doctest::Contains("no such folder"),
                       FileError);
}

TEST_CASE(
    "forward/kurucz_file: Kurucz (1993) in two folders: every model is the file's, and holds sigma T^4") {
  if (no_data()) return;
  const std::string solar = sbi_test::data_file("kurucz93_kp00"), poor = sbi_test::data_file("kurucz93_km05");
  const SpectralGrid grid = read_kurucz_grid(std::vector{solar, poor});
  CHECK(grid.log_teffs().size() == 61);
  REQUIRE(grid.metallicities().size() == 2);
  CHECK(grid.metallicities()[0] == doctest::Approx(-0.5));
  CHECK(grid.metallicities()[1] == 0);
  const AtmosphereRange r = range(grid);
  CHECK(r.teff_min == doctest::Approx(3500).epsilon(1e-12));
  CHECK(r.teff_max == doctest::Approx(50000).epsilon(1e-12));
  CHECK((r.log_g_min == 0 && r.log_g_max == 5));
  CHECK(r.wavelength_max == doctest::Approx(160));
  // On a node the flux is the column of the file; single-precision logarithms of size 20 hold 1e-6.
  const io::FitsTable file(solar + "/kp00_5750.fits");
  const std::vector<double> want = file.numbers("g45");
  std::vector<double> f(1221);
  grid.flux(std::log10(5750.), 4.5, 0, f);
  double worst = 0;
  for (std::size_t i = 0; i < f.size(); ++i)
    if (want[i] > 0) worst = std::max(worst, std::abs(f[i] / want[i] - 1));
  CHECK(worst < 5e-6);
  // 6.2001e10 against sigma T^4 = 6.1984e10: an independent computation.
  const auto i5750 = static_cast<std::size_t>(
      std::lower_bound(grid.log_teffs().begin(), grid.log_teffs().end(), std::log10(5749.)) -
      grid.log_teffs().begin());
  CHECK(bolometric(grid, grid.node(i5750, 9, 1), grid.log_teffs()[i5750]) * 6.1984e10 ==
        doctest::Approx(6.2001e10).epsilon(2e-5));
  const Bounds b = bolometric_bounds(grid);
  MESSAGE(b.models << " models, int F / sigma T^4 from " << b.low << " to " << b.high);
  CHECK(b.models == 819);
  CHECK(b.low > 0.998);
  CHECK(b.high < 1.018); // of metal-poor giants at 3500 K
  CHECK_THROWS_WITH_AS((void)read_kurucz_grid(std::vector{solar, solar}),
                       doctest::Contains("the same [M/H] and T_eff"), FileError);
  CHECK_THROWS_WITH_AS((void)read_kurucz_grid(solar, {100, 200}),
                       doctest::Contains("no file like kp00_5750.fits"), FileError);
  CHECK_THROWS_AS((void)read_kurucz_grid(std::vector<std::string>{}), FileError);
}

TEST_CASE("forward/kurucz_file: Castelli & Kurucz at solar metallicity and, around the Sun, at all eight") {
  if (no_data()) return;
  const std::string folder = sbi_test::data_file("ck04");
  // The whole grid holds .9966 to 1.0368 (23000 K), its median is 1.000.
  const Bounds solar = bolometric_bounds(read_kurucz_grid(folder, {0, 1e6, 0, 0}));
  MESSAGE(solar.models << " models, int F / sigma T^4 from " << solar.low << " to " << solar.high);
  CHECK(solar.models == 476);
  CHECK(solar.low > 0.996);
  CHECK(solar.high < 1.037);
  const SpectralGrid grid = read_kurucz_grid(folder, {5500, 6000});
  REQUIRE(grid.metallicities().size() == 8);
  const double want[]{-2.5, -2, -1.5, -1, -0.5, 0, 0.2, 0.5};
  for (std::size_t m = 0; m < 8; ++m) CHECK(grid.metallicities()[m] == doctest::Approx(want[m]));
  const Bounds all = bolometric_bounds(grid);
  CHECK(all.models == 8 * 3 * 11);
  CHECK(all.low > 0.996);
  CHECK(all.high < 1.004);
}

TEST_CASE("forward/kurucz_file: what interpolation in T_eff costs, by leaving out every second temperature") {
  if (no_data()) return;
  const SpectralGrid grid = read_kurucz_grid(sbi_test::data_file("kurucz93_kp00"), {3500, 10000});
  std::vector<double> half;
  for (std::size_t t = 0; t < grid.log_teffs().size(); t += 2) half.push_back(grid.log_teffs()[t]);
  const SpectralGrid coarse = tabulate(grid, half, {grid.log_gs().begin(), grid.log_gs().end()}, {0});
  const Photometry photometry(grid.wavelengths(), passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP",
                                                             "2MASS.J", "2MASS.Ks", "WISE.W1"}));
  const std::vector<double> clear(photometry.extinction(CCM89{}, 3.1));
  std::vector<double> f(1221), m(6), n(6);
  double cool = 0, giant = 0, warm = 0;
  for (std::size_t t = 1; t < grid.log_teffs().size(); t += 2)
    for (double log_g : grid.log_gs()) {
      const double log_teff = grid.log_teffs()[t];
      if (!coarse.covers(log_teff, log_g, 0) || !grid.covers(log_teff, log_g, 0)) continue;
      grid.flux(log_teff, log_g, 0, f), photometry.magnitudes(f, clear, 0, m);
      coarse.flux(log_teff, log_g, 0, f), photometry.magnitudes(f, clear, 0, n);
      double& worst = log_teff > std::log10(4500.) ? warm : log_g < 3.5 ? giant : cool;
      for (std::size_t b = 0; b < m.size(); ++b) worst = std::max(worst, std::abs(m[b] - n[b]));
    }
  MESSAGE("steps of 500 K instead of 250 K: up to " << warm << " mag above 4500 K, below it " << cool
                                                    << " for dwarfs and " << giant << " for giants");
  // Linear interpolation errs by the square of the step: a quarter of these with all temperatures.
  CHECK(cool < 0.06);
  CHECK(giant < 0.16);
  CHECK(warm < 0.02);
  CHECK(cool > 0.02); // it does measure something
}

TEST_CASE("forward/kurucz_file: the Castelli & Kurucz grid, its edges and its bolometric flux") {
  if (no_data()) return;
  const SpectralGrid grid = read_kurucz_grid(sbi_test::data_file("ck04"), {5000, 7000, -0.5, 0.2});
  CHECK(grid.log_teffs().size() == 9);
  CHECK(grid.metallicities().size() == 3);
  CHECK(grid.wavelengths().size() == 1221);
  CHECK(grid.covers(std::log10(5777.), 4.44, -0.2));
  CHECK_FALSE(grid.covers(std::log10(6900.), 0.2, 0)); // no models so tenuous above 6000 K
  std::vector<double> f(1221);
  for (double teff : {5000., 5777., 6800.}) {
    grid.flux(std::log10(teff), 4.5, 0.1, f);
    double sum = 0;
    for (std::size_t i = 1; i < f.size(); ++i)
      sum += 0.5 * (f[i] + f[i - 1]) * 1e4 * (grid.wavelengths()[i] - grid.wavelengths()[i - 1]);
    // The files themselves hold sigma T^4 to 0.4 %; interpolating log F between 250 K steps loses 0.1 %.
    CHECK(sum == doctest::Approx(5.670374e-5 * std::pow(teff, 4)).epsilon(0.006));
  }
}

TEST_CASE("forward/kurucz_file: Gaia magnitudes of Kurucz spectra are those BaSTI publishes") {
  if (no_data()) return;
  const StellarPhotometry<SpectralGrid, CCM89> photometry(
      read_kurucz_grid(sbi_test::data_file("kurucz93_kp00"), {4000, 11000}), CCM89{},
      {full_band("gaiadr3-G", "GaiaDR3.G"), full_band("gaiadr3-BP", "GaiaDR3.BP"),
       full_band("gaiadr3-RP", "GaiaDR3.RP")});
  const io::NumberTable basti = io::read_numbers(sbi_test::data_file("isochrones_basti_gaiadr3") +
                                                 "/300z132y264p00o0d0e0.isc_gaia-dr3-new.gz");
  // Initial mass, and Kurucz (1993) minus published in G, BP, RP as an independent numpy computation found
  // them. BaSTI uses newer atmospheres, so these are not errors; a wrong zero point, band or integral would
  // be.
  const std::vector<std::array<double, 4>> oracle{{.60, .023, -.002, .032},   {.80, -.001, .006, -.009},
                                                  {1.0, -.011, -.002, -.020}, {1.2, -.014, -.003, -.026},
                                                  {1.5, -.011, -.008, -.014}, {2.0, 0, 0, 0},
                                                  {2.5, -.002, -.003, -.002}};
  std::vector<double> spectrum(1221), m(3);
  for (const auto& o : oracle) {
    const double mass = o[0];
    index_t row = 0;
    for (index_t r = 0; r < basti.rows(); ++r)
      if (std::abs(basti(r, 0) - mass) < std::abs(basti(row, 0) - mass)) row = r;
    const StarState star = basti_star(basti, row, 0);
    photometry.magnitudes(star, 0, 1, spectrum, m);
    CAPTURE(mass);
    for (std::size_t b = 0; b < 3; ++b) {
      const double difference = m[b] - basti(row, static_cast<index_t>(4 + b));
      CHECK(std::abs(difference) < 0.035);
      CHECK(std::abs(difference - o[1 + b]) < 0.004);
    }
  }
}

TEST_CASE("forward/kurucz_file: Castelli & Kurucz spectra give BaSTI's magnitudes to a few thousandths") {
  if (no_data()) return;
  const StellarPhotometry<SpectralGrid, CCM89> photometry(
      read_kurucz_grid(sbi_test::data_file("ck04"), {4750, 7000, -0.5, 0.2}), CCM89{},
      {full_band("gaiadr3-G", "GaiaDR3.G"), full_band("gaiadr3-BP", "GaiaDR3.BP"),
       full_band("gaiadr3-RP", "GaiaDR3.RP")});
  const io::NumberTable basti = io::read_numbers(sbi_test::data_file("isochrones_basti_gaiadr3") +
                                                 "/3000z132y264p00o0d0e0.isc_gaia-dr3-new.gz");
  std::vector<double> spectrum(1221), m(3);
  int compared = 0;
  for (index_t r = 0; r < basti.rows(); r += 25) {
    const StarState star = basti_star(basti, r, -0.08);
    if (!photometry.atmosphere().covers(star.log_teff, star.log_g, star.mh)) continue;
    photometry.magnitudes(star, 0, 1, spectrum, m);
    // BaSTI's own transformations are from these atmospheres: main sequence, turn-off and giants agree.
    for (std::size_t b = 0; b < 3; ++b) CHECK(std::abs(m[b] - basti(r, static_cast<index_t>(4 + b))) < 0.008);
    ++compared;
  }
  CHECK(compared > 40);
}

TEST_CASE("forward/kurucz_file: all main sequences of BaSTI, Kurucz (1993) between its two metallicities") {
  if (no_data()) return;
  const std::vector<Passband> bands{full_band("gaiadr3-G", "GaiaDR3.G"),
                                    full_band("gaiadr3-BP", "GaiaDR3.BP"),
                                    full_band("gaiadr3-RP", "GaiaDR3.RP")};
  const StellarPhotometry<SpectralGrid, CCM89> photometry(
      read_kurucz_grid(
          std::vector{sbi_test::data_file("kurucz93_kp00"), sbi_test::data_file("kurucz93_km05")},
          {3500, 15000}),
      CCM89{}, bands);
  std::vector<double> spectrum(1221), m(3);
  std::array<double, 3> worst{}, young{}, cool{};
  int compared = 0, masses = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(sbi_test::data_file("isochrones_basti_gaiadr3"))) {
    if (entry.path().extension() != ".gz") continue;
    const io::NumberTable basti = io::read_numbers(entry.path().string());
    for (index_t r = 0; r < basti.rows(); r += 2) {
      const StarState star = basti_star(basti, r, -0.08); // the isochrones' metallicity
      if (star.log_g < 3.8 || !photometry.atmosphere().covers(star.log_teff, star.log_g, star.mh)) continue;
      photometry.magnitudes(star, 0, 1, spectrum, m);
      const bool chosen =
          entry.path().filename().string().starts_with("300z") && basti(r, 0) >= 0.6 && basti(r, 0) <= 2.5;
      auto& into = star.log_teff < std::log10(4100.) ? cool : worst;
      for (std::size_t b = 0; b < 3; ++b) {
        const double d = std::abs(m[b] - basti(r, static_cast<index_t>(4 + b)));
        into[b] = std::max(into[b], d);
        if (chosen) young[b] = std::max(young[b], d);
      }
      ++compared, masses += chosen;
    }
  }
  MESSAGE(compared << " points: G, BP, RP differ by up to " << worst[0] << ", " << worst[1] << ", "
                   << worst[2] << " above 4100 K, " << cool[0] << ", " << cool[1] << ", " << cool[2]
                   << " below");
  CHECK(compared > 1000);
  CHECK(masses > 90);
  for (const auto& w : {young, worst}) {
    CHECK(w[0] < 0.035);
    CHECK(w[1] < 0.011);
    CHECK(w[2] < 0.035);
  }
  CHECK(young[1] < 0.010);
  // The M dwarfs of 1993 lack molecular lines that BaSTI's atmospheres have.
  CHECK(cool[0] < 0.18);
  CHECK(cool[1] < 0.07);
  CHECK(cool[2] < 0.22);
}

TEST_CASE(
    "forward/kurucz_file: Castelli & Kurucz (2004) against Kurucz (1993) at 5750 K, and the mean dwarfs of "
    "Pecaut & Mamajek") {
  if (no_data()) return;
  const SpectralGrid old = read_kurucz_grid(sbi_test::data_file("kurucz93_kp00"), {3500, 10000}),
                     young = read_kurucz_grid(sbi_test::data_file("ck04"), {3500, 10000, 0, 0});
  std::vector<double> f(1221), g(1221);
  old.flux(std::log10(5750.), 4.5, 0, f), young.flux(std::log10(5750.), 4.5, 0, g);
  // Per cent of flux, from published synthetic photometry of Castelli & Kurucz spectra.
  for (const auto& [file, name, want] : {std::tuple{"twomass-J", "2MASS.J", -0.6},
                                         {"twomass-H", "2MASS.H", 1.0},
                                         {"twomass-Ks", "2MASS.Ks", -0.1},
                                         {"wise2010-W1", "WISE.W1", -0.4},
                                         {"wise2010-W2", "WISE.W2", 0.3}}) {
    const Passband band = full_band(file, name);
    const double ratio = mean_flux(young.wavelengths(), g, band) / mean_flux(old.wavelengths(), f, band);
    CHECK(std::abs(100 * (ratio - 1) - want) < 0.15);
  }
  std::vector<Passband> bands;
  for (const auto& [file, name] : {std::pair{"gaiadr2-G", "GaiaDR2.G"},
                                   {"gaiadr2-BP", "GaiaDR2.BP"},
                                   {"gaiadr2-RP", "GaiaDR2.RP"},
                                   {"twomass-J", "2MASS.J"},
                                   {"twomass-Ks", "2MASS.Ks"},
                                   {"wise2010-W1", "WISE.W1"}})
    bands.push_back(full_band(file, name));
  // T_eff, log L, mass; M_G, BP - RP (Gaia DR2), M_J, M_Ks, Ks - W1 of A0V, F5V, G2V, K0V, M0V, version
  // 2022.04.16 of the table, and how far Kurucz (1993) and Castelli & Kurucz (2004) may be from it.
  struct Row {
    double teff, log_l, mass;
    std::array<double, 5> table, bound;
  };
  const std::array<double, 5> dwarf{.03, .03, .045, .04, .05};
  const std::vector<Row> rows{{9700, 1.58, 2.18, {1.00, -.037, .95, .949, .042}, {.02, .02, .07, .085, .05}},
                              {6550, .56, 1.33, {3.26, .587, 2.52, 2.291, .052}, dwarf},
                              {5770, .01, 1.00, {4.635, .823, 3.60, 3.236, .061}, dwarf},
                              {5270, -.34, .88, {5.553, .983, 4.31, 3.827, .070}, dwarf},
                              {3850, -1.16, .57, {8.16, 1.84, 5.97, 5.15, .120}, {.04, .15, .05, .06, .11}}};
  for (const SpectralGrid* grid : {&old, &young}) {
    const StellarPhotometry<SpectralGrid, CCM89> photometry(*grid, CCM89{}, bands);
    std::vector<double> spectrum(1221), m(6);
    for (const Row& row : rows) {
      StarState star{std::log10(row.mass), 9, 0, row.log_l, std::log10(row.teff), 0};
      star.log_g = solar_log_g + star.log_mass + 4 * (star.log_teff - std::log10(solar_teff)) - star.log_l;
      photometry.magnitudes(star, 0, 1, spectrum, m);
      const std::array<double, 5> found{m[0], m[1] - m[2], m[3], m[4], m[4] - m[5]};
      CAPTURE(row.teff);
      for (std::size_t k = 0; k < 5; ++k) CHECK(std::abs(found[k] - row.table[k]) < row.bound[k]);
    }
  }
}

TEST_CASE("forward/kurucz_file: the Sun in ten bands, and what linear interpolation would make of W3") {
  if (no_data()) return;
  const Spectrum sun = calspec("sun_kurucz93.fits"), vega = calspec("alpha_lyr_stis_011.fits");
  const double modulus = 5 * std::log10(10 * 206264.806); // from 1 au to 10 pc
  const auto sun_in = [&](const Spectrum& s, const std::string& file) {
    const Passband band =
        read_passband(sbi_test::data_file("passbands_speclite") + "/" + file + ".ecsv", file);
    return -2.5 * std::log10(mean_flux(s.wavelengths, s.flux, band) /
                             mean_flux(vega.wavelengths, vega.flux, band)) +
           modulus;
  };
  // Absolute magnitudes with this Vega, computed independently.
  for (const auto& [file, want] : {std::pair{"twomass-J", 3.651},
                                   {"twomass-H", 3.320},
                                   {"twomass-Ks", 3.275},
                                   {"wise2010-W1", 3.256},
                                   {"wise2010-W2", 3.284},
                                   {"wise2010-W3", 3.248},
                                   {"wise2010-W4", 3.242}}) {
    const double found = sun_in(sun, file);
    CHECK(std::abs(found - want) < 0.005);
  }
  // Beyond 10 micron the models have a point every 20 micron. A straight line between them doubles W3 and W4.
  Spectrum linear;
  for (std::size_t i = 0; i + 1 < sun.wavelengths.size(); ++i)
    for (int k = 0; k < 50; ++k) {
      linear.wavelengths.push_back(std::lerp(sun.wavelengths[i], sun.wavelengths[i + 1], k / 50.));
      linear.flux.push_back(std::lerp(sun.flux[i], sun.flux[i + 1], k / 50.));
    }
  CHECK(std::abs(sun_in(linear, "wise2010-W3") - 2.84) < 0.02);
  CHECK(std::abs(sun_in(linear, "twomass-J") - 3.651) < 0.005);
}

TEST_CASE("forward/kurucz_file: extinction in the bands depends on the star and on the amount of dust") {
  if (no_data()) return;
  const StellarPhotometry<SpectralGrid, CCM89> photometry(
      read_kurucz_grid(sbi_test::data_file("kurucz93_kp00"), {4000, 10000}), CCM89{},
      {full_band("gaiadr3-G", "GaiaDR3.G"), full_band("gaiadr3-BP", "GaiaDR3.BP"),
       full_band("gaiadr3-RP", "GaiaDR3.RP"), full_band("twomass-J", "2MASS.J"),
       full_band("twomass-H", "2MASS.H"), full_band("twomass-Ks", "2MASS.Ks"),
       full_band("wise2010-W1", "WISE.W1"), full_band("wise2010-W2", "WISE.W2")});
  // T_eff, A_X/A_V of G, BP, RP, J at A_V = 1, then of G, BP, RP at A_V = 5: an independent computation, four
  // digits. The dust acts at the points of the models, 10-20 A apart in the optical: 3e-4.
  const std::vector<std::array<double, 8>> oracle{{4000, .7488, .9835, .6138, .2884, .6857, .9504, .5868},
                                                  {5750, .8438, 1.0528, .6397, .2898, .7555, 1.0009, .6113},
                                                  {10000, .9635, 1.1315, .6584, .2917, .8448, 1.0626, .6290}};
  const std::array<double, 4> infrared{.1822, .1179, .0594, .0356}; // H, Ks, W1, W2 at 4000 K, A_V = 1
  std::vector<double> spectrum(1221), clear(8), one(8), five(8);
  for (const auto& o : oracle) {
    const StarState star{0, 9, 0, 0, std::log10(o[0]), 4.5};
    photometry.magnitudes(star, 0, 1, spectrum, clear);
    photometry.magnitudes(star, 1, 1, spectrum, one);
    photometry.magnitudes(star, 5, 1, spectrum, five);
    CAPTURE(o[0]);
    for (std::size_t b = 0; b < 4; ++b) CHECK(std::abs(one[b] - clear[b] - o[1 + b]) < 0.0003);
    for (std::size_t b = 0; b < 3; ++b) CHECK(std::abs((five[b] - clear[b]) / 5 - o[5 + b]) < 0.0003);
    for (std::size_t b = 0; b < 4 && o[0] < 5000; ++b)
      CHECK(std::abs(one[4 + b] - clear[4 + b] - infrared[b]) < 0.0001);
  }
}
