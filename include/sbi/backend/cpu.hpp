// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/task_pool.hpp>
#include <sbi/core/view.hpp>

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
  explicit Cpu(int threads = 0) : pool_(std::make_shared<detail::TaskPool<>>(checked(threads))) {}

  [[nodiscard]] int threads() const { return pool_->threads(); }

  /// The arena of the calling thread.
  [[nodiscard]] Arena& arena() const { return pool_->arena(); }

  /// Runs f(i) for i in [0, n), one task each, in any order on any thread. What f writes must depend on i
  /// only; then the result does not depend on the number of threads. The first exception thrown by a task is
  /// rethrown here.
  template <class F> void for_each(index_t n, F&& f) const {
    using Task = std::remove_reference_t<F>;
    // A call through a pointer, to a loop compiled once whatever the task: a task's work is large.
    pool_->run(
        n, [](const void* task, index_t i) { (*static_cast<Task*>(const_cast<void*>(task)))(i); },
        std::addressof(f));
  }

private:
  static int checked(int threads) {
    if (threads < 0) throw ValueError(sbi::text("cpu: threads = ", threads, "; want 0 (all) or more"));
    return threads;
  }
  std::shared_ptr<detail::TaskPool<>> pool_;
};

} // namespace sbi
