// SPDX-License-Identifier: MIT
// Missing is NaN in data and a mask inside. NaN is recognised by its bits, so that code built with
// -ffast-math, where x != x may be folded to false, still sees it.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>

namespace sbi {

inline constexpr double missing = std::numeric_limits<double>::quiet_NaN();

[[nodiscard]] constexpr bool is_missing(double x) {
  return (std::bit_cast<std::uint64_t>(x) & 0x7fffffffffffffffULL) > 0x7ff0000000000000ULL;
}
[[nodiscard]] constexpr bool is_missing(float x) {
  return (std::bit_cast<std::uint32_t>(x) & 0x7fffffffU) > 0x7f800000U;
}
/// Neither NaN nor infinite, also under -ffast-math.
[[nodiscard]] constexpr bool is_finite(double x) {
  return (std::bit_cast<std::uint64_t>(x) & 0x7ff0000000000000ULL) != 0x7ff0000000000000ULL;
}
[[nodiscard]] constexpr bool is_finite(float x) {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000U) != 0x7f800000U;
}

} // namespace sbi
