// SPDX-License-Identifier: MIT
// Transport between clouds of different spaces as a loss: solvers for `ot::loss`.
#pragma once
#include <sbi/ot/gromov.hpp>
#include <sbi/ot/loss.hpp>
#include <sbi/ot/solver.hpp>

#include <utility>

namespace sbi::ot {

/// The objective of `entropic_gromov`, under squared Euclidean distances and without matrices within.
struct EntropicGromov {
  static constexpr const char* name = "entropic gromov";
  using own_cost = void;
  GromovOptions options;

  bool one_space() const { return false; }
  template <class B, class T>
  LossResult<T> solve(const B& be, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    GromovOptions run = options;
    run.gradients = true;
    GromovResult<T> r = entropic_gromov(be, x, y, a, b, run);
    return {r.objective, std::move(r.dx), std::move(r.dy), r.converged};
  }
};

/// The objective of `fused_transport` with the ground cost within both clouds and, for alpha < 1, between
/// them, which then are of one width. It is a stationary value of a problem that is not convex: as points
/// move it may jump to another one. The option `gradients` is not read.
struct FusedGromov {
  static constexpr const char* name = "fused gromov";
  FusedOptions options;
  Solver solver = Solver::exact;

  bool one_space() const { return options.alpha < 1; }
  template <class B, class C, class T>
  LossResult<T> solve(const B& be, const C& cost, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    FusedOptions run = options;
    run.gradients = true;
    const Tensor<T> within_x = cost_matrix(be, cost, x, x), within_y = cost_matrix(be, cost, y, y);
    const Tensor<T> between = one_space() ? cost_matrix(be, cost, x, y) : Tensor<T>();
    const FusedResult<T> r =
        fused_transport(be, solver, one_space() ? View<const T>(between.view()) : View<const T>(),
                        within_x.view(), within_y.view(), a, b, run);
    LossResult<T> out{r.objective, Tensor<T>(x.shape), Tensor<T>(y.shape), r.converged};
    detail::add_within<B, C, T>(be, cost, r.dx.view(), x, out.dx);
    detail::add_within<B, C, T>(be, cost, r.dy.view(), y, out.dy);
    if (one_space()) detail::add_between<B, C, T>(be, cost, r.dcost.view(), x, y, out.dx, out.dy);
    return out;
  }
};

} // namespace sbi::ot
