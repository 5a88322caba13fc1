// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/softmax_row.hpp>

namespace sbi::ops {

/// Softmax over the last axis.
struct Softmax {
  Shape shape(Shape x) const { return x; }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<T> y) const {
    for (index_t r = 0; r < x.rows(); ++r) softmax_row(row_of(be, x.cols()), x.row(r), y.row(r));
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T> y, View<const T> dy, View<T> dx) const {
    for (index_t r = 0; r < y.rows(); ++r)
      softmax_row_vjp(row_of(be, y.cols()), y.row(r), dy.row(r), dx.row(r));
  }
};

} // namespace sbi::ops
