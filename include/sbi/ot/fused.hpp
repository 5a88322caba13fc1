// SPDX-License-Identifier: MIT
// Solvers of fused Gromov-Wasserstein problems: conditional gradients, mirror descent with entropy, proximal
// points.
#pragma once
#include <sbi/ot/exchange.hpp>
#include <sbi/ot/fused_problem.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {
namespace detail {

/// Goes towards another plan as far as the objective, a parabola on the way, falls. Gives the share of the
/// way; 0, and the state stays, where the fall is negligible.
template <class P, class T>
double search_line(const P& problem, const Tensor<T>& slope, const Tensor<T>& target,
                   const Tensor<T>& interaction, FusedState<T>& s) {
  const double gap = problem.gain(slope, s, target), bend = problem.bend(s, target, interaction);
  const double step = bend > 0 ? std::clamp(gap / (2 * bend), 0.0, 1.0) : gap > bend ? 1.0 : 0.0;
  if (problem.negligible(step * (gap - step * bend), s.objective)) return 0;
  problem.mix(s, target, interaction, step);
  problem.measure(s);
  return step;
}

/// Frank-Wolfe: to the vertex that is best for the slope; where that leads nowhere, by the best exchange. Has
/// settled where neither leads down.
template <class P, class T> double conditional_gradient_step(const P& problem, FusedState<T>& s) {
  const Tensor<T> slope = problem.slope(s);
  ExactResult vertex = exact_transport<T>(slope.view(), problem.a, problem.b, {.f = s.f, .g = s.g});
  Tensor<T> target(slope.shape()), interaction;
  for (const Shipment& of : vertex.plan) target(of.from, of.to) = static_cast<T>(of.mass);
  problem.energy.interaction(std::span<const Shipment>(vertex.plan), interaction);
  double step = search_line(problem, slope, target, interaction, s);
  // Without a step the multipliers are those of the plan.
  s.f = std::move(vertex.f), s.g = std::move(vertex.g), s.inner = vertex.optimal;
  if (step > 0) return step;
  const std::vector<Shipment> moved = best_exchange(problem, slope, s.plan).shipments();
  problem.energy.interaction(std::span<const Shipment>(moved), interaction);
  target = s.plan;
  for (const Shipment& of : moved) target(of.from, of.to) += static_cast<T>(of.mass);
  for (index_t k = 0; k < target.size(); ++k) interaction.data()[k] += s.interaction.data()[k];
  step = search_line(problem, slope, target, interaction, s);
  s.settled = !(step > 0);
  return step;
}

/// Sinkhorn's plan for a cost, warm from the state's potentials. Where the problem was not solved the plan is
/// rounded to its marginals: far from them it may fall short of every minimum.
template <class P, class T>
[[nodiscard]] Tensor<T> solve(const P& problem, const Tensor<T>& cost, const SinkhornOptions& run,
                              FusedState<T>& s) {
  const SinkhornResult<T> before = std::move(s.potentials);
  s.potentials =
      sinkhorn(problem.be, cost.view(), problem.a, problem.b, run, before.f.empty() ? nullptr : &before);
  s.f.assign(s.potentials.f.begin(), s.potentials.f.end()),
      s.g.assign(s.potentials.g.begin(), s.potentials.g.end());
  s.inner = s.potentials.converged, s.residual = s.potentials.residual;
  Tensor<T> plan = transport_plan(problem.be, cost.view(), problem.a, problem.b, s.potentials, run.epsilon);
  if (!s.inner) plan = problem.as_plan(plan.view()), s.residual = 0;
  return plan;
}

/// Mirror descent on F + eps KL: the next plan is Sinkhorn's of the cost G. Where F bends upwards on the way
/// there a shorter step, from KL being convex, keeps the objective from rising.
template <class P, class T>
void entropic_step(const P& problem, const SinkhornOptions& run, FusedState<T>& s) {
  const Tensor<T> slope = problem.slope(s), target = solve(problem, slope, run, s);
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

/// The logarithms that proximal points go on from, of the state's plan; entries that have underflowed, which
/// the plan does not know, by what was left of them.
template <class P, class T> void take_logarithms(const P& problem, double left, FusedState<T>& s) {
  const T less = static_cast<T>(std::log(left));
  for_each_row(problem.be, s.plan.rows(), [&](index_t i) {
    const double weight = problem.weight_a.value[static_cast<std::size_t>(i)],
                 *other = problem.weight_b.value.data();
    const T* plan = s.plan.row(i);
    T* to = s.log_ratio.row(i);
    for (index_t j = 0; j < s.plan.cols(); ++j)
      to[j] = plan[j] > 0 ? static_cast<T>(std::log(weight * other[j] / static_cast<double>(plan[j])))
                          : to[j] - less;
  });
}

/// Where proximal points have settled the plan may be a saddle, which they leave too slowly for it to show,
/// or a poor minimum. Conditional gradients and exchanges, from a plan of exact marginals, tell and lead on.
template <class P, class T> void begin_ending(const P& problem, FusedState<T>& s) {
  FusedState<T> plan = problem.begin(problem.as_plan(s.plan.view()));
  s.plan = std::move(plan.plan), s.interaction = std::move(plan.interaction);
  s.value = plan.value, s.objective = plan.objective, s.residual = 0, s.ending = true;
}
/// From a vertex they go on to the end; from a plan that keeps all its entries, as where F bends upwards,
/// proximal points take over again.
template <class P, class T> void ending_step(const P& problem, FusedState<T>& s) {
  const double step = conditional_gradient_step(problem, s);
  if (step == 1) s.log_ratio = {};
  if (step == 0 || s.log_ratio.size() == 0) return;
  take_logarithms(problem, 1 - step, s);
  s.ending = false;
}

/// The proximal point method (Xu, Luo, Zha, Carin 2019, ICML): the next plan minimises <G, Q> + eps KL(Q |
/// P), which is Sinkhorn's for the cost G - eps log(P / (a x b)). The logarithm comes from the potentials: a
/// plan's entries underflow. Steps that raise F are taken again with twice the epsilon.
template <class P, class T>
void proximal_step(const P& problem, const SinkhornOptions& run, FusedState<T>& s) {
  if (s.ending) return ending_step(problem, s);
  if (s.log_ratio.size() == 0) { // where the start is 0 the plan would stay so: a tenth of the product plan
    Tensor<T> product = problem.start(0), interaction;
    problem.energy.interaction(product.view(), interaction);
    problem.mix(s, product, interaction, 0.1);
    problem.measure(s);
    s.log_ratio = Tensor<T>(s.plan.shape()), s.epsilon = run.epsilon;
    take_logarithms(problem, 1, s);
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
    next = problem.begin(solve(problem, cost, inner_run, s));
    if (next.objective <= before + std::max(problem.smallest, s.residual * problem.size)) break;
    if (doubled == 40) { // no step leads down
      s.epsilon = run.epsilon;
      return begin_ending(problem, s);
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
  if (s.inner && problem.negligible(before - s.objective, s.objective)) begin_ending(problem, s);
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
/// line search the step, so that the objective never rises. Where that leads nowhere the best exchange
/// between two pairs of the plan may, as F bends downwards between costs of distances; the end admits
/// neither. M [n, m] may be an empty view; X [n, n] and Y [m, m] need not be symmetric; weights a [n] and b
/// [m] are scaled to sum 1 (empty: uniform). `start`, if given, is the only one: a non-negative matrix [n,
/// m], rounded to a plan. A step costs an exact transport and 2 n^2 m operations. Throws ShapeError for sizes
/// that do not fit, ValueError for options, weights, entries that are not usable. Whether the result
/// converged it says itself.
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
/// gradients. Where the steps settle, those of `exact_fused` tell whether the plan is a saddle or a minimum
/// that an exchange leaves, and lead on; they count among the iterations. Throws what `exact_fused` and
/// `sinkhorn` throw.
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
