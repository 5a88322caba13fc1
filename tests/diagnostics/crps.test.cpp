// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/diagnostics/crps.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

using namespace sbi::diagnostics;
using doctest::Approx;

namespace {

double crps_by_pairs(const std::vector<double>& x, double y, double divisor) {
  double distance = 0, spread = 0;
  for (double a : x) {
    distance += std::abs(a - y);
    for (double b : x) spread += std::abs(a - b);
  }
  return distance / double(x.size()) - spread / (2 * divisor);
}
/// CRPS of N(0, 1) (Gneiting & Raftery 2007, section 4.2).
double crps_normal(double z) {
  const double density = std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi),
               cdf = std::erfc(-z / std::sqrt(2)) / 2;
  return z * (2 * cdf - 1) + 2 * density - 1 / std::sqrt(std::numbers::pi);
}

} // namespace

TEST_CASE("diagnostics/crps: both estimators equal their sums over pairs") {
  sbi::Rng rng(1);
  std::vector<double> x;
  for (int i = 0; i < 37; ++i) x.push_back(1000 + rng.normal());
  for (double y : {998.0, 1000.3, 1004.0}) {
    CHECK(crps(x, y) == Approx(crps_by_pairs(x, y, 37 * 36)).epsilon(1e-11));
    CHECK(crps(x, y, Crps::ensemble) == Approx(crps_by_pairs(x, y, 37 * 37)).epsilon(1e-11));
  }
  CHECK(crps({3}, 5, Crps::ensemble) == Approx(2));
}

TEST_CASE("diagnostics/crps: a Gaussian's closed form") {
  sbi::Rng rng(2);
  const int n = 200000;
  std::vector<double> x;
  for (int i = 0; i < n; ++i) x.push_back(rng.normal());
  // The score's terms are means of values of spread below 1: five standard errors.
  for (double y : {-2.0, 0.0, 0.7}) CHECK(std::abs(crps(x, y) - crps_normal(y)) < 5 / std::sqrt(double(n)));
}

TEST_CASE("diagnostics/crps: the fair estimator is unbiased for few samples, the ensemble's is not") {
  sbi::Rng rng(3);
  const int n = 40000;
  double fair = 0, ensemble = 0;
  for (int i = 0; i < n; ++i) {
    const std::vector<double> x{rng.normal(), rng.normal(), rng.normal()};
    fair += crps(x, 0.5) / n;
    ensemble += crps(x, 0.5, Crps::ensemble) / n;
  }
  CHECK(std::abs(fair - crps_normal(0.5)) < 5 * 0.5 / std::sqrt(double(n))); // spread of one score below 0.5
  CHECK(ensemble - crps_normal(0.5) ==
        Approx(1 / (3 * std::sqrt(std::numbers::pi))).epsilon(0.1)); // E|X - X'| / (2 n)
}

TEST_CASE("diagnostics/crps: refused input") {
  CHECK_THROWS_AS((void)crps({1}, 0), sbi::ValueError);
  CHECK_THROWS_AS((void)crps({}, 0, Crps::ensemble), sbi::ValueError);
  CHECK_THROWS_AS((void)crps({1, 2}, sbi::missing), sbi::ValueError);
  CHECK_THROWS_AS((void)crps({1, sbi::missing}, 0), sbi::ValueError);
}
