// SPDX-License-Identifier: MIT
// Posterior samples of a trained model of examples/01_two_moons by several solvers, for
// bench/peers/sampling_two_moons.py. Writes FOLDER/SOLVER_K.npy for observation K and FOLDER/results.json: by
// solver the median seconds an observation and the passes through the network.
#include "machine.hpp"

#include <sbi/inference/model_file.hpp>
#include <sbi/io/npy.hpp>
#include <sbi/io/results.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {
/// NAME:STEPS or NAME:STEPS:RHO.
decltype(sbi::SampleOptions::solver) solver(const std::string& text) {
  const auto parts = CLI::detail::split(text, ':');
  const auto unknown = [&] {
    return sbi::ValueError(sbi::text(
        "the solver '", text, "' is not known; want euler:STEPS, heun:STEPS[:RHO] or dpm:STEPS[:RHO]"));
  };
  int steps = 0;
  double rho = 7;
  if (parts.size() < 2 || parts.size() > 3 || !CLI::detail::lexical_cast(parts[1], steps) ||
      (parts.size() == 3 && !CLI::detail::lexical_cast(parts[2], rho)))
    throw unknown();
  if (parts[0] == "euler") return sbi::diffusion::EulerMaruyama{steps};
  if (parts[0] == "heun") return sbi::diffusion::Heun{steps, rho};
  if (parts[0] == "dpm") return sbi::diffusion::DpmSolver{steps, rho};
  throw unknown();
}
} // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times posterior samples of a model of two moons and writes them"};
  std::filesystem::path model_file, folder;
  std::vector<double> observed;
  std::vector<std::string> solvers;
  sbi::index_t samples = 10'000;
  int threads = 2;
  app.add_option("model", model_file, "model.safetensors of examples/01_two_moons")->required();
  app.add_option("folder", folder, "for samples and results.json")->required();
  app.add_option("--observed", observed, "x1,x2 of each observation, one after the other")
      ->required()
      ->delimiter(',');
  app.add_option("--solvers", solvers, "NAME:STEPS[:RHO], of euler, heun, dpm")->required()->delimiter(',');
  app.add_option("--samples", samples, "an observation")->capture_default_str();
  app.add_option("--threads", threads, "0: as many as the machine has")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    auto model = sbi::load_simformer(sbi::Cpu<>(threads), model_file);
    sbi::io::Results by_solver;
    for (const auto& name : solvers) {
      sbi::index_t evaluations = 0;
      sbi::SampleOptions how;
      how.solver = solver(name), how.evaluations = &evaluations;
      std::vector<double> seconds;
      for (std::size_t k = 0; 2 * k + 1 < observed.size(); ++k) {
        auto posterior =
            model.given(sbi::observe("x1", observed[2 * k]), sbi::observe("x2", observed[2 * k + 1]));
        const auto begin = std::chrono::steady_clock::now();
        const auto theta = posterior.sample(samples, sbi::Rng(100 + k), how);
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
        sbi::io::write_npy(folder / sbi::text(name, "_", k + 1, ".npy"), sbi::as_xtensor<2>(theta));
      }
      std::sort(seconds.begin(), seconds.end());
      sbi::io::Results one;
      one.set("seconds", seconds[seconds.size() / 2]).set("evaluations", evaluations);
      by_solver.set(name, one);
    }
    sbi::io::Results results;
    results.set("instruction_set", std::string(sbi::bench::instruction_set)).set("threads", threads);
    results.set("samples", samples).set("solvers", by_solver);
    results.write(folder / "results.json");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sampling_peer: %s\n", error.what());
    return 2;
  }
}
