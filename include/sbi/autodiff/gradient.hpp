// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/view.hpp>

#include <cstring>
#include <utility>

namespace sbi {

/// Memory of the gradient of one operation's result. It starts unwritten: the first contribution replaces
/// what is there, so that nobody fills it with zeros only to add to them.
template <class T> struct ResultGradient {
  T* data;
  index_t size;
  bool unwritten = true;
};

/// Where the gradient of a value goes: memory that holds a sum already (parameters, inputs), or the gradient
/// of a result, whole or a slice of it. Empty: nobody wants it. As a View it is memory to add to.
template <class T> class Gradient {
public:
  Gradient() = default;
  /// Memory to add to.
  Gradient(View<T> sum) : leaf_(sum.data), shape_(sum.shape), row_stride_(sum.row_stride) {}
  /// All of a result's.
  Gradient(ResultGradient<T>& result, Shape shape)
      : result_(&result), shape_(shape), row_stride_(shape.cols()) {}

  [[nodiscard]] explicit operator bool() const { return leaf_ != nullptr || result_ != nullptr; }
  [[nodiscard]] const Shape& shape() const { return shape_; }

  /// Memory to add to, zero where nothing has been added yet.
  [[nodiscard]] View<T> view() const {
    if (result_ && std::exchange(result_->unwritten, false) && result_->size > 0)
      std::memset(result_->data, 0, static_cast<std::size_t>(result_->size) * sizeof(T));
    return where();
  }
  operator View<T>() const { return view(); }
  operator View<const T>() const { return view(); }
  [[nodiscard]] T& operator()(index_t r, index_t c) const { return view()(r, c); }

  /// The same for an operation that can write all of it in one go: whether to replace or to add.
  struct Target {
    View<T> at;
    Write write = Write::accumulate;
  };
  [[nodiscard]] Target target() const {
    if (!whole() || !std::exchange(result_->unwritten, false)) return {view(), Write::accumulate};
    return {where(), Write::overwrite};
  }
  /// Adds `other`, the gradient of a result that is of no further use, by taking its memory where that is
  /// possible. False where it is not, and the caller has to add.
  [[nodiscard]] bool take(const Gradient& other) const {
    if (!whole() || !other.whole() || !result_->unwritten || result_->size != other.result_->size)
      return false;
    std::swap(result_->data, other.result_->data);
    result_->unwritten = false, other.result_->unwritten = true;
    return true;
  }

  [[nodiscard]] Gradient columns(index_t first, index_t count) const {
    return slice(where().columns(first, count));
  }
  [[nodiscard]] Gradient row_block(index_t first, index_t count) const {
    return slice(where().row_block(first, count));
  }
  [[nodiscard]] Gradient reshaped(Shape to) const { return slice(where().reshaped(to)); }

private:
  [[nodiscard]] View<T> where() const {
    return {(result_ ? result_->data : leaf_) + offset_, shape_, row_stride_};
  }
  [[nodiscard]] bool whole() const {
    return result_ && shape_.size() == result_->size && row_stride_ == shape_.cols();
  }
  [[nodiscard]] Gradient slice(View<T> part) const {
    Gradient out = *this;
    out.offset_ += part.data - where().data;
    out.shape_ = part.shape, out.row_stride_ = part.row_stride;
    return out;
  }

  T* leaf_ = nullptr;
  ResultGradient<T>* result_ = nullptr;
  index_t offset_ = 0; ///< a result's memory may be exchanged
  Shape shape_;
  index_t row_stride_ = 0;
};

} // namespace sbi
