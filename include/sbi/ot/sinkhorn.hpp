// SPDX-License-Identifier: MIT
// Entropic optimal transport (Sinkhorn's algorithm with accelerated potentials).
#pragma once
#include <sbi/ot/anderson.hpp>
#include <sbi/ot/pair_updates.hpp>
#include <sbi/ot/potentials.hpp>
#include <sbi/ot/self_updates.hpp>

#include <cmath>
#include <span>
#include <tuple>
#include <vector>

namespace sbi::ot {

namespace detail {
/// Does nothing with what it is given.
struct Ignore {
  void operator()(auto&&...) const {}
};

/// Alternating updates for checked weights and a cost, a matrix or in dot-product form. At its end calls
/// finish(update, result), while the kernel matrix is there.
template <class B, class T, class M, class F = Ignore>
[[nodiscard]] SinkhornResult<T> alternate(const B& be, const M& cost, const Weights<T>& a,
                                          const Weights<T>& b, SinkhornOptions options,
                                          const std::vector<T>* start, F&& finish = {}) {
  const double rho_a = options.rho_a, rho_b = options.rho_b, tolerance = tolerance_of<T>(options);
  const double range = checked_range(be, cost, a, b);
  SinkhornResult<T> out;
  begin("f", out.f, a.value.size(), start, options);
  out.g.assign(b.value.size(), T{0});
  std::vector<T> next(out.f.size());
  bool first = true;
  Anderson<T> accelerate(a.value, std::max(range, options.epsilon));
  PairUpdates<B, T, M> update(be, cost, a, b, options.domain, stages(options, range) > 1);
  const auto iterate = [&](double eps) {
    if (!first) {
      const double shift = best_shift<T>(a, b, next, out.g, rho_a, rho_b);
      for (T& f : next) f = static_cast<T>(static_cast<double>(f) + shift);
      if (eps == options.epsilon && out.residual < rough)
        accelerate.step(out.f, next);
      else
        out.f = next, accelerate.restart();
    }
    first = false;
    update.round(out.f, eps, damping(rho_b, eps), out.g, next);
    out.residual = row_residual(a, out.f, next, eps, rho_a, out.mass);
    for (T& f : next) f = static_cast<T>(damping(rho_a, eps) * static_cast<double>(f));
    return out.residual;
  };
  std::tie(out.residual, out.iterations) = anneal(options, range, tolerance, iterate);
  out.converged = out.residual <= tolerance;
  out.value = side(a, out.f, rho_a) + side(b, out.g, rho_b) - options.epsilon * (out.mass - a.mass * b.mass);
  finish(update, std::as_const(out));
  return out;
}

/// The symmetric update p = (p + lam softmin p) / 2. Near its solution it halves the error at least, whatever
/// epsilon is, so it needs no schedule.
template <class B, class T, class M, class F = Ignore>
[[nodiscard]] SinkhornResult<T> symmetrise(const B& be, const M& cost, const Weights<T>& a,
                                           SinkhornOptions options, const std::vector<T>* start,
                                           F&& finish = {}) {
  const double rho = options.rho_a, tolerance = tolerance_of<T>(options);
  const double range = checked_range(be, cost, a, a);
  SinkhornResult<T> out;
  begin("f", out.f, a.value.size(), start, options);
  options.scaling = 1;
  std::vector<T> next = out.f;
  SelfUpdates<B, T, M> update(be, cost, options.domain);
  bool first = true;
  std::tie(out.residual, out.iterations) = anneal(options, range, tolerance, [&](double eps) {
    if (!first)
      for (std::size_t i = 0; i < next.size(); ++i) {
        // Points without weight only follow; from 0 on they would not be there when the others are.
        const double exact = damping(rho, eps) * static_cast<double>(next[i]);
        out.f[i] = static_cast<T>(a.value[i] > 0 ? 0.5 * (static_cast<double>(out.f[i]) + exact) : exact);
      }
    first = false;
    update.round(a, out.f, eps, next);
    return row_residual(a, out.f, next, eps, rho, out.mass);
  });
  out.converged = out.residual <= tolerance;
  out.value = 2 * side(a, out.f, rho) - options.epsilon * (out.mass - a.mass * a.mass);
  out.g = out.f;
  finish(update, std::as_const(out));
  return out;
}

/// Weights of a problem between n and m points, scaled to equal masses in the balanced case.
template <class T>
[[nodiscard]] std::pair<Weights<T>, Weights<T>> checked_weights(std::span<const T> a, std::span<const T> b,
                                                                index_t n, index_t m,
                                                                const SinkhornOptions& options) {
  check(options);
  std::pair<Weights<T>, Weights<T>> out{Weights<T>("a", a, n), Weights<T>("b", b, m)};
  if (!is_finite(options.rho_a) && !is_finite(options.rho_b))
    balance("sinkhorn", out.first, out.second, ", or a finite rho_a or rho_b");
  return out;
}

/// Whether costs between n and m points of d coordinates are taken in dot-product form, not from a matrix of
/// the ground cost. Throws ValueError where that is asked for and the cost has no form for it.
template <class B, class C, class T>
[[nodiscard]] bool recomputes(const SinkhornOptions& options, index_t n, index_t m, index_t d) {
  if constexpr (DotFormCost<C, T>) {
    if (options.costs != Costs::automatic) return options.costs == Costs::recomputed;
    if (is_reference_v<B>) return false;
    if (!matrices_fit<T>(2, n, m)) return true;
    // Kernels take costs as products of blocks; a few points are done sooner by definition. The log domain
    // takes them anew in every round: up to eight coordinates they are computed faster than read from beyond
    // the cache.
    constexpr index_t few = 64 * 64, narrow = 8, in_cache = 512 * 512;
    return options.domain == SinkhornDomain::automatic ? n * m > few : n * m > in_cache && d <= narrow;
  } else {
    if (options.costs == Costs::recomputed)
      throw ValueError("sinkhorn: costs are to be recomputed; want a cost with a dot_form");
    return false;
  }
}

/// The options for costs in dot-product form: no kernel matrix where none is wanted or it is too large.
template <class T> [[nodiscard]] SinkhornOptions for_form(const DotForm<T>& form, SinkhornOptions options) {
  if (options.costs == Costs::recomputed || !matrices_fit<T>(1, form.q.rows(), form.k.rows()))
    options.domain = SinkhornDomain::log;
  return options;
}
} // namespace detail

/// Entropic transport between weights a [n] and b [m] (empty: uniform) for a cost matrix C [n, m]; +infinity
/// in C forbids a pair. Alternating updates g, f; `start` gives the potential f to begin with and skips the
/// schedule. Throws ShapeError for sizes that do not fit; ValueError for bad options, weights or costs, and,
/// in the balanced case, for masses that differ by more than the square root of the machine precision (less
/// is scaled away). A run that does not converge is no error here: see `converged`.
template <class B, class T = typename B::compute_t>
[[nodiscard]] SinkhornResult<T>
sinkhorn(const B& be, std::type_identity_t<View<const T>> cost, std::type_identity_t<std::span<const T>> a,
         std::type_identity_t<std::span<const T>> b, const SinkhornOptions& options,
         const SinkhornResult<T>* start = nullptr) {
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("sinkhorn: the cost is ", cost.shape, "; want [n, m]"));
  const auto [wa, wb] = detail::checked_weights<T>(a, b, cost.rows(), cost.cols(), options);
  return detail::alternate<B, T>(be, cost, wa, wb, options, start ? &start->f : nullptr);
}

/// The same between points x [n, d] and y [m, d] under a ground cost. What is stored, `Costs` says. Throws as
/// `cost_matrix` and the above do; ValueError for costs that are to be recomputed and have no `dot_form`.
template <class B, class C, class T = typename B::compute_t>
requires Cost<C, T> && OnHost<B>
[[nodiscard]] SinkhornResult<T> sinkhorn(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                                         std::type_identity_t<View<const T>> y,
                                         std::type_identity_t<std::span<const T>> a,
                                         std::type_identity_t<std::span<const T>> b,
                                         const SinkhornOptions& options,
                                         const SinkhornResult<T>* start = nullptr) {
  if (detail::recomputes<B, C, T>(options, x.rows(), y.rows(), x.cols()))
    if constexpr (DotFormCost<C, T>) {
      detail::check_clouds("sinkhorn", x, y);
      const auto [wa, wb] = detail::checked_weights<T>(a, b, x.rows(), y.rows(), options);
      const DotForm<T> form = cost.dot_form(x, y);
      return detail::alternate<B, T>(be, form, wa, wb, detail::for_form(form, options),
                                     start ? &start->f : nullptr);
    }
  return sinkhorn(be, cost_matrix(be, cost, x, y).view(), a, b, options, start);
}

/// The problem between a cloud and itself: cost C [n, n] symmetric, f = g, both marginals priced `rho_a`
/// (`rho_b` is not read). The mean of the old and the new potential replaces alternation and converges in a
/// few rounds. Throws as `sinkhorn` does.
template <class B, class T = typename B::compute_t>
[[nodiscard]] SinkhornResult<T> sinkhorn_self(const B& be, std::type_identity_t<View<const T>> cost,
                                              std::type_identity_t<std::span<const T>> a,
                                              const SinkhornOptions& options,
                                              const SinkhornResult<T>* start = nullptr) {
  detail::check(options);
  if (cost.shape.rank() != 2 || cost.rows() != cost.cols())
    throw ShapeError(sbi::text("sinkhorn: the cost of a cloud to itself is ", cost.shape, "; want [n, n]"));
  return detail::symmetrise<B, T>(be, cost, Weights<T>("a", a, cost.rows()), options,
                                  start ? &start->f : nullptr);
}

/// The plan P [n, m] of potentials f [n] and g [m]: P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps).
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> transport_plan(const B& be, std::type_identity_t<View<const T>> cost,
                                       std::type_identity_t<std::span<const T>> a,
                                       std::type_identity_t<std::span<const T>> b,
                                       const SinkhornResult<T>& potentials, double epsilon) {
  const Weights<T> wa("a", a, cost.rows()), wb("b", b, cost.cols());
  if (potentials.f.size() != wa.value.size() || potentials.g.size() != wb.value.size())
    throw ShapeError(sbi::text("transport plan: ", potentials.f.size(), " and ", potentials.g.size(),
                               " potentials for a cost ", cost.shape));
  Tensor<T> out(cost.shape);
  const std::vector<T> left = detail::biases<T>(wa.log, potentials.f, epsilon);
  const std::vector<T> right = detail::biases<T>(wb.log, potentials.g, epsilon);
  detail::for_each_row(be, cost.rows(), [&](index_t i) {
    detail::plan_row(row_of(be, cost.cols()), cost.row(i), right.data(), left[static_cast<std::size_t>(i)],
                     static_cast<T>(1 / epsilon), out.row(i));
  });
  return out;
}

} // namespace sbi::ot
