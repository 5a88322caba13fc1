// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

TEST_CASE("ops/loss: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::loss_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/loss: a weighted sum of squares by hand") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({3}, {1, 2, 3}), target({3}, {0, 4, 100}), weight({3}, {1, 0.5f, 0});
  const auto in = tape.input(x.view());
  const auto y = tape.apply(sbi::ops::WeightedSquares<float>{target.view(), weight.view()}, in);
  CHECK(y.value.data[0] == 3);
  tape.backward(y, 10);
  CHECK(in.grad.view().data[0] == 20);
  CHECK(in.grad.view().data[1] == -20);
  CHECK(in.grad.view().data[2] == 0);
}

TEST_CASE("ops/loss: constants with gaps between their rows are refused") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> wide({2, 4}), narrow({2, 3});
  const auto in = tape.input(narrow.view());
  CHECK_THROWS_AS(
      (void)tape.apply(sbi::ops::WeightedSquares<float>{wide.view().columns(0, 3), narrow.view()}, in),
      sbi::ShapeError);
}
