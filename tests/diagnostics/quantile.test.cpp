// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/quantile.hpp>

#include <doctest/doctest.h>

using namespace sbi::diagnostics;
using doctest::Approx;

TEST_CASE("diagnostics/quantile: linear interpolation between order statistics") {
  const std::vector<double> x{1, 2, 4, 8};
  CHECK(quantile(x, 0) == 1);
  CHECK(quantile(x, 1) == 8);
  CHECK(quantile(x, 0.5) == Approx(3));
  CHECK(quantile(x, 0.25) == Approx(1.75));
  CHECK(quantile(x, 0.9) == Approx(6.8));
  CHECK(quantile(std::vector<double>{5}, 0.3) == 5);
  CHECK_THROWS_AS((void)quantile({}, 0.5), sbi::ValueError);
  CHECK_THROWS_AS((void)quantile(x, 1.1), sbi::ValueError);
}

TEST_CASE("diagnostics/quantile: columns and their order") {
  const sbi::Tensor<float> samples(sbi::Shape{3, 2}, {3, 10, 1, 30, 2, 20});
  CHECK(sorted(marginal(samples.view(), 0)) == std::vector<double>{1, 2, 3});
  CHECK(marginal(samples.view(), 1) == std::vector<double>{10, 30, 20});
  CHECK_THROWS_AS((void)marginal(samples.view(), 2), sbi::ShapeError);
  CHECK_THROWS_AS((void)sorted({1, sbi::missing}), sbi::ValueError);
}
