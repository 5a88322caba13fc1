// SPDX-License-Identifier: MIT
// Partial transport: only a given mass moves, from where and to where it is cheapest; the rest of both clouds
// stays behind (Caffarelli & McCann 2010; Figalli 2010).
//
//   min <P, C> [+ eps KL(P | a x b)]   over P >= 0 with P 1 <= a, P^T 1 <= b, |P| = s, the mass.
//
// Duals: f <= 0, g <= 0 of the marginals and h, of any sign, of the mass. Without regularisation
// f_i + g_j + h <= C_ij, with equality where mass moves, and <a, f> + <b, g> + s h is the value; f_i < 0 only
// where all of a_i moves.
#pragma once
#include <sbi/ot/exact.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <tuple>
#include <vector>

namespace sbi::ot {

/// Exact partial transport and what proves it.
struct PartialExactResult {
  double value = 0;           ///< <P, C>
  double mass = 0;            ///< |P|; differs from the mass asked for only where `converged` is false
  std::vector<Shipment> plan; ///< entries of positive mass; also the gradient of the value in the cost
  /// [n], [m] duals f, g <= 0: gradients of the value in a and b. Points without weight get the largest value
  /// that is feasible.
  std::vector<double> f, g;
  double mass_dual = 0; ///< h: the derivative of the value in the mass (of several, at a kink, one)
  long pivots = 0;
  bool converged = false; ///< the plan is optimal
};

/// Entropic partial transport: P_ij = a_i b_j exp((f_i + g_j + h - C_ij) / eps), see `transport_plan`. P is
/// the gradient of the value in the cost.
template <class T> struct PartialResult {
  std::vector<T> f, g;  ///< [n], [m] duals of the marginals, <= 0
  double mass_dual = 0; ///< h: the derivative of the value in the mass; minus infinity for mass 0
  double value = 0;     ///< dual objective, a lower bound of the minimum that equals it at convergence
  /// l1 change, relative to the mass, of the row sums of P by an update of f: bounds how much the rows exceed
  /// a, and by how much those with f_i < 0 miss it. Columns and mass are exact.
  double residual = std::numeric_limits<double>::infinity();
  double mass = 0; ///< |P|
  int iterations = 0;
  bool converged = false;
};

namespace detail {

/// The mass to move, checked, and that of the sides which is left, without the rounding errors of their sums.
struct MassBudget {
  double mass, left_a, left_b;

  template <class T>
  MassBudget(double wanted_mass, const Weights<T>& a, const Weights<T>& b) : mass(wanted_mass) {
    const double full = std::min(a.mass, b.mass);
    const double rounding = static_cast<double>(std::numeric_limits<T>::epsilon());
    if (!(mass >= 0 && mass <= full * (1 + std::sqrt(rounding))))
      throw ValueError(sbi::text("partial transport: mass = ", mass, "; want 0 to ", full,
                                 ", the smaller one of the masses of a and b"));
    if (mass > full * (1 - 8 * rounding)) mass = full;
    const auto left = [&](double side) { return side - mass > 8 * rounding * side ? side - mass : 0.0; };
    left_a = left(a.mass), left_b = left(b.mass);
  }
};

/// The h with sum_i a_i min(1, exp((h - level_i) / eps)) = mass, for 0 < mass <= |a|: the row sums that
/// follow from f_i = min(0, level_i - h), which is the KL projection on {P 1 <= a, |P| = mass}. Rows below h
/// are full; their number is found from the lowest level up.
template <class T>
[[nodiscard]] double fill_level(const Weights<T>& a, const std::vector<T>& level, double eps, double mass) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < level.size(); ++i)
    if (a.value[i] > 0) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t k) {
    return level[i] < level[k] || (level[i] == level[k] && i < k);
  });
  const auto of = [&](std::size_t k) { return static_cast<double>(level[order[k]]); };
  // log of the sum over the rows from the k-th on of a_i exp(-level_i / eps)
  std::vector<double> log_rest(order.size());
  double log_sum = -std::numeric_limits<double>::infinity();
  for (std::size_t k = order.size(); k-- > 0;) {
    const double term = std::log(a.value[order[k]]) - of(k) / eps;
    const double high = std::max(log_sum, term), low = std::min(log_sum, term);
    log_sum = high + std::log1p(std::exp(low - high));
    log_rest[k] = log_sum;
  }
  double full = 0;
  for (std::size_t k = 0; k < order.size(); ++k) {
    if (!(mass > full)) return of(k - 1);
    const double h = eps * (std::log(mass - full) - log_rest[k]);
    if (h <= of(k)) return k == 0 ? h : std::max(h, of(k - 1));
    full += a.value[order[k]];
  }
  return of(order.size() - 1);
}

/// out = min(0, level - h)
template <class T> void below(const std::vector<T>& level, double h, std::vector<T>& out) {
  for (std::size_t i = 0; i < level.size(); ++i)
    out[i] = static_cast<T>(std::min(0.0, static_cast<double>(level[i]) - h));
}

/// Duals of the partial problem from those of the extended one.
template <class T>
void set_duals(View<const T> cost, const Weights<T>& a, const Weights<T>& b, const ExactResult& extended,
               PartialExactResult& out) {
  const auto take = [](const Weights<T>& w, const std::vector<double>& from) {
    std::vector<double> to(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(w.value.size()));
    double top = std::numeric_limits<double>::lowest(); // the slack's potential, where it has weight
    for (std::size_t i = 0; i < to.size(); ++i)
      if (w.value[i] > 0) top = std::max(top, to[i]);
    for (double& v : to) v -= top;
    return to;
  };
  out.f = take(a, extended.f), out.g = take(b, extended.g);
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  // As large as the others let it be: already so for a positive mass.
  double h = std::numeric_limits<double>::max();
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t j = 0; j < cost.cols(); ++j)
      if (a.value[at(i)] > 0 && b.value[at(j)] > 0)
        h = std::min(h, static_cast<double>(cost(i, j)) - out.f[at(i)] - out.g[at(j)]);
  out.mass_dual = h;
  for (index_t i = 0; i < cost.rows(); ++i)
    if (a.value[at(i)] == 0) {
      out.f[at(i)] = 0;
      for (index_t j = 0; j < cost.cols(); ++j)
        if (b.value[at(j)] > 0)
          out.f[at(i)] = std::min(out.f[at(i)], static_cast<double>(cost(i, j)) - out.g[at(j)] - h);
    }
  for (index_t j = 0; j < cost.cols(); ++j)
    if (b.value[at(j)] == 0) {
      out.g[at(j)] = 0;
      for (index_t i = 0; i < cost.rows(); ++i)
        out.g[at(j)] = std::min(out.g[at(j)], static_cast<double>(cost(i, j)) - out.f[at(i)] - h);
    }
}
} // namespace detail

/// Exact transport of `mass` between weights a [n] and b [m] (empty: uniform) for a cost [n, m], by balanced
/// transport with one more source and sink for what stays behind (Chapel, Alaya & Gasso 2020): they cost
/// nothing except between each other, where the price is above any cost. Throws as `exact_transport` does,
/// except that the masses of a and b may differ, and ValueError for a mass below 0 or above the smaller of
/// them (by more than the square root of the machine precision; less counts as all of it).
template <class T>
[[nodiscard]] PartialExactResult
partial_transport(View<const T> cost, std::type_identity_t<std::span<const T>> a,
                  std::type_identity_t<std::span<const T>> b, double mass, const ExactOptions& options = {}) {
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("partial transport: the cost is ", cost.shape, "; want [n, m]"));
  const Weights<T> wa("a", a, cost.rows()), wb("b", b, cost.cols());
  const detail::MassBudget budget(mass, wa, wb);
  const index_t n = cost.rows(), m = cost.cols();
  Tensor<double> extended(Shape{n + 1, m + 1}); // in double, so that the mass is not rounded to T
  double largest = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < m; ++j) {
      extended(i, j) = static_cast<double>(cost(i, j));
      largest = std::max(largest, std::abs(extended(i, j)));
    }
  // Flow there adds as much to the mass that moves, at a price of min C at least, which may be negative.
  extended(n, m) = largest > 0 ? 2 * largest : 1;
  std::vector<double> supply(wa.value), demand(wb.value);
  supply.push_back(budget.left_b), demand.push_back(budget.left_a);
  // What counted as rounding of T is more than that of double.
  const double balance =
      std::accumulate(supply.begin(), supply.end(), 0.0) / std::accumulate(demand.begin(), demand.end(), 0.0);
  for (double& w : demand) w *= balance;
  const ExactResult r = exact_transport<double>(extended.view(), supply, demand, options);

  PartialExactResult out;
  for (const Shipment& s : r.plan)
    if (s.from < n && s.to < m) {
      out.plan.push_back(s);
      out.value += s.mass * extended(s.from, s.to);
      out.mass += s.mass;
    }
  constexpr double rounding = 64 * std::numeric_limits<double>::epsilon();
  out.pivots = r.pivots, out.converged = r.optimal && r.unserved <= rounding * (wa.mass + wb.mass);
  detail::set_duals(cost, wa, wb, r, out);
  return out;
}

/// Entropic transport of `mass` between weights a [n] and b [m] (empty: uniform) for a cost [n, m]; +infinity
/// forbids a pair. Dykstra's algorithm for the KL divergence (Benamou, Carlier, Cuturi, Nenna & Peyre 2015)
/// on potentials, so that no epsilon underflows, between {P 1 <= a, |P| = mass} and {P^T 1 <= b, |P| = mass};
/// a mass of |a| = |b| makes it Sinkhorn's. Epsilon, tolerance (of the residual), max_iterations and scaling
/// are read; the prices must be infinite. Throws as `sinkhorn` does, except that the masses of a and b may
/// differ, and ValueError for a mass that `partial_transport` refuses too. A run that does not converge, as
/// when forbidden pairs let less mass through, is no error here: see `converged`.
template <class B, class T = typename B::compute_t>
[[nodiscard]] PartialResult<T> partial_sinkhorn(const B& be, std::type_identity_t<View<const T>> cost,
                                                std::type_identity_t<std::span<const T>> a,
                                                std::type_identity_t<std::span<const T>> b, double mass,
                                                const SinkhornOptions& options) {
  detail::check_balanced("partial transport", options);
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("partial transport: the cost is ", cost.shape, "; want [n, m]"));
  const Weights<T> wa("a", a, cost.rows()), wb("b", b, cost.cols());
  const double s = detail::MassBudget(mass, wa, wb).mass, range = detail::checked_range(be, cost, wa, wb);
  const double tolerance = detail::tolerance_of<T>(options), eps = options.epsilon;
  PartialResult<T> out;
  out.f.assign(wa.value.size(), T{0}), out.g.assign(wb.value.size(), T{0});
  if (s == 0) {
    out.mass_dual = -std::numeric_limits<double>::infinity();
    out.value = eps * wa.mass * wb.mass, out.residual = 0, out.converged = true;
    return out;
  }

  const Tensor<T> cost_t = detail::transposed<T>(cost, cost.rows());
  std::vector<T> level_a(out.f.size()), level_b(out.g.size()), next(out.f);
  Anderson<T> accelerate(wa.value, std::max(range, eps));
  bool first = true;
  const auto iterate = [&](double now) {
    if (!first) {
      if (now == eps && out.residual < detail::rough) {
        accelerate.step(out.f, next);
        for (T& f : out.f) f = std::min(f, T{0});
      } else {
        out.f = next, accelerate.restart();
      }
    }
    first = false;
    softmin(be, cost_t.view(), wa.log, out.f, now, level_b);
    out.mass_dual = detail::fill_level(wb, level_b, now, s);
    detail::below(level_b, out.mass_dual, out.g);
    softmin(be, cost, wb.log, out.g, now, level_a);
    double change = 0;
    out.mass = 0;
    for (std::size_t i = 0; i < out.f.size(); ++i)
      if (wa.value[i] > 0) {
        const double excess = out.mass_dual - static_cast<double>(level_a[i]);
        const double row = std::exp((static_cast<double>(out.f[i]) + excess) / now);
        change += wa.value[i] * std::abs(row - std::exp(std::min(0.0, excess) / now));
        out.mass += wa.value[i] * row;
      }
    out.residual = change / s;
    detail::below(level_a, detail::fill_level(wa, level_a, now, s), next);
    return out.residual;
  };
  std::tie(out.residual, out.iterations) = detail::anneal(options, range, tolerance, iterate);
  out.converged = out.residual <= tolerance;
  out.value = detail::side(wa, out.f, exact_marginal) + detail::side(wb, out.g, exact_marginal) +
              s * out.mass_dual - eps * (out.mass - wa.mass * wb.mass);
  return out;
}

/// The plan P [n, m] of a partial problem's potentials.
template <class B, class T = typename B::compute_t>
[[nodiscard]] Tensor<T> transport_plan(const B& be, std::type_identity_t<View<const T>> cost,
                                       std::type_identity_t<std::span<const T>> a,
                                       std::type_identity_t<std::span<const T>> b,
                                       const PartialResult<T>& potentials, double epsilon) {
  SinkhornResult<T> joined;
  joined.f = potentials.f, joined.g = potentials.g;
  for (T& f : joined.f) f = static_cast<T>(static_cast<double>(f) + potentials.mass_dual);
  return transport_plan(be, cost, a, b, joined, epsilon);
}

} // namespace sbi::ot
