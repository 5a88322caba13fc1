// SPDX-License-Identifier: MIT
#include <sbi/forward/yso_diffuse.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

using namespace sbi::forward;

namespace {

const YsoDust dust;
constexpr double area = 4 * std::numbers::pi;

/// Luminosity of a black body of 2 solar radii and 4000 K [erg/s/Hz].
YsoSpectrum star() {
  YsoSpectrum l;
  dust.black_body(4000, l);
  for (double& x : l) x *= area * std::pow(2 * solar_radius, 2);
  return l;
}
YsoSpectrum diffuse(const YsoEnvelope& e, bool scattering = true) {
  YsoSpectrum f{};
  add_diffuse_light(dust, e, star(), scattering, std::vector{1e12}, f);
  for (double& x : f) x *= area * std::pow(detail::yso_distance, 2) / detail::to_millijansky; // erg/s/Hz
  return f;
}
/// What leaves on straight lines, averaged over the sphere.
YsoSpectrum direct(const YsoEnvelope& e) {
  YsoSpectrum f = star();
  for (std::size_t i = 0; i < f.size(); ++i) {
    double left = 0;
    const auto add = [&](double mu, double w) {
      left += w * std::exp(-dust.extinction()[i] * e.foreground(std::acos(mu) * 180 / std::numbers::pi));
    };
    detail::gauss4(0, .25, add), detail::gauss4(.25, .5, add), detail::gauss4(.5, .75, add),
        detail::gauss4(.75, 1, add);
    f[i] *= left;
  }
  return f;
}
double mean_wavelength(const YsoSpectrum& f) { // geometric, weighted by the light
  double sum = 0, all = 0;
  for (std::size_t i = 0; i < f.size(); ++i) {
    sum += f[i] / dust.wavelengths()[i] * std::log(dust.wavelengths()[i]);
    all += f[i] / dust.wavelengths()[i];
  }
  return std::exp(sum / all);
}
EnvelopeShape sphere(double rho) { return {EnvelopeKind::power_law, .1, 20000, rho, -1.5}; }

} // namespace

TEST_CASE("forward/yso_diffuse: direct and diffuse light together are the source's") {
  const double whole = dust.integral(star());
  double last = 0;
  for (double rho : {1e-22, 1e-20, 1e-18, 1e-16}) {
    CAPTURE(rho);
    const YsoEnvelope e(sphere(rho));
    for (bool scattering : {true, false}) {
      const double back = dust.integral(diffuse(e, scattering));
      CHECK((back + dust.integral(direct(e))) / whole == doctest::Approx(1).epsilon(1e-9));
    }
    CHECK(dust.integral(diffuse(e)) > last);
    last = dust.integral(diffuse(e));
  }
  CHECK(last / whole == doctest::Approx(1).epsilon(1e-6)); // nothing direct is left
}

TEST_CASE("forward/yso_diffuse: energy is conserved around cavities and in Ulrich envelopes") {
  const double whole = dust.integral(star());
  for (double rho : {1e-20, 1e-18}) {
    EnvelopeShape s{EnvelopeKind::ulrich, .1, 20000, 100 * rho, 0, 300};
    const YsoEnvelope flat(s);
    CHECK((dust.integral(diffuse(flat)) + dust.integral(direct(flat))) / whole ==
          doctest::Approx(1).epsilon(.01));
    s.cavity = true, s.cavity_power = 1.5, s.cavity_theta_0 = 30, s.cavity_rho_0 = 1e-22;
    const YsoEnvelope open(s);
    // Two quadratures of a function with a jump at the wall: 8 directions inside, 16 here.
    CHECK((dust.integral(diffuse(open)) + dust.integral(direct(open))) / whole ==
          doctest::Approx(1).epsilon(.05));
  }
}

TEST_CASE("forward/yso_diffuse: transparent dust radiates at its own temperature") {
  const double rho = 1e-24;
  const YsoEnvelope e(sphere(rho));
  const YsoSpectrum f = diffuse(e, true);
  YsoSpectrum want{}, b;
  const int n = 600;
  for (int k = 0; k < n; ++k) { // 4 kappa pi B(T) rho dV at the temperature of optically thin dust
    const double step = std::log(2e5) / n, r = .1 * std::exp((k + .5) * step), cm = r * astronomical_unit;
    double low = 1, high = 4000; // T from kappa(T*) (R/2r)^2 T*^4 = kappa(T) T^4, by bisection
    const double left = dust.planck_mean(4000) * std::pow(solar_radius / cm, 2) * std::pow(4000., 4);
    for (int i = 0; i < 40; ++i) {
      const double t = (low + high) / 2;
      (dust.planck_mean(t) * std::pow(t, 4) < left ? low : high) = t;
    }
    dust.black_body(low, b);
    for (std::size_t i = 0; i < b.size(); ++i)
      want[i] += 4 * dust.absorption()[i] * b[i] * e.density(r, .5) * area * cm * cm * cm * step;
  }
  for (std::size_t i = 115; i < 180; ++i) { // 20 to 1300 micron; shorter, scattered light is half of it
    CAPTURE(dust.wavelengths()[i]);
    CHECK(f[i] == doctest::Approx(want[i]).epsilon(.01));
  }
}

TEST_CASE("forward/yso_diffuse: more dust, longer wavelengths; scattered light is blue") {
  double last = 0;
  for (double rho : {1e-20, 1e-19, 1e-18, 1e-17}) {
    const YsoEnvelope e(sphere(rho));
    const double now = mean_wavelength(diffuse(e, false));
    CHECK(now > last);
    last = now;
  }
  const YsoEnvelope e(sphere(1e-23)); // optical depth 1 at 0.4 micron
  const YsoSpectrum with = diffuse(e, true), without = diffuse(e, false);
  CHECK(with[64] > 100 * without[64]); // 0.69 micron
  CHECK(with[150] < without[150]);     // 190 micron: the scattered light heats
}

TEST_CASE("forward/yso_diffuse: apertures divide the light between them") {
  const YsoEnvelope e(sphere(1e-22));
  const std::vector<double> apertures{10, 100, 1000, 1e4, 1e5};
  std::vector<double> rows(5 * 200);
  add_diffuse_light(dust, e, star(), true, apertures, rows);
  YsoSpectrum whole{};
  add_diffuse_light(dust, e, star(), true, std::vector{1e12}, whole);
  for (std::size_t i : {120UL, 150UL, 180UL}) {
    double sum = 0;
    for (std::size_t a = 0; a < 5; ++a) {
      CHECK(rows[a * 200 + i] > 0);
      sum += rows[a * 200 + i];
    }
    CHECK(sum == doctest::Approx(whole[i]).epsilon(1e-12));
  }
  CHECK(rows[180] / whole[180] < rows[120] / whole[120]); // the inside is warmer
}
