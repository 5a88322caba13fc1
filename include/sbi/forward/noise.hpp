// SPDX-License-Identifier: MIT
// What is measured, how well, and down to which magnitude: the description of one channel of a survey. The
// error curves of the surveys are in gaia_noise.hpp and infrared_noise.hpp, the channels made of them in
// survey_channels.hpp, and the act of observing in selection.hpp.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>

namespace sbi::forward {

/// Error of a magnitude per relative error of a flux, 2.5 / ln 10.
inline constexpr double magnitudes_per_relative_error = 2.5 / std::numbers::ln10;

/// Standard deviation of a measured value against the magnitude that governs it: sigma^2 = floor^2 + (scale
/// statistical(m))^2. The floor is what more observations do not improve: zero points, flat fields.
struct ErrorCurve {
  double (*statistical)(double magnitude) = nullptr; ///< null: no statistical error
  double floor = 0;
  double observations = 1; ///< how many of them `statistical` is the error for
  double scale = 1;

  [[nodiscard]] double operator()(double magnitude) const {
    if (!statistical) return floor;
    const double s = scale * statistical(magnitude);
    return std::sqrt(floor * floor + s * s);
  }
  /// The curve of a star observed `count` times (need not be whole): the statistical part falls as its square
  /// root. Throws ValueError unless it is positive.
  [[nodiscard]] ErrorCurve with_observations(double count) const {
    if (!(count > 0) || !is_finite(count))
      throw ValueError(sbi::text("error curve: ", count, " observations; want more than 0"));
    ErrorCurve out = *this;
    out.scale *= std::sqrt(observations / count);
    out.observations = count;
    return out;
  }
  /// The same with another floor, in the units of the value. Throws ValueError where it is negative.
  [[nodiscard]] ErrorCurve with_floor(double value) const {
    if (!(value >= 0) || !is_finite(value))
      throw ValueError(sbi::text("error curve: floor ", value, "; want 0 or more"));
    ErrorCurve out = *this;
    out.floor = value;
    return out;
  }
};

/// Probability that a star of magnitude m is found: plateau / (1 + exp((m - half)/width)); with width 0 the
/// plateau for m < half and zero beyond. The plateau is what bright stars lose to neighbours and artefacts.
struct Detection {
  double plateau, half, width;

  [[nodiscard]] double operator()(double m) const {
    if (width == 0) return m < half ? plateau : 0;
    return plateau / (1 + std::exp((m - half) / width));
  }
  /// The magnitude down to which stars with the same luck are found: where the probability falls to `luck`,
  /// in (0, plateau).
  [[nodiscard]] double depth(double luck) const { return half + width * std::log(plateau / luck - 1); }
};

/// Who measures: the channels of a mission share its footprint and its luck. Further missions are Mission{3},
/// Mission{4} and so on, below `most_missions`.
enum class Mission : std::size_t { gaia, two_mass, wise };
inline constexpr std::size_t most_missions = 8;

[[nodiscard]] inline std::string mission_name(Mission mission) {
  switch (mission) {
  case Mission::gaia:
    return "Gaia";
  case Mission::two_mass:
    return "2MASS";
  case Mission::wise:
    return "WISE";
  }
  return sbi::text("mission ", static_cast<std::size_t>(mission));
}

/// One observed quantity of a list of channels. Indices are positions in that list.
struct Channel {
  std::string_view name;
  Mission mission;
  std::size_t governed_by; ///< the channel whose true magnitude sets the error
  ErrorCurve error;
  Detection detection;
  /// The channel whose true magnitude decides about detection. Another than governed_by where a star enters
  /// the catalogue through one band and its flux is then measured in the others.
  std::size_t listed_by = governed_by;
  /// The value is a magnitude, and the flux of every listed star is measured, with a normal error, and
  /// published if it is at least this many times that error: faint stars are found when noise lifts them, and
  /// look brighter than they are. 0: the error is normal in the value itself, and what is detected is
  /// published.
  double least_snr = 0;
  double offset = 0; ///< added to every measured value: an error of the zero point
  double brightest =
      -std::numeric_limits<double>::infinity(); ///< brighter governing magnitudes saturate: no value
};

} // namespace sbi::forward
