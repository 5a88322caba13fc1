// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/diffusion/sampler.hpp>
#include <sbi/inference/nodes.hpp>

#include <algorithm>
#include <concepts>
#include <variant>

namespace sbi {

/// A value that is given: of an observable or a parameter, with the standard deviation of its error if it has
/// one.
struct Observation {
  std::string node;
  double value;
  double sigma = 0;
};
[[nodiscard]] inline Observation observe(std::string node, double value, double sigma = 0) {
  return {std::move(node), value, sigma};
}

/// How samples are drawn.
struct SampleOptions {
  std::variant<diffusion::DpmSolver, diffusion::Heun, diffusion::EulerMaruyama> solver{};
  index_t* evaluations = nullptr; ///< receives the number of network evaluations
};

/// p(latent nodes | given nodes) of a model, for one set of given values. What is neither given nor asked for
/// is marginalised by leaving it out. It refers to the model, which must outlive it.
template <class Model> class Posterior {
public:
  /// `latent`: the nodes to sample. Throws ValueError for an unknown or repeated node, a missing value or no
  /// latent.
  Posterior(Model& model, std::vector<Observation> given, std::vector<std::string> latent);

  /// Names of the columns of `sample`.
  [[nodiscard]] const std::vector<std::string>& names() const { return latent_; }
  /// n samples [n, names()], in the nodes' own units. The same rng gives the same samples on any number of
  /// threads.
  [[nodiscard]] Tensor<double> sample(index_t n, const Rng& rng, const SampleOptions& options = {}) const {
    return model_.sample(given_, latent_, n, rng, options);
  }

private:
  Model& model_;
  std::vector<Observation> given_;
  std::vector<std::string> latent_;
};

template <class Model>
Posterior<Model>::Posterior(Model& model, std::vector<Observation> given, std::vector<std::string> latent)
    : model_(model), given_(std::move(given)), latent_(std::move(latent)) {
  if (latent_.empty()) throw ValueError("posterior: every node is given; want at least one to sample");
  std::vector<std::string> seen = latent_;
  for (const auto& o : given_) {
    if (o.sigma > 0 && model.nodes().find(o.node) < model.nodes().parameters)
      throw ValueError(sbi::text("posterior: ", o.node, " is a parameter with sigma = ", o.sigma,
                                 "; want 0, only observables are measured"));
    if (!is_finite(o.value))
      throw ValueError(sbi::text("posterior: ", o.node, " = ", o.value, "; want a finite value"));
    if (!(o.sigma >= 0) || !is_finite(o.sigma))
      throw ValueError(
          sbi::text("posterior: sigma of ", o.node, " = ", o.sigma, "; want a finite number, at least 0"));
    seen.push_back(o.node);
  }
  for (const auto& name : seen) {
    (void)model.nodes().find(name);
    if (std::count(seen.begin(), seen.end(), name) > 1)
      throw ValueError(
          sbi::text("posterior: ", name, " is named twice; want each node given or sampled once"));
  }
}

} // namespace sbi
