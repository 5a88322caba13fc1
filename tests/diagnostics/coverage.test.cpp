// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/coverage.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::diagnostics;
using doctest::Approx;

namespace {

/// theta ~ N(0, 1), x ~ N(theta, 1): the posterior is N(x / 2, 1 / 2). `width` scales its standard deviation.
Coverage gaussian_coverage(double width, int objects) {
  Ranks ranks(1);
  sbi::Tensor<double> samples(sbi::Shape{399, 1});
  sbi::Rng rng(7);
  for (int k = 0; k < objects; ++k) {
    const double theta = rng.normal(), x = theta + rng.normal();
    for (double& s : samples) s = rng.normal(x / 2, width * std::sqrt(0.5));
    ranks.add(samples.view(), std::vector<double>{theta});
  }
  return central_coverage(ranks.of(0));
}

} // namespace

TEST_CASE("diagnostics/coverage: evenly spread ranks cover every level exactly") {
  std::vector<double> u;
  for (int r = 0; r < 400; ++r) u.push_back((r + 0.5) / 400);
  const auto c = central_coverage(u);
  CHECK(c.objects == 400);
  for (std::size_t k = 0; k < Coverage::levels; ++k) {
    CHECK(c.nominal[k] == Approx(0.05 * double(k + 1)));
    CHECK(c.observed[k] == Approx(c.nominal[k]).epsilon(1e-12));
    CHECK(c.error[k] == Approx(std::sqrt(c.nominal[k] * (1 - c.nominal[k]) / 400)));
  }
  CHECK(c.deviation < 1e-12);
}

TEST_CASE("diagnostics/coverage: an exact posterior is calibrated within the binomial error") {
  const auto c = gaussian_coverage(1, 2000);
  for (std::size_t k = 0; k < Coverage::levels; ++k)
    CHECK(std::abs(c.observed[k] - c.nominal[k]) < 4 * c.error[k]);
  CHECK(c.deviation < 3 * c.expected_deviation); // levels are correlated: the mean scatters like one of them
  CHECK(c.expected_deviation > 0.5 * 0.8 * 0.5 / std::sqrt(2000.0));
}

TEST_CASE("diagnostics/coverage: too narrow and too wide posteriors by the closed form") {
  for (double width : {0.5, 2.0}) {
    const auto c = gaussian_coverage(width, 2000);
    // The 70 % interval is width * 1.0364 standard deviations of the true posterior.
    const double expected = std::erf(width * 1.0364334 / std::sqrt(2));
    CHECK(std::abs(c.observed[13] - expected) < 0.04); // 4 binomial errors
    CHECK((c.bias < 0) == (width < 1));
    CHECK(c.deviation > 5 * c.expected_deviation);
  }
  CHECK_THROWS_AS((void)central_coverage({}), sbi::ValueError);
}
