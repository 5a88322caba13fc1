// SPDX-License-Identifier: MIT
// The atmosphere files against published magnitudes: the end-to-end check of spectra, bands, dust and zero
// points.
#include "../data_file.hpp"

#include <sbi/forward/dust.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/passband_file.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>
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
  for (const char* folder :
       {"kurucz93_kp00", "passbands_speclite", "isochrones_basti_gaiadr3", "calspec", "ck04"})
    if (sbi_test::data_file(folder).empty()) {
      MESSAGE("no data folder: skipped");
      return true;
    }
  return false;
}
struct Spectrum {
  std::vector<double> wavelengths, flux;
};
Spectrum calspec(const std::string& name) {
  const io::FitsTable table(sbi_test::data_file("calspec/" + name));
  Spectrum s;
  const auto w = table.numbers("WAVELENGTH"), f = table.numbers("FLUX");
  for (std::size_t i = 0; i < w.size(); ++i)
    if (s.wavelengths.empty() || 1e-4 * w[i] > s.wavelengths.back()) {
      s.wavelengths.push_back(1e-4 * w[i]);
      s.flux.push_back(f[i]);
    }
  return s;
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
  CHECK_THROWS_AS((void)read_kurucz_grid("no/such/folder"), FileError);
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
    StarState star{std::log10(mass), 8.477, 0, basti(row, 2), basti(row, 3), 0};
    star.log_g =
        solar_log_g + std::log10(basti(row, 1)) + 4 * (star.log_teff - std::log10(solar_teff)) - star.log_l;
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
    StarState star{std::log10(basti(r, 0)), 9.477, -0.08, basti(r, 2), basti(r, 3), 0};
    star.log_g =
        solar_log_g + std::log10(basti(r, 1)) + 4 * (star.log_teff - std::log10(solar_teff)) - star.log_l;
    if (!photometry.atmosphere().covers(star.log_teff, star.log_g, star.mh)) continue;
    photometry.magnitudes(star, 0, 1, spectrum, m);
    // BaSTI's own transformations are from these atmospheres: main sequence, turn-off and giants agree.
    for (std::size_t b = 0; b < 3; ++b) CHECK(std::abs(m[b] - basti(r, static_cast<index_t>(4 + b))) < 0.008);
    ++compared;
  }
  CHECK(compared > 40);
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
       full_band("gaiadr3-RP", "GaiaDR3.RP"), full_band("twomass-J", "2MASS.J")});
  // T_eff, A_X/A_V of G, BP, RP, J at A_V = 1, then of G, BP, RP at A_V = 5: an independent computation.
  const std::vector<std::array<double, 8>> oracle{{4000, .7488, .9835, .6138, .2884, .6857, .9504, .5868},
                                                  {5750, .8438, 1.0528, .6397, .2898, .7555, 1.0009, .6113},
                                                  {10000, .9635, 1.1315, .6584, .2917, .8448, 1.0626, .6290}};
  std::vector<double> spectrum(1221), clear(4), one(4), five(4);
  for (const auto& o : oracle) {
    const StarState star{0, 9, 0, 0, std::log10(o[0]), 4.5};
    photometry.magnitudes(star, 0, 1, spectrum, clear);
    photometry.magnitudes(star, 1, 1, spectrum, one);
    photometry.magnitudes(star, 5, 1, spectrum, five);
    CAPTURE(o[0]);
    for (std::size_t b = 0; b < 4; ++b) CHECK(std::abs(one[b] - clear[b] - o[1 + b]) < 0.001);
    for (std::size_t b = 0; b < 3; ++b) CHECK(std::abs((five[b] - clear[b]) / 5 - o[5 + b]) < 0.001);
  }
}
