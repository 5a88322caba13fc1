// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace sbi {

/// One block of Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011, SC'11): four random words from a 128-bit
/// counter and a 64-bit key. Stateless, so the same numbers come from any thread and any device.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                                std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2511F53ULL * counter[0], b = 0xCD9E8D57ULL * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

/// A counter-based stream of random numbers: seed, stream and position say everything about it. `split` names
/// independent streams (one a star, a row, a task), which makes results independent of the number of threads.
/// Satisfies UniformRandomBitGenerator, so the distributions of <random> take it.
class Rng {
public:
  using result_type = std::uint32_t;
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  /// An independent stream of the same seed; the same `child` gives the same stream, whatever was drawn here.
  [[nodiscard]] Rng split(std::uint64_t child) const { return Rng(seed_, mix(stream_ + mix(child + 1))); }

  result_type operator()() {
    if (used_ == 4) {
      block_ = philox4x32({low(position_), high(position_), low(stream_), high(stream_)},
                          {low(seed_), high(seed_)});
      ++position_;
      used_ = 0;
    }
    return block_[static_cast<std::size_t>(used_++)];
  }
  /// Uniform on the open interval (0, 1), 53 bits.
  double uniform() {
    const std::uint64_t a = (*this)() >> 5, b = (*this)() >> 6;
    return std::min((static_cast<double>(a << 26 | b) + 0.5) * 0x1p-53,
                    1 - 0x1p-53); // the last one rounds up
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Standard normal (Box-Muller; the second value is kept for the next call).
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double r = std::sqrt(-2 * std::log(uniform())), phi = 2 * std::numbers::pi * uniform();
    spare_ = r * std::sin(phi);
    has_spare_ = true;
    return r * std::cos(phi);
  }
  double normal(double mean, double sigma) { return mean + sigma * normal(); }
  /// Uniform on {0, ..., n - 1}; n must be positive. Bias below n / 2^64.
  index_t below(index_t n) {
    const std::uint64_t high = (*this)(), word = high << 32 | (*this)();
    __extension__ using wide = unsigned __int128;
    return static_cast<index_t>((static_cast<wide>(word) * static_cast<std::uint64_t>(n)) >> 64);
  }
  bool bernoulli(double p) { return uniform() < p; }

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] std::uint64_t stream() const { return stream_; }

private:
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
  static constexpr std::uint64_t
  mix(std::uint64_t z) { // SplitMix64 finaliser: a bijection that scatters bits
    z += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }

  std::uint64_t seed_, stream_, position_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
  double spare_ = 0;
  bool has_spare_ = false;
};

/// Fisher-Yates permutation of an indexable range.
template <class Range> void shuffle(Rng& rng, Range& range) {
  using std::swap;
  for (index_t i = static_cast<index_t>(range.size()) - 1; i > 0; --i)
    swap(range[static_cast<std::size_t>(i)], range[static_cast<std::size_t>(rng.below(i + 1))]);
}

} // namespace sbi
