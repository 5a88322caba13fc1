// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/dust_fitzpatrick.hpp>
#include <sbi/io/text_file.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>

using sbi::Dual;
using sbi::forward::CCM89;
using sbi::forward::F19;
using sbi::forward::F99;

TEST_CASE("forward/dust_fitzpatrick: F99 meets its anchors") {
  // Fitzpatrick (1999), table 3: A(lambda)/E(B-V) for R_V = 3.1, three decimals.
  const double anchors[][2]{{1 / 2.65, .265},  {1 / 1.22, .829},  {1 / .6, 2.688},  {1 / .547, 3.055},
                            {1 / .467, 3.806}, {1 / .411, 4.315}, {1 / .27, 6.265}, {1 / .26, 6.591}};
  for (const auto& a : anchors) {
    CAPTURE(a[0]);
    CHECK(std::abs(3.1 * F99{}(a[0], 3.1) - a[1]) < 1e-3);
  }
}

TEST_CASE("forward/dust_fitzpatrick: F19 at the wavelengths of its table") {
  // E(lambda-V)/E(B-V) for R_V = 3.1; the spline passes through its knots.
  const double table[][2]{{1, -1.757}, {1.5, -.629}, {2, .438},  {3, 2.090}, {4, 4.139},
                          {5, 5.704},  {6, 4.904},   {7, 5.684}, {8, 7.150}};
  for (const auto& row : table) CHECK(std::abs((F19{}(row[0], 3.1) - 1) * 3.1 - row[1]) < 1e-12);
}

TEST_CASE("forward/dust_fitzpatrick: F99 and F19 as the Python package dust_extinction 1.7 gives them") {
  // x, then A(lambda)/A_V for R_V = 2.5, 3.1, 5: an independent implementation, nine decimals.
  const double f99[][4]{
      {0.05, 0.009504011, 0.009815954, 0.010310157}, {0.35, 0.077471550, 0.077782147, 0.078274218},
      {0.9, 0.308802294, 0.313722987, 0.321518673},  {1.5, 0.696805271, 0.742460439, 0.814774577},
      {1.75, 0.908210230, 0.927443734, 0.957880509}, {2, 1.151408643, 1.121653101, 1.074679796},
      {2.3, 1.401220203, 1.324441680, 1.202323430},  {2.6, 1.584171869, 1.468388011, 1.287328297},
      {3.2, 1.947667699, 1.730521906, 1.419430256},  {3.6, 2.266552492, 1.950829423, 1.520185565},
      {4.6, 3.807362994, 3.076343368, 2.103114257},  {6.3, 3.360331791, 2.515570441, 1.558842655},
      {9.1, 5.638602238, 4.023038908, 2.169673879}};
  const double f19[][4]{
      {0.31, 0.042610535, 0.052880248, 0.069140627}, {0.5, 0.120563342, 0.135020070, 0.157909889},
      {0.87, 0.287368050, 0.335899082, 0.412739882}, {1.23, 0.547898201, 0.595572278, 0.671056233},
      {1.62, 0.864597905, 0.879928929, 0.904203050}, {1.93, 1.104041741, 1.086347928, 1.058332724},
      {2.33, 1.434453896, 1.350470547, 1.217496910}, {2.77, 1.703868694, 1.565179064, 1.345587149},
      {3.45, 2.178668639, 1.915942213, 1.499958704}, {4.63, 3.923715390, 3.183669729, 2.011930766},
      {6.27, 3.201161630, 2.619338839, 1.698119420}, {8.65, 4.732366602, 3.691364906, 2.043112222}};
  const double r_v[]{2.5, 3.1, 5};
  for (std::size_t k = 0; k < 3; ++k) {
    for (const auto& row : f99) CHECK(std::abs(F99{}(row[0], r_v[k]) - row[k + 1]) < 1e-9);
    for (const auto& row : f19) CHECK(std::abs(F19{}(row[0], r_v[k]) - row[k + 1]) < 1e-9);
  }
}

TEST_CASE("forward/dust_fitzpatrick: every row of the published table of F19 is in it") {
  const std::string path = sbi_test::data_file("dust/F19_tabulated.dat");
  if (path.empty()) {
    MESSAGE("no data file: skipped");
    return;
  }
  std::string content = sbi::io::read_text(path);
  content.insert(0, "#"); // its header
  const sbi::io::NumberTable table = sbi::io::parse_numbers(content, path);
  REQUIRE(table.rows() == 102);
  for (sbi::index_t i = 0; i < table.rows(); ++i) {
    if (table(i, 0) < 0.3) continue;
    for (double r_v : {2.2, 3.1, 5.8}) // k + slope * 0.990 (R_V - 3.1), to rounding
      CHECK(std::abs((F19{}(table(i, 0), r_v) - 1) * r_v - table(i, 1) - table(i, 2) * .990 * (r_v - 3.1)) <
            1e-12);
  }
}

TEST_CASE("forward/dust_fitzpatrick: the pieces join, and the infrared continues as documented") {
  for (double r_v : {2.0, 3.1, 6.0}) {
    const double join = 1 / .27;
    // Two sides 2e-12 apart: the slope of either law, below 3 per unit of x, moves them by less than 1e-11.
    CHECK(std::abs(F99{}(join - 1e-12, r_v) - F99{}(join + 1e-12, r_v)) < 1e-11);
    CHECK(std::abs(F19{}(0.3 - 1e-12, r_v) - F19{}(0.3 + 1e-12, r_v)) < 1e-11);
    // F19 below 0.3: a power law that keeps R_V's part, and positive where the spline would turn back.
    CHECK(F19{}(0.05, r_v) == doctest::Approx(F19{}(0.3, r_v) * std::pow(1. / 6, 1.61)).epsilon(1e-12));
    // F99 falls to zero with x, ever more linearly: the spline's second derivative vanishes at 0.
    CHECK(F99{}(0.02, r_v) == doctest::Approx(2 * F99{}(0.01, r_v)).epsilon(1e-3));
    for (double x = 0.01; x < 1.5; x += 0.01) {
      CHECK(F99{}(x, r_v) > 0);
      CHECK(F99{}(x + 0.01, r_v) > F99{}(x, r_v));
      CHECK(F19{}(x + 0.01, r_v) > F19{}(x, r_v));
    }
  }
  // The laws agree with CCM89 where all rest on photometry: the authors quote a few hundredths in V .. K.
  for (double x : {.8, 1.25, 1.82, 2.27}) {
    CHECK(std::abs(F99{}(x, 3.1) - CCM89{}(x, 3.1)) < 0.05);
    CHECK(std::abs(F19{}(x, 3.1) - CCM89{}(x, 3.1)) < 0.05);
  }
}

TEST_CASE("forward/dust_fitzpatrick: the derivative by R_V") {
  const auto check = [](const auto& law) {
    for (double x : {0.05, 0.4, 0.9, 1.7, 2.4, 3.6, 4.6, 8.0}) {
      const Dual<double> got = law(x, Dual<double>{3.3, 1.0});
      CHECK(got.value == doctest::Approx(law(x, 3.3)).epsilon(1e-15));
      // A central difference: 1e-10 by its second order, rounding over the step 1e-10.
      CHECK(std::abs(got.slope - (law(x, 3.3 + 1e-5) - law(x, 3.3 - 1e-5)) / 2e-5) < 1e-9);
    }
  };
  check(F99{});
  check(F19{});
}

TEST_CASE("forward/dust_fitzpatrick: outside the laws there is no value") {
  using sbi::ValueError;
  CHECK_THROWS_WITH_AS((void)F99{}(10.1, 3.1), "F99: x = 10.1 per micron; want 0.01 to 10", ValueError);
  CHECK_THROWS_WITH_AS((void)F99{}(2, 6.5), "F99: R_V = 6.5; want 2 to 6", ValueError);
  CHECK_THROWS_WITH_AS((void)F19{}(8.8, 3.1), "F19: x = 8.8 per micron; want 0.01 to 8.7", ValueError);
  CHECK_THROWS_WITH_AS((void)F19{}(2, 1.9), "F19: R_V = 1.9; want 2 to 6", ValueError);
  CHECK_THROWS_AS((void)F99{}(0, 3.1), ValueError);
  CHECK_THROWS_AS((void)F19{}(std::nan(""), 3.1), ValueError);
  CHECK_THROWS_AS((void)F19{}(2, std::nan("")), ValueError);
}
