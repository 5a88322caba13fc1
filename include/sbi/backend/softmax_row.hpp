// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/rows.hpp>

#include <cmath>
#include <limits>

namespace sbi {

/// One row: y = exp(x - max x) / sum, x given by `logit(i)`. A row that is minus infinity everywhere (no
/// allowed entry) gives 0, not NaN.
template <class Row, class F, class T> void softmax_row_of(Row row, F&& logit, T* y) {
  using std::exp;
  using S = typename Row::scalar;
  const S top = row.max([&](auto i) {
    const auto x = logit(i);
    store(y, i, x);
    return x;
  });
  if (top == -std::numeric_limits<S>::infinity()) {
    row.each([&](auto i) { store(y, i, decltype(load(y, i))(0)); });
    return;
  }
  const S sum = row.sum([&](auto i) {
    const auto x = load(y, i);
    const auto e = exp(x - decltype(x)(top));
    store(y, i, e);
    return e;
  });
  row.each([&](auto i) { store(y, i, load(y, i) * decltype(load(y, i))(S{1} / sum)); });
}
template <class Row, class T> void softmax_row(Row row, const T* x, T* y) {
  softmax_row_of(
      row, [x](auto i) { return load(x, i); }, y);
}
/// dx += y (dy - <dy, y>)
template <class Row, class T> void softmax_row_vjp(Row row, const T* y, const T* dy, T* dx) {
  using S = typename Row::scalar;
  const S inner = row.sum([&](auto i) { return load(y, i) * load(dy, i); });
  row.each([&](auto i) { add(dx, i, load(y, i) * (load(dy, i) - decltype(load(y, i))(inner))); });
}

} // namespace sbi
