// SPDX-License-Identifier: MIT
// From plans and costs back to points: the barycentric map of a plan, and gradients in points.
#pragma once
#include <sbi/ot/plan_gradient.hpp>

#include <span>
#include <vector>

namespace sbi::ot {

/// Gradients of a loss in a plan P [n, m] and the points y [m, d] it leads to.
template <class T> struct BarycentricGradient { Tensor<T> plan, y; };

/// Gradients of a loss in two clouds, [n, d] and [m, d].
template <class T> struct PointGradients { Tensor<T> x, y; };

namespace detail {
/// Row sums of a plan, checked together with it.
template <class B, class T>
[[nodiscard]] std::vector<double> checked_masses(const B& be, View<const T> plan, View<const T> y) {
  if (plan.shape.rank() != 2 || plan.cols() != y.rows())
    throw ShapeError(sbi::text("ot: barycentric map: the plan is ", plan.shape, ", y is ", y.shape,
                               "; want [n, m] and [m, d]"));
  check_points("barycentric map", "y", y);
  std::vector<double> mass(static_cast<std::size_t>(plan.rows()), 0);
  for_each_row(be, plan.rows(), [&](index_t i) {
    double& sum = mass[static_cast<std::size_t>(i)];
    for (index_t j = 0; j < plan.cols(); ++j) {
      if (!is_finite(plan(i, j)) || plan(i, j) < 0)
        throw ValueError(
            sbi::text("ot: barycentric map: plan[", i, ",", j, "] = ", plan(i, j), "; want >= 0 and finite"));
      sum += static_cast<double>(plan(i, j));
    }
  });
  return mass;
}

/// (P (y - mean))_i / sum_j P_ij of every row, 0 of those without mass.
template <class B, class T>
[[nodiscard]] Tensor<T> centred_map(const B& be, View<const T> plan, const std::vector<double>& mass,
                                    const Tensor<T>& y) {
  Tensor<T> out(Shape{plan.rows(), y.cols()});
  be.for_each((plan.rows() + row_block - 1) / row_block, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * row_block, rows = std::min(row_block, plan.rows() - first);
    gemm(be, plan.row_block(first, rows), Transpose::no, y.view(), Transpose::no,
         out.view().row_block(first, rows), Write::overwrite);
    for (index_t i = first; i < first + rows; ++i)
      for (index_t k = 0; k < out.cols(); ++k)
        if (const double sum = mass[static_cast<std::size_t>(i)]; sum > 0)
          out(i, k) = static_cast<T>(static_cast<double>(out(i, k)) / sum);
  });
  return out;
}
} // namespace detail

/// Where the mass of each row goes on average, T_i = sum_j P_ij y_j / sum_j P_ij, [n, d], for a plan P [n, m]
/// >= 0 and points y [m, d] (the projection of Ambrosio, Gigli & Savare 2008, and Ferradans et al. 2014). A
/// row without mass, of a weight 0 or in partial transport, has no image: it takes that of `idle` [n, d],
/// such as the points x themselves. Throws ShapeError for sizes that do not fit and ValueError for entries
/// that are negative or not finite, and for rows without mass when `idle` is not given.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> barycentric_map(const B& be, std::type_identity_t<View<const T>> plan,
                                        std::type_identity_t<View<const T>> y,
                                        std::type_identity_t<View<const T>> idle = {}) {
  const std::vector<double> mass = detail::checked_masses<B, T>(be, plan, y);
  if (idle && !(idle.shape == Shape{plan.rows(), y.cols()}))
    throw ShapeError(
        sbi::text("ot: barycentric map: idle is ", idle.shape, "; want ", Shape{plan.rows(), y.cols()}));
  const auto [points, mean] = detail::centred<T>(y);
  Tensor<T> out = detail::centred_map<B, T>(be, plan, mass, points);
  for (index_t i = 0; i < out.rows(); ++i) {
    const bool moves = mass[static_cast<std::size_t>(i)] > 0;
    if (!moves && !idle)
      throw ValueError(sbi::text("ot: barycentric map: row ", i,
                                 " of the plan has no mass; want some, or idle "
                                 "points"));
    for (index_t k = 0; k < out.cols(); ++k)
      out(i, k) = moves ? out(i, k) + mean[static_cast<std::size_t>(k)] : idle(i, k);
  }
  return out;
}

/// Gradients of a loss in the plan and y from dL/dT [n, d]: dL/dP_ij = <dL/dT_i, y_j - T_i> / sum_l P_il and
/// dL/dy_j = sum_i P_ij / (sum_l P_il) dL/dT_i. Rows without mass add nothing: idle points depend on neither.
/// Throws as `barycentric_map` does with idle points.
template <class B, class T = typename B::compute_t>
[[nodiscard]] BarycentricGradient<T>
barycentric_map_vjp(const B& be, std::type_identity_t<View<const T>> plan,
                    std::type_identity_t<View<const T>> y, std::type_identity_t<View<const T>> upstream) {
  const std::vector<double> mass = detail::checked_masses<B, T>(be, plan, y);
  const index_t n = plan.rows(), m = y.rows(), d = y.cols();
  if (!(upstream.shape == Shape{n, d}))
    throw ShapeError(sbi::text("ot: barycentric map: dL/dT is ", upstream.shape, "; want ", Shape{n, d}));
  detail::check_points("barycentric map", "dL/dT", upstream);
  const Tensor<T> points = detail::centred<T>(y).first; // y_j - T_i about the mean keeps its digits
  const Tensor<T> image = detail::centred_map<B, T>(be, plan, mass, points);
  Tensor<T> scaled(Shape{n, d}); // dL/dT_i / sum_l P_il
  for (index_t i = 0; i < n; ++i)
    for (index_t k = 0; k < d; ++k)
      if (const double sum = mass[static_cast<std::size_t>(i)]; sum > 0)
        scaled(i, k) = static_cast<T>(static_cast<double>(upstream(i, k)) / sum);
  BarycentricGradient<T> out{Tensor<T>(plan.shape), Tensor<T>(y.shape)};
  const auto blocks = [](index_t rows) { return (rows + detail::row_block - 1) / detail::row_block; };
  be.for_each(blocks(n), [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * detail::row_block, rows = std::min(detail::row_block, n - first);
    gemm(be, scaled.view().row_block(first, rows), Transpose::no, points.view(), Transpose::yes,
         out.plan.view().row_block(first, rows), Write::overwrite);
    for (index_t i = first; i < first + rows; ++i) {
      T along = 0;
      for (index_t k = 0; k < d; ++k) along += scaled(i, k) * image(i, k);
      for (index_t j = 0; j < m; ++j) out.plan(i, j) -= along;
    }
  });
  be.for_each(blocks(m), [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * detail::row_block, rows = std::min(detail::row_block, m - first);
    gemm(be, plan.columns(first, rows), Transpose::yes, scaled.view(), Transpose::no,
         out.y.view().row_block(first, rows), Write::overwrite);
  });
  return out;
}

/// From dL/dC [n, m] of the matrix C of a ground cost between x [n, d] and y [m, d] to dL/dx and dL/dy.
/// Throws ShapeError for sizes that do not fit and ValueError for entries that are not finite.
template <class B, class C, class T = typename B::compute_t>
requires Cost<C, T>
[[nodiscard]] PointGradients<T> cost_matrix_vjp(const B& be, const C& cost,
                                                std::type_identity_t<View<const T>> x,
                                                std::type_identity_t<View<const T>> y,
                                                std::type_identity_t<View<const T>> upstream) {
  detail::check_points("cost matrix", "x", x);
  detail::check_points("cost matrix", "y", y);
  detail::check_points("cost matrix", "dL/dC", upstream);
  if (x.cols() != y.cols() || !(upstream.shape == Shape{x.rows(), y.rows()}))
    throw ShapeError(sbi::text("ot: cost matrix: x is ", x.shape, ", y is ", y.shape, ", dL/dC is ",
                               upstream.shape, "; want [n, d], [m, d] and [n, m]"));
  PointGradients<T> out{Tensor<T>(x.shape), Tensor<T>(y.shape)};
  const auto point = [](View<const T> points, index_t i) {
    return std::span<const T>(points.row(i), static_cast<std::size_t>(points.cols()));
  };
  const auto gather = [&](View<const T> from, View<const T> to, Tensor<T>& gradient, auto&& weight) {
    detail::for_each_row(be, from.rows(), [&](index_t i) {
      const std::span<T> sum(gradient.row(i), static_cast<std::size_t>(from.cols()));
      for (index_t j = 0; j < to.rows(); ++j)
        if (const T w = weight(i, j); w != 0) cost.add_gradient(w, point(from, i), point(to, j), sum);
    });
  };
  gather(x, y, out.x, [&](index_t i, index_t j) { return upstream(i, j); });
  gather(y, x, out.y, [&](index_t j, index_t i) { return upstream(i, j); }); // the cost is symmetric
  return out;
}

} // namespace sbi::ot
