// SPDX-License-Identifier: MIT
#include <sbi/nn/clip.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

TEST_CASE("nn/clip: long gradients are shortened, short ones are left") {
  std::vector<float> gradient{3, 0, -4};
  CHECK(sbi::nn::clip_norm(gradient, 10.0) == 5);
  CHECK(gradient == std::vector<float>{3, 0, -4});
  CHECK(sbi::nn::clip_norm(gradient, 1.0) == 5);
  CHECK(gradient[0] == doctest::Approx(0.6));
  CHECK(gradient[2] == doctest::Approx(-0.8));
}

TEST_CASE("nn/clip: squares that overflow a float do not") {
  std::vector<float> gradient{3e30f, 4e30f};
  CHECK(sbi::nn::clip_norm(gradient, 5.0) == doctest::Approx(5e30));
  CHECK(gradient[1] == doctest::Approx(4));
}

TEST_CASE("nn/clip: a gradient that is not finite is reported and left") {
  std::vector<float> gradient{1, std::numeric_limits<float>::quiet_NaN()};
  CHECK(std::isnan(sbi::nn::clip_norm(gradient, 0.1)));
  CHECK(gradient[0] == 1);
}
