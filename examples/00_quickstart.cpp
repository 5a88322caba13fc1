// SPDX-License-Identifier: MIT
#include <sbi/sbi.hpp>

#include <array>

struct TwoRates { // a simulator: names, a prior, and data given parameters
  static constexpr std::array parameters{"alpha", "beta"};
  static constexpr std::array observables{"x1", "x2"};
  static constexpr std::array bounds{sbi::Bounds{0, 2}, sbi::Bounds{0, 2}};

  void sample_prior(sbi::Rng& rng, std::span<double> theta) const {
    for (double& t : theta) t = rng.uniform(0, 2);
  }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x) const {
    x[0] = theta[0] + theta[1] + rng.normal(0, 0.1);
    x[1] =
        rng.bernoulli(0.3) ? sbi::missing : theta[0] * theta[1] + rng.normal(0, 0.1); // not always observed
  }
};

int main() {
  sbi::Simformer model(sbi::Cpu<>(), sbi::joint(TwoRates{}));
  sbi::FitOptions options;
  options.simulations = 20'000, options.steps = 2'000;
  options.checkpoint = "two_rates.checkpoint"; // a killed run goes on from here
  sbi::fit(model, TwoRates{}, options);

  auto posterior = model.given(sbi::observe("x1", 1.3));             // x2 is missing: nothing to impute
  sbi::Tensor<double> theta = posterior.sample(10'000, sbi::Rng(7)); // or an xt::xtensor<double, 2>
  sbi::save(model, "model.safetensors");
}
