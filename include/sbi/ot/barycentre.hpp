// SPDX-License-Identifier: MIT
// Wasserstein barycentres: the cloud b with the least weighted mean of transport costs to given clouds a_k,
// shares l_k summing to 1.
//
// Fixed support, weights sought. With the entropy relative to the uniform measure u on the support,
//   min_b sum_k l_k min_P <P, C_k> + eps KL(P | u x a_k),   P 1 = b, P^T 1 = a_k,
// by iterative Bregman projections (Benamou, Carlier, Cuturi, Nenna, Peyre 2015), here in the log domain:
//   g_k = softmin(C_k^T, u, f_k), h_k = softmin(C_k, a_k, g_k),
//   log(b/u) = (p - sum_k l_k h_k) / eps, f_k = h_k + eps log(b/u),
// with p = 0. Such a b is blurred: for normals of one variance s^2 and c = |x - y|^2 it has s^2 + eps/2. The
// debiased barycentre, of least sum_k l_k S_eps(b, a_k) with the Sinkhorn divergence S, has s^2 itself; there
// p is the potential of b to itself, found along the way (Janati, Cuturi, Gramfort 2020, "Debiased Sinkhorn
// barycenters").
//
// Free support, points sought (Cuturi & Doucet 2014): for c = |x - y|^2 and plans P_k that are held, the best
// place of a point is the mean of what its mass goes to, x_i = sum_k l_k (P_k y_k)_i / w_i; plans and places
// in turn never raise the objective.
#pragma once
#include <sbi/ot/exact.hpp>
#include <sbi/ot/plan_gradient.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

namespace sbi::ot {

/// One of the clouds to average: points [m, d] with weights [m] (empty: uniform) and its share of the mean.
/// Shares are scaled to sum 1; a cloud of share 0 plays no part.
template <class T> struct BarycentreInput {
  View<const T> points;
  std::span<const T> weights;
  double share = 1;
};

struct BarycentreOptions {
  SinkhornOptions sinkhorn; ///< epsilon in units of the cost; prices have to be infinite
  bool debiased = false;
};

template <class T> struct Barycentre {
  std::vector<T> weights; ///< [n] on the support, of the clouds' mass
  /// For each cloud the potentials of its plan with respect to uniform weights on the support:
  /// `transport_plan(be, cost, {}, weights of the cloud, transport, epsilon)`. Its rows are `weights`.
  std::vector<SinkhornResult<T>> transport;
  /// The largest relative l1 error of a marginal: of the plans' columns and, debiased, of the plan from the
  /// barycentre to itself.
  double residual = std::numeric_limits<double>::infinity();
  int iterations = 0;
  bool converged = false;
};

struct FreeBarycentreOptions {
  SinkhornOptions sinkhorn; ///< of the plans; epsilon = 0: exact plans
  double tolerance = 0;     ///< of the residual; 0: 1e-4 in float, 1e-6 in double
  int max_iterations = 100; ///< rounds of plans and places
};

template <class T> struct FreeBarycentre {
  Tensor<T> points; ///< [n, d]
  double value = 0; ///< sum_k l_k OT(points, a_k) of exactly these points
  /// Root mean square of the step that would come next, relative to that of the clouds about their common
  /// mean. The step is the gradient of the value with respect to a point divided by twice its weight.
  double residual = std::numeric_limits<double>::infinity();
  int iterations = 0;
  bool converged = false; ///< whether the residual and all the last plans have reached their tolerances
};

namespace detail {

/// The clouds that count, their shares scaled to sum 1 and their masses to that of the first.
template <class T> struct BarycentreInputs {
  std::vector<std::size_t> which;
  std::vector<double> share;
  std::vector<Weights<T>> weights;

  BarycentreInputs(const char* who, std::span<const BarycentreInput<T>> clouds, index_t d) {
    double sum = 0;
    for (std::size_t k = 0; k < clouds.size(); ++k) {
      const BarycentreInput<T>& cloud = clouds[k];
      if (!is_finite(cloud.share) || cloud.share < 0)
        throw ValueError(sbi::text(who, ": share ", k, " = ", cloud.share, "; want >= 0 and finite"));
      check_points(who, "a cloud", cloud.points);
      if (cloud.points.cols() != d)
        throw ShapeError(sbi::text(who, ": cloud ", k, " is ", cloud.points.shape, "; want [m,", d, "]"));
      if (cloud.share == 0) continue;
      Weights<T> a("of a cloud", cloud.weights, cloud.points.rows());
      if (!weights.empty()) balance(who, weights.front(), a);
      which.push_back(k), share.push_back(cloud.share), weights.push_back(std::move(a));
      sum += cloud.share;
    }
    if (!(sum > 0))
      throw ValueError(
          sbi::text(who, ": the shares of ", clouds.size(), " clouds sum to ", sum, "; want > 0"));
    for (double& s : share) s /= sum;
  }
};

template <class T> [[nodiscard]] bool same_points(View<const T> x, View<const T> y) {
  return x.data == y.data && x.shape == y.shape && x.row_stride == y.row_stride;
}
} // namespace detail

/// The barycentre on a given support [n, d], in general of other points than the clouds'; clouds on one grid
/// share their cost matrix when they are views of the same array. Epsilon falls along the schedule of
/// `sinkhorn`. The debiased problem undoes a blur: structure well below sqrt(eps / 2) appears slowly, and a
/// small residual says little about it. Throws ShapeError for sizes that do not fit; ValueError for bad
/// options, shares, weights, points, and masses that differ; a run that does not converge is no error here:
/// see `converged`.
template <class B, class C, class T = typename B::compute_t>
requires Cost<C, T>
[[nodiscard]] Barycentre<T> barycentre(const B& be, const C& cost,
                                       std::type_identity_t<View<const T>> support,
                                       std::type_identity_t<std::span<const BarycentreInput<T>>> clouds,
                                       const BarycentreOptions& options) {
  constexpr const char* who = "barycentre";
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_balanced(who, run);
  detail::check_points(who, "support", support);
  const detail::BarycentreInputs<T> in(who, clouds, support.cols());
  const Weights<T> u("of the support", {}, support.rows());
  const std::size_t n = u.value.size(), count = in.which.size();

  std::vector<View<const T>> origin;
  std::vector<Tensor<T>> matrix, turned;
  const auto matrix_to = [&](View<const T> points) {
    for (std::size_t k = 0; k < origin.size(); ++k)
      if (detail::same_points<T>(origin[k], points)) return k;
    origin.push_back(points);
    matrix.push_back(cost_matrix(be, cost, support, points));
    turned.push_back(detail::transposed<T>(matrix.back().view(), support.rows()));
    return origin.size() - 1;
  };
  std::vector<std::size_t> at;
  double range = 0;
  for (std::size_t k = 0; k < count; ++k) {
    at.push_back(matrix_to(clouds[in.which[k]].points));
    range = std::max(range, detail::checked_range<B, T>(be, matrix[at[k]].view(), u, in.weights[k]));
  }
  const std::size_t self = options.debiased ? matrix_to(support) : 0;

  const double tolerance = detail::tolerance_of<T>(run);
  Barycentre<T> out;
  out.transport.resize(clouds.size());
  std::vector<std::size_t> first; // of each cloud in the state, which is all g
  std::vector<double> importance;
  for (std::size_t k = 0; k < count; ++k) {
    first.push_back(importance.size());
    for (double a : in.weights[k].value) importance.push_back(in.share[k] * a / in.weights[k].mass);
    out.transport[in.which[k]].f.resize(n), out.transport[in.which[k]].g.resize(in.weights[k].value.size());
  }
  std::vector<T> state(importance.size(), T{0}), image(state), p(n, T{0}), next_p(p), own(n);
  std::vector<double> ratio(n); // log(b / u)
  Weights<T> b = u;
  Anderson<T> accelerate(importance, std::max(range, run.epsilon));
  std::tie(out.residual, out.iterations) = detail::anneal(run, range, tolerance, [&](double eps) {
    // With p, whose fine structure the residual hardly sees, extrapolation fails.
    if (!options.debiased && eps == run.epsilon && out.residual < detail::rough)
      accelerate.step(state, image);
    else
      state = image, accelerate.restart();
    p = next_p;
    for (std::size_t i = 0; i < n; ++i) ratio[i] = static_cast<double>(p[i]) / eps;
    for (std::size_t k = 0; k < count; ++k) {
      SinkhornResult<T>& plan = out.transport[in.which[k]];
      std::copy_n(state.data() + first[k], plan.g.size(), plan.g.begin());
      softmin(be, matrix[at[k]].view(), in.weights[k].log, plan.g, eps, plan.f); // h, for now
      for (std::size_t i = 0; i < n; ++i) ratio[i] -= in.share[k] * static_cast<double>(plan.f[i]) / eps;
    }
    b.assign_scaled(u, ratio);
    out.residual = 0;
    for (std::size_t k = 0; k < count; ++k) {
      SinkhornResult<T>& plan = out.transport[in.which[k]];
      for (std::size_t i = 0; i < n; ++i)
        plan.f[i] = static_cast<T>(static_cast<double>(plan.f[i]) + eps * ratio[i]);
      std::vector<T> next(plan.g.size());
      softmin(be, turned[at[k]].view(), u.log, plan.f, eps, next);
      plan.residual = detail::row_residual(in.weights[k], plan.g, next, eps, exact_marginal, plan.mass);
      out.residual = std::max(out.residual, plan.residual);
      std::copy(next.begin(), next.end(), image.data() + first[k]);
    }
    if (options.debiased) {
      softmin(be, matrix[self].view(), u.log, p, eps, own);
      double error = 0; // of the rows of the plan from b to itself
      for (std::size_t i = 0; i < n; ++i) {
        const double wish = eps * ratio[i] + static_cast<double>(own[i]);
        error += b.value[i] * std::abs(std::expm1((static_cast<double>(p[i]) - wish) / eps));
        next_p[i] = static_cast<T>(0.5 * (static_cast<double>(p[i]) + wish));
      }
      out.residual = std::max(out.residual, error / b.mass);
    }
    return out.residual;
  });
  out.converged = out.residual <= tolerance;
  b.scale(in.weights.front().mass / b.mass);
  for (double w : b.value) out.weights.push_back(static_cast<T>(w));
  for (const std::size_t k : in.which) {
    out.transport[k].converged = out.transport[k].residual <= tolerance;
    out.transport[k].iterations = out.iterations;
  }
  return out;
}

/// The barycentre of as many points as `start` [n, d] has, with the given weights (empty: uniform), under
/// |x - y|^2: `start` is where they begin. The problem is not convex, other starts may give other results.
/// With epsilon > 0 the points are drawn together by the blur of the plans. A point without weight stays
/// where it is. Throws ShapeError for sizes that do not fit; ValueError for bad options, shares, weights,
/// points, and masses that differ; a run that does not converge is no error here: see `converged`.
template <class B, class T = typename B::compute_t>
[[nodiscard]] FreeBarycentre<T>
free_barycentre(const B& be, std::type_identity_t<std::span<const BarycentreInput<T>>> clouds,
                std::type_identity_t<View<const T>> start, std::type_identity_t<std::span<const T>> weights,
                const FreeBarycentreOptions& options) {
  constexpr const char* who = "free barycentre";
  const SinkhornOptions& run = options.sinkhorn;
  const bool exact = run.epsilon == 0;
  if (!exact) detail::check_balanced(who, run);
  if (options.max_iterations < 1 || !(options.tolerance >= 0))
    throw ValueError(sbi::text(who, ": max_iterations = ", options.max_iterations,
                               ", tolerance = ", options.tolerance, "; want >= 1 and >= 0"));
  detail::check_points(who, "start", start);
  const index_t n = start.rows(), d = start.cols();
  const detail::BarycentreInputs<T> in(who, clouds, d);
  const std::size_t count = in.which.size();
  Weights<T> w("of the barycentre", weights, n);
  w.scale(1 / w.mass), w.scale(in.weights.front().mass);
  const auto plain = [](const Weights<T>& from) {
    return std::vector<T>(from.value.begin(), from.value.end());
  };
  const std::vector<T> own = plain(w);
  std::vector<std::vector<T>> others;
  for (const Weights<T>& a : in.weights) others.push_back(plain(a));

  std::vector<double> mean(static_cast<std::size_t>(d), 0);
  double spread = 0;
  const auto each_coordinate = [&](auto&& use) {
    for (std::size_t k = 0; k < count; ++k) {
      const View<const T> y = clouds[in.which[k]].points;
      for (index_t j = 0; j < y.rows(); ++j)
        for (index_t c = 0; c < d; ++c)
          use(in.share[k] * in.weights[k].value[static_cast<std::size_t>(j)] / w.mass,
              static_cast<double>(y(j, c)), mean[static_cast<std::size_t>(c)]);
    }
  };
  each_coordinate([](double share, double y, double& centre) { centre += share * y; });
  each_coordinate(
      [&](double share, double y, double centre) { spread += share * (y - centre) * (y - centre); });
  if (spread == 0) spread = 1; // all clouds are one point

  FreeBarycentre<T> out;
  out.points = Tensor<T>(start.shape);
  for (index_t i = 0; i < n; ++i) std::copy_n(start.row(i), d, out.points.row(i));
  std::vector<SinkhornResult<T>> plans(count);
  std::vector<ExactResult> best(count);
  const double tolerance = detail::tolerance_of<T>(options.tolerance);
  const auto to = [&](std::size_t k) {
    return cost_matrix(be, SquaredEuclidean{}, out.points.view(), clouds[in.which[k]].points);
  };
  for (;;) {
    ++out.iterations;
    Tensor<T> gradient(start.shape); // of the value
    out.value = 0;
    bool solved = true;
    if (exact)
      be.for_each(static_cast<index_t>(count), [&](index_t cloud) {
        const auto k = static_cast<std::size_t>(cloud);
        best[k] = exact_transport<T>(to(k).view(), own, others[k]);
      });
    for (std::size_t k = 0; k < count; ++k) {
      const View<const T> y = clouds[in.which[k]].points;
      if (exact) {
        out.value += in.share[k] * best[k].value, solved = solved && best[k].optimal;
        for (const Shipment& s : best[k].plan)
          for (index_t c = 0; c < d; ++c)
            gradient(s.from, c) +=
                static_cast<T>(2 * in.share[k] * s.mass) * (out.points(s.from, c) - y(s.to, c));
      } else {
        const Tensor<T> matrix = to(k);
        const SinkhornResult<T> before = std::move(plans[k]);
        plans[k] = sinkhorn(be, matrix.view(), own, others[k], run, before.f.empty() ? nullptr : &before);
        out.value += in.share[k] * plans[k].value, solved = solved && plans[k].converged;
        detail::add_plan_gradient<B, SquaredEuclidean, T>(
            be, SquaredEuclidean{}, matrix.view(), out.points.view(), y,
            detail::biases<T>(w.log, plans[k].f, run.epsilon),
            detail::biases<T>(in.weights[k].log, plans[k].g, run.epsilon), run.epsilon,
            static_cast<T>(in.share[k]), gradient);
      }
    }
    double square = 0;
    for (index_t i = 0; i < n; ++i)
      if (const double weight = w.value[static_cast<std::size_t>(i)]; weight > 0)
        for (index_t c = 0; c < d; ++c) {
          const double step = static_cast<double>(gradient(i, c)) / (2 * weight);
          square += weight / w.mass * step * step;
          gradient(i, c) = static_cast<T>(step);
        }
    out.residual = std::sqrt(square / spread);
    out.converged = out.residual <= tolerance && solved;
    if (out.residual <= tolerance || out.iterations >= options.max_iterations) return out;
    for (index_t k = 0; k < out.points.size(); ++k) out.points.data()[k] -= gradient.data()[k];
  }
}

} // namespace sbi::ot
