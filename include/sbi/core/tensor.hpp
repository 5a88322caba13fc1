// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/view.hpp>

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

namespace sbi {

/// An array that is made from its extents, as xt::xtensor: no header of xtensor is needed to hand it over.
template <class Array, class T>
concept ArrayOfExtents = requires(Array a, typename Array::shape_type shape) {
  { std::tuple_size<typename Array::shape_type>::value } -> std::convertible_to<std::size_t>;
  Array(shape);
  requires std::is_same_v<typename Array::value_type, T>;
  a.begin();
};

/// Owning row-major array on the host, zero-initialised. Kernels see its `view()`. A copy as xtensor's:
/// `xt::xtensor<double, 2> x = tensor;`.
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
  friend bool operator==(const Tensor&, const Tensor&) = default;
  [[nodiscard]] auto begin() { return values_.begin(); }
  [[nodiscard]] auto end() { return values_.end(); }
  [[nodiscard]] auto begin() const { return values_.begin(); }
  [[nodiscard]] auto end() const { return values_.end(); }

  /// The same values in an array of as many axes. Throws ShapeError when it has another number of them.
  template <ArrayOfExtents<T> Array> [[nodiscard]] operator Array() const {
    typename Array::shape_type extents;
    if (static_cast<int>(extents.size()) != shape_.rank())
      throw ShapeError(sbi::text("tensor: ", shape_, " copied to an array of rank ", extents.size()));
    for (std::size_t k = 0; k < extents.size(); ++k)
      extents[k] = static_cast<typename Array::shape_type::value_type>(shape_[static_cast<int>(k)]);
    Array out(extents);
    std::copy(begin(), end(), out.begin());
    return out;
  }

private:
  Shape shape_{0, 0};
  std::vector<T> values_;
};

} // namespace sbi
