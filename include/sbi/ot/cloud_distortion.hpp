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
#include <sbi/ot/gromov.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// [x, |x|^2, 1] of every point about the mean of the weights: the polynomials lose no digits to an offset.
template <class T> struct LiftedCloud {
  Eigen::MatrixXd covariance;
  Tensor<T> z; ///< [n, d + 2]

  LiftedCloud(View<const T> x, const Weights<T>& a) : LiftedCloud(CentredCloud<T>(x, a)) {}
  explicit LiftedCloud(const CentredCloud<T>& cloud) : covariance(cloud.covariance), z(cloud.lifted()) {}
  [[nodiscard]] index_t size() const { return z.rows(); }
  [[nodiscard]] index_t width() const { return z.cols() - 2; }
  [[nodiscard]] Eigen::MatrixXd lifted() const { return as_eigen(z).template cast<double>(); }
};

/// What a plan has to tell, and what changes with its mass.
struct CloudPlan {
  Eigen::VectorXd rows, columns; ///< [n], [m] its marginals
  Eigen::MatrixXd sent;          ///< [n, dy + 2] Q Z_y
  Eigen::MatrixXd cross;         ///< [dx + 2, dy + 2] Z_x^T Q Z_y
  double entropy = 0;            ///< sum_ij Q_ij log(Q_ij / (a_i b_j))

  [[nodiscard]] double mass() const { return std::accumulate(columns.begin(), columns.end(), 0.0); }
  void scale(double factor) {
    entropy = factor * (entropy + mass() * std::log(factor));
    rows *= factor, columns *= factor, sent *= factor, cross *= factor;
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
    const Eigen::MatrixXd x = x_.lifted(), y = y_.lifted();
    const double mass = q.cross(dx + 1, dy + 1);
    Cost out{Tensor<T>(Shape{x_.size(), dy + 1}), Tensor<T>(Shape{y_.size(), dy + 1}), {}, {}};
    // x_i^T Q Z_y of the coordinates, s_i and 1 that multiply y_j and t_j.
    Eigen::MatrixXd left(dx + 2, dy + 1);
    left << 8 * q.cross.topLeftCorner(dx, dy), -4 * q.cross.col(dy + 1).head(dx),
        -4 * q.cross.row(dx + 1).head(dy), 2 * mass, Eigen::RowVectorXd::Zero(dy + 1);
    as_eigen(out.q) = (x * left).template cast<T>();
    as_eigen(out.k) = as_eigen(y_.z).leftCols(dy + 1);
    const Eigen::VectorXd alpha = alone(x, q.rows) - 2 * q.cross(dx + 1, dy) * x.col(dx) +
                                  4 * x.leftCols(dx) * q.cross.col(dy).head(dx) -
                                  Eigen::VectorXd::Constant(x_.size(), 2 * q.cross(dx, dy));
    const Eigen::VectorXd beta = alone(y, q.columns) - 2 * q.cross(dx, dy + 1) * y.col(dy) +
                                 4 * y.leftCols(dy) * q.cross.row(dx).head(dy).transpose();
    out.alpha.assign(alpha.begin(), alpha.end()), out.beta.assign(beta.begin(), beta.end());
    return out;
  }
  static void shift(Cost& cost, double constant) {
    for (double& v : cost.alpha) v += constant;
  }
  /// <c, P>
  [[nodiscard]] double inner(const Cost& cost, const Plan& p) const {
    const auto vector = [](const std::vector<double>& v) {
      return Eigen::Map<const Eigen::VectorXd>(v.data(), static_cast<Eigen::Index>(v.size()));
    };
    return vector(cost.alpha).dot(p.rows) + vector(cost.beta).dot(p.columns) -
           as_eigen(cost.q).template cast<double>().cwiseProduct(p.sent.leftCols(y_.width() + 1)).sum();
  }
  /// The size of the terms that cancel in the distortion of a plan.
  [[nodiscard]] double size(const Plan& p) const {
    return alone(x_.lifted(), p.rows).dot(p.rows) + alone(y_.lifted(), p.columns).dot(p.columns);
  }
  [[nodiscard]] SinkhornResult<T> solve(const Cost& cost, const SinkhornOptions& run,
                                        const SinkhornResult<T>* start) const {
    return solve_form(be_, cost, a_, b_, run, start);
  }
  /// The plan of a cost and its potentials. Its columns fulfil their condition, so that they need no pass.
  [[nodiscard]] Plan plan(const Cost& cost, const SinkhornResult<T>& of, const SinkhornOptions& run) const {
    Plan out;
    out.sent = plan_times(be_, cost, of.f, of.g, run.epsilon, a_, b_, y_.z);
    out.rows = out.sent.col(y_.width() + 1);
    out.columns.resize(y_.size());
    double weighted = 0; // <P, f + g>
    for (std::size_t j = 0; j < of.g.size(); ++j) {
      const double g = static_cast<double>(of.g[j]),
                   mass = b_.value[j] > 0 ? b_.value[j] * wanted(g, run.rho_b) : 0;
      out.columns[static_cast<Eigen::Index>(j)] = mass;
      if (mass > 0) weighted += mass * g;
    }
    for (std::size_t i = 0; i < of.f.size(); ++i)
      if (a_.value[i] > 0) weighted += out.rows[static_cast<Eigen::Index>(i)] * static_cast<double>(of.f[i]);
    out.cross = x_.lifted().transpose() * out.sent;
    out.entropy = (weighted - inner(cost, out)) / run.epsilon;
    return out;
  }
  /// Plans of a mass to begin with, given by their moments: the product plan, then with the moments between
  /// the clouds of plans that pair their principal axes, then of axes turned at random.
  [[nodiscard]] std::vector<Plan> starts(double mass, int random, std::uint64_t seed) const {
    std::vector<Eigen::MatrixXd> moments = axis_pairings(x_.covariance, y_.covariance);
    const auto count = moments.size();
    for (int k = 0; k < random; ++k) {
      Rng rng(seed, static_cast<std::uint64_t>(k));
      const auto turn = [&](index_t d) {
        Eigen::MatrixXd normal(d, d);
        for (double& v : normal.reshaped()) v = rng.normal();
        return Eigen::MatrixXd(
            Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(normal + normal.transpose()).eigenvectors());
      };
      const Eigen::MatrixXd& paired = moments[static_cast<std::size_t>(k) % count];
      moments.push_back(turn(x_.width()) * paired * turn(y_.width()));
    }
    Plan product;
    product.rows = Eigen::Map<const Eigen::VectorXd>(a_.value.data(), x_.size()) * (mass / a_.mass);
    product.columns = Eigen::Map<const Eigen::VectorXd>(b_.value.data(), y_.size()) * (mass / b_.mass);
    product.cross =
        x_.lifted().transpose() * product.rows * (product.columns.transpose() * y_.lifted()) / mass;
    product.entropy = mass * std::log(mass / (a_.mass * b_.mass));
    std::vector<Plan> out{product};
    for (const Eigen::MatrixXd& half : moments) {
      out.push_back(product);
      out.back().cross.topLeftCorner(x_.width(), y_.width()) += 2 * mass * half;
    }
    return out;
  }
  /// Gradients of the distortion in the points, the plan held.
  void gradients(const Cost& cost, const SinkhornResult<T>& of, double eps, const Plan& p, Tensor<T>& dx,
                 Tensor<T>& dy) const {
    dx = gradient(x_, p.rows, p.sent, p.cross, y_.width());
    const Eigen::MatrixXd received = plan_times(be_, cost.transposed(), of.g, of.f, eps, b_, a_, x_.z);
    dy = gradient(y_, p.columns, received, p.cross.transpose(), x_.width());
  }

private:
  /// sum_k X_ik^2 r_k
  [[nodiscard]] static Eigen::VectorXd alone(const Eigen::MatrixXd& z, const Eigen::VectorXd& r) {
    const Eigen::Index d = z.cols() - 2;
    const auto x = z.leftCols(d);
    const Eigen::ArrayXd s = z.col(d).array();
    const Eigen::VectorXd weighted = (r.array() * s).matrix(), mean = x.transpose() * r;
    const Eigen::MatrixXd second = x.transpose() * r.asDiagonal() * x;
    return (s * s * r.sum() + weighted.dot(z.col(d)) +
            4 * (x * second).cwiseProduct(x).rowwise().sum().array() + 2 * s * weighted.sum() -
            4 * s * (x * mean).array() - 4 * (x * (x.transpose() * weighted)).array())
        .matrix();
  }
  /// 8 sum_k (x_i - x_k) (X_ik r_i r_k - sum_jl Y_jl P_ij P_kl), multiplied out like the slope.
  [[nodiscard]] static Tensor<T> gradient(const LiftedCloud<T>& of, const Eigen::VectorXd& r,
                                          const Eigen::MatrixXd& sent, const Eigen::MatrixXd& cross,
                                          index_t other) {
    const index_t d = of.width();
    const Eigen::MatrixXd z = of.lifted();
    const auto x = z.leftCols(d);
    const Eigen::VectorXd s = z.col(d), mean = x.transpose() * r,
                          third = x.transpose() * (r.asDiagonal() * s);
    const Eigen::MatrixXd second = x.transpose() * r.asDiagonal() * x;
    const double mass = r.sum(), squares = r.dot(s);
    const auto y = sent.leftCols(other);                        // P Y
    const auto t = sent.col(other);                             // P |y|^2
    const Eigen::RowVectorXd nu = cross.row(d + 1).head(other); // 1^T P Y
    const Eigen::VectorXd within = r.array() * (s.array() * mass + squares - 2 * (x * mean).array());
    const Eigen::VectorXd between = t * mass + r * cross(d + 1, other) - 2 * (y * nu.transpose());
    Eigen::MatrixXd all = (within - between).asDiagonal() * x;
    all -= (r.cwiseProduct(s) - t) * mean.transpose();
    all -= r * (third - cross.col(other).head(d)).transpose();
    all += 2 * (r.asDiagonal() * (x * second) - y * cross.topLeftCorner(d, other).transpose());
    Tensor<T> out(Shape{of.size(), d});
    as_eigen(out) = (8 * all).template cast<T>();
    return out;
  }

  const B& be_;
  LiftedCloud<T> x_, y_;
  const Weights<T>&a_, &b_;
};

} // namespace sbi::ot::detail
