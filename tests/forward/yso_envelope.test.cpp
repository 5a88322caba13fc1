// SPDX-License-Identifier: MIT
#include <sbi/forward/yso_envelope.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using sbi::ValueError;
using namespace sbi::forward;

namespace {
constexpr double au = astronomical_unit;

EnvelopeShape power_law(double power) { return {EnvelopeKind::power_law, 1, 10000, 1e-18, power}; }
EnvelopeShape ulrich(double rc) { return {EnvelopeKind::ulrich, 1, 10000, 1e-17, 0, rc}; }
EnvelopeShape with_cavity(double power, double theta) {
  EnvelopeShape s = power_law(-1.5);
  s.cavity = true, s.cavity_power = power, s.cavity_theta_0 = theta, s.cavity_rho_0 = 1e-21;
  return s;
}
} // namespace

TEST_CASE("forward/yso_envelope: Ulrich's density carries a constant flow of mass") {
  // rho v_r r^2 ~ (mu/mu0 + 2 mu0^2/x)^-1 = dmu0/dmu with v_r ~ x^-1/2 (1 + mu/mu0)^1/2: over a quadrant the
  // flow is 1 - mu0(mu = 0), which is 0 outside the centrifugal radius and sqrt(1 - x) inside.
  for (double x : {.2, .7, 1.5, 20.}) {
    double flow = 0;
    const int n = 20000;
    for (int k = 0; k < n; ++k) {
      const double mu = (k + .5) / n, rho = ulrich_density(x, mu);
      // mu0 by bisection: an independent root of the cubic.
      double low = mu, high = 1;
      for (int i = 0; i < 80; ++i) {
        const double m = (low + high) / 2;
        (m * m * m + m * (x - 1) - mu * x < 0 ? low : high) = m;
      }
      flow += rho * std::pow(x, 1.5) * std::sqrt(1 + mu / low) / n;
    }
    CAPTURE(x);
    CHECK(flow == doctest::Approx(1 - std::sqrt(std::max(0., 1 - x))).epsilon(1e-4)); // midpoint rule
  }
}

TEST_CASE("forward/yso_envelope: Ulrich's density far out, at the pole and in the plane") {
  for (double mu : {0., .3, 1.}) // free fall of a sphere: x^(-3/2) / sqrt(2)
    CHECK(ulrich_density(1e6, mu) == doctest::Approx(std::pow(1e6, -1.5) / std::sqrt(2.)).epsilon(1e-5));
  // mu = mu0 = 1: x^(-3/2) / (sqrt(2) (1 + 2/x)).
  CHECK(ulrich_density(.5, 1) == doctest::Approx(std::pow(.5, -1.5) / std::sqrt(2.) / 5).epsilon(1e-12));
  // mu = 0: mu0^2 = 1 - x inside, x^(-3/2) x / (2 (1 - x)); mu0 = 0 outside.
  CHECK(ulrich_density(.5, 0) == doctest::Approx(std::pow(.5, -.5)).epsilon(1e-12));
  CHECK(ulrich_density(2, 0) == doctest::Approx(std::pow(2, -1.5) / std::sqrt(1.5) / .5).epsilon(1e-12));
}

TEST_CASE("forward/yso_envelope: columns and masses of power laws") {
  for (double power : {-2., -1.5, -1.}) {
    CAPTURE(power);
    const YsoEnvelope e(power_law(power));
    const double k = power + 1, scale = 1e-18 * std::pow(1000, -power);
    const double column = scale * au * (k == 0 ? std::log(1e4) : (std::pow(1e4, k) - 1) / k);
    for (double i : {0., 40., 90.}) CHECK(e.foreground(i) == doctest::Approx(column).epsilon(1e-12));
    const double mass = 4 * std::numbers::pi * scale * std::pow(au, 3) * (std::pow(1e4, k + 2) - 1) / (k + 2);
    CHECK(e.mass() * solar_mass == doctest::Approx(mass).epsilon(2e-3)); // shells of 10 %
    CHECK(e.directions().size() == 1);
    CHECK(e.density(1000, .3) == doctest::Approx(1e-18));
    CHECK(e.density(.9, .3) == 0);
    CHECK(e.density(10001, .3) == 0);
  }
  const YsoEnvelope e(power_law(-2));
  CHECK(e.mass(1000) / e.mass() == doctest::Approx(.1).epsilon(5e-3)); // rho r^2 constant
}

TEST_CASE("forward/yso_envelope: an Ulrich envelope is thickest in its plane and thin at the poles") {
  const YsoEnvelope e(ulrich(300));
  double last = 0;
  for (double i : {0., 30., 60., 80., 89.}) {
    const double angle = i * std::numbers::pi / 180, mu = std::cos(angle);
    double sum = 0;
    const int n = 20000;
    const double step = std::log(1e4) / n;
    for (int k = 0; k < n; ++k) {
      const double r = std::exp((k + .5) * step);
      sum += e.density(r, mu) * r * step * au;
    }
    CHECK(e.foreground(i) ==
          doctest::Approx(sum).epsilon(i > 85 ? .05 : .003)); // a peak one shell wide at 300 au
    CHECK(e.foreground(i) > last);
    last = e.foreground(i);
  }
  CHECK(e.foreground(90) == doctest::Approx(e.foreground(89.5)).epsilon(1e-6));
  // Mass: mean of the density over the sphere, where the flow has left the pole for the plane.
  double mass = 0;
  for (int k = 0; k < 400; ++k)
    for (int m = 0; m < 200; ++m) {
      const double step = std::log(1e4) / 400, r = std::exp((k + .5) * step);
      mass += 4 * std::numbers::pi * std::pow(r * au, 3) * step * e.density(r, (m + .5) / 200) / 200;
    }
  CHECK(e.mass() * solar_mass == doctest::Approx(mass).epsilon(.02)); // 8 directions
}

TEST_CASE("forward/yso_envelope: rays start in the cavity and leave it at its wall") {
  const YsoEnvelope cone(with_cavity(1, 30)), horn(with_cavity(2, 30));
  CHECK(cone.density(5000, std::cos(.5)) == 1e-21); // 28.6 degrees
  CHECK(cone.density(5000, std::cos(.55)) > 1e-20); // 31.5 degrees
  CHECK(cone.foreground(29) == doctest::Approx(1e-21 * au * 9999).epsilon(1e-10));
  CHECK(cone.foreground(31) == doctest::Approx(YsoEnvelope(power_law(-1.5)).foreground(31)).epsilon(1e-10));
  // Parabola: w = 5000 au at z = 8660 au; r cos(i) = 8660 (r sin(i) / 5000)^2 at the wall.
  const double i = 50 * std::numbers::pi / 180;
  const double wall = std::cos(i) / 8660.254 * std::pow(5000 / std::sin(i), 2);
  CHECK(horn.density(.99 * wall, std::cos(i)) == 1e-21);
  CHECK(horn.density(1.01 * wall, std::cos(i)) > 1e-20);
  const double rest = 1e-18 * std::pow(1000, 1.5) * 2 * (1 / std::sqrt(wall) - 1 / std::sqrt(1e4));
  CHECK(horn.foreground(50) == doctest::Approx(au * (1e-21 * (wall - 1) + rest)).epsilon(1e-10));
  CHECK(horn.foreground(90) == doctest::Approx(YsoEnvelope(power_law(-1.5)).foreground(90)).epsilon(1e-10));
  CHECK(YsoEnvelope(with_cavity(1.5, 0)).foreground(0) ==
        doctest::Approx(YsoEnvelope(power_law(-1.5)).foreground(0))
            .epsilon(1e-12)); // opened by 0 degrees: none
  CHECK(horn.mass() < YsoEnvelope(power_law(-1.5)).mass());
}

TEST_CASE("forward/yso_envelope: the ambient medium fills what is emptier") {
  EnvelopeShape s = power_law(-2);
  s.ambient = 1e-20;
  const YsoEnvelope e(s);
  CHECK(e.density(9000, .5) == doctest::Approx(1e-18 / 81));
  s.ambient = 1e-19;
  CHECK(YsoEnvelope(s).density(9000, .5) == 1e-19);
  CHECK(YsoEnvelope(s).mass() == e.mass()); // not the envelope's
  EnvelopeShape only{EnvelopeKind::none, 1, 1000, 0};
  only.ambient = 1e-23;
  CHECK(YsoEnvelope(only).foreground(12) == doctest::Approx(1e-23 * 999 * au).epsilon(1e-12));
  CHECK(YsoEnvelope(only).mass() == 0);
}

TEST_CASE("forward/yso_envelope: bad shapes are refused") {
  EnvelopeShape s = power_law(-2);
  s.r_out = .5;
  CHECK_THROWS_WITH_AS(YsoEnvelope{s}, doctest::Contains("from 1 to 0.5 au"), ValueError);
  s = power_law(-2), s.rho_0 = std::nan("");
  CHECK_THROWS_AS(YsoEnvelope{s}, ValueError);
  s = with_cavity(.5, 30);
  CHECK_THROWS_WITH_AS(YsoEnvelope{s}, doctest::Contains("cavity of power 0.5"), ValueError);
  s = ulrich(0);
  CHECK_THROWS_AS(YsoEnvelope{s}, ValueError);
}
