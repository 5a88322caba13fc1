// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/simulator.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace sbi {

/// What is known better of a star than a catalogue tells: theta [stars, parameters] with standard errors, NaN
/// where unknown.
struct Labels {
  Tensor<double> theta, sigma;
};

/// Real stars of known theta, each beside a star of the simulator: see DomainData. Both have the theta drawn.
struct LabelPairs {
  Dataset pairs, partners;
};

/// Pairs of real stars x, sigma [stars, observables] with simulated ones whose theta is drawn from p(theta |
/// labels): from a pool of prior draws [n, parameters], weighted by the Gaussian likelihood of the labels.
/// `independent` names parameters that the prior draws on their own (a distance): they need no matching but
/// are replaced by a draw around the label, within the range of the pool. `measure(rng, theta, sigma, x)`
/// simulates with the gaps and errors of the real star. Each star is paired `copies` times, copy after copy:
/// row c * stars + i.
///
/// The real star gets the whole theta of its partner: labels enter with their errors, and what no label tells
/// is drawn from the prior given the labels, without a look at the star's own x. A pair therefore teaches
/// what its labels say, and pulls the parameters without a label towards that prior. A network trained on
/// rows of which some parameters are cut, but asked for all of them at once, would keep a bias between the
/// two.
///
/// Labels that no star of the pool comes near (models need not reach every real star) take the nearest: no
/// weight is lost to rounding, since weights are relative to the largest.
///
/// Throws ShapeError where the extents do not fit, ValueError for an infinite label, one without a positive
/// error, one so many errors from the pool that no double holds its weights, a pool of fewer than two draws
/// or copies < 1.
template <Backend B, class Measure>
[[nodiscard]] LabelPairs label_pairs(const B& backend, const Tensor<double>& pool, const Labels& labels,
                                     const std::vector<index_t>& independent, const Tensor<double>& x,
                                     const Tensor<double>& sigma, index_t copies, Measure&& measure,
                                     const Rng& rng) {
  const index_t stars = x.rows(), p = pool.cols();
  if (labels.theta.shape() != Shape{stars, p} || labels.sigma.shape() != labels.theta.shape() ||
      sigma.shape() != x.shape())
    throw ShapeError(sbi::text("label pairs: x is ", x.shape(), ", sigma is ", sigma.shape(), ", labels are ",
                               labels.theta.shape(), " and ", labels.sigma.shape(), "; want [", stars,
                               ",observables] and [", stars, ",", p, "], twice each"));
  if (pool.rows() < 2 || copies < 1)
    throw ValueError(sbi::text("label pairs: ", pool.rows(), " draws in the pool, ", copies,
                               " copies; want two or more, and one or more"));
  std::vector<char> alone(static_cast<std::size_t>(p), 0);
  std::vector<Bounds> range(static_cast<std::size_t>(p));
  for (const index_t j : independent) {
    if (j < 0 || j >= p) throw ValueError(sbi::text("label pairs: parameter ", j, " of ", p));
    alone[static_cast<std::size_t>(j)] = 1;
  }
  for (index_t j = 0; j < p; ++j) {
    Bounds& r = range[static_cast<std::size_t>(j)];
    r = {pool(0, j), pool(0, j)};
    for (index_t i = 0; i < pool.rows(); ++i)
      r.low = std::min(r.low, pool(i, j)), r.high = std::max(r.high, pool(i, j));
  }
  for (index_t i = 0; i < stars; ++i) {
    double largest = 0; // bound of a sum of squares below
    for (index_t j = 0; j < p; ++j) {
      const double label = labels.theta(i, j), error = labels.sigma(i, j);
      if (is_missing(label)) continue;
      if (!is_finite(label))
        throw ValueError(sbi::text("label pairs: label ", j, " of star ", i, " is ", label,
                                   "; want a finite one, or NaN where unknown"));
      if (!(error > 0))
        throw ValueError(sbi::text("label pairs: label ", j, " of star ", i, " has the error ", error,
                                   "; want a positive one"));
      if (alone[static_cast<std::size_t>(j)]) continue;
      const Bounds& r = range[static_cast<std::size_t>(j)];
      largest += (r.high - r.low) / error *
                 (2 * std::max(std::abs(r.low - label), std::abs(r.high - label)) / error);
      if (!is_finite(largest))
        throw ValueError(sbi::text("label pairs: label ", j, " of star ", i, " is ", label,
                                   " with the error ", error, ", too far from the pool's ", r.low, " to ",
                                   r.high, " to compare its draws"));
    }
  }

  LabelPairs out;
  for (Dataset* d : {&out.pairs, &out.partners}) {
    d->theta = Tensor<double>({copies * stars, p});
    d->x = Tensor<double>({copies * stars, x.cols()});
    d->sigma = Tensor<double>(d->x.shape());
  }
  backend.for_each(stars, [&](index_t i) {
    std::vector<double> log_weight(static_cast<std::size_t>(pool.rows()), 0.0), cumulative(log_weight.size());
    for (index_t j = 0; j < p; ++j) {
      if (alone[static_cast<std::size_t>(j)] || is_missing(labels.theta(i, j))) continue;
      // Relative to the best weight that the pool's range allows: the squares of far labels would differ by
      // less than their rounding.
      const double label = labels.theta(i, j), error = labels.sigma(i, j);
      const Bounds& bounds = range[static_cast<std::size_t>(j)];
      const double best = std::clamp(label, bounds.low, bounds.high);
      for (index_t r = 0; r < pool.rows(); ++r) {
        const double v = pool(r, j);
        log_weight[static_cast<std::size_t>(r)] -=
            0.5 * ((v - best) / error) * (((v - label) + (best - label)) / error);
      }
    }
    const double most = *std::max_element(log_weight.begin(), log_weight.end());
    double sum = 0;
    for (std::size_t r = 0; r < cumulative.size(); ++r) cumulative[r] = sum += std::exp(log_weight[r] - most);
    for (index_t c = 0; c < copies; ++c) {
      const index_t row = c * stars + i;
      Rng draw = rng.split(static_cast<std::uint64_t>(row));
      const auto at = std::upper_bound(cumulative.begin(), cumulative.end(), draw.uniform() * sum);
      const index_t chosen = std::min(at - cumulative.begin(), cumulative.end() - cumulative.begin() - 1);
      std::copy_n(pool.row(chosen), p, out.partners.theta.row(row));
      for (index_t j = 0; j < p; ++j) {
        if (!alone[static_cast<std::size_t>(j)] || is_missing(labels.theta(i, j))) continue;
        const Bounds& r = range[static_cast<std::size_t>(j)];
        double value = std::clamp(labels.theta(i, j), r.low, r.high); // what a label outside the pool gives
        for (int attempt = 0; attempt < 100; ++attempt) {
          const double v = draw.normal(labels.theta(i, j), labels.sigma(i, j));
          if (!(v >= r.low && v <= r.high)) continue;
          value = v;
          break;
        }
        out.partners.theta(row, j) = value;
      }
      std::copy_n(out.partners.theta.row(row), p, out.pairs.theta.row(row));
      const auto k = static_cast<std::size_t>(x.cols());
      std::copy_n(x.row(i), k, out.pairs.x.row(row));
      std::copy_n(sigma.row(i), k, out.pairs.sigma.row(row));
      std::copy_n(sigma.row(i), k, out.partners.sigma.row(row));
      measure(draw, std::span<const double>(out.partners.theta.row(row), static_cast<std::size_t>(p)),
              std::span<const double>(sigma.row(i), k), std::span<double>(out.partners.x.row(row), k));
    }
  });
  return out;
}

} // namespace sbi
