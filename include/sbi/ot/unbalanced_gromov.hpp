// SPDX-License-Identifier: MIT
// Unbalanced Gromov-Wasserstein transport between clouds, without matrices, and between given matrices, with
// a cost between the spaces or without: points that fit nowhere may be left behind at a price.
#pragma once
#include <sbi/ot/cloud_distortion.hpp>
#include <sbi/ot/unbalanced_problem.hpp>

#include <span>
#include <utility>

namespace sbi::ot {

template <class T> struct UnbalancedCloudGromov : UnbalancedGromov<T> {
  DotForm<T> cost;  ///< of the last inner problem; see `unbalanced_plan`
  Tensor<T> dx, dy; ///< [n,dx], [m,dy] gradients of L(P) by the envelope theorem
};

template <class T> struct UnbalancedFused : UnbalancedGromov<T> {
  Tensor<T> plan; ///< [n,m]
  /// Gradients of L(P) by the envelope theorem: [n,m], empty without M, [n,n] and [m,m], every entry on its
  /// own.
  Tensor<T> dcost, dx, dy;
};

/// Unbalanced Gromov-Wasserstein transport of x [n, dx] with weights a to y [m, dy] with weights b (empty:
/// uniform; not scaled) under squared Euclidean distances, in O(n + m) memory and O(n m) operations a
/// Sinkhorn iteration. It starts from the product plan, from pairings of the principal axes with all signs of
/// the first four and from `random_starts` turned ones; far outliers turn the axes, so that the random ones
/// matter. The gradients hold where the result is converged. Throws ShapeError for clouds without points and
/// weights that do not fit, ValueError for coordinates, weights or options that are not usable and, if both
/// prices are infinite, for masses that differ; NumericalError for a plan that loses all its mass.
template <class B, class T = typename B::compute_t>
[[nodiscard]] UnbalancedCloudGromov<T>
unbalanced_gromov(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                  std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                  const UnbalancedGromovOptions& options) {
  detail::check(options);
  detail::check_points("unbalanced gromov", "x", x);
  detail::check_points("unbalanced gromov", "y", y);
  const auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), options.sinkhorn);
  const detail::CloudDistortion<B, T> distortion(be, x, y, wa, wb);
  const detail::UnbalancedDescent<detail::CloudDistortion<B, T>, T> descent(distortion, wa, wb, options);
  auto [best, done] =
      descent.run(distortion.starts(descent.start_mass(), options.random_starts, options.seed));
  UnbalancedCloudGromov<T> out;
  descent.report(best, done, out);
  out.cost = std::move(*best.cost);
  if (options.gradients)
    distortion.gradients(out.cost, out.potentials, out.epsilon, best.plan, out.dx, out.dy);
  return out;
}

/// The plan [n, m] of a result between clouds, for the same weights. Throws ShapeError for weights that do
/// not fit.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T>
unbalanced_plan(const B& be, const std::type_identity_t<UnbalancedCloudGromov<T>>& result,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b) {
  return transport_plan(be, stored_cost(be, result.cost).view(), a, b, result.potentials, result.epsilon);
}

/// The same between costs X [n, n] and Y [m, m] within two spaces, which need not be symmetric, for any loss.
/// A cost M [n, m] between the spaces (an empty view: none) adds m(P) <M, P>: in units of a squared
/// distortion and, as every other term, quadratic in the plan; for plans of mass 1 it is <M, P>. `start`, if
/// given, is the only one: a non-negative matrix [n, m], scaled to the mass that the prices ask for. A round
/// costs 2 n m (n + m) operations and a Sinkhorn solution. Throws what `unbalanced_gromov` and `distortion`
/// throw, ShapeError and ValueError for M and a start that are not usable.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] UnbalancedFused<T>
unbalanced_fused(const B& be, std::type_identity_t<View<const T>> cost, std::type_identity_t<View<const T>> x,
                 std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
                 std::type_identity_t<std::span<const T>> b, const UnbalancedGromovOptions& options,
                 const L& loss = {}, std::type_identity_t<View<const T>> start = {}) {
  detail::check(options);
  detail::check_within("x", x, loss.least());
  detail::check_within("y", y, loss.least());
  for (const auto& [name, matrix] : {std::pair{"M", cost}, std::pair{"start", start}}) {
    if (!matrix) continue;
    if (matrix.shape.rank() != 2 || matrix.rows() != x.rows() || matrix.cols() != y.rows())
      throw ShapeError(sbi::text("unbalanced gromov: ", name, " is ", matrix.shape, "; want [", x.rows(), ",",
                                 y.rows(), "]"));
    for (index_t i = 0; i < matrix.rows(); ++i)
      for (index_t j = 0; j < matrix.cols(); ++j)
        if (!is_finite(matrix(i, j)) || (matrix.data == start.data && matrix(i, j) < 0))
          throw ValueError(sbi::text("unbalanced gromov: ", name, "[", i, ",", j, "] = ", matrix(i, j),
                                     "; want finite", matrix.data == start.data ? " and >= 0" : ""));
  }
  const auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), options.sinkhorn);
  const detail::LossRowsOf<T, L> rows(loss);
  const detail::MatrixDistortion<B, T> distortion(be, cost, x, y, wa, wb, rows);
  const detail::UnbalancedDescent<detail::MatrixDistortion<B, T>, T> descent(distortion, wa, wb, options);
  std::vector<detail::MatrixPlan<T>> starts;
  if (start) {
    starts.push_back(distortion.measured(detail::copied<T>(start)));
    if (!(starts.front().mass() > 0))
      throw ValueError(sbi::text("unbalanced gromov: start sums to ", starts.front().mass(), "; want > 0"));
    starts.front().scale(descent.start_mass() / starts.front().mass());
  } else {
    starts = distortion.starts(descent.start_mass(), options.random_starts, options.seed);
  }
  auto [best, done] = descent.run(std::move(starts));
  UnbalancedFused<T> out;
  descent.report(best, done, out);
  if (options.gradients) distortion.gradients(best.plan, out.dcost, out.dx, out.dy);
  out.plan = std::move(best.plan.entries);
  return out;
}

} // namespace sbi::ot
