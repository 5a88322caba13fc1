// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/attention.hpp>

namespace sbi::ops {

/// Multi-head scaled dot-product attention (Vaswani et al. 2017) with an additive mask: softmax(q k' /
/// sqrt(e) + M) v for each head of width e. qkv is [samples * tokens, 3 width]; the result [samples * tokens,
/// width].
template <class T> struct Attention {
  AttentionExtent<T> at;

  Shape shape(Shape qkv) const {
    const index_t width = qkv.cols() / 3;
    if (at.heads < 1 || qkv.cols() % 3 != 0 || width % at.heads != 0)
      throw ShapeError(sbi::text("attention: qkv is ", qkv, " with ", at.heads,
                                 " heads; want [*,3 * heads * head width]"));
    if (at.tokens < 1 || qkv.rows() % at.tokens != 0)
      throw ShapeError(
          sbi::text("attention: qkv is ", qkv, "; want rows in multiples of ", at.tokens, " tokens"));
    if (at.context_tokens < 0)
      throw ShapeError(sbi::text("attention: ", at.context_tokens, " context tokens; want 0 or more"));
    const index_t samples = qkv.rows() / at.tokens;
    if (at.mask && !at.mask.contiguous())
      throw ShapeError(sbi::text("attention: rows of the mask ", at.mask.shape, " are ", at.mask.row_stride,
                                 " apart; want them to touch"));
    if (at.mask && at.mask.shape != (at.mask_a_sample() ? Shape{samples, at.tokens, at.keys()}
                                                        : Shape{at.tokens, at.keys()}))
      throw ShapeError(sbi::text("attention: mask is ", at.mask.shape, "; want [", samples, ",", at.tokens,
                                 ",", at.keys(), "] or its last two axes"));
    if (at.context_tokens > 0 && (at.samples_per_context < 1 || samples % at.samples_per_context != 0 ||
                                  at.context.cols() != 2 * width ||
                                  at.context.rows() != samples / at.samples_per_context * at.context_tokens))
      throw ShapeError(sbi::text("attention: context is ", at.context.shape, "; want [",
                                 samples / std::max<index_t>(at.samples_per_context, 1) * at.context_tokens,
                                 ",", 2 * width, "]"));
    return qkv.with_cols(width);
  }
  Shape saved(Shape qkv) const { return {qkv.rows() / at.tokens * at.heads, at.kept()}; }
  template <Backend B> void fwd(B& be, View<const T> qkv, View<T> y, View<T> kept) const {
    attention_forward(be, at, qkv, y, kept);
  }
  template <Backend B>
  void vjp(B& be, View<const T> qkv, View<const T> y, View<const T> kept, Gradient<T> dy,
           Gradient<T> dqkv) const {
    const auto to = dqkv.target();
    attention_backward(be, at, qkv, y, kept, View<const T>(dy), to.at, to.write);
  }
};

} // namespace sbi::ops
