// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/coverage.hpp>
#include <sbi/diagnostics/crps.hpp>
#include <sbi/diagnostics/marginal_density.hpp>
#include <sbi/diagnostics/rmse.hpp>
#include <sbi/diagnostics/summary.hpp>

#include <string>
#include <vector>

namespace sbi::diagnostics {

/// How well the posteriors of many objects hold their known truths, for one parameter. Missing (NaN) where no
/// object has a truth.
struct ParameterScore {
  PointErrors mean;      ///< of the posterior mean
  double crps = missing; ///< mean over objects, over the prior's standard deviation
  double nll = missing;  ///< mean negative log density of the marginal at the truth, see MarginalDensity
  Coverage coverage;
  double coverage_68 = missing; ///< fraction of the objects inside their central 68 % interval
};

/// Where a parameter lies a priori: its range, for the floor of the density, and its spread, the unit of its
/// CRPS.
struct ParameterPrior {
  Bounds range;
  double stddev = 1;
};

/// Scores of all parameters, and the posterior means that they judge [objects, parameters].
struct PosteriorScores {
  std::vector<ParameterScore> parameters;
  Tensor<double> means;

  [[nodiscard]] double mean_crps() const { return mean(&ParameterScore::crps); }
  [[nodiscard]] double mean_nll() const { return mean(&ParameterScore::nll); }

private:
  [[nodiscard]] double mean(double ParameterScore::*field) const {
    double sum = 0;
    for (const auto& p : parameters) sum += p.*field;
    return sum / static_cast<double>(parameters.size());
  }
};

/// Scores samples [objects * n, parameters], object by object, against truth [objects, parameters], of which
/// missing values are skipped. Objects are scored in parallel and summed in order. Throws ShapeError when the
/// extents do not fit, and what the parts throw.
template <class B>
[[nodiscard]] PosteriorScores score_posteriors(const B& backend, const Tensor<double>& samples,
                                               const Tensor<double>& truth,
                                               const std::vector<ParameterPrior>& prior) {
  const index_t objects = truth.rows(), parameters = truth.cols();
  if (objects < 1 || samples.cols() != parameters || samples.rows() % objects != 0 || samples.rows() == 0 ||
      static_cast<index_t>(prior.size()) != parameters)
    throw ShapeError(sbi::text("scores: samples are ", samples.shape(), ", truth is ", truth.shape(), ", ",
                               prior.size(), " priors; want [objects * n,p], [objects,p] and p"));
  const index_t n = samples.rows() / objects;
  Tensor<double> means(truth.shape()), crps_of(truth.shape()), nll_of(truth.shape());
  backend.for_each(objects, [&](index_t i) {
    const View<const double> own = samples.view().row_block(i * n, n);
    for (index_t j = 0; j < parameters; ++j) {
      const ParameterPrior& at = prior[static_cast<std::size_t>(j)];
      auto values = marginal(own, j);
      double sum = 0;
      for (double v : values) sum += v;
      means(i, j) = sum / static_cast<double>(n);
      if (is_missing(truth(i, j))) continue;
      nll_of(i, j) = MarginalDensity(values, at.range.low, at.range.high).nll(truth(i, j));
      crps_of(i, j) = crps(std::move(values), truth(i, j)) / at.stddev;
    }
  });
  Ranks ranks(parameters);
  for (index_t i = 0; i < objects; ++i)
    ranks.add(samples.view().row_block(i * n, n),
              std::span(truth.row(i), static_cast<std::size_t>(parameters)));

  PosteriorScores out;
  for (index_t j = 0; j < parameters; ++j) {
    ParameterScore score;
    std::vector<double> estimates, truths;
    double crps_sum = 0, nll_sum = 0, inside = 0;
    for (index_t i = 0; i < objects; ++i) {
      if (is_missing(truth(i, j))) continue;
      estimates.push_back(means(i, j)), truths.push_back(truth(i, j));
      crps_sum += crps_of(i, j), nll_sum += nll_of(i, j);
    }
    if (!truths.empty()) {
      const auto known = static_cast<double>(truths.size());
      score.mean = point_errors(estimates, truths);
      score.crps = crps_sum / known, score.nll = nll_sum / known;
      const auto u = ranks.of(j);
      score.coverage = central_coverage(u);
      for (double v : u) inside += std::abs(2 * v - 1) <= 0.68 ? 1.0 : 0.0;
      score.coverage_68 = inside / known;
    }
    out.parameters.push_back(score);
  }
  out.means = std::move(means);
  return out;
}

} // namespace sbi::diagnostics
