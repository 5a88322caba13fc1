// SPDX-License-Identifier: MIT
// One training step on the CPU, for bench/report and by itself, each as `train` does it: micro-batches,
// clipping, AdamW, averaging.
//   bare/BATCHxTOKENSxWIDTH    a transformer and a mean square: the work of bench/peers/train_step.py
//   simformer/...              a Simformer of that transformer: draws masks, times and noise, writes tokens
//   domain_score/SIMULATED     the model of examples/02_stars without the losses that couple rows
//   domain_coupled/SIMULATED   with all of them; 512 simulated rows make a batch of 1024 with the other kinds
// "Time" is that of 10 steps. Counters: the median and the fastest step in ms and, for bare steps, operations
// a second (those of the products of the blocks) and their share of the measured multiply-add peak of the
// threads.
#include "run.hpp"

#include <sbi/core/tensor.hpp>
#include <sbi/forward/stars.hpp>
#include <sbi/inference/domain_objective.hpp>
#include <sbi/inference/simformer.hpp>
#include <sbi/nn/transformer.hpp>
#include <sbi/ops/loss.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Tensor;
using sbi::View;
using Clock = std::chrono::steady_clock;

struct Case {
  index_t batch, tokens, width, heads, mlp_factor;
  [[nodiscard]] std::string name() const { return sbi::text(batch, "x", tokens, "x", width); }
};
constexpr Case cases[] = {{256, 16, 32, 2, 2},  {512, 32, 64, 4, 4}, {1024, 32, 64, 4, 4},
                          {256, 64, 128, 8, 4}, {300, 13, 50, 5, 4}, {128, 70, 96, 4, 4}};
constexpr index_t layers = 4;

/// A transformer, a projection to 16 outputs, and their weighted squares.
class BareStep {
public:
  static constexpr index_t outputs = 16;

  BareStep(const Case& c, int threads)
      : backend(threads), parameters(1), case_(c),
        transformer_(parameters, "transformer", {c.width, layers, c.heads, c.mlp_factor, 0}),
        out_(parameters, "out", c.width, outputs),
        samples_(std::max<index_t>(1, sbi::nn::rows_a_task / c.tokens)), x_({c.batch * c.tokens, c.width}),
        mask_({c.batch, c.tokens, c.tokens}), target_({c.batch * c.tokens, outputs}),
        weight_({c.batch * c.tokens, outputs}) {
    sbi::Rng rng(2);
    for (auto& v : x_) v = static_cast<float>(rng.normal());
    for (auto& v : weight_) v = 1.0f / static_cast<float>(c.batch * c.tokens * outputs);
    for (index_t i = 0; i < mask_.size(); ++i) // three in ten keys forbidden, never the first
      mask_.data()[i] =
          i % c.tokens != 0 && rng.bernoulli(0.3) ? -std::numeric_limits<float>::infinity() : 0.0f;
  }

  void prepare(sbi::Cpu<>&, const std::vector<float>&, index_t) {}
  [[nodiscard]] index_t chunks() const { return (case_.batch + samples_ - 1) / samples_; }
  template <class B> double chunk(sbi::Tape<B>& tape, index_t, index_t i) const {
    const index_t samples = std::min(samples_, case_.batch - i * samples_);
    const index_t rows = samples * case_.tokens, first = i * samples_ * case_.tokens;
    sbi::AttentionExtent<float> at;
    at.tokens = case_.tokens;
    at.mask = View<const float>(mask_.row(first), {samples, case_.tokens, case_.tokens});
    const auto x = tape.constant(x_.view().row_block(first, rows));
    const auto y = out_(tape, transformer_(tape, x, at));
    const auto loss = tape.apply(sbi::ops::WeightedSquares<float>{target_.view().row_block(first, rows),
                                                                  weight_.view().row_block(first, rows)},
                                 y);
    tape.backward(loss);
    return static_cast<double>(loss.value.data[0]);
  }
  [[nodiscard]] std::optional<double> validation_loss(sbi::Cpu<>&, const std::vector<float>&) const {
    return std::nullopt;
  }
  [[nodiscard]] std::string fingerprint() const { return "bare"; }

  /// Operations of the blocks' products: forward, and twice that for the gradients of both factors.
  [[nodiscard]] double operations() const {
    const double rows = static_cast<double>(case_.batch * case_.tokens), d = static_cast<double>(case_.width);
    const double dense = 2 * rows * d * d * static_cast<double>(4 + 2 * case_.mlp_factor);
    const double attention = 4 * rows * static_cast<double>(case_.tokens) * d;
    return 3 * static_cast<double>(layers) * (dense + attention);
  }

  sbi::Cpu<> backend;
  sbi::nn::Parameters<float> parameters;

private:
  Case case_;
  sbi::nn::Transformer transformer_;
  sbi::nn::Linear out_;
  index_t samples_; // of a micro-batch
  Tensor<float> x_, mask_, target_, weight_;
};

/// An objective that notes when each step begins.
template <class O> class Timed {
public:
  explicit Timed(O& inner) : inner_(inner) {}
  template <class B> void prepare(B& backend, const std::vector<float>& values, index_t step) {
    begins.push_back(Clock::now());
    inner_.prepare(backend, values, step);
  }
  [[nodiscard]] index_t chunks() const { return inner_.chunks(); }
  template <class B> double chunk(sbi::Tape<B>& tape, index_t step, index_t i) const {
    return inner_.chunk(tape, step, i);
  }
  template <class B> auto validation_loss(B& backend, const std::vector<float>& values) const {
    return inner_.validation_loss(backend, values);
  }
  [[nodiscard]] std::string fingerprint() const { return inner_.fingerprint(); }

  std::vector<Clock::time_point> begins;

private:
  O& inner_;
};

/// Runs of `train` of some steps each. Sets the counters and returns the median step in ms.
template <class O>
double train_steps(benchmark::State& state, sbi::Cpu<>& backend, sbi::nn::Parameters<float>& parameters,
                   O& objective) {
  constexpr index_t first = 2; // reserve memory
  sbi::FitOptions options;
  options.steps = first + 8, options.validation = 0, options.progress = false;
  std::vector<double> ms;
  for (auto _ : state) {
    Timed<O> timed(objective);
    train(backend, parameters, timed, options);
    for (std::size_t i = first + 1; i < timed.begins.size(); ++i)
      ms.push_back(std::chrono::duration<double, std::milli>(timed.begins[i] - timed.begins[i - 1]).count());
  }
  std::sort(ms.begin(), ms.end());
  state.counters["median_ms"] = ms[ms.size() / 2], state.counters["best_ms"] = ms.front();
  return ms[ms.size() / 2];
}

void bare(benchmark::State& state, const Case& c, int threads) {
  static std::map<int, double> peaks; // by number of threads
  auto& peak = peaks[threads];
  BareStep step(c, threads);
  if (peak == 0) peak = sbi::bench::fma_peak(step.backend);
  const double ms = train_steps(state, step.backend, step.parameters, step);
  const double rate = step.operations() * 1e-6 / ms;
  state.counters["GF/s"] = rate, state.counters["share"] = rate / peak, state.counters["peak"] = peak;
}

/// A quarter of the nodes are parameters, one in five observables is missing, the others have errors.
void simformer(benchmark::State& state, const Case& c, int threads) {
  const index_t rows = 4 * c.batch, parameters = c.tokens / 4, observables = c.tokens - parameters;
  sbi::Nodes nodes;
  nodes.parameters = parameters;
  for (index_t i = 0; i < c.tokens; ++i)
    nodes.names.push_back(sbi::text("node ", i)), nodes.bounds.emplace_back();
  sbi::SimformerConfig config;
  config.network.transformer = {c.width, layers, c.heads, c.mlp_factor, 32};
  sbi::Simformer model(sbi::Cpu<>(threads), nodes, config);
  sbi::Dataset data{Tensor<double>({rows, parameters}), Tensor<double>({rows, observables}),
                    Tensor<double>({rows, observables})};
  sbi::Rng rng(3);
  for (auto& v : data.theta) v = rng.normal();
  for (auto& v : data.x) v = rng.bernoulli(0.2) ? sbi::missing : rng.normal();
  for (auto& v : data.sigma) v = 0.1;
  sbi::detail::fit_transforms(model, data);
  sbi::FitOptions options;
  options.batch = c.batch, options.validation = 0;
  sbi::detail::SimformerObjective objective(model, data, options);
  train_steps(state, model.backend(), model.parameters(), objective);
}

/// The stars of examples/02_stars.
struct Stars {
  static constexpr index_t batch = 1024;
  sbi::Cpu<> cpu;
  sbi::DomainData data;
  sbi::DomainAdaptive<> model;

  explicit Stars(int threads) : cpu(threads), model(make(threads)) {
    const sbi::forward::Stars<> simulator = world(1, 1), reality = world(2, 2.5);
    const auto dataset = [](sbi::forward::StarSample s) {
      return sbi::Dataset{std::move(s.theta), std::move(s.x), std::move(s.sigma)};
    };
    const sbi::Rng rng(1);
    data.simulated = dataset(simulator.simulate_many(cpu, rng.split(1), 8 * batch));
    auto real = reality.simulate_many(cpu, rng.split(2), 4 * batch);
    data.real_x = std::move(real.x), data.real_sigma = std::move(real.sigma);
    auto pairs = sbi::forward::simulate_pairs(cpu, reality, simulator, rng.split(4), batch);
    data.pairs = dataset(std::move(pairs.first));
    data.partner_x = std::move(pairs.second.x), data.partner_sigma = std::move(pairs.second.sigma);
    sbi::DomainData simulated; // the losses meet a network that has learnt something
    simulated.simulated = data.simulated;
    sbi::FitOptions options;
    options.steps = 300, options.warmup = 50, options.validation = 0, options.progress = false;
    fit(model, simulated, sbi::Alignment::none(), options);
  }

private:
  static sbi::forward::Stars<> world(int family, double amplitude) {
    sbi::forward::StarOptions options;
    options.missingness = sbi::forward::Missingness::at_random(0.5);
    return sbi::forward::Stars<>({}, sbi::forward::AnalyticAtmosphere(family, amplitude), {}, options);
  }
  static sbi::DomainAdaptive<> make(int threads) {
    sbi::DomainAdaptiveConfig config;
    config.transformer = {32, 3, 2, 3, 32};
    config.value_octaves = 1;
    return {sbi::Cpu<>(threads),
            sbi::joint(world(1, 1)),
            {{"gaia", {"G", "BP", "RP", "parallax"}}, {"2mass", {"J", "H", "Ks"}}, {"wise", {"W1", "W2"}}},
            config,
            sbi::diffusion::VE(1e-2, 10)};
  }
};

/// 128 pairs beside the simulated rows and, where coupled, their partners and 256 real rows.
void domain(benchmark::State& state, index_t simulated, bool coupled, int threads) {
  static std::map<int, Stars> stars; // by number of threads
  const Stars& s = stars.try_emplace(threads, threads).first->second;
  sbi::Alignment alignment = coupled ? sbi::Alignment{} : sbi::Alignment::none();
  if (coupled) alignment.translation = 2'000;
  alignment.ramp = {-1, 1};
  sbi::FitOptions options;
  options.batch = simulated, options.validation = 0;
  auto model = s.model;
  sbi::DomainObjective objective(model, s.data, alignment, options);
  train_steps(state, model.backend(), model.parameters(), objective);
  if (coupled) state.counters["unconverged"] = static_cast<double>(objective.losses().unconverged);
}

void add(const std::string& name, int threads, auto&& run) {
  benchmark::RegisterBenchmark(sbi::text(name, "/threads:", threads).c_str(), run)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}
} // namespace

int main(int argc, char** argv) {
  const int most = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  for (int threads = 1; threads <= most; threads *= 2) {
    for (const Case& c : cases)
      add("bare/" + c.name(), threads, [=](benchmark::State& state) { bare(state, c, threads); });
    const Case& c = cases[1];
    add("simformer/" + c.name(), threads, [=](benchmark::State& state) { simformer(state, c, threads); });
    for (const index_t simulated : {512, 1024})
      for (const bool coupled : {false, true})
        add(sbi::text(coupled ? "domain_coupled/" : "domain_score/", simulated), threads,
            [=](benchmark::State& state) { domain(state, simulated, coupled, threads); });
  }
  return sbi::bench::run(argc, argv);
}
