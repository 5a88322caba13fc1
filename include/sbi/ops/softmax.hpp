// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/softmax_row.hpp>

namespace sbi::ops {

/// Softmax over the last axis.
struct Softmax {
  Shape shape(Shape x) const { return x; }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<T> y) const {
    softmax_rows(
        be.arena(), row_of(be, x.cols()), x.rows(), [&](index_t r, auto i) { return load(x.row(r), i); },
        y.data, y.row_stride);
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T> y, View<const T> dy, View<T> dx) const {
    softmax_rows_vjp(row_of(be, y.cols()), y.rows(), y.data, y.row_stride, dy.data, dy.row_stride,
                     [&](index_t r, auto i, auto d) { add(dx.row(r), i, d); });
  }
};

} // namespace sbi::ops
