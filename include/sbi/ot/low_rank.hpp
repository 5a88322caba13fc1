// SPDX-License-Identifier: MIT
// Optimal transport and Gromov-Wasserstein transport by plans of low rank, in time and memory linear in the
// number of points: P = Q D(1/g) R^T with Q [n,r], R [m,r], g [r] positive,
//
//   Q 1 = a,  R 1 = b,  Q^T 1 = R^T 1 = g >= least weight
//
// (Scetbon, Cuturi, Peyre 2021, ICML; Scetbon, Peyre, Cuturi 2022, ICML). Every such P is a plan, so the
// value bounds that of unrestricted transport from above. For squared Euclidean distances between clouds
// about their means the objectives need moments of the plan alone:
//
//   <P, |x_i - y_j|^2>  = m2(x) + m2(y) - 2 tr X^T P Y (+ the squared distance of the means),
//   E(P) of gromov.hpp  = E(a x b) - 4 sum_ij P_ij (|x_i|^2 - m2(x)) (|y_j|^2 - m2(y)) - 8 |X^T P Y|^2,
//
// which low_rank_descent.hpp minimises. Neither problem is convex: the result is a local minimum.
#pragma once
#include <sbi/ot/gromov.hpp>
#include <sbi/ot/low_rank_descent.hpp>
#include <sbi/ot/low_rank_plan.hpp>
#include <sbi/ot/low_rank_start.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

/// Where the descent begins. clusters: k-means of both clouds, clusters matched by exact transport between
/// their centres (transport) or by entropic Gromov-Wasserstein transport between them (Gromov); clouds with
/// fewer distinct points than the rank begin at random. random: normal logarithms of Q and R.
enum class LowRankStart { clusters, random };

struct LowRankOptions {
  index_t rank = 0;           ///< r, 1 to min(n, m); has no default
  double least_weight = 1e-8; ///< lower bound of g as a fraction of the mass; > 0, at most 1 / r
  double step =
      10; ///< largest change of an entry of log Q, log R, log g in the first step; adapted afterwards
  /// Of a step's fall of the objective in units of the product plan's, and of its symmetric relative entropy.
  double tolerance = 1e-5;
  int min_iterations = 20; ///< a saddle is left slowly
  int max_iterations = 2000;
  int projection_iterations = 200; ///< of one projection
  LowRankStart start = LowRankStart::clusters;
  /// How many starts are tried for `trial_iterations` each, the best of which goes on: the first one as
  /// `start` says, then in turns one at random and one like the first from other random numbers.
  int starts = 1, trial_iterations = 50;
  std::uint64_t seed = 1; ///< of the starts
};

namespace detail {

inline void check(const char* who, const LowRankOptions& options, index_t n, index_t m) {
  if (options.rank < 1 || options.rank > std::min(n, m))
    throw ValueError(sbi::text(who, ": rank = ", options.rank, "; want 1 to ", std::min(n, m),
                               ", the size of the smaller cloud"));
  if (!(options.least_weight > 0 && options.least_weight * static_cast<double>(options.rank) <= 1))
    throw ValueError(sbi::text(who, ": least_weight = ", options.least_weight, "; want > 0 and at most 1 / ",
                               options.rank, ", one over the rank"));
  if (!(options.step > 0) || !is_finite(options.step))
    throw ValueError(sbi::text(who, ": step = ", options.step, "; want > 0 and finite"));
  if (!(options.tolerance >= 0))
    throw ValueError(sbi::text(who, ": tolerance = ", options.tolerance, "; want >= 0"));
  if (options.starts < 1 || options.trial_iterations < 1)
    throw ValueError(sbi::text(who, ": ", options.starts, " starts of ", options.trial_iterations,
                               " iterations; want >= 1 of each"));
  if (options.min_iterations < 0 || options.max_iterations < 1 || options.projection_iterations < 1)
    throw ValueError(sbi::text(who, ": ", options.min_iterations, " to ", options.max_iterations,
                               " iterations, ", options.projection_iterations,
                               " of a projection; want >= 0, >= 1 and >= 1"));
}

/// The clouds' features over a common length, [n,d] or with |x|^2 - m2 [n,d+1]; all have mean 0.
template <class T>
[[nodiscard]] Tensor<T> features_of(const CentredCloud<T>& cloud, double length, bool square) {
  const index_t n = cloud.size(), d = cloud.points.cols();
  Tensor<T> out(Shape{n, square ? d + 1 : d});
  for (index_t i = 0; i < n; ++i) {
    for (index_t k = 0; k < d; ++k)
      out(i, k) = static_cast<T>(static_cast<double>(cloud.points(i, k)) / length);
    if (square)
      out(i, d) = static_cast<T>((cloud.square[static_cast<std::size_t>(i)] - cloud.m2) / (length * length));
  }
  return out;
}

/// Which cluster there is that of each one here.
template <class T>
using MatchClusters = std::function<std::vector<index_t>(const Clusters<T>& x, const Clusters<T>& y)>;

/// One problem: features of both clouds, an objective of their moment, and how to match clusters.
template <class B, class T>
[[nodiscard]] LowRankResult<T> descend(const B& be, const Tensor<T>& f, const Tensor<T>& g,
                                       const CentredCloud<T>& x, const CentredCloud<T>& y, double length,
                                       const MomentObjective& objective, const LowRankOptions& options,
                                       const MatchClusters<T>& match) {
  const Weights<T>&a = x.weights, &b = y.weights;
  const DescentOptions run{.least = options.least_weight,
                           .first_step = options.step,
                           .tolerance = options.tolerance,
                           // What is missing in the marginals enters the objective to first order.
                           .projection_tolerance =
                               std::max(0.01 * options.tolerance, sizeof(T) == 4 ? 2e-6 : 1e-13),
                           .min_iterations = options.min_iterations,
                           .projection_iterations = options.projection_iterations};
  const LowRankDescent<B, T> descent(be, f.view(), g.view(), a, b, objective, run);

  const auto start = [&](int k) {
    LogFactors<T> at;
    const Rng rng = Rng(options.seed).split(static_cast<std::uint64_t>(k));
    if (options.start == LowRankStart::clusters && k % 2 == 0) {
      // Of the coordinates alone, which are the first features.
      const Tensor<T> px = features_of(x, length, false), py = features_of(y, length, false);
      const Clusters<T> cx = KMeans<B, T>(be, px.view(), a)(options.rank, rng.split(1));
      const Clusters<T> cy = KMeans<B, T>(be, py.view(), b)(options.rank, rng.split(2));
      if (std::min(cx.centres.rows(), cy.centres.rows()) == options.rank) {
        std::vector<index_t> same(static_cast<std::size_t>(options.rank));
        for (std::size_t c = 0; c < same.size(); ++c) same[c] = static_cast<index_t>(c);
        // Wide enough that a point feels more than one cluster also where clusters are points.
        const auto temperature = [length](const Clusters<T>& c, double m2) {
          const double width = c.within + 0.02 * m2 / (length * length);
          return width > 0 ? width : 1;
        };
        at.x = soft_labels(be, px.view(), cx.centres, same, temperature(cx, x.m2));
        at.y = soft_labels(be, py.view(), cy.centres, match(cx, cy), temperature(cy, y.m2));
      }
    }
    if (at.x.size() == 0) {
      at.x = random_labels<T>(x.size(), options.rank, rng.split(3));
      at.y = random_labels<T>(y.size(), options.rank, rng.split(4));
    }
    at.log_g.assign(static_cast<std::size_t>(options.rank), 0);
    descent.settle(at);
    return at;
  };
  LogFactors<T> at = start(0);
  int tried = 0;
  if (options.starts > 1) {
    tried = descent.run(at, options.trial_iterations).iterations;
    for (int k = 1; k < options.starts; ++k) {
      LogFactors<T> trial = start(k);
      const int iterations = descent.run(trial, options.trial_iterations).iterations;
      if (trial.value < at.value) at = std::move(trial), tried = iterations;
    }
  }
  const auto outcome = descent.run(at, options.max_iterations - tried);

  LowRankResult<T> out;
  out.iterations = tried + outcome.iterations, out.converged = outcome.converged;
  out.g = write_factor(be, at.x, a, out.q);
  for (double& mass : out.g) mass = std::max(mass, std::numeric_limits<double>::min());
  round_columns(be, b, write_factor(be, at.y, b, out.r), out.g, out.r);
  for (std::size_t k = 0; k < out.g.size(); ++k) at.log_g[k] = std::log(out.g[k]);
  at.mean_x = cross_moment<B, T>(be, out.q.view(), f.view());
  at.mean_y = cross_moment<B, T>(be, out.r.view(), g.view());
  descent.evaluate(at);
  out.value = at.value;
  const Tensor<T> ones_x(Shape{x.size(), 1}, std::vector<T>(a.value.size(), 1)),
      ones_y(Shape{y.size(), 1}, std::vector<T>(b.value.size(), 1));
  const Tensor<T> rows = through(be, out.q, out.g, out.r, ones_y.view(), "ones"),
                  columns = through(be, out.r, out.g, out.q, ones_x.view(), "ones");
  for (index_t i = 0; i < x.size(); ++i)
    out.residual += std::abs(static_cast<double>(rows(i, 0)) - a.value[static_cast<std::size_t>(i)]);
  for (index_t j = 0; j < y.size(); ++j)
    out.residual += std::abs(static_cast<double>(columns(j, 0)) - b.value[static_cast<std::size_t>(j)]);
  return out;
}

template <class T> [[nodiscard]] double length_of(const CentredCloud<T>& x, const CentredCloud<T>& y) {
  const double square = std::max(x.m2, y.m2);
  return square > 0 ? std::sqrt(square) : 1;
}
} // namespace detail

/// Transport of rank r under |x - y|^2 from x [n,d] with weights a to y [m,d] with weights b (empty:
/// uniform). Throws ShapeError for sizes that do not fit, ValueError for bad options, weights or coordinates
/// and for masses that differ by more than the square root of the machine precision (less is scaled away).
/// Whether it converged the result says itself; the factors are those of a plan in any case.
template <class B, class T = typename B::compute_t>
[[nodiscard]] LowRankResult<T>
low_rank_transport(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                   std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                   const LowRankOptions& options) {
  detail::check_clouds("low-rank transport", x, y);
  const Weights<T> wa("a", a, x.rows());
  Weights<T> wb("b", b, y.rows());
  detail::balance("low-rank transport", wa, wb);
  detail::check("low-rank transport", options, x.rows(), y.rows());
  const detail::CentredCloud<T> cx(x, wa), cy(y, wb);
  const double length = detail::length_of(cx, cy);
  const detail::TransportObjective objective((cx.m2 + cy.m2) / (length * length));
  LowRankResult<T> out = detail::descend<B, T>(
      be, detail::features_of(cx, length, false), detail::features_of(cy, length, false), cx, cy, length,
      objective, options, [&](const detail::Clusters<T>& p, const detail::Clusters<T>& q) {
        return detail::assignment<T>(
            cost_matrix(be, SquaredEuclidean{}, p.centres.view(), q.centres.view()).view());
      });
  double apart = 0;
  for (std::size_t k = 0; k < cx.mean.size(); ++k)
    apart += (cx.mean[k] - cy.mean[k]) * (cx.mean[k] - cy.mean[k]);
  out.value = wa.mass * (out.value * length * length + apart);
  for (T& v : out.q) v = static_cast<T>(static_cast<double>(v) * wa.mass);
  for (T& v : out.r) v = static_cast<T>(static_cast<double>(v) * wa.mass);
  for (double& v : out.g) v *= wa.mass;
  return out;
}

/// Gromov-Wasserstein transport of rank r between x [n,dx] and y [m,dy], under squared Euclidean distances,
/// for weights a and b (empty: uniform; both are scaled to sum 1). Throws as `low_rank_transport` does,
/// except that masses and coordinates may differ.
template <class B, class T = typename B::compute_t>
[[nodiscard]] LowRankResult<T>
low_rank_gromov(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                const LowRankOptions& options) {
  detail::check_points("low-rank gromov", "x", x);
  detail::check_points("low-rank gromov", "y", y);
  const detail::CentredCloud<T> cx(x, Weights<T>("a", a, x.rows())), cy(y, Weights<T>("b", b, y.rows()));
  detail::check("low-rank gromov", options, x.rows(), y.rows());
  const double length = detail::length_of(cx, cy), fourth = std::pow(length, 4);
  const detail::GromovObjective objective((cx.self_cost() + cy.self_cost() - 8 * cx.m2 * cy.m2) / fourth);
  LowRankResult<T> out = detail::descend<B, T>(
      be, detail::features_of(cx, length, true), detail::features_of(cy, length, true), cx, cy, length,
      objective, options, [&](const detail::Clusters<T>& p, const detail::Clusters<T>& q) {
        GromovOptions coarse; // for the order of the clusters alone
        coarse.sinkhorn.epsilon = 0.05, coarse.sinkhorn.tolerance = 1e-3,
        coarse.sinkhorn.max_iterations = 100;
        coarse.max_iterations = 50, coarse.tolerance = 1e-4, coarse.gradients = false;
        const auto found = entropic_gromov(be, p.centres.view(), q.centres.view(), p.mass, q.mass, coarse);
        Tensor<T> cost = transport_plan(be, stored_cost(be, found.cost).view(), p.mass, q.mass, found.plan,
                                        coarse.sinkhorn.epsilon);
        for (T& v : cost) v = -v;
        return detail::assignment<T>(cost.view());
      });
  out.value *= fourth;
  return out;
}

} // namespace sbi::ot
