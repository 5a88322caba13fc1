// SPDX-License-Identifier: MIT
// Gromov-Wasserstein transport between clouds of different spaces: couples points whose distances to the
// other points of their own cloud agree.
//
//   GW_eps(x, y) = min_P E(P) + eps KL(P | a x b),   P 1 = a, P^T 1 = b,
//   E(P) = sum_ijkl (|x_i - x_k|^2 - |y_j - y_l|^2)^2 P_ij P_kl.
//
// For squared Euclidean distances the four-fold sum never appears (Zhang, Goldfeld, Mroueh, Sriperumbudur
// 2024, Ann. Stat. 52): with centred clouds, m2 = sum_i a_i |x_i|^2 and M = X^T P Y,
//   E(P) = K - 4 sum_ij P_ij |x_i|^2 |y_j|^2 - 8 |M|^2
//        = K + min_A 32 |A|^2 + <P, c_A>,   c_A(i, j) = -4 |x_i|^2 |y_j|^2 - 32 x_i^T A y_j,   A = M / 2,
// so that A <- M / 2 and P <- Sinkhorn(c_A) in turn are exact block descent: the objective never rises. c_A
// is a dot product of dy + 1 coordinates: large clouds need no matrix, neither within nor between them.
#pragma once
#include <sbi/ot/factorisation.hpp>
#include <sbi/ot/plan_gradient.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace sbi::ot {

struct GromovOptions {
  SinkhornOptions sinkhorn; ///< of the inner problems; epsilon in units of the cost, a distance to the fourth
  double tolerance = 1e-7;  ///< of the objective's relative fall in one round
  int max_iterations = 500; ///< rounds of the best start
  int trial_iterations = 10; ///< rounds after which the best start is chosen
  bool gradients = true;
};

template <class T> struct GromovResult {
  double value = 0;       ///< E(P): the distortion of the plan
  double objective = 0;   ///< E(P) + eps KL(P | a x b)
  DotForm<T> cost;        ///< c_A, the linear problem whose plan this is; see `stored_cost`
  SinkhornResult<T> plan; ///< its potentials; see `transport_plan`
  Tensor<double> moment;  ///< [dx,dy] A = X^T P Y / 2 about the means
  Tensor<T> dx, dy;       ///< [n,dx], [m,dy] gradients of the objective
  int iterations = 0;
  /// Whether the objective has settled and the last inner problem has reached its tolerance.
  bool converged = false;
};

/// The matrix [n, m] of a cost in dot-product form.
template <class B, class T> [[nodiscard]] Tensor<T> stored_cost(const B& be, const DotForm<T>& cost) {
  Tensor<T> out(cost.shape());
  be.for_each((out.rows() + detail::row_block - 1) / detail::row_block, [&](index_t block) {
    const ArenaScope scope(be.arena());
    const index_t first = block * detail::row_block, rows = std::min(detail::row_block, out.rows() - first);
    const View<const T> part = detail::cost_rows(be, cost, first, rows);
    for (index_t r = 0; r < rows; ++r) std::copy_n(part.row(r), out.cols(), out.row(first + r));
  });
  return out;
}

namespace detail {

/// A centred cloud, its weights scaled to sum 1, and its moments.
template <class T> struct CentredCloud {
  Tensor<T> points;
  Weights<T> weights;
  std::vector<double> square; ///< |x_i|^2
  Column mean;                ///< that was taken out
  Matrix covariance;
  double m2 = 0, m4 = 0;

  CentredCloud(View<const T> x, Weights<T> a)
      : points(x.shape), weights(std::move(a)), square(weights.value.size(), 0),
        mean(static_cast<std::size_t>(x.cols()), 0), covariance(Shape{x.cols(), x.cols()}) {
    const index_t n = x.rows(), d = x.cols();
    weights.scale(1 / weights.mass);
    const std::vector<double>& weight = weights.value;
    for (index_t i = 0; i < n; ++i)
      for (index_t k = 0; k < d; ++k)
        mean[static_cast<std::size_t>(k)] +=
            weight[static_cast<std::size_t>(i)] * static_cast<double>(x(i, k));
    Column of(mean.size());
    double* const p = of.data();
    for (index_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      for (index_t k = 0; k < d; ++k) {
        p[k] = static_cast<double>(x(i, k)) - mean[static_cast<std::size_t>(k)];
        points(i, k) = static_cast<T>(p[k]);
      }
      square[at] = dot(of, of);
      m2 += weight[at] * square[at], m4 += weight[at] * square[at] * square[at];
      for (index_t k = 0; k < d; ++k)
        for (index_t l = 0; l < d; ++l) covariance(k, l) += weight[at] * p[k] * p[l];
    }
  }
  [[nodiscard]] index_t size() const { return points.rows(); }
  /// [x, |x|^2, 1] of every point, [n, d + 2].
  [[nodiscard]] Tensor<T> lifted() const {
    const index_t d = points.cols();
    Tensor<T> out(Shape{size(), d + 2});
    for (index_t i = 0; i < size(); ++i) {
      std::copy_n(points.row(i), d, out.row(i));
      out(i, d) = static_cast<T>(square[static_cast<std::size_t>(i)]), out(i, d + 1) = T{1};
    }
    return out;
  }
  /// sum_ik a_i a_k |x_i - x_k|^4
  [[nodiscard]] double self_cost() const { return 2 * m4 + 2 * m2 * m2 + 4 * squared_norm(covariance); }
};

/// Sinkhorn for a cost in dot-product form, stored or not as for points of as many coordinates.
template <class B, class T>
[[nodiscard]] SinkhornResult<T> solve_form(const B& be, const DotForm<T>& cost, const Weights<T>& a,
                                           const Weights<T>& b, const SinkhornOptions& run,
                                           const SinkhornResult<T>* start) {
  const std::vector<T>* f = start ? &start->f : nullptr;
  if (recomputes<B, SquaredEuclidean, T>(run, cost.q.rows(), cost.k.rows(), cost.q.cols()))
    return alternate<B, T>(be, cost, a, b, for_form(cost, run), f);
  const Tensor<T> matrix = stored_cost(be, cost);
  return alternate<B, T>(be, View<const T>(matrix.view()), a, b, run, f);
}

/// P Z [n, columns of Z] for the plan P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps).
template <class B, class T>
[[nodiscard]] Matrix plan_times(const B& be, const DotForm<T>& cost, const std::vector<T>& f,
                                const std::vector<T>& g, double eps, const Weights<T>& a, const Weights<T>& b,
                                const Tensor<T>& z) {
  const index_t n = cost.q.rows(), m = z.rows(), width = z.cols();
  constexpr index_t chunk = 2048; // columns whose sums stay in T
  const std::vector<T> left = biases<T>(a.log, f, eps), right = biases<T>(b.log, g, eps);
  Matrix out(Shape{n, width});
  be.for_each((n + row_block - 1) / row_block, [&](index_t block) {
    const FlushDenormals flush;
    const index_t first = block * row_block, rows = std::min(row_block, n - first);
    Arena& arena = be.arena();
    const ArenaScope scope(arena);
    const View<T> plan(arena.template array<T>(rows * m), Shape{rows, m});
    const View<T> part(arena.template array<T>(rows * width), Shape{rows, width});
    const View<const T> costs = cost_rows(be, cost, first, rows);
    for (index_t r = 0; r < rows; ++r) {
      plan_row(row_of(be, m), costs.row(r), right.data(), left[static_cast<std::size_t>(first + r)],
               static_cast<T>(1 / eps), plan.row(r));
      std::fill_n(out.row(first + r), width, 0.0);
    }
    for (index_t j = 0; j < m; j += chunk) {
      const index_t count = std::min(chunk, m - j);
      gemm(be, View<const T>(plan.columns(j, count)), Transpose::no, z.view().row_block(j, count),
           Transpose::no, part, Write::overwrite);
      for (index_t r = 0; r < rows; ++r)
        for (index_t k = 0; k < width; ++k) out(first + r, k) += static_cast<double>(part(r, k));
    }
  });
  return out;
}

/// Moments A = X^T P Y / 2 that pair the clouds' principal axes, with every choice of signs of the first few.
template <class T>
[[nodiscard]] std::vector<Tensor<T>> axis_pairings(const Tensor<T>& covariance_x,
                                                   const Tensor<T>& covariance_y) {
  const Eigensystem<T> p = eigensystem(covariance_x), q = eigensystem(covariance_y);
  const index_t dx = covariance_x.rows(), dy = covariance_y.rows(), axes = std::min(dx, dy);
  const index_t free = std::min<index_t>(axes, 4);
  const Tensor<T> turned = transposed(q.vectors);
  std::vector<Tensor<T>> out;
  for (unsigned signs = 0; signs < 1u << free; ++signs) {
    Tensor<T> scaled(Shape{dx, dy}); // axes of x as columns, where those of y have their partners
    for (index_t k = 0; k < axes; ++k) {
      const index_t at_x = dx - 1 - k, at_y = dy - 1 - k;
      const T spread = std::sqrt(std::max(T{0}, p.values[static_cast<std::size_t>(at_x)] *
                                                    q.values[static_cast<std::size_t>(at_y)]));
      const T half = (k < free && (signs >> k & 1u) ? -spread : spread) / 2;
      for (index_t i = 0; i < dx; ++i) scaled(i, at_y) = half * p.vectors(i, at_x);
    }
    out.push_back(product(scaled, turned));
  }
  return out;
}

/// The problem between two centred clouds of unit mass.
template <class B, class T> class GromovProblem {
public:
  GromovProblem(const B& be, View<const T> x, View<const T> y, const Weights<T>& a, const Weights<T>& b)
      : be_(be), x_(x, a), y_(y, b), zx_(x_.lifted()), zy_(y_.lifted()),
        constant_(x_.self_cost() + y_.self_cost() - 4 * x_.m2 * y_.m2) {}

  [[nodiscard]] std::vector<Matrix> starts() const {
    std::vector<Matrix> out = axis_pairings(x_.covariance, y_.covariance);
    // The product plan at times leads further down; between symmetric clouds it is a saddle, never left.
    out.emplace_back(Shape{x_.covariance.rows(), y_.covariance.rows()});
    return out;
  }
  /// One round from out.moment: the plan of its cost, the objective it gives and the next moment.
  void round(const SinkhornOptions& options, GromovResult<T>& out) const {
    out.cost = cost(out.moment);
    const SinkhornResult<T> before = std::move(out.plan);
    out.plan =
        solve_form(be_, out.cost, x_.weights, y_.weights, options, before.f.empty() ? nullptr : &before);
    double squares = 0; // sum_ij P_ij |x_i|^2 |y_j|^2
    Matrix next = moment(out, options.epsilon, squares);
    scale(next, 0.5);
    // E of the plan itself, whose moment is not the one that it was made for.
    out.value = constant_ - 4 * squares - 32 * squared_norm(next);
    const double linear = // <P, c_A>
        -4 * squares - 64 * std::inner_product(next.begin(), next.end(), out.moment.begin(), 0.0);
    out.objective = out.value + out.plan.value - linear;
    out.moment = std::move(next);
    ++out.iterations;
  }
  /// Gradients of the objective by the envelope theorem: plan and moment are held.
  void gradients(double eps, GromovResult<T>& out) const {
    const auto& [f, g] = std::tie(out.plan.f, out.plan.g);
    const Weights<T>&a = x_.weights, &b = y_.weights;
    out.dx = gradient(x_, y_.m2, plan_times(be_, out.cost, f, g, eps, a, b, zy_), out.moment);
    out.dy = gradient(y_, x_.m2, plan_times(be_, out.cost.transposed(), g, f, eps, b, a, zx_),
                      transposed(out.moment));
  }

private:
  [[nodiscard]] DotForm<T> cost(const Matrix& a) const {
    const index_t n = x_.size(), m = y_.size(), d = y_.points.cols();
    DotForm<T> out{Tensor<T>(Shape{n, d + 1}), Tensor<T>(Shape{m, d + 1}),
                   std::vector<double>(static_cast<std::size_t>(n), 0),
                   std::vector<double>(static_cast<std::size_t>(m), 0)};
    const Matrix paired = product(x_.points, a);
    for (index_t i = 0; i < n; ++i) {
      for (index_t k = 0; k < d; ++k) out.q(i, k) = static_cast<T>(32 * paired(i, k));
      out.q(i, d) = static_cast<T>(4 * x_.square[static_cast<std::size_t>(i)]);
    }
    for (index_t j = 0; j < m; ++j) std::copy_n(zy_.row(j), d + 1, out.k.row(j));
    return out;
  }
  /// X^T P Y, and the sum of P_ij |x_i|^2 |y_j|^2.
  [[nodiscard]] Matrix moment(const GromovResult<T>& out, double eps, double& squares) const {
    const Matrix of = plan_times(be_, out.cost, out.plan.f, out.plan.g, eps, x_.weights, y_.weights, zy_);
    const index_t d = y_.points.cols();
    squares = 0;
    for (index_t i = 0; i < x_.size(); ++i) squares += x_.square[static_cast<std::size_t>(i)] * of(i, d);
    return transposed_product(x_.points, of, d);
  }
  /// `of`: sum_j P_ij (y_j, |y_j|^2, 1) of every row.
  [[nodiscard]] static Tensor<T> gradient(const CentredCloud<T>& x, double m2_y, const Matrix& of,
                                          const Matrix& moment) {
    const index_t n = x.size(), d = x.points.cols(), square = of.cols() - 2;
    const Matrix spread = product(x.points, x.covariance), paired = product(of, transposed(moment));
    Matrix all(Shape{n, d});
    Column drift(static_cast<std::size_t>(d), 0); // centring takes out what moves all points alike
    for (index_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double w = x.weights.value[at], own = 8 * (x.square[at] + x.m2 - m2_y);
      for (index_t k = 0; k < d; ++k) { // of K, then of <P, c_A>
        const double p = static_cast<double>(x.points(i, k));
        all(i, k) = w * (own * p + 16 * spread(i, k)) - (8 * of(i, square) * p + 32 * paired(i, k));
        drift[static_cast<std::size_t>(k)] += all(i, k);
      }
    }
    Tensor<T> out(x.points.shape());
    for (index_t i = 0; i < n; ++i)
      for (index_t k = 0; k < d; ++k)
        out(i, k) = static_cast<T>(all(i, k) - x.weights.value[static_cast<std::size_t>(i)] *
                                                   drift[static_cast<std::size_t>(k)]);
    return out;
  }

  const B& be_;
  CentredCloud<T> x_, y_;
  Tensor<T> zx_, zy_;
  double constant_;
};

} // namespace detail

/// Entropic Gromov-Wasserstein transport of x [n, dx] with weights a to y [m, dy] with weights b (empty:
/// uniform; both are scaled to sum 1) under squared Euclidean distances. The problem is not convex: it starts
/// from the pairings of the principal axes with all signs of the first four and from the product plan (up to
/// 17 starts), and goes on with the best after `trial_iterations`. A round costs a Sinkhorn solution of an
/// [n, m] problem, warm from the last one, in O(n + m) memory where its costs are not stored (`Costs`, as for
/// points of dy + 1 coordinates). Throws ShapeError for clouds without points, ValueError for coordinates,
/// weights or options that are not usable; whether the result converged it says itself.
template <class B, class T = typename B::compute_t>
[[nodiscard]] GromovResult<T>
entropic_gromov(const B& be, std::type_identity_t<View<const T>> x, std::type_identity_t<View<const T>> y,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                const GromovOptions& options) {
  const SinkhornOptions& run = options.sinkhorn;
  detail::check_balanced("gromov", run);
  if (options.max_iterations < 1 || options.trial_iterations < 1)
    throw ValueError(sbi::text("gromov: ", options.max_iterations, " iterations, ", options.trial_iterations,
                               " of a trial; want at least 1"));
  if (!(options.tolerance >= 0))
    throw ValueError(sbi::text("gromov: tolerance = ", options.tolerance, "; want >= 0"));
  detail::check_points("gromov", "x", x);
  detail::check_points("gromov", "y", y);
  const detail::GromovProblem<B, T> problem(be, x, y, Weights<T>("a", a, x.rows()),
                                            Weights<T>("b", b, y.rows()));

  GromovResult<T> best;
  for (const Tensor<double>& start : problem.starts()) {
    GromovResult<T> trial;
    trial.moment = start;
    for (int i = 0; i < std::min(options.trial_iterations, options.max_iterations); ++i)
      problem.round(run, trial);
    if (best.iterations == 0 || trial.objective < best.objective) best = std::move(trial);
  }
  bool done = false;
  while (!done && best.iterations < options.max_iterations) {
    const double before = best.objective;
    problem.round(run, best);
    done =
        before - best.objective <= options.tolerance * std::max(std::abs(best.objective), std::abs(before));
  }
  best.converged = done && best.plan.converged;
  if (options.gradients) problem.gradients(run.epsilon, best);
  return best;
}

} // namespace sbi::ot
