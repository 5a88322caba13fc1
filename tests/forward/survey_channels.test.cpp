// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/survey_channels.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

using namespace sbi::forward;
using sbi::is_missing;

namespace {

constexpr std::size_t J = 4, H = 5, Ks = 6, W1 = 7, W2 = 8, W3 = 9, W4 = 10, XP = 11;
constexpr std::array<double, 9> bright{12, 12.3, 11.5, 2.0, 10.9, 10.6, 10.5, 10.4, 10.4};

bool same(double a, double b) { return is_missing(a) ? is_missing(b) : a == b; }

} // namespace

TEST_CASE("forward/survey_channels: every channel is consistent with the list") {
  for (std::size_t i = 0; i < survey_channels.size(); ++i) {
    const Channel& c = survey_channels[i];
    CAPTURE(c.name);
    CHECK(c.governed_by <= i);
    CHECK(c.listed_by <= i);
    CHECK(survey_channels[c.listed_by].mission == c.mission);
    // What is listed by another channel is detected exactly as that is.
    if (c.listed_by != c.governed_by)
      for (const double m : {8.0, 16.0, 18.0})
        CHECK(c.detection(m) == survey_channels[c.listed_by].detection(m));
  }
  static_assert(gaia_2mass_wise[3].name == "parallax" && gaia_2mass_wise[8].name == "W2");
}

TEST_CASE("forward/survey_channels: any selection in any order, with its governing channels") {
  const std::array<std::string_view, 5> names{"W4", "W1", "parallax", "Ks", "G"};
  const std::vector<Channel> some = channels_named(names);
  REQUIRE(some.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(some[i].name == names[i]);
  CHECK(some[0].governed_by == 0);
  CHECK(some[0].listed_by == 1);
  CHECK(some[2].governed_by == 4);
  CHECK(some[2].listed_by == 4);
  CHECK(some[3].governed_by == 3);
  const auto named = [](auto... n) {
    (void)channels_named(std::array<std::string_view, sizeof...(n)>{n...});
  };
  CHECK_THROWS_WITH_AS(named("parallax", "J"), doctest::Contains("parallax wants G"), sbi::ValueError);
  CHECK_THROWS_WITH_AS(named("W3"), doctest::Contains("W3 wants W1"), sbi::ValueError);
  CHECK_THROWS_WITH_AS(named("G", "I"), doctest::Contains("'I' is unknown; want one of G, BP"),
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS(named("G", "G"), doctest::Contains("G comes more than once"), sbi::ValueError);
}

TEST_CASE("forward/survey_channels: nine channels draw as they always have") {
  // The order of the random numbers, written out: figures with fixed seeds rest on it.
  for (const double shift : {0.0, 5.5, 7.0}) {
    std::array<double, 9> truth = bright;
    for (std::size_t c = 0; c < 9; ++c)
      if (c != 3) truth[c] += shift;
    const Missingness missingness = Missingness::at_random(0.3);
    const double lost = 1 - std::sqrt(0.7);
    sbi::Rng rng(3), again(3);
    int seen = 0;
    for (int star = 0; star < 300; ++star) {
      std::array<double, 9> x{}, sigma{};
      observe(rng, truth, missingness, x, sigma);
      std::array<bool, 3> covered{};
      std::array<double, 3> luck{};
      for (std::size_t m = 0; m < 3; ++m) {
        covered[m] = again.uniform() >= lost;
        luck[m] = again.uniform();
      }
      for (std::size_t c = 0; c < 9; ++c) {
        const std::size_t m = c < 4 ? 0 : c < 7 ? 1 : 2;
        const double magnitude = truth[c == 3 ? 0 : c];
        const bool kept = again.uniform() >= lost;
        const double noise = again.normal();
        const bool there = covered[m] && kept && luck[m] < survey_channels[c].detection(magnitude);
        const double error = survey_channels[c].error(magnitude);
        REQUIRE(same(sigma[c], there ? error : sbi::missing));
        REQUIRE(is_missing(x[c]) == !there);
        if (there) REQUIRE(x[c] == doctest::Approx(truth[c] + error * noise).epsilon(1e-14)); // fused or not
        seen += there;
      }
    }
    CHECK(rng() == again());
    CHECK(seen > 500);
  }
}

TEST_CASE("forward/survey_channels: nine channels, their noise and their losses") {
  std::array<double, 9> x{}, sigma{}, sum{}, squares{}, seen{};
  constexpr int n = 20'000;
  sbi::Rng rng(3);
  for (int i = 0; i < n; ++i) {
    observe(rng, bright, {}, x, sigma);
    for (std::size_t c = 0; c < 9; ++c) {
      if (is_missing(x[c])) continue;
      const double z = (x[c] - bright[c]) / sigma[c];
      sum[c] += z, squares[c] += z * z, seen[c] += 1;
    }
  }
  for (std::size_t c = 0; c < 9; ++c) { // 4.5 standard deviations, of 27 comparisons
    CHECK(std::abs(sum[c] / seen[c]) < 4.5 / std::sqrt(seen[c]));
    CHECK(std::abs(squares[c] / seen[c] - 1) < 4.5 * std::sqrt(2 / seen[c]));
    const double p = gaia_2mass_wise[c].detection(bright[gaia_2mass_wise[c].governed_by]);
    CHECK(std::abs(seen[c] / n - p) < 4.5 * std::sqrt(p * (1 - p) / n) + 1e-9);
  }
  const Missingness half = Missingness::at_random(0.5);
  int two_mass_gone = 0, j_only = 0;
  for (int i = 0; i < n; ++i) {
    observe(rng, bright, half, x, sigma);
    const bool j = is_missing(x[J]), h = is_missing(x[H]), k = is_missing(x[Ks]);
    two_mass_gone += j && h && k;
    j_only += j && !h && !k;
  }
  const double each = 1 - std::sqrt(0.5);
  CHECK(two_mass_gone / double(n) > each);       // the mission alone does this much
  CHECK(two_mass_gone / double(n) < each + .06); // and three single losses the rest
  CHECK(j_only / double(n) == doctest::Approx((1 - each) * each * (1 - each) * (1 - each)).epsilon(.1));
  std::array<double, 3> three{};
  CHECK_THROWS_WITH_AS(observe(rng, three, {}, x, sigma), doctest::Contains("want 9"), sbi::ShapeError);
}

TEST_CASE("forward/survey_channels: two standard deviations of noise make W3 and W4 of faint stars") {
  // M67's fractions by G, at the W1 of its stars there (W3 and W4 of stars are W1 to a few hundredths). Their
  // statistical errors are .01 to .04 in W3; .13, .11, .09 and .02 in W4, of 7, 18, 14 and 128 stars, which
  // spread over a magnitude and more.
  struct Row {
    std::size_t channel;
    double w1, fraction, tolerance;
  };
  const Row rows[]{{W3, 11.24, .96, .05}, {W3, 12.18, .69, .05}, {W3, 12.91, .22, .08},
                   {W3, 13.95, .04, .05}, {W4, 6.70, .86, .3},   {W4, 8.33, .72, .3},
                   {W4, 9.61, .14, .2},   {W4, 11.24, .05, .05}};
  constexpr int n = 5000;
  sbi::Rng rng(11);
  for (const Row& r : rows) {
    std::array<double, 12> truth{15, 15, 15, 1, 12, 12, 12, r.w1, r.w1, r.w1, r.w1, 0}, x{}, sigma{};
    int seen = 0;
    for (int i = 0; i < n; ++i) {
      observe(rng, survey_channels, truth, {}, x, sigma);
      seen += !is_missing(x[r.channel]);
      if (!is_missing(x[r.channel])) CHECK_FALSE(is_missing(x[W1])); // only listed stars are measured
    }
    CAPTURE(r.w1);
    CAPTURE(seen / double(n));
    CHECK(std::abs(seen / double(n) - r.fraction) < r.tolerance);
  }
}

TEST_CASE("forward/survey_channels: spectra of Gaia end at their limit") {
  sbi::Rng rng(12);
  std::array<double, 12> truth{17.64, 18, 17, 1, 12, 12, 12, 12, 12, 12, 12, 42}, x{}, sigma{};
  std::array<Outcome, 12> outcomes{};
  int seen = 0;
  for (int i = 0; i < 5000; ++i) {
    observe(rng, survey_channels, truth, {}, x, sigma, outcomes);
    if (outcomes[XP] == Outcome::observed) CHECK((x[XP] == 42 && sigma[XP] == 0));
    if (outcomes[XP] == Outcome::observed) CHECK(outcomes[0] == Outcome::observed);
    seen += outcomes[XP] == Outcome::observed;
  }
  CHECK(std::abs(seen / 5000.0 - .998) < 4 * std::sqrt(.998 * .002 / 5000));
  truth[0] = 17.66;
  for (int i = 0; i < 5000; ++i) {
    observe(rng, survey_channels, truth, {}, x, sigma, outcomes);
    CHECK(outcomes[XP] != Outcome::observed);
  }
}

TEST_CASE("forward/survey_channels: detected fractions of the stars of M67 in 2MASS, W1 and W2") {
  // Fractions of 1585 stars in bins of half a magnitude (50-230 stars each: +-.01 to .05), placed by their
  // Gaia colour.
  struct Row {
    std::size_t channel;
    double magnitude, fraction;
  };
  const Row rows[]{{J, 13.25, 1.00}, {J, 15.25, .98},  {J, 16.25, .98},  {J, 16.75, .96},
                   {H, 14.25, .98},  {H, 15.75, .98},  {Ks, 12.25, .99}, {Ks, 14.75, .99},
                   {Ks, 15.75, .86}, {W1, 12.25, .99}, {W1, 13.75, .94}, {W1, 14.75, .91},
                   {W1, 15.25, .91}, {W2, 12.25, .99}, {W2, 13.75, .94}, {W2, 15.25, .91}};
  for (const Row& r : rows) {
    CAPTURE(survey_channels[r.channel].name);
    CAPTURE(r.magnitude);
    CHECK(std::abs(survey_channels[r.channel].detection(r.magnitude) - r.fraction) < .09);
  }
  // By G, at the median magnitudes of its stars there: J and Ks beyond .97 down to G 19, Ks .87 at 19-20; W1
  // .97 at 12-13, .94 at 15-17, .90 at 18. Half a digit, and .03 for the spread within a bin.
  CHECK(survey_channels[J].detection(16.0) > .97);
  CHECK(survey_channels[Ks].detection(15.1) > .97);
  CHECK(std::abs(survey_channels[Ks].detection(15.6) - .87) < .06); // the curve is steep here
  CHECK(std::abs(survey_channels[W1].detection(12.2) - .97) < .035);
  CHECK(std::abs(survey_channels[W1].detection(13.9) - .94) < .035);
  CHECK(std::abs(survey_channels[W1].detection(15.0) - .90) < .035);
}

TEST_CASE("forward/survey_channels: AllWISE's W3 and W4 of the stars of M67, observed again") {
  const std::string path = sbi_test::data_file("m67_ngc2682/NGC_2682.fits.gz");
  if (path.empty()) {
    MESSAGE("skipped: no file m67_ngc2682/NGC_2682.fits.gz");
    return;
  }
  const sbi::io::FitsTable table(path);
  const auto g = table.numbers("gaia_dr2_source.phot_g_mean_mag"), w1 = table.numbers("WISE_W1");
  struct Row {
    std::size_t channel;
    const char* column;
    double colour; ///< W1 minus the band, of the brightest stars
  };
  for (const Row& r : {Row{W3, "WISE_W3", 0.0}, Row{W4, "WISE_W4", 0.07}}) {
    const auto value = table.numbers(r.column), error = table.numbers(std::string(r.column) + "_Err");
    constexpr int repeats = 40;
    // By magnitude in G: stars listed, measured, and measured in simulation. By measured magnitude in bins of
    // a half: how many in both.
    std::array<double, 30> listed{}, real{}, simulated{}, real_at{}, simulated_at{};
    std::vector<double> real_limits, simulated_limits;
    sbi::Rng rng(13);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (is_missing(w1[i])) continue;
      const auto bin = static_cast<std::size_t>(g[i]);
      const bool measured = error[i] > 0; // -9999 for limits
      listed[bin] += 1, real[bin] += measured;
      if (measured) real_at[static_cast<std::size_t>(2 * value[i])] += 1;
      if (!measured && g[i] > 17) real_limits.push_back(value[i]);
      const double band = w1[i] - r.colour;
      const std::array<double, 12> truth{15, 15, 15, 1, 12, 12, 12, w1[i], w1[i], band, band, 0};
      for (int k = 0; k < repeats;) {
        std::array<double, 12> x{}, sigma{}, limits{};
        observe(rng, survey_channels, truth, {}, x, sigma, {}, {}, limits);
        if (is_missing(x[W1])) continue; // the star is listed
        ++k;
        const bool seen = !is_missing(x[r.channel]);
        simulated[bin] += seen;
        if (seen) simulated_at[static_cast<std::size_t>(std::max(0.0, 2 * x[r.channel]))] += 1;
        if (!seen && g[i] > 17) simulated_limits.push_back(limits[r.channel]);
      }
    }
    for (std::size_t bin = 9; bin < 20; ++bin) {
      const double n = listed[bin], p = simulated[bin] / (repeats * n);
      CAPTURE(r.column);
      CAPTURE(bin);
      CAPTURE(real[bin] / n);
      CAPTURE(p);
      CHECK(std::abs(real[bin] / n - p) < 4 * std::sqrt(p * (1 - p) / n) + .5 / n);
    }
    for (std::size_t bin = 0; bin < real_at.size(); ++bin) {
      const double expected = simulated_at[bin] / repeats;
      CAPTURE(r.column);
      CAPTURE(0.5 * static_cast<double>(bin));
      CAPTURE(expected);
      // The sky is not equally deep everywhere (.1 mag in M67's field), so the last bins lose stars.
      if (expected > 10) CHECK(std::abs(real_at[bin] - expected) < 4 * std::sqrt(expected));
    }
    const auto median = [](std::vector<double>& v) {
      std::nth_element(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2), v.end());
      return v[v.size() / 2];
    };
    const double a = median(real_limits), b = median(simulated_limits);
    CAPTURE(r.column);
    CAPTURE(a);
    CAPTURE(b);
    CHECK(std::abs(a - b) < .1);
  }
}
