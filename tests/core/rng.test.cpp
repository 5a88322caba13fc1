// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

using sbi::Rng;
using Block = std::array<std::uint32_t, 4>;

TEST_CASE("core/rng: the published known answers of Philox4x32-10") { // Random123, kat_vectors
  CHECK(sbi::philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  constexpr std::uint32_t all = 0xffffffff;
  CHECK(sbi::philox4x32({all, all, all, all}, {all, all}) ==
        Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(sbi::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("core/rng: a stream is Philox over seed, stream and position") {
  Rng rng(0x299f31d0a4093822, 0x0370734413198a2e);
  const Block first = sbi::philox4x32({0, 0, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
  const Block second = sbi::philox4x32({1, 0, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0});
  for (auto word : first) CHECK(rng() == word);
  for (auto word : second) CHECK(rng() == word);
}

TEST_CASE("core/rng: split does not depend on what was drawn, and children differ") {
  Rng a(7), b(7);
  for (int i = 0; i < 13; ++i) (void)a.normal();
  CHECK(a.split(3).stream() == b.split(3).stream());
  CHECK(a.split(3).seed() == 7);
  std::vector<std::uint64_t> streams;
  for (std::uint64_t i = 0; i < 200; ++i)
    for (std::uint64_t j = 0; j < 200; ++j) streams.push_back(b.split(i).split(j).stream());
  std::sort(streams.begin(), streams.end());
  CHECK(std::adjacent_find(streams.begin(), streams.end()) == streams.end()); // chance of a clash: 4e-11
}

TEST_CASE("core/rng: uniform is open, flat and uncorrelated between streams") {
  const Rng root(1);
  Rng a = root.split(0), b = root.split(1);
  constexpr int n = 200'000;
  double sum = 0, squares = 0, product = 0, low = 1, high = 0;
  for (int i = 0; i < n; ++i) {
    const double u = a.uniform(), v = b.uniform();
    sum += u, squares += u * u, product += (u - 0.5) * (v - 0.5);
    low = std::min(low, u), high = std::max(high, u);
  }
  // Five standard errors: those of the mean, the mean square and the covariance of uniform numbers.
  const double root_n = std::sqrt(n);
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12) / root_n);
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45) / root_n);
  CHECK(std::abs(product / n) < 5 / 12.0 / root_n);
  CHECK(low > 0);
  CHECK(high < 1);
  CHECK(low < 1e-4);
  CHECK(high > 1 - 1e-4);
  Rng c(4);
  const double x = c.uniform(-3, 5);
  CHECK((x > -3 && x < 5));
}

TEST_CASE("core/rng: normal has the moments and the tails of a normal") {
  Rng rng(2);
  constexpr int n = 200'000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond = 0;
  for (int i = 0; i < n; ++i) {
    const double z = rng.normal();
    sum += z, squares += z * z, fourth += z * z * z * z;
    beyond += std::abs(z) > 3;
  }
  const double root_n = std::sqrt(n); // five standard errors again: 1, sqrt 2, sqrt 96 a draw
  CHECK(std::abs(sum / n) < 5 / root_n);
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2.0) / root_n);
  CHECK(std::abs(fourth / n - 3) < 5 * std::sqrt(96.0) / root_n);
  const double expected = n * std::erfc(3 / std::sqrt(2.0));
  CHECK(std::abs(beyond - expected) < 5 * std::sqrt(expected));
  Rng a(3), b(3);
  CHECK(a.normal(10, 2) == 10 + 2 * b.normal());
}

TEST_CASE("core/rng: below covers its range evenly, also near 2^63") {
  Rng rng(5);
  std::array<int, 7> count{};
  constexpr int n = 70'000;
  for (int i = 0; i < n; ++i) ++count[static_cast<std::size_t>(rng.below(7))];
  double chi_squared = 0;
  for (int c : count) chi_squared += (c - n / 7.0) * (c - n / 7.0) / (n / 7.0);
  CHECK(chi_squared < 29); // 6 degrees of freedom: probability 6e-5
  CHECK(rng.below(1) == 0);
  const sbi::index_t most = std::numeric_limits<sbi::index_t>::max();
  for (int i = 0; i < 100; ++i) {
    const auto x = rng.below(most);
    CHECK((x >= 0 && x < most));
  }
}

TEST_CASE("core/rng: shuffle permutes, every item everywhere") {
  Rng rng(6);
  std::array<int, 5> at{};
  for (int i = 0; i < 10'000; ++i) {
    std::vector<int> items{0, 1, 2, 3, 4};
    sbi::shuffle(rng, items);
    ++at[static_cast<std::size_t>(std::find(items.begin(), items.end(), 0) - items.begin())];
    std::sort(items.begin(), items.end());
    REQUIRE(items == std::vector<int>{0, 1, 2, 3, 4});
  }
  for (int c : at) CHECK(std::abs(c - 2000) < 200); // five standard deviations of a count of 2000 in 10000
  std::vector<int> none;
  sbi::shuffle(rng, none);
}

TEST_CASE("core/rng: the distributions of <random> take it; bernoulli keeps its ends") {
  static_assert(std::uniform_random_bit_generator<Rng>);
  Rng rng(8);
  std::poisson_distribution<int> poisson(3.0);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) sum += poisson(rng);
  CHECK(std::abs(sum / 10'000 - 3) < 5 * std::sqrt(3.0 / 10'000));
  for (int i = 0; i < 1000; ++i) {
    CHECK(!rng.bernoulli(0));
    CHECK(rng.bernoulli(1));
  }
}
