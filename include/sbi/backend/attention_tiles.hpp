// SPDX-License-Identifier: MIT
// Register tiles of attention. Queries lie in the lanes: a block of V vectors of them meets one key after the
// other, so that sums and maxima over keys are vertical, and keys and values are read by broadcast where they
// lie. Blocks of logits, weights and their gradients are [keys, V * N].
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/core/simd.hpp>

#include <algorithm>

namespace sbi::detail {

/// Vectors of queries in the widest block: 32 queries in float, so that sums over queries are long enough.
template <int N> inline constexpr int attention_widest = N >= 16 ? 2 : 4;
/// Vectors of a block that a tile takes.
template <int V> inline constexpr int attention_panel = V < 2 ? V : 2;
/// Rows of a tile V vectors wide: enough chains to hide a multiply-add's latency, few enough for registers.
template <int V> inline constexpr int attention_rows = native_registers >= 32 || V == 1 ? 8 : 6;

/// f<M>(first row) for tiles that cover `rows`.
template <int Most, class F> [[gnu::always_inline]] inline void in_tiles(index_t rows, F&& f) {
  index_t first = 0;
  for (; first + Most <= rows; first += Most) f.template operator()<Most>(first);
  if (first + 4 <= rows) f.template operator()<4>(first), first += 4;
  if (first + 2 <= rows) f.template operator()<2>(first), first += 2;
  if (first < rows) f.template operator()<1>(first);
}

/// sum(i, j) += sum over k of a(i, k) b(k, j), one chain of fused multiply-adds each.
template <int M, int V, class T, int N, class A>
[[gnu::always_inline]] inline void multiply_add(Vec<T, N> (&sum)[M][V], index_t depth, A&& a, const T* b,
                                                index_t b_row) {
  for (index_t k = 0; k < depth; ++k) {
    Vec<T, N> bk[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) bk[j] = Vec<T, N>::load(b + k * b_row + N * j);
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

/// Logits of keys [first, first + count) for a block of queries: start(k, v) + <key k, query>, where `start`
/// is the mask. `put(k, v, logit)` receives each; key(k) points to a key, queries [head, V * N].
template <int V, class T, int N, class Key, class Start, class Put>
[[gnu::always_inline]] inline void attention_scores(index_t count, index_t head, Key&& key, const T* queries,
                                                    Start&& start, Put&& put) {
  constexpr int W = attention_panel<V>;
  for (int p = 0; p < V; p += W)
    in_tiles<attention_rows<W>>(count, [&]<int M>(index_t k) {
      const T* row[M];
      Vec<T, N> sum[M][W];
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) row[i] = key(k + i);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) sum[i][v] = start(k + i, p + v);
      multiply_add<M, W, T, N>(
          sum, head, [&](int i, index_t j) { return row[i][j]; }, queries + p * N, V * N);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) put(k + i, p + v, sum[i][v]);
    });
}

/// out [head, V * N] = sum over k of value(k)[j] weights[k, lane] + factor[v] out, or without the last term
/// where factor is null.
template <int V, class T, int N, class Value>
[[gnu::always_inline]] inline void attention_mix(index_t count, index_t head, Value&& value, const T* weights,
                                                 T* out, const Vec<T, N>* factor) {
  constexpr int W = attention_panel<V>;
  for (int p = 0; p < V; p += W)
    in_tiles<attention_rows<W>>(head, [&]<int M>(index_t j) {
      Vec<T, N> sum[M][W];
      T* to = out + j * V * N + p * N;
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v)
          sum[i][v] = factor ? Vec<T, N>::load(to + i * V * N + v * N) * factor[p + v] : Vec<T, N>(0);
      multiply_add<M, W, T, N>(
          sum, count, [&](int i, index_t k) { return value(k)[j + i]; }, weights + p * N, V * N);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < W; ++v) sum[i][v].store(to + i * V * N + v * N);
    });
}

/// to[k][j] += sum over queries of weights[k, query] rows[query, j]: weights have `stride` lanes a key, rows
/// [queries, row] are padded to whole vectors.
template <class T, int N>
[[gnu::noinline]] void attention_spread(index_t keys, index_t queries, index_t head, const T* weights,
                                        index_t stride, const T* rows, index_t row, T* const* to,
                                        index_t column) {
  const auto panel = [&]<int V>(index_t j) {
    in_tiles<attention_rows<V>>(keys, [&]<int M>(index_t k) {
      Vec<T, N> sum[M][V];
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[i][v] = Vec<T, N>(0);
      const T* w = weights + k * stride;
      multiply_add<M, V, T, N>(
          sum, queries, [&](int i, index_t q) { return w[i * stride + q]; }, rows + j, row);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        T* out = to[k + i] + column + j;
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          const index_t left = head - j - v * N;
          if (left >= N)
            (Vec<T, N>::load(out + v * N) + sum[i][v]).store(out + v * N);
          else
            (Vec<T, N>::load(out + v * N, left) + sum[i][v]).store(out + v * N, left);
        }
      }
    });
  };
  index_t j = 0;
  for (; j + N < head; j += 2 * N) panel.template operator()<2>(j);
  if (j < head) panel.template operator()<1>(j);
}

template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> load_part(const T* p, index_t width) {
  return width >= N ? Vec<T, N>::load(p) : Vec<T, N>::load(p, width);
}
template <class T, int N> [[gnu::always_inline]] inline void store_part(Vec<T, N> v, T* p, index_t width) {
  width >= N ? v.store(p) : v.store(p, width);
}
/// Transposes a block of which get(i) gives row i; put(j, row) receives rows j < cols of the result. All in
/// registers: no index may depend on numbers that the compiler does not know.
template <class T, int N, class Get, class Put>
[[gnu::always_inline]] inline void transpose_block(index_t cols, Get&& get, Put&& put) {
  Vec<T, N> block[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i) block[i] = get(i);
  transpose(block);
#pragma GCC unroll 16
  for (int j = 0; j < N; ++j)
    if (j < cols) put(j, block[j]);
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
/// The sum of each of N rows: half the steps of a transposition.
template <class T, int N> [[gnu::always_inline]] inline Vec<T, N> sums_of_rows(Vec<T, N> (&rows)[N]) {
  if constexpr (N > 1) fold_rows<N / 2>(rows, Lanes<N>{});
  return rows[0];
}

/// to [cols, V * N] = the transpose of `count` rows of a matrix, columns `column` on, times factor[v] of
/// their lanes; the last row again in the lanes beyond.
template <int V, class T, int N>
[[gnu::noinline]] void gather_lanes(View<const T> from, const index_t* rows, index_t count, index_t column,
                                    index_t cols, const Vec<T, N> (&factor)[V], T* to) {
  for (int v = 0; v < V; ++v)
    for (index_t c = 0; c < cols; c += N)
      transpose_block<T, N>(
          cols - c,
          [&](int i) {
            return load_part<T, N>(from.row(rows[std::min<index_t>(v * N + i, count - 1)]) + column + c,
                                   cols - c);
          },
          [&](int j, Vec<T, N> x) { (x * factor[v]).store(to + (c + j) * V * N + v * N); });
}
/// The way back: to(rows[i], column + c) (+)= from[c, i] factor[i]. Rows of `from` are there up to a multiple
/// of N.
template <int V, Write Mode, class T, int N>
[[gnu::noinline]] void scatter_lanes(const T* from, const Vec<T, N> (&factor)[V], View<T> to,
                                     const index_t* rows, index_t count, index_t column, index_t cols) {
  for (int v = 0; v < V; ++v)
    for (index_t c = 0; c < cols; c += N)
      transpose_block<T, N>(
          count - v * N, [&](int j) { return Vec<T, N>::load(from + (c + j) * V * N + v * N) * factor[v]; },
          [&](int i, Vec<T, N> x) {
            T* out = to.row(rows[v * N + i]) + column + c;
            if constexpr (Mode == Write::accumulate) x += load_part<T, N>(out, cols - c);
            store_part<T, N>(x, out, cols - c);
          });
}

} // namespace sbi::detail
