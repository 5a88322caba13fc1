// SPDX-License-Identifier: MIT
#include <sbi/core/shape.hpp>

#include <doctest/doctest.h>

using sbi::Shape;

TEST_CASE("core/shape: extents, rows, columns and size") {
  constexpr Shape s{2, 3, 4};
  static_assert(s.rank() == 3 && s.size() == 24 && s.rows() == 6 && s.cols() == 4);
  CHECK(s[0] == 2);
  CHECK(s[-1] == 4);
  CHECK(s[-3] == 2);
  CHECK(s.text() == "[2,3,4]");
}

TEST_CASE("core/shape: a scalar, a vector and an empty array") {
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.rows() == 1);
  CHECK(Shape{}.cols() == 1);
  CHECK(Shape{}.text() == "[]");
  CHECK(Shape{5}.rows() == 1);
  CHECK(Shape{5}.cols() == 5);
  CHECK(Shape{0, 7}.size() == 0);
  CHECK(Shape{7, 0}.rows() == 7);
}

TEST_CASE("core/shape: with_cols replaces the last axis only") {
  CHECK(Shape{2, 3}.with_cols(9) == Shape{2, 9});
  CHECK(Shape{2, 3, 4, 5}.with_cols(1) == Shape{2, 3, 4, 1});
  CHECK(Shape{}.with_cols(6) == Shape{6});
}

TEST_CASE("core/shape: equality looks at the rank too") {
  CHECK(Shape{1, 2} == Shape{1, 2});
  CHECK(Shape{2} != Shape{2, 1});
  CHECK(Shape{1, 2} != Shape{2, 1});
  CHECK(Shape{} != Shape{1});
}

TEST_CASE("core/shape: what is no shape is refused in one sentence") {
  CHECK_THROWS_WITH_AS((Shape{1, 2, 3, 4, 5}), "shape: 5 extents; want at most 4", sbi::ShapeError);
  CHECK_THROWS_WITH_AS((Shape{2, -1}), "shape: extent -1; want >= 0", sbi::ShapeError);
}
