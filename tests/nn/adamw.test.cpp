// SPDX-License-Identifier: MIT
#include <sbi/nn/adamw.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
using sbi::nn::AdamW;
using sbi::nn::Init;

sbi::nn::Parameters<double> two() { // a decaying matrix and a bias, one number each
  sbi::nn::Parameters<double> parameters;
  (void)parameters.add("layer.weight", {1, 1}, Init{3, 0});
  (void)parameters.add("layer.bias", {1}, Init{3, 0});
  return parameters;
}
} // namespace

TEST_CASE("nn/adamw: the first step has the length of the learning rate, whatever the gradient") {
  auto parameters = two();
  AdamW<double> optimiser(parameters, {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0});
  std::vector<double> gradient(parameters.values().size());
  gradient[0] = 1e-3, gradient[8] = -1e3;
  optimiser.step(sbi::Cpu<>(1), parameters, gradient, 0.1);
  CHECK(parameters.values()[0] == doctest::Approx(3 - 0.1).epsilon(1e-5)); // epsilon against 1e-3
  CHECK(parameters.values()[8] == doctest::Approx(3 + 0.1));
  CHECK(optimiser.steps() == 1);
}

TEST_CASE("nn/adamw: follows its equations over several steps") {
  auto parameters = two();
  AdamW<double> optimiser(parameters, {.beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .weight_decay = 0.5});
  std::vector<double> gradient(parameters.values().size());
  double m = 0, v = 0, weight = 3, bias = 3;
  for (int n = 1; n <= 6; ++n) {
    const double g = std::sin(n), rate = 0.1 / n;
    gradient[0] = gradient[8] = g;
    optimiser.step(sbi::Cpu<>(1), parameters, gradient, rate);
    m = 0.8 * m + 0.2 * g, v = 0.9 * v + 0.1 * g * g;
    const double move = rate * (m / (1 - std::pow(0.8, n))) / (std::sqrt(v / (1 - std::pow(0.9, n))) + 1e-3);
    weight = weight - rate * 0.5 * weight - move, bias -= move; // biases do not decay
    CHECK(parameters.values()[0] == doctest::Approx(weight).epsilon(1e-13));
    CHECK(parameters.values()[8] == doctest::Approx(bias).epsilon(1e-13));
  }
}

TEST_CASE("nn/adamw: only matrices decay, whatever a vector is called") {
  sbi::nn::Parameters<float> parameters;
  (void)parameters.add("mixture.weight", {4}, Init{1, 0});
  (void)parameters.add("table", {2, 2}, Init{1, 0});
  AdamW<float> optimiser(parameters, {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.5});
  const auto before = parameters.values();
  optimiser.step(sbi::Cpu<>(1), parameters, std::vector<float>(before.size()), 0.1);
  CHECK(parameters.values() == before);
}

TEST_CASE("nn/adamw: finds the minimum of a badly scaled bowl") {
  sbi::nn::Parameters<float> parameters;
  (void)parameters.add("x", {2}, Init{1, 0});
  AdamW<float> optimiser(parameters);
  for (int n = 0; n < 2000; ++n) {
    const std::vector<float> gradient{200 * (parameters.values()[0] - 0.25f),
                                      0.02f * (parameters.values()[1] + 2)};
    std::vector<float> padded(parameters.values().size());
    std::copy(gradient.begin(), gradient.end(), padded.begin());
    optimiser.step(sbi::Cpu<>(1), parameters, padded, 1e-2 * (1 - n / 2000.0));
  }
  CHECK(parameters.values()[0] == doctest::Approx(0.25).epsilon(1e-3));
  CHECK(parameters.values()[1] == doctest::Approx(-2).epsilon(1e-3));
}

TEST_CASE("nn/adamw: gradient scale and average in one pass equal three") {
  sbi::nn::Parameters<float> together, apart;
  for (auto* p : {&together, &apart}) {
    (void)p->add("layer.weight", {130, 70}, Init{0, 1});
    (void)p->add("layer.bias", {70}, Init{0, 1});
  }
  AdamW<float> one(together), three(apart);
  sbi::nn::Ema<float> average_one(together.values(), 0.9), average_three(apart.values(), 0.9);
  sbi::Rng rng(2);
  for (int step = 0; step < 3; ++step) {
    std::vector<float> gradient(together.values().size());
    for (auto& g : gradient) g = static_cast<float>(rng.normal());
    one.step(sbi::Cpu<float>(3), together, gradient, 0.1, 0.5, &average_one);
    for (auto& g : gradient) g *= 0.5f;
    three.step(sbi::Cpu<float>(1), apart, gradient, 0.1);
    average_three.update(apart.values());
  }
  CHECK(together.values() == apart.values());
  CHECK(average_one.average() == average_three.average());
}

TEST_CASE("nn/adamw: what is not to be trained stays, decay and average included") {
  auto parameters = two();
  AdamW<double> optimiser(parameters, {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.5},
                          ".bias");
  sbi::nn::Ema<double> average(parameters.values(), 0.5);
  optimiser.step(sbi::Cpu<>(1), parameters, std::vector<double>(parameters.values().size(), 1.0), 0.1, 1,
                 &average);
  CHECK(parameters.values()[0] == 3);
  CHECK(average.average()[0] == 3);
  CHECK(parameters.values()[8] < 3);
  CHECK_THROWS_WITH_AS(AdamW<double>(parameters, {}, ".gain"),
                       "adamw: no parameter's name holds '.gain'; nothing would be trained", sbi::ValueError);
}
