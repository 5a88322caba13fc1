// SPDX-License-Identifier: MIT
// Register tiles of attention. Queries lie in the lanes: a block of `vectors` vectors of them meets one key
// after the other, so that sums and maxima over keys are vertical, and keys and values are read by broadcast
// where they lie. Blocks of logits, weights and their gradients are [keys, vectors * N]. Few functions,
// called for whole blocks: each is compiled at every width.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/core/simd.hpp>

#include <algorithm>

namespace sbi::detail {

/// Vectors of queries in the widest block: 32 queries in float, so that sums over queries are long enough.
template <int N> inline constexpr int attention_widest = N >= 16 ? 2 : 4;
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

/// to [keys, lanes] = mask (or 0) + <key k, query> for W vectors of lanes; key k lies at keys[k] + column,
/// queries are [head, lanes]. `top`, where given, is raised to the results.
template <int W, class T, int N>
[[gnu::noinline]] void attention_logits_panel(index_t count, index_t head, const T* const* keys,
                                              index_t column, const T* queries, index_t lanes, const T* mask,
                                              T* to, Vec<T, N>* top) {
  in_tiles<attention_rows<W>>(
      count, [&]<int M>(index_t k) __attribute__((always_inline)) {
        const T* row[M];
        Vec<T, N> sum[M][W];
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) row[i] = keys[k + i] + column;
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v)
            sum[i][v] = mask ? Vec<T, N>::load(mask + (k + i) * lanes + v * N) : Vec<T, N>(0);
        multiply_add<M, W, T, N>(
            sum, head, [&](int i, index_t j) { return row[i][j]; }, queries, lanes);
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < W; ++v) sum[i][v].store(to + (k + i) * lanes + v * N);
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
template <class T, int N>
void attention_logits(int vectors, index_t count, index_t head, const T* const* keys, index_t column,
                      const T* queries, const T* mask, T* to, Vec<T, N>* top) {
  const auto panel = [&]<int W>(int v) {
    attention_logits_panel<W, T, N>(count, head, keys, column, queries + v * N, vectors * N,
                                    mask ? mask + v * N : nullptr, to + v * N, top ? top + v : nullptr);
  };
  int v = 0;
  for (; v + 2 <= vectors; v += 2) panel.template operator()<2>(v);
  if (v < vectors) panel.template operator()<1>(v);
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

/// out [head, lanes] = sum over keys of value[k][j] weights[k, lane] + factor out, or without the last term
/// where factor is null, for W vectors of lanes.
template <int W, class T, int N>
[[gnu::noinline]] void attention_mix_panel(index_t keys, index_t head, const T* const* values, index_t column,
                                           const T* weights, index_t lanes, T* out, const Vec<T, N>* factor) {
  in_tiles<attention_rows<W>>(head, [&]<int M>(index_t j) {
    Vec<T, N> sum[M][W];
    T* to = out + j * lanes;
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < W; ++v)
        sum[i][v] = factor ? Vec<T, N>::load(to + i * lanes + v * N) * factor[v] : Vec<T, N>(0);
    multiply_add<M, W, T, N>(
        sum, keys, [&](int i, index_t k) { return values[k][column + j + i]; }, weights, lanes);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < W; ++v) sum[i][v].store(to + i * lanes + v * N);
  });
}
template <class T, int N>
void attention_mix(int vectors, index_t keys, index_t head, const T* const* values, index_t column,
                   const T* weights, T* out, const Vec<T, N>* factor) {
  const auto panel = [&]<int W>(int v) {
    attention_mix_panel<W, T, N>(keys, head, values, column, weights + v * N, vectors * N, out + v * N,
                                 factor ? factor + v : nullptr);
  };
  int v = 0;
  for (; v + 2 <= vectors; v += 2) panel.template operator()<2>(v);
  if (v < vectors) panel.template operator()<1>(v);
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
