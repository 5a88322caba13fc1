// SPDX-License-Identifier: MIT
#include <sbi/forward/quadrature.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("forward/quadrature: polynomials of the seventh degree are exact, of the eighth not") {
  for (int power = 0; power <= 8; ++power) {
    double sum = 0;
    sbi::forward::detail::gauss4(.5, 2, [&](double x, double w) { sum += w * std::pow(x, power); });
    const double exact = (std::pow(2, power + 1) - std::pow(.5, power + 1)) / (power + 1);
    if (power < 8)
      CHECK(sum == doctest::Approx(exact).epsilon(1e-13));
    else
      CHECK(std::abs(sum / exact - 1) > 1e-7);
  }
}
