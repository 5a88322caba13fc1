// SPDX-License-Identifier: MIT
// Attention by single pairs of a query and a key, where so few are allowed that most of a block of queries
// would meet most keys in vain.
#pragma once
#include <sbi/backend/attention_seen.hpp>

#include <cmath>
#include <limits>

namespace sbi::detail {

/// <row, each of N keys>, in columns `column` on of keys[chosen[i]], i < count; the last again for those
/// beyond.
template <class T, int N>
[[gnu::noinline]] Vec<T, N> edge_products(const T* row, index_t head, index_t count, const index_t* chosen,
                                          const T* const* keys, index_t column) {
  const T* key[N];
  Vec<T, N> sums[N];
#pragma GCC unroll 16
  for (int i = 0; i < N; ++i)
    key[i] = keys[chosen[std::min<index_t>(i, count - 1)]] + column, sums[i] = Vec<T, N>(0);
  index_t j = 0;
  for (; j + N <= head; j += N) {
    const Vec<T, N> x = Vec<T, N>::load(row + j);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i) sums[i] = fused_multiply_add(x, Vec<T, N>::load(key[i] + j), sums[i]);
  }
  if (j < head) {
    const Vec<T, N> x = Vec<T, N>::load(row + j, head - j);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      sums[i] = fused_multiply_add(x, Vec<T, N>::load(key[i] + j, head - j), sums[i]);
  }
  return sums_of_rows(sums);
}

/// to += factor times the sum over edges of weight[e] keys[edge's key], columns `column` on, j in [0, head).
template <class T, int N>
void edge_sum(const QueryEdges<T>& edges, index_t head, const T* weight, const T* const* keys, index_t column,
              T factor, T* to) {
  const auto row = [&](index_t e) { return keys[edges.key[e]] + column; };
  for (index_t j = 0; j < head; j += N) {
    Vec<T, N> sum[4] = {Vec<T, N>(0), Vec<T, N>(0), Vec<T, N>(0), Vec<T, N>(0)};
    index_t e = 0;
    for (; e + 4 <= edges.count; e += 4)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
        sum[i] =
            fused_multiply_add(Vec<T, N>(weight[e + i]), load_part<T, N>(row(e + i) + j, head - j), sum[i]);
    for (; e < edges.count; ++e)
      sum[0] = fused_multiply_add(Vec<T, N>(weight[e]), load_part<T, N>(row(e) + j, head - j), sum[0]);
    const Vec<T, N> all = ((sum[0] + sum[1]) + (sum[2] + sum[3])) * Vec<T, N>(factor);
    store_part<T, N>(all + load_part<T, N>(to + j, head - j), to + j, head - j);
  }
}

/// Logits of a query over log 2 into work [count, padded to N]; the largest.
template <class T, int N>
T edge_logits(const QueryEdges<T>& edges, const T* q, index_t head, T scale, const T* const* keys,
              index_t column, T* work) {
  constexpr T never = -std::numeric_limits<T>::infinity();
  Vec<T, N> top(never);
  for (index_t e = 0; e < edges.count; e += N) {
    const index_t n = std::min<index_t>(N, edges.count - e);
    const Vec<T, N> x =
        first_lanes(fused_multiply_add(edge_products<T, N>(q, head, n, edges.key + e, keys, column),
                                       Vec<T, N>(scale), load_part<T, N>(edges.mask + e, n)),
                    n, never);
    x.store(work + e);
    top = max(x, top);
  }
  return horizontal_max(top);
}

/// The value of one query, y [head]; the logarithm, to base 2, of the sum of its weights. Keys lie in columns
/// `column` on of the rows `keys`, values `width` further on.
template <class T, int N>
T edges_forward(const QueryEdges<T>& edges, const T* q, index_t head, index_t width, T scale,
                const T* const* keys, index_t column, T* work, T* y) {
  const T top = edge_logits<T, N>(edges, q, head, scale, keys, column, work);
  Vec<T, N> sum(0);
  for (index_t e = 0; e < edges.count; e += N) {
    const Vec<T, N> w = attention_weight(Vec<T, N>::load(work + e) - Vec<T, N>(top));
    w.store(work + e);
    sum += w;
  }
  const T total = horizontal_sum(sum);
  std::fill_n(y, head, T{0});
  edge_sum<T, N>(edges, head, work, keys, column + width, 1 / total, y);
  return top + std::log2(total);
}

/// Adds the vector-Jacobian product of one query: to dq [head], and to the gradients of its keys and values,
/// which lie as these do; a key that takes none has a null row. work: 2 arrays.
template <class T, int N>
void edges_backward(const QueryEdges<T>& edges, const T* q, const T* y, const T* dy, T log_sum, index_t head,
                    index_t width, T scale, T log2_scale, const T* const* keys, T* const* gradients,
                    index_t column, T* weight, T* change, T* dq) {
  (void)edge_logits<T, N>(edges, q, head, log2_scale, keys, column, weight);
  Vec<T, N> inner(0);
  for (index_t j = 0; j < head; j += N)
    inner = fused_multiply_add(load_part<T, N>(y + j, head - j), load_part<T, N>(dy + j, head - j), inner);
  const Vec<T, N> mean(horizontal_sum(inner));
  for (index_t e = 0; e < edges.count; e += N) {
    const index_t n = std::min<index_t>(N, edges.count - e);
    const Vec<T, N> w = attention_weight(Vec<T, N>::load(weight + e) - Vec<T, N>(log_sum));
    const Vec<T, N> dw = edge_products<T, N>(dy, head, n, edges.key + e, keys, column + width);
    w.store(weight + e);
    (w * (dw - mean) * Vec<T, N>(scale)).store(change + e);
  }
  edge_sum<T, N>(edges, head, change, keys, column, T{1}, dq);
  for (index_t e = 0; e < edges.count; ++e) {
    T* row = gradients[edges.key[e]];
    if (!row) continue;
    const auto spread = [&](T factor, const T* from, T* to) {
      for (index_t j = 0; j < head; j += N)
        store_part<T, N>(fused_multiply_add(Vec<T, N>(factor), load_part<T, N>(from + j, head - j),
                                            load_part<T, N>(to + j, head - j)),
                         to + j, head - j);
    };
    spread(change[e], q, row + column);
    spread(weight[e], dy, row + column + width);
  }
}

} // namespace sbi::detail
