// SPDX-License-Identifier: MIT
#include <sbi/nn/embedding.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

TEST_CASE("nn/embedding: time features are a geometric ladder of frequencies of log(sigma / alpha)") {
  const sbi::nn::TimeEmbedding time{5, 0.1, 6};
  std::vector<double> out(static_cast<std::size_t>(time.width()));
  const double ratio = 0.02;
  time.write(ratio, out.data());
  for (int k = 0; k < 5; ++k) {
    const double w = 0.1 * std::pow(60, k / 4.0);
    CHECK(out[static_cast<std::size_t>(2 * k)] == doctest::Approx(std::sin(w * std::log(ratio))));
    CHECK(out[static_cast<std::size_t>(2 * k + 1)] == doctest::Approx(std::cos(w * std::log(ratio))));
  }
  time.write(1, out.data()); // equal signal and noise
  CHECK(out[0] == 0);
  CHECK(out[1] == 1);
}

TEST_CASE("nn/embedding: a single frequency is the lowest") {
  double out[2];
  sbi::nn::TimeEmbedding{1, 0.5, 6}.write(std::numbers::e, out);
  CHECK(out[0] == doctest::Approx(std::sin(0.5)));
}

TEST_CASE("nn/embedding: value features by doubling are the sines and cosines themselves") {
  const sbi::nn::ValueEmbedding value{6};
  for (const float v : {-2.3f, 0.0f, 0.4f, 3.1f}) {
    std::vector<float> out(static_cast<std::size_t>(value.width()));
    value.write(v, out.data());
    CHECK(out[0] == v);
    for (int k = 0; k < 6; ++k) {
      const double angle = std::numbers::pi / 2 * std::ldexp(static_cast<double>(v), k);
      // each doubling doubles the rounding of the angle, which is of a few radians at most
      const double bound = 1e-6 * std::ldexp(1, k);
      CHECK(std::abs(static_cast<double>(out[static_cast<std::size_t>(1 + 2 * k)]) - std::sin(angle)) <
            bound);
      CHECK(std::abs(static_cast<double>(out[static_cast<std::size_t>(2 + 2 * k)]) - std::cos(angle)) <
            bound);
    }
  }
}
