// SPDX-License-Identifier: MIT
// Entropic transport between two Gaussian clouds, shifted by half a standard deviation, squared Euclidean
// cost, epsilon a hundredth of the mean cost, float. `iteration` is the time of one round of both potentials,
// `Gpair/s` the pairs a second of both. `rounds` does a fixed number of them from potentials 0 (100, from n =
// 4096 on 40), `solve` goes on to a residual of 1e-4; the schedule of epsilon and the building of kernel
// matrices included, the matrix of costs not. The divergence includes the gradient by all points.
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

  Clouds(index_t n, index_t d) : x({n, d}), y({n, d}) {
    sbi::Rng rng(3);
    for (auto& v : x) v = static_cast<float>(rng.normal());
    for (auto& v : y) v = static_cast<float>(rng.normal(0.5, 1));
  }
  [[nodiscard]] const Tensor<float>& left() const { return x; }
  [[nodiscard]] const Tensor<float>& right() const { return y; }
};

void run(benchmark::State& state, sbi::ot::SinkhornOptions options, bool to_the_end) {
  const sbi::Cpu<float> backend(static_cast<int>(state.range(2)));
  const Clouds clouds(state.range(0), state.range(1));
  const auto cost =
      sbi::ot::cost_matrix(backend, sbi::ot::SquaredEuclidean{}, clouds.left().view(), clouds.right().view());
  options.epsilon = 0.01 * std::accumulate(cost.begin(), cost.end(), 0.0) / static_cast<double>(cost.size());
  index_t iterations = 0, runs = 0;
  for (auto _ : state) {
    const auto result = sbi::ot::sinkhorn(backend, cost.view(), {}, {}, options);
    if (to_the_end && !result.converged) state.SkipWithError("not converged");
    iterations += result.iterations, ++runs;
  }
  using benchmark::Counter;
  const double rounds = static_cast<double>(iterations), pairs = static_cast<double>(2 * cost.size());
  state.counters["iterations"] = rounds / static_cast<double>(runs);
  state.counters["iteration"] = Counter(rounds, Counter::kIsRate | Counter::kInvert);
  state.counters["Gpair/s"] = Counter(rounds * pairs * 1e-9, Counter::kIsRate);
}
void rounds(benchmark::State& state, sbi::ot::SinkhornDomain domain) {
  sbi::ot::SinkhornOptions options;
  options.domain = domain, options.max_iterations = state.range(0) < 4096 ? 100 : 40;
  options.tolerance = 1e-30, options.scaling = 1;
  run(state, options, false);
}
void solve(benchmark::State& state, sbi::ot::SinkhornDomain domain) {
  sbi::ot::SinkhornOptions options;
  options.domain = domain, options.tolerance = 1e-4;
  run(state, options, true);
}
void divergence(benchmark::State& state) {
  const sbi::Cpu<float> backend(static_cast<int>(state.range(2)));
  const Clouds clouds(state.range(0), state.range(1));
  sbi::ot::DivergenceOptions options;
  options.sinkhorn.epsilon = 0.01;
  options.unit = sbi::ot::Unit::mean_cost;
  for (auto _ : state)
    benchmark::DoNotOptimize(sbi::ot::sinkhorn_divergence(
        backend, sbi::ot::SquaredEuclidean{}, clouds.left().view(), clouds.right().view(), {}, {}, options));
}

benchmark::internal::Benchmark* sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"n", "d", "threads"})->Unit(benchmark::kMillisecond);
  return benchmark->MeasureProcessCPUTime()->UseRealTime();
}
void few(benchmark::internal::Benchmark* benchmark) {
  sizes(benchmark)->ArgsProduct({{256, 1024}, {6, 64}, {1, 2}})->Args({4096, 6, 2})->Args({4096, 64, 2});
}
using sbi::ot::SinkhornDomain;
BENCHMARK_CAPTURE(rounds, automatic, SinkhornDomain::automatic)->Apply(few);
BENCHMARK_CAPTURE(rounds, log, SinkhornDomain::log)->Apply(few);
BENCHMARK_CAPTURE(solve, automatic, SinkhornDomain::automatic)->Apply(few);
BENCHMARK_CAPTURE(solve, log, SinkhornDomain::log)->Apply(few);
BENCHMARK(divergence)->Apply(few);
} // namespace

BENCHMARK_MAIN();
