// SPDX-License-Identifier: MIT
// Row kernels: one source for every backend. A kernel is a function of a row policy that offers `each`,
// `sum`, `sums` and `max` over the row's elements; the element index it hands to the body selects whole
// vectors, the partial vector at the end of the row, or single values.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/simd.hpp>

#include <limits>
#include <utility>

namespace sbi {

/// A whole vector at element i of the row.
template <int N> struct Packet { index_t i; };
/// The last `count` < N elements of the row, at element i.
template <int N> struct Tail { index_t i, count; };
/// One element.
struct Lane {
  index_t i;
};
/// The same place in scratch whose rows are padded to whole vectors (`padded()` of the row policy). Partial
/// stores keep a processor waiting that reads them back soon.
template <int N> Packet<N> whole(Packet<N> at) { return at; }
template <int N> Packet<N> whole(Tail<N> at) { return {at.i}; }
inline Lane whole(Lane at) { return at; }

template <class T, int N> Vec<std::remove_const_t<T>, N> load(T* p, Packet<N> at) {
  return Vec<std::remove_const_t<T>, N>::load(p + at.i);
}
template <class T, int N> Vec<std::remove_const_t<T>, N> load(T* p, Tail<N> at) {
  return Vec<std::remove_const_t<T>, N>::load(p + at.i, at.count);
}
template <class T> double load(T* p, Lane at) { return static_cast<double>(p[at.i]); }
template <class T, int N> void store(T* p, Packet<N> at, Vec<T, N> v) { v.store(p + at.i); }
template <class T, int N> void store(T* p, Tail<N> at, Vec<T, N> v) { v.store(p + at.i, at.count); }
template <class T> void store(T* p, Lane at, double v) { p[at.i] = static_cast<T>(v); }
/// p[at] += v
template <class T, class At, class V> void add(T* p, At at, V v) { store(p, at, load(p, at) + v); }

/// A row of n elements, N lanes at a time. The partial vector goes through the same operations as the whole
/// ones, so an element's value does not depend on its place in the row; its last bit may, where a compiler
/// fuses a product with a sum on its own in one and not in the other. (`fused_multiply_add` leaves no
/// choice.)
template <class T, int N = native_lanes<T>> struct VectorRow {
  using scalar = T;
  using V = Vec<T, N>;
  index_t n;

  [[nodiscard]] index_t padded() const { return (n + N - 1) / N * N; }
  template <class F> void each(F&& f) const {
    index_t i = 0;
    for (; i + N <= n; i += N) f(Packet<N>{i});
    if (i < n) f(Tail<N>{i, n - i});
  }
  template <class F> T sum(F&& f) const {
    V total(0);
    index_t i = 0;
    for (; i + N <= n; i += N) total += f(Packet<N>{i});
    if (i < n) total += first_lanes(V(f(Tail<N>{i, n - i})), n - i);
    return horizontal_sum(total);
  }
  /// Two sums in one sweep; f gives both terms as a std::pair.
  template <class F> std::pair<T, T> sums(F&& f) const {
    V first(0), second(0);
    index_t i = 0;
    for (; i + N <= n; i += N) {
      const auto [a, b] = f(Packet<N>{i});
      first += a, second += b;
    }
    if (i < n) {
      const auto [a, b] = f(Tail<N>{i, n - i});
      first += first_lanes(V(a), n - i), second += first_lanes(V(b), n - i);
    }
    return {horizontal_sum(first), horizontal_sum(second)};
  }
  template <class F> T max(F&& f) const {
    constexpr T lowest = -std::numeric_limits<T>::infinity();
    V best(lowest);
    index_t i = 0;
    for (; i + N <= n; i += N) best = sbi::max(V(f(Packet<N>{i})), best);
    if (i < n) best = sbi::max(first_lanes(V(f(Tail<N>{i, n - i})), n - i, lowest), best);
    return horizontal_max(best);
  }
};

/// A row of n elements, one at a time, in double.
struct ScalarRow {
  using scalar = double;
  index_t n;

  [[nodiscard]] index_t padded() const { return n; }
  template <class F> void each(F&& f) const {
    for (index_t i = 0; i < n; ++i) f(Lane{i});
  }
  template <class F> double sum(F&& f) const {
    double total = 0;
    for (index_t i = 0; i < n; ++i) total += f(Lane{i});
    return total;
  }
  template <class F> std::pair<double, double> sums(F&& f) const {
    std::pair<double, double> total{0, 0};
    for (index_t i = 0; i < n; ++i) {
      const auto [a, b] = f(Lane{i});
      total.first += a, total.second += b;
    }
    return total;
  }
  template <class F> double max(F&& f) const {
    double best = -std::numeric_limits<double>::infinity();
    for (index_t i = 0; i < n; ++i) {
      const double v = f(Lane{i});
      best = v > best ? v : best;
    }
    return best;
  }
};

/// Rows that take a pass together where one pass waits for sums of the one before: the steps within a row
/// wait for each other, those of different rows do not.
inline constexpr index_t rows_a_pass = 16;

/// The row policy of a backend.
template <class T> VectorRow<T> row_of(const Cpu<T>&, index_t n) { return {n}; }
template <class T> ScalarRow row_of(const Reference<T>&, index_t n) { return {n}; }

} // namespace sbi
