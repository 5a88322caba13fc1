// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/survey_sample.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

using namespace sbi;
using namespace sbi::forward;

namespace {

struct Field {
  double distance_max = 3;
  Star draw(Rng& rng) const {
    static const Kroupa imf(.5, 2);
    Star s;
    s.log_mass = std::log10(imf.sample(rng)), s.log_age = 9, s.log_distance = rng.uniform(2, distance_max),
    s.a_v = rng.uniform(0, 1);
    return s;
  }
};
const auto& survey() {
  static const Survey of(
      tabulate(AnalyticAtmosphere{}, {3.5, 3.6, 3.7, 3.8, 3.9, 4, 4.1}, {3.5, 4, 4.5, 5}, {-.5, 0, .5}),
      Tout1996{}, CCM89{});
  return of;
}

} // namespace

TEST_CASE("forward/survey_sample: rows are listed stars with their parameters, the same for any thread count "
          "and number") {
  const SurveySample one = sample_survey(Cpu<float>(1), survey(), Field{}, Rng(2), 6000);
  const SurveySample two = sample_survey(Cpu<float>(2), survey(), Field{}, Rng(2), 3000);
  CHECK(std::memcmp(one.x.data(), two.x.data(), sizeof(double) * static_cast<std::size_t>(two.x.size())) ==
        0);
  CHECK(std::memcmp(one.theta.data(), two.theta.data(),
                    sizeof(double) * static_cast<std::size_t>(two.theta.size())) == 0);
  for (index_t i = 0; i < one.x.rows(); i += 37) {
    CHECK_FALSE(is_missing(one.x(i, 0)));
    const auto state = Tout1996{}.state(one.theta(i, 5), 9, 0);
    CHECK(one.theta(i, 0) == state->log_teff);
    CHECK(one.theta(i, 7) == state->log_l);
    if (!is_missing(one.x(i, 3))) // the parallax is the distance's
      CHECK(std::abs(one.x(i, 3) - std::pow(10, 3 - one.theta(i, 4))) < 5 * one.sigma(i, 3));
  }
}

TEST_CASE("forward/survey_sample: a population that nobody sees is an error, not an endless loop") {
  struct Far {
    Star draw(Rng& rng) const {
      Star s = Field{}.draw(rng);
      s.log_distance = 6;
      return s;
    }
  };
  CHECK_THROWS_AS(std::ignore = sample_survey(Cpu<float>(1), survey(), Far{}, Rng(2), 10), ValueError);
  CHECK_THROWS_AS(std::ignore = sample_survey(Cpu<float>(1), survey(), Field{}, Rng(2), 10, 11), ValueError);
}
