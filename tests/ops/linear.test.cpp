// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

TEST_CASE("ops/linear: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::linear_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/linear: a product small enough to do by hand") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({1, 2}, {2, 3}), w({2, 2}, {1, 10, 100, 1000}), b({2}, {0.5f, -0.5f});
  const auto xs = tape.input(x.view()), ws = tape.input(w.view()), bs = tape.input(b.view());
  const auto y = tape.apply(sbi::ops::Linear<float>{}, xs, ws, bs);
  CHECK(y.value(0, 0) == 302.5f);
  CHECK(y.value(0, 1) == 3019.5f);
  const sbi::Tensor<float> dy({1, 2}, {1, 2});
  tape.seed(y, dy.view());
  tape.backward();
  CHECK(xs.grad(0, 0) == 21);
  CHECK(xs.grad(0, 1) == 2100);
  CHECK(ws.grad(1, 1) == 6);
  CHECK(bs.grad.view().data[1] == 2);
}

TEST_CASE("ops/linear: the message says what was wanted") {
  CHECK_THROWS_WITH_AS((void)sbi::ops::Linear<float>{}.shape({512, 32, 64}, {128, 64}, {64}),
                       "linear: x is [512,32,64], W is [128,64]; want W [64,*]", sbi::ShapeError);
  CHECK_THROWS_WITH_AS((void)sbi::ops::Linear<float>{}.shape({8, 64}, {64, 32}, {64}),
                       "linear: W is [64,32], b is [64]; want b [32]", sbi::ShapeError);
  CHECK(sbi::ops::Linear<float>{}.shape({2, 3, 4}, {4, 5}, {5}) == sbi::Shape{2, 3, 5});
}
