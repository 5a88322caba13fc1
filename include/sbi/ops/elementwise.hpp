// SPDX-License-Identifier: MIT
// Elementwise operations from one function object: its value on vectors of lanes, its derivative by dual
// numbers.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/core/dual.hpp>
#include <sbi/ops/pass_on.hpp>

namespace sbi::ops {

/// y = F(x), element by element. F is a trivially destructible function object with a generic call operator.
template <class F> struct Elementwise {
  F f{};

  Shape shape(Shape x) const { return x; }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<T> y) const {
    const auto row = row_of(be, x.cols());
    for (index_t r = 0; r < x.rows(); ++r)
      row.each([&](auto i) { store(y.row(r), i, f(load(x.row(r), i))); });
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T> x, View<const T>, View<const T> dy, View<T> dx) const {
    const auto row = row_of(be, x.cols());
    for (index_t r = 0; r < x.rows(); ++r)
      row.each([&](auto i) {
        const auto at = load(x.row(r), i);
        add(dx.row(r), i, load(dy.row(r), i) * f(Dual(at, decltype(at)(1))).slope);
      });
  }
};

/// x times the logistic function of 1.5958 (x + 0.044715 x^3): the tanh form of GELU (Hendrycks & Gimpel
/// 2016).
struct GeluFunction {
  template <class V> V operator()(V x) const { return x * logistic(x * rate(x * x, cubic)); }
  /// The same with its derivative: fewer steps than the rules for products take.
  template <class V> Dual<V> operator()(Dual<V> at) const {
    const V x = at.value, square = x * x, s = logistic(x * rate(square, cubic)), y = x * s;
    return {y, (s + y * ((V(1) - s) * rate(square, 3 * cubic))) * at.slope};
  }

private:
  static constexpr double linear = 1.5957691216057308, cubic = linear * 0.044715;
  template <class V> static V rate(V square, double factor) { return linear + factor * square; }
};
using Gelu = Elementwise<GeluFunction>;

/// y = factor x
struct Scale {
  double factor = 1;
  Shape shape(Shape x) const { return x; }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<T> y) const {
    const auto row = row_of(be, x.cols());
    for (index_t r = 0; r < x.rows(); ++r)
      row.each([&](auto i) {
        const auto v = load(x.row(r), i);
        store(y.row(r), i, v * decltype(v)(factor));
      });
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T>, View<const T> dy, View<T> dx) const {
    const auto row = row_of(be, dy.cols());
    for (index_t r = 0; r < dy.rows(); ++r)
      row.each([&](auto i) {
        const auto v = load(dy.row(r), i);
        add(dx.row(r), i, v * decltype(v)(factor));
      });
  }
};

/// y = a + b, of the same shape
struct Add {
  Shape shape(Shape a, Shape b) const {
    if (a != b) throw ShapeError(sbi::text("add: a is ", a, ", b is ", b, "; want the same shape"));
    return a;
  }
  template <Backend B, class T> void fwd(B& be, View<const T> a, View<const T> b, View<T> y) const {
    const auto row = row_of(be, y.cols());
    for (index_t r = 0; r < y.rows(); ++r)
      row.each([&](auto i) { store(y.row(r), i, load(a.row(r), i) + load(b.row(r), i)); });
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T>, View<const T>, Gradient<T> dy, Gradient<T> da,
           Gradient<T> db) const {
    const auto row = row_of(be, dy.shape().cols());
    if (db) {
      const View<const T> from = dy;
      const View<T> to = db;
      for (index_t r = 0; r < from.rows(); ++r)
        row.each([&](auto i) { add(to.row(r), i, load(from.row(r), i)); });
    }
    pass_on(be, dy, da);
  }
};

} // namespace sbi::ops
