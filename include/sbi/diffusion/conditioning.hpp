// SPDX-License-Identifier: MIT
// Which nodes of a row are given, which are inferred and which are absent; and who may attend to whom as a
// result.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/view.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <span>

namespace sbi::diffusion {

/// State of a node, one byte each, so that a row of states is a View<std::uint8_t>: latent nodes are noised,
/// sampled and scored by the loss; conditioned nodes hold clean values; missing nodes are neither: they are
/// cut from the attention and from the loss.
struct Node {
  static constexpr std::uint8_t latent = 0, conditioned = 1, missing = 2;
};

/// Sets Node::missing where a value is missing (NaN) and Node::latent elsewhere. values and states are [rows,
/// nodes].
template <class T> void mark_missing(View<const T> values, View<std::uint8_t> states) {
  if (values.rows() != states.rows() || values.cols() != states.cols())
    throw ShapeError(sbi::text("mark_missing: values are ", values.shape, ", states are ", states.shape));
  for (index_t i = 0; i < values.rows(); ++i)
    for (index_t j = 0; j < values.cols(); ++j)
      states(i, j) = is_missing(values(i, j)) ? Node::missing : Node::latent;
}

/// The distribution of training condition masks (Gloeckler et al. 2024, ICML, "All-in-one simulation-based
/// inference"): each row picks one of five kinds with these weights, equal by default.
///   joint       nothing is conditioned
///   posterior   observables are conditioned, parameters latent
///   likelihood  parameters are conditioned, observables latent
///   sparse      each node is conditioned with probability sparse_probability
///   dense       each node is conditioned with probability dense_probability
/// Every row draws its own Bernoulli mask. A row left without a latent node becomes joint.
struct ConditionWeights {
  double joint = 1, posterior = 1, likelihood = 1, sparse = 1, dense = 1;
  double sparse_probability = 0.3, dense_probability = 0.7;
  /// Share of the rows that train a marginal: each of their nodes is left out (missing) with probability 1/2.
  /// Without it, what is neither given nor asked for cannot be left out unless the data lacked it often
  /// enough.
  double marginal = 0;

  /// Throws ValueError for a negative weight, a sum that is not positive or a probability outside [0, 1].
  void check() const {
    double sum = 0;
    for (double w : {joint, posterior, likelihood, sparse, dense}) {
      if (!(w >= 0)) throw ValueError(sbi::text("condition mask: weight ", w, "; want >= 0"));
      sum += w;
    }
    if (!(sum > 0) || !is_finite(sum))
      throw ValueError(sbi::text("condition mask: weights sum to ", sum, "; want a positive, finite number"));
    for (double p : {sparse_probability, dense_probability, marginal})
      if (!(p >= 0 && p <= 1))
        throw ValueError(sbi::text("condition mask: probability ", p, "; want 0 to 1"));
  }
};

/// Draws the states of one row of nodes. is_parameter [nodes] is non-zero for parameters, zero for
/// observables. Nodes that are Node::missing on entry stay so; all others become latent or conditioned
/// (or missing, in rows that train a marginal).
inline void draw_condition(const ConditionWeights& weights, Rng& rng,
                           std::span<const std::uint8_t> is_parameter, std::span<std::uint8_t> states) {
  if (is_parameter.size() != states.size())
    throw ShapeError(
        sbi::text("condition mask: ", is_parameter.size(), " parameter flags for ", states.size(), " nodes"));
  const std::array cumulative{weights.joint, weights.joint + weights.posterior,
                              weights.joint + weights.posterior + weights.likelihood,
                              weights.joint + weights.posterior + weights.likelihood + weights.sparse};
  const double u = rng.uniform() * (cumulative.back() + weights.dense);
  std::size_t kind = 0;
  while (kind < cumulative.size() && u >= cumulative[kind]) ++kind;
  if (weights.marginal > 0 && rng.bernoulli(weights.marginal))
    for (auto& state : states)
      if (rng.bernoulli(0.5)) state = Node::missing;
  bool any_latent = false;
  for (std::size_t j = 0; j < states.size(); ++j) {
    const bool parameter = is_parameter[j] != 0;
    const bool given =
        kind == 0   ? false
        : kind == 1 ? !parameter
        : kind == 2 ? parameter
                    : rng.bernoulli(kind == 3 ? weights.sparse_probability : weights.dense_probability);
    if (states[j] == Node::missing) continue;
    states[j] = given ? Node::conditioned : Node::latent;
    any_latent |= !given;
  }
  if (!any_latent)
    for (auto& state : states)
      if (state != Node::missing) state = Node::latent;
}

/// Draws the states of a block of rows, row i from rng.split(first_row + i): the masks do not depend on how a
/// batch is cut into blocks. states [rows, nodes].
inline void draw_conditions(const ConditionWeights& weights, const Rng& rng,
                            std::span<const std::uint8_t> is_parameter, View<std::uint8_t> states,
                            index_t first_row = 0) {
  weights.check();
  for (index_t i = 0; i < states.rows(); ++i) {
    Rng row = rng.split(static_cast<std::uint64_t>(first_row + i));
    draw_condition(weights, row, is_parameter, {states.row(i), static_cast<std::size_t>(states.cols())});
  }
}

/// Options of attention_mask.
struct AttentionRules {
  /// Conditioned tokens do not attend to latent ones. They are then the same at every diffusion time, so that
  /// their keys and values are computed once a sample.
  bool conditioned_ignore_latent = true;
};

/// Writes the additive attention mask [nodes, nodes] of one row of states: entry (i, j) is 0 where query i
/// may attend to key j and minus infinity where it may not. Nobody attends to a missing node and a missing
/// node attends to nobody; every other node attends to itself; `graph` [nodes, nodes], where given, blocks
/// the edges at which it is zero.
template <class T>
void attention_mask(std::span<const std::uint8_t> states, View<T> mask, AttentionRules rules = {},
                    View<const std::uint8_t> graph = {}) {
  const auto n = static_cast<index_t>(states.size());
  if (mask.shape != Shape{n, n})
    throw ShapeError(sbi::text("attention mask: ", mask.shape, " for ", n, " nodes"));
  if (graph && graph.shape != Shape{n, n})
    throw ShapeError(sbi::text("attention mask: the graph is ", graph.shape, " for ", n, " nodes"));
  constexpr T blocked = -std::numeric_limits<T>::infinity();
  for (index_t i = 0; i < n; ++i) {
    const std::uint8_t query = states[static_cast<std::size_t>(i)];
    for (index_t j = 0; j < n; ++j) {
      const std::uint8_t key = states[static_cast<std::size_t>(j)];
      const bool present = query != Node::missing && key != Node::missing;
      const bool informs =
          !(rules.conditioned_ignore_latent && query == Node::conditioned && key == Node::latent);
      const bool linked = !graph || graph(i, j) != 0;
      mask(i, j) = present && (i == j || (informs && linked)) ? T(0) : blocked;
    }
  }
}

} // namespace sbi::diffusion
