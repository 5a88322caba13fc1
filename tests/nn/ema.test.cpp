// SPDX-License-Identifier: MIT
#include <sbi/nn/ema.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

TEST_CASE("nn/ema: the decay rises to its limit") {
  sbi::nn::Ema<double> ema({0.0}, 0.6);
  double want = 0;
  for (int n = 1; n <= 30; ++n) {
    const double decay = std::min(0.6, (1.0 + n) / (10.0 + n)), value = n % 3;
    want = decay * want + (1 - decay) * value;
    ema.update({value});
    CHECK(ema.average()[0] == doctest::Approx(want).epsilon(1e-14));
  }
  CHECK(ema.updates() == 30);
}

TEST_CASE("nn/ema: a constant is its own average") {
  sbi::nn::Ema<float> ema({5.0f, -1.0f});
  for (int n = 0; n < 10; ++n) ema.update({5.0f, -1.0f});
  CHECK(ema.average() == std::vector<float>{5, -1});
}
