// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/photometry.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi::forward;

namespace {

const std::vector<Passband> nine_bands = passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J",
                                                    "2MASS.H", "2MASS.Ks", "WISE.W1", "WISE.W2", "WISE.W3"});

/// Grey dust: the same extinction at every wavelength.
struct Grey {
  double operator()(double, double) const { return 1; }
};

StarState sun() { return {0, 9.66, 0, 0, std::log10(solar_teff), solar_log_g}; }

} // namespace

TEST_CASE("forward/photometry: the weights give the magnitudes of direct integration") {
  const AnalyticAtmosphere atmosphere;
  const Photometry photometry(atmosphere.wavelengths(), nine_bands);
  const std::vector<double> curve = photometry.extinction(CCM89{}, 3.1);
  std::vector<double> flux(AnalyticAtmosphere::grid_size), m(nine_bands.size());
  double worst = 0;
  for (double teff : {2500., 3200., 4000., 5772., 9000., 20000., 30000.}) {
    atmosphere.flux(std::log10(teff), 4.5, 0, flux);
    photometry.magnitudes(flux, curve, 0, m);
    for (std::size_t b = 0; b < m.size(); ++b) {
      CAPTURE(teff);
      CAPTURE(nine_bands[b].name);
      const double difference = m[b] - magnitude(atmosphere.wavelengths(), flux, nine_bands[b]);
      worst = std::max(worst, std::abs(difference));
      // The two rules of interpolation differ inside a step of 1.5 %, most on the steep blue side of cool
      // stars.
      CHECK(std::abs(difference) < (teff > 3500 ? 0.002 : 0.012));
    }
  }
  MESSAGE("largest difference between the two interpolations: " << worst << " mag");
}

TEST_CASE("forward/photometry: dust of any optical depth, compared with dust put on the spectrum by hand") {
  const AnalyticAtmosphere atmosphere;
  const Photometry photometry(atmosphere.wavelengths(), nine_bands);
  const std::vector<double> curve = photometry.extinction(CCM89{}, 3.1);
  std::vector<double> flux(AnalyticAtmosphere::grid_size), dusty(flux.size()), m(nine_bands.size()),
      hand(m.size());
  atmosphere.flux(std::log10(4500.), 4.6, -0.3, flux);
  for (double a_v : {0.1, 1.0, 5.0}) {
    dusty = flux;
    for (std::size_t i = 0; i < flux.size(); ++i) {
      const double x = 1 / atmosphere.wavelengths()[i];
      if (x >= CCM89::x_min && x <= CCM89::x_max) dusty[i] *= std::pow(10, -0.4 * a_v * CCM89{}(x, 3.1));
    }
    photometry.magnitudes(flux, curve, a_v, m);
    photometry.magnitudes(dusty, curve, 0, hand);
    for (std::size_t b = 0; b < m.size(); ++b) CHECK(m[b] == doctest::Approx(hand[b]).epsilon(1e-12));
  }
}

TEST_CASE("forward/photometry: extinction coefficients depend on the star and on the amount of dust") {
  // A_X/A_V of Kurucz (1993) spectra, log g 4.5, CCM89 with R_V = 3.1 and A_V = 1 (and 5 for Gaia); the
  // analytic spectra are within .01 of them.
  const StellarPhotometry<AnalyticAtmosphere, CCM89> stars(AnalyticAtmosphere{}, CCM89{}, nine_bands);
  struct Row {
    double teff;
    double one[8];  // G BP RP J H Ks W1 W2; 0 where the reference has none
    double five[3]; // per magnitude
  };
  const Row rows[]{{4000, {.7488, .9835, .6138, .2884, .1822, .1179, .0594, .0356}, {.6857, .9504, .5868}},
                   {5750, {.8438, 1.0528, .6397, .2898, 0, 0, 0, 0}, {.7555, 1.0009, .6113}},
                   {10000, {.9635, 1.1315, .6584, .2917, 0, 0, 0, 0}, {.8448, 1.0626, .6290}}};
  std::vector<double> spectrum(AnalyticAtmosphere::grid_size), clear(9), dusty(9), thick(9);
  for (const Row& row : rows) {
    const StarState star{0, 9, 0, 0, std::log10(row.teff), 4.5};
    stars.magnitudes(star, 0, 1, spectrum, clear);
    stars.magnitudes(star, 1, 1, spectrum, dusty);
    stars.magnitudes(star, 5, 1, spectrum, thick);
    for (std::size_t b = 0; b < 8; ++b) {
      CAPTURE(row.teff);
      CAPTURE(nine_bands[b].name);
      if (row.one[b] > 0) CHECK(std::abs(dusty[b] - clear[b] - row.one[b]) < .01);
      if (b < 3) CHECK(std::abs((thick[b] - clear[b]) / 5 - row.five[b]) < .01);
    }
  }
}

TEST_CASE("forward/photometry: distance, radius and grey dust shift every band alike") {
  const StellarPhotometry<AnalyticAtmosphere, Grey> stars(AnalyticAtmosphere{}, Grey{}, nine_bands);
  std::vector<double> spectrum(AnalyticAtmosphere::grid_size), near(9), far(9), big(9), behind(9);
  StarState star = sun();
  stars.magnitudes(star, 0, 1, spectrum, near);
  stars.magnitudes(star, 0, 2.5, spectrum, far);
  stars.magnitudes(star, 0.7, 1, spectrum, behind);
  star.log_l = 1.2; // the same T_eff: a larger star
  stars.magnitudes(star, 0, 1, spectrum, big);
  for (std::size_t b = 0; b < 9; ++b) {
    CHECK(far[b] - near[b] == doctest::Approx(7.5).epsilon(1e-12));
    CHECK(near[b] - big[b] == doctest::Approx(3.0).epsilon(1e-12));
    CHECK(behind[b] - near[b] == doctest::Approx(0.7).epsilon(1e-12));
  }
}

TEST_CASE("forward/photometry: absolute magnitudes of the Sun") {
  const StellarPhotometry<AnalyticAtmosphere, CCM89> stars(AnalyticAtmosphere{}, CCM89{}, nine_bands);
  std::vector<double> spectrum(AnalyticAtmosphere::grid_size), m(9);
  stars.magnitudes(sun(), 0, 1, spectrum, m);
  // Gaia: the CALSPEC solar spectrum through the DR3 curves. Infrared: Willmer (2018), published to
  // 0.01-0.03.
  const double want[]{4.668, 4.989, 4.182, 3.67, 3.32, 3.27, 3.26, 3.28, 3.26};
  for (std::size_t b = 0; b < 9; ++b) {
    CAPTURE(nine_bands[b].name);
    CHECK(std::abs(m[b] - want[b]) < .05);
  }
}

TEST_CASE("forward/photometry: a batch equals the stars one by one, bit for bit, for any number of threads") {
  const StellarPhotometry<AnalyticAtmosphere, CCM89> stars(AnalyticAtmosphere{2}, CCM89{}, nine_bands);
  std::vector<StarState> states;
  std::vector<double> a_v, log_distance;
  for (int i = 0; i < 300; ++i) {
    states.push_back({0, 9, -0.001 * i, 0.01 * i, 3.5 + 0.0015 * i, 4.5});
    a_v.push_back(0.01 * i), log_distance.push_back(1 + 0.005 * i);
  }
  const auto one = stars.magnitudes(sbi::Cpu<float>(1), states, a_v, log_distance);
  const auto two = stars.magnitudes(sbi::Cpu<float>(2), states, a_v, log_distance);
  std::vector<double> spectrum(AnalyticAtmosphere::grid_size), m(9);
  REQUIRE(one.shape() == sbi::Shape{300, 9});
  for (int i = 0; i < 300; ++i) {
    const auto k = static_cast<std::size_t>(i);
    stars.magnitudes(states[k], a_v[k], log_distance[k], spectrum, m);
    for (int b = 0; b < 9; ++b) {
      CHECK(one(i, b) == m[static_cast<std::size_t>(b)]);
      CHECK(two(i, b) == one(i, b));
    }
  }
}

TEST_CASE("forward/photometry: what does not fit is refused") {
  const AnalyticAtmosphere atmosphere;
  const std::vector<double> short_grid{1.0, 1.2};
  CHECK_THROWS_AS(Photometry(short_grid, nine_bands), sbi::ValueError);
  const Photometry photometry(atmosphere.wavelengths(), nine_bands);
  std::vector<double> flux(512, 1.0), m(9), few(3);
  CHECK_THROWS_AS(photometry.magnitudes(flux, few, 0, m), sbi::ShapeError);
  const StellarPhotometry<AnalyticAtmosphere, CCM89> stars(atmosphere, CCM89{}, nine_bands);
  CHECK_THROWS_AS(stars.magnitudes(sun(), -0.1, 1, flux, m), sbi::ValueError);
  StarState cold = sun();
  cold.log_teff = 3.2;
  CHECK_THROWS_AS(stars.magnitudes(cold, 0, 1, flux, m), sbi::ValueError);
  const std::vector<StarState> one(1, sun());
  const std::vector<double> two(2);
  CHECK_THROWS_AS((void)stars.magnitudes(sbi::Cpu<float>(1), one, two, two), sbi::ShapeError);
}
