// SPDX-License-Identifier: MIT
#include <sbi/forward/stars.hpp>
#include <sbi/inference/simulator.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <vector>

using namespace sbi::forward;
using sbi::Rng;

namespace {

static_assert(sbi::Simulator<Stars<>>);
static_assert(Stars<>::parameters.size() == 4 && Stars<>::observables.size() == gaia_2mass_wise.size());

/// The main sequence with an age that it ignores, to exercise the fifth parameter.
struct Ageing {
  static constexpr bool has_age = true;
  std::optional<StarState> state(double log_mass, double log_age, double mh) const {
    if (log_age > 10 - 2.5 * log_mass) return std::nullopt; // dead
    return Tout1996{}.state(log_mass, log_age, mh);
  }
};

StarOptions with_gaps(double rate) {
  StarOptions options;
  options.missingness = Missingness::at_random(rate);
  return options;
}

} // namespace

TEST_CASE("forward/stars: a known star has known observables") {
  const Stars<> stars;
  const std::array theta{0.0, 0.0, 0.0, 2.0}; // 1 solar mass at zero age, 100 pc, no dust
  const auto derived = stars.derived(theta);
  REQUIRE(derived.has_value());
  CHECK(std::pow(10, (*derived)[0]) == doctest::Approx(5597.3).epsilon(5e-5)); // Tout et al. (1996)
  CHECK(std::pow(10, (*derived)[1]) == doctest::Approx(.697717).epsilon(1e-5));
  const auto x = stars.truth(theta);
  CHECK(x[3] == doctest::Approx(10).epsilon(1e-12)); // mas
  // A dwarf of 5600 K has M_G 4.91 and log L -0.10 in Mamajek's table; this one has log L -0.156.
  CHECK(std::abs(x[0] - 5 - (4.914 + 2.5 * 0.056)) < .06);
  CHECK(std::abs(x[1] - x[2] - .869) < .05);
  for (std::size_t c : {std::size_t{4}, std::size_t{5}, std::size_t{6}, std::size_t{7}}) CHECK(x[c] < x[0]);
}

TEST_CASE("forward/stars: the prior stays within its bounds and its limit, with the stated marginals") {
  const Stars<> stars;
  const auto sample = stars.simulate_many(sbi::Cpu<float>(2), Rng(5), 4000);
  double av = 0, faintest = 0, coolest = 10, hottest = 0;
  for (sbi::index_t i = 0; i < 4000; ++i) {
    for (std::size_t k = 0; k < 4; ++k) {
      const double t = sample.theta(i, static_cast<sbi::index_t>(k));
      REQUIRE(t >= stars.bounds[k].low);
      REQUIRE(t <= stars.bounds[k].high);
    }
    const std::span<const double> theta(sample.theta.row(i), 4);
    faintest = std::max(faintest, stars.truth(theta)[0]);
    coolest = std::min(coolest, (*stars.derived(theta))[0]),
    hottest = std::max(hottest, (*stars.derived(theta))[0]);
    av += theta[2];
  }
  CHECK(faintest < 18);
  CHECK(faintest > 17.8);
  CHECK(coolest > std::log10(3000.));
  CHECK(hottest < std::log10(15000.));
  // Mean of the cut exponential; the limit in G hardly prefers stars behind less dust. Four standard errors.
  CHECK(std::abs(av / 4000 - 0.2975) < 0.02);
}

TEST_CASE("forward/stars: every corner of the default prior is a star in both families") {
  const Stars<> one, two(Tout1996{}, AnalyticAtmosphere(2));
  for (int corner = 0; corner < 16; ++corner) {
    std::array<double, 4> theta{};
    for (std::size_t k = 0; k < 4; ++k) theta[k] = corner >> k & 1 ? one.bounds[k].high : one.bounds[k].low;
    CAPTURE(corner);
    CHECK(one.derived(theta).has_value());
    for (double v : one.truth(theta)) CHECK(std::isfinite(v));
    for (double v : two.truth(theta)) CHECK(std::isfinite(v));
  }
}

TEST_CASE("forward/stars: the batch draws what the two calls draw, for any number of threads") {
  const Stars<> stars(Tout1996{}, AnalyticAtmosphere(1), CCM89{}, with_gaps(0.3));
  const auto one = stars.simulate_many(sbi::Cpu<float>(1), Rng(8), 300),
             two = stars.simulate_many(sbi::Cpu<float>(2), Rng(8), 300);
  const auto generic = sbi::simulate(sbi::Cpu<float>(2), stars, 300, Rng(8));
  const auto same = [](double a, double b) { return sbi::is_missing(a) ? sbi::is_missing(b) : a == b; };
  for (sbi::index_t i = 0; i < 300; ++i) {
    for (sbi::index_t k = 0; k < 4; ++k) {
      CHECK(one.theta(i, k) == two.theta(i, k));
      CHECK(one.theta(i, k) == generic.theta(i, k));
    }
    for (sbi::index_t c = 0; c < 9; ++c) {
      CHECK(same(one.x(i, c), two.x(i, c)));
      CHECK(same(one.x(i, c), generic.x(i, c)));
      CHECK(same(one.sigma(i, c), generic.sigma(i, c)));
      CHECK(sbi::is_missing(one.x(i, c)) == sbi::is_missing(one.sigma(i, c)));
    }
  }
}

TEST_CASE("forward/stars: half of all values can be missing, whole surveys among them") {
  const Stars<> stars(Tout1996{}, AnalyticAtmosphere(1), CCM89{}, with_gaps(0.5));
  constexpr sbi::index_t n = 4000;
  const auto sample = stars.simulate_many(sbi::Cpu<float>(2), Rng(21), n);
  int lost = 0, no_two_mass = 0;
  for (sbi::index_t i = 0; i < n; ++i) {
    int infrared = 0;
    for (sbi::index_t c = 0; c < 9; ++c) {
      lost += sbi::is_missing(sample.x(i, c));
      if (c >= 4 && c < 7) infrared += sbi::is_missing(sample.x(i, c));
    }
    no_two_mass += infrared == 3;
  }
  const double rate = lost / (9.0 * n);
  CHECK(rate > 0.49);
  CHECK(rate < 0.56);                    // faintness comes on top
  CHECK(no_two_mass / double(n) > 0.28); // one value at a time would leave 0.5^3
  MESSAGE("missing in total: " << rate);
}

TEST_CASE("forward/stars: pairs are one star with one noise in two families") {
  const Stars<> one, two(Tout1996{}, AnalyticAtmosphere(2)), same(Tout1996{}, AnalyticAtmosphere(2, 0));
  constexpr sbi::index_t n = 500;
  const auto pairs = simulate_pairs(sbi::Cpu<float>(2), one, two, Rng(31), n);
  const auto twins = simulate_pairs(sbi::Cpu<float>(2), one, same, Rng(31), n);
  double largest = 0, g_shift = 0;
  int both = 0;
  for (sbi::index_t i = 0; i < n; ++i) {
    const std::span<const double> theta(pairs.second.theta.row(i), 4);
    const auto a = one.truth(theta), b = two.truth(theta);
    for (sbi::index_t c = 0; c < 9; ++c) {
      const double xa = pairs.first.x(i, c), xb = pairs.second.x(i, c);
      if (sbi::is_missing(twins.first.x(i, c)))
        CHECK(sbi::is_missing(twins.second.x(i, c)));
      else
        CHECK(twins.first.x(i, c) == twins.second.x(i, c));
      if (sbi::is_missing(xa) || sbi::is_missing(xb)) continue;
      const auto k = static_cast<std::size_t>(c);
      // Equal noise in units of its sigma: the difference left is that of the models.
      CHECK((xa - a[k]) / pairs.first.sigma(i, c) ==
            doctest::Approx((xb - b[k]) / pairs.second.sigma(i, c)).epsilon(1e-6));
      if (c != 3) largest = std::max(largest, std::abs(b[k] - a[k]));
      if (c == 0) g_shift += std::abs(b[k] - a[k]), ++both;
    }
  }
  CHECK(both > n * 9 / 10);
  CHECK(largest > 0.1); // cool stars
  CHECK(largest < 0.4);
  CHECK(g_shift / both < 0.1);
  MESSAGE("model gap: mean |G| " << g_shift / both << " mag, largest in any band " << largest << " mag");
}

TEST_CASE("forward/stars: an evolution with ages adds a parameter, and its dead are not drawn") {
  const Stars<Ageing> stars;
  static_assert(Stars<Ageing>::dimension == 5);
  const auto sample = stars.simulate_many(sbi::Cpu<float>(1), Rng(2), 200);
  for (sbi::index_t i = 0; i < 200; ++i) CHECK(sample.theta(i, 1) <= 10 - 2.5 * sample.theta(i, 0));
  Rng rng(1);
  std::array<double, 9> x{}, sigma{};
  const std::array dead{0.3, 10.0, 0.0, 0.1, 2.0};
  CHECK_FALSE(stars.derived(dead).has_value());
  CHECK_THROWS_AS(stars.simulate(rng, dead, x, sigma), sbi::ValueError);
}

TEST_CASE("forward/stars: settings that make no sense are refused") {
  StarOptions options;
  options.prior.mass_max = 0.2;
  CHECK_THROWS_AS(Stars<>(Tout1996{}, AnalyticAtmosphere{}, CCM89{}, options), sbi::ValueError);
  options = {};
  options.prior.distance_min = 0;
  CHECK_THROWS_AS(Stars<>(Tout1996{}, AnalyticAtmosphere{}, CCM89{}, options), sbi::ValueError);
  options = {};
  options.missingness.of(Mission::wise) = 1.2;
  CHECK_THROWS_AS(Stars<>(Tout1996{}, AnalyticAtmosphere{}, CCM89{}, options), sbi::ValueError);
  options = {};
  options.prior.mh_min = 2.5, options.prior.mh_max = 3; // would be drawn again for ever
  CHECK_THROWS_WITH_AS(Stars<>(Tout1996{}, AnalyticAtmosphere{}, CCM89{}, options),
                       doctest::Contains("[M/H] from 2.5 to 3 holds"), sbi::ValueError);
  options = {};
  options.prior.g_limit = -5;
  const Stars<> invisible(Tout1996{}, AnalyticAtmosphere{}, CCM89{}, options);
  Rng rng(1);
  std::array<double, 4> theta{};
  CHECK_THROWS_WITH_AS(invisible.sample_prior(rng, theta), doctest::Contains("G = -5"), sbi::ValueError);
  const Stars<> stars;
  std::array<double, 3> three{};
  CHECK_THROWS_AS(stars.sample_prior(rng, three), sbi::ShapeError);
  CHECK_THROWS_AS((void)stars.truth(three), sbi::ShapeError);
}
