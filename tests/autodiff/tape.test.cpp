// SPDX-License-Identifier: MIT
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/linear.hpp>
#include <sbi/ops/norm.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace {
using sbi::Shape;
using sbi::Tensor;
using Be = sbi::Cpu<float>;
using sbi::ops::Add;
using Linear = sbi::ops::Linear<float>;
using sbi::ops::Scale;

/// Bytes of the arena between two marks of one block.
std::size_t between(sbi::Arena::Mark a, sbi::Arena::Mark b) {
  REQUIRE(a.block == b.block);
  return b.offset - a.offset;
}
} // namespace

TEST_CASE("autodiff/tape: an op that no gradient depends on costs its output and nothing else") {
  Be be(1);
  const Tensor<float> x({4, 16}), g({16}), b({16});
  sbi::Tape tape(be);
  const auto start = tape.arena().mark();
  const auto y = tape.apply(Scale{2}, tape.constant(x.view()));
  CHECK(between(start, tape.arena().mark()) == 4 * 16 * sizeof(float));
  CHECK_FALSE(y.wants_grad());
  tape.backward(); // nothing to play back
  const auto z = tape.apply(sbi::ops::LayerNorm{}, y, tape.constant(g.view()), tape.constant(b.view()));
  CHECK_FALSE(z.wants_grad());
  tape.seed(z, x.view()); // a cotangent that nobody wants is dropped
}

TEST_CASE("autodiff/tape: frozen parameters keep their gradients, inputs still get theirs") {
  Be be(1);
  const std::vector<float> parameters{2, 3}; // W [1,1], b [1]
  const sbi::Parameter w{0, {1, 1}}, b{1, {1}};
  const Tensor<float> x({2, 1}, {5, 7}), one({2, 1}, {1, 1});
  {
    sbi::Tape tape(be, parameters.data());
    const auto in = tape.input(x.view());
    CHECK_FALSE(tape(w).wants_grad());
    tape.seed(tape.apply(Linear{}, in, tape(w), tape(b)), one.view());
    tape.backward();
    CHECK(in.grad(0, 0) == 2);
  }
  std::vector<float> gradients{100, 200};
  for (int round = 1; round <= 2; ++round) { // gradients add up over tapes
    sbi::Tape tape(be, parameters.data(), gradients.data());
    tape.seed(tape.apply(Linear{}, tape.constant(x.view()), tape(w), tape(b)), one.view());
    tape.backward();
    CHECK(gradients == std::vector<float>{100.0f + 12 * static_cast<float>(round),
                                          200.0f + 2 * static_cast<float>(round)});
  }
}

TEST_CASE("autodiff/tape: backward from several outputs at once") {
  Be be(1);
  const Tensor<float> x({2}, {1, 2}), du({2}, {10, 20}), dv({2}, {1, 1});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  const auto u = tape.apply(Scale{3}, in), v = tape.apply(Add{}, u, in); // v = 4 x
  tape.seed(u, du.view());
  tape.seed(v, dv.view());
  tape.seed(v, dv.view()); // seeds add up
  tape.backward();
  CHECK(in.grad.view().data[0] == 3 * 10 + 2 * 4);
  CHECK(in.grad.view().data[1] == 3 * 20 + 2 * 4);
}

TEST_CASE("autodiff/tape: a cotangent may have another shape of the same size") {
  Be be(1);
  const Tensor<float> x({2, 3}, {0, 0, 0, 0, 0, 0}), dy({6}, {1, 2, 3, 4, 5, 6});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  tape.seed(tape.apply(Scale{1}, in), dy.view());
  tape.backward();
  CHECK(in.grad(1, 0) == 4);
  CHECK(in.grad(1, 2) == 6);
}

TEST_CASE("autodiff/tape: a scalar loss with a scale") {
  Be be(1);
  const Tensor<float> x({1}, {3});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  tape.backward(tape.apply(Scale{4}, in), 0.5f);
  CHECK(in.grad.view().data[0] == 2);
}

TEST_CASE("autodiff/tape: gradients of slices and reshapes land in the whole") {
  Be be(1);
  const Tensor<float> x({2, 6}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}), dy({2, 2}, {1, 2, 3, 4});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  const auto middle = tape.apply(Scale{1}, in.columns(2, 2));
  const auto last = tape.apply(Scale{10}, in.row_block(1, 1).reshaped({3, 2}).row_block(0, 1));
  CHECK(middle.value(1, 0) == 8);
  CHECK(last.value(0, 1) == 70);
  tape.seed(middle, dy.view());
  tape.seed(last, dy.view().row_block(0, 1));
  tape.backward();
  const std::vector<float> got(in.grad.view().data, in.grad.view().data + 12);
  CHECK(got == std::vector<float>{0, 0, 1, 2, 0, 0, 10, 20, 3, 4, 0, 0});
}

TEST_CASE("autodiff/tape: from the second step on nothing is allocated") {
  Be be(1);
  const Tensor<float> x({100, 64}), w({64, 64}), b({64});
  std::size_t after_first = 0;
  for (int step = 0; step < 5; ++step) {
    {
      sbi::Tape tape(be);
      auto y = tape.input(x.view());
      for (int layer = 0; layer < 20; ++layer)
        y = tape.apply(Linear{}, y, tape.input(w.view()), tape.input(b.view()));
      tape.seed(y, x.view());
      tape.backward();
    }
    if (step == 0) after_first = be.arena().capacity();
    CHECK(be.arena().capacity() == after_first);
    CHECK(be.arena().mark().block == 0); // and all of it was given back
    CHECK(be.arena().mark().offset == 0);
  }
}

TEST_CASE("autodiff/tape: a tape inside a tape gives its memory back and leaves the outer alone") {
  Be be(1);
  const Tensor<float> x({64}), ones({64}, std::vector<float>(64, 1.0f));
  sbi::Tape outer(be);
  const auto in = outer.input(ones.view());
  const auto y = outer.apply(Scale{2}, in);
  const auto before = outer.arena().mark();
  {
    sbi::Tape inner(be);
    const auto u = inner.input(y.value); // a value of the outer tape is data of the inner one
    const auto v = inner.apply(Scale{5}, u);
    inner.seed(v, ones.view());
    inner.backward();
    CHECK(u.grad.view().data[0] == 5);
    outer.seed(y, sbi::View<const float>(u.grad));
  }
  CHECK(between(before, outer.arena().mark()) == 0);
  const auto after = outer.apply(Scale{1}, y); // reuses the inner tape's memory
  CHECK(after.value.data[63] == 2);
  outer.backward();
  CHECK(in.grad.view().data[63] == 10);
}

TEST_CASE("autodiff/tape: backward twice plays nothing back twice") {
  Be be(1);
  const Tensor<float> x({1}, {1});
  sbi::Tape tape(be);
  const auto in = tape.input(x.view());
  tape.backward(tape.apply(Scale{3}, in));
  tape.backward();
  CHECK(in.grad.view().data[0] == 3);
}

TEST_CASE("autodiff/tape: messages") {
  Be be(1);
  const Tensor<float> x({2, 3}), wrong({5});
  sbi::Tape tape(be);
  const auto y = tape.apply(Scale{1}, tape.input(x.view()));
  CHECK_THROWS_WITH_AS(tape.seed(y, wrong.view()), "tape: cotangent [5] for an output [2,3]",
                       sbi::ShapeError);
  CHECK_THROWS_WITH_AS(tape.backward(y), "tape: backward from [2,3]; want a single number, or seeds",
                       sbi::ShapeError);
  Tensor<float> gradient({3, 2});
  CHECK_THROWS_WITH_AS((void)tape.input(x.view(), gradient.view()),
                       "tape: an input [2,3] with a gradient [3,2]", sbi::ShapeError);
}

#if defined(__SSE2__)
TEST_CASE("autodiff/tape: denormals are flushed while it exists and kept before and after") {
  Be be(1);
  volatile float small = std::numeric_limits<float>::min(), half = 0.5f;
  CHECK(small * half > 0);
  {
    sbi::Tape tape(be);
    CHECK(small * half == 0);
    {
      sbi::Tape inner(be);
      CHECK(small * half == 0);
    }
    CHECK(small * half == 0);
  }
  CHECK(small * half > 0);
}
#endif
