// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/task_order.hpp>
#include <sbi/core/arena.hpp>
#include <sbi/core/view.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <memory>
#include <type_traits>

namespace sbi {

/// The backend of this machine's cores. It owns the threads a job may use and one memory arena a thread; it
/// is passed in, never global, and copies share both. Kernels themselves run on the thread that calls them:
/// parallel work is cut into tasks (micro-batches, blocks of samples) that each run a whole computation in
/// their own arena.
template <class T = float> class Cpu {
public:
  static_assert(std::is_floating_point_v<T>, "sbi: Cpu<T> wants float or double");
  using param_t = T;
  using compute_t = T;
  using index_t = sbi::index_t;
  using space = Host;

  /// threads = 0: as many as the machine has. Throws ValueError for a negative number.
  explicit Cpu(int threads = 0) : shared_(std::make_shared<Shared>(checked(threads))) {}

  [[nodiscard]] int threads() const { return shared_->pool.max_concurrency(); }

  /// The arena of the calling thread.
  [[nodiscard]] Arena& arena() const { return shared_->arenas.local(); }

  /// Runs f(i) for i in [0, n), one task each, in any order on any thread. What f writes must depend on i
  /// only; then the result does not depend on the number of threads. The first exception thrown by a task is
  /// rethrown here.
  template <class F> void for_each(index_t n, F&& f) const {
    using Task = std::remove_reference_t<F>;
    run(
        n, [](const void* task, index_t i) { (*static_cast<Task*>(const_cast<void*>(task)))(i); },
        std::addressof(f));
  }

private:
  /// TBB's loop, compiled once whatever the task: a task's work is large, a call through a pointer costs
  /// nothing. And one copy of a task for both loops: inlined into each, it may fuse other products with sums,
  /// and the bits would depend on the number of threads.
  [[gnu::noinline]] void run(index_t n, void (*call)(const void*, index_t), const void* task) const {
    if (n == 1 || threads() == 1) {
      for (index_t i = 0; i < n; ++i) call(task, i);
      return;
    }
    detail::TaskOrder order;
    shared_->pool.execute([&] {
      tbb::parallel_for(
          tbb::blocked_range<index_t>(0, n, 1),
          [&](const tbb::blocked_range<index_t>& range) SBI_NO_THREAD_SANITIZER { // `range` is TBB's
            const detail::TaskOrder::Task ordered(order);
            for (index_t i = range.begin(); i < range.end(); ++i) call(task, i);
          },
          tbb::simple_partitioner{});
    });
  }
  static int checked(int threads) {
    if (threads < 0) throw ValueError(sbi::text("cpu: threads = ", threads, "; want 0 (all) or more"));
    return threads == 0 ? tbb::task_arena::automatic : threads;
  }
  struct Shared {
    // At once: workers take over the floating-point mode of the moment, and a first call from under a tape
    // would hand its flushing of denormals to users' code.
    explicit Shared(int threads) : pool(threads) { pool.initialize(); }
    tbb::task_arena pool;
    tbb::enumerable_thread_specific<Arena> arenas;
  };
  std::shared_ptr<Shared> shared_;
};

} // namespace sbi
