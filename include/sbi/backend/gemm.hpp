// SPDX-License-Identifier: MIT
// Matrix products: C = op(A) op(B) (+ bias) (+ D), D = C included. One register tile does all of them: A is
// read by broadcast with free strides (so it may be transposed), B by contiguous vectors. Panels of a
// transposed B, and ragged ones, are packed before their use; a B of many products is packed once.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/backend/denormals.hpp>
#include <sbi/core/aligned.hpp>
#include <sbi/core/simd.hpp>

#include <algorithm>

namespace sbi {

enum class Transpose : bool { no, yes };

namespace detail {

/// Rows of the tile that takes what others leave: it may reach beyond the last row.
inline constexpr int rest_rows = native_registers >= 32 ? 4 : 2;

/// C tile of M rows, the last of `rows` once more in place of those beyond, and V vectors, of which C and
/// bias have `last` lanes of the last. D is added, if there is one; it may be C. Each element is one chain of
/// fused multiply-adds over k in order: its bits do not depend on the tile it falls into.
template <int M, int V, bool Partial, class T, int N>
void product_tile(index_t rows, index_t depth, const T* a, index_t a_row, index_t a_col, const T* b,
                  index_t b_row, T* c, index_t c_row, const T* bias, const T* d, index_t d_row,
                  index_t last) {
  using Vector = Vec<T, N>;
  constexpr int line = std::max<int>(1, cache_line / (N * sizeof(T))); // vectors of one
  const auto get = [&](const T* p, int j) {
    if constexpr (Partial)
      return j == V - 1 ? Vector::load(p + N * j, last) : Vector::load(p + N * j);
    else
      return Vector::load(p + N * j);
  };
  constexpr bool rest = M == rest_rows;
  const auto row = [&](int i) { return rest ? std::min<index_t>(i, rows - 1) : i; };
  const auto put = [&](Vector x, int i, int j) {
    if (Partial && j == V - 1)
      x.store(c + row(i) * c_row + N * j, last);
    else
      x.store(c + row(i) * c_row + N * j);
  };
  Vector sum[M][V];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) sum[i][j] = Vector(0);
  if (d) // sums over many products have left the near caches: they come while the tile is computed
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < V; j += line) __builtin_prefetch(d + row(i) * d_row + N * j, 1);
  for (index_t k = 0; k < depth; ++k) {
    Vector bk[V];
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) bk[j] = Vector::load(b + k * b_row + N * j);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const Vector aik(a[row(i) * a_row + k * a_col]);
#pragma GCC unroll 8
      for (int j = 0; j < V; ++j) sum[i][j] = fused_multiply_add(aik, bk[j], sum[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) {
      if (bias) sum[i][j] += get(bias, j);
      if (d) sum[i][j] += get(d + row(i) * d_row, j);
      if (!rest) put(sum[i][j], i, j);
    }
  if (rest) // a row that is there twice is read twice before it is written
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
      for (int j = 0; j < V; ++j) put(sum[i][j], i, j);
}

/// All rows of a column panel V vectors wide.
template <int V, bool Partial, class T, int N>
[[gnu::noinline]] void product_panel(index_t rows, index_t depth, const T* a, index_t a_row, index_t a_col,
                                     const T* b, index_t b_row, T* c, index_t c_row, const T* bias,
                                     const T* d, index_t d_row, index_t last) {
  // As many rows as the register file holds beside V vectors of B and one of A.
  constexpr int tall = (native_registers - V - 2) / V > 12 ? 12 : (native_registers - V - 2) / V;
  index_t i = 0;
  const auto run = [&]<int M>(index_t end) {
    for (; i < end; i += M)
      product_tile<M, V, Partial, T, N>(rows - i, depth, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row,
                                        c_row, bias, d ? d + i * d_row : nullptr, d_row, last);
  };
  // Some tiles of 5 leave no short ones, which are too few chains for the multipliers.
  if constexpr (tall == 6) {
    const index_t fives = (6 - rows % 6) % 6;
    if (5 * fives <= rows) run.template operator()<5>(5 * fives);
  }
  run.template operator()<tall>(i + (rows - i) / tall * tall);
  if constexpr (tall > 6 && rest_rows < 4) run.template operator()<4>(i + (rows - i) / 4 * 4);
  run.template operator()<rest_rows>(rows);
}

/// to [cols, rows] with rows `to_row` apart, in blocks that are transposed in registers.
template <class T, int N> void transpose_into(View<const T> from, T* to, index_t to_row) {
  for (index_t r = 0; r < from.rows(); r += N)
    for (index_t c = 0; c < from.cols(); c += N) {
      Vec<T, N> block[N];
      const index_t height = std::min<index_t>(N, from.rows() - r),
                    width = std::min<index_t>(N, from.cols() - c);
      if (height == N && width == N) {
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) block[i] = Vec<T, N>::load(&from(r + i, c));
        transpose(block);
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) block[i].store(to + (c + i) * to_row + r);
        continue;
      }
      for (int i = 0; i < N; ++i)
        block[i] = i < height ? Vec<T, N>::load(&from(r + i, c), width) : Vec<T, N>(0);
      transpose(block);
      for (int i = 0; i < width; ++i) block[i].store(to + (c + i) * to_row + r, height);
    }
}

/// Vectors of the widest column panel: with more, the register file holds too few rows.
inline constexpr int widest_panel = native_registers >= 32 ? 4 : 2;

/// Calls f.operator()<V, Partial>(first column) for the panels of a matrix of `cols` columns, of which the
/// last vector of a partial one may have fewer lanes.
template <int N, class F> void for_each_panel(index_t cols, F&& f) {
  constexpr bool masks =
      native_vector_bytes == 64; // as fast as whole vectors: then nothing is compiled twice
  index_t j = 0;
  for (; j + widest_panel * N <= cols; j += widest_panel * N) f.template operator()<widest_panel, masks>(j);
  const index_t vectors = (cols - j + N - 1) / N;
  if (vectors == 1) f.template operator()<1, true>(j);
  if constexpr (widest_panel >= 2)
    if (vectors == 2) f.template operator()<2, true>(j);
  if constexpr (widest_panel >= 4) {
    if (vectors == 3) f.template operator()<3, true>(j);
    if (vectors == 4) f.template operator()<4, true>(j);
  }
}

/// Columns [first, first + width of V vectors) of op(B), padded with zeros to whole vectors: to [depth, V N].
template <int V, class T, int N>
void pack_panel(View<const T> b, Transpose tb, index_t first, index_t depth, T* to) {
  const index_t width = std::min<index_t>(V * N, (tb == Transpose::no ? b.cols() : b.rows()) - first);
  if (tb == Transpose::yes) {
    transpose_into<T, N>({b.row(first), {width, depth}, b.row_stride}, to, V * N);
    if (const index_t last = width - (V - 1) * N; last < N)
      for (index_t k = 0; k < depth; ++k) std::fill_n(to + k * V * N + width, N - last, T{0});
    return;
  }
  for (index_t k = 0; k < depth; ++k)
    for (int v = 0; v < V; ++v) {
      const index_t left = width - v * N;
      const T* from = b.row(k) + first + v * N;
      (left >= N ? Vec<T, N>::load(from) : Vec<T, N>::load(from, left)).store(to + (k * V + v) * N);
    }
}

/// C = A op(B) + bias + D; any of bias, D may be null, D may be C. `packed`, where it is
/// not null, holds all `whole_depth` rows of op(B); these are those from `first` on.
template <class T, int N>
void product(Arena& arena, index_t rows, index_t cols, index_t depth, const T* a, index_t a_row,
             index_t a_col, View<const T> b, Transpose tb, const T* packed, index_t first,
             index_t whole_depth, T* c, index_t c_row, const T* bias, const T* d, index_t d_row) {
  if (rows == 0 || cols == 0) return;
  if (depth == 0) a = c, a_row = a_col = 0, b = {c, b.shape, 0}; // not read; null must not be moved either
  const ArenaScope scope(arena);
  T* scratch = nullptr;
  for_each_panel<N>(cols, [&]<int V, bool Partial>(index_t j) {
    const index_t last = Partial ? std::min<index_t>(N, cols - j - (V - 1) * N) : N;
    const T* panel = b.data + j;
    index_t b_row = b.row_stride;
    if (packed) {
      panel = packed + j * whole_depth + first * V * N, b_row = V * N;
    } else if (depth > 0 && (tb == Transpose::yes || last < N)) {
      if (!scratch) scratch = arena.array<T>(depth * widest_panel * N);
      pack_panel<V, T, N>(b, tb, j, depth, scratch);
      panel = scratch, b_row = V * N;
    }
    product_panel<V, Partial, T, N>(rows, depth, a, a_row, a_col, panel, b_row, c + j, c_row,
                                    bias ? bias + j : nullptr, d ? d + j : nullptr, d_row, last);
  });
}

/// C (+)= A op(B) + bias, B with rows b_row apart.
template <class T, int N>
void product(Arena& arena, index_t rows, index_t cols, index_t depth, const T* a, index_t a_row,
             index_t a_col, const T* b, index_t b_row, Transpose tb, T* c, index_t c_row, const T* bias,
             bool accumulate) {
  const Shape shape = tb == Transpose::no ? Shape{depth, cols} : Shape{cols, depth};
  product<T, N>(arena, rows, cols, depth, a, a_row, a_col, View<const T>(b, shape, b_row), tb, nullptr, 0, 0,
                c, c_row, bias, accumulate ? c : nullptr, c_row);
}

inline void check_product(Shape a, Transpose ta, Shape b, Transpose tb, index_t c_rows, index_t c_cols) {
  const index_t m = ta == Transpose::no ? a.rows() : a.cols(), ka = ta == Transpose::no ? a.cols() : a.rows();
  const index_t n = tb == Transpose::no ? b.cols() : b.rows(), kb = tb == Transpose::no ? b.rows() : b.cols();
  if (ka != kb || m != c_rows || n != c_cols)
    throw ShapeError(sbi::text("product: A is ", a, ta == Transpose::yes ? " transposed" : "", ", B is ", b,
                               tb == Transpose::yes ? " transposed" : "", ", C is [", c_rows, ",", c_cols,
                               "]"));
}
template <class T>
void check_addends(View<const T> bias, View<const T> d, index_t rows, index_t cols, Write write) {
  if (bias && (bias.size() != cols || !bias.contiguous()))
    throw ShapeError(sbi::text("product: bias is ", bias.shape, " with rows ", bias.row_stride,
                               " apart; want [", cols, "] without gaps"));
  if (d && (d.rows() != rows || d.cols() != cols || write == Write::accumulate))
    throw ShapeError(sbi::text("product: D is ", d.shape, ", C is [", rows, ",", cols, "]",
                               write == Write::accumulate ? " and added to; want one of them" : ""));
}

} // namespace detail

/// Values of op(B) [depth, cols] in the order that products read them. Layouts differ from one lane count to
/// the next.
template <class T> struct PackedMatrix { const T* data = nullptr; };

/// Number of values of a packed matrix.
template <class T, int N = native_lanes<T>> index_t packed_size(index_t depth, index_t cols) {
  return depth * ((cols + N - 1) / N * N);
}
/// Writes the packed_size(rows, columns of op(B)) values of op(B).
template <class T, int N = native_lanes<T>> void pack(View<const T> b, Transpose tb, T* to) {
  const index_t depth = tb == Transpose::no ? b.rows() : b.cols();
  detail::for_each_panel<N>(tb == Transpose::no ? b.cols() : b.rows(), [&]<int V, bool>(index_t j) {
    detail::pack_panel<V, T, N>(b, tb, j, depth, to + j * depth);
  });
}

/// C = op(A) op(B) + bias + D, or C += op(A) op(B) + bias. A, B, C, D are matrices (leading axes are merged);
/// bias [cols of C], without gaps, and D may be empty, and so may `packed`, op(B) as `pack` leaves it. Throws
/// ShapeError when the extents do not fit. The lane count N is a parameter for the tests' sake.
template <class T, int N = native_lanes<T>>
void gemm(const Cpu<T>& be, std::type_identity_t<View<const T>> a, Transpose ta,
          std::type_identity_t<View<const T>> b, Transpose tb, View<T> c, Write write,
          std::type_identity_t<View<const T>> bias = {}, std::type_identity_t<View<const T>> d = {},
          PackedMatrix<T> packed = {}) {
  detail::check_product(a.shape, ta, b.shape, tb, c.rows(), c.cols());
  detail::check_addends<T>(bias, d, c.rows(), c.cols(), write);
  const index_t rows = c.rows(), cols = c.cols();
  const index_t depth = ta == Transpose::no ? a.cols() : a.rows();
  const index_t a_row = ta == Transpose::no ? a.row_stride : 1,
                a_col = ta == Transpose::no ? 1 : a.row_stride;
  // A slice of the depth keeps its rows of B in the first cache; slices add up in a fixed order.
  constexpr index_t slice = 256;
  for (index_t k = 0; k < std::max<index_t>(depth, 1); k += slice) {
    const index_t some = std::min(slice, depth - k);
    const auto part = tb == Transpose::no ? b.row_block(k, some) : b.columns(k, some);
    const bool add_to_c = write == Write::accumulate || k > 0;
    detail::product<T, N>(be.arena(), rows, cols, some, a.data + k * a_col, a_row, a_col, part, tb,
                          packed.data, k, depth, c.data, c.row_stride, k == 0 ? bias.data : nullptr,
                          add_to_c ? c.data : d.data, add_to_c ? c.row_stride : d.row_stride);
  }
}

/// The same by its definition.
template <class T>
void gemm(const Reference<T>&, std::type_identity_t<View<const T>> a, Transpose ta,
          std::type_identity_t<View<const T>> b, Transpose tb, View<T> c, Write write,
          std::type_identity_t<View<const T>> bias = {}, std::type_identity_t<View<const T>> d = {},
          PackedMatrix<T> = {}) {
  detail::check_product(a.shape, ta, b.shape, tb, c.rows(), c.cols());
  detail::check_addends<T>(bias, d, c.rows(), c.cols(), write);
  const index_t depth = ta == Transpose::no ? a.cols() : a.rows();
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j) {
      double sum = bias ? static_cast<double>(bias.data[j]) : 0.0;
      for (index_t k = 0; k < depth; ++k)
        sum += static_cast<double>(ta == Transpose::no ? a(i, k) : a(k, i)) *
               static_cast<double>(tb == Transpose::no ? b(k, j) : b(j, k));
      if (write == Write::accumulate) sum += static_cast<double>(c(i, j));
      if (d) sum += static_cast<double>(d(i, j));
      c(i, j) = static_cast<T>(sum);
    }
}

/// `gemm` with the rows of C shared out among the threads.
template <class B, class T>
void parallel_gemm(const B& be, View<const T> a, Transpose ta, View<const T> b, Transpose tb, View<T> c,
                   Write write) {
  detail::check_product(a.shape, ta, b.shape, tb, c.rows(), c.cols());
  constexpr index_t rows_a_task = 128;
  be.for_each((c.rows() + rows_a_task - 1) / rows_a_task, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * rows_a_task, rows = std::min(rows_a_task, c.rows() - first);
    gemm(be, ta == Transpose::no ? a.row_block(first, rows) : a.columns(first, rows), ta, b, tb,
         c.row_block(first, rows), write);
  });
}

} // namespace sbi
