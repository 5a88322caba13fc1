// SPDX-License-Identifier: MIT
// Posterior sampling with a score network of four layers and width 64 (its weights are the initial ones:
// speed does not depend on them): one observation with many samples, and a catalogue of stars, of which one
// in five values is missing. `evaluations` is the solver's number of passes through the network. "CPU" is the
// processor time of all threads.
#include <sbi/inference/simformer.hpp>

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Tensor;

struct Case {
  index_t parameters, observables, stars, samples;
};
constexpr Case cases[] = {{2, 2, 1, 2000}, {6, 14, 1, 500}, {6, 14, 50, 20}};

void sample(benchmark::State& state) {
  const Case& c = cases[state.range(0)];
  sbi::Nodes nodes;
  nodes.parameters = c.parameters;
  for (index_t i = 0; i < c.parameters + c.observables; ++i) {
    nodes.names.push_back(sbi::text("node ", i));
    nodes.bounds.emplace_back();
  }
  sbi::Simformer model(sbi::Cpu<>(static_cast<int>(state.range(1))), nodes);
  std::vector<index_t> given, latent;
  for (index_t i = 0; i < c.parameters; ++i) latent.push_back(i);
  for (index_t i = 0; i < c.observables; ++i) given.push_back(c.parameters + i);
  Tensor<double> values({c.stars, c.observables}), sigma(values.shape());
  sbi::Rng rng(4);
  for (auto& v : values) v = c.stars > 1 && rng.bernoulli(0.2) ? sbi::missing : rng.normal();
  for (auto& e : sigma) e = 0.1;

  index_t evaluations = 0;
  sbi::SampleOptions options;
  options.evaluations = &evaluations;
  for (auto _ : state)
    benchmark::DoNotOptimize(model.sample_rows(given, values, sigma, latent, c.samples, rng, options));
  state.SetItemsProcessed(state.iterations() * c.stars * c.samples);
  state.counters["evaluations"] = static_cast<double>(evaluations);
  state.SetLabel(sbi::text(c.parameters, " parameters, ", c.observables, " observables, ", c.stars, " x ",
                           c.samples, " samples, ", state.range(1), " threads"));
}
BENCHMARK(sample)
    ->ArgNames({"case", "threads"})
    ->ArgsProduct({{0, 1, 2}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
} // namespace

BENCHMARK_MAIN();
