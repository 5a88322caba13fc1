// SPDX-License-Identifier: MIT
#include <sbi/core/error.hpp>
#include <sbi/forward/dust.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

using sbi::Dual;
using sbi::forward::CCM89;
using sbi::forward::ODonnell94;

TEST_CASE("forward/dust: CCM89 at the wavelengths of the reference table") {
  constexpr CCM89 law;
  const double table[][2]{{10, 5.23835484},  {9, 4.13406452},    {8, 3.33685933},    {7, 2.77962453},
                          {6, 2.52195399},   {5, 2.84252644},    {4.6, 3.18598916},  {4, 2.31531711},
                          {3, 1.64254927},   {2.78, 1.56880904}, {2.27, 1.32257836}, {1.82, 1},
                          {1.43, .75125994}, {1.11, .47803460},  {.8, .28206957},    {.63, .19200814},
                          {.46, .11572348}};
  for (const auto& row : table) { // eight decimals in the reference
    CAPTURE(row[0]);
    CHECK(law(row[0], 3.1) == doctest::Approx(row[1]).epsilon(1e-7));
  }
  CHECK(law(4.6, 5) == doctest::Approx(1.97445261).epsilon(1e-7));
  CHECK(law(2.27, 5) == doctest::Approx(1.19999799).epsilon(1e-7));
  CHECK(law(.46, 5) == doctest::Approx(.13422778).epsilon(1e-7));
  CHECK(law(4.6, 2) == doctest::Approx(4.93952892).epsilon(1e-7));
  CHECK(law(.46, 2) == doctest::Approx(.08894094).epsilon(1e-7));
}

TEST_CASE("forward/dust: the pieces of CCM89 meet within the steps of the published formulae") {
  constexpr CCM89 law;
  for (double x : {1.1, 3.3, 5.9, 8.0}) {
    CAPTURE(x);
    // The published pieces join to better than 1 %; a wrong coefficient breaks that.
    CHECK(law(x - 1e-9, 3.1) == doctest::Approx(law(x + 1e-9, 3.1)).epsilon(0.01));
  }
  CHECK(law(0.1, 3.1) == doctest::Approx(law(0.5, 3.1) * std::pow(0.2, 1.61)).epsilon(1e-12));
}

TEST_CASE("forward/dust: outside the law there is no value") {
  constexpr CCM89 law;
  CHECK_THROWS_AS((void)law(0.001, 3.1), sbi::ValueError);
  CHECK_THROWS_AS((void)law(10.1, 3.1), sbi::ValueError);
  CHECK_THROWS_AS((void)law(1, 0), sbi::ValueError);
  CHECK_THROWS_AS((void)law(std::nan(""), 3.1), sbi::ValueError);
}

TEST_CASE("forward/dust: CCM89 and O'Donnell (1994) as the Python package dust_extinction 1.7 gives them") {
  // x, then A(lambda)/A_V for R_V = 2.5, 3.1, 5: an independent implementation of both papers, nine decimals.
  const double ccm89[][4]{
      {0.35, 0.067003176, 0.074529965, 0.086447380}, {0.7, 0.204528430, 0.227504090, 0.263882220},
      {1.09, 0.417255915, 0.464128275, 0.538342846}, {1.15, 0.459017299, 0.508507170, 0.586866133},
      {1.6, 0.849086128, 0.866389441, 0.893786354},  {2.1, 1.240163317, 1.196314230, 1.126886508},
      {2.7, 1.683474101, 1.544625738, 1.324782497},  {3.25, 2.038166605, 1.776979378, 1.363432935},
      {4.2, 3.167574405, 2.600891685, 1.703644045},  {6.8, 3.466911033, 2.706577122, 1.502715096},
      {9.3, 5.914731200, 4.419300645, 2.051535600}};
  const double o94[][4]{
      {0.7, 0.204528430, 0.227504090, 0.263882220},  {1.15, 0.462762004, 0.511009233, 0.587400680},
      {1.4, 0.707322756, 0.734156558, 0.776643410},  {1.7, 0.902861141, 0.917368244, 0.940337825},
      {1.95, 1.121943139, 1.099314005, 1.063484543}, {2.2, 1.347269971, 1.279924019, 1.173292927},
      {2.45, 1.500819329, 1.405500289, 1.254578476}, {2.7, 1.644097739, 1.515609833, 1.312170647},
      {2.95, 1.853780452, 1.659569338, 1.352068408}, {3.25, 2.042338104, 1.777095213, 1.357127304},
      {4.2, 3.167574405, 2.600891685, 1.703644045}};
  const double r_v[]{2.5, 3.1, 5};
  for (std::size_t k = 0; k < 3; ++k) {
    for (const auto& row : ccm89) CHECK(std::abs(CCM89{}(row[0], r_v[k]) - row[k + 1]) < 1e-9);
    for (const auto& row : o94) CHECK(std::abs(ODonnell94{}(row[0], r_v[k]) - row[k + 1]) < 1e-9);
  }
}

TEST_CASE("forward/dust: O'Donnell (1994) is CCM89 outside the optical, and joins it there") {
  for (double r_v : {2.0, 3.1, 5.5}) {
    for (double x : {0.02, 0.3, 1.0999, 3.3, 4.6, 5.9, 7.0, 10.0})
      CHECK(ODonnell94{}(x, r_v) == CCM89{}(x, r_v));
    CHECK(ODonnell94{}(1.82, r_v) == 1); // both are normalised there
    CHECK(CCM89{}(1.82, r_v) == 1);
    // The published pieces meet to 1 %, with the steepest R_V at the infrared end to 2 %.
    for (double x : {1.1, 3.3})
      CHECK(ODonnell94{}(x - 1e-9, r_v) == doctest::Approx(ODonnell94{}(x + 1e-9, r_v)).epsilon(0.02));
  }
  CHECK(std::abs(ODonnell94{}(2.7, 3.1) - CCM89{}(2.7, 3.1)) > 0.02); // and differs inside it
}

TEST_CASE("forward/dust: the derivative by R_V, and any number as R_V") {
  const auto check = [](const auto& law) {
    for (double x : {0.2, 0.8, 1.5, 2.7, 4.5, 7.0, 9.0}) {
      const Dual<double> got = law(x, Dual<double>{3.3, 2.0});
      CHECK(got.value == doctest::Approx(law(x, 3.3)).epsilon(1e-15));
      // Central difference: its error is of second order, 1e-10 here, and rounding 1e-11.
      CHECK(got.slope == doctest::Approx(2 * (law(x, 3.3 + 1e-5) - law(x, 3.3 - 1e-5)) / 2e-5).epsilon(1e-8));
      CHECK(law(x, 4) == law(x, 4.0));
      CHECK(law(x, 4.5F) == law(x, 4.5));
    }
  };
  check(CCM89{});
  check(ODonnell94{});
}

TEST_CASE("forward/dust: what is refused is named") {
  CHECK_THROWS_WITH_AS((void)CCM89{}(10.5, 3.1), "CCM89: x = 10.5 per micron; want 0.01 to 10",
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)CCM89{}(2, -1.5), "CCM89: R_V = -1.5; want a positive value", sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)ODonnell94{}(0.001, 3.1), "ODonnell94: x = 0.001 per micron; want 0.01 to 10",
                       sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)ODonnell94{}(2, 0), "ODonnell94: R_V = 0; want a positive value",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)CCM89{}(2, Dual<double>(0.0, 1.0)), sbi::ValueError);
  CHECK_THROWS_AS((void)CCM89{}(2, std::nan("")), sbi::ValueError);
}
