// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/backend/denormals.hpp>
#include <sbi/core/rng.hpp>

#include <doctest/doctest.h>
#include <tbb/global_control.h>

#include <atomic>
#include <limits>
#include <vector>

using sbi::Cpu;
using sbi::index_t;

namespace {
// TBB starts no more threads than the machine has cores unless it is told to; a race wants more.
struct ManyThreads {
  tbb::global_control control{tbb::global_control::max_allowed_parallelism, 8};
};
} // namespace

TEST_CASE_FIXTURE(ManyThreads, "backend/cpu: every index runs once, whatever the number of threads") {
  for (int threads : {1, 2, 4}) {
    const Cpu<float> cpu(threads);
    CHECK(cpu.threads() == threads);
    std::vector<std::atomic<int>> runs(1000);
    cpu.for_each(1000, [&](index_t i) { ++runs[static_cast<std::size_t>(i)]; });
    int wrong = 0;
    for (const auto& r : runs) wrong += r != 1;
    CHECK(wrong == 0);
    cpu.for_each(0, [&](index_t) { FAIL("nothing to run"); });
  }
  CHECK(Cpu<double>{}.threads() >= 1);
}

TEST_CASE_FIXTURE(ManyThreads, "backend/cpu: the same bits from any number of threads") {
  const auto run = [](int threads) {
    const Cpu<double> cpu(threads);
    const sbi::Rng rng(11);
    std::vector<double> out(300);
    cpu.for_each(300, [&](index_t i) {
      auto own = rng.split(static_cast<std::uint64_t>(i));
      for (int k = 0; k < 50; ++k) out[static_cast<std::size_t>(i)] += own.normal();
    });
    return out;
  };
  const auto one = run(1);
  CHECK(run(2) == one);
  CHECK(run(5) == one);
}

TEST_CASE_FIXTURE(ManyThreads, "backend/cpu: the arena belongs to the thread, and copies share it") {
  const Cpu<float> cpu(3);
  const Cpu<float> copy = cpu;
  CHECK(&copy.arena() == &cpu.arena());
  std::atomic<int> clashes{0};
  cpu.for_each(200, [&](index_t i) {
    const sbi::ArenaScope scope(cpu.arena());
    auto* mine = cpu.arena().array<index_t>(1000);
    for (int k = 0; k < 1000; ++k) mine[k] = i;
    for (int k = 0; k < 1000; ++k) clashes += mine[k] != i;
  });
  CHECK(clashes == 0);
  CHECK(&Cpu<float>(1).arena() != &cpu.arena());
}

TEST_CASE_FIXTURE(ManyThreads, "backend/cpu: loops nest") {
  const Cpu<float> cpu(2);
  std::atomic<int> runs{0};
  cpu.for_each(8, [&](index_t) { cpu.for_each(8, [&](index_t) { ++runs; }); });
  CHECK(runs == 64);
}

TEST_CASE_FIXTURE(ManyThreads,
                  "backend/cpu: a task's exception arrives at the caller, and the backend stays usable") {
  for (int threads : {1, 3}) {
    const Cpu<float> cpu(threads);
    const auto run = [&] {
      cpu.for_each(100, [](index_t i) {
        if (i == 57) throw sbi::ValueError("task 57");
      });
    };
    CHECK_THROWS_WITH_AS(run(), "task 57", sbi::ValueError);
    std::atomic<int> runs{0};
    cpu.for_each(10, [&](index_t) { ++runs; });
    CHECK(runs == 10);
  }
}

TEST_CASE("backend/cpu: a negative number of threads is refused") {
  CHECK_THROWS_WITH_AS(Cpu<float>(-2), "cpu: threads = -2; want 0 (all) or more", sbi::ValueError);
}

#if defined(__SSE2__)
TEST_CASE_FIXTURE(ManyThreads, "backend/cpu: tasks run in the caller's floating-point mode") {
  const Cpu<float> cpu(3);
  volatile float small = std::numeric_limits<float>::min(), half = 0.5f;
  const auto kept = [&] { // tasks that keep a denormal
    std::atomic<int> count{0};
    cpu.for_each(300, [&](index_t) { count += small * half > 0; });
    return count.load();
  };
  CHECK(kept() == 300);
  {
    const sbi::FlushDenormals flush;
    CHECK(kept() == 0);
  }
  CHECK(kept() == 300);
}
#endif
