// SPDX-License-Identifier: MIT
// Optimal transport without regularisation, min_P <P, C> with P 1 = a, P^T 1 = b, P >= 0, by the network
// simplex method on the bipartite graph of sources and sinks (Ahuja, Magnanti & Orlin 1993, "Network Flows",
// chapter 11).
#pragma once
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::ot {

struct ExactOptions {
  long max_pivots = 0; ///< 0: no limit
};

/// One entry of a plan.
struct Shipment {
  index_t from, to;
  double mass;
};

struct ExactResult {
  double value = 0;           ///< <P, C>
  std::vector<Shipment> plan; ///< at most n + m - 1 entries, of positive mass
  /// [n], [m] dual variables: f_i + g_j <= C_ij, with equality where mass moves; <a, f> + <b, g> = value.
  /// They are the gradients of the value with respect to a and b, up to a common constant. Points without
  /// weight get the largest value that is feasible.
  std::vector<double> f, g;
  long pivots = 0;
  bool optimal = false;
};

namespace detail {

/// A spanning tree of sources 0 .. n - 1 and sinks n .. n + m - 1 whose arcs, all from a source to a sink,
/// carry the flow. A node keeps the flow of the arc to its parent.
class TransportTree {
public:
  TransportTree(index_t sources, index_t sinks)
      : sources_(sources), node_(static_cast<std::size_t>(sources + sinks)), potential_(node_.size(), 0) {}

  struct Arc {
    index_t source, sink;
    double flow;
  };
  /// Hangs the tree of n + m - 1 arcs up at node 0 and sets the potentials, f_i + g_j = cost(i, j) along
  /// arcs.
  template <class Cost> void build(const std::vector<Arc>& arcs, Cost&& cost) {
    const auto count = node_.size();
    std::vector<std::vector<std::size_t>> touching(count);
    for (std::size_t k = 0; k < arcs.size(); ++k)
      touching[at(arcs[k].source)].push_back(k), touching[at(arcs[k].sink + sources_)].push_back(k);
    std::fill(node_.begin(), node_.end(), Node{});
    potential_[0] = 0;
    std::vector<index_t> queue{0};
    std::vector<char> seen(count, 0);
    seen[0] = 1;
    for (std::size_t head = 0; head < queue.size(); ++head) {
      const index_t v = queue[head];
      for (const std::size_t k : touching[at(v)]) {
        const Arc& arc = arcs[k];
        const index_t w = is_source(v) ? arc.sink + sources_ : arc.source;
        if (seen[at(w)]) continue;
        seen[at(w)] = 1;
        node_[at(w)].flow = arc.flow;
        node_[at(w)].depth = node_[at(v)].depth + 1;
        potential_[at(w)] = cost(arc.source, arc.sink) - potential_[at(v)];
        adopt(v, w);
        queue.push_back(w);
      }
    }
  }
  /// f of the sources, g of the sinks.
  [[nodiscard]] const double* f() const { return potential_.data(); }
  [[nodiscard]] const double* g() const { return potential_.data() + sources_; }
  [[nodiscard]] std::vector<Arc> arcs() const {
    std::vector<Arc> out;
    for (index_t v = 0; v < static_cast<index_t>(node_.size()); ++v)
      if (const index_t p = node_[at(v)].parent; p >= 0)
        out.push_back({is_source(v) ? v : p, (is_source(v) ? p : v) - sources_, node_[at(v)].flow});
    return out;
  }

  /// Lets the arc source -> sink, of reduced cost `reduced` < 0, into the tree. Flow rises on it and round
  /// the cycle that it closes until an arc against the cycle's direction is empty and leaves. Of several such
  /// arcs the last one from the cycle's apex on leaves, which keeps empty arcs pointing at the root where
  /// they do, so that pivots without flow do not go in circles (Cunningham 1976).
  void pivot(index_t source, index_t sink, double reduced) {
    const index_t i = source, j = sink + sources_;
    // Climb from both ends to the apex. Arcs that lose flow hang below a sink on j's side, a source on i's.
    index_t u = i, w = j, leaving_i = -1, leaving_j = -1;
    double least_i = std::numeric_limits<double>::infinity(), least_j = least_i;
    while (u != w) {
      if (node_[at(u)].depth >= node_[at(w)].depth) {
        if (is_source(u) && node_[at(u)].flow < least_i) least_i = node_[at(u)].flow, leaving_i = u;
        u = node_[at(u)].parent;
      } else {
        if (!is_source(w) && node_[at(w)].flow <= least_j) least_j = node_[at(w)].flow, leaving_j = w;
        w = node_[at(w)].parent;
      }
    }
    const index_t apex = u;
    const double change = std::min(least_i, least_j);
    for (index_t v = i; v != apex; v = node_[at(v)].parent)
      node_[at(v)].flow += is_source(v) ? -change : change;
    for (index_t v = j; v != apex; v = node_[at(v)].parent)
      node_[at(v)].flow += is_source(v) ? change : -change;
    const bool on_j = least_j <= least_i;
    rehang(on_j ? leaving_j : leaving_i, on_j ? j : i, on_j ? i : j, change);
    shift(on_j ? j : i, reduced, is_source(on_j ? j : i));
  }

private:
  struct Node {
    index_t parent = -1, child = -1, next = -1, previous = -1; ///< next and previous: siblings
    index_t depth = 0;
    double flow = 0;
  };
  static std::size_t at(index_t v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] bool is_source(index_t v) const { return v < sources_; }
  void adopt(index_t parent, index_t v) {
    Node& n = node_[at(v)];
    n.parent = parent, n.previous = -1, n.next = node_[at(parent)].child;
    if (n.next >= 0) node_[at(n.next)].previous = v;
    node_[at(parent)].child = v;
  }
  void leave(index_t v) {
    const Node& n = node_[at(v)];
    (n.previous >= 0 ? node_[at(n.previous)].next : node_[at(n.parent)].child) = n.next;
    if (n.next >= 0) node_[at(n.next)].previous = n.previous;
  }
  /// The subtree below the arc of `top` hangs from `parent` by its node `v` instead, with this flow.
  void rehang(index_t top, index_t v, index_t parent, double flow) {
    for (;;) {
      const index_t old_parent = node_[at(v)].parent;
      const double old_flow = node_[at(v)].flow;
      leave(v);
      adopt(parent, v);
      node_[at(v)].flow = flow;
      if (v == top) return;
      parent = v, v = old_parent, flow = old_flow;
    }
  }
  /// Adds to the potentials below and at v, `by` to nodes of its own kind and -by to the others, and sets
  /// depths.
  void shift(index_t v, double by, bool source) {
    stack_.assign(1, v);
    while (!stack_.empty()) {
      const index_t w = stack_.back();
      stack_.pop_back();
      Node& n = node_[at(w)];
      potential_[at(w)] += is_source(w) == source ? by : -by;
      n.depth = node_[at(n.parent)].depth + 1;
      for (index_t c = n.child; c >= 0; c = node_[at(c)].next) stack_.push_back(c);
    }
  }

  index_t sources_;
  std::vector<Node> node_;
  std::vector<double> potential_;
  std::vector<index_t> stack_;
};

/// A feasible tree: source by source to the nearest sinks that want something. Each arc uses up its source or
/// its sink, the last one both.
template <class T>
[[nodiscard]] std::vector<TransportTree::Arc> nearest_first(View<const T> cost, std::vector<double> a,
                                                            std::vector<double> b) {
  std::vector<TransportTree::Arc> arcs;
  std::vector<index_t> open(b.size());
  std::iota(open.begin(), open.end(), 0);
  const auto sources = static_cast<index_t>(a.size());
  for (index_t i = 0; i < sources; ++i) {
    double& left = a[static_cast<std::size_t>(i)];
    if (i + 1 == sources) {
      for (index_t j : open) arcs.push_back({i, j, std::max(0.0, b[static_cast<std::size_t>(j)])});
      break;
    }
    for (bool used_up = false; !used_up;) {
      const auto nearest = std::min_element(open.begin(), open.end(),
                                            [&](index_t p, index_t q) { return cost(i, p) < cost(i, q); });
      const index_t j = *nearest;
      double& wanted = b[static_cast<std::size_t>(j)];
      used_up = open.size() == 1 || left <= wanted;
      const double flow = used_up ? left : wanted;
      arcs.push_back({i, j, flow});
      left -= flow, wanted -= flow;
      if (!used_up) open.erase(nearest);
    }
  }
  return arcs;
}

/// Index and value of the least cost_j - g_j of a row, in four chains that do not wait for each other.
template <class T>
[[nodiscard]] std::pair<index_t, double> least_reduced(const T* cost, const double* g, index_t m) {
  double best[4] = {1e308, 1e308, 1e308, 1e308};
  index_t where[4] = {0, 0, 0, 0}, j = 0;
  for (; j + 4 <= m; j += 4)
    for (int k = 0; k < 4; ++k) {
      const double r = static_cast<double>(cost[j + k]) - g[j + k];
      where[k] = r < best[k] ? j + k : where[k];
      best[k] = r < best[k] ? r : best[k];
    }
  for (; j < m; ++j)
    if (const double r = static_cast<double>(cost[j]) - g[j]; r < best[0]) best[0] = r, where[0] = j;
  const auto k = std::min_element(best, best + 4) - best;
  return {where[k], best[k]};
}

} // namespace detail

/// Exact transport for a cost [n, m] with weights a and b (empty: uniform), in double whatever T is. The
/// graph is searched a source at a time for the arc of least reduced cost. Throws ShapeError for sizes that
/// do not fit and ValueError for a cost that is not finite, weights that `sinkhorn` refuses too, and masses
/// that differ by more than the square root of the machine precision (less is scaled away). Whether the limit
/// of pivots was enough the result says itself: the plan is feasible in any case.
template <class T>
[[nodiscard]] ExactResult exact_transport(View<const T> cost, std::type_identity_t<std::span<const T>> a,
                                          std::type_identity_t<std::span<const T>> b,
                                          const ExactOptions& options = {}) {
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("exact transport: the cost is ", cost.shape, "; want [n, m]"));
  const Weights<T> wa("a", a, cost.rows());
  Weights<T> wb("b", b, cost.cols());
  detail::balance("exact transport", wa, wb);
  double largest = 0;
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t j = 0; j < cost.cols(); ++j) {
      if (!is_finite(cost(i, j)))
        throw ValueError(sbi::text("exact transport: cost[", i, ",", j, "] = ", cost(i, j), "; want finite"));
      largest = std::max(largest, std::abs(static_cast<double>(cost(i, j))));
    }

  // Points without weight take no part.
  std::vector<index_t> rows, columns;
  std::vector<double> supply, demand;
  for (index_t i = 0; i < cost.rows(); ++i)
    if (const double w = wa.value[static_cast<std::size_t>(i)]; w > 0) rows.push_back(i), supply.push_back(w);
  for (index_t j = 0; j < cost.cols(); ++j)
    if (const double w = wb.value[static_cast<std::size_t>(j)]; w > 0)
      columns.push_back(j), demand.push_back(w);
  const auto n = static_cast<index_t>(rows.size()), m = static_cast<index_t>(columns.size());
  Tensor<T> dense(Shape{n, m});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < m; ++j)
      dense(i, j) = cost(rows[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]);
  const auto of = [&](index_t i, index_t j) { return static_cast<double>(dense(i, j)); };

  detail::TransportTree tree(n, m);
  tree.build(detail::nearest_first<T>(dense.view(), supply, demand), of);
  ExactResult out;
  // A potential is a sum along a path of the tree: rounding errors of some costs, not of one.
  const double tolerance = 64 * std::numeric_limits<double>::epsilon() * std::max(largest, 1e-300);
  const auto limit = options.max_pivots > 0 ? options.max_pivots : std::numeric_limits<long>::max();
  // Potentials gather rounding errors over many pivots: they are made anew from the tree until a search over
  // all sources finds nothing with fresh ones.
  for (bool fresh = true; !out.optimal && out.pivots < limit; fresh = false) {
    if (!fresh) tree.build(tree.arcs(), of);
    const long before = out.pivots;
    index_t idle = 0;
    for (index_t i = 0; idle < n && out.pivots < limit; i = (i + 1) % n) {
      const auto [j, r] = detail::least_reduced(dense.row(i), tree.g(), m);
      const double reduced = r - tree.f()[i];
      ++idle;
      if (reduced >= -tolerance) continue;
      tree.pivot(i, j, reduced);
      ++out.pivots, idle = 0;
    }
    out.optimal = idle >= n && out.pivots == before;
  }

  constexpr double top = std::numeric_limits<double>::infinity();
  out.f.assign(static_cast<std::size_t>(cost.rows()), top),
      out.g.assign(static_cast<std::size_t>(cost.cols()), top);
  for (index_t i = 0; i < n; ++i)
    out.f[static_cast<std::size_t>(rows[static_cast<std::size_t>(i)])] = tree.f()[i];
  for (index_t j = 0; j < m; ++j)
    out.g[static_cast<std::size_t>(columns[static_cast<std::size_t>(j)])] = tree.g()[j];
  for (index_t i = 0; i < cost.rows(); ++i)
    if (double& f = out.f[static_cast<std::size_t>(i)]; f == top)
      for (const index_t j : columns)
        f = std::min(f, static_cast<double>(cost(i, j)) - out.g[static_cast<std::size_t>(j)]);
  for (index_t j = 0; j < cost.cols(); ++j)
    if (double& v = out.g[static_cast<std::size_t>(j)]; v == top)
      for (index_t i = 0; i < cost.rows(); ++i)
        v = std::min(v, static_cast<double>(cost(i, j)) - out.f[static_cast<std::size_t>(i)]);
  for (const auto& arc : tree.arcs())
    if (arc.flow > 0) {
      out.value += arc.flow * of(arc.source, arc.sink);
      out.plan.push_back({rows[static_cast<std::size_t>(arc.source)],
                          columns[static_cast<std::size_t>(arc.sink)], arc.flow});
    }
  return out;
}

} // namespace sbi::ot
