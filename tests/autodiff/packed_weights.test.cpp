// SPDX-License-Identifier: MIT
#include <sbi/autodiff/packed_weights.hpp>
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ops/elementwise.hpp>
#include <sbi/ops/linear.hpp>

#include <doctest/doctest.h>

#include <vector>

namespace {
using sbi::index_t;
using sbi::Parameter;
using sbi::Shape;
using sbi::Tensor;

/// Value and gradients of gelu(x W1 + b) W2, with packed weights or without.
std::vector<float> run(bool packed, Shape w1, index_t out) {
  sbi::Cpu<float> be(1);
  sbi::Rng rng(8);
  const index_t hidden = w1[1];
  std::vector<float> values(static_cast<std::size_t>(w1.size() + hidden + hidden * out + out));
  for (auto& v : values) v = static_cast<float>(rng.normal());
  const Parameter first{0, w1}, bias{w1.size(), {hidden}}, second{w1.size() + hidden, {hidden, out}},
      last{w1.size() + hidden + hidden * out, {out}};
  Tensor<float> x({11, w1[0]}), dy({11, out});
  for (auto* t : {&x, &dy})
    for (auto& v : *t) v = static_cast<float>(rng.normal());
  sbi::PackedWeights<float> weights({first, second});
  weights.update(be, values.data());
  std::vector<float> gradients(values.size());
  sbi::Tape tape(be, values.data(), gradients.data(), packed ? &weights : nullptr);
  const auto in = tape.input(x.view());
  CHECK((tape.packed(first).forward.data != nullptr) == packed);
  const auto h = tape.apply(sbi::ops::LinearActivation<float, sbi::ops::GeluFunction>{tape.packed(first)}, in,
                            tape(first), tape(bias));
  const auto y = tape.apply(sbi::ops::Linear<float>{tape.packed(second)}, h, tape(second), tape(last));
  tape.seed(y, std::as_const(dy).view());
  tape.backward();
  std::vector<float> all(y.value.data, y.value.data + y.value.size());
  all.insert(all.end(), in.grad.view().data, in.grad.view().data + x.size());
  all.insert(all.end(), gradients.begin(), gradients.end());
  return all;
}
} // namespace

TEST_CASE("autodiff/packed_weights: packed or not, the bits are the same") {
  for (const index_t in : {1, 5, 16, 70, 300})
    for (const index_t hidden : {1, 13, 64, 150})
      CHECK(run(true, {in, hidden}, 7) == run(false, {in, hidden}, 7));
}

TEST_CASE("autodiff/packed_weights: a parameter that is not packed is read as it is") {
  sbi::Cpu<float> be(1);
  const std::vector<float> values(64, 1.0f);
  sbi::PackedWeights<float> weights({{0, {4, 4}}});
  CHECK(weights(Parameter{0, {4, 4}}).forward.data == nullptr); // not before the first update
  weights.update(be, values.data());
  CHECK(weights(Parameter{0, {4, 4}}).forward.data != nullptr);
  CHECK(weights(Parameter{16, {4, 4}}).forward.data == nullptr);
}

TEST_CASE("autodiff/packed_weights: matrices out of order are refused") {
  CHECK_THROWS_WITH_AS(
      (sbi::PackedWeights<float>({{16, {4, 4}}, {0, {4, 4}}})),
      "packed weights: a matrix at offset 0 behind values up to 32; want matrices in the order "
      "of their offsets",
      sbi::ValueError);
  CHECK_THROWS_WITH_AS(sbi::PackedWeights<float>(std::vector{Parameter{0, {4}}}),
                       "packed weights: a parameter of shape [4]; want matrices", sbi::ValueError);
}
