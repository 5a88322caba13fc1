// SPDX-License-Identifier: MIT
// Operations on sequences of tokens: [samples * tokens, width], the tokens of a sample in consecutive rows.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/ops/pass_on.hpp>

#include <cstdint>

namespace sbi::ops {

/// y[s, t] = x[s, t] + table[ids[t]]: adds the embedding of each token's identity.
struct AddEmbedding {
  View<const std::int32_t> ids; ///< [tokens], the same for every sample

  Shape shape(Shape x, Shape table) const {
    if (table.rank() != 2 || table.cols() != x.cols() || ids.size() < 1 || x.rows() % ids.size() != 0 ||
        !ids.contiguous())
      throw ShapeError(sbi::text("add embedding: x is ", x, ", table ", table, ", ", ids.size(), " tokens"));
    for (index_t t = 0; t < ids.size(); ++t)
      if (ids.data[t] < 0 || ids.data[t] >= table[0])
        throw ShapeError(sbi::text("add embedding: identity ", ids.data[t], " in a table of ", table[0]));
    return x;
  }
  template <Backend B, class T> void fwd(B& be, View<const T> x, View<const T> table, View<T> y) const {
    const auto row = row_of(be, x.cols());
    for (index_t r = 0; r < x.rows(); ++r) {
      const T* e = table.row(ids.data[r % ids.size()]);
      row.each([&](auto i) { store(y.row(r), i, load(x.row(r), i) + load(e, i)); });
    }
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T>, View<const T>, Gradient<T> dy, Gradient<T> dx,
           Gradient<T> dtable) const {
    if (dtable) {
      const View<const T> from = dy;
      const View<T> to = dtable;
      const auto row = row_of(be, from.cols());
      for (index_t r = 0; r < from.rows(); ++r)
        row.each([&](auto i) { add(to.row(ids.data[r % ids.size()]), i, load(from.row(r), i)); });
    }
    pass_on(be, dy, dx);
  }
};

/// y[s, t] = x[s, t] + gate[s, t] u[s]: adds one vector a sample (its diffusion time) to the gated tokens
/// only.
template <class T> struct AddGated {
  View<const T> gate; ///< [samples * tokens], a constant without gaps

  Shape shape(Shape x, Shape u) const {
    if (u.cols() != x.cols() || u.rows() < 1 || x.rows() % u.rows() != 0 || gate.size() != x.rows() ||
        !gate.contiguous())
      throw ShapeError(sbi::text("add gated: x is ", x, ", u is ", u, ", gate ", gate.shape, " with rows ",
                                 gate.row_stride, " apart"));
    return x;
  }
  template <Backend B> void fwd(B& be, View<const T> x, View<const T> u, View<T> y) const {
    const index_t tokens = x.rows() / u.rows();
    const auto row = row_of(be, x.cols());
    for (index_t r = 0; r < x.rows(); ++r)
      row.each([&](auto i) {
        const auto v = load(u.row(r / tokens), i);
        store(y.row(r), i, load(x.row(r), i) + decltype(v)(gate.data[r]) * v);
      });
  }
  template <Backend B>
  void vjp(B& be, View<const T>, View<const T> u, View<const T>, Gradient<T> dy, Gradient<T> dx,
           Gradient<T> du) const {
    if (du) {
      const View<const T> from = dy;
      const View<T> to = du;
      const index_t tokens = from.rows() / u.rows();
      const auto row = row_of(be, from.cols());
      for (index_t r = 0; r < from.rows(); ++r)
        if (gate.data[r] != T{0})
          row.each([&](auto i) {
            const auto d = load(from.row(r), i);
            add(to.row(r / tokens), i, decltype(d)(gate.data[r]) * d);
          });
    }
    pass_on(be, dy, dx);
  }
};

/// Joins two sequences token by token: a [samples * a_tokens, width] and b [samples * b_tokens, width] to
/// [samples * (a_tokens + b_tokens), width].
struct Concatenate {
  index_t a_tokens, b_tokens;

  Shape shape(Shape a, Shape b) const {
    if (a.cols() != b.cols() || a_tokens < 1 || b_tokens < 1 || a.rows() % a_tokens != 0 ||
        a.rows() / a_tokens * b_tokens != b.rows())
      throw ShapeError(
          sbi::text("concatenate: a is ", a, " with ", a_tokens, " tokens, b is ", b, " with ", b_tokens));
    return {a.rows() + b.rows(), a.cols()};
  }
  template <Backend B, class T> void fwd(B& be, View<const T> a, View<const T> b, View<T> y) const {
    const auto row = row_of(be, y.cols());
    for (index_t r = 0; r < y.rows(); ++r) {
      const T* from = source(a, b, r);
      row.each([&](auto i) { store(y.row(r), i, load(from, i)); });
    }
  }
  template <Backend B, class T>
  void vjp(B& be, View<const T>, View<const T>, View<const T>, View<const T> dy, View<T> da,
           View<T> db) const {
    const auto row = row_of(be, dy.cols());
    for (index_t r = 0; r < dy.rows(); ++r)
      if (T* to = source(da, db, r)) row.each([&](auto i) { add(to, i, load(dy.row(r), i)); });
  }

private:
  template <class T> T* source(View<T> a, View<T> b, index_t r) const {
    const index_t s = r / (a_tokens + b_tokens), t = r % (a_tokens + b_tokens);
    if (t < a_tokens) return a ? a.row(s * a_tokens + t) : nullptr;
    return b ? b.row(s * b_tokens + t - a_tokens) : nullptr;
  }
};

/// y[s] = mean over the present tokens t of x[s, t]; 0 where none is present. `present` [samples * tokens]
/// holds 0 or 1 and is a constant.
template <class T> struct MaskedMean {
  View<const T> present;
  index_t tokens;

  Shape shape(Shape x) const {
    if (tokens < 1 || x.rows() % tokens != 0 || present.size() != x.rows() || !present.contiguous())
      throw ShapeError(
          sbi::text("masked mean: x is ", x, ", present ", present.shape, ", ", tokens, " tokens"));
    return {x.rows() / tokens, x.cols()};
  }
  template <Backend B> void fwd(B& be, View<const T> x, View<T> y) const {
    const auto row = row_of(be, x.cols());
    for (index_t s = 0; s < y.rows(); ++s) {
      const T w = weight(s);
      row.each([&](auto i) { store(y.row(s), i, decltype(load(y.row(s), i))(0)); });
      for (index_t t = s * tokens; t < (s + 1) * tokens; ++t)
        if (present.data[t] != T{0})
          row.each([&](auto i) {
            const auto v = load(x.row(t), i);
            add(y.row(s), i, v * decltype(v)(w));
          });
    }
  }
  template <Backend B> void vjp(B& be, View<const T>, View<const T>, View<const T> dy, View<T> dx) const {
    const auto row = row_of(be, dy.cols());
    for (index_t s = 0; s < dy.rows(); ++s) {
      const T w = weight(s);
      for (index_t t = s * tokens; t < (s + 1) * tokens; ++t)
        if (present.data[t] != T{0})
          row.each([&](auto i) {
            const auto d = load(dy.row(s), i);
            add(dx.row(t), i, d * decltype(d)(w));
          });
    }
  }

private:
  [[nodiscard]] T weight(index_t s) const {
    T count = 0;
    for (index_t t = 0; t < tokens; ++t) count += present.data[s * tokens + t];
    return T{1} / count; // infinite where nothing is present, and then not used
  }
};

} // namespace sbi::ops
