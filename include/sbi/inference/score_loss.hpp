// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/inference/score_network.hpp>
#include <sbi/ops/loss.hpp>

#include <algorithm>
#include <array>
#include <span>

namespace sbi {

/// Denoising score matching on a micro-batch: noised nodes, targets, weights and masks of `samples` rows, in
/// the memory of the tape that computes the loss. Latent nodes enter the loss, conditioned ones stay clean,
/// missing ones are cut.
template <class T> class ScoreRows {
public:
  template <Backend B>
  ScoreRows(Tape<B>& tape, const ScoreNetwork& network, index_t samples, index_t nodes)
      : network_(network), nodes_(nodes), tokens_(nodes + network.config().embedding_tokens),
        features_(tape.scratch({samples * nodes, network.tokenizer().features()})),
        target_(tape.scratch({samples, nodes})), weight_(tape.scratch({samples, nodes})),
        gate_(tape.scratch({samples * tokens_})), mask_(tape.scratch({samples, tokens_, tokens_})),
        time_(tape.scratch({samples, network.time().width()})) {}

  /// Row `row`: standardised values z and errors sigma (0: none) [nodes], states [nodes + embedding tokens]
  /// of diffusion::Node, diffusion time t. Noise is drawn from `rng`, one number a node whatever its state.
  template <diffusion::Sde S>
  void set(index_t row, const S& sde, double t, const T* z, const T* sigma,
           std::span<const std::uint8_t> states, Rng& rng, T weight) {
    const diffusion::Precondition at(sde, t);
    const T alpha = static_cast<T>(sde.alpha(t)), noise = static_cast<T>(sde.sigma(t));
    for (index_t j = 0; j < nodes_; ++j) {
      const std::uint8_t state = states[static_cast<std::size_t>(j)];
      const T eps = static_cast<T>(rng.normal());
      nn::NodeState<T> node{T{0}, T{0}, state == diffusion::Node::latent, state != diffusion::Node::missing};
      if (node.observed) {
        node.value = node.latent ? static_cast<T>(at.input()) * (alpha * z[j] + noise * eps) : z[j];
        node.sigma = sigma[j];
      }
      network_.tokenizer().write(node, features_.row(row * nodes_ + j));
      target_(row, j) = node.latent ? at.target(z[j], eps) : T{0};
      weight_(row, j) = node.latent ? weight : T{0};
    }
    for (index_t k = 0; k < tokens_; ++k)
      gate_.data[row * tokens_ + k] = network_.sees_time(states[static_cast<std::size_t>(k)]) ? T{1} : T{0};
    diffusion::attention_mask(states, View<T>(mask_.data + row * tokens_ * tokens_, {tokens_, tokens_}),
                              network_.attention_rules());
    network_.time().write(diffusion::noise_ratio(sde, t), time_.row(row));
  }
  /// sum over rows and latent nodes of weight (F - F*)^2. `embeddings` [samples * embedding tokens, width] or
  /// empty; ids [nodes] names the nodes.
  template <Backend B>
  Var<T> loss(Tape<B>& tape, View<const std::int32_t> ids, Var<T> embeddings = {}) const {
    const nn::TimeInput<T> time{tape.constant(time_), gate_};
    const Var<T> f = network_(tape, TokenBlock<T>{ids, features_, embeddings, mask_}, time);
    return tape.apply(ops::WeightedSquares<T>{target_, weight_}, f.reshaped(target_.shape));
  }

private:
  const ScoreNetwork& network_;
  index_t nodes_, tokens_;
  View<T> features_, target_, weight_, gate_, mask_, time_;
};

/// Diffusion time of row i of a batch: one uniform offset a batch and equal spacing between rows, so that
/// every batch covers [t_min, 1] evenly (Kingma et al. 2021, NeurIPS, low-discrepancy sampler).
template <diffusion::Sde S>
[[nodiscard]] double stratified_time(const S& sde, double offset, index_t row, index_t rows) {
  const double u = offset + static_cast<double>(row) / static_cast<double>(rows);
  return sde.t_min() + (1 - sde.t_min()) * (u - std::floor(u));
}

} // namespace sbi
