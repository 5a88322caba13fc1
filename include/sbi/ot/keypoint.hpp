// SPDX-License-Identifier: MIT
// Keypoint-guided transport (Gu, Yang, Zeng, Sun, Xu 2022, NeurIPS, "Keypoint-guided optimal transport"): a
// few pairs (i_u, j_u) are known to belong together, and every other point is described by how it relates to
// the keypoints of its own cloud.
//
//   R_ku = softmax_u(-c(x_k, x_(i_u)) / tau),  S_lu = softmax_u(-c(y_l, y_(j_u)) / tau'),
//   G_kl = JS(R_k, S_l), the Jensen-Shannon divergence, in [0, log 2].
//
// Over the plans that join each keypoint with its partner alone it minimises
//
//   <P, G>                                    KPG-RL: the clouds may lie in different spaces
//   alpha <P, C> + (1 - alpha) <P, G>         KPG-RL-KP: C_kl = c(x_k, y_l) between comparable spaces
//   alpha E(P) + (1 - alpha) <P, G>           KPG-RL-GW: E the distortion of distortion.hpp of the costs
//                                             c(x_k, x_l), c(y_k, y_l) within
//
// The keypoints' entries being known, P_(i_u)(j_u) = p_u, this is an ordinary problem between all other
// points: no masks reach a solver. E adds to its cost 2 sum_u p_u (c(x_k, x_(i_u)) - c(y_l, y_(j_u)))^2.
#pragma once
#include <sbi/ot/keypoint_relation.hpp>
#include <sbi/ot/partial.hpp>
#include <sbi/ot/solver.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace sbi::ot {

enum class KeypointForm { relations, with_cost, with_distortion }; ///< KPG-RL, KPG-RL-KP, KPG-RL-GW

/// What the temperature is given in: the largest cost of a point to a keypoint, in each cloud on its own,
/// which counts as a constant in the gradients; or the cost itself.
enum class TemperatureUnit { largest_cost, cost };

struct KeypointOptions {
  KeypointForm form = KeypointForm::relations;
  Solver solver = Solver::entropic;
  double alpha = 0.5; ///< share of the cost or the distortion, in [0, 1]; not read for relations alone
  /// How much moves, the keypoints' mass included; infinity: all. Not for distortions.
  double mass = std::numeric_limits<double>::infinity();
  PartnerWeights partners = PartnerWeights::refuse;
  double temperature = 0.1;
  TemperatureUnit temperature_unit = TemperatureUnit::largest_cost;
  /// Of the entropic and the proximal solver; epsilon in units of the objective. With finite prices the
  /// points that are no keypoints may be reweighted.
  SinkhornOptions sinkhorn;
  ExactOptions exact; ///< of the exact solver
  /// How the problem with a distortion is solved; its alpha, sinkhorn and gradients are not read.
  FusedOptions fused;
  bool gradients = true;
};

template <class T> struct KeypointResult {
  /// The minimum, the keypoints' entries included; entropic: with eps KL(P | a x b) over the other points and
  /// with what leaving their weights costs.
  double value = 0;
  Tensor<T> plan;                      ///< [n,m] P
  Tensor<T> guide;                     ///< [n,m] G
  std::vector<index_t> rest_x, rest_y; ///< the points that are no keypoints
  Tensor<T> dx, dy;                    ///< [n,d], [m,e] gradients of the value
  /// Whether the solver says so of its problem. With a distortion a stationary point need not be the minimum.
  bool converged = false;
};

namespace detail {

inline void check(const KeypointOptions& o, std::size_t keypoints) {
  const bool partial = is_finite(o.mass), distorts = o.form == KeypointForm::with_distortion;
  if (!(o.temperature > 0) || !is_finite(o.temperature))
    throw ValueError(sbi::text("keypoints: temperature = ", o.temperature, "; want > 0"));
  if (!(o.alpha >= 0 && o.alpha <= 1))
    throw ValueError(sbi::text("keypoints: alpha = ", o.alpha, "; want in [0, 1]"));
  if (is_missing(o.mass) || o.mass < 0)
    throw ValueError(sbi::text("keypoints: mass = ", o.mass, "; want >= 0, or infinity for all"));
  if (partial && distorts)
    throw ValueError(sbi::text("keypoints: mass = ", o.mass, "; want infinity with a distortion"));
  if (o.solver == Solver::proximal && !distorts)
    throw ValueError("keypoints: the proximal solver is for distortions; want the exact or entropic one");
  if (o.solver == Solver::exact && (is_finite(o.sinkhorn.rho_a) || is_finite(o.sinkhorn.rho_b)))
    throw ValueError(sbi::text("keypoints: rho_a = ", o.sinkhorn.rho_a, ", rho_b = ", o.sinkhorn.rho_b,
                               "; want infinity for both with the exact solver"));
  const std::size_t least = o.form == KeypointForm::relations || o.alpha == 0 ? 2 : 1;
  if (keypoints < least)
    throw ValueError(sbi::text("keypoints: ", keypoints, " of them; want ",
                               least == 2 ? "two or more, one tells nothing apart" : "one or more"));
}

/// The problem between the points that are no keypoints, solved: value, plan [rest x, rest y].
template <class T> struct RestSolution {
  double value = 0;
  Tensor<T> plan;
  bool converged = false;
};

template <class B, class T>
[[nodiscard]] RestSolution<T> solve_rest(const B& be, const Tensor<T>& cost, const KeypointWeights<T>& w,
                                         const KeypointOptions& o) {
  const View<const T> c = cost.view();
  RestSolution<T> out;
  const auto exact = [&](const auto& r, bool converged) {
    out.value = r.value, out.converged = converged, out.plan = Tensor<T>(cost.shape());
    for (const Shipment& s : r.plan) out.plan(s.from, s.to) = static_cast<T>(s.mass);
  };
  const auto entropic = [&](const auto& r) {
    out.value = r.value, out.converged = r.converged;
    out.plan = transport_plan(be, c, w.rest_a, w.rest_b, r, o.sinkhorn.epsilon);
  };
  if (!is_finite(o.mass)) {
    if (o.solver == Solver::exact) {
      const ExactResult r = exact_transport<T>(c, w.rest_a, w.rest_b, o.exact);
      exact(r, r.optimal);
    } else {
      entropic(sinkhorn(be, c, w.rest_a, w.rest_b, o.sinkhorn));
    }
    return out;
  }
  const double full = w.key_mass + std::min(w.rest_mass_a, w.rest_mass_b);
  const double rounding = std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())) * full;
  if (o.mass < w.key_mass - rounding || o.mass > full + rounding)
    throw ValueError(sbi::text("keypoints: mass = ", o.mass, "; want ", w.key_mass,
                               ", that of the keypoints, to ", full,
                               ", the smaller one of the masses of a and b"));
  const double mass = std::clamp(o.mass - w.key_mass, 0.0, full - w.key_mass);
  if (o.solver == Solver::exact) {
    const PartialExactResult r = partial_transport<T>(c, w.rest_a, w.rest_b, mass, o.exact);
    exact(r, r.converged);
  } else {
    entropic(partial_sinkhorn(be, c, w.rest_a, w.rest_b, mass, o.sinkhorn));
  }
  return out;
}

/// The same for (1 - alpha) <P, linear> + alpha E(P) over P of mass r, in terms of P / r: a fused problem
///   s min_Q (1 - alpha') <M, Q> + alpha' E(Q),  M = the whole linear part, s = r + alpha r^2,
/// with the share alpha' = alpha r^2 / s and the entropy r KL(Q | .) + r^2 - r - r log r.
template <class B, class T>
[[nodiscard]] RestSolution<T> solve_rest_within(const B& be, const Tensor<T>& linear, const Tensor<T>& x,
                                                const Tensor<T>& y, const KeypointWeights<T>& w,
                                                const KeypointOptions& o) {
  const double r = w.rest_mass_a, scale = r + o.alpha * r * r;
  FusedOptions run = o.fused;
  run.alpha = o.alpha * r * r / scale, run.gradients = false, run.absolute_tolerance /= scale;
  run.sinkhorn = o.sinkhorn, run.sinkhorn.epsilon *= r / scale;
  FusedResult<T> of =
      fused_transport(be, o.solver, linear.view(), x.view(), y.view(), w.rest_a, w.rest_b, run);
  RestSolution<T> out;
  out.value = scale * of.objective;
  if (o.solver == Solver::entropic) out.value += o.sinkhorn.epsilon * (r * r - r - r * std::log(r));
  out.plan = std::move(of.plan), out.converged = of.converged;
  for (T& p : out.plan) p = static_cast<T>(r * static_cast<double>(p));
  return out;
}

/// The entries of a matrix for these rows and columns.
template <class T>
[[nodiscard]] Tensor<T> entries(const Tensor<T>& of, const std::vector<index_t>& rows,
                                const std::vector<index_t>& columns) {
  Tensor<T> out(Shape{static_cast<index_t>(rows.size()), static_cast<index_t>(columns.size())});
  for (index_t i = 0; i < out.rows(); ++i)
    for (index_t j = 0; j < out.cols(); ++j)
      out(i, j) = of(rows[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]);
  return out;
}
} // namespace detail

/// Keypoint-guided transport of x [n, d] with weights a to y [m, e] with weights b (empty: uniform). The
/// ground cost is applied within each cloud and, `with_cost`, between them (d = e). With a distortion the
/// weights are scaled to sum 1. Gradients are those of the value by the envelope theorem. Throws what the
/// solver throws; ShapeError and ValueError for what `sinkhorn` refuses, for keypoints out of range,
/// repeated, too few (one tells no points apart; with a cost or a distortion it guides by that) or all there
/// are, for options that do not fit together, and, as no plan exists then, for partners of different weight
/// and a mass below that of the keypoints.
template <class B, class C, class T = typename B::compute_t>
[[nodiscard]] KeypointResult<T>
keypoint_guided(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                std::type_identity_t<View<const T>> y, std::span<const Keypoint> keypoints,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                const KeypointOptions& options) {
  static_assert(Cost<C, T>,
                "sbi: a transport cost needs c(x, y) and add_gradient(weight, x, y, out) on spans");
  constexpr const char* who = "keypoints";
  const bool costs = options.form == KeypointForm::with_cost,
             distorts = options.form == KeypointForm::with_distortion;
  detail::check_points(who, "x", x), detail::check_points(who, "y", y);
  if (costs) detail::check_clouds(who, x, y);
  detail::check(options, keypoints.size());
  Weights<T> wa("a", a, x.rows()), wb("b", b, y.rows());
  if (distorts) wa.scale(1 / wa.mass), wb.scale(1 / wb.mass);
  const bool balanced =
      !is_finite(options.sinkhorn.rho_a) && !is_finite(options.sinkhorn.rho_b) && !is_finite(options.mass);
  const detail::KeypointWeights<T> w(keypoints, wa, wb, options.partners, balanced);

  using Relation = detail::Relation<C, T>;
  const auto relation = [&](View<const T> points, const std::vector<index_t>& keys,
                            const std::vector<index_t>& rest) {
    const double unit =
        options.temperature_unit == TemperatureUnit::cost ? 1 : Relation::largest(cost, points, keys, rest);
    return Relation(cost, points, keys, unit > 0 ? options.temperature * unit : 1);
  };
  const Relation of_x = relation(x, w.key_x, w.rest_x), of_y = relation(y, w.key_y, w.rest_y);
  const index_t n = x.rows(), m = y.rows();
  KeypointResult<T> out;
  out.guide = Tensor<T>(Shape{n, m}), out.plan = Tensor<T>(Shape{n, m});
  detail::for_each_row(be, n, [&](index_t i) {
    for (index_t j = 0; j < m; ++j) out.guide(i, j) = static_cast<T>(of_x.divergence(i, of_y, j));
  });

  const double alpha = costs || distorts ? options.alpha : 0;
  const Tensor<T> between = costs ? cost_matrix(be, cost, x, y) : Tensor<T>(),
                  within_x = distorts ? cost_matrix(be, cost, x, x) : Tensor<T>(),
                  within_y = distorts ? cost_matrix(be, cost, y, y) : Tensor<T>();
  /// sum_v p_v (c(x_i, x_(key v)) - c(y_j, y_(key v)))^2
  const auto to_keypoints = [&](index_t i, index_t j) {
    double sum = 0;
    for (std::size_t v = 0; v < w.weight.size(); ++v) {
      const double difference =
          static_cast<double>(within_x(i, w.key_x[v])) - static_cast<double>(within_y(j, w.key_y[v]));
      sum += w.weight[v] * difference * difference;
    }
    return sum;
  };
  /// The cost of a pair that goes with its mass; `twice`: E meets a pair of other points and one of keypoints
  /// twice.
  const auto linear = [&](index_t i, index_t j, double twice) {
    double sum = (1 - alpha) * static_cast<double>(out.guide(i, j));
    if (costs) sum += alpha * static_cast<double>(between(i, j));
    if (distorts) sum += twice * alpha * to_keypoints(i, j);
    return sum;
  };
  Tensor<T> of_rest(Shape{static_cast<index_t>(w.rest_x.size()), static_cast<index_t>(w.rest_y.size())});
  detail::for_each_row(be, of_rest.rows(), [&](index_t i) {
    for (index_t j = 0; j < of_rest.cols(); ++j)
      of_rest(i, j) = static_cast<T>(
          linear(w.rest_x[static_cast<std::size_t>(i)], w.rest_y[static_cast<std::size_t>(j)], 2));
  });
  const detail::RestSolution<T> solved =
      distorts ? detail::solve_rest_within(be, of_rest, detail::entries(within_x, w.rest_x, w.rest_x),
                                           detail::entries(within_y, w.rest_y, w.rest_y), w, options)
               : detail::solve_rest(be, of_rest, w, options);
  out.value = solved.value, out.converged = solved.converged;
  for (index_t i = 0; i < of_rest.rows(); ++i)
    for (index_t j = 0; j < of_rest.cols(); ++j)
      out.plan(w.rest_x[static_cast<std::size_t>(i)], w.rest_y[static_cast<std::size_t>(j)]) =
          solved.plan(i, j);
  for (std::size_t u = 0; u < w.weight.size(); ++u) {
    out.plan(w.key_x[u], w.key_y[u]) = static_cast<T>(w.weight[u]);
    out.value += w.weight[u] * linear(w.key_x[u], w.key_y[u], 1);
  }
  out.rest_x = w.rest_x, out.rest_y = w.rest_y;
  if (!options.gradients) return out;

  out.dx = Tensor<T>(x.shape), out.dy = Tensor<T>(y.shape);
  const auto share = [&](double of) {
    Tensor<T> weight = out.plan;
    for (T& p : weight) p *= static_cast<T>(of);
    return weight;
  };
  if (alpha < 1) {
    const Tensor<T> weight = share(1 - alpha);
    of_x.add_gradient(be, of_y, weight.view(), out.dx);
    const Tensor<T> turned = detail::transposed<T>(weight.view(), n);
    of_y.add_gradient(be, of_x, turned.view(), out.dy);
  }
  if (costs) {
    const Tensor<T> weight = share(alpha);
    detail::add_between(be, cost, weight.view(), x, y, out.dx, out.dy);
  }
  if (distorts) {
    Tensor<T> dwithin_x, dwithin_y; // from the whole plan: E needs no reduction here
    const detail::LossRowsOf<T, SquareLoss> square(SquareLoss{});
    detail::Distortion<B, T>(be, within_x.view(), within_y.view(), square)
        .gradients(out.plan.view(), alpha, dwithin_x, dwithin_y);
    detail::add_within<B, C, T>(be, cost, dwithin_x.view(), x, out.dx);
    detail::add_within<B, C, T>(be, cost, dwithin_y.view(), y, out.dy);
  }
  return out;
}

} // namespace sbi::ot
