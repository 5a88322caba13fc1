// SPDX-License-Identifier: MIT
// Factorisations of the small symmetric matrices that transport meets: covariances of clouds, Hessians of a
// few multipliers. Textbook loops: headers of a linear algebra library, included for these two, would cost
// every user a second of the compiler.
#pragma once
#include <sbi/ot/dense.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// Of a symmetric matrix: eigenvalues in rising order, eigenvectors as columns.
template <class T> struct Eigensystem {
  std::vector<T> values;
  Tensor<T> vectors;
};

/// A = Q^T T Q of a symmetric A for a tridiagonal T.
template <class T> struct Tridiagonal {
  std::vector<T> diagonal, beside;
  Tensor<T> q;
};

/// Householder's reduction (Golub, Van Loan 2013, Matrix Computations, section 8.3.1).
template <class T> [[nodiscard]] Tridiagonal<T> tridiagonal(Tensor<T> a) {
  const index_t n = a.rows();
  Tridiagonal<T> out{std::vector<T>(static_cast<std::size_t>(n)), std::vector<T>(static_cast<std::size_t>(n)),
                     Tensor<T>(a.shape())};
  for (index_t k = 0; k < n; ++k) out.q(k, k) = 1;
  std::vector<T> v(static_cast<std::size_t>(n)), w(v.size());
  for (index_t k = 0; k + 2 < n; ++k) {
    const auto first = static_cast<std::size_t>(k) + 1;
    T tail{0}, curve{0};
    for (std::size_t i = first; i < v.size(); ++i) v[i] = a(k, static_cast<index_t>(i));
    for (std::size_t i = first + 1; i < v.size(); ++i) tail += v[i] * v[i];
    if (!(tail > 0)) continue;
    const T norm = std::sqrt(v[first] * v[first] + tail);
    v[first] += v[first] < 0 ? -norm : norm;
    const T unit = std::sqrt(v[first] * v[first] + tail);
    for (std::size_t i = first; i < v.size(); ++i) v[i] /= unit;
    // (1 - 2 v v^T) A (1 - 2 v v^T) = A - v w^T - w v^T, w = 2 A v - 2 (v^T A v) v; v is 0 before `first`.
    for (index_t i = k; i < n; ++i) {
      T& to = w[static_cast<std::size_t>(i)] = 0;
      for (std::size_t j = first; j < v.size(); ++j) to += 2 * a(i, static_cast<index_t>(j)) * v[j];
    }
    v[first - 1] = 0;
    for (std::size_t i = first; i < v.size(); ++i) curve += w[i] * v[i];
    for (std::size_t i = first; i < v.size(); ++i) w[i] -= curve * v[i];
    for (index_t i = k; i < n; ++i)
      for (index_t j = k; j < n; ++j)
        a(i, j) -= v[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>(j)] +
                   w[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)];
    std::fill(w.begin(), w.end(), T{0}); // 2 v^T Q
    for (std::size_t i = first; i < v.size(); ++i)
      for (index_t j = 0; j < n; ++j)
        w[static_cast<std::size_t>(j)] += 2 * v[i] * out.q(static_cast<index_t>(i), j);
    for (std::size_t i = first; i < v.size(); ++i)
      for (index_t j = 0; j < n; ++j)
        out.q(static_cast<index_t>(i), j) -= v[i] * w[static_cast<std::size_t>(j)];
  }
  for (index_t k = 0; k < n; ++k) {
    out.diagonal[static_cast<std::size_t>(k)] = a(k, k);
    if (k + 1 < n) out.beside[static_cast<std::size_t>(k)] = a(k, k + 1);
  }
  return out;
}

/// Implicit QR steps with Wilkinson's shift (section 8.3.3), until nothing is left beside the diagonal.
template <class T> void diagonalise(Tridiagonal<T>& t) {
  std::vector<T>&d = t.diagonal, &e = t.beside;
  const std::size_t n = d.size();
  const auto negligible = [&](std::size_t k) { // also where a number is none: the result shows it
    return !(std::abs(e[k]) > std::numeric_limits<T>::epsilon() * (std::abs(d[k]) + std::abs(d[k + 1])));
  };
  for (std::size_t end = n; end-- > 1;)
    for (int steps = 0; steps < 64 && !negligible(end - 1); ++steps) { // two or three do
      std::size_t first = end - 1;
      while (first > 0 && !negligible(first - 1)) --first;
      const T half = (d[end - 1] - d[end]) / 2, b = e[end - 1];
      const T shift = d[end] - b * b / (half + std::copysign(std::hypot(half, b), half));
      T x = d[first] - shift, z = e[first];
      for (std::size_t k = first; k < end; ++k) { // rotations of rows k and k + 1 chase z down
        const T r = std::hypot(x, z), c = r > 0 ? x / r : T{1}, s = r > 0 ? -z / r : T{0};
        if (k > first) e[k - 1] = r;
        const T upper = d[k], lower = d[k + 1], between = e[k];
        d[k] = c * c * upper - 2 * c * s * between + s * s * lower;
        d[k + 1] = s * s * upper + 2 * c * s * between + c * c * lower;
        e[k] = c * s * (upper - lower) + (c * c - s * s) * between;
        if (k + 1 < end) x = e[k], z = -s * e[k + 1], e[k + 1] *= c;
        T *p = t.q.row(static_cast<index_t>(k)), *q = t.q.row(static_cast<index_t>(k) + 1);
        for (std::size_t j = 0; j < n; ++j) {
          const T u = p[j], v = q[j];
          p[j] = c * u - s * v, q[j] = s * u + c * v;
        }
      }
    }
}

template <class T> [[nodiscard]] Eigensystem<T> eigensystem(Tensor<T> a) {
  const index_t n = a.rows();
  T size{0};
  for (const T v : a) size = std::max(size, std::abs(v));
  if (!(size > 0)) size = 1;
  for (T& v : a) v /= size; // squares neither overflow nor vanish
  Tridiagonal<T> t = tridiagonal(std::move(a));
  diagonalise(t);
  std::vector<std::size_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t i, std::size_t j) { return t.diagonal[i] < t.diagonal[j]; });
  Eigensystem<T> out{std::vector<T>(order.size()), Tensor<T>(t.q.shape())};
  for (index_t k = 0; k < n; ++k) {
    const std::size_t from = order[static_cast<std::size_t>(k)];
    out.values[static_cast<std::size_t>(k)] = size * t.diagonal[from];
    for (index_t i = 0; i < n; ++i) out.vectors(i, k) = t.q(static_cast<index_t>(from), i);
  }
  return out;
}

/// x of A x = b for a symmetric, positive semidefinite matrix, by A = P^T L D L^T P with the largest pivot
/// first (section 4.2.8); along directions in which A is 0, x is 0.
template <class T> [[nodiscard]] std::vector<T> solve_symmetric(Tensor<T> a, std::vector<T> x) {
  const index_t n = a.rows();
  const auto at = [&](index_t i) -> T& { return x[static_cast<std::size_t>(i)]; };
  std::vector<index_t> swapped(static_cast<std::size_t>(n));
  for (index_t k = 0; k < n; ++k) {
    index_t most = k;
    for (index_t i = k + 1; i < n; ++i)
      if (std::abs(a(i, i)) > std::abs(a(most, most))) most = i;
    swapped[static_cast<std::size_t>(k)] = most;
    std::swap(at(k), at(most));
    for (index_t j = 0; j < n; ++j) std::swap(a(k, j), a(most, j));
    for (index_t i = 0; i < n; ++i) std::swap(a(i, k), a(i, most));
    const T pivot = a(k, k);
    if (!(std::abs(pivot) > std::numeric_limits<T>::min())) continue; // nothing is left
    for (index_t i = k + 1; i < n; ++i) {
      const T factor = a(i, k) / pivot;
      at(i) -= factor * at(k);
      for (index_t j = k + 1; j < n; ++j) a(i, j) -= factor * a(k, j);
      a(i, k) = factor;
    }
  }
  for (index_t k = n; k-- > 0;) {
    const T pivot = a(k, k);
    at(k) = std::abs(pivot) > std::numeric_limits<T>::min() ? at(k) / pivot : T{0};
    for (index_t i = k + 1; i < n; ++i) at(k) -= a(i, k) * at(i);
  }
  for (index_t k = n; k-- > 0;) std::swap(at(k), at(swapped[static_cast<std::size_t>(k)]));
  return x;
}

} // namespace sbi::ot::detail
