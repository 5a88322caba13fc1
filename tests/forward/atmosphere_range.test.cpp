// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/atmosphere_range.hpp>
#include <sbi/forward/spectral_grid.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/atmosphere_range: an atmosphere with a constant box, and a grid with missing models") {
  const AnalyticAtmosphere analytic;
  const AtmosphereRange a = range(analytic);
  CHECK((a.teff_min == 2500 && a.teff_max == 30000 && a.log_g_min == 3 && a.log_g_max == 5.5));
  CHECK((a.mh_min == -1 && a.mh_max == 0.5));
  CHECK(a.wavelength_min == doctest::Approx(0.03));
  CHECK(a.wavelength_max == doctest::Approx(50));
  SpectralGrid grid({3000, 4000, 5000, 6000}, {3, 4, 5}, {-1, 0, 1}, {0.5, 2});
  CHECK_THROWS_WITH_AS((void)range(grid), doctest::Contains("no models"), ValueError);
  const std::vector<double> f{1, 2};
  grid.set(1, 1, 1, f), grid.set(2, 1, 1, f), grid.set(1, 2, 1, f);
  const AtmosphereRange g = range(grid); // of the models, not of the axes
  CHECK(g.teff_min == doctest::Approx(4000).epsilon(1e-12));
  CHECK(g.teff_max == doctest::Approx(5000).epsilon(1e-12));
  CHECK((g.log_g_min == 4 && g.log_g_max == 5 && g.mh_min == 0 && g.mh_max == 0));
  CHECK((g.wavelength_min == 0.5 && g.wavelength_max == 2));
}

TEST_CASE("forward/atmosphere_range: the common hull is what both cover") {
  const AnalyticAtmosphere analytic;
  SpectralGrid grid({4000, 5000}, {2, 4}, {0}, {0.5, 2});
  const std::vector<double> f{1, 2};
  for (std::size_t t : {0UL, 1UL})
    for (std::size_t g : {0UL, 1UL}) grid.set(t, g, 0, f);
  const auto star = [](double teff, double log_g, double mh) {
    return StarState{0, 9, mh, 0, std::log10(teff), log_g};
  };
  CHECK(common_hull(analytic, grid, star(4500, 3.5, 0)));
  CHECK(common_hull(grid, analytic, star(4500, 3.5, 0)));
  CHECK_FALSE(common_hull(analytic, grid, star(4500, 2.5, 0)));   // not the first
  CHECK_FALSE(common_hull(analytic, grid, star(5500, 3.5, 0)));   // not the second
  CHECK_FALSE(common_hull(analytic, grid, star(4500, 3.5, 0.1))); // one metallicity covers itself only
}
