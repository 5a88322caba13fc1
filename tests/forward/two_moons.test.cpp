// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/sbc.hpp>
#include <sbi/forward/benchmark/two_moons.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>
#if __has_include(<xtensor/io/xnpy.hpp>)
#include <xtensor/io/xnpy.hpp>
#else
#include <xtensor/xnpy.hpp>
#endif

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

using sbi::forward::TwoMoons;
using Point = std::array<double, 2>;

namespace {

std::filesystem::path data_folder() {
  const char* given = std::getenv("SBI_DATA_DIR");
  return (given ? std::filesystem::path(given) : std::filesystem::path(SBI_SOURCE_DIR) / "../shared/data") /
         "sbibm/two_moons";
}

double mean_distance(const std::vector<Point>& a, const std::vector<Point>& b) {
  double sum = 0;
  for (const auto& p : a)
    for (const auto& q : b) sum += std::hypot(p[0] - q[0], p[1] - q[1]);
  return sum / (double(a.size()) * double(b.size()));
}

} // namespace

TEST_CASE("forward/two_moons: simulations have the moments of their closed form") {
  const TwoMoons task;
  sbi::Rng rng(1);
  const std::array theta{0.3, -0.7};
  const int n = 100000;
  double m1 = 0, m2 = 0, radius = 0;
  for (int i = 0; i < n; ++i) {
    std::array<double, 2> x{};
    task.simulate(rng, theta, x);
    m1 += x[0] / n, m2 += x[1] / n;
    const double p1 = x[0] + 0.4 / std::numbers::sqrt2 - 0.25, p2 = x[1] + 1.0 / std::numbers::sqrt2;
    radius += std::hypot(p1, p2) / n;
  }
  // E r cos a = 0.1 * 2 / pi, E r sin a = 0; spreads below 0.1, so five standard errors are 0.0016.
  CHECK(std::abs(m1 - (0.2 / std::numbers::pi + 0.25 - 0.4 / std::numbers::sqrt2)) < 0.0016);
  CHECK(std::abs(m2 + 1.0 / std::numbers::sqrt2) < 0.0016);
  CHECK(std::abs(radius - 0.1) < 5 * 0.01 / std::sqrt(double(n)));
}

TEST_CASE("forward/two_moons: posterior samples are calibrated against the simulator") {
  const TwoMoons task;
  sbi::Rng rng(2);
  sbi::diagnostics::Ranks ranks(3);
  sbi::Tensor<double> samples(sbi::Shape{99, 3});
  for (int k = 0; k < 2000; ++k) {
    std::array<double, 3> theta{};
    std::array<double, 2> x{};
    task.sample_prior(rng, std::span(theta).first(2));
    task.simulate(rng, theta, x);
    theta[2] = theta[0] * theta[1]; // sees the dependence of the two
    for (sbi::index_t i = 0; i < samples.rows(); ++i) {
      task.sample_posterior(rng, x, {samples.row(i), 2});
      samples(i, 2) = samples(i, 0) * samples(i, 1);
    }
    ranks.add(samples.view(), theta);
  }
  for (sbi::index_t j = 0; j < 3; ++j) {
    CHECK(sbi::diagnostics::chi_squared_uniformity(ranks.of(j)).p_value >
          1e-3); // fixed seed: 3 tests at 1e-3 each
    CHECK(sbi::diagnostics::kolmogorov_smirnov_uniformity(ranks.of(j), samples.rows()).p_value > 1e-3);
  }
}

TEST_CASE("forward/two_moons: posterior samples agree with the reference samples of sbibm") {
  if (!std::filesystem::exists(data_folder())) {
    MESSAGE("no ", data_folder().string(), ": set SBI_DATA_DIR");
    return;
  }
  const TwoMoons task;
  for (int observation = 1; observation <= 7; ++observation) {
    CAPTURE(observation);
    const auto folder = data_folder() / ("observation_" + std::to_string(observation));
    const auto x = xt::load_npy<double>((folder / "observation.npy").string());
    const auto reference = xt::load_npy<float>((folder / "reference_posterior.npy").string());
    const std::size_t n = 2000; // pairs cost n^2
    REQUIRE(reference.shape(0) >= n);
    std::vector<Point> ours(n), theirs(n);
    sbi::Rng rng(3);
    for (std::size_t i = 0; i < n; ++i) {
      task.sample_posterior(rng, std::array{x(0, 0), x(0, 1)}, ours[i]);
      theirs[i] = {double(reference(i, 0)), double(reference(i, 1))};
    }
    for (std::size_t j = 0; j < 2; ++j) {
      double mean = 0, square = 0, mean_ref = 0, square_ref = 0;
      for (std::size_t i = 0; i < n; ++i) {
        mean += ours[i][j] / n, square += ours[i][j] * ours[i][j] / n;
        mean_ref += theirs[i][j] / n, square_ref += theirs[i][j] * theirs[i][j] / n;
      }
      // Five standard errors of a difference of means; theta^2 lies in [0, 1], so its spread is below 1/2.
      CHECK(std::abs(mean - mean_ref) < 5 * std::sqrt(2 * (square_ref - mean_ref * mean_ref) / n));
      CHECK(std::abs(square - square_ref) < 5 * 0.5 * std::sqrt(2.0 / n));
    }
    // Energy statistic over its expectation under equality: a quadratic form of Gaussians with mean 1, which
    // exceeds 10.8, the square of the 99.95 % normal quantile, with probability below 0.001 (Szekely &
    // Bakirov 2003).
    const double between = mean_distance(ours, theirs);
    const double energy = 2 * between - mean_distance(ours, ours) - mean_distance(theirs, theirs);
    CHECK(n / 2.0 * energy / between < 10.8);
  }
}

TEST_CASE("forward/two_moons: an observation the prior cannot explain is reported") {
  sbi::Rng rng(1);
  Point theta{};
  CHECK_THROWS_AS(TwoMoons{}.sample_posterior(rng, std::array{5.0, 0.0}, theta), sbi::NumericalError);
}
