// SPDX-License-Identifier: MIT
#include "module_check.hpp"

#include <sbi/nn/layer_norm.hpp>

#include <doctest/doctest.h>

TEST_CASE("nn/layer_norm: starts as plain normalisation") {
  sbi::nn::Parameters<double> parameters;
  const sbi::nn::LayerNorm norm(parameters, "norm", 6);
  sbi::Cpu<double> be(1);
  const auto x = sbi::testing::normals<double>({4, 6}, 2);
  sbi::Tape tape(be, parameters.values().data());
  const auto y = norm(tape, tape.constant(x.view()));
  for (sbi::index_t r = 0; r < 4; ++r) {
    double sum = 0, square = 0;
    for (sbi::index_t c = 0; c < 6; ++c) sum += y.value(r, c), square += y.value(r, c) * y.value(r, c);
    CHECK(std::abs(sum) < 1e-13);
    CHECK(square / 6 == doctest::Approx(1).epsilon(1e-3)); // 1e-5 is added to the variance
  }
}

TEST_CASE("nn/layer_norm: gradients of gain, bias and input") {
  sbi::nn::Parameters<double> parameters;
  const sbi::nn::LayerNorm norm(parameters, "norm", 6);
  sbi::Cpu<double> be(1);
  CHECK(sbi::testing::module_error(be, parameters, sbi::testing::normals<double>({4, 6}, 2),
                                   [&](auto& tape, auto x) { return norm(tape, x); }) < 1e-7);
}
