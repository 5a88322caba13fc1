// SPDX-License-Identifier: MIT
// The channels of Gaia DR3, 2MASS and AllWISE.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/forward/gaia_noise.hpp>
#include <sbi/forward/infrared_noise.hpp>
#include <sbi/forward/noise.hpp>
#include <sbi/forward/selection.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// Everything that the library knows how to observe. The plateaus and slopes of 2MASS, W1 and W2 were fitted
/// to the detections of M67's 1585 stars (within .03 in bins of half a magnitude to J 17, H 16.5, Ks 16, W1
/// 16); the limits beyond are those of the catalogues, as are Gaia's, approximately. W3 and W4 are measured
/// wherever AllWISE lists a star, and published from two standard deviations: this gives the detections of
/// M67 from their errors alone. "XP" has no error: it is there for its outcome, and passes its true value on;
/// DR3 has mean low-resolution spectra of stars with G < 17.65 (De Angeli et al. 2023, A&A 674, A2), and
/// lacks those with fewer than 15 transits, which are not modelled.
inline constexpr std::array<Channel, 12> survey_channels{{
    {"G", Mission::gaia, 0, gaia_g_error, {.999, 21.0, .15}},
    {"BP", Mission::gaia, 1, gaia_bp_error, {.998, 21.3, .25}},
    {"RP", Mission::gaia, 2, gaia_rp_error, {.998, 20.5, .25}},
    {"parallax", Mission::gaia, 0, parallax_error, {.99, 20.9, .15}},
    {"J", Mission::two_mass, 4, j_error, {.987, 17.3, .25}},
    {"H", Mission::two_mass, 5, h_error, {.987, 16.9, .25}},
    {"Ks", Mission::two_mass, 6, ks_error, {.987, 16.2, .24}},
    {"W1", Mission::wise, 7, w1_error, {.985, 17.6, .90}},
    {"W2", Mission::wise, 8, w2_error, {.985, 17.4, .90}},
    {"W3", Mission::wise, 9, w3_error, {.985, 17.6, .90}, 7, 2},
    {"W4", Mission::wise, 10, w4_error, {.985, 17.6, .90}, 7, 2},
    {"XP", Mission::gaia, 0, {}, {.998, 17.65, 0}},
}};

/// The nine of them that nearly all stars have.
inline constexpr std::span<const Channel, 9> gaia_2mass_wise = std::span(survey_channels).first<9>();

/// Some of `survey_channels` in the given order, ready to be changed (floors, observations, offsets) or added
/// to. Throws ValueError for a name that is unknown or comes twice, or a channel without the one that governs
/// or lists it: a parallax wants G, XP wants G, W3 and W4 want W1.
[[nodiscard]] inline std::vector<Channel> channels_named(std::span<const std::string_view> names) {
  const auto position = [&](std::string_view wanted, std::string_view needed_by) {
    const auto at = std::find(names.begin(), names.end(), wanted);
    if (at == names.end())
      throw ValueError(
          sbi::text("channels: ", needed_by, " wants ", wanted, " in the list, whose magnitude decides"));
    return static_cast<std::size_t>(at - names.begin());
  };
  std::vector<Channel> out;
  for (const std::string_view wanted : names) {
    const auto known = std::find_if(survey_channels.begin(), survey_channels.end(),
                                    [&](const Channel& c) { return c.name == wanted; });
    if (known == survey_channels.end()) {
      std::string all;
      for (const Channel& c : survey_channels) all += sbi::text(all.empty() ? "" : ", ", c.name);
      throw ValueError(sbi::text("channels: '", wanted, "' is unknown; want one of ", all));
    }
    if (std::count(names.begin(), names.end(), wanted) != 1)
      throw ValueError(sbi::text("channels: ", wanted, " comes more than once; want it once"));
    Channel channel = *known;
    channel.governed_by = position(survey_channels[known->governed_by].name, wanted);
    channel.listed_by = position(survey_channels[known->listed_by].name, wanted);
    out.push_back(channel);
  }
  return out;
}

[[nodiscard]] inline std::vector<Channel> channels_named(std::initializer_list<std::string_view> names) {
  return channels_named(std::span(names.begin(), names.size()));
}

/// Observes the nine channels of `gaia_2mass_wise`: see the general `observe`.
inline void observe(Rng& rng, std::span<const double> truth, const Missingness& missingness,
                    std::span<double> x, std::span<double> sigma) {
  observe(rng, gaia_2mass_wise, truth, SelectionOptions{missingness, {}}, x, sigma);
}

} // namespace sbi::forward
