// SPDX-License-Identifier: MIT
// What surveys make of a star: errors that grow with magnitude, detections that become rarer with it (so
// values are not missing at random), surveys that did not look, and single values lost for no reason.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/cardinal.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string_view>

namespace sbi::forward {

namespace detail {

inline constexpr std::array<double, 21> gaia_g_nodes{5,  6,    7,  8,  9,  10, 10.5, 11, 11.5, 12, 12.5,
                                                     13, 13.5, 14, 15, 16, 17, 18,   19, 20,   21};
inline constexpr std::array<double, 21> gaia_g_log_error{
    -3.145, -3.612, -3.804, -3.659, -3.789, -3.727, -3.771, -3.759, -3.663, -3.789, -3.703,
    -3.726, -3.729, -3.720, -3.564, -3.357, -3.133, -2.896, -2.627, -2.352, -2.082};
inline constexpr std::array<double, 17> gaia_colour_nodes{5,  6,  7,  8,  9,  10, 11, 12, 13,
                                                          14, 15, 16, 17, 18, 19, 20, 21};
inline constexpr std::array<double, 17> gaia_bp_log_error{-3.203, -3.095, -3.173, -3.225, -3.353, -3.370,
                                                          -3.327, -3.210, -3.206, -3.109, -2.897, -2.635,
                                                          -2.342, -2.024, -1.679, -1.358, -1.062};
inline constexpr std::array<double, 17> gaia_rp_log_error{-2.877, -3.255, -3.293, -3.490, -3.562, -3.583,
                                                          -3.472, -3.440, -3.290, -3.076, -2.808, -2.503,
                                                          -2.157, -1.832, -1.501, -1.145, -0.968};

/// Error of a Gaia mean magnitude with the zero-point floor added in quadrature. Below magnitude 5 constant;
/// beyond 21 it grows as 10^(0.4 m), as it does where the background dominates.
template <std::size_t N>
double gaia_error(const std::array<double, N>& nodes, const std::array<double, N>& log_error, double m) {
  constexpr double zero_point_floor = 0.003;
  const double excess = std::max(0.0, m - nodes.back());
  return std::hypot(zero_point_floor, std::pow(10, cardinal(nodes, m)(log_error) + 0.4 * excess));
}

/// sigma^2 = floor^2 + (scale 10^(slope (m - pivot)))^2.
inline double infrared_error(double floor, double scale, double slope, double pivot, double m) {
  return std::hypot(floor, scale * std::pow(10, slope * (m - pivot)));
}

} // namespace detail

/// Error of the mean G, BP, RP magnitude of a Gaia DR3 star with the median number of observations (351 in G,
/// 40 in BP and RP) [mag]: a table fitted to the splines of PyGaia (BSD-3-Clause), within 0.007 dex at 13-20,
/// 0.11 dex (G), 0.011 dex (BP, RP) at 6-13, with 3 mmag for the zero point added in quadrature.
[[nodiscard]] inline double gaia_g_error(double g) {
  return detail::gaia_error(detail::gaia_g_nodes, detail::gaia_g_log_error, g);
}
[[nodiscard]] inline double gaia_bp_error(double bp) {
  return detail::gaia_error(detail::gaia_colour_nodes, detail::gaia_bp_log_error, bp);
}
[[nodiscard]] inline double gaia_rp_error(double rp) {
  return detail::gaia_error(detail::gaia_colour_nodes, detail::gaia_rp_log_error, rp);
}

/// Error of a Gaia DR3 parallax [mas] against G: sqrt(40 + 800 z + 30 z^2) microarcseconds with z = 10^(0.4
/// (G - 15)), not below its value at G = 13 (the mission's published science performance).
[[nodiscard]] inline double parallax_error(double g) {
  const double z = std::pow(10, 0.4 * (std::max(g, 13.0) - 15));
  return 1e-3 * std::sqrt(40 + 800 * z + 30 * z * z);
}

/// Errors of 2MASS and AllWISE magnitudes [mag], sigma^2 = floor^2 + (scale 10^(slope (m - pivot)))^2, fitted
/// to the published errors of the stars of M67.
[[nodiscard]] inline double j_error(double m) { return detail::infrared_error(.022, .100, .33, 16.5, m); }
[[nodiscard]] inline double h_error(double m) { return detail::infrared_error(.022, .0986, .32, 15.5, m); }
[[nodiscard]] inline double ks_error(double m) { return detail::infrared_error(.018, .138, .33, 15.5, m); }
[[nodiscard]] inline double w1_error(double m) { return detail::infrared_error(.0225, .035, .23, 15.5, m); }
[[nodiscard]] inline double w2_error(double m) { return detail::infrared_error(.020, .097, .28, 15.5, m); }

/// Probability that a star of magnitude m is measured: plateau / (1 + exp((m - half)/width)).
struct Detection {
  double plateau, half, width;
  [[nodiscard]] double operator()(double m) const { return plateau / (1 + std::exp((m - half) / width)); }
};

enum class Survey { gaia, two_mass, wise };

/// One observed quantity: who measures it, which quantity's true value sets its error and its detection, and
/// both.
struct Channel {
  std::string_view name;
  Survey survey;
  std::size_t governed_by;
  double (*error)(double magnitude);
  Detection detection;
};

/// Gaia DR3, 2MASS and AllWISE. The plateaus and slopes of 2MASS and WISE were fitted to the detections of
/// M67's 1585 stars (within .03 in bins of half a magnitude to J 17, H 16.5, Ks 16, W1 16); the limits beyond
/// are those of the catalogues, as are Gaia's, approximately.
inline constexpr std::array<Channel, 9> gaia_2mass_wise{{
    {"G", Survey::gaia, 0, gaia_g_error, {.999, 21.0, .15}},
    {"BP", Survey::gaia, 1, gaia_bp_error, {.998, 21.3, .25}},
    {"RP", Survey::gaia, 2, gaia_rp_error, {.998, 20.5, .25}},
    {"parallax", Survey::gaia, 0, parallax_error, {.99, 20.9, .15}},
    {"J", Survey::two_mass, 4, j_error, {.987, 17.3, .25}},
    {"H", Survey::two_mass, 5, h_error, {.987, 16.9, .25}},
    {"Ks", Survey::two_mass, 6, ks_error, {.987, 16.2, .24}},
    {"W1", Survey::wise, 7, w1_error, {.985, 17.6, .90}},
    {"W2", Survey::wise, 8, w2_error, {.985, 17.4, .90}},
}};

/// Probabilities of losing values for no reason of the star's: outside a survey's footprint (all its values
/// go together), or one value alone. Each must be in [0, 1].
struct Missingness {
  double gaia = 0, two_mass = 0, wise = 0, value = 0;

  /// Throws ValueError naming a probability outside [0, 1].
  void check() const {
    const auto probability = [](const char* name, double p) {
      if (!(p >= 0 && p <= 1))
        throw ValueError(sbi::text("missingness: ", name, " lost with probability ", p, "; want 0 to 1"));
    };
    probability("Gaia", gaia), probability("2MASS", two_mass), probability("WISE", wise);
    probability("one value", value);
  }
  /// A value is lost with probability `rate` in total: half of the log-survival by whole surveys, half by
  /// single values. What stars are too faint for comes on top. Throws ValueError outside [0, 1].
  [[nodiscard]] static Missingness at_random(double rate) {
    if (!(rate >= 0 && rate <= 1)) throw ValueError(sbi::text("missingness: rate ", rate, "; want 0 to 1"));
    const double each = 1 - std::sqrt(1 - rate);
    return {each, each, each, each};
  }
};

/// Observes the true values of the nine channels of `gaia_2mass_wise` (magnitudes; parallax in mas): x is the
/// value with Gaussian noise and sigma its standard deviation, both NaN where nothing was measured. Within a
/// survey one random number decides about all detections, so a star lost in a shallow band is not found in a
/// deeper-lying one by luck. Every call takes the same number of random numbers, so two models of one star
/// can share their noise. Throws ShapeError unless all three have nine values.
inline void observe(Rng& rng, std::span<const double> truth, const Missingness& missingness,
                    std::span<double> x, std::span<double> sigma) {
  const auto& channels = gaia_2mass_wise;
  if (truth.size() != channels.size() || x.size() != channels.size() || sigma.size() != channels.size())
    throw ShapeError(sbi::text("observe: ", truth.size(), " true values, ", x.size(), " values, ",
                               sigma.size(), " errors; want ", channels.size(), " of each"));
  const std::array<double, 3> absent{missingness.gaia, missingness.two_mass, missingness.wise};
  std::array<bool, 3> covered{};
  std::array<double, 3> luck{};
  for (std::size_t s = 0; s < covered.size(); ++s) {
    covered[s] = rng.uniform() >= absent[s];
    luck[s] = rng.uniform();
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const Channel& channel = channels[i];
    const auto survey = static_cast<std::size_t>(channel.survey);
    const double magnitude = truth[channel.governed_by];
    const bool kept = rng.uniform() >= missingness.value;
    const double noise = rng.normal();
    const bool seen = covered[survey] && kept && luck[survey] < channel.detection(magnitude);
    sigma[i] = seen ? channel.error(magnitude) : missing;
    x[i] = seen ? truth[i] + sigma[i] * noise : missing;
  }
}

} // namespace sbi::forward
