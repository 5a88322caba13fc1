// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>
#include <sbi/forward/sed_photometry.hpp>
#include <sbi/forward/yso_star.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/sed_photometry: a spectrum flat in frequency has one AB magnitude in all bands") {
  const BlackBodyStar grid;
  const std::vector<double> flat(200, 3631e3 * std::pow(10, -.4 * 7)); // mJy of AB = 7
  std::vector<Passband> bands =
      passbands({"GaiaDR3.G", "2MASS.J", "2MASS.Ks", "WISE.W1", "WISE.W3", "WISE.W4"});
  for (Passband& b : bands) b.zero_point = ab_zero_point(b);
  for (const double m : sed_magnitudes(grid.wavelengths(), flat, bands))
    CHECK(m == doctest::Approx(7).epsilon(1e-7));
  // 100 pc is 5 magnitudes nearer than 1 kpc.
  for (const double m : sed_magnitudes(grid.wavelengths(), flat, bands, 2))
    CHECK(m == doctest::Approx(2).epsilon(1e-7));
}

TEST_CASE("forward/sed_photometry: 200 points are enough for the magnitudes of a black body") {
  // The same black body on 6000 points; power laws between points a factor 1.068 apart cost at most 3 mmag.
  const BlackBodyStar grid;
  std::vector<double> coarse, fine_grid, fine;
  const double t = 4000;
  const auto planck = [&](double w) { return 1e8 / (w * w * w * std::expm1(radiation_c2 / (w * t))); };
  for (const double w : grid.wavelengths()) coarse.push_back(planck(w));
  for (int i = 0; i < 6000; ++i) {
    fine_grid.push_back(.02 * std::pow(5e4, i / 5999.));
    fine.push_back(planck(fine_grid.back()));
  }
  const std::vector<Passband> bands = passbands({"GaiaDR3.BP", "GaiaDR3.G", "2MASS.H", "WISE.W2", "WISE.W4"});
  const auto a = sed_magnitudes(grid.wavelengths(), coarse, bands),
             b = sed_magnitudes(fine_grid, fine, bands);
  for (std::size_t k = 0; k < bands.size(); ++k) CHECK(std::abs(a[k] - b[k]) < .003);
}

TEST_CASE("forward/sed_photometry: F_lambda, missing fluxes and wrong lengths") {
  // 1e-23 erg/s/cm^2/Hz c / lambda^2 with c = 2.99792458e18 A/s and lambda = 1e4 A.
  CHECK(f_lambda(1000, 1) == doctest::Approx(2.99792458e-13).epsilon(1e-12));
  const BlackBodyStar grid;
  std::vector<double> flux(200, 1.0);
  flux[80] = missing; // 1.96 micron, in Ks
  const auto m = sed_magnitudes(grid.wavelengths(), flux, passbands({"2MASS.J", "2MASS.Ks"}));
  CHECK(is_finite(m[0]));
  CHECK(is_missing(m[1]));
  flux[80] = -1;
  CHECK_THROWS_AS((void)sed_magnitudes(grid.wavelengths(), flux, passbands({"2MASS.Ks"})), ValueError);
  CHECK(is_missing(sed_magnitudes(grid.wavelengths(), std::vector<double>(200), passbands({"2MASS.J"}))[0]));
  CHECK_THROWS_AS((void)sed_magnitudes(grid.wavelengths(), std::vector<double>(3), passbands({"2MASS.J"})),
                  ShapeError);
}
