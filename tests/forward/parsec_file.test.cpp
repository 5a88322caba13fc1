// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/constants.hpp>
#include <sbi/forward/parsec_file.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

std::string parsec_folder() {
  const std::string folder = sbi_test::data_file("isochrones_parsec_fsps");
  if (folder.empty()) MESSAGE("no data folder: skipped");
  return folder;
}

} // namespace

TEST_CASE("forward/parsec_file: metallicity of the scale, and folders that hold no table") {
  // Bressan et al. (2012): the Sun began with Z = 0.01774 and has Z/X = 0.0207 at its surface now.
  CHECK(parsec_metallicity(0.0147) == doctest::Approx(0).epsilon(0.002));
  CHECK(parsec_metallicity(0.01774) == doctest::Approx(0.088).epsilon(0.005));
  CHECK_THROWS_AS((void)read_parsec_isochrones("no/such/folder"), FileError);
  const auto folder =
      std::filesystem::temp_directory_path() / text("sbi-parsec-", static_cast<long>(::getpid()));
  std::filesystem::create_directories(folder);
  CHECK_THROWS_AS((void)read_parsec_isochrones(folder.string()), FileError);
  std::ofstream(folder / "isoc_z0.0100.dat") << "9.0 0.5 0.5 -1 3.6 4.7 0.4 0\n";
  std::ofstream(folder / "isoc_z0.0200.dat") << "9.0 0.5 0.5 -1 3.6 4.7 0.4\n";
  CHECK_THROWS_AS((void)read_parsec_isochrones(folder.string()), FileError); // seven columns
  std::ofstream(folder / "isoc_z0.0200.dat") << "9.1 0.5 0.5 -1 3.6 4.7 0.4 0\n";
  CHECK_THROWS_AS((void)read_parsec_isochrones(folder.string()), FileError); // other ages
  std::filesystem::remove_all(folder);
}

TEST_CASE("forward/parsec_file: the table, the Sun, and points of a file that must come back") {
  const std::string folder = parsec_folder();
  if (folder.empty()) return;
  const Isochrones iso = read_parsec_isochrones(folder, {9, 10.1});
  CHECK(iso.metallicities().size() == 15);
  CHECK(iso.log_ages().size() == 23);
  const auto sun = iso.state(0, std::log10(4.6e9), parsec_metallicity(0.01774));
  REQUIRE(sun);
  CHECK(std::abs(sun->log_l) < 0.01); // a calibrated solar model, interpolated between Z = 0.017 and 0.020
  CHECK(std::abs(std::pow(10, sun->log_teff) - 5772) < 30);
  CHECK(std::abs(sun->log_g - solar_log_g) < 0.01);

  const io::NumberTable file = io::read_numbers(folder + "/isoc_z0.0140.dat.gz");
  double worst_l = 0, worst_t = 0;
  int points = 0;
  for (index_t r = 0; r < file.rows(); ++r) {
    // main sequence to the red giant branch below the tip of 4 Gyr
    if (std::abs(file(r, 0) - 9.6) > 1e-6 || file(r, 7) > 2 || file(r, 1) < 0.3 || file(r, 3) > 3.2 ||
        points > 130)
      continue;
    const auto star = iso.state(std::log10(file(r, 1)), 9.6, parsec_metallicity(0.014));
    REQUIRE(star);
    worst_l = std::max(worst_l, std::abs(star->log_l - file(r, 3)));
    worst_t = std::max(worst_t, std::abs(star->log_teff - file(r, 4)));
    ++points;
  }
  CHECK(points > 90);
  MESSAGE("4 Gyr, Z = 0.014: log L within " << worst_l << ", log T_eff within " << worst_t);
  CHECK(worst_l <
        0.02); // nodes are up to 0.04 in log L apart on the branch; kinks at the bump and the hook are cut
  CHECK(worst_t < 0.002);
}

TEST_CASE("forward/parsec_file: an age left out is interpolated at every phase from main sequence to clump") {
  const std::string folder = parsec_folder();
  if (folder.empty()) return;
  const Isochrones iso = read_parsec_isochrones(folder, {9.5, 9.7});
  const double mh = parsec_metallicity(0.014);
  // 9.55 and 9.65 alone, against the tabulated 9.6: twice the spacing of the table, so four times its error.
  const Isochrones thin({mh, 0.1}, {9.55, 9.65}, [&](index_t i, index_t j) {
    std::vector<IsochronePoint> points;
    for (double p = 0; p < 6; p += 0.002) {
      const auto star = iso.at_phase(p, j == 0 ? 9.55 : 9.65, i == 0 ? mh : 0.1);
      const int k = static_cast<int>(p);
      points.push_back({star->log_mass, star->log_l, star->log_teff, star->log_g, k < 3 ? k : k < 5 ? 3 : 4});
    }
    return points;
  });
  const auto nearest = [&](double p, double log_l, double log_teff) { // distance from the tabulated curve
    double best = 9;
    for (double q = std::max(0.0, p - 0.15); q < std::min(5.0, p + 0.15); q += 0.002) {
      const auto star = iso.at_phase(q, 9.6, mh);
      best = std::min(best, std::hypot(star->log_l - log_l, 8 * (star->log_teff - log_teff)));
    }
    return best;
  };
  for (double p = 0.05; p < 4.95; p += 0.05) {
    if (p > 2.9 && p < 4.05) continue; // tip, flash and the first moments of the clump
    const auto star = thin.at_phase(p, 9.6, mh);
    REQUIRE(star);
    CAPTURE(p);
    // 0.04 in log L or 0.005 in log T_eff at the hook, which changes its shape at 1.2 solar masses, half of
    // it elsewhere. With this age in the table the spacing is half and the error a quarter.
    CHECK(nearest(p, star->log_l, star->log_teff) < (p > 0.9 && p < 1 ? 0.04 : 0.025));
  }
  const auto turn_off = [](const Isochrones& i, double log_age, double metals) {
    double hottest = 0;
    for (double p = 0; p < 1; p += 0.002)
      hottest = std::max(hottest, i.at_phase(p, log_age, metals)->log_teff);
    return hottest;
  };
  CHECK(std::abs(turn_off(thin, 9.6, mh) - turn_off(iso, 9.6, mh)) < 0.002);
}

TEST_CASE("forward/parsec_file: BaSTI, other stars of another code, at the same age and composition") {
  const std::string folder = parsec_folder(), basti = sbi_test::data_file("isochrones_basti_gaiadr3");
  if (folder.empty() || basti.empty()) return;
  const Isochrones iso = read_parsec_isochrones(folder, {9.4, 9.6});
  for (const auto& [name, age] : {std::pair{"3000", 3.0e9}, {"3200", 3.2e9}}) {
    const io::NumberTable file =
        io::read_numbers(basti + "/" + name + "z132y264p00o0d0e0.isc_gaia-dr3-new.gz");
    int compared = 0;
    for (index_t r = 0; r < file.rows(); r += 20) {
      if (file(r, 0) < 0.7 || file(r, 0) > 1.25) continue;
      const auto star = iso.state(std::log10(file(r, 0)), std::log10(age), -0.08);
      REQUIRE(star);
      CAPTURE(file(r, 0));
      // Different opacities, mixing lengths and solar mixtures: 0.03 in log L and 100 K on the main sequence.
      CHECK(std::abs(star->log_l - file(r, 2)) < 0.03);
      CHECK(std::abs(std::pow(10, star->log_teff) - std::pow(10, file(r, 3))) < 110);
      ++compared;
    }
    CHECK(compared > 5);
  }
}
