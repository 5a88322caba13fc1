// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/observatory.hpp>
#include <sbi/forward/spectrograph.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

Observatory<float> observatory() {
  SurveyOptions options;
  options.channels = channels_named({"G", "parallax", "Ks"});
  return {tabulate(AnalyticAtmosphere(), {3.6, 3.7, 3.8, 3.9}, {4, 5}, {-.5, 0}), CCM89{},
          Spectrograph("test", linear_pixels(.5, .6, 7), 300), options};
}
LightSource star(double log_teff) {
  LightSource s;
  s.stars[0] = {log_teff, 4.5, -.1, 0}, s.log_distance = 2;
  return s;
}

} // namespace

TEST_CASE("forward/observatory: magnitudes, parallaxes and spectra of sources, nothing of those that do not "
          "shine") {
  const Observatory<float> of = observatory();
  CHECK(of.spectrum_size() == 7);
  const std::vector<LightSource> sources{star(3.75), star(4.2), star(3.75)};
  Tensor<float> spectra(Shape{3, 7});
  const Cpu<float> be(1);
  const SurveyTruth truth =
      of.truth(be, sources, {StarFlag::whole, StarFlag::whole, StarFlag::no_evolution}, spectra.view());
  CHECK(truth.flags == std::vector{StarFlag::whole, StarFlag::no_atmosphere, StarFlag::no_evolution});
  CHECK(truth.values(0, 1) == doctest::Approx(10).epsilon(1e-12)); // mas, at 100 pc
  CHECK(truth.values(0, 0) > truth.values(0, 2));
  CHECK(spectra(0, 3) > 0);
  for (index_t i : {1, 2}) {
    CHECK(is_missing(truth.values(i, 1)));
    CHECK(is_missing(spectra(i, 3)));
  }
  const SurveyRecord record = of.record(be, Rng(1), truth);
  CHECK(std::abs(record.x(0, 1) - 10) < 5 * record.sigma(0, 1));
  CHECK(is_missing(record.x(2, 0)));
  CHECK(record.outcomes[6] == Outcome::lost);
}

TEST_CASE("forward/observatory: room, flags and positions of another number are refused") {
  const Observatory<float> of = observatory();
  const Cpu<float> be(1);
  const std::vector<LightSource> sources{star(3.75)};
  Tensor<float> narrow(Shape{1, 6});
  CHECK_THROWS_AS((void)of.truth(be, sources, {}), ShapeError);
  CHECK_THROWS_AS((void)of.truth(be, sources, {StarFlag::whole}, narrow.view()), ShapeError);
  CHECK_THROWS_AS(
      (void)of.record(be, Rng(1), of.truth(be, sources, {StarFlag::whole}), std::vector<SkyPosition>(2)),
      ShapeError);
}
