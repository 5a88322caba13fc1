// SPDX-License-Identifier: MIT
#include <sbi/forward/dust_g23.hpp>

#include <doctest/doctest.h>

#include <cmath>

using sbi::Dual;
using sbi::forward::G23;

TEST_CASE("forward/dust_g23: as the Python package dust_extinction 1.7 gives it") {
  // x, then A(lambda)/A_V for R_V = 2.5, 3.1, 5: an independent implementation (the authors'), nine decimals.
  const double g23[][4]{
      {0.035, 0.029174729, 0.031444108, 0.035037292}, {0.05, 0.038275031, 0.041588298, 0.046834305},
      {0.095, 0.062052021, 0.068598553, 0.078963895}, {0.105, 0.072455954, 0.079735896, 0.091262472},
      {0.22, 0.015631938, 0.031589015, 0.056854388},  {0.4, 0.052108652, 0.082198912, 0.129841824},
      {0.95, 0.284313284, 0.359089632, 0.477485516},  {1.05, 0.364883515, 0.436206257, 0.549133931},
      {1.59, 0.834845125, 0.852418634, 0.880243357},  {2.2, 1.328447205, 1.267312872, 1.170516845},
      {3.05, 1.900746969, 1.704960503, 1.394965265},  {3.2, 2.047906084, 1.799637792, 1.406546330},
      {4.55, 3.886436351, 3.195711343, 2.102063413},  {7, 3.805766252, 2.943966550, 1.579450356},
      {10.6, 8.127091420, 5.862861505, 2.277830805}};
  const double r_v[]{2.5, 3.1, 5};
  for (std::size_t k = 0; k < 3; ++k)
    for (const auto& row : g23) {
      CAPTURE(row[0]);
      CHECK(std::abs(G23{}(row[0], r_v[k]) - row[k + 1]) < 1e-9);
    }
}

TEST_CASE("forward/dust_g23: normalised to A_V") {
  // With the divisor 0.9854 the law is 1 at 5494 A within 0.1 %, and within 0.2 % at 5500 A.
  for (double r_v : {2.3, 2.5, 3.1, 4.0, 5.6}) {
    CHECK(std::abs(G23{}(1.82, r_v) - 1) < 1e-3);
    CHECK(std::abs(G23{}(1 / .55, r_v) - 1) < 2e-3);
  }
  CHECK(std::abs(G23{}(1 / .55, 3.1) * 0.9854 - 1) > 0.01); // without it, it is not
}

TEST_CASE("forward/dust_g23: continuous, with its first derivative, at every join") {
  const double joins[]{
      5.9, 1 / .30, 1 / .33, 1 / .9, 1 / 1.1, 1 / (4.30578 - 4.78338 / 2), 1 / (4.30578 + 4.78338 / 2)};
  for (double r_v : {2.3, 3.1, 5.6})
    for (double x : joins) {
      CAPTURE(x);
      const double h = 1e-6, left = G23{}(x - h, r_v), here = G23{}(x, r_v), right = G23{}(x + h, r_v);
      // Slopes from both sides: a kink of the published coefficients would be their difference, of order 0.1;
      // the second derivative, below 100, moves them by 1e-4.
      CHECK(std::abs((right - here) / h - (here - left) / h) < 1e-3);
      CHECK(std::abs(right - left) < 1e-4);
    }
}

TEST_CASE("forward/dust_g23: the silicate feature at 9.8 micron stands out of its surroundings") {
  for (double r_v : {2.5, 3.1, 5.0}) {
    CHECK(G23{}(1 / 9.8, r_v) > 1.4 * G23{}(1 / 7.0, r_v));
    CHECK(G23{}(1 / 9.8, r_v) > 1.4 * G23{}(1 / 13.5, r_v));
  }
}

TEST_CASE("forward/dust_g23: the derivative by R_V") {
  for (double x : {0.05, 0.4, 0.95, 1.7, 3.2, 4.6, 8.0}) {
    const Dual<double> got = G23{}(x, Dual<double>{3.3, 1.0});
    CHECK(got.value == doctest::Approx(G23{}(x, 3.3)).epsilon(1e-15));
    // A central difference: 1e-10 by its second order, rounding over the step 1e-10.
    CHECK(std::abs(got.slope - (G23{}(x, 3.3 + 1e-5) - G23{}(x, 3.3 - 1e-5)) / 2e-5) < 1e-9);
  }
}

TEST_CASE("forward/dust_g23: outside the law there is no value") {
  using sbi::ValueError;
  CHECK(G23{}(1 / 32.0, 2.3) > 0);
  CHECK(G23{}(1 / .0912, 5.6) > 0);
  CHECK_THROWS_WITH_AS((void)G23{}(1 / 33.0, 3.1), "G23: x = 0.030303 per micron; want 0.03125 to 10.9649",
                       ValueError);
  CHECK_THROWS_AS((void)G23{}(11, 3.1), ValueError);
  CHECK_THROWS_WITH_AS((void)G23{}(2, 2.2), "G23: R_V = 2.2; want 2.3 to 5.6", ValueError);
  CHECK_THROWS_AS((void)G23{}(2, 5.7), ValueError);
  CHECK_THROWS_AS((void)G23{}(std::nan(""), 3.1), ValueError);
}
