// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/arena.hpp>
#include <sbi/core/view.hpp>

#include <memory>
#include <type_traits>

namespace sbi {

/// The oracle: products and attention as the loops of their definition, row kernels one element at a time
/// from the one source they share with Cpu; one thread, accumulation in double.
template <class T = double> class Reference {
public:
  static_assert(std::is_floating_point_v<T>, "sbi: Reference<T> wants float or double");
  using param_t = T;
  using compute_t = T;
  using index_t = sbi::index_t;
  using space = Host;

  Reference() : arena_(std::make_shared<Arena>()) {}
  [[nodiscard]] int threads() const { return 1; }
  [[nodiscard]] Arena& arena() const { return *arena_; }
  template <class F> void for_each(index_t n, F&& f) const {
    for (index_t i = 0; i < n; ++i) f(i);
  }

private:
  std::shared_ptr<Arena> arena_;
};

} // namespace sbi
