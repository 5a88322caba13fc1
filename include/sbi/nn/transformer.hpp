// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/layer_norm.hpp>
#include <sbi/nn/linear.hpp>
#include <sbi/ops/attention.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/tokens.hpp>

namespace sbi::nn {

struct TransformerConfig {
  index_t width = 64, layers = 4, heads = 4, mlp_factor = 3;
  index_t time_width = 32; ///< length of the time embedding; 0: no time enters

  /// Throws ValueError for a size below 1 or a width that is no multiple of the heads.
  void check() const {
    if (width < 1 || layers < 1 || heads < 1 || mlp_factor < 1 || time_width < 0)
      throw ValueError(sbi::text("transformer: width ", width, ", layers ", layers, ", heads ", heads,
                                 ", MLP factor ", mlp_factor, ", time width ", time_width,
                                 "; want at least 1 (time 0)"));
    if (width % heads != 0)
      throw ValueError(sbi::text("transformer: width ", width, " is no multiple of ", heads, " heads"));
  }
};

/// Rows (tokens of all its samples) that a task takes through a transformer at a time. With more of them
/// activations and gradients leave the second cache, with fewer the weights are read too often.
inline constexpr index_t rows_a_task = 128;

/// The time of each sample and the tokens it enters.
template <class T> struct TimeInput {
  Var<T> embedding;   ///< [samples, time_width], or [1, time_width] when all samples share their time
  View<const T> gate; ///< [samples * tokens]: 1 for latent tokens, 0 for the others
};

/// Pre-norm block: x += A(LN x), x += MLP(LN x) + gate W_t time. The attention's mask and optional context
/// come with each call, see AttentionExtent.
class TransformerBlock {
public:
  template <class T>
  TransformerBlock(Parameters<T>& parameters, const std::string& name, const TransformerConfig& c)
      : norm1_(parameters, name + ".norm1", c.width),
        qkv_(parameters, name + ".attention.qkv", c.width, 3 * c.width),
        out_(parameters, name + ".attention.out", c.width, c.width,
             1 / std::sqrt(2.0 * static_cast<double>(c.layers))),
        norm2_(parameters, name + ".norm2", c.width),
        up_(parameters, name + ".mlp.up", c.width, c.mlp_factor * c.width),
        down_(parameters, name + ".mlp.down", c.mlp_factor * c.width, c.width,
              1 / std::sqrt(2.0 * static_cast<double>(c.layers))) {
    if (c.time_width > 0) time_.emplace_back(parameters, name + ".time", c.time_width, c.width);
  }

  /// x [samples * tokens, width]. `keep`, where given, receives this block's keys and values [samples *
  /// tokens, 2 width]: the context of a later call.
  template <Backend B>
  Var<typename B::param_t> operator()(Tape<B>& tape, Var<typename B::param_t> x,
                                      const AttentionExtent<typename B::param_t>& at,
                                      const TimeInput<typename B::param_t>* time = nullptr,
                                      View<typename B::param_t> keep = {}) const {
    using T = typename B::param_t;
    const Var<T> qkv = qkv_(tape, norm1_(tape, x));
    if (keep) {
      const index_t width = x.shape().cols();
      for (index_t r = 0; r < keep.rows(); ++r) std::copy_n(qkv.value.row(r) + width, 2 * width, keep.row(r));
    }
    x = out_.add_to(tape, x, tape.apply(ops::Attention<T>{at}, qkv));
    x = down_.add_to(tape, x, up_.template activated<ops::GeluFunction>(tape, norm2_(tape, x)));
    if (time && !time_.empty())
      x = tape.apply(ops::AddGated<T>{time->gate}, x, time_.front()(tape, time->embedding));
    return x;
  }

private:
  LayerNorm norm1_;
  Linear qkv_, out_;
  LayerNorm norm2_;
  Linear up_, down_;
  std::vector<Linear> time_; // none or one
};

/// A stack of blocks and a final normalisation.
class Transformer {
public:
  template <class T>
  Transformer(Parameters<T>& parameters, const std::string& name, const TransformerConfig& c)
      : config_(c), norm_(parameters, name + ".norm", c.width) {
    c.check();
    for (index_t i = 0; i < c.layers; ++i) blocks_.emplace_back(parameters, sbi::text(name, ".block.", i), c);
  }
  [[nodiscard]] const TransformerConfig& config() const { return config_; }

  /// x [samples * tokens, width]. `context`, where given, holds the keys and values [groups * context_tokens,
  /// 2 width] of every layer, one below the other; `keep` receives this call's own in the same layout.
  template <Backend B>
  Var<typename B::param_t>
  operator()(Tape<B>& tape, Var<typename B::param_t> x, AttentionExtent<typename B::param_t> at,
             const TimeInput<typename B::param_t>* time = nullptr,
             View<const typename B::param_t> context = {}, View<typename B::param_t> keep = {}) const {
    at.heads = config_.heads;
    const index_t kept_rows = x.shape().rows(), layers = config_.layers;
    for (index_t i = 0; i < layers; ++i) {
      if (context) at.context = context.row_block(i * (context.rows() / layers), context.rows() / layers);
      x = blocks_[static_cast<std::size_t>(i)](tape, x, at, time,
                                               keep ? keep.row_block(i * kept_rows, kept_rows) : keep);
    }
    return norm_(tape, x);
  }

private:
  TransformerConfig config_;
  LayerNorm norm_;
  std::vector<TransformerBlock> blocks_;
};

} // namespace sbi::nn
