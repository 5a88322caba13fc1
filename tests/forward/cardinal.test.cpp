// SPDX-License-Identifier: MIT
#include <sbi/forward/cardinal.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

using sbi::forward::cardinal;

TEST_CASE("forward/cardinal: passes through the nodes, flat at the ends and beyond") {
  const std::array<double, 6> x{0, 1, 1.5, 3, 4, 7}, y{2, -1, 0.5, 3, 3, -2};
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(cardinal(x, x[i])(y) == doctest::Approx(y[i]).epsilon(1e-13));
  CHECK(cardinal(x, -5)(y) == 2);
  CHECK(cardinal(x, 50)(y) == -2);
  const double h = 1e-6; // the slope is 0 at the ends: the change is of order h^2
  CHECK(std::abs(cardinal(x, h)(y) - y[0]) < 1e-10);
  CHECK(std::abs(cardinal(x, 7 - h)(y) - y[5]) < 1e-10);
}

TEST_CASE(
    "forward/cardinal: exact for a straight line inside, weights sum to one, first derivative continuous") {
  const std::array<double, 6> x{0, 1, 1.5, 3, 4, 7};
  std::array<double, 6> line{}, one{};
  for (std::size_t i = 0; i < 6; ++i) line[i] = 3 - 2 * x[i], one[i] = 1;
  for (double at = 1; at <= 4; at += 0.07)
    CHECK(cardinal(x, at)(line) == doctest::Approx(3 - 2 * at).epsilon(1e-12));
  for (double at = -1; at < 8; at += 0.13) CHECK(cardinal(x, at)(one) == doctest::Approx(1).epsilon(1e-13));
  const std::array<double, 6> y{2, -1, 0.5, 3, 3, -2};
  const double h = 1e-6;
  for (double node : x) {
    const double left = (cardinal(x, node)(y) - cardinal(x, node - h)(y)) / h,
                 right = (cardinal(x, node + h)(y) - cardinal(x, node)(y)) / h;
    CHECK(std::abs(left - right) < 1e-4); // both are one-sided differences with error of order h f''
  }
}

TEST_CASE("forward/cardinal: two nodes are enough, one is not") {
  const std::array<double, 2> x{0, 1}, y{1, 3};
  CHECK(cardinal(x, 0.5)(y) == doctest::Approx(2));
  const std::vector<double> lonely{1.0};
  CHECK_THROWS_AS((void)cardinal(lonely, 0.5), sbi::ShapeError);
}
