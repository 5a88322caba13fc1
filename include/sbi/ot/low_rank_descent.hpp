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

/// What is minimised, a function of the moment, and its value for the product plan.
struct MomentObjective {
  explicit MomentObjective(double of_product) : product_plan(of_product) {}
  virtual ~MomentObjective() = default;
  MomentObjective(const MomentObjective&) = delete;
  MomentObjective& operator=(const MomentObjective&) = delete;
  [[nodiscard]] virtual double value(const Matrix& moment) const = 0;
  [[nodiscard]] virtual Matrix slope(const Matrix& moment) const = 0;
  const double product_plan;
};

/// <P, |x_i - y_j|^2> between centred clouds: the product plan's cost less twice the trace of the moment of x
/// and y.
struct TransportObjective final : MomentObjective {
  using MomentObjective::MomentObjective;
  [[nodiscard]] double value(const Matrix& moment) const override {
    double trace = 0;
    for (index_t k = 0; k < moment.rows(); ++k) trace += moment(k, k);
    return product_plan - 2 * trace;
  }
  [[nodiscard]] Matrix slope(const Matrix& moment) const override {
    Matrix out(moment.shape());
    for (index_t k = 0; k < moment.rows(); ++k) out(k, k) = -2;
    return out;
  }
};

/// E(P) of gromov.hpp for the features x and |x|^2 - m2, all of mean 0.
struct GromovObjective final : MomentObjective {
  using MomentObjective::MomentObjective;
  [[nodiscard]] double value(const Matrix& moment) const override {
    const index_t dx = moment.rows() - 1, dy = moment.cols() - 1;
    double squares = 0;
    for (index_t k = 0; k < dx; ++k)
      for (index_t l = 0; l < dy; ++l) squares += moment(k, l) * moment(k, l);
    return product_plan - 4 * moment(dx, dy) - 8 * squares;
  }
  [[nodiscard]] Matrix slope(const Matrix& moment) const override {
    const index_t dx = moment.rows() - 1, dy = moment.cols() - 1;
    Matrix out(moment.shape());
    for (index_t k = 0; k < dx; ++k)
      for (index_t l = 0; l < dy; ++l) out(k, l) = -16 * moment(k, l);
    out(dx, dy) = -4;
    return out;
  }
};

/// The factors of a plan: Q_ik = a_i exp(x_ik), R_jk = b_j exp(y_jk).
template <class T> struct LogFactors {
  Tensor<T> x, y;
  Column log_g;
  Matrix mean_x, mean_y; ///< [r,p], [r,q] D(1/g) Q^T F, D(1/g) R^T G
  Matrix moment;         ///< [p,q] F^T P G
  double value = 0;      ///< the objective
  double residual = 0;   ///< of the projection
};

struct DescentOptions {
  double least, first_step, tolerance, projection_tolerance;
  int min_iterations, projection_iterations;
};

template <class B, class T> class LowRankDescent {
public:
  LowRankDescent(const B& be, View<const T> f, View<const T> g, const Weights<T>& a, const Weights<T>& b,
                 const MomentObjective& objective, const DescentOptions& options)
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
    for (index_t k = 0; k < of.mean_x.rows(); ++k) {
      const double over_g = std::exp(-of.log_g[static_cast<std::size_t>(k)]);
      for (index_t i = 0; i < of.mean_x.cols(); ++i) of.mean_x(k, i) *= over_g;
    }
    of.moment = transposed_product(of.mean_x, of.mean_y, of.mean_y.cols());
    for (index_t k = 0; k < of.mean_y.rows(); ++k) {
      const double over_g = std::exp(-of.log_g[static_cast<std::size_t>(k)]);
      for (index_t j = 0; j < of.mean_y.cols(); ++j) of.mean_y(k, j) *= over_g;
    }
    of.value = objective_.value(of.moment);
  }

  /// The gradients of the objective: in Q it is F x, in R it is G y, in g it is g.
  struct Slopes {
    Matrix x, y; ///< [p,r], [q,r]
    Column g;
  };
  [[nodiscard]] Slopes slopes(const LogFactors<T>& at) const {
    const Matrix v = objective_.slope(at.moment);
    Slopes out{product(v, transposed(at.mean_y)), product(transposed(v), transposed(at.mean_x)), {}};
    for (index_t k = 0; k < at.mean_x.rows(); ++k) {
      double sum = 0;
      for (index_t i = 0; i < at.mean_x.cols(); ++i) sum += at.mean_x(k, i) * out.x(i, k);
      out.g.push_back(-sum);
    }
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
      const double largest =
          std::max({largest_entry(f_, slope.x, a_), largest_entry(g_, slope.y, b_), largest_size(slope.g)});
      if (!(largest > 0)) return {out.iterations, at.residual <= options_.projection_tolerance};
      const double scale = step / largest;
      next.x = moved(at.x, f_, slope.x, scale), next.y = moved(at.y, g_, slope.y, scale);
      next.log_g = at.log_g;
      for (std::size_t k = 0; k < slope.g.size(); ++k) next.log_g[k] -= scale * slope.g[k];
      settle(next);
      if (!is_finite(next.value))
        throw NumericalError(
            sbi::text("low rank: the objective is ", next.value, " after ", out.iterations, " iterations"));
      const double fall = at.value - next.value;
      // A plan that is none has too good a value.
      if (next.residual > options_.projection_tolerance || fall < -noise * objective_.product_plan) {
        step *= shrink, still = 0;
        continue;
      }
      // Of a short step little follows: both are taken a unit of its length.
      const double length = std::min(1.0, step);
      const double change = difference(at, next);
      const bool little = fall <= options_.tolerance * length * objective_.product_plan &&
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

  /// log K becomes log softmax(log K + shift); gives sum_i w_i p_ik f_i, [r,p].
  Matrix settle_side(Tensor<T>& log_p, View<const T> features, const Weights<T>& weights,
                     const Column& shift) const {
    const index_t r = log_p.cols(), width = features.cols();
    const std::vector<T> bias = rounded<T>(shift);
    Column sums = chunk_sums(be_, log_p.rows(), r * width, [&](index_t first, index_t count, double* out) {
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
    return Matrix(Shape{r, width}, std::move(sums));
  }
  /// log_p - scale (features slope)
  Tensor<T> moved(const Tensor<T>& log_p, View<const T> features, const Matrix& slope, double scale) const {
    const Tensor<T> factor = scaled(slope, -scale);
    Tensor<T> out(log_p.shape());
    for_each_chunk(log_p.rows(), [&](index_t first, index_t count) {
      std::copy_n(log_p.row(first), count * log_p.cols(), out.row(first));
      gemm(be_, features.row_block(first, count), Transpose::no, factor.view(), Transpose::no,
           out.view().row_block(first, count), Write::accumulate);
    });
    return out;
  }
  /// The largest |features slope| in rows of positive weight.
  double largest_entry(View<const T> features, const Matrix& slope, const Weights<T>& weights) const {
    const Tensor<T> factor = scaled(slope, 1);
    const index_t r = factor.cols();
    std::vector<T> largest(static_cast<std::size_t>((features.rows() + chunk_rows - 1) / chunk_rows), 0);
    for_each_chunk(features.rows(), [&](index_t first, index_t count) {
      const ArenaScope scope(be_.arena());
      T* out = be_.arena().template array<T>(count * r);
      gemm(be_, features.row_block(first, count), Transpose::no, factor.view(), Transpose::no,
           View<T>(out, Shape{count, r}), Write::overwrite);
      T& top = largest[static_cast<std::size_t>(first / chunk_rows)];
      for (index_t i = 0; i < count; ++i)
        if (weights.value[static_cast<std::size_t>(first + i)] > 0)
          for (index_t k = 0; k < r; ++k) top = std::max(top, std::abs(out[i * r + k]));
    });
    return static_cast<double>(*std::max_element(largest.begin(), largest.end()));
  }
  static Tensor<T> scaled(const Matrix& slope, double factor) {
    Tensor<T> out(slope.shape());
    for (index_t k = 0; k < slope.size(); ++k) out.data()[k] = static_cast<T>(factor * slope.data()[k]);
    return out;
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
    for (std::size_t k = 0; k < p.log_g.size(); ++k)
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
  const MomentObjective& objective_;
  const DescentOptions& options_;
  Projector<B, T> project_;
};

} // namespace sbi::ot::detail
