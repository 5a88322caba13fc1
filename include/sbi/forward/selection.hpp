// SPDX-License-Identifier: MIT
// What surveys make of a star: errors that grow with magnitude, detections that become rarer with it (so
// values are not missing at random), parts of the sky that nobody looked at, and values lost for no reason.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/footprint.hpp>
#include <sbi/forward/noise.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// What became of one value.
enum class Outcome : std::uint8_t {
  observed,
  not_covered, ///< the mission did not look there
  lost,        ///< it looked, and something that has nothing to do with faintness took the value
  upper_limit  ///< it looked, and the star was too faint
};
inline constexpr std::size_t outcome_count = 4;

/// Probabilities of losing values for no reason of the star's: of a mission that did not look (all its values
/// go together), and of one value alone. Each must be in [0, 1].
struct Missingness {
  std::array<double, most_missions> absent{};
  double value = 0;

  /// Throws ValueError naming a probability outside [0, 1].
  void check() const {
    const auto probability = [](const std::string& what, double p) {
      if (!(p >= 0 && p <= 1))
        throw ValueError(sbi::text("missingness: ", what, " lost with probability ", p, "; want 0 to 1"));
    };
    for (std::size_t m = 0; m < most_missions; ++m)
      probability(mission_name(static_cast<Mission>(m)), absent[m]);
    probability("one value", value);
  }
  [[nodiscard]] double& of(Mission mission) { return absent.at(static_cast<std::size_t>(mission)); }

  /// A value is lost with probability `rate` in total: half of the log-survival by whole missions, half by
  /// single values. What stars are too faint for comes on top. Throws ValueError outside [0, 1].
  [[nodiscard]] static Missingness at_random(double rate) {
    if (!(rate >= 0 && rate <= 1)) throw ValueError(sbi::text("missingness: rate ", rate, "; want 0 to 1"));
    Missingness out;
    out.value = 1 - std::sqrt(1 - rate);
    out.absent.fill(out.value);
    return out;
  }
};

/// How stars are selected beyond what the channels say.
struct SelectionOptions {
  Missingness missingness;
  Footprints footprints;
};

namespace detail {

struct Reading {
  Outcome outcome = Outcome::lost;
  double x = missing, sigma = missing, limit = missing;
};

/// One value of a star in the footprint, from one number for the luck of the mission and one for the noise.
inline Reading read_channel(std::span<const Channel> channels, std::size_t i, std::span<const double> truth,
                            double luck, double noise) {
  const Channel& channel = channels[i];
  const double m = truth[channel.governed_by], listed = truth[channel.listed_by];
  if (m < channel.brightest || luck >= channel.detection.plateau) return {};
  if (!(luck < channel.detection(listed)))
    return {Outcome::upper_limit, missing, missing,
            channel.listed_by == i ? channel.detection.depth(luck) + channel.offset : missing};
  const double sigma = channel.error(m);
  if (!(channel.least_snr > 0))
    return {Outcome::observed, truth[i] + channel.offset + sigma * noise, sigma, missing};
  // The unit of flux is its error, so the flux is the signal-to-noise ratio; noise > 0 is towards fainter
  // magnitudes, as above.
  const double expected = magnitudes_per_relative_error / sigma, flux = expected - noise;
  const auto magnitude = [&](double f) { return truth[i] + channel.offset - 2.5 * std::log10(f / expected); };
  if (flux >= channel.least_snr)
    return {Outcome::observed, magnitude(flux), magnitudes_per_relative_error / flux, missing};
  return {Outcome::upper_limit, missing, missing, magnitude(std::max(flux, 0.0) + 2)};
}

inline void check_lengths(std::size_t channels, std::size_t truth, std::size_t x, std::size_t sigma,
                          std::size_t outcomes, std::size_t limits) {
  const auto optional = [&](std::size_t n) { return n == 0 || n == channels; };
  if (truth != channels || x != channels || sigma != channels || !optional(outcomes) || !optional(limits))
    throw ShapeError(sbi::text("observe: ", truth, " true values, ", x, " values, ", sigma, " errors, ",
                               outcomes, " outcomes, ", limits, " limits; want ", channels,
                               " of each, outcomes and limits also none"));
}

} // namespace detail

/// Observes the true values of some channels (magnitudes; whatever else they name, in its units): x is the
/// value with Gaussian noise, sigma its standard deviation, both NaN unless the outcome is `observed`.
///
/// Within a mission one random number, its luck there, decides about all detections, so a star lost in a
/// shallow band is not found in a deeper-lying one by luck. It makes the detection curve a depth that varies
/// from star to star (`Detection::depth`): a star that is too faint is fainter than that depth, which is its
/// limit. Where the flux is measured whatever it is (`Channel::least_snr`), the limit is two standard
/// deviations above the flux, or above zero where that is negative, as AllWISE quotes its 95 % limits. limits
/// is NaN unless the outcome is `upper_limit`, and where it was another channel's magnitude that was too
/// faint: that says nothing about this one.
///
/// Every call takes the same number of random numbers in the same order (two for each mission up to the last
/// of the channels, two for each channel), so two models of one star can share their noise, and two surveys
/// their luck.
///
/// outcomes and limits may be empty. Throws ShapeError for lengths that differ, ValueError for a true value
/// that is not finite, a channel governed by none of the list, and footprints without a position.
inline void observe(Rng& rng, std::span<const Channel> channels, std::span<const double> truth,
                    const SelectionOptions& options, std::span<double> x, std::span<double> sigma,
                    std::span<Outcome> outcomes = {}, SkyPosition where = {}, std::span<double> limits = {}) {
  const std::size_t n = channels.size();
  detail::check_lengths(n, truth.size(), x.size(), sigma.size(), outcomes.size(), limits.size());
  std::size_t missions = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Channel& channel = channels[i];
    const auto mission = static_cast<std::size_t>(channel.mission);
    if (channel.governed_by >= n || channel.listed_by >= n || mission >= most_missions)
      throw ValueError(sbi::text("observe: ", channel.name, " is of ", mission_name(channel.mission),
                                 ", governed by channel ", channel.governed_by, ", listed by channel ",
                                 channel.listed_by, "; want missions below ", most_missions,
                                 " and channels below ", n));
    if (!is_finite(truth[i]))
      throw ValueError(sbi::text("observe: true ", channel.name, " = ", truth[i], "; want a finite value"));
    missions = std::max(missions, mission + 1);
  }
  const MissionSet covering = options.footprints.covering(where);
  std::array<bool, most_missions> covered{};
  std::array<double, most_missions> luck{};
  for (std::size_t m = 0; m < missions; ++m) {
    covered[m] = rng.uniform() >= options.missingness.absent[m] && covering[m];
    luck[m] = rng.uniform();
  }
  for (std::size_t i = 0; i < n; ++i) {
    const auto mission = static_cast<std::size_t>(channels[i].mission);
    const bool kept = rng.uniform() >= options.missingness.value;
    const double noise = rng.normal();
    detail::Reading reading;
    if (!covered[mission])
      reading.outcome = Outcome::not_covered;
    else if (kept)
      reading = detail::read_channel(channels, i, truth, luck[mission], noise);
    x[i] = reading.x, sigma[i] = reading.sigma;
    if (!outcomes.empty()) outcomes[i] = reading.outcome;
    if (!limits.empty()) limits[i] = reading.limit;
  }
}

/// How many values of each channel were observed, not covered, lost and too faint. Counts of parts of a
/// sample add up to those of the whole, in any order.
class SelectionCounts {
public:
  explicit SelectionCounts(std::span<const Channel> channels) {
    for (const Channel& channel : channels) names_.emplace_back(channel.name);
    counts_.resize(channels.size());
  }

  /// Throws ShapeError unless there is one outcome a channel.
  void add(std::span<const Outcome> outcomes) {
    if (outcomes.size() != counts_.size())
      throw ShapeError(sbi::text("selection counts: ", outcomes.size(), " outcomes; want ", counts_.size()));
    for (std::size_t i = 0; i < counts_.size(); ++i) ++counts_[i][static_cast<std::size_t>(outcomes[i])];
  }
  /// Throws ValueError for counts of other channels.
  SelectionCounts& operator+=(const SelectionCounts& other) {
    if (names_ != other.names_)
      throw ValueError(sbi::text("selection counts: of ", other.names_.size(), " channels added to ",
                                 names_.size(), "; want the same channels in the same order"));
    for (std::size_t i = 0; i < counts_.size(); ++i)
      for (std::size_t k = 0; k < outcome_count; ++k) counts_[i][k] += other.counts_[i][k];
    return *this;
  }
  [[nodiscard]] index_t operator()(std::size_t channel, Outcome outcome) const {
    return counts_.at(channel)[static_cast<std::size_t>(outcome)];
  }
  /// A table, one line a channel.
  [[nodiscard]] std::string text() const {
    std::string out;
    const auto line = [&out](std::string_view channel, const std::array<std::string, outcome_count>& cells) {
      out += channel;
      out.append(channel.size() < 10 ? 10 - channel.size() : 1, ' ');
      for (const std::string& cell : cells)
        out += std::string(cell.size() < 13 ? 13 - cell.size() : 1, ' ') + cell;
      out += '\n';
    };
    line("channel", {"observed", "not covered", "lost", "too faint"});
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      std::array<std::string, outcome_count> cells;
      for (std::size_t k = 0; k < outcome_count; ++k) cells[k] = std::to_string(counts_[i][k]);
      line(names_[i], cells);
    }
    return out;
  }

private:
  std::vector<std::string> names_;
  std::vector<std::array<index_t, outcome_count>> counts_;
};

} // namespace sbi::forward
