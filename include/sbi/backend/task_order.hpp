// SPDX-License-Identifier: MIT
#pragma once
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define SBI_THREAD_SANITIZER
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define SBI_THREAD_SANITIZER
#endif
#ifdef SBI_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>
#define SBI_NO_THREAD_SANITIZER __attribute__((no_sanitize("thread")))
#else
#define SBI_NO_THREAD_SANITIZER
#endif

namespace sbi::detail {

/// Tells ThreadSanitizer what a loop of TBB orders: the caller's work before the tasks, theirs before what
/// the caller does next, also by an exception. It cannot see that itself: TBB's library is compiled without
/// it. Empty in other programs.
class TaskOrder {
public:
#ifdef SBI_THREAD_SANITIZER
  TaskOrder() { __tsan_release(&begun_); }
  ~TaskOrder() { __tsan_acquire(&ended_); }
  TaskOrder(const TaskOrder&) = delete;
  TaskOrder& operator=(const TaskOrder&) = delete;
  /// Lives as long as a task.
  struct Task {
    TaskOrder& order;
    explicit Task(TaskOrder& o) : order(o) { __tsan_acquire(&order.begun_); }
    ~Task() { __tsan_release(&order.ended_); }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
  };

private:
  char begun_ = 0, ended_ = 0;
#else
  struct Task {
    explicit Task(const TaskOrder&) {}
  };
#endif
};

} // namespace sbi::detail
