// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <sbi/core/missing.hpp>
#include <sbi/ops/contrastive.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
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

TEST_CASE("ops/contrastive: batches of many blocks by their definition, warm and cold, on any threads") {
  const index_t n = 211, d = 5;
  const Tensor<float> present = [&] {
    Tensor<float> out(Shape{n});
    Rng rng(12);
    for (float& p : out) p = rng.bernoulli(0.8) ? 1.0F : 0.0F;
    return out;
  }();
  const Tensor<double> a = random_rows(10, n, d), b = random_rows(11, n, d), along_a = random_rows(13, n, d),
                       along_b = random_rows(14, n, d);
  for (const double temperature : {0.3, 0.026, 0.024, 0.01}) {
    CAPTURE(temperature);
    const auto definition = [&](double h) { // at h along a direction
      std::vector<double> rows(static_cast<std::size_t>(n)), columns(rows), own(rows);
      const auto z = [&](const Tensor<double>& at, const Tensor<double>& along, index_t i, index_t k) {
        return at(i, k) + h * along(i, k);
      };
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) {
          if (present.data()[i] == 0 || present.data()[j] == 0) continue;
          double ab = 0, aa = 0, bb = 0;
          for (index_t k = 0; k < d; ++k) {
            const double p = z(a, along_a, i, k), q = z(b, along_b, j, k);
            ab += p * q, aa += p * p, bb += q * q;
          }
          const double s = ab / std::sqrt(aa * bb) / temperature; // at most 100: e^s is a double
          rows[static_cast<std::size_t>(i)] += std::exp(s),
              columns[static_cast<std::size_t>(j)] += std::exp(s);
          if (i == j) own[static_cast<std::size_t>(i)] = s;
        }
      double sum = 0, count = 0;
      for (index_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (rows[at] > 0) sum += 0.5 * (std::log(rows[at]) + std::log(columns[at])) - own[at], ++count;
      }
      return sum / count;
    };
    const double h = 1e-4; // fourth order: below 1e-8 of the derivative
    const double want = definition(0),
                 slope = (8 * (definition(h) - definition(-h)) - (definition(2 * h) - definition(-2 * h))) /
                         (12 * h);
    const auto run = [&]<class T>(T, int threads) { // value, derivative along the direction, gradients
      Cpu<T> backend(threads);
      Tensor<T> za(a.shape()), zb(b.shape()), there(present.shape());
      std::copy(a.begin(), a.end(), za.begin()), std::copy(b.begin(), b.end(), zb.begin());
      std::copy(present.begin(), present.end(), there.begin());
      Tape<Cpu<T>> tape(backend);
      const auto in_a = tape.input(za.view()), in_b = tape.input(zb.view());
      const auto y = tape.apply(ops::InfoNce<T>{temperature, there.view()}, in_a, in_b);
      tape.backward(y);
      std::vector<double> out{static_cast<double>(y.value.data[0]), 0};
      for (index_t i = 0; i < n * d; ++i) {
        const auto da = static_cast<double>(in_a.grad.view().data[i]),
                   db = static_cast<double>(in_b.grad.view().data[i]);
        out[1] += da * along_a.data()[i] + db * along_b.data()[i];
        out.insert(out.end(), {da, db});
      }
      return out;
    };
    const auto exact = run(double{}, 1), one = run(float{}, 1);
    CHECK(exact[0] == doctest::Approx(want).epsilon(1e-10));
    CHECK(std::abs(exact[1] - slope) < 1e-7 * std::abs(slope));
    // Exponents up to 1 / temperature are rounded, some units in the last place each.
    const double rounding = 8 * static_cast<double>(std::numeric_limits<float>::epsilon()) / temperature;
    CHECK(std::abs(one[0] - want) < rounding);
    double largest = 0, worst = 0;
    for (std::size_t i = 2; i < exact.size(); ++i)
      largest = std::max(largest, std::abs(exact[i])), worst = std::max(worst, std::abs(exact[i] - one[i]));
    CHECK(worst < rounding * largest);
    CHECK(run(float{}, 3) == one);
  }
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
  for (index_t i = 0; i < 15; ++i) CHECK(is_finite(in_a.grad.view().data[i]));
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
