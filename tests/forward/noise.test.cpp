// SPDX-License-Identifier: MIT
#include <sbi/forward/noise.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

using namespace sbi::forward;

namespace {

double without_floor(double sigma) { return std::sqrt(sigma * sigma - 0.003 * 0.003); }

/// de Boor's recursion for a cubic B-spline with knots t and coefficients c.
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

TEST_CASE("forward/noise: Gaia photometric errors at the magnitudes of the reference") {
  // Published performance in mmag, before the floor; the table is within 0.007 dex, 1.6 %, up to magnitude 19
  // and within 2 % at 20.
  const double rows[][4]{{13, .190, .62, .51},   {15, .274, 1.27, 1.56}, {17, .737, 4.55, 6.95},
                         {18, 1.27, 9.46, 14.8}, {19, 2.36, 20.9, 31.6}, {20, 4.51, 44.4, 71.8}};
  for (const auto& r : rows) {
    CAPTURE(r[0]);
    CHECK(1e3 * without_floor(gaia_g_error(r[0])) == doctest::Approx(r[1]).epsilon(.02));
    CHECK(1e3 * without_floor(gaia_bp_error(r[0])) == doctest::Approx(r[2]).epsilon(.02));
    CHECK(1e3 * without_floor(gaia_rp_error(r[0])) == doctest::Approx(r[3]).epsilon(.02));
  }
  CHECK(gaia_g_error(22) > 2 * gaia_g_error(21)); // grows beyond the table
  CHECK(gaia_g_error(2) == gaia_g_error(5));
}

TEST_CASE("forward/noise: the table follows the spline that it was fitted to") {
  const char* given = std::getenv("SBI_DATA_DIR");
  const std::filesystem::path data = given ? given : SBI_SOURCE_DIR "/../shared/data";
  std::ifstream file(data / "noise_gaia" / "LogErrVsMagSpline2.csv");
  if (!file) {
    MESSAGE("skipped: no spline file in " << (data / "noise_gaia").string());
    return;
  }
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
  double (*const errors[])(double){gaia_g_error, gaia_bp_error, gaia_rp_error};
  const double observations[]{351. / 200, 40. / 20, 40. / 20}, bright_limit[]{.11, .011, .011};
  for (std::size_t band = 0; band < 3; ++band)
    for (double m = 6.05; m < 20; m += 0.1) {
      CAPTURE(band);
      CAPTURE(m);
      const double spline =
          b_spline(columns[2 * band], columns[2 * band + 1], m) - 0.5 * std::log10(observations[band]);
      const double difference = std::log10(without_floor(errors[band](m))) - spline;
      // Between 10 and 13 the G spline shows the changes of gate and window, which the table smooths.
      CHECK(std::abs(difference) < (m < 13 ? bright_limit[band] : 0.007));
    }
}

TEST_CASE("forward/noise: parallax errors of the published performance") {
  const double rows[][2]{{10, 12.9}, {13, 12.9}, {15, 29.5}, {17, 79.3}, {18, 142}, {19, 282}, {20, 616}};
  for (const auto& r : rows)
    CHECK(1e3 * parallax_error(r[0]) == doctest::Approx(r[1]).epsilon(.005)); // three digits
}

TEST_CASE("forward/noise: infrared errors have their floor and their scale") {
  CHECK(j_error(5) == doctest::Approx(.022).epsilon(1e-3));
  CHECK(j_error(16.5) == doctest::Approx(std::hypot(.022, .1)).epsilon(1e-12));
  CHECK(h_error(15.5) == doctest::Approx(std::hypot(.022, .0986)).epsilon(1e-12));
  CHECK(ks_error(15.5) == doctest::Approx(std::hypot(.018, .138)).epsilon(1e-12));
  CHECK(w1_error(15.5) == doctest::Approx(std::hypot(.0225, .035)).epsilon(1e-12));
  CHECK(w2_error(15.5) == doctest::Approx(std::hypot(.020, .097)).epsilon(1e-12));
}

TEST_CASE("forward/noise: detected fractions of the stars of M67") {
  // Fractions of 1585 stars in bins of half a magnitude (50-230 stars each: +-.01 to .05), placed by their
  // Gaia colour.
  struct Row {
    std::size_t channel;
    double magnitude, fraction;
  };
  const Row rows[]{{4, 13.25, 1.00}, {4, 15.25, .98}, {4, 16.25, .98}, {4, 16.75, .96},
                   {5, 14.25, .98},  {5, 15.75, .98}, {6, 12.25, .99}, {6, 14.75, .99},
                   {6, 15.75, .86},  {7, 12.25, .99}, {7, 13.75, .94}, {7, 14.75, .91},
                   {7, 15.25, .91},  {8, 12.25, .99}, {8, 13.75, .94}, {8, 15.25, .91}};
  for (const Row& r : rows) {
    CAPTURE(r.channel);
    CAPTURE(r.magnitude);
    CHECK(std::abs(gaia_2mass_wise[r.channel].detection(r.magnitude) - r.fraction) < .09);
  }
}

TEST_CASE("forward/noise: noise has the stated size, and values go missing together, alone, and when faint") {
  const std::array<double, 9> bright{12, 12.3, 11.5, 2.0, 10.9, 10.6, 10.5, 10.4, 10.4};
  std::array<double, 9> x{}, sigma{};
  constexpr int n = 20000;
  sbi::Rng rng(3);
  std::array<double, 9> sum{}, squares{}, seen{};
  for (int i = 0; i < n; ++i) {
    observe(rng, bright, {}, x, sigma);
    for (std::size_t c = 0; c < 9; ++c) {
      CHECK(sbi::is_missing(x[c]) == sbi::is_missing(sigma[c]));
      if (sbi::is_missing(x[c])) continue;
      const double z = (x[c] - bright[c]) / sigma[c];
      sum[c] += z, squares[c] += z * z, seen[c] += 1;
    }
  }
  for (std::size_t c = 0; c < 9; ++c) { // 4.5 sigma of the mean, of the variance, of the fraction
    CHECK(std::abs(sum[c] / seen[c]) < 4.5 / std::sqrt(seen[c]));
    CHECK(std::abs(squares[c] / seen[c] - 1) < 4.5 * std::sqrt(2 / seen[c]));
    const double p = gaia_2mass_wise[c].detection(bright[gaia_2mass_wise[c].governed_by]);
    CHECK(std::abs(seen[c] / n - p) < 4.5 * std::sqrt(p * (1 - p) / n) + 1e-9);
  }

  const Missingness half = Missingness::at_random(0.5);
  int lost = 0, two_mass_gone = 0, j_only = 0;
  for (int i = 0; i < n; ++i) {
    observe(rng, bright, half, x, sigma);
    for (double v : x) lost += sbi::is_missing(v);
    const bool j = sbi::is_missing(x[4]), h = sbi::is_missing(x[5]), k = sbi::is_missing(x[6]);
    two_mass_gone += j && h && k;
    j_only += j && !h && !k;
  }
  CHECK(std::abs(lost / (9.0 * n) - 0.5) < .02); // and about .01 that were not detected
  const double each = 1 - std::sqrt(0.5);
  CHECK(two_mass_gone / double(n) > each);       // the footprint alone does this much
  CHECK(two_mass_gone / double(n) < each + .06); // and three single losses the rest
  CHECK(j_only / double(n) == doctest::Approx((1 - each) * each * (1 - each) * (1 - each)).epsilon(.1));

  std::array<double, 9> faint = bright;
  for (std::size_t c = 4; c <= 6; ++c) faint[c] += 5.7;
  int faint_h = 0, faint_k = 0;
  for (int i = 0; i < n; ++i) {
    observe(rng, faint, {}, x, sigma);
    faint_h += !sbi::is_missing(x[5]), faint_k += !sbi::is_missing(x[6]);
    if (!sbi::is_missing(x[6])) CHECK_FALSE(sbi::is_missing(x[5])); // H reaches deeper: nested detections
  }
  CHECK(faint_k < faint_h);
  CHECK(faint_h < 0.97 * n);
}

TEST_CASE("forward/noise: two models of one star share their noise") {
  std::array<double, 9> a{12, 12.3, 11.5, 2.0, 10.9, 10.6, 10.5, 10.4, 10.4}, b = a;
  for (double& v : b) v += 0.01;
  std::array<double, 9> xa{}, xb{}, sa{}, sb{};
  sbi::Rng ra(9), rb(9);
  for (int i = 0; i < 50; ++i) {
    observe(ra, a, Missingness::at_random(0.3), xa, sa);
    observe(rb, b, Missingness::at_random(0.3), xb, sb);
    for (std::size_t c = 0; c < 9; ++c)
      if (!sbi::is_missing(xa[c]) && !sbi::is_missing(xb[c]))
        CHECK((xa[c] - a[c]) / sa[c] == doctest::Approx((xb[c] - b[c]) / sb[c]).epsilon(1e-9));
  }
  CHECK(ra() == rb()); // and used up as many random numbers
}

TEST_CASE("forward/noise: wrong lengths and rates are refused") {
  std::array<double, 9> nine{};
  std::array<double, 3> three{};
  sbi::Rng rng(1);
  CHECK_THROWS_AS(observe(rng, three, {}, nine, nine), sbi::ShapeError);
  CHECK_THROWS_AS((void)Missingness::at_random(1.5), sbi::ValueError);
}
