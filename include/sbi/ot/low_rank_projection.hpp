// SPDX-License-Identifier: MIT
// The projection of low-rank transport (Scetbon, Cuturi, Peyre 2021, ICML): the (Q, R, g) nearest to positive
// kernels (K, L, k) in relative entropy,
//
//   min KL(Q | K) + KL(R | L) + KL(g | k)   over   Q 1 = a, R 1 = b, Q^T 1 = R^T 1 = g >= least.
//
// They solve it by Dykstra's algorithm. Its dual has a simpler form: with multipliers l, u of the two
// conditions on columns,
//   Q_ik = a_i softmax_k(log K_ik + l_k),  R_jk = b_j softmax_k(log L_jk + u_k),
//   g_k = max(least, k_k exp(-l_k - u_k)),
// and l, u maximise a smooth concave function of 2 r numbers whose gradient is (g - Q^T 1, g - R^T 1).
// Newton's method with Levenberg's damping does so in some passes over the rows, also where the plan is
// nearly a hard assignment and alternating projections stall. The first step is alternating: the exact
// maximum over l and u for fixed row factors, where g^3 is the product of k and the two column sums of the
// scaled kernels.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/softmax_row.hpp>
#include <sbi/core/adapt.hpp>
#include <sbi/ot/softmin.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sbi::ot::detail {

/// Rows whose sums are taken in T; sums of chunks are taken in double.
inline constexpr index_t chunk_rows = 256;

/// `width` numbers that f(first, count, sums) adds to for every chunk of rows [first, first + count). The
/// order of the additions depends on the number of rows alone.
template <class B, class F>
[[nodiscard]] Eigen::VectorXd chunk_sums(const B& be, index_t rows, index_t width, F&& f) {
  constexpr index_t most_tasks = 256;
  const index_t chunks = (rows + chunk_rows - 1) / chunk_rows;
  const index_t each = (chunks + most_tasks - 1) / most_tasks, tasks = (chunks + each - 1) / each;
  Eigen::MatrixXd part = Eigen::MatrixXd::Zero(width, tasks);
  be.for_each(tasks, [&](index_t task) {
    const FlushDenormals flush;
    for (index_t c = task * each; c < std::min(chunks, (task + 1) * each); ++c)
      f(c * chunk_rows, std::min(chunk_rows, rows - c * chunk_rows), part.col(task).data());
  });
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(width);
  for (index_t task = 0; task < tasks; ++task) sum += part.col(task);
  return sum;
}

/// Of the matrix with rows a_i p_i, p_i = softmax(kernel_i + shift).
struct ColumnSums {
  Eigen::VectorXd mass;   ///< [r] sum_i a_i p_i
  Eigen::MatrixXd second; ///< [r,r] sum_i a_i p_i p_i^T
  double log_sum = 0;     ///< sum_i a_i log sum_k exp(kernel_ik + shift_k)
};

template <class T> [[nodiscard]] std::vector<T> rounded(const Eigen::VectorXd& x) {
  std::vector<T> out(static_cast<std::size_t>(x.size()));
  for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<T>(x[static_cast<Eigen::Index>(k)]);
  return out;
}

/// Rows p_i = softmax(kernel_i + shift), [rows,r].
template <class B, class T>
void shifted_softmax(const B& be, View<const T> kernel, const std::vector<T>& shift, T* p) {
  const index_t r = kernel.cols();
  softmax_rows(
      be.arena(), row_of(be, r), kernel.rows(),
      [&](index_t i, auto k) { return load(kernel.row(i), k) + load(shift.data(), k); }, p, r);
}
/// log sum_k exp(kernel_k + shift_k) from one entry k of the softmax, which should be the largest.
template <class T>
[[nodiscard]] double log_sum(const T* kernel, const std::vector<T>& shift, index_t k, T p) {
  return static_cast<double>(kernel[k]) + static_cast<double>(shift[static_cast<std::size_t>(k)]) -
         std::log(static_cast<double>(p));
}

template <class B, class T>
[[nodiscard]] ColumnSums column_sums(const B& be, View<const T> kernel, const Weights<T>& a,
                                     const Eigen::VectorXd& shift) {
  const index_t r = kernel.cols();
  const std::vector<T> bias = rounded<T>(shift);
  const Eigen::VectorXd sums =
      chunk_sums(be, kernel.rows(), r * r + 1, [&](index_t first, index_t count, double* out) {
        const ArenaScope scope(be.arena());
        T *p = be.arena().template array<T>(count * r), *weighted = be.arena().template array<T>(count * r),
          *second = be.arena().template array<T>(r * r);
        shifted_softmax(be, kernel.row_block(first, count), bias, p);
        for (index_t i = 0; i < count; ++i) {
          const T *of = p + i * r, *top = std::max_element(of, of + r);
          const double weight = a.value[static_cast<std::size_t>(first + i)];
          out[r * r] += weight * log_sum(kernel.row(first + i), bias, top - of, *top);
          for (index_t k = 0; k < r; ++k) weighted[i * r + k] = static_cast<T>(weight) * of[k];
        }
        const Shape block{count, r};
        gemm(be, View<const T>(p, block), Transpose::yes, View<const T>(weighted, block), Transpose::no,
             View<T>(second, Shape{r, r}), Write::overwrite);
        for (index_t k = 0; k < r * r; ++k) out[k] += static_cast<double>(second[k]);
      });
  ColumnSums out;
  out.second = Eigen::Map<const Eigen::MatrixXd>(sums.data(), r, r);
  out.mass = out.second.rowwise().sum(); // each p_i sums to 1
  out.log_sum = sums[r * r];
  return out;
}

/// What the kernels' rows have to be shifted by: log Q_ik = log K_ik + x_k up to what makes the rows exact.
struct Projection {
  Eigen::VectorXd x, y; ///< [r] the multipliers
  Eigen::VectorXd log_g;
  double residual = 0; ///< |Q^T 1 - g|_1 + |R^T 1 - g|_1 for weights of sum 1
  int iterations = 0;
};

template <class B, class T> class Projector {
public:
  /// a and b must have sum 1 and `least` be at most 1 / r.
  Projector(const B& be, const Weights<T>& a, const Weights<T>& b, double least, double tolerance,
            int max_iterations)
      : be_(be), a_(a), b_(b), log_least_(std::log(least)), tolerance_(tolerance),
        max_iterations_(max_iterations) {}

  /// For log K [n,r], log L [m,r] and log k [r]. Scaling k alone changes nothing.
  [[nodiscard]] Projection operator()(View<const T> kx, View<const T> ky, Eigen::VectorXd log_k) const {
    log_k.array() -= log_k.maxCoeff();
    const double noise = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const Eigen::VectorXd zero = Eigen::VectorXd::Zero(log_k.size());
    Point now = alternate(kx, ky, log_k, at(kx, ky, log_k, zero, zero));
    Point best = now;
    double damping = 1e-2;
    int iterations = 2;
    while (best.residual > tolerance_ && iterations < max_iterations_) {
      const Eigen::VectorXd step = newton(log_k, now, damping);
      Point next = at(kx, ky, log_k, now.l + step.head(step.size() / 2), now.u + step.tail(step.size() / 2));
      ++iterations;
      // A concave function that still rises has risen all the way. Near the top rounding hides the rise.
      const double rise = slope(now).dot(step), end = slope(next).dot(step);
      const double higher = (next.dual - now.dual) / (1 + std::abs(now.dual));
      if (end >= 0 || higher > noise || (higher >= -noise && -end < 0.5 * rise)) {
        now = std::move(next);
        damping = std::max(0.3 * damping, 1e-12);
      } else {
        damping = std::max(4 * damping, 1e-4);
        if (damping > 100) now = alternate(kx, ky, log_k, now), damping = 1e-2, ++iterations;
      }
      if (now.residual < best.residual) best = now;
    }
    return {best.l, best.u, best.log_g, best.residual, iterations};
  }

private:
  struct Point {
    Eigen::VectorXd l, u, log_g;
    ColumnSums x, y;
    double dual = 0, residual = 0;
  };

  Point at(View<const T> kx, View<const T> ky, const Eigen::VectorXd& log_k, const Eigen::VectorXd& l,
           const Eigen::VectorXd& u) const {
    Point out;
    // As the row kernels see them: the dual must be one function of these numbers.
    out.l = l.cast<T>().template cast<double>();
    out.u = u.cast<T>().template cast<double>();
    out.x = column_sums(be_, kx, a_, out.l);
    out.y = column_sums(be_, ky, b_, out.u);
    out.log_g = (log_k - out.l - out.u).cwiseMax(log_least_);
    out.dual = -out.x.log_sum - out.y.log_sum;
    for (Eigen::Index k = 0; k < log_k.size(); ++k) {
      const double g = std::exp(out.log_g[k]);
      out.dual += g * (out.log_g[k] - log_k[k] - 1 + out.l[k] + out.u[k]);
    }
    const Eigen::VectorXd g = out.log_g.array().exp();
    out.residual = (out.x.mass - g).template lpNorm<1>() + (out.y.mass - g).template lpNorm<1>();
    return out;
  }
  /// Slopes of the dual in (l, u).
  static Eigen::VectorXd slope(const Point& at) {
    const Eigen::VectorXd g = at.log_g.array().exp();
    Eigen::VectorXd out(2 * g.size());
    out << g - at.x.mass, g - at.y.mass;
    return out;
  }
  [[nodiscard]] Eigen::VectorXd newton(const Eigen::VectorXd& log_k, const Point& from,
                                       double damping) const {
    const Eigen::Index r = log_k.size();
    const Eigen::VectorXd g = from.log_g.array().exp();
    Eigen::MatrixXd hessian = Eigen::MatrixXd::Zero(2 * r, 2 * r);
    hessian.topLeftCorner(r, r) = -from.x.second;
    hessian.bottomRightCorner(r, r) = -from.y.second;
    for (Eigen::Index k = 0; k < r; ++k) {
      const double free = from.log_g[k] > log_least_ ? g[k] : 0;
      hessian(k, k) += from.x.mass[k] + free;
      hessian(r + k, r + k) += from.y.mass[k] + free;
      hessian(k, r + k) += free, hessian(r + k, k) += free;
    }
    // l + c, u - c are the same point for any c.
    Eigen::VectorXd same(2 * r);
    same << Eigen::VectorXd::Ones(r), -Eigen::VectorXd::Ones(r);
    hessian += same * same.transpose() / static_cast<double>(r * r);
    hessian.diagonal().head(r) += damping * from.x.mass;
    hessian.diagonal().tail(r) += damping * from.y.mass;
    hessian.diagonal().array() += 1e-14;
    const Eigen::VectorXd step = hessian.ldlt().solve(slope(from));
    return step * std::min(1.0, longest / step.template lpNorm<Eigen::Infinity>());
  }
  Point alternate(View<const T> kx, View<const T> ky, const Eigen::VectorXd& log_k, const Point& from) const {
    const auto log = [](const Eigen::VectorXd& mass) -> Eigen::VectorXd {
      return mass.cwiseMax(std::numeric_limits<double>::min()).array().log();
    };
    const Eigen::VectorXd log_x = log(from.x.mass), log_y = log(from.y.mass);
    const Eigen::VectorXd log_g = ((log_k + log_x - from.l + log_y - from.u) / 3).cwiseMax(log_least_);
    return at(kx, ky, log_k, from.l + limited(log_g - log_x), from.u + limited(log_g - log_y));
  }
  static Eigen::VectorXd limited(const Eigen::VectorXd& step) {
    return step.cwiseMax(-longest).cwiseMin(longest);
  }

  static constexpr double longest = 40; // step of a multiplier
  const B& be_;
  const Weights<T>& a_;
  const Weights<T>& b_;
  double log_least_, tolerance_;
  int max_iterations_;
};

} // namespace sbi::ot::detail
