// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/photometry.hpp>

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

std::vector<double> spectrum(const AnalyticAtmosphere& atmosphere, double teff, double log_g = 4.5,
                             double mh = 0) {
  std::vector<double> flux(AnalyticAtmosphere::grid_size);
  atmosphere.flux(std::log10(teff), log_g, mh, flux);
  return flux;
}

/// int F dlambda from one wavelength to another, trapezium rule in ln(lambda).
double integral(const AnalyticAtmosphere& atmosphere, const std::vector<double>& flux, double from,
                double to) {
  const auto w = atmosphere.wavelengths();
  double sum = 0;
  for (std::size_t i = 0; i + 1 < flux.size(); ++i)
    if (w[i] >= from && w[i + 1] <= to)
      sum += 0.5 * (flux[i] * w[i] + flux[i + 1] * w[i + 1]) * std::log(w[i + 1] / w[i]) * 1e4;
  return sum;
}

std::filesystem::path mamajek_file() {
  const char* given = std::getenv("SBI_DATA_DIR");
  const std::filesystem::path data = given ? given : SBI_SOURCE_DIR "/../shared/data";
  return data / "mamajek" / "EEM_dwarf_UBVIJHK_colors_Teff_20220416.txt";
}

} // namespace

TEST_CASE("forward/atmosphere: both families radiate sigma T^4 everywhere") {
  for (int family : {1, 2}) {
    const AnalyticAtmosphere atmosphere(family);
    for (double teff : {2500., 3300., 4500., 5772., 9000., 15000., 30000.})
      for (double mh : {-1.0, 0.0, 0.5}) {
        const auto flux = spectrum(atmosphere, teff, 4.2, mh);
        for (double f : flux) REQUIRE(f > 0);
        CHECK(integral(atmosphere, flux, 0, 100) ==
              doctest::Approx(stefan_boltzmann * std::pow(teff, 4)).epsilon(1e-4)); // the grid's two ends
      }
  }
}

TEST_CASE("forward/atmosphere: spectra are continuous in every parameter, with a continuous slope") {
  for (int family : {1, 2}) {
    const AnalyticAtmosphere atmosphere(family);
    const double h = 1e-5;
    // At the temperatures of the tables the pieces meet: slopes from both sides agree to the order of h.
    for (double teff : {2800., 3500., 4000., 4500., 6800., 8200., 10000., 20000.}) {
      const double centre = std::log10(teff);
      std::vector<double> at(512), left(512), right(512);
      atmosphere.flux(centre, 4.4, -0.2, at);
      atmosphere.flux(centre - h, 4.4, -0.2, left);
      atmosphere.flux(centre + h, 4.4, -0.2, right);
      for (std::size_t i = 160; i < 512; i += 8) { // lambda > 0.3 micron
        const double slope_left = std::log(at[i] / left[i]) / h, slope_right = std::log(right[i] / at[i]) / h;
        CHECK(std::abs(slope_left - slope_right) < 0.05); // second derivatives reach about 1e3
      }
    }
  }
}

TEST_CASE(
    "forward/atmosphere: hotter is bluer, metal-rich is fainter in the blue, cool stars show TiO and water") {
  const AnalyticAtmosphere atmosphere;
  const auto w = atmosphere.wavelengths();
  const auto nearest = [&](double lambda) {
    return static_cast<std::size_t>(std::lround(std::log(lambda / w[0]) / std::log(w[1] / w[0])));
  };
  double before = 0;
  for (double teff = 3000; teff < 12000; teff *= 1.1) {
    const auto f = spectrum(atmosphere, teff);
    const double blue_to_red = f[nearest(0.45)] / f[nearest(0.8)];
    CHECK(blue_to_red > before);
    before = blue_to_red;
  }
  const auto poor = spectrum(atmosphere, 5500, 4.5, -1), rich = spectrum(atmosphere, 5500, 4.5, 0.4);
  CHECK(rich[nearest(0.40)] < 0.85 * poor[nearest(0.40)]);
  const auto m_dwarf = spectrum(atmosphere, 3200), sun = spectrum(atmosphere, 5772),
             a_star = spectrum(atmosphere, 9500);
  const auto black_body = [&](double teff, double lambda) {
    return 1 / (std::pow(lambda, 5) * std::expm1(radiation_c2 / (lambda * teff)));
  };
  const auto depth = [&](const std::vector<double>& f, double teff, double inside, double outside) {
    return f[nearest(inside)] / f[nearest(outside)] * black_body(teff, outside) / black_body(teff, inside);
  };
  CHECK(depth(m_dwarf, 3200, 0.62, 0.75) < 0.6 * depth(sun, 5772, 0.62, 0.75)); // TiO
  CHECK(depth(sun, 5772, 1.65, 1.1) > 1.05);                                    // H- minimum of opacity
  CHECK(depth(a_star, 9500, 0.35, 0.40) < 0.6);                                 // Balmer edge
}

TEST_CASE("forward/atmosphere: Gaia colours of a 300 Myr isochrone") {
  // BaSTI-IAC, [M/H] = -0.08; Kurucz (1993) spectra come within 0.03 of these.
  // Each row: T_eff, log g, BP-RP, BP-G. The radius is not part of the reference, so colours are compared.
  const double colours[][4]{
      {4127, 4.74, 8.5998 - 7.0157, 8.5998 - 7.8538}, {5000, 4.65, 6.5983 - 5.5252, 6.5983 - 6.1418},
      {5844, 4.5, 5.1595 - 4.3798, 5.1595 - 4.8506},  {6462, 4.4, 4.1110 - 3.5104, 4.1110 - 3.8842},
      {7644, 4.3, 2.8660 - 2.5544, 2.8660 - 2.7552},  {9366, 4.2, 1.6138 - 1.6058, 1.6138 - 1.6101},
      {10315, 4.1, .6893 - .7587, .6893 - .7126}};
  const auto bands = passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP"});
  const StellarPhotometry<AnalyticAtmosphere, CCM89> stars(AnalyticAtmosphere{}, CCM89{}, bands);
  std::vector<double> flux(AnalyticAtmosphere::grid_size), m(3);
  for (const auto& c : colours) {
    CAPTURE(c[0]);
    stars.magnitudes({0, 8.477, -.08, 0, std::log10(c[0]), c[1]}, 0, 1, flux, m);
    CHECK(std::abs(m[1] - m[2] - c[2]) < .08);
    CHECK(std::abs(m[1] - m[0] - c[3]) < .05);
  }
}

TEST_CASE("forward/atmosphere: colours of dwarfs follow the empirical main sequence") {
  std::ifstream file(mamajek_file());
  if (!file) {
    MESSAGE("skipped: no " << mamajek_file());
    return;
  }
  const auto bands = passbands(
      {"GaiaDR2.G", "GaiaDR2.BP", "GaiaDR2.RP", "2MASS.J", "2MASS.H", "2MASS.Ks", "WISE.W1", "WISE.W2"});
  const StellarPhotometry<AnalyticAtmosphere, CCM89> one(AnalyticAtmosphere(1), CCM89{}, bands),
      two(AnalyticAtmosphere(2), CCM89{}, bands);
  std::vector<double> flux(AnalyticAtmosphere::grid_size), m1(bands.size()), m2(bands.size());
  std::ostringstream table;
  std::string line;
  int stars = 0;
  double worst = 0;
  table.precision(3);
  table << "type T_eff: model minus table of BP-RP, J-Ks, Ks-W1; family 1, family 2\n";
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::vector<std::string> c;
    for (std::string word; words >> word;) c.push_back(word);
    if (c.size() < 32 || c[0].front() == '#' || c[0] == "SpT") continue;
    if (c[1].starts_with("..") || c[6].starts_with("..")) continue;
    const double teff = std::stod(c[1]), radius = std::stod(c[6]);
    if (teff < 3500 || teff > 10000) continue;
    const auto unknown = [&](std::size_t column) { return c[column].starts_with(".."); };
    if (unknown(4) || unknown(11) || unknown(19) || unknown(20) || unknown(23) || unknown(30)) continue;
    const double log_g = solar_log_g + std::log10(std::stod(c[30]) / (radius * radius));
    const StarState star{0, 9, 0, std::stod(c[4]), std::log10(teff), log_g};
    one.magnitudes(star, 0, 1, flux, m1);
    two.magnitudes(star, 0, 1, flux, m2);
    const std::array<double, 3> want{std::stod(c[11]), std::stod(c[19]) + std::stod(c[20]), std::stod(c[23])};
    const std::size_t pair[3][2]{{1, 2}, {3, 5}, {5, 6}};
    table << c[0] << ' ' << teff << ':';
    for (int family : {1, 2})
      for (std::size_t k = 0; k < 3; ++k) {
        const std::vector<double>& m = family == 1 ? m1 : m2;
        const double residual = m[pair[k][0]] - m[pair[k][1]] - want[k];
        table << ' ' << residual;
        CAPTURE(c[0]);
        CAPTURE(k);
        // Family 1: as well as table and model atmospheres agree with each other. Family 2: its distortion of
        // the cool stars reaches 0.25 mag.
        CHECK(std::abs(residual) < (family == 1 ? 0.10 : 0.30));
        if (family == 1) worst = std::max(worst, std::abs(residual));
      }
    table << '\n';
    ++stars;
  }
  CHECK(stars > 40);
  MESSAGE(table.str());
  MESSAGE("largest residual of family 1: " << worst << " mag over " << stars << " spectral types");
}

TEST_CASE("forward/atmosphere: family 2 differs from family 1 by the measured amounts, in proportion to the "
          "amplitude") {
  const AnalyticAtmosphere one, two(2), half(2, 0.5), none(2, 0);
  const double boxes[][2]{{.38, .43}, {.43, .50}, {.50, .60}, {.60, .70}, {.70, .90},
                          {1.1, 1.4}, {1.5, 1.8}, {2.0, 2.3}, {3.0, 3.8}};
  for (std::size_t t = 0; t < detail::library_teff.size(); ++t) {
    const double teff = detail::library_teff[t];
    const auto a = spectrum(one, teff), b = spectrum(two, teff), c = spectrum(half, teff),
               d = spectrum(none, teff);
    CHECK(a == d);
    for (std::size_t k = 0; k < 9; ++k) {
      const auto shift = [&](const std::vector<double>& f) {
        return -2.5 * std::log10(integral(two, f, boxes[k][0], boxes[k][1]) /
                                 integral(one, a, boxes[k][0], boxes[k][1]));
      };
      CAPTURE(teff);
      CAPTURE(k);
      // Boxes average a smooth curve whose value is right at their centres, and both spectra are scaled to
      // sigma T^4; the curve turns fastest around 0.8 micron.
      CHECK(std::abs(shift(b) - detail::library_shift[t][k]) < (k == 4 ? 0.11 : 0.07));
      CHECK(std::abs(shift(c) - 0.5 * shift(b)) < 0.01);
    }
  }
}

TEST_CASE("forward/atmosphere: outside its range there is no spectrum") {
  const AnalyticAtmosphere atmosphere;
  std::vector<double> flux(512), few(3);
  CHECK(atmosphere.covers(std::log10(2500.), 3, -1));
  CHECK(atmosphere.covers(std::log10(30000.), 5.5, .5));
  CHECK_FALSE(atmosphere.covers(std::log10(2400.), 4.5, 0));
  CHECK_FALSE(atmosphere.covers(std::nan(""), 4.5, 0));
  CHECK_THROWS_AS(atmosphere.flux(std::log10(31000.), 4.5, 0, flux), sbi::ValueError);
  CHECK_THROWS_AS(atmosphere.flux(3.7, 2.9, 0, flux), sbi::ValueError);
  CHECK_THROWS_AS(atmosphere.flux(3.7, 4.5, -1.1, flux), sbi::ValueError);
  CHECK_THROWS_AS(atmosphere.flux(3.7, 4.5, 0, few), sbi::ShapeError);
  CHECK_THROWS_AS(AnalyticAtmosphere(3), sbi::ValueError);
  CHECK_THROWS_AS(AnalyticAtmosphere(2, std::nan("")), sbi::ValueError);
}
