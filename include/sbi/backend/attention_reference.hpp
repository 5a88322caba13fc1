// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/attention_extent.hpp>
#include <sbi/backend/reference.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sbi {

namespace detail {
/// Weights of a query's keys by their definition: w_k = exp(<q, k> / sqrt(head) + mask_k) / sum, in double.
template <class T>
void attention_weights(const AttentionExtent<T>& at, View<const T> qkv, index_t sample, index_t head,
                       index_t query, index_t first, double* w) {
  const T* q = qkv.row(sample * at.tokens + query) + first;
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  for (index_t k = 0; k < at.keys(); ++k) {
    const T* key = at.key(qkv, sample, k) + first;
    double dot = 0;
    for (index_t j = 0; j < head; ++j) dot += static_cast<double>(q[j]) * static_cast<double>(key[j]);
    const T mask = at.mask ? at.mask_row(sample, query)[k] : T{0};
    w[k] = dot / std::sqrt(static_cast<double>(head)) + (mask < AttentionExtent<T>::forbidden
                                                             ? -std::numeric_limits<double>::infinity()
                                                             : static_cast<double>(mask));
    if (!(w[k] <= top)) top = w[k];
  }
  for (index_t k = 0; k < at.keys(); ++k) {
    w[k] = top == -std::numeric_limits<double>::infinity() ? 0 : std::exp(w[k] - top);
    sum += w[k];
  }
  for (index_t k = 0; k < at.keys() && sum > 0; ++k) w[k] /= sum;
}
/// body(sample, query's row, first column of the head, weights of its keys) for all queries of all heads.
template <class T, class Body>
void each_attention(const Reference<T>& be, const AttentionExtent<T>& at, View<const T> qkv, Body&& body) {
  const index_t width = qkv.cols() / 3, head = width / at.heads, samples = qkv.rows() / at.tokens;
  const ArenaScope scope(be.arena());
  double* w = be.arena().template array<double>(at.keys());
  for (index_t b = 0; b < samples; ++b)
    for (index_t first = 0; first < width; first += head)
      for (index_t t = 0; t < at.tokens; ++t) {
        attention_weights(at, qkv, b, head, t, first, w);
        body(b, b * at.tokens + t, first, w);
      }
}
} // namespace detail

/// `attention_forward` by its definition; nothing is kept.
template <class T>
void attention_forward(const Reference<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T>) {
  const index_t width = y.cols(), head = width / at.heads;
  detail::each_attention(be, at, qkv, [&](index_t b, index_t me, index_t first, const double* w) {
    for (index_t j = first; j < first + head; ++j) {
      double sum = 0;
      for (index_t k = 0; k < at.keys(); ++k) sum += w[k] * static_cast<double>(at.key(qkv, b, k)[width + j]);
      y(me, j) = static_cast<T>(sum);
    }
  });
}
template <class T>
void attention_backward(const Reference<T>& be, const AttentionExtent<T>& at, View<const T> qkv,
                        View<const T>, View<const T>, View<const T> dy, View<T> dqkv,
                        Write mode = Write::accumulate) {
  for (index_t r = 0; r < dqkv.rows() && mode == Write::overwrite; ++r)
    std::fill_n(dqkv.row(r), dqkv.cols(), T{0});
  const index_t width = dy.cols(), head = width / at.heads;
  const double scale = 1 / std::sqrt(static_cast<double>(head));
  detail::each_attention(be, at, qkv, [&](index_t b, index_t me, index_t first, const double* w) {
    const auto dp = [&](index_t k) {
      double sum = 0;
      for (index_t j = first; j < first + head; ++j)
        sum += static_cast<double>(dy(me, j)) * static_cast<double>(at.key(qkv, b, k)[width + j]);
      return sum;
    };
    double inner = 0;
    for (index_t k = 0; k < at.keys(); ++k) inner += w[k] * dp(k);
    for (index_t k = 0; k < at.keys(); ++k) {
      const double d = w[k] * (dp(k) - inner) * scale;
      const bool own = k >= at.context_tokens;
      const index_t other = b * at.tokens + k - at.context_tokens;
      for (index_t j = first; j < first + head; ++j) {
        dqkv(me, j) += static_cast<T>(d * static_cast<double>(at.key(qkv, b, k)[j]));
        if (!own) continue;
        dqkv(other, width + j) += static_cast<T>(d * static_cast<double>(qkv(me, j)));
        dqkv(other, 2 * width + j) += static_cast<T>(w[k] * static_cast<double>(dy(me, j)));
      }
    }
  });
}

} // namespace sbi
