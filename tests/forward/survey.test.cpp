// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/survey.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

SpectralGrid grid_of(int family, double teff_max = 20000) {
  std::vector<double> log_teffs;
  for (double t = std::log10(3000); t < std::log10(teff_max); t += .02) log_teffs.push_back(t);
  return tabulate(AnalyticAtmosphere(family), log_teffs, {3, 3.5, 4, 4.5, 5, 5.5}, {-1, -.5, 0, .5});
}
std::vector<Star> field(std::size_t n) {
  std::vector<Star> stars(n);
  const Kroupa imf(.4, 3);
  Rng rng(7);
  for (Star& s : stars) {
    s.log_mass = std::log10(imf.sample(rng));
    s.mh = rng.uniform(-.8, .1), s.log_age = 9, s.log_distance = rng.uniform(1.8, 3);
    s.a_v = rng.uniform(0, 2), s.r_v = rng.uniform(2.6, 5);
    s.longitude = rng.uniform(0, 360), s.latitude = rng.uniform(-90, 90);
    if (rng.bernoulli(.3)) s.companions[0] = rng.uniform(.9, 1);
  }
  return stars;
}

/// Everything, but only of known places.
struct WholeSky_ {
  bool covers(double, double) const { return true; }
};

} // namespace

TEST_CASE("forward/survey: true values are those of the chain's parts") {
  const Cpu<float> be(2);
  const SpectralGrid grid = grid_of(1);
  const Survey survey(grid, Tout1996{}, CCM89{});
  auto stars = field(50);
  for (Star& s : stars) s.companions = {}, s.r_v = 3.1;
  const SurveyTruth truth = survey.truth(be, stars);
  const StellarPhotometry<SpectralGrid, CCM89> direct(
      grid, CCM89{},
      passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J", "2MASS.H", "2MASS.Ks", "WISE.W1",
                 "WISE.W2", "WISE.W3", "WISE.W4"}));
  std::vector<double> spectrum(grid.wavelengths().size()), m(10);
  for (std::size_t i = 0; i < stars.size(); ++i) {
    REQUIRE(truth.flags[i] == StarFlag::whole);
    const StarState state = *Tout1996{}.state(stars[i].log_mass, stars[i].log_age, stars[i].mh);
    CHECK(truth.states[i].log_teff == state.log_teff);
    direct.magnitudes(state, stars[i].a_v, stars[i].log_distance, spectrum, m);
    m.insert(m.begin() + 3, std::pow(10, 3 - stars[i].log_distance));
    for (std::size_t c = 0; c < m.size(); ++c) // float sums of some hundred wavelengths
      CHECK(truth.values(static_cast<index_t>(i), static_cast<index_t>(c)) ==
            doctest::Approx(m[c]).epsilon(2e-5));
    m.resize(10);
  }
}

TEST_CASE(
    "forward/survey: an equal companion makes a star twice as bright, one without a model is reported") {
  const Survey survey(grid_of(1), Tout1996{}, CCM89{});
  auto stars = field(3);
  stars.resize(3, stars[0]);
  stars[0].companions = {}, stars[1] = stars[2] = stars[0];
  stars[1].companions[0] = 1;
  stars[2].companions[0] = .02; // below the least mass of the evolution
  const SurveyTruth truth = survey.truth(Cpu<float>(1), stars);
  CHECK(truth.flags == std::vector{StarFlag::whole, StarFlag::whole, StarFlag::dark_companions});
  CHECK(truth.values(0, 0) - truth.values(1, 0) == doctest::Approx(2.5 * std::log10(2)).epsilon(1e-6));
  CHECK(truth.values(2, 0) == truth.values(0, 0));
  CHECK(truth.values(1, 3) == truth.values(0, 3)); // the parallax
}

TEST_CASE("forward/survey: stars outside are flagged, counted and have no values") {
  const Survey survey(grid_of(1, 7000), Tout1996{}, CCM89{});
  auto stars = field(60);
  for (Star& s : stars) s.log_mass = std::log10(.8), s.companions = {};
  stars[4].log_mass = 3, stars[9].log_mass = std::log10(3), stars[11].a_v = -1, stars[12].mh = missing,
  stars[13].companions[0] = missing;
  const SurveyRecord record = survey.record(Cpu<float>(2), Rng(1), stars);
  StarFlagCounts counts;
  counts.add(record.truth.flags);
  CHECK(record.truth.flags[4] == StarFlag::no_evolution);
  CHECK(record.truth.flags[9] == StarFlag::no_atmosphere);
  CHECK(record.truth.flags[11] == StarFlag::bad_value);
  CHECK(counts(StarFlag::bad_value) == 3);
  CHECK(counts(StarFlag::whole) == 55);
  CHECK(counts.text() == "60 stars: 0 with a companion that has no model, 1 outside the evolution, 1 outside "
                         "the atmospheres, 0 without light in a band, 3 with unusable numbers");
  for (index_t c = 0; c < record.x.cols(); ++c)
    for (index_t i : {4, 9, 11, 12, 13}) {
      CHECK(is_missing(record.x(i, c)));
      CHECK(is_missing(record.truth.values(i, c)));
    }
}

TEST_CASE("forward/survey: what has no light, no evolution and no place") {
  SurveyOptions options;
  options.selection.footprints.add(Mission::gaia, WholeSky_{});
  const Survey survey(grid_of(1), Tout1996{}, CCM89{}, options);
  auto stars = field(4);
  stars[1].a_v = 4000, stars[2].log_mass = 3;
  const SurveyRecord record = survey.record(Cpu<float>(1), Rng(1), stars);
  CHECK(record.truth.flags ==
        std::vector{StarFlag::whole, StarFlag::no_light, StarFlag::no_evolution, StarFlag::whole});
  CHECK(is_missing(record.truth.values(1, 4)));
  CHECK(is_missing(record.truth.states[2].log_l)); // and not that of the Sun
  stars[0].longitude = missing;
  CHECK_THROWS_AS((void)survey.record(Cpu<float>(1), Rng(1), stars), ValueError);
}

TEST_CASE("forward/survey: floors and limits of the channels are the user's") {
  SurveyOptions options;
  options.channels[0].error = options.channels[0].error.with_floor(.5);
  options.channels[4].detection = {1, 5, 0}; // J down to 5 mag
  const Survey survey(grid_of(1), Tout1996{}, CCM89{}, options);
  const SurveyRecord record = survey.record(Cpu<float>(1), Rng(1), field(50));
  for (index_t i = 0; i < 50; ++i) {
    if (!is_missing(record.x(i, 0))) CHECK(record.sigma(i, 0) >= .5);
    if (record.truth.values(i, 4) < 5) continue;
    CHECK(record.outcomes[static_cast<std::size_t>(i * record.x.cols() + 4)] == Outcome::upper_limit);
    CHECK(record.limits(i, 4) == 5);
  }
}

TEST_CASE("forward/survey: noise has its standard deviation, and nothing depends on the threads") {
  const Survey survey(grid_of(1), Tout1996{}, CCM89{});
  const auto stars = field(4000);
  const SurveyRecord one = survey.record(Cpu<float>(1), Rng(3), stars),
                     two = survey.record(Cpu<float>(2), Rng(3), stars);
  CHECK(std::memcmp(one.x.data(), two.x.data(), sizeof(double) * static_cast<std::size_t>(one.x.size())) ==
        0);
  double sum = 0, square = 0;
  index_t n = 0;
  for (index_t i = 0; i < one.x.rows(); ++i)
    for (index_t c = 0; c < 9; ++c) // W3 and W4 are published where noise lifts them
      if (!is_missing(one.x(i, c))) {
        const double z = (one.x(i, c) - one.truth.values(i, c)) / one.sigma(i, c);
        sum += z, square += z * z, ++n;
        CHECK(one.outcomes[static_cast<std::size_t>(i * one.x.cols() + c)] == Outcome::observed);
      }
  const double count = static_cast<double>(n); // four standard errors
  CHECK(std::abs(sum / count) < 4 / std::sqrt(count));
  CHECK(std::abs(square / count - 1) < 4 * std::sqrt(2 / count));
}

TEST_CASE("forward/survey: two worlds see the same stars with the same luck; the share outside is known") {
  const Cpu<float> be(2);
  const Survey source(grid_of(1), Tout1996{}, CCM89{});
  const Survey same(grid_of(1), Tout1996{}, CCM89{});
  const Survey target(grid_of(2, 7000), Tout1996{}, CCM89{});
  const auto stars = field(2000);
  const SurveyPairs equal = record_pairs(be, source, same, Rng(5), stars);
  CHECK(std::memcmp(equal.first.x.data(), equal.second.x.data(),
                    sizeof(double) * static_cast<std::size_t>(equal.first.x.size())) == 0);
  const SurveyPairs pairs = record_pairs(be, source, target, Rng(5), stars);
  CHECK(pairs.outside() > .02);
  CHECK(pairs.outside() < .5);
  double gap = 0, noise = 0, most = 0;
  for (const std::size_t k : pairs.kept) {
    const auto i = static_cast<index_t>(k);
    CHECK(pairs.first.truth.states[k].log_teff < std::log10(7000));
    const double model = pairs.second.truth.values(i, 1) - pairs.first.truth.values(i, 1);
    gap += std::abs(model), most = std::max(most, std::abs(model));
    if (is_missing(pairs.first.x(i, 1)) || is_missing(pairs.second.x(i, 1))) continue;
    const double a = (pairs.first.x(i, 1) - pairs.first.truth.values(i, 1)) / pairs.first.sigma(i, 1),
                 b = (pairs.second.x(i, 1) - pairs.second.truth.values(i, 1)) / pairs.second.sigma(i, 1);
    noise = std::max(noise, std::abs(a - b));
  }
  CHECK(noise < 1e-6);
  CHECK(most > .05);
  CHECK(gap / static_cast<double>(pairs.kept.size()) > .01);
  SurveyOptions fewer;
  fewer.channels = channels_named({"G", "parallax"});
  CHECK_THROWS_AS(
      (void)record_pairs(be, source, Survey(grid_of(1), Tout1996{}, CCM89{}, fewer), Rng(1), stars),
      ValueError);
}

TEST_CASE("forward/survey: unknown channels and room of another size are refused") {
  SurveyOptions options;
  options.bands = passbands({"GaiaDR3.G"});
  CHECK_THROWS_WITH_AS(Survey(grid_of(1), Tout1996{}, CCM89{}, options),
                       "observatory: 1 passbands for 10 channels that are magnitudes; want one each",
                       ValueError);
  options = {};
  options.channels[0].name = "u";
  CHECK_THROWS_AS(Survey(grid_of(1), Tout1996{}, CCM89{}, options), ValueError);
  const Survey survey(grid_of(1), Tout1996{}, CCM89{});
  Tensor<float> room(Shape{2, 5});
  CHECK_THROWS_AS((void)survey.truth(Cpu<float>(1), field(2), room.view()), ShapeError);
}
