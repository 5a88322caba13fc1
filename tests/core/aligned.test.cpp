// SPDX-License-Identifier: MIT
#include <sbi/core/aligned.hpp>

#include <doctest/doctest.h>

#include <cstdint>

TEST_CASE(
    "core/aligned: a vector's values begin with a cache line, wherever it has grown or been copied to") {
  const auto begins = [](const auto& v) { return reinterpret_cast<std::uintptr_t>(v.data()) % 64 == 0; };
  sbi::AlignedVector<float> grown;
  for (int i = 0; i < 1000; ++i) {
    grown.push_back(static_cast<float>(i));
    REQUIRE(begins(grown));
  }
  const sbi::AlignedVector<float> copy = grown;
  CHECK(begins(copy));
  CHECK(copy == grown);
  for (std::size_t n = 1; n < 200; ++n) { // small ones, whose memory an allocator puts side by side
    const sbi::AlignedVector<double> one(n), other(n);
    REQUIRE((begins(one) && begins(other)));
  }
}
