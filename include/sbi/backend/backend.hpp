// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/backend/reference.hpp>

#include <concepts>

namespace sbi {

/// Where a computation runs: element types, memory space, an arena for the calling thread and a task loop.
template <class B>
concept Backend = requires(const B& be) {
  typename B::param_t;
  typename B::compute_t;
  typename B::space;
  { be.arena() } -> std::same_as<Arena&>;
  { be.threads() } -> std::convertible_to<int>;
  be.for_each(index_t{1}, [](index_t) {});
};

/// A backend whose computations run in the host's memory.
template <class B>
concept OnHost = std::same_as<typename B::space, Host>;

template <class B> struct is_reference : std::false_type {};
template <class T> struct is_reference<Reference<T>> : std::true_type {};
template <class B> inline constexpr bool is_reference_v = is_reference<B>::value;

} // namespace sbi
