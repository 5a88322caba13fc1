// SPDX-License-Identifier: MIT
// The one place where the library's arrays meet Eigen's and xtensor's: borrowed, never copied. Whoever keeps
// the result must keep the array it was made from.
#pragma once
#include <sbi/core/tensor.hpp>
#include <sbi/core/view.hpp>

#include <Eigen/Core>

#include <array>
#include <cstddef>
#include <type_traits>
#if __has_include(<xtensor/containers/xadapt.hpp>) // xtensor 0.26 and newer
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#endif

namespace sbi {

/// Row-major matrix of Eigen, the layout of every matrix here.
template <class T>
using EigenMatrix = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {
template <class T, class Plain>
using constant_like = std::conditional_t<std::is_const_v<T>, const Plain, Plain>;
}

/// Eigen's map of a view seen as the matrix [rows, cols]; rows may be apart by more than their length.
template <class T> [[nodiscard]] auto as_eigen(View<T> x) {
  using Map = Eigen::Map<detail::constant_like<T, EigenMatrix<T>>, Eigen::Unaligned, Eigen::OuterStride<>>;
  return Map(x.data, x.rows(), x.cols(), Eigen::OuterStride<>(x.row_stride));
}
template <class T> [[nodiscard]] auto as_eigen(Tensor<T>& x) { return as_eigen(x.view()); }
template <class T> [[nodiscard]] auto as_eigen(const Tensor<T>& x) { return as_eigen(x.view()); }
template <class T> void as_eigen(Tensor<T>&&) = delete; // would dangle

/// Eigen's map of all elements as one column vector. Throws ShapeError for a view whose rows are apart.
template <class T> [[nodiscard]] auto as_eigen_vector(View<T> x) {
  if (!x.contiguous())
    throw ShapeError(
        sbi::text("as_eigen_vector: rows of ", x.shape, " are ", x.row_stride, " apart; want ", x.cols()));
  using Vector = Eigen::Matrix<std::remove_const_t<T>, Eigen::Dynamic, 1>;
  return Eigen::Map<detail::constant_like<T, Vector>>(x.data, x.size());
}

/// xtensor's adaptor of rank N with the view's strides. Throws ShapeError when the view has another rank.
template <std::size_t N, class T> [[nodiscard]] auto as_xtensor(View<T> x) {
  static_assert(N >= 1 && N <= Shape::max_rank, "sbi: as_xtensor<N> wants a rank of 1 to 4");
  if (x.shape.rank() != static_cast<int>(N))
    throw ShapeError(sbi::text("as_xtensor: rank ", N, " of ", x.shape));
  std::array<std::size_t, N> shape;
  std::array<std::ptrdiff_t, N> strides;
  std::ptrdiff_t step = 1;
  for (std::size_t k = N; k-- > 0;) {
    const index_t extent = x.shape[static_cast<int>(k)];
    shape[k] = static_cast<std::size_t>(extent);
    strides[k] = extent == 1 ? 0 : step; // xtensor wants stride 0 on an axis of length one
    step = k + 1 == N ? x.row_stride : step * extent;
  }
  // The size must be that of the shape, also where strides reach further: xtensor would try to resize the
  // buffer.
  return xt::adapt(x.data, static_cast<std::size_t>(x.size()), xt::no_ownership(), shape, strides);
}
template <std::size_t N, class T> [[nodiscard]] auto as_xtensor(Tensor<T>& x) {
  return as_xtensor<N>(x.view());
}
template <std::size_t N, class T> [[nodiscard]] auto as_xtensor(const Tensor<T>& x) {
  return as_xtensor<N>(x.view());
}
template <std::size_t N, class T> void as_xtensor(Tensor<T>&&) = delete; // would dangle

namespace detail {
template <std::size_t N, class Array> [[nodiscard]] Shape shape_of(const Array& x) {
  static_assert(N <= Shape::max_rank, "sbi: as_view wants an xtensor of rank 4 at most");
  const auto extent = [&](std::size_t k) { return static_cast<index_t>(x.shape()[k]); };
  if constexpr (N == 0)
    return Shape{};
  else if constexpr (N == 1)
    return Shape{extent(0)};
  else if constexpr (N == 2)
    return Shape{extent(0), extent(1)};
  else if constexpr (N == 3)
    return Shape{extent(0), extent(1), extent(2)};
  else
    return Shape{extent(0), extent(1), extent(2), extent(3)};
}
} // namespace detail

/// A view of an xtensor (row-major, as they are by default).
template <class T, std::size_t N>
[[nodiscard]] View<T> as_view(xt::xtensor<T, N, xt::layout_type::row_major>& x) {
  return {x.data(), detail::shape_of<N>(x)};
}
template <class T, std::size_t N>
[[nodiscard]] View<const T> as_view(const xt::xtensor<T, N, xt::layout_type::row_major>& x) {
  return {x.data(), detail::shape_of<N>(x)};
}
template <class T, std::size_t N>
void as_view(xt::xtensor<T, N, xt::layout_type::row_major>&&) = delete; // would dangle

/// A view of a row-major Eigen matrix.
template <class T, int Rows, int Cols>
[[nodiscard]] View<T> as_view(Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor>& x) {
  return {x.data(), Shape{x.rows(), x.cols()}};
}
template <class T, int Rows, int Cols>
[[nodiscard]] View<const T> as_view(const Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor>& x) {
  return {x.data(), Shape{x.rows(), x.cols()}};
}
template <class T, int Rows, int Cols>
void as_view(Eigen::Matrix<T, Rows, Cols, Eigen::RowMajor>&&) = delete; // would dangle
/// The same of a row-major map, whose rows may be apart by more than their length.
template <class Matrix, int Options, class Stride>
[[nodiscard]] auto as_view(Eigen::Map<Matrix, Options, Stride> x) {
  constexpr int step = Stride::InnerStrideAtCompileTime;
  static_assert(Matrix::IsRowMajor && (step == 0 || step == 1),
                "sbi: as_view wants a row-major map whose rows have no gaps");
  return View<std::remove_pointer_t<decltype(x.data())>>(x.data(), Shape{x.rows(), x.cols()},
                                                         x.outerStride());
}

} // namespace sbi
