// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/compiled.hpp>
#include <sbi/core/arena.hpp>

#include <memory>

namespace sbi::detail {

/// The threads of a job and an arena for each of them. One class for all backends, in two headers: beside
/// sbi::compiled nobody waits for the scheduler's own to be parsed. (A template for that reason only.)
template <class Lazy = void> class TaskPool {
public:
  /// threads = 0: as many as the machine has.
  explicit TaskPool(int threads);
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;
  ~TaskPool();

  [[nodiscard]] int threads() const;
  /// The arena of the calling thread.
  [[nodiscard]] Arena& arena() const;
  /// call(task, i) for i in [0, n), in any order on any thread; rethrows the first exception.
  void run(index_t n, void (*call)(const void*, index_t), const void* task) const;

private:
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

} // namespace sbi::detail

#ifdef SBI_COMPILED
extern template class sbi::detail::TaskPool<>;
#else
#include <sbi/backend/task_pool_tbb.hpp>
#endif
