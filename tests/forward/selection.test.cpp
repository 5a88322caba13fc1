// SPDX-License-Identifier: MIT
#include <sbi/forward/selection.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

using namespace sbi::forward;
using sbi::is_missing;
using sbi::missing;

namespace {

/// A mission of one's own with two bands of different depth, a colour without detection of its own, and an
/// infrared mission that measures fluxes at the places of the first band.
constexpr ErrorCurve flat{[](double) { return 0.05; }, 0.02};
constexpr ErrorCurve background{[](double m) { return 0.1 * std::pow(10, 0.4 * (m - 12)); }};
constexpr std::array<Channel, 4> channels{{
    {"deep", Mission{3}, 0, flat, {.98, 20, .3}},
    {"shallow", Mission{3}, 1, flat, {.95, 18, .2}},
    {"size", Mission{3}, 0, background, {.9, 19, .5}},
    {"flux", Mission::wise, 3, background, {.98, 20, .3}, 0, 2},
}};

struct Star {
  std::array<double, 4> x{}, sigma{}, limits{};
  std::array<Outcome, 4> outcomes{};
};
Star look(sbi::Rng& rng, const std::array<double, 4>& truth, const SelectionOptions& options = {},
          SkyPosition where = {}, std::span<const Channel> list = channels) {
  Star out;
  observe(rng, list, truth, options, out.x, out.sigma, out.outcomes, where, out.limits);
  return out;
}

constexpr int n = 20'000;
/// Four standard deviations of a fraction p of n.
double four_sigma(double p, double of = n) { return 4 * std::sqrt(p * (1 - p) / of) + 1e-9; }
double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

} // namespace

TEST_CASE("forward/selection: detected fractions follow the curves, and detections are nested") {
  sbi::Rng rng(1);
  for (const double m : {15.0, 17.5, 18.0, 18.6, 20.0, 21.0}) {
    const std::array truth{m, m, 3.0, 10.0};
    std::array<double, 4> seen{};
    for (int i = 0; i < n; ++i) {
      const Star star = look(rng, truth);
      for (std::size_t c = 0; c < 4; ++c) {
        const bool observed = star.outcomes[c] == Outcome::observed;
        seen[c] += observed;
        CHECK(is_missing(star.x[c]) == !observed);
        CHECK(is_missing(star.sigma[c]) == !observed);
      }
      if (star.outcomes[1] == Outcome::observed) REQUIRE(star.outcomes[0] == Outcome::observed);
    }
    CAPTURE(m);
    for (std::size_t c = 0; c < 3; ++c) {
      const double p = channels[c].detection(m);
      CHECK(std::abs(seen[c] / n - p) < four_sigma(p));
    }
  }
}

TEST_CASE("forward/selection: noise has the stated size and no bias, an offset shifts it") {
  auto shifted = channels;
  shifted[0].offset = -0.7;
  shifted[2].error = shifted[2].error.with_floor(1.5);
  const std::array truth{14.0, 15.0, 3.0, 8.0};
  std::array<double, 4> sum{}, squares{}, count{};
  sbi::Rng rng(2);
  for (int i = 0; i < n; ++i) {
    const Star star = look(rng, truth, {}, {}, shifted);
    for (std::size_t c = 0; c < 4; ++c) {
      if (star.outcomes[c] != Outcome::observed) continue;
      const double z = (star.x[c] - truth[c] - shifted[c].offset) / star.sigma[c];
      sum[c] += z, squares[c] += z * z, count[c] += 1;
    }
    if (star.outcomes[0] == Outcome::observed)
      CHECK(star.sigma[0] == doctest::Approx(std::hypot(.02, .05)).epsilon(1e-14));
    if (star.outcomes[2] == Outcome::observed) CHECK(star.sigma[2] == shifted[2].error(14)); // governed by 0
  }
  for (std::size_t c = 0; c < 4; ++c) { // four standard deviations of the mean and of the variance
    CAPTURE(c);
    // A flux of 430 standard deviations is normal in the magnitude but for a bias of 1/(2 430).
    CHECK(std::abs(sum[c] / count[c]) < 4 / std::sqrt(count[c]) + (c == 3 ? .002 : 0));
    CHECK(std::abs(squares[c] / count[c] - 1) < 4 * std::sqrt(2 / count[c]));
  }
}

TEST_CASE("forward/selection: what is too faint is fainter than its limit, and limits are the depth") {
  sbi::Rng rng(3);
  // So faint that nobody sees it: a limit shallower than L is a luck above detection(L).
  int limited = 0, shallower = 0, lost = 0;
  for (int i = 0; i < n; ++i) {
    const Star star = look(rng, {40, 40, 1, 10});
    limited += star.outcomes[0] == Outcome::upper_limit;
    lost += star.outcomes[0] == Outcome::lost;
    CHECK(is_missing(star.limits[0]) == (star.outcomes[0] != Outcome::upper_limit));
    CHECK(is_missing(star.limits[2])); // listed by another's magnitude: nothing is known of the size
    CHECK(is_missing(star.limits[3])); // not listed, so nobody measured the flux
    CHECK(star.outcomes[3] != Outcome::observed);
    shallower += star.limits[0] < 19.8;
  }
  CHECK(std::abs(limited / double(n) - .98) < four_sigma(.98));
  CHECK(limited + lost == n);
  const double p = 1 - channels[0].detection(19.8) / .98;
  CHECK(std::abs(shallower / double(limited) - p) < four_sigma(p, limited));
  // A star at the limit: every limit lies above it. Rounding of the inverse.
  for (int i = 0; i < n; ++i) {
    const Star star = look(rng, {20, 18, 1, 10});
    if (star.outcomes[0] == Outcome::upper_limit) CHECK(star.limits[0] < 20 + 1e-12);
    if (star.outcomes[1] == Outcome::upper_limit) CHECK(star.limits[1] < 18 + 1e-12);
  }
  // A bright star that the plateau takes is lost, not faint.
  for (int i = 0; i < n; ++i) CHECK(look(rng, {10, 10, 1, 10}).outcomes[0] != Outcome::upper_limit);
}

TEST_CASE("forward/selection: measured fluxes are published from two standard deviations") {
  sbi::Rng rng(4);
  for (const double m : {12.0, 14.0, 14.6, 15.4, 19.0}) {
    const double expected = 2.5 / std::log(10.0) / background(m); // flux in standard deviations
    int listed = 0, published = 0, brighter = 0;
    double worst = 0;
    for (int i = 0; i < n; ++i) {
      const Star star = look(rng, {15, 15, 1, m});
      if (star.outcomes[3] == Outcome::lost) continue;
      ++listed;
      if (star.outcomes[3] == Outcome::observed) {
        ++published;
        worst = std::max(worst, star.sigma[3]);
        // The error in flux is the same for every value: sigma 10^(-0.4 x) is constant.
        CHECK(star.sigma[3] * std::pow(10, -0.4 * (star.x[3] - m)) ==
              doctest::Approx(background(m)).epsilon(1e-9));
      } else {
        CHECK(star.outcomes[3] == Outcome::upper_limit);
        // Zero flux and two standard deviations, at the faintest.
        CHECK(star.limits[3] <= m - 2.5 * std::log10(2 / expected) + 1e-9);
        brighter += star.limits[3] > m;
      }
    }
    CAPTURE(m);
    CHECK(std::abs(published / double(listed) - normal_cdf(expected - 2)) <
          four_sigma(normal_cdf(expected - 2), listed));
    CHECK(worst <= 2.5 / std::log(10.0) / 2);
    // Brighter than its limit: unpublished, and more than two standard deviations below its true flux.
    const double outside = expected > 2 ? normal_cdf(std::min(2.0, expected - 2) - expected) : 0;
    CHECK(std::abs(brighter / double(listed) - outside) < four_sigma(outside, listed));
  }
}

TEST_CASE("forward/selection: missions, single values, footprints and saturation take values away") {
  sbi::Rng rng(5);
  SelectionOptions options;
  options.missingness.of(Mission{3}) = 0.3;
  options.missingness.value = 0.2;
  options.footprints.add(Mission::wise, LatitudeCut(20));
  options.missingness.check();
  std::array<int, outcome_count> deep{}, flux{};
  int together = 0;
  for (int i = 0; i < n; ++i) {
    const Star star = look(rng, {12, 12, 1, 8}, options, {0, i % 2 == 0 ? 15.0 : 25.0});
    ++deep[static_cast<std::size_t>(star.outcomes[0])], ++flux[static_cast<std::size_t>(star.outcomes[3])];
    together += (star.outcomes[0] == Outcome::not_covered) != (star.outcomes[1] == Outcome::not_covered);
    CHECK((star.outcomes[3] == Outcome::not_covered) == (i % 2 == 0));
  }
  CHECK(together == 0); // a mission goes as a whole
  CHECK(std::abs(deep[1] / double(n) - .3) < four_sigma(.3));
  CHECK(std::abs(deep[2] / double(n) - .7 * (1 - .8 * .98)) < four_sigma(.7 * (1 - .8 * .98)));
  CHECK(deep[3] == 0);
  CHECK(flux[1] == n / 2);

  auto saturated = channels;
  saturated[0].brightest = 12;
  for (int i = 0; i < 200; ++i) {
    CHECK(look(rng, {11.9, 12, 1, 8}, {}, {}, saturated).outcomes[0] == Outcome::lost);
    CHECK(look(rng, {11.9, 12, 1, 8}, {}, {}, saturated).outcomes[1] != Outcome::upper_limit);
  }
}

TEST_CASE("forward/selection: missing completely at random at a chosen rate") {
  const Missingness half = Missingness::at_random(0.5);
  CHECK((1 - half.absent[5]) * (1 - half.value) == doctest::Approx(0.5).epsilon(1e-14));
  CHECK(half.absent[5] == half.value);
  sbi::Rng rng(6);
  int gone = 0;
  for (int i = 0; i < n; ++i) gone += is_missing(look(rng, {12, 12, 1, 8}, {half, {}}).x[0]);
  CHECK(std::abs(gone / double(n) - (1 - .5 * .98)) < four_sigma(.51));
  CHECK_THROWS_WITH_AS((void)Missingness::at_random(1.5), doctest::Contains("rate 1.5"), sbi::ValueError);
  Missingness wrong;
  wrong.of(Mission::two_mass) = -.1;
  CHECK_THROWS_WITH_AS(wrong.check(), doctest::Contains("2MASS lost with probability -0.1"), sbi::ValueError);
  wrong = {};
  wrong.value = missing;
  CHECK_THROWS_WITH_AS(wrong.check(), doctest::Contains("one value"), sbi::ValueError);
}

TEST_CASE("forward/selection: random numbers taken do not depend on the star, its place or its gaps") {
  sbi::Rng a(7), b(7);
  SelectionOptions options;
  options.missingness = Missingness::at_random(.5);
  options.footprints.add(Mission{3}, Cap(0, 0, 1));
  for (int i = 0; i < 51; ++i) {
    (void)look(a, {14, 14, 1, 9});
    std::array<double, 4> x{}, sigma{};
    observe(b, channels, std::array{25.0, 18.0, 1.0, 30.0}, options, x, sigma, {}, {90, 0}); // no outcomes
  }
  CHECK(a() == b());
  // Two models of one star share their noise, in flux too: the brighter one is brighter by as much.
  sbi::Rng c(8), d(8);
  for (int i = 0; i < 50; ++i) {
    const Star first = look(c, {14, 14, 1, 9}), second = look(d, {14.01, 14.01, 1, 9.01});
    CHECK(first.outcomes == second.outcomes);
    if (first.outcomes[0] == Outcome::observed) {
      CHECK(second.x[0] - first.x[0] == doctest::Approx(.01).epsilon(1e-9));
    }
    if (first.outcomes[3] == Outcome::observed) // errors of 6 mmag that differ by a hundredth
      CHECK(std::abs(second.x[3] - first.x[3] - .01) < 1e-3);
  }
}

TEST_CASE("forward/selection: for bright stars a measured flux is a magnitude with normal error") {
  auto simple = channels;
  simple[3].least_snr = 0;
  sbi::Rng a(10), b(10);
  for (int i = 0; i < 200; ++i) {
    const Star flux = look(a, {14, 14, 1, 9}), magnitude = look(b, {14, 14, 1, 9}, {}, {}, simple);
    CHECK(flux.outcomes == magnitude.outcomes);
    if (flux.outcomes[3] != Outcome::observed) continue;
    // The logarithm's second order: sigma noise^2 / 2 and sigma noise, relatively, with sigma .0063.
    CHECK(std::abs(flux.x[3] - magnitude.x[3]) < .0063 * .0063 * 10);
    CHECK(flux.sigma[3] == doctest::Approx(magnitude.sigma[3]).epsilon(.03));
  }
}

TEST_CASE("forward/selection: what cannot be observed is refused") {
  std::array<double, 4> four{}, x{}, sigma{};
  std::array<double, 3> three{};
  sbi::Rng rng(1);
  CHECK_THROWS_WITH_AS(observe(rng, channels, three, {}, x, sigma), doctest::Contains("3 true values"),
                       sbi::ShapeError);
  CHECK_THROWS_AS(observe(rng, channels, four, {}, three, sigma), sbi::ShapeError);
  CHECK_THROWS_WITH_AS(observe(rng, channels, four, {}, x, sigma, {}, {}, three),
                       doctest::Contains("3 limits"), sbi::ShapeError);
  four[2] = missing;
  CHECK_THROWS_WITH_AS(observe(rng, channels, four, {}, x, sigma), doctest::Contains("true size = nan"),
                       sbi::ValueError);
  four[2] = 0;
  auto wrong = channels;
  wrong[1].governed_by = 4;
  CHECK_THROWS_WITH_AS(observe(rng, wrong, four, {}, x, sigma), doctest::Contains("governed by channel 4"),
                       sbi::ValueError);
  wrong = channels;
  wrong[1].mission = Mission{8};
  CHECK_THROWS_WITH_AS(observe(rng, wrong, four, {}, x, sigma), doctest::Contains("mission 8"),
                       sbi::ValueError);
  SelectionOptions options;
  options.footprints.add(Mission::gaia, Cap(0, 0, 1));
  CHECK_THROWS_WITH_AS(observe(rng, channels, four, options, x, sigma), doctest::Contains("footprints"),
                       sbi::ValueError);
}

TEST_CASE("forward/selection: counts of parts add up to those of the whole, and print as a table") {
  SelectionCounts whole(channels), first(channels), second(channels);
  SelectionOptions options;
  options.missingness = Missingness::at_random(.3);
  sbi::Rng rng(9);
  for (int i = 0; i < 1000; ++i) {
    const Star star = look(rng, {19.8, 18, 1, 14}, options);
    whole.add(star.outcomes);
    (i % 3 == 0 ? first : second).add(star.outcomes);
  }
  first += second;
  for (std::size_t c = 0; c < 4; ++c) {
    sbi::index_t sum = 0;
    for (std::size_t k = 0; k < outcome_count; ++k) {
      CHECK(first(c, static_cast<Outcome>(k)) == whole(c, static_cast<Outcome>(k)));
      CHECK(whole(c, static_cast<Outcome>(k)) > 0);
      sum += whole(c, static_cast<Outcome>(k));
    }
    CHECK(sum == 1000);
  }
  SelectionCounts small(channels);
  small.add(std::array{Outcome::observed, Outcome::not_covered, Outcome::lost, Outcome::upper_limit});
  CHECK(sbi::text(small) == "channel        observed  not covered         lost    too faint\n"
                            "deep                  1            0            0            0\n"
                            "shallow               0            1            0            0\n"
                            "size                  0            0            1            0\n"
                            "flux                  0            0            0            1\n");
  CHECK_THROWS_WITH_AS(small.add(std::array{Outcome::lost}), doctest::Contains("1 outcomes; want 4"),
                       sbi::ShapeError);
  const std::array<Channel, 1> other{{{"other", Mission::gaia, 0, flat, {1, 20, 1}}}};
  CHECK_THROWS_AS(small += SelectionCounts(other), sbi::ValueError);
}
