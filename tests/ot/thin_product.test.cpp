// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/thin_product.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using sbi::Cpu;
using sbi::index_t;
using sbi::Shape;
using sbi::Tensor;

namespace {
template <class T> Tensor<T> normal_points(index_t n, index_t d, std::uint64_t seed) {
  sbi::Rng rng(seed);
  Tensor<T> out(Shape{n, d});
  for (T& v : out) v = static_cast<T>(rng.normal());
  return out;
}
template <class T> Tensor<T> squared_distances(const Tensor<T>& x, const Tensor<T>& y) {
  Tensor<T> out(Shape{x.rows(), y.rows()});
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t j = 0; j < y.rows(); ++j)
      for (index_t k = 0; k < x.cols(); ++k) out(i, j) += (x(i, k) - y(j, k)) * (x(i, k) - y(j, k));
  return out;
}
/// Largest difference between C and U V, relative to the largest entry of C.
template <class T> double error(const Tensor<T>& c, const sbi::ot::detail::ThinProduct<T>& of) {
  double most = 0, size = 0;
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j) {
      double sum = 0;
      for (index_t k = 0; k < of.u.cols(); ++k)
        sum += static_cast<double>(of.u(i, k)) * static_cast<double>(of.v(k, j));
      most = std::max(most, std::abs(static_cast<double>(c(i, j)) - sum));
      size = std::max(size, std::abs(static_cast<double>(c(i, j))));
    }
  return most / size;
}
} // namespace

TEST_CASE_TEMPLATE("ot/thin_product: squared distances in d dimensions have rank d + 2", T, float, double) {
  const Cpu<T> be(2);
  // What the factors may miss: see the header.
  const double tolerance = 64 * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (index_t d : {1, 3, 8}) {
    CAPTURE(d);
    const Tensor<T> x = normal_points<T>(150, d, 1), y = normal_points<T>(110, d, 2);
    for (const Tensor<T>& c : {squared_distances(x, x), squared_distances(x, y)}) {
      const auto thin = sbi::ot::detail::thin_product<Cpu<T>, T>(be, c.view());
      REQUIRE(thin);
      CHECK(thin->u.shape() == Shape{150, d + 2});
      CHECK(thin->v.shape() == Shape{d + 2, c.cols()});
      CHECK(error(c, *thin) <= tolerance);
    }
  }
}

TEST_CASE("ot/thin_product: what has no thin factors is left as it is") {
  const Cpu<double> be(2);
  CHECK(!sbi::ot::detail::thin_product<Cpu<double>, double>(be, normal_points<double>(80, 80, 3).view()));
  // Distances are not of low rank, squared ones are.
  Tensor<double> c = squared_distances(normal_points<double>(80, 2, 4), normal_points<double>(80, 2, 5));
  CHECK(sbi::ot::detail::thin_product<Cpu<double>, double>(be, c.view()));
  c(17, 40) += 1e-9; // a cross that the rows and columns of the others do not show
  const auto changed = sbi::ot::detail::thin_product<Cpu<double>, double>(be, c.view());
  REQUIRE(changed);
  CHECK(changed->u.cols() == 5);
  CHECK(error(c, *changed) <= 64 * std::numeric_limits<double>::epsilon());
  for (double& v : c) v = std::sqrt(v);
  CHECK(!sbi::ot::detail::thin_product<Cpu<double>, double>(be, c.view()));
  // Few points: the dense product is as cheap.
  CHECK(!sbi::ot::detail::thin_product<Cpu<double>, double>(be, normal_points<double>(7, 7, 6).view()));
}

TEST_CASE("ot/thin_product: blocks that do not see each other, zeros") {
  const Cpu<double> be(1);
  Tensor<double> c(Shape{60, 60});
  CHECK(sbi::ot::detail::thin_product<Cpu<double>, double>(be, c.view())->u.cols() == 0);
  for (index_t i = 0; i < 60; ++i)
    for (index_t j = 0; j < 60; ++j)
      if (i / 20 == j / 20 && i / 20 > 0) c(i, j) = static_cast<double>((i + 1) * (j + 2));
  const auto thin = sbi::ot::detail::thin_product<Cpu<double>, double>(be, c.view());
  REQUIRE(thin);
  CHECK(thin->u.cols() == 2);
  CHECK(error(c, *thin) <= 64 * std::numeric_limits<double>::epsilon());
}
