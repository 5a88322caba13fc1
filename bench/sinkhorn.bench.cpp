// SPDX-License-Identifier: MIT
// Entropic transport between two Gaussian clouds in 6 dimensions, shifted by half a standard deviation,
// squared Euclidean cost, epsilon a hundredth of the mean cost, float. `iteration` is the time of one round
// of both potentials in seconds, `Gpair/s` the log-sum-exp terms a second; the divergence includes the
// gradient by all points.
#include <sbi/backend/cpu.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/ot/divergence.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <benchmark/benchmark.h>

#include <numeric>

namespace {
using sbi::index_t;
using sbi::Tensor;

struct Clouds {
  Tensor<float> x, y;

  explicit Clouds(index_t n) : x({n, 6}), y({n, 6}) {
    sbi::Rng rng(3);
    for (auto& v : x) v = static_cast<float>(rng.normal());
    for (auto& v : y) v = static_cast<float>(rng.normal(0.5, 1));
  }
  [[nodiscard]] const Tensor<float>& left() const { return x; }
  [[nodiscard]] const Tensor<float>& right() const { return y; }
};

void solve(benchmark::State& state) {
  const sbi::Cpu<float> backend(static_cast<int>(state.range(1)));
  const Clouds clouds(state.range(0));
  const auto cost =
      sbi::ot::cost_matrix(backend, sbi::ot::SquaredEuclidean{}, clouds.left().view(), clouds.right().view());
  sbi::ot::SinkhornOptions options;
  options.epsilon = 0.01 * std::accumulate(cost.begin(), cost.end(), 0.0) / static_cast<double>(cost.size());
  index_t iterations = 0, runs = 0;
  for (auto _ : state) {
    const auto result = sbi::ot::sinkhorn(backend, cost.view(), {}, {}, options);
    if (!result.converged) state.SkipWithError("not converged");
    iterations += result.iterations, ++runs;
  }
  using benchmark::Counter;
  const double rounds = static_cast<double>(iterations), pairs = static_cast<double>(2 * cost.size());
  state.counters["iterations"] = rounds / static_cast<double>(runs);
  state.counters["iteration"] = Counter(rounds, Counter::kIsRate | Counter::kInvert);
  state.counters["Gpair/s"] = Counter(rounds * pairs * 1e-9, Counter::kIsRate);
}
void divergence(benchmark::State& state) {
  const sbi::Cpu<float> backend(static_cast<int>(state.range(1)));
  const Clouds clouds(state.range(0));
  sbi::ot::DivergenceOptions options;
  options.sinkhorn.epsilon = 0.01;
  options.unit = sbi::ot::Unit::mean_cost;
  for (auto _ : state)
    benchmark::DoNotOptimize(sbi::ot::sinkhorn_divergence(
        backend, sbi::ot::SquaredEuclidean{}, clouds.left().view(), clouds.right().view(), {}, {}, options));
}
void sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "threads"})->ArgsProduct({{256, 1024}, {1, 2}})->Unit(benchmark::kMillisecond);
  benchmark->MeasureProcessCPUTime()->UseRealTime();
}
BENCHMARK(solve)->Apply(sizes);
BENCHMARK(divergence)->Apply(sizes);
} // namespace

BENCHMARK_MAIN();
