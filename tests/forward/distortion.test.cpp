// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/black_body.hpp>
#include <sbi/forward/distortion.hpp>
#include <sbi/forward/passband.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// The shift itself [mag].
template <class S>
double shift_of(const S& shift, double wavelength, double log_teff, double log_g = 4.5, double mh = 0) {
  std::vector<double> strength(shift.terms());
  shift.strengths(log_teff, log_g, mh, strength);
  double sum = 0;
  for (std::size_t k = 0; k < strength.size(); ++k) sum += strength[k] * shift.profile(k, wavelength);
  return sum;
}
double integral(std::span<const double> w, const std::vector<double>& f) { // trapezium in ln(lambda)
  double sum = 0;
  for (std::size_t i = 1; i < w.size(); ++i)
    sum += 0.5 * (f[i] * w[i] + f[i - 1] * w[i - 1]) * std::log(w[i] / w[i - 1]);
  return sum;
}

} // namespace

TEST_CASE("forward/distortion: over seeds the shift has the rms and the correlations asked for") {
  const RandomShiftOptions options{.08, .4, .1, 2, 1.5, 8};
  struct Lag {
    double ln_lambda, log_teff, log_g, mh;
  };
  // One length along each axis: a correlation of e^-1/2; and two along the spectrum: e^-2.
  const std::array<Lag, 6> lags{
      {{0, 0, 0, 0}, {.4, 0, 0, 0}, {0, .1, 0, 0}, {0, 0, 2, 0}, {0, 0, 0, 1.5}, {.8, 0, 0, 0}}};
  const std::array<double, 6> want{1, .6065, .6065, .6065, .6065, .1353};
  constexpr int seeds = 4000;
  std::array<double, 6> product{};
  double mean = 0, square = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    const RandomShift shift(seed, options);
    const double here = shift_of(shift, 0.7, 3.7);
    mean += here / seeds, square += here * here / seeds;
    for (std::size_t i = 0; i < lags.size(); ++i)
      product[i] += here / seeds *
                    shift_of(shift, 0.7 * std::exp(lags[i].ln_lambda), 3.7 + lags[i].log_teff,
                             4.5 + lags[i].log_g, lags[i].mh);
  }
  // 4000 draws: the mean to .016 sigma, second moments to .022 sigma^2; four of these.
  CHECK(std::abs(mean) < .065 * .08);
  CHECK(square == doctest::Approx(.08 * .08).epsilon(.09));
  for (std::size_t i = 0; i < lags.size(); ++i) CHECK(std::abs(product[i] / square - want[i]) < .08);
}

TEST_CASE("forward/distortion: a seed is a function, smooth and of about its amplitude along one spectrum") {
  const RandomShiftOptions options;
  const RandomShift one(7, options), again(7, options), other(8, options);
  double square = 0, steepest = 0, difference = 0;
  const int n = 2000;
  for (int i = 0; i < n; ++i) {
    const double w = 0.1 * std::exp(8. * i / n), h = 1e-4, s = shift_of(one, w, 3.7);
    CHECK(s == shift_of(again, w, 3.7));
    difference = std::max(difference, std::abs(s - shift_of(other, w, 3.7)));
    square += s * s / n;
    steepest = std::max(steepest, std::abs(shift_of(one, w * std::exp(h), 3.7) - s) / h);
  }
  CHECK(difference > options.amplitude);
  CHECK(std::sqrt(square) == doctest::Approx(options.amplitude).epsilon(.4));
  // The slope has the rms amplitude / length; its maximum over 27 lengths is some four times that.
  CHECK(steepest < 6 * options.amplitude / options.ln_lambda_length);
  CHECK(steepest > options.amplitude / options.ln_lambda_length);
}

TEST_CASE("forward/distortion: a distorted atmosphere is the atmosphere times the shift") {
  const AnalyticAtmosphere plain;
  const RandomShift shift(3, {.1});
  const Distorted changed(plain, shift, Bolometric::change), kept(plain, shift);
  static_assert(RangedAtmosphere<Distorted<AnalyticAtmosphere, RandomShift>>);
  CHECK(kept.wavelengths().size() == plain.wavelengths().size());
  CHECK(range(kept).teff_max == AnalyticAtmosphere::teff_max);
  CHECK(kept.covers(3.7, 4, 0));
  CHECK_FALSE(kept.covers(3.7, 1, 0));
  std::vector<double> f(AnalyticAtmosphere::grid_size), g(f.size()), h(f.size());
  for (double teff : {3000., 5772., 20000.}) {
    const double t = std::log10(teff);
    plain.flux(t, 4.2, -0.4, f);
    changed.flux(t, 4.2, -0.4, g);
    kept.flux(t, 4.2, -0.4, h);
    for (std::size_t i = 0; i < f.size(); ++i) {
      const double w = plain.wavelengths()[i];
      CHECK(g[i] ==
            doctest::Approx(f[i] * std::pow(10, -0.4 * shift_of(shift, w, t, 4.2, -0.4))).epsilon(1e-12));
      CHECK(h[i] / g[i] == doctest::Approx(h[0] / g[0]).epsilon(1e-12)); // one factor for the spectrum
    }
    CHECK(integral(plain.wavelengths(), h) ==
          doctest::Approx(integral(plain.wavelengths(), f)).epsilon(1e-10));
    CHECK(std::abs(integral(plain.wavelengths(), g) / integral(plain.wavelengths(), f) - 1) > 1e-4);
  }
  CHECK_THROWS_AS(kept.flux(3, 4, 0, f), ValueError);
}

TEST_CASE("forward/distortion: amplitude 0 changes no bit") {
  const AnalyticAtmosphere plain;
  std::vector<double> f(AnalyticAtmosphere::grid_size), g(f.size());
  for (const Bolometric bolometric : {Bolometric::keep, Bolometric::change}) {
    const Distorted a(plain, RandomShift(3, {0.}), bolometric);
    const Distorted b(plain, bt_settl_minus_kurucz(0), bolometric);
    for (double teff : {2600., 4100., 15000.}) {
      plain.flux(std::log10(teff), 4.2, 0.1, f);
      a.flux(std::log10(teff), 4.2, 0.1, g);
      CHECK(f == g);
      b.flux(std::log10(teff), 4.2, 0.1, g);
      CHECK(f == g);
    }
  }
}

TEST_CASE("forward/distortion: a table of shifts passes through its values and continues at its edges") {
  const std::array<double, 2> teffs{4000, 8000}, wavelengths{0.5, 2};
  const std::array<double, 4> values{.1, .2, -.3, .4};
  const TabulatedShift shift(teffs, wavelengths, values, 2);
  CHECK(shift_of(shift, 0.5, std::log10(4000.)) == doctest::Approx(.2));
  CHECK(shift_of(shift, 2, std::log10(4000.)) == doctest::Approx(.4));
  CHECK(shift_of(shift, 0.5, std::log10(8000.)) == doctest::Approx(-.6));
  CHECK(shift_of(shift, 5, std::log10(9000.)) == doctest::Approx(.8));
  // Half way in both logarithms between two nodes: the mean.
  CHECK(shift_of(shift, 1, std::log10(std::sqrt(3.2e7))) == doctest::Approx(.2));
  CHECK(shift_of(shift, 0.5, 3.7, 2, -1) == shift_of(shift, 0.5, 3.7));
}

TEST_CASE("forward/distortion: the measured table on family 1 is family 2 of the analytic atmosphere") {
  const Distorted measured(AnalyticAtmosphere(1), bt_settl_minus_kurucz(0.7));
  const AnalyticAtmosphere second(2, 0.7);
  std::vector<double> f(AnalyticAtmosphere::grid_size), g(f.size());
  for (double teff : {2600., 3500., 4300., 6500., 20000.}) {
    measured.flux(std::log10(teff), 4.4, -0.2, f);
    second.flux(std::log10(teff), 4.4, -0.2, g);
    double worst = 0;
    for (std::size_t i = 0; i < f.size(); ++i) worst = std::max(worst, std::abs(f[i] / g[i] - 1));
    // Two programs of one formula, which weight the two ends of the spectrum differently in its integral: the
    // light of a cool star at 50 micron, 1e-7 of its whole.
    CHECK(worst < 3e-7);
  }
}

TEST_CASE("forward/distortion: a black body too, and colours that move as the table says") {
  std::vector<double> w;
  for (int i = 0; i < 400; ++i) w.push_back(0.2 * std::exp(0.0125 * i));
  const BlackBody plain(w);
  const Distorted star(plain, bt_settl_minus_kurucz());
  std::vector<double> f(w.size()), g(w.size());
  plain.flux(std::log10(3500.), 4.5, 0, f), star.flux(std::log10(3500.), 4.5, 0, g);
  const auto moved = [&](const char* name) {
    return magnitude(w, g, passband(name)) - magnitude(w, f, passband(name));
  };
  // -.081 and .056 mag at 1.235 and 2.16 micron, where these bands are.
  CHECK(std::abs(moved("2MASS.J") - moved("2MASS.Ks") - (-.081 - .056)) < 0.01);
}

TEST_CASE("forward/distortion: what makes no sense is refused") {
  CHECK_THROWS_WITH_AS(RandomShift(1, {-1.}), doctest::Contains("amplitude -1 mag"), ValueError);
  CHECK_THROWS_WITH_AS(RandomShift(1, {.1, 0.}), doctest::Contains("length 0; want > 0"), ValueError);
  CHECK_THROWS_WITH_AS(RandomShift(1, {.1, .3, .1, 3, 3, 0}), doctest::Contains("0 modes"), ValueError);
  CHECK_THROWS_AS(RandomShift(1, {missing}), ValueError);
  const std::array<double, 2> teffs{4000, 8000}, down{2, 1};
  const std::array<double, 4> values{.1, .2, -.3, .4}, holes{.1, missing, 0, 0};
  CHECK_THROWS_WITH_AS(TabulatedShift(teffs, down, values),
                       doctest::Contains("wavelength 1; want positive, increasing"), ValueError);
  CHECK_THROWS_WITH_AS(TabulatedShift(teffs, teffs, holes), doctest::Contains("want finite"), ValueError);
  CHECK_THROWS_AS(TabulatedShift(teffs, teffs, values, missing), ValueError);
  CHECK_THROWS_WITH_AS(TabulatedShift(teffs, teffs, teffs), doctest::Contains("2 values for 2 temperatures"),
                       ShapeError);
}
