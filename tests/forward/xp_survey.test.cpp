// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/forward/tout.hpp>
#include <sbi/forward/xp_file.hpp>
#include <sbi/forward/xp_response.hpp>
#include <sbi/forward/xp_survey.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/xp_survey: spectra have their noise where the catalogue has spectra, and gaps elsewhere") {
  const std::string folder = sbi_test::data_file("gaiaxpy_instrument");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const XpInstrument instrument = read_xp_instrument(folder);
  std::vector<double> log_teffs;
  for (double t = 3.5; t < 4.2; t += .02) log_teffs.push_back(t);
  const SpectralGrid grid = tabulate(AnalyticAtmosphere(), log_teffs, {3.5, 4, 4.5, 5}, {-.5, 0});
  SurveyOptions options;
  options.channels = channels_named({"G", "parallax", "XP"});
  const Survey survey(grid, Tout1996{}, CCM89{}, XpResponse(instrument), options);
  const XpObserver xp(survey, instrument);

  constexpr index_t n = 400;
  std::vector<Star> stars(static_cast<std::size_t>(n));
  Rng rng(3);
  for (Star& s : stars)
    s.log_mass = rng.uniform(-.2, .3), s.mh = rng.uniform(-.4, 0), s.log_age = 9,
    s.log_distance = rng.uniform(2, 4), s.a_v = rng.uniform(0, 2);
  const auto observe = [&](int threads, Tensor<float>& truth, Tensor<float>& x, Tensor<float>& sigma) {
    const Cpu<float> be(threads);
    truth = x = sigma = Tensor<float>(Shape{n, 110});
    const SurveyRecord record = survey.record(be, Rng(7), stars, truth.view());
    x = truth;
    xp.observe(be, Rng(7), record, x.view(), sigma.view());
    return record;
  };
  Tensor<float> truth, x, sigma, again, two, error;
  const SurveyRecord record = observe(1, truth, x, sigma);
  observe(2, again, two, error);
  CHECK(std::memcmp(x.data(), two.data(), sizeof(float) * static_cast<std::size_t>(x.size())) == 0);

  index_t seen = 0;
  double square = 0;
  for (index_t i = 0; i < n; ++i) {
    const bool there = record.outcomes[static_cast<std::size_t>(3 * i + 2)] == Outcome::observed;
    CHECK(is_missing(record.x(i, 2)));
    if (record.truth.values(i, 0) > 17.65) CHECK_FALSE(there);
    CHECK(is_missing(x(i, 0)) != there);
    if (!there) continue;
    ++seen;
    for (index_t k = 0; k < 110; ++k) square += std::pow((x(i, k) - truth(i, k)) / sigma(i, k), 2);
  }
  CHECK(seen > n / 4);
  CHECK(seen < n);
  // Correlated within a channel: the scatter of a star's mean square is below that of 20 free numbers.
  CHECK(std::abs(square / (110. * static_cast<double>(seen)) - 1) <
        4 * std::sqrt(2 / (20. * static_cast<double>(seen))));

  SurveyRecord other = record;
  other.outcomes.resize(5);
  CHECK_THROWS_AS(xp.observe(Cpu<float>(1), Rng(7), other, x.view(), sigma.view()), ShapeError);
  options.channels = channels_named({"G"});
  CHECK_THROWS_AS(XpObserver(Survey(grid, Tout1996{}, CCM89{}, XpResponse(instrument), options), instrument),
                  ValueError);
  options.channels = channels_named({"G", "XP"});
  CHECK_THROWS_AS(XpObserver(Survey(grid, Tout1996{}, CCM89{}, options), instrument), ValueError);
}
