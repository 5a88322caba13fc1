// SPDX-License-Identifier: MIT
// The kernel matrix of entropic transport, K_ij = exp((p_i + q_j - C_ij) / eps) of two potentials. Row sums
// of K and column sums weighted by what follows from the row sums take one pass over it: eight rows stay in
// the first caches between the two.
#pragma once
#include <sbi/core/arena.hpp>
#include <sbi/ot/dot_pairs.hpp>
#include <sbi/ot/small_updates.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// Rows an odd number of cache lines apart: rows a power of two apart share the places of a cache.
template <class T> [[nodiscard]] index_t odd_lines(index_t columns) {
  constexpr index_t line = 64 / static_cast<index_t>(sizeof(T));
  return ((columns + line - 1) / line | 1) * line;
}

/// to_j = 2^((left + right_j - cost_j) scale), exactly 0 below 2^-126 (2^-1022 in double): a row of a kernel.
template <class T> void fill_kernel(index_t columns, const T* cost, const T* right, T left, T scale, T* to) {
  using V = Vec<T>;
  constexpr double least = sizeof(T) == 4 ? -126 : -1022;
  VectorRow<T>{columns}.each([&](auto j) {
    // The difference first: it is as small as the costs are, and what it loses are their own last digits.
    const V exponent = ((load(right, j) - load(cost, j)) + V(left)) * V(scale);
    store(to, j, select(exponent > V(least), exp2_bounded(exponent), V(0)));
  });
}

/// out = weights 2^((p - reference) scale), of which `p` may have fewer entries; false where the power of a
/// point with weight is out of bounds.
template <class T>
[[nodiscard]] bool scale_weights(const std::vector<T>& weights, const std::vector<T>& p,
                                 const std::vector<T>& reference, T scale, std::vector<T>& out) {
  using V = Vec<T>;
  return !(VectorRow<T>{static_cast<index_t>(p.size())}.sum([&](auto at) {
    const V scaling = exp2_bounded((load(p.data(), at) - load(reference.data(), at)) * V(scale));
    const V weight = load(weights.data(), at);
    store(out.data(), at, weight * scaling);
    return select(weight > V(0), out_of_bounds(scaling), V(0));
  }) > 0);
}

/// to_ik = factor_i from_ik; both may be the same.
template <class T> void scale_rows(View<const T> from, const std::vector<T>& factor, View<T> to) {
  for (index_t i = 0; i < from.rows(); ++i)
    VectorRow<T>{from.cols()}.each([&](auto k) {
      store(to.row(i), k, Vec<T>(factor[static_cast<std::size_t>(i)]) * load(from.row(i), k));
    });
}

/// K [n, m], padded with zeros to whole groups of rows and whole vectors, and the buffers of its column sums,
/// in the caller's arena scope: fresh pages for every problem would cost as much as a few rounds.
template <class T> class KernelMatrix {
  using V = Vec<T>;

public:
  static constexpr index_t group = 8; ///< rows that are summed together
  static_assert(row_block % group == 0);

  KernelMatrix(Arena& arena, index_t rows, index_t columns)
      : n_(rows), m_(columns), padded_((columns + V::lanes - 1) / V::lanes * V::lanes),
        task_rows_(std::max(2 * row_block, task_entries / columns / row_block * row_block)) {
    const index_t stride = odd_lines<T>(padded_);
    values_ = {arena.array<T>(padded_rows() * stride), Shape{padded_rows(), stride}};
    partial_ = {arena.array<T>(tasks() * padded_), Shape{tasks(), padded_}};
    for (index_t i = 0; i < padded_rows(); ++i) {
      const index_t used = i < rows ? columns : 0;
      std::fill(values_.row(i) + used, values_.row(i) + padded_, T{0});
    }
  }

  [[nodiscard]] index_t rows() const { return n_; }
  [[nodiscard]] index_t columns() const { return m_; }
  [[nodiscard]] index_t padded_rows() const { return (n_ + group - 1) / group * group; }
  [[nodiscard]] index_t padded_columns() const { return padded_; }
  [[nodiscard]] T* row(index_t i) { return values_.row(i); }
  [[nodiscard]] View<const T> view() const { return values_.row_block(0, n_).columns(0, m_); }

  /// sums[r] = sum_j K_(first + r)j right_j of a group of rows; right [padded columns].
  void row_sums(index_t first, const T* right, T* sums) const {
    const T* k = values_.row(first);
    const index_t stride = values_.row_stride;
    double total[group] = {};
    for (index_t begin = 0; begin < padded_; begin += chunk) {
      V sum[group];
#pragma GCC unroll 8
      for (index_t r = 0; r < group; ++r) sum[r] = V(0);
      const index_t end = std::min(padded_, begin + chunk);
      for (index_t j = begin; j < end; j += V::lanes) {
        const V factor = V::load(right + j);
#pragma GCC unroll 8
        for (index_t r = 0; r < group; ++r)
          sum[r] = fused_multiply_add(V::load(k + r * stride + j), factor, sum[r]);
      }
#pragma GCC unroll 8
      for (index_t r = 0; r < group; ++r) total[r] += static_cast<double>(horizontal_sum(sum[r]));
    }
    for (index_t r = 0; r < group; ++r) sums[r] = static_cast<T>(total[r]);
  }

  /// sums_j += sum_r left_r K_(first + r)j of a group of rows; sums [padded columns].
  void add_to_columns(index_t first, const T* left, T* sums) const {
    const T* k = values_.row(first);
    const index_t stride = values_.row_stride;
    V factor[group];
#pragma GCC unroll 8
    for (index_t r = 0; r < group; ++r) factor[r] = V(left[r]);
    for (index_t j = 0; j < padded_; j += V::lanes) {
      V sum = V::load(sums + j);
#pragma GCC unroll 8
      for (index_t r = 0; r < group; ++r)
        sum = fused_multiply_add(V::load(k + r * stride + j), factor[r], sum);
      sum.store(sums + j);
    }
  }

  /// Runs step(first row, number of rows, column sums of the task) for all blocks of `row_block` rows, and
  /// where `column_sums` [padded columns] is given adds those of the tasks up in it, in a fixed order.
  template <class B, class F> void sweep(const B& be, T* column_sums, F&& step) {
    // To and fro: a pass begins with what the last one has left in the caches.
    const bool back = std::exchange(forth_, !forth_);
    be.for_each(tasks(), [&](index_t at) {
      const index_t task = back ? tasks() - 1 - at : at;
      const FlushDenormals flush;
      T* sums = partial_.row(task);
      if (column_sums) std::fill_n(sums, padded_, T{0});
      const index_t end = std::min(n_, (task + 1) * task_rows_);
      for (index_t first = task * task_rows_; first < end; first += row_block)
        step(first, std::min(row_block, end - first), sums);
    });
    if (!column_sums) return;
    std::vector<double> total(static_cast<std::size_t>(padded_), 0);
    for (index_t task = 0; task < tasks(); ++task) {
      const T* sums = partial_.row(task);
      for (index_t j = 0; j < padded_; ++j)
        total[static_cast<std::size_t>(j)] += static_cast<double>(sums[j]);
    }
    for (index_t j = 0; j < padded_; ++j) column_sums[j] = static_cast<T>(total[static_cast<std::size_t>(j)]);
  }

private:
  static constexpr index_t task_entries = index_t{1} << 14; // at least, but for the last task
  static constexpr index_t chunk = 2048;                    // columns whose sums stay in T
  static_assert(chunk % V::lanes == 0);

  [[nodiscard]] index_t tasks() const { return (n_ + task_rows_ - 1) / task_rows_; }

  index_t n_, m_, padded_, task_rows_;
  View<T> values_, partial_;
  bool forth_ = false;
};

} // namespace sbi::ot::detail
