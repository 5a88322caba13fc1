// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/track_file.hpp>

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

std::string tracks_folder() {
  const std::string folder = sbi_test::data_file("pms_tracks");
  if (folder.empty()) MESSAGE("no data folder: skipped");
  return folder;
}

/// A folder of three ages and three masses, which ends with the test.
struct Folder {
  fs::path path = fs::temp_directory_path() / text("sbi-tracks-", static_cast<long>(::getpid()));
  xt::xtensor<float, 1> mass{0.5F, 1, 2}, log_age{6, 6.1F, 6.2F};
  xt::xtensor<float, 2> log_teff{{3.5F, 3.6F, 3.7F}, {3.5F, 3.6F, 3.7F}, {3.5F, 3.6F, 3.8F}},
      log_l{{0, 1, 2}, {-0.1F, 0.9F, 1.9F}, {-0.2F, 0.8F, 2.9F}};
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  void write() const {
    io::write_npy(path / "mass.npy", mass);
    io::write_npy(path / "log_age.npy", log_age);
    io::write_npy(path / "log_teff.npy", log_teff);
    io::write_npy(path / "log_l.npy", log_l);
  }
};

double quantile(std::vector<double>& values, double q) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size()));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

} // namespace

TEST_CASE("forward/track_file: limits, and tracks that end where they leave the main sequence") {
  const Folder folder;
  folder.write();
  const TrackGrid grid = read_track_grid(folder.path.string());
  CHECK(grid.log_masses()[0] == std::log10(0.5));
  CHECK(grid.log_ages()[1] == double{6.1F});
  CHECK(grid.inside(0, 6.19));
  CHECK(grid.inside(std::log10(2), 6.05));
  CHECK_FALSE(grid.inside(std::log10(2), 6.15)); // log L + 1 within 0.1 dex of age
  TrackOptions options;
  options.log_l_rate = 11;
  CHECK(read_track_grid(folder.path.string(), options).inside(std::log10(2), 6.15));
  options.log_teff_rate = 0.9;
  CHECK_FALSE(read_track_grid(folder.path.string(), options).inside(std::log10(2), 6.15));
  options = {};
  options.mass_min = 0.9, options.mh = 0.5, options.mh_tolerance = 0.01;
  const TrackGrid heavy = read_track_grid(folder.path.string(), options);
  CHECK(heavy.log_masses().size() == 2);
  CHECK(heavy.state(0, 6, 0.505));
  CHECK_FALSE(heavy.state(0, 6, 0));
  options.mass_max = 1.5;
  CHECK_THROWS_WITH_AS(
      (void)read_track_grid(folder.path.string(), options),
      (folder.path.string() + ": 3 ages and 1 masses within the limits; want two or more").c_str(),
      FileError);
  options = {};
  options.log_age_max = 6.15;
  CHECK(read_track_grid(folder.path.string(), options).log_ages().size() == 2);
}

TEST_CASE("forward/track_file: what is wrong with a folder, by name") {
  Folder folder;
  const std::string name = folder.path.string();
  CHECK_THROWS_WITH_AS((void)read_track_grid("no/such/folder"), "no/such/folder: no such folder", FileError);
  CHECK_THROWS_WITH_AS((void)read_track_grid(name), doctest::Contains("mass.npy"), FileError); // none there
  folder.write();
  io::write_npy(folder.path / "log_l.npy", xt::xtensor<float, 2>{{1, 2}, {3, 4}});
  CHECK_THROWS_WITH_AS((void)read_track_grid(name),
                       (name + "/log_l.npy: 2 x 2; want 3 ages x 3 masses").c_str(), FileError);
  io::write_npy(folder.path / "log_l.npy", xt::xtensor<double, 2>{{1, 2}, {3, 4}});
  CHECK_THROWS_WITH_AS((void)read_track_grid(name), doctest::Contains("log_l.npy: holds values of type"),
                       FileError);
  folder.write();
  folder.mass(1) = 0;
  folder.write();
  CHECK_THROWS_WITH_AS((void)read_track_grid(name), (name + "/mass.npy: value 1 is 0; want > 0").c_str(),
                       FileError);
  folder.mass(1) = 1;
  folder.log_l(1, 1) = std::nanf("");
  folder.write();
  CHECK_THROWS_WITH_AS((void)read_track_grid(name), doctest::Contains("want both finite or both NaN"),
                       ValueError);
  std::ofstream(folder.path / "mass.npy") << "nonsense, but long enough";
  CHECK_THROWS_WITH_AS((void)read_track_grid(name), doctest::Contains("mass.npy: is no .npy file"),
                       FileError);
}

TEST_CASE("forward/track_file: the published grids, at nodes and between them") {
  const std::string folder = tracks_folder();
  if (folder.empty()) return;
  struct Oracle {
    const char* name;
    double mass, node_teff, node_l; // at log age 6.49897, to the digits of the reference; 0 where it has none
    double teff, l;                 // bilinear at 0.5 solar masses and 3 Myr, computed apart with NumPy
  };
  // The reference calls the first age 3 Myr; the node that has its values is the one at 3.155 Myr.
  for (const Oracle& o : {Oracle{"baraffe", 0.5011872, 3.5716, -.551, 3.571772, -.536148},
                          {"feiden_b", 0, 0, 0, 3.537301, -.550041},
                          {"feiden_nob", 0, 0, 0, 3.571393, -.528794},
                          {"mist_v1p2", 0.50118136, 3.5683, -.560, 3.568449, -.546523},
                          {"parsecv1p2", 0.4945868, 3.5395, -.646, 3.541926, -.620956},
                          {"spots_fspot_0339", 0, 0, 0, 3.548157, -.538406}}) {
    CAPTURE(o.name);
    const TrackGrid grid = read_track_grid(folder + "/" + o.name);
    const auto star = grid.state(std::log10(0.5), std::log10(3e6), 0);
    REQUIRE(star);
    CHECK(std::abs(star->log_teff - o.teff) < 1e-6);
    CHECK(std::abs(star->log_l - o.l) < 1e-6);
    if (o.mass > 0) {
      const auto at = [](const std::vector<double>& axis, double x) { // the nearest value
        return *std::min_element(axis.begin(), axis.end(),
                                 [x](double a, double b) { return std::abs(a - x) < std::abs(b - x); });
      };
      const double m = at(grid.log_masses(), std::log10(o.mass)), a = at(grid.log_ages(), 6.49897);
      CHECK(std::abs(m - std::log10(o.mass)) < 1e-7);
      const auto node = grid.state(m, a, 0);
      REQUIRE(node);
      CHECK(std::abs(node->log_teff - o.node_teff) < 5e-5 + 1e-6); // half a unit of the last digit
      CHECK(std::abs(node->log_l - o.node_l) < 5e-4);
    }
    // Every row is one run of masses, and its ends are inside.
    for (const double age : grid.log_ages()) {
      const auto range = grid.mass_range(age);
      int runs = 0;
      bool in = false;
      for (const double m : grid.log_masses()) {
        const bool now = grid.inside(m, age);
        runs += now && !in;
        in = now;
        CHECK(now == (range && m >= range->first && m <= range->second));
      }
      CHECK(runs <= 1);
    }
  }
}

TEST_CASE("forward/track_file: with every second age and mass left out, the nodes are still met") {
  const std::string folder = tracks_folder();
  if (folder.empty()) return;
  struct Bound {
    const char* name;
    double l_median, l_99, l_most, teff_median, teff_99, teff_most;
  };
  // Twice the measured values, which the doc comment of read_track_grid states.
  for (const Bound& b : {Bound{"baraffe", 4e-4, 0.02, 0.15, 6e-5, 0.003, 0.022},
                         {"feiden_nob", 3e-4, 0.01, 0.04, 2e-5, 0.0013, 0.0045},
                         {"feiden_b", 3e-4, 0.013, 0.05, 3e-5, 0.0026, 0.016},
                         {"mist_v1p2", 3e-4, 0.052, 0.2, 4e-5, 0.013, 0.056},
                         {"parsecv1p2", 4e-4, 0.03, 0.16, 4e-5, 0.011, 0.056},
                         {"spots_fspot_0339", 3e-4, 0.0066, 0.044, 3e-5, 0.0012, 0.0073}}) {
    CAPTURE(b.name);
    const TrackGrid grid = read_track_grid(folder + "/" + b.name);
    const std::vector<double>&ages = grid.log_ages(), &masses = grid.log_masses();
    std::vector<double> a, m, t, l;
    for (std::size_t i = 0; i < ages.size(); i += 2) a.push_back(ages[i]);
    for (std::size_t j = 0; j < masses.size(); j += 2) m.push_back(masses[j]);
    for (std::size_t i = 0; i < ages.size(); i += 2)
      for (std::size_t j = 0; j < masses.size(); j += 2) {
        t.push_back(grid.log_teff()[i * masses.size() + j]);
        l.push_back(grid.log_l()[i * masses.size() + j]);
      }
    const TrackGrid thin(a, m, t, l);
    std::vector<double> errors_l, errors_t;
    for (std::size_t i = 0; i < ages.size(); ++i)
      for (std::size_t j = 0; j < masses.size(); ++j) {
        const auto guess = thin.state(masses[j], ages[i], 0), star = grid.state(masses[j], ages[i], 0);
        if (!guess || !star || (i % 2 == 0 && j % 2 == 0)) continue;
        errors_l.push_back(std::abs(guess->log_l - star->log_l));
        errors_t.push_back(std::abs(guess->log_teff - star->log_teff));
      }
    CHECK(errors_l.size() > 10'000);
    CHECK(quantile(errors_l, 0.5) < b.l_median);
    CHECK(quantile(errors_l, 0.99) < b.l_99);
    CHECK(*std::max_element(errors_l.begin(), errors_l.end()) < b.l_most);
    CHECK(quantile(errors_t, 0.5) < b.teff_median);
    CHECK(quantile(errors_t, 0.99) < b.teff_99);
    CHECK(*std::max_element(errors_t.begin(), errors_t.end()) < b.teff_most);
  }
}

TEST_CASE("forward/track_file: mass and age of a young star from its T_eff and L") {
  const std::string folder = tracks_folder();
  if (folder.empty()) return;
  for (const char* name :
       {"baraffe", "feiden_nob", "mist_v1p2", "parsecv1p2", "spots_fspot_0339", "feiden_b"}) {
    CAPTURE(name);
    const TrackGrid grid = read_track_grid(folder + "/" + name);
    Rng rng(7);
    double worst = 0;
    int young = 0, first = 0;
    for (int k = 0; k < 2000; ++k) {
      const double age = rng.uniform(6, 7.5);
      const auto range = grid.mass_range(age);
      REQUIRE(range);
      const double mass = rng.uniform(range->first, range->second);
      const auto star = grid.state(mass, age, 0);
      if (!star) continue;
      ++young;
      double nearest = 9;
      for (const MassAge& s : grid.stars_at(star->log_teff, star->log_l)) {
        nearest = std::min(nearest, std::max(std::abs(s.log_mass - mass), std::abs(s.log_age - age)));
        const auto again = grid.state(s.log_mass, s.log_age, 0); // each is a star with that T_eff and L
        REQUIRE(again);
        CHECK(std::abs(again->log_teff - star->log_teff) < 1e-9);
        CHECK(std::abs(again->log_l - star->log_l) < 1e-9);
      }
      worst = std::max(worst, nearest);
      const auto youngest = grid.youngest_at(star->log_teff, star->log_l);
      REQUIRE(youngest);
      CHECK(youngest->log_age <= age + 1e-6);
      first += std::abs(youngest->log_mass - mass) < 1e-6;
    }
    CHECK(young > 1900);
    CHECK(worst < 1e-6);
    CHECK(first > young / 2); // the others are on the main sequence, where an earlier star looks the same
  }
}

TEST_CASE("forward/track_file: PARSEC's tracks and PARSEC's isochrones, two tables of the same models") {
  const std::string folder = tracks_folder(), parsec_folder = sbi_test::data_file("isochrones_parsec_fsps");
  if (folder.empty() || parsec_folder.empty()) return;
  const TrackGrid tracks = read_track_grid(folder + "/parsecv1p2");
  const Isochrones isochrones = read_parsec_isochrones(parsec_folder, {5.7, 8.1});
  double worst_l = 0, worst_t = 0;
  std::vector<double> errors_l, errors_t;
  for (double age = 5.8; age < 8.01; age += 0.05)
    for (double m = -1; m < 0.6; m += 0.02) {
      const auto a = tracks.state(m, age, 0), b = isochrones.state(m, age, parsec_metallicity(0.014));
      if (!a || !b) continue;
      errors_l.push_back(std::abs(a->log_l - b->log_l));
      errors_t.push_back(std::abs(a->log_teff - b->log_teff));
      worst_l = std::max(worst_l, errors_l.back());
      worst_t = std::max(worst_t, errors_t.back());
    }
  CHECK(errors_l.size() > 3000);
  const double l_95 = quantile(errors_l, 0.95), t_95 = quantile(errors_t, 0.95);
  MESSAGE("log L within " << l_95 << " (95 %), " << worst_l << " (all); log T_eff within " << t_95 << ", "
                          << worst_t);
  CHECK(quantile(errors_l, 0.5) < 0.002);
  CHECK(quantile(errors_t, 0.5) < 3e-4);
  CHECK(l_95 < 0.02);
  CHECK(t_95 < 0.003);
}
