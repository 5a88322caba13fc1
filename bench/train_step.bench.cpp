// SPDX-License-Identifier: MIT
// One training step of a transformer on the CPU: forward, backward and AdamW on a batch, cut into
// micro-batches as `train` does. `share` is the part of the measured multiply-add peak of the threads; the
// operations counted are those of the products alone. Times are wall clock; "CPU" is the processor time of
// all threads, the figure to compare on a machine with other work on it.
#include "machine.hpp"

#include <sbi/core/tensor.hpp>
#include <sbi/inference/fit_options.hpp>
#include <sbi/nn/adamw.hpp>
#include <sbi/nn/transformer.hpp>
#include <sbi/ops/loss.hpp>

#include <benchmark/benchmark.h>

#include <limits>
#include <map>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Tensor;
using sbi::View;

struct Case {
  index_t batch, tokens, width, heads, mlp_factor;
};
constexpr Case cases[] = {
    {256, 16, 32, 2, 2}, {512, 32, 64, 4, 4}, {1024, 32, 64, 4, 4}, {256, 64, 128, 8, 4}};

class TrainingStep {
public:
  static constexpr index_t layers = 4, outputs = 16, micro_batch = 4;

  TrainingStep(const Case& c, int threads)
      : case_(c), backend_(threads), parameters_(1),
        transformer_(parameters_, "transformer", {c.width, layers, c.heads, c.mlp_factor, 0}),
        out_(parameters_, "out", c.width, outputs), optimiser_(parameters_),
        gradients_(static_cast<std::size_t>(sbi::FitOptions{}.gradient_slots),
                   std::vector<float>(parameters_.values().size())),
        x_({c.batch * c.tokens, c.width}), mask_({c.batch, c.tokens, c.tokens}),
        target_({c.batch * c.tokens, outputs}), weight_({c.batch * c.tokens, outputs}) {
    sbi::Rng rng(2);
    for (auto& v : x_) v = static_cast<float>(rng.normal());
    for (auto& v : weight_) v = 1.0f / static_cast<float>(c.batch * c.tokens * outputs);
    for (index_t i = 0; i < mask_.size(); ++i) // three in ten keys forbidden, never the first
      mask_.data()[i] =
          i % c.tokens != 0 && rng.bernoulli(0.3) ? -std::numeric_limits<float>::infinity() : 0.0f;
  }

  void operator()() {
    const auto slots = static_cast<index_t>(gradients_.size());
    backend_.for_each(slots, [&](index_t slot) {
      auto& gradient = gradients_[static_cast<std::size_t>(slot)];
      std::fill(gradient.begin(), gradient.end(), 0.0f);
      for (index_t chunk = slot; chunk < case_.batch / micro_batch; chunk += slots) {
        sbi::Tape tape(backend_, parameters_.values().data(), gradient.data());
        tape.backward(loss(tape, chunk));
      }
    });
    auto& total = gradients_.front();
    for (std::size_t s = 1; s < gradients_.size(); ++s)
      for (std::size_t i = 0; i < total.size(); ++i) total[i] += gradients_[s][i];
    optimiser_.step(parameters_, total, 1e-4);
  }
  [[nodiscard]] const sbi::Cpu<float>& backend() const { return backend_; }

  /// Operations of the blocks' products: forward, and twice that for the gradients of both factors.
  [[nodiscard]] double operations() const {
    const double rows = static_cast<double>(case_.batch * case_.tokens), d = static_cast<double>(case_.width);
    const double dense = 2 * rows * d * d * static_cast<double>(4 + 2 * case_.mlp_factor);
    const double attention = 4 * rows * static_cast<double>(case_.tokens) * d;
    return 3 * static_cast<double>(layers) * (dense + attention);
  }

private:
  template <class B> sbi::Var<float> loss(sbi::Tape<B>& tape, index_t chunk) const {
    const index_t rows = micro_batch * case_.tokens, first = chunk * rows;
    sbi::AttentionExtent<float> at;
    at.tokens = case_.tokens;
    at.mask = View<const float>(mask_.row(first), {micro_batch, case_.tokens, case_.tokens});
    const auto x = tape.constant(x_.view().row_block(first, rows));
    const auto y = out_(tape, transformer_(tape, x, at));
    return tape.apply(sbi::ops::WeightedSquares<float>{target_.view().row_block(first, rows),
                                                       weight_.view().row_block(first, rows)},
                      y);
  }

  Case case_;
  sbi::Cpu<float> backend_;
  sbi::nn::Parameters<float> parameters_;
  sbi::nn::Transformer transformer_;
  sbi::nn::Linear out_;
  sbi::nn::AdamW<float> optimiser_;
  std::vector<std::vector<float>> gradients_;
  Tensor<float> x_, mask_, target_, weight_;
};

void train_step(benchmark::State& state) {
  static std::map<int, double> peaks; // by number of threads
  TrainingStep step(cases[state.range(0)], static_cast<int>(state.range(1)));
  auto& peak = peaks[step.backend().threads()];
  if (peak == 0) peak = sbi::bench::fma_peak(step.backend());
  step(); // the first one reserves memory
  for (auto _ : state) step();
  const Case& c = cases[state.range(0)];
  state.SetLabel(sbi::text("batch ", c.batch, ", ", c.tokens, " tokens, width ", c.width, ", ", c.heads,
                           " heads, MLP x", c.mlp_factor, ", ", step.backend().threads(), " threads"));
  const double operations = step.operations() * static_cast<double>(state.iterations()) * 1e-9;
  state.counters["GF/s"] = benchmark::Counter(operations, benchmark::Counter::kIsRate);
  state.counters["share"] = benchmark::Counter(operations / peak, benchmark::Counter::kIsRate);
}
BENCHMARK(train_step)
    ->ArgNames({"case", "threads"})
    ->ArgsProduct({{0, 1, 2, 3}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();
} // namespace

BENCHMARK_MAIN();
