// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <type_traits>

namespace sbi {

/// A value and its derivative along one direction: forward-mode differentiation of any function written for a
/// generic number type. T may itself be a vector of lanes, for functions that vectors have, too.
template <class T> struct Dual {
  T value, slope;

  Dual(T v, T s) : value(v), slope(s) {}
  /// A constant.
  template <class Number>
  requires std::is_arithmetic_v<Number> Dual(Number c) : value(static_cast<T>(c)), slope(static_cast<T>(0)) {}

  friend Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
  friend Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
  friend Dual operator-(Dual a) { return {-a.value, -a.slope}; }
  friend Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.slope * b.value + a.value * b.slope}; }
  // With a constant as such: as a Dual its slope of zero would be multiplied, too.
  template <class Number>
  requires std::is_arithmetic_v<Number>
  friend Dual operator*(Number c, Dual b) {
    return {static_cast<T>(c) * b.value, static_cast<T>(c) * b.slope};
  }
  template <class Number>
  requires std::is_arithmetic_v<Number>
  friend Dual operator+(Number c, Dual b) { return {static_cast<T>(c) + b.value, b.slope}; }
  friend Dual operator/(Dual a, Dual b) {
    const T inverse = T(1) / b.value, quotient = a.value * inverse;
    return {quotient, (a.slope - quotient * b.slope) * inverse};
  }
};

template <class T> Dual<T> exp(Dual<T> x) {
  using std::exp;
  const T e = exp(x.value);
  return {e, e * x.slope};
}
/// 1 / (1 + e^-x). Its own rule, since the quotient's is 0 times infinity where e^-x overflows.
template <class T> T logistic(T x) {
  using std::exp;
  return T(1) / (T(1) + exp(-x));
}
template <class T> [[gnu::always_inline]] inline Dual<T> logistic(Dual<T> x) {
  const T s = logistic(x.value);
  return {s, s * (T(1) - s) * x.slope};
}
template <class T> Dual<T> log(Dual<T> x) {
  using std::log;
  return {log(x.value), x.slope / x.value};
}
template <class T> Dual<T> sqrt(Dual<T> x) {
  using std::sqrt;
  const T s = sqrt(x.value);
  return {s, x.slope / (T(2) * s)};
}

} // namespace sbi
