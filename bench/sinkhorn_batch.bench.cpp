// SPDX-License-Identifier: MIT
// Ten thousand entropic transport problems of 32 x 32, cost uniform in (0, 1), float. `fixed` makes exactly
// 100 iterations of each at epsilon = .05 of the mean cost, without schedule; `converged` solves to the
// tolerance of float, epsilon in hundredths of the mean cost. `log`: 1 for the log domain alone. `Gpair/s`
// counts the terms of the sums a second, `iterations` and `kernel` the mean iterations of a problem and those
// of them in the kernel domain.
#include <sbi/backend/cpu.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/ot/batch.hpp>

#include <benchmark/benchmark.h>

#include <limits>
#include <numeric>

namespace {
using sbi::index_t;
using sbi::Tensor;

constexpr index_t count = 10'000, n = 32;

const Tensor<float>& costs() {
  static const Tensor<float> cost = [] {
    Tensor<float> out({count * n, n});
    sbi::Rng rng(3);
    for (auto& c : out) c = static_cast<float>(rng.uniform());
    return out;
  }();
  return cost;
}
double mean_cost() {
  return std::accumulate(costs().begin(), costs().end(), 0.0) / static_cast<double>(costs().size());
}
void solve(benchmark::State& state, const sbi::ot::BatchOptions& options, int threads) {
  const sbi::Cpu<float> backend(threads);
  const Tensor<float>& cost = costs();
  double iterations = 0, kernel = 0, solves = 0;
  for (auto _ : state)
    for (const auto& item : sbi::ot::sinkhorn_batch(backend, cost.view(), count, {}, {}, options)) {
      iterations += item.iterations, kernel += item.kernel_iterations, ++solves;
      if (item.status == sbi::ot::BatchStatus::invalid) state.SkipWithError("invalid");
    }
  using benchmark::Counter;
  state.counters["iterations"] = iterations / solves;
  state.counters["kernel"] = kernel / solves;
  state.counters["Gpair/s"] = Counter(iterations * 2 * n * n * 1e-9, Counter::kIsRate);
}
void fixed(benchmark::State& state) {
  sbi::ot::BatchOptions options;
  options.sinkhorn.domain =
      state.range(0) ? sbi::ot::SinkhornDomain::log : sbi::ot::SinkhornDomain::automatic;
  options.sinkhorn.epsilon = 0.05 * mean_cost();
  options.sinkhorn.tolerance = std::numeric_limits<double>::min(), options.sinkhorn.max_iterations = 100;
  options.sinkhorn.scaling = 1;
  solve(state, options, static_cast<int>(state.range(1)));
}
void converged(benchmark::State& state) {
  sbi::ot::BatchOptions options;
  options.sinkhorn.domain =
      state.range(1) ? sbi::ot::SinkhornDomain::log : sbi::ot::SinkhornDomain::automatic;
  options.sinkhorn.epsilon = 0.01 * static_cast<double>(state.range(0)) * mean_cost();
  solve(state, options, static_cast<int>(state.range(2)));
}
BENCHMARK(fixed)
    ->ArgNames({"log", "threads"})
    ->ArgsProduct({{0, 1}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
BENCHMARK(converged)
    ->ArgNames({"eps", "log", "threads"})
    ->ArgsProduct({{5, 1}, {0, 1}, {2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
} // namespace

BENCHMARK_MAIN();
