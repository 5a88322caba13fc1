// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/ot/dot_pairs.hpp>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// y minus the mean of its rows, and the mean.
template <class T> [[nodiscard]] std::pair<Tensor<T>, std::vector<T>> centred(View<const T> y) {
  const auto d = static_cast<std::size_t>(y.cols());
  std::vector<double> sum(d, 0);
  for (index_t j = 0; j < y.rows(); ++j) {
    const T* from = y.row(j);
    for (std::size_t k = 0; k < d; ++k) sum[k] += static_cast<double>(from[k]);
  }
  std::vector<T> mean;
  for (double s : sum) mean.push_back(static_cast<T>(s / static_cast<double>(y.rows())));
  Tensor<T> out(y.shape);
  for (index_t j = 0; j < y.rows(); ++j)
    VectorRow<T>{y.cols()}.each(
        [&](auto k) { store(out.row(j), k, load(y.row(j), k) - load(mean.data(), k)); });
  return {std::move(out), std::move(mean)};
}

/// out_i += sign sum_j P_ij d1 c(x_i, y_j) for the plan P_ij = exp(left_i + right_j - C_ij / eps). For a
/// radial cost the sum over j is a product, sum_j W_ij x_i - (W y)_i with W = 2 P dc/d|x - y|^2, about the
/// mean of y: far from the origin x and y agree in their leading digits.
template <class B, class C, class T, class M>
void add_plan_gradient(const B& be, const C& cost, const M& matrix, View<const T> x, View<const T> y,
                       const std::vector<T>& left, const std::vector<T>& right, double eps, T sign,
                       Tensor<T>& out) {
  const index_t n = x.rows(), m = y.rows(), d = x.cols();
  const auto plan = [&](index_t i, const T* costs, T* row) {
    plan_row(row_of(be, m), costs, right.data(), left[static_cast<std::size_t>(i)], static_cast<T>(1 / eps),
             row);
  };
  if constexpr (RadialCost<C, T> && !is_reference_v<B>) {
    const auto [shifted, mean] = centred<T>(y);
    const View<const T> points = shifted.view();
    const T* origin = mean.data();
    be.for_each((n + row_block - 1) / row_block, [&](index_t block) {
      const FlushDenormals flush;
      const index_t first = block * row_block, rows = std::min(row_block, n - first);
      Arena& arena = be.arena();
      const ArenaScope scope(arena);
      const View<T> weight(arena.template array<T>(rows * m), Shape{rows, m});
      const View<T> product(arena.template array<T>(rows * d), Shape{rows, d});
      const View<const T> costs = cost_rows(be, matrix, first, rows);
      for (index_t r = 0; r < rows; ++r) {
        const T* c = costs.row(r);
        plan(first + r, c, weight.row(r));
        for (index_t j = 0; j < m; ++j)
          weight(r, j) *= 2 * sign * (weight(r, j) > 0 ? cost.slope(c[j]) : T{0});
      }
      gemm(be, weight, Transpose::no, points, Transpose::no, product, Write::overwrite);
      for (index_t r = 0; r < rows; ++r) {
        const T sum = row_of(be, m).sum([&](auto j) { return load(weight.row(r), j); });
        for (index_t k = 0; k < d; ++k)
          out(first + r, k) += sum * (x(first + r, k) - origin[k]) - product(r, k);
      }
    });
  } else {
    for_each_row(be, n, [&](index_t i) {
      Arena& arena = be.arena();
      const ArenaScope scope(arena);
      T* weight = arena.template array<T>(m);
      plan(i, cost_rows(be, matrix, i, 1).row(0), weight);
      const auto width = static_cast<std::size_t>(d);
      for (index_t j = 0; j < m; ++j)
        if (weight[j] > 0)
          cost.add_gradient(sign * weight[j], std::span<const T>(x.row(i), width),
                            std::span<const T>(y.row(j), width), std::span<T>(out.row(i), width));
    });
  }
}

/// out_i += sign sum_j P_ij d1 |x_i - y_j|^2 for the plan P of potentials f and g, from the kernel matrix
/// that `update` has of them; with Transpose::yes the plan is [points of y, points of x]. False, with `out`
/// as it was, where there is no such matrix.
template <class Update, class T>
[[nodiscard]] bool add_kernel_gradient(Update& update, const std::vector<T>& f, const std::vector<T>& g,
                                       double eps, Transpose transpose, View<const T> x, View<const T> y,
                                       T sign, Tensor<T>& out) {
  const auto [shifted, mean] = centred<T>(y);
  const T* origin = mean.data();
  std::vector<T> sums;
  Tensor<T> products;
  if (!update.multiply_plan(f, g, eps, transpose, shifted.view(), sums, products)) return false;
  for (index_t i = 0; i < x.rows(); ++i)
    VectorRow<T>{x.cols()}.each([&](auto k) {
      using V = Vec<T>;
      const V moment = V(sums[static_cast<std::size_t>(i)]) * (load(x.row(i), k) - load(origin, k));
      add(out.row(i), k, V(2 * sign) * (moment - load(products.row(i), k)));
    });
  return true;
}

} // namespace sbi::ot::detail
