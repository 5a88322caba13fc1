// SPDX-License-Identifier: MIT
#include <sbi/core/simd.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace {
using sbi::Vec;

template <class T> constexpr T infinity = std::numeric_limits<T>::infinity();

/// f.operator()<T, N>() for the widths from 2 to 64 bytes.
template <class F> void for_each_width(F&& f) {
  const auto widths = [&]<class T>() {
    f.template operator()<T, 2>();
    f.template operator()<T, 4>();
    f.template operator()<T, 8>();
    if constexpr (sizeof(T) == 4) f.template operator()<T, 16>();
  };
  widths.template operator()<float>();
  widths.template operator()<double>();
}
template <class T, int N> std::vector<T> lanes(Vec<T, N> v) {
  std::vector<T> out(N);
  v.store(out.data());
  return out;
}
template <class T, int N> Vec<T, N> counted(T first) {
  T values[N];
  for (int i = 0; i < N; ++i) values[i] = first + static_cast<T>(i);
  return Vec<T, N>::load(values);
}
} // namespace

TEST_CASE("core/simd: partial loads give zeros, partial stores touch nothing else") {
  for_each_width([]<class T, int N>() {
    const std::vector<T> from(N, T{3});
    for (int count = 0; count <= N; ++count) {
      const auto v = lanes(Vec<T, N>::load(from.data() + N - count, count));
      std::vector<T> to(N, T{-1});
      Vec<T, N>(T{5}).store(to.data(), count);
      for (int i = 0; i < N; ++i) {
        CHECK(v[static_cast<std::size_t>(i)] == (i < count ? 3 : 0));
        CHECK(to[static_cast<std::size_t>(i)] == (i < count ? 5 : -1));
      }
      const auto kept = lanes(sbi::first_lanes(Vec<T, N>(7), count, T{2}));
      CHECK(std::count(kept.begin(), kept.end(), T{7}) == count);
      CHECK(std::count(kept.begin(), kept.end(), T{2}) == N - count);
    }
  });
}

TEST_CASE("core/simd: arithmetic, comparison and choice lane by lane") {
  for_each_width([]<class T, int N>() {
    const auto a = counted<T, N>(1), b = Vec<T, N>(3);
    const auto result = lanes(select(a < b, a * b - a / b, -a + max(a, b)));
    auto sum = a;
    sum += b;
    sum *= b;
    for (int i = 0; i < N; ++i) {
      const T x = static_cast<T>(i + 1);
      CHECK(result[static_cast<std::size_t>(i)] ==
            doctest::Approx(x < 3 ? x * 3 - x / 3 : -x + std::max(x, T{3})));
      CHECK(lanes(sum)[static_cast<std::size_t>(i)] == (x + 3) * 3);
      CHECK(lanes(sqrt(a * a))[static_cast<std::size_t>(i)] == x);
    }
    CHECK(horizontal_sum(a) == static_cast<T>(N * (N + 1) / 2));
    CHECK(horizontal_max(-a) == -1);
    CHECK(horizontal_max(a) == static_cast<T>(N));
  });
}

TEST_CASE("core/simd: multiply-add in one rounding where the machine has it, at every width alike") {
  for_each_width([]<class T, int N>() {
    const T small = std::numeric_limits<T>::epsilon();
    // (1 + e)(1 - e) - 1 is -e^2; a product that is rounded first is 1.
    const auto got = lanes(fused_multiply_add(Vec<T, N>(1 + small), Vec<T, N>(1 - small), Vec<T, N>(-1)));
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    const T want = -small * small;
#else
    const T want = 0;
#endif
    for (const T v : got) CHECK(v == want);
    const auto sum = lanes(fused_multiply_add(counted<T, N>(1), Vec<T, N>(3), counted<T, N>(2)));
    for (int i = 0; i < N; ++i) CHECK(sum[static_cast<std::size_t>(i)] == static_cast<T>(4 * i + 5));
  });
}

TEST_CASE("core/simd: min and max give the second where one is not a number") {
  for_each_width([]<class T, int N>() {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const auto last = [](Vec<T, N> v) { return lanes(v)[N - 1]; };
    CHECK(last(min(Vec<T, N>(2), Vec<T, N>(-3))) == -3);
    CHECK(last(max(Vec<T, N>(2), Vec<T, N>(-3))) == 2);
    CHECK(last(min(Vec<T, N>(nan), Vec<T, N>(1))) == 1);
    CHECK(last(max(Vec<T, N>(nan), Vec<T, N>(1))) == 1);
    CHECK(std::isnan(last(min(Vec<T, N>(1), Vec<T, N>(nan)))));
    CHECK(std::isnan(last(max(Vec<T, N>(1), Vec<T, N>(nan)))));
  });
}

TEST_CASE("core/simd: exp to two units in the last place, the same bits at every width") {
  const auto sweep = []<class T>(T) {
    const T lowest = sizeof(T) == 4 ? T(-86.5) : T(-707.9), highest = sizeof(T) == 4 ? T(88.6) : T(709.6);
    double worst = 0;
    for (int i = 0; i <= 20000; ++i) {
      const T x = lowest + (highest - lowest) * static_cast<T>(i) / T{20000};
      const long double exact = std::exp(static_cast<long double>(x));
      const T got = lanes(exp(Vec<T, 4>(x)))[3];
      worst = std::max(worst, static_cast<double>(std::abs(static_cast<long double>(got) - exact) / exact));
      const bool same = got == lanes(exp(Vec<T, 2>(x)))[0] && got == lanes(exp(Vec<T, 8>(x)))[5] &&
                        got == lanes(exp(Vec<T, 64 / sizeof(T)>(x))).back();
      if (!same) FAIL_CHECK("the width changes exp at ", x);
    }
    CHECK(worst < 2 * std::numeric_limits<T>::epsilon());
  };
  sweep(float{});
  sweep(double{});
}

TEST_CASE("core/simd: exp at and beyond its ends") {
  for_each_width([]<class T, int N>() {
    const auto at = [](T x) { return lanes(exp(Vec<T, N>(x)))[N - 1]; };
    const T low = sizeof(T) == 4 ? T(-86.6) : T(-708), high = sizeof(T) == 4 ? T(88.7) : T(709.7);
    CHECK(at(0) == 1);
    CHECK(at(-0.0) == 1);
    CHECK(at(low) >= std::numeric_limits<T>::min()); // still normal
    CHECK(at(std::nextafter(low, -infinity<T>)) == 0);
    CHECK(at(-infinity<T>) == 0);
    CHECK(std::isfinite(at(high)));
    CHECK(at(std::nextafter(high, infinity<T>)) == infinity<T>);
    CHECK(at(infinity<T>) == infinity<T>);
    CHECK(std::isnan(at(std::numeric_limits<T>::quiet_NaN())));
  });
}

TEST_CASE("core/simd: logistic to three units in the last place, not a number stays so") {
  for_each_width([]<class T, int N>() {
    const auto at = [](T x) { return lanes(logistic(Vec<T, N>(x)))[N - 1]; };
    double worst = 0;
    for (int i = -2000; i <= 2000; ++i) {
      const T x = static_cast<T>(i) * T(0.02);
      // The argument of exp2 is rounded once: an error of |x| / 2 units of its logarithm.
      const long double exact = 1 / (1 + std::exp(-static_cast<long double>(x)));
      const double error = static_cast<double>(std::abs(static_cast<long double>(at(x)) - exact) / exact);
      worst = std::max(worst, error / (3 + std::abs(static_cast<double>(x))));
    }
    CHECK(worst < static_cast<double>(std::numeric_limits<T>::epsilon()));
    CHECK(at(infinity<T>) == 1);
    CHECK(at(-infinity<T>) >= 0);
    CHECK(at(-infinity<T>) < 2 * std::numeric_limits<T>::min());
    CHECK(std::isnan(at(std::numeric_limits<T>::quiet_NaN())));
  });
}

TEST_CASE("core/simd: bounded exp2 to two units in the last place, moved to its bounds beyond them") {
  for_each_width([]<class T, int N>() {
    const T bound = sizeof(T) == 4 ? T(126) : T(1022);
    const auto at = [](T x) { return lanes(exp2_bounded(Vec<T, N>(x)))[N - 1]; };
    double worst = 0;
    for (int i = 0; i <= 20000; ++i) {
      const T x = bound * (T(2) * static_cast<T>(i) / T{20000} - 1);
      const long double exact = std::exp2(static_cast<long double>(x));
      worst = std::max(worst, static_cast<double>(std::abs(static_cast<long double>(at(x)) - exact) / exact));
    }
    CHECK(worst < 2 * std::numeric_limits<T>::epsilon());
    CHECK(at(infinity<T>) == at(bound));
    CHECK(at(-infinity<T>) == at(-bound));
    CHECK(at(-bound) <= 2 * std::numeric_limits<T>::min()); // still normal
    CHECK(at(-bound) >= std::numeric_limits<T>::min());
  });
}

TEST_CASE("core/simd: exp2 of a number that is none is none, whatever its payload") {
  for_each_width([]<class T, int N>() {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    const Bits quiet = std::bit_cast<Bits>(std::numeric_limits<T>::quiet_NaN());
    for (const Bits bits : {quiet, Bits(quiet | 0x7a2), Bits(~Bits{0})})
      CHECK(std::isnan(lanes(sbi::exp2_inside(Vec<T, N>(std::bit_cast<T>(bits))))[0]));
  });
}

TEST_CASE("core/simd: the native width fills a register") {
  CHECK(sbi::native_lanes<float> == 2 * sbi::native_lanes<double>);
  CHECK(sizeof(Vec<float>) == sbi::native_vector_bytes);
}
