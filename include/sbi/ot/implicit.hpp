// SPDX-License-Identifier: MIT
// Gradients of any loss on an entropic plan or its potentials by implicit differentiation of the marginal
// conditions, without the iterations that solved them (Luise, Rudi, Pontil & Ciliberto 2018; Eisenberger,
// Toker, Leal-Taixe, Bernard & Cremers 2022).
//
// With P_ij = a_i b_j K_ij, K_ij = exp((f_i + g_j - C_ij) / eps), row sums r and column sums c, a small
// change obeys
//   [ D(r)  P    ] [df]   [ (P . dC) 1   - eps D(a) K db   ]
//   [ P^T   D(c) ] [dg] = [ (P . dC)^T 1 - eps D(b) K^T da ].
// The matrix is symmetric, so the adjoint system is the same one. Its null vector (1, -1) is the constant
// that f and g may exchange. Eliminating dg leaves S = D(r) - P D(1/c) P^T, a weighted graph Laplacian:
// positive semidefinite with null vector 1, solved by conjugate gradients on the vectors of sum 0.
#pragma once
#include <sbi/ot/implicit_system.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

namespace sbi::ot {

struct ImplicitOptions {
  /// Largest l1 error of the plan's marginals that is accepted, relative to the mass. 0: 1e-4 in float, 1e-6
  /// in double.
  double tolerance = 0;
  double solver_tolerance = 0; ///< of the conjugate gradients' residual; 0: 1e-5 in float, 1e-10 in double
  int max_iterations = 2000;   ///< of the conjugate gradients
};

/// What a loss L says of a plan P and of potentials: its derivatives by them as if they were independent.
/// Empty: 0. Only f_i + g_j is determined, so L must not change when a constant moves from g to f:
/// sum_i dL/df_i = sum_j dL/dg_j.
template <class T> struct PlanLoss {
  View<const T> plan;                ///< [n, m] dL/dP
  std::span<const T> f = {}, g = {}; ///< [n] dL/df, [m] dL/dg; of points without weight too
};

/// Total derivatives of the loss.
template <class T> struct ImplicitGradient {
  Tensor<T> cost; ///< [n, m] dL/dC
  /// [n], [m] dL/da, dL/db, valid for changes that keep the masses equal: a constant may move from one to the
  /// other. As `sinkhorn` scales b to the mass of a, it is chosen to make sum_j b_j dL/db_j = 0. At a weight
  /// of 0 they are one-sided.
  std::vector<T> a, b;
  double residual = 0;        ///< l1 error of the plan's marginals, relative to the mass
  double solver_residual = 0; ///< of the conjugate gradients, relative to the right-hand side
  int iterations = 0;         ///< of the conjugate gradients
};

/// Gradients in the cost [n, m] and in the weights a and b (empty: uniform) of a loss on the plan and the
/// potentials that `sinkhorn` has found for them, all balanced, at this epsilon. The plan is stored: dL/dP
/// and dL/dC are as large, and the two products of a round of conjugate gradients then read it instead of
/// computing n m exponentials each. Throws NumericalError, naming the residual and what was wanted, when the
/// plan's marginals or the conjugate gradients are not accurate enough; ShapeError for sizes that do not fit;
/// ValueError for what `sinkhorn` refuses, for upstream gradients that are not finite and for those that tell
/// f from g by a constant.
template <class B, class T = typename B::compute_t>
[[nodiscard]] ImplicitGradient<T>
implicit_gradient(const B& be, std::type_identity_t<View<const T>> cost,
                  std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                  const SinkhornResult<T>& potentials, double epsilon,
                  const std::type_identity_t<PlanLoss<T>>& loss, const ImplicitOptions& options = {}) {
  using detail::Column, detail::column, detail::total, detail::times, detail::transposed_times;
  SinkhornOptions problem;
  problem.epsilon = epsilon, problem.tolerance = options.tolerance;
  detail::check(problem);
  if (!(options.solver_tolerance >= 0) || options.max_iterations < 1)
    throw ValueError(sbi::text("implicit gradient: solver_tolerance = ", options.solver_tolerance,
                               ", max_iterations = ", options.max_iterations, "; want >= 0 and >= 1"));
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("implicit gradient: the cost is ", cost.shape, "; want [n, m]"));
  const Weights<T> wa("a", a, cost.rows());
  Weights<T> wb("b", b, cost.cols());
  detail::balance("implicit gradient", wa, wb);
  if (potentials.f.size() != wa.value.size() || potentials.g.size() != wb.value.size())
    throw ShapeError(sbi::text("implicit gradient: ", potentials.f.size(), " and ", potentials.g.size(),
                               " potentials for a cost ", cost.shape));
  if (loss.plan && !(loss.plan.shape == cost.shape))
    throw ShapeError(sbi::text("implicit gradient: dL/dP is ", loss.plan.shape, "; want ", cost.shape));
  std::ignore = detail::checked_range(be, cost, wa, wb);
  const Column of_f = detail::checked_column<T>("dL/df", loss.f, wa.value.size()),
               of_g = detail::checked_column<T>("dL/dg", loss.g, wb.value.size());
  double sizes = 0;
  for (const Column* of : {&of_f, &of_g})
    for (double v : *of) sizes += std::abs(v);
  if (std::abs(total(of_f) - total(of_g)) >
      std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())) * sizes)
    throw ValueError(sbi::text("implicit gradient: dL/df sums to ", total(of_f), ", dL/dg to ", total(of_g),
                               "; want equal sums, as only f_i + g_j is determined"));

  detail::Side<T> x(wa, potentials.f), y(wb, potentials.g);
  if (!x.all_on()) x.extend(be, cost, wb, potentials.g, epsilon);
  if (!y.all_on()) y.extend(be, detail::transposed<T>(cost, cost.rows()).view(), wa, potentials.f, epsilon);
  const std::vector<T> left = x.bias(epsilon), right = y.bias(epsilon);
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  Tensor<T> q(cost.shape); // the plan, points without weight included at weight 1
  ImplicitGradient<T> out;
  out.cost = Tensor<T>(cost.shape); // dL/dP . Q / eps, until all is known
  detail::for_each_row(be, cost.rows(), [&](index_t i) {
    detail::plan_row(row_of(be, cost.cols()), cost.row(i), right.data(), left[at(i)],
                     static_cast<T>(1 / epsilon), q.row(i));
    for (index_t j = 0; j < cost.cols(); ++j) {
      if (x.on[at(i)] + y.on[at(j)] == 0) // nothing bounds a pair without any weight
        q(i, j) = std::min(q(i, j), std::numeric_limits<T>::max());
      else if (loss.plan)
        out.cost(i, j) =
            static_cast<T>(static_cast<double>(loss.plan(i, j)) * static_cast<double>(q(i, j)) / epsilon);
      if (!is_finite(out.cost(i, j)))
        throw ValueError(
            sbi::text("implicit gradient: dL/dP[", i, ",", j, "] = ", loss.plan(i, j), "; want finite"));
    }
  });
  const Column rows = times(be, q, y.on), columns = transposed_times(be, q, x.on);
  out.residual = std::max(x.error(rows), y.error(columns));
  if (!(out.residual <= detail::tolerance_of<T>(problem)))
    throw NumericalError(sbi::text("implicit gradient: the plan's marginals have a residual of ",
                                   out.residual, "; want <= ", detail::tolerance_of<T>(problem),
                                   ": balanced potentials of this epsilon, converged"));

  // What the loss gains if f_i or g_j rises; points without weight pass theirs on to those with.
  const Column direct_a = times(be, out.cost, y.on), direct_b = transposed_times(be, out.cost, x.on);
  const auto of_on = [](const Column& on, Column v) { // v, 0 where `on` is
    for (std::size_t i = 0; i < v.size(); ++i) v[i] *= on[i];
    return v;
  };
  const std::size_t n = wa.value.size(), m = wb.value.size();
  const Column pass_f = times(be, q, of_on(y.off, of_g)),
               pass_g = transposed_times(be, q, of_on(x.off, of_f));
  const auto gain = [](const Column& on, const Column& of, const Column& direct, const Column& pass) {
    return column(on.size(), [&](std::size_t i) { return on[i] > 0 ? of[i] + direct[i] - pass[i] : 0; });
  };
  const Column gain_f = gain(x.on, of_f, direct_a, pass_f), gain_g = gain(y.on, of_g, direct_b, pass_g);
  const Column weight = of_on(x.on, rows),
               inverse = column(m, [&](std::size_t j) { return y.on[j] / (columns[j] + y.off[j]); });
  const Column eliminated = of_on(x.on, times(be, q, of_on(inverse, gain_g)));
  constexpr double rounding = std::numeric_limits<double>::epsilon();
  Column diagonal(n);
  detail::for_each_row(be, q.rows(), [&](index_t i) {
    double squares = 0;
    for (index_t j = 0; j < q.cols(); ++j)
      squares += static_cast<double>(q(i, j)) * static_cast<double>(q(i, j)) * inverse[at(j)];
    const double w = weight[at(i)];
    diagonal[at(i)] = w > 0 ? std::max(w - squares, rounding * w) : 1;
  });
  double scale = 0;
  for (std::size_t i = 0; i < n; ++i)
    scale += (gain_f[i] * gain_f[i] + eliminated[i] * eliminated[i]) / (weight[i] + x.off[i]);
  scale = std::sqrt(scale);
  const double tolerance = options.solver_tolerance > 0 ? options.solver_tolerance
                           : sizeof(T) == 4             ? 1e-5
                                                        : 1e-10;
  const detail::Solution solution = detail::conjugate_gradients(
      [&](const Column& v) {
        const Column through = times(be, q, of_on(inverse, transposed_times(be, q, v)));
        return column(n, [&](std::size_t i) { return weight[i] * v[i] - x.on[i] * through[i]; });
      },
      column(n, [&](std::size_t i) { return gain_f[i] - eliminated[i]; }), weight, diagonal,
      64 * rounding * scale, tolerance, options.max_iterations);
  out.solver_residual = solution.residual, out.iterations = solution.iterations;
  if (!(out.solver_residual <= tolerance))
    throw NumericalError(sbi::text("implicit gradient: conjugate gradients have a residual of ",
                                   out.solver_residual, " after ", out.iterations, " iterations; want <= ",
                                   tolerance, ": raise max_iterations, solver_tolerance or epsilon"));

  // The adjoints of both conditions, per unit weight.
  const Column back = transposed_times(be, q, solution.x);
  const Column alpha = column(n, [&](std::size_t i) { return solution.x[i] + x.off[i] * of_f[i]; }),
               beta = column(
                   m, [&](std::size_t j) { return inverse[j] * (gain_g[j] - back[j]) + y.off[j] * of_g[j]; });
  detail::for_each_row(be, cost.rows(), [&](index_t i) {
    for (index_t j = 0; j < cost.cols(); ++j)
      out.cost(i, j) = static_cast<T>(static_cast<double>(q(i, j)) *
                                          (alpha[at(i)] * y.on[at(j)] + beta[at(j)] * x.on[at(i)]) -
                                      static_cast<double>(out.cost(i, j)) * x.on[at(i)] * y.on[at(j)]);
  });
  const Column through_a = times(be, q, beta), through_b = transposed_times(be, q, alpha);
  Column da = column(n, [&](std::size_t i) { return epsilon * (direct_a[i] - through_a[i]) / x.unit[i]; }),
         db = column(m, [&](std::size_t j) { return epsilon * (direct_b[j] - through_b[j]) / y.unit[j]; });
  const double shift = detail::dot(y.weight, db) / wb.mass;
  for (double& v : da) v += shift;
  for (double& v : db) v -= shift;
  const auto write = [](const Column& from, std::vector<T>& to) {
    for (const double v : from) {
      to.push_back(static_cast<T>(v));
      if (!is_finite(to.back()))
        throw NumericalError("implicit gradient: a weight of 0 has no finite gradient here, its point lies "
                             "too far from the others for this epsilon");
    }
  };
  write(da, out.a), write(db, out.b);
  return out;
}

} // namespace sbi::ot
