// SPDX-License-Identifier: MIT
#include <sbi/autodiff/gradient.hpp>
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/linear.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace {
using sbi::Gradient;
using sbi::index_t;
using sbi::ResultGradient;
using sbi::Shape;
using sbi::Tensor;
using sbi::View;
using sbi::Write;
} // namespace

TEST_CASE("autodiff/gradient: a result's memory is replaced once, then added to") {
  std::vector<float> memory(6, 7.0f); // what was there before does not count
  ResultGradient<float> result{memory.data(), 6};
  const Gradient<float> all(result, {2, 3});
  CHECK(all.target().write == Write::overwrite);
  CHECK(all.target().write == Write::accumulate);
  CHECK(all.target().at.data == memory.data());
  CHECK(memory[5] == 7);
}

TEST_CASE("autodiff/gradient: a slice starts from zeros, in all of the memory") {
  std::vector<float> memory(6, 7.0f);
  ResultGradient<float> result{memory.data(), 6};
  const Gradient<float> all(result, {2, 3}), part = all.columns(1, 2);
  const auto [at, write] = part.target();
  CHECK(write == Write::accumulate);
  CHECK(at.data == memory.data() + 1);
  CHECK(at.row_stride == 3);
  CHECK(memory == std::vector<float>(6));
  CHECK(all.row_block(1, 1).reshaped({3, 1}).view().data == memory.data() + 3);
}

TEST_CASE("autodiff/gradient: memory changes hands where it is whole and unwritten, and slices follow") {
  std::vector<float> mine(4, 7.0f), theirs{1, 2, 3, 4};
  ResultGradient<float> to{mine.data(), 4}, from{theirs.data(), 4, false};
  const Gradient<float> into(to, {2, 2}), dead(from, {4}), slice = into.columns(1, 1);
  CHECK_FALSE(slice.take(dead));
  CHECK(into.take(dead));
  CHECK(into(1, 1) == 4);
  CHECK(slice(0, 0) == 2);
  CHECK_FALSE(into.take(dead)); // it holds something now
  std::vector<float> sum(4);
  CHECK_FALSE(
      Gradient<float>(View<float>(sum.data(), {4})).take(into)); // and an input's memory is the user's
}

namespace {
/// d/dx of sum(w (r + x W + b) + extra r) for a residual r that is used again, before or after.
std::vector<float> residual_gradient(bool again_before, bool again_after) {
  sbi::Cpu<float> be(1);
  const Tensor<float> x({2, 2}, {1, 2, 3, 4}), w({2, 2}, {1, -1, 2, 3}), b({2}), ones({2, 2}, {1, 1, 1, 1});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  const auto r = tape.apply(sbi::ops::Scale{2}, in);
  if (again_before) tape.seed(tape.apply(sbi::ops::Scale{10}, r), ones.view());
  const auto y = tape.apply(sbi::ops::LinearAdd<float>{}, r, tape.constant(x.view()), tape.input(w.view()),
                            tape.constant(b.view()));
  tape.seed(y, ones.view());
  if (again_after) tape.seed(tape.apply(sbi::ops::Scale{100}, r), ones.view());
  tape.backward();
  return {in.grad.view().data, in.grad.view().data + 4};
}
} // namespace

TEST_CASE("autodiff/gradient: a residual that is used elsewhere too gets all its contributions") {
  CHECK(residual_gradient(false, false) == std::vector<float>(4, 2.0f));
  CHECK(residual_gradient(true, false) == std::vector<float>(4, 22.0f));
  CHECK(residual_gradient(false, true) == std::vector<float>(4, 202.0f));
  CHECK(residual_gradient(true, true) == std::vector<float>(4, 222.0f));
}

TEST_CASE("autodiff/gradient: the two inputs of a sum may be one") {
  sbi::Cpu<float> be(1);
  const Tensor<float> x({3}, {1, 2, 3}), one({3}, {1, 1, 1});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  const auto u = tape.apply(sbi::ops::Scale{1}, in);
  tape.seed(tape.apply(sbi::ops::Add{}, u, u), one.view());
  tape.backward();
  CHECK(in.grad.view().data[2] == 2);
}

TEST_CASE("autodiff/gradient: what no seed depends on is not played back") {
  sbi::Cpu<float> be(1);
  const Tensor<float> x({1}, {1}), one({1}, {1});
  sbi::Tape tape(be);
  const auto a = tape.input(x.view()), b = tape.input(x.view());
  (void)tape.apply(sbi::ops::Scale{5}, a);
  tape.seed(tape.apply(sbi::ops::Scale{3}, b), one.view());
  tape.backward();
  CHECK(a.grad.view().data[0] == 0);
  CHECK(b.grad.view().data[0] == 3);
}
