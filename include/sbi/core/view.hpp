// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>

#include <type_traits>

namespace sbi {

/// Memory spaces. A view of one cannot be passed where the other is wanted.
struct Host {};
struct Device {};

/// Whether a kernel replaces what its output holds or adds to it.
enum class Write : bool { overwrite, accumulate };

/// A borrowed row-major array whose rows may be apart by more than their length, so that a slice of the last
/// axis (q, k, v of one product) is a view too. A default-constructed view is empty: "nobody wants this".
template <class T, class Space = Host> struct View {
  T* data = nullptr;
  Shape shape;
  index_t row_stride = 0;

  constexpr View() = default;
  constexpr View(T* data_, Shape shape_) : View(data_, shape_, shape_.cols()) {}
  constexpr View(T* data_, Shape shape_, index_t row_stride_)
      : data(data_), shape(shape_), row_stride(row_stride_) {}
  /// A mutable view converts to a constant one.
  template <class U>
  requires(std::is_same_v<const U, T> && !std::is_same_v<U, T>) constexpr View(View<U, Space> other)
      : View(other.data, other.shape, other.row_stride) {}

  [[nodiscard]] constexpr index_t rows() const { return shape.rows(); }
  [[nodiscard]] constexpr index_t cols() const { return shape.cols(); }
  [[nodiscard]] constexpr index_t size() const { return shape.size(); }
  [[nodiscard]] constexpr bool contiguous() const { return row_stride == shape.cols() || rows() == 1; }
  [[nodiscard]] constexpr explicit operator bool() const { return data != nullptr; }
  [[nodiscard]] constexpr T* row(index_t r) const { return data + r * row_stride; }
  [[nodiscard]] constexpr T& operator()(index_t r, index_t c) const { return data[r * row_stride + c]; }

  /// Columns [first, first + count) of every row.
  [[nodiscard]] constexpr View columns(index_t first, index_t count) const {
    return {data + first, shape.with_cols(count), row_stride};
  }
  /// Rows [first, first + count), as a matrix.
  [[nodiscard]] constexpr View row_block(index_t first, index_t count) const {
    return {row(first), Shape{count, cols()}, row_stride};
  }
  /// The same elements under another shape. Needs a contiguous view, or one that keeps the last axis.
  [[nodiscard]] constexpr View reshaped(Shape to) const {
    if (to.size() != size() || (!contiguous() && to.cols() != cols()))
      throw ShapeError(sbi::text("view: ", shape, " cannot be seen as ", to));
    return {data, to, contiguous() ? to.cols() : row_stride};
  }
};

} // namespace sbi
