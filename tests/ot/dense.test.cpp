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
