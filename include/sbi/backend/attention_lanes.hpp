// SPDX-License-Identifier: MIT
// Between rows of memory and lanes of vectors: what attention reads and writes beside its register tiles. Few
// functions, called for whole vectors: each is compiled at every width.
#pragma once
#include <sbi/core/simd.hpp>

#include <algorithm>

namespace sbi::detail {

template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> load_part(const T* p, index_t width) {
  return width >= N ? Vec<T, N>::load(p) : Vec<T, N>::load(p, width);
}
template <class T, int N> [[gnu::always_inline]] inline void store_part(Vec<T, N> v, T* p, index_t width) {
  width >= N ? v.store(p) : v.store(p, width);
}

/// to[j * stride + i] = factor[i] * row[i][first + j] for j < min(N, width), and unspecified numbers in the
/// rows up to j = N - 1, which must be there.
template <class T, int N>
[[gnu::noinline]] void transpose_rows(const T* const* row, index_t first, index_t width, Vec<T, N> factor,
                                      T* to, index_t stride) {
  Vec<T, N> block[N];
  if (width >= N) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) block[i] = Vec<T, N>::load(row[i] + first);
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) block[i] = Vec<T, N>::load(row[i] + first, width);
  }
  transpose(block);
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j) (block[j] * factor).store(to + j * stride);
}

/// to [cols, vectors * N] = the transpose of vectors * N rows, columns `column` on, times factor[v] of their
/// lanes. `to` has rows up to a multiple of N.
template <class T, int N>
void gather_lanes(const T* const* row, index_t column, index_t cols, int vectors, const Vec<T, N>* factor,
                  T* to) {
  for (int v = 0; v < vectors; ++v)
    for (index_t c = 0; c < cols; c += N)
      transpose_rows<T, N>(row + v * N, column + c, cols - c, factor[v], to + (c * vectors + v) * N,
                           vectors * N);
}
/// row[i][j] *= factor[i] for i < count and j in [column, column + cols)
template <class T, int N>
[[gnu::noinline]] void scale_rows(const Vec<T, N>* factor, T* const* row, index_t count, index_t column,
                                  index_t cols) {
  for (index_t i = 0; i < count; ++i) {
    const Vec<T, N> by(factor[i / N].raw[i % N]);
    for (index_t c = column; c < column + cols; c += N) {
      const index_t left = column + cols - c;
      store_part<T, N>(load_part<T, N>(row[i] + c, left) * by, row[i] + c, left);
    }
  }
}

template <int Half, class T, int N, int... I>
[[gnu::always_inline]] inline void fold_rows(Vec<T, N> (&rows)[N], LaneList<I...> lanes) {
#pragma GCC unroll 8
  for (int i = 0; i < Half; ++i) {
    const auto a = rows[i].raw, b = rows[i + Half].raw;
    const Vec<T, N> near(__builtin_shufflevector(a, b, (I & Half ? N + I - Half : I)...)),
        far(__builtin_shufflevector(a, b, (I & Half ? N + I : I + Half)...));
    rows[i] = near + far;
  }
  if constexpr (Half > 1) fold_rows<Half / 2>(rows, lanes);
}
/// The sum of each of N rows, by half the steps of a transposition.
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> sums_of_rows(Vec<T, N> (&rows)[N]) {
  if constexpr (N > 1) fold_rows<N / 2>(rows, Lanes<N>{});
  return rows[0];
}
/// <a[i], b[i]> of N pairs of rows, columns [first, last).
template <class T, int N>
[[gnu::noinline]] Vec<T, N> products_of_rows(const T* const* a, const T* const* b, index_t first,
                                             index_t last) {
  Vec<T, N> sums[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) sums[i] = Vec<T, N>(0);
  index_t j = first;
  for (; j + N <= last; j += N)
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      sums[i] = fused_multiply_add(Vec<T, N>::load(a[i] + j), Vec<T, N>::load(b[i] + j), sums[i]);
  if (j < last)
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      sums[i] = fused_multiply_add(Vec<T, N>::load(a[i] + j, last - j), Vec<T, N>::load(b[i] + j, last - j),
                                   sums[i]);
  return sums_of_rows(sums);
}

} // namespace sbi::detail
