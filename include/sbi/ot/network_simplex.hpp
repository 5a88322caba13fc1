// SPDX-License-Identifier: MIT
// The network simplex method for transport between sources and sinks (Ahuja, Magnanti & Orlin 1993, "Network
// Flows", chapter 11). Where not every source has an arc to every sink, arcs that do not exist are allowed at
// first and driven out in a phase of its own, in which they alone cost something: no large number stands for
// them, which would take the digits of the costs.
#pragma once
#include <sbi/ot/transport_start.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// A problem with what is asked of its solution. All weights are positive.
struct TransportTask {
  std::vector<double> supply, demand; ///< [n], [m]
  std::vector<double> f, g;           ///< [n], [m] dual variables to begin from
  double tight = 0;                   ///< arcs of smaller reduced cost all belong to the first tree, if > 0
  long max_pivots = std::numeric_limits<long>::max();
  double rounding = 0; ///< how much may stay unserved
  double largest = 0;  ///< cost
};

struct TransportBasis {
  std::vector<TreeArc> arcs; ///< of the tree, those that exist
  std::vector<double> f, g;
  double unserved = 0; ///< more than the rounding: there is no plan, and f, g are those of the first phase
  long pivots = 0;
  bool optimal = false;
};

/// Pivots until no arc has a reduced cost below minus the tolerance (0: from the rounding of the potentials);
/// false when `left` pivots were not enough. Lists of candidates are worked off, some sources at a time,
/// before all arcs are looked at again.
template <class Arcs>
[[nodiscard]] bool improve(Arcs& arcs, TransportTree& tree, double tolerance, long& left) {
  constexpr index_t together = 8; // sources of which the best arc enters
  const index_t n = arcs.sources();
  for (;;) {
    tree.refresh();
    arcs.choose(tree.g());
    // A potential is a sum along a path of the tree: rounding errors of some costs, not of one.
    const double slack =
        tolerance > 0 ? tolerance : 64 * std::numeric_limits<double>::epsilon() * tree.largest_potential();
    bool changed = false;
    for (index_t i = 0, idle = 0; idle < n;) {
      double best = -slack;
      index_t source = -1, place = 0;
      for (index_t k = 0; k < together && idle < n; ++k, ++idle) {
        const auto [where, least] = arcs.candidates(i).least(tree.g());
        if (const double reduced = least - tree.f()[i]; reduced < best)
          best = reduced, source = i, place = where;
        i = i + 1 == n ? 0 : i + 1;
      }
      if (source < 0) continue;
      if (left == 0) return false;
      const Candidates of = arcs.candidates(source);
      tree.pivot(static_cast<int>(source), of.sink[place], of.cost[place], best);
      changed = true, idle = 0, --left;
    }
    if (!changed) return true;
  }
}

/// Raises the duals of the second phase by those of the first, as far as arcs need it that the second may not
/// use: their reduced cost in the first is positive, so that enough of it makes them feasible, and no arc
/// that carries something changes.
template <class Arcs>
void lift_duals(const Arcs& arcs, const std::vector<double>& f1, const std::vector<double>& g1,
                TransportBasis& out) {
  double factor = 0;
  for (index_t i = 0; i < arcs.sources(); ++i)
    arcs.for_each(i, [&](int j, double c) {
      const auto p = static_cast<std::size_t>(i), q = static_cast<std::size_t>(j);
      if (const double first = -f1[p] - g1[q]; first > 0.5)
        factor = std::max(factor, (out.f[p] + out.g[q] - c) / first);
    });
  for (std::size_t i = 0; i < f1.size(); ++i) out.f[i] += factor * f1[i];
  for (std::size_t j = 0; j < g1.size(); ++j) out.g[j] += factor * g1[j];
}

template <class Arcs> [[nodiscard]] TransportBasis network_simplex(Arcs& arcs, const TransportTask& task) {
  arcs.choose(task.g.data());
  std::vector<TreeArc> first =
      FirstTree<Arcs>(arcs, task.supply, task.demand).from(task.f, task.g, task.tight);
  TransportBasis out;
  long left = task.max_pivots;
  const auto exists = [](const TreeArc& arc) { return arc.cost < no_arc; };
  const auto read = [&](const TransportTree& tree) {
    out.f.assign(tree.f(), tree.f() + arcs.sources());
    out.g.assign(tree.g(), tree.g() + arcs.sinks());
    out.arcs = tree.arcs();
    out.pivots = task.max_pivots - left;
  };
  if (std::all_of(first.begin(), first.end(), exists)) {
    TransportTree tree(arcs.sources(), arcs.sinks(), first);
    out.optimal = improve(arcs, tree, 0, left);
    read(tree);
    return out;
  }

  // First phase: what arcs that do not exist carry, at cost 1, the others free. Potentials are whole numbers.
  for (TreeArc& arc : first) arc.cost = exists(arc) ? 0 : 1;
  TransportTree tree(arcs.sources(), arcs.sinks(), first);
  bool done = false;
  {
    Arcs free = arcs.with_costs([](int, int, double) { return 0.0; });
    done = improve(free, tree, 0.5, left);
  }
  read(tree);
  std::erase_if(out.arcs, [&](const TreeArc& arc) {
    if (arc.cost == 1) out.unserved += arc.flow;
    return arc.cost == 1;
  });
  for (TreeArc& arc : out.arcs) arc.cost = arcs.cost(arc.source, arc.sink);
  if (!done || out.unserved > task.rounding) return out;

  // Second phase: with the arcs that cost nothing in the first, all that a plan can use.
  const std::vector<double> f1 = std::move(out.f), g1 = std::move(out.g);
  first = tree.arcs();
  std::vector<std::pair<int, int>> missing;
  for (TreeArc& arc : first) {
    if (arc.cost == 1) missing.emplace_back(arc.source, arc.sink);
    arc.cost = arc.cost == 1 ? 0 : arcs.cost(arc.source, arc.sink);
  }
  std::sort(missing.begin(), missing.end());
  Arcs usable = arcs.with_costs([&](int i, int j, double c) {
    return f1[static_cast<std::size_t>(i)] + g1[static_cast<std::size_t>(j)] < -0.5 ? no_arc : c;
  });
  TransportTree second(arcs.sources(), arcs.sinks(), first);
  out.optimal = improve(usable, second, 0, left);
  read(second);
  std::erase_if(out.arcs, [&](const TreeArc& arc) {
    return std::binary_search(missing.begin(), missing.end(), std::pair(arc.source, arc.sink));
  });
  lift_duals(arcs, f1, g1, out);
  return out;
}

/// Where costs are far above the typical one, if some are: 1e32 beside 1, which leaves no digits to the rest.
/// The median size of the costs of up to 64 sources sets the measure.
template <class Arcs> [[nodiscard]] std::optional<double> far_cost(const Arcs& arcs, double largest) {
  constexpr double far = 1e6;
  std::vector<double> sizes;
  for (index_t i = 0; i < arcs.sources(); i += std::max<index_t>(1, arcs.sources() / 64))
    arcs.for_each(i, [&](int, double c) {
      if (c != 0) sizes.push_back(std::abs(c));
    });
  if (sizes.empty()) return {};
  const auto middle = sizes.begin() + static_cast<std::ptrdiff_t>(sizes.size() / 2);
  std::nth_element(sizes.begin(), middle, sizes.end());
  if (largest > far * *middle) return far * *middle;
  return {};
}

/// The same with care for costs that are far above the others: first without them, which is the answer when
/// there is a plan and its duals allow them.
template <class Arcs> [[nodiscard]] TransportBasis solve_transport(Arcs& arcs, const TransportTask& task) {
  const auto far = far_cost(arcs, task.largest);
  if (!far) return network_simplex(arcs, task);
  Arcs near = arcs.with_costs([&](int, int, double c) { return c > *far ? no_arc : c; });
  TransportBasis first = network_simplex(near, task);
  if (first.pivots >= task.max_pivots) return first;
  // What only far costs can serve belongs to the plan, however small it is.
  const double mass = std::accumulate(task.supply.begin(), task.supply.end(), 0.0);
  bool solved = first.optimal && first.unserved <= 64 * std::numeric_limits<double>::epsilon() * mass;
  for (index_t i = 0; solved && i < arcs.sources(); ++i)
    arcs.for_each(i, [&](int j, double c) {
      if (c > *far)
        solved &= first.f[static_cast<std::size_t>(i)] + first.g[static_cast<std::size_t>(j)] <= c;
    });
  if (solved) return first;
  TransportTask rest = task;
  rest.max_pivots -= first.pivots;
  TransportBasis out = network_simplex(arcs, rest);
  out.pivots += first.pivots;
  return out;
}

} // namespace sbi::ot::detail
