// SPDX-License-Identifier: MIT
#include <sbi/forward/galaxy.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

using namespace sbi::forward;
using sbi::Cpu;
using sbi::index_t;
using sbi::Rng;

namespace {

struct Moments {
  double n = 0, sum = 0, squares = 0;
  void add(double x) { ++n, sum += x, squares += x * x; }
  [[nodiscard]] double mean() const { return sum / n; }
  [[nodiscard]] double sigma() const { return std::sqrt(squares / n - mean() * mean()); }
  /// Differences from a normal distribution's mean and sigma in standard errors.
  void check(double mean_wanted, double sigma_wanted) const {
    CHECK(std::abs(mean() - mean_wanted) < 4 * sigma_wanted / std::sqrt(n));
    CHECK(std::abs(sigma() - sigma_wanted) < 4 * sigma_wanted / std::sqrt(2 * n));
  }
};

/// A galaxy of one component of constant density.
GalaxyComponent uniform_component(double density) {
  GalaxyComponent c = besancon_components()[4];
  c.name = "haze";
  c.law = [](const Galactocentric&) { return 3.0; };
  c.density = density;
  return c;
}

} // namespace

TEST_CASE("forward/galaxy: densities and numbers of stars that shine") {
  const Galaxy<> galaxy = besancon();
  const Galactocentric sun = galaxy.frame().sun();
  // Formed to date by 2.37 solar masses a year, spread by the Einasto laws (Galaxia's normalisation): solar
  // masses per cubic kpc at the Sun, discs 2 to 6. The present density over this is the part that shines.
  const std::array<double, 5> formed{8.75410e6, 7.36031e6, 5.00928e6, 7.93136e6, 7.03214e6};
  for (std::size_t i = 0; i < 9; ++i) {
    const GalaxyComponent& c = galaxy.component(i);
    CHECK(galaxy.mass_density(i, sun) == doctest::Approx(c.density).epsilon(1e-12));
    if (i < 1 || i > 5) continue;
    const BrokenPowerLaw<2> masses = galaxia_mass_functions()[i];
    const double born = galaxy.number_density(i, sun) / masses.cdf(galaxy.mass_range(i)[1]) * masses.mean();
    CAPTURE(i);
    // Two estimates of a lifetime: ours is 10 Gyr m^-2.5, theirs from tracks.
    CHECK(c.density / born == doctest::Approx(c.density / formed[i - 1]).epsilon(.05));
  }
  double local = 0;
  for (std::size_t i = 0; i < 10; ++i) local += galaxy.number_density(i, sun) * 1e-9;
  MESSAGE("stars above 0.07 solar masses: " << local << " per cubic pc");
  CHECK(local > .07); // counts of neighbours give 0.1
  CHECK(local < .2);
}

TEST_CASE("forward/galaxy: numbers of old components by hand") {
  // Mass function m^-0.5 of stars that shine at 11 Gyr, m < 1.1^-0.4; drawn up to 1.25 times that.
  const Galaxy<> galaxy = besancon();
  const auto power = [](double a, double b, double p) { return (std::pow(b, p) - std::pow(a, p)) / p; };
  const double top = std::pow(1.1, -.4);
  CHECK(galaxy.mass_range(7)[0] == doctest::Approx(.07).epsilon(1e-12));
  CHECK(galaxy.mass_range(7)[1] == doctest::Approx(1.25 * top).epsilon(1e-12));
  const double thick = 1.34e6 * power(.07, 1.25 * top, .5) / power(.07, top, 1.5);
  CHECK(galaxy.number_density(7, galaxy.frame().sun()) == doctest::Approx(thick).epsilon(1e-6)); // midpoints
  // Bulge: 13.7 shining stars per cubic pc in the centre; at 10 Gyr below 1 solar mass.
  CHECK(galaxy.number_density(9, {}) ==
        doctest::Approx(13.7e9 * power(.07, 1.25, -1.35) / power(.07, 1, -1.35)).epsilon(1e-6));
  CHECK(galaxy.mass_density(9, {}) ==
        doctest::Approx(13.7e9 * power(.07, 1, -.35) / power(.07, 1, -1.35)).epsilon(1e-6));
  // Mass of the bulge: midpoints of 0.1 kpc.
  double bulge = 0;
  for (double x = -5.95; x < 6; x += .1)
    for (double y = -3.95; y < 4; y += .1)
      for (double z = -2.95; z < 3; z += .1) bulge += 1e-3 * galaxy.mass_density(9, {x, y, z});
  MESSAGE("bulge: " << bulge << " solar masses");
  CHECK(bulge > .5e10);
  CHECK(bulge < 3e10);
}

TEST_CASE("forward/galaxy: a lower mass cut scales the numbers, and another mass function keeps the mass") {
  const Galaxy<> all = besancon(), heavy = besancon(GalaxyFrame(), .3);
  const Galaxy<Kroupa> kroupa(GalaxyFrame(), besancon_components(), Kroupa(.08, 120), .5);
  const Galactocentric place{-7, 1, .2};
  Rng rng(2);
  for (std::size_t i = 0; i < 10; ++i) {
    const BrokenPowerLaw<2> masses = galaxia_mass_functions()[i];
    const double top = all.mass_range(i)[1];
    CHECK(heavy.mass_density(i, place) == doctest::Approx(all.mass_density(i, place)).epsilon(1e-12));
    CHECK(heavy.number_density(i, place) / all.number_density(i, place) ==
          doctest::Approx((masses.cdf(top) - masses.cdf(.3)) / masses.cdf(top)).epsilon(1e-12));
    if (i < 9)
      CHECK(kroupa.mass_density(i, place) == doctest::Approx(all.mass_density(i, place)).epsilon(1e-12));
    Moments m;
    const double half = masses.quantile((masses.cdf(.3) + masses.cdf(top)) / 2);
    for (int s = 0; s < 2000; ++s) {
      Star star;
      heavy.fill(rng, i, place, star);
      const double mass = std::pow(10, star.log_mass);
      CHECK(mass > .3 * (1 - 1e-12));
      CHECK(mass < top * (1 + 1e-12));
      m.add(mass < half ? 1 : 0);
    }
    m.check(.5, .5); // half below the median
  }
  // Stars that are too heavy to live are not there.
  const Galaxy<> giants = besancon(GalaxyFrame(), 2);
  CHECK(giants.number_density(7, place) == 0);
  CHECK(giants.number_density(1, place) > 0);
}

TEST_CASE("forward/galaxy: ages, metallicities and velocities at the Sun are the table's") {
  // The table: age range [Gyr], [Fe/H] mean and sigma, sigma of U, V, W, drift.
  const std::array<std::array<double, 8>, 10> table{{{0, .15, .01, .12, 16.7, 10.8, 6, 3.5},
                                                     {.15, 1, .03, .12, 19.8, 12.8, 8, 3.1},
                                                     {1, 2, .03, .10, 27.2, 17.6, 10, 5.8},
                                                     {2, 3, .01, .11, 30.2, 19.5, 13.2, 7.3},
                                                     {3, 5, -.07, .18, 36.7, 23.7, 15.8, 10.8},
                                                     {5, 7, -.14, .17, 43.1, 27.8, 17.4, 14.8},
                                                     {7, 10, -.37, .20, 43.1, 27.8, 17.5, 14.8},
                                                     {11, 11, -.78, .30, 67, 51, 42, 53},
                                                     {14, 14, -1.78, .50, 131, 106, 85, 226},
                                                     {10, 10, 0, .40, 113, 115, 100, 79}}};
  const Galaxy<> galaxy = besancon();
  Rng rng(7);
  for (const double radius : {8.0, 4.0, 12.0}) // the thin disc has gradients, the others none
    for (std::size_t i = 0; i < 10; ++i) {
      const auto& row = table[i];
      const double hotter = i < 7 ? std::exp((8 - radius) * .33 / 2.5) : 1;
      Moments age, feh;
      std::array<Moments, 3> velocity;
      for (int s = 0; s < 4000; ++s) {
        Star star;
        galaxy.fill(rng, i, {-radius * .6, radius * .8, .1}, star);
        CHECK(star.population == 10 + static_cast<int>(i));
        const double gyr = std::pow(10, star.log_age - 9);
        CHECK(gyr >= row[0] * (1 - 1e-12));
        CHECK(gyr <= row[1] * (1 + 1e-12));
        age.add(gyr), feh.add(star.mh);
        for (std::size_t k = 0; k < 3; ++k) velocity[k].add(star.velocity[k]);
      }
      CAPTURE(i);
      CAPTURE(radius);
      if (row[1] > row[0])
        CHECK(std::abs(age.mean() - (row[0] + row[1]) / 2) < 4 * (row[1] - row[0]) / std::sqrt(12 * age.n));
      feh.check(row[2] - (i < 7 ? .07 * (radius - 8) : 0), row[3]);
      velocity[0].check(0, hotter * row[4]);
      velocity[1].check(-row[7], hotter * row[5]);
      velocity[2].check(0, hotter * row[6]);
    }
  CHECK(GalaxyPopulation::thin_disc_7 == 16);
  CHECK(GalaxyPopulation::thick_disc == 17);
  CHECK(GalaxyPopulation::halo == 18);
  CHECK(GalaxyPopulation::bulge == 19);
}

TEST_CASE("forward/galaxy: a component of one's own, and another place for the Sun") {
  auto components = besancon_components(GalaxyFrame(8.5, 0));
  components.push_back(uniform_component(2e6));
  components.back().anchor = {1, 2, 3};
  const Galaxy<Kroupa> galaxy(GalaxyFrame(8.5, 0), components, Kroupa(.08, 120));
  CHECK(galaxy.size() == 11);
  CHECK(galaxy.mass_density(10, {-20, 0, 5}) == doctest::Approx(2e6).epsilon(1e-12));
  CHECK(galaxy.mass_density(0, {-8.5, 0, 0}) == doctest::Approx(3.999e6).epsilon(1e-12));
  const LineOfSight line(galaxy, SkyDirection(180, 60), {0, 60'000});
  CHECK(line.stars(10) == doctest::Approx(galaxy.number_density(10, {}) * 60 * 60 * 60 / 3).epsilon(1e-12));
  Rng rng(8);
  CHECK(line.draw(rng).population == 20); // far away nothing else is left
}

TEST_CASE("forward/galaxy: the whole sky is the same for any number of threads and block") {
  const Galaxy<> galaxy = besancon(GalaxyFrame(), .5);
  const WholeSky sky(galaxy, 4, {0, 100});
  const auto collect = [&](int threads, index_t block) {
    std::vector<std::vector<Star>> stars(static_cast<std::size_t>(sky.cells().count()));
    sky.stream(
        Cpu<double>(threads), Rng(12),
        [&](index_t cell, std::span<const Star> some) {
          REQUIRE(static_cast<index_t>(some.size()) <= block);
          auto& mine = stars[static_cast<std::size_t>(cell)];
          mine.insert(mine.end(), some.begin(), some.end());
        },
        [](double, double, double d) { return d / 1000; }, block);
    return stars;
  };
  const auto one = collect(1, 4096), two = collect(2, 50);
  const std::vector<double> expected = sky.stars_of_cells(Cpu<double>(2));
  double total = 0, mean = 0, chi2 = 0;
  for (std::size_t c = 0; c < one.size(); ++c) {
    REQUIRE(one[c].size() == two[c].size());
    for (std::size_t s = 0; s < one[c].size(); ++s) {
      const Star &a = one[c][s], &b = two[c][s];
      CHECK(a.log_distance == b.log_distance);
      CHECK(a.velocity == b.velocity);
      CHECK(a.longitude == b.longitude);
      CHECK(sky.cells().cell(a.longitude, a.latitude) == static_cast<index_t>(c));
      CHECK(a.a_v == doctest::Approx(std::pow(10, a.log_distance - 3)).epsilon(1e-12));
    }
    const auto n = static_cast<double>(one[c].size());
    CHECK(expected[c] == sky.stars(static_cast<index_t>(c)));
    total += n, mean += expected[c], chi2 += (n - expected[c]) * (n - expected[c]) / expected[c];
  }
  const auto cells = static_cast<double>(one.size());
  CHECK(std::abs(total - mean) < 4 * std::sqrt(mean));
  CHECK(std::abs(chi2 - cells) < 4 * std::sqrt(2 * cells)); // Poisson in each cell
  // Within 100 pc the discs are nearly uniform: the local number density times the volume.
  double local = 0;
  for (std::size_t i = 0; i < 10; ++i) local += galaxy.number_density(i, galaxy.frame().sun());
  CHECK(mean == doctest::Approx(local * 4 * std::numbers::pi / 3 * 1e-3).epsilon(.1));
}

TEST_CASE("forward/galaxy: a fixed number of stars over the sky") {
  const Galaxy<> galaxy = besancon();
  const WholeSky sky(galaxy, 1, {0, 500});
  const Cpu<double> cpu(1);
  const std::vector<double> expected = sky.stars_of_cells(cpu);
  const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
  std::vector<Moments> cells(12);
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Rng rng(seed);
    const auto numbers = share_out(rng, 1000, expected);
    REQUIRE(std::accumulate(numbers.begin(), numbers.end(), index_t{0}) == 1000);
    for (std::size_t c = 0; c < 12; ++c) cells[c].add(static_cast<double>(numbers[c]));
  }
  for (std::size_t c = 0; c < 12; ++c) {
    const double p = expected[c] / sum;
    cells[c].check(1000 * p, std::sqrt(1000 * p * (1 - p))); // multinomial
  }
  Rng rng(1);
  const auto numbers = share_out(rng, 5000, expected);
  index_t drawn = 0;
  sky.stream(cpu, Rng(3), numbers, [&](index_t cell, std::span<const Star> some) {
    CHECK(static_cast<index_t>(some.size()) == numbers[static_cast<std::size_t>(cell)]);
    drawn += static_cast<index_t>(some.size());
  });
  CHECK(drawn == 5000);
  const std::array<double, 4> zeros{0, 1, 0, 0};
  CHECK(share_out(rng, 7, zeros) == std::vector<index_t>{0, 7, 0, 0});
}

TEST_CASE("forward/galaxy: Poisson numbers") {
  Rng rng(21);
  CHECK(sbi::forward::poisson(rng, 0) == 0);
  for (double mean : {.3, 7., 40., 3e5, 2e10}) {
    Moments m;
    for (int i = 0; i < 3000; ++i)
      m.add((static_cast<double>(sbi::forward::poisson(rng, mean)) - mean) / std::sqrt(mean));
    CHECK(std::abs(m.mean()) < 4 / std::sqrt(m.n));
    // Kurtosis 3 + 1 / mean.
    CHECK(std::abs(m.sigma() * m.sigma() - 1) < 4 * std::sqrt((2 + 1 / mean) / m.n));
  }
}

TEST_CASE("forward/galaxy: bad input is named") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const GalaxyFrame frame;
  const auto components = besancon_components();
  CHECK_THROWS_WITH_AS(Galaxy<>(frame, {}, std::vector<BrokenPowerLaw<2>>{}),
                       "galaxy: no components; want one or more", sbi::ValueError);
  CHECK_THROWS_WITH_AS(Galaxy<>(frame, {components[0]}, galaxia_mass_functions()),
                       "galaxy: 10 mass functions for 1 components; want one each", sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)besancon(frame, -1), "galaxy: lowest mass -1; want 0 solar masses or more",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)besancon(frame, nan), sbi::ValueError);
  GalaxyComponent c = uniform_component(1);
  c.density = 0;
  CHECK_THROWS_WITH_AS(Galaxy<Kroupa>(frame, {c}, Kroupa()),
                       "galaxy component haze: density 0; want a positive value", sbi::ValueError);
  c = uniform_component(1);
  c.law = [](const Galactocentric&) { return 0.0; };
  CHECK_THROWS_WITH_AS(Galaxy<Kroupa>(frame, {c}, Kroupa()), "galaxy component haze: density 0 at its anchor",
                       sbi::ValueError);
  c.law = [&](const Galactocentric& p) { return p.x < -8.5 ? nan : 1.0; };
  const Galaxy<Kroupa> holes(frame, {c}, Kroupa());
  CHECK_THROWS_WITH_AS((void)holes.number_density(0, {-9, 0, 0}),
                       "galaxy component haze: density nan at (-9, 0, 0) kpc; want 0 or more",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)LineOfSight(holes, SkyDirection(180, 0), {0, 1000}), sbi::ValueError);
  c = uniform_component(1);
  c.age_min = c.age_max = 10;
  CHECK_THROWS_WITH_AS(
      Galaxy<Kroupa>(frame, {c}, Kroupa(5, 100)),
      "galaxy component haze: no star of its mass function, from 5 solar masses, shines at its age",
      sbi::ValueError);
  CHECK_THROWS_WITH_AS(Galaxy<Kroupa>(frame, {c}, Kroupa(0, 100)),
                       "galaxy component haze: masses from 0 to 100; want limits above 0 and finite",
                       sbi::ValueError);
  const Galaxy<> galaxy = besancon();
  CHECK_THROWS_AS((void)WholeSky(galaxy, 0, {0, 100}), sbi::ValueError);
  CHECK_THROWS_AS((void)WholeSky(galaxy, 1, {100, 0}), sbi::ValueError);
  const WholeSky sky(galaxy, 1, {0, 10});
  const Cpu<double> cpu(1);
  const auto ignore = [](index_t, std::span<const Star>) {};
  CHECK_THROWS_WITH_AS(sky.stream(cpu, Rng(1), ignore, NoDust{}, 0),
                       "whole sky: blocks of 0 stars; want 1 or more", sbi::ValueError);
  const std::vector<index_t> three(3);
  CHECK_THROWS_WITH_AS(sky.stream(cpu, Rng(1), three, ignore), "whole sky: numbers for 3 cells; want 12",
                       sbi::ValueError);
  Rng rng(1);
  CHECK_THROWS_WITH_AS((void)sbi::forward::poisson(rng, -1), "poisson: mean -1; want 0 to 1e15",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)sbi::forward::poisson(rng, nan), sbi::ValueError);
  const std::array<double, 2> none{0, 0}, bad{1, nan}, fine{1, 1};
  CHECK_THROWS_WITH_AS((void)share_out(rng, 3, none),
                       "share out: 3 stars with expectations of sum 0; want 0 or more and a positive sum",
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)share_out(rng, 3, bad), "share out: expectation nan; want 0 or more",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)share_out(rng, -3, fine), sbi::ValueError);
}
