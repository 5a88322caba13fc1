// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/diagnostics/marginal_density.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using namespace sbi::diagnostics;
using doctest::Approx;

namespace {
std::vector<double> normal_samples(int n) {
  sbi::Rng rng(1);
  std::vector<double> x;
  for (int i = 0; i < n; ++i) x.push_back(rng.normal());
  return x;
}
} // namespace

TEST_CASE("diagnostics/marginal_density: equals the sum over all kernels plus the floor") {
  const auto x = normal_samples(500);
  const MarginalDensity density(x, -10, 10, 0.001);
  const double h = density.bandwidth();
  for (double y : {-3.0, 0.1, 2.2, 9.0}) {
    double sum = 0;
    for (double a : x) sum += std::exp(-(y - a) * (y - a) / (2 * h * h));
    const double kernels = sum / (500 * h * std::sqrt(2 * std::numbers::pi));
    CHECK(density.density(y) == Approx(0.999 * kernels + 0.001 / 20).epsilon(1e-12));
    CHECK(density.nll(y) == Approx(-std::log(density.density(y))));
  }
  CHECK(density.nll(9) == Approx(-std::log(0.001 / 20)));
  CHECK(std::isinf(density.nll(30)));
}

TEST_CASE("diagnostics/marginal_density: a Gaussian's density, with Silverman's bandwidth") {
  const int n = 20000;
  const MarginalDensity density(normal_samples(n), -10, 10);
  CHECK(density.bandwidth() ==
        Approx(0.9 * std::pow(n, -0.2)).epsilon(0.03));                 // sd and IQR / 1.34 err by about 1 %
  const double widened = 1 + density.bandwidth() * density.bandwidth(); // the kernel adds h^2 to the variance
  for (double y : {-1.5, 0.0, 1.0}) {
    const double truth = std::exp(-y * y / (2 * widened)) / std::sqrt(2 * std::numbers::pi * widened);
    CHECK(std::abs(density.density(y) - truth) < 0.02); // 4.5 sd of sqrt(f / (2 n h sqrt(pi))) plus the floor
  }
}

TEST_CASE("diagnostics/marginal_density: the bandwidth is robust, and integrates to one") {
  auto x = normal_samples(1000);
  const double clean = MarginalDensity(x, -10, 10).bandwidth();
  for (int i = 0; i < 20; ++i) x[std::size_t(i)] = 1e4;
  CHECK(MarginalDensity(x, -10, 10).bandwidth() == Approx(clean).epsilon(0.1));
  const MarginalDensity density(normal_samples(1000), -10, 10, 0.3);
  double integral = 0;
  for (int i = 0; i < 20000; ++i) integral += density.density(-10 + (i + 0.5) * 1e-3) * 1e-3;
  CHECK(integral == Approx(1).epsilon(1e-6)); // midpoint rule on a smooth function
}

TEST_CASE("diagnostics/marginal_density: refused input") {
  CHECK_THROWS_AS(MarginalDensity({1}, 0, 1), sbi::ValueError);
  CHECK_THROWS_AS(MarginalDensity({1, 1, 1}, 0, 1), sbi::ValueError);
  CHECK_THROWS_AS(MarginalDensity({1, 2}, 1, 1), sbi::ValueError);
  CHECK_THROWS_AS(MarginalDensity({1, 2}, 0, 1, 1), sbi::ValueError);
  CHECK_THROWS_AS(MarginalDensity({1, sbi::missing}, 0, 1), sbi::ValueError);
  CHECK_THROWS_AS((void)MarginalDensity({1, 2}, 0, 1).nll(sbi::missing), sbi::ValueError);
  CHECK(MarginalDensity({1, 1, 1, 1, 2}, 0, 3).bandwidth() > 0); // interquartile range 0
}
