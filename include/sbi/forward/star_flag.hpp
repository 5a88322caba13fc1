// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/light_source.hpp>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sbi::forward {

/// What became of a star on its way from mass and age to light. `dark_companions`: a companion has no model
/// and adds no light. The others have no true values: the evolution has no such star (too young, too old,
/// beyond its life), no model atmosphere is near, dust leaves nothing in some band, or a number cannot be
/// used.
enum class StarFlag : std::uint8_t {
  whole,
  dark_companions,
  no_evolution,
  no_atmosphere,
  no_light,
  bad_value
};
inline constexpr std::size_t star_flag_count = 6;

/// Whether the star has true values.
[[nodiscard]] constexpr bool shines(StarFlag flag) { return flag <= StarFlag::dark_companions; }

[[nodiscard]] constexpr StarFlag star_flag(Coverage coverage) {
  switch (coverage) {
  case Coverage::whole:
    return StarFlag::whole;
  case Coverage::dark_companions:
    return StarFlag::dark_companions;
  case Coverage::no_model:
    return StarFlag::no_atmosphere;
  case Coverage::bad_value:
    break;
  }
  return StarFlag::bad_value;
}

/// How many stars have which flag. Counts of parts of a sample add up to those of the whole.
class StarFlagCounts {
public:
  void add(std::span<const StarFlag> flags) {
    for (const StarFlag flag : flags) ++counts_[static_cast<std::size_t>(flag)];
  }
  [[nodiscard]] index_t operator()(StarFlag flag) const { return counts_[static_cast<std::size_t>(flag)]; }
  [[nodiscard]] index_t total() const {
    index_t sum = 0;
    for (const index_t count : counts_) sum += count;
    return sum;
  }
  /// One sentence for a log.
  [[nodiscard]] std::string text() const {
    constexpr std::array<std::string_view, star_flag_count> what{"",
                                                                 " with a companion that has no model, ",
                                                                 " outside the evolution, ",
                                                                 " outside the atmospheres, ",
                                                                 " without light in a band, ",
                                                                 " with unusable numbers"};
    std::string out = sbi::text(total(), " stars: ");
    for (std::size_t k = 1; k < star_flag_count; ++k) out += sbi::text(counts_[k], what[k]);
    return out;
  }

private:
  std::array<index_t, star_flag_count> counts_{};
};

} // namespace sbi::forward
