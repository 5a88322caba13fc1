// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/rows.hpp>

#include <cmath>
#include <limits>

namespace sbi {

/// One row: y = exp(x - max x) / sum. A row that is minus infinity everywhere (no allowed entry) gives 0, not
/// NaN.
template <class Row, class T> void softmax_row(Row row, const T* x, T* y) {
  using std::exp;
  using S = typename Row::scalar;
  const S top = row.max([&](auto i) { return load(x, i); });
  if (top == -std::numeric_limits<S>::infinity()) {
    row.each([&](auto i) { store(y, i, decltype(load(x, i))(0)); });
    return;
  }
  const S sum = row.sum([&](auto i) {
    using V = decltype(load(x, i));
    const V e = exp(load(x, i) - V(top));
    store(y, i, e);
    return e;
  });
  row.each([&](auto i) { store(y, i, load(y, i) * decltype(load(x, i))(S{1} / sum)); });
}
/// dx += y (dy - <dy, y>)
template <class Row, class T> void softmax_row_vjp(Row row, const T* y, const T* dy, T* dx) {
  using S = typename Row::scalar;
  const S inner = row.sum([&](auto i) { return load(y, i) * load(dy, i); });
  row.each([&](auto i) { add(dx, i, load(y, i) * (load(dy, i) - decltype(load(y, i))(inner))); });
}

} // namespace sbi
