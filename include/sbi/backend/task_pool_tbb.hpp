// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/task_order.hpp>
#include <sbi/backend/task_pool.hpp>

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace sbi::detail {

template <class Lazy> struct TaskPool<Lazy>::Threads {
  // At once: workers take over the floating-point mode of the moment, and a first call from under a tape
  // would hand its flushing of denormals to users' code.
  explicit Threads(int threads) : pool(threads) { pool.initialize(); }
  tbb::task_arena pool;
  tbb::enumerable_thread_specific<Arena> arenas;
};

template <class Lazy>
TaskPool<Lazy>::TaskPool(int threads)
    : threads_(std::make_unique<Threads>(threads == 0 ? int{tbb::task_arena::automatic} : threads)) {}
template <class Lazy> TaskPool<Lazy>::~TaskPool() = default;

template <class Lazy> int TaskPool<Lazy>::threads() const { return threads_->pool.max_concurrency(); }
template <class Lazy> Arena& TaskPool<Lazy>::arena() const { return threads_->arenas.local(); }

/// Never inlined, so that there is one copy of a task for both loops: inlined into each, it may fuse other
/// products with sums, and the bits would depend on the number of threads.
template <class Lazy>
[[gnu::noinline]] void TaskPool<Lazy>::run(index_t n, void (*call)(const void*, index_t),
                                           const void* task) const {
  if (n == 1 || threads() == 1) {
    for (index_t i = 0; i < n; ++i) call(task, i);
    return;
  }
  TaskOrder order;
  // Tasks run in the caller's floating-point mode, as on one thread.
  tbb::task_group_context context(tbb::task_group_context::bound, tbb::task_group_context::default_traits |
                                                                      tbb::task_group_context::fp_settings);
  threads_->pool.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<index_t>(0, n, 1),
        [&](const tbb::blocked_range<index_t>& range) SBI_NO_THREAD_SANITIZER { // `range` is TBB's
          const TaskOrder::Task ordered(order);
          for (index_t i = range.begin(); i < range.end(); ++i) call(task, i);
        },
        tbb::simple_partitioner{}, context);
  });
}

} // namespace sbi::detail
