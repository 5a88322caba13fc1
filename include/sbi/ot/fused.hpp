// SPDX-License-Identifier: MIT
// Solvers of fused Gromov-Wasserstein problems: conditional gradients, mirror descent with entropy, proximal
// points.
#pragma once
#include <sbi/ot/fused_problem.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace sbi::ot {
namespace detail {

/// Frank-Wolfe with the exact line search: the objective is a parabola on the way to the vertex.
template <class P, class T> void conditional_gradient_step(const P& problem, FusedState<T>& s) {
  const Tensor<T> slope = problem.slope(s);
  ExactResult vertex = exact_transport<T>(slope.view(), problem.a, problem.b);
  Tensor<T> target(slope.shape()), interaction;
  for (const Shipment& of : vertex.plan) target(of.from, of.to) = static_cast<T>(of.mass);
  problem.energy.interaction(std::span<const Shipment>(vertex.plan), interaction);
  const double gap = problem.gain(slope, s, target);
  const double bend = problem.bend(s, target, interaction);
  const double step = bend > 0 ? std::clamp(gap / (2 * bend), 0.0, 1.0) : gap > bend ? 1.0 : 0.0;
  s.f = std::move(vertex.f), s.g = std::move(vertex.g), s.inner = vertex.optimal;
  // Without the step the multipliers stay those of the plan.
  s.settled = problem.negligible(step * (gap - step * bend), s.objective);
  if (s.settled) return;
  problem.mix(s, target, interaction, step);
  problem.measure(s);
}

/// Sinkhorn for a cost, warm from the state's potentials.
template <class P, class T>
void solve(const P& problem, const Tensor<T>& cost, const SinkhornOptions& run, FusedState<T>& s) {
  const SinkhornResult<T> before = std::move(s.potentials);
  s.potentials =
      sinkhorn(problem.be, cost.view(), problem.a, problem.b, run, before.f.empty() ? nullptr : &before);
  s.f.assign(s.potentials.f.begin(), s.potentials.f.end()),
      s.g.assign(s.potentials.g.begin(), s.potentials.g.end());
  s.inner = s.potentials.converged, s.residual = s.potentials.residual;
}

/// Mirror descent on F + eps KL: the next plan is Sinkhorn's of the cost G. Where F bends upwards on the way
/// there a shorter step, from KL being convex, keeps the objective from rising.
template <class P, class T>
void entropic_step(const P& problem, const SinkhornOptions& run, FusedState<T>& s) {
  const Tensor<T> slope = problem.slope(s);
  solve(problem, slope, run, s);
  const Tensor<T> target =
      transport_plan(problem.be, slope.view(), problem.a, problem.b, s.potentials, run.epsilon);
  Tensor<T> interaction;
  problem.energy.interaction(target.view(), interaction);
  const double bend = problem.bend(s, target, interaction), before = s.objective;
  double step = 1;
  if (bend > 0) {
    const double gap =
        problem.gain(slope, s, target) + run.epsilon * (problem.entropy(s.plan) - problem.entropy(target));
    step = std::clamp(gap / (2 * bend), 0.0, 1.0);
  }
  problem.mix(s, target, interaction, step);
  problem.measure(s);
  s.settled = s.inner && problem.negligible(before - s.objective, s.objective);
}

/// The proximal point method (Xu, Luo, Zha, Carin 2019, ICML): the next plan minimises <G, Q> + eps KL(Q |
/// P), which is Sinkhorn's for the cost G - eps log(P / (a x b)). The logarithm comes from the potentials: a
/// plan's entries underflow. Steps that raise F are taken again with twice the epsilon.
template <class P, class T>
void proximal_step(const P& problem, const SinkhornOptions& run, FusedState<T>& s) {
  if (s.log_ratio.size() == 0) { // where the start is 0 the plan would stay so: a tenth of the product plan
    Tensor<T> product = problem.start(0), interaction;
    problem.energy.interaction(product.view(), interaction);
    problem.mix(s, product, interaction, 0.1);
    problem.measure(s);
    s.log_ratio = Tensor<T>(s.plan.shape()), s.epsilon = run.epsilon;
    for (index_t k = 0; k < s.plan.size(); ++k)
      if (const T q = product.data()[k]; q > 0) s.log_ratio.data()[k] = -std::log(s.plan.data()[k] / q);
  }
  const double before = s.objective;
  FusedState<T> next;
  Tensor<T> cost(s.plan.shape());
  SinkhornOptions inner_run = run;
  for (int doubled = 0;; ++doubled, s.epsilon *= 2) {
    inner_run.epsilon = s.epsilon;
    const View<const T> log_ratio = s.log_ratio.view();
    problem.slope(s, cost, [log_ratio, eps = s.epsilon](index_t i, index_t j) {
      return eps * static_cast<double>(log_ratio(i, j));
    });
    solve(problem, cost, inner_run, s);
    Tensor<T> near = transport_plan(problem.be, cost.view(), problem.a, problem.b, s.potentials, s.epsilon);
    // A plan far from its marginals may fall short of every minimum.
    if (!s.inner) near = problem.as_plan(near.view()), s.residual = 0;
    next = problem.begin(std::move(near));
    if (next.objective <= before + std::max(problem.smallest, s.residual * problem.size)) break;
    if (doubled == 40) { // no step leads down; whether that means anything the inner problem says
      s.settled = true, s.epsilon = run.epsilon;
      return;
    }
  }
  for_each_row(problem.be, cost.rows(), [&](index_t i) {
    const double f = s.f[static_cast<std::size_t>(i)], *g = s.g.data(), scale = 1 / s.epsilon;
    const T* from = cost.row(i);
    T* to = s.log_ratio.row(i);
    for (index_t j = 0; j < cost.cols(); ++j)
      to[j] = static_cast<T>((static_cast<double>(from[j]) - f - g[j]) * scale);
  });
  s.epsilon = std::max(run.epsilon, s.epsilon / 2);
  s.plan = std::move(next.plan), s.interaction = std::move(next.interaction);
  s.value = next.value, s.objective = next.objective;
  s.settled = s.inner && problem.negligible(before - s.objective, s.objective);
}

/// Steps from the start, or from all of them.
template <class P, class T>
[[nodiscard]] FusedResult<T> descend(const P& problem, View<const T> start,
                                     const std::type_identity_t<std::function<void(FusedState<T>&)>>& step) {
  const FusedOptions& o = problem.options;
  const auto advance = [&](FusedState<T>& s, int limit) {
    for (; !s.settled && s.iterations < limit; ++s.iterations) step(s);
  };
  FusedState<T> best;
  if (start) {
    best = problem.begin(problem.as_plan(start));
  } else {
    for (int k = 0; k < problem.starts(); ++k) {
      FusedState<T> trial = problem.begin(problem.start(k));
      advance(trial, std::min(o.trial_iterations, o.max_iterations));
      // A plan without its marginals may fall short of any minimum.
      const auto price = [&](const FusedState<T>& of) { return of.objective + of.residual * problem.size; };
      if (k == 0 || price(trial) < price(best)) best = std::move(trial);
    }
  }
  advance(best, o.max_iterations);
  problem.energy.interaction(best.plan.view(), best.interaction); // without the steps' rounding
  problem.measure(best);
  FusedResult<T> out;
  out.value = best.value, out.objective = best.objective;
  out.distortion = problem.energy.value(best.plan.view(), best.interaction);
  out.iterations = best.iterations, out.converged = best.settled && best.inner;
  if (o.gradients) problem.gradients(best, out);
  out.plan = std::move(best.plan);
  return out;
}
} // namespace detail

/// By conditional gradients (Vayer et al. 2019): exact transport for the cost G gives the direction, an exact
/// line search the step, so that the objective never rises. M [n, m] may be an empty view; X [n, n] and Y
/// [m, m] need not be symmetric; weights a [n] and b [m] are scaled to sum 1 (empty: uniform). `start`, if
/// given, is the only one: a non-negative matrix [n, m], rounded to a plan. A step costs an exact transport
/// and 2 n^2 m operations. Throws ShapeError for sizes that do not fit, ValueError for options, weights,
/// entries that are not usable. Whether the result converged it says itself.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] FusedResult<T>
exact_fused(const B& be, std::type_identity_t<View<const T>> cost, std::type_identity_t<View<const T>> x,
            std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
            std::type_identity_t<std::span<const T>> b, const FusedOptions& options, const L& loss = {},
            std::type_identity_t<View<const T>> start = {}) {
  const detail::LossRowsOf<T, L> rows(loss);
  const detail::FusedProblem<B, T> problem(be, cost, x, y, a, b, options, rows, 0);
  return detail::descend(problem, start,
                         [&](detail::FusedState<T>& s) { detail::conditional_gradient_step(problem, s); });
}

/// The same with entropy, min F(P) + eps KL(P | a x b), by mirror descent (Peyre et al. 2016): P <-
/// Sinkhorn(G, eps), warm from the last potentials. Throws what `exact_fused` and `sinkhorn` throw.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] FusedResult<T>
entropic_fused(const B& be, std::type_identity_t<View<const T>> cost, std::type_identity_t<View<const T>> x,
               std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
               std::type_identity_t<std::span<const T>> b, const FusedOptions& options, const L& loss = {},
               std::type_identity_t<View<const T>> start = {}) {
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_balanced("fused", run);
  const detail::LossRowsOf<T, L> rows(loss);
  const detail::FusedProblem<B, T> problem(be, cost, x, y, a, b, options, rows, run.epsilon);
  return detail::descend(problem, start,
                         [&](detail::FusedState<T>& s) { detail::entropic_step(problem, run, s); });
}

/// Without entropy, as `exact_fused`, by proximal points: epsilon is the inverse of the step and no part of
/// the objective; about a tenth of the costs' size serves, smaller ones make fewer steps of costlier
/// problems. Where F bends upwards and the plan is no vertex this takes far fewer steps than conditional
/// gradients. Throws what `exact_fused` and `sinkhorn` throw.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] FusedResult<T>
proximal_fused(const B& be, std::type_identity_t<View<const T>> cost, std::type_identity_t<View<const T>> x,
               std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
               std::type_identity_t<std::span<const T>> b, const FusedOptions& options, const L& loss = {},
               std::type_identity_t<View<const T>> start = {}) {
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_balanced("fused", run);
  const detail::LossRowsOf<T, L> rows(loss);
  const detail::FusedProblem<B, T> problem(be, cost, x, y, a, b, options, rows, 0);
  return detail::descend(problem, start,
                         [&](detail::FusedState<T>& s) { detail::proximal_step(problem, run, s); });
}

} // namespace sbi::ot
