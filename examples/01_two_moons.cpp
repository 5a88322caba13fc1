// SPDX-License-Identifier: MIT
// Two moons: the posterior of a simulator that is two thin crescents. Trains one network on 10 000
// simulations and samples it for three observations, beside the exact posterior.
#include "support/program.hpp"

#include <sbi/core/adapt.hpp>
#include <sbi/diagnostics/quantile.hpp>
#include <sbi/forward/benchmark/two_moons.hpp>
#include <sbi/inference/model_file.hpp>
#include <sbi/inference/simformer.hpp>
#include <sbi/io/npy.hpp>

#include <array>

int main(int argc, char** argv) {
  example::Common common;
  sbi::FitOptions options;
  options.steps = 24'000, options.batch = 256, options.patience = 1000;
  sbi::index_t samples = 10'000;
  bool resume = false;

  const auto flags = [&](CLI::App& app) {
    app.add_option("--simulations", options.simulations, "training simulations")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--steps", options.steps, "training steps")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--samples", samples, "posterior samples an observation")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_flag("--resume", resume,
                 "keep the training state in the output folder and go on from it if it is there");
  };
  return example::program(
      argc, argv, "Trains on the two-moons simulator and compares with its exact posterior.",
      "out/01_two_moons", common, flags, [&] {
        // 1. A simulator, and a model of the joint distribution of its parameters and data.
        const sbi::Cpu<> cpu(common.threads);
        const sbi::forward::TwoMoons simulator;
        sbi::SimformerConfig config;
        config.network.transformer = {
            .width = 48, .layers = 4, .heads = 4, .mlp_factor = 3, .time_width = 32};
        config.network.value_octaves = 1; // few simulations: nothing finer than they support
        // Any conditional can be asked for; most of the training goes to the one that will be.
        config.conditions = {
            .joint = 0.5, .posterior = 8, .likelihood = 0.5, .sparse = 0.5, .dense = 0.5, .marginal = 0};
        config.seed = common.seed;
        sbi::Simformer model(cpu, sbi::joint(simulator), config, sbi::diffusion::VE(2e-3, 15));

        // 2. Train.
        options.seed = common.seed;
        if (resume) options.checkpoint = common.output / "training_state.safetensors";
        const sbi::FitReport report = sbi::fit(model, simulator, options);
        sbi::save(model, common.output / "model.safetensors");
        std::printf("trained %td parameters in %.1f s, held-out loss %.4f\n", model.parameters().count(),
                    report.seconds, report.best_validation);

        // 3. Sample the posterior of observations 1 to 3 of the benchmark (Lueckmann et al. 2021), and the
        // exact one.
        constexpr std::array<std::array<double, 2>, 3> observations{
            {{-0.6396706, 0.16234657}, {-0.5676688, -0.33194834}, {0.00301096, -0.6457662}}};
        sbi::io::Figure figure(2, 3);
        sbi::io::Style style;
        style.size = 0.5;
        figure.title = "Two moons: samples of the network (top) and of the exact posterior (bottom)";
        double sampling = 0;
        for (int k = 0; k < 3; ++k) {
          const auto& x = observations[static_cast<std::size_t>(k)];
          sbi::SampleOptions how;
          how.solver = sbi::diffusion::Heun{40, 7};
          const example::Stopwatch watch;
          const auto theta =
              model.given(sbi::observe("x1", x[0]), sbi::observe("x2", x[1]))
                  .sample(samples, sbi::Rng(common.seed).split(100 + static_cast<std::uint64_t>(k)), how);
          sampling += watch.seconds();

          sbi::Tensor<double> exact(theta.shape());
          sbi::Rng rng = sbi::Rng(common.seed).split(200 + static_cast<std::uint64_t>(k));
          for (sbi::index_t i = 0; i < exact.rows(); ++i)
            simulator.sample_posterior(rng, x, {exact.row(i), 2});

          sbi::io::write_npy(common.output / sbi::text("samples_", k + 1, ".npy"), sbi::as_xtensor<2>(theta));
          sbi::io::write_npy(common.output / sbi::text("exact_", k + 1, ".npy"), sbi::as_xtensor<2>(exact));
          int row = 0;
          for (const sbi::Tensor<double>* cloud : {&theta, &std::as_const(exact)}) {
            auto& panel = figure.panel(row++, k);
            panel.title = sbi::text("observation ", k + 1);
            panel.x_label = "theta_1", panel.y_label = "theta_2";
            const auto points = cloud->view();
            panel.points_by_density(sbi::diagnostics::marginal(points, 0),
                                    sbi::diagnostics::marginal(points, 1), style);
          }
        }
        std::printf("sampled 3 x %td in %.1f s\n", samples, sampling);
        std::printf("%s\n", figure.write(common.output / "two_moons.png").note.c_str());

        sbi::io::Results results;
        results.set("seed", common.seed).set("simulations", options.simulations).set("steps", report.steps);
        results.set("parameters", model.parameters().count()).set("held_out_loss", report.best_validation);
        results.set("train_seconds", report.seconds).set("sample_seconds_an_observation", sampling / 3);
        results.write(common.output / "results.json");
      });
}
