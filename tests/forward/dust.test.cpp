// SPDX-License-Identifier: MIT
#include <sbi/core/error.hpp>
#include <sbi/forward/dust.hpp>

#include <doctest/doctest.h>

#include <cmath>

using sbi::forward::CCM89;

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
