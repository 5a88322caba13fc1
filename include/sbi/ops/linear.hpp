// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>

namespace sbi::ops {

/// y[..., O] = x[..., I] W[I, O] + b[O]
struct Linear {
  Shape shape(Shape x, Shape w, Shape b) const {
    if (w.rank() != 2 || x.cols() != w[0])
      throw ShapeError(sbi::text("linear: x is ", x, ", W is ", w, "; want W [", x.cols(), ",*]"));
    if (b.size() != w[1])
      throw ShapeError(sbi::text("linear: W is ", w, ", b is ", b, "; want b [", w[1], "]"));
    return x.with_cols(w[1]);
  }
  template <Backend B, class T>
  void fwd(B& be, View<const T> x, View<const T> w, View<const T> b, View<T> y) const {
    gemm(be, x, Transpose::no, w, Transpose::no, y, Write::overwrite, b);
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T> x, View<const T> w, View<const T>, View<const T>, View<const T> dy,
           View<T> dx, View<T> dw, View<T> db) const {
    if (dw) gemm(be, x, Transpose::yes, dy, Transpose::no, dw, Write::accumulate);
    if (dx) gemm(be, dy, Transpose::no, w, Transpose::yes, dx, Write::accumulate);
    if (db) {
      const auto row = row_of(be, dy.cols());
      for (index_t r = 0; r < dy.rows(); ++r) row.each([&](auto i) { add(db.data, i, load(dy.row(r), i)); });
    }
  }
};

} // namespace sbi::ops
