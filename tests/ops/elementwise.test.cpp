// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
struct Reciprocal {
  template <class V> V operator()(V x) const { return V(1) / (V(2) + x * x); }
};
} // namespace

TEST_CASE("ops/elementwise: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::elementwise_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/elementwise: GELU is close to x Phi(x) and exact at its ends") {
  sbi::Cpu<double> be;
  sbi::Tape tape(be);
  const sbi::Tensor<double> x({8}, {-40, -3, -1, -0.25, 0, 0.5, 2, 40});
  const auto y = tape.apply(sbi::ops::Gelu{}, tape.constant(x.view()));
  for (sbi::index_t i = 0; i < x.size(); ++i) {
    const double at = x.data()[i], erf_form = at * 0.5 * std::erfc(-at / std::sqrt(2.0));
    CHECK(std::abs(y.value.data[i] - erf_form) < 1e-3); // the tanh form is this close to the erf form
  }
  CHECK(y.value.data[4] == 0);
  CHECK(y.value.data[7] == 40);
  // F(x) = x / (1 + e^-u), u = 1.59577 (1 + 0.044715) at x = 1
  CHECK(std::abs(y.value.data[2] + 1 / (1 + std::exp(1.5957691216057308 * 1.044715))) < 1e-15);
}

TEST_CASE("ops/elementwise: a function object of the user's is differentiated") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({2}, {1, -3});
  const auto in = tape.input(x.view());
  const auto y = tape.apply(sbi::ops::Elementwise<Reciprocal>{}, in);
  const sbi::Tensor<float> ones({2}, {1, 1});
  tape.seed(y, ones.view());
  tape.backward();
  CHECK(y.value.data[1] == doctest::Approx(1.0 / 11));
  CHECK(in.grad.view().data[0] == doctest::Approx(-2.0 / 9));
  CHECK(in.grad.view().data[1] == doctest::Approx(6.0 / 121));
}

TEST_CASE("ops/elementwise: the slope of GELU is finite where its exponential overflows") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({4}, {-1e4F, -12, 12, 1e4F}), ones({4}, {1, 1, 1, 1});
  const auto in = tape.input(x.view());
  tape.seed(tape.apply(sbi::ops::Gelu{}, in), ones.view());
  tape.backward();
  for (sbi::index_t i = 0; i < 4; ++i) CHECK(in.grad.view().data[i] == doctest::Approx(i < 2 ? 0 : 1));
}
