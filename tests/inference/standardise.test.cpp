// SPDX-License-Identifier: MIT
#include <sbi/inference/standardise.hpp>

#include <doctest/doctest.h>

#include <array>

using doctest::Approx;
using sbi::Bounds;
using sbi::NodeTransform;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::array<Bounds, 4> kinds{Bounds{}, {-2, 3}, {1, infinity}, {-infinity, 5}};

std::vector<double> inside(Bounds b, int n, std::uint64_t seed) {
  sbi::Rng rng(seed);
  std::vector<double> out;
  for (int i = 0; i < n; ++i) {
    const double u = rng.uniform();
    const bool low = sbi::is_finite(b.low), high = sbi::is_finite(b.high);
    out.push_back(low && high ? b.low + (b.high - b.low) * u
                  : low       ? b.low + 10 * u
                  : high      ? b.high - 10 * u
                              : rng.normal(7, 4));
  }
  return out;
}

} // namespace

TEST_CASE("inference/standardise: to the network and back, for every kind of bounds") {
  for (const Bounds bounds : kinds) {
    const auto values = inside(bounds, 2000, 3);
    NodeTransform t(bounds);
    t.fit(values, "node");
    double sum = 0, square = 0;
    for (double v : values) {
      const double z = t.to_network(v);
      sum += z, square += z * z;
      CHECK(t.from_network(z) == Approx(v).epsilon(1e-12)); // rounding of exp and log only
    }
    const auto n = static_cast<double>(values.size());
    CHECK(std::abs(sum / n) < 1e-12); // mean and variance are those of the same sums, in another order
    CHECK(square / n == Approx(1).epsilon(1e-12));
    for (double z = -3; z < 3; z += 0.1) // increasing
      CHECK(t.from_network(z) < t.from_network(z + 0.1));
  }
}

TEST_CASE("inference/standardise: whatever the network says lies inside the bounds") {
  for (const Bounds bounds : kinds) {
    NodeTransform t(bounds, 0.3, 1.7);
    for (double z = -500; z <= 500; z += 0.7) {
      const double v = t.from_network(z);
      CHECK(v >= bounds.low);
      CHECK(v <= bounds.high);
    }
  }
}

TEST_CASE("inference/standardise: values on a bound have a finite place") {
  const NodeTransform t(Bounds{-2, 3});
  CHECK(sbi::is_finite(t.to_network(-2)));
  CHECK(t.to_network(3) ==
        Approx(-t.to_network(-2)).epsilon(1e-4)); // 1 - 1e-12 has four digits of its distance to 1
  CHECK(t.from_network(t.to_network(-2)) == Approx(-2).epsilon(1e-11)); // moved inside by 1e-12 of the range
  CHECK(sbi::is_finite(NodeTransform(Bounds{1, infinity}).to_network(1)));
  CHECK(sbi::is_finite(NodeTransform(Bounds{-infinity, 5}).to_network(5)));
}

TEST_CASE("inference/standardise: missing values do not count, constants keep unit deviation") {
  NodeTransform t(Bounds{});
  t.fit(std::vector{1.0, sbi::missing, 3.0, sbi::missing}, "x");
  CHECK(t.mean() == Approx(2));
  CHECK(t.stddev() == Approx(1));
  t.fit(std::vector{4e8, 4e8, 4e8}, "x");
  CHECK(t.mean() == 4e8);
  CHECK(t.stddev() == 1);
  t.fit(std::vector{sbi::missing, sbi::missing}, "x");
  CHECK(t.mean() == 0);
  CHECK(t.stddev() == 1);
  t.fit(std::vector{1e8, 1e8 + 1, 1e8 + 2}, "x"); // Welford: no cancellation
  CHECK(t.stddev() == Approx(std::sqrt(2.0 / 3)));
  CHECK(t.error_to_network(2) == Approx(2 / std::sqrt(2.0 / 3)));
}

TEST_CASE("inference/standardise: a node's unit does not matter") {
  for (const double unit : {1e-150, 1e-15, 1.0, 1e15, 1e150}) {
    NodeTransform t(Bounds{});
    t.fit(std::vector{unit, 2 * unit, 6 * unit}, "flux");
    CHECK(t.stddev() == Approx(std::sqrt(14.0 / 3) * unit));
    CHECK(t.to_network(6 * unit) == Approx(3 / std::sqrt(14.0 / 3)));
  }
  NodeTransform t(Bounds{});
  t.fit(std::vector{0.0, 0.0}, "zero");
  CHECK(t.stddev() == 1);
  CHECK_THROWS_WITH_AS(t.fit(std::vector{1e160, -1e160}, "far"),
                       "far: mean 0 and variance inf; want values whose squares are finite", sbi::ValueError);
  // Values near a bound keep their order, however small.
  const NodeTransform low(Bounds{0, infinity}), high(Bounds{-infinity, 0});
  for (const double v : {1e-300, 1e-17, 5e-16, 3e-14}) {
    CHECK(low.from_network(low.to_network(v)) == Approx(v).epsilon(1e-10)); // exp(log v), |log v| < 700
    CHECK(high.from_network(high.to_network(-v)) == Approx(-v).epsilon(1e-10));
  }
}

TEST_CASE("inference/standardise: what rounds beyond a bound is put on it") {
  sbi::Rng rng(5);
  for (int i = 0; i < 2000; ++i) { // a seventh of such intervals round up
    const double low = std::round(rng.uniform(-100, 100)) / 10,
                 high = low + std::round(rng.uniform(1, 200)) / 10;
    const NodeTransform t(Bounds{low, high});
    REQUIRE(t.from_network(9) <= high);
    REQUIRE(sbi::is_finite(t.to_network(t.from_network(9))));
  }
  CHECK(sbi::is_finite(NodeTransform(Bounds{0, infinity}).from_network(1e4)));
  CHECK(sbi::is_finite(NodeTransform(Bounds{-infinity, 0}).from_network(-1e4)));
}

TEST_CASE("inference/standardise: a value outside its bounds is named") {
  NodeTransform t(Bounds{0, 1});
  CHECK_THROWS_WITH_AS(t.fit(std::vector{0.5, 1.5}, "age"), "row 1: age = 1.5; want a finite value in [0, 1]",
                       sbi::ValueError);
  NodeTransform free{Bounds{}};
  CHECK_THROWS_AS(free.fit(std::vector{infinity}, "x"), sbi::ValueError);
  const NodeTransform place(Bounds{0, 1}); // refused, not moved inside
  CHECK_THROWS_WITH_AS((void)place.to_network(1.5, "age"), "age = 1.5; want a finite value in [0, 1]",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)place.to_network(-1e-9), sbi::ValueError);
  CHECK_THROWS_AS((void)free.to_network(-infinity), sbi::ValueError);
  CHECK_THROWS_AS(NodeTransform(Bounds{1, 1}), sbi::ValueError);
  CHECK_THROWS_AS(NodeTransform(Bounds{sbi::missing, 1}), sbi::ValueError);
}
