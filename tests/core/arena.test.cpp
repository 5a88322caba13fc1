// SPDX-License-Identifier: MIT
#include <sbi/core/arena.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

using sbi::Arena;

TEST_CASE("core/arena: arrays are aligned, apart and writable to their ends") {
  Arena arena;
  auto* a = arena.array<char>(3);
  auto* b = arena.array<double>(1000);
  auto* c = arena.array<float>(200'000); // more than the first block
  for (const void* p : {static_cast<void*>(a), static_cast<void*>(b), static_cast<void*>(c)})
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 64 == 0);
  std::fill_n(a, 3, 'x');
  std::fill_n(b, 1000, 2.0);
  std::fill_n(c, 200'000, 3.0F);
  CHECK(a[2] == 'x');
  CHECK(std::count(b, b + 1000, 2.0) == 1000);
}

TEST_CASE("core/arena: zeros are zero on memory that was used before") {
  Arena arena;
  std::fill_n(arena.array<int>(5000), 5000, 7);
  arena.reset();
  const int* z = arena.zeros<int>(5000);
  CHECK(std::count(z, z + 5000, 0) == 5000);
  (void)arena.zeros<int>(0);
}

TEST_CASE("core/arena: a loop allocates in its first round only") {
  Arena arena;
  const auto round = [&] {
    arena.reset();
    for (sbi::index_t n : {10, 100'000, 3, 500'000, 50}) (void)arena.array<double>(n);
  };
  round();
  const auto reserved = arena.capacity();
  CHECK(reserved >= 600'063 * sizeof(double));
  for (int i = 0; i < 20; ++i) round();
  CHECK(arena.capacity() == reserved);
}

TEST_CASE("core/arena: a scope gives back what it took and no more") {
  Arena arena;
  int* kept = arena.array<int>(4);
  kept[0] = 42;
  int* first = nullptr;
  {
    const sbi::ArenaScope scope(arena);
    first = arena.array<int>(100);
    (void)arena.array<double>(1'000'000);
  }
  CHECK(arena.array<int>(100) == first);
  CHECK(kept[0] == 42);
}
