// SPDX-License-Identifier: MIT
#include <sbi/forward/galaxy_components.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

using namespace sbi::forward;

namespace {
/// Density of a component: solar masses (bulge: stars) per cubic kpc.
double density(const GalaxyComponent& c, const Galactocentric& p) {
  return c.density * c.law(p) / c.law(c.anchor);
}
/// int f over [a, b] by Simpson's rule with n (even) steps.
template <class F> double simpson(const F& f, double a, double b, int n) {
  double sum = f(a) + f(b);
  for (int i = 1; i < n; ++i) sum += (i % 2 ? 4 : 2) * f(a + (b - a) * i / n);
  return sum * (b - a) / (3 * n);
}
/// Surface density of a component at a place in the plane [per kpc^2].
double surface(const GalaxyComponent& c, double x, double y) {
  return simpson([&](double z) { return density(c, {x, y, z}); }, -12, 12, 20000);
}
} // namespace

TEST_CASE("forward/galaxy_components: densities at six places") {
  // Computed in Python from the published formulas, written a second time, to nine digits.
  const std::array<std::pair<Galactocentric, std::array<double, 10>>, 6> reference{{
      {{-8, 0, .3},
       {.0445965835, 873969.559, 1776388.64, 2146238.86, 3878689.45, 3572505, 4799705.13, 1189584.57,
        9292.46075, 1.21139502e-24}},
      {{-4, 3, -.2},
       {5732.9386, 5517076.11, 8034866.27, 7718988.41, 12820750.4, 11436796.5, 15337747.4, 4227697.88,
        29241.9429, .00269833512}},
      {{-9, 6, .9},
       {.00189524063, 207699.845, 377476.351, 414244.179, 719533.452, 652471.225, 875823.216, 186028.726,
        4400.065, 1.58301098e-79}},
      {{0, 11, .7},
       {80267.1833, 1082994.63, 897028.952, 596106.068, 870105.33, 739956.251, 989693.445, 221974.527,
        4248.72656, 7.0469468e-194}},
      {{-1, -.5, .2},
       {14823.7092, 9399748.6, 15274186.8, 15888090.5, 26678301.6, 23642391.9, 31684680.6, 19974251.4,
        1062083.85, 3.19047961e+09}},
      {{2.5, 1, 0},
       {16485823.6, 38555744.8, 30261466.4, 19506863.9, 28194193.4, 23892188.9, 31949578.5, 11200046.6,
        132845.344, 12406059.2}},
  }};
  const auto components = besancon_components();
  REQUIRE(components.size() == 10);
  for (const auto& [place, expected] : reference)
    for (std::size_t i = 0; i < 10; ++i) {
      CAPTURE(i);
      CHECK(density(components[i], place) == doctest::Approx(expected[i]).epsilon(1e-8));
    }
}

TEST_CASE("forward/galaxy_components: local densities are the table's, wherever the Sun is") {
  const std::array<double, 9> table{3.999, 7.902, 6.224, 4.020, 5.814, 4.928, 6.590, 1.34, .00932};
  for (const GalaxyFrame& frame : {GalaxyFrame(), GalaxyFrame(8.5, 0), GalaxyFrame(8.178, .0208)}) {
    const auto components = besancon_components(frame);
    for (std::size_t i = 0; i < 9; ++i) {
      CHECK(density(components[i], frame.sun()) == doctest::Approx(1e6 * table[i]).epsilon(1e-14));
      CHECK_FALSE(components[i].counts_stars);
      CHECK_NOTHROW(components[i].check());
    }
    CHECK(density(components[9], {}) == doctest::Approx(13.7e9).epsilon(1e-14)); // stars in the centre
    CHECK(components[9].counts_stars);
  }
}

TEST_CASE("forward/galaxy_components: the warp is antisymmetric and moves the densest layer") {
  const WarpFlare bend{GalaxyFrame()};
  for (double angle = 0; angle < 360; angle += 15) {
    const double t = angle * std::numbers::pi / 180, r = 12;
    const Galactocentric p{r * std::cos(t), r * std::sin(t), 0}, opposite{-p.x, -p.y, 0},
        mirror{p.x, -p.y, 0};
    // .18 (12 - 8.4 * 8 / 8.5) cos(theta - 90 degrees)
    CHECK(bend.plane(p, r) ==
          doctest::Approx(.18 * (12 - 7.905882352941176) * std::cos(t - std::numbers::pi / 2))
              .epsilon(1e-12)
              .scale(1));
    CHECK(bend.plane(opposite, r) == doctest::Approx(-bend.plane(p, r)).epsilon(1e-14).scale(1));
    CHECK(bend.plane(mirror, r) == doctest::Approx(-bend.plane(p, r)).epsilon(1e-14).scale(1));
  }
  CHECK(bend.plane({0, 7.9, 0}, 7.9) == 0); // inside its start
  CHECK(bend.plane({-8, 0, 0}, 8) == 0);    // the Sun is on the line of nodes
  const auto components = besancon_components();
  for (std::size_t i = 0; i < 7; ++i) {
    const GalaxyComponent& disc = components[i];
    for (double z : {-1.0, -.3, .2, .8})
      for (double x : {-5.0, 0.0, 7.0})
        CHECK(density(disc, {x, 9, z}) == doctest::Approx(density(disc, {x, -9, -z})).epsilon(1e-10));
    const double up = .18 * (12 - 7.905882352941176);
    CHECK(density(disc, {0, 12, up}) > density(disc, {0, 12, up + .02}));
    CHECK(density(disc, {0, 12, up}) > density(disc, {0, 12, up - .02}));
  }
}

TEST_CASE("forward/galaxy_components: the flare widens the disc and keeps its mass") {
  const WarpFlare bend{GalaxyFrame()};
  CHECK(bend.flare(8.9) == 1);
  // 1 + .54 (15 - 9.5 * 8 / 8.5); counts of stars give 3.3, +2.2 -1.6 (Lopez-Corredoira & Molgo 2014).
  CHECK(bend.flare(15) == doctest::Approx(4.271764705882353).epsilon(1e-12));
  const auto components = besancon_components();
  // Mass out to R = 14 kpc without warp and flare, by quadrature in Python [solar masses].
  const std::array<double, 7> masses{4.176319e8, 1.732227e9, 1.902401e9, 1.801855e9,
                                     3.289651e9, 3.144173e9, 4.236649e9};
  double total = 0;
  for (std::size_t i = 0; i < 7; ++i) {
    // Along a spoke where the warp is neither full nor nothing; surface densities do not depend on the angle.
    const double c = std::cos(1.1), s = std::sin(1.1);
    const auto ring = [&](double r) {
      return 2 * std::numbers::pi * r *
             simpson(
                 [&](double z) {
                   return density(components[i], {r * c, r * s, z});
                 },
                 -8, 8, 2000);
    };
    const double mass = simpson(ring, 0, 14 - 1e-9, 200);
    CAPTURE(i);
    CHECK(mass == doctest::Approx(masses[i]).epsilon(1e-4)); // steps of 8 and 70 pc
    total += mass;
    CHECK(surface(components[i], 0, 12) ==
          doctest::Approx(surface(components[i], 12, 0)).epsilon(1e-6)); // 1.2 pc steps
    CHECK(density(components[i], {0, 14.001, 1}) == 0);
  }
  MESSAGE("thin disc: " << total << " solar masses");
  CHECK(total > 1e10);
  CHECK(total < 3e10);
}

TEST_CASE("forward/galaxy_components: heights") {
  const auto components = besancon_components();
  double last = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const double height = surface(components[i], -8, 0) / (2 * density(components[i], {-8, 0, 0}));
    MESSAGE(components[i].name << ": half-thickness at the Sun " << 1000 * height << " pc");
    CHECK(height > last); // older is thicker
    last = height;
  }
  // Youngest disc: a^2 = R^2 + (z / eps)^2 makes both parts Gaussians of z of widths eps h / sqrt(2).
  const double outer = std::exp(-64 / 25.), inner = std::exp(-64 / 9.), e = .0140;
  const double exact = std::sqrt(std::numbers::pi) * e * (5 * outer - 3 * inner) / (2 * (outer - inner));
  CHECK(surface(components[0], -8, 0) / (2 * density(components[0], {-8, 0, 0})) ==
        doctest::Approx(exact).epsilon(1e-8));
  // Thick disc: scale height 800 pc beyond 400 pc, scale length 2.5 kpc, smooth at the knee.
  const ThickDisc thick;
  CHECK(std::log(thick({-8, 0, 1}) / thick({-8, 0, 2})) == doctest::Approx(1 / .8).epsilon(1e-12));
  CHECK(std::log(thick({-8, 0, -1}) / thick({0, 7, -1})) == doctest::Approx(-1 / 2.5).epsilon(1e-12));
  const auto slope = [&](double z) { return (thick({-8, 0, z + 1e-6}) - thick({-8, 0, z - 1e-6})) / 2e-6; };
  CHECK(thick({-8, 0, .4 - 1e-12}) == doctest::Approx(thick({-8, 0, .4 + 1e-12})).epsilon(1e-10));
  CHECK(slope(.4 - 2e-6) == doctest::Approx(slope(.4 + 2e-6)).epsilon(1e-4));
}

TEST_CASE("forward/galaxy_components: shapes of halo and bulge") {
  const Halo halo;
  CHECK(halo({0, 0, .76 * 6}) == doctest::Approx(halo({6, 0, 0})).epsilon(1e-12));
  CHECK(halo({0, 6, 0}) == doctest::Approx(halo({6, 0, 0})).epsilon(1e-12));
  CHECK(halo({0, 0, 3}) == doctest::Approx(halo({0, 0, -3})).epsilon(1e-12));
  CHECK(halo({10, 0, 0}) / halo({5, 0, 0}) == doctest::Approx(std::pow(2, -2.44)).epsilon(1e-12));
  CHECK(halo({.1, 0, 0}) == doctest::Approx(halo({.5, 0, 0})).epsilon(1e-12));
  const Bulge bulge;
  // The Sun is at negative x, longitudes are positive at positive y: the near end of the bar.
  const double c = std::cos(11.1 * std::numbers::pi / 180), s = std::sin(11.1 * std::numbers::pi / 180);
  CHECK(bulge({-2 * c, 2 * s, 0}) == doctest::Approx(std::exp(-.5 * 4 / (1.59 * 1.59))).epsilon(1e-12));
  CHECK(bulge({2 * c, -2 * s, 0}) == doctest::Approx(std::exp(-.5 * 4 / (1.59 * 1.59))).epsilon(1e-12));
  CHECK(bulge({.5 * s, .5 * c, 0}) == doctest::Approx(std::exp(-.5 * .25 / (.424 * .424))).epsilon(1e-12));
  CHECK(bulge({0, 0, .5}) == doctest::Approx(std::exp(-.5 * .25 / (.424 * .424))).epsilon(1e-12));
  CHECK(bulge({-3 * c, 3 * s, 0}) ==
        doctest::Approx(std::exp(-.5 * 9 / (1.59 * 1.59) - 2 * .46 * .46)).epsilon(1e-12));
  CHECK(bulge({-2 * c, -2 * s, 0}) < .5 * bulge({-2 * c, 2 * s, 0}));
  CHECK(bulge({.4, .3, .2}) == doctest::Approx(bulge({-.4, -.3, -.2})).epsilon(1e-12));
}

TEST_CASE("forward/galaxy_components: the drifts of the old discs follow from their dispersions") {
  // Stellar hydrodynamics (erratum of Robin et al.): V_ad = -sigma_U^2 / (2 V_c) (dln rho/dln R +
  // dln sigma_U^2/dln R + 1 - sigma_V^2/sigma_U^2 + 1 - sigma_W^2/sigma_U^2), with their R0 = 8.5 kpc, V_c =
  // 220 km/s and gradient of ln sigma_U^2 of -0.2 per kpc from 1 Gyr on. The table has three digits.
  const GalaxyFrame frame(8.5, 0);
  const auto components = besancon_components(frame);
  for (std::size_t i = 2; i < 7; ++i) {
    const auto& [u, v, w] = components[i].dispersion;
    const double h = 1e-4, r = 8.5;
    const double slope = (std::log(components[i].law({-r * (1 + h), 0, 0})) -
                          std::log(components[i].law({-r * (1 - h), 0, 0}))) /
                         (2 * h);
    const double drift = -u * u / (2 * 220) * (slope - .2 * r + 2 - v * v / (u * u) - w * w / (u * u));
    CAPTURE(i);
    CHECK(components[i].drift == doctest::Approx(drift).epsilon(.02));
  }
}

TEST_CASE("forward/galaxy_components: mass functions of Galaxia") {
  const auto laws = galaxia_mass_functions();
  REQUIRE(laws.size() == 10);
  const auto slope = [](const auto& law, double m) {
    return -std::log(law.pdf(m * 1.001) / law.pdf(m / 1.001)) / std::log(1.001 * 1.001);
  };
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(laws[i].lower() == .07);
    CHECK(laws[i].upper() == 100);
    const double low = i < 7 ? 1.6 : i < 9 ? .5 : 2.35, high = i < 7 ? 3 : low;
    CHECK(slope(laws[i], .5) == doctest::Approx(low).epsilon(1e-9));
    CHECK(slope(laws[i], 5) == doctest::Approx(high).epsilon(1e-9));
  }
}

TEST_CASE("forward/galaxy_components: bad components are named") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const auto broken = [](auto change) {
    GalaxyComponent c = besancon_components()[2];
    change(c);
    return c;
  };
  CHECK_THROWS_WITH_AS(broken([](GalaxyComponent& c) { c.density = -1; }).check(),
                       "galaxy component thin disc 3: density -1; want a positive value", sbi::ValueError);
  CHECK_THROWS_WITH_AS(broken([](GalaxyComponent& c) { c.age_min = 3; }).check(),
                       "galaxy component thin disc 3: highest age 2; want more than 0 and the lowest age",
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS(broken([](GalaxyComponent& c) { c.law = nullptr; }).check(),
                       "galaxy component thin disc 3: no density law", sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.age_min = -1; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.age_min = c.age_max = 0; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.feh = nan; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.feh_sigma = -.1; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.feh_gradient = nan; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.dispersion[1] = -2; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.dispersion_slope = nan; }).check(), sbi::ValueError);
  CHECK_THROWS_AS(broken([](GalaxyComponent& c) { c.drift = nan; }).check(), sbi::ValueError);
}
