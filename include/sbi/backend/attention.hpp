// SPDX-License-Identifier: MIT
// Attention for short sequences, all heads of a sample at a time in the first cache: no permuted copies of q,
// k, v.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/backend/softmax_row.hpp>

#include <algorithm>
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

namespace detail {

/// Keys or values of all heads of one sample, its group's context before its own: transposed [width,
/// keys_padded], so that whole vectors of them meet a query, or as rows. The context is put there once a
/// group.
template <class T, int N> class AttendedKeys {
public:
  AttendedKeys(Arena& arena, const AttentionExtent<T>& at, index_t width)
      : at_(at), width_(width), padded_((at.keys() + N - 1) / N * N),
        transposed_(arena.zeros<T>(width * padded_)),
        rows_(at.context_tokens > 0 ? arena.array<T>(at.keys() * width) : nullptr) {}

  [[nodiscard]] index_t padded() const { return padded_; }
  /// [width, padded()]; `first` is the column of the keys (0) or values (width) in the context.
  const T* transposed(index_t sample, View<const T> own, index_t first) {
    if (starts_group(sample))
      transpose_into<T, N>(at_.group(sample).columns(first, width_), transposed_, padded_);
    transpose_into<T, N>(own, transposed_ + at_.context_tokens, padded_);
    return transposed_;
  }
  /// [keys, width]
  View<const T> rows(index_t sample, View<const T> own, index_t first) {
    if (at_.context_tokens == 0) return own;
    if (starts_group(sample)) copy(at_.group(sample).columns(first, width_), rows_);
    copy(own, rows_ + at_.context_tokens * width_);
    return {rows_, {at_.keys(), width_}};
  }

private:
  [[nodiscard]] bool starts_group(index_t sample) const {
    return at_.context_tokens > 0 && sample % at_.samples_per_context == 0;
  }
  static void copy(View<const T> from, T* to) {
    for (index_t r = 0; r < from.rows(); ++r) std::copy_n(from.row(r), from.cols(), to + r * from.cols());
  }
  const AttentionExtent<T>& at_;
  index_t width_, padded_;
  T *transposed_, *rows_;
};

} // namespace detail

/// y [samples * tokens, width]; p [samples * heads * tokens, keys] receives the attention weights.
template <class T, int N = native_lanes<T>>
void attention_forward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
                       View<T> p) {
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  const index_t width = y.cols(), head = width / at.heads, samples = y.rows() / at.tokens;
  const index_t keys = at.keys(), rows = at.heads * at.tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  detail::AttendedKeys<T, N> attended(arena, at, width);
  const index_t l_row = attended.padded();
  T* logits = arena.array<T>(rows * l_row);
  index_t* mask_at = arena.array<index_t>(rows); // heads share the mask
  for (index_t r = 0; r < rows; ++r) mask_at[r] = r % at.tokens * keys;
  for (index_t b = 0; b < samples; ++b) {
    const View<const T> own = qkv.row_block(b * at.tokens, at.tokens);
    const T* k_t = attended.transposed(b, own.columns(width, width), 0);
    for (index_t h = 0; h < at.heads; ++h)
      detail::product<T, N>(arena, at.tokens, l_row, head, own.data + h * head, own.row_stride, 1,
                            k_t + h * head * l_row, l_row, Transpose::no, logits + h * at.tokens * l_row,
                            l_row, nullptr, false);
    const VectorRow<T, N> row{keys};
    const auto logit = [&](index_t r, auto i) {
      const auto l = load(logits + r * l_row, i);
      return l * decltype(l)(scale);
    };
    T* w = p.row(b * rows);
    if (const T* m = at.mask ? at.mask_row(b, 0) : nullptr)
      softmax_rows(
          arena, row, rows, [&](index_t r, auto i) { return logit(r, i) + load(m + mask_at[r], i); }, w,
          p.row_stride);
    else
      softmax_rows(arena, row, rows, logit, w, p.row_stride);
    const View<const T> v = attended.rows(b, own.columns(2 * width, width), width);
    for (index_t h = 0; h < at.heads; ++h)
      detail::product<T, N>(arena, at.tokens, head, keys, w + h * at.tokens * p.row_stride, p.row_stride, 1,
                            v.data + h * head, v.row_stride, Transpose::no, y.row(b * at.tokens) + h * head,
                            y.row_stride, nullptr, false);
  }
}

/// dqkv += the vector-Jacobian product. The context is a constant.
template <class T, int N = native_lanes<T>>
void attention_backward(const Cpu<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<const T> p,
                        View<const T> dy, View<T> dqkv) {
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  const index_t width = dy.cols(), head = width / at.heads, samples = dy.rows() / at.tokens;
  const index_t keys = at.keys(), rows = at.heads * at.tokens, skip = at.context_tokens;
  const T scale = T{1} / std::sqrt(static_cast<T>(head));
  detail::AttendedKeys<T, N> attended(arena, at, width);
  const index_t d_row = attended.padded();
  T* d = arena.array<T>(rows * d_row);
  for (index_t b = 0; b < samples; ++b) {
    const View<const T> own = qkv.row_block(b * at.tokens, at.tokens),
                        dout = dy.row_block(b * at.tokens, at.tokens);
    const View<T> down = dqkv.row_block(b * at.tokens, at.tokens);
    const T* v_t = attended.transposed(b, own.columns(2 * width, width), width);
    const T* w = p.row(b * rows);
    for (index_t h = 0; h < at.heads; ++h)
      detail::product<T, N>(arena, at.tokens, d_row, head, dout.data + h * head, dout.row_stride, 1,
                            v_t + h * head * d_row, d_row, Transpose::no, d + h * at.tokens * d_row, d_row,
                            nullptr, false);
    softmax_rows_vjp(VectorRow<T, N>{keys}, rows, w, p.row_stride, d, d_row,
                     [&](index_t r, auto i, auto g) { store(d + r * d_row, i, g * decltype(g)(scale)); });
    const View<const T> k = attended.rows(b, own.columns(width, width), 0);
    for (index_t h = 0; h < at.heads; ++h) {
      const T *dl = d + h * at.tokens * d_row, *wh = w + h * at.tokens * p.row_stride;
      const index_t q = h * head; // columns of q, k and v of this head
      detail::product<T, N>(arena, at.tokens, head, keys, dl, d_row, 1, k.data + q, k.row_stride,
                            Transpose::no, down.data + q, down.row_stride, nullptr, true);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, dl + skip, 1, d_row, own.data + q,
                            own.row_stride, Transpose::no, down.data + width + q, down.row_stride, nullptr,
                            true);
      detail::product<T, N>(arena, at.tokens, head, at.tokens, wh + skip, 1, p.row_stride, dout.data + q,
                            dout.row_stride, Transpose::no, down.data + 2 * width + q, down.row_stride,
                            nullptr, true);
    }
  }
}

/// The same by its definition.
template <class T>
void attention_forward(const Reference<T>& be, const AttentionExtent<T>& at, View<const T> qkv, View<T> y,
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
            be.arena(), ScalarRow{keys}, 1, [w](index_t, auto i) { return load(w, i); }, w, keys);
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
