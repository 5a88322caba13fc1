// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/rows.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sbi {

/// Each row: y = exp(x - max x) / sum, x given by `logit(r, i)`; rows of y are `y_row` apart. A row that is
/// minus infinity everywhere (no allowed entry) gives 0, not NaN.
template <class Row, class F, class T>
void softmax_rows(Arena& arena, Row row, index_t rows, F&& logit, T* y, index_t y_row) {
  using std::exp;
  using S = typename Row::scalar;
  const ArenaScope scope(arena);
  T* work = arena.array<T>(rows_a_pass * row.padded());
  S number[rows_a_pass]; // the maximum, then the sum of each row
  for (index_t first = 0; first < rows; first += rows_a_pass) {
    const index_t count = std::min(rows_a_pass, rows - first);
    for (index_t r = 0; r < count; ++r)
      number[r] = row.max([&](auto i) {
        const auto x = logit(first + r, i);
        store(work + r * row.padded(), whole(i), x);
        return x;
      });
    for (index_t r = 0; r < count; ++r) {
      const S top = number[r] == -std::numeric_limits<S>::infinity() ? S{0} : number[r];
      number[r] = row.sum([&](auto i) {
        const auto x = load(work + r * row.padded(), whole(i)), e = exp(x - decltype(x)(top));
        store(work + r * row.padded(), whole(i), e);
        return e;
      });
    }
    for (index_t r = 0; r < count; ++r) {
      const S factor = number[r] == 0 ? S{0} : S{1} / number[r]; // a NaN spoils its row
      row.each([&](auto i) {
        const auto e = load(work + r * row.padded(), whole(i));
        store(y + (first + r) * y_row, i, e * decltype(e)(factor));
      });
    }
  }
}
/// Each row: `write(r, i, p (dp - <dp, p>))`, the vector-Jacobian product.
template <class Row, class T, class F>
void softmax_rows_vjp(Row row, index_t rows, const T* p, index_t p_row, const T* dp, index_t dp_row,
                      F&& write) {
  using S = typename Row::scalar;
  for (index_t first = 0; first < rows; first += rows_a_pass) {
    const index_t count = std::min(rows_a_pass, rows - first);
    S inner[rows_a_pass];
    for (index_t r = 0; r < count; ++r) {
      const T *pr = p + (first + r) * p_row, *dr = dp + (first + r) * dp_row;
      inner[r] = row.sum([&](auto i) { return load(pr, i) * load(dr, i); });
    }
    for (index_t r = 0; r < count; ++r) {
      const T *pr = p + (first + r) * p_row, *dr = dp + (first + r) * dp_row;
      row.each([&](auto i) {
        write(first + r, i, load(pr, i) * (load(dr, i) - decltype(load(dr, i))(inner[r])));
      });
    }
  }
}

} // namespace sbi
