// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

using sbi::Shape;
using sbi::Tensor;

TEST_CASE("core/tensor: starts at zero and is row-major") {
  Tensor<float> x(Shape{2, 3});
  CHECK(std::all_of(x.begin(), x.end(), [](float v) { return v == 0; }));
  x(1, 2) = 5;
  CHECK(x.data()[5] == 5);
  CHECK(x.row(1)[2] == 5);
  CHECK(x.view()(1, 2) == 5);
}

TEST_CASE("core/tensor: takes its values, and refuses a wrong number of them") {
  const Tensor<std::int32_t> x(Shape{2, 2}, {1, 2, 3, 4});
  CHECK(x(1, 0) == 3);
  CHECK(x.size() == 4);
  CHECK_THROWS_WITH_AS(Tensor<float>(Shape{2, 2}, {1, 2, 3}), "tensor: 3 values for shape [2,2]",
                       sbi::ShapeError);
}

TEST_CASE("core/tensor: copies are deep, a default one is empty, and higher ranks are rows and columns") {
  Tensor<double> a(Shape{3, 4, 5});
  auto b = a;
  b(11, 4) = 1;
  CHECK(a(11, 4) == 0);
  CHECK(b.rows() == 12);
  CHECK(b.cols() == 5);
  CHECK(Tensor<double>{}.size() == 0);
  const auto* kept = b.data();
  const auto c = std::move(b);
  CHECK(c.data() == kept);
}
