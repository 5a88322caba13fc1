// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/view.hpp>

#include <vector>

namespace sbi {

/// Owning row-major array on the host, zero-initialised. Kernels see its `view()`.
template <class T> class Tensor {
public:
  using value_type = T;
  Tensor() = default;
  explicit Tensor(Shape shape) : shape_(shape), values_(static_cast<std::size_t>(shape.size())) {}
  Tensor(Shape shape, std::vector<T> values) : shape_(shape), values_(std::move(values)) {
    if (static_cast<index_t>(values_.size()) != shape.size())
      throw ShapeError(sbi::text("tensor: ", values_.size(), " values for shape ", shape));
  }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] index_t size() const { return shape_.size(); }
  [[nodiscard]] index_t rows() const { return shape_.rows(); }
  [[nodiscard]] index_t cols() const { return shape_.cols(); }
  [[nodiscard]] T* data() { return values_.data(); }
  [[nodiscard]] const T* data() const { return values_.data(); }
  [[nodiscard]] T* row(index_t r) { return data() + r * cols(); }
  [[nodiscard]] const T* row(index_t r) const { return data() + r * cols(); }
  [[nodiscard]] T& operator()(index_t r, index_t c) {
    return values_[static_cast<std::size_t>(r * cols() + c)];
  }
  [[nodiscard]] const T& operator()(index_t r, index_t c) const {
    return values_[static_cast<std::size_t>(r * cols() + c)];
  }
  [[nodiscard]] View<T> view() { return {data(), shape_}; }
  [[nodiscard]] View<const T> view() const { return {data(), shape_}; }
  [[nodiscard]] auto begin() { return values_.begin(); }
  [[nodiscard]] auto end() { return values_.end(); }
  [[nodiscard]] auto begin() const { return values_.begin(); }
  [[nodiscard]] auto end() const { return values_.end(); }

private:
  Shape shape_{0, 0};
  std::vector<T> values_;
};

} // namespace sbi
