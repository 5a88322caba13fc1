// SPDX-License-Identifier: MIT
#include <sbi/backend/softmax_row.hpp>
#include <sbi/core/rng.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace {
using sbi::index_t;
constexpr float inf = std::numeric_limits<float>::infinity();

template <class Row> void softmax(Row row, const float* x, float* y) {
  sbi::Arena arena;
  sbi::softmax_rows(
      arena, row, 1, [x](index_t, auto i) { return sbi::load(x, i); }, y, row.n);
}
template <class Row> void agrees(Row row, index_t n) {
  sbi::Rng rng(static_cast<std::uint64_t>(n));
  const auto size = static_cast<std::size_t>(n);
  std::vector<float> x(size), y(size), dy(size), dx(size, 1.0f);
  for (auto& v : x) v = static_cast<float>(rng.normal(0, 4));
  for (auto& v : dy) v = static_cast<float>(rng.normal());
  softmax(row, x.data(), y.data());
  sbi::softmax_rows_vjp(row, 1, y.data(), n, dy.data(), n,
                        [&](index_t, auto i, auto d) { add(dx.data(), i, d); });
  double sum = 0, inner = 0;
  for (float v : x) sum += std::exp(static_cast<double>(v));
  for (std::size_t i = 0; i < size; ++i)
    inner += std::exp(static_cast<double>(x[i])) / sum * static_cast<double>(dy[i]);
  for (std::size_t i = 0; i < size; ++i) {
    const double p = std::exp(static_cast<double>(x[i])) / sum;
    CHECK(std::abs(static_cast<double>(y[i]) - p) < 1e-6); // float: logits of the order of 10 times 6e-8
    CHECK(std::abs(static_cast<double>(dx[i]) - 1 - p * (static_cast<double>(dy[i]) - inner)) < 3e-6);
  }
}
} // namespace

TEST_CASE("backend/softmax_row: the definition, at every width") {
  for (index_t n : {1, 2, 7, 8, 13, 16, 17, 33, 64}) {
    agrees(sbi::VectorRow<float, 4>{n}, n);
    agrees(sbi::VectorRow<float, 8>{n}, n);
    agrees(sbi::VectorRow<float, 16>{n}, n);
    agrees(sbi::ScalarRow{n}, n);
  }
}

TEST_CASE("backend/softmax_row: no allowed entry gives 0, a shift of all changes nothing") {
  const std::vector<float> none(5, -inf), some{-inf, 1, 2, -inf, 3}, shifted{-inf, 1025, 1026, -inf, 1027};
  std::vector<float> y(5, 9.0f), z(5, 9.0f);
  softmax(sbi::VectorRow<float, 4>{5}, none.data(), y.data());
  CHECK(y == std::vector<float>(5, 0.0f));
  softmax(sbi::VectorRow<float, 4>{5}, some.data(), y.data());
  softmax(sbi::VectorRow<float, 4>{5}, shifted.data(), z.data());
  CHECK(y == z);
  CHECK(y[0] == 0);
  CHECK(y[3] == 0);
}

TEST_CASE("backend/softmax_row: in place, and nothing after the row") {
  std::vector<float> x{0, 0, 0, 42};
  softmax(sbi::VectorRow<float, 8>{3}, x.data(), x.data());
  CHECK(x[0] == doctest::Approx(1.0 / 3));
  CHECK(x[3] == 42);
}

TEST_CASE("backend/softmax_row: many rows are each what they are alone") {
  constexpr index_t rows = 37, n = 11, stride = 13;
  sbi::Rng rng(5);
  std::vector<float> x(rows * n), all(rows * stride, 7.0f), one(n);
  for (auto& v : x) v = rng.bernoulli(0.2) ? -inf : static_cast<float>(rng.normal());
  const sbi::VectorRow<float, 8> row{n};
  sbi::Arena arena;
  sbi::softmax_rows(
      arena, row, rows, [&](index_t r, auto i) { return sbi::load(x.data() + r * n, i); }, all.data(),
      stride);
  for (index_t r = 0; r < rows; ++r) {
    softmax(row, x.data() + r * n, one.data());
    CHECK(std::equal(one.begin(), one.end(), all.data() + r * stride));
    CHECK(all[static_cast<std::size_t>(r * stride + n)] == 7);
  }
}
