// SPDX-License-Identifier: MIT
#include <sbi/inference/simulator.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <thread>

using sbi::index_t;

namespace {

/// Writes NaN for about half of the rows; refuses theta above 0.999.
struct Line {
  static constexpr std::array<std::string_view, 1> parameters{"slope"};
  static constexpr std::array<std::string_view, 2> observables{"x", "y"};
  static constexpr std::array bounds{sbi::Bounds{0, 1}};
  double limit = 2;
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.uniform(); }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x) const {
    if (theta[0] > limit) throw sbi::NumericalError("too steep");
    x[0] = rng.normal();
    x[1] = rng.bernoulli(0.5) ? theta[0] * x[0] : sbi::missing;
  }
};
/// With errors and without bounds; says that it must not be called from two threads.
struct Noisy {
  static constexpr bool thread_safe = false;
  std::vector<std::string> parameters{"a", "b"}, observables{"x"};
  std::thread::id caller = std::this_thread::get_id();
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.normal(), theta[1] = 2; }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x,
                std::span<double> sigma) const {
    if (std::this_thread::get_id() != caller) throw sbi::Error("another thread");
    sigma[0] = 0.5;
    x[0] = rng.normal(theta[0], sigma[0]);
  }
};
/// More parameters than bounds.
struct Unbounded : Noisy {
  std::vector<sbi::Bounds> bounds{{0, 1}};
};
struct NoSimulate {
  std::vector<std::string> parameters{"a"}, observables{"x"};
  void sample_prior(sbi::Rng&, std::span<double>) const {}
};

static_assert(sbi::Simulator<Line> && sbi::Simulator<Noisy>);
static_assert(sbi::SimulatorWithErrors<Noisy> && !sbi::SimulatorWithErrors<Line>);
static_assert(!sbi::Simulator<NoSimulate> && !sbi::Simulator<int>);

bool same_bits(const sbi::Tensor<double>& a, const sbi::Tensor<double>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(double)) == 0;
}

} // namespace

TEST_CASE("inference/simulator: the nodes of a simulator") {
  const sbi::Nodes nodes = sbi::joint(Line{});
  CHECK(nodes.names == std::vector<std::string>{"slope", "x", "y"});
  CHECK(nodes.parameters == 1);
  REQUIRE(nodes.bounds.size() == 3);
  CHECK(nodes.bounds[0].high == 1);
  CHECK(!sbi::is_finite(nodes.bounds[1].low));
  CHECK(!sbi::is_finite(sbi::joint(Noisy{}).bounds[0].high));
  CHECK_THROWS_WITH_AS((void)sbi::joint(Unbounded{}), "simulator: 1 bounds for 2 parameters; want one each",
                       sbi::ValueError);
}

TEST_CASE("inference/simulator: rows do not depend on threads, and row i only on i") {
  const auto one = sbi::simulate(sbi::Cpu<>(1), Line{}, 1000, sbi::Rng(5));
  const auto two = sbi::simulate(sbi::Cpu<>(2), Line{}, 1000, sbi::Rng(5));
  const auto few = sbi::simulate(sbi::Reference<>(), Line{}, 10, sbi::Rng(5));
  CHECK(same_bits(one.theta, two.theta));
  CHECK(same_bits(one.x, two.x));
  CHECK(!one.has_errors());
  for (index_t i = 0; i < 10; ++i) CHECK(few.theta(i, 0) == one.theta(i, 0));
  CHECK(!same_bits(one.x, sbi::simulate(sbi::Cpu<>(1), Line{}, 1000, sbi::Rng(6)).x));
  index_t gaps = 0;
  for (index_t i = 0; i < 1000; ++i) {
    CHECK(!sbi::is_missing(one.x(i, 0)));
    gaps += sbi::is_missing(one.x(i, 1));
  }
  CHECK(gaps > 400); // 500 +- 16: six standard deviations
  CHECK(gaps < 600);
}

TEST_CASE("inference/simulator: errors are kept; one that is not thread-safe stays on its thread") {
  const auto data = sbi::simulate(sbi::Cpu<>(2), Noisy{}, 500, sbi::Rng(1));
  REQUIRE(data.has_errors());
  CHECK(std::all_of(data.sigma.begin(), data.sigma.end(), [](double s) { return s == 0.5; }));
  CHECK(sbi::simulate(sbi::Cpu<>(2), Noisy{}, 0, sbi::Rng(1)).rows() == 0);
}

TEST_CASE("inference/simulator: a simulator that throws is reported with its parameters") {
  try {
    (void)sbi::simulate(sbi::Cpu<>(1), Line{0.5}, 100, sbi::Rng(5));
    FAIL("wanted an exception");
  } catch (const sbi::Error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with("simulator failed at slope = 0."));
    CHECK(message.ends_with(": too steep"));
  }
}

TEST_CASE("inference/simulator: parts of a data set must fit each other") {
  sbi::Dataset data{sbi::Tensor<double>({4, 1}), sbi::Tensor<double>({4, 2}), {}};
  CHECK_NOTHROW(data.check(1, 2));
  CHECK_THROWS_AS(data.check(2, 2), sbi::ShapeError);
  data.sigma = sbi::Tensor<double>({4, 1});
  CHECK_THROWS_AS(data.check(1, 2), sbi::ShapeError);
  data.sigma = {}, data.theta = sbi::Tensor<double>({3, 1});
  CHECK_THROWS_AS(data.check(1, 2), sbi::ShapeError);
}
