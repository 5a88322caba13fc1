// SPDX-License-Identifier: MIT
// Dense layers: alone, with a nonlinearity, and added to a residual stream, so that what follows the product
// finds its result in the first caches.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/core/dual.hpp>
#include <sbi/ops/pass_on.hpp>

#include <algorithm>

namespace sbi::ops {

namespace detail {
inline Shape dense_shape(Shape x, Shape w, Shape b) {
  if (w.rank() != 2 || x.cols() != w[0])
    throw ShapeError(sbi::text("linear: x is ", x, ", W is ", w, "; want W [", x.cols(), ",*]"));
  if (b.size() != w[1])
    throw ShapeError(sbi::text("linear: W is ", w, ", b is ", b, "; want b [", w[1], "]"));
  return x.with_cols(w[1]);
}
/// db += the sum of rows(r, i), r < count, where db is wanted; every row of n elements is asked for once.
template <Backend B, class T, class F> void add_rows(B& be, index_t count, index_t n, F&& rows, View<T> db) {
  const auto row = row_of(be, n);
  constexpr index_t together = 4; // rows that share a load and a store of db
  index_t r = 0;
  for (; r + together <= count; r += together)
    row.each([&](auto i) {
      const auto first = rows(r, i) + rows(r + 1, i), second = rows(r + 2, i) + rows(r + 3, i);
      if (db) add(db.data, i, first + second);
    });
  for (; r < count; ++r)
    row.each([&](auto i) {
      const auto x = rows(r, i);
      if (db) add(db.data, i, x);
    });
}
template <Backend B, class T> void add_rows(B& be, View<const T> dy, View<T> db) {
  if (db)
    add_rows<B, T>(
        be, dy.rows(), dy.cols(), [&](index_t r, auto i) { return load(dy.row(r), i); }, db);
}
/// Gradients of x W + b from dy; db, where wanted, has been taken care of.
template <Backend B, class T>
void dense_vjp(B& be, const PackedWeight<T>& packed, View<const T> x, View<const T> w, View<const T> dy,
               const Gradient<T>& dx, const Gradient<T>& dw) {
  if (dw) {
    const auto to = dw.target();
    gemm(be, x, Transpose::yes, dy, Transpose::no, to.at, to.write);
  }
  if (dx) {
    const auto to = dx.target();
    gemm(be, dy, Transpose::no, w, Transpose::yes, to.at, to.write, {}, {}, packed.backward);
  }
}
} // namespace detail

/// y[..., O] = x[..., I] W[I, O] + b[O]
template <class T> struct Linear {
  PackedWeight<T> packed{};

  Shape shape(Shape x, Shape w, Shape b) const { return detail::dense_shape(x, w, b); }
  template <Backend B> void fwd(B& be, View<const T> x, View<const T> w, View<const T> b, View<T> y) const {
    gemm(be, x, Transpose::no, w, Transpose::no, y, Write::overwrite, b, {}, packed.forward);
  }
  template <Backend B>
  void vjp(B& be, View<const T> x, View<const T> w, View<const T>, View<const T>, Gradient<T> dy,
           Gradient<T> dx, Gradient<T> dw, Gradient<T> db) const {
    detail::add_rows<B, T>(be, dy, db);
    detail::dense_vjp<B, T>(be, packed, x, w, dy, dx, dw);
  }
};

/// y[..., O] = r[..., O] + x[..., I] W[I, O] + b[O]: a layer that adds to a residual stream r.
template <class T> struct LinearAdd {
  PackedWeight<T> packed{};

  Shape shape(Shape r, Shape x, Shape w, Shape b) const {
    const Shape y = detail::dense_shape(x, w, b);
    if (r.rows() != y.rows() || r.cols() != y.cols())
      throw ShapeError(sbi::text("linear: x W is ", y, ", the residual ", r, "; want the same shape"));
    return r;
  }
  template <Backend B>
  void fwd(B& be, View<const T> r, View<const T> x, View<const T> w, View<const T> b, View<T> y) const {
    gemm(be, x, Transpose::no, w, Transpose::no, y, Write::overwrite, b, r, packed.forward);
  }
  template <Backend B>
  void vjp(B& be, View<const T>, View<const T> x, View<const T> w, View<const T>, View<const T>,
           Gradient<T> dy, Gradient<T> dr, Gradient<T> dx, Gradient<T> dw, Gradient<T> db) const {
    detail::add_rows<B, T>(be, dy, db);
    detail::dense_vjp<B, T>(be, packed, x, w, dy, dx, dw);
    pass_on(be, dy, dr);
  }
};

/// y[..., O] = F(x[..., I] W[I, O] + b[O]), element by element; F is a function object as in Elementwise. Its
/// slopes are kept.
template <class T, class F> struct LinearActivation {
  PackedWeight<T> packed{};
  F f{};

  Shape shape(Shape x, Shape w, Shape b) const { return detail::dense_shape(x, w, b); }
  Shape saved(Shape x, Shape w, Shape) const { return x.with_cols(w[1]); }
  template <Backend B>
  void fwd(B& be, View<const T> x, View<const T> w, View<const T> b, View<T> y, View<T> slope) const {
    in_blocks(be, x, w, b, y, [&](auto row, index_t r) {
      row.each([&](auto i) {
        const auto u = load(y.row(r), i);
        const auto at = f(Dual(u, decltype(u)(1)));
        store(y.row(r), i, at.value), store(slope.row(r), i, at.slope);
      });
    });
  }
  template <Backend B> void fwd(B& be, View<const T> x, View<const T> w, View<const T> b, View<T> y) const {
    in_blocks(be, x, w, b, y, [&](auto row, index_t r) {
      row.each([&](auto i) { store(y.row(r), i, f(load(y.row(r), i))); });
    });
  }
  template <Backend B>
  void vjp(B& be, View<const T> x, View<const T> w, View<const T>, View<const T>, View<const T> slope,
           Gradient<T> dy, Gradient<T> dx, Gradient<T> dw, Gradient<T> db) const {
    const View<T> du = dy; // in place: nobody needs dy after this
    detail::add_rows<B, T>(
        be, du.rows(), du.cols(),
        [&](index_t r, auto i) {
          const auto d = load(du.row(r), i) * load(slope.row(r), i);
          store(du.row(r), i, d);
          return d;
        },
        db);
    detail::dense_vjp<B, T>(be, packed, x, w, du, dx, dw);
  }

private:
  /// The product, then `each(row policy, r)` for its rows while they are in the first cache.
  template <Backend B, class G>
  void in_blocks(B& be, View<const T> x, View<const T> w, View<const T> b, View<T> y, G&& each) const {
    const auto row = row_of(be, y.cols());
    constexpr index_t block = 48;
    for (index_t first = 0; first < x.rows(); first += block) {
      const index_t rows = std::min(block, x.rows() - first);
      gemm(be, x.row_block(first, rows), Transpose::no, w, Transpose::no, y.row_block(first, rows),
           Write::overwrite, b, {}, packed.forward);
      for (index_t r = first; r < first + rows; ++r) each(row, r);
    }
  }
};

} // namespace sbi::ops
