// SPDX-License-Identifier: MIT
#include <sbi/inference/model_file.hpp>
#include <sbi/inference/simformer.hpp>

#include <array>
#include <cstdio>

struct Line {
  static constexpr std::array parameters{"slope"};
  static constexpr std::array observables{"y"};
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.normal(); }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x) const {
    x[0] = 2 * theta[0] + rng.normal(0, 0.1);
  }
};

int main() {
  sbi::Simformer model(sbi::Cpu<>(2), sbi::joint(Line{}));
  sbi::FitOptions options;
  options.simulations = 200, options.steps = 20, options.batch = 32, options.progress = false;
  const auto report = sbi::fit(model, Line{}, options);
  sbi::save(model, "line.safetensors");
  auto again = sbi::load_simformer(sbi::Cpu<>(1), "line.safetensors");
  const auto theta = again.given(sbi::observe("y", 0.5)).sample(5, sbi::Rng(1));
  std::printf("%td steps, validation %.3g, samples", report.steps, report.best_validation);
  for (double t : theta) std::printf(" %.3g", t);
  std::printf("\n");
}
