// SPDX-License-Identifier: MIT
// Matrix products: C = op(A) op(B) (+ bias) or C += op(A) op(B). One register tile does all of them: A is
// read by broadcast with free strides (so it may be transposed), B by contiguous vectors (a panel of a
// transposed B is packed before its use).
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/backend/denormals.hpp>
#include <sbi/core/simd.hpp>

#include <algorithm>

namespace sbi {

enum class Transpose : bool { no, yes };
enum class Write : bool { overwrite, accumulate };

namespace detail {

/// C tile of M rows and V vectors, the last one `last` lanes wide. Each element is one chain of fused
/// multiply-adds over k in order: its bits do not depend on the tile it falls into.
template <int M, int V, bool Partial, class T, int N>
void product_tile(index_t depth, const T* a, index_t a_row, index_t a_col, const T* b, index_t b_row, T* c,
                  index_t c_row, const T* bias, bool accumulate, index_t last) {
  using Vector = Vec<T, N>;
  const auto get = [&](const T* p, int j) {
    if constexpr (Partial)
      return j == V - 1 ? Vector::load(p + N * j, last) : Vector::load(p + N * j);
    else
      return Vector::load(p + N * j);
  };
  Vector sum[M][V];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) sum[i][j] = Vector(0);
  for (index_t k = 0; k < depth; ++k) {
    Vector bk[V];
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) bk[j] = get(b + k * b_row, j);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const Vector aik(a[i * a_row + k * a_col]);
#pragma GCC unroll 8
      for (int j = 0; j < V; ++j) sum[i][j] = fused_multiply_add(aik, bk[j], sum[i][j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < V; ++j) {
      Vector out = sum[i][j];
      if (bias) out += get(bias, j);
      if (accumulate) out += get(c + i * c_row, j);
      if (Partial && j == V - 1)
        out.store(c + i * c_row + N * j, last);
      else
        out.store(c + i * c_row + N * j);
    }
}

/// All rows of a column panel V vectors wide.
template <int V, bool Partial, class T, int N>
[[gnu::noinline]] void product_panel(index_t rows, index_t depth, const T* a, index_t a_row, index_t a_col,
                                     const T* b, index_t b_row, T* c, index_t c_row, const T* bias,
                                     bool accumulate, index_t last = N) {
  // As many rows as the register file holds beside V vectors of B and one of A.
  constexpr int tall = (native_registers - V - 2) / V > 12 ? 12 : (native_registers - V - 2) / V;
  index_t i = 0;
  const auto run = [&]<int M>() {
    for (; i + M <= rows; i += M)
      product_tile<M, V, Partial, T, N>(depth, a + i * a_row, a_row, a_col, b, b_row, c + i * c_row, c_row,
                                        bias, accumulate, last);
  };
  run.template operator()<tall>();
  if constexpr (tall > 4) run.template operator()<4>();
  if constexpr (tall > 2) run.template operator()<2>();
  run.template operator()<1>();
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

/// C (+)= A op(B). Panels of a transposed B go through scratch that fits the first cache (the second where
/// vectors have 16 lanes).
template <class T, int N>
void product(Arena& arena, index_t rows, index_t cols, index_t depth, const T* a, index_t a_row,
             index_t a_col, const T* b, index_t b_row, Transpose tb, T* c, index_t c_row, const T* bias,
             bool accumulate) {
  constexpr int widest = native_registers >= 32 ? 4 : 2;
  if (rows == 0 || cols == 0) return;
  if (depth == 0) a = b = c, a_row = a_col = b_row = 0; // not read; null pointers must not be moved either
  const ArenaScope scope(arena);
  T* packed = tb == Transpose::yes ? arena.array<T>(depth * widest * N) : nullptr;
  index_t j = 0;
  const auto panel = [&]<int V, bool Partial>() {
    const index_t width = Partial ? cols - j : V * N;
    if (packed) transpose_into<T, N>({b + j * b_row, {width, depth}, b_row}, packed, V * N);
    product_panel<V, Partial, T, N>(rows, depth, a, a_row, a_col, packed ? packed : b + j,
                                    packed ? V * N : b_row, c + j, c_row, bias ? bias + j : nullptr,
                                    accumulate, width - (V - 1) * N);
    j += width;
  };
  const auto whole = [&]<int V>() {
    while (j + V * N <= cols) panel.template operator()<V, false>();
  };
  if constexpr (widest == 4) {
    whole.template operator()<4>();
    whole.template operator()<3>();
  }
  whole.template operator()<2>();
  whole.template operator()<1>();
  if (j < cols) panel.template operator()<1, true>();
}

inline void check_product(Shape a, Transpose ta, Shape b, Transpose tb, index_t c_rows, index_t c_cols) {
  const index_t m = ta == Transpose::no ? a.rows() : a.cols(), ka = ta == Transpose::no ? a.cols() : a.rows();
  const index_t n = tb == Transpose::no ? b.cols() : b.rows(), kb = tb == Transpose::no ? b.rows() : b.cols();
  if (ka != kb || m != c_rows || n != c_cols)
    throw ShapeError(sbi::text("product: A is ", a, ta == Transpose::yes ? " transposed" : "", ", B is ", b,
                               tb == Transpose::yes ? " transposed" : "", ", C is [", c_rows, ",", c_cols,
                               "]"));
}

} // namespace detail

/// C = op(A) op(B) + bias, or C += the same. A, B, C are matrices (leading axes are merged); bias [cols of C]
/// may be empty. Throws ShapeError when the extents do not fit. The lane count N is a parameter for the
/// tests' sake.
template <class T, int N = native_lanes<T>>
void gemm(const Cpu<T>& be, std::type_identity_t<View<const T>> a, Transpose ta,
          std::type_identity_t<View<const T>> b, Transpose tb, View<T> c, Write write,
          std::type_identity_t<View<const T>> bias = {}) {
  detail::check_product(a.shape, ta, b.shape, tb, c.rows(), c.cols());
  const index_t rows = c.rows(), cols = c.cols();
  const index_t depth = ta == Transpose::no ? a.cols() : a.rows();
  const index_t a_row = ta == Transpose::no ? a.row_stride : 1,
                a_col = ta == Transpose::no ? 1 : a.row_stride,
                b_col = tb == Transpose::no ? b.row_stride : 1;
  // A slice of the depth keeps its rows of B in the first cache; slices add up in a fixed order.
  constexpr index_t slice = 256;
  for (index_t k = 0; k < std::max<index_t>(depth, 1); k += slice)
    detail::product<T, N>(be.arena(), rows, cols, std::min(slice, depth - k), a.data + k * a_col, a_row,
                          a_col, b.data + k * b_col, b.row_stride, tb, c.data, c.row_stride,
                          k == 0 ? bias.data : nullptr, write == Write::accumulate || k > 0);
}

/// The same by its definition.
template <class T>
void gemm(const Reference<T>&, std::type_identity_t<View<const T>> a, Transpose ta,
          std::type_identity_t<View<const T>> b, Transpose tb, View<T> c, Write write,
          std::type_identity_t<View<const T>> bias = {}) {
  detail::check_product(a.shape, ta, b.shape, tb, c.rows(), c.cols());
  const index_t depth = ta == Transpose::no ? a.cols() : a.rows();
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j) {
      double sum = bias ? static_cast<double>(bias.data[j]) : 0.0;
      for (index_t k = 0; k < depth; ++k)
        sum += static_cast<double>(ta == Transpose::no ? a(i, k) : a(k, i)) *
               static_cast<double>(tb == Transpose::no ? b(k, j) : b(j, k));
      c(i, j) = static_cast<T>(write == Write::accumulate ? static_cast<double>(c(i, j)) + sum : sum);
    }
}

/// `gemm` with the rows of C shared out among the threads.
template <class B, class T>
void parallel_gemm(const B& be, View<const T> a, Transpose ta, View<const T> b, Transpose tb, View<T> c,
                   Write write) {
  constexpr index_t rows_a_task = 128;
  be.for_each((c.rows() + rows_a_task - 1) / rows_a_task, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * rows_a_task, rows = std::min(rows_a_task, c.rows() - first);
    gemm(be, ta == Transpose::no ? a.row_block(first, rows) : a.columns(first, rows), ta, b, tb,
         c.row_block(first, rows), write);
  });
}

} // namespace sbi
