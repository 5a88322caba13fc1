// SPDX-License-Identifier: MIT
// Multi-head attention on one core, as a task of a training step meets it: about 128 rows at a time, a mask a
// sample. NAME/TOKENSxWIDTH/hHEADS/MASK: "value", or "gradients" (value and vector-Jacobian product).
// Counters: operations a second of the two products of the value and the four of the gradients, forbidden
// edges included, and their share of the measured multiply-add peak.
#include "run.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/attention.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

namespace {
using sbi::index_t;
using sbi::Tensor;

/// Whether query q of a sample of `tokens` may see key k.
using Allowed = std::function<bool(sbi::Rng&, index_t q, index_t k)>;
struct Case {
  index_t tokens, width, heads;
  std::string mask;
  Allowed allowed;
  index_t samples = 0; ///< 0: 128 rows
};

void attention(benchmark::State& state, const Case& c, bool gradients) {
  const sbi::FlushDenormals flush;
  sbi::Cpu<float> backend(1);
  static const double peak = sbi::bench::fma_peak(backend);
  const index_t samples = c.samples ? c.samples : std::max<index_t>(1, 128 / c.tokens),
                rows = samples * c.tokens;
  Tensor<float> qkv({rows, 3 * c.width}), mask({samples, c.tokens, c.tokens}), y({rows, c.width}),
      dy({rows, c.width}), dqkv({rows, 3 * c.width});
  sbi::Rng rng(1);
  for (Tensor<float>* x : {&qkv, &dy})
    for (auto& v : *x) v = static_cast<float>(rng.normal());
  index_t edges = 0;
  for (index_t r = 0; r < rows; ++r)
    for (index_t k = 0; k < c.tokens; ++k) {
      const bool open = c.allowed(rng, r % c.tokens, k);
      edges += open;
      mask.data()[r * c.tokens + k] = open ? 0.0f : -std::numeric_limits<float>::infinity();
    }
  const sbi::ops::Attention<float> op{{c.heads, c.tokens, mask.view(), {}, 0, 1}};
  Tensor<float> saved(op.saved(qkv.shape()));
  for (auto _ : state) {
    op.fwd(backend, qkv.view(), y.view(), saved.view());
    if (gradients) {
      std::fill(dqkv.begin(), dqkv.end(), 0.0f);
      op.vjp(backend, qkv.view(), std::as_const(y).view(), std::as_const(saved).view(), dy.view(),
             dqkv.view());
    }
    benchmark::ClobberMemory();
  }
  const double operations = (gradients ? 12.0 : 4.0) * static_cast<double>(rows * c.tokens * c.width);
  state.counters["rate"] = benchmark::Counter(operations, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["share"] =
      benchmark::Counter(operations / (peak * 1e9), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["density"] = static_cast<double>(edges) / static_cast<double>(rows * c.tokens);
}
} // namespace

int main(int argc, char** argv) {
  const auto add = [](const Case& c) {
    for (const bool gradients : {false, true})
      benchmark::RegisterBenchmark(
          sbi::text(gradients ? "gradients/" : "value/", c.tokens, "x", c.width, "/h", c.heads, "/", c.mask)
              .c_str(),
          attention, c, gradients)
          ->Unit(benchmark::kMicrosecond);
  };
  const Allowed most = [](sbi::Rng& rng, index_t, index_t k) { return k == 0 || !rng.bernoulli(0.3); };
  add({16, 32, 2, "random", most});
  add({32, 64, 4, "random", most});
  add({64, 128, 8, "random", most});
  add({13, 50, 5, "random", most});
  add({70, 96, 4, "random", most});
  for (const index_t tokens : {64, 128, 256, 512, 1024}) {
    const auto dense = [](sbi::Rng&, index_t, index_t) { return true; };
    const auto missing = [](sbi::Rng&, index_t q, index_t k) { return q % 2 == 0 && k % 2 == 0; };
    const auto band = [](sbi::Rng&, index_t q, index_t k) { return std::abs(q - k) <= 32; };
    const auto blocks = [tokens](sbi::Rng&, index_t q, index_t k) {
      return q / (tokens / 8) == k / (tokens / 8);
    };
    add({tokens, 64, 4, "dense", dense, 2});
    add({tokens, 64, 4, "missing half", missing, 2});
    add({tokens, 64, 4, "band 65", band, 2});
    add({tokens, 64, 4, "8 blocks", blocks, 2});
    for (const double density : {0.15, 0.05, 0.01})
      add({tokens, 64, 4, sbi::text("random ", density),
           [=](sbi::Rng& rng, index_t, index_t) { return rng.bernoulli(density); }, 2});
  }
  return sbi::bench::run(argc, argv);
}
