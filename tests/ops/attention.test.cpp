// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

TEST_CASE("ops/attention: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::attention_cases(sbi::testing::Sizes::odd));
}

namespace {
constexpr float inf = std::numeric_limits<float>::infinity();
}

TEST_CASE("ops/attention: two keys by hand, and a query that may see nothing gives exactly 0") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  // one sample, two tokens, one head of width 1: rows are q, k, v
  const sbi::Tensor<float> qkv({2, 3}, {1, 0, 10, //
                                        2, std::log(3.0f), 20});
  const sbi::Tensor<float> mask({2, 2}, {0, 0, -inf, -inf});
  const auto in = tape.input(qkv.view());
  const auto y = tape.apply(sbi::ops::Attention<float>{{1, 2, mask.view(), {}, 0, 1}}, in);
  CHECK(y.value(0, 0) == doctest::Approx(10 * 0.25 + 20 * 0.75)); // logits 0 and log 3
  CHECK(y.value(1, 0) == 0);
  const sbi::Tensor<float> dy({2, 1}, {1, 1});
  tape.seed(y, dy.view());
  tape.backward();
  CHECK(in.grad(0, 2) == doctest::Approx(0.25));
  CHECK(in.grad(1, 2) == doctest::Approx(0.75));
  CHECK(in.grad(1, 0) == 0);
  // d/dq0 = sum_k p_k (v_k - y) k_k = 0.75 (20 - 17.5) log 3
  CHECK(in.grad(0, 0) == doctest::Approx(0.75 * 2.5 * std::log(3.0)));
}

TEST_CASE("ops/attention: keys of a context act as tokens that ask nothing") {
  sbi::Cpu<double> be;
  sbi::Rng rng(2);
  const sbi::index_t heads = 2, head = 3, width = heads * head;
  sbi::Tensor<double> all({5, 3 * width}), mask({5, 5});
  for (auto& v : all) v = rng.normal();
  sbi::Tensor<double> own({2, 3 * width}), context({3, 2 * width});
  for (sbi::index_t c = 0; c < 3 * width; ++c) {
    for (sbi::index_t t = 0; t < 2; ++t) own(t, c) = all(3 + t, c);
    for (sbi::index_t t = 0; t < 3 && c >= width; ++t) context(t, c - width) = all(t, c);
  }
  sbi::Tape tape(be);
  const auto joint =
      tape.apply(sbi::ops::Attention<double>{{heads, 5, {}, {}, 0, 1}}, tape.constant(all.view()));
  const auto split = tape.apply(sbi::ops::Attention<double>{{heads, 2, {}, context.view(), 3, 1}},
                                tape.constant(own.view()));
  for (sbi::index_t t = 0; t < 2; ++t)
    for (sbi::index_t c = 0; c < width; ++c)
      CHECK(split.value(t, c) == doctest::Approx(joint.value(3 + t, c)).epsilon(1e-13));
}

TEST_CASE("ops/attention: messages") {
  const auto refuse = [](sbi::AttentionExtent<float> at, sbi::Shape qkv, const char* message) {
    CHECK_THROWS_WITH_AS((void)sbi::ops::Attention<float>{at}.shape(qkv), message, sbi::ShapeError);
  };
  const sbi::Tensor<float> mask({2, 4}), context({3, 8});
  refuse({2, 3, {}, {}, 0, 1}, {6, 14},
         "attention: qkv is [6,14] with 2 heads; want [*,3 * heads * head width]");
  refuse({2, 4, {}, {}, 0, 1}, {6, 12}, "attention: qkv is [6,12]; want rows in multiples of 4 tokens");
  refuse({2, 3, mask.view(), {}, 0, 1}, {6, 12},
         "attention: mask is [2,4]; want [2,3,3] or its last two axes");
  refuse({2, 3, {}, context.view(), 2, 1}, {6, 12}, "attention: context is [3,8]; want [4,8]");
  refuse({2, 3, {}, {}, -1, 1}, {6, 12}, "attention: -1 context tokens; want 0 or more");
  const sbi::Tensor<float> turned({5, 3}), two({4, 8});
  refuse({2, 3, turned.view(), two.view(), 2, 1}, {6, 12},
         "attention: mask is [5,3]; want [2,3,5] or its last two axes");
}
