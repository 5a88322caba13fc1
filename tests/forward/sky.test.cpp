// SPDX-License-Identifier: MIT
#include <sbi/forward/sky.hpp>

#include <doctest/doctest.h>

using namespace sbi::forward;

TEST_CASE("forward/sky: the axes, and angles that come back") {
  const auto centre = sky_vector(0, 0), rotation = sky_vector(90, 0), pole = sky_vector(17, 90);
  CHECK(centre[0] == 1);
  CHECK(rotation[1] == doctest::Approx(1));
  CHECK(pole[2] == doctest::Approx(1));
  for (double l : {0., 12.5, 180., 359.9})
    for (double b : {-89.9, -30., 0., 45.}) {
      auto v = sky_vector(l, b);
      for (double& x : v) x *= 3;
      const auto [longitude, latitude] = sky_angles(v);
      CHECK(longitude == doctest::Approx(l).epsilon(1e-12));
      CHECK(latitude == doctest::Approx(b).epsilon(1e-12));
    }
  CHECK(sky_angles({1, -1e-30, 0})[0] == 0); // 360 degrees are 0
}
