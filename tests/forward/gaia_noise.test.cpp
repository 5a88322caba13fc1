// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/gaia_noise.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace sbi::forward;

namespace {

const std::array curves{gaia_g_error, gaia_bp_error, gaia_rp_error};

/// de Boor's recursion for a cubic B-spline with knots t and coefficients c, in its plain form.
double b_spline(const std::vector<double>& t, const std::vector<double>& c, double x) {
  std::size_t k = 3;
  while (k + 1 < t.size() - 4 && x >= t[k + 1]) ++k;
  std::array<double, 4> d{c[k - 3], c[k - 2], c[k - 1], c[k]};
  for (std::size_t r = 1; r <= 3; ++r)
    for (std::size_t j = 3; j >= r; --j) {
      const double alpha = (x - t[j + k - 3]) / (t[j + 1 + k - r] - t[j + k - 3]);
      d[j] = (1 - alpha) * d[j - 1] + alpha * d[j];
    }
  return d[3];
}

} // namespace

TEST_CASE("forward/gaia_noise: errors of magnitudes as PyGaia gives them") {
  // mmag without the floor, evaluated independently (a B-spline of SciPy): half a unit of the last digit.
  struct Row {
    double m, g, g_digit, bp, bp_digit, rp, rp_digit;
  };
  const Row rows[]{{13, .190, .001, .62, .01, .51, .01},   {15, .274, .001, 1.27, .01, 1.56, .01},
                   {17, .737, .001, 4.55, .01, 6.95, .01}, {18, 1.27, .01, 9.46, .01, 14.8, .1},
                   {19, 2.36, .01, 20.9, .1, 31.6, .1},    {20, 4.51, .01, 44.4, .1, 71.8, .1}};
  for (const Row& r : rows) {
    CAPTURE(r.m);
    CHECK(std::abs(1e3 * gaia_g_error.with_floor(0)(r.m) - r.g) <= r.g_digit / 2);
    CHECK(std::abs(1e3 * gaia_bp_error.with_floor(0)(r.m) - r.bp) <= r.bp_digit / 2);
    CHECK(std::abs(1e3 * gaia_rp_error.with_floor(0)(r.m) - r.rp) <= r.rp_digit / 2);
  }
}

TEST_CASE("forward/gaia_noise: floor and observations") {
  for (const ErrorCurve& curve : curves) {
    const double alone = curve.with_floor(0)(16);
    CHECK(curve(16) == doctest::Approx(std::hypot(.003, alone)).epsilon(1e-14));
    CHECK(curve.with_floor(.004)(16) == doctest::Approx(std::hypot(.004, alone)).epsilon(1e-14));
    CHECK(curve.with_floor(0).with_observations(curve.observations / 4)(16) ==
          doctest::Approx(2 * alone).epsilon(1e-14));
  }
  CHECK(gaia_g_error.observations == 351);
  CHECK(gaia_bp_error.observations == 40);
  CHECK(gaia_rp_error.observations == 40);
}

TEST_CASE("forward/gaia_noise: constant above the spline, falling flux below it, no jump at the ends") {
  for (const ErrorCurve& curve : curves) {
    const ErrorCurve alone = curve.with_floor(0);
    CHECK(alone(-2) == alone(3.9));
    CHECK(alone(3.98334) == doctest::Approx(alone(3.9)).epsilon(5e-2)); // BP begins at 3.95
    CHECK(alone(21.01666) == doctest::Approx(alone(21.01668)).epsilon(1e-4));
    CHECK(alone(23) / alone(22) == doctest::Approx(std::pow(10, .4)).epsilon(1e-12));
    for (double m = 14; m < 23; m += .01) REQUIRE(alone(m + .01) > alone(m)); // fainter is worse
  }
}

TEST_CASE("forward/gaia_noise: the embedded splines are those of the file, at every magnitude") {
  const std::string path = sbi_test::data_file("noise_gaia/LogErrVsMagSpline2.csv");
  if (path.empty()) {
    MESSAGE("skipped: no file noise_gaia/LogErrVsMagSpline2.csv");
    return;
  }
  std::ifstream file(path);
  std::array<std::vector<double>, 6> columns; // knots and coefficients of G, BP, RP
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream cells(line);
    std::string cell;
    for (auto& column : columns)
      if (std::getline(cells, cell, ',') && cell.find_first_of("0123456789") != std::string::npos)
        column.push_back(std::stod(cell));
  }
  REQUIRE(columns[0].size() == 36);
  REQUIRE(columns[2].size() == 24);
  REQUIRE(columns[4].size() == 24);
  const double made_for[]{200, 20, 20};
  for (std::size_t band = 0; band < 3; ++band) {
    const ErrorCurve curve = curves[band].with_floor(0).with_observations(made_for[band]);
    for (double m = 3.99; m < 21.016; m += 0.003) {
      CAPTURE(band);
      CAPTURE(m);
      // Rounding: 36 operations on numbers of order 1.
      REQUIRE(std::abs(std::log10(curve(m)) - b_spline(columns[2 * band], columns[2 * band + 1], m)) < 1e-13);
    }
  }
}

TEST_CASE("forward/gaia_noise: parallax errors of the published performance") {
  // Microarcseconds, half a unit of the last digit.
  const double rows[][3]{{10, 12.9, .05}, {13, 12.9, .05}, {15, 29.5, .05}, {17, 79.3, .05},
                         {18, 142, .5},   {19, 282, .5},   {20, 616, .5}};
  for (const auto& r : rows) CHECK(std::abs(1e3 * parallax_error(r[0]) - r[1]) <= r[2]);
  CHECK(parallax_error.floor == 0);
}
