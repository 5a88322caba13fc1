// SPDX-License-Identifier: MIT
#include <sbi/forward/passband.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace sbi::forward;

namespace {

std::vector<double> log_grid(double from, double to, int n) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(from * std::pow(to / from, static_cast<double>(i) / (n - 1)));
  return out;
}

const char* const all_bands[]{"GaiaDR3.G",  "GaiaDR3.BP", "GaiaDR3.RP", "GaiaDR2.G", "GaiaDR2.BP",
                              "GaiaDR2.RP", "2MASS.J",    "2MASS.H",    "2MASS.Ks",  "WISE.W1",
                              "WISE.W2",    "WISE.W3",    "WISE.W4"};

} // namespace

TEST_CASE("forward/passband: pivot wavelengths of the published curves") {
  // The reference integrates the full curves; thinning them to 24-36 nodes may move a pivot by 1e-4.
  const std::pair<const char*, double> pivots[]{
      {"GaiaDR3.G", .621760}, {"GaiaDR3.BP", .510971}, {"GaiaDR3.RP", .776902}, {"2MASS.J", 1.2355},
      {"2MASS.H", 1.6457},    {"2MASS.Ks", 2.1603},    {"WISE.W1", 3.3682},     {"WISE.W2", 4.6179},
      {"WISE.W3", 12.0728},   {"WISE.W4", 22.1944}};
  for (const auto& pivot : pivots) {
    CAPTURE(std::string(pivot.first));
    CHECK(pivot_wavelength(passband(pivot.first)) == doctest::Approx(pivot.second).epsilon(1e-4));
  }
}

TEST_CASE("forward/passband: offsets between Vega and AB magnitudes") {
  const auto offset = [](const char* name) {
    const Passband band = passband(name);
    return -2.5 * std::log10(band.zero_point / ab_zero_point(band));
  };
  CHECK(std::abs(offset("GaiaDR3.G") - .1137) < 1e-3); // published to about 1 mmag
  CHECK(std::abs(offset("GaiaDR3.BP") - .0154) < 1e-3);
  CHECK(std::abs(offset("GaiaDR3.RP") - .3561) < 1e-3);
  // Cohen et al. (2003) and Jarrett et al. (2011) give F_nu at an isophotal wavelength, 1 % of the pivot's.
  CHECK(std::abs(offset("2MASS.J") - -2.5 * std::log10(1594. / 3631)) < .03);
  CHECK(std::abs(offset("2MASS.Ks") - -2.5 * std::log10(666.7 / 3631)) < .03);
  CHECK(std::abs(offset("WISE.W1") - -2.5 * std::log10(309.54 / 3631)) < .03);
}

TEST_CASE("forward/passband: a spectrum flat in frequency has AB magnitude 0 in every band") {
  const std::vector<double> grid = log_grid(0.3, 40, 60);
  std::vector<double> flux;
  for (double w : grid) flux.push_back(3631e-23 * light_speed / (1e8 * w * w));
  for (const char* name : all_bands) {
    Passband band = passband(name);
    band.zero_point = ab_zero_point(band);
    CAPTURE(std::string(name));
    CHECK(std::abs(magnitude(grid, flux, band)) < 1e-8); // a power law is interpolated exactly
  }
}

TEST_CASE(
    "forward/passband: a coarse Rayleigh-Jeans spectrum is integrated exactly, where straight lines fail") {
  const std::vector<double> coarse{5, 10, 20, 40}, fine = log_grid(5, 40, 4000);
  std::vector<double> at_coarse, at_fine, chords;
  for (double w : coarse) at_coarse.push_back(std::pow(w, -4));
  for (double w : fine) {
    at_fine.push_back(std::pow(w, -4));
    const std::size_t i = w < 10 ? 0 : w < 20 ? 1 : 2;
    chords.push_back(at_coarse[i] +
                     (at_coarse[i + 1] - at_coarse[i]) * (w - coarse[i]) / (coarse[i + 1] - coarse[i]));
  }
  const Passband w3 = passband("WISE.W3");
  const double truth = magnitude(fine, at_fine, w3);
  CHECK(std::abs(magnitude(coarse, at_coarse, w3) - truth) < 1e-6);
  CHECK(magnitude(fine, chords, w3) < truth - 0.2); // too bright
}

TEST_CASE("forward/passband: zero flux is not a number's logarithm") {
  const std::vector<double> grid{1, 1.2, 1.3, 1.6}, flux{0, 1, 1, 0};
  const double value = mean_flux(grid, flux, passband("2MASS.J"));
  CHECK(value > 0);
  CHECK(value < 1);
}

TEST_CASE("forward/passband: AB bands, and zero points from a standard star") {
  const Passband ks = passband("2MASS.Ks"), in_ab = ab(ks);
  CHECK(in_ab.name == "2MASS.Ks_AB");
  CHECK(in_ab.zero_point == ab_zero_point(ks));
  CHECK(in_ab.transmission == ks.transmission);
  const std::vector<double> grid = log_grid(1.5, 3, 40);
  std::vector<double> flat(grid.size(), 1e-9);
  // f_lambda the same at all wavelengths: AB = -2.5 log10(f lambda_p^2 / c) - 48.60.
  const double pivot = 1e4 * pivot_wavelength(ks);
  CHECK(std::abs(magnitude(grid, flat, in_ab) -
                 (-2.5 * std::log10(1e-9 * pivot * pivot / light_speed) - 48.60)) < 1e-4);
  Passband own = ks;
  own.zero_point = vega_zero_point(ks, grid, flat);
  CHECK(magnitude(grid, flat, own) == doctest::Approx(0).epsilon(1e-12));
  own.zero_point = vega_zero_point(ks, grid, flat, 0.03);
  CHECK(magnitude(grid, flat, own) == doctest::Approx(0.03).epsilon(1e-12));
}

TEST_CASE(
    "forward/passband: fluxes that are missing or negative in the band are errors, beside it they are not") {
  const std::vector<double> grid{1, 1.05, 1.2, 1.3, 1.5, 1.6};
  const Passband j = passband("2MASS.J");
  REQUIRE((j.wavelengths.front() > 1.05 && j.wavelengths.back() < 1.5));
  CHECK(mean_flux(grid, std::vector<double>{-1, 1, 1, 1, 1, sbi::missing}, j) == doctest::Approx(1));
  CHECK_THROWS_WITH_AS((void)mean_flux(grid, std::vector<double>{1, 1, 1, sbi::missing, 1, 1}, j),
                       doctest::Contains("at 1.3 micron, in passband 2MASS.J; want 0 or more"),
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)mean_flux(grid, std::vector<double>{1, 1, -2, 1, 1, 1}, j),
                       doctest::Contains("mean_flux: flux -2 at 1.2 micron"), sbi::ValueError);
  CHECK_THROWS_AS(
      (void)mean_flux(grid, std::vector<double>{1, 1, 1, std::numeric_limits<double>::infinity(), 1, 1}, j),
      sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)mean_flux(std::vector<double>{1.2, 1.6}, std::vector<double>{1, 1}, j),
                       doctest::Contains("passband 2MASS.J: runs from"), sbi::ValueError);
}

TEST_CASE("forward/passband: what is wrong is named") {
  CHECK_THROWS_WITH_AS((void)passband("Johnson.V"), doctest::Contains("'Johnson.V' is not embedded"),
                       sbi::ValueError);
  const std::vector<double> grid{1.2, 1.3}, flux{1, 1}, shorter{1};
  CHECK_THROWS_WITH_AS((void)mean_flux(grid, flux, passband("2MASS.J")), doctest::Contains("2MASS.J"),
                       sbi::ValueError);
  CHECK_THROWS_AS((void)mean_flux(grid, shorter, passband("2MASS.J")), sbi::ShapeError);
  CHECK_THROWS_AS(check(Passband{"x", {1, 2}, {1}, 1}), sbi::ShapeError);
  CHECK_THROWS_AS(check(Passband{"x", {2, 1}, {1, 1}, 1}), sbi::ValueError);
  CHECK_THROWS_AS(check(Passband{"x", {1, 2}, {1, -1}, 1}), sbi::ValueError);
  CHECK_THROWS_AS(check(Passband{"x", {1, 2}, {0, 0}, 1}), sbi::ValueError);
  CHECK_THROWS_AS(check(Passband{"x", {1, 2}, {1, 1}, 0}), sbi::ValueError);
  CHECK(passbands({"2MASS.J", "WISE.W1"})[1].name == "WISE.W1");
}
