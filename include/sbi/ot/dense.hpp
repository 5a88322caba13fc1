// SPDX-License-Identifier: MIT
// What transport needs of linear algebra in double beside its rows: moments and coordinates of points. Plain
// loops over the library's arrays, which cost a compiler little.
#pragma once
#include <sbi/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace sbi::ot::detail {

using Matrix = Tensor<double>;
using Column = std::vector<double>;

/// f(k) for k = 0 .. n - 1.
template <class Index, class F> [[nodiscard]] Column column(Index n, F&& f) {
  Column out(static_cast<std::size_t>(n));
  for (Index k = 0; k < n; ++k) out[static_cast<std::size_t>(k)] = f(k);
  return out;
}
[[nodiscard]] inline Column column_of(const Matrix& a, index_t c) {
  return column(a.rows(), [&](index_t i) { return a(i, c); });
}
[[nodiscard]] inline double total(const Column& v) { return std::accumulate(v.begin(), v.end(), 0.0); }
[[nodiscard]] inline double dot(const Column& u, const Column& v) {
  return std::inner_product(u.begin(), u.end(), v.begin(), 0.0);
}
[[nodiscard]] inline double largest_size(const Column& v) {
  double out = 0;
  for (double e : v) out = std::max(out, std::abs(e));
  return out;
}
inline void scale(Column& v, double factor) {
  for (double& e : v) e *= factor;
}
inline void scale(Matrix& a, double factor) {
  for (double& e : a) e *= factor;
}
[[nodiscard]] inline double squared_norm(const Matrix& a) {
  return std::inner_product(a.begin(), a.end(), a.begin(), 0.0);
}
[[nodiscard]] inline Matrix transposed(const Matrix& a) {
  Matrix out(Shape{a.cols(), a.rows()});
  for (index_t i = 0; i < a.rows(); ++i)
    for (index_t j = 0; j < a.cols(); ++j) out(j, i) = a(i, j);
  return out;
}

/// Two rows += their combinations of four rows of b.
struct FourRows {
  double f[2][4] = {};
  const double* from[4] = {};
  void add(double* first, double* second, index_t count) const {
    constexpr index_t width = 8; // loops of fixed length become vectors at any level of optimisation
    index_t j = 0;
    for (; j + width <= count; j += width) add_some(first + j, second + j, j, width);
    add_some(first + j, second + j, j, count - j);
  }

private:
  void add_some(double* first, double* second, index_t at, index_t count) const {
    const double *b0 = from[0] + at, *b1 = from[1] + at, *b2 = from[2] + at, *b3 = from[3] + at;
    for (index_t j = 0; j < count; ++j) {
      const double u = b0[j], v = b1[j], w = b2[j], x = b3[j];
      first[j] += (f[0][0] * u + f[0][1] * v) + (f[0][2] * w + f[0][3] * x);
      second[j] += (f[1][0] * u + f[1][1] * v) + (f[1][2] * w + f[1][3] * x);
    }
  }
};
/// out += sum_k factor(row, k) b_k over k = 0 .. depth - 1, for the first columns of b.
template <class F> void add_product(Matrix& out, index_t depth, const Matrix& b, F&& factor) {
  Column spare(static_cast<std::size_t>(out.cols())); // of an odd number of rows
  for (index_t k = 0; k < depth; k += 4) {
    FourRows four;
    const index_t some = std::min<index_t>(4, depth - k);
    for (index_t l = 0; l < 4; ++l) four.from[l] = b.row(k + std::min(l, some - 1));
    for (index_t i = 0; i < out.rows(); i += 2) {
      const bool pair = i + 1 < out.rows();
      for (index_t l = 0; l < some; ++l)
        four.f[0][l] = factor(i, k + l), four.f[1][l] = pair ? factor(i + 1, k + l) : 0;
      four.add(out.row(i), pair ? out.row(i + 1) : spare.data(), out.cols());
    }
  }
}
/// a b for the first columns of a, as many as b has rows.
template <class T> [[nodiscard]] Matrix product(const Tensor<T>& a, const Matrix& b) {
  Matrix out(Shape{a.rows(), b.cols()});
  add_product(out, b.rows(), b, [&](index_t i, index_t k) { return static_cast<double>(a(i, k)); });
  return out;
}
/// a^T b for the first columns of b
template <class T>
[[nodiscard]] Matrix transposed_product(const Tensor<T>& a, const Matrix& b, index_t columns) {
  Matrix out(Shape{a.cols(), columns});
  add_product(out, a.rows(), b, [&](index_t i, index_t k) { return static_cast<double>(a(k, i)); });
  return out;
}
/// a^T w
template <class T> [[nodiscard]] Column weighted_sum(const Tensor<T>& a, const Column& w) {
  Column out(static_cast<std::size_t>(a.cols()), 0);
  for (index_t i = 0; i < a.rows(); ++i)
    for (index_t k = 0; k < a.cols(); ++k)
      out[static_cast<std::size_t>(k)] += w[static_cast<std::size_t>(i)] * static_cast<double>(a(i, k));
  return out;
}

} // namespace sbi::ot::detail
