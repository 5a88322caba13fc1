// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/domain_rows.hpp>
#include <sbi/inference/encoder.hpp>
#include <sbi/inference/posterior.hpp>
#include <sbi/inference/sampling.hpp>
#include <sbi/inference/score_loss.hpp>
#include <sbi/inference/standardise.hpp>

#include <map>

namespace sbi {

/// Which world a row comes from. Real rows pass the encoders' adapters.
enum class Domain { simulated, real };

/// Sizes of a domain-adaptive model.
struct DomainAdaptiveConfig {
  nn::TransformerConfig transformer{48, 3, 4, 3, 32};
  index_t value_octaves = nn::ValueEmbedding{}.octaves; ///< Fourier features of a parameter
  index_t embedding_width = 32;
  std::vector<index_t> encoder_hidden{96, 96};
  std::vector<index_t> adapter_hidden{64, 64};
  diffusion::ConditionWeights conditions{0, 2,   0,   1,
                                         0, 0.3, 0.7, 0}; ///< of the parameters: mostly all latent
  std::uint64_t seed = 1;
};

/// Posterior of theta given incomplete data of several surveys, from simulated, real and paired stars:
/// encoders of the surveys, their pooled embedding, and a score transformer over the tokens (theta, Z).
/// Alignment of the embeddings of simulated and real rows makes what was learnt on simulations hold on real
/// data; see DomainObjective for the losses.
template <Backend B = Cpu<>, diffusion::Sde S = diffusion::VE> class DomainAdaptive {
public:
  using T = typename B::param_t;

  /// `surveys`: names of the modalities and of their observables. Throws ValueError for an observable that
  /// does not exist or belongs to two modalities, for no modality, and what Nodes::check throws.
  DomainAdaptive(B backend, Nodes nodes,
                 const std::vector<std::pair<std::string, std::vector<std::string>>>& surveys,
                 DomainAdaptiveConfig config = {}, S sde = S{})
      : backend_(std::move(backend)), nodes_(detail::checked(std::move(nodes), "domain adaptation")),
        config_(config), sde_(sde), parameters_(config.seed),
        encoders_(parameters_, "encoder", modalities(nodes_, surveys), config.encoder_hidden,
                  config.adapter_hidden, config.embedding_width),
        network_(parameters_, "score", nodes_.parameters,
                 ScoreNetworkConfig{config.transformer, config.value_octaves, encoders_.tokens(),
                                    config.embedding_width}) {
    for (const Bounds& b : nodes_.bounds) transforms_.emplace_back(b);
  }

  [[nodiscard]] B& backend() { return backend_; }
  [[nodiscard]] const Nodes& nodes() const { return nodes_; }
  [[nodiscard]] const DomainAdaptiveConfig& config() const { return config_; }
  [[nodiscard]] const S& sde() const { return sde_; }
  [[nodiscard]] const SurveyEncoders& encoders() const { return encoders_; }
  [[nodiscard]] const ScoreNetwork& network() const { return network_; }
  [[nodiscard]] nn::Parameters<T>& parameters() { return parameters_; }
  [[nodiscard]] const nn::Parameters<T>& parameters() const { return parameters_; }
  [[nodiscard]] std::vector<NodeTransform>& transforms() { return transforms_; }
  [[nodiscard]] const std::vector<NodeTransform>& transforms() const { return transforms_; }
  /// Whether the transforms have been fitted; they are once.
  [[nodiscard]] bool& standardised() { return standardised_; }
  [[nodiscard]] bool standardised() const { return standardised_; }

  /// Samples of all parameters for many stars: [stars * n, parameters], star by star. x and sigma [stars,
  /// observables], NaN where missing.
  [[nodiscard]] Tensor<double> sample(const Tensor<double>& x, const Tensor<double>& sigma, Domain domain,
                                      index_t n, const Rng& rng, const SampleOptions& options = {}) {
    const detail::DomainRows<T> rows(*this, x, sigma);
    std::vector<std::int32_t> latent(static_cast<std::size_t>(nodes_.parameters));
    for (std::size_t i = 0; i < latent.size(); ++i) latent[i] = static_cast<std::int32_t>(i);
    const auto fill = [&](Tape<B>& tape, index_t first, index_t groups, ContextRows<T>& out) {
      EncoderRows<T> block = encoders_.rows(tape, groups);
      for (index_t g = 0; g < groups; ++g) {
        encoders_.write(block, g, rows.x(first + g), rows.sigma(first + g), domain == Domain::real);
        for (index_t k = 0; k < encoders_.tokens(); ++k)
          out.present(g, k) = encoders_.present(block, g, k) ? T{1} : T{0};
      }
      out.embeddings = encoders_(tape, block);
    };
    const Tensor<T> z =
        sample_latent(backend_, network_, parameters_.values(), sde_, options.solver, x.rows(), n,
                      View<const std::int32_t>(latent.data(), {nodes_.parameters}),
                      View<const std::int32_t>(latent.data(), {0}), fill, rng, options.evaluations);
    Tensor<double> out(z.shape());
    for (index_t r = 0; r < z.rows(); ++r)
      for (index_t j = 0; j < z.cols(); ++j)
        out(r, j) = transforms_[static_cast<std::size_t>(j)].from_network(static_cast<double>(z(r, j)));
    return out;
  }

  /// Pooled embeddings [rows, embedding width].
  [[nodiscard]] Tensor<T> embed(const Tensor<double>& x, const Tensor<double>& sigma, Domain domain) {
    const detail::DomainRows<T> rows(*this, x, sigma);
    Tensor<T> out({x.rows(), encoders_.width()});
    constexpr index_t block = 64;
    backend_.for_each((x.rows() + block - 1) / block, [&](index_t b) {
      const index_t first = b * block, count = std::min(block, x.rows() - first);
      Tape<B> tape(backend_, parameters_.values().data());
      EncoderRows<T> in = encoders_.rows(tape, count);
      for (index_t i = 0; i < count; ++i)
        encoders_.write(in, i, rows.x(first + i), rows.sigma(first + i), domain == Domain::real);
      const Var<T> z = encoders_(tape, in);
      for (index_t i = 0; i < count; ++i)
        std::copy_n(z.value.row(i * encoders_.tokens() + encoders_.count()), encoders_.width(),
                    out.row(first + i));
    });
    return out;
  }

private:
  static std::vector<Modality>
  modalities(const Nodes& nodes,
             const std::vector<std::pair<std::string, std::vector<std::string>>>& surveys) {
    if (surveys.empty()) throw ValueError("domain adaptation: no survey; want at least one");
    std::map<index_t, std::string> owner;
    std::vector<Modality> out;
    for (const auto& [name, observables] : surveys) {
      out.push_back({name, {}});
      for (const auto& observable : observables) {
        const index_t node = nodes.find(observable);
        if (node < nodes.parameters)
          throw ValueError(
              sbi::text("survey ", name, ": ", observable, " is a parameter; want an observable"));
        if (const auto [at, fresh] = owner.emplace(node, name); !fresh)
          throw ValueError(
              sbi::text("survey ", name, ": ", observable, " belongs to ", at->second, " already"));
        out.back().observables.push_back(node - nodes.parameters);
      }
    }
    return out;
  }

  B backend_;
  Nodes nodes_;
  DomainAdaptiveConfig config_;
  S sde_;
  nn::Parameters<T> parameters_;
  SurveyEncoders encoders_;
  ScoreNetwork network_;
  std::vector<NodeTransform> transforms_;
  bool standardised_ = false;
};

} // namespace sbi
