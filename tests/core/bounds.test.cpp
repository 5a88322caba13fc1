// SPDX-License-Identifier: MIT
#include <sbi/core/bounds.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("core/bounds: unbounded unless said otherwise") {
  constexpr sbi::Bounds none, positive{0}, unit{0, 1};
  CHECK(std::isinf(none.low));
  CHECK(none.low < 0);
  CHECK(std::isinf(none.high));
  CHECK(none.high > 0);
  CHECK(positive.low == 0);
  CHECK(std::isinf(positive.high));
  CHECK(unit.low == 0);
  CHECK(unit.high == 1);
}
