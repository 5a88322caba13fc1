// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

TEST_CASE("ops/softmax: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::softmax_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/softmax: known logits, forbidden entries, and rows with nothing allowed") {
  constexpr float inf = std::numeric_limits<float>::infinity();
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> spoilt({2, 3}, {1, std::numeric_limits<float>::quiet_NaN(), 2, 0, 0, 0});
  const auto rows = tape.apply(sbi::ops::Softmax{}, tape.constant(spoilt.view()));
  for (int c = 0; c < 3; ++c) CHECK(std::isnan(rows.value(0, c))); // all of its row, no other
  CHECK(rows.value(1, 0) == doctest::Approx(1.0 / 3));
  const sbi::Tensor<float> x({4, 3}, {0, std::log(2.0f), std::log(5.0f), //
                                      1e4f, 1e4f, -inf,                  //
                                      -inf, -inf, -inf,                  //
                                      0, -200, -90});
  const auto in = tape.input(x.view());
  const auto y = tape.apply(sbi::ops::Softmax{}, in);
  CHECK(y.value(0, 0) == doctest::Approx(1.0 / 8));
  CHECK(y.value(0, 1) == doctest::Approx(2.0 / 8));
  CHECK(y.value(0, 2) == doctest::Approx(5.0 / 8));
  CHECK(y.value(1, 0) == 0.5f);
  CHECK(y.value(1, 2) == 0);
  for (int c = 0; c < 3; ++c) CHECK(y.value(2, c) == 0);
  CHECK(y.value(3, 0) == 1);
  CHECK(y.value(3, 2) == 0); // not a denormal
  sbi::Tensor<float> dy({4, 3});
  for (auto& v : dy) v = 1; // the sum of a row is constant: no gradient
  tape.seed(y, dy.view());
  tape.backward();
  for (int i = 0; i < 12; ++i) CHECK(std::abs(in.grad.view().data[i]) < 1e-7f);
}
