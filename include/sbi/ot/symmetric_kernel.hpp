// SPDX-License-Identifier: MIT
// A symmetric matrix of exponentials, K_ij = exp((p_i + p_j - C_ij) / eps), of which one half is kept: panels
// of rows, each from its diagonal on. An entry that is read once serves its row and its column.
#pragma once
#include <sbi/core/arena.hpp>
#include <sbi/ot/kernel_matrix.hpp>

#include <algorithm>
#include <vector>

namespace sbi::ot::detail {

/// K [n, n] in the caller's arena scope.
template <class T> class SymmetricKernel {
  using V = Vec<T>;

public:
  static constexpr index_t panel_rows = 64;
  static_assert(panel_rows % (sbi::detail::widest_panel * V::lanes) ==
                0); // a panel begins with a panel of packed keys

  SymmetricKernel(Arena& arena, index_t n) : n_(n), padded_((n + V::lanes - 1) / V::lanes * V::lanes) {
    for (index_t i = 0; i < panels(); ++i) {
      const index_t stride = odd_lines<T>(padded_ - first(i));
      panels_.emplace_back(arena.array<T>(panel_rows * stride), Shape{panel_rows, stride});
      for (index_t r = 0; r < panel_rows; ++r) {
        const index_t used = r < rows(i) ? n_ - first(i) : 0;
        std::fill(panels_.back().row(r) + used, panels_.back().row(r) + stride, T{0});
      }
    }
    partial_ = {arena.array<T>(panels() * padded_), Shape{panels(), padded_}};
  }

  [[nodiscard]] index_t size() const { return n_; }
  [[nodiscard]] index_t padded() const { return padded_; }
  [[nodiscard]] index_t panels() const { return (n_ + panel_rows - 1) / panel_rows; }
  [[nodiscard]] static index_t first(index_t panel) { return panel * panel_rows; }
  [[nodiscard]] index_t rows(index_t panel) const { return std::min(panel_rows, n_ - first(panel)); }
  /// Row `r` of a panel, from the panel's first point on.
  [[nodiscard]] T* row(index_t panel, index_t r) { return panels_[static_cast<std::size_t>(panel)].row(r); }

  /// out = K x, both [padded]; build(panel) is called before a panel is read.
  template <class B, class F> void multiply(const B& be, const T* x, T* out, F&& build) {
    be.for_each(panels(), [&](index_t panel) {
      const FlushDenormals flush;
      build(panel);
      T* sums = partial_.row(panel) + first(panel);
      std::fill_n(sums, padded_ - first(panel), T{0});
      T own[panel_rows];
      for (index_t r = 0; r < panel_rows; r += group) add_group(panel, r, x + first(panel), own + r, sums);
      std::copy_n(own, std::min(panel_rows, padded_ - first(panel)), sums);
    });
    constexpr index_t some = 512; // columns
    be.for_each((padded_ + some - 1) / some, [&](index_t block) {
      const index_t begin = block * some, end = std::min(padded_, begin + some);
      double total[some] = {};
      for (index_t panel = 0; panel < panels() && first(panel) < end; ++panel)
        for (index_t j = std::max(begin, first(panel)); j < end; ++j)
          total[j - begin] += static_cast<double>(partial_(panel, j));
      for (index_t j = begin; j < end; ++j) out[j] = static_cast<T>(total[j - begin]);
    });
  }

  /// out = K z of z [n, d], a task for each panel of out: its own rows, then the columns of the panels
  /// before.
  template <class B> void multiply(const B& be, View<const T> z, View<T> out) const {
    be.for_each(panels(), [&](index_t panel) {
      const FlushDenormals flush;
      const index_t begin = first(panel), count = rows(panel);
      const auto of = [&](index_t p) { return View<const T>(panels_[static_cast<std::size_t>(p)]); };
      const View<T> to = out.row_block(begin, count);
      gemm(be, of(panel).row_block(0, count).columns(0, n_ - begin), Transpose::no,
           z.row_block(begin, n_ - begin), Transpose::no, to, Write::overwrite);
      for (index_t p = 0; p < panel; ++p)
        gemm(be, of(p).columns(begin - first(p), count), Transpose::yes, z.row_block(first(p), panel_rows),
             Transpose::no, to, Write::accumulate);
    });
  }

private:
  // Rows that are summed together: their sums and factors stay in registers.
  static constexpr index_t group = native_registers >= 32 ? 8 : 4;
  static constexpr index_t chunk = 2048; // columns whose sums stay in T

  /// own[r] = sum_j K_rj x_j of a group of rows, and columns_j += sum_r K_rj x_r behind the panel's diagonal
  /// block, which holds both halves. Columns count from the panel's first point.
  void add_group(index_t panel, index_t row, const T* x, T* own, T* columns) const {
    const View<T>& k = panels_[static_cast<std::size_t>(panel)];
    const T* at = k.row(row);
    const index_t width = padded_ - first(panel), diagonal = std::min(panel_rows, width);
    V sum[group], factor[group];
    double total[group] = {};
    const auto flush = [&] {
#pragma GCC unroll 8
      for (index_t r = 0; r < group; ++r)
        total[r] += static_cast<double>(horizontal_sum(sum[r])), sum[r] = V(0);
    };
#pragma GCC unroll 8
    for (index_t r = 0; r < group; ++r) sum[r] = V(0), factor[r] = V(row + r < width ? x[row + r] : T{0});
    for (index_t j = 0; j < diagonal; j += V::lanes) {
      const V other = V::load(x + j);
#pragma GCC unroll 8
      for (index_t r = 0; r < group; ++r)
        sum[r] = fused_multiply_add(V::load(at + r * k.row_stride + j), other, sum[r]);
    }
    for (index_t begin = diagonal; begin < width; begin += chunk) {
      for (index_t j = begin; j < std::min(width, begin + chunk); j += V::lanes) {
        const V other = V::load(x + j);
        V column = V::load(columns + j);
#pragma GCC unroll 8
        for (index_t r = 0; r < group; ++r) {
          const V entry = V::load(at + r * k.row_stride + j);
          sum[r] = fused_multiply_add(entry, other, sum[r]);
          column = fused_multiply_add(entry, factor[r], column);
        }
        column.store(columns + j);
      }
      flush();
    }
    flush();
    for (index_t r = 0; r < group; ++r) own[r] = static_cast<T>(total[r]);
  }

  index_t n_, padded_;
  std::vector<View<T>> panels_;
  View<T> partial_; ///< [panels, padded]: what each panel adds to the sums
};

} // namespace sbi::ot::detail
