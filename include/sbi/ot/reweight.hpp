// SPDX-License-Identifier: MIT
// Sinkhorn divergence to a cloud of fixed weights, from a cloud that may be reweighted at a price:
//   min_w rho KL(w | a) + S_balanced(w, b)   over w >= 0 with |w| = |b|.
// Its optimum is log w_i = log a_i + (p_i - f_i - lambda) / rho with f of OT(w, b) and p of OT(w, w); the
// fixed point is reached together with those of f, g and p, and for rho >= eps every step of it is
// nonexpansive.
#pragma once
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

namespace sbi::ot::detail {

template <class T> struct Reweighted {
  SinkhornResult<T> cross, self; ///< of OT(w, b) and OT(w, w); one residual: the largest of the l1 errors of
                                 ///< both plans' rows and of w, relative to |b|
  Weights<T> w;
  std::vector<double> ratio; ///< w / a, also where a is 0
  double lambda = 0;         ///< multiplier of |w| = |b|
  double price = 0;          ///< rho KL(w | a)
};

/// Updates of both problems from the weights w of the moment: g of f, the f to come, the p to come.
template <class B, class T, class M> struct ReweightedUpdates {
  const Weights<T>& w;
  PairUpdates<B, T, M> cross;
  SelfUpdates<B, T, M> self;

  ReweightedUpdates(const B& be, const M& cost, const M& cost_self, const Weights<T>& weights,
                    const Weights<T>& b, SinkhornDomain domain, bool many)
      : w(weights), cross(be, cost, weights, b, domain, many), self(be, cost_self, domain) {}
  void round(const std::vector<T>& f, const std::vector<T>& p, double eps, std::vector<T>& g,
             std::vector<T>& next_f, std::vector<T>& next_p) {
    cross.take_weights();
    cross.round(f, eps, 1, g, next_f);
    self.round(w, p, eps, next_p);
  }
};
/// The same in another memory.
template <class B, class T, class M>
requires(!OnHost<B>) struct ReweightedUpdates<B, T, M> {
  ReweightedUpdates(const B& be, const M& cost, const M& cost_self, const Weights<T>& w, const Weights<T>& b,
                    SinkhornDomain, bool)
      : be_(be), cost_(cost), turned_(cost.transposed()), self_(cost_self), w_(w), b_(b) {}
  void round(const std::vector<T>& f, const std::vector<T>& p, double eps, std::vector<T>& g,
             std::vector<T>& next_f, std::vector<T>& next_p) const {
    softmin(be_, turned_, w_.log, f, eps, g);
    softmin(be_, cost_, b_.log, g, eps, next_f);
    softmin(be_, self_, w_.log, p, eps, next_p);
  }

private:
  const B& be_;
  const M& cost_;
  M turned_;
  const M& self_;
  const Weights<T>&w_, &b_;
};

/// For costs between the clouds and within the first. At its end calls finish(updates, result), while the
/// kernel matrices are there.
template <class B, class T, class M, class F = Ignore>
[[nodiscard]] Reweighted<T> reweight(const B& be, const M& cost, const M& cost_self, const Weights<T>& a,
                                     const Weights<T>& b, SinkhornOptions options,
                                     const SinkhornResult<T>* start_cross,
                                     const SinkhornResult<T>* start_self, F&& finish = {}) {
  const double rho = options.rho_a, tolerance = tolerance_of<T>(options);
  const std::size_t n = a.value.size();
  const double range = std::max(checked_range(be, cost, a, b), checked_range(be, cost_self, a, a));
  Reweighted<T> out{{}, {}, a, std::vector<double>(n, 0), 0, 0};
  std::vector<T>&f = out.cross.f, &g = out.cross.g, &p = out.self.f;
  begin("f", f, n, start_cross ? &start_cross->f : nullptr, options);
  begin("p", p, n, start_self ? &start_self->f : nullptr, options);
  g.assign(b.value.size(), T{0});
  std::vector<T> next_f(n), next_p(n);
  std::vector<double> wish(n), log_ratio(n);
  bool first = true;
  std::vector<T> state(f), image(2 * n);
  state.insert(state.end(), p.begin(), p.end());
  std::vector<double> both(a.value);
  both.insert(both.end(), a.value.begin(), a.value.end());
  Anderson<T> accelerate(both, std::max(range, options.epsilon));
  ReweightedUpdates<B, T, M> update(be, cost, cost_self, out.w, b, options.domain,
                                    stages(options, range) > 1);
  // Subtracts the constant that gives a exp(v) the mass of b.
  const auto normalise = [&](std::vector<double>& v) {
    using V = Vec<double>;
    const VectorRow<double> all{static_cast<index_t>(n)};
    const double peak = all.max([&](auto i) {
      return select(load(a.value.data(), i) > V(0), load(v.data(), i),
                    V(-std::numeric_limits<double>::infinity()));
    });
    const double sum = all.sum([&](auto i) {
      const V weight = load(a.value.data(), i);
      return select(weight > V(0), weight * exp(load(v.data(), i) - V(peak)), V(0));
    });
    const double constant = peak + std::log(sum / b.mass);
    for (double& entry : v) entry -= constant;
    return constant;
  };
  std::tie(out.cross.residual, out.cross.iterations) = anneal(options, range, tolerance, [&](double eps) {
    if (!first) {
      for (std::size_t i = 0; i < n; ++i) {
        image[i] = next_f[i];
        image[n + i] = static_cast<T>(0.5 * (static_cast<double>(p[i]) + static_cast<double>(next_p[i])));
      }
      // Where the weights are a state of their own (rho < eps) the extrapolation would miss them.
      if (eps == options.epsilon && rho >= eps && out.cross.residual < rough)
        accelerate.step(state, image);
      else
        state = image, accelerate.restart();
      std::copy_n(state.begin(), n, f.begin());
      std::copy_n(state.begin() + static_cast<std::ptrdiff_t>(n), n, p.begin());
    }
    for (std::size_t i = 0; i < n; ++i)
      wish[i] = (static_cast<double>(p[i]) - static_cast<double>(f[i])) / rho;
    out.lambda = rho * normalise(wish);
    // Below rho = eps the undamped step overshoots: the entropy of the plan then outweighs the price of w.
    const double step = first ? 1 : std::min(1.0, rho / eps);
    if (step < 1) {
      for (std::size_t i = 0; i < n; ++i) log_ratio[i] += step * (wish[i] - log_ratio[i]);
      normalise(log_ratio);
    } else {
      log_ratio = wish;
    }
    first = false;
    out.w.assign_scaled(a, log_ratio);
    update.round(f, p, eps, g, next_f, next_p);
    double weights = 0;
    for (std::size_t i = 0; step < 1 && i < n; ++i)
      if (a.value[i] > 0) weights += std::abs(a.value[i] * std::exp(wish[i]) - out.w.value[i]);
    return out.cross.residual = std::max({row_residual(out.w, f, next_f, eps, exact_marginal, out.cross.mass),
                                          row_residual(out.w, p, next_p, eps, exact_marginal, out.self.mass),
                                          weights / b.mass});
  });
  for (std::size_t i = 0; i < n; ++i) {
    out.ratio[i] = std::exp(log_ratio[i]);
    if (a.value[i] > 0) out.price += rho * (out.w.value[i] * (log_ratio[i] - 1) + a.value[i]);
  }
  out.cross.converged = out.cross.residual <= tolerance;
  const double eps = options.epsilon, product = b.mass * b.mass;
  out.cross.value =
      side(out.w, f, exact_marginal) + side(b, g, exact_marginal) - eps * (out.cross.mass - product);
  out.self.value = 2 * side(out.w, p, exact_marginal) - eps * (out.self.mass - product);
  out.self.residual = out.cross.residual, out.self.iterations = out.cross.iterations;
  out.self.converged = out.cross.converged, out.self.g = p;
  finish(update, std::as_const(out));
  return out;
}

} // namespace sbi::ot::detail
