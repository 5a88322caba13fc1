// SPDX-License-Identifier: MIT
#include "xp_cases.hpp"

#include <sbi/forward/xp_covariance.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;
using namespace sbi_test;

TEST_CASE("forward/xp_covariance: packed by columns") {
  const std::vector<double> errors{1, 2, 3, 4}, correlations{.01, .02, .12, .03, .13, .23};
  const XpCovariance c(errors, correlations);
  REQUIRE(c.matrix().shape() == Shape{4, 4});
  for (index_t i = 0; i < 4; ++i)
    for (index_t j = 0; j < 4; ++j) {
      const auto a = static_cast<double>(std::min(i, j)), b = static_cast<double>(std::max(i, j));
      const double correlation = i == j ? 1 : 0.1 * a + 0.01 * b;
      CHECK(c.matrix()(i, j) == doctest::Approx(correlation * static_cast<double>((i + 1) * (j + 1))));
      double product = 0;
      for (index_t k = 0; k < 4; ++k) product += c.factor()(i, k) * c.factor()(j, k);
      CHECK(product == doctest::Approx(c.matrix()(i, j)));
      if (j > i) CHECK(c.factor()(i, j) == 0);
    }
  // Two correlated numbers: r^T C^-1 r = (x^2 - 2 rho x y + y^2) / (1 - rho^2) in units of the errors.
  const std::vector<double> two{2, 0.5}, rho{0.6}, r{2, -1};
  CHECK(XpCovariance(two, rho).chi_squared(r) == doctest::Approx((1 + 2 * 0.6 * 2 + 4) / (1 - 0.36)));
}

TEST_CASE("forward/xp_covariance: noise has the covariance asked for") {
  const std::vector<double> errors{1, 2, 0.5}, correlations{.8, -.3, .1};
  const XpCovariance c(errors, correlations);
  Rng rng(7);
  constexpr int n = 40000;
  std::array<double, 9> sums{};
  std::vector<double> x(3);
  double chi = 0;
  for (int i = 0; i < n; ++i) {
    c.draw(rng, x);
    chi += c.chi_squared(x) / n;
    for (std::size_t k = 0; k < 9; ++k) sums[k] += x[k / 3] * x[k % 3] / n;
  }
  CHECK(std::abs(chi - 3) < 5 * std::sqrt(6. / n));
  for (std::size_t k = 0; k < 9;
       ++k) { // a product of two normals scatters by at most sqrt(2) of their sigmas
    const auto i = static_cast<index_t>(k / 3), j = static_cast<index_t>(k % 3);
    CHECK(std::abs(sums[k] - c.matrix()(i, j)) < 5 * std::sqrt(2. / n) * errors[k / 3] * errors[k % 3]);
  }
}

TEST_CASE("forward/xp_covariance: bad input") {
  const std::vector<double> two{1, 2}, none, one{0.5}, large{1.5}, zero{1, 0}, three(3);
  CHECK_THROWS_WITH_AS(XpCovariance(two, none), doctest::Contains("0 correlations; want 1"), ShapeError);
  CHECK_THROWS_AS(XpCovariance(none, none), ShapeError);
  CHECK_THROWS_WITH_AS(XpCovariance(zero, one), doctest::Contains("error 0 of coefficient 1"), ValueError);
  CHECK_THROWS_WITH_AS(XpCovariance(two, large), doctest::Contains("correlation 1.5 of coefficients 0 and 1"),
                       ValueError);
  CHECK_THROWS_AS(XpCovariance(two, std::vector<double>{missing}), ValueError);
  // Each pair may be correlated like this, but not all three.
  const std::vector<double> ones{1, 1, 1}, impossible{0.9, 0.9, -0.9};
  CHECK_THROWS_WITH_AS(XpCovariance(ones, impossible), doctest::Contains("not positive definite"),
                       NumericalError);
  const XpCovariance c(two, one);
  std::vector<double> room(3);
  Rng rng(1);
  CHECK_THROWS_WITH_AS(c.draw(rng, room), doctest::Contains("3 coefficients; want 2"), ShapeError);
  CHECK_THROWS_AS((void)c.chi_squared(three), ShapeError);
}

TEST_CASE("forward/xp_covariance: the archive packs by columns") {
  if (no_xp_data()) return;
  for (const XpSource& source : all_sources()) {
    CHECK_NOTHROW(XpCovariance(source.bp.errors, source.bp.correlations));
    CHECK_NOTHROW(XpCovariance(source.rp.errors, source.rp.correlations));
  }
  for (const XpSource& source : sources("XP_CONTINUOUS_RAW.csv")) {
    // Read by rows the same numbers are no correlation matrix (where correlations are large enough to tell).
    std::vector<double> by_rows(1485);
    auto next = source.rp.correlations.begin();
    for (std::size_t i = 0; i < 55; ++i)
      for (std::size_t j = i + 1; j < 55; ++j) by_rows[j * (j - 1) / 2 + i] = *next++;
    CHECK_THROWS_AS(XpCovariance(source.rp.errors, by_rows), NumericalError);
  }
}

TEST_CASE("forward/xp_covariance: simulated noise of a made-up star") {
  const XpInstrument xp = made_up_instrument();
  XpNoise::Options options;
  options.standard_deviation = 1;
  const XpNoise noise(xp, options);
  std::vector<double> faint(110), e(110), x(110);
  faint[0] = faint[55] = 1e-6;
  noise.sigma(faint, e);
  // Background only, white: information N (du/dx) / background on every function well inside the window,
  // where the samples are complete.
  for (const std::size_t k : {0U, 5U, 10U, 20U}) {
    CHECK(e[k] == doctest::Approx(std::sqrt(4.1 / (40 * 3))).epsilon(1e-3));
    CHECK(e[55 + k] == doctest::Approx(std::sqrt(4.75 / (40 * 3))).epsilon(1e-3));
  }
  // The same from the covariance and from draws.
  const auto covariance = noise.covariance(faint);
  for (std::size_t k = 0; k < 110; ++k) {
    const auto i = static_cast<index_t>(k % 55);
    CHECK(std::sqrt(covariance[k / 55](i, i)) == doctest::Approx(e[k]).epsilon(1e-9));
  }
  Rng rng(3);
  constexpr int n = 2000;
  std::vector<double> squares(110);
  double cross = 0;
  for (int i = 0; i < n; ++i) {
    noise.draw(rng, faint, x);
    for (std::size_t k = 0; k < 110; ++k) squares[k] += x[k] * x[k] / n;
    cross += x[50] * x[48] / n;
  }
  for (std::size_t k = 0; k < 110; ++k)
    CHECK(std::abs(squares[k] / (e[k] * e[k]) - 1) < 5 * std::sqrt(2. / n));
  CHECK(std::abs(cross - covariance[0](48, 50)) < 5 * std::sqrt(2. / n) * e[48] * e[50]);

  // More transits, a larger deviation.
  options.bp_transits = 10;
  options.standard_deviation = 1.5;
  std::vector<double> other(110);
  XpNoise(xp, options).sigma(faint, other);
  CHECK(other[3] == doctest::Approx(2 * 1.5 * e[3]).epsilon(1e-9));
  CHECK(other[58] == doctest::Approx(1.5 * e[58]).epsilon(1e-9));

  // A bright star without a floor is limited by its photons: four times the light, twice the noise. With the
  // floor it is limited by that: four times the noise.
  options = {};
  options.bp.floor = options.rp.floor = 0;
  std::vector<double> light(110), more(110), a(110), b(110);
  light[0] = light[55] = 1e9, more[0] = more[55] = 4e9;
  XpNoise(xp, options).sigma(light, a);
  XpNoise(xp, options).sigma(more, b);
  CHECK(b[0] / a[0] == doctest::Approx(2).epsilon(1e-3));
  XpNoise(xp).sigma(light, a);
  XpNoise(xp).sigma(more, b);
  CHECK(b[0] / a[0] == doctest::Approx(4).epsilon(1e-3));
}

TEST_CASE("forward/xp_covariance: every draw takes as many random numbers") {
  const XpNoise noise(made_up_instrument());
  std::vector<double> c(110), x(110);
  c[0] = 100;
  Rng drawn(5), counted(5);
  noise.draw(drawn, c, x);
  for (int i = 0; i < 110; ++i) (void)counted.normal();
  CHECK(drawn.uniform() == counted.uniform());
}

TEST_CASE("forward/xp_covariance: noise, bad input") {
  const XpInstrument xp = made_up_instrument();
  XpNoise::Options options;
  options.rp_transits = 0;
  CHECK_THROWS_WITH_AS(XpNoise(xp, options), doctest::Contains("RP transits 0; want > 0"), ValueError);
  options = {};
  options.bp.background = missing;
  CHECK_THROWS_AS(XpNoise(xp, options), ValueError);
  options = {};
  options.rp.last_width = 0;
  CHECK_THROWS_WITH_AS(XpNoise(xp, options), doctest::Contains("RP last width 0"), ValueError);
  const XpNoise noise(xp);
  std::vector<double> c(110), e(109);
  CHECK_THROWS_WITH_AS(noise.sigma(c, e), doctest::Contains("want 110 of each"), ShapeError);
  e.resize(110);
  c[4] = missing;
  CHECK_THROWS_WITH_AS(noise.sigma(c, e), doctest::Contains("coefficient 4"), ValueError);
  Rng rng(1);
  CHECK_THROWS_AS(noise.draw(rng, c, e), ValueError);
  CHECK_THROWS_AS((void)noise.covariance(e = std::vector<double>(3)), ShapeError);
}

TEST_CASE("forward/xp_covariance: the model against published errors and correlations") {
  if (no_xp_data()) return;
  const XpInstrument xp = instrument();
  struct Case {
    double low, high, scatter, correlation;
  };
  // For each source, in BP and RP: the range of the mean ratio of published to modelled errors, the scatter
  // of its logarithm over the 55 coefficients, the rms difference of the correlations. Bright stars (Proxima,
  // 18 Sco, whose transits the file does not tell) are worse than the model, faint ones are as it says.
  const Case cases[6][2] = {
      {{1.8, 2.4, .25, .10}, {1.3, 1.8, .40, .11}},    {{1.1, 1.6, .65, .14}, {.8, 1.0, .22, .06}},
      {{.90, 1.0, .09, .07}, {.98, 1.1, .12, .05}},    {{.96, 1.05, .06, .07}, {.97, 1.07, .13, .06}},
      {{.96, 1.06, .12, .08}, {.96, 1.06, .11, .055}}, {{1, 6, .55, .12}, {1, 6, .30, .14}}};
  const auto all = all_sources();
  REQUIRE(all.size() == 6);
  for (std::size_t s = 0; s < all.size(); ++s) {
    XpNoise::Options options;
    options.standard_deviation = 1;
    if (!is_missing(all[s].bp.measurements)) { // 60 samples a transit
      options.bp_transits = all[s].bp.measurements / 60;
      options.rp_transits = all[s].rp.measurements / 60;
    }
    const XpNoise noise(xp, options);
    const auto c = all[s].coefficients();
    std::vector<double> e(110);
    noise.sigma(c, e);
    const auto covariance = noise.covariance(c);
    for (const std::size_t rp : {0U, 1U}) {
      const XpMeasurement& m = rp ? all[s].rp : all[s].bp;
      const double deviation = is_missing(m.standard_deviation) ? 1 : m.standard_deviation;
      double sum = 0, squares = 0, difference = 0;
      for (std::size_t k = 0; k < 55; ++k) {
        const double ratio = std::log(m.errors[k] / deviation / e[55 * rp + k]);
        sum += ratio / 55;
        squares += ratio * ratio / 55;
      }
      auto published = m.correlations.begin();
      for (index_t j = 0; j < 55; ++j)
        for (index_t i = 0; i < j; ++i) {
          const auto& v = covariance[rp];
          difference += std::pow(v(i, j) / std::sqrt(v(i, i) * v(j, j)) - *published++, 2) / 1485;
        }
      const Case& want = cases[s][rp];
      CAPTURE(s);
      CHECK(std::exp(sum) > want.low);
      CHECK(std::exp(sum) < want.high);
      CHECK(std::sqrt(squares - sum * sum) < want.scatter);
      CHECK(std::sqrt(difference) < want.correlation);
    }
  }
}
