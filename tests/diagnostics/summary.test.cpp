// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/summary.hpp>

#include <doctest/doctest.h>

using namespace sbi::diagnostics;
using doctest::Approx;

TEST_CASE("diagnostics/summary: an even grid has its closed-form moments and quantiles") {
  const int n = 101; // 0 to 1 in steps of 0.01: quantile p is p, variance n (n + 1) / (12 (n - 1)^2)
  sbi::Tensor<double> samples(sbi::Shape{n, 2});
  for (int i = 0; i < n; ++i) {
    samples(i, 0) = ((i * 37) % n) / 100.0; // 37 and 101 are coprime: a permutation
    samples(i, 1) = 5;
  }
  const auto out = summarize(samples.view());
  REQUIRE(out.size() == 2);
  CHECK(out[0].mean == Approx(0.5));
  CHECK(out[0].standard_deviation == Approx(std::sqrt(n * (n + 1) / 12.0) / (n - 1)));
  for (std::size_t k = 0; k < 5; ++k) CHECK(out[0].quantiles[k] == Approx(MarginalSummary::levels[k]));
  CHECK(out[0].median() == Approx(0.5));
  CHECK(out[0].half_width() == Approx(0.34));
  CHECK(out[1].mean == Approx(5));
  CHECK(out[1].standard_deviation == Approx(0));
  CHECK(summarize(std::vector<double>{2}).standard_deviation == 0);
  CHECK_THROWS_AS((void)summarize(std::vector<double>{}), sbi::ValueError);
}
