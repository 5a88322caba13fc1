// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/membership.hpp>
#include <sbi/forward/survey.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace sbi::forward {

/// Rows to train inference on: theta [n, 8] in the order of `parameters` (units as in `Star` and `StarState`;
/// of the primary), x and its standard deviation sigma [n, channels], NaN where nothing was observed.
struct SurveySample {
  static constexpr std::array parameters{"log_teff",     "log_g",    "mh",      "av",
                                         "log_distance", "log_mass", "log_age", "log_l"};
  Tensor<double> theta, x, sigma;
};

/// n stars of a population that a survey lists, which are those with a value in the channel `listed_by`: the
/// prior is that of a star given that it is in the catalogue. Draws come from rng.split, so the rows depend
/// neither on the threads nor on n (more rows begin with the same ones). Throws ValueError if fewer than one
/// star of 10 000 is listed.
template <Backend B, StarSource P, class W>
[[nodiscard]] SurveySample sample_survey(const B& be, const W& survey, const P& population, const Rng& rng,
                                         index_t n, std::size_t listed_by = 0) {
  const auto width = static_cast<index_t>(survey.channels().size());
  if (listed_by >= survey.channels().size())
    throw ValueError(sbi::text("survey sample: listed by channel ", listed_by, "; want one below ", width));
  constexpr index_t chunk = 4096;
  SurveySample out{Tensor<double>(Shape{n, static_cast<index_t>(SurveySample::parameters.size())}),
                   Tensor<double>(Shape{n, width}), Tensor<double>(Shape{n, width})};
  std::vector<Star> stars(static_cast<std::size_t>(chunk));
  index_t filled = 0;
  for (std::uint64_t round = 0; filled < n; ++round) {
    if (round == 50 && filled < 20) // one in 10 000 of 204 800
      throw ValueError(sbi::text("survey sample: ", filled, " of ", static_cast<index_t>(round) * chunk,
                                 " stars have a value in ", survey.channels()[listed_by].name,
                                 "; want a population that the survey sees"));
    const Rng own = rng.split(round);
    be.for_each(chunk / 256, [&](index_t task) {
      for (index_t i = task * 256; i < (task + 1) * 256; ++i) {
        Rng of_star = own.split(2 * static_cast<std::uint64_t>(i));
        stars[static_cast<std::size_t>(i)] = population.draw(of_star);
      }
    });
    const SurveyRecord record = survey.record(be, own.split(1), stars);
    for (std::size_t i = 0; i < stars.size() && filled < n; ++i) {
      const auto row = static_cast<index_t>(i);
      if (record.outcomes[i * survey.channels().size() + listed_by] != Outcome::observed) continue;
      const StarState& state = record.truth.states[i];
      const Star& star = stars[i];
      const std::array theta{state.log_teff,    state.log_g,   star.mh,      star.a_v,
                             star.log_distance, star.log_mass, star.log_age, state.log_l};
      std::copy(theta.begin(), theta.end(), out.theta.row(filled));
      std::copy_n(record.x.row(row), width, out.x.row(filled));
      std::copy_n(record.sigma.row(row), width, out.sigma.row(filled));
      ++filled;
    }
  }
  return out;
}

} // namespace sbi::forward
