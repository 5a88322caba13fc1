// SPDX-License-Identifier: MIT
// Costs between points in dot-product form, C_ij = alpha_i + beta_j - <q_i, k_j>, never stored: transport
// between n and m points in O(n + m) memory. A log-sum-exp of a row is one pass, since the potential of the
// round before tells its size well enough to keep the exponentials in range.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace sbi::ot {

namespace detail {
inline constexpr double log2_e = 1.4426950408889634, log_2 = 0.6931471805599453;

/// Blocks of the costs that a form stands for, or of their transpose.
template <class T> class FormRows {
public:
  /// `pack`: for many blocks, in packed keys.
  explicit FormRows(const DotForm<T>& form, bool transposed = false, bool pack = true)
      : queries_((transposed ? form.k : form.q).view()), keys_((transposed ? form.q : form.k).view()),
        alpha_(transposed ? form.beta : form.alpha) {
    for (const double beta : transposed ? form.alpha : form.beta)
      minus_beta_.push_back(static_cast<T>(-beta));
    if (!pack) return;
    packed_.resize(static_cast<std::size_t>(packed_size<T>(keys_.cols(), keys_.rows())));
    sbi::pack<T>(keys_, Transpose::yes, packed_.data());
  }
  /// Costs of rows [first, first + rows) to all columns from `column` on, a multiple of those in a panel of
  /// packed keys, in the caller's arena scope.
  template <class B>
  [[nodiscard]] View<const T> costs(const B& be, index_t first, index_t rows, index_t column) const {
    const index_t m = keys_.rows() - column, d = keys_.cols();
    const View<T> out(be.arena().template array<T>(rows * m), Shape{rows, m});
    gemm(be, queries_.row_block(first, rows), Transpose::no, keys_.row_block(column, m), Transpose::yes, out,
         Write::overwrite, View<const T>(minus_beta_.data() + column, Shape{m}), {},
         PackedMatrix<T>{packed_.empty() ? nullptr : packed_.data() + column * d});
    for (index_t r = 0; r < rows; ++r) {
      const T alpha = static_cast<T>(alpha_[static_cast<std::size_t>(first + r)]);
      T* row = out.row(r);
      for (index_t j = 0; j < m; ++j) row[j] = alpha - row[j];
    }
    return out;
  }

private:
  View<const T> queries_, keys_;
  const std::vector<double>& alpha_;
  std::vector<T> packed_, minus_beta_;
};

/// Rows [first, first + rows) of the costs; of those in dot-product form in the caller's arena scope.
template <class B, class T>
[[nodiscard]] View<const T> cost_rows(const B&, View<const T> cost, index_t first, index_t rows) {
  return cost.row_block(first, rows);
}
template <class B, class T>
[[nodiscard]] View<const T> cost_rows(const B& be, const DotForm<T>& cost, index_t first, index_t rows) {
  return FormRows<T>(cost, false, false).costs(be, first, rows, 0);
}

/// Keys and biases of all columns, in units of log 2, in panels of `step` columns that a kernel reads from
/// start to end. The last panel is filled up with columns whose biases make them count for nothing.
template <class T> struct PackedKeys {
  static constexpr index_t step = column_step<T>;
  index_t width;       ///< d
  Tensor<T> panels;    ///< [panels, d * step]
  std::vector<T> bias; ///< [panels * step]

  PackedKeys(const DotForm<T>& form, std::span<const T> log_b, std::span<const T> g, double eps)
      : width(form.k.cols()), panels(column_panels<T>(form.k.view())),
        bias(static_cast<std::size_t>(panels.rows() * step), -std::numeric_limits<T>::infinity()) {
    for (std::size_t j = 0; j < log_b.size(); ++j)
      if (is_finite(log_b[j])) // without weight it stays minus infinity, whatever the potential is
        bias[j] = static_cast<T>(
            log2_e * ((static_cast<double>(g[j]) - form.beta[j]) / eps + static_cast<double>(log_b[j])));
  }
  [[nodiscard]] index_t columns() const { return panels.rows() * step; }
};

inline constexpr index_t rows_together = 4; // of one column step, held in registers

/// sums[r] += sum_j 2^(bias_j + <query_r, key_j> - shift_r) over columns [first, last) for row_block rows.
/// queries [d, row_block]. Lanes add up over the columns of one call; a caller that goes on in double every
/// few thousand columns keeps the digits of long rows.
template <class T>
void sum_exp2(const PackedKeys<T>& packed, index_t first, index_t last, const T* queries, const T* shift,
              double* sums) {
  using V = Vec<T>;
  constexpr index_t lanes = V::lanes;
  const index_t d = packed.width;
  V total[row_block];
  for (V& t : total) t = V(0);
  for (index_t j = first; j < last; j += PackedKeys<T>::step) {
    const T* panel = packed.panels.row(j / PackedKeys<T>::step);
    const V bias0 = V::load(packed.bias.data() + j), bias1 = V::load(packed.bias.data() + j + lanes);
    for (index_t r = 0; r < row_block; r += rows_together) {
      V a[rows_together], b[rows_together];
#pragma GCC unroll 4
      for (index_t i = 0; i < rows_together; ++i)
        a[i] = bias0 - V(shift[r + i]), b[i] = bias1 - V(shift[r + i]);
      for (index_t k = 0; k < d; ++k) {
        const T* key = panel + k * PackedKeys<T>::step;
        const V key0 = V::load(key), key1 = V::load(key + lanes);
        const T* query = queries + k * row_block + r;
#pragma GCC unroll 4
        for (index_t i = 0; i < rows_together; ++i) {
          a[i] = fused_multiply_add(V(query[i]), key0, a[i]);
          b[i] = fused_multiply_add(V(query[i]), key1, b[i]);
        }
      }
#pragma GCC unroll 4
      for (index_t i = 0; i < rows_together; ++i) total[r + i] += exp2_bounded(a[i]) + exp2_bounded(b[i]);
    }
  }
  for (index_t r = 0; r < row_block; ++r) sums[r] += static_cast<double>(horizontal_sum(total[r]));
}

/// log2 sum_j 2^(bias_j + <query, key_j>) of one row without an estimate, in two passes.
template <class T>
[[nodiscard]] double log2_sum_exp2(const PackedKeys<T>& packed, const T* queries, index_t row, T* terms) {
  const index_t m = packed.columns();
  constexpr index_t step = PackedKeys<T>::step;
  const VectorRow<T> all{m}, panel{step};
  std::copy(packed.bias.begin(), packed.bias.end(), terms);
  for (index_t j = 0; j < m; j += step)
    for (index_t k = 0; k < packed.width; ++k) {
      const Vec<T> query(queries[k * row_block + row]);
      const T* key = packed.panels.row(j / step) + k * step;
      panel.each([&](auto at) {
        store(terms + j, at, fused_multiply_add(query, load(key, at), load(terms + j, at)));
      });
    }
  const T top = all.max([&](auto at) { return load(terms, at); });
  if (top == -std::numeric_limits<T>::infinity()) return static_cast<double>(top);
  double sum = 0;
  for (index_t j = 0; j < m; j += step)
    sum += static_cast<double>(
        panel.sum([&](auto at) { return exp2_bounded(load(terms + j, at) - Vec<T>(top)); }));
  return static_cast<double>(top) + std::log2(sum);
}
} // namespace detail

/// The same softmin as for a matrix, of costs in dot-product form. `out` holds an estimate on entry, such as
/// its value of the round before: a row whose sum leaves the safe range for it is done again without, so that
/// an estimate changes nothing but the last digits.
template <class B, class T>
void softmin(const B& be, const DotForm<T>& form, std::type_identity_t<std::span<const T>> log_b,
             std::type_identity_t<std::span<const T>> g, double eps, std::type_identity_t<std::span<T>> out) {
  const index_t n = form.q.rows(), d = form.q.cols();
  if constexpr (is_reference_v<B>) {
    const std::vector<T> bias = detail::biases<T>(log_b, g, eps);
    Tensor<double> row(Shape{1, form.k.rows()});
    const std::vector<double> wide(bias.begin(), bias.end());
    for (index_t i = 0; i < n; ++i) {
      for (index_t j = 0; j < row.cols(); ++j) {
        row(0, j) = form.alpha[static_cast<std::size_t>(i)] + form.beta[static_cast<std::size_t>(j)];
        for (index_t k = 0; k < d; ++k)
          row(0, j) -= static_cast<double>(form.q(i, k)) * static_cast<double>(form.k(j, k));
      }
      out[static_cast<std::size_t>(i)] = static_cast<T>(
          -eps * detail::log_sum_exp_row(row_of(be, row.cols()), row.row(0), wide.data(), 1 / eps));
    }
  } else {
    using detail::row_block;
    const detail::PackedKeys<T> packed(form, log_b, g, eps);
    const double unit = eps * detail::log_2; // of the potentials, against powers of 2
    constexpr index_t chunk = 2048;          // columns whose sums stay in T
    static_assert(chunk % detail::PackedKeys<T>::step == 0);
    be.for_each((n + row_block - 1) / row_block, [&](index_t block) {
      const FlushDenormals flush;
      Arena& arena = be.arena();
      const ArenaScope scope(arena);
      const index_t first = block * row_block, rows = std::min(row_block, n - first);
      T* queries = arena.template array<T>(d * row_block);
      std::fill_n(queries, d * row_block, T{0});
      T shift[row_block] = {};
      double sums[row_block] = {};
      for (index_t r = 0; r < rows; ++r) {
        const auto i = static_cast<std::size_t>(first + r);
        for (index_t k = 0; k < d; ++k)
          queries[k * row_block + r] = static_cast<T>(static_cast<double>(form.q(first + r, k)) / unit);
        const double estimate = (form.alpha[i] - static_cast<double>(out[i])) / unit;
        shift[r] = static_cast<T>(is_finite(estimate) ? estimate : 0);
      }
      for (index_t j = 0; j < packed.columns(); j += chunk)
        detail::sum_exp2(packed, j, std::min(packed.columns(), j + chunk), queries, shift, sums);
      T* terms = nullptr;
      // Largest terms below 2^80 and sums above 2^-60: the smallest terms that count stay normal numbers.
      constexpr double low = 1e-18, high = 1e24;
      for (index_t r = 0; r < rows; ++r) {
        const auto i = static_cast<std::size_t>(first + r);
        double log2_sum = static_cast<double>(shift[r]) + std::log2(sums[r]);
        if (!(sums[r] > low && sums[r] < high)) {
          if (!terms) terms = arena.template array<T>(packed.columns());
          log2_sum = detail::log2_sum_exp2(packed, queries, r, terms);
        }
        out[i] = static_cast<T>(form.alpha[i] - unit * log2_sum);
      }
    });
  }
}

} // namespace sbi::ot
