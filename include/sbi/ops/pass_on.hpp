// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/autodiff/gradient.hpp>
#include <sbi/backend/rows.hpp>

namespace sbi::ops {

/// dx += dy, where the vjp has no other use for dy left: it may change hands.
template <Backend B, class T> void pass_on(B& be, const Gradient<T>& dy, const Gradient<T>& dx) {
  if (!dx || dx.take(dy)) return;
  const View<const T> from = dy;
  const View<T> to = dx;
  const auto row = row_of(be, from.cols());
  for (index_t r = 0; r < from.rows(); ++r)
    row.each([&](auto i) { add(to.row(r), i, load(from.row(r), i)); });
}

} // namespace sbi::ops
