// SPDX-License-Identifier: MIT
#include <sbi/backend/backend.hpp>

#include <doctest/doctest.h>

#include <type_traits>

namespace {
struct WithoutArena {
  using param_t = float;
  using compute_t = float;
  using space = sbi::Host;
  [[nodiscard]] int threads() const { return 1; }
  void for_each(sbi::index_t, auto&&) const {}
};
} // namespace

TEST_CASE("backend/backend: what is a backend and what is not") {
  static_assert(sbi::Backend<sbi::Cpu<float>> && sbi::Backend<sbi::Cpu<double>>);
  static_assert(sbi::Backend<sbi::Reference<float>> && sbi::Backend<sbi::Reference<double>>);
  static_assert(!sbi::Backend<WithoutArena> && !sbi::Backend<int>);
  static_assert(sbi::is_reference_v<sbi::Reference<float>> && !sbi::is_reference_v<sbi::Cpu<float>>);
  static_assert(std::is_same_v<sbi::Cpu<>::param_t, float>);
  static_assert(std::is_same_v<sbi::Reference<>::compute_t, double>);
  const sbi::Cpu cpu{1}; // float without being named
  static_assert(std::is_same_v<decltype(cpu), const sbi::Cpu<float>>);
  CHECK(cpu.threads() == 1);
}
