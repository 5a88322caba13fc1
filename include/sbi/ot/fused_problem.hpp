// SPDX-License-Identifier: MIT
// Fused Gromov-Wasserstein transport (Vayer, Chapel, Flamary, Tavenard, Courty 2019, ICML) between costs
// within two spaces and, where there is one, a cost between them:
//
//   min_P F(P) = (1 - alpha) <M, P> + alpha E(P),   P 1 = a, P^T 1 = b, P >= 0,
//
// E the distortion of distortion.hpp. The problem is not convex: each solver goes on from the best of several
// starts to a stationary point, where the gradient G = (1 - alpha) M + alpha dE/dP has f_i + g_j <= G_ij.
// For clouds under squared Euclidean costs `entropic_gromov` needs no matrices within the spaces.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/ot/distortion.hpp>
#include <sbi/ot/plan_starts.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

struct FusedOptions {
  double alpha = 0.5;            ///< share of the distortion, in [0, 1]; without M it counts as 1
  double tolerance = 1e-9;       ///< of the objective's relative fall in one step
  double absolute_tolerance = 0; ///< the same in units of the objective; rounding is allowed for in any case
  int max_iterations = 1000;     ///< steps of the best start
  int trial_iterations = 10;     ///< steps after which the best start is chosen
  /// Beside the product plan, points paired in the order of their mean cost within, and the plan of M alone.
  int random_starts = 8;
  std::uint64_t seed = 1;
  SinkhornOptions sinkhorn; ///< of the inner problems; epsilon in units of F. Not read by `exact_fused`
  bool gradients = true;
};

template <class T> struct FusedResult {
  Tensor<T> plan;        ///< [n,m]
  double value = 0;      ///< F(P), with the plan's own marginals
  double distortion = 0; ///< E(P)
  double objective = 0;  ///< what was minimised: F(P), for `entropic_fused` F(P) + eps KL(P | a x b)
  /// Gradients of the objective at a stationary point, by the envelope theorem: [n,m], empty without M, and
  /// [n,n] and [m,m], every entry on its own.
  Tensor<T> dcost, dx, dy;
  /// [n], [m] gradients in the weights, scaled to sum 1, from the multipliers f and g of the last inner
  /// problem. Where these are not unique, as for a plan that is a permutation, they are a subgradient of the
  /// linearised problem only; with entropy their error is of the order of the root of the tolerance.
  std::vector<double> da, db;
  int iterations = 0; ///< of the best start
  /// Whether the objective has settled and the last inner problem is solved. A stationary point need not be
  /// the global minimum.
  bool converged = false;
};

namespace detail {

template <class T> struct FusedState {
  Tensor<T> plan, interaction;
  double value = 0, objective = 0;
  SinkhornResult<T> potentials; ///< of the last inner problem, Sinkhorn's
  Tensor<T> log_ratio;          ///< -log P_ij / (a_i b_j), of the proximal solver
  double epsilon = 0;           ///< the proximal solver's
  std::vector<double> f, g;     ///< multipliers
  double residual = 0;          ///< l1 error of the marginals
  int iterations = 0;
  bool settled = false, inner = false; ///< inner: the last inner problem is solved
  bool ending = false;                 ///< the proximal solver's: no step of its own leads down
};

/// A checked problem with its options. `epsilon`: of the entropy that is part of the objective, or 0.
template <class B, class T> class FusedProblem {
public:
  FusedProblem(const B& backend, View<const T> m, View<const T> cost_x, View<const T> cost_y,
               std::span<const T> wa, std::span<const T> wb, const FusedOptions& o, const LossRows<T>& of,
               double eps)
      : be(backend), options(o), cost(m), x(cost_x), y(cost_y),
        weight_a((check_within("x", x, of.least()), "a"), wa, x.rows()),
        weight_b((check_within("y", y, of.least()), "b"), wb, y.rows()), loss(of), energy(be, x, y, loss),
        epsilon(eps) {
    check_options();
    if (!cost) options.alpha = 1;
    mass_a = weight_a.mass, mass_b = weight_b.mass;
    weight_a.scale(1 / mass_a), weight_b.scale(1 / mass_b);
    a.assign(weight_a.value.begin(), weight_a.value.end());
    b.assign(weight_b.value.begin(), weight_b.value.end());
    row_slope_ = energy.row_slope(weight_a.value), column_slope_ = energy.column_slope(weight_b.value);
    size = options.alpha * energy.size(weight_a.value, weight_b.value);
    if (cost)
      size += (1 - options.alpha) * sum_rows(be, x.rows(), [&](index_t i) {
                const double weight = weight_a.value[static_cast<std::size_t>(i)],
                             *other = weight_b.value.data();
                const T* const row = cost.row(i);
                return sum_row(y.rows(), [=](index_t j) {
                  return weight * other[j] * std::abs(static_cast<double>(row[j]));
                });
              });
    smallest = std::max(options.absolute_tolerance,
                        64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * size);
  }

  /// G of the state's plan plus `rest(i, j)`.
  template <class Rest> void slope(const FusedState<T>& s, Tensor<T>& out, Rest&& rest) const {
    const double alpha = options.alpha;
    for_each_row(be, x.rows(), [&](index_t i) {
      const double row = row_slope_[static_cast<std::size_t>(i)], *column = column_slope_.data();
      const T* interaction = s.interaction.row(i);
      T* to = out.row(i);
      const auto e = [&](index_t j) {
        return alpha * (row + column[j] - static_cast<double>(interaction[j])) + rest(i, j);
      };
      if (cost)
        for (index_t j = 0; j < y.rows(); ++j)
          to[j] = static_cast<T>(e(j) + (1 - alpha) * static_cast<double>(cost(i, j)));
      else
        for (index_t j = 0; j < y.rows(); ++j) to[j] = static_cast<T>(e(j));
    });
  }
  [[nodiscard]] Tensor<T> slope(const FusedState<T>& s) const {
    Tensor<T> out(Shape{x.rows(), y.rows()});
    slope(s, out, [](index_t, index_t) { return 0.0; });
    return out;
  }
  /// KL(P | a x b) of a plan.
  [[nodiscard]] double entropy(const Tensor<T>& plan) const {
    return plan_entropy<B, T>(be, plan.view(), weight_a.value, weight_b.value, true);
  }
  /// F(P) and the objective of the state's plan.
  void measure(FusedState<T>& s) const {
    s.value = options.alpha * energy.value(s.plan.view(), s.interaction);
    if (cost) s.value += (1 - options.alpha) * inner<T>(be, cost, s.plan.view());
    s.objective = s.value + (epsilon > 0 ? epsilon * entropy(s.plan) : 0);
  }
  [[nodiscard]] FusedState<T> begin(Tensor<T> plan) const {
    FusedState<T> out;
    out.plan = std::move(plan);
    energy.interaction(out.plan.view(), out.interaction);
    measure(out);
    return out;
  }
  [[nodiscard]] bool negligible(double fall, double objective) const {
    return fall <= std::max(smallest, options.tolerance * std::abs(objective));
  }
  /// P <- P + step (Q - P), the same for I, which is linear.
  static void mix(FusedState<T>& s, const Tensor<T>& plan, const Tensor<T>& interaction, double step) {
    const T w = static_cast<T>(step);
    const auto towards = [w](const Tensor<T>& other, Tensor<T>& out) {
      const T* const from = other.data();
      T* const to = out.data();
      for (index_t k = 0; k < out.size(); ++k) to[k] = (1 - w) * to[k] + w * from[k];
    };
    towards(plan, s.plan), towards(interaction, s.interaction);
  }
  /// <G, P - Q> for another plan Q.
  [[nodiscard]] double gain(const Tensor<T>& slope, const FusedState<T>& s, const Tensor<T>& plan) const {
    return sum_rows(be, x.rows(), [&](index_t i) {
      const T *g = slope.row(i), *p = s.plan.row(i), *q = plan.row(i);
      return sum_row(y.rows(), [=](index_t j) {
        return static_cast<double>(g[j]) * (static_cast<double>(p[j]) - static_cast<double>(q[j]));
      });
    });
  }
  /// The second-order term of F on the way to another plan: F(P + s D) = F(P) + s <G, D> + s^2 bend.
  [[nodiscard]] double bend(const FusedState<T>& s, const Tensor<T>& plan,
                            const Tensor<T>& interaction) const {
    return -options.alpha / 2 * sum_rows(be, x.rows(), [&](index_t i) {
      const T *u = interaction.row(i), *v = s.interaction.row(i), *p = plan.row(i), *q = s.plan.row(i);
      return sum_row(y.rows(), [=](index_t j) {
        return (static_cast<double>(u[j]) - static_cast<double>(v[j])) *
               (static_cast<double>(p[j]) - static_cast<double>(q[j]));
      });
    });
  }

  /// The gradients of a result, the plan held; a and b enter by their shares.
  void gradients(const FusedState<T>& s, FusedResult<T>& out) const {
    energy.gradients(s.plan.view(), options.alpha, out.dx, out.dy);
    if (cost) {
      out.dcost = s.plan;
      for (T& v : out.dcost) v *= static_cast<T>(1 - options.alpha);
    }
    const auto share = [](const Weights<T>& w, double mass, const std::vector<double>& multiplier) {
      const double mean = std::inner_product(w.value.begin(), w.value.end(), multiplier.begin(), 0.0);
      std::vector<double> of;
      for (double f : multiplier) of.push_back((f - mean) / mass);
      return of;
    };
    out.da = share(weight_a, mass_a, s.f), out.db = share(weight_b, mass_b, s.g);
  }

  /// A given start as a plan.
  [[nodiscard]] Tensor<T> as_plan(View<const T> given) const {
    check_matrix("start", given);
    Tensor<T> out = copied(given);
    const T least = *std::min_element(out.begin(), out.end());
    const double mass = std::accumulate(out.begin(), out.end(), 0.0);
    if (!(least >= 0 && mass > 0))
      throw ValueError(sbi::text("fused: start has the least entry ", least, " and the sum ", mass,
                                 "; want >= 0 and > 0"));
    for (T& v : out) v /= static_cast<T>(mass);
    round_to_marginals(weight_a.value, weight_b.value, out);
    return out;
  }
  [[nodiscard]] int starts() const { return 2 + (cost ? 1 : 0) + options.random_starts; }
  /// The product plan is a saddle where the spaces have symmetries: the others are not symmetric.
  [[nodiscard]] Tensor<T> start(int k) const {
    const std::vector<double>&p = weight_a.value, &q = weight_b.value;
    Tensor<T> out(Shape{x.rows(), y.rows()});
    if (k == 0) {
      for (index_t i = 0; i < out.rows(); ++i)
        for (index_t j = 0; j < out.cols(); ++j)
          out(i, j) = static_cast<T>(p[static_cast<std::size_t>(i)] * q[static_cast<std::size_t>(j)]);
      return out;
    }
    if (k == 1) return in_order<T>(p, q, by_eccentricity(x, p), by_eccentricity(y, q));
    if (cost && k == 2) {
      for (const Shipment& s : exact_transport<T>(cost, a, b).plan)
        out(s.from, s.to) = static_cast<T>(s.mass);
      return out;
    }
    Rng rng(options.seed, static_cast<std::uint64_t>(k));
    std::vector<index_t> rows(p.size()), columns(q.size());
    std::iota(rows.begin(), rows.end(), 0), std::iota(columns.begin(), columns.end(), 0);
    shuffle(rng, rows), shuffle(rng, columns);
    return in_order<T>(p, q, rows, columns);
  }

  const B& be;
  FusedOptions options;
  View<const T> cost, x, y;
  Weights<T> weight_a, weight_b;
  const LossRows<T>& loss;
  Distortion<B, T> energy;
  double epsilon, mass_a = 1, mass_b = 1, size = 0, smallest = 0;
  std::vector<T> a, b;

private:
  void check_options() const {
    const FusedOptions& o = options;
    if (!(o.alpha >= 0 && o.alpha <= 1))
      throw ValueError(sbi::text("fused: alpha = ", o.alpha, "; want in [0, 1]"));
    if (!(o.tolerance >= 0) || !(o.absolute_tolerance >= 0))
      throw ValueError(sbi::text("fused: tolerance = ", o.tolerance,
                                 ", absolute_tolerance = ", o.absolute_tolerance, "; want >= 0"));
    if (o.max_iterations < 1 || o.trial_iterations < 1 || o.random_starts < 0)
      throw ValueError(sbi::text("fused: ", o.max_iterations, " iterations, ", o.trial_iterations,
                                 " of a trial, ", o.random_starts, " random starts; want 1, 1, 0 or more"));
    if (cost) check_matrix("M", cost);
  }
  /// That a matrix is [n, m] and finite.
  void check_matrix(const char* name, View<const T> matrix) const {
    if (matrix.shape.rank() != 2 || matrix.rows() != x.rows() || matrix.cols() != y.rows())
      throw ShapeError(
          sbi::text("fused: ", name, " is ", matrix.shape, "; want [", x.rows(), ",", y.rows(), "]"));
    for (index_t i = 0; i < matrix.rows(); ++i)
      for (index_t j = 0; j < matrix.cols(); ++j)
        if (!is_finite(matrix(i, j)))
          throw ValueError(sbi::text("fused: ", name, "[", i, ",", j, "] = ", matrix(i, j), "; want finite"));
  }
  std::vector<double> row_slope_, column_slope_;
};
} // namespace detail
} // namespace sbi::ot
