// SPDX-License-Identifier: MIT
#include <sbi/forward/yso_disc.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

using sbi::ValueError;
using namespace sbi::forward;

namespace {

const YsoDust dust;
constexpr double star_au = solar_radius / astronomical_unit; // one solar radius in au
constexpr double everything[]{1e9};                          // one aperture around it all

YsoSpectrum seen(const YsoDisc& disc, double inclination) {
  YsoSpectrum f{};
  disc.add_light(inclination, everything, f);
  return f;
}
/// What all observers at 1 kpc receive together [erg/s], by Gauss-Legendre quadrature in cos(i).
double radiated(const YsoDisc& disc) {
  double sum = 0;
  const auto add = [&](double mu, double w) {
    sum += w * dust.integral(seen(disc, std::acos(mu) * 180 / std::numbers::pi));
  };
  detail::gauss4(0, .1, add), detail::gauss4(.1, .4, add), detail::gauss4(.4, 1, add);
  return sum * 4 * std::numbers::pi * std::pow(detail::yso_distance, 2) / detail::to_millijansky;
}
double luminosity(double radius, double t) {
  return 4 * std::numbers::pi * std::pow(radius * solar_radius, 2) * stefan_boltzmann * std::pow(t, 4);
}
/// Slope of log(lambda F_lambda) = log(F_nu / lambda) + const between two wavelengths.
double slope(const YsoSpectrum& f, double from, double to) {
  const auto at = [&](double w) {
    std::size_t i = 0;
    while (dust.wavelengths()[i] < w) ++i;
    return i;
  };
  const std::size_t a = at(from), b = at(to);
  const auto w = dust.wavelengths();
  return std::log(f[b] / w[b] / (f[a] / w[a])) / std::log(w[b] / w[a]);
}
/// From the surface of the star to (almost) infinity, flat, opaque at every wavelength.
YsoDisc flat_disc(double beta = 1) {
  return YsoDisc(dust, {1e14, 2 * star_au, 2e6 * star_au, beta, -1, 1e-12}, 2, 5000, 400);
}

} // namespace

TEST_CASE("forward/yso_disc: a flat opaque disc from the star outwards reprocesses a quarter of its light") {
  // Both faces, at every radius, take what half of the star sends down: 2 int_R^inf 2 pi r F(r) dr with
  // F = sigma T^4 (arcsin x - x sqrt(1 - x^2)) / pi and x = R/r is pi R^2 sigma T^4 = L / 4.
  const YsoDisc disc = flat_disc();
  CHECK(disc.reprocessed() == doctest::Approx(.25).epsilon(.002)); // midpoint rule over 400 annuli
  CHECK(radiated(disc) / luminosity(2, 5000) == doctest::Approx(.25).epsilon(.005)); // table of temperatures
}

TEST_CASE("forward/yso_disc: a flat disc has the slope -4/3 in the mid-infrared") {
  const YsoSpectrum f = seen(flat_disc(), 0);
  CHECK(slope(f, 10, 100) == doctest::Approx(-4. / 3).epsilon(.02)); // T ~ r^(-3/4) far from both edges
  CHECK(slope(f, 20, 60) == doctest::Approx(-4. / 3).epsilon(.01));
}

TEST_CASE("forward/yso_disc: opaque annuli have the temperature of Chiang and Goldreich") {
  const YsoDisc disc(dust, {1e6, 1, 1000, 1.25, -1, 10}, 2, 4000);
  for (std::size_t j = 0; j < disc.annuli(); j += 19) {
    const double r = disc.radius(j), x = 2 * star_au / r, height = 4 * 10 * std::pow(r / 100, 1.25) / r;
    const double phi = 4 / (3 * std::numbers::pi) * x + .25 * height / std::pow(1 + height * height, 1.5);
    CHECK(disc.grazing_angle(r, 2 * star_au) == doctest::Approx(phi).epsilon(1e-4)); // x^3 terms dropped
    CHECK(disc.temperature(j) ==
          doctest::Approx(std::pow(phi / 2, .25) * std::sqrt(x) * 4000).epsilon(2e-3)); // the table
  }
}

TEST_CASE("forward/yso_disc: a transparent disc is at the temperature of optically thin dust") {
  const YsoDisc disc(dust, {1e-16, 1, 1000, 1.2, -1, 5}, 2, 4000);
  for (std::size_t j = 0; j < disc.annuli(); j += 19) {
    // kappa(T*) (R/2r)^2 T*^4 = kappa(T) T^4 with Planck means.
    const double t = disc.temperature(j);
    CHECK(dust.planck_mean(t) * std::pow(t, 4) ==
          doctest::Approx(dust.planck_mean(4000) * std::pow(star_au / disc.radius(j), 2) * std::pow(4000., 4))
              .epsilon(.006));
  }
  CHECK(disc.reprocessed() < 1e-6);
}

TEST_CASE("forward/yso_disc: what is absorbed is radiated, wall and flaring included") {
  for (double mass : {1e-7, 1e-3})
    for (double r_in : {.1, 10.}) {
      CAPTURE(mass);
      CAPTURE(r_in);
      const YsoDisc disc(dust, {mass, r_in, 300, 1.15, -1, 1.}, 1.5, 4500);
      // Hidden parts of the disc itself are 3 % in the steepest views; the rest is quadrature and table.
      CHECK(radiated(disc) / luminosity(1.5, 4500) == doctest::Approx(disc.reprocessed()).epsilon(.03));
      CHECK(disc.reprocessed() > .002);
      CHECK(disc.reprocessed() < .2);
      YsoSpectrum l{};
      disc.luminosity(l);
      CHECK(dust.integral(l) / luminosity(1.5, 4500) == doctest::Approx(disc.reprocessed()).epsilon(1e-10));
    }
}

TEST_CASE("forward/yso_disc: the wall is warmer than a free black body, since it heats itself") {
  const YsoDisc thin(dust, {1e-3, .1, 300, 1, -1, .01}, 1.5, 4500),
      high(dust, {1e-3, .1, 300, 1, -1, 12}, 1.5, 4500);
  const double free = 4500 * std::sqrt(1.5 * star_au / .1);
  CHECK(thin.rim_temperature() == doctest::Approx(free).epsilon(1e-3));
  // H/r = .48: (1 + H/r)^(1/4) = 1.10 in Dullemond et al. (2001), which overstates it.
  CHECK(high.rim_temperature() / free > 1.02);
  CHECK(high.rim_temperature() / free < 1.11);
}

TEST_CASE("forward/yso_disc: the light of the opaque part goes as the cosine of the inclination") {
  const YsoDisc disc(dust, {1, .05, 100, 1.05, -1, .001}, 2, 4000);
  const YsoSpectrum face = seen(disc, 0), tilted = seen(disc, 60), edge = seen(disc, 90);
  for (std::size_t i = 100; i < 150; ++i) { // 7 to 200 micron; the wall is 1e-4 of it
    CHECK(tilted[i] / face[i] == doctest::Approx(.5).epsilon(1e-3));
    CHECK(edge[i] < 1e-3 * face[i]);
  }
  const YsoDisc dilute(dust, {1e-12, .05, 100, 1.05, -1, .001}, 2, 4000);
  CHECK(seen(dilute, 60)[170] / seen(dilute, 0)[170] == doctest::Approx(1).epsilon(.02)); // the wall: 1.5 %
}

TEST_CASE("forward/yso_disc: more flaring, a redder spectrum") {
  double last = -10;
  for (double beta : {1., 1.1, 1.2, 1.3}) {
    const YsoDisc disc(dust, {1e-4, .1, 300, beta, -1, 5}, 2, 4000);
    const double now = slope(seen(disc, 30), 8, 80);
    CHECK(now > last + .15);
    last = now;
  }
}

TEST_CASE("forward/yso_disc: the column to the star, through the Gaussian layers") {
  const DiscShape shape{1e-5, .5, 200, 1.1, -1.2, 8};
  const YsoDisc disc(dust, shape, 1, 4000, 200);
  CHECK(disc.foreground(0) == 0);
  const double au = astronomical_unit;
  const double norm = shape.mass * solar_mass * .8 /
                      (2 * std::numbers::pi * au * au * (std::pow(200, .8) - std::pow(.5, .8)));
  double last = 0;
  for (double inclination : {60., 75., 83., 90.}) {
    double sum = 0; // Simpson-like midpoint rule in r
    const double angle = inclination * std::numbers::pi / 180;
    const int n = 20000;
    const double step = std::log(200 / .5) / n;
    for (int k = 0; k < n; ++k) {
      const double r = .5 * std::exp((k + .5) * step), h = 8 * std::pow(r / 100, 1.1);
      const double z = r / std::tan(angle);
      sum += norm * std::pow(r, -1.2) / (std::sqrt(2 * std::numbers::pi) * h) *
             std::exp(-.5 * z * z / (h * h)) * r * step / std::sin(angle);
    }
    CHECK(disc.foreground(inclination) == doctest::Approx(sum).epsilon(2e-3)); // 200 annuli
    CHECK(disc.foreground(inclination) >= last);
    last = disc.foreground(inclination);
  }
  double mass = 0; // the annuli hold the disc's mass
  for (std::size_t j = 0; j < disc.annuli(); ++j) {
    const double half = std::sqrt(std::pow(200 / .5, 1. / 200)), r = disc.radius(j) * au;
    mass += disc.column(j) * std::numbers::pi * r * r * (half * half - 1 / (half * half));
  }
  CHECK(mass / solar_mass == doctest::Approx(1e-5).epsilon(1e-10));
}

TEST_CASE("forward/yso_disc: apertures divide the disc between them") {
  const YsoDisc disc(dust, {1e-4, .1, 300, 1.2, -1, 10}, 2, 4000);
  const std::vector<double> apertures{.05, 10, 100, 500, 1000};
  std::vector<double> rows(apertures.size() * 200);
  disc.add_light(45, apertures, rows);
  const YsoSpectrum whole = seen(disc, 45);
  for (std::size_t i : {120UL, 150UL, 180UL}) {
    const auto at = [&](std::size_t a) { return rows[a * 200 + i]; };
    CHECK(at(0) == 0);
    CHECK(at(4) == 0);
    CHECK(at(1) + at(2) + at(3) == doctest::Approx(whole[i]).epsilon(1e-12));
    CHECK(at(1) > 0);
    CHECK(at(2) > 0);
  }
  // The cold outside of the disc shines at long wavelengths.
  CHECK(rows[3 * 200 + 180] / whole[180] > 10 * rows[3 * 200 + 120] / whole[120]);
}

TEST_CASE("forward/yso_disc: no mass, no light; bad shapes are named") {
  const YsoDisc none(dust, {0, .1, 300, 1.2, -1, 10}, 2, 4000);
  CHECK(none.reprocessed() == 0);
  CHECK(dust.integral(seen(none, 40)) == 0);
  YsoSpectrum l;
  none.luminosity(l);
  CHECK(dust.integral(l) == 0);
  for (const DiscShape& bad : {DiscShape{-1, .1, 300, 1.2, -1, 10}, DiscShape{1, .001, 300, 1.2, -1, 10},
                               DiscShape{1, 300, .1, 1.2, -1, 10}, DiscShape{1, .1, 300, 1.2, -1, 0},
                               DiscShape{1, .1, 300, std::nan(""), -1, 10}})
    CHECK_THROWS_AS(YsoDisc(dust, bad, 2, 4000), ValueError);
  try {
    YsoDisc(dust, {1, 300, .1, 1.2, -1, 10}, 2, 4000);
  } catch (const ValueError& e) {
    CHECK(std::string(e.what()).find("from 300 to 0.1 au") != std::string::npos);
  }
}
