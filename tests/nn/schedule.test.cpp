// SPDX-License-Identifier: MIT
#include <sbi/nn/schedule.hpp>

#include <doctest/doctest.h>

TEST_CASE("nn/schedule: a linear warm-up, then half a cosine to the floor") {
  const sbi::nn::WarmupCosine rate{2, 10, 110, 0.1};
  CHECK(rate(0) == doctest::Approx(0.2)); // not zero: the first step moves
  CHECK(rate(9) == doctest::Approx(2));
  CHECK(rate(10) == doctest::Approx(2));
  CHECK(rate(60) == doctest::Approx(2 * 0.55));
  CHECK(rate(110) == doctest::Approx(0.2));
  CHECK(rate(1000) == doctest::Approx(0.2));
  for (int step = 10; step < 110; ++step) CHECK(rate(step + 1) <= rate(step));
}

TEST_CASE("nn/schedule: no warm-up") { CHECK(sbi::nn::WarmupCosine{1, 0, 10, 0}(0) == doctest::Approx(1)); }

TEST_CASE("nn/schedule: a ramp from 0 to 1") {
  const sbi::nn::Ramp ramp{100, 50};
  CHECK(ramp(0) == 0);
  CHECK(ramp(100) == 0);
  CHECK(ramp(125) == 0.5);
  CHECK(ramp(150) == 1);
  CHECK(ramp(9999) == 1);
}
