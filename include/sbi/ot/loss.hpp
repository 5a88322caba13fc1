// SPDX-License-Identifier: MIT
// Transport between clouds of embeddings as a loss on the tape: a solver with its options, and a ground cost.
//
//   tape.apply(ot::loss<T>(ot::SinkhornDivergence::relative(0.05)), z_sim, z_real)
//   tape.apply(ot::loss<T>(ot::ExactTransport{}, ot::Euclidean{}, a, b), z_sim, z_real)
//
// Further solvers: loss_sliced.hpp (the line, sliced), loss_fused.hpp (clouds of different spaces),
// loss_keypoint.hpp (some partners known).
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/ot/cost_gradient.hpp>
#include <sbi/ot/divergence.hpp>
#include <sbi/ot/exact.hpp>

#include <algorithm>
#include <span>
#include <type_traits>

namespace sbi::ot {

/// What a solver makes of two clouds: the value, its gradients with respect to the points, [n,d] and [m,e],
/// by the envelope theorem, and whether both can be believed.
template <class T> struct LossResult {
  double value = 0;
  Tensor<T> dx, dy;
  bool converged = false;
};

/// In place of a ground cost for solvers that have their own.
struct OwnCost {};

/// A solver of transport as a loss: its name in messages, whether the points of both clouds have to be of the
/// same width, and solve(be, cost, x, y, a, b) or, with `using own_cost`, solve(be, x, y, a, b).
template <class S>
concept LossSolver = std::is_trivially_destructible_v<S> && requires(const S& solver) {
  { S::name } -> std::convertible_to<const char*>;
  { solver.one_space() } -> std::same_as<bool>;
};

/// A transport problem between x [n,d] and y [m,e], weighted by a [n] and b [m] (empty: uniform), as a single
/// number [1] with gradients to both clouds; d = e where the solver asks for it. The weights, and what a
/// solver relates its options to (a mean cost, a largest cost), are constants. Throws ShapeError for other
/// shapes, what the solver throws, and NumericalError for a problem that has not converged, whose gradients
/// would be wrong, or a value too large for T.
template <class T, LossSolver S, class C> struct Loss {
  S solver;
  C cost;
  View<const T> a, b;

  Shape shape(Shape x, Shape y) const {
    const bool alike = !solver.one_space() || (x.rank() == 2 && y.rank() == 2 && x.cols() == y.cols());
    if (x.rank() != 2 || y.rank() != 2 || !alike)
      throw ShapeError(sbi::text(S::name, " loss: the clouds are ", x, " and ", y, "; want [n,d] and [m,",
                                 solver.one_space() ? "d]" : "e]"));
    return {1};
  }
  /// The gradients: the value needs the same plans.
  Shape saved(Shape x, Shape y) const { return {x.size() + y.size()}; }
  template <Backend B>
  void fwd(B& be, View<const T> x, View<const T> y, View<T> value, View<T> gradients) const {
    const auto span = [](View<const T> w) {
      return std::span<const T>(w.data, w ? static_cast<std::size_t>(w.size()) : 0);
    };
    LossResult<T> r;
    if constexpr (std::is_same_v<C, OwnCost>)
      r = solver.solve(be, x, y, span(a), span(b));
    else
      r = solver.solve(be, cost, x, y, span(a), span(b));
    if (!r.converged)
      throw NumericalError(sbi::text(S::name, " loss between ", x.shape, " and ", y.shape,
                                     " has not converged: raise max_iterations, epsilon or tolerance"));
    value.data[0] = static_cast<T>(r.value);
    if (!is_finite(value.data[0]))
      throw NumericalError(sbi::text(S::name, " loss: the value is ", r.value, "; want one that is finite"));
    std::copy(r.dy.begin(), r.dy.end(), std::copy(r.dx.begin(), r.dx.end(), gradients.data));
  }
  template <Backend B>
  void vjp(B& be, View<const T> x, View<const T>, View<const T>, View<const T> gradients, View<const T> d,
           View<T> dx, View<T> dy) const {
    const auto add_scaled = [&](const T* from, View<T> to) {
      for (index_t r = 0; r < to.rows(); ++r, from += to.cols())
        row_of(be, to.cols()).each([&](auto i) {
          using V = decltype(load(from, i));
          add(to.row(r), i, V(d.data[0]) * load(from, i));
        });
    };
    if (dx) add_scaled(gradients.data, dx);
    if (dy) add_scaled(gradients.data + x.size(), dy);
  }
};

/// The op for a solver under a ground cost.
template <class T, LossSolver S, class C>
requires Cost<C, T>
[[nodiscard]] Loss<T, S, C> loss(S solver, C cost, std::type_identity_t<View<const T>> a = {},
                                 std::type_identity_t<View<const T>> b = {}) {
  static_assert(
      !requires { typename S::own_cost; }, "sbi: this solver has a cost of its own");
  return {solver, cost, a, b};
}
/// The same under |x - y|^2 or the solver's own cost.
template <class T, LossSolver S>
[[nodiscard]] auto loss(S solver, std::type_identity_t<View<const T>> a = {},
                        std::type_identity_t<View<const T>> b = {}) {
  if constexpr (requires { typename S::own_cost; })
    return Loss<T, S, OwnCost>{solver, {}, a, b};
  else
    return Loss<T, S, SquaredEuclidean>{solver, {}, a, b};
}

/// `sinkhorn_divergence`. Its options `unconverged` and `gradients` are not read.
struct SinkhornDivergence {
  static constexpr const char* name = "sinkhorn divergence";
  DivergenceOptions options;

  /// Epsilon and the price of reweighting the first cloud (infinity: not allowed), both relative to the mean
  /// cost, so that the loss is free of scale.
  static SinkhornDivergence relative(double epsilon, double rho = exact_marginal) {
    DivergenceOptions out;
    out.sinkhorn.epsilon = epsilon, out.sinkhorn.rho_a = rho, out.unit = Unit::mean_cost;
    return {out};
  }
  bool one_space() const { return true; }
  template <class B, class C, class T>
  LossResult<T> solve(const B& be, const C& cost, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    DivergenceOptions run = options;
    run.gradients = true, run.unconverged = Unconverged::refuse; // its message tells the residual
    Divergence<T> s = sinkhorn_divergence(be, cost, x, y, a, b, run);
    return {s.value, std::move(s.dx), std::move(s.dy), s.converged};
  }
};

/// The value of entropic transport, `sinkhorn`: not 0 between equal clouds, see `SinkhornDivergence`.
struct Sinkhorn {
  static constexpr const char* name = "sinkhorn";
  SinkhornOptions options;
  Unit unit = Unit::cost; ///< of epsilon and the prices

  bool one_space() const { return true; }
  template <class B, class C, class T>
  LossResult<T> solve(const B& be, const C& cost, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    detail::check_clouds(name, x, y);
    const auto weights = detail::checked_weights<T>(a, b, x.rows(), y.rows(), options);
    const Weights<T>&wa = weights.first, &wb = weights.second;
    SinkhornOptions run = options;
    const auto scale = [&](double mean) {
      if (unit == Unit::mean_cost) run.epsilon *= mean, run.rho_a *= mean, run.rho_b *= mean;
    };
    const auto finish = [&](const SinkhornResult<T>& r, const auto& xy, const auto& yx) {
      const auto f = detail::biases<T>(wa.log, r.f, run.epsilon),
                 g = detail::biases<T>(wb.log, r.g, run.epsilon);
      LossResult<T> out{r.value, Tensor<T>(x.shape), Tensor<T>(y.shape), r.converged};
      detail::add_plan_gradient<B, C, T>(be, cost, xy, x, y, f, g, run.epsilon, T{1}, out.dx);
      detail::add_plan_gradient<B, C, T>(be, cost, yx, y, x, g, f, run.epsilon, T{1}, out.dy);
      return out;
    };
    if (detail::recomputes<B, C, T>(run, x.rows(), y.rows(), x.cols()))
      if constexpr (DotFormCost<C, T>) {
        const DotForm<T> form = cost.dot_form(x, y);
        scale(detail::mean_cost(form, wa, wb));
        return finish(sinkhorn(be, cost, x, y, a, b, run), form, form.transposed());
      }
    const Tensor<T> xy = cost_matrix(be, cost, x, y), yx = detail::transposed<T>(xy.view(), x.rows());
    scale(detail::mean_cost(View<const T>(xy.view()), wa, wb));
    return finish(sinkhorn(be, xy.view(), a, b, run), View<const T>(xy.view()), View<const T>(yx.view()));
  }
};

/// `exact_transport`. Where points can be exchanged at no price the value has kinks, and the gradient is that
/// of one optimal plan.
struct ExactTransport {
  static constexpr const char* name = "exact transport";
  ExactOptions options;

  bool one_space() const { return true; }
  template <class B, class C, class T>
  LossResult<T> solve(const B& be, const C& cost, View<const T> x, View<const T> y, std::span<const T> a,
                      std::span<const T> b) const {
    const Tensor<T> xy = cost_matrix(be, cost, x, y);
    const ExactResult r = exact_transport<T>(xy.view(), a, b, options);
    LossResult<T> out{r.value, Tensor<T>(x.shape), Tensor<T>(y.shape), r.optimal};
    detail::add_between(cost, std::span<const Shipment>(r.plan), x, y, out.dx, out.dy);
    return out;
  }
};

} // namespace sbi::ot
