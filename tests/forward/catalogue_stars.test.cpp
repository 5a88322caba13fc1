// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/catalogue_stars.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/photometry_table.hpp>
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

const PhotometryTable& table() {
  static const PhotometryTable t = [] {
    const StellarPhotometry<AnalyticAtmosphere, CCM89> direct(
        AnalyticAtmosphere{}, CCM89{}, passbands({"GaiaDR3.G", "2MASS.Ks", "WISE.W3"}));
    TableAxes axes;
    for (double x = 3.45; x < 4.2; x += 0.025) axes.log_teff.push_back(x);
    axes.log_g = {3, 3.5, 4, 4.5, 5, 5.4};
    axes.mh = {-1, -0.5, 0, 0.5};
    return PhotometryTable(direct, axes, 2, 2);
  }();
  return t;
}
/// 60 stars of G 10 to 15.9: errors grow with magnitude, W3 is seen above 13 only, one bright star has no Ks.
io::Catalogue survey() {
  io::Catalogue c;
  c.observables = {"g", "parallax", "ks", "w3"};
  c.bands = {"GaiaDR3.G", "", "2MASS.Ks", "WISE.W3"};
  c.x = Tensor<double>({60, 4});
  c.sigma = Tensor<double>({60, 4});
  for (index_t r = 0; r < 60; ++r) {
    const double g = 10 + 0.1 * static_cast<double>((7 * r) % 60); // not sorted
    const std::array<double, 4> x{g, 2, g - 1.5, g < 13 ? g - 1.6 : missing};
    for (index_t k = 0; k < 4; ++k) {
      c.x(r, k) = x[static_cast<std::size_t>(k)];
      c.sigma(r, k) = is_missing(c.x(r, k)) ? missing : 0.01 * g;
    }
  }
  return c;
}
CatalogueStars<Tout1996, PhotometryTable> stars(CataloguePrior prior = {}, index_t neighbours = 5) {
  return {Tout1996{}, table(), survey(), prior, "", neighbours};
}
/// A main sequence and a giant branch whose phases can be asked for.
struct Phased {
  static constexpr bool has_age = true;
  [[nodiscard]] std::optional<StarState> state(double m, double a, double z) const {
    return Tout1996{}.state(m, a, z);
  }
  [[nodiscard]] std::optional<double> phase(double m, double, double) const {
    return std::clamp((m + 1) / 1.3, 0.0, 1.0);
  }
  [[nodiscard]] std::optional<StarState> at_phase(double p, double log_age, double mh) const {
    if (p < 1) return StarState{1.3 * p - 1, log_age, mh, 4 * (1.3 * p - 1), 3.75 + 0.1 * p, 4.5};
    return StarState{0.3, log_age, mh, 1.2, 3.7, 3.2 + 0.01 * p};
  }
};
/// A main sequence alone that loses its massive stars with age: up to 5 solar masses at 1 Gyr, half at 10.
struct Ageing {
  static constexpr bool has_age = true;
  [[nodiscard]] static double top(double log_age) { return 0.7 - (log_age - 9); }
  [[nodiscard]] std::optional<StarState> state(double m, double a, double z) const {
    return m <= top(a) ? Tout1996{}.state(m, a, z) : std::nullopt;
  }
  [[nodiscard]] std::optional<double> phase(double m, double log_age, double) const {
    if (m < -1 || m > top(log_age)) return std::nullopt;
    return (m + 1) / (top(log_age) + 1);
  }
  [[nodiscard]] std::optional<StarState> at_phase(double p, double log_age, double mh) const {
    if (p >= 1) return std::nullopt;
    const double m = (top(log_age) + 1) * p - 1;
    return StarState{m, log_age, mh, 4 * m, 3.75 + 0.1 * p, 4.5};
  }
};

} // namespace

TEST_CASE("forward/catalogue_stars: theta lies in the prior, derived parameters follow from the others") {
  const auto model = stars();
  std::array<double, 8> theta{};
  const Bounds limits = model.magnitude_limits();
  CHECK(limits.low == doctest::Approx(9.5));
  CHECK(limits.high == doctest::Approx(16.4));
  double far = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    Rng rng = Rng(1).split(i);
    model.sample_prior(rng, theta);
    const auto [log_teff, log_g, mh, av, log_distance, log_mass, log_age, log_l] = theta;
    const auto star = Tout1996{}.state(log_mass, log_age, mh);
    REQUIRE(star);
    CHECK(star->log_teff == log_teff);
    CHECK(star->log_g == log_g);
    CHECK(star->log_l == log_l);
    for (std::size_t k = 0; k < theta.size(); ++k) {
      CHECK(theta[k] >= model.bounds[k].low);
      CHECK(theta[k] <= model.bounds[k].high);
    }
    std::vector<double> m(3);
    table().magnitudes(*star, av, log_distance, m);
    CHECK(m[0] >= limits.low);
    CHECK(m[0] <= limits.high);
    far += log_distance > 2.5;
  }
  CHECK(far > 30);
}

TEST_CASE("forward/catalogue_stars: errors and gaps are those of catalogue stars as bright") {
  const auto model = stars();
  std::array<double, 8> theta{};
  std::vector<double> x(4), sigma(4);
  double sum = 0, sum2 = 0;
  int n = 0, bright = 0, faint = 0;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    Rng rng = Rng(2).split(i);
    model.sample_prior(rng, theta);
    model.simulate(rng, theta, x, sigma);
    const StarState star{theta[5], theta[6], theta[2], theta[7], theta[0], theta[1]};
    std::vector<double> m(3);
    table().magnitudes(star, theta[3], theta[4], m);
    // The pattern comes from within five places of 0.1 mag; limits and the edges of the catalogue add 0.5.
    CHECK(std::abs(sigma[0] / 0.01 - m[0]) < 0.95);
    CHECK(is_missing(x[3]) == is_missing(sigma[3]));
    if (m[0] < 12.4) bright += is_missing(x[3]);
    if (m[0] > 13.4) faint += !is_missing(x[3]);
    const std::array<double, 3> truth{m[0], std::pow(10, 3 - theta[4]), m[1]};
    for (std::size_t k = 0; k < 3; ++k) {
      const double pull = (x[k] - truth[k]) / sigma[k];
      sum += pull, sum2 += pull * pull, ++n;
    }
  }
  CHECK(bright == 0);
  CHECK(faint == 0);
  CHECK(std::abs(sum / n) < 4 / std::sqrt(n));            // 4 sigma of the mean of n standard normals
  CHECK(std::abs(sum2 / n - 1) < 4 * std::sqrt(2.0 / n)); // and of their variance
}

TEST_CASE("forward/catalogue_stars: giants are drawn by phase with the weights asked for") {
  CataloguePrior prior;
  prior.phase_weight = {0.5, 0, 0.5, 0, 0, 0};
  prior.mass_min = 0.5;
  prior.distance_min = 10;
  prior.distance_max = 20'000;
  prior.log_age_min = 9;
  const CatalogueStars<Phased, PhotometryTable> model(Phased{}, table(), survey(), prior, "g", 5);
  std::array<double, 8> theta{};
  int giants = 0;
  double lightest = 9;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    Rng rng = Rng(3).split(i);
    model.sample_prior(rng, theta);
    giants += theta[1] < 3.5;
    lightest = std::min(lightest, theta[5]);
    CHECK(theta[1] != doctest::Approx(3.235).epsilon(0.0001)); // no star on the descent
  }
  CHECK(giants > 300); // half, changed by who falls into the magnitude limits
  CHECK(giants < 700);
  CHECK(lightest >= std::log10(0.5));
}

TEST_CASE("forward/catalogue_stars: the lowest mass holds at ages that have outlived it, too") {
  CataloguePrior prior;
  prior.phase_weight = {1, 0, 0, 0, 0, 0};
  prior.mass_min = 2, prior.log_age_min = 9, prior.log_age_max = 10;
  prior.distance_min = 10, prior.distance_max = 20'000;
  const CatalogueStars<Ageing, PhotometryTable> model(Ageing{}, table(), survey(), prior, "g", 5);
  std::array<double, 8> theta{};
  for (std::uint64_t i = 0; i < 500; ++i) {
    Rng rng = Rng(4).split(i);
    model.sample_prior(rng, theta);
    REQUIRE(theta[5] >= std::log10(2.0) - 1e-12); // rounding of the phase
  }
}

TEST_CASE("forward/catalogue_stars: a companion adds its light, as often as asked for") {
  const auto single = stars();
  CataloguePrior prior;
  prior.companion_fraction = 0.4;
  const auto mixed = stars(prior);
  // One solar mass at 100 pc, in G and Ks; errors far below the light that companions add.
  const auto star = Tout1996{}.state(0, 9, 0);
  REQUIRE(star);
  const std::array<double, 8> theta{star->log_teff, star->log_g, 0, 0.2, 2, 0, 9, star->log_l};
  const std::array<double, 4> sigma{1e-6, 1e-6, 1e-6, missing};
  std::array<double, 4> alone{}, x{};
  Rng first(1);
  single.measure(first, theta, sigma, alone);
  int brighter = 0, redder = 0;
  double most = 0;
  constexpr int n = 2000;
  for (std::uint64_t i = 0; i < n; ++i) {
    Rng rng = Rng(5).split(i);
    mixed.measure(rng, theta, sigma, x);
    CHECK(is_missing(x[3]));
    CHECK(x[1] == doctest::Approx(10)); // the parallax is that of both
    const double gain = alone[0] - x[0];
    if (gain < 1e-4) continue;
    ++brighter, redder += x[0] - x[2] > alone[0] - alone[2] + 1e-5;
    most = std::max(most, gain);
  }
  // Companions cooler than the table (below about half a solar mass) add nothing: more than half are left.
  CHECK(brighter > 0.5 * 0.4 * n);
  CHECK(brighter < 0.4 * n + 4 * std::sqrt(0.24 * n));
  CHECK(redder > 0.95 * brighter); // less massive is cooler
  CHECK(most > 0.6);
  CHECK(most < 2.5 * std::log10(2.0) + 1e-4); // two equal stars
}

TEST_CASE("forward/catalogue_stars: what does not fit together is refused") {
  CataloguePrior prior;
  prior.mh_min = 1;
  CHECK_THROWS_AS((void)stars(prior), ValueError);
  prior = {};
  prior.distance_min = 0;
  CHECK_THROWS_AS((void)stars(prior), ValueError);
  prior = {};
  prior.phase_weight = {-1, 1, 1, 0, 0, 0};
  CHECK_THROWS_AS((void)stars(prior), ValueError);
  prior.phase_weight = {};
  CHECK_THROWS_WITH_AS((void)stars(prior), doctest::Contains("all phase weights are 0"), ValueError);
  prior = {};
  prior.companion_fraction = 1.5;
  CHECK_THROWS_AS((void)stars(prior), ValueError);
  prior = {};
  prior.companion_ratio_min = 0;
  CHECK_THROWS_AS((void)stars(prior), ValueError);
  CHECK_THROWS_AS((void)stars({}, 61), ValueError);
  CHECK_THROWS_AS((void)stars({}, 0), ValueError);
  auto other = survey();
  other.observables[1] = "colour";
  const auto build = [&](const std::string& reference) {
    return CatalogueStars<Tout1996, PhotometryTable>(Tout1996{}, table(), other, {}, reference, 5);
  };
  CHECK_THROWS_AS((void)build(""), ValueError);
  other = survey();
  other.bands[2] = "WISE.W1";
  CHECK_THROWS_AS((void)build(""), ValueError);
  other = survey();
  CHECK_THROWS_AS((void)build("parallax"), ValueError);
  CHECK_THROWS_AS((void)build("h"), ValueError);
  // No star of this prior is as bright as the catalogue.
  prior = {};
  prior.distance_min = 1e7;
  prior.distance_max = 2e7;
  const auto model = stars(prior);
  std::array<double, 8> theta{};
  Rng rng(4);
  CHECK_THROWS_AS(model.sample_prior(rng, theta), NumericalError);
}
