// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/nn/embedding.hpp>
#include <sbi/nn/linear.hpp>
#include <sbi/ops/tokens.hpp>

#include <cmath>
#include <cstdint>

namespace sbi::nn {

/// What is known of one scalar node of one sample.
template <class T> struct NodeState {
  T value = 0; ///< standardised; noised and scaled to unit variance while latent
  T sigma = 0; ///< measurement error in units of the node's standard deviation; 0 when there is none
  bool latent = false;
  bool observed = true; ///< false: the value is missing and the token is cut from the attention
};

/// Feature of a measurement error in units of the node's spread. Errors span orders of magnitude: the
/// logarithm, centred near a fiftieth of the spread.
template <class T> [[nodiscard]] T scaled_log_error(T sigma) { return (std::log(sigma) + T{4}) / T{2}; }

/// Turns scalar nodes into tokens: a linear map of the features of each node's value, condition state,
/// measurement error and observed flag, plus an embedding of its identity. Time is not among them: it enters
/// latent tokens inside the transformer, so that tokens of conditioned nodes are the same at every diffusion
/// time.
class Tokenizer {
public:
  template <class T>
  Tokenizer(Parameters<T>& parameters, const std::string& name, index_t nodes, index_t width,
            ValueEmbedding embedding = {})
      : embedding_(embedding), project_(parameters, name + ".project", features(), width),
        identity_(parameters.add(name + ".identity", {nodes, width}, Init::normal(0.5))) {}

  [[nodiscard]] index_t features() const { return embedding_.width() + 5; }

  /// Writes the [features()] of one node. A missing value gives zeros but for the flags.
  template <class T> void write(const NodeState<T>& node, T* out) const {
    embedding_.write(node.observed ? node.value : T{0}, out);
    T* flags = out + embedding_.width();
    flags[0] = node.latent ? T{1} : T{0};
    flags[1] = node.latent ? T{0} : T{1};
    flags[2] = node.observed ? T{1} : T{0};
    flags[3] = node.sigma > 0 ? T{1} : T{0};
    flags[4] = node.sigma > 0 ? scaled_log_error(node.sigma) : T{0};
  }
  /// Tokens [samples * ids, width] from features [samples * ids, features()]; ids [tokens] names the nodes.
  template <Backend B>
  Var<typename B::param_t> operator()(Tape<B>& tape, View<const typename B::param_t> features,
                                      View<const std::int32_t> ids) const {
    return tape.apply(ops::AddEmbedding{ids}, project_(tape, tape.constant(features)), tape(identity_));
  }

private:
  ValueEmbedding embedding_;
  Linear project_;
  Parameter identity_;
};

} // namespace sbi::nn
