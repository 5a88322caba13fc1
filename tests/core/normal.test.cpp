// SPDX-License-Identifier: MIT
#include <sbi/core/missing.hpp>
#include <sbi/core/normal.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numbers>

TEST_CASE("core/normal: the normal quantile meets tabulated values") {
  // 16 digits, by root finding with 40 (mpmath). The bound leaves the libraries' exp, log and erfc a dozen
  // units in the last place.
  const std::array<std::array<double, 2>, 7> table{{{0.975, 1.959963984540054},
                                                    {0.25, -0.6744897501960817},
                                                    {0.001, -3.090232306167814},
                                                    {1e-6, -4.753424308822899},
                                                    {1e-12, -7.034483825301132},
                                                    {1e-20, -9.262340089798408},
                                                    {1e-300, -37.0470962993612}}};
  for (const auto& [p, x] : table) CHECK(std::abs(sbi::normal_quantile(p) / x - 1) < 3e-15);
  CHECK(std::abs(sbi::normal_quantile(0.5)) < 1e-15);
  for (double p : {0.0, 1.0, -0.5, sbi::missing})
    CHECK_THROWS_AS((void)sbi::normal_quantile(p), sbi::ValueError);
}

TEST_CASE("core/normal: quantile and distribution function undo each other") {
  for (double x = -8; x <= 5; x += 0.125) {
    // Above 0 the distribution function is 1 - Q, which loses the digits of Q: 1e-16 in p is 1e-16 / density
    // in x.
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    CHECK(std::abs(sbi::normal_quantile(sbi::normal_cdf(x)) - x) <
          (x > 0 ? 4e-16 / density : 0.0) + 1e-14 * (1 + std::abs(x)));
  }
}
