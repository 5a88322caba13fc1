// SPDX-License-Identifier: MIT
// Unbalanced Gromov-Wasserstein transport: its options, and the descent on its bi-convex relaxation
// (Sejourne, Vialard, Peyre 2021, NeurIPS, "The unbalanced Gromov Wasserstein distance").
//
//   min_P  L(P) = E(P) + m(P) <M, P> + rho_a KL2(P 1 | a) + rho_b KL2(P^T 1 | b) + eps KL2(P | a x b),
//   KL2(p | q) = KL(p x p | q x q) = 2 m(p) sum p log(p / q) - m(p)^2 + m(q)^2,   m(p) = sum p.
//
// Every term is quadratic in P; with one P of each pair replaced by Q,
//   F(P, Q) = sum_ijkl L(X_ik, Y_jl) P_ij Q_kl + (m(Q) <M, P> + m(P) <M, Q>) / 2 + ... KL(p x q | ...),
// is convex in each of the two and unchanged for (s P, Q / s). For given Q the best P is unbalanced transport
// under the cost c_Q + rho_a sum q_1 log(q_1 / a) + rho_b sum q_2 log(q_2 / b) + eps sum Q log(Q / a x b)
// with m(Q) eps, m(Q) rho_a, m(Q) rho_b in place of eps and the prices. Then both get the same mass, P takes
// the place of Q, and so on: F never rises, and where the two are the same plan, it is stationary for L.
#pragma once
#include <sbi/ot/dense.hpp>
#include <sbi/ot/fused_problem.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

struct UnbalancedGromovOptions {
  /// Of the inner problems. Epsilon and the prices are those of L, in units of E: a squared distortion, for
  /// squared distances a distance to the fourth. Infinite prices make marginals exact; for both infinite and
  /// masses of 1 the plan is that of the balanced problem with twice this epsilon.
  SinkhornOptions sinkhorn;
  double tolerance = 1e-9;   ///< of F's relative fall in one round, and of the relative difference of F and L
  int max_iterations = 1000; ///< rounds of the best start
  int trial_iterations = 10; ///< rounds after which the best start is chosen
  /// Factor of epsilon in a start's first round, from where it falls to 1 over half of the trial.
  double annealing = 10;
  int random_starts = 4; ///< beside those that the problem suggests
  std::uint64_t seed = 1;
  bool gradients = true;
};

/// What is known of a solution; the plan itself is P_ij = a_i b_j exp((f_i + g_j - c_ij) / epsilon).
template <class T> struct UnbalancedGromov {
  double value = 0;                  ///< E(P) + m(P) <M, P>
  double objective = 0;              ///< L(P)
  double relaxed = 0;                ///< F of the last two plans; L(P) where they are the same
  double mass = 0;                   ///< m(P)
  std::vector<double> rows, columns; ///< [n], [m] marginals of P
  SinkhornResult<T> potentials;      ///< of the last inner problem; `f` fits the mass of P
  double epsilon = 0;                ///< of the last inner problem
  int iterations = 0;                ///< of the best start
  /// Whether F has settled, L(P) agrees with it and the last inner problem is solved. A stationary point need
  /// not be the global minimum.
  bool converged = false;
};

namespace detail {

inline void check(const UnbalancedGromovOptions& o) {
  check(o.sinkhorn);
  if (!(o.tolerance >= 0))
    throw ValueError(sbi::text("unbalanced gromov: tolerance = ", o.tolerance, "; want >= 0"));
  if (o.max_iterations < 1 || o.trial_iterations < 1 || o.random_starts < 0)
    throw ValueError(sbi::text("unbalanced gromov: ", o.max_iterations, " iterations, ", o.trial_iterations,
                               " of a trial, ", o.random_starts, " random starts; want 1, 1, 0 or more"));
  if (!(o.annealing >= 1 && is_finite(o.annealing)))
    throw ValueError(
        sbi::text("unbalanced gromov: annealing = ", o.annealing, "; want a finite factor >= 1"));
}

/// sum_i p_i log(p_i / a_i)
inline double relative(const std::vector<double>& p, const std::vector<double>& a) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (p[i] > 0 && a[i] > 0) sum += p[i] * std::log(p[i] / a[i]);
  return sum;
}

/// The descent. D is the distortion, with plans `D::Plan` (marginals, entropy, mass) and their costs.
template <class D, class T> class UnbalancedDescent {
public:
  struct State {
    typename D::Plan plan;
    typename D::Cost slope;               ///< c_P
    std::optional<typename D::Cost> cost; ///< of the inner problem that gave P
    SinkhornResult<T> potentials;
    double epsilon = 0, mass_factor = 1; ///< of the inner problem; by what P differs from its solution
    double relaxed = 0, value = 0, objective = 0;
    int iterations = 0;
  };

  UnbalancedDescent(const D& distortion, const Weights<T>& a, const Weights<T>& b,
                    const UnbalancedGromovOptions& options)
      : of_(distortion), a_(a), b_(b), o_(options) {}

  /// The mass of plans with which both marginals' conditions can be met.
  [[nodiscard]] double start_mass() const {
    if (!is_finite(o_.sinkhorn.rho_a)) return a_.mass;
    return is_finite(o_.sinkhorn.rho_b) ? std::sqrt(a_.mass * b_.mass) : b_.mass;
  }
  /// The best of the starts, and whether it has settled.
  [[nodiscard]] std::pair<State, bool> run(std::vector<typename D::Plan> starts) const {
    State best;
    for (typename D::Plan& start : starts) {
      State trial;
      trial.plan = std::move(start);
      trial.slope = of_.slope(trial.plan);
      const int half = o_.trial_iterations / 2;
      bool some = true; // moments that no plan has may ask for a mass out of range
      for (int r = 0; some && r < std::min(o_.trial_iterations, o_.max_iterations); ++r)
        some = round(trial, r < half ? std::pow(o_.annealing, 1 - r / static_cast<double>(half)) : 1);
      if (some && (best.iterations == 0 || trial.objective < best.objective)) best = std::move(trial);
    }
    bool some = best.iterations > 0, done = false;
    while (some && !done && best.iterations < o_.max_iterations) {
      const double before = best.relaxed;
      some = round(best, 1);
      const double rounding =
          64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * of_.size(best.plan);
      const double enough =
          std::max(rounding, o_.tolerance * std::max(std::abs(before), std::abs(best.relaxed)));
      done = before - best.relaxed <= enough && std::abs(best.objective - best.relaxed) <= enough;
    }
    if (!some)
      throw NumericalError("unbalanced gromov: no plan keeps a mass that is a normal number; want larger "
                           "prices or epsilon");
    return {std::move(best), done};
  }
  /// What a state tells a user.
  void report(State& s, bool done, UnbalancedGromov<T>& out) const {
    out.value = s.value, out.objective = s.objective, out.relaxed = s.relaxed;
    out.mass = s.plan.mass(), out.epsilon = s.epsilon, out.iterations = s.iterations;
    out.rows = s.plan.rows, out.columns = s.plan.columns;
    out.potentials = std::move(s.potentials);
    for (T& f : out.potentials.f)
      f = static_cast<T>(static_cast<double>(f) + s.epsilon * std::log(s.mass_factor));
    out.potentials.mass = out.mass;
    out.converged = done && out.potentials.converged;
  }

private:
  /// The terms of F(P, Q) beside the distortion.
  [[nodiscard]] double divergences(const typename D::Plan& p, const typename D::Plan& q) const {
    const double mp = p.mass(), mq = q.mass();
    const auto of = [&](double price, double p_log, double q_log, double reference) {
      return is_finite(price) ? price * (mq * p_log + mp * q_log - mp * mq + reference * reference) : 0.0;
    };
    return of(o_.sinkhorn.rho_a, relative(p.rows, a_.value), relative(q.rows, a_.value), a_.mass) +
           of(o_.sinkhorn.rho_b, relative(p.columns, b_.value), relative(q.columns, b_.value), b_.mass) +
           of(o_.sinkhorn.epsilon, p.entropy, q.entropy, a_.mass * b_.mass);
  }
  /// One round, with epsilon times `blur`; whether the plan has a mass. F and L are those of the options'
  /// epsilon.
  [[nodiscard]] bool round(State& s, double blur) const {
    const double mass = s.plan.mass();
    SinkhornOptions run = o_.sinkhorn;
    run.epsilon *= blur * mass, run.rho_a *= mass, run.rho_b *= mass;
    double constant = blur * o_.sinkhorn.epsilon * s.plan.entropy;
    if (is_finite(o_.sinkhorn.rho_a)) constant += o_.sinkhorn.rho_a * relative(s.plan.rows, a_.value);
    if (is_finite(o_.sinkhorn.rho_b)) constant += o_.sinkhorn.rho_b * relative(s.plan.columns, b_.value);
    typename D::Cost cost = s.slope;
    of_.shift(cost, constant);
    const SinkhornResult<T> before = std::move(s.potentials);
    s.potentials = of_.solve(cost, run, before.f.empty() ? nullptr : &before);
    typename D::Plan next = of_.plan(cost, s.potentials, run);
    if (const double m = next.mass(); !is_finite(m) || m < std::numeric_limits<T>::min()) return false;
    s.relaxed = of_.inner(s.slope, next) + divergences(next, s.plan);
    // A marginal that is exact fixes the mass.
    s.mass_factor = is_finite(run.rho_a) && is_finite(run.rho_b) ? std::sqrt(mass / next.mass()) : 1;
    s.epsilon = run.epsilon;
    next.scale(s.mass_factor);
    s.cost = std::move(cost), s.plan = std::move(next);
    s.slope = of_.slope(s.plan);
    s.value = of_.inner(s.slope, s.plan), s.objective = s.value + divergences(s.plan, s.plan);
    ++s.iterations;
    return true;
  }

  const D& of_;
  const Weights<T>&a_, &b_;
  const UnbalancedGromovOptions& o_;
};

/// A plan as a matrix, with what the descent asks for.
template <class T> struct MatrixPlan {
  Tensor<T> entries;
  Column rows, columns;
  double entropy = 0, linear = 0; ///< sum P log(P / a x b), <M, P>

  [[nodiscard]] double mass() const { return total(columns); }
  void scale(double factor) {
    entropy = factor * (entropy + mass() * std::log(factor));
    linear *= factor, detail::scale(rows, factor), detail::scale(columns, factor);
    for (T& v : entries) v *= static_cast<T>(factor);
  }
};

/// E(P) + m(P) <M, P> between matrices of costs. M may be an empty view.
template <class B, class T> class MatrixDistortion {
public:
  using Plan = MatrixPlan<T>;
  using Cost = Tensor<T>;

  MatrixDistortion(const B& be, View<const T> linear, View<const T> x, View<const T> y, const Weights<T>& a,
                   const Weights<T>& b, const LossRows<T>& loss)
      : be_(be), linear_(linear), x_(x), y_(y), a_(a), b_(b), energy_(be, x, y, loss) {
    weight_a_.assign(a.value.begin(), a.value.end()), weight_b_.assign(b.value.begin(), b.value.end());
  }

  [[nodiscard]] Cost slope(const Plan& q) const {
    const std::vector<double> u = energy_.row_slope(q.rows), v = energy_.column_slope(q.columns);
    const double mass = q.mass();
    Tensor<T> out;
    energy_.interaction(q.entries.view(), out);
    for_each_row(be_, out.rows(), [&](index_t i) {
      for (index_t j = 0; j < out.cols(); ++j)
        out(i, j) = static_cast<T>((u[static_cast<std::size_t>(i)] + v[static_cast<std::size_t>(j)] -
                                    static_cast<double>(out(i, j)) + q.linear +
                                    (linear_ ? mass * static_cast<double>(linear_(i, j)) : 0)) /
                                   2);
    });
    return out;
  }
  static void shift(Cost& cost, double constant) {
    for (T& c : cost) c = static_cast<T>(static_cast<double>(c) + constant);
  }
  [[nodiscard]] double inner(const Cost& cost, const Plan& p) const {
    return detail::inner<T>(be_, cost.view(), p.entries.view());
  }
  [[nodiscard]] double size(const Plan& p) const {
    return energy_.size(p.rows, p.columns) + p.mass() * std::abs(p.linear);
  }
  [[nodiscard]] SinkhornResult<T> solve(const Cost& cost, const SinkhornOptions& run,
                                        const SinkhornResult<T>* start) const {
    return sinkhorn(be_, cost.view(), weight_a_, weight_b_, run, start);
  }
  [[nodiscard]] Plan plan(const Cost& cost, const SinkhornResult<T>& of, const SinkhornOptions& run) const {
    return measured(transport_plan(be_, cost.view(), weight_a_, weight_b_, of, run.epsilon));
  }
  /// The product plan, points paired in the order of their mean cost within, points paired at random.
  [[nodiscard]] std::vector<Plan> starts(double mass, int random, std::uint64_t seed) const {
    Weights<T> a = a_, b = b_;
    a.scale(mass / a.mass), b.scale(mass / b.mass);
    Tensor<T> product(Shape{x_.rows(), y_.rows()});
    for (index_t i = 0; i < product.rows(); ++i)
      for (index_t j = 0; j < product.cols(); ++j)
        product(i, j) = static_cast<T>(a.value[static_cast<std::size_t>(i)] *
                                       b.value[static_cast<std::size_t>(j)] / mass);
    std::vector<Plan> out;
    out.push_back(measured(std::move(product)));
    std::vector<index_t> rows = by_eccentricity(x_, a.value), columns = by_eccentricity(y_, b.value);
    out.push_back(measured(in_order<T>(a.value, b.value, rows, columns)));
    for (int k = 0; k < random; ++k) {
      Rng rng(seed, static_cast<std::uint64_t>(k));
      std::sort(rows.begin(), rows.end()), std::sort(columns.begin(), columns.end());
      shuffle(rng, rows), shuffle(rng, columns);
      out.push_back(measured(in_order<T>(a.value, b.value, rows, columns)));
    }
    return out;
  }
  /// Of the value in every entry of M, X and Y, the plan held.
  void gradients(const Plan& p, Tensor<T>& dlinear, Tensor<T>& dx, Tensor<T>& dy) const {
    energy_.gradients(p.entries.view(), 1, dx, dy);
    if (!linear_) return;
    dlinear = p.entries;
    for (T& v : dlinear) v *= static_cast<T>(p.mass());
  }
  [[nodiscard]] Plan measured(Tensor<T> entries) const {
    Plan out;
    out.entries = std::move(entries);
    Marginals of(be_, std::as_const(out.entries).view());
    out.rows = std::move(of.rows), out.columns = std::move(of.columns);
    out.entropy = plan_entropy<B, T>(be_, out.entries.view(), a_.value, b_.value, false);
    if (linear_) out.linear = detail::inner<T>(be_, linear_, out.entries.view());
    return out;
  }

private:
  const B& be_;
  View<const T> linear_, x_, y_;
  const Weights<T>&a_, &b_;
  std::vector<T> weight_a_, weight_b_;
  Distortion<B, T> energy_;
};

} // namespace detail
} // namespace sbi::ot
