// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <sbi/core/missing.hpp>
#include <sbi/ops/contrastive.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;

namespace {
Tensor<double> random_rows(std::uint64_t seed, index_t n, index_t d) {
  Rng rng(seed);
  Tensor<double> x(Shape{n, d});
  for (double& v : x) v = rng.normal();
  return x;
}
template <class Op> double value(const Op& op, const Tensor<double>& a, const Tensor<double>& b) {
  Cpu<double> be(1);
  Tape tape(be);
  return tape.apply(op, tape.constant(a.view()), tape.constant(b.view())).value.data[0];
}
} // namespace

TEST_CASE("ops/contrastive: agreement, gradients and errors of the table's entries") {
  testing::check_all(testing::contrastive_cases(testing::Sizes::odd));
}

TEST_CASE("ops/contrastive: InfoNCE by its definition") {
  const index_t n = 6, d = 3;
  const Tensor<double> a = random_rows(1, n, d), b = random_rows(2, n, d);
  const double temperature = 0.3;
  const auto cosine = [&](index_t i, index_t j) {
    double ab = 0, aa = 0, bb = 0;
    for (index_t k = 0; k < d; ++k) ab += a(i, k) * b(j, k), aa += a(i, k) * a(i, k), bb += b(j, k) * b(j, k);
    return ab / std::sqrt(aa * bb);
  };
  double want = 0;
  for (index_t i = 0; i < n; ++i) {
    double rows = 0, columns = 0;
    for (index_t j = 0; j < n; ++j) {
      rows += std::exp(cosine(i, j) / temperature);
      columns += std::exp(cosine(j, i) / temperature);
    }
    want += (0.5 * std::log(rows * columns) - cosine(i, i) / temperature) / static_cast<double>(n);
  }
  CHECK(value(ops::InfoNce<double>{temperature, {}}, a, b) == doctest::Approx(want).epsilon(1e-10));
}

TEST_CASE("ops/contrastive: absent rows are neither anchors nor negatives and are not read") {
  Tensor<double> a = random_rows(3, 7, 4), b = random_rows(4, 7, 4);
  const Tensor<double> present(Shape{7}, {1, 0, 1, 1, 0, 1, 0});
  Tensor<double> few_a(Shape{4, 4}), few_b(Shape{4, 4});
  index_t kept = 0;
  for (index_t i = 0; i < 7; ++i) {
    if (present.data()[i] != 0) {
      std::copy(a.row(i), a.row(i) + 4, few_a.row(kept));
      std::copy(b.row(i), b.row(i) + 4, few_b.row(kept++));
    } else {
      for (index_t k = 0; k < 4; ++k) a(i, k) = missing, b(i, k) = missing;
    }
  }
  CHECK(value(ops::InfoNce<double>{0.2, present.view()}, a, b) ==
        doctest::Approx(value(ops::InfoNce<double>{0.2, {}}, few_a, few_b)).epsilon(1e-12));
  CHECK(value(ops::PairLoss<double>{0.2, 2, present.view()}, a, b) ==
        doctest::Approx(value(ops::PairLoss<double>{0.2, 2, {}}, few_a, few_b)).epsilon(1e-12));

  Cpu<double> be(1);
  Tape tape(be);
  const auto in_a = tape.input(a.view()), in_b = tape.input(b.view());
  tape.backward(tape.apply(ops::PairLoss<double>{0.2, 2, present.view()}, in_a, in_b));
  for (index_t i = 0; i < 7; ++i)
    for (index_t k = 0; k < 4; ++k) {
      REQUIRE(is_finite(in_a.grad(i, k)));
      CHECK((in_a.grad(i, k) != 0) == (present.data()[i] != 0));
      CHECK((in_b.grad(i, k) != 0) == (present.data()[i] != 0));
    }
  const Tensor<double> none(Shape{7});
  CHECK(value(ops::InfoNce<double>{0.2, none.view()}, a, b) == 0);
  CHECK(value(ops::PairLoss<double>{0.2, 1, none.view()}, a, b) == 0);
}

TEST_CASE("ops/contrastive: cold temperatures and vanishing embeddings stay finite") {
  Tensor<float> a(Shape{5, 3}), b(Shape{5, 3});
  Rng rng(5);
  for (float& v : a) v = static_cast<float>(rng.normal());
  for (float& v : b) v = static_cast<float>(rng.normal());
  for (index_t k = 0; k < 3; ++k) a(2, k) = 0;
  Cpu<float> be(1);
  Tape tape(be);
  const auto in_a = tape.input(a.view()), in_b = tape.input(b.view());
  const auto y = tape.apply(ops::InfoNce<float>{1e-3, {}}, in_a, in_b); // exponents of 1000
  CHECK(is_finite(y.value.data[0]));
  tape.backward(y);
  for (index_t i = 0; i < 15; ++i) CHECK(is_finite(in_a.grad.data[i]));
}

TEST_CASE("ops/contrastive: neither a common factor nor a collapse pays") {
  const index_t n = 8, d = 4;
  const Tensor<double> a = random_rows(6, n, d);
  Tensor<double> b = a;
  Rng rng(7);
  for (double& v : b) v += 0.2 * rng.normal();
  const ops::PairLoss<double> loss{0.1, 1, {}};
  const double at = value(loss, a, b);
  Tensor<double> small_a = a, small_b = b;
  for (double& v : small_a) v *= 1e-2;
  for (double& v : small_b) v *= 1e-2;
  CHECK(value(loss, small_a, small_b) == doctest::Approx(at).epsilon(1e-6)); // 1e-12 below the root
  Tensor<double> point(Shape{n, d});
  for (double& v : point) v = 1;
  CHECK(value(loss, point, point) == doctest::Approx(std::log(static_cast<double>(n))).epsilon(1e-10));
  CHECK(value(loss, point, point) > at + 1);
  Tensor<double> wrong = b; // partners exchanged
  for (index_t k = 0; k < d; ++k) std::swap(wrong(0, k), wrong(1, k));
  CHECK(value(loss, a, wrong) > at);
  CHECK(value(loss, a, a) < at);
}

TEST_CASE("ops/contrastive: partners' distance counts in units of the spread, wherever the clouds lie") {
  const index_t n = 9, d = 4;
  Tensor<double> a = random_rows(8, n, d), b = random_rows(9, n, d);
  for (double origin : {0.0, 100.0}) {
    for (Tensor<double>* z : {&a, &b})
      for (double& v : *z) v += origin;
    double distance = 0, variance = 0, square = 0;
    for (index_t k = 0; k < d; ++k)
      for (const Tensor<double>* z : {&a, &b}) {
        double mean = 0;
        for (index_t i = 0; i < n; ++i) mean += (*z)(i, k) / static_cast<double>(n);
        for (index_t i = 0; i < n; ++i)
          variance += std::pow((*z)(i, k) - mean, 2), square += std::pow((*z)(i, k), 2);
      }
    for (index_t k = 0; k < n * d; ++k) distance += std::pow(a.data()[k] - b.data()[k], 2);
    CHECK(value(ops::PairLoss<double>{0.3, 2, {}}, a, b) - value(ops::InfoNce<double>{0.3, {}}, a, b) ==
          doctest::Approx(2 * distance / (variance + 1e-6 * square)).epsilon(1e-10));
  }
}

TEST_CASE("ops/contrastive: what is wrong is named") {
  const Tensor<double> a(Shape{3, 2}), b(Shape{3, 2}), mask(Shape{2});
  CHECK_THROWS_WITH_AS((void)value(ops::InfoNce<double>{0, {}}, a, b), "info nce: temperature = 0; want > 0",
                       ValueError);
  CHECK_THROWS_AS((void)value(ops::InfoNce<double>{0.1, mask.view()}, a, b), ShapeError);
  CHECK_THROWS_AS((void)value(ops::PairLoss<double>{0.1, -1, {}}, a, b), ValueError);
}
