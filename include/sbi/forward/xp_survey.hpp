// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/survey.hpp>
#include <sbi/forward/xp_noise_table.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace sbi::forward {

/// What the catalogue has of the XP spectra of a survey's stars: noise and errors on the true coefficients
/// that a `Survey` with an `XpResponse` gives, and gaps where the channel "XP" says that there is no
/// spectrum.
class XpObserver {
public:
  /// The table of errors is made for the survey's own atmospheres: dwarfs of all temperatures, without dust
  /// and behind three magnitudes. Throws ValueError unless the survey's spectra are 110 coefficients and one
  /// of its channels is "XP".
  template <class W>
  XpObserver(const W& survey, const XpInstrument& instrument)
      : table_(instrument, XpNoise(instrument), templates(survey).view()) {
    const auto channels = survey.channels();
    const auto at =
        std::find_if(channels.begin(), channels.end(), [](const Channel& c) { return c.name == "XP"; });
    if (at == channels.end())
      throw ValueError(
          "XP observer: the survey has no channel 'XP'; want it, to know which stars have spectra");
    channel_ = static_cast<std::size_t>(at - channels.begin()), channels_ = channels.size();
  }

  /// spectra [stars, 110]: true coefficients become observed ones; sigma [stars, 110] their standard errors.
  /// NaN where a star has no spectrum. Star i takes its noise from rng.split(i), apart from that of
  /// `Survey::record`. Throws ShapeError.
  template <Backend B>
  void observe(const B& be, const Rng& rng, const SurveyRecord& record, View<float> spectra,
               View<float> sigma) const {
    const auto n = static_cast<index_t>(record.truth.flags.size());
    for (const View<float>& of : {spectra, sigma})
      if (of.rows() != n || of.cols() != XpInstrument::coefficients)
        throw ShapeError(
            sbi::text("XP observer: room ", of.shape, "; want [", n, ",", XpInstrument::coefficients, "]"));
    if (record.outcomes.size() != static_cast<std::size_t>(n) * channels_)
      throw ShapeError(sbi::text("XP observer: a record of ", record.outcomes.size(), " outcomes; want ", n,
                                 " stars with ", channels_, " channels, those of its survey"));
    constexpr index_t block = 64; // stars a task
    be.for_each((n + block - 1) / block, [&](index_t task) {
      std::array<double, XpInstrument::coefficients> truth;
      std::array<float, XpInstrument::coefficients> noise;
      for (index_t i = task * block; i < std::min(n, (task + 1) * block); ++i) {
        float *x = spectra.row(i), *s = sigma.row(i);
        if (record.outcomes[static_cast<std::size_t>(i) * channels_ + channel_] != Outcome::observed) {
          std::fill_n(x, truth.size(), std::numeric_limits<float>::quiet_NaN());
          std::fill_n(s, truth.size(), std::numeric_limits<float>::quiet_NaN());
          continue;
        }
        std::copy_n(x, truth.size(), truth.begin());
        Rng own = rng.split(static_cast<std::uint64_t>(i)).split(stream);
        table_.draw(own, truth, noise, {s, truth.size()});
        for (std::size_t k = 0; k < truth.size(); ++k) x[k] += noise[k];
      }
    });
  }

private:
  static constexpr std::uint64_t stream = 110; // of a star's own numbers

  template <class W> static Tensor<double> templates(const W& survey) {
    if (survey.spectrum_size() != XpInstrument::coefficients)
      throw ValueError(sbi::text("XP observer: the survey's spectra have ", survey.spectrum_size(),
                                 " values; want ", XpInstrument::coefficients, " coefficients"));
    // Dwarfs of solar composition, or what comes nearest among the models.
    const AtmosphereRange range = survey.synthesis().grid().range();
    const double log_g = std::clamp(4.5, range.log_g_min, range.log_g_max),
                 mh = std::clamp(0., range.mh_min, range.mh_max);
    std::vector<LightSource> sources;
    for (const double teff :
         {2500, 2800, 3200, 3600, 4000, 4500, 5200, 6000, 7000, 8500, 10'500, 14'000, 20'000, 30'000})
      for (const double a_v : {0., 3.}) {
        LightSource s;
        s.stars[0] = {std::log10(teff), log_g, mh, 0}, s.a_v = a_v;
        s.r_v = std::clamp(3.1, survey.options().r_v_min, survey.options().r_v_max);
        if (survey.synthesis().grid().covers(s.stars[0].log_teff, log_g, mh)) sources.push_back(s);
      }
    if (sources.empty())
      throw ValueError(sbi::text("XP observer: no models of 2500 to 30000 K at log g ", log_g, ", [M/H] ", mh,
                                 "; want some to make errors for"));
    const index_t n = static_cast<index_t>(sources.size()), all = survey.synthesis().outputs();
    using T = typename W::value_type;
    Tensor<T> fluxes(Shape{n, all});
    std::vector<Coverage> coverage(sources.size());
    survey.synthesis().fluxes(Cpu<T>(1), sources, fluxes.view(), coverage);
    Tensor<double> out(Shape{n, XpInstrument::coefficients});
    for (index_t i = 0; i < n; ++i) std::copy_n(fluxes.row(i) + (all - out.cols()), out.cols(), out.row(i));
    return out;
  }

  XpNoiseTable table_;
  std::size_t channel_ = 0, channels_ = 0;
};

} // namespace sbi::forward
