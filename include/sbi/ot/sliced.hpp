// SPDX-License-Identifier: MIT
// Transport of projections: clouds are compared along directions of space, where transport is a matter of
// sorting. L directions cost O(L (n + m)(d + log(n + m))), against n m for a plan in space.
//
//   SW_p^p = mean over unit directions u of W_p^p(<x, u>, <y, u>)    (Rabin, Peyre, Delon, Bernot 2012)
//   max over the directions instead of the mean                      (Deshpande et al. 2019)
//   SGW = mean over u of GW(<x, u>, <y, u>)                          (Vayer, Flamary, Courty, Tavenard,
//                                                                     Chapel 2019)
//
// Directions are drawn once, as rows of a matrix, and belong to the caller: with the same ones the values are
// differentiable functions of the points, and those of several clouds can be compared.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/ot/line.hpp>
#include <sbi/ot/plan_gradient.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace sbi::ot {

template <class T> struct SlicedResult {
  double value = 0; ///< mean over the directions, or the largest of them
  /// Standard error of the value as the mean over all directions, from the scatter of those drawn
  /// independently; infinite for a single one, 0 on the line and for the largest, which estimates nothing.
  double standard_error = 0;
  std::vector<double> values; ///< [L] of each direction
  index_t largest = 0;        ///< the direction with the largest value
  Tensor<T> dx, dy;           ///< [n,dx], [m,dy] gradients of the value with respect to the points
};

/// Directions [count, d], independent and uniform on the unit sphere; row l is drawn from rng.split(l), so
/// that fewer directions are the first of more. Throws ShapeError for count or d below 1.
template <class T> [[nodiscard]] Tensor<T> random_directions(const Rng& rng, index_t count, index_t d) {
  if (count < 1 || d < 1)
    throw ShapeError(sbi::text("directions: ", count, " of ", d, " coordinates; want at least 1 of both"));
  Tensor<T> out(Shape{count, d});
  std::vector<double> normal(static_cast<std::size_t>(d));
  for (index_t l = 0; l < count; ++l) {
    Rng own = rng.split(static_cast<std::uint64_t>(l));
    double square = 0;
    for (double& v : normal) v = own.normal(), square += v * v;
    for (index_t k = 0; k < d; ++k)
      out(l, k) = static_cast<T>(normal[static_cast<std::size_t>(k)] / std::sqrt(square));
  }
  return out;
}

namespace detail {

/// E = sum_PP (|x_i - x_k|^2 - |y_j - y_l|^2)^2 P_ij P_kl on the line for the plan P, of mass 1, that keeps
/// the order of sorted points; adds its gradients to dx and dy. With p = x - y and q = x + y the two squares
/// differ by (p - p')(q - q'), and about the means
///   E = 2 <p^2 q^2> + 2 <p^2><q^2> + 4 <p q>^2,
/// where nothing cancels.
[[nodiscard]] inline double line_distortion(const Place* x, index_t n, const Place* y, index_t m,
                                            const double* a, const double* b, double* dx, double* dy) {
  double mean_x = 0, mean_y = 0, total = 0;
  const auto walk = [&](auto&& visit) {
    walk_line(x, n, y, m, a, b, 1, [&](index_t i, index_t j, double w, Used) {
      if (w > 0) visit(i, j, w);
    });
  };
  walk([&](index_t i, index_t j, double w) { mean_x += w * x[i].at, mean_y += w * y[j].at, total += w; });
  mean_x /= total, mean_y /= total;
  double pp = 0, qq = 0, pq = 0, ppqq = 0;
  walk([&](index_t i, index_t j, double w) {
    const double u = x[i].at - mean_x, v = y[j].at - mean_y, p = u - v, q = u + v;
    pp += w * p * p, qq += w * q * q, pq += w * p * q, ppqq += w * p * p * q * q;
  });
  if (dx) {
    // Centring takes out what moves all points alike.
    const auto slope = [&](double p, double q, double square) {
      return 4 * (p * q * q + p * square + 2 * pq * q);
    };
    double drift_p = 0, drift_q = 0;
    const auto gradient = [&](index_t i, index_t j, auto&& use) {
      const double u = x[i].at - mean_x, v = y[j].at - mean_y, p = u - v, q = u + v;
      use(slope(p, q, qq), slope(q, p, pp));
    };
    walk([&](index_t i, index_t j, double w) {
      gradient(i, j, [&](double gp, double gq) { drift_p += w * gp, drift_q += w * gq; });
    });
    walk([&](index_t i, index_t j, double w) {
      gradient(i, j, [&](double gp, double gq) {
        dx[x[i].which] += w * (gp - drift_p + gq - drift_q);
        dy[y[j].which] += w * (gq - drift_q - gp + drift_p);
      });
    });
  }
  return 2 * ppqq + 2 * pp * qq + 4 * pq * pq;
}

/// The better of the plans that keep and that reverse the order.
[[nodiscard]] inline double line_gromov(const Place* x, index_t n, Place* y, index_t m, const double* a,
                                        const double* b, double* dx, double* dy) {
  const auto reflect = [&] {
    std::reverse(y, y + m);
    for (index_t j = 0; j < m; ++j) y[j].at = -y[j].at;
  };
  const double kept = line_distortion(x, n, y, m, a, b, nullptr, nullptr);
  reflect();
  const double reversed = line_distortion(x, n, y, m, a, b, nullptr, nullptr);
  if (!dx) return std::min(kept, reversed);
  if (reversed < kept) {
    const double value = line_distortion(x, n, y, m, a, b, dx, dy);
    for (index_t j = 0; j < m; ++j) dy[j] = -dy[j];
    return value;
  }
  reflect();
  return line_distortion(x, n, y, m, a, b, dx, dy);
}

inline constexpr index_t direction_block = 32; // directions whose projections are held at once

/// value(x, n, y, m, a, b, dx, dy) of the sorted projections on every direction, and the mean of the
/// gradients with respect to the points. What is added up is in an order of its own, whatever the threads.
/// Clouds of fewer coordinates than the directions are padded with zeros.
template <class B, class T, class F>
[[nodiscard]] SlicedResult<T> slice(const B& be, View<const T> x, View<const T> y, const Weights<T>& a,
                                    const Weights<T>& b, View<const T> directions, bool gradients,
                                    F&& value) {
  const index_t n = x.rows(), m = y.rows(), count = directions.rows();
  SlicedResult<T> out;
  out.values.assign(static_cast<std::size_t>(count), 0);
  if (gradients) out.dx = Tensor<T>(x.shape), out.dy = Tensor<T>(y.shape);
  Tensor<T> along_x(Shape{direction_block, n}), along_y(Shape{direction_block, m});
  const auto by_points = [&](index_t points, auto&& work) {
    be.for_each((points + row_block - 1) / row_block, [&](index_t block) {
      const FlushDenormals flush;
      work(block * row_block, std::min(row_block, points - block * row_block));
    });
  };
  for (index_t l0 = 0; l0 < count; l0 += direction_block) {
    const index_t here = std::min(direction_block, count - l0);
    const View<const T> some = directions.row_block(l0, here);
    const auto project = [&](View<const T> points, Tensor<T>& along) {
      by_points(points.rows(), [&](index_t first, index_t rows) {
        gemm(be, some.columns(0, points.cols()), Transpose::no, points.row_block(first, rows), Transpose::yes,
             along.view().row_block(0, here).columns(first, rows), Write::overwrite);
      });
    };
    project(x, along_x), project(y, along_y);
    be.for_each(here, [&](index_t l) {
      Arena& arena = be.arena();
      const ArenaScope scope(arena);
      const auto sorted = [&](T* from, index_t points) {
        Place* to = arena.template array<Place>(points);
        for (index_t i = 0; i < points; ++i) to[i] = {static_cast<double>(from[i]), i};
        sort_places(to, points);
        return to;
      };
      T *own_x = along_x.row(l), *own_y = along_y.row(l);
      Place *px = sorted(own_x, n), *py = sorted(own_y, m);
      double* dx = gradients ? arena.template zeros<double>(n) : nullptr;
      double* dy = gradients ? arena.template zeros<double>(m) : nullptr;
      out.values[static_cast<std::size_t>(l0 + l)] =
          value(px, n, py, m, a.value.data(), b.value.data(), dx, dy);
      if (!gradients) return;
      const double share = 1 / static_cast<double>(count); // slopes take the projections' place
      for (index_t i = 0; i < n; ++i) own_x[i] = static_cast<T>(share * dx[i]);
      for (index_t j = 0; j < m; ++j) own_y[j] = static_cast<T>(share * dy[j]);
    });
    if (!gradients) continue;
    const auto collect = [&](Tensor<T>& slopes, Tensor<T>& to) {
      by_points(to.rows(), [&](index_t first, index_t rows) {
        gemm(be, slopes.view().row_block(0, here).columns(first, rows), Transpose::yes,
             some.columns(0, to.cols()), Transpose::no, to.view().row_block(first, rows), Write::accumulate);
      });
    };
    collect(along_x, out.dx), collect(along_y, out.dy);
  }
  double sum = 0, scatter = 0;
  for (double v : out.values) {
    if (!is_finite(v)) throw NumericalError(sbi::text("sliced: a direction has the value ", v));
    sum += v;
  }
  out.value = sum / static_cast<double>(count);
  for (double v : out.values) scatter += (v - out.value) * (v - out.value);
  if (directions.cols() > 1) // on the line all directions are the same
    out.standard_error =
        count > 1 ? std::sqrt(scatter / static_cast<double>(count - 1) / static_cast<double>(count))
                  : std::numeric_limits<double>::infinity();
  out.largest = std::max_element(out.values.begin(), out.values.end()) - out.values.begin();
  return out;
}

template <class T>
void check_slices(const char* who, View<const T> x, View<const T> y, View<const T> directions, index_t d) {
  check_points(who, "x", x);
  check_points(who, "y", y);
  check_points(who, "directions", directions);
  if (directions.rows() < 1 || directions.cols() != d)
    throw ShapeError(sbi::text(who, ": directions are ", directions.shape, "; want [1 or more, ", d, "]"));
  for (index_t l = 0; l < directions.rows(); ++l) {
    double square = 0;
    for (index_t k = 0; k < d; ++k)
      square += static_cast<double>(directions(l, k)) * static_cast<double>(directions(l, k));
    if (!(std::abs(square - 1) < 1e-4)) // unit vectors rounded to float, and of many coordinates
      throw ValueError(sbi::text(who, ": direction ", l, " has length ", std::sqrt(square), "; want 1"));
  }
}

/// Runs slice for |u|^p with both clouds about the mean of y: far from the origin projections would lose the
/// digits that the clouds have in common.
template <class B, class T>
[[nodiscard]] SlicedResult<T>
slice_wasserstein(const char* who, const B& be, View<const T> x, View<const T> y, std::span<const T> a,
                  std::span<const T> b, View<const T> directions, double p, bool largest, bool gradients) {
  check_slices(who, x, y, directions, x.cols());
  if (x.cols() != y.cols())
    throw ShapeError(sbi::text(who, ": x is ", x.shape, ", y is ", y.shape, "; want equal last axes"));
  const Weights<T> wa("a", a, x.rows());
  Weights<T> wb("b", b, y.rows());
  balance(who, wa, wb);
  const auto [moved_y, mean] = centred<T>(y);
  Tensor<T> moved_x(x.shape);
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t k = 0; k < x.cols(); ++k) moved_x(i, k) = x(i, k) - mean[static_cast<std::size_t>(k)];
  const View<const T> ux = moved_x.view(), uy = moved_y.view();
  return with_line_cost(who, p, [&](const auto& cost) {
    const auto value = [&](const Place* px, index_t n, const Place* py, index_t m, const double* va,
                           const double* vb, double* dx,
                           double* dy) { return line_value(cost, px, n, py, m, va, vb, wa.mass, dx, dy); };
    SlicedResult<T> out = slice(be, ux, uy, wa, wb, directions, gradients && !largest, value);
    if (!largest) return out;
    if (gradients) {
      SlicedResult<T> best = slice(be, ux, uy, wa, wb, directions.row_block(out.largest, 1), true, value);
      out.dx = std::move(best.dx), out.dy = std::move(best.dy);
    }
    out.value = out.values[static_cast<std::size_t>(out.largest)], out.standard_error = 0;
    return out;
  });
}
} // namespace detail

/// Mean over the directions [L, d], unit vectors, of the p-th power of the Wasserstein distance between the
/// projections of x [n, d] with weights a and y [m, d] with weights b (empty: uniform), with gradients. For
/// clouds y = x + v and p = 2 its expectation is |v|^2 / d. Throws ShapeError for sizes that do not fit;
/// ValueError for directions that are no unit vectors, p < 1, and points, weights and masses that
/// `line_transport` refuses too; NumericalError when a power overflows.
template <class B, class T = typename B::compute_t>
[[nodiscard]] SlicedResult<T>
sliced_wasserstein(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                   std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                   std::type_identity_t<View<const T>> directions, double p = 2, bool gradients = true) {
  return detail::slice_wasserstein<B, T>("sliced wasserstein", be, x, y, a, b, directions, p, false,
                                         gradients);
}

/// The largest over the directions instead of their mean, with the gradients of that one direction: a lower
/// bound of the maximum over all directions, and of W_p^p in space. Throws as `sliced_wasserstein` does.
template <class B, class T = typename B::compute_t>
[[nodiscard]] SlicedResult<T>
max_sliced_wasserstein(const B& be, std::type_identity_t<View<const T>> x,
                       std::type_identity_t<View<const T>> y, std::type_identity_t<std::span<const T>> a,
                       std::type_identity_t<std::span<const T>> b,
                       std::type_identity_t<View<const T>> directions, double p = 2, bool gradients = true) {
  return detail::slice_wasserstein<B, T>("max-sliced wasserstein", be, x, y, a, b, directions, p, true,
                                         gradients);
}

/// Sliced Gromov-Wasserstein: mean over the directions of the smaller distortion
///   sum_ijkl (|x_i - x_k|^2 - |y_j - y_l|^2)^2 P_ij P_kl
/// of the two plans on the line that keep and that reverse the order. The clouds x [n, dx] and y [m, dy] may
/// have different dimensions: the smaller one is padded with zeros, directions are [L, max(dx, dy)]. Weights
/// are scaled to sum 1. For n = m and uniform weights Vayer et al. (2019) claimed that one of these plans is
/// optimal; it mostly is, but there are counterexamples (Beinert, Heiss, Steidl 2022), and for other weights
/// nothing is claimed: each direction's value is an upper bound of its Gromov-Wasserstein distortion. It does
/// not change when a cloud is moved or reflected through a point, but does when one is rotated. Throws as
/// `sliced_wasserstein` does.
template <class B, class T = typename B::compute_t>
[[nodiscard]] SlicedResult<T>
sliced_gromov(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
              std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
              std::type_identity_t<View<const T>> directions, bool gradients = true) {
  detail::check_slices("sliced gromov", x, y, directions, std::max(x.cols(), y.cols()));
  Weights<T> wa("a", a, x.rows()), wb("b", b, y.rows());
  wa.scale(1 / wa.mass), wb.scale(1 / wb.mass);
  const auto cx = detail::centred<T>(x).first, cy = detail::centred<T>(y).first; // for the digits
  return detail::slice(be, cx.view(), cy.view(), wa, wb, directions, gradients, detail::line_gromov);
}

} // namespace sbi::ot
