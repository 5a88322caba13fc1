// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/view.hpp>

#include <limits>

namespace sbi {

/// Extents of a multi-head attention and what its queries may see.
///
/// q, k, v lie side by side in qkv [samples * tokens, 3 width]. Keys and values of `context` [groups *
/// context_tokens, 2 width] (k, v side by side) come before a sample's own; consecutive `samples_per_context`
/// samples share a group. `mask` is added to the logits: [samples, tokens, context_tokens + tokens], or the
/// last two axes only when all samples share it, or empty. Minus infinity forbids, and so does everything
/// below `forbidden`: other libraries write the lowest number. A query without an allowed key gives 0.
template <class T> struct AttentionExtent {
  index_t heads = 1, tokens = 0;
  View<const T> mask;
  View<const T> context;
  index_t context_tokens = 0, samples_per_context = 1;

  /// Half the lowest number: smaller ones would become minus infinity in the kernels' own units.
  static constexpr T forbidden = std::numeric_limits<T>::lowest() / 2;

  [[nodiscard]] index_t keys() const { return context_tokens + tokens; }
  [[nodiscard]] bool mask_a_sample() const { return mask && mask.shape.rank() == 3; }
  [[nodiscard]] const T* mask_row(index_t sample, index_t query) const {
    return mask.data + ((mask_a_sample() ? sample : 0) * tokens + query) * keys();
  }
  /// Keys and values that a sample shares with its group: [context_tokens, 2 width], or empty.
  [[nodiscard]] View<const T> group(index_t sample) const {
    if (context_tokens == 0) return {};
    return context.row_block(sample / samples_per_context * context_tokens, context_tokens);
  }
  /// Key of a sample, of all heads side by side; its value is `width` further on. qkv: of all samples.
  [[nodiscard]] const T* key(View<const T> qkv, index_t sample, index_t k) const {
    return k < context_tokens ? group(sample).row(k)
                              : qkv.row(sample * tokens + k - context_tokens) + qkv.cols() / 3;
  }

  /// Up to so many keys the weights are kept for the vector-Jacobian product; of longer rows it keeps the
  /// logarithm of their sum and computes them again.
  static constexpr index_t longest_kept = 128;
  [[nodiscard]] bool keeps_weights() const { return keys() <= longest_kept; }
  /// Queries as the kernels lay them out: whole vectors at every width.
  [[nodiscard]] index_t padded_tokens() const { return (tokens + 15) / 16 * 16; }
  /// What the value keeps of a head of a sample: a number a query, then the weights or nothing. What they are
  /// is the affair of the kernels of one backend.
  [[nodiscard]] index_t kept() const { return padded_tokens() * (1 + (keeps_weights() ? keys() : 0)); }
};

} // namespace sbi
