// SPDX-License-Identifier: MIT
// Losses of transport as entries of the op table (tests/ops/op_table.hpp), which every test there would have
// to compile with transport, and what their tests share.
#pragma once
#include "../ops/op_checks.hpp"

#include <sbi/ot/loss.hpp>
#include <sbi/ot/sliced.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace sbi::testing {

/// The loss `make(Constants<T>&)` between [rows, cols] and [rows + 2, cols + extra]. Those with `extra` take
/// clouds of any widths.
template <class Make>
void add_loss(std::vector<OpCase>& cases, const char* name, Extent e, double condition, Make make,
              index_t extra = 0) {
  cases.push_back(op_case("ot loss", name, {{e.rows, e.cols}, {e.rows + 2, e.cols + extra}},
                          extra == 0 ? Checked::columns : Checked::no_axis, make, condition));
}
/// Tolerances far below what gradients are checked to; in float 1e-5, what it can reach.
template <class T> void set_tolerance(ot::SinkhornOptions& options) {
  options.tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13, options.max_iterations = 100'000;
}
/// Weights that sum to 1 and cannot be told apart by their sums, in steps of a float's bits.
template <class T> View<const T> weights(Constants<T>& c, index_t n) {
  const double step = 1.0 / 1024, total = 1024;
  const double each = std::floor(total / static_cast<double>(n));
  return c.filled({n}, [=](Rng&, index_t i) {
    const double shift = n < 3 ? 0 : i == 0 ? 1 : i == 1 ? -1 : 0;
    const double rest = i + 1 == n ? total - each * static_cast<double>(n) : 0;
    return step * (each + shift + rest);
  });
}
/// Unit vectors [count, d].
template <class T> View<const T> directions(Constants<T>& c, index_t count, index_t d) {
  const Tensor<float> all = ot::random_directions<float>(Rng(12), count, d);
  return c.filled({count, d}, [&](Rng&, index_t k) { return static_cast<double>(all.data()[k]); });
}

/// `check_all` for solvers that stop where the objective has settled within its rounding: plan and gradients
/// are accurate to the root of that, 1e-7 of the sums that cancel in the objective in double, 1e-3 in float,
/// and as many times more as they converge slowly.
inline void check_settled(const std::vector<OpCase>& cases) {
  const auto close = [](const Outcome& got, const Outcome& want, double value, double gradient) {
    const auto worst = [](const std::vector<double>& p, const std::vector<double>& q) {
      REQUIRE(p.size() == q.size());
      double most = 0, scale = 1;
      for (std::size_t i = 0; i < p.size(); ++i)
        most = std::max(most, std::abs(p[i] - q[i])), scale = std::max(scale, std::abs(q[i]));
      return most / scale;
    };
    CHECK(worst(got.value, want.value) < value);
    for (std::size_t k = 0; k < want.gradients.size(); ++k)
      CHECK(worst(got.gradients[k], want.gradients[k]) < gradient);
  };
  const auto gradient = [](const OpCase& op, auto be) {
    std::vector<Tensor<double>> inputs;
    Rng rng(3);
    for (const Shape& s : op.inputs)
      for (auto& x : inputs.emplace_back(s)) x = rng.normal();
    const GradientCheck check = gradient_check(be, op.op<decltype(be)>(), inputs, rng);
    CAPTURE(check.analytic);
    CAPTURE(check.numeric);
    CHECK(check.relative_error < 1e-6);
  };
  for (const OpCase& op : cases) {
    INFO(op.name);
    const Outcome reference = run<Reference<double>>(op);
    close(run<Cpu<double>>(op), reference, 1e-9, 1e-6);
    close(run<Cpu<float>>(op), reference, 1e-2, 0.1);
    check_calls<Cpu<float>>(op);
    check_calls<Reference<double>>(op);
    gradient(op, Cpu<double>(1)), gradient(op, Reference<double>());
    check_shape_errors(op);
  }
}

inline Tensor<double> points(std::uint64_t seed, index_t n, index_t d, double shift = 0) {
  Rng rng(seed);
  Tensor<double> x(Shape{n, d});
  for (double& v : x) v = rng.normal() + shift;
  return x;
}
template <class Op> double value(const Op& op, const Tensor<double>& x, const Tensor<double>& y) {
  Cpu<double> be(1);
  Tape tape(be);
  return tape.apply(op, tape.constant(x.view()), tape.constant(y.view())).value.data[0];
}
/// The message of the error, empty without one.
template <class Op> std::string refusal(const Op& op, const Tensor<double>& x, const Tensor<double>& y) {
  try {
    value(op, x, y);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

} // namespace sbi::testing
