// SPDX-License-Identifier: MIT
#include "module_check.hpp"

#include <sbi/nn/transformer.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace {
using sbi::AttentionExtent;
using sbi::index_t;
using sbi::Tensor;
using sbi::View;
using sbi::nn::Transformer;
using sbi::nn::TransformerConfig;
constexpr double inf = std::numeric_limits<double>::infinity();

constexpr TransformerConfig small{12, 2, 3, 2, 4};

template <class T> struct Model {
  sbi::nn::Parameters<T> parameters{7};
  Transformer transformer;
  explicit Model(const TransformerConfig& c = small) : transformer(parameters, "t", c) {}

  /// Output for x [samples * tokens, width] in a fresh tape.
  Tensor<T> operator()(View<const T> x, const AttentionExtent<T>& at, View<const T> time = {},
                       View<const T> gate = {}, View<const T> context = {}, View<T> keep = {}) const {
    sbi::Cpu<T> be(1);
    sbi::Tape tape(be, parameters.values().data());
    const sbi::nn::TimeInput<T> input{tape.constant(time), gate};
    const auto y = transformer(tape, tape.constant(x), at, time ? &input : nullptr, context, keep);
    Tensor<T> out({y.shape().rows(), y.shape().cols()});
    std::copy(y.value.data, y.value.data + y.value.size(), out.begin());
    return out;
  }
};
template <class T> double distance(View<const T> a, View<const T> b) {
  double worst = 0;
  for (index_t r = 0; r < a.rows(); ++r)
    for (index_t c = 0; c < a.cols(); ++c)
      worst = std::max(worst, std::abs(static_cast<double>(a(r, c) - b(r, c))));
  return worst;
}
} // namespace

TEST_CASE("nn/transformer: gradients of every parameter, with mask and time") {
  Model<double> model;
  const auto x = sbi::testing::normals<double>({2 * 5, 12}, 1),
             time = sbi::testing::normals<double>({2, 4}, 2);
  Tensor<double> mask({2, 5, 5});
  sbi::Rng rng(3);
  for (auto& m : mask) m = rng.bernoulli(0.3) ? -inf : 0.0;
  const Tensor<double> gate({10}, {1, 1, 0, 0, 1, 0, 1, 1, 1, 0});
  AttentionExtent<double> at;
  at.tokens = 5, at.mask = mask.view();
  const auto check = [&](auto be) {
    return sbi::testing::module_error(be, model.parameters, x, [&](auto& tape, auto in) {
      const sbi::nn::TimeInput<double> input{tape.input(time.view()), gate.view()};
      return model.transformer(tape, in, at, &input);
    });
  };
  CHECK(check(sbi::Cpu<double>(1)) < 1e-7);
  CHECK(check(sbi::Reference<double>()) < 1e-7);
}

TEST_CASE("nn/transformer: tokens have no order of their own") {
  const Model<double> model;
  const auto x = sbi::testing::normals<double>({5, 12}, 1);
  const std::vector<index_t> order{3, 0, 4, 1, 2};
  Tensor<double> shuffled({5, 12});
  for (index_t t = 0; t < 5; ++t) std::copy_n(x.row(order[static_cast<std::size_t>(t)]), 12, shuffled.row(t));
  AttentionExtent<double> at;
  at.tokens = 5;
  const auto y = model(x.view(), at), z = model(std::as_const(shuffled).view(), at);
  for (index_t t = 0; t < 5; ++t)
    CHECK(distance<double>(z.view().row_block(t, 1),
                           y.view().row_block(order[static_cast<std::size_t>(t)], 1)) < 1e-12);
}

TEST_CASE("nn/transformer: the bits of a sample do not depend on its batch") {
  const Model<float> model;
  const auto x = sbi::testing::normals<float>({9 * 5, 12}, 1);
  AttentionExtent<float> at;
  at.tokens = 5;
  const auto all = model(x.view(), at);
  for (index_t s : {0, 4, 8}) {
    const auto one = model(x.view().row_block(5 * s, 5), at);
    CHECK(std::equal(one.begin(), one.end(), all.row(5 * s)));
  }
}

TEST_CASE("nn/transformer: what a sample may not attend to does not change it") {
  const Model<float> model;
  auto x = sbi::testing::normals<float>({4, 12}, 1);
  Tensor<float> mask({4, 4});
  for (index_t t = 0; t < 4; ++t) mask(t, 2) = t == 2 ? 0.0f : static_cast<float>(-inf);
  AttentionExtent<float> at;
  at.tokens = 4, at.mask = mask.view();
  const auto before = model(std::as_const(x).view(), at);
  std::fill_n(x.row(2), 12, 3.0f);
  const auto after = model(std::as_const(x).view(), at);
  for (index_t t : {0, 1, 3}) CHECK(std::equal(before.row(t), before.row(t) + 12, after.row(t)));
  CHECK(before(2, 0) != after(2, 0));
}

TEST_CASE("nn/transformer: keys and values kept from a first call serve the rest of the tokens") {
  const Model<double> model;
  constexpr index_t given = 3, latent = 2, groups = 2, shared = 2, samples = groups * shared;
  const auto context = sbi::testing::normals<double>({groups * given, 12}, 1);
  const auto own = sbi::testing::normals<double>({samples * latent, 12}, 2),
             time = sbi::testing::normals<double>({samples, 4}, 3);

  // In one sequence: given tokens see each other only, and time enters the latent ones.
  Tensor<double> x({samples * 5, 12}), mask({5, 5}), gate({samples * 5});
  for (index_t t = 0; t < given; ++t)
    for (index_t k = given; k < 5; ++k) mask(t, k) = -inf;
  for (index_t s = 0; s < samples; ++s)
    for (index_t t = 0; t < 5; ++t) {
      const bool is_given = t < given;
      std::copy_n(is_given ? context.row(s / shared * given + t) : own.row(s * latent + t - given), 12,
                  x.row(5 * s + t));
      gate.data()[5 * s + t] = is_given ? 0 : 1;
    }
  AttentionExtent<double> whole;
  whole.tokens = 5, whole.mask = mask.view();
  const auto want = model(std::as_const(x).view(), whole, time.view(), gate.view());

  Tensor<double> kept({small.layers * groups * given, 2 * 12}),
      ones({samples * latent}, std::vector<double>(samples * latent, 1.0));
  AttentionExtent<double> first;
  first.tokens = given;
  (void)model(context.view(), first, {}, {}, {}, kept.view());
  AttentionExtent<double> second;
  second.tokens = latent, second.context_tokens = given, second.samples_per_context = shared;
  const auto got =
      model(own.view(), second, time.view(), std::as_const(ones).view(), std::as_const(kept).view());
  for (index_t s = 0; s < samples; ++s)
    CHECK(distance<double>(got.view().row_block(s * latent, latent),
                           want.view().row_block(5 * s + given, latent)) < 1e-12);
}

TEST_CASE("nn/transformer: sizes that make no sense are refused") {
  sbi::nn::Parameters<float> parameters;
  CHECK_THROWS_WITH_AS(Transformer(parameters, "t", {10, 1, 3, 2, 0}),
                       "transformer: width 10 is no multiple of 3 heads", sbi::ValueError);
  CHECK_THROWS_WITH_AS(
      Transformer(parameters, "u", {8, 0, 1, 2, 0}),
      "transformer: width 8, layers 0, heads 1, MLP factor 2, time width 0; want at least 1 (time 0)",
      sbi::ValueError);
}
