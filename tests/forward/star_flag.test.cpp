// SPDX-License-Identifier: MIT
#include <sbi/forward/star_flag.hpp>

#include <doctest/doctest.h>

#include <vector>

using namespace sbi::forward;

TEST_CASE("forward/star_flag: what shines, what coverage means, and counts that add up") {
  CHECK(shines(StarFlag::whole));
  CHECK(shines(StarFlag::dark_companions));
  for (StarFlag flag :
       {StarFlag::no_evolution, StarFlag::no_atmosphere, StarFlag::no_light, StarFlag::bad_value})
    CHECK_FALSE(shines(flag));
  CHECK(star_flag(Coverage::whole) == StarFlag::whole);
  CHECK(star_flag(Coverage::dark_companions) == StarFlag::dark_companions);
  CHECK(star_flag(Coverage::no_model) == StarFlag::no_atmosphere);
  CHECK(star_flag(Coverage::bad_value) == StarFlag::bad_value);

  StarFlagCounts counts;
  counts.add(std::vector{StarFlag::whole, StarFlag::no_light, StarFlag::whole});
  counts.add(std::vector{StarFlag::bad_value});
  CHECK(counts(StarFlag::whole) == 2);
  CHECK(counts(StarFlag::no_light) == 1);
  CHECK(counts.total() == 4);
  CHECK(counts.text() ==
        "4 stars: 0 with a companion that has no model, 0 outside the evolution, 0 outside the atmospheres, "
        "1 without light in a band, 1 with unusable numbers");
}
