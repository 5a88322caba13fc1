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
  [[nodiscard]] const T* context_row(index_t sample, index_t key) const {
    return context.row(sample / samples_per_context * context_tokens + key);
  }
};

namespace detail {

/// Scratch of one (sample, head): operands padded to whole vectors, so that the products have no edges.
template <class T, int N> struct HeadScratch {
  index_t tokens, keys, head, keys_padded, head_padded;
  T *k_t, *v; // [head, keys_padded] times the logit scale; [keys, head_padded]

  HeadScratch(Arena& arena, const AttentionExtent<T>& at, index_t head_width)
      : tokens(at.tokens), keys(at.keys()), head(head_width), keys_padded(padded(keys)),
        head_padded(padded(head)), k_t(arena.zeros<T>(head * keys_padded)),
        v(arena.zeros<T>(keys * head_padded)) {}
  static index_t padded(index_t n) { return (n + N - 1) / N * N; }

  void put_key(index_t key, const T* k, T scale) {
    for (index_t j = 0; j < head; ++j) k_t[j * keys_padded + key] = k[j] * scale;
  }
  void put_row(T* to, index_t row, const T* from) const {
    for (index_t j = 0; j < head; ++j) to[row * head_padded + j] = from[j];
  }
};

} // namespace detail

/// y [samples * tokens, width]; p [samples * heads * tokens, keys] receives the attention weights.
template <class T, int N = native_lanes<T>>
void attention_forward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> p) {
  const ArenaScope scope(be.arena());
  const index_t width = y.cols(), head = width / at.heads, samples = y.rows() / at.tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  detail::HeadScratch<T, N> s(be.arena(), at, head);
  T* logits = be.arena().template array<T>(at.tokens * s.keys_padded);
  T* out = be.arena().template array<T>(at.tokens * s.head_padded);
  for (index_t h = 0; h < at.heads; ++h)
    for (index_t b = 0; b < samples; ++b) {
      if (b % at.samples_per_context == 0)
        for (index_t key = 0; key < at.context_tokens; ++key) {
          s.put_key(key, at.context_row(b, key) + h * head, scale);
          s.put_row(s.v, key, at.context_row(b, key) + width + h * head);
        }
      for (index_t t = 0; t < at.tokens; ++t) {
        s.put_key(at.context_tokens + t, qkv.row(b * at.tokens + t) + width + h * head, scale);
        s.put_row(s.v, at.context_tokens + t, qkv.row(b * at.tokens + t) + 2 * width + h * head);
      }
      detail::product<T, N>(be.arena(), at.tokens, s.keys_padded, head, qkv.row(b * at.tokens) + h * head,
                            qkv.row_stride, 1, s.k_t, s.keys_padded, logits, s.keys_padded, nullptr, false);
      const VectorRow<T, N> row{s.keys};
      for (index_t t = 0; t < at.tokens; ++t) {
        T* l = logits + t * s.keys_padded;
        if (at.mask) row.each([&](auto i) { add(l, i, load(at.mask_row(b, t), i)); });
        softmax_row(row, l, p.row((b * at.heads + h) * at.tokens + t));
      }
      detail::product<T, N>(be.arena(), at.tokens, s.head_padded, s.keys,
                            p.row((b * at.heads + h) * at.tokens), p.row_stride, 1, s.v, s.head_padded, out,
                            s.head_padded, nullptr, false);
      for (index_t t = 0; t < at.tokens; ++t)
        for (index_t j = 0; j < head; ++j) y(b * at.tokens + t, h * head + j) = out[t * s.head_padded + j];
    }
}

/// dqkv += the vector-Jacobian product. The context is a constant.
template <class T, int N = native_lanes<T>>
void attention_backward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<const T> p,
                        View<const T> dy, View<T> dqkv) {
  const ArenaScope scope(be.arena());
  const index_t width = dy.cols(), head = width / at.heads, samples = dy.rows() / at.tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  detail::HeadScratch<T, N> s(be.arena(), at, head); // here k_t holds the values transposed and v the keys
  Arena& arena = be.arena();
  const index_t own = at.context_tokens;
  T* dp = arena.array<T>(at.tokens * s.keys_padded);
  T* q = arena.zeros<T>(at.tokens * s.head_padded);
  T* dout = arena.zeros<T>(at.tokens * s.head_padded);
  T* dq = arena.array<T>(at.tokens * s.head_padded);
  T* dk = arena.array<T>(at.tokens * s.head_padded);
  T* dv = arena.array<T>(at.tokens * s.head_padded);
  for (index_t h = 0; h < at.heads; ++h)
    for (index_t b = 0; b < samples; ++b) {
      const T* pb = p.row((b * at.heads + h) * at.tokens);
      const index_t first = b * at.tokens;
      if (b % at.samples_per_context == 0)
        for (index_t key = 0; key < own; ++key) {
          s.put_key(key, at.context_row(b, key) + width + h * head, T{1});
          s.put_row(s.v, key, at.context_row(b, key) + h * head);
        }
      for (index_t t = 0; t < at.tokens; ++t) {
        const T* r = qkv.row(first + t) + h * head;
        s.put_key(own + t, r + 2 * width, T{1});
        s.put_row(s.v, own + t, r + width);
        s.put_row(q, t, r);
        s.put_row(dout, t, dy.row(first + t) + h * head);
      }
      detail::product<T, N>(arena, at.tokens, s.keys_padded, head, dout, s.head_padded, 1, s.k_t,
                            s.keys_padded, dp, s.keys_padded, nullptr, false);
      const VectorRow<T, N> row{s.keys};
      for (index_t t = 0; t < at.tokens; ++t) { // dlogits = p (dp - <dp, p>), times the logit scale
        T* d = dp + t * s.keys_padded;
        const T* pt = pb + t * p.row_stride;
        const T inner = row.sum([&](auto i) { return load(pt, i) * load(d, i); });
        row.each([&](auto i) {
          using V = decltype(load(pt, i));
          store(d, i, load(pt, i) * (load(d, i) - V(inner)) * V(scale));
        });
      }
      detail::product<T, N>(arena, at.tokens, s.head_padded, s.keys, dp, s.keys_padded, 1, s.v, s.head_padded,
                            dq, s.head_padded, nullptr, false);
      detail::product<T, N>(arena, at.tokens, s.head_padded, at.tokens, dp + own, 1, s.keys_padded, q,
                            s.head_padded, dk, s.head_padded, nullptr, false);
      detail::product<T, N>(arena, at.tokens, s.head_padded, at.tokens, pb + own, 1, p.row_stride, dout,
                            s.head_padded, dv, s.head_padded, nullptr, false);
      for (index_t t = 0; t < at.tokens; ++t) {
        T* d = dqkv.row(first + t) + h * head;
        for (index_t j = 0; j < head; ++j) {
          d[j] += dq[t * s.head_padded + j];
          d[width + j] += dk[t * s.head_padded + j];
          d[2 * width + j] += dv[t * s.head_padded + j];
        }
      }
    }
}

/// The same by its definition.
template <class T>
void attention_forward(const Reference<T>&, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> p) {
  const index_t width = y.cols(), head = width / at.heads, samples = y.rows() / at.tokens, keys = at.keys();
  const auto key_row = [&](index_t b, index_t k) { // k and v of one key, side by side
    return k < at.context_tokens ? at.context_row(b, k)
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
        softmax_row(ScalarRow{keys}, w, w);
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
          const T* v = k < at.context_tokens ? at.context_row(b, k) + width
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
          const T* key = own ? qkv.row(other) + width : at.context_row(b, k);
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
