// SPDX-License-Identifier: MIT
#include "module_check.hpp"

#include <sbi/nn/mlp.hpp>

#include <doctest/doctest.h>

#include <algorithm>

TEST_CASE("nn/mlp: gradients through two hidden layers") {
  sbi::nn::Parameters<double> parameters(1);
  const sbi::nn::Mlp mlp(parameters, "mlp", {5, 17, 9, 3});
  CHECK(parameters.entries().size() == 6);
  CHECK(parameters.entries()[2].name == "mlp.1.weight");
  sbi::Cpu<double> be(1);
  CHECK(sbi::testing::module_error(be, parameters, sbi::testing::normals<double>({4, 5}, 2),
                                   [&](auto& tape, auto x) { return mlp(tape, x); }) < 1e-7);
}

TEST_CASE("nn/mlp: a last gain of zero starts as the zero function") {
  sbi::nn::Parameters<float> parameters(1);
  const sbi::nn::Mlp mlp(parameters, "mlp", {3, 8, 2}, 0);
  sbi::Cpu<float> be(1);
  const auto x = sbi::testing::normals<float>({4, 3}, 2);
  sbi::Tape tape(be, parameters.values().data());
  const auto y = mlp(tape, tape.constant(x.view()));
  CHECK(std::all_of(y.value.data, y.value.data + 8, [](float v) { return v == 0; }));
}

TEST_CASE("nn/mlp: two widths at least") {
  sbi::nn::Parameters<float> parameters;
  CHECK_THROWS_WITH_AS(sbi::nn::Mlp(parameters, "f", {3}), "mlp f: 1 widths; want an input and an output",
                       sbi::ValueError);
}
