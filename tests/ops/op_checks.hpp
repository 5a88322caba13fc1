// SPDX-License-Identifier: MIT
// What every entry of the op table must satisfy.
#pragma once
#include "op_table.hpp"

#include <sbi/autodiff/gradient_check.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace sbi::testing {

/// How an op is called: with rows `padding` elements longer than what it may touch, with a gradient wanted
/// for all inputs or for one, with gradients that start at random numbers or at zero.
struct Call {
  index_t padding = 0;
  int only = -1;
  bool from_zero = false;
};
/// The value and the gradients in double; a gradient nobody wanted is empty.
struct Outcome {
  std::vector<double> value;
  std::vector<std::vector<double>> gradients, initial;
  bool outside_untouched = true;
};

/// Runs op and vjp on inputs, cotangent and initial gradients that are the same for every backend: drawn as
/// floats, so that no difference comes from rounding them.
template <Backend B> Outcome run(const OpCase& op, Call call = {}) {
  using T = typename B::param_t;
  B backend;
  Rng rng(5);
  const auto draw = [&] { return static_cast<T>(static_cast<float>(rng.normal())); };
  std::vector<Tensor<T>> values, gradients;
  std::vector<Var<T>> in;
  values.reserve(op.inputs.size()), gradients.reserve(op.inputs.size()); // views point into them
  Outcome out;
  Tape<B> tape(backend);
  for (const Shape& s : op.inputs) {
    const index_t stride = s.cols() + call.padding;
    for (auto* list : {&values, &gradients}) {
      auto& x = list->emplace_back(Shape{s.rows(), stride});
      for (index_t r = 0; r < s.rows(); ++r)
        for (index_t c = 0; c < stride; ++c) x(r, c) = c < s.cols() ? draw() : T{1234};
    }
    auto& initial = out.initial.emplace_back();
    for (index_t r = 0; r < s.rows(); ++r)
      for (index_t c = 0; c < s.cols(); ++c) {
        T& g = gradients.back()(r, c);
        if (call.from_zero) g = T{0};
        initial.push_back(static_cast<double>(g));
      }
    const bool wanted = call.only < 0 || call.only == static_cast<int>(in.size());
    in.push_back({View<const T>(values.back().data(), s, stride),
                  wanted ? View<T>(gradients.back().data(), s, stride) : View<T>{}});
  }
  const Var<T> y = op.op<B>()(tape, in);
  Tensor<T> cotangent(y.shape());
  for (auto& w : cotangent) w = draw();
  tape.seed(y, cotangent.view());
  tape.backward();

  for (index_t i = 0; i < y.value.size(); ++i) out.value.push_back(static_cast<double>(y.value.data[i]));
  for (std::size_t k = 0; k < in.size(); ++k) {
    auto& g = out.gradients.emplace_back();
    const Tensor<T>& buffer = gradients[k];
    for (index_t r = 0; r < buffer.rows(); ++r)
      for (index_t c = 0; c < buffer.cols(); ++c) {
        if (c >= op.inputs[k].cols())
          out.outside_untouched &= buffer(r, c) == T{1234};
        else if (in[k].wants_grad())
          g.push_back(static_cast<double>(buffer(r, c)));
      }
  }
  return out;
}

/// The longest chain of roundings behind a number: any sum of an op runs over the rows or columns of an
/// input; 32 covers the few operations around it (exp alone is a dozen).
inline double roundings(const OpCase& op) {
  index_t longest = 1;
  for (const Shape& s : op.inputs) longest = std::max({longest, s.rows(), s.cols()});
  return op.condition * (32 + static_cast<double>(longest));
}

/// Each rounding is at most epsilon times the largest intermediate, which is of the size of the largest
/// element; `roundings` of them at most add up.
inline void check_close(const std::vector<double>& got, const std::vector<double>& want, double epsilon,
                        double roundings) {
  REQUIRE(got.size() == want.size());
  double scale = 1, worst = 0;
  for (double w : want) scale = std::max(scale, std::abs(w));
  for (std::size_t i = 0; i < got.size(); ++i) {
    REQUIRE(std::isfinite(got[i]));
    worst = std::max(worst, std::abs(got[i] - want[i]));
  }
  CHECK(worst <= epsilon * roundings * scale);
}

template <Backend B> void check_agreement(const OpCase& op, const Outcome& reference) {
  constexpr double epsilon = static_cast<double>(std::numeric_limits<typename B::param_t>::epsilon());
  const Outcome got = run<B>(op);
  check_close(got.value, reference.value, epsilon, roundings(op));
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    CAPTURE(k);
    check_close(got.gradients[k], reference.gradients[k], epsilon, roundings(op));
  }
}

/// The same bits, and nothing touched outside, whatever the row stride and whichever gradients are wanted;
/// and gradients are added to what was there.
template <Backend B> void check_calls(const OpCase& op) {
  const Outcome plain = run<B>(op), apart = run<B>(op, {.padding = 3, .only = -1, .from_zero = false});
  Outcome sum = run<B>(op, {.padding = 0, .only = -1, .from_zero = true});
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    for (std::size_t i = 0; i < sum.gradients[k].size(); ++i) sum.gradients[k][i] += plain.initial[k][i];
    constexpr double epsilon = static_cast<double>(std::numeric_limits<typename B::param_t>::epsilon());
    check_close(plain.gradients[k], sum.gradients[k], epsilon, roundings(op));
  }
  CHECK(apart.outside_untouched);
  CHECK(apart.value == plain.value);
  CHECK(apart.gradients == plain.gradients);
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    CAPTURE(k);
    const Outcome single = run<B>(op, {.padding = 0, .only = static_cast<int>(k), .from_zero = false});
    CHECK(single.gradients[k] == plain.gradients[k]);
  }
}

template <Backend B> void check_gradient(const OpCase& op) {
  B backend;
  Rng rng(3);
  std::vector<Tensor<double>> inputs;
  for (const Shape& s : op.inputs)
    for (auto& x : inputs.emplace_back(s)) x = rng.normal();
  const GradientCheck check = gradient_check(backend, op.op<B>(), inputs, rng);
  CAPTURE(check.analytic);
  CAPTURE(check.numeric);
  CHECK(check.relative_error < 1e-7); // truncation h^2 = 1e-10 times third derivatives of the order of 10
}

/// An input with one row or column too many is refused with a message that names its shape.
inline void check_shape_errors(const OpCase& op) {
  if (op.checked == Checked::no_axis) return;
  Cpu<double> backend(1);
  for (std::size_t k = 0; k < op.inputs.size(); ++k) {
    CAPTURE(k);
    auto shapes = op.inputs;
    Shape& s = shapes[k];
    s = op.checked == Checked::columns ? s.with_cols(s.cols() + 1) : Shape{s.rows() + 1, s.cols()};
    Tape<Cpu<double>> tape(backend);
    std::vector<Var<double>> in;
    for (const Shape& shape : shapes) in.push_back(tape.input(tape.scratch(shape)));
    std::string message;
    try {
      (void)op.op<Cpu<double>>()(tape, in);
    } catch (const ShapeError& e) {
      message = e.what();
    }
    CHECK_MESSAGE(message.find(s.text()) != std::string::npos, "refusal of ", s.text(), ": '", message, "'");
  }
}

inline void check_all(const std::vector<OpCase>& cases) {
  for (const OpCase& op : cases) {
    INFO(op.name);
    const Outcome reference = run<Reference<double>>(op);
    check_agreement<Cpu<float>>(op, reference);
    check_agreement<Cpu<double>>(op, reference);
    check_calls<Cpu<float>>(op);
    check_calls<Reference<double>>(op);
    check_gradient<Cpu<double>>(op);
    check_gradient<Reference<double>>(op);
    check_shape_errors(op);
  }
}

} // namespace sbi::testing
