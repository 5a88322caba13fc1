// SPDX-License-Identifier: MIT
// The whole chain: stars as populations draw them -> evolution -> atmospheres -> dust -> instruments -> noise
// and gaps.
#pragma once
#include <sbi/forward/observatory.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A world: which atmospheres, which evolution, which dust law, seen by which channels. `Survey
/// source{kurucz, parsec, CCM89{}}` and `Survey target{bt_settl, spots, G23{}}` see the same stars with the
/// same luck, so any part can differ alone. Immutable; its calls use all threads of the backend they are
/// given.
template <Evolution E, class T = float> class Survey {
public:
  using value_type = T; ///< of the spectra

  /// Throws what `Observatory` throws.
  template <BoundedDustLaw D>
  Survey(SpectralGrid atmosphere, E evolution, const D& law, SurveyOptions options = {})
      : evolution_(std::move(evolution)), observatory_(std::move(atmosphere), law, std::move(options)) {}
  /// With a further instrument, such as Gaia's XP spectrographs, whose outputs are called spectra below.
  template <BoundedDustLaw D, SpectralResponse R>
  Survey(SpectralGrid atmosphere, E evolution, const D& law, const R& instrument, SurveyOptions options = {})
      : evolution_(std::move(evolution)),
        observatory_(std::move(atmosphere), law, instrument, std::move(options)) {}

  [[nodiscard]] const E& evolution() const { return evolution_; }
  [[nodiscard]] const Observatory<T>& observatory() const { return observatory_; }
  [[nodiscard]] std::span<const Channel> channels() const { return observatory_.channels(); }
  [[nodiscard]] const SurveyOptions& options() const { return observatory_.options(); }
  [[nodiscard]] const Synthesis<T>& synthesis() const { return observatory_.synthesis(); }
  [[nodiscard]] index_t spectrum_size() const { return observatory_.spectrum_size(); }

  /// The light of a star and its companions, or why there is none.
  [[nodiscard]] std::pair<LightSource, StarFlag> light(const Star& star, StarState& state) const {
    LightSource source;
    source.log_distance = star.log_distance, source.a_v = star.a_v, source.r_v = star.r_v;
    if (!is_finite(star.log_mass) || !is_finite(star.log_age) || !is_finite(star.mh))
      return {source, StarFlag::bad_value};
    const std::optional<StarState> primary = evolution_.state(star.log_mass, star.log_age, star.mh);
    if (!primary) return {source, StarFlag::no_evolution};
    state = *primary;
    source.stars[0] = photosphere(*primary);
    StarFlag flag = StarFlag::whole;
    for (const double ratio : star.companions) {
      if (ratio == 0) continue;
      if (!(ratio > 0) || !is_finite(ratio)) return {source, StarFlag::bad_value};
      const auto companion = evolution_.state(star.log_mass + std::log10(ratio), star.log_age, star.mh);
      if (companion)
        source.stars[static_cast<std::size_t>(source.count++)] = photosphere(*companion);
      else
        flag = StarFlag::dark_companions;
    }
    return {source, flag};
  }

  /// True values of many stars. With `spectra` [n, spectrum_size()] also the outputs of the further
  /// instrument. Throws ShapeError for room of another size.
  template <Backend B>
  [[nodiscard]] SurveyTruth truth(const B& be, std::span<const Star> stars, View<T> spectra = {}) const {
    const auto n = static_cast<index_t>(stars.size());
    std::vector<LightSource> sources(stars.size());
    std::vector<StarFlag> flags(stars.size());
    std::vector<StarState> states(stars.size(),
                                  StarState{missing, missing, missing, missing, missing, missing});
    Observatory<T>::for_each_source(be, n, [&](index_t, std::size_t i) {
      std::tie(sources[i], flags[i]) = light(stars[i], states[i]);
      if (!shines(flags[i])) sources[i].count = 0; // not worth a spectrum
    });
    SurveyTruth out = observatory_.truth(be, sources, std::move(flags), spectra);
    out.states = std::move(states);
    return out;
  }

  /// Stars as recorded. Star i takes its luck and noise from rng.split(i), whatever the threads and the
  /// world: two surveys with the same channels observe it alike.
  template <Backend B>
  [[nodiscard]] SurveyRecord record(const B& be, const Rng& rng, std::span<const Star> stars,
                                    View<T> spectra = {}) const {
    std::vector<SkyPosition> where;
    for (const Star& star : stars) where.push_back({star.longitude, star.latitude});
    return observatory_.record(be, rng, truth(be, stars, spectra), where);
  }

private:
  E evolution_;
  Observatory<T> observatory_;
};

template <class E, BoundedDustLaw D> Survey(SpectralGrid, E, const D&) -> Survey<E>;
template <class E, BoundedDustLaw D> Survey(SpectralGrid, E, const D&, SurveyOptions) -> Survey<E>;
template <class E, BoundedDustLaw D, SpectralResponse R>
Survey(SpectralGrid, E, const D&, const R&) -> Survey<E>;
template <class E, BoundedDustLaw D, SpectralResponse R>
Survey(SpectralGrid, E, const D&, const R&, SurveyOptions) -> Survey<E>;

/// The same stars in two worlds, those that shine in both: `kept` are their positions in the list, and rows
/// of both records.
struct SurveyPairs {
  SurveyRecord first, second;
  std::vector<std::size_t> kept;
  /// The share of the stars outside the common hull of the two worlds.
  [[nodiscard]] double outside() const {
    return first.truth.flags.empty()
               ? 0
               : 1 - static_cast<double>(kept.size()) / static_cast<double>(first.truth.flags.size());
  }
};

/// Star i takes its luck from rng.split(i) in both worlds. Throws ValueError for worlds with different
/// channels.
template <Backend B, class First, class Second>
[[nodiscard]] SurveyPairs record_pairs(const B& be, const First& first, const Second& second, Rng rng,
                                       std::span<const Star> stars) {
  const auto same = [](const Channel& a, const Channel& b) { return a.name == b.name; };
  if (!std::ranges::equal(first.channels(), second.channels(), same))
    throw ValueError("survey pairs: the two surveys have different channels; want the same");
  SurveyPairs out{first.record(be, rng, stars), second.record(be, rng, stars), {}};
  for (std::size_t i = 0; i < stars.size(); ++i)
    if (shines(out.first.truth.flags[i]) && shines(out.second.truth.flags[i])) out.kept.push_back(i);
  return out;
}

} // namespace sbi::forward
