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
  constexpr Shape(std::initializer_list<index_t> extents) : rank_(static_cast<int>(extents.size())) {
    if (extents.size() > max_rank)
      throw ShapeError(sbi::text("shape: ", extents.size(), " extents; want at most ", max_rank));
    std::size_t place = max_rank - extents.size();
    for (index_t n : extents) {
      if (n < 0) throw ShapeError(sbi::text("shape: extent ", n, "; want >= 0"));
      extent_[place++] = n;
    }
  }

  [[nodiscard]] constexpr int rank() const { return rank_; }
  [[nodiscard]] constexpr index_t operator[](int axis) const {
    return extent_[static_cast<std::size_t>(axis < 0 ? max_rank + axis : max_rank - rank_ + axis)];
  }
  /// Number of elements; 1 for a scalar.
  [[nodiscard]] constexpr index_t size() const { return rows() * cols(); }
  /// Length of the last axis; 1 for a scalar.
  [[nodiscard]] constexpr index_t cols() const { return extent_[max_rank - 1]; }
  /// Product of all axes but the last.
  [[nodiscard]] constexpr index_t rows() const { return extent_[0] * extent_[1] * extent_[2]; }
  /// The same shape with another last axis.
  [[nodiscard]] constexpr Shape with_cols(index_t cols) const {
    Shape out = *this;
    if (rank_ == 0) out.rank_ = 1;
    out.extent_[max_rank - 1] = cols;
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
  friend constexpr bool operator==(const Shape&, const Shape&) = default;

private:
  std::array<index_t, max_rank> extent_{1, 1, 1, 1}; ///< the last axis last, ones before the first
  int rank_ = 0;
};

} // namespace sbi
