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
#include <sbi/ot/factorisation.hpp>
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// Rows whose sums are taken in T; sums of chunks are taken in double.
inline constexpr index_t chunk_rows = 256;

/// `width` numbers that f(first, count, sums) adds to for every chunk of rows [first, first + count). The
/// order of the additions depends on the number of rows alone.
template <class B, class F> [[nodiscard]] Column chunk_sums(const B& be, index_t rows, index_t width, F&& f) {
  constexpr index_t most_tasks = 256;
  const index_t chunks = (rows + chunk_rows - 1) / chunk_rows;
  const index_t each = (chunks + most_tasks - 1) / most_tasks, tasks = (chunks + each - 1) / each;
  Matrix part(Shape{tasks, width});
  be.for_each(tasks, [&](index_t task) {
    const FlushDenormals flush;
    for (index_t c = task * each; c < std::min(chunks, (task + 1) * each); ++c)
      f(c * chunk_rows, std::min(chunk_rows, rows - c * chunk_rows), part.row(task));
  });
  Column sum(static_cast<std::size_t>(width), 0);
  for (index_t task = 0; task < tasks; ++task)
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += part.row(task)[k];
  return sum;
}

/// Of the matrix with rows a_i p_i, p_i = softmax(kernel_i + shift).
struct ColumnSums {
  Column mass;        ///< [r] sum_i a_i p_i
  Matrix second;      ///< [r,r] sum_i a_i p_i p_i^T
  double log_sum = 0; ///< sum_i a_i log sum_k exp(kernel_ik + shift_k)
};

template <class T> [[nodiscard]] std::vector<T> rounded(const Column& x) {
  std::vector<T> out(x.size());
  for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<T>(x[k]);
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
                                     const Column& shift) {
  const index_t r = kernel.cols();
  const std::vector<T> bias = rounded<T>(shift);
  Column sums = chunk_sums(be, kernel.rows(), r * r + 1, [&](index_t first, index_t count, double* out) {
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
  out.log_sum = sums.back();
  sums.pop_back();
  out.second = Matrix(Shape{r, r}, std::move(sums));
  out.mass.assign(static_cast<std::size_t>(r), 0);
  for (index_t k = 0; k < r; ++k) // each p_i sums to 1
    for (index_t l = 0; l < r; ++l) out.mass[static_cast<std::size_t>(l)] += out.second(k, l);
  return out;
}

/// What the kernels' rows have to be shifted by: log Q_ik = log K_ik + x_k up to what makes the rows exact.
struct Projection {
  Column x, y; ///< [r] the multipliers
  Column log_g;
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
  [[nodiscard]] Projection operator()(View<const T> kx, View<const T> ky, Column log_k) const {
    const double top = *std::max_element(log_k.begin(), log_k.end());
    for (double& k : log_k) k -= top;
    const double noise = 16 * static_cast<double>(std::numeric_limits<T>::epsilon());
    const Column zero(log_k.size(), 0);
    Point now = alternate(kx, ky, log_k, at(kx, ky, log_k, zero, zero));
    Point best = now;
    double damping = 1e-2;
    int iterations = 2;
    while (best.residual > tolerance_ && iterations < max_iterations_) {
      const Column step = newton(log_k, now, damping);
      Column l = now.l, u = now.u;
      for (std::size_t k = 0; k < l.size(); ++k) l[k] += step[k], u[k] += step[l.size() + k];
      Point next = at(kx, ky, log_k, l, u);
      ++iterations;
      // A concave function that still rises has risen all the way. Near the top rounding hides the rise.
      const double rise = dot(slope(now), step), end = dot(slope(next), step);
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
    Column l, u, log_g;
    ColumnSums x, y;
    double dual = 0, residual = 0;
  };

  Point at(View<const T> kx, View<const T> ky, const Column& log_k, Column l, Column u) const {
    Point out;
    // As the row kernels see them: the dual must be one function of these numbers.
    for (Column* v : {&l, &u})
      for (double& e : *v) e = static_cast<double>(static_cast<T>(e));
    out.x = column_sums(be_, kx, a_, l);
    out.y = column_sums(be_, ky, b_, u);
    out.dual = -out.x.log_sum - out.y.log_sum;
    for (std::size_t k = 0; k < log_k.size(); ++k) {
      out.log_g.push_back(std::max(log_k[k] - l[k] - u[k], log_least_));
      const double g = std::exp(out.log_g[k]);
      out.dual += g * (out.log_g[k] - log_k[k] - 1 + l[k] + u[k]);
      out.residual += std::abs(out.x.mass[k] - g) + std::abs(out.y.mass[k] - g);
    }
    out.l = std::move(l), out.u = std::move(u);
    return out;
  }
  /// Slopes of the dual in (l, u).
  static Column slope(const Point& at) {
    Column out;
    for (const Column* mass : {&at.x.mass, &at.y.mass})
      for (std::size_t k = 0; k < mass->size(); ++k) out.push_back(std::exp(at.log_g[k]) - (*mass)[k]);
    return out;
  }
  [[nodiscard]] Column newton(const Column& log_k, const Point& from, double damping) const {
    const auto r = static_cast<index_t>(log_k.size());
    Matrix hessian(Shape{2 * r, 2 * r});
    for (index_t k = 0; k < r; ++k) {
      for (index_t l = 0; l < r; ++l) {
        // l + c, u - c are the same point for any c.
        const double same = 1 / static_cast<double>(r * r);
        hessian(k, l) = same - from.x.second(k, l), hessian(r + k, r + l) = same - from.y.second(k, l);
        hessian(k, r + l) = hessian(r + k, l) = -same;
      }
      const auto of = static_cast<std::size_t>(k);
      const double free = from.log_g[of] > log_least_ ? std::exp(from.log_g[of]) : 0;
      hessian(k, k) += (1 + damping) * from.x.mass[of] + free + 1e-14;
      hessian(r + k, r + k) += (1 + damping) * from.y.mass[of] + free + 1e-14;
      hessian(k, r + k) += free, hessian(r + k, k) += free;
    }
    Column step = solve_symmetric(hessian, slope(from));
    scale(step, std::min(1.0, longest / largest_size(step)));
    return step;
  }
  Point alternate(View<const T> kx, View<const T> ky, const Column& log_k, const Point& from) const {
    Column l = from.l, u = from.u;
    const auto log = [](double mass) { return std::log(std::max(mass, std::numeric_limits<double>::min())); };
    for (std::size_t k = 0; k < log_k.size(); ++k) {
      const double log_x = log(from.x.mass[k]), log_y = log(from.y.mass[k]);
      const double log_g = std::max((log_k[k] + log_x - l[k] + log_y - u[k]) / 3, log_least_);
      l[k] += std::clamp(log_g - log_x, -longest, longest),
          u[k] += std::clamp(log_g - log_y, -longest, longest);
    }
    return at(kx, ky, log_k, std::move(l), std::move(u));
  }

  static constexpr double longest = 40; // step of a multiplier
  const B& be_;
  const Weights<T>& a_;
  const Weights<T>& b_;
  double log_least_, tolerance_;
  int max_iterations_;
};

} // namespace sbi::ot::detail
