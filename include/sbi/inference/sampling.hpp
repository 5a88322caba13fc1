// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diffusion/sampler.hpp>
#include <sbi/inference/score_network.hpp>

#include <algorithm>
#include <variant>

namespace sbi {

/// What is given for a block of groups (stars, observations), to be filled by the model.
template <class T> struct ContextRows {
  View<T> features;  ///< [groups * context nodes, features]
  View<T> present;   ///< [groups, context nodes + embedding tokens]: 1 present, 0 missing
  Var<T> embeddings; ///< [groups * embedding tokens, embedding width]
};

namespace detail {

/// How the samples of many groups are cut into blocks of about nn::rows_a_task tokens: all samples of some
/// groups, or some of one group. Blocks are as even as they can be; bits of a sample do not depend on them.
struct SampleBlocks {
  SampleBlocks(index_t groups_, index_t samples_, index_t tokens) : groups(groups_), samples(samples_) {
    const auto even = [](index_t n, index_t most) {
      const index_t parts = (n + most - 1) / most;
      return (n + parts - 1) / parts;
    };
    const index_t rows = std::max<index_t>(1, nn::rows_a_task / tokens);
    samples_a_block = even(samples, rows);
    cuts = (samples + samples_a_block - 1) / samples_a_block;
    groups_a_block = even(groups, std::max<index_t>(1, rows / samples));
    bundles = (groups + groups_a_block - 1) / groups_a_block;
  }
  [[nodiscard]] index_t first_group(index_t bundle) const { return bundle * groups_a_block; }
  [[nodiscard]] index_t groups_of(index_t bundle) const {
    return std::min(groups_a_block, groups - first_group(bundle));
  }
  [[nodiscard]] index_t first_sample(index_t cut) const { return cut * samples_a_block; }
  [[nodiscard]] index_t samples_of(index_t cut) const {
    return std::min(samples_a_block, samples - first_sample(cut));
  }
  index_t groups, samples;
  index_t samples_a_block, cuts; ///< of a group
  index_t groups_a_block;        ///< one where a group is cut
  index_t bundles;               ///< of groups that share blocks
};

/// Sizes of the two halves of a sampling run: tokens that are given and tokens that are sampled.
struct SampledTokens {
  SampledTokens(const ScoreNetwork& network, View<const std::int32_t> latent_ids,
                View<const std::int32_t> context_ids)
      : cached(network.config().cached_context), latents(latent_ids.size()), given(context_ids.size()),
        context(given + network.config().embedding_tokens), own(cached ? latents : given + latents),
        queries(cached ? latents : context + latents), keys(context + latents) {
    // Nodes of the sequence that a step takes through the network.
    if (!cached) ids.assign(context_ids.data, context_ids.data + given);
    ids.insert(ids.end(), latent_ids.data, latent_ids.data + latents);
    std::vector<std::int32_t> all(ids);
    if (cached) all.insert(all.end(), context_ids.data, context_ids.data + given);
    for (std::int32_t node : all)
      if (std::count(all.begin(), all.end(), node) > 1)
        throw ValueError(
            sbi::text("sampling: node ", node, " is named twice; want each given or sampled once"));
  }
  bool cached;
  index_t latents, given, context;
  index_t own;     ///< scalar nodes of a step's sequence
  index_t queries; ///< tokens of a step's sequence
  index_t keys;
  std::vector<std::int32_t> ids; ///< [own]
};

/// What is given to the groups of a bundle, in the form that every step reads.
template <class T> struct GivenTokens {
  View<T> present;    ///< [groups, context tokens]
  View<T> context;    ///< keys and values, of a network with cached context: see ScoreNetwork::context
  View<T> features;   ///< of the others [groups * given, features]
  View<T> embeddings; ///< of the others [groups * embedding tokens, embedding width]

  /// Lays the arrays out from `at`; returns the number of values, a function of the sizes alone.
  index_t lay_out(const ScoreNetwork& network, const SampledTokens& tokens, index_t groups, T* at) {
    const auto& c = network.config();
    index_t size = 0;
    const auto take = [&](Shape shape) {
      const View<T> out = at && shape.size() > 0 ? View<T>(at + size, shape) : View<T>{nullptr, shape};
      size += shape.size();
      return out;
    };
    present = take({groups, tokens.context});
    if (tokens.cached) {
      context = take({c.transformer.layers * groups * tokens.context, 2 * c.transformer.width});
    } else {
      features = take({groups * tokens.given, network.tokenizer().features()});
      embeddings = take({groups * c.embedding_tokens, c.embedding_width});
    }
    return size;
  }
  /// Asks `fill` for the groups and keeps what the steps need. Throws ValueError naming a group whose
  /// features or embeddings are not finite.
  template <Backend B, class Fill>
  void compute(Tape<B>& tape, const ScoreNetwork& network, const SampledTokens& tokens,
               View<const std::int32_t> ids, index_t first_group, Fill& fill) const {
    const index_t groups = present.rows(), extra = network.config().embedding_tokens;
    if (tokens.context == 0) return;
    ContextRows<T> rows{tokens.cached ? tape.scratch({groups * tokens.given, network.tokenizer().features()})
                                      : features,
                        present,
                        {}};
    fill(tape, first_group, groups, rows);
    const auto finite = [&](View<const T> x, index_t rows_a_group, const char* what) {
      for (index_t r = 0; r < (rows_a_group > 0 ? x.rows() : 0); ++r)
        for (index_t c = 0; c < x.cols(); ++c)
          if (!is_finite(x(r, c)))
            throw ValueError(sbi::text("sampling: ", what, " ", r % rows_a_group, " of group ",
                                       first_group + r / rows_a_group, " is ", x(r, c),
                                       "; want finite values"));
    };
    finite(rows.features, tokens.given, "the feature of given node");
    if (extra > 0) {
      const View<const T> z = rows.embeddings.value;
      const Shape wanted{groups * extra, network.config().embedding_width};
      if (!z || z.rows() != wanted[0] || z.cols() != wanted[1])
        throw ShapeError(sbi::text("sampling: embeddings are ", z.shape, "; want ", wanted));
      finite(z, extra, "the embedding of token");
      for (index_t r = 0; r < (tokens.cached ? 0 : embeddings.rows()); ++r)
        std::copy_n(z.row(r), embeddings.cols(), embeddings.row(r));
    }
    if (!tokens.cached) return;
    const index_t n = tokens.context;
    const View<T> mask = tape.scratch({groups, n, n});
    std::vector<std::uint8_t> states(static_cast<std::size_t>(n));
    for (index_t g = 0; g < groups; ++g) {
      for (index_t k = 0; k < n; ++k) states[static_cast<std::size_t>(k)] = state(g, k);
      diffusion::attention_mask(states, View<T>(mask.data + g * n * n, {n, n}), network.attention_rules());
    }
    network.context(tape, TokenBlock<T>{ids, rows.features, rows.embeddings, mask}, context);
  }
  /// diffusion::Node of a context token.
  [[nodiscard]] std::uint8_t state(index_t group, index_t token) const {
    return present(group, token) != T{0} ? diffusion::Node::conditioned : diffusion::Node::missing;
  }
};

/// The network as the denoiser of a block of samples: everything that does not change between steps is
/// written once, in memory of the block's tape.
template <Backend B, diffusion::Sde S> class BlockDenoiser {
public:
  using T = typename B::param_t;

  BlockDenoiser(Tape<B>& block, const ScoreNetwork& network, const T* parameters,
                const PackedWeights<T>& packed, const S& sde, const SampledTokens& tokens,
                const GivenTokens<T>& given, index_t groups, index_t samples)
      : backend_(block.backend()), network_(network), parameters_(parameters), packed_(packed), sde_(sde),
        tokens_(tokens), given_(given), samples_(samples), rows_(groups * samples),
        features_(block.scratch({rows_ * tokens.own, network.tokenizer().features()})),
        gate_(block.scratch({rows_ * tokens.queries})) {
    std::fill_n(gate_.data, gate_.size(), T{1}); // time enters every token of the sequence that matters
    write_mask(block, groups);
    if (!tokens.cached) write_given(block);
  }

  void operator()(double t, View<const T> x, View<T> x0) const {
    Tape<B> tape(backend_, parameters_, nullptr, &packed_);
    const diffusion::Precondition at(sde_, t);
    const T input = static_cast<T>(at.input());
    const index_t skipped = tokens_.own - tokens_.latents;
    for (index_t r = 0; r < rows_; ++r)
      for (index_t j = 0; j < tokens_.latents; ++j)
        network_.tokenizer().write(nn::NodeState<T>{input * x(r, j), T{0}, true, true},
                                   features_.row(r * tokens_.own + skipped + j));
    const View<T> time = tape.scratch({1, network_.time().width()});
    network_.time().write(diffusion::noise_ratio(sde_, t), time.data);
    const TokenBlock<T> block{{tokens_.ids.data(), {tokens_.own}}, features_, {embeddings_, {}}, mask_};
    const nn::TimeInput<T> all{tape.constant(time), gate_};
    const Var<T> out = tokens_.cached
                           ? network_.latent(tape, block, all, given_.context, tokens_.context, samples_)
                           : network_(tape, block, all);
    const View<const T> f = out.value.reshaped({rows_, tokens_.own}).columns(skipped, tokens_.latents);
    for (index_t r = 0; r < rows_; ++r)
      for (index_t j = 0; j < tokens_.latents; ++j) x0(r, j) = at.denoised(x(r, j), f(r, j));
  }

private:
  /// One mask a sample, or one for all where they share a group.
  void write_mask(Tape<B>& block, index_t groups) {
    if (tokens_.context == 0) return;
    const index_t n = tokens_.keys, size = tokens_.queries * n, copies = groups == 1 ? 1 : samples_;
    mask_ = block.scratch(groups == 1 ? Shape{tokens_.queries, n} : Shape{rows_, tokens_.queries, n});
    const View<T> square = block.scratch({n, n});
    // Keys are the context, then the latent nodes. Of a whole sequence: nodes, then embeddings.
    const index_t before = tokens_.cached ? tokens_.context : tokens_.given;
    std::vector<std::uint8_t> states(static_cast<std::size_t>(n), diffusion::Node::latent);
    for (index_t g = 0; g < groups; ++g) {
      for (index_t k = 0; k < tokens_.context; ++k)
        states[static_cast<std::size_t>(k < before ? k : k + tokens_.latents)] = given_.state(g, k);
      diffusion::attention_mask(states, square, network_.attention_rules());
      for (index_t i = 0; i < copies; ++i)
        std::copy_n(square.row(n - tokens_.queries), size, mask_.data + (g * copies + i) * size);
    }
  }
  /// The tokens of a whole sequence that stay what they are.
  void write_given(Tape<B>& block) {
    const index_t extra = tokens_.context - tokens_.given;
    embeddings_ = block.scratch({rows_ * extra, network_.config().embedding_width});
    for (index_t r = 0; r < rows_; ++r) {
      const index_t g = r / samples_;
      for (index_t j = 0; j < tokens_.given; ++j)
        std::copy_n(given_.features.row(g * tokens_.given + j), features_.cols(),
                    features_.row(r * tokens_.own + j));
      for (index_t k = 0; k < extra; ++k)
        std::copy_n(given_.embeddings.row(g * extra + k), embeddings_.cols(), embeddings_.row(r * extra + k));
    }
  }

  B& backend_;
  const ScoreNetwork& network_;
  const T* parameters_;
  const PackedWeights<T>& packed_;
  const S& sde_;
  const SampledTokens& tokens_;
  const GivenTokens<T>& given_;
  index_t samples_, rows_;
  View<T> features_, gate_, mask_, embeddings_;
};

} // namespace detail

/// Samples of latent nodes for many groups at once, in the network's units: [groups * samples, latent nodes],
/// group by group. `fill(tape, first_group, groups, rows)` writes what is given. A network with cached
/// context takes it through its layers once and keeps keys and values for all steps and samples; any other
/// takes all tokens through at each step. Row r of the result depends on what is given to its group and on
/// rng.split(r), not on blocks, on other groups or on threads. `evaluations`, where given, receives the
/// solver's number of network evaluations.
///
/// Throws ValueError for a negative number, for a node that is named twice and, naming the group, where what
/// is given is not finite; NumericalError, naming the row, where a sample is not.
template <Backend B, diffusion::Sde S, class... Solvers, class Fill>
[[nodiscard]] Tensor<typename B::param_t>
sample_latent(B& backend, const ScoreNetwork& network, const std::vector<typename B::param_t>& parameters,
              const S& sde, const std::variant<Solvers...>& solver, index_t groups, index_t samples,
              View<const std::int32_t> latent_ids, View<const std::int32_t> context_ids, Fill&& fill,
              const Rng& rng, index_t* evaluations = nullptr) {
  using T = typename B::param_t;
  if (groups < 0 || samples < 0)
    throw ValueError(sbi::text("sampling: ", groups, " groups of ", samples, " samples; want 0 or more"));
  const detail::SampledTokens tokens(network, latent_ids, context_ids);
  Tensor<T> out({groups * samples, tokens.latents});
  if (out.size() == 0) return out;
  const detail::SampleBlocks blocks(groups, samples, tokens.queries);

  PackedWeights<T> packed(network.matrices());
  packed.update(backend, parameters.data());
  // What is given to as many groups as 16 MiB hold, then their samples, then the next groups.
  constexpr index_t memory = (index_t{16} << 20) / index_t{sizeof(T)};
  const index_t size =
      detail::GivenTokens<T>{}.lay_out(network, tokens, blocks.groups_a_block, static_cast<T*>(nullptr));
  const index_t wave = std::clamp<index_t>(memory / std::max<index_t>(size, 1), 1, blocks.bundles);
  Tensor<T> memory_of_wave({wave, size});
  for (index_t first = 0; first < blocks.bundles; first += wave) {
    const index_t bundles = std::min(wave, blocks.bundles - first);
    const auto given_to = [&](index_t bundle) {
      detail::GivenTokens<T> given;
      given.lay_out(network, tokens, blocks.groups_of(bundle), memory_of_wave.row(bundle - first));
      return given;
    };
    backend.for_each(bundles, [&](index_t i) {
      Tape<B> tape(backend, parameters.data(), nullptr, &packed);
      given_to(first + i).compute(tape, network, tokens, context_ids, blocks.first_group(first + i), fill);
    });
    backend.for_each(bundles * blocks.cuts, [&](index_t task) {
      const index_t bundle = first + task / blocks.cuts, cut = task % blocks.cuts;
      const index_t block_groups = blocks.groups_of(bundle), block_samples = blocks.samples_of(cut);
      const index_t first_row = blocks.first_group(bundle) * samples + blocks.first_sample(cut);
      const detail::GivenTokens<T> given = given_to(bundle);
      Tape<B> block(backend);
      const detail::BlockDenoiser<B, S> denoise(block, network, parameters.data(), packed, sde, tokens, given,
                                                block_groups, block_samples);
      const View<T> x(out.row(first_row), {block_groups * block_samples, tokens.latents});
      const index_t count = std::visit(
          [&](const auto& s) {
            return s.sample(sde, denoise, x, View<const std::uint8_t>{}, rng, first_row);
          },
          solver);
      if (evaluations && bundle == 0 && cut == 0) *evaluations = count;
    });
  }
  return out;
}

} // namespace sbi
