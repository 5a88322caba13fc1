// SPDX-License-Identifier: MIT
// Exchanges between two pairs of a plan, the smallest steps between vertices: where G, the slope of the
// objective, has nothing left to gain, one of them may still lead down if F bends downwards.
#pragma once
#include <sbi/ot/fused_problem.hpp>

#include <algorithm>
#include <vector>

namespace sbi::ot::detail {

/// `mass` of the pairs (i, j) and (k, l) becomes one of (i, l) and (k, j).
struct Exchange {
  index_t i = 0, j = 0, k = 0, l = 0;
  double mass = 0, fall = 0;
  [[nodiscard]] std::vector<Shipment> shipments() const {
    return {{i, j, -mass}, {k, l, -mass}, {i, l, mass}, {k, j, mass}};
  }
};

/// (e_i - e_k)^T h(C) (e_i - e_k)
template <class B, class T>
[[nodiscard]] Tensor<double> spreads(const B& be, View<const T> cost, const LossRows<T>& loss,
                                     LossPart part) {
  Tensor<double> h(cost.shape), out(cost.shape);
  for_each_row(be, h.rows(), [&](index_t i) { loss.apply(part, cost.row(i), h.cols(), h.row(i)); });
  for_each_row(be, h.rows(), [&](index_t i) {
    for (index_t k = 0; k < h.cols(); ++k) out(i, k) = h(i, i) + h(k, k) - h(i, k) - h(k, i);
  });
  return out;
}

/// The exchange after which F is least, among the heaviest pairs, as many as a vertex has. D = u v^T with
/// u = e_i - e_k and v = e_l - e_j has <I(D), D> = 2 (u^T h1(X) u) (v^T h2(Y) v): a few operations each.
template <class P, class T>
[[nodiscard]] Exchange best_exchange(const P& problem, const Tensor<T>& slope, const Tensor<T>& plan) {
  std::vector<index_t> pairs;
  for (index_t at = 0; at < plan.size(); ++at)
    if (plan.data()[at] > 0) pairs.push_back(at);
  if (const index_t vertex = plan.rows() + plan.cols() - 1; static_cast<index_t>(pairs.size()) > vertex) {
    std::nth_element(pairs.begin(), pairs.begin() + vertex, pairs.end(), [&](index_t p, index_t q) {
      const T first = plan.data()[p], second = plan.data()[q];
      return first > second || (first == second && p < q);
    });
    pairs.resize(static_cast<std::size_t>(vertex));
  }
  const Tensor<double> spread_x = spreads(problem.be, problem.x, problem.loss, LossPart::h1),
                       spread_y = spreads(problem.be, problem.y, problem.loss, LossPart::h2);
  std::vector<Exchange> best(pairs.size());
  for_each_row(problem.be, static_cast<index_t>(pairs.size()), [&](index_t p) {
    Exchange& least = best[static_cast<std::size_t>(p)];
    const index_t at = pairs[static_cast<std::size_t>(p)], i = at / plan.cols(), j = at % plan.cols();
    for (std::size_t q = 0; q < static_cast<std::size_t>(p); ++q) {
      const index_t k = pairs[q] / plan.cols(), l = pairs[q] % plan.cols();
      const double rise = static_cast<double>(slope(i, l)) + static_cast<double>(slope(k, j)) -
                          static_cast<double>(slope(i, j)) - static_cast<double>(slope(k, l));
      const double bend = -problem.options.alpha * spread_x(i, k) * spread_y(j, l);
      double mass = static_cast<double>(std::min(plan(i, j), plan(k, l)));
      if (bend > 0) mass = std::min(mass, std::max(0.0, -rise / (2 * bend)));
      if (const double fall = -mass * (rise + mass * bend); fall > least.fall)
        least = {i, j, k, l, mass, fall};
    }
  });
  Exchange out;
  for (const Exchange& of : best)
    if (of.fall > out.fall) out = of;
  return out;
}

} // namespace sbi::ot::detail
