// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <cmath>
#include <vector>

namespace sbi {

/// What a directional check found: the derivative of <w, op(x)> along a random direction by the vjp, the same
/// by central differences, and the relative difference.
struct GradientCheck {
  double analytic, numeric, relative_error;
};

/// Compares an op's vjp with central differences: draws a random cotangent w and a random direction v over
/// all the inputs and differentiates <w, op(x + t v)> at t = 0. `f` maps (tape, inputs) to a Var. Run it in
/// double: with step h the truncation error is O(h^2) and the rounding error O(1e-16 / h), about 1e-10
/// together at the default.
template <Backend B, class F>
GradientCheck gradient_check(B& backend, F&& f, const std::vector<Tensor<typename B::param_t>>& inputs,
                             Rng rng, double step = 1e-5) {
  using T = typename B::param_t;
  std::vector<Tensor<T>> direction;
  for (const auto& x : inputs) {
    direction.emplace_back(x.shape());
    for (auto& v : direction.back()) v = static_cast<T>(rng.normal());
  }
  Tensor<T> cotangent;
  double analytic = 0;
  {
    Tape<B> tape(backend);
    std::vector<Var<T>> vars;
    for (const auto& x : inputs) vars.push_back(tape.input(x.view()));
    const Var<T> y = f(tape, vars);
    cotangent = Tensor<T>(y.shape());
    for (auto& w : cotangent) w = static_cast<T>(rng.normal());
    tape.seed(y, cotangent.view());
    tape.backward();
    for (std::size_t k = 0; k < inputs.size(); ++k)
      for (index_t i = 0; i < inputs[k].size(); ++i)
        analytic +=
            static_cast<double>(vars[k].grad.view().data[i]) * static_cast<double>(direction[k].data()[i]);
  }
  const auto value = [&](double t) {
    std::vector<Tensor<T>> moved = inputs;
    for (std::size_t k = 0; k < moved.size(); ++k)
      for (index_t i = 0; i < moved[k].size(); ++i)
        moved[k].data()[i] += static_cast<T>(t) * direction[k].data()[i];
    Tape<B> tape(backend);
    std::vector<Var<T>> vars;
    for (const auto& x : moved) vars.push_back(tape.constant(x.view()));
    const Var<T> y = f(tape, vars);
    double sum = 0;
    for (index_t r = 0; r < y.value.rows(); ++r)
      for (index_t c = 0; c < y.value.cols(); ++c)
        sum += static_cast<double>(y.value(r, c)) * static_cast<double>(cotangent(r, c));
    return sum;
  };
  const double numeric = (value(step) - value(-step)) / (2 * step);
  return {analytic, numeric,
          std::abs(analytic - numeric) / std::max({std::abs(analytic), std::abs(numeric), 1e-3})};
}

} // namespace sbi
