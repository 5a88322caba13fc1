// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/basti_file.hpp>
#include <sbi/forward/parsec_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::forward;
namespace fs = std::filesystem;

namespace {
std::string basti_folder() {
  const std::string folder = sbi_test::data_file("isochrones_basti_gaiadr3");
  if (folder.empty()) MESSAGE("no data folder: skipped");
  return folder;
}
} // namespace

TEST_CASE("forward/basti_file: the eight isochrones and their published magnitudes") {
  const std::string folder = basti_folder();
  if (folder.empty()) return;
  const std::vector<BastiIsochrone> tables = read_basti_tables(folder);
  REQUIRE(tables.size() == 8);
  const double ages[]{30, 40, 300, 320, 340, 3000, 3100, 3200};
  for (std::size_t i = 0; i < tables.size(); ++i) {
    CHECK(tables[i].log_age == doctest::Approx(std::log10(1e6 * ages[i])).epsilon(1e-12));
    CHECK(tables[i].mh == -0.08);
    CHECK(tables[i].points.size() == 2100);
  }
  // First row of the file of 300 Myr, and the stars of 300 Myr in the reference: G, G_BP, G_RP to 4 decimals
  // at the nearest row, so within the step of the rows at these masses (0.01 solar masses, 0.06 mag).
  const BastiIsochrone& young = tables[2];
  CHECK(young.points[0].mass == 0.1);
  CHECK(young.points[0].mass_now == 0.1);
  CHECK(young.points[0].log_l == -2.97314);
  CHECK(young.points[0].log_teff == 3.45171);
  CHECK(young.points[0].magnitudes == std::array{13.7266, 15.8804, 12.3843, 11.8243});
  struct Star {
    double mass, g, bp, rp;
  };
  for (const Star& s :
       {Star{.6, 7.8538, 8.5998, 7.0157}, {1, 4.8506, 5.1595, 4.3798}, {2, 1.6101, 1.6138, 1.6058}}) {
    const auto near =
        std::min_element(young.points.begin(), young.points.end(), [&](const auto& a, const auto& b) {
          return std::abs(a.magnitudes[0] - s.g) < std::abs(b.magnitudes[0] - s.g);
        });
    CAPTURE(s.mass);
    CHECK(std::abs(near->mass - s.mass) < 0.006);
    CHECK(near->magnitudes == std::array{s.g, s.bp, s.rp, near->magnitudes[3]});
  }
}

TEST_CASE("forward/basti_file: as evolution they give back their own points, and nothing else") {
  const std::string folder = basti_folder();
  if (folder.empty()) return;
  const Isochrones iso = read_basti_isochrones(folder);
  for (const BastiIsochrone& table : read_basti_tables(folder)) {
    CAPTURE(table.log_age);
    CHECK(iso.last_phase(table.log_age, table.mh) == 6);
    double worst_l = 0, worst_t = 0;
    for (std::size_t i = 0; i < 1280; ++i) { // up to the last 10 rows below the tip
      const BastiPoint& p = table.points[i];
      const auto star = iso.state(std::log10(p.mass), table.log_age, table.mh);
      REQUIRE(star);
      worst_l = std::max(worst_l, std::abs(star->log_l - p.log_l));
      worst_t = std::max(worst_t, std::abs(star->log_teff - p.log_teff));
    }
    CHECK(worst_l < 0.02); // nodes are up to 0.04 apart in log L on the giant branch; kinks are cut
    CHECK(worst_t < 0.003);
    // The landmarks: hottest of the turn-off, foot and tip of the giant branch, end of core helium burning.
    for (const auto& [p, row] : {std::pair{1.0, 359}, {2.0, 489}, {3.0, 1289}, {5.0, 1949}}) {
      const auto star = iso.at_phase(p, table.log_age, table.mh);
      const BastiPoint& point = table.points[static_cast<std::size_t>(row)];
      CHECK(std::abs(star->log_l - point.log_l) < 1e-9);
      CHECK(std::abs(star->log_mass - std::log10(point.mass)) < 1e-9);
    }
  }
  const auto sun = iso.state(0, std::log10(3e9), -0.08);
  REQUIRE(sun); // no mass loss in these files: gravity of one solar mass
  CHECK(sun->log_g == doctest::Approx(surface_gravity(0, sun->log_l, sun->log_teff)).epsilon(1e-4));
  CHECK(iso.state(0, std::log10(3.15e9), -0.08));
  CHECK(iso.state(0, std::log10(3.5e7), -0.08));
  CHECK_FALSE(iso.state(0, 9, -0.08)); // between 340 Myr and 3 Gyr there is no file
  CHECK_FALSE(iso.state(0, 8, -0.08));
  CHECK_FALSE(iso.state(0, std::log10(3e9), -0.07));
  CHECK_FALSE(iso.state(0, std::log10(3.3e9), -0.08));
  CHECK_FALSE(iso.state(std::log10(0.099), std::log10(3e9), -0.08));
  CHECK_FALSE(iso.state(std::log10(1.47), std::log10(3e9), -0.08)); // the last giant has 1.4616
}

TEST_CASE("forward/basti_file: PARSEC against BaSTI on the main sequence") {
  const std::string folder = basti_folder(), parsec_folder = sbi_test::data_file("isochrones_parsec_fsps");
  if (folder.empty() || parsec_folder.empty()) return;
  const std::vector<BastiIsochrone> tables = read_basti_tables(folder);
  const Isochrones other = read_parsec_isochrones(parsec_folder, {8.4, 9.55}),
                   basti = basti_isochrones(tables);
  for (const std::size_t i : {std::size_t{2}, std::size_t{5}}) { // 300 Myr, 3 Gyr
    const double age = tables[i].log_age, mh = tables[i].mh;
    const double turn_off = std::pow(10, basti.at_phase(1, age, mh)->log_mass);
    double l[3]{}, t[3]{};
    for (const BastiPoint& p : tables[i].points) {
      if (p.mass > 0.9 * turn_off) continue;
      const auto star = other.state(std::log10(p.mass), age, mh);
      REQUIRE(star);
      const int bin = p.mass < 0.6 ? 0 : p.mass < 0.7 * turn_off || p.mass < 0.9 ? 1 : 2;
      l[bin] = std::max(l[bin], std::abs(star->log_l - p.log_l));
      t[bin] = std::max(t[bin], std::abs(star->log_teff - p.log_teff));
    }
    MESSAGE("log age " << age << ": below 0.6 solar masses log L within " << l[0] << ", log T_eff within "
                       << t[0] << "; then " << l[1] << ", " << t[1] << "; near the turn-off of " << turn_off
                       << " " << l[2] << ", " << t[2]);
    // Found: 0.016 and 0.013 from 0.6 solar masses to 0.7 of the turn-off, 0.028 and 0.022 from there to 0.9
    // of it. These BaSTI files are without convective overshooting, so their stars leave the main sequence
    // earlier: at 300 Myr above 2.95 solar masses, in PARSEC above 3.24.
    CHECK(l[1] < 0.02);
    CHECK(t[1] < 0.015);
    CHECK(l[2] < 0.035);
    CHECK(t[2] < 0.027);
    // Cooler dwarfs of PARSEC are made to fit observed ones (Chen et al. 2014, MNRAS 444, 2525): 0.13 and
    // 0.044.
    CHECK(l[0] < 0.15);
    CHECK(t[0] < 0.05);
    CHECK(t[0] > 0.03); // another code, not the same numbers
  }
}

TEST_CASE("forward/basti_file: what is wrong with a file or folder, by name") {
  const fs::path folder = fs::temp_directory_path() / text("sbi-basti-", static_cast<long>(::getpid()));
  fs::create_directories(folder);
  const auto write = [&](const char* name, const std::string& header, int rows) {
    std::ofstream out(folder / name);
    out << header << "\n";
    for (int i = 0; i < rows; ++i) out << 0.5 + 0.001 * i << " 0.5 -1 3.6 9 10 8 7\n";
  };
  const std::string good = "#  Np = 3   [M/H] = -0.500   Z = 0.01   Y = 0.26   Age (Myr) = 1000.000";
  const std::string name = folder.string();
  CHECK_THROWS_WITH_AS((void)read_basti_tables("no/such/folder"), "no/such/folder: no such folder",
                       FileError);
  CHECK_THROWS_WITH_AS((void)read_basti_tables(name),
                       (name + ": no file named *.isc_gaia-dr3-new[.gz]").c_str(), FileError);
  write("a.isc_gaia-dr3-new", good, 3);
  CHECK(read_basti_tables(name)[0].mh == -0.5);
  CHECK(read_basti_tables(name)[0].log_age == doctest::Approx(9));
  CHECK_THROWS_WITH_AS((void)read_basti_isochrones(name),
                       "BaSTI isochrone of log age 9: 3 points, [M/H] = -0.5; want 2100 and -0.5",
                       ValueError);
  write("a.isc_gaia-dr3-new", good, 2);
  CHECK_THROWS_WITH_AS(
      (void)read_basti_tables(name),
      (name + "/a.isc_gaia-dr3-new: 2 rows of 8 numbers; want 3 of 8 as the header says").c_str(), FileError);
  write("a.isc_gaia-dr3-new", "# Np = 3 [M/H] = 0", 3);
  CHECK_THROWS_WITH_AS((void)read_basti_tables(name), doctest::Contains("no 'Age (Myr)' in the header"),
                       FileError);
  write("a.isc_gaia-dr3-new", good, 3);
  write("b.isc_gaia-dr3-new", "# Np = 3 [M/H] = 0.1 Age (Myr) = 1", 3);
  CHECK_THROWS_WITH_AS((void)read_basti_tables(name), doctest::Contains("as in the other files"), FileError);
  CHECK_THROWS_AS((void)basti_isochrones({}), ValueError);
  fs::remove_all(folder);
}
