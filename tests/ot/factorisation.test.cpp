// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/factorisation.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace sbi;
using namespace sbi::ot::detail;

TEST_CASE(
    "ot/factorisation: an eigensystem rebuilds its matrix, in rising order; a symmetric system is solved") {
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

TEST_CASE(
    "ot/factorisation: eigensystems of one point, of nothing, of a diagonal, of repeated and of far values") {
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

TEST_CASE_TEMPLATE("ot/factorisation: sixty coordinates of rank forty", T, double, float) {
  const index_t n = 60;
  const Tensor<double> some = random_points(5, n, 40);
  const Matrix exact = product(some, transposed(some));
  Tensor<T> a(exact.shape());
  std::transform(exact.begin(), exact.end(), a.begin(), [](double v) { return static_cast<T>(v); });
  const auto [values, vectors] = eigensystem(a);
  const double unit = std::numeric_limits<T>::epsilon(), size = static_cast<double>(values.back());
  for (std::size_t k = 0; k < 20; ++k) CHECK(std::abs(static_cast<double>(values[k])) < 20 * unit * size);
  for (index_t i = 0; i < n; i += 7) // errors of rotations: a few units in the last place of the largest
    for (index_t k = 0; k < n; ++k) {
      double image = 0, overlap = 0;
      for (index_t j = 0; j < n; ++j)
        image += static_cast<double>(a(i, j)) * static_cast<double>(vectors(j, k)),
            overlap += static_cast<double>(vectors(j, i)) * static_cast<double>(vectors(j, k));
      CHECK(std::abs(image - static_cast<double>(values[static_cast<std::size_t>(k)] * vectors(i, k))) <
            20 * unit * size);
      CHECK(std::abs(overlap - (i == k)) < 50 * unit);
    }
}

TEST_CASE("ot/factorisation: a singular system is solved where it can be, whatever the order of its pivots") {
  // Two blocks, one of them 0; a matrix whose largest pivots come last.
  const Matrix part(Shape{4, 4}, {2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0});
  CHECK(solve_symmetric(part, Column{4, 0, 5, 0}) == Column{1, 0, 2, 0});
  const Matrix rising(Shape{3, 3}, {1e-6, 1e-4, 1e-3, 1e-4, 1, 0.5, 1e-3, 0.5, 100});
  const Column x{3, -2, 0.25}, found = solve_symmetric(rising, weighted_sum(rising, x));
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(found[i] == doctest::Approx(x[i]).epsilon(1e-9)); // a condition of 1e8
}
