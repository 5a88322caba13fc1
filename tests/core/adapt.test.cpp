// SPDX-License-Identifier: MIT
#include <sbi/core/adapt.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <tuple>

namespace {
sbi::Tensor<double> counted(sbi::Shape shape) {
  sbi::Tensor<double> x(shape);
  std::iota(x.begin(), x.end(), 0.0);
  return x;
}
} // namespace

TEST_CASE("core/adapt: Eigen sees a tensor without a copy") {
  auto x = counted({2, 3, 4});
  auto map = sbi::as_eigen(x);
  CHECK(map.rows() == 6);
  CHECK(map.cols() == 4);
  CHECK(map(5, 3) == 23);
  map(1, 2) = -1;
  CHECK(x(1, 2) == -1);
  CHECK(map.data() == x.data());
}

TEST_CASE("core/adapt: Eigen multiplies a slice of columns") {
  const auto x = counted({3, 6});
  const auto slice = sbi::as_eigen(x.view().columns(2, 2));
  CHECK(slice(2, 1) == 15);
  const Eigen::MatrixXd gram = slice.transpose() * slice;
  CHECK(gram(0, 1) == 2 * 3 + 8 * 9 + 14 * 15);
}

TEST_CASE("core/adapt: a vector of Eigen wants rows that touch") {
  const auto x = counted({2, 3});
  CHECK(sbi::as_eigen_vector(x.view()).sum() == 15);
  CHECK_THROWS_WITH_AS(std::ignore = sbi::as_eigen_vector(x.view().columns(0, 2)),
                       "as_eigen_vector: rows of [2,2] are 3 apart; want 2", sbi::ShapeError);
}

TEST_CASE("core/adapt: xtensor sees a tensor and a slice with its strides") {
  auto x = counted({2, 3, 4});
  auto all = sbi::as_xtensor<3>(x);
  CHECK(all(1, 2, 3) == 23);
  all(0, 0, 1) = 50;
  CHECK(x(0, 1) == 50);
  const auto slice = sbi::as_xtensor<3>(x.view().columns(1, 2));
  CHECK(slice.shape()[2] == 2);
  CHECK(slice(1, 2, 1) == 22);
  CHECK(slice(0, 0, 0) == 50);
  const xt::xtensor<double, 3> copy = slice;
  CHECK(copy(1, 0, 1) == 14);
  double sum = 0;
  for (double v : slice) sum += v; // iteration must walk the strides too
  double expected = 0;
  for (sbi::index_t r = 0; r < 6; ++r) expected += x(r, 1) + x(r, 2);
  CHECK(sum == expected);
  CHECK_THROWS_WITH_AS(std::ignore = sbi::as_xtensor<2>(x), "as_xtensor: rank 2 of [2,3,4]", sbi::ShapeError);
}

TEST_CASE("core/adapt: axes of length one and empty arrays") {
  const auto x = counted({1, 3});
  CHECK(sbi::as_xtensor<2>(x)(0, 2) == 2);
  const auto column = counted({3, 1});
  CHECK(sbi::as_xtensor<2>(column)(2, 0) == 2);
  const sbi::Tensor<double> none(sbi::Shape{0, 3});
  CHECK(sbi::as_xtensor<2>(none).size() == 0);
  CHECK(sbi::as_eigen(none).rows() == 0);
}

TEST_CASE("core/adapt: a tensor becomes an array of xtensor of its shape, whatever its layout") {
  const auto x = counted({2, 3});
  const xt::xtensor<double, 2> copy = x;
  CHECK(copy == sbi::as_xtensor<2>(x));
  const xt::xtensor<double, 2, xt::layout_type::column_major> columns = x;
  CHECK(columns(1, 0) == 3);
  CHECK(columns(0, 2) == 2);
  const xt::xtensor<double, 3> deep = counted({2, 3, 4});
  CHECK(deep(1, 2, 3) == 23);
  const xt::xtensor<double, 2> none = sbi::Tensor<double>(sbi::Shape{0, 3});
  CHECK(none.shape(0) == 0);
  CHECK(none.shape(1) == 3);
  const auto flattened = [&] { return xt::xtensor<double, 1>(x); };
  CHECK_THROWS_WITH_AS((void)flattened(), "tensor: [2,3] copied to an array of rank 1", sbi::ShapeError);
  static_assert(!std::is_convertible_v<sbi::Tensor<double>, xt::xtensor<float, 2>>);
}

TEST_CASE("core/adapt: views of xtensor and of Eigen") {
  xt::xtensor<float, 2> x{{1, 2, 3}, {4, 5, 6}};
  const auto view = sbi::as_view(x);
  CHECK(view.shape == sbi::Shape{2, 3});
  CHECK(view(1, 0) == 4);
  view(1, 0) = 7;
  CHECK(x(1, 0) == 7);
  const auto& constant = x;
  static_assert(std::is_same_v<decltype(sbi::as_view(constant)), sbi::View<const float>>);
  const xt::xtensor<float, 1> line{1, 2};
  CHECK(sbi::as_view(line).shape == sbi::Shape{2});
  const xt::xtensor<int, 4> deep(xt::xtensor<int, 4>::shape_type{2, 3, 4, 5});
  CHECK(sbi::as_view(deep).shape == sbi::Shape{2, 3, 4, 5});

  sbi::EigenMatrix<double> m(2, 2);
  m << 1, 2, 3, 4;
  CHECK(sbi::as_view(m)(1, 0) == 3);
  CHECK(sbi::as_eigen(sbi::as_view(m)).data() == m.data());

  double memory[] = {1, 2, 0, 3, 4, 0};
  using Apart = Eigen::OuterStride<>;
  const Eigen::Map<sbi::EigenMatrix<double>, 0, Apart> map(memory, 2, 2, Apart(3));
  const auto of_map = sbi::as_view(map);
  static_assert(std::is_same_v<decltype(of_map), const sbi::View<double>>);
  CHECK(of_map(1, 1) == 4);
  of_map(1, 0) = 7;
  CHECK(memory[3] == 7);
  const Eigen::Map<const sbi::EigenMatrix<double>> fixed(memory, 3, 2);
  static_assert(std::is_same_v<decltype(sbi::as_view(fixed)), sbi::View<const double>>);
  CHECK(sbi::as_view(fixed)(1, 1) == 7);
}
