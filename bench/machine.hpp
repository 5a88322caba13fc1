// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/core/simd.hpp>

#include <algorithm>
#include <chrono>
#include <limits>

namespace sbi::bench {

/// The widest vectors that this program was built for.
inline constexpr const char* instruction_set = native_vector_bytes == 64   ? "AVX-512"
                                               : native_vector_bytes == 32 ? "AVX2"
                                                                           : "128 bits";

/// Float multiply-adds a second that the threads of `backend` reach together on registers alone, in GF/s (a
/// multiply-add counts twice): what no kernel can beat. The best of a few tries of 20 ms.
inline double fma_peak(const Cpu<float>& backend) {
  using V = Vec<float>;
  constexpr int chains = 12; // enough to hide the latency of four cycles on two units
  constexpr index_t rounds = 1'000'000;
  double best = std::numeric_limits<double>::infinity();
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    backend.for_each(backend.threads(), [](index_t seed) {
      V sum[chains];
      for (int c = 0; c < chains; ++c) sum[c] = V(static_cast<float>(seed + c));
      const V a(0.999f), b(1e-3f);
      for (index_t r = 0; r < rounds; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < chains; ++c) sum[c] = sum[c] * a + b;
      for (const V& s : sum) asm volatile("" : : "m"(s));
    });
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    best = std::min(best, time.count());
  }
  return 2.0 * chains * V::lanes * static_cast<double>(rounds * backend.threads()) / best * 1e-9;
}

} // namespace sbi::bench
