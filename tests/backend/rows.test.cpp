// SPDX-License-Identifier: MIT
#include <sbi/backend/rows.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

namespace {
using sbi::index_t;

/// f(row, n, tag of the row's storage type) for every policy and length up to 40.
template <class F> void for_each_row(F&& f) {
  for (index_t n = 0; n <= 40; ++n) {
    f(sbi::VectorRow<float, 4>{n}, n, float{});
    f(sbi::VectorRow<float, 8>{n}, n, float{});
    f(sbi::VectorRow<float, 16>{n}, n, float{});
    f(sbi::VectorRow<double, 2>{n}, n, double{});
    f(sbi::VectorRow<double, 8>{n}, n, double{});
    f(sbi::ScalarRow{n}, n, float{});
  }
}
template <class T> std::vector<T> counted(index_t n) { // one element of NaN beyond the end
  std::vector<T> x(static_cast<std::size_t>(n) + 1);
  std::iota(x.begin(), x.end(), T{1});
  x.back() = std::numeric_limits<T>::quiet_NaN();
  return x;
}
} // namespace

TEST_CASE("backend/rows: each visits every element once and nothing beyond") {
  for_each_row([](auto row, index_t n, auto tag) {
    auto x = counted<decltype(tag)>(n);
    row.each([&](auto i) { add(x.data(), i, sbi::load(x.data(), i)); });
    for (index_t i = 0; i < n; ++i)
      CHECK(x[static_cast<std::size_t>(i)] == 2 * static_cast<decltype(tag)>(i + 1));
    CHECK(std::isnan(x.back()));
  });
}

TEST_CASE("backend/rows: sums and maxima see the row only") {
  for_each_row([](auto row, index_t n, auto tag) {
    using T = decltype(tag);
    const auto x = counted<T>(n);
    const auto negative = [&](auto i) { return -sbi::load(x.data(), i); };
    CHECK(row.sum([&](auto i) { return sbi::load(x.data(), i); }) == static_cast<T>(n * (n + 1) / 2));
    CHECK(row.max(negative) == (n == 0 ? -std::numeric_limits<T>::infinity() : T{-1}));
    // what a partial vector computes in its empty lanes stays out of the sum
    CHECK(row.sum([&](auto i) {
      return sbi::load(x.data(), i) * decltype(sbi::load(x.data(), i))(0) +
             decltype(sbi::load(x.data(), i))(1);
    }) == static_cast<T>(n));
  });
}

TEST_CASE("backend/rows: an element's bits do not depend on its place in the row") {
  constexpr int length = 21;
  std::vector<float> x(length), whole(length), alone(length);
  volatile float step = 0.37f; // known numbers would be computed by the compiler, without fusing
  for (int i = 0; i < length; ++i) x[static_cast<std::size_t>(i)] = step * static_cast<float>(i) - 3;
  const auto kernel = [](const float* from, float* to, index_t n) {
    sbi::VectorRow<float, 8>{n}.each([&](auto i) {
      const auto v = sbi::load(from, i);
      sbi::store(to, i, exp(v) / (decltype(v)(1) + v * v));
    });
  };
  kernel(x.data(), whole.data(), length);
  for (std::size_t i = 0; i < length; ++i) kernel(&x[i], &alone[i], 1);
  CHECK(whole == alone);
}

TEST_CASE("backend/rows: a backend names its policy") {
  CHECK(std::is_same_v<decltype(sbi::row_of(sbi::Cpu<float>(1), 3)), sbi::VectorRow<float>>);
  CHECK(std::is_same_v<decltype(sbi::row_of(sbi::Reference<float>(), 3)), sbi::ScalarRow>);
}
