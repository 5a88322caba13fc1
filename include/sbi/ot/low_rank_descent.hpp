// SPDX-License-Identifier: MIT
// Mirror descent over the factors of a plan P = Q D(1/g) R^T of rank r, for objectives that see the plan
// through the moment N = F^T P G of features F [n,p] and G [m,q] alone: with V = d objective / d N, the
// gradient in P is F V G^T, and no matrix of more than n r, m r, n p or m q numbers is needed. One step is
//
//   log K = log Q - s F V (G^T R)^T / g,  log L = log R - s G V^T (F^T Q)^T / g,
//   log k = log g + s diag(Q^T F V G^T R) / g^2,   s = step / (the largest entry of the three gradients),
//
// and the projection of low_rank_projection.hpp. A step that raises the objective is not taken; the next is
// shorter. Steps that are taken grow.
#pragma once
#include <sbi/ot/low_rank_projection.hpp>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// <P, |x_i - y_j|^2> between centred clouds: the product plan's cost less twice the trace of the moment of x
/// and y.
struct TransportObjective {
  double product;
  [[nodiscard]] double value(const Eigen::MatrixXd& moment) const { return product - 2 * moment.trace(); }
  [[nodiscard]] Eigen::MatrixXd slope(const Eigen::MatrixXd& moment) const {
    return -2 * Eigen::MatrixXd::Identity(moment.rows(), moment.cols());
  }
};

/// E(P) of gromov.hpp for the features x and |x|^2 - m2, all of mean 0.
struct GromovObjective {
  double product;
  [[nodiscard]] double value(const Eigen::MatrixXd& moment) const {
    const Eigen::Index dx = moment.rows() - 1, dy = moment.cols() - 1;
    return product - 4 * moment(dx, dy) - 8 * moment.topLeftCorner(dx, dy).squaredNorm();
  }
  [[nodiscard]] Eigen::MatrixXd slope(const Eigen::MatrixXd& moment) const {
    const Eigen::Index dx = moment.rows() - 1, dy = moment.cols() - 1;
    Eigen::MatrixXd out = Eigen::MatrixXd::Zero(dx + 1, dy + 1);
    out.topLeftCorner(dx, dy) = -16 * moment.topLeftCorner(dx, dy);
    out(dx, dy) = -4;
    return out;
  }
};

/// The factors of a plan: Q_ik = a_i exp(x_ik), R_jk = b_j exp(y_jk).
template <class T> struct LogFactors {
  Tensor<T> x, y;
  Eigen::VectorXd log_g;
  Eigen::MatrixXd mean_x, mean_y; ///< [p,r], [q,r] F^T Q D(1/g), G^T R D(1/g)
  Eigen::MatrixXd moment;         ///< [p,q] F^T P G
  double value = 0;               ///< the objective
  double residual = 0;            ///< of the projection
};

struct DescentOptions {
  double least, first_step, tolerance, projection_tolerance;
  int min_iterations, projection_iterations;
};

template <class B, class T, class Objective> class LowRankDescent {
public:
  LowRankDescent(const B& be, View<const T> f, View<const T> g, const Weights<T>& a, const Weights<T>& b,
                 const Objective& objective, const DescentOptions& options)
      : be_(be), f_(f), g_(g), a_(a), b_(b), objective_(objective), options_(options),
        project_(be, a, b, options.least, options.projection_tolerance, options.projection_iterations) {}

  /// The projection of kernels whose logarithms are given in `out`.
  void settle(LogFactors<T>& out) const {
    const Projection to = project_(out.x.view(), out.y.view(), out.log_g);
    out.log_g = to.log_g, out.residual = to.residual;
    out.mean_x = settle_side(out.x, f_, a_, to.x), out.mean_y = settle_side(out.y, g_, b_, to.y);
    evaluate(out);
  }
  /// Divides sums of features by g and gives the moment and the value.
  void evaluate(LogFactors<T>& of) const {
    const Eigen::VectorXd over_g = (-of.log_g).array().exp();
    of.moment = of.mean_x * over_g.asDiagonal() * of.mean_y.transpose();
    of.mean_x = of.mean_x * over_g.asDiagonal(), of.mean_y = of.mean_y * over_g.asDiagonal();
    of.value = objective_.value(of.moment);
  }

  /// The gradients of the objective: in Q it is F x, in R it is G y, in g it is g.
  struct Slopes {
    Eigen::MatrixXd x, y; ///< [p,r], [q,r]
    Eigen::VectorXd g;
  };
  [[nodiscard]] Slopes slopes(const LogFactors<T>& at) const {
    const Eigen::MatrixXd v = objective_.slope(at.moment);
    Slopes out{v * at.mean_y, v.transpose() * at.mean_x, {}};
    out.g = -at.mean_x.cwiseProduct(out.x).colwise().sum().transpose();
    return out;
  }

  struct Outcome {
    int iterations = 0;
    bool converged = false;
  };
  /// Descends from `at`, which has been settled, by at most `limit` steps.
  Outcome run(LogFactors<T>& at, int limit) const {
    constexpr double shortest = 1e-6, longest = 100, growth = 1.5, shrink = 0.25;
    constexpr int patience = 5; // steps in a row that must change little: one may be slow by chance
    const double noise =
        8 * static_cast<double>(std::numeric_limits<T>::epsilon()) + 2 * options_.projection_tolerance;
    double step = options_.first_step;
    Outcome out;
    LogFactors<T> next;
    int still = 0;
    while (out.iterations < limit && step > shortest) {
      ++out.iterations;
      const Slopes slope = slopes(at);
      const double largest = std::max({largest_entry(f_, slope.x, a_), largest_entry(g_, slope.y, b_),
                                       slope.g.template lpNorm<Eigen::Infinity>()});
      if (!(largest > 0)) return {out.iterations, at.residual <= options_.projection_tolerance};
      const double scale = step / largest;
      next.x = moved(at.x, f_, slope.x, scale), next.y = moved(at.y, g_, slope.y, scale);
      next.log_g = at.log_g - scale * slope.g;
      settle(next);
      if (!is_finite(next.value))
        throw NumericalError(
            sbi::text("low rank: the objective is ", next.value, " after ", out.iterations, " iterations"));
      const double fall = at.value - next.value;
      // A plan that is none has too good a value.
      if (next.residual > options_.projection_tolerance || fall < -noise * objective_.product) {
        step *= shrink, still = 0;
        continue;
      }
      // Of a short step little follows: both are taken a unit of its length.
      const double length = std::min(1.0, step);
      const double change = difference(at, next);
      const bool little = fall <= options_.tolerance * length * objective_.product &&
                          change <= options_.tolerance * length * length;
      still = little ? still + 1 : 0;
      std::swap(at, next);
      step = std::min(growth * step, longest);
      if (still >= patience && out.iterations >= options_.min_iterations) {
        out.converged = at.residual <= options_.projection_tolerance;
        if (out.converged) break;
      }
    }
    return out;
  }

private:
  static constexpr double lowest = -80; // exp of it is a normal number also in float: entries can come back

  /// log K becomes log softmax(log K + shift); gives sum_i w_i p_ik f_i, [p,r].
  Eigen::MatrixXd settle_side(Tensor<T>& log_p, View<const T> features, const Weights<T>& weights,
                              const Eigen::VectorXd& shift) const {
    const index_t r = log_p.cols(), width = features.cols();
    const std::vector<T> bias = rounded<T>(shift);
    const Eigen::VectorXd sums =
        chunk_sums(be_, log_p.rows(), r * width, [&](index_t first, index_t count, double* out) {
          const ArenaScope scope(be_.arena());
          T *p = be_.arena().template array<T>(count * r), *sum = be_.arena().template array<T>(r * width);
          shifted_softmax<B, T>(be_, log_p.view().row_block(first, count), bias, p);
          for (index_t i = 0; i < count; ++i) {
            T *log = log_p.row(first + i), *to = p + i * r;
            const T* top = std::max_element(to, to + r);
            const T all = static_cast<T>(log_sum(log, bias, top - to, *top));
            const T weight = static_cast<T>(weights.value[static_cast<std::size_t>(first + i)]);
            for (index_t k = 0; k < r; ++k) {
              log[k] = std::max(log[k] + bias[static_cast<std::size_t>(k)] - all, static_cast<T>(lowest));
              to[k] *= weight;
            }
          }
          gemm(be_, View<const T>(p, Shape{count, r}), Transpose::yes, features.row_block(first, count),
               Transpose::no, View<T>(sum, Shape{r, width}), Write::overwrite);
          for (index_t k = 0; k < r * width; ++k) out[k] += static_cast<double>(sum[k]);
        });
    return Eigen::Map<const Eigen::MatrixXd>(sums.data(), width, r);
  }
  /// log_p - scale (features slope)
  Tensor<T> moved(const Tensor<T>& log_p, View<const T> features, const Eigen::MatrixXd& slope,
                  double scale) const {
    const EigenMatrix<T> factor = (-scale * slope).template cast<T>();
    const View<const T> factor_view(factor.data(), Shape{factor.rows(), factor.cols()});
    Tensor<T> out(log_p.shape());
    for_each_chunk(log_p.rows(), [&](index_t first, index_t count) {
      std::copy_n(log_p.row(first), count * log_p.cols(), out.row(first));
      gemm(be_, features.row_block(first, count), Transpose::no, factor_view, Transpose::no,
           out.view().row_block(first, count), Write::accumulate);
    });
    return out;
  }
  /// The largest |features slope| in rows of positive weight.
  double largest_entry(View<const T> features, const Eigen::MatrixXd& slope,
                       const Weights<T>& weights) const {
    const EigenMatrix<T> factor = slope.template cast<T>();
    const index_t r = factor.cols();
    const View<const T> factor_view(factor.data(), Shape{factor.rows(), r});
    std::vector<T> largest(static_cast<std::size_t>((features.rows() + chunk_rows - 1) / chunk_rows), 0);
    for_each_chunk(features.rows(), [&](index_t first, index_t count) {
      const ArenaScope scope(be_.arena());
      T* out = be_.arena().template array<T>(count * r);
      gemm(be_, features.row_block(first, count), Transpose::no, factor_view, Transpose::no,
           View<T>(out, Shape{count, r}), Write::overwrite);
      T& top = largest[static_cast<std::size_t>(first / chunk_rows)];
      for (index_t i = 0; i < count; ++i)
        if (weights.value[static_cast<std::size_t>(first + i)] > 0)
          for (index_t k = 0; k < r; ++k) top = std::max(top, std::abs(out[i * r + k]));
    });
    return static_cast<double>(*std::max_element(largest.begin(), largest.end()));
  }
  template <class F> void for_each_chunk(index_t rows, F&& f) const {
    be_.for_each((rows + chunk_rows - 1) / chunk_rows, [&](index_t c) {
      const FlushDenormals flush;
      f(c * chunk_rows, std::min(chunk_rows, rows - c * chunk_rows));
    });
  }
  /// KL(p | q) + KL(q | p) of Q, R and g together.
  double difference(const LogFactors<T>& p, const LogFactors<T>& q) const {
    double out = side_difference(p.x, q.x, a_) + side_difference(p.y, q.y, b_);
    for (Eigen::Index k = 0; k < p.log_g.size(); ++k)
      out += (std::exp(p.log_g[k]) - std::exp(q.log_g[k])) * (p.log_g[k] - q.log_g[k]);
    return out;
  }
  double side_difference(const Tensor<T>& p, const Tensor<T>& q, const Weights<T>& weights) const {
    return chunk_sums(be_, p.rows(), 1, [&](index_t first, index_t count, double* sum) {
      const auto row = row_of(be_, p.cols());
      for (index_t i = first; i < first + count; ++i) {
        using std::exp;
        const double of = static_cast<double>(row.sum([&](auto k) {
          const auto lp = load(p.row(i), k), lq = load(q.row(i), k);
          return (exp(lp) - exp(lq)) * (lp - lq);
        }));
        *sum += weights.value[static_cast<std::size_t>(i)] * of;
      }
    })[0];
  }

  const B& be_;
  View<const T> f_, g_;
  const Weights<T>& a_;
  const Weights<T>& b_;
  const Objective& objective_;
  const DescentOptions& options_;
  Projector<B, T> project_;
};

} // namespace sbi::ot::detail
