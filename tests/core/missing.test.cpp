// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace {
template <class T> void check_bits() {
  using L = std::numeric_limits<T>;
  CHECK(sbi::is_missing(L::quiet_NaN()));
  CHECK(sbi::is_missing(-L::quiet_NaN()));
  CHECK(sbi::is_missing(L::signaling_NaN()));
  for (T x : {L::infinity(), -L::infinity(), L::max(), L::lowest(), L::denorm_min(), T{0}, -T{0}, T{1}}) {
    CHECK(!sbi::is_missing(x));
    CHECK(sbi::is_finite(x) == (x - x == 0));
  }
  CHECK(!sbi::is_finite(L::quiet_NaN()));
}
} // namespace

TEST_CASE("core/missing: NaN and nothing else is missing, in both precisions") {
  check_bits<float>();
  check_bits<double>();
  static_assert(sbi::is_missing(sbi::missing) && !sbi::is_missing(0.0));
  CHECK(sbi::is_missing(static_cast<float>(sbi::missing)));
}

TEST_CASE("core/missing: every NaN pattern counts, the smallest and the largest payload too") {
  CHECK(sbi::is_missing(std::bit_cast<double>(std::uint64_t{0x7ff0000000000001})));
  CHECK(sbi::is_missing(std::bit_cast<double>(std::uint64_t{0xffffffffffffffff})));
  CHECK(sbi::is_missing(std::bit_cast<float>(std::uint32_t{0x7f800001})));
  CHECK(sbi::is_missing(std::bit_cast<float>(std::uint32_t{0xffffffff})));
}
