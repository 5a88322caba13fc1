// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diffusion/sampler.hpp>
#include <sbi/inference/score_network.hpp>

#include <algorithm>
#include <limits>
#include <variant>

namespace sbi {

/// What is given for a block of groups (stars, observations), to be filled by the model.
template <class T> struct ContextRows {
  View<T> features;  ///< [groups * context nodes, features]
  View<T> present;   ///< [groups, context nodes + embedding tokens]: 1 present, 0 missing
  Var<T> embeddings; ///< [groups * embedding tokens, width]
};

/// Samples of latent nodes for many groups at once, in the network's units: [groups * samples, latent nodes],
/// group by group. The tokens of what is given are computed once a block, their keys and values cached for
/// all steps and samples. `fill(tape, first_group, groups, rows)` writes the context. Row r of the result
/// depends on rng.split(r) only, not on blocks or threads. `evaluations`, where given, receives the solver's
/// number of network evaluations.
template <Backend B, diffusion::Sde S, class... Solvers, class Fill>
[[nodiscard]] Tensor<typename B::param_t>
sample_latent(B& backend, const ScoreNetwork& network, const std::vector<typename B::param_t>& parameters,
              const S& sde, const std::variant<Solvers...>& solver, index_t groups, index_t samples,
              View<const std::int32_t> latent_ids, View<const std::int32_t> context_ids, Fill&& fill,
              const Rng& rng, index_t* evaluations = nullptr) {
  using T = typename B::param_t;
  const index_t latents = latent_ids.size(), given = context_ids.size();
  const index_t context_tokens = given + network.config().embedding_tokens;
  const auto& transformer = network.config().transformer;
  Tensor<T> out({groups * samples, latents});
  if (out.size() == 0) return out;

  // A block is some samples of one group, or all samples of some groups.
  const index_t block = std::max<index_t>(1, nn::rows_a_task / latents);
  const index_t samples_a_block = std::min(samples, block),
                groups_a_block = std::max<index_t>(1, block / samples);
  const index_t cuts = (samples + samples_a_block - 1) / samples_a_block;
  const index_t tasks = cuts > 1 ? groups * cuts : (groups + groups_a_block - 1) / groups_a_block;

  backend.for_each(tasks, [&](index_t task) {
    const index_t first_group = cuts > 1 ? task / cuts : task * groups_a_block;
    const index_t block_groups = cuts > 1 ? 1 : std::min(groups_a_block, groups - first_group);
    const index_t first_sample = cuts > 1 ? task % cuts * samples_a_block : 0;
    const index_t block_samples = cuts > 1 ? std::min(samples_a_block, samples - first_sample) : samples;
    const index_t rows = block_groups * block_samples, first_row = first_group * samples + first_sample;
    constexpr T blocked = -std::numeric_limits<T>::infinity();

    Tape<B> outer(backend, parameters.data());
    const View<T> present = outer.scratch({block_groups, std::max<index_t>(context_tokens, 1)});
    View<T> context;
    if (context_tokens > 0) {
      context = outer.scratch({transformer.layers * block_groups * context_tokens, 2 * transformer.width});
      Tape<B> tape(backend, parameters.data());
      ContextRows<T> rows_given{
          tape.scratch({block_groups * given, network.tokenizer().features()}), present, {}};
      fill(tape, first_group, block_groups, rows_given);
      const View<T> mask = tape.scratch({block_groups, context_tokens, context_tokens});
      for (index_t g = 0; g < block_groups; ++g)
        for (index_t i = 0; i < context_tokens; ++i)
          for (index_t k = 0; k < context_tokens; ++k)
            mask.data[(g * context_tokens + i) * context_tokens + k] =
                present(g, i) != T{0} && present(g, k) != T{0} ? T{0} : blocked;
      network.context(tape, TokenBlock<T>{context_ids, rows_given.features, rows_given.embeddings, mask},
                      context);
    }
    const index_t keys = context_tokens + latents;
    const View<T> mask = outer.scratch({rows, latents, keys});
    for (index_t r = 0; r < rows; ++r)
      for (index_t i = 0; i < latents; ++i)
        for (index_t k = 0; k < keys; ++k)
          mask.data[(r * latents + i) * keys + k] =
              k >= context_tokens || present(r / block_samples, k) != T{0} ? T{0} : blocked;
    const View<T> gate = outer.scratch({rows * latents});
    std::fill_n(gate.data, gate.size(), T{1});

    const auto denoise = [&](double t, View<const T> x, View<T> x0) {
      Tape<B> tape(backend, parameters.data());
      const diffusion::Precondition at(sde, t);
      const View<T> features = tape.scratch({rows * latents, network.tokenizer().features()});
      for (index_t r = 0; r < rows; ++r)
        for (index_t j = 0; j < latents; ++j)
          network.tokenizer().write(nn::NodeState<T>{static_cast<T>(at.input()) * x(r, j), T{0}, true, true},
                                    features.row(r * latents + j));
      const View<T> time = tape.scratch({1, network.time().width()});
      network.time().write(diffusion::noise_ratio(sde, t), time.data);
      const Var<T> f =
          network.latent(tape, TokenBlock<T>{latent_ids, features, {}, mask},
                         nn::TimeInput<T>{tape.constant(time), gate}, context, context_tokens, block_samples);
      for (index_t r = 0; r < rows; ++r)
        for (index_t j = 0; j < latents; ++j) x0(r, j) = at.denoised(x(r, j), f.value(r * latents + j, 0));
    };
    const View<T> x(out.row(first_row), {rows, latents});
    const index_t count = std::visit(
        [&](const auto& s) { return s.sample(sde, denoise, x, View<const std::uint8_t>{}, rng, first_row); },
        solver);
    if (evaluations && task == 0) *evaluations = count;
  });
  return out;
}

} // namespace sbi
