// SPDX-License-Identifier: MIT
// The distortion of plans between two clouds under squared Euclidean distances, whatever their marginals,
// without a matrix: for X_ik = |x_i - x_k|^2, Y_jl = |y_j - y_l|^2 and a plan Q,
//
//   c_Q(i, j) = sum_kl (X_ik - Y_jl)^2 Q_kl
//
// is a polynomial in x_i, s_i = |x_i|^2, y_j and t_j = |y_j|^2 whose coefficients are moments of Q.
// Multiplied out, with Z = [x, s, 1] of every point, all that the product X_ik Y_jl needs is Z_x^T Q Z_y, and
// what couples i with j is
//   -2 (m s_i t_j - 2 s_i <nu, y_j> - 2 <mu, x_i> t_j + 4 x_i^T M y_j),
//   m = 1^T Q 1, mu = X^T Q 1, nu = Y^T Q^T 1, M = X^T Q Y:
// a dot product of dy + 1 coordinates (after Zhang, Goldfeld, Mroueh, Sriperumbudur 2024, who have fixed
// marginals). Transport under c_Q takes O(n + m) memory.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/ot/factorisation.hpp>
#include <sbi/ot/gromov.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// [x, |x|^2, 1] of every point about the mean of the weights: the polynomials lose no digits to an offset.
template <class T> struct LiftedCloud {
  Matrix covariance;
  Tensor<T> z; ///< [n, d + 2]

  LiftedCloud(View<const T> x, const Weights<T>& a) : LiftedCloud(CentredCloud<T>(x, a)) {}
  explicit LiftedCloud(const CentredCloud<T>& cloud) : covariance(cloud.covariance), z(cloud.lifted()) {}
  [[nodiscard]] index_t size() const { return z.rows(); }
  [[nodiscard]] index_t width() const { return z.cols() - 2; }
  [[nodiscard]] double square(index_t i) const { return static_cast<double>(z(i, width())); }
};

/// What a plan has to tell, and what changes with its mass.
struct CloudPlan {
  Column rows, columns; ///< [n], [m] its marginals
  Matrix sent;          ///< [n, dy + 2] Q Z_y
  Matrix cross;         ///< [dx + 2, dy + 2] Z_x^T Q Z_y
  double entropy = 0;   ///< sum_ij Q_ij log(Q_ij / (a_i b_j))

  [[nodiscard]] double mass() const { return total(columns); }
  void scale(double factor) {
    entropy = factor * (entropy + mass() * std::log(factor));
    detail::scale(rows, factor), detail::scale(columns, factor);
    detail::scale(sent, factor), detail::scale(cross, factor);
  }
};

/// Sums over the points of a cloud with weights r.
template <class T> struct CloudMoments {
  double mass = 0, squares = 0, fourth = 0; ///< sum r_k, sum r_k s_k, sum r_k s_k^2
  Column mean, third;                       ///< [d] sum r_k x_k, sum r_k s_k x_k
  Matrix second;                            ///< [d,d] sum r_k x_k x_k^T

  CloudMoments(const LiftedCloud<T>& of, const Column& r) {
    const index_t d = of.width();
    Matrix weighted(Shape{of.size(), d + 2}); // r_k (x_k, 1, s_k)
    for (index_t i = 0; i < of.size(); ++i) {
      const double w = r[static_cast<std::size_t>(i)], s = of.square(i);
      double* const to = weighted.row(i);
      for (index_t k = 0; k < d; ++k) to[k] = w * static_cast<double>(of.z(i, k));
      to[d] = w, to[d + 1] = w * s;
      fourth += w * s * s;
    }
    const Matrix all = transposed_product(of.z, weighted, d + 2);
    squares = all(d, d), mass = all(d + 1, d);
    second = Matrix(Shape{d, d});
    for (index_t k = 0; k < d; ++k) {
      mean.push_back(all(k, d)), third.push_back(all(k, d + 1));
      std::copy_n(all.row(k), d, second.row(k));
    }
  }
};

/// The distortion between two clouds with weights a and b.
template <class B, class T> class CloudDistortion {
public:
  using Plan = CloudPlan;
  using Cost = DotForm<T>;

  CloudDistortion(const B& be, View<const T> x, View<const T> y, const Weights<T>& a, const Weights<T>& b)
      : be_(be), x_(x, a), y_(y, b), a_(a), b_(b) {}

  /// c_Q in dot-product form.
  [[nodiscard]] Cost slope(const Plan& q) const {
    const index_t dx = x_.width(), dy = y_.width();
    const double mass = q.cross(dx + 1, dy + 1);
    Cost out{Tensor<T>(Shape{x_.size(), dy + 1}), Tensor<T>(Shape{y_.size(), dy + 1}), {}, {}};
    // x_i^T Q Z_y of the coordinates, s_i and 1 that multiply y_j and t_j; then what multiplies 1.
    Matrix left(Shape{dx + 2, dy + 1});
    Column alone_x(static_cast<std::size_t>(dx) + 2), alone_y(static_cast<std::size_t>(dy) + 2);
    for (index_t k = 0; k < dx; ++k) {
      for (index_t l = 0; l < dy; ++l) left(k, l) = 8 * q.cross(k, l);
      left(k, dy) = -4 * q.cross(k, dy + 1);
      alone_x[static_cast<std::size_t>(k)] = 4 * q.cross(k, dy);
    }
    for (index_t l = 0; l < dy; ++l) {
      left(dx, l) = -4 * q.cross(dx + 1, l);
      alone_y[static_cast<std::size_t>(l)] = 4 * q.cross(dx, l);
    }
    left(dx, dy) = 2 * mass;
    const auto end = [](Column& v, double square, double one) { v.end()[-2] = square, v.end()[-1] = one; };
    end(alone_x, -2 * q.cross(dx + 1, dy), -2 * q.cross(dx, dy));
    end(alone_y, -2 * q.cross(dx, dy + 1), 0);
    const Matrix paired = product(x_.z, left);
    std::transform(paired.begin(), paired.end(), out.q.begin(), [](double v) { return static_cast<T>(v); });
    for (index_t j = 0; j < y_.size(); ++j) std::copy_n(y_.z.row(j), dy + 1, out.k.row(j));
    out.alpha = alone(x_, q.rows, alone_x), out.beta = alone(y_, q.columns, alone_y);
    return out;
  }
  static void shift(Cost& cost, double constant) {
    for (double& v : cost.alpha) v += constant;
  }
  /// <c, P>
  [[nodiscard]] double inner(const Cost& cost, const Plan& p) const {
    Column paired(static_cast<std::size_t>(cost.q.cols()), 0);
    for (index_t i = 0; i < cost.q.rows(); ++i) {
      const T* const q = cost.q.row(i);
      const double* const sent = p.sent.row(i);
      for (std::size_t l = 0; l < paired.size(); ++l) paired[l] += static_cast<double>(q[l]) * sent[l];
    }
    return dot(cost.alpha, p.rows) + dot(cost.beta, p.columns) - total(paired);
  }
  /// The size of the terms that cancel in the distortion of a plan.
  [[nodiscard]] double size(const Plan& p) const {
    return dot(alone(x_, p.rows), p.rows) + dot(alone(y_, p.columns), p.columns);
  }
  [[nodiscard]] SinkhornResult<T> solve(const Cost& cost, const SinkhornOptions& run,
                                        const SinkhornResult<T>* start) const {
    return solve_form(be_, cost, a_, b_, run, start);
  }
  /// The plan of a cost and its potentials. Its columns fulfil their condition, so that they need no pass.
  [[nodiscard]] Plan plan(const Cost& cost, const SinkhornResult<T>& of, const SinkhornOptions& run) const {
    Plan out;
    out.sent = plan_times(be_, cost, of.f, of.g, run.epsilon, a_, b_, y_.z);
    out.rows = column_of(out.sent, y_.width() + 1);
    out.columns.resize(b_.value.size());
    double weighted = 0; // <P, f + g>
    for (std::size_t j = 0; j < of.g.size(); ++j) {
      const double g = static_cast<double>(of.g[j]),
                   mass = b_.value[j] > 0 ? b_.value[j] * wanted(g, run.rho_b) : 0;
      out.columns[j] = mass;
      if (mass > 0) weighted += mass * g;
    }
    for (std::size_t i = 0; i < of.f.size(); ++i)
      if (a_.value[i] > 0) weighted += out.rows[i] * static_cast<double>(of.f[i]);
    out.cross = transposed_product(x_.z, out.sent, out.sent.cols());
    out.entropy = (weighted - inner(cost, out)) / run.epsilon;
    return out;
  }
  /// Plans of a mass to begin with, given by their moments: the product plan, then with the moments between
  /// the clouds of plans that pair their principal axes, then of axes turned at random.
  [[nodiscard]] std::vector<Plan> starts(double mass, int random, std::uint64_t seed) const {
    std::vector<Matrix> moments = axis_pairings(x_.covariance, y_.covariance);
    const auto count = moments.size();
    for (int k = 0; k < random; ++k) {
      Rng rng(seed, static_cast<std::uint64_t>(k));
      const auto turn = [&](index_t d) {
        Matrix normal(Shape{d, d}), symmetric(normal.shape());
        for (double& v : normal) v = rng.normal();
        for (index_t i = 0; i < d; ++i)
          for (index_t j = 0; j < d; ++j) symmetric(i, j) = normal(i, j) + normal(j, i);
        return eigensystem(symmetric).vectors;
      };
      const Matrix from = turn(x_.width()), to = turn(y_.width());
      moments.push_back(product(product(from, moments[static_cast<std::size_t>(k) % count]), to));
    }
    Plan product_plan;
    product_plan.rows = a_.value, product_plan.columns = b_.value;
    scale(product_plan.rows, mass / a_.mass), scale(product_plan.columns, mass / b_.mass);
    const Column from = weighted_sum(x_.z, product_plan.rows), to = weighted_sum(y_.z, product_plan.columns);
    product_plan.cross = Matrix(Shape{x_.z.cols(), y_.z.cols()});
    for (index_t k = 0; k < x_.z.cols(); ++k)
      for (index_t l = 0; l < y_.z.cols(); ++l)
        product_plan.cross(k, l) = from[static_cast<std::size_t>(k)] * to[static_cast<std::size_t>(l)] / mass;
    product_plan.entropy = mass * std::log(mass / (a_.mass * b_.mass));
    std::vector<Plan> out{product_plan};
    for (const Matrix& half : moments) {
      out.push_back(product_plan);
      for (index_t k = 0; k < x_.width(); ++k)
        for (index_t l = 0; l < y_.width(); ++l) out.back().cross(k, l) += 2 * mass * half(k, l);
    }
    return out;
  }
  /// Gradients of the distortion in the points, the plan held.
  void gradients(const Cost& cost, const SinkhornResult<T>& of, double eps, const Plan& p, Tensor<T>& dx,
                 Tensor<T>& dy) const {
    dx = gradient(x_, p.rows, p.sent, p.cross, y_.width());
    const Matrix received = plan_times(be_, cost.transposed(), of.g, of.f, eps, b_, a_, x_.z);
    dy = gradient(y_, p.columns, received, transposed(p.cross), x_.width());
  }

private:
  /// sum_k X_ik^2 r_k + <z_i, linear>, which is z_i^T F z_i.
  [[nodiscard]] static Column alone(const LiftedCloud<T>& of, const Column& r, Column linear = {}) {
    const CloudMoments<T> sum(of, r);
    const index_t d = of.width();
    linear.resize(static_cast<std::size_t>(d) + 2, 0);
    Matrix form(Shape{d + 2, d + 2});
    for (index_t k = 0; k < d; ++k) {
      const auto at = static_cast<std::size_t>(k);
      for (index_t l = 0; l < d; ++l) form(k, l) = 4 * sum.second(k, l);
      form(k, d) = -4 * sum.mean[at], form(k, d + 1) = linear[at] - 4 * sum.third[at];
    }
    form(d, d) = sum.mass, form(d, d + 1) = linear[static_cast<std::size_t>(d)] + 2 * sum.squares;
    form(d + 1, d + 1) = linear.back() + sum.fourth;
    const Matrix turned = product(of.z, transposed(form));
    return column(of.size(), [&](index_t i) {
      const T* const z = of.z.row(i);
      const double* const image = turned.row(i);
      double out = 0;
      for (index_t k = 0; k < d + 2; ++k) out += image[k] * static_cast<double>(z[k]);
      return out;
    });
  }
  /// 8 sum_k (x_i - x_k) (X_ik r_i r_k - sum_jl Y_jl P_ij P_kl), multiplied out like the slope.
  [[nodiscard]] static Tensor<T> gradient(const LiftedCloud<T>& of, const Column& r, const Matrix& sent,
                                          const Matrix& cross, index_t other) {
    const index_t d = of.width();
    const CloudMoments<T> sum(of, r);
    const Matrix twofold = product(of.z, sum.second);
    Matrix paired_with(Shape{other, d}); // the part of cross between coordinates, transposed
    for (index_t k = 0; k < d; ++k)
      for (index_t l = 0; l < other; ++l) paired_with(l, k) = cross(k, l);
    const Matrix paired = product(sent, paired_with);
    Tensor<T> out(Shape{of.size(), d});
    for (index_t i = 0; i < of.size(); ++i) {
      const double w = r[static_cast<std::size_t>(i)], s = of.square(i), t = sent(i, other); // t: P |y|^2
      double mean = 0, nu = 0;
      for (index_t k = 0; k < d; ++k)
        mean += static_cast<double>(of.z(i, k)) * sum.mean[static_cast<std::size_t>(k)];
      for (index_t l = 0; l < other; ++l) nu += sent(i, l) * cross(d + 1, l); // (P Y) (1^T P Y)^T
      const double within = w * (s * sum.mass + sum.squares - 2 * mean),
                   between = t * sum.mass + w * cross(d + 1, other) - 2 * nu;
      for (index_t k = 0; k < d; ++k) {
        const auto at = static_cast<std::size_t>(k);
        const double all = (within - between) * static_cast<double>(of.z(i, k)) - (w * s - t) * sum.mean[at] -
                           w * (sum.third[at] - cross(k, other)) + 2 * (w * twofold(i, k) - paired(i, k));
        out(i, k) = static_cast<T>(8 * all);
      }
    }
    return out;
  }

  const B& be_;
  LiftedCloud<T> x_, y_;
  const Weights<T>&a_, &b_;
};

} // namespace sbi::ot::detail
