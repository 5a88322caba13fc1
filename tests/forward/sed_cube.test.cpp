// SPDX-License-Identifier: MIT
#include <sbi/forward/sed_cube.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// Two models, three apertures, three wavelengths; flux (m, a, w) = 100 m + 10 a + 2^w.
SedCube cube() {
  SedCube c;
  c.names = {"one_01", "one_02"};
  c.wavelengths = {1, 10, 100};
  c.apertures = {100, 1000, 10000};
  c.fluxes = Tensor<float>(Shape{2, 3, 3});
  for (index_t m = 0; m < 2; ++m)
    for (index_t a = 0; a < 3; ++a)
      for (index_t w = 0; w < 3; ++w)
        c.fluxes(m * 3 + a, w) =
            static_cast<float>(100. * static_cast<double>(m) + 10. * static_cast<double>(a) +
                               std::pow(2., static_cast<double>(w)));
  c.valid = {true, false};
  return c;
}

} // namespace

TEST_CASE("forward/sed_cube: fluxes between apertures are linear in their logarithm") {
  const SedCube c = cube();
  c.check();
  CHECK(c.sed(1, 1000) == std::vector<double>{111, 112, 114});
  const std::vector<double> between = c.sed(0, std::sqrt(1e5)); // half way from 100 to 1000
  for (std::size_t i = 0; i < 3; ++i) CHECK(between[i] == doctest::Approx(5 + std::pow(2, i)).epsilon(1e-12));
  CHECK(c.sed(c.index("one_02"), 10000)[0] == 121);
  CHECK_THROWS_WITH_AS((void)c.sed(0, 99), doctest::Contains("aperture 99 au; want 100 to 10000"),
                       ValueError);
  CHECK_THROWS_AS((void)c.sed(0, 10001), ValueError);
  CHECK_THROWS_AS((void)c.sed(2, 100), ValueError);
  CHECK_THROWS_WITH_AS((void)c.index("two"), doctest::Contains("no model 'two' among 2"), ValueError);
}

TEST_CASE("forward/sed_cube: fluxes between wavelengths are power laws") {
  const SedCube c = cube();
  CHECK(c.flux(0, 100, 10) == 2);
  CHECK(c.flux(0, 100, std::sqrt(10.)) == doctest::Approx(std::sqrt(2.)).epsilon(1e-12));
  CHECK(c.flux(0, 100, 100) == 4);
  CHECK_THROWS_WITH_AS((void)c.flux(0, 100, 101), doctest::Contains("wavelength 101 micron"), ValueError);
  SedCube zero = cube();
  zero.fluxes(0, 1) = 0;
  CHECK(zero.flux(0, 100, 5.5) == doctest::Approx(.5)); // a straight line down to nothing
}

TEST_CASE("forward/sed_cube: blanks stay where they are") {
  SedCube c = cube();
  c.fluxes(1, 2) = std::numeric_limits<float>::quiet_NaN(); // first model, 1000 au, 100 micron
  CHECK(is_missing(c.sed(0, 1000)[2]));
  CHECK(is_missing(c.sed(0, 500)[2]));
  CHECK(c.sed(0, 100)[2] == 4); // the blank neighbour has no weight
  CHECK(c.flux(0, 1000, 10) == 12);
}

TEST_CASE("forward/sed_cube: without apertures every aperture is the same") {
  SedCube c = cube();
  c.apertures.clear();
  c.fluxes = Tensor<float>(Shape{2, 1, 3}, {1, 2, 3, 4, 5, 6});
  c.check();
  CHECK(c.sed(1, 7) == std::vector<double>{4, 5, 6});
}

TEST_CASE("forward/sed_cube: parameters by name and as an object") {
  SedCube c = cube();
  c.parameters.columns = {{"star.radius", "", 1, {2, 3}},
                          {"disk.rmax", "", 1, {200, 300}},
                          {"Sphere Masses", "Msun", 3, {1, 2, 3, 4, 5, 6}}};
  c.check();
  CHECK(c.parameters.column("Sphere Masses").values[4] == 5);
  const YsoParameters p = c.parameters.object(1);
  CHECK(p.star_radius == 3);
  CHECK(p.disk_rmax == 300);
  CHECK(is_missing(p.star_temperature));
  CHECK_THROWS_WITH_AS((void)c.parameters.column("Av"),
                       doctest::Contains("no column 'Av'; want one of 'star.radius'"), ValueError);
}

TEST_CASE("forward/sed_cube: parts that do not fit are named") {
  SedCube c = cube();
  c.names.emplace_back("three");
  CHECK_THROWS_WITH_AS(c.check(), doctest::Contains("fluxes [2,3,3]"), ShapeError);
  c = cube();
  c.uncertainties = Tensor<float>(Shape{2, 3, 2});
  CHECK_THROWS_AS(c.check(), ShapeError);
  c = cube();
  c.apertures[1] = 50;
  CHECK_THROWS_WITH_AS(c.check(), doctest::Contains("aperture 50 after 100"), ValueError);
  c = cube();
  c.distance = 0;
  CHECK_THROWS_AS(c.check(), ValueError);
  c = cube();
  c.parameters.columns = {{"star.radius", "", 1, {2}}};
  CHECK_THROWS_WITH_AS(c.check(), doctest::Contains("column 'star.radius' has 1 values"), ShapeError);
}
