// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/compiled.hpp>
#include <sbi/inference/posterior.hpp>
#include <sbi/inference/sampling.hpp>
#include <sbi/inference/score_loss.hpp>
#include <sbi/inference/standardise.hpp>
#include <sbi/inference/trainer.hpp>
#include <sbi/inference/training_rows.hpp>

#include <numeric>
#include <optional>

namespace sbi {

/// Sizes and training distribution of a Simformer.
struct SimformerConfig {
  ScoreNetworkConfig network;
  diffusion::ConditionWeights conditions{1, 1, 1, 1, 1, 0.3, 0.7, 0.2}; ///< of the training masks
  std::uint64_t seed = 1;                                               ///< of the initial parameters
};

/// One network for all conditionals of p(theta, x): a transformer over one token a variable, trained by
/// denoising score matching with a condition mask drawn for each row (Gloeckler et al. 2024, ICML,
/// arXiv:2404.09636). Missing values are cut from the attention, measurement errors are part of a token.
template <Backend B = Cpu<>, diffusion::Sde S = diffusion::VE> class Simformer {
public:
  using T = typename B::param_t;

  Simformer(B backend, Nodes nodes, SimformerConfig config = {}, S sde = S{});

  [[nodiscard]] B& backend() { return backend_; }
  [[nodiscard]] const Nodes& nodes() const { return nodes_; }
  [[nodiscard]] const SimformerConfig& config() const { return config_; }
  [[nodiscard]] const S& sde() const { return sde_; }
  [[nodiscard]] const ScoreNetwork& network() const { return network_; }
  [[nodiscard]] nn::Parameters<T>& parameters() { return parameters_; }
  [[nodiscard]] const nn::Parameters<T>& parameters() const { return parameters_; }
  [[nodiscard]] std::vector<NodeTransform>& transforms() { return transforms_; }
  [[nodiscard]] const std::vector<NodeTransform>& transforms() const { return transforms_; }

  /// Whether the transforms have been fitted; they are once.
  [[nodiscard]] bool& standardised() { return standardised_; }
  [[nodiscard]] bool standardised() const { return standardised_; }

  /// The parameters that are not given, conditional on what is. Observables that are not given are
  /// marginalised.
  [[nodiscard]] Posterior<Simformer> given(std::vector<Observation> observations);
  template <std::same_as<Observation>... Rest>
  [[nodiscard]] Posterior<Simformer> given(Observation first, Rest... rest) {
    return given(std::vector<Observation>{std::move(first), std::move(rest)...});
  }
  /// Any conditional: `latent` names the nodes to sample, observables among them if wanted.
  [[nodiscard]] Posterior<Simformer> conditional(std::vector<std::string> latent,
                                                 std::vector<Observation> observations) {
    return {*this, std::move(observations), std::move(latent)};
  }

  /// n samples [n, latent] given the observations; what Posterior calls.
  [[nodiscard]] Tensor<double> sample(const std::vector<Observation>& given,
                                      const std::vector<std::string>& latent, index_t n, const Rng& rng,
                                      const SampleOptions& options = {});

  /// Samples for many observations at once: [rows * n, latent], row by row. `given` lists node indices,
  /// values [rows, given] holds NaN where a value is missing, sigma [rows, given] the errors (0: none).
  /// Throws ShapeError, or ValueError for a node that does not exist, a value outside its node's bounds, an
  /// error that is negative or not finite, and an error of a parameter.
  [[nodiscard]] Tensor<double> sample_rows(const std::vector<index_t>& given, const Tensor<double>& values,
                                           const Tensor<double>& sigma, const std::vector<index_t>& latent,
                                           index_t n, const Rng& rng, const SampleOptions& options = {});

private:
  B backend_;
  Nodes nodes_;
  SimformerConfig config_;
  S sde_;
  nn::Parameters<T> parameters_;
  ScoreNetwork network_;
  std::vector<NodeTransform> transforms_;
  bool standardised_ = false;
};

// Outside of the class: what is inside would be compiled again where sbi::compiled holds it.

template <Backend B, diffusion::Sde S>
Simformer<B, S>::Simformer(B backend, Nodes nodes, SimformerConfig config, S sde)
    : backend_(std::move(backend)), nodes_(detail::checked(std::move(nodes), "simformer")), config_(config),
      sde_(sde), parameters_(config.seed), network_(parameters_, "score", nodes_.size(), config.network) {
  for (const Bounds& b : nodes_.bounds) transforms_.emplace_back(b);
}

template <Backend B, diffusion::Sde S>
Posterior<Simformer<B, S>> Simformer<B, S>::given(std::vector<Observation> observations) {
  std::vector<std::string> latent;
  for (index_t i = 0; i < nodes_.parameters; ++i) {
    const auto& name = nodes_.names[static_cast<std::size_t>(i)];
    if (std::none_of(observations.begin(), observations.end(), [&](const auto& o) { return o.node == name; }))
      latent.push_back(name);
  }
  return {*this, std::move(observations), std::move(latent)};
}

template <Backend B, diffusion::Sde S>
Tensor<double> Simformer<B, S>::sample(const std::vector<Observation>& given,
                                       const std::vector<std::string>& latent, index_t n, const Rng& rng,
                                       const SampleOptions& options) {
  std::vector<index_t> which;
  Tensor<double> values({1, static_cast<index_t>(given.size())}), sigma(values.shape());
  for (std::size_t i = 0; i < given.size(); ++i) {
    which.push_back(nodes_.find(given[i].node));
    values.data()[i] = given[i].value, sigma.data()[i] = given[i].sigma;
  }
  std::vector<index_t> wanted;
  for (const auto& name : latent) wanted.push_back(nodes_.find(name));
  return sample_rows(which, values, sigma, wanted, n, rng, options);
}

template <Backend B, diffusion::Sde S>
Tensor<double> Simformer<B, S>::sample_rows(const std::vector<index_t>& given, const Tensor<double>& values,
                                            const Tensor<double>& sigma, const std::vector<index_t>& latent,
                                            index_t n, const Rng& rng, const SampleOptions& options) {
  if (values.cols() != static_cast<index_t>(given.size()) || sigma.shape() != values.shape())
    throw ShapeError(sbi::text("simformer: values are ", values.shape(), ", sigma is ", sigma.shape(),
                               " for ", given.size(), " given nodes"));
  if (n < 0) throw ValueError(sbi::text("simformer: ", n, " samples; want 0 or more"));
  const auto ids = [&](const std::vector<index_t>& nodes) {
    std::vector<std::int32_t> out;
    for (index_t i : nodes) {
      if (i < 0 || i >= nodes_.size())
        throw ValueError(sbi::text("simformer: node ", i, "; want 0 to ", nodes_.size() - 1));
      out.push_back(static_cast<std::int32_t>(i));
    }
    return out;
  };
  const auto latent_ids = ids(latent), given_ids = ids(given);
  const auto k = static_cast<index_t>(given.size());
  for (index_t r = 0; r < values.rows(); ++r)
    for (index_t j = 0; j < k; ++j) {
      const double e = sigma(r, j);
      if (is_missing(values(r, j)) || is_missing(e) || e == 0) continue;
      const auto i = static_cast<std::size_t>(given[static_cast<std::size_t>(j)]);
      detail::in_row(r, [&] { (void)transforms_[i].template error_to_network<T>(e, nodes_.names[i]); });
      if (static_cast<index_t>(i) < nodes_.parameters)
        throw ValueError(sbi::text("row ", r, ": ", nodes_.names[i], " is a parameter with an error of ", e,
                                   "; want 0, only observables are measured"));
    }
  const auto fill = [&](Tape<B>&, index_t first, index_t groups, ContextRows<T>& rows) {
    for (index_t g = 0; g < groups; ++g)
      for (index_t j = 0; j < k; ++j) {
        const NodeTransform& transform =
            transforms_[static_cast<std::size_t>(given[static_cast<std::size_t>(j)])];
        const double v = values(first + g, j), e = sigma(first + g, j);
        nn::NodeState<T> node{T{0}, T{0}, false, !is_missing(v)};
        if (node.observed) {
          node.value = static_cast<T>(transform.to_network(
              v, nodes_.names[static_cast<std::size_t>(given[static_cast<std::size_t>(j)])]));
          node.sigma = is_missing(e) ? T{0} : static_cast<T>(transform.error_to_network(e));
        }
        network_.tokenizer().write(node, rows.features.row(g * k + j));
        rows.present(g, j) = node.observed ? T{1} : T{0};
      }
  };
  const Tensor<T> z =
      sample_latent(backend_, network_, parameters_.values(), sde_, options.solver, values.rows(), n,
                    View<const std::int32_t>(latent_ids.data(), {static_cast<index_t>(latent.size())}),
                    View<const std::int32_t>(given_ids.data(), {k}), fill, rng, options.evaluations);
  Tensor<double> out(z.shape());
  for (index_t r = 0; r < z.rows(); ++r)
    for (index_t j = 0; j < z.cols(); ++j)
      out(r, j) = transforms_[static_cast<std::size_t>(latent[static_cast<std::size_t>(j)])].from_network(
          static_cast<double>(z(r, j)));
  return out;
}

namespace detail {

/// The training objective of a Simformer on a data set.
template <Backend B, diffusion::Sde S> class SimformerObjective {
public:
  using T = typename B::param_t;

  SimformerObjective(Simformer<B, S>& model, const Dataset& data, const FitOptions& options)
      : model_(model), data_(data, model.transforms(), model.nodes().names),
        split_(data.rows(), options.validation),
        order_(split_.train, options.batch, Rng(options.seed).split(1)), rng_(Rng(options.seed).split(2)),
        rows_a_chunk_(std::max<index_t>(1, nn::rows_a_task / model.nodes().size())),
        ids_(static_cast<std::size_t>(model.nodes().size())), is_parameter_(model.nodes().is_parameter()) {
    if (split_.train.empty())
      throw ValueError(sbi::text("fit: ", data.rows(), " rows; want at least one to train on"));
    std::iota(ids_.begin(), ids_.end(), 0);
  }

  void prepare(B&, const std::vector<T>&, index_t step) {
    rows_.resize(static_cast<std::size_t>(order_.batch()));
    for (index_t i = 0; i < order_.batch(); ++i) rows_[static_cast<std::size_t>(i)] = order_.row(step, i);
  }
  [[nodiscard]] index_t chunks() const { return (order_.batch() + rows_a_chunk_ - 1) / rows_a_chunk_; }
  double chunk(Tape<B>& tape, index_t step, index_t i) const {
    return block(tape, rows_, i * rows_a_chunk_, rows_a_chunk_, rng_.split(static_cast<std::uint64_t>(step)));
  }
  /// The first row of the batch whose loss or gradient is not finite by itself, with the noise of the step.
  [[nodiscard]] std::string blame(B& backend, const std::vector<T>& values, index_t step) const {
    std::vector<T> gradient(values.size());
    for (index_t i = 0; i < static_cast<index_t>(rows_.size()); ++i) {
      std::fill(gradient.begin(), gradient.end(), T{0});
      Tape<B> tape(backend, values.data(), gradient.data());
      const double loss = block(tape, rows_, i, 1, rng_.split(static_cast<std::uint64_t>(step)));
      if (!is_finite(loss) ||
          !std::all_of(gradient.begin(), gradient.end(), [](T g) { return is_finite(g); }))
        return sbi::text("row ", rows_[static_cast<std::size_t>(i)]);
    }
    return {};
  }
  /// Eight draws of mask, time and noise for each held-out row, the same ones every time.
  std::optional<double> validation_loss(B& backend, const std::vector<T>& values) const {
    if (split_.held_out.empty()) return std::nullopt;
    constexpr index_t repeats = 8;
    const index_t n = static_cast<index_t>(split_.held_out.size()),
                  a_pass = (n + rows_a_chunk_ - 1) / rows_a_chunk_;
    std::vector<double> losses(static_cast<std::size_t>(repeats * a_pass));
    backend.for_each(repeats * a_pass, [&](index_t i) {
      Tape<B> tape(backend, values.data());
      losses[static_cast<std::size_t>(i)] =
          block(tape, split_.held_out, i % a_pass * rows_a_chunk_, rows_a_chunk_,
                rng_.split(0xC0FFEE + static_cast<std::uint64_t>(i / a_pass)));
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / repeats;
  }
  [[nodiscard]] std::string fingerprint() const {
    return sbi::text("simformer data=", static_cast<index_t>(checksum(data_.z) ^ checksum(data_.sigma)),
                     model_fingerprint(model_));
  }

private:
  /// Loss (and, on a recording tape, gradient) of up to `most` of `rows`, divided by their total number.
  double block(Tape<B>& tape, const std::vector<index_t>& rows, index_t first, index_t most,
               const Rng& rng) const {
    const index_t total = static_cast<index_t>(rows.size()), count = std::min(most, total - first);
    const index_t nodes = data_.z.cols();
    ScoreRows<T> batch(tape, model_.network(), count, nodes);
    const std::span states(tape.arena().template array<std::uint8_t>(nodes), static_cast<std::size_t>(nodes));
    const double offset = Rng(rng).uniform();
    for (index_t i = 0; i < count; ++i) {
      const index_t row = rows[static_cast<std::size_t>(first + i)];
      Rng stream = rng.split(static_cast<std::uint64_t>(first + i));
      diffusion::mark_missing(View<const T>(data_.z.row(row), {1, nodes}),
                              View<std::uint8_t>(states.data(), {1, nodes}));
      diffusion::draw_condition(model_.config().conditions, stream, is_parameter_, states);
      const double t = stratified_time(model_.sde(), offset, first + i, total);
      batch.set(i, model_.sde(), t, data_.z.row(row), data_.sigma.row(row), states, stream, T{1});
    }
    const Var<T> loss = batch.loss(tape, View<const std::int32_t>(ids_.data(), {nodes}));
    const double share = 1.0 / static_cast<double>(total);
    if (loss.wants_grad()) tape.backward(loss, static_cast<T>(share));
    return static_cast<double>(loss.value.data[0]) * share;
  }

  Simformer<B, S>& model_;
  StandardRows<T> data_;
  Split split_;
  BatchOrder order_;
  Rng rng_;
  index_t rows_a_chunk_; ///< of a micro-batch: near 256 tokens. It depends on the model only, so bits do not
                         ///< on threads.
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> is_parameter_;
  std::vector<index_t> rows_;
};

} // namespace detail

/// Trains a Simformer on a data set. The standardisation is fitted the first time and kept after that, so
/// that a trained model can be trained further. See `train` for what is thrown, and ValueError for a value
/// outside its node's bounds.
template <Backend B, diffusion::Sde S>
FitReport fit(Simformer<B, S>& model, const Dataset& data, const FitOptions& options = {}) {
  options.check();
  data.check(model.nodes().parameters, model.nodes().observables());
  detail::fit_transforms(model, data);
  detail::SimformerObjective<B, S> objective(model, data, options);
  return train(model.backend(), model.parameters(), objective, options);
}
/// The same on options.simulations draws of a simulator.
template <Backend B, diffusion::Sde S, class Sim>
FitReport fit(Simformer<B, S>& model, const Sim& simulator, const FitOptions& options = {}) {
  static_assert(Simulator<Sim>,
                "sbi: fit needs a Dataset or a simulator: parameters, observables, sample_prior, simulate");
  options.check();
  return fit(model, simulate(model.backend(), simulator, options.simulations, Rng(options.seed)), options);
}

#ifdef SBI_COMPILED
extern template class Simformer<Cpu<float>, diffusion::VE>;
extern template class Posterior<Simformer<Cpu<float>, diffusion::VE>>;
extern template FitReport fit(Simformer<Cpu<float>, diffusion::VE>&, const Dataset&, const FitOptions&);
#endif

} // namespace sbi
