// SPDX-License-Identifier: MIT
// The contrast behind `InfoNce` and `PairLoss`: each row against all rows of the other input, by the cosine,
// in both directions. Rows that are absent are left out from the start. Blocks of rows are the tasks; what
// they add up together is kept apart and summed in order.
#pragma once
#include <sbi/backend/denormals.hpp>
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace sbi::ops::detail {

template <class T> [[nodiscard]] bool is_present(View<const T> present, index_t i) {
  return !present || present.data[i] != 0;
}
template <class T> [[nodiscard]] index_t count_present(View<const T> present, index_t n) {
  index_t count = 0;
  for (index_t i = 0; i < n; ++i) count += is_present(present, i);
  return count;
}

template <class T, int N> Vec<T, N> power_of_two(Vec<T, N> x) { return exp2_bounded(x); }
inline double power_of_two(double x) { return std::exp2(x); }

/// 1 / temperature, and what the exponents s_ij = cosine / temperature need: cosines end at 1, so that
/// exp(s_ij - 1 / temperature) serves rows and columns alike; below a temperature of 1/40 it might vanish for
/// a whole row, and rows and columns have maxima of their own.
struct ContrastScale {
  double inverse, base_two; ///< base_two: cosines to exponents of 2
  bool cold;
  explicit ContrastScale(double temperature)
      : inverse(1 / temperature), base_two(inverse * std::numbers::log2e), cold(inverse > 40) {}
};

/// What the forward pass leaves to the other, for the rows that are present: their unit vectors, 1 / |z|, a
/// number for each row and column, and one for each pair. Warm: 1 / sum exp(s - 1 / temperature) and exp(s -
/// 1 / temperature); cold: log2 sum exp s and s / log 2.
template <class T> struct ContrastState {
  View<T> u, v, pair;
  T *scale_u, *scale_v, *row, *column;

  static Shape shape(Shape a) {
    return {a.rows() * (2 * padded(a.cols()) + odd_lines(a.rows())) + 4 * padded(a.rows())};
  }
  ContrastState(View<T> all, Shape a)
      : u(all.data, a, padded(a.cols())), v(u.row(a.rows()), a, padded(a.cols())),
        pair(v.row(a.rows()), {a.rows(), a.rows()}, odd_lines(a.rows())), scale_u(pair.row(a.rows())),
        scale_v(scale_u + padded(a.rows())), row(scale_v + padded(a.rows())), column(row + padded(a.rows())) {
  }

  /// The same for the first `count` rows, those that are present.
  [[nodiscard]] ContrastState first(index_t count) const {
    ContrastState out = *this;
    out.u = u.row_block(0, count), out.v = v.row_block(0, count);
    out.pair = pair.row_block(0, count).columns(0, count);
    return out;
  }

private:
  static index_t padded(index_t n) { return (n + 15) / 16 * 16; } // whole vectors, 64 bytes in float
  /// Rows a power of two apart share the places of a cache.
  static index_t odd_lines(index_t n) { return ((n + 15) / 16 | 1) * 16; }
};

/// The tasks of n rows and the blocks within a task, alike in size, whose pairs stay in the second cache.
struct ContrastParts {
  index_t n, rows, count, block;
  explicit ContrastParts(index_t n_) : n(n_) {
    constexpr index_t most_tasks = 8, fewest_rows = 64, largest_block = 96;
    rows = std::max(fewest_rows, (n + most_tasks - 1) / most_tasks), count = (n + rows - 1) / rows;
    const index_t blocks = (rows + largest_block - 1) / largest_block;
    block = (rows + blocks - 1) / blocks;
  }
  /// f(first row, number of rows, whether it is the task's first)
  template <class F> void each_block(index_t part, F&& f) const {
    const index_t begin = part * rows, end = std::min(n, begin + rows);
    for (index_t first = begin; first < end; first += block)
      f(first, std::min(block, end - first), first == begin);
  }
};

/// The present rows of z as unit = z / sqrt(|z|^2 + 1e-12), one after the other.
template <Backend B, class T>
void unit_rows(B& be, View<const T> z, View<const T> present, View<T> unit, T* scale) {
  const auto row = row_of(be, z.cols());
  using S = typename decltype(row_of(be, 1))::scalar;
  index_t at = 0;
  for (index_t r = 0; r < z.rows(); ++r) {
    if (!is_present(present, r)) continue;
    const S factor =
        1 / std::sqrt(row.sum([&](auto i) { return load(z.row(r), i) * load(z.row(r), i); }) + S(1e-12));
    scale[at] = static_cast<T>(factor);
    row.each([&](auto i) {
      using V = decltype(load(z.row(r), i));
      store(unit.row(at), i, V(factor) * load(z.row(r), i));
    });
    ++at;
  }
}
/// dz += scale (d - unit <unit, d>)
template <Backend B, class T>
void unit_row_vjp(B& be, index_t width, const T* unit, T scale, const T* d, T* dz) {
  const auto row = row_of(be, width);
  const auto inner = row.sum([&](auto i) { return load(unit, i) * load(d, i); });
  row.each([&](auto i) {
    using V = decltype(load(d, i));
    add(dz, i, V(scale) * (load(d, i) - V(inner) * load(unit, i)));
  });
}

/// Warm: one sweep over the pairs. Adds to `columns` [parts, n], the parts' sums, and gives the part's sum of
/// log sum_j exp s_ij - 2 s_ii.
template <Backend B, class T>
[[nodiscard]] double warm_rows(B& be, ContrastState<T> s, ContrastScale scale, index_t first, index_t rows,
                               T* columns) {
  const auto row = row_of(be, s.u.rows());
  using S = typename decltype(row_of(be, 1))::scalar;
  const S base = static_cast<S>(scale.base_two);
  double out = 0;
  for (index_t r = first; r < first + rows; ++r) {
    T* pair = s.pair.row(r);
    out += scale.inverse * (1 - 2 * static_cast<double>(pair[r]));
    const S sum = row.sum([&](auto j) {
      using V = decltype(load(pair, j));
      const V e = power_of_two(fused_multiply_add(load(pair, j), V(base), V(-base)));
      store(pair, j, e), add(columns, j, e);
      return e;
    });
    s.row[r] = static_cast<T>(1 / sum);
    out += static_cast<double>(std::log(sum));
  }
  return out;
}
/// Cold, the first of two sweeps: cosines become exponents, rows and (of this part) columns get their maxima.
template <Backend B, class T>
[[nodiscard]] double cold_rows(B& be, ContrastState<T> s, ContrastScale scale, index_t first, index_t rows,
                               T* tops) {
  const auto row = row_of(be, s.u.rows());
  using S = typename decltype(row_of(be, 1))::scalar;
  using std::max;
  double out = 0;
  for (index_t r = first; r < first + rows; ++r) {
    T* pair = s.pair.row(r);
    out -= scale.inverse * 2 * static_cast<double>(pair[r]);
    s.row[r] = static_cast<T>(row.max([&](auto j) {
      using V = decltype(load(pair, j));
      const V x = load(pair, j) * V(static_cast<S>(scale.base_two));
      store(pair, j, x), store(tops, j, max(x, load(tops, j)));
      return x;
    }));
  }
  return out;
}
/// The second: sums relative to the maxima; rows are done, columns add up in `sums`.
template <Backend B, class T>
[[nodiscard]] double cold_sums(B& be, ContrastState<T> s, index_t first, index_t rows, T* sums) {
  const auto row = row_of(be, s.u.rows());
  using S = typename decltype(row_of(be, 1))::scalar;
  double out = 0;
  for (index_t r = first; r < first + rows; ++r) {
    const T* pair = s.pair.row(r);
    const S top = static_cast<S>(s.row[r]);
    const S sum = row.sum([&](auto j) {
      using V = decltype(load(pair, j));
      const V x = load(pair, j);
      add(sums, j, power_of_two(x - load(s.column, j)));
      return power_of_two(x - V(top));
    });
    s.row[r] = static_cast<T>(top + std::log2(sum));
    out += static_cast<double>(s.row[r]) * std::numbers::ln2;
  }
  return out;
}

/// The mean of both directions over the present rows; 0 when there is none.
template <Backend B, class T>
[[nodiscard]] double contrast(B& be, View<const T> a, View<const T> b, View<const T> present,
                              double temperature, ContrastState<T> all) {
  const index_t n = count_present(present, a.rows());
  if (n == 0) return 0;
  const ContrastState<T> s = all.first(n);
  const ContrastScale scale(temperature);
  const ContrastParts parts(n);
  unit_rows(be, a, present, s.u, s.scale_u);
  unit_rows(be, b, present, s.v, s.scale_v);
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  PackedMatrix<T> packed;
  if constexpr (!is_reference_v<B>) {
    T* to = arena.template array<T>(packed_size<T>(s.v.cols(), n));
    pack(View<const T>(s.v), Transpose::yes, to), packed.data = to;
  }
  const View<T> columns(arena.template array<T>(parts.count * n), {parts.count, n});
  double* sums = arena.template zeros<double>(parts.count);
  const auto sweep = [&](T begin, auto&& rows) {
    std::fill_n(columns.data, columns.size(), begin);
    be.for_each(parts.count, [&](index_t p) {
      const FlushDenormals flush;
      parts.each_block(
          p, [&](index_t first, index_t some, bool) { sums[p] += rows(first, some, columns.row(p)); });
    });
  };
  const auto cosines = [&](index_t first, index_t rows) {
    gemm(be, s.u.row_block(first, rows), Transpose::no, s.v, Transpose::yes, s.pair.row_block(first, rows),
         Write::overwrite, {}, {}, packed);
  };
  if (scale.cold) {
    sweep(-std::numeric_limits<T>::infinity(), [&](index_t first, index_t rows, T* tops) {
      cosines(first, rows);
      return cold_rows<B, T>(be, s, scale, first, rows, tops);
    });
    for (index_t j = 0; j < n; ++j) {
      s.column[j] = columns(0, j);
      for (index_t p = 1; p < parts.count; ++p) s.column[j] = std::max(s.column[j], columns(p, j));
    }
    sweep(T{0}, [&](index_t first, index_t rows, T* to) { return cold_sums<B, T>(be, s, first, rows, to); });
  } else {
    sweep(T{0}, [&](index_t first, index_t rows, T* to) {
      cosines(first, rows);
      return warm_rows<B, T>(be, s, scale, first, rows, to);
    });
  }
  double out = 0;
  for (index_t j = 0; j < n; ++j) {
    T sum = 0;
    for (index_t p = 0; p < parts.count; ++p) sum += columns(p, j);
    out += static_cast<double>(std::log(sum));
    out += scale.cold ? static_cast<double>(s.column[j]) * std::numbers::ln2 : scale.inverse;
    s.column[j] = scale.cold ? s.column[j] + std::log2(sum) : 1 / sum;
  }
  for (index_t p = 0; p < parts.count; ++p) out += sums[p];
  return 0.5 * out / static_cast<double>(n);
}

/// d loss / d cosine of rows [first, first + rows) times `d`, the derivative of what follows.
template <Backend B, class T>
void contrast_slopes(B& be, ContrastState<const T> s, ContrastScale scale, double d, index_t first,
                     View<T> slope) {
  const index_t n = s.u.rows();
  const auto row = row_of(be, n);
  using S = typename decltype(row_of(be, 1))::scalar;
  const S factor = static_cast<S>(0.5 * d * scale.inverse / static_cast<double>(n));
  const auto write = [&](auto&& both) { // the sum of the two softmaxes
    for (index_t r = 0; r < slope.rows(); ++r) {
      const T* pair = s.pair.row(first + r);
      const S own = static_cast<S>(s.row[first + r]);
      row.each([&](auto j) {
        using V = decltype(load(pair, j));
        store(slope.row(r), j, V(factor) * both(load(pair, j), V(own), load(s.column, j)));
      });
      slope(r, first + r) -= static_cast<T>(2 * factor);
    }
  };
  if (scale.cold)
    write([](auto x, auto own, auto column) { return power_of_two(x - own) + power_of_two(x - column); });
  else
    write([](auto e, auto own, auto column) { return e * (own + column); });
}

template <Backend B, class T>
void contrast_vjp(B& be, ContrastState<const T> all, View<const T> present, double temperature, double d,
                  View<T> da, View<T> db) {
  const index_t rows = all.u.rows(), width = all.u.cols(), n = count_present(present, rows);
  if (n == 0) return;
  const ContrastState<const T> s = all.first(n);
  const ContrastParts parts(n);
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  const View<T> du(arena.template array<T>(n * width), {n, width});
  const View<T> dv(arena.template array<T>(n * parts.count * width),
                   {n, parts.count * width}); // side by side
  be.for_each(parts.count, [&](index_t p) {
    const FlushDenormals flush;
    const ArenaScope own(be.arena());
    const View<T> memory(be.arena().template array<T>(parts.block * s.pair.row_stride), {parts.block, n},
                         s.pair.row_stride);
    parts.each_block(p, [&](index_t first, index_t some, bool begins) {
      const View<T> slope = memory.row_block(0, some);
      contrast_slopes<B, T>(be, s, ContrastScale(temperature), d, first, slope);
      if (da) gemm(be, slope, Transpose::no, s.v, Transpose::no, du.row_block(first, some), Write::overwrite);
      if (db)
        gemm(be, slope, Transpose::yes, s.u.row_block(first, some), Transpose::no,
             dv.columns(p * width, width), begins ? Write::overwrite : Write::accumulate);
    });
  });
  index_t* place = arena.template array<index_t>(n); // of the present rows among all
  for (index_t r = 0, at = 0; r < rows; ++r)
    if (is_present(present, r)) place[at++] = r;
  be.for_each(parts.count, [&](index_t p) {
    const FlushDenormals flush;
    parts.each_block(p, [&](index_t first, index_t some, bool) {
      for (index_t r = first; r < first + some; ++r) {
        if (da) unit_row_vjp<B, T>(be, width, s.u.row(r), s.scale_u[r], du.row(r), da.row(place[r]));
        if (!db) continue;
        row_of(be, width).each([&](auto i) {
          auto sum = load(dv.row(r), i);
          for (index_t q = 1; q < parts.count; ++q) sum = sum + load(dv.row(r) + q * width, i);
          store(dv.row(r), i, sum);
        });
        unit_row_vjp<B, T>(be, width, s.v.row(r), s.scale_v[r], dv.row(r), db.row(place[r]));
      }
    });
  });
}

} // namespace sbi::ops::detail
