// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/diffusion/precondition.hpp>
#include <sbi/nn/tokenizer.hpp>
#include <sbi/nn/transformer.hpp>

#include <cstdint>

namespace sbi {

/// Sizes of a score network.
struct ScoreNetworkConfig {
  nn::TransformerConfig transformer;
  index_t value_octaves = nn::ValueEmbedding{}.octaves; ///< Fourier features of a value
  index_t embedding_tokens =
      0; ///< tokens that arrive as vectors (embeddings of surveys) beside the scalar nodes
  index_t embedding_width = 0; ///< length of those vectors
  /// Conditioned tokens see neither time nor latent tokens, so that a sampling run computes them once.
  /// Without it both reach every token, and each step of a sampler takes all tokens through the network.
  bool cached_context = true;
};

/// The tokens of a block of samples. Scalar nodes come first, then the embedding tokens; both are the same
/// list for every sample of the block, and what is missing from a sample is cut out by the mask.
template <class T> struct TokenBlock {
  View<const std::int32_t> ids; ///< [node tokens]: which nodes
  View<const T> features;       ///< [samples * node tokens, features], written by `tokenizer().write`
  Var<T> embeddings;            ///< [samples * embedding tokens, embedding width], or empty
  View<const T> mask;           ///< additive, see AttentionExtent
};

/// A transformer over tokens of scalar nodes and embeddings that predicts, for each latent node, the target F
/// of diffusion::Precondition. With `cached_context` time enters latent tokens only and, by the masks it is
/// trained with, conditioned tokens do not attend to latent ones: their keys and values are computed once for
/// a whole sampling run.
class ScoreNetwork {
public:
  template <class T>
  ScoreNetwork(nn::Parameters<T>& parameters, const std::string& name, index_t nodes,
               const ScoreNetworkConfig& c)
      : config_(checked(c)), time_{c.transformer.time_width / 2},
        tokenizer_(parameters, name + ".token", nodes, c.transformer.width, {c.value_octaves}),
        transformer_(parameters, name, c.transformer),
        head_(parameters, name + ".head", c.transformer.width, 1, 0.1) {
    if (c.embedding_tokens > 0) {
      project_.emplace_back(parameters, name + ".embedding.project", c.embedding_width, c.transformer.width);
      identity_ = parameters.add(name + ".embedding.identity", {c.embedding_tokens, c.transformer.width},
                                 nn::Init::normal(0.5));
      for (index_t i = 0; i < c.embedding_tokens; ++i) embedding_ids_.push_back(static_cast<std::int32_t>(i));
    }
    matrices_ = parameters.matrices();
  }
  [[nodiscard]] const nn::Tokenizer& tokenizer() const { return tokenizer_; }
  [[nodiscard]] const nn::TimeEmbedding& time() const { return time_; }
  [[nodiscard]] const ScoreNetworkConfig& config() const { return config_; }
  /// The weight matrices of this network and of what lies before it in the model's buffer: see PackedWeights.
  [[nodiscard]] const std::vector<Parameter>& matrices() const { return matrices_; }
  /// Who attends to whom, in training and in sampling.
  [[nodiscard]] diffusion::AttentionRules attention_rules() const { return {config_.cached_context}; }
  /// Whether time enters a token in this state of diffusion::Node.
  [[nodiscard]] bool sees_time(std::uint8_t state) const {
    return state == diffusion::Node::latent ||
           (state == diffusion::Node::conditioned && !config_.cached_context);
  }

  /// F of every node token, for all tokens in one sequence: the form that is trained. [samples * node tokens,
  /// 1] without embedding tokens, [samples, node tokens] with them.
  template <Backend B>
  Var<typename B::param_t> operator()(Tape<B>& tape, const TokenBlock<typename B::param_t>& block,
                                      const nn::TimeInput<typename B::param_t>& time) const {
    using T = typename B::param_t;
    const index_t own = block.ids.size(), extra = config_.embedding_tokens;
    Var<T> x = assemble(tape, block);
    AttentionExtent<T> at;
    at.tokens = own + extra, at.mask = block.mask;
    x = transformer_(tape, x, at, &time);
    // Only node tokens have outputs; the head sees all rows and the others are dropped.
    const Var<T> f = head_(tape, x);
    return extra == 0 ? f : f.reshaped({f.shape().rows() / (own + extra), own + extra}).columns(0, own);
  }

  /// Keys and values of conditioned tokens, for all layers [layers * samples * tokens, 2 width]. Throws
  /// ValueError for a network without cached context.
  template <Backend B>
  void context(Tape<B>& tape, const TokenBlock<typename B::param_t>& block,
               View<typename B::param_t> keep) const {
    if (!config_.cached_context)
      throw ValueError("score network: conditioned tokens see time and latent tokens, there is no context to "
                       "keep; want cached_context");
    AttentionExtent<typename B::param_t> at;
    at.tokens = block.ids.size() + config_.embedding_tokens, at.mask = block.mask;
    transformer_(tape, assemble(tape, block), at, nullptr, {}, keep);
  }
  /// F of latent nodes [samples * node tokens, 1] against a context of `context_tokens` tokens a group, each
  /// group shared by `samples_per_context` consecutive samples.
  template <Backend B>
  Var<typename B::param_t> latent(Tape<B>& tape, const TokenBlock<typename B::param_t>& block,
                                  const nn::TimeInput<typename B::param_t>& time,
                                  View<const typename B::param_t> context, index_t context_tokens,
                                  index_t samples_per_context) const {
    AttentionExtent<typename B::param_t> at;
    at.tokens = block.ids.size(), at.mask = block.mask;
    at.context_tokens = context_tokens, at.samples_per_context = samples_per_context;
    return head_(tape, transformer_(tape, tokenizer_(tape, block.features, block.ids), at, &time, context));
  }

private:
  static const ScoreNetworkConfig& checked(const ScoreNetworkConfig& c) {
    c.transformer.check();
    if (c.transformer.time_width < 2 || c.transformer.time_width % 2 != 0)
      throw ValueError(
          sbi::text("score network: time width ", c.transformer.time_width, "; want an even number >= 2"));
    if (c.value_octaves < 0 || c.embedding_tokens < 0 || (c.embedding_tokens > 0 && c.embedding_width < 1))
      throw ValueError(sbi::text("score network: ", c.value_octaves, " octaves, ", c.embedding_tokens,
                                 " embedding tokens of width ", c.embedding_width));
    return c;
  }
  template <Backend B>
  Var<typename B::param_t> assemble(Tape<B>& tape, const TokenBlock<typename B::param_t>& block) const {
    using T = typename B::param_t;
    const index_t own = block.ids.size(), extra = config_.embedding_tokens;
    const auto embedded = [&] {
      return tape.apply(ops::AddEmbedding{{embedding_ids_.data(), Shape{extra}}},
                        project_.front()(tape, block.embeddings), tape(identity_));
    };
    if (own == 0) return embedded();
    const Var<T> nodes = tokenizer_(tape, block.features, block.ids);
    return extra == 0 ? nodes : tape.apply(ops::Concatenate{own, extra}, nodes, embedded());
  }

  ScoreNetworkConfig config_;
  nn::TimeEmbedding time_;
  nn::Tokenizer tokenizer_;
  nn::Transformer transformer_;
  nn::Linear head_;
  std::vector<nn::Linear> project_; // none or one
  Parameter identity_;
  std::vector<std::int32_t> embedding_ids_;
  std::vector<Parameter> matrices_;
};

} // namespace sbi
