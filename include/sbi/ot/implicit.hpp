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
#include <sbi/ot/sinkhorn.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
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

namespace detail {
using Column = Eigen::ArrayXd;

/// Q v for a matrix in T and a vector in double; every row is summed in a fixed order.
template <class B, class T> [[nodiscard]] Column times(const B& be, const Tensor<T>& q, const Column& v) {
  Column out(q.rows());
  for_each_row(be, q.rows(), [&](index_t i) {
    constexpr index_t chains = 8; // that do not wait for each other
    const T* row = q.row(i);
    double sum[chains] = {};
    index_t j = 0;
    for (; j + chains <= q.cols(); j += chains)
      for (index_t k = 0; k < chains; ++k) sum[k] += static_cast<double>(row[j + k]) * v[j + k];
    for (index_t k = 0; j + k < q.cols(); ++k) sum[k] += static_cast<double>(row[j + k]) * v[j + k];
    out[i] = std::accumulate(sum, sum + chains, 0.0);
  });
  return out;
}
/// Q^T v
template <class B, class T>
[[nodiscard]] Column transposed_times(const B& be, const Tensor<T>& q, const Column& v) {
  Column out(q.cols());
  constexpr index_t width = 256;
  be.for_each((q.cols() + width - 1) / width, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * width, count = std::min(width, q.cols() - first);
    double sum[width] = {};
    for (index_t i = 0; i < q.rows(); ++i) {
      const double factor = v[i];
      const T* row = q.row(i) + first;
      for (index_t j = 0; j < count; ++j) sum[j] += factor * static_cast<double>(row[j]);
    }
    std::copy_n(sum, count, out.data() + first);
  });
  return out;
}

struct Solution {
  Column x;
  double residual = 0;
  int iterations = 0;
};

/// S x = rhs for symmetric S >= 0 with null vector 1 and rhs of sum 0, by conjugate gradients with a diagonal
/// preconditioner (Hestenes & Stiefel 1952), in the norm sum_i v_i^2 / weight_i. Entries of weight 0 stay 0.
/// `floor`: the rounding error of rhs in that norm, below which nothing is left to solve. The residual is
/// that of x itself, not of the recurrence, which is restarted while that helps.
template <class Apply>
[[nodiscard]] Solution conjugate_gradients(Apply&& apply, Column rhs, const Column& weight,
                                           const Column& diagonal, double floor, double tolerance,
                                           int max_iterations) {
  const Column on = (weight > 0).template cast<double>(), safe = weight + (1 - on);
  const double mass = weight.sum();
  const auto norm = [&](const Column& v) { return std::sqrt((v.square() / safe).sum()); };
  // Rounding errors along the null vector would stay and grow.
  const auto into_range = [&](Column& v) { v -= v.sum() / mass * weight; };
  const auto precondition = [&](const Column& v) {
    const Column z = on * v / diagonal;
    return Column(z - (z * weight).sum() / mass * on);
  };
  into_range(rhs);
  const double scale = norm(rhs), goal = std::max(tolerance * scale, floor);
  Solution out{Column::Zero(rhs.size()), 0, 0};
  Column residual = rhs;
  double size = scale, before = std::numeric_limits<double>::infinity();
  for (; size > goal && size < before / 2 && out.iterations < max_iterations; size = norm(residual)) {
    before = size;
    Column z = precondition(residual), direction = z;
    double product = (residual * z).sum();
    while (norm(residual) > goal && out.iterations < max_iterations) {
      const Column image = apply(direction);
      const double curvature = (direction * image).sum();
      if (!(curvature > 0)) break;
      ++out.iterations;
      out.x += product / curvature * direction, residual -= product / curvature * image;
      into_range(residual);
      z = precondition(residual);
      const double next = (residual * z).sum();
      direction = z + next / product * direction;
      product = next;
    }
    residual = rhs - apply(out.x);
    into_range(residual);
  }
  out.residual = size <= floor ? 0 : size / scale;
  return out;
}

/// dL/df or dL/dg in double, checked.
template <class T>
[[nodiscard]] Column checked_column(const char* name, std::span<const T> of, std::size_t count) {
  Column out = Column::Zero(static_cast<index_t>(count));
  if (!of.empty() && of.size() != count)
    throw ShapeError(sbi::text("implicit gradient: ", name, " has ", of.size(), " entries; want ", count));
  for (std::size_t i = 0; i < of.size(); ++i) {
    out[static_cast<index_t>(i)] = static_cast<double>(of[i]);
    if (!is_finite(of[i]))
      throw ValueError(sbi::text("implicit gradient: ", name, "[", i, "] = ", of[i], "; want finite"));
  }
  return out;
}

/// The points of one side. Those without weight are given weight 1 in the plan, but do not take part.
template <class T> struct Side {
  Column weight, on, unit; ///< on: 1 with weight, 0 without; unit: the weight, or 1
  std::vector<T> potential;
  explicit Side(const Weights<T>& w, const std::vector<T>& known)
      : weight(Eigen::Map<const Column>(w.value.data(), static_cast<index_t>(w.value.size()))),
        on((weight > 0).template cast<double>()), unit(weight + (1 - on)), potential(known) {}

  /// Potentials without weight follow from the other side's; a start may have left them where they were.
  template <class B>
  void extend(const B& be, View<const T> cost, const Weights<T>& other, const std::vector<T>& known,
              double eps) {
    std::vector<T> extension(potential.size());
    softmin(be, cost, other.log, known, eps, extension);
    for (std::size_t i = 0; i < potential.size(); ++i)
      if (on[static_cast<index_t>(i)] == 0) potential[i] = extension[i];
  }
  [[nodiscard]] std::vector<T> bias(double eps) const {
    std::vector<T> out(potential.size(), -std::numeric_limits<T>::infinity()); // what no partner can reach
    for (std::size_t i = 0; i < out.size(); ++i)
      if (is_finite(potential[i]))
        out[i] =
            static_cast<T>(static_cast<double>(potential[i]) / eps + std::log(unit[static_cast<index_t>(i)]));
    return out;
  }
  /// l1 error of the plan's sums, relative to the mass; an empty row would determine nothing.
  [[nodiscard]] double error(const Column& sums) const {
    return (on > 0 && !(sums > 0)).any() ? std::numeric_limits<double>::infinity()
                                         : (on * (sums - weight)).abs().sum() / weight.sum();
  }
};
} // namespace detail

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
  using detail::Column, detail::times, detail::transposed_times;
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
  if (std::abs(of_f.sum() - of_g.sum()) > std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())) *
                                              (of_f.abs().sum() + of_g.abs().sum()))
    throw ValueError(sbi::text("implicit gradient: dL/df sums to ", of_f.sum(), ", dL/dg to ", of_g.sum(),
                               "; want equal sums, as only f_i + g_j is determined"));

  detail::Side<T> x(wa, potentials.f), y(wb, potentials.g);
  if ((x.on == 0).any()) x.extend(be, cost, wb, potentials.g, epsilon);
  if ((y.on == 0).any())
    y.extend(be, detail::transposed<T>(cost, cost.rows()).view(), wa, potentials.f, epsilon);
  const std::vector<T> left = x.bias(epsilon), right = y.bias(epsilon);
  Tensor<T> q(cost.shape); // the plan, points without weight included at weight 1
  ImplicitGradient<T> out;
  out.cost = Tensor<T>(cost.shape); // dL/dP . Q / eps, until all is known
  detail::for_each_row(be, cost.rows(), [&](index_t i) {
    detail::plan_row(row_of(be, cost.cols()), cost.row(i), right.data(), left[static_cast<std::size_t>(i)],
                     static_cast<T>(1 / epsilon), q.row(i));
    for (index_t j = 0; j < cost.cols(); ++j) {
      if (x.on[i] + y.on[j] == 0) // nothing bounds a pair without any weight
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
  const Column pass_f = times(be, q, (1 - y.on) * of_g), pass_g = transposed_times(be, q, (1 - x.on) * of_f);
  const Column gain_f = (x.on > 0).select(of_f + direct_a - pass_f, 0.0),
               gain_g = (y.on > 0).select(of_g + direct_b - pass_g, 0.0);
  const Column weight = x.on * rows, inverse = y.on / (columns + (1 - y.on));
  const Column eliminated = x.on * times(be, q, inverse * gain_g);
  constexpr double rounding = std::numeric_limits<double>::epsilon();
  Column diagonal(weight.size());
  detail::for_each_row(be, q.rows(), [&](index_t i) {
    double squares = 0;
    for (index_t j = 0; j < q.cols(); ++j)
      squares += static_cast<double>(q(i, j)) * static_cast<double>(q(i, j)) * inverse[j];
    diagonal[i] = weight[i] > 0 ? std::max(weight[i] - squares, rounding * weight[i]) : 1;
  });
  const double scale = std::sqrt(((gain_f.square() + eliminated.square()) / (weight + (1 - x.on))).sum());
  const double tolerance = options.solver_tolerance > 0 ? options.solver_tolerance
                           : sizeof(T) == 4             ? 1e-5
                                                        : 1e-10;
  const detail::Solution solution = detail::conjugate_gradients(
      [&](const Column& v) {
        return Column(weight * v - x.on * times(be, q, inverse * transposed_times(be, q, v)));
      },
      gain_f - eliminated, weight, diagonal, 64 * rounding * scale, tolerance, options.max_iterations);
  out.solver_residual = solution.residual, out.iterations = solution.iterations;
  if (!(out.solver_residual <= tolerance))
    throw NumericalError(sbi::text("implicit gradient: conjugate gradients have a residual of ",
                                   out.solver_residual, " after ", out.iterations, " iterations; want <= ",
                                   tolerance, ": raise max_iterations, solver_tolerance or epsilon"));

  // The adjoints of both conditions, per unit weight.
  const Column alpha = solution.x + (1 - x.on) * of_f,
               beta = inverse * (gain_g - transposed_times(be, q, solution.x)) + (1 - y.on) * of_g;
  detail::for_each_row(be, cost.rows(), [&](index_t i) {
    for (index_t j = 0; j < cost.cols(); ++j)
      out.cost(i, j) =
          static_cast<T>(static_cast<double>(q(i, j)) * (alpha[i] * y.on[j] + beta[j] * x.on[i]) -
                         static_cast<double>(out.cost(i, j)) * x.on[i] * y.on[j]);
  });
  const Column da = epsilon * (direct_a - times(be, q, beta)) / x.unit,
               db = epsilon * (direct_b - transposed_times(be, q, alpha)) / y.unit;
  const double shift = (y.weight * db).sum() / wb.mass;
  const auto write = [](const Column& from, std::vector<T>& to) {
    for (const double v : from) {
      to.push_back(static_cast<T>(v));
      if (!is_finite(to.back()))
        throw NumericalError("implicit gradient: a weight of 0 has no finite gradient here, its point lies "
                             "too far from the others for this epsilon");
    }
  };
  write(da + shift, out.a), write(db - shift, out.b);
  return out;
}

} // namespace sbi::ot
