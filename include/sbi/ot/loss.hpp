// SPDX-License-Identifier: MIT
// Transport between clouds of embeddings as a loss on the tape.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/ot/divergence.hpp>

namespace sbi::ot {

/// Sinkhorn divergence between z_sim [n,d] and z_real [m,d], a single number [1], with gradients to both.
/// Epsilon and prices are in units of the mean cost unless `options.unit` says otherwise; the mean and the
/// weights are constants. Throws what `sinkhorn_divergence` throws, NumericalError for a problem that does
/// not converge among it.
template <class T, class C = SquaredEuclidean> struct DivergenceLoss {
  DivergenceOptions options = relative(0.05);
  View<const T> a, b; ///< weights [n], [m]; empty: uniform
  C cost;

  /// Epsilon and the price of reweighting the simulations (infinity: not allowed), both relative to the mean
  /// cost.
  static DivergenceOptions relative(double epsilon, double rho = exact_marginal) {
    DivergenceOptions out;
    out.sinkhorn.epsilon = epsilon, out.sinkhorn.rho_a = rho, out.unit = Unit::mean_cost;
    return out;
  }

  Shape shape(Shape x, Shape y) const {
    if (x.rank() != 2 || y.rank() != 2 || x.cols() != y.cols())
      throw ShapeError(
          sbi::text("divergence loss: z_sim is ", x, ", z_real is ", y, "; want [n,d] and [m,d]"));
    return {1};
  }
  /// The gradients: the value needs the same plans.
  Shape saved(Shape x, Shape y) const { return {x.rows() + y.rows(), x.cols()}; }
  template <Backend B>
  void fwd(B& be, View<const T> x, View<const T> y, View<T> value, View<T> gradients) const {
    const auto span = [](View<const T> w) {
      return std::span<const T>(w.data, w ? static_cast<std::size_t>(w.size()) : 0);
    };
    DivergenceOptions run = options;
    run.gradients = true;
    const Divergence<T> s = sinkhorn_divergence(be, cost, x, y, span(a), span(b), run);
    value.data[0] = static_cast<T>(s.value);
    std::copy(s.dy.begin(), s.dy.end(), std::copy(s.dx.begin(), s.dx.end(), gradients.data));
  }
  template <Backend B>
  void vjp(B& be, View<const T> x, View<const T> y, View<const T>, View<const T> gradients, View<const T> d,
           View<T> dx, View<T> dy) const {
    const auto scaled = [&](View<const T> from, View<T> to) {
      for (index_t r = 0; r < from.rows(); ++r)
        row_of(be, from.cols()).each([&](auto i) {
          using V = decltype(load(from.row(r), i));
          add(to.row(r), i, V(d.data[0]) * load(from.row(r), i));
        });
    };
    if (dx) scaled(gradients.row_block(0, x.rows()), dx);
    if (dy) scaled(gradients.row_block(x.rows(), y.rows()), dy);
  }
};

} // namespace sbi::ot
