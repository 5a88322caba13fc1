// SPDX-License-Identifier: MIT
// The basis of the network simplex method for transport: a spanning tree of sources and sinks with the flow
// on its arcs and dual variables that make all its reduced costs 0 (Ahuja, Magnanti & Orlin 1993, "Network
// Flows", chapter 11).
#pragma once
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// An arc of the tree, from a source to a sink.
struct TreeArc {
  int source, sink;
  double flow, cost; ///< infinite cost: the arc does not exist, and its flow is what cannot be served
};

/// A spanning tree of sources 0 .. n - 1 and sinks n .. n + m - 1, with node 0 for its root. A node keeps the
/// flow and the cost of the arc to its parent.
class TransportTree {
public:
  /// From its n + m - 1 arcs.
  TransportTree(index_t sources, index_t sinks, const std::vector<TreeArc>& arcs)
      : sources_(static_cast<int>(sources)), node_(static_cast<std::size_t>(sources + sinks)),
        links_(node_.size()), stack_(node_.size()), potential_(node_.size(), 0) {
    // Arcs of every node, one after the other.
    std::vector<std::size_t> first(node_.size() + 1, 0), touching(2 * arcs.size());
    for (const TreeArc& arc : arcs) ++first[at(arc.source) + 1], ++first[at(arc.sink + sources_) + 1];
    for (std::size_t v = 0; v < node_.size(); ++v) first[v + 1] += first[v];
    std::vector<std::size_t> fill(first);
    for (std::size_t k = 0; k < arcs.size(); ++k)
      touching[fill[at(arcs[k].source)]++] = k, touching[fill[at(arcs[k].sink + sources_)]++] = k;

    std::vector<int> order{0};
    for (std::size_t head = 0; head < order.size(); ++head) {
      const int v = order[head];
      for (std::size_t p = first[at(v)]; p < first[at(v) + 1]; ++p) {
        const TreeArc& arc = arcs[touching[p]];
        const int w = is_source(v) ? arc.sink + sources_ : arc.source;
        if (w == node_[at(v)].parent) continue;
        node_[at(w)].flow = arc.flow, node_[at(w)].cost = arc.cost;
        adopt(v, w);
        order.push_back(w);
      }
    }
    for (std::size_t k = order.size(); k-- > 1;) {
      const Node& n = node_[at(order[k])];
      node_[at(n.parent)].size += n.size;
    }
  }

  /// f of the sources, g of the sinks.
  [[nodiscard]] const double* f() const { return potential_.data(); }
  [[nodiscard]] const double* g() const { return potential_.data() + sources_; }
  [[nodiscard]] double largest_potential() const {
    double largest = 0;
    for (const double p : potential_) largest = std::max(largest, std::abs(p));
    return largest;
  }
  [[nodiscard]] std::vector<TreeArc> arcs() const {
    std::vector<TreeArc> out;
    for (int v = 0; v < static_cast<int>(node_.size()); ++v)
      if (const int p = node_[at(v)].parent; p >= 0)
        out.push_back(
            {is_source(v) ? v : p, (is_source(v) ? p : v) - sources_, node_[at(v)].flow, node_[at(v)].cost});
    return out;
  }
  /// The potentials anew from the costs of the arcs: pivots add rounding errors to them.
  void refresh() {
    potential_[0] = 0;
    walk(0, -1, [&](int v) {
      if (v > 0) potential_[at(v)] = node_[at(v)].cost - potential_[at(node_[at(v)].parent)];
    });
  }

  /// Lets the arc source -> sink, of reduced cost `reduced` < 0, into the tree. Flow rises on it and round
  /// the cycle that it closes until an arc against the cycle's direction is empty and leaves. Of several such
  /// arcs the last one from the cycle's apex on leaves, which keeps empty arcs pointing at the root where
  /// they do, so that pivots without flow do not go in circles (Cunningham 1976).
  void pivot(int source, int sink, double cost, double reduced) {
    const int i = source, j = sink + sources_;
    // Climb from both ends to the apex, from the smaller subtree, which cannot hold the other end. Arcs that
    // lose flow hang below a sink on j's side, below a source on i's.
    int u = i, w = j, leaving_i = -1, leaving_j = -1;
    double least_i = std::numeric_limits<double>::infinity(), least_j = least_i;
    while (u != w) {
      const Node &low_i = node_[at(u)], &low_j = node_[at(w)];
      if (low_i.size <= low_j.size) {
        if (is_source(u) && low_i.flow < least_i) least_i = low_i.flow, leaving_i = u;
        u = low_i.parent;
      } else {
        if (!is_source(w) && low_j.flow <= least_j) least_j = low_j.flow, leaving_j = w;
        w = low_j.parent;
      }
    }
    const int apex = u;
    const bool on_j = least_j <= least_i;
    const double change = on_j ? least_j : least_i;
    if (change > 0) {
      for (int v = i; v != apex; v = node_[at(v)].parent)
        node_[at(v)].flow += is_source(v) ? -change : change;
      for (int v = j; v != apex; v = node_[at(v)].parent)
        node_[at(v)].flow += is_source(v) ? change : -change;
    }
    const int top = on_j ? j : i;
    rehang(on_j ? leaving_j : leaving_i, top, on_j ? i : j, apex, change, cost);
    shift(top, reduced);
  }

private:
  struct Node {
    int parent = -1, previous = -1; ///< previous: sibling
    int size = 1;                   ///< of the subtree
    double flow = 0, cost = 0;
  };
  /// What a walk reads, apart from the rest to keep it in the cache.
  struct Links {
    int child = -1, next = -1;
  };
  static std::size_t at(int v) { return static_cast<std::size_t>(v); }
  [[nodiscard]] bool is_source(int v) const { return v < sources_; }

  /// visit(v) of all nodes below and at `top`, parents first, except below and at `skip`.
  template <class F> void walk(int top, int skip, F&& visit) {
    int* const stack = stack_.data();
    const Links* const links = links_.data();
    std::size_t height = 0;
    visit(top);
    for (int v = links[at(top)].child;;) {
      while (v >= 0) {
        const Links of = links[at(v)];
        const bool inside = v != skip;
        if (inside) visit(v);
        if (inside && of.child >= 0) {
          if (of.next >= 0) stack[height++] = of.next;
          v = of.child;
        } else {
          v = of.next;
        }
      }
      if (height == 0) return;
      v = stack[--height];
    }
  }
  void adopt(int parent, int v) {
    Node& n = node_[at(v)];
    int& first = links_[at(parent)].child;
    n.parent = parent, n.previous = -1, links_[at(v)].next = first;
    if (first >= 0) node_[at(first)].previous = v;
    first = v;
  }
  void leave(int v) {
    const Node& n = node_[at(v)];
    const int next = links_[at(v)].next;
    (n.previous >= 0 ? links_[at(n.previous)].next : links_[at(n.parent)].child) = next;
    if (next >= 0) node_[at(next)].previous = n.previous;
  }
  /// The subtree below the arc of `top` hangs from `parent` by its node `v` instead, with this flow and cost.
  /// Subtrees change up to `apex`, above both places.
  void rehang(int top, int v, int parent, int apex, double flow, double cost) {
    const int whole = node_[at(top)].size;
    for (int p = node_[at(top)].parent; p != apex; p = node_[at(p)].parent) node_[at(p)].size -= whole;
    for (int p = parent; p != apex; p = node_[at(p)].parent) node_[at(p)].size += whole;
    for (int above = 0;;) { // nodes that hung below the one before, and now hang above it
      Node& n = node_[at(v)];
      const int old_parent = n.parent, old_size = n.size;
      leave(v);
      adopt(parent, v);
      std::swap(n.flow, flow), std::swap(n.cost, cost);
      n.size = whole - above, above = old_size;
      if (v == top) return;
      parent = v, v = old_parent;
    }
  }
  /// Adds to the potentials below and at `top`, `by` to nodes of its kind and -by to the others, or the
  /// opposite to all the rest, where that is less work: only differences between both parts count.
  void shift(int top, double by) {
    const bool below = 2 * static_cast<std::size_t>(node_[at(top)].size) <= node_.size();
    const double of_sources = below == is_source(top) ? by : -by;
    const auto add = [&](int v) { potential_[at(v)] += is_source(v) ? of_sources : -of_sources; };
    below ? walk(top, -1, add) : walk(0, top, add);
  }

  int sources_;
  std::vector<Node> node_;
  std::vector<Links> links_;
  std::vector<int> stack_;
  std::vector<double> potential_;
};

} // namespace sbi::ot::detail
