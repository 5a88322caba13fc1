// SPDX-License-Identifier: MIT
#include <sbi/diagnostics/incomplete_gamma.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi::diagnostics;
using doctest::Approx;

TEST_CASE("diagnostics/incomplete_gamma: closed forms at integer and half-integer order") {
  for (double x : {1e-6, 0.1, 0.9, 1.999, 2.001, 3.5, 20.0, 300.0}) {
    CAPTURE(x);
    CHECK(gamma_q(1, x) == Approx(std::exp(-x)).epsilon(1e-12));
    CHECK(gamma_q(3, x) == Approx(std::exp(-x) * (1 + x + x * x / 2)).epsilon(1e-12));
    CHECK(gamma_q(0.5, x) == Approx(std::erfc(std::sqrt(x))).epsilon(1e-12));
  }
  CHECK(gamma_q(2, 0) == 1);
  CHECK(chi_squared_tail(3.841458820694124, 1) == Approx(0.05).epsilon(1e-10));
  CHECK(chi_squared_tail(30.14352720564616, 19) == Approx(0.05).epsilon(1e-10));
  CHECK_THROWS_AS((void)gamma_q(0, 1), sbi::ValueError);
  CHECK_THROWS_AS((void)gamma_q(1, -1), sbi::ValueError);
}

TEST_CASE("diagnostics/incomplete_gamma: nothing lies beyond infinity, and no order is infinite") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  CHECK(gamma_q(1, infinity) == 0);
  CHECK(gamma_q(2.5, infinity) == 0);
  CHECK(chi_squared_tail(infinity, 19) == 0);
  CHECK_THROWS_AS((void)gamma_q(infinity, 1), sbi::ValueError);
  CHECK_THROWS_AS((void)gamma_q(infinity, infinity), sbi::ValueError);
  CHECK_THROWS_AS((void)gamma_q(1, std::numeric_limits<double>::quiet_NaN()), sbi::ValueError);
}
