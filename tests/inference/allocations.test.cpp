// SPDX-License-Identifier: MIT
// A program of its own: it replaces operator new. From the second training step on nothing may be allocated:
// steps take milliseconds, and an allocation a task would make threads wait for each other.
#include <sbi/inference/simformer.hpp>
#include <sbi/inference/trainer.hpp>
#include <sbi/nn/transformer.hpp>
#include <sbi/ops/loss.hpp>

#include <doctest/doctest.h>
#include <tbb/global_control.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>
#include <optional>
#include <thread>

namespace {
std::atomic<bool> counting{false};
std::atomic<long> allocations{0};

void* taken(std::size_t bytes, std::size_t alignment) {
  if (counting) ++allocations;
  bytes = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* p = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, bytes) : std::malloc(bytes);
  if (!p) throw std::bad_alloc();
  return p;
}
} // namespace

// All forms that the standard library's would otherwise turn into these: a sanitizer's do not.
void* operator new(std::size_t bytes) { return taken(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return taken(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return operator new(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return operator new(bytes); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {
using sbi::index_t;
using Cpu = sbi::Cpu<float>;

// TBB starts no more threads than the machine has cores unless it is told to.
struct ManyThreads {
  tbb::global_control control{tbb::global_control::max_allowed_parallelism, 8};
};

/// Runs `work` once on each thread of a backend: the first task of a thread waits for the others to begin. So
/// every thread's arena has the size it needs, whoever takes which task later.
template <class F> void on_every_thread(const Cpu& backend, F&& work) {
  std::atomic<int> begun{0};
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  backend.for_each(backend.threads(), [&](index_t) {
    ++begun;
    while (begun < backend.threads() && std::chrono::steady_clock::now() < patience)
      std::this_thread::yield();
    work();
  });
  REQUIRE(begun == backend.threads());
  REQUIRE(std::chrono::steady_clock::now() < patience);
}

/// Denoising of sequences of 13 tokens by a transformer, in micro-batches of 8 sequences.
struct Sequences {
  static constexpr index_t tokens = 13, samples = 8, batch = 40;
  sbi::nn::Parameters<float> parameters{5};
  sbi::nn::Linear in{parameters, "in", 3, 24};
  sbi::nn::Transformer transformer{parameters, "transformer", {24, 2, 4, 2, 0}};
  sbi::nn::Linear out{parameters, "out", 24, 1};
  index_t count_from = -1; ///< the step whose `prepare` turns counting on

  void prepare(Cpu&, const std::vector<float>&, index_t step) const {
    if (step == count_from) counting = true;
  }
  [[nodiscard]] index_t chunks() const { return batch / samples; }
  double chunk(sbi::Tape<Cpu>& tape, index_t step, index_t i) const {
    sbi::Rng rng = sbi::Rng(1).split(static_cast<std::uint64_t>(step * chunks() + i));
    const auto x = tape.scratch({samples * tokens, 3}), y = tape.scratch({samples * tokens, 1}),
               w = tape.scratch({samples * tokens, 1});
    for (index_t r = 0; r < x.rows(); ++r) {
      for (index_t c = 0; c < 3; ++c) x(r, c) = static_cast<float>(rng.normal());
      y(r, 0) = x(r, 0) - x(r, 2), w(r, 0) = 1;
    }
    sbi::AttentionExtent<float> at;
    at.tokens = tokens;
    const auto f = out(tape, transformer(tape, in(tape, tape.constant(x)), at));
    const auto loss = tape.apply(sbi::ops::WeightedSquares<float>{y, w}, f);
    const float share = 1.0F / (batch * tokens);
    tape.backward(loss, share);
    return static_cast<double>(loss.value.data[0] * share);
  }
  std::optional<double> validation_loss(Cpu&, const std::vector<float>&) const {
    counting = false; // the last step is done
    return std::nullopt;
  }
  [[nodiscard]] std::string fingerprint() const { return "sequences"; }
};

sbi::FitOptions steps(index_t n) {
  sbi::FitOptions o;
  o.steps = n, o.validate_every = n, o.batch = 64, o.progress = false;
  return o;
}

/// A simulator with gaps and errors.
struct Line {
  static constexpr std::array parameters{"a", "b"};
  static constexpr std::array observables{"x", "y", "z"};
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const {
    for (double& t : theta) t = rng.normal();
  }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x,
                std::span<double> sigma) const {
    for (std::size_t i = 0; i < x.size(); ++i) {
      sigma[i] = rng.uniform(0.1, 0.5);
      x[i] = rng.bernoulli(0.2) ? sbi::missing : rng.normal(theta[i % 2], sigma[i]);
    }
  }
};
} // namespace

TEST_CASE("inference/allocations: the counter counts") {
  allocations = 0, counting = true;
  void* one = ::operator new(8); // direct calls: compilers may leave out a `new` whose object nobody needs
  void* two = ::operator new[](256, std::align_val_t(64));
  counting = false;
  ::operator delete(one);
  ::operator delete[](two, std::align_val_t(64));
  CHECK(allocations.load() == 2);
}

TEST_CASE_FIXTURE(ManyThreads,
                  "inference/allocations: none in a training step through the modules, and none in the "
                  "loop around it, after the first") {
  for (int threads : {1, 2}) {
    CAPTURE(threads);
    Cpu backend(threads);
    Sequences task;
    std::vector<std::vector<float>> gradients(static_cast<std::size_t>(threads), task.parameters.values());
    std::atomic<std::size_t> next{0};
    on_every_thread(backend, [&] {
      sbi::Tape<Cpu> tape(backend, task.parameters.values().data(), gradients[next++].data());
      (void)task.chunk(tape, 0, 0);
    });
    allocations = 0;
    task.count_from = 1;
    const auto report = sbi::train(backend, task.parameters, task, steps(6));
    counting = false;
    CHECK(report.steps == 6);
    CHECK(allocations.load() == 0);
  }
}

TEST_CASE_FIXTURE(ManyThreads, "inference/allocations: none in a step of a Simformer after the first") {
  const sbi::Dataset data = sbi::simulate(Cpu(1), Line{}, 500, sbi::Rng(3));
  for (int threads : {1, 2}) {
    CAPTURE(threads);
    sbi::SimformerConfig config;
    config.network.transformer = {24, 2, 2, 2, 16};
    sbi::Simformer<> model(Cpu(threads), sbi::joint(Line{}), config);
    sbi::detail::fit_transforms(model, data);
    struct Counted : sbi::detail::SimformerObjective<Cpu, sbi::diffusion::VE> {
      using SimformerObjective::SimformerObjective;
      void prepare(Cpu& backend, const std::vector<float>& values, index_t step) {
        if (step == 1) counting = true;
        SimformerObjective::prepare(backend, values, step);
      }
      std::optional<double> validation_loss(Cpu&, const std::vector<float>&) const {
        counting = false;
        return std::nullopt;
      }
    } objective(model, data, steps(6));
    std::vector<std::vector<float>> gradients(static_cast<std::size_t>(threads), model.parameters().values());
    std::atomic<std::size_t> next{0};
    objective.prepare(model.backend(), model.parameters().values(), 0);
    on_every_thread(model.backend(), [&] {
      sbi::Tape<Cpu> tape(model.backend(), model.parameters().values().data(), gradients[next++].data());
      (void)objective.chunk(tape, 0, 0);
    });
    allocations = 0;
    (void)sbi::train(model.backend(), model.parameters(), objective, steps(6));
    counting = false;
    CHECK(allocations.load() == 0);
  }
}
