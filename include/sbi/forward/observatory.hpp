// SPDX-License-Identifier: MIT
// From light to a catalogue: what surveys record of points of light.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/band_response.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/selection.hpp>
#include <sbi/forward/star_flag.hpp>
#include <sbi/forward/survey_channels.hpp>
#include <sbi/forward/synthesis.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sbi::forward {

/// What a survey records of a star, and how.
struct SurveyOptions {
  /// In this order, ready to be changed (floors, observations, offsets, limits). All but those named
  /// "parallax" and "XP" are magnitudes; "XP" has outcomes alone.
  std::vector<Channel> channels =
      channels_named({"G", "BP", "RP", "parallax", "J", "H", "Ks", "W1", "W2", "W3", "W4"});
  /// One for each channel that is a magnitude, in their order, Vega magnitudes; empty: the embedded ones of
  /// Gaia DR3, 2MASS and WISE by the channels' names.
  std::vector<Passband> bands;
  SelectionOptions selection;
  double r_v_min = 2.5, r_v_max = 5.5; ///< of the dust along any line of sight
};

/// True values of some stars, without noise: values [n, channels] (Vega magnitudes, parallax in mas), NaN
/// where the flag says that the star does not shine; and what the evolution made of the primaries, NaN where
/// it has no such star (empty where there was no evolution).
struct SurveyTruth {
  Tensor<double> values;
  std::vector<StarFlag> flags;
  std::vector<StarState> states;
};

/// The same stars as recorded: x and its standard deviation [n, channels], NaN unless the outcome [n,
/// channels] is `observed`; limits [n, channels] as `observe` gives them. A star that does not shine is
/// `lost` in every channel. "XP" has neither x nor sigma.
struct SurveyRecord {
  SurveyTruth truth;
  Tensor<double> x, sigma, limits;
  std::vector<Outcome> outcomes;
};

/// Atmospheres, a dust law and channels: records points of light whose surfaces are known. `Survey` puts an
/// evolution before it. T is the type of the spectra: float is fast, double the reference.
template <class T = float> class Observatory {
public:
  using value_type = T; ///< of the spectra

  /// Throws ValueError for another number of bands than of magnitudes, for magnitudes without an embedded
  /// band, and what `Synthesis` throws.
  template <BoundedDustLaw D>
  Observatory(SpectralGrid atmosphere, const D& law, SurveyOptions options = {})
      : Observatory(std::move(atmosphere), law, BandResponse({}), std::move(options)) {}
  /// With a further instrument, such as Gaia's XP spectrographs, whose outputs are called spectra below.
  template <BoundedDustLaw D, SpectralResponse R>
  Observatory(SpectralGrid atmosphere, const D& law, const R& instrument, SurveyOptions options = {})
      : options_(std::move(options)), magnitudes_(magnitudes_of(options_)),
        synthesis_(std::move(atmosphere), law, options_.r_v_min, options_.r_v_max,
                   BandResponse(bands_of(options_)), instrument) {
    options_.selection.missingness.check();
  }

  [[nodiscard]] const Synthesis<T>& synthesis() const { return synthesis_; }
  [[nodiscard]] std::span<const Channel> channels() const { return options_.channels; }
  [[nodiscard]] const SurveyOptions& options() const { return options_; }
  /// How many outputs the further instrument has.
  [[nodiscard]] index_t spectrum_size() const { return synthesis_.outputs() - magnitudes_; }

  /// True values of sources. `flags` [n] may say beforehand that one does not shine. With `spectra` [n,
  /// spectrum_size()] also the outputs of the further instrument. Throws ShapeError for room of another size.
  template <Backend B>
  [[nodiscard]] SurveyTruth truth(const B& be, std::span<const LightSource> sources,
                                  std::vector<StarFlag> flags, View<T> spectra = {}) const {
    const auto n = static_cast<index_t>(sources.size());
    if (flags.size() != sources.size() ||
        (spectra && (spectra.rows() != n || spectra.cols() != spectrum_size())))
      throw ShapeError(sbi::text("observatory: ", flags.size(), " flags, room for spectra ", spectra.shape,
                                 "; want ", n, " and [", n, ",", spectrum_size(), "]"));
    SurveyTruth out{Tensor<double>(Shape{n, static_cast<index_t>(channels().size())}), std::move(flags), {}};
    std::vector<Coverage> coverage(sources.size());
    Tensor<T> fluxes(Shape{n, synthesis_.outputs()});
    synthesis_.fluxes(be, sources, fluxes.view(), coverage);
    for_each_source(be, n, [&](index_t row, std::size_t i) {
      const std::span<double> values(out.values.row(row), channels().size());
      StarFlag& flag = out.flags[i];
      if (shines(flag)) flag = std::max(flag, star_flag(coverage[i]));
      const T* flux = fluxes.row(row);
      for (std::size_t c = 0; shines(flag) && c < values.size(); ++c) {
        if (channels()[c].name == "parallax")
          values[c] = std::pow(10, 3 - sources[i].log_distance);
        else if (channels()[c].name == "XP")
          values[c] = 0; // it has an outcome, no value
        else
          values[c] = -2.5 * std::log10(static_cast<double>(*flux++));
        if (!is_finite(values[c])) flag = StarFlag::no_light;
      }
      if (!shines(flag)) std::fill(values.begin(), values.end(), missing);
      if (!spectra) return;
      if (shines(flag))
        std::copy_n(fluxes.row(row) + magnitudes_, spectra.cols(), spectra.row(row));
      else
        std::fill_n(spectra.row(row), spectra.cols(), std::numeric_limits<T>::quiet_NaN());
    });
    return out;
  }

  /// What the surveys record of true values. Star i takes its luck and noise from rng.split(i). `where` has a
  /// position a star, or none: footprints want positions. Throws ShapeError.
  template <Backend B>
  [[nodiscard]] SurveyRecord record(const B& be, const Rng& rng, SurveyTruth truth,
                                    std::span<const SkyPosition> where = {}) const {
    if (!where.empty() && where.size() != truth.flags.size())
      throw ShapeError(sbi::text("observatory: ", where.size(), " positions; want ", truth.flags.size()));
    const index_t n = truth.values.rows(), width = truth.values.cols();
    const Tensor<double> nothing(truth.values.shape(),
                                 std::vector<double>(static_cast<std::size_t>(n * width), missing));
    SurveyRecord out{std::move(truth), nothing, nothing, nothing, {}};
    out.outcomes.assign(static_cast<std::size_t>(n * width), Outcome::lost);
    for_each_source(be, n, [&](index_t row, std::size_t i) {
      if (!shines(out.truth.flags[i])) return;
      const auto of = [&](Tensor<double>& tensor) {
        return std::span<double>(tensor.row(row), channels().size());
      };
      Rng own = rng.split(i);
      observe(own, channels(), of(out.truth.values), options_.selection, of(out.x), of(out.sigma),
              {out.outcomes.data() + row * width, channels().size()},
              where.empty() ? SkyPosition{} : where[i], of(out.limits));
      for (std::size_t c = 0; c < channels().size(); ++c)
        if (channels()[c].name == "XP") of(out.x)[c] = of(out.sigma)[c] = missing;
    });
    return out;
  }

  /// f(row, the same as std::size_t) for all rows, in parallel.
  template <Backend B, class F> static void for_each_source(const B& be, index_t n, F&& f) {
    constexpr index_t block = 256; // sources a task
    be.for_each((n + block - 1) / block, [&](index_t task) {
      for (index_t i = task * block; i < std::min(n, (task + 1) * block); ++i)
        f(i, static_cast<std::size_t>(i));
    });
  }

private:
  static bool is_magnitude(const Channel& channel) {
    return channel.name != "parallax" && channel.name != "XP";
  }
  static index_t magnitudes_of(const SurveyOptions& options) {
    const auto n = std::count_if(options.channels.begin(), options.channels.end(), is_magnitude);
    if (!options.bands.empty() && static_cast<index_t>(options.bands.size()) != n)
      throw ValueError(sbi::text("observatory: ", options.bands.size(), " passbands for ", n,
                                 " channels that are magnitudes; want one each"));
    return n;
  }
  static std::vector<Passband> bands_of(const SurveyOptions& options) {
    if (!options.bands.empty()) return options.bands;
    std::vector<Passband> out;
    for (const Channel& channel : options.channels) {
      if (!is_magnitude(channel)) continue;
      const std::string name(channel.name);
      const bool gaia = name == "G" || name == "BP" || name == "RP", wise = name.starts_with('W');
      out.push_back(passband((gaia ? "GaiaDR3." : wise ? "WISE." : "2MASS.") + name));
    }
    return out;
  }

  SurveyOptions options_;
  index_t magnitudes_;
  Synthesis<T> synthesis_;
};

} // namespace sbi::forward
