// SPDX-License-Identifier: MIT
// Barycentres of spaces (Peyre, Cuturi, Solomon 2016, ICML, "Gromov-Wasserstein averaging of kernel and
// distance matrices"), with features at their points or without (Vayer et al. 2019): the costs C [N, N]
// between N points of given weights p, and their features Y [N, d], with the least
//
//   sum_s l_s [(1 - alpha) sum_ij |Y_i - Y_s,j|^2 T_s,ij + alpha sum_ijkl L(C_ik, C_s,jl) T_s,ij T_s,kl]
//
// over plans T_s [N, n_s] from p to p_s, shares l_s summing to 1. For plans that are held every entry has its
// own minimum: with r_s = T_s 1,
//   f1'/h1' (C) = sum_s l_s T_s h2(C_s) T_s^T / sum_s l_s r_s r_s^T,   Y = sum_s l_s T_s Y_s / sum_s l_s r_s,
// for the square loss the mean of the costs, for the Kullback-Leibler loss that of their logarithms. Plans
// and entries in turn never raise the objective.
#pragma once
#include <sbi/ot/gromov_barycentre_problem.hpp>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

template <class T> struct GromovBarycentre {
  Tensor<T> cost;     ///< [N,N]
  Tensor<T> features; ///< [N,d], empty without
  /// [N,n_s] the plan to each space, for the costs and features of the round before; empty where its share
  /// is 0.
  std::vector<Tensor<T>> plans;
  double objective = 0; ///< of these costs, features and plans
  int iterations = 0;   ///< of the best start
  /// Whether the objective has settled, new starts of the plans find nothing better and the plans have
  /// converged. A stationary point need not be the global minimum.
  bool converged = false;
};

/// The barycentre of spaces on N = `size` points with weights p [N] (empty: uniform; scaled to sum 1, all
/// > 0). `start` [N, N] and, with it, `start_features` [N, d] are the only start if given. A round costs one
/// plan a space and 2 N n_s (N + n_s) operations. Throws ShapeError for sizes that do not fit, ValueError for
/// options, shares, weights and entries that are not usable, and what the solver of the plans throws. Whether
/// the result converged it says itself.
template <class B, BarycentreLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] GromovBarycentre<T>
gromov_barycentre(const B& be, std::type_identity_t<std::span<const GromovSpace<T>>> spaces, index_t size,
                  std::type_identity_t<std::span<const T>> p, const GromovBarycentreOptions& options,
                  const L& loss = {}, std::type_identity_t<View<const T>> start = {},
                  std::type_identity_t<View<const T>> start_features = {}) {
  if (size < 1) throw ShapeError(sbi::text("gromov barycentre: ", size, " points; want at least 1"));
  using Problem = detail::GromovBarycentreProblem<B, T, L>;
  const Problem problem(be, spaces, size, p, options, loss);
  typename Problem::State best;
  const int trial_rounds = std::min(options.trial_iterations, options.max_iterations);
  for (int k = 0; k < (start ? 1 : options.starts); ++k) {
    typename Problem::State trial = start ? problem.start(start, start_features) : problem.start(k);
    for (int r = 0; r < trial_rounds; ++r) problem.round(trial, false);
    if (k == 0 || trial.objective < best.objective) best = std::move(trial);
  }
  bool settled = false, done = false;
  while (!done && best.iterations < options.max_iterations) {
    const bool anew = settled; // what has settled is tried with new starts of the plans
    settled = problem.negligible(problem.round(best, anew), best);
    done = anew && settled;
  }
  GromovBarycentre<T> out;
  out.objective = best.objective, out.iterations = best.iterations, out.converged = done && best.inner;
  out.cost = std::move(best.cost), out.features = std::move(best.features), out.plans = std::move(best.plans);
  return out;
}

} // namespace sbi::ot
