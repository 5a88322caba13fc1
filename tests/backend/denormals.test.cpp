// SPDX-License-Identifier: MIT
#include <sbi/backend/denormals.hpp>

#include <doctest/doctest.h>

#include <limits>

namespace {
// volatile: the division must happen where it is written, not at compile time.
bool keeps_denormals() {
  volatile float small = std::numeric_limits<float>::min();
  volatile float smaller = small / 4;
  volatile float denormal = std::numeric_limits<float>::denorm_min();
  return smaller * 4 == small && denormal * 1.0F != 0;
}
} // namespace

TEST_CASE("backend/denormals: flushed inside the scope, back after it, also when scopes nest or throw") {
  REQUIRE(keeps_denormals());
#if defined(__SSE2__)
  {
    const sbi::FlushDenormals outer;
    CHECK(!keeps_denormals());
    {
      const sbi::FlushDenormals inner;
      CHECK(!keeps_denormals());
    }
    CHECK(!keeps_denormals());
  }
  CHECK(keeps_denormals());
  try {
    const sbi::FlushDenormals scope;
    throw 1;
  } catch (int) {
  }
#endif
  CHECK(keeps_denormals());
}
