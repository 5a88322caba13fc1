// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

#include <cmath>

TEST_CASE("ops/norm: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::norm_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/norm: a known row") {
  sbi::Cpu<double> be;
  sbi::Tape tape(be);
  const sbi::Tensor<double> x({1, 4}, {1, 2, 3, 6}), g({4}, {1, 1, 1, 2}), b({4}, {0, 0, 0, 5});
  const auto y = tape.apply(sbi::ops::LayerNorm{}, tape.constant(x.view()), tape.constant(g.view()),
                            tape.constant(b.view()));
  const double rstd = 1 / std::sqrt(3.5 + 1e-5); // mean 3, squares 4 + 1 + 0 + 9
  CHECK(y.value.data[0] == doctest::Approx(-2 * rstd).epsilon(1e-14));
  CHECK(y.value.data[2] == 0);
  CHECK(y.value.data[3] == doctest::Approx(3 * rstd * 2 + 5).epsilon(1e-14));
}

TEST_CASE("ops/norm: a constant row gives the bias") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({1, 3}, {7, 7, 7}), g({3}, {2, 2, 2}), b({3}, {1, -1, 0});
  const auto y = tape.apply(sbi::ops::LayerNorm{}, tape.constant(x.view()), tape.constant(g.view()),
                            tape.constant(b.view()));
  for (int i = 0; i < 3; ++i) CHECK(y.value.data[i] == b.data()[i]);
}

TEST_CASE("ops/norm: a gain with gaps is refused") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({1, 3}), b({3}), table({3, 2});
  CHECK_THROWS_WITH_AS((void)tape.apply(sbi::ops::LayerNorm{}, tape.constant(x.view()),
                                        tape.constant(table.view().columns(0, 1)), tape.constant(b.view())),
                       "layer norm: rows of the gain are 2 apart, of the bias 3; want them to touch",
                       sbi::ShapeError);
}
