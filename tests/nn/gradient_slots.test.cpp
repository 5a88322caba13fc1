// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/nn/gradient_slots.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {
using sbi::index_t;
using sbi::nn::GradientSlots;

template <class T> sbi::nn::Parameters<T> parameters(index_t size) {
  sbi::nn::Parameters<T> out;
  (void)out.add("all.bias", {size}, sbi::nn::Init::zeros());
  return out;
}
template <class T> void fill(GradientSlots<T>& slots, index_t size) {
  sbi::Rng rng(4);
  for (index_t s = 0; s < slots.count(); ++s) {
    T* values = slots.cleared(s);
    for (index_t i = 0; i < size; ++i) values[i] = static_cast<T>(rng.normal());
  }
}
} // namespace

TEST_CASE("nn/gradient_slots: slots add up in order, to the same bits on any number of threads") {
  constexpr index_t size = 10'007;
  const auto p = parameters<float>(size);
  GradientSlots<float> one(5, p), many(5, p);
  fill(one, size), fill(many, size);
  sbi::Rng rng(4);
  sbi::AlignedVector<float> want(size);
  for (int s = 0; s < 5; ++s)
    for (auto& w : want) w += static_cast<float>(rng.normal());
  double square = 0;
  for (float w : want) square += static_cast<double>(w) * static_cast<double>(w);
  const double norm = one.reduce(sbi::Cpu<float>(1));
  CHECK(many.reduce(sbi::Cpu<float>(3)) == norm);
  one.total().resize(size), many.total().resize(size); // without the gap at the end
  CHECK(one.total() == want);
  CHECK(norm == doctest::Approx(std::sqrt(square)).epsilon(1e-13)); // sums of 1e4 doubles
  CHECK(many.total() == want);
}

TEST_CASE("nn/gradient_slots: a slot starts from zero, one slot is its own sum") {
  GradientSlots<double> slots(1, parameters<double>(3));
  slots.cleared(0)[1] = 3;
  CHECK(slots.reduce(sbi::Cpu<double>(1)) == 3);
  CHECK(slots.cleared(0)[1] == 0);
}

TEST_CASE("nn/gradient_slots: what is not trained does not count") {
  sbi::nn::Parameters<float> two;
  (void)two.add("a.weight", {1}, sbi::nn::Init::zeros());
  const auto b = two.add("b.bias", {1}, sbi::nn::Init::zeros());
  GradientSlots<float> slots(1, two, ".bias");
  float* values = slots.cleared(0);
  values[0] = 100, values[b.offset] = -2;
  CHECK(slots.reduce(sbi::Cpu<float>(1)) == 2);
}

TEST_CASE("nn/gradient_slots: squares that overflow a float do not") {
  GradientSlots<float> slots(2, parameters<float>(2));
  slots.cleared(0)[0] = 3e30f;
  slots.cleared(1)[1] = 4e30f;
  CHECK(slots.reduce(sbi::Cpu<float>(1)) == doctest::Approx(5e30));
}

TEST_CASE(
    "nn/gradient_slots: long gradients are clipped, short ones and those that are not finite are left") {
  using sbi::nn::clip_factor;
  CHECK(clip_factor(5, 10) == 1);
  CHECK(clip_factor(5, 1) == 0.2);
  CHECK(clip_factor(std::numeric_limits<double>::quiet_NaN(), 1) == 1);
  CHECK(clip_factor(std::numeric_limits<double>::infinity(), 1) == 1);
}
