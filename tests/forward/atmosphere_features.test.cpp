// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere_features.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

using namespace sbi::forward::detail;

TEST_CASE("forward/atmosphere_features: tables in order, names unique, strengths moderate") {
  CHECK(std::is_sorted(feature_teff.begin(), feature_teff.end()));
  CHECK(std::is_sorted(feature_gravity_teff.begin(), feature_gravity_teff.end()));
  CHECK(std::is_sorted(feature_metal_teff.begin(), feature_metal_teff.end()));
  std::set<std::string> names;
  for (const Feature& f : features) {
    CAPTURE(std::string(f.name));
    CHECK(names.insert(f.name).second);
    CHECK(f.centre > 0.05);
    CHECK(f.centre < 10);
    // Narrower than the grid's step of 0.0145 in ln(lambda) would be lost between its points.
    CHECK(std::abs(f.width) > (f.edge ? 0.01 : 0.0145));
    for (double a : f.solar) CHECK(std::abs(a) < 12);
    if (f.centre > 0.32) // where the bands are: no feature may take more than a factor exp(4)
      for (double a : f.solar) CHECK(std::abs(a) < 4);
  }
}
