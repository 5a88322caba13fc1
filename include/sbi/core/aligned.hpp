// SPDX-License-Identifier: MIT
#pragma once
#include <cstddef>
#include <new>
#include <vector>

namespace sbi {

inline constexpr std::size_t cache_line = 64; ///< bytes

/// Memory that starts with a cache line: a vector of 16 or 32 bytes never straddles two, one of 64 is one.
template <class T> struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{cache_line};

  AlignedAllocator() = default;
  template <class U> AlignedAllocator(const AlignedAllocator<U>&) {}
  [[nodiscard]] T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), alignment));
  }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
  friend bool operator==(AlignedAllocator, AlignedAllocator) { return true; }
};
template <class T> using AlignedVector = std::vector<T, AlignedAllocator<T>>;

} // namespace sbi
