// SPDX-License-Identifier: MIT
// Helpers of the tests of modules.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/nn/parameters.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace sbi::testing {

template <class T> Tensor<T> normals(Shape shape, std::uint64_t seed) {
  Tensor<T> x(shape);
  Rng rng(seed);
  for (auto& v : x) v = static_cast<T>(static_cast<float>(rng.normal()));
  return x;
}

/// Relative difference between the vjp and central differences of <w, f(tape, x)> along a random direction
/// in the parameters and in x together. Parameters are moved off their initial values first, where biases
/// and last layers may be zero. In double the error of the differences is near 1e-9.
template <Backend B, class F>
double module_error(B& backend, nn::Parameters<double>& parameters, const Tensor<double>& x, F&& f) {
  Rng rng(41);
  for (auto& p : parameters.values()) p += 0.1 * rng.normal();
  std::vector<double> gradient(parameters.values().size()), direction(gradient.size());
  for (auto& d : direction) d = rng.normal();
  const Tensor<double> dx = normals<double>(x.shape(), 42);
  Tensor<double> w;
  double analytic = 0;
  {
    Tape<B> tape(backend, parameters.values().data(), gradient.data());
    const auto in = tape.input(x.view());
    const auto y = f(tape, in);
    w = normals<double>({y.shape().rows(), y.shape().cols()}, 43);
    tape.seed(y, w.view());
    tape.backward();
    for (index_t i = 0; i < x.size(); ++i) analytic += in.grad.view().data[i] * dx.data()[i];
    for (std::size_t i = 0; i < gradient.size(); ++i) analytic += gradient[i] * direction[i];
  }
  const auto value = [&](double step) {
    std::vector<double> moved = parameters.values();
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
    Tensor<double> at = x;
    for (index_t i = 0; i < x.size(); ++i) at.data()[i] += step * dx.data()[i];
    Tape<B> tape(backend, moved.data());
    const auto y = f(tape, tape.constant(std::as_const(at).view()));
    double sum = 0;
    for (index_t r = 0; r < w.rows(); ++r)
      for (index_t c = 0; c < w.cols(); ++c) sum += y.value(r, c) * w(r, c);
    return sum;
  };
  const double h = 1e-5, numeric = (value(h) - value(-h)) / (2 * h);
  return std::abs(analytic - numeric) / std::max(std::abs(analytic), std::abs(numeric));
}

} // namespace sbi::testing
