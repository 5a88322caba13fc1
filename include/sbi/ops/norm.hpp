// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace sbi::ops {

/// y = (x - mean) rstd g + b over the last axis, rstd = 1 / sqrt(variance + 1e-5) (Ba, Kiros & Hinton 2016).
/// g and b are [cols of x], without gaps; mean and rstd are kept, one pair a row.
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
    if (!g.contiguous() || !b.contiguous())
      throw ShapeError(sbi::text("layer norm: rows of the gain are ", g.row_stride, " apart, of the bias ",
                                 b.row_stride, "; want them to touch"));
    const auto row = row_of(be, x.cols());
    using S = typename decltype(row)::scalar;
    const S n = static_cast<S>(x.cols());
    for (index_t first = 0; first < x.rows(); first += rows_a_pass) {
      const index_t last = std::min(first + rows_a_pass, x.rows());
      S mean[rows_a_pass], rstd[rows_a_pass];
      for (index_t r = first; r < last; ++r)
        mean[r - first] = row.sum([&](auto i) { return load(x.row(r), i); }) / n;
      for (index_t r = first; r < last; ++r) {
        const S square = row.sum([&](auto i) {
          const auto d = load(x.row(r), i) - decltype(load(x.row(r), i))(mean[r - first]);
          return d * d;
        });
        rstd[r - first] = S{1} / std::sqrt(square / n + static_cast<S>(epsilon));
      }
      for (index_t r = first; r < last; ++r) {
        const S m = mean[r - first], s = rstd[r - first];
        row.each([&](auto i) {
          using V = decltype(load(x.row(r), i));
          store(y.row(r), i, (load(x.row(r), i) - V(m)) * V(s) * load(g.data, i) + load(b.data, i));
        });
        stats(r, 0) = static_cast<T>(m), stats(r, 1) = static_cast<T>(s);
      }
    }
  }
  /// With xhat = (x - mean) rstd and h = dy g: dx += rstd (h - <h> - xhat <h xhat>), dg += dy xhat, db += dy,
  /// all sums in one sweep.
  template <Backend B, class T>
  void vjp(B& be, View<const T> x, View<const T> g, View<const T>, View<const T>, View<const T> stats,
           Gradient<T> dy_, Gradient<T> dx_, Gradient<T> dg_, Gradient<T> db_) const {
    const auto row = row_of(be, x.cols());
    using S = typename decltype(row)::scalar;
    const S n = static_cast<S>(x.cols());
    const View<const T> dy = dy_;
    const View<T> dg = dg_, db = db_;
    const auto xhat = [&](index_t r, auto i) {
      using V = decltype(load(x.data, i));
      return (load(x.row(r), i) - V(static_cast<S>(stats(r, 0)))) * V(static_cast<S>(stats(r, 1)));
    };
    const auto add_product = [](View<T> to, auto i, auto a, auto b) { // the same bits wherever it is inlined
      store(to.data, i, fused_multiply_add(a, b, load(to.data, i)));
    };
    const auto sweep = [&]<bool parameters>(index_t r) {
      return row.sums([&](auto i) {
        const auto xh = xhat(r, i), d = load(dy.row(r), i), h = d * load(g.data, i);
        if constexpr (parameters) add_product(dg, i, d, xh), add(db.data, i, d);
        return std::pair(h, h * xh);
      });
    };
    const auto write = [&](index_t r, std::pair<S, S> mean, auto&& to) {
      row.each([&](auto i) {
        using V = decltype(load(x.data, i));
        const auto h = load(dy.row(r), i) * load(g.data, i);
        to(i, V(static_cast<S>(stats(r, 1))) * (h - V(mean.first) - xhat(r, i) * V(mean.second)));
      });
    };
    const auto target = dx_ ? dx_.target() : typename Gradient<T>::Target{};
    for (index_t first = 0; first < x.rows(); first += rows_a_pass) {
      const index_t last = std::min(first + rows_a_pass, x.rows());
      std::pair<S, S> mean[rows_a_pass];
      for (index_t r = first; r < last; ++r) {
        auto& m = mean[r - first];
        m = dg && db ? sweep.template operator()<true>(r) : sweep.template operator()<false>(r);
        m.first /= n, m.second /= n;
        if (dg && !db) row.each([&](auto i) { add_product(dg, i, load(dy.row(r), i), xhat(r, i)); });
        if (db && !dg) row.each([&](auto i) { add(db.data, i, load(dy.row(r), i)); });
      }
      if (!target.at) continue;
      for (index_t r = first; r < last; ++r)
        if (target.write == Write::overwrite)
          write(r, mean[r - first], [&](auto i, auto d) { store(target.at.row(r), i, d); });
        else
          write(r, mean[r - first], [&](auto i, auto d) { add(target.at.row(r), i, d); });
    }
  }
};

} // namespace sbi::ops
