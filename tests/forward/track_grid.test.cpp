// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/forward/track_grid.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

const std::vector<double> ages{6, 6.1, 6.25, 6.4, 6.5}, masses{-1, -0.8, -0.5, -0.1, 0.2, 0.3};

/// Bilinear in (log age, log mass), so a grid of them must be exact everywhere: hotter and brighter with
/// mass, hotter and fainter with age.
double teff_of(double m, double a) { return 3.5 + 0.2 * m + 0.03 * (a - 6) + 0.02 * m * (a - 6); }
double l_of(double m, double a) { return 0.5 + 1.8 * m - 0.9 * (a - 6) + 0.1 * m * (a - 6); }

/// Missing: the oldest star of the lowest mass, the two most massive ones at the two oldest ages, and one in
/// the middle of the row of 10^6.1 years if `hole`.
TrackGrid grid(bool hole = false, double tolerance = 0.1) {
  std::vector<double> t, l;
  for (std::size_t i = 0; i < ages.size(); ++i)
    for (std::size_t j = 0; j < masses.size(); ++j) {
      const bool gone = (i == 4 && j == 0) || (i >= 3 && j >= 4) || (hole && i == 1 && j == 2);
      t.push_back(gone ? missing : teff_of(masses[j], ages[i]));
      l.push_back(gone ? missing : l_of(masses[j], ages[i]));
    }
  return TrackGrid(ages, masses, t, l, -0.02, tolerance);
}

} // namespace

TEST_CASE("forward/track_grid: nodes are exact, and so is everything bilinear between them") {
  const TrackGrid g = grid();
  for (std::size_t i = 0; i < ages.size(); ++i)
    for (std::size_t j = 0; j < masses.size(); ++j) {
      const auto star = g.state(masses[j], ages[i], 0);
      const std::size_t n = i * masses.size() + j;
      REQUIRE(star.has_value() == !is_missing(g.log_l()[n]));
      if (!star) continue;
      CHECK(star->log_teff == g.log_teff()[n]);
      CHECK(star->log_l == g.log_l()[n]);
    }
  const auto star = g.state(-0.37, 6.17, 0.05);
  REQUIRE(star);
  CHECK(star->log_teff == doctest::Approx(teff_of(-0.37, 6.17)).epsilon(1e-14));
  CHECK(star->log_l == doctest::Approx(l_of(-0.37, 6.17)).epsilon(1e-14));
  CHECK(star->log_g ==
        doctest::Approx(solar_log_g - 0.37 - star->log_l + 4 * (star->log_teff - std::log10(solar_teff)))
            .epsilon(1e-14));
  CHECK(star->log_mass == -0.37);
  CHECK(star->log_age == 6.17);
  CHECK(star->mh == 0.05);
}

TEST_CASE("forward/track_grid: nothing outside, next to a missing node, or of another metallicity") {
  const TrackGrid g = grid(true);
  CHECK(g.inside(-1, 6));
  CHECK(g.inside(0.3, 6.25));
  CHECK_FALSE(g.inside(-1.001, 6));
  CHECK_FALSE(g.inside(0.301, 6));
  CHECK_FALSE(g.inside(0, 5.999));
  CHECK_FALSE(g.inside(0, 6.501));
  CHECK_FALSE(g.inside(std::nan(""), 6));
  CHECK_FALSE(g.inside(0, std::nan("")));
  CHECK_FALSE(g.inside(0.25, 6.3));  // the massive stars end at 10^6.25 years
  CHECK_FALSE(g.inside(-0.05, 6.3)); // one corner of the cell is missing
  CHECK(g.inside(-0.1, 6.3));        // on its edge, between two nodes that are there
  CHECK_FALSE(g.inside(-0.5, 6.1));  // the hole itself
  CHECK_FALSE(g.inside(-0.5, 6.05)); // and the cells around it
  CHECK_FALSE(g.inside(-0.6, 6.2));
  CHECK(g.inside(-0.6, 6.25));
  CHECK(g.inside(-0.8, 6.17));
  CHECK(g.state(0, 6, 0.08));
  CHECK(g.state(0, 6, -0.12));
  CHECK_FALSE(g.state(0, 6, 0.081));
  CHECK_FALSE(g.state(0, 6, -0.121));
  CHECK_FALSE(g.state(0, 6, std::nan("")));
  CHECK(grid(false, 0).state(0, 6, -0.02));
  CHECK_FALSE(grid(false, 0).state(0, 6, 0));
}

TEST_CASE("forward/track_grid: the masses of an age, and the box around the models") {
  const TrackGrid g = grid();
  const auto range = [&](double log_age) { return g.mass_range(log_age).value_or(std::pair{9.0, 9.0}); };
  CHECK(range(6) == std::pair{-1.0, 0.3});
  CHECK(range(6.2) == std::pair{-1.0, 0.3});
  CHECK(range(6.3) == std::pair{-1.0, -0.1}); // both ages must have the star
  CHECK(range(6.4) == std::pair{-1.0, -0.1});
  CHECK(range(6.45) == std::pair{-0.8, -0.1});
  CHECK(range(6.5) == std::pair{-0.8, -0.1});
  CHECK_FALSE(g.mass_range(6.51));
  CHECK_FALSE(g.mass_range(5.99));
  for (double a = 6; a <= 6.5; a += 0.01) { // its ends are inside, and nothing is beyond
    const auto [low, high] = range(a);
    CHECK(g.inside(low, a));
    CHECK(g.inside(high, a));
    CHECK_FALSE(g.inside(low - 1e-9, a));
    CHECK_FALSE(g.inside(high + 1e-9, a));
  }
  const EvolutionRange r = g.range();
  CHECK(r.log_mass_min == -1);
  CHECK(r.log_mass_max == 0.3);
  CHECK(r.log_age_min == 6);
  CHECK(r.log_age_max == 6.5);
  CHECK(r.mh_min == doctest::Approx(-0.12));
  CHECK(r.mh_max == doctest::Approx(0.08));
}

TEST_CASE("forward/track_grid: mass and age from T_eff and L") {
  const TrackGrid g = grid();
  Rng rng(3);
  int found = 0;
  for (int k = 0; k < 500; ++k) {
    const double m = rng.uniform(-1, 0.3), a = rng.uniform(6, 6.5);
    const auto star = g.state(m, a, 0);
    if (!star) continue;
    const auto all = g.stars_at(star->log_teff, star->log_l);
    REQUIRE(all.size() == 1); // this map folds nowhere
    CHECK(std::abs(all[0].log_mass - m) < 1e-9);
    CHECK(std::abs(all[0].log_age - a) < 1e-9);
    ++found;
  }
  CHECK(found > 300);
  for (std::size_t i = 0; i < ages.size(); ++i) // at nodes, where up to four cells meet, once and exactly
    for (std::size_t j = 0; j < masses.size(); ++j) {
      const std::size_t n = i * masses.size() + j;
      if (is_missing(g.log_l()[n])) continue;
      const auto all = g.stars_at(g.log_teff()[n], g.log_l()[n]);
      REQUIRE(all.size() == 1);
      CHECK(std::abs(all[0].log_mass - masses[j]) < 1e-12);
      CHECK(std::abs(all[0].log_age - ages[i]) < 1e-12);
    }
  CHECK(g.stars_at(4.5, 0).empty());
  CHECK_FALSE(g.youngest_at(4.5, 0));
  CHECK_FALSE(g.youngest_at(std::nan(""), 0));
}

TEST_CASE("forward/track_grid: where tracks turn back there are two stars, the youngest first") {
  // L falls and rises again with age at a T_eff that hardly changes: log L = m + 4 (a - 6.2)^2.
  std::vector<double> t, l, a, m{-0.2, -0.1, 0, 0.1, 0.2};
  for (int i = 0; i <= 40; ++i) a.push_back(6 + 0.01 * i);
  for (double age : a)
    for (double mass : m) {
      t.push_back(3.6 + 0.1 * mass);
      l.push_back(mass + 4 * (age - 6.2) * (age - 6.2));
    }
  const TrackGrid g(a, m, t, l);
  const auto star = g.state(0.07, 6.05, 0);
  const auto all = g.stars_at(star->log_teff, star->log_l);
  REQUIRE(all.size() == 2);
  CHECK(all[0].log_age == doctest::Approx(6.05).epsilon(1e-9));
  CHECK(all[1].log_age == doctest::Approx(6.35).epsilon(1e-9));
  for (const MassAge& s : all) CHECK(s.log_mass == doctest::Approx(0.07).epsilon(1e-9));
  CHECK(g.youngest_at(star->log_teff, star->log_l)->log_age == all[0].log_age);
}

TEST_CASE(
    "forward/track_grid: where a track stands still, its mass is known and its age is one of the stretch") {
  const std::vector<double> a{6, 6.1, 6.2, 6.3}, m{-0.2, 0, 0.2};
  std::vector<double> t, l;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (double mass : m) t.push_back(3.6 + 0.1 * mass), l.push_back(4 * mass);
  const TrackGrid g(a, m, t, l);
  const auto star = g.youngest_at(3.605, 0.2);
  REQUIRE(star);
  CHECK(star->log_mass == doctest::Approx(0.05).epsilon(1e-9));
  CHECK(star->log_age == 6);
  CHECK_FALSE(g.youngest_at(3.605, 0.3)); // off the sequence
}

TEST_CASE("forward/track_grid: bad grids are refused by name") {
  const std::vector<double> two{6, 7}, mass{0, 0.1}, four(4, 3.5);
  CHECK_THROWS_WITH_AS((void)TrackGrid({6}, mass, {1, 2}, {1, 2}),
                       "track grid: log age of 1 values; want two or more, increasing", ValueError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, {0.1, 0}, four, four),
                       "track grid: log mass of 2 values; want two or more, increasing", ValueError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, mass, four, {1, 2, 3}),
                       "track grid: 4 log T_eff and 3 log L; want 2 ages x 2 masses", ShapeError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, mass, four, four, 0, -1),
                       "track grid: tolerance of [M/H] -1; want 0 or more", ValueError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, mass, four, {1, 2, missing, 4}),
                       "track grid: log T_eff 3.5, log L nan at log age 7, log mass 0; want both finite or "
                       "both NaN",
                       ValueError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, mass, {1, 2, 3, INFINITY}, four),
                       "track grid: log T_eff inf, log L 3.5 at log age 7, log mass 0.1; want both finite or "
                       "both NaN",
                       ValueError);
  CHECK_THROWS_WITH_AS((void)TrackGrid(two, mass, {1, 2, 3, missing}, {1, 2, 3, missing}),
                       "track grid: no four neighbouring models; want one cell or more", ValueError);
}
