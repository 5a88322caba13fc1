// SPDX-License-Identifier: MIT
#include <sbi/core/view.hpp>

#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <type_traits>

using sbi::Shape;
using sbi::View;

namespace {
std::array<float, 24> counted() {
  std::array<float, 24> x{};
  std::iota(x.begin(), x.end(), 0.0F);
  return x;
}
} // namespace

TEST_CASE("core/view: elements, rows and writing through") {
  auto x = counted();
  const View<float> v(x.data(), Shape{2, 3, 4});
  CHECK(v.rows() == 6);
  CHECK(v(4, 1) == 17);
  CHECK(v.row(5)[3] == 23);
  CHECK(v.contiguous());
  v(0, 0) = 9;
  CHECK(x[0] == 9);
}

TEST_CASE("core/view: a slice of columns keeps the distance of the rows, also when cut twice") {
  auto x = counted();
  const View<float> v(x.data(), Shape{4, 6});
  const auto k = v.columns(2, 3);
  CHECK(k.shape == Shape{4, 3});
  CHECK(k.row_stride == 6);
  CHECK(!k.contiguous());
  CHECK(k(1, 0) == 8);
  CHECK(k(3, 2) == 22);
  CHECK(k.columns(1, 1)(2, 0) == 15);
  CHECK(k.row_block(1, 2).shape == Shape{2, 3});
  CHECK(k.row_block(1, 2)(1, 1) == 15);
}

TEST_CASE("core/view: an empty view says so") {
  CHECK(!View<float>{});
  auto x = counted();
  CHECK(View<float>(x.data(), Shape{24}));
}

TEST_CASE("core/view: reshaping") {
  auto x = counted();
  const View<float> v(x.data(), Shape{4, 6});
  CHECK(v.reshaped(Shape{2, 12})(1, 0) == 12);
  CHECK(v.reshaped(Shape{24}).rows() == 1);
  const auto cut = v.columns(0, 3);
  const auto split = cut.reshaped(Shape{2, 2, 3});
  CHECK(split.row_stride == 6);
  CHECK(split(3, 2) == 20);
  CHECK_THROWS_WITH_AS((void)cut.reshaped(Shape{12}), "view: [4,3] cannot be seen as [12]", sbi::ShapeError);
  CHECK_THROWS_WITH_AS((void)v.reshaped(Shape{5, 5}), "view: [4,6] cannot be seen as [5,5]", sbi::ShapeError);
}

TEST_CASE("core/view: mutable becomes constant, nothing else converts") {
  static_assert(std::is_convertible_v<View<float>, View<const float>>);
  static_assert(!std::is_convertible_v<View<const float>, View<float>>);
  static_assert(!std::is_convertible_v<View<float>, View<const double>>);
  static_assert(!std::is_convertible_v<View<float, sbi::Device>, View<const float>>);
  static_assert(std::is_trivially_destructible_v<View<float>>);
  auto x = counted();
  const View<const float> c = View<float>(x.data(), Shape{4, 6}).columns(1, 2);
  CHECK(c.row_stride == 6);
  CHECK(c(1, 1) == 8);
}
