// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>

#include <cmath>

namespace sbi::ops {

/// y = (x - mean) rstd g + b over the last axis, rstd = 1 / sqrt(variance + 1e-5) (Ba, Kiros & Hinton 2016).
/// g and b are [cols of x]; mean and rstd are kept, one pair a row.
struct LayerNorm {
  static constexpr double epsilon = 1e-5;

  Shape shape(Shape x, Shape g, Shape b) const {
    if (g.size() != x.cols() || b.size() != x.cols())
      throw ShapeError(
          sbi::text("layer norm: x is ", x, ", gain ", g, ", bias ", b, "; want [", x.cols(), "]"));
    return x;
  }
  Shape saved(Shape x, Shape, Shape) const { return {x.rows(), 2}; }
  template <Backend B, class T>
  void fwd(B& be, View<const T> x, View<const T> g, View<const T> b, View<T> y, View<T> stats) const {
    const auto row = row_of(be, x.cols());
    using S = typename decltype(row)::scalar;
    const S n = static_cast<S>(x.cols());
    for (index_t r = 0; r < x.rows(); ++r) {
      const T* xr = x.row(r);
      const S mean = row.sum([&](auto i) { return load(xr, i); }) / n;
      const S square = row.sum([&](auto i) {
        const auto d = load(xr, i) - decltype(load(xr, i))(mean);
        return d * d;
      });
      const S rstd = S{1} / std::sqrt(square / n + static_cast<S>(epsilon));
      row.each([&](auto i) {
        using V = decltype(load(xr, i));
        store(y.row(r), i, (load(xr, i) - V(mean)) * V(rstd) * load(g.data, i) + load(b.data, i));
      });
      stats(r, 0) = static_cast<T>(mean), stats(r, 1) = static_cast<T>(rstd);
    }
  }
  /// With xhat = (x - mean) rstd and h = dy g: dx += rstd (h - <h> - xhat <h xhat>), dg += dy xhat, db += dy.
  template <Backend B, class T>
  void vjp(B& be, View<const T> x, View<const T> g, View<const T>, View<const T>, View<const T> stats,
           View<const T> dy, View<T> dx, View<T> dg, View<T> db) const {
    const auto row = row_of(be, x.cols());
    using S = typename decltype(row)::scalar;
    const S n = static_cast<S>(x.cols());
    for (index_t r = 0; r < x.rows(); ++r) {
      const T *xr = x.row(r), *er = dy.row(r);
      const S mean = static_cast<S>(stats(r, 0)), rstd = static_cast<S>(stats(r, 1));
      const auto xhat = [&](auto i) {
        using V = decltype(load(xr, i));
        return (load(xr, i) - V(mean)) * V(rstd);
      };
      if (dg) row.each([&](auto i) { add(dg.data, i, load(er, i) * xhat(i)); });
      if (db) row.each([&](auto i) { add(db.data, i, load(er, i)); });
      if (!dx) continue;
      const S h = row.sum([&](auto i) { return load(er, i) * load(g.data, i); }) / n;
      const S hx = row.sum([&](auto i) { return load(er, i) * load(g.data, i) * xhat(i); }) / n;
      row.each([&](auto i) {
        using V = decltype(load(xr, i));
        add(dx.row(r), i, V(rstd) * (load(er, i) * load(g.data, i) - V(h) - xhat(i) * V(hx)));
      });
    }
  }
};

} // namespace sbi::ops
