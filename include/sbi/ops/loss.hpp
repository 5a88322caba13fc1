// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>

namespace sbi::ops {

/// sum_i w_i (x_i - target_i)^2, a single number. Target and weight (same extents as x, rows that touch) are
/// constants; a zero weight takes a finite element out of the loss.
template <class T> struct WeightedSquares {
  View<const T> target, weight;

  Shape shape(Shape x) const {
    if (target.size() != x.size() || weight.size() != x.size() || !target.contiguous() ||
        !weight.contiguous())
      throw ShapeError(sbi::text("weighted squares: x is ", x, ", target ", target.shape, ", weight ",
                                 weight.shape, "; want the same extents, without gaps between rows"));
    return {1};
  }
  template <Backend B> void fwd(B& be, View<const T> x, View<T> y) const {
    double sum = 0; // rows add up in double: a batch may have millions
    for (index_t r = 0; r < x.rows(); ++r)
      sum += static_cast<double>(row_of(be, x.cols()).sum([&](auto i) {
        const auto d = load(x.row(r), i) - load(target.data + r * x.cols(), i);
        return load(weight.data + r * x.cols(), i) * d * d;
      }));
    y.data[0] = static_cast<T>(sum);
  }
  template <Backend B> void vjp(B& be, View<const T> x, View<const T>, View<const T> dy, View<T> dx) const {
    for (index_t r = 0; r < x.rows(); ++r)
      row_of(be, x.cols()).each([&](auto i) {
        const auto d = load(x.row(r), i) - load(target.data + r * x.cols(), i);
        using V = decltype(load(x.row(r), i));
        add(dx.row(r), i, V(2 * dy.data[0]) * load(weight.data + r * x.cols(), i) * d);
      });
  }
};

} // namespace sbi::ops
