// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <vector>

namespace sbi {

/// Observables that may go missing together: those of a survey, or one alone.
struct SurveyGap {
  std::vector<index_t> observables;
  double probability = 0;
};

/// Removes observables at random, each gap of a row on its own: a network that is to be asked about stars
/// without a survey, or with a measurement held back, must have seen such rows, however complete its
/// catalogue is. Row i depends on rng.split(i) only, so that two tables of as many rows lose the same with
/// the same rng. x and sigma [n, observables]. Throws ShapeError for shapes that differ, ValueError for an
/// observable that does not exist or a probability outside [0, 1].
inline void add_gaps(Tensor<double>& x, Tensor<double>& sigma, const std::vector<SurveyGap>& gaps,
                     const Rng& rng) {
  if (x.shape() != sigma.shape())
    throw ShapeError(sbi::text("gaps: x is ", x.shape(), ", sigma is ", sigma.shape(), "; want the same"));
  for (const SurveyGap& gap : gaps) {
    if (!(gap.probability >= 0 && gap.probability <= 1))
      throw ValueError(sbi::text("gaps: probability = ", gap.probability, "; want 0 to 1"));
    for (const index_t k : gap.observables)
      if (k < 0 || k >= x.cols())
        throw ValueError(sbi::text("gaps: observable ", k, " of ", x.cols(), "; want one that exists"));
  }
  for (index_t i = 0; i < x.rows(); ++i) {
    Rng row = rng.split(static_cast<std::uint64_t>(i));
    for (const SurveyGap& gap : gaps)
      if (row.bernoulli(gap.probability))
        for (const index_t k : gap.observables) x(i, k) = sigma(i, k) = missing;
  }
}

} // namespace sbi
