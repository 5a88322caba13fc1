// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/dense.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;
using namespace sbi::ot::detail;

TEST_CASE("ot/dense: products against their definition, also of the first columns alone and from float") {
  const Tensor<double> a = random_points(1, 5, 4), b = random_points(2, 3, 6), c = random_points(3, 5, 7);
  const Column w{0.5, -1, 2, 0, 3};
  const Matrix ab = product(a, b), ac = transposed_product(a, c, 2), turned = transposed(a);
  const Column wa = weighted_sum(a, w);
  CHECK(ab.shape() == Shape{5, 6});
  CHECK(ac.shape() == Shape{4, 2});
  // Sums of at most five terms of order one.
  for (index_t i = 0; i < 5; ++i)
    for (index_t j = 0; j < 6; ++j) {
      double sum = 0;
      for (index_t k = 0; k < 3; ++k) sum += a(i, k) * b(k, j);
      CHECK(ab(i, j) == doctest::Approx(sum).epsilon(1e-14).scale(1));
    }
  for (index_t k = 0; k < 4; ++k) {
    double weighted = 0;
    for (index_t i = 0; i < 5; ++i) {
      CHECK(turned(k, i) == a(i, k));
      weighted += a(i, k) * w[static_cast<std::size_t>(i)];
    }
    CHECK(wa[static_cast<std::size_t>(k)] == doctest::Approx(weighted).epsilon(1e-14).scale(1));
    for (index_t j = 0; j < 2; ++j) {
      double sum = 0;
      for (index_t i = 0; i < 5; ++i) sum += a(i, k) * c(i, j);
      CHECK(ac(k, j) == doctest::Approx(sum).epsilon(1e-14).scale(1));
    }
  }
  const Tensor<float> single(Shape{1, 2}, {0.1f, 3.0f});
  CHECK(product(single, Matrix(Shape{2, 1}, {1, 0}))(0, 0) == static_cast<double>(0.1f));
}

TEST_CASE("ot/dense: an eigensystem rebuilds its matrix, in rising order; a symmetric system is solved") {
  const index_t n = 6;
  const Tensor<double> some = random_points(4, n, n);
  const Matrix a = product(some, transposed(some));
  const auto [values, vectors] = eigensystem(a);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) {
      double rebuilt = 0, overlap = 0;
      for (index_t k = 0; k < n; ++k) {
        rebuilt += values[static_cast<std::size_t>(k)] * vectors(i, k) * vectors(j, k);
        overlap += vectors(k, i) * vectors(k, j);
      }
      CHECK(rebuilt == doctest::Approx(a(i, j)).epsilon(1e-12).scale(values.back()));
      CHECK(overlap == doctest::Approx(i == j).epsilon(1e-13).scale(1));
    }
  for (std::size_t k = 1; k < values.size(); ++k) CHECK(values[k] >= values[k - 1]);
  const Column b = column_of(some, 0);
  const Column x = solve_symmetric(a, b), back = weighted_sum(a, x);
  for (std::size_t i = 0; i < b.size(); ++i) // the condition of a is about 1e4
    CHECK(back[i] == doctest::Approx(b[i]).epsilon(1e-10).scale(1));
}

TEST_CASE("ot/dense: eigensystems of one point, of nothing, of a diagonal, of repeated and of far values") {
  const auto check = [](const Matrix& a) {
    const index_t n = a.rows();
    const auto [values, vectors] = eigensystem(a);
    double size = 0;
    for (double v : a) size = std::max(size, std::abs(v));
    for (index_t i = 0; i < n; ++i)
      for (index_t k = 0; k < n; ++k) { // A v = lambda v
        double image = 0, overlap = 0;
        for (index_t j = 0; j < n; ++j)
          image += a(i, j) * vectors(j, k), overlap += vectors(j, i) * vectors(j, k);
        CHECK(std::abs(image - values[static_cast<std::size_t>(k)] * vectors(i, k)) <= 1e-13 * size);
        CHECK(std::abs(overlap - (i == k)) < 1e-13);
      }
  };
  check(Matrix(Shape{1, 1}, {-3}));
  check(Matrix(Shape{3, 3}));
  check(Matrix(Shape{2, 2}, {1, -2, -2, 1}));
  check(Matrix(Shape{4, 4}, {1e-200, 0, 0, 0, 0, 3e-200, 0, 0, 0, 0, 2e-200, 1e-200, 0, 0, 1e-200, 2e-200}));
  Matrix twice(Shape{5, 5}), far(Shape{5, 5});
  for (index_t i = 0; i < 5; ++i)
    for (index_t j = 0; j < 5; ++j) {
      twice(i, j) = 1 + (i == j ? 2 : 0);
      far(i, j) = 1e200 * std::pow(10, -static_cast<double>(i + j));
    }
  check(twice), check(far);
}
