// SPDX-License-Identifier: MIT
// Sinkhorn divergences between weighted point clouds: entropic transport without its bias towards the mean.
//
// One price for both marginals (infinity: balanced; Feydy et al. 2019, Sejourne et al. 2019):
//   S(a, b) = OT(a, b) - OT(a, a)/2 - OT(b, b)/2 + eps/2 (|a| - |b|)^2.
//
// rho_a finite, rho_b = infinity (a are simulations, which may be reweighted, b are real stars, which may
// not). No choice of self terms for the semi-unbalanced OT gives both S(a, a) = 0 and S >= 0: with each
// side's own price S(a, a) > 0, with the pair of prices S can be negative. The reweighting is therefore put
// outside:
//   S(a, b) = min_w rho_a KL(w | a) + S_balanced(w, b)   over w >= 0 with |w| = |b|,
// which is balanced for rho_a -> infinity. The w are importance weights. All of these are >= 0 and 0 for
// equal clouds when exp(-c / eps) is a positive definite kernel, as for |x - y|^2 and |x - y|.
#pragma once
#include <sbi/ot/plan_gradient.hpp>
#include <sbi/ot/reweight.hpp>

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::ot {

/// What to do when the residual stays above the tolerance, where envelope gradients are wrong.
enum class Unconverged { refuse, report };

/// What epsilon and the prices are given in: units of the cost, or the mean cost <a x b, C> / (|a| |b|)
/// between the clouds, which makes them free of scale. The mean counts as a constant in the gradients; clouds
/// of one and the same point, whose mean is 0, use 1.
enum class Unit { cost, mean_cost };

struct DivergenceOptions {
  SinkhornOptions sinkhorn;
  Unit unit = Unit::cost;
  Unconverged unconverged = Unconverged::refuse; ///< refuse: throw NumericalError; report: see `converged`
  bool gradients = true;
};

template <class T> struct Divergence {
  double value = 0;
  double epsilon = 0;  ///< in units of the cost
  double residual = 0; ///< the largest of the three problems
  int iterations = 0;  ///< their sum
  bool converged = false;
  std::vector<T> w;      ///< [n] weights of x in the optimum: a if balanced, reweighted if not
  Tensor<T> dx, dy;      ///< [n,d], [m,d] gradients with respect to the points
  std::vector<T> da, db; ///< [n], [m] with respect to the weights; balanced: defined up to a common constant
                         ///< and valid for changes that keep the masses equal
  SinkhornResult<T> ab, aa, bb;
};

namespace detail {
template <class T>
[[nodiscard]] double mean_cost(View<const T> cost, const Weights<T>& a, const Weights<T>& b) {
  double sum = 0;
  for (index_t i = 0; i < cost.rows(); ++i) {
    double row = 0;
    for (index_t j = 0; j < cost.cols(); ++j)
      row += b.value[static_cast<std::size_t>(j)] * static_cast<double>(cost(i, j));
    sum += a.value[static_cast<std::size_t>(i)] * row;
  }
  return sum > 0 ? sum / (a.mass * b.mass) : 1;
}
/// <a, alpha> |b| + <b, beta> |a| - <sum_i a_i q_i, sum_j b_j k_j>
template <class T>
[[nodiscard]] double mean_cost(const DotForm<T>& cost, const Weights<T>& a, const Weights<T>& b) {
  const auto mean = [](const std::vector<double>& v, const Weights<T>& w) {
    double sum = 0;
    for (std::size_t i = 0; i < v.size(); ++i) sum += w.value[i] * v[i];
    return sum / w.mass;
  };
  const auto centre = [](const Tensor<T>& points, const Weights<T>& w) {
    std::vector<double> sum(static_cast<std::size_t>(points.cols()), 0);
    for (index_t i = 0; i < points.rows(); ++i) {
      const double weight = w.value[static_cast<std::size_t>(i)] / w.mass;
      const T* row = points.row(i);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += weight * static_cast<double>(row[k]);
    }
    return sum;
  };
  const std::vector<double> q = centre(cost.q, a), k = centre(cost.k, b);
  const double out =
      mean(cost.alpha, a) + mean(cost.beta, b) - std::inner_product(q.begin(), q.end(), k.begin(), 0.0);
  return out > 0 ? out : 1;
}

/// d S / d weight of one side: f - p, with a finite price (rho + eps)(exp(-p/rho) - exp(-f/rho)).
template <class T>
void add_weight_gradient(const std::vector<T>& cross, const std::vector<T>& self, double price, double eps,
                         std::vector<T>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double f = static_cast<double>(cross[i]), p = static_cast<double>(self[i]);
    const double slope =
        is_finite(price) ? (price + eps) * (std::exp(-p / price) - std::exp(-f / price)) : f - p;
    out[i] += static_cast<T>(slope);
  }
}

/// Costs with rows and columns exchanged.
template <class T> [[nodiscard]] Tensor<T> exchanged(View<const T> cost) {
  return transposed<T>(cost, cost.rows());
}
template <class M> [[nodiscard]] M exchanged(const M& cost) { return cost.transposed(); }
template <class T> [[nodiscard]] View<const T> costs_of(const Tensor<T>& cost) { return cost.view(); }
template <class M> [[nodiscard]] const M& costs_of(const M& cost) { return cost; }

/// Which of the four transport gradients have come from kernel matrices: of (x, y) by x and by y, (x, x),
/// (y, y).
struct KernelGradients {
  bool xy = false, yx = false, xx = false, yy = false;
};

template <class B, class C, class T, class M>
void add_gradients(const B& be, const C& cost, View<const T> x, View<const T> y, const M& xy, const M& xx,
                   const M& yy, const Weights<T>& a, const Weights<T>& b, const SinkhornOptions& options,
                   KernelGradients done, Divergence<T>& out) {
  const double eps = options.epsilon;
  if (out.da.empty()) { // the reweighted problem has filled them
    out.da.assign(a.value.size(), T{0}), out.db.assign(b.value.size(), T{0});
    add_weight_gradient(out.ab.f, out.aa.f, options.rho_a, eps, out.da);
  }
  add_weight_gradient(out.ab.g, out.bb.f, options.rho_b, eps, out.db);
  const auto f = biases<T>(a.log, out.ab.f, eps), g = biases<T>(b.log, out.ab.g, eps);
  const auto p = biases<T>(a.log, out.aa.f, eps), q = biases<T>(b.log, out.bb.f, eps);
  if (!done.xy) add_plan_gradient<B, C, T>(be, cost, xy, x, y, f, g, eps, T{1}, out.dx);
  if (!done.xx) add_plan_gradient<B, C, T>(be, cost, xx, x, x, p, p, eps, T{-1}, out.dx);
  if (!done.yy) add_plan_gradient<B, C, T>(be, cost, yy, y, y, q, q, eps, T{-1}, out.dy);
  if (done.yx) return;
  const auto yx = exchanged(xy);
  add_plan_gradient<B, C, T>(be, cost, costs_of(yx), y, x, g, f, eps, T{1}, out.dy);
}

/// Whether the first cloud may be reweighted, and it alone.
[[nodiscard]] inline bool is_reweighted(const SinkhornOptions& run) {
  return is_finite(run.rho_a) && !is_finite(run.rho_b);
}
/// Throws for bad options and for prices that the divergence is not defined for.
inline void check_prices(const SinkhornOptions& run) {
  check(run);
  if (!is_reweighted(run) && !(run.rho_a == run.rho_b))
    throw ValueError(sbi::text("sinkhorn divergence: rho_a = ", run.rho_a, ", rho_b = ", run.rho_b,
                               "; want equal prices, or rho_b infinite (exchange the clouds if rho_a is)"));
}

/// The two kinds of problems for a matrix of costs, costs in dot-product form, or those of another memory,
/// whose solvers have no kernel matrix to show.
template <class B, class T, class M, class F>
[[nodiscard]] SinkhornResult<T> solve_between(const B& be, const M& cost, const Weights<T>& a,
                                              const Weights<T>& b, const SinkhornOptions& options,
                                              const SinkhornResult<T>* start, const F& finish) {
  const std::vector<T>* f = start ? &start->f : nullptr;
  if constexpr (!OnHost<B>)
    return alternate<B, T>(be, cost, a, b, options, f);
  else if constexpr (std::is_same_v<M, DotForm<T>>)
    return alternate<B, T>(be, cost, a, b, for_form(cost, options), f, finish);
  else
    return alternate<B, T>(be, cost, a, b, options, f, finish);
}
template <class B, class T, class M, class F>
[[nodiscard]] SinkhornResult<T> solve_within(const B& be, const M& cost, const Weights<T>& a,
                                             const SinkhornOptions& options, const SinkhornResult<T>* start,
                                             const F& finish) {
  const std::vector<T>* f = start ? &start->f : nullptr;
  if constexpr (!OnHost<B>)
    return symmetrise<B, T>(be, cost, a, options, f);
  else if constexpr (std::is_same_v<M, DotForm<T>>)
    return symmetrise<B, T>(be, cost, a, for_form(cost, options), f, finish);
  else
    return symmetrise<B, T>(be, cost, a, options, f, finish);
}

/// The divergence for costs between the clouds and within each, matrices or in dot-product form.
template <class B, class C, class T, class M>
[[nodiscard]] Divergence<T> divergence(const B& be, const C& cost, View<const T> x, View<const T> y,
                                       const M& xy, const M& xx, const M& yy, Weights<T> wa,
                                       const Weights<T>& wb, SinkhornOptions run,
                                       const DivergenceOptions& options, const Divergence<T>* start) {
  const bool reweighted = is_reweighted(run);
  if (options.unit == Unit::mean_cost) {
    const double unit = mean_cost(xy, wa, wb);
    run.epsilon *= unit, run.rho_a *= unit, run.rho_b *= unit;
  }
  const double eps = run.epsilon, rho = run.rho_a;
  Divergence<T> out;
  out.epsilon = eps;
  if (options.gradients) out.dx = Tensor<T>(x.shape), out.dy = Tensor<T>(y.shape);
  KernelGradients done;
  // One plan's gradient by the points `of` its rows or, turned, its columns, while its matrix is there.
  const auto add = [&](auto& update, const SinkhornResult<T>& r, Transpose turned, View<const T> of,
                       View<const T> others, T sign, Tensor<T>& to) {
    if constexpr (std::is_same_v<C, SquaredEuclidean>)
      return options.gradients && add_kernel_gradient(update, r.f, r.g, eps, turned, of, others, sign, to);
    else
      return false;
  };
  const auto between = [&](auto& update, const SinkhornResult<T>& r) {
    done.xy = add(update, r, Transpose::no, x, y, T{1}, out.dx);
    done.yx = add(update, r, Transpose::yes, y, x, T{1}, out.dy);
  };
  const auto within_x = [&](auto& update, const SinkhornResult<T>& r) {
    done.xx = add(update, r, Transpose::no, x, x, T{-1}, out.dx);
  };
  const auto within_y = [&](auto& update, const SinkhornResult<T>& r) {
    done.yy = add(update, r, Transpose::no, y, y, T{-1}, out.dy);
  };
  SinkhornOptions own = run;
  own.rho_a = run.rho_b;
  out.bb = solve_within<B, T>(be, yy, wb, own, start ? &start->bb : nullptr, within_y);
  if (reweighted) {
    const auto both = [&](auto& update, const Reweighted<T>& r) {
      if constexpr (OnHost<B>) between(update.cross, r.cross), within_x(update.self, r.self);
    };
    if constexpr (std::is_same_v<M, DotForm<T>>) run = for_form(xx, for_form(xy, run));
    auto solution = reweight<B, T>(be, xy, xx, wa, wb, run, start ? &start->ab : nullptr,
                                   start ? &start->aa : nullptr, both);
    out.value = solution.price;
    for (double ratio : solution.ratio) out.da.push_back(static_cast<T>(rho * (1 - ratio)));
    out.db.assign(wb.value.size(), static_cast<T>(-solution.lambda));
    out.ab = std::move(solution.cross), out.aa = std::move(solution.self), wa = std::move(solution.w);
  } else {
    out.ab = solve_between<B, T>(be, xy, wa, wb, run, start ? &start->ab : nullptr, between);
    out.aa = solve_within<B, T>(be, xx, wa, run, start ? &start->aa : nullptr, within_x);
    out.value = 0.5 * eps * (wa.mass - wb.mass) * (wa.mass - wb.mass);
  }
  out.value += out.ab.value - 0.5 * (out.aa.value + out.bb.value);
  out.residual = std::max({out.ab.residual, out.aa.residual, out.bb.residual});
  out.iterations = out.ab.iterations + out.bb.iterations + (reweighted ? 0 : out.aa.iterations);
  out.converged = out.residual <= tolerance_of<T>(run);
  if (!out.converged && options.unconverged == Unconverged::refuse)
    throw NumericalError(sbi::text("sinkhorn divergence: residual ", out.residual, " after ", out.iterations,
                                   " iterations; want <= ", tolerance_of<T>(run),
                                   ": raise max_iterations, epsilon or tolerance"));
  for (double w : wa.value) out.w.push_back(static_cast<T>(w));
  if (options.gradients) add_gradients<B, C, T>(be, cost, x, y, xy, xx, yy, wa, wb, run, done, out);
  return out;
}
} // namespace detail

/// Sinkhorn divergence of x [n, d] with weights a and y [m, d] with weights b (empty: uniform), its gradients
/// by the envelope theorem. Prices: rho_a = rho_b (balanced for infinity), or rho_a finite and rho_b
/// infinite. The residual of the reweighted problem is the largest of the l1 errors of the two plans' rows
/// and of w, relative to |b|. `start` warm-starts from an earlier result of the same sizes. Throws what
/// `sinkhorn` throws; ValueError for other prices; NumericalError when a problem does not reach the
/// tolerance, unless that is only to be reported.
template <class B, class C, class T = typename B::compute_t>
requires OnHost<B>
[[nodiscard]] Divergence<T>
sinkhorn_divergence(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                    std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
                    std::type_identity_t<std::span<const T>> b, const DivergenceOptions& options,
                    const Divergence<T>* start = nullptr) {
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_prices(run);
  detail::check_clouds("sinkhorn divergence", x, y);
  auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), run);
  const index_t most = std::max(x.rows(), y.rows());
  if (detail::recomputes<B, C, T>(run, most, most, x.cols()))
    if constexpr (DotFormCost<C, T>)
      return detail::divergence<B, C, T>(be, cost, x, y, cost.dot_form(x, y), cost.dot_form(x, x),
                                         cost.dot_form(y, y), std::move(wa), wb, run, options, start);
  const Tensor<T> xy = cost_matrix(be, cost, x, y), xx = cost_matrix(be, cost, x, x),
                  yy = cost_matrix(be, cost, y, y);
  return detail::divergence<B, C, T>(be, cost, x, y, xy.view(), xx.view(), yy.view(), std::move(wa), wb, run,
                                     options, start);
}

} // namespace sbi::ot
