// SPDX-License-Identifier: MIT
// Plans of low rank, P = Q D(1/g) R^T: how they are written down with exact marginals, and their products
// with matrices, which never form them.
#pragma once
#include <sbi/ot/low_rank_projection.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace sbi::ot {

template <class T> struct LowRankResult {
  Tensor<T> q, r;        ///< [n,r], [m,r] factors; the plan is q D(1/g) r^T
  std::vector<double> g; ///< [r]
  double value = 0;      ///< <P, C> or E(P) of the plan given by the factors
  double residual = 0;   ///< |P 1 - a|_1 + |P^T 1 - b|_1 over the mass
  int iterations = 0;
  /// Whether the objective and the factors have settled, at a point where the projection reached its
  /// tolerance.
  bool converged = false;
};

namespace detail {

/// q [n,r] from log factors; the sums of its columns are those of what is stored, so that P's are too.
template <class B, class T>
[[nodiscard]] Column write_factor(const B& be, const Tensor<T>& log_p, const Weights<T>& weights,
                                  Tensor<T>& out) {
  out = Tensor<T>(log_p.shape());
  const index_t r = log_p.cols();
  return chunk_sums(be, log_p.rows(), r, [&](index_t first, index_t count, double* sum) {
    for (index_t i = first; i < first + count; ++i)
      for (index_t k = 0; k < r; ++k) {
        out(i, k) = static_cast<T>(weights.value[static_cast<std::size_t>(i)] *
                                   std::exp(static_cast<double>(log_p(i, k))));
        sum[k] += static_cast<double>(out(i, k));
      }
  });
}

/// Makes the columns of a factor [m,r] with column sums `mass` sum to g and keeps the row sums b (Altschuler,
/// Weed, Rigollet 2017): columns that are too heavy are scaled down, and what the rows then lack goes to the
/// columns that lack it.
template <class B, class T>
void round_columns(const B& be, const Weights<T>& b, const Column& mass, const Column& g, Tensor<T>& factor) {
  Column down, lack;
  for (std::size_t k = 0; k < g.size(); ++k) {
    down.push_back(std::min(g[k] / std::max(mass[k], std::numeric_limits<double>::min()), 1.0));
    lack.push_back(std::max(g[k] - down[k] * mass[k], 0.0));
  }
  if (const double all = total(lack); all > 0) scale(lack, 1 / all);
  for_each_row(be, factor.rows(), [&](index_t j) {
    double row = 0;
    T* const to = factor.row(j);
    for (std::size_t k = 0; k < g.size(); ++k) row += static_cast<double>(to[k]) * down[k];
    const double rest = std::max(0.0, b.value[static_cast<std::size_t>(j)] - row);
    for (std::size_t k = 0; k < g.size(); ++k)
      to[k] = static_cast<T>(static_cast<double>(to[k]) * down[k] + rest * lack[k]);
  });
}

/// x^T y of two matrices of equally many rows, summed in double: [x.cols, y.cols].
template <class B, class T> [[nodiscard]] Matrix cross_moment(const B& be, View<const T> x, View<const T> y) {
  const index_t p = x.cols(), q = y.cols();
  Column sums = chunk_sums(be, x.rows(), p * q, [&](index_t first, index_t count, double* out) {
    const ArenaScope scope(be.arena());
    T* sum = be.arena().template array<T>(p * q);
    gemm(be, x.row_block(first, count), Transpose::yes, y.row_block(first, count), Transpose::no,
         View<T>(sum, Shape{p, q}), Write::overwrite);
    for (index_t k = 0; k < p * q; ++k) out[k] += static_cast<double>(sum[k]);
  });
  return Matrix(Shape{p, q}, std::move(sums));
}

/// left [n,r] D(1/g) (right [m,r]^T v), v [m,c].
template <class B, class T>
[[nodiscard]] Tensor<T> through(const B& be, const Tensor<T>& left, const std::vector<double>& g,
                                const Tensor<T>& right, View<const T> v, const char* name) {
  if (v.shape.rank() != 2 || v.rows() != right.rows())
    throw ShapeError(sbi::text("low rank: ", name, " is ", v.shape, "; want [", right.rows(), ", columns]"));
  const Matrix moment = cross_moment<B, T>(be, right.view(), v);
  Tensor<T> middle(moment.shape());
  for (index_t k = 0; k < middle.rows(); ++k)
    for (index_t c = 0; c < middle.cols(); ++c)
      middle(k, c) = static_cast<T>(moment(k, c) / g[static_cast<std::size_t>(k)]);
  Tensor<T> out(Shape{left.rows(), v.cols()});
  parallel_gemm<B, T>(be, left.view(), Transpose::no, middle.view(), Transpose::no, out.view(),
                      Write::overwrite);
  return out;
}
} // namespace detail

/// P v [n,c] for v [m,c]. Throws ShapeError for another number of rows.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> apply_plan(const B& be, const LowRankResult<T>& plan,
                                   std::type_identity_t<View<const T>> v) {
  return detail::through(be, plan.q, plan.g, plan.r, v, "v");
}
/// P^T u [m,c] for u [n,c]. Throws ShapeError for another number of rows.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> apply_plan_transposed(const B& be, const LowRankResult<T>& plan,
                                              std::type_identity_t<View<const T>> u) {
  return detail::through(be, plan.r, plan.g, plan.q, u, "u");
}

/// sum_j P_ij y_j / sum_j P_ij of every row: [n,d]. A point without weight goes where the product plan takes
/// all of them, to the mean of y. Throws ShapeError for another number of rows than m.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> barycentric_map(const B& be, const LowRankResult<T>& plan,
                                        std::type_identity_t<View<const T>> y) {
  Tensor<T> out = apply_plan(be, plan, y);
  const index_t d = y.cols(), r = plan.q.cols();
  std::vector<double> mean(static_cast<std::size_t>(d), 0);
  double mass = 0;
  for (index_t j = 0; j < y.rows(); ++j) {
    double weight = 0;
    for (index_t k = 0; k < r; ++k) weight += static_cast<double>(plan.r(j, k));
    mass += weight;
    for (index_t k = 0; k < d; ++k)
      mean[static_cast<std::size_t>(k)] += weight * static_cast<double>(y(j, k));
  }
  detail::for_each_row(be, out.rows(), [&](index_t i) {
    double weight = 0;
    for (index_t k = 0; k < r; ++k) weight += static_cast<double>(plan.q(i, k));
    for (index_t k = 0; k < d; ++k)
      out(i, k) = static_cast<T>(weight > 0 ? static_cast<double>(out(i, k)) / weight
                                            : mean[static_cast<std::size_t>(k)] / mass);
  });
  return out;
}

} // namespace sbi::ot
