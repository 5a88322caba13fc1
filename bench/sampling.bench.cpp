// SPDX-License-Identifier: MIT
// Posterior sampling, for bench/report and by itself; weights are the initial ones, speed does not depend on
// them. DPM-Solver++ in ten steps, twelve passes through the network, as in examples/02_stars.
//   stars/GROUPSxSAMPLES     the model of examples/02_stars from magnitudes to samples, half of all values
//                            missing. The task is 1000 stars with 1000 samples each; GROUPS x SAMPLES is a
//                            part of it. Counter: stars a second at 1000 samples a star
//   cache/LATENT+GIVEN/...   a score network on tokens alone, nothing missing, by cached keys and values
//   ("Time")
//                            and by taking all tokens through at each step ("general_ms"); both in turn.
//                            Counters: speedup is their ratio; counted, what it would be if time went with
//                            the multiply-adds of products and attention; share, of the one in the other;
//                            GF/s of those of the cached path, and its share of the measured multiply-add
//                            peak; allocations a step
#include "run.hpp"

#include <sbi/inference/domain_adaptation.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {
std::atomic<long> allocations{0};
}
// Not inlined: GCC would see memory of malloc that is deleted, and delete that frees memory of new.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  const auto a = static_cast<std::size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }

namespace {
using sbi::index_t;
using sbi::Tensor;
using Solver = std::variant<sbi::diffusion::DpmSolver>;
const sbi::diffusion::DpmSolver solver{10, 5};
const sbi::diffusion::VE ve(1e-2, 10);

/// Tokens of a sample: latent nodes, given nodes, embeddings of surveys.
struct Case {
  index_t latent, given, embeddings;
  sbi::nn::TransformerConfig transformer;
  index_t octaves, groups, samples;
  [[nodiscard]] std::string name() const {
    return sbi::text(latent, "+", given + embeddings, "/", groups, "x", samples);
  }
};
const Case cases[] = {{4, 0, 4, {32, 3, 2, 3, 32}, 1, 10, 1000}, // examples/02_stars
                      {8, 40, 0, {}, 4, 2, 500},
                      {8, 40, 0, {}, 4, 50, 10},
                      {6, 14, 0, {}, 4, 2, 500},
                      {2, 2, 0, {}, 4, 1, 4000}};

class Tokens {
public:
  Tokens(const Case& c, bool cached, int threads)
      : backend(threads), case_(c), network_(parameters_, "score", c.latent + c.given, make(c, cached)),
        values_({c.groups, std::max<index_t>(c.given, 1)}),
        embeddings_({c.groups * std::max<index_t>(c.embeddings, 1), embedding_width}) {
    sbi::Rng rng(3);
    for (auto& v : values_) v = static_cast<float>(rng.normal());
    for (auto& v : embeddings_) v = static_cast<float>(rng.normal());
    for (index_t i = 0; i < c.latent + c.given; ++i)
      (i < c.latent ? latent_ : given_).push_back(static_cast<std::int32_t>(i));
  }
  index_t sample(int steps = solver.steps) {
    const auto fill = [&](auto& tape, index_t first, index_t groups, sbi::ContextRows<float>& rows) {
      std::fill_n(rows.present.data, rows.present.size(), 1.0f);
      for (index_t g = 0; g < groups; ++g)
        for (index_t j = 0; j < case_.given; ++j)
          network_.tokenizer().write(sbi::nn::NodeState<float>{values_(first + g, j), 0.1f, false, true},
                                     rows.features.row(g * case_.given + j));
      if (case_.embeddings > 0)
        rows.embeddings = tape.constant(
            std::as_const(embeddings_).view().row_block(first * case_.embeddings, groups * case_.embeddings));
    };
    index_t evaluations = 0;
    benchmark::DoNotOptimize(
        sbi::sample_latent(
            backend, network_, parameters_.values(), ve, Solver(sbi::diffusion::DpmSolver{steps, solver.rho}),
            case_.groups, case_.samples, sbi::View<const std::int32_t>(latent_.data(), {case_.latent}),
            sbi::View<const std::int32_t>(given_.data(), {case_.given}), fill, sbi::Rng(1), &evaluations)
            .data());
    return evaluations;
  }
  /// Multiply-adds of a run: products and attention of the tokens taken through at each evaluation, and once
  /// a group of those that are kept.
  [[nodiscard]] double multiply_adds(index_t evaluations) const {
    const auto& t = case_.transformer;
    const auto pass = [&](index_t latent, index_t given, index_t embeddings, index_t keys) {
      const index_t w = t.width, all = latent + given + embeddings;
      const index_t layer = all * (4 + 2 * t.mlp_factor) * w * w + 2 * all * keys * w;
      return static_cast<double>(
          t.layers * layer +
          w * ((latent + given) * network_.tokenizer().features() + embeddings * embedding_width) +
          latent * w);
    };
    const index_t context = case_.given + case_.embeddings, keys = case_.latent + context;
    const auto rows = static_cast<double>(case_.groups * case_.samples * evaluations);
    if (!network_.config().cached_context)
      return rows * pass(case_.latent, case_.given, case_.embeddings, keys);
    return rows * pass(case_.latent, 0, 0, keys) +
           static_cast<double>(case_.groups) * pass(0, case_.given, case_.embeddings, context);
  }

  sbi::Cpu<> backend;

private:
  static constexpr index_t embedding_width = 32;
  static sbi::ScoreNetworkConfig make(const Case& c, bool cached) {
    return {c.transformer, c.octaves, c.embeddings, c.embeddings > 0 ? embedding_width : 0, cached};
  }
  Case case_;
  sbi::nn::Parameters<float> parameters_{1};
  sbi::ScoreNetwork network_;
  Tensor<float> values_, embeddings_;
  std::vector<std::int32_t> latent_, given_;
};

void cache(benchmark::State& state, const Case& c, int threads) {
  static std::map<int, double> peaks; // by number of threads
  Tokens cached(c, true, threads), general(c, false, threads);
  auto& peak = peaks[threads];
  if (peak == 0) peak = sbi::bench::fma_peak(cached.backend);
  const auto seconds = [](Tokens& tokens) {
    const auto begin = std::chrono::steady_clock::now();
    (void)tokens.sample();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const index_t evaluations = cached.sample();
  (void)general.sample();
  std::vector<double> fast, slow;
  for (auto _ : state) {
    slow.push_back(seconds(general));
    fast.push_back(seconds(cached));
    state.SetIterationTime(fast.back());
  }
  const auto median = [](std::vector<double>& v) {
    std::sort(v.begin(), v.end());
    return v[v.size() / 2];
  };
  const double f = median(fast), s = median(slow);
  const double counted = general.multiply_adds(evaluations) / cached.multiply_adds(evaluations);
  const double rate = 2e-9 * cached.multiply_adds(evaluations) / f;
  const auto allocated = [&](int steps) {
    const long before = allocations;
    (void)cached.sample(steps);
    return static_cast<double>(allocations - before);
  };
  const double few = allocated(2), many = allocated(12);
  state.counters["cached_ms"] = 1e3 * f, state.counters["general_ms"] = 1e3 * s;
  state.counters["speedup"] = s / f, state.counters["counted"] = counted;
  state.counters["share"] = s / f / counted;
  state.counters["GF/s"] = rate, state.counters["of_peak"] = rate / peak;
  state.counters["allocations_a_step"] = (many - few) / 10;
  state.counters["samples/s"] = static_cast<double>(c.groups * c.samples) / f;
}

/// Examples/02_stars: four parameters, three surveys and their pool.
void stars(benchmark::State& state, index_t groups, index_t samples, int threads) {
  sbi::Nodes nodes;
  for (const char* name :
       {"log M", "[M/H]", "A_V", "log d", "G", "BP", "RP", "parallax", "J", "H", "Ks", "W1", "W2"})
    nodes.names.emplace_back(name), nodes.bounds.emplace_back();
  nodes.parameters = 4;
  sbi::DomainAdaptiveConfig config;
  config.transformer = {32, 3, 2, 3, 32};
  config.value_octaves = 1;
  sbi::DomainAdaptive model(
      sbi::Cpu<>(threads), nodes,
      {{"gaia", {"G", "BP", "RP", "parallax"}}, {"2mass", {"J", "H", "Ks"}}, {"wise", {"W1", "W2"}}}, config,
      ve);
  Tensor<double> x({groups, nodes.observables()}), sigma(x.shape());
  sbi::Rng rng(4);
  for (auto& v : x) v = rng.bernoulli(0.5) ? sbi::missing : rng.normal();
  for (auto& e : sigma) e = 0.1;
  index_t evaluations = 0;
  sbi::SampleOptions options;
  options.solver = solver, options.evaluations = &evaluations;
  for (auto _ : state)
    benchmark::DoNotOptimize(model.sample(x, sigma, sbi::Domain::simulated, samples, rng, options));
  state.counters["stars/s"] = benchmark::Counter(static_cast<double>(groups * samples) / 1000,
                                                 benchmark::Counter::kIsIterationInvariantRate);
  state.counters["evaluations"] = static_cast<double>(evaluations);
}
} // namespace

int main(int argc, char** argv) {
  const int most = std::max(2, static_cast<int>(std::thread::hardware_concurrency()));
  for (int threads = 1; threads <= most; threads *= 2) {
    const auto add = [&](const std::string& name, auto&& run) {
      return benchmark::RegisterBenchmark(sbi::text(name, "/threads:", threads).c_str(), run)
          ->Unit(benchmark::kMillisecond);
    };
    for (const auto& run : {std::pair<index_t, index_t>{1000, 30}, {30, 1000}})
      add(sbi::text("stars/", run.first, "x", run.second), [groups = run.first, samples = run.second,
                                                            threads](benchmark::State& state) {
        stars(state, groups, samples, threads);
      })->UseRealTime();
    for (const Case& c : cases)
      add("cache/" + c.name(), [=](benchmark::State& state) { cache(state, c, threads); })->UseManualTime();
  }
  return sbi::bench::run(argc, argv);
}
