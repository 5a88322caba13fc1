// SPDX-License-Identifier: MIT
#include <sbi/core/dual.hpp>
#include <sbi/core/simd.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {
using sbi::Dual;

/// f of the tests: every operation once. f = exp(x) / (1 + x^2) - sqrt(x) log(x)
template <class V> V f(V x) {
  using std::exp, std::log, std::sqrt;
  return exp(x) / (V(1) + x * x) + -(sqrt(x) * log(x));
}
double slope(double x) {
  const double q = 1 + x * x;
  return std::exp(x) * (q - 2 * x) / (q * q) - (std::log(x) / 2 + 1) / std::sqrt(x);
}
} // namespace

TEST_CASE("core/dual: value and derivative of a compound function") {
  for (double x : {0.1, 0.7, 1.0, 2.5, 20.0}) {
    const auto y = f(Dual<double>(x, 1));
    CHECK(y.value == doctest::Approx(f(x)).epsilon(1e-13));
    CHECK(y.slope == doctest::Approx(slope(x)).epsilon(1e-13));
  }
}

TEST_CASE("core/dual: the slope is a directional derivative") {
  const Dual<double> x(3, 2), y(5, -1);
  CHECK((x * y).slope == 2 * 5 - 3);
  CHECK((x - y).slope == 3);
  CHECK((x / y).slope == doctest::Approx((2 * 5 + 3) / 25.0));
  CHECK((x + Dual<double>(4)).slope == 2);
}

TEST_CASE("core/dual: numbers are constants, the logistic function has no 0 times infinity") {
  const Dual<double> x(3, 2);
  CHECK((5 * x).value == 15);
  CHECK((5 * x).slope == 10);
  CHECK((1 + x).value == 4);
  CHECK((1 + x).slope == 2);
  for (const double at : {-800.0, -3.0, 0.0, 2.0, 800.0}) {
    const auto y = logistic(Dual<double>(at, 2));
    const double s = 1 / (1 + std::exp(-at));
    CHECK(y.value == doctest::Approx(s).epsilon(1e-15));
    CHECK(y.slope == doctest::Approx(2 * s * (1 - s)).epsilon(1e-15));
  }
}

TEST_CASE("core/dual: duals nest to second derivatives") {
  using Second = Dual<Dual<double>>;
  const double x = 1.3;
  const auto cube = [](auto v) { return v * v * v; };
  const Second y = cube(Second({x, 1}, {1, 0}));
  CHECK(y.value.slope == doctest::Approx(3 * x * x));
  CHECK(y.slope.slope == doctest::Approx(6 * x));
}

TEST_CASE("core/dual: of vectors, lane by lane") {
  const auto run = []<class T, int N>(sbi::Vec<T, N>) {
    using V = sbi::Vec<T, N>;
    const auto g = [](auto v) {
      using D = decltype(v);
      return exp(v * v) / (D(2) + v);
    };
    for (int i = 0; i < 5; ++i) {
      const T x = static_cast<T>(i) / T{4};
      const auto vector = g(Dual<V>(V(x), V(1)));
      const auto scalar = g(Dual<double>(static_cast<double>(x), 1));
      T value[N], derivative[N];
      vector.value.store(value), vector.slope.store(derivative);
      for (int k = 0; k < N; ++k) { // a few units in the last place of float
        CHECK(static_cast<double>(value[k]) == doctest::Approx(scalar.value).epsilon(1e-6));
        CHECK(static_cast<double>(derivative[k]) == doctest::Approx(scalar.slope).epsilon(1e-6));
      }
    }
  };
  run(sbi::Vec<float, 2>{});
  run(sbi::Vec<float, 16>{});
  run(sbi::Vec<double, 4>{});
  run(sbi::Vec<double, 8>{});
}
