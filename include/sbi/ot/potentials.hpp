// SPDX-License-Identifier: MIT
// The problem of entropic optimal transport, its options, its potentials and the terms of its dual.
//
//   OT_eps(a, b) = min_P <P, C> + eps KL(P | a x b) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b),
//   P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps),   KL(p|q) = sum p log(p/q) - p + q;
//
// rho = infinity makes a marginal exact. One finite rho is the semi-unbalanced problem: that side may be
// reweighted.
#pragma once
#include <sbi/ot/dot_pairs.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace sbi::ot {

inline constexpr double exact_marginal = std::numeric_limits<double>::infinity();

/// What is kept of the costs between points.
enum class Costs {
  automatic, ///< the kernel matrix, beside it the costs where that is faster; O(n + m) memory where such
             ///< matrices would take more than 512 MiB and the cost has a `dot_form`
  stored,    ///< the matrix of the costs by their definition
  recomputed ///< nothing: O(n + m) memory, every pass computes them anew; for costs with a `dot_form`
};

/// How updates are computed. `automatic`: by a matrix of exponentials, a multiply-add a pair, wherever that
/// is exact to rounding, in the log domain elsewhere. `log`: in the log domain alone, an exponential a pair,
/// and without the memory of that matrix.
enum class SinkhornDomain : char { automatic, log };

struct SinkhornOptions {
  double epsilon = 0; ///< entropic regularisation in units of the cost; > 0, has no default that is safe
  double rho_a = exact_marginal; ///< price of leaving a, in units of the cost
  double rho_b = exact_marginal; ///< price of leaving b
  double tolerance = 0;          ///< of the residual; 0: 1e-4 in float, 1e-6 in double
  int max_iterations = 2000;     ///< over all stages of the epsilon schedule
  double scaling = 0.25; ///< factor of epsilon between stages, from 1/64 of the range of C down; 1: none
  Costs costs = Costs::automatic;                    ///< between points
  SinkhornDomain domain = SinkhornDomain::automatic; ///< of `sinkhorn`, the divergence and `sinkhorn_batch`
};

/// Potentials of a transport problem, and what is known about them.
template <class T> struct SinkhornResult {
  std::vector<T> f, g; ///< [n], [m]; entries of points without weight are the extension, not part of the plan
  double value = 0;    ///< dual objective, a lower bound of OT_eps that equals it at convergence
  /// sum_i |(P 1)_i - a_i exp(-f_i / rho_a)| / sum_i a_i of the plan P of exactly these f and g: the
  /// first-order condition for f, for rho_a = infinity the l1 error of the rows. The columns fulfil theirs
  /// exactly (for the self problem f = g and the residual is that of both sides).
  double residual = std::numeric_limits<double>::infinity();
  double mass = 0; ///< sum of the plan
  int iterations = 0;
  bool converged = false;
};

namespace detail {
inline void check(const SinkhornOptions& options) {
  const auto positive = [](const char* name, double value) {
    if (!(value > 0)) throw ValueError(sbi::text("sinkhorn: ", name, " = ", value, "; want > 0"));
  };
  positive("epsilon", options.epsilon);
  if (!is_finite(options.epsilon)) throw ValueError("sinkhorn: epsilon is infinite; want a finite number");
  positive("rho_a", options.rho_a);
  positive("rho_b", options.rho_b);
  if (!(options.tolerance >= 0))
    throw ValueError(sbi::text("sinkhorn: tolerance = ", options.tolerance, "; want >= 0"));
  if (options.max_iterations < 1)
    throw ValueError(sbi::text("sinkhorn: max_iterations = ", options.max_iterations, "; want >= 1"));
  if (!(options.scaling > 0 && options.scaling <= 1))
    throw ValueError(sbi::text("sinkhorn: scaling = ", options.scaling, "; want in (0, 1]"));
}

/// The same for problems that are balanced alone.
inline void check_balanced(const char* who, const SinkhornOptions& options) {
  check(options);
  if (is_finite(options.rho_a) || is_finite(options.rho_b))
    throw ValueError(
        sbi::text(who, ": rho_a = ", options.rho_a, ", rho_b = ", options.rho_b, "; want infinity for both"));
}

/// A tolerance, or the default of this precision for 0.
template <class T> [[nodiscard]] double tolerance_of(double tolerance) {
  return tolerance > 0 ? tolerance : sizeof(T) == 4 ? 1e-4 : 1e-6;
}
template <class T> [[nodiscard]] double tolerance_of(const SinkhornOptions& options) {
  return tolerance_of<T>(options.tolerance);
}

/// Whether `count` matrices between n and m points are small enough to be kept without being asked for.
template <class T> [[nodiscard]] bool matrices_fit(int count, index_t n, index_t m) {
  constexpr double large = 512.0 * 1024 * 1024;
  return count * static_cast<double>(sizeof(T)) * static_cast<double>(n) * static_cast<double>(m) <= large;
}

/// Factor of the damped update f = lam softmin.
[[nodiscard]] inline double damping(double rho, double eps) {
  return is_finite(rho) ? rho / (rho + eps) : 1.0;
}
/// The row sum that f asks for, relative to the weight of the row.
[[nodiscard]] inline double wanted(double f, double rho) { return is_finite(rho) ? std::exp(-f / rho) : 1.0; }
/// -rho (exp(-f / rho) - 1), f for rho = infinity: the marginal's term of the dual objective.
[[nodiscard]] inline double conjugate(double f, double rho) {
  return is_finite(rho) ? -rho * std::expm1(-f / rho) : f;
}

/// log sum_i exp(log_a_i - f_i / rho)
template <class T> [[nodiscard]] double log_mass(std::span<const T> log_a, std::span<const T> f, double rho) {
  double peak = -std::numeric_limits<double>::infinity(), sum = 0;
  const auto term = [&](std::size_t i) {
    return static_cast<double>(log_a[i]) - static_cast<double>(f[i]) / rho;
  };
  for (std::size_t i = 0; i < f.size(); ++i)
    if (is_finite(log_a[i])) peak = std::max(peak, term(i));
  for (std::size_t i = 0; i < f.size(); ++i)
    if (is_finite(log_a[i])) sum += std::exp(term(i) - peak);
  return peak + std::log(sum);
}

/// The constant t for which (f + t, g - t) has the largest dual value (Sejourne, Vialard, Peyre 2022):
/// without it the common constant of f and g converges at the rate rho / (rho + eps) only.
template <class T>
[[nodiscard]] double best_shift(const Weights<T>& a, const Weights<T>& b, std::span<const T> f,
                                std::span<const T> g, double rho_a, double rho_b) {
  if (!is_finite(rho_a) && !is_finite(rho_b)) return 0;
  const double left = is_finite(rho_a) ? log_mass<T>(a.log, f, rho_a) : std::log(a.mass);
  const double right = is_finite(rho_b) ? log_mass<T>(b.log, g, rho_b) : std::log(b.mass);
  const double factor = 1 / ((is_finite(rho_a) ? 1 / rho_a : 0) + (is_finite(rho_b) ? 1 / rho_b : 0));
  return factor * (left - right);
}

/// Relative first-order error of f, and the mass of the plan: `exact` is the softmin that would make the rows
/// exact.
template <class T>
[[nodiscard]] double row_residual(const Weights<T>& a, const std::vector<T>& f, const std::vector<T>& exact,
                                  double eps, double rho, double& mass) {
  using V = Vec<double>;
  const auto wide = [](const std::vector<T>& v, auto at) {
    return V(__builtin_convertvector(load(v.data(), at).raw, typename V::raw_type));
  };
  const auto [error, sum] = VectorRow<double>{static_cast<index_t>(f.size())}.sums([&](auto at) {
    const V weight = load(a.value.data(), at), fi = wide(f, at);
    const V row = exp((fi - wide(exact, at)) * V(1 / eps));
    const V off = row - (is_finite(rho) ? exp(fi * V(-1 / rho)) : V(1));
    const auto present = weight > V(0);
    return std::pair{select(present, weight * max(off, -off), V(0)), select(present, weight * row, V(0))};
  });
  mass = sum;
  return error / a.mass;
}

/// One marginal's term of the dual objective.
template <class T> [[nodiscard]] double side(const Weights<T>& a, const std::vector<T>& f, double rho) {
  double sum = 0;
  for (std::size_t i = 0; i < f.size(); ++i)
    if (a.value[i] > 0) sum += a.value[i] * conjugate(static_cast<double>(f[i]), rho);
  return sum;
}

/// Zeros and the schedule, or a warm start without it.
template <class T>
void begin(const char* name, std::vector<T>& f, std::size_t n, const std::vector<T>* start,
           SinkhornOptions& options) {
  f.assign(n, T{0});
  if (!start) return;
  if (start->size() != n)
    throw ShapeError(sbi::text("sinkhorn: start has ", start->size(), " potentials ", name, "; want ", n));
  f = *start;
  options.scaling = 1;
}

/// Throws for entries that are NaN or -infinity and for points with weight that can go nowhere.
template <class T> void check_entries(View<const T> cost, const Weights<T>& a, const Weights<T>& b) {
  std::vector<char> column(static_cast<std::size_t>(cost.cols()), 0);
  for (index_t i = 0; i < cost.rows(); ++i) {
    bool some = false;
    for (index_t j = 0; j < cost.cols(); ++j) {
      const T c = cost(i, j);
      if (is_finite(c)) {
        if (b.value[static_cast<std::size_t>(j)] > 0) some = true;
        if (a.value[static_cast<std::size_t>(i)] > 0) column[static_cast<std::size_t>(j)] = 1;
      } else if (is_missing(c) || c < 0) {
        throw ValueError(
            sbi::text("sinkhorn: cost[", i, ",", j, "] = ", c, "; want finite or +infinity (forbidden)"));
      }
    }
    if (!some && a.value[static_cast<std::size_t>(i)] > 0)
      throw ValueError(sbi::text("sinkhorn: row ", i, " of the cost has weight but no allowed partner"));
  }
  for (std::size_t j = 0; j < column.size(); ++j)
    if (!column[j] && b.value[j] > 0)
      throw ValueError(sbi::text("sinkhorn: column ", j, " of the cost has weight but no allowed partner"));
}

/// Checks the cost and gives max - min of its finite entries.
template <class B, class T>
[[nodiscard]] double checked_range(const B& be, View<const T> cost, const Weights<T>& a,
                                   const Weights<T>& b) {
  const auto n = static_cast<std::size_t>(cost.rows());
  std::vector<double> high(n), low(n);
  std::vector<char> finite(n);
  for_each_row(be, cost.rows(), [&](index_t i) {
    const auto row = row_of(be, cost.cols());
    const auto at = static_cast<std::size_t>(i);
    high[at] = static_cast<double>(row.max([&](auto j) { return load(cost.row(i), j); }));
    low[at] = -static_cast<double>(row.max([&](auto j) { return -load(cost.row(i), j); }));
    bool all = true; // by bits, which hold under -ffast-math
    for (index_t j = 0; j < cost.cols(); ++j) all &= is_finite(cost(i, j));
    finite[at] = all;
  });
  if (std::all_of(finite.begin(), finite.end(), [](char f) { return f != 0; }))
    return *std::max_element(high.begin(), high.end()) - *std::min_element(low.begin(), low.end());
  check_entries(cost, a, b);
  double top = std::numeric_limits<double>::lowest(), bottom = std::numeric_limits<double>::max();
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t j = 0; j < cost.cols(); ++j)
      if (is_finite(cost(i, j))) {
        top = std::max(top, static_cast<double>(cost(i, j)));
        bottom = std::min(bottom, static_cast<double>(cost(i, j)));
      }
  return top - bottom;
}

/// An upper bound of max - min of costs that are not stored.
template <class B, class T>
[[nodiscard]] double checked_range(const B&, const DotForm<T>& cost, const Weights<T>&, const Weights<T>&) {
  const auto longest = [](const Tensor<T>& points) {
    T most = 0;
    for (index_t i = 0; i < points.rows(); ++i)
      most = std::max(most, VectorRow<T>{points.cols()}.sum([&](auto k) {
        const auto x = load(points.row(i), k);
        return x * x;
      }));
    return std::sqrt(static_cast<double>(most));
  };
  const auto [alpha_low, alpha_high] = std::minmax_element(cost.alpha.begin(), cost.alpha.end());
  const auto [beta_low, beta_high] = std::minmax_element(cost.beta.begin(), cost.beta.end());
  const double product = longest(cost.q) * longest(cost.k);
  const double least = std::max(cost.least, *alpha_low + *beta_low - product);
  return *alpha_high + *beta_high + product - least;
}

/// Below this residual the next stage may begin, and the updates are linear enough to be extrapolated.
inline constexpr double rough = 0.1;

/// The stages before the last have epsilon / scaling^k, k from their number down. Above a part of the range
/// of C the plan hardly differs from the product of its marginals, and a later stage does as well without.
[[nodiscard]] inline int stages(const SinkhornOptions& options, double range) {
  constexpr double part = 1.0 / 64;
  if (!(options.scaling < 1) || !(part * range > options.epsilon)) return 0;
  return static_cast<int>(std::min<double>(options.max_iterations, std::log(part * range / options.epsilon) /
                                                                       -std::log(options.scaling)));
}
[[nodiscard]] inline double stage(const SinkhornOptions& options, int k) {
  return options.epsilon * std::pow(options.scaling, -k);
}

/// Runs `iterate(eps) -> residual` along the schedule of epsilon: a few rounds a stage, at the last until
/// tolerance. Gives {residual, iterations}.
template <class F>
[[nodiscard]] std::pair<double, int> anneal(const SinkhornOptions& options, double range, double tolerance,
                                            F&& iterate) {
  constexpr int rounds = 5;
  int used = 0;
  for (int k = stages(options, range); k > 0; --k)
    for (int r = 0; r < rounds && used + 1 < options.max_iterations; ++r) {
      ++used;
      if (iterate(stage(options, k)) < rough) break;
    }
  for (;;) {
    ++used;
    const double residual = iterate(options.epsilon);
    if (is_missing(residual))
      throw NumericalError(sbi::text("sinkhorn: a potential is not a number after ", used,
                                     " iterations at epsilon = ", options.epsilon));
    if (residual <= tolerance || used >= options.max_iterations) return {residual, used};
  }
}
} // namespace detail

} // namespace sbi::ot
