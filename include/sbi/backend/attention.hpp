// SPDX-License-Identifier: MIT
// Attention for short sequences, one (sample, head) at a time in the first cache: no permuted copies of q, k,
// v.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/backend/softmax_row.hpp>

#include <cmath>

namespace sbi {

/// Extents of a multi-head attention and what its queries may see.
///
/// q, k, v lie side by side in qkv [samples * tokens, 3 width]. Keys and values of `context` [groups *
/// context_tokens, 2 width] (k, v side by side) come before a sample's own; consecutive `samples_per_context`
/// samples share a group. `mask` is added to the logits: [samples, tokens, context_tokens + tokens], or the
/// last two axes only when all samples share it, or empty. A query without an allowed key (all minus
/// infinity) gives 0.
template <class T> struct AttentionExtent {
  index_t heads = 1, tokens = 0;
  View<const T> mask;
  View<const T> context;
  index_t context_tokens = 0, samples_per_context = 1;

  [[nodiscard]] index_t keys() const { return context_tokens + tokens; }
  [[nodiscard]] const T* mask_row(index_t sample, index_t query) const {
    const index_t block = mask.shape.rank() == 3 ? sample : 0;
    return mask.data + (block * tokens + query) * keys();
  }
  /// Keys and values that a sample shares with its group: [context_tokens, 2 width], or empty.
  [[nodiscard]] View<const T> group(index_t sample) const {
    if (context_tokens == 0) return {};
    return context.row_block(sample / samples_per_context * context_tokens, context_tokens);
  }
};

/// y [samples * tokens, width]; p [samples * heads * tokens, keys] receives the attention weights.
template <class T, int N = native_lanes<T>>
void attention_forward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> p) {
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  const index_t width = y.cols(), head = width / at.heads, samples = y.rows() / at.tokens;
  const index_t keys = at.keys(), keys_padded = (keys + N - 1) / N * N, own = at.context_tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  // The keys of all heads, transposed: [width, keys_padded]. Whole vectors of them meet a query.
  T* k_t = arena.zeros<T>(width * keys_padded);
  T* logits = arena.array<T>(at.tokens * keys_padded);
  for (index_t b = 0; b < samples; ++b) {
    const View<const T> tokens = qkv.row_block(b * at.tokens, at.tokens), context = at.group(b);
    if (context && b % at.samples_per_context == 0)
      detail::transpose_into<T, N>(context.columns(0, width), k_t, keys_padded);
    detail::transpose_into<T, N>(tokens.columns(width, width), k_t + own, keys_padded);
    for (index_t h = 0; h < at.heads; ++h) {
      const View<const T> q = tokens.columns(h * head, head), v = q.columns(2 * width, head);
      const View<T> w = p.row_block((b * at.heads + h) * at.tokens, at.tokens),
                    out = y.row_block(b * at.tokens, at.tokens).columns(h * head, head);
      detail::product<T, N>(arena, at.tokens, keys_padded, head, q.data, q.row_stride, 1,
                            k_t + h * head * keys_padded, keys_padded, Transpose::no, logits, keys_padded,
                            nullptr, false);
      const VectorRow<T, N> row{keys};
      const auto logit = [&](index_t t, auto i) {
        const auto l = load(logits + t * keys_padded, i);
        return l * decltype(l)(scale);
      };
      if (at.mask) {
        const T* m = at.mask_row(b, 0);
        softmax_rows(
            row, at.tokens, [&](index_t t, auto i) { return logit(t, i) + load(m + t * keys, i); }, w.data,
            w.row_stride);
      } else {
        softmax_rows(row, at.tokens, logit, w.data, w.row_stride);
      }
      if (context)
        detail::product<T, N>(arena, at.tokens, head, own, w.data, w.row_stride, 1,
                              context.data + width + h * head, context.row_stride, Transpose::no, out.data,
                              out.row_stride, nullptr, false);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, w.data + own, w.row_stride, 1, v.data,
                            v.row_stride, Transpose::no, out.data, out.row_stride, nullptr,
                            static_cast<bool>(context));
    }
  }
}

/// dqkv += the vector-Jacobian product. The context is a constant.
template <class T, int N = native_lanes<T>>
void attention_backward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<const T> p,
                        View<const T> dy, View<T> dqkv) {
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  const index_t width = dy.cols(), head = width / at.heads, samples = dy.rows() / at.tokens;
  const index_t keys = at.keys(), keys_padded = (keys + N - 1) / N * N, own = at.context_tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  T* v_t = arena.zeros<T>(width * keys_padded); // the values of all heads, transposed
  T* d = arena.array<T>(at.tokens * keys_padded);
  for (index_t b = 0; b < samples; ++b) {
    const View<const T> tokens = qkv.row_block(b * at.tokens, at.tokens), context = at.group(b);
    if (context && b % at.samples_per_context == 0)
      detail::transpose_into<T, N>(context.columns(width, width), v_t, keys_padded);
    detail::transpose_into<T, N>(tokens.columns(2 * width, width), v_t + own, keys_padded);
    for (index_t h = 0; h < at.heads; ++h) {
      const View<const T> q = tokens.columns(h * head, head), k = q.columns(width, head),
                          w = p.row_block((b * at.heads + h) * at.tokens, at.tokens),
                          dout = dy.row_block(b * at.tokens, at.tokens).columns(h * head, head);
      const View<T> dq = dqkv.row_block(b * at.tokens, at.tokens).columns(h * head, head),
                    dk = dq.columns(width, head), dv = dq.columns(2 * width, head);
      detail::product<T, N>(arena, at.tokens, keys_padded, head, dout.data, dout.row_stride, 1,
                            v_t + h * head * keys_padded, keys_padded, Transpose::no, d, keys_padded, nullptr,
                            false);
      const VectorRow<T, N> row{keys};
      softmax_rows_vjp(row, at.tokens, w.data, w.row_stride, d, keys_padded, [&](index_t t, auto i, auto g) {
        store(d + t * keys_padded, i, g * decltype(g)(scale));
      });
      if (context)
        detail::product<T, N>(arena, at.tokens, head, own, d, keys_padded, 1, context.data + h * head,
                              context.row_stride, Transpose::no, dq.data, dq.row_stride, nullptr, true);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, d + own, keys_padded, 1, k.data, k.row_stride,
                            Transpose::no, dq.data, dq.row_stride, nullptr, true);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, d + own, 1, keys_padded, q.data, q.row_stride,
                            Transpose::no, dk.data, dk.row_stride, nullptr, true);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, w.data + own, 1, w.row_stride, dout.data,
                            dout.row_stride, Transpose::no, dv.data, dv.row_stride, nullptr, true);
    }
  }
}

/// The same by its definition.
template <class T>
void attention_forward(const Reference<T>&, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> p) {
  const index_t width = y.cols(), head = width / at.heads, samples = y.rows() / at.tokens, keys = at.keys();
  const auto key_row = [&](index_t b, index_t k) { // k and v of one key, side by side
    return k < at.context_tokens ? at.group(b).row(k)
                                 : qkv.row(b * at.tokens + k - at.context_tokens) + width;
  };
  for (index_t b = 0; b < samples; ++b)
    for (index_t h = 0; h < at.heads; ++h)
      for (index_t t = 0; t < at.tokens; ++t) {
        T* w = p.row((b * at.heads + h) * at.tokens + t);
        const T* q = qkv.row(b * at.tokens + t) + h * head;
        for (index_t k = 0; k < keys; ++k) {
          double dot = 0;
          for (index_t j = 0; j < head; ++j)
            dot += static_cast<double>(q[j]) * static_cast<double>(key_row(b, k)[h * head + j]);
          w[k] = static_cast<T>(dot / std::sqrt(static_cast<double>(head)) +
                                (at.mask ? static_cast<double>(at.mask_row(b, t)[k]) : 0.0));
        }
        softmax_rows(
            ScalarRow{keys}, 1, [w](index_t, auto i) { return load(w, i); }, w, keys);
        for (index_t j = 0; j < head; ++j) {
          double sum = 0;
          for (index_t k = 0; k < keys; ++k)
            sum += static_cast<double>(w[k]) * static_cast<double>(key_row(b, k)[width + h * head + j]);
          y(b * at.tokens + t, h * head + j) = static_cast<T>(sum);
        }
      }
}
template <class T>
void attention_backward(const Reference<T>&, const AttentionExtent<T>& at, View<const T> qkv, View<const T> p,
                        View<const T> dy, View<T> dqkv) {
  const index_t width = dy.cols(), head = width / at.heads, samples = dy.rows() / at.tokens, keys = at.keys();
  const double scale = 1 / std::sqrt(static_cast<double>(head));
  for (index_t b = 0; b < samples; ++b)
    for (index_t h = 0; h < at.heads; ++h)
      for (index_t t = 0; t < at.tokens; ++t) {
        const index_t me = b * at.tokens + t;
        const T* w = p.row((b * at.heads + h) * at.tokens + t);
        const auto dp = [&](index_t k) {
          const T* v = k < at.context_tokens ? at.group(b).row(k) + width
                                             : qkv.row(b * at.tokens + k - at.context_tokens) + 2 * width;
          double sum = 0;
          for (index_t j = 0; j < head; ++j)
            sum += static_cast<double>(dy(me, h * head + j)) * static_cast<double>(v[h * head + j]);
          return sum;
        };
        double inner = 0;
        for (index_t k = 0; k < keys; ++k) inner += static_cast<double>(w[k]) * dp(k);
        for (index_t k = 0; k < keys; ++k) {
          const double d = static_cast<double>(w[k]) * (dp(k) - inner) * scale;
          const bool own = k >= at.context_tokens;
          const index_t other = b * at.tokens + k - at.context_tokens;
          const T* key = own ? qkv.row(other) + width : at.group(b).row(k);
          for (index_t j = h * head; j < (h + 1) * head; ++j) {
            dqkv(me, j) += static_cast<T>(d * static_cast<double>(key[j]));
            if (!own) continue;
            dqkv(other, width + j) += static_cast<T>(d * static_cast<double>(qkv(me, j)));
            dqkv(other, 2 * width + j) +=
                static_cast<T>(static_cast<double>(w[k]) * static_cast<double>(dy(me, j)));
          }
        }
      }
}

} // namespace sbi
