// SPDX-License-Identifier: MIT
#include "module_check.hpp"

#include <sbi/nn/linear.hpp>

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("nn/linear: keeps the variance of its input at the start") {
  sbi::nn::Parameters<float> parameters(1);
  const sbi::nn::Linear layer(parameters, "layer", 64, 128);
  sbi::Cpu<float> be(1);
  const auto x = sbi::testing::normals<float>({256, 64}, 2);
  sbi::Tape tape(be, parameters.values().data());
  const auto y = layer(tape, tape.constant(x.view()));
  CHECK(y.shape() == sbi::Shape{256, 128});
  double square = 0;
  for (sbi::index_t i = 0; i < y.value.size(); ++i)
    square += static_cast<double>(y.value.data[i] * y.value.data[i]);
  // 8192 weights: the mean of their squares scatters by sqrt(2 / 8192) = 1.6 %
  CHECK(square / static_cast<double>(y.value.size()) == doctest::Approx(1).epsilon(0.06));
}

TEST_CASE("nn/linear: gradients of weight, bias and input") {
  sbi::nn::Parameters<double> parameters(1);
  const sbi::nn::Linear layer(parameters, "layer", 7, 5);
  CHECK(parameters.entries()[0].name == "layer.weight");
  CHECK(parameters.entries()[1].name == "layer.bias");
  sbi::Cpu<double> be(1);
  CHECK(sbi::testing::module_error(be, parameters, sbi::testing::normals<double>({3, 7}, 2),
                                   [&](auto& tape, auto x) { return layer(tape, x); }) < 1e-7);
}
