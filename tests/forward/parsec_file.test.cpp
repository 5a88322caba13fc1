// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/constants.hpp>
#include <sbi/forward/parsec_file.hpp>

#include <doctest/doctest.h>

#include <algorithm>
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
/// All ages and metallicities, read once.
const Isochrones& whole_table(const std::string& folder) {
  static const Isochrones table = read_parsec_isochrones(folder);
  return table;
}

} // namespace

TEST_CASE("forward/parsec_file: metallicity of the scale, and folders that hold no table") {
  // Bressan et al. (2012): the Sun began with Z = 0.01774 and has Z/X = 0.0207 at its surface now.
  CHECK(parsec_metallicity(0.0147) == doctest::Approx(0).epsilon(0.002));
  CHECK(parsec_metallicity(0.01774) == doctest::Approx(0.088).epsilon(0.005));
  CHECK_THROWS_AS((void)read_parsec_isochrones("no/such/folder"), FileError);
  ParsecOptions options;
  options.mass_max = 0;
  CHECK_THROWS_WITH_AS((void)read_parsec_isochrones("no/such/folder", options),
                       "PARSEC isochrones up to mass 0; want a positive value", ValueError);
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

TEST_CASE("forward/parsec_file: massive stars end where their main sequence does") {
  // Log mass, log T_eff of a made-up isochrone: hot, the hook, then at once red, all labelled main sequence.
  const auto curve = [](std::vector<std::pair<double, double>> points) {
    std::vector<IsochronePoint> out;
    for (const auto& [m, t] : points) out.push_back({m, 4 + m, t, 4, 0});
    return out;
  };
  const std::vector<std::pair<double, double>> dash{
      {0.5, 4.2},    {1, 4.4},      {1.25, 4.42}, {1.258, 4.38}, {1.2581, 4.42},
      {1.2583, 4.2}, {1.2585, 3.7}, {1.26, 3.6},  {1.27, 3.6},   {1.28, 3.6}};
  std::vector<IsochronePoint> points = curve(dash);
  CHECK(sbi::forward::detail::end_of_main_sequence(points) == 4); // the hook
  sbi::forward::detail::cut_parsec_isochrone(points, 2);
  CHECK(points.size() == 5);
  points = curve(dash); // with good labels nothing is cut
  for (std::size_t i = 5; i < points.size(); ++i) points[i].label = i < 7 ? 1 : 2;
  sbi::forward::detail::cut_parsec_isochrone(points, 2);
  CHECK(points.size() == 10);
  points = curve(
      {{1, 4.5}, {1.5, 4.6}, {1.8, 4.55}, {1.85, 4.45}, {1.9, 4.5}, {1.95, 4.9}, {1.96, 5}, {1.97, 5.1}});
  sbi::forward::detail::cut_parsec_isochrone(points, 2); // a stripped star: it ends at the coolest
  CHECK(points.size() == 4);
  points = curve({{1, 4.5}, {1.5, 4.6}, {1.8, 4.7}, {2.2, 4.9}}); // at 100 solar masses, interpolated
  sbi::forward::detail::cut_parsec_isochrone(points, 2);
  CHECK(points.size() == 4);
  CHECK(points.back().log_mass == 2);
  CHECK(points.back().log_teff == doctest::Approx(4.8));
  sbi::forward::detail::cut_parsec_isochrone(points, 0.5); // none is so light
  CHECK(points.empty());
  points = curve(
      {{0, 3.8}, {0.1, 3.7}, {0.11, 3.6}, {0.12, 3.7}, {0.2, 3.9}, {0.3, 4}}); // no labels after label 3
  for (std::size_t i = 1; i < 4; ++i) points[i].label = static_cast<int>(i);
  sbi::forward::detail::cut_parsec_isochrone(points, 2);
  CHECK(points.size() == 4);
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
  const Isochrones& iso = whole_table(folder);
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

TEST_CASE("forward/parsec_file: all ages and metallicities, and nothing beyond any edge") {
  const std::string folder = parsec_folder();
  if (folder.empty()) return;
  const Isochrones& iso = whole_table(folder);
  const EvolutionRange box = iso.range();
  CHECK(iso.log_ages().size() == 93);
  CHECK(box.log_age_min == 5.5);
  CHECK(box.log_age_max == doctest::Approx(10.1));
  CHECK(box.mh_min == parsec_metallicity(0.0001));
  CHECK(box.mh_max == parsec_metallicity(0.06));
  CHECK(std::pow(10, box.log_mass_min) == doctest::Approx(0.09));
  CHECK(box.log_mass_max == doctest::Approx(2));
  for (const double a : iso.log_ages())
    for (const double z : iso.metallicities()) {
      CAPTURE(a);
      CAPTURE(z);
      const int last = iso.last_phase(a, z);
      CHECK(last >= 1); // every isochrone has a main sequence
      if (a > 7.12) CHECK(last >= 3);
      if (a > 7.17) CHECK(last == 6);
      const auto low = iso.at_phase(0, a, z), high = iso.at_phase(last, a, z);
      REQUIRE(low);
      REQUIRE(high);
      CHECK(iso.state(low->log_mass, a, z));
      CHECK_FALSE(iso.state(low->log_mass - 1e-6, a, z));
      CHECK(iso.state(high->log_mass, a, z));
      CHECK_FALSE(iso.state(high->log_mass + 1e-6, a, z));
      CHECK_FALSE(iso.at_phase(last + 1e-6, a, z));
      CHECK(iso.state(-0.3, a, z)); // half a solar mass lives everywhere
    }
  for (const double z : {-2.0, 0.0, 0.6}) {
    CHECK(iso.state(-0.3, box.log_age_min, z));
    CHECK(iso.state(-0.3, box.log_age_max, z));
    CHECK_FALSE(iso.state(-0.3, box.log_age_min - 1e-9, z));
    CHECK_FALSE(iso.state(-0.3, box.log_age_max + 1e-9, z));
  }
  for (const double a : {5.6, 7.7, 9.9}) {
    CHECK(iso.state(-0.3, a, box.mh_min));
    CHECK(iso.state(-0.3, a, box.mh_max));
    CHECK_FALSE(iso.state(-0.3, a, box.mh_min - 1e-9));
    CHECK_FALSE(iso.state(-0.3, a, box.mh_max + 1e-9));
  }
  // A red supergiant of 10^7 years is no main-sequence star, whatever its label says; at 10^6 years all live.
  CHECK_FALSE(iso.state(std::log10(18.4), 7, parsec_metallicity(0.014)));
  const auto massive = iso.state(std::log10(18), 7, parsec_metallicity(0.014));
  REQUIRE(massive);
  CHECK(massive->log_teff == doctest::Approx(4.378).epsilon(1e-3)); // the file's row of 18 solar masses
  CHECK(iso.state(std::log10(99), 6, parsec_metallicity(0.014)));
  CHECK_FALSE(iso.state(std::log10(101), 6, parsec_metallicity(0.014)));
  const auto contracting = iso.state(std::log10(1.15), 6.75, parsec_metallicity(0.014));
  REQUIRE(contracting); // rows of the file: log L -0.0590, log T_eff 3.6697
  CHECK(std::abs(contracting->log_l + 0.059) < 0.003);
  CHECK(std::abs(contracting->log_teff - 3.6697) < 5e-4);
}

TEST_CASE(
    "forward/parsec_file: a young age left out is interpolated through the arrival on the main sequence") {
  const std::string folder = parsec_folder();
  if (folder.empty()) return;
  const Isochrones& iso = whole_table(folder);
  std::vector<double> errors_l, errors_t;
  for (const double z : {0.008, 0.014, 0.02})
    for (std::size_t j = 1; j + 1 < iso.log_ages().size(); ++j) {
      const double a = iso.log_ages()[j], mh = parsec_metallicity(z);
      if (a < 6.22 || a > 7.28) continue;
      const auto from = [&](double age) { // the isochrone of a tabulated age, from its own nodes
        std::vector<IsochronePoint> points;
        for (double p = 0; p < 1; p += 0.002) {
          const auto star = iso.at_phase(p, age, mh);
          points.push_back({star->log_mass, star->log_l, star->log_teff, star->log_g, 0});
        }
        return points;
      };
      const double ages[]{iso.log_ages()[j - 1], iso.log_ages()[j + 1]};
      const Isochrones thin({mh}, {ages[0], ages[1]}, [&](index_t, index_t i) { return from(ages[i]); });
      for (double m = arrival_log_mass(a, mh) - 0.1; m < arrival_log_mass(a, mh) + 0.1; m += 0.005) {
        const auto guess = thin.state(m, a, mh), star = iso.state(m, a, mh);
        REQUIRE(guess);
        REQUIRE(star);
        errors_l.push_back(std::abs(guess->log_l - star->log_l));
        errors_t.push_back(std::abs(guess->log_teff - star->log_teff));
      }
    }
  const auto quantile = [](std::vector<double>& v, double q) {
    std::sort(v.begin(), v.end());
    return v[static_cast<std::size_t>(q * static_cast<double>(v.size()))];
  };
  MESSAGE("at the arrival, twice the spacing: log L "
          << quantile(errors_l, 0.5) << ", " << quantile(errors_l, 0.95) << " (median, 95 %); log T_eff "
          << quantile(errors_t, 0.5) << ", " << quantile(errors_t, 0.95));
  // Without the landmark of `arrival_log_mass`: 0.0036 and 0.08 in log L, 0.0011 and 0.03 in log T_eff; with
  // it a third and a tenth of that.
  CHECK(quantile(errors_l, 0.5) < 0.0024);
  CHECK(quantile(errors_l, 0.95) < 0.02);
  CHECK(quantile(errors_t, 0.5) < 0.0008);
  CHECK(quantile(errors_t, 0.95) < 0.006);
}

TEST_CASE("forward/parsec_file: dwarfs of 4 and 5 Gyr on Mamajek's empirical sequence") {
  const std::string folder = parsec_folder();
  if (folder.empty()) return;
  const Isochrones& iso = whole_table(folder);
  struct Type {
    const char* name;
    double teff, log_l; // rows of the table of 2022 April 16
  };
  for (const Type& type : {Type{"G2V", 5770, 0.01},
                           {"G5V", 5660, -0.05},
                           {"K0V", 5270, -0.34},
                           {"K4V", 4600, -0.69},
                           {"K7V", 4100, -1.00},
                           {"M0V", 3850, -1.16},
                           {"M2V", 3560, -1.54},
                           {"M4V", 3210, -2.14}})
    for (const double age : {4e9, 5e9}) {
      double before = -1, log_l = missing; // the first star along the isochrone that is hot enough
      for (double p = 0.05; p < 1 && is_missing(log_l); p += 0.0005) {
        const auto star = iso.at_phase(p, std::log10(age), 0);
        REQUIRE(star);
        if (before < std::log10(type.teff) && star->log_teff >= std::log10(type.teff)) log_l = star->log_l;
        before = star->log_teff;
      }
      CAPTURE(type.name);
      CAPTURE(age);
      // Found: PARSEC is fainter by 0.02 to 0.07 from G2V to M0V; cooler stars are brighter, by 0.03 at M2V
      // and 0.12 at M4V (below 3500 K the models' temperatures are uncertain by 100 K, which is 0.1 in log
      // L).
      CHECK(std::abs(log_l - type.log_l) < (type.teff > 3800 ? 0.08 : 0.15));
    }
}
