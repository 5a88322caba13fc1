// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>

#include <array>
#include <cstddef>
#include <initializer_list>
#include <string>

namespace sbi {

using index_t = std::ptrdiff_t;

/// Extents of a row-major array of rank 0 (a scalar) to 4. Negative axes count from the end.
class Shape {
public:
  static constexpr int max_rank = 4;

  constexpr Shape() = default;
  /// Throws ShapeError for more than four extents or a negative one.
  constexpr Shape(std::initializer_list<index_t> extents) {
    if (extents.size() > max_rank)
      throw ShapeError(sbi::text("shape: ", extents.size(), " extents; want at most ", max_rank));
    for (index_t n : extents) {
      if (n < 0) throw ShapeError(sbi::text("shape: extent ", n, "; want >= 0"));
      extent_[static_cast<std::size_t>(rank_++)] = n;
    }
  }

  [[nodiscard]] constexpr int rank() const { return rank_; }
  [[nodiscard]] constexpr index_t operator[](int axis) const {
    return extent_[static_cast<std::size_t>(axis < 0 ? rank_ + axis : axis)];
  }
  /// Number of elements; 1 for a scalar.
  [[nodiscard]] constexpr index_t size() const {
    index_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= extent_[static_cast<std::size_t>(i)];
    return n;
  }
  /// Length of the last axis; 1 for a scalar.
  [[nodiscard]] constexpr index_t cols() const { return rank_ == 0 ? 1 : (*this)[-1]; }
  /// Product of all axes but the last.
  [[nodiscard]] constexpr index_t rows() const {
    index_t n = 1;
    for (int i = 0; i + 1 < rank_; ++i) n *= extent_[static_cast<std::size_t>(i)];
    return n;
  }
  /// The same shape with another last axis.
  [[nodiscard]] constexpr Shape with_cols(index_t cols) const {
    Shape out = *this;
    if (rank_ == 0) out.rank_ = 1;
    out.extent_[static_cast<std::size_t>(out.rank_ - 1)] = cols;
    return out;
  }
  [[nodiscard]] std::string text() const {
    std::string out = "[";
    for (int i = 0; i < rank_; ++i) {
      if (i) out += ',';
      out += std::to_string((*this)[i]);
    }
    return out + "]";
  }
  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a[i] != b[i]) return false;
    return true;
  }

private:
  std::array<index_t, max_rank> extent_{1, 1, 1, 1};
  int rank_ = 0;
};

} // namespace sbi
