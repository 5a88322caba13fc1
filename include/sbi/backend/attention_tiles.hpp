// SPDX-License-Identifier: MIT
// Register tiles of attention. Queries lie in the lanes: a block of `vectors` vectors of them meets one key
// after the other, so that sums and maxima over keys are vertical, and keys and values are read by broadcast
// where they lie. Blocks of logits, weights and their gradients are [keys, vectors * N]. Few functions,
// called for whole blocks: each is compiled at every width.
#pragma once
#include <sbi/backend/attention_lanes.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/core/view.hpp> // Write

#include <algorithm>

namespace sbi::detail {

/// Vectors of queries in the widest block: 32 queries in float, so that sums over queries are long enough.
template <int N> inline constexpr int attention_widest = N >= 16 ? 2 : 4;
/// Rows of a tile V vectors wide: enough chains to hide a multiply-add's latency, few enough for registers.
template <int V> inline constexpr int attention_rows = native_registers >= 32 || V == 1 ? 8 : 6;

/// Rows of the tiles behind the last whole one: as many as fill a multiply-add's latency.
template <int V> inline constexpr int attention_rest = V == 1 ? 4 : 2;

/// f<M>(row) for tiles of V vectors that cover `rows` rows, of which row(i) is the i-th of a tile: beyond the
/// last, that one once more.
template <int V, class F> [[gnu::always_inline]] inline void in_tiles(index_t rows, F&& f) {
  constexpr int most = attention_rows<V>, rest = attention_rest<V>;
  index_t first = 0;
  for (; first + most <= rows; first += most)
    f.template operator()<most>([first](int i) { return first + i; });
  for (; first < rows; first += rest)
    f.template operator()<rest>([first, rows](int i) { return std::min(first + i, rows - 1); });
}

/// sum(i, j) += sum over k of a(i, k) b(k, j), one chain of fused multiply-adds each.
template <int M, int V, class T, int N, class A, class B>
[[gnu::always_inline]] inline void multiply_add(Vec<T, N> (&sum)[M][V], index_t depth, A&& a, B&& b) {
  for (index_t k = 0; k < depth; ++k) {
    Vec<T, N> bk[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) bk[j] = b(k, j);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const Vec<T, N> aik(a(i, k));
#pragma GCC unroll 4
      for (int j = 0; j < V; ++j) sum[i][j] = fused_multiply_add(aik, bk[j], sum[i][j]);
    }
  }
}

/// 2^x for x <= 0 (but for rounding), to about one unit in the last place: exactly 0 below 2^-100 (in double
/// 2^-1000), so that no denormals leave it, NaN for NaN. What holds below need not be asked above.
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> attention_weight(Vec<T, N> x) {
  const Vec<T, N> low(sizeof(T) == 4 ? -100.0 : -1000.0);
  const Vec<T, N> weight = exp2_inside(select(x < low, low, x));
  return select(x < low, Vec<T, N>(0), weight);
}

/// to [keys, lanes] = mask (or 0) + <key k, query> for W vectors of lanes; key k lies at keys[k] + column,
/// queries are [head, lanes]. `top`, where given, is raised to the results.
template <int W, class T, int N>
[[gnu::noinline]] void attention_logits_panel(index_t count, index_t head, const T* const* keys,
                                              index_t column, const T* queries, index_t lanes, const T* mask,
                                              T* to, Vec<T, N>* top) {
  in_tiles<W>(
      count, [&]<int M>(auto at) __attribute__((always_inline)) {
        const T* row[M];
        Vec<T, N> sum[M][W];
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) row[i] = keys[at(i)] + column;
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v)
            sum[i][v] = mask ? Vec<T, N>::load(mask + at(i) * lanes + v * N) : Vec<T, N>(0);
        multiply_add<M, W, T, N>(
            sum, head, [&](int i, index_t j) { return row[i][j]; },
            [&](index_t j, int v) { return Vec<T, N>::load(queries + j * lanes + v * N); });
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v) sum[i][v].store(to + at(i) * lanes + v * N);
        if (top)
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v) {
            Vec<T, N> most = sum[0][v];
#pragma GCC unroll 8
            for (int i = 1; i < M; ++i) most = max(sum[i][v], most);
            top[v] = max(most, top[v]);
          }
      });
}
template <int Widest, class T, int N>
void attention_logits(int vectors, index_t count, index_t head, const T* const* keys, index_t column,
                      const T* queries, const T* mask, T* to, Vec<T, N>* top) {
  const auto panel = [&]<int W>(int v) {
    attention_logits_panel<W, T, N>(count, head, keys, column, queries + v * N, vectors * N,
                                    mask ? mask + v * N : nullptr, to + v * N, top ? top + v : nullptr);
  };
  int v = 0;
  if constexpr (Widest > 1)
    for (; v + 2 <= vectors; v += 2) panel.template operator()<2>(v);
  if (v < vectors) panel.template operator()<1>(v);
}

/// `attention_combine` for V vectors of columns, `last` columns in the last of them.
template <int V, class T, int N>
[[gnu::noinline]] void attention_combine_panel(Write mode, index_t outputs, index_t depth, index_t last,
                                               const T* a, index_t a_row, index_t a_col, const T* const* rows,
                                               index_t from, T* const* to, index_t column) {
  // Where a load of some lanes takes no longer than a whole one, the loop does not ask which it is.
  constexpr bool masks = native_vector_bytes >= 32 && N * sizeof(T) == native_vector_bytes;
  in_tiles<V>(
      outputs, [&]<int M>(auto at) __attribute__((always_inline)) {
        const T* factor[M];
        Vec<T, N> sum[M][V];
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) {
          factor[i] = a + at(i) * a_row;
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) sum[i][v] = Vec<T, N>(0);
        }
        multiply_add<M, V, T, N>(
            sum, depth, [&](int i, index_t k) { return factor[i][k * a_col]; },
            [&](index_t k, int v) {
              const T* row = rows[k] + from + v * N;
              if (v < V - 1) return Vec<T, N>::load(row);
              return masks ? Vec<T, N>::load(row, last) : load_part<T, N>(row, last);
            });
        const auto width = [&](int v) { return v == V - 1 ? last : N; };
        if (mode == Write::accumulate) // all is read before any is written: a row may be there twice
#pragma GCC unroll 8
          for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sum[i][v] += load_part<T, N>(to[at(i)] + column + v * N, width(v));
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < V; ++v) store_part<T, N>(sum[i][v], to[at(i)] + column + v * N, width(v));
      });
}
/// to[i][column + j] = sum over k of a[i * a_row + k * a_col] rows[k][from + j] for j in [0, head), or +=
/// where `mode` says so.
template <int Widest, class T, int N>
void attention_combine(Write mode, index_t outputs, index_t depth, index_t head, const T* a, index_t a_row,
                       index_t a_col, const T* const* rows, index_t from, T* const* to, index_t column) {
  const auto panel = [&]<int V>(index_t j) {
    attention_combine_panel<V, T, N>(mode, outputs, depth, std::min<index_t>(N, head - j - (V - 1) * N), a,
                                     a_row, a_col, rows, from + j, to, column + j);
  };
  index_t j = 0;
  if constexpr (Widest > 1)
    for (; j + N < head; j += 2 * N) panel.template operator()<2>(j);
  for (; j < head; j += N) panel.template operator()<1>(j);
}

/// w = 2^(w - shift) for a vector of lanes of `keys` keys; the sum over keys.
template <class T, int N> Vec<T, N> attention_weights(index_t keys, index_t lanes, Vec<T, N> shift, T* w) {
  Vec<T, N> sum(0);
#pragma GCC unroll 2
  for (index_t k = 0; k < keys; ++k) {
    const Vec<T, N> e = attention_weight(Vec<T, N>::load(w + k * lanes) - shift);
    e.store(w + k * lanes);
    sum += e;
  }
  return sum;
}

} // namespace sbi::detail
