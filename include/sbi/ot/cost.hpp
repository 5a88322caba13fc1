// SPDX-License-Identifier: MIT
// Ground costs between points, and their matrices.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/backend/denormals.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/tensor.hpp>

#include <cmath>
#include <concepts>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::ot {

/// A symmetric ground cost c(x, y) = c(y, x) between points of d coordinates, with its gradient in the first:
/// `add_gradient(w, x, y, out)` does out += w dc(x, y)/dx.
template <class C, class T>
concept Cost = requires(const C& cost, T weight, std::span<const T> x, std::span<T> out) {
  { cost(x, x) } -> std::convertible_to<T>;
  cost.add_gradient(weight, x, x, out);
};

/// A cost that is a function of the squared distance alone, with its derivative in the squared distance as a
/// function of the cost; matrices and gradients of plans are then built with SIMD.
template <class C, class T>
concept RadialCost = Cost<C, T> && requires(const C& cost, T value) {
  { cost.of_squared_distance(value) } -> std::convertible_to<T>;
  { cost.slope(value) } -> std::convertible_to<T>;
};

/// sum_k (x_k - y_k)^2 by differences: |x|^2 + |y|^2 - 2 x.y loses the digits that x and y have in common.
template <class T> [[nodiscard]] T squared_distance(std::span<const T> x, std::span<const T> y) {
  T sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) sum += (x[k] - y[k]) * (x[k] - y[k]);
  return sum;
}

/// A cost between given points in dot-product form, C_ij = alpha_i + beta_j - <q_i, k_j>.
template <class T> struct DotForm {
  Tensor<T> q, k;                  ///< [n, d], [m, d]
  std::vector<double> alpha, beta; ///< [n], [m]
  /// What no cost is below, as far as that is known.
  double least = -std::numeric_limits<double>::infinity();

  [[nodiscard]] DotForm transposed() const { return {k, q, beta, alpha, least}; }
  [[nodiscard]] Shape shape() const { return {q.rows(), k.rows()}; }
};

/// A cost that has this form: `dot_form(x, y)`. Transport then needs no matrix.
template <class C, class T>
concept DotFormCost = Cost<C, T> && requires(const C& cost, View<const T> x) {
  { cost.dot_form(x, x) } -> std::same_as<DotForm<T>>;
};

/// c = |x - y|^2. Convention: without the factor 1/2.
struct SquaredEuclidean {
  /// About the mean of both clouds: the error of |x|^2 + |y|^2 - 2 <x, y> grows with |x|^2. Clouds of one
  /// and the same point have costs of exactly 0.
  template <class T> [[nodiscard]] DotForm<T> dot_form(View<const T> x, View<const T> y) const {
    const auto d = static_cast<std::size_t>(x.cols());
    const std::span<const T> origin(x.row(0), d);
    std::vector<double> mean(d, 0);
    for (const View<const T> points : {x, y})
      for (index_t i = 0; i < points.rows(); ++i) {
        const T* p = points.row(i);
        for (std::size_t c = 0; c < d; ++c)
          mean[c] += static_cast<double>(p[c]) - static_cast<double>(origin[c]);
      }
    for (std::size_t c = 0; c < d; ++c)
      mean[c] = static_cast<double>(origin[c]) + mean[c] / static_cast<double>(x.rows() + y.rows());
    DotForm<T> out{Tensor<T>(x.shape), Tensor<T>(y.shape), {}, {}, 0};
    const auto write = [&](View<const T> points, T factor, Tensor<T>& to, std::vector<double>& squares) {
      squares.reserve(static_cast<std::size_t>(points.rows()));
      for (index_t i = 0; i < points.rows(); ++i) {
        const T* p = points.row(i);
        T* q = to.row(i);
        double part[8] = {}; // sums that do not wait for each other
        for (std::size_t c = 0; c < d; ++c) q[c] = static_cast<T>(static_cast<double>(p[c]) - mean[c]);
        std::size_t c = 0;
        for (; c + 8 <= d; c += 8)
          for (std::size_t l = 0; l < 8; ++l)
            part[l] += static_cast<double>(q[c + l]) * static_cast<double>(q[c + l]);
        for (; c < d; ++c) part[0] += static_cast<double>(q[c]) * static_cast<double>(q[c]);
        for (c = 0; c < d; ++c) q[c] *= factor;
        squares.push_back(std::accumulate(part, part + 8, 0.0));
      }
    };
    write(x, T{2}, out.q, out.alpha);
    write(y, T{1}, out.k, out.beta);
    return out;
  }
  template <class T> T of_squared_distance(T squared) const { return squared; }
  template <class T> T slope(T) const { return 1; }
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    return squared_distance(x, y);
  }
  template <class T>
  void add_gradient(T weight, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    for (std::size_t k = 0; k < x.size(); ++k) out[k] += 2 * weight * (x[k] - y[k]);
  }
};

/// c = |x - y|. Its gradient at coincident points, where it has none, is 0 (the subgradient of least norm).
struct Euclidean {
  template <class T> T of_squared_distance(T squared) const { return std::sqrt(squared); }
  template <class T> T slope(T distance) const { return distance > 0 ? T(0.5) / distance : T(0); }
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    return std::sqrt(squared_distance(x, y));
  }
  template <class T>
  void add_gradient(T weight, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    const T distance = (*this)(x, y);
    if (distance == 0) return;
    for (std::size_t k = 0; k < x.size(); ++k) out[k] += weight / distance * (x[k] - y[k]);
  }
};

/// c = 1 - <x, y> / (|x| |y|), of the directions of points; 1, with gradient 0, where one of them is the
/// origin, which has no direction.
struct Cosine {
  template <class T> [[nodiscard]] DotForm<T> dot_form(View<const T> x, View<const T> y) const {
    const auto directions = [](View<const T> points) {
      Tensor<T> out(points.shape);
      const auto d = static_cast<std::size_t>(points.cols());
      for (index_t i = 0; i < points.rows(); ++i) {
        const double length = norm(std::span<const T>(points.row(i), d));
        for (index_t c = 0; c < points.cols(); ++c)
          out(i, c) = length > 0 ? static_cast<T>(static_cast<double>(points(i, c)) / length) : T{0};
      }
      return out;
    };
    return {directions(x), directions(y), std::vector<double>(static_cast<std::size_t>(x.rows()), 1),
            std::vector<double>(static_cast<std::size_t>(y.rows()), 0), 0};
  }
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    const double length = norm(x) * norm(y);
    return length > 0 ? static_cast<T>(1 - dot(x, y) / length) : T{1};
  }
  template <class T>
  void add_gradient(T weight, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    const double a = norm(x), b = norm(y);
    if (!(a > 0 && b > 0)) return;
    const double cosine = dot(x, y) / (a * b), factor = static_cast<double>(weight) / a;
    for (std::size_t k = 0; k < x.size(); ++k)
      out[k] +=
          static_cast<T>(factor * (cosine * static_cast<double>(x[k]) / a - static_cast<double>(y[k]) / b));
  }

private:
  template <class T> static double dot(std::span<const T> x, std::span<const T> y) {
    double sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) sum += static_cast<double>(x[k]) * static_cast<double>(y[k]);
    return sum;
  }
  template <class T> static double norm(std::span<const T> x) { return std::sqrt(dot(x, x)); }
};

namespace detail {
inline constexpr index_t row_block = 32; // rows a task

template <class B, class F> void for_each_row(const B& be, index_t rows, F&& f) {
  be.for_each((rows + row_block - 1) / row_block, [&](index_t block) {
    const FlushDenormals flush; // on every thread alike, whatever the caller's setting
    for (index_t i = block * row_block; i < std::min(rows, (block + 1) * row_block); ++i) f(i);
  });
}

template <class T> [[nodiscard]] Tensor<T> transposed(View<const T> x, index_t padded_rows) {
  Tensor<T> out(Shape{x.cols(), padded_rows});
  constexpr index_t tile = 32;
  for (index_t i0 = 0; i0 < x.rows(); i0 += tile)
    for (index_t j0 = 0; j0 < x.cols(); j0 += tile)
      for (index_t j = j0; j < std::min(j0 + tile, x.cols()); ++j)
        for (index_t i = i0; i < std::min(i0 + tile, x.rows()); ++i) out(j, i) = x(i, j);
  return out;
}

/// Points by columns, in panels of `column_step` points that a kernel reads from start to end: [panels, d *
/// column_step], coordinate after coordinate. The last panel is filled up with zeros.
template <class T> inline constexpr index_t column_step = 2 * Vec<T>::lanes;
template <class T> [[nodiscard]] Tensor<T> column_panels(View<const T> points) {
  constexpr index_t step = column_step<T>;
  const index_t m = points.rows(), d = points.cols();
  Tensor<T> out(Shape{(m + step - 1) / step, d * step});
  for (index_t j = 0; j < m; ++j)
    for (index_t k = 0; k < d; ++k) out(j / step, k * step + j % step) = points(j, k);
  return out;
}

/// |x_i - y_j|^2 of points x [rows, d] against all y, given in panels, by differences: [rows, m].
template <class T>
void squared_distances(View<const T> x, const Tensor<T>& panels, std::type_identity_t<View<T>> out) {
  using V = Vec<T>;
  constexpr index_t lanes = V::lanes, step = column_step<T>, together = 4; // rows of one panel, in registers
  const index_t rows = out.rows(), m = out.cols(), d = x.cols();
  for (index_t i = 0; i < rows; i += together) {
    const T* at[together];
    for (index_t r = 0; r < together; ++r) at[r] = x.row(std::min(i + r, rows - 1));
    for (index_t p = 0; p < panels.rows(); ++p) {
      V sum[together][2];
#pragma GCC unroll 4
      for (index_t r = 0; r < together; ++r) sum[r][0] = sum[r][1] = V(0);
      for (index_t k = 0; k < d; ++k) {
        const T* y = panels.row(p) + k * step;
        const V y0 = V::load(y), y1 = V::load(y + lanes);
#pragma GCC unroll 4
        for (index_t r = 0; r < together; ++r) {
          const V xk(at[r][k]), d0 = xk - y0, d1 = xk - y1;
          sum[r][0] = fused_multiply_add(d0, d0, sum[r][0]);
          sum[r][1] = fused_multiply_add(d1, d1, sum[r][1]);
        }
      }
      for (index_t r = 0; r < std::min(together, rows - i); ++r)
        for (index_t v = 0; v < 2; ++v) {
          const index_t j = p * step + v * lanes;
          if (j + lanes <= m)
            sum[r][v].store(out.row(i + r) + j);
          else if (j < m)
            sum[r][v].store(out.row(i + r) + j, m - j);
        }
    }
  }
}

template <class T> void check_points(const char* who, const char* name, View<const T> points) {
  if (points.shape.rank() != 2)
    throw ShapeError(
        sbi::text("ot: ", who, ": ", name, " is ", points.shape, "; want [points, coordinates]"));
  for (index_t i = 0; i < points.rows(); ++i) {
    const T* row = points.row(i);
    bool all = true; // without a branch an element
    for (index_t k = 0; k < points.cols(); ++k) all &= is_finite(row[k]);
    if (all) continue;
    index_t k = 0;
    while (is_finite(points(i, k))) ++k;
    throw ValueError(
        sbi::text("ot: ", who, ": ", name, "[", i, ",", k, "] = ", points(i, k), "; want finite"));
  }
}
template <class T> void check_clouds(const char* who, View<const T> x, View<const T> y) {
  check_points(who, "x", x);
  check_points(who, "y", y);
  if (x.cols() != y.cols())
    throw ShapeError(
        sbi::text("ot: ", who, ": x is ", x.shape, ", y is ", y.shape, "; want equal last axes"));
}
} // namespace detail

/// The matrix c(x_i, y_j), [n, m], of points x [n, d] and y [m, d]. Throws ShapeError for different d and
/// ValueError for a coordinate that is not finite.
template <class B, class C, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> cost_matrix(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                                    std::type_identity_t<View<const T>> y) {
  static_assert(Cost<C, T>,
                "sbi: a transport cost needs c(x, y) and add_gradient(weight, x, y, out) on spans");
  detail::check_clouds("cost matrix", x, y);
  const index_t n = x.rows(), m = y.rows();
  const auto d = static_cast<std::size_t>(x.cols());
  Tensor<T> out(Shape{n, m});
  if constexpr (RadialCost<C, T> && !is_reference_v<B>) {
    const Tensor<T> panels = detail::column_panels(y);
    be.for_each((n + detail::row_block - 1) / detail::row_block, [&](index_t block) {
      const FlushDenormals flush; // on every thread alike, whatever the caller's setting
      const index_t first = block * detail::row_block, rows = std::min(detail::row_block, n - first);
      const View<T> to = out.view().row_block(first, rows);
      detail::squared_distances(x.row_block(first, rows), panels, to);
      for (index_t k = 0; k < rows * m; ++k) to.data[k] = cost.of_squared_distance(to.data[k]);
    });
  } else {
    detail::for_each_row(be, n, [&](index_t i) {
      for (index_t j = 0; j < m; ++j)
        out(i, j) = cost(std::span<const T>(x.row(i), d), std::span<const T>(y.row(j), d));
    });
  }
  return out;
}

} // namespace sbi::ot
