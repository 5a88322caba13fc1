// SPDX-License-Identifier: MIT
// A first basis of the network simplex method from any dual variables: the closer they are to the optimal
// ones the fewer pivots are left, none from those of a problem whose plan is unique.
#pragma once
#include <sbi/ot/transport_arcs.hpp>
#include <sbi/ot/transport_tree.hpp>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// Which nodes are joined, by union and find.
class Groups {
public:
  explicit Groups(std::size_t nodes) : parent_(nodes) { std::iota(parent_.begin(), parent_.end(), 0); }
  /// False when they were joined before.
  bool join(int v, int w) {
    const int p = top(v), q = top(w);
    parent_[static_cast<std::size_t>(p)] = q;
    return p != q;
  }

private:
  int top(int v) {
    const auto of = [&](int u) -> int& { return parent_[static_cast<std::size_t>(u)]; };
    while (of(v) != v) v = of(v) = of(of(v));
    return v;
  }
  std::vector<int> parent_;
};

/// Makes the tree: a forest of arcs of small reduced cost first, whose flows are forced from its leaves on,
/// then whatever serves the rest. Each arc that is written uses up its source or its sink, the last one both.
template <class Arcs> class FirstTree {
public:
  FirstTree(const Arcs& arcs, const std::vector<double>& supply, const std::vector<double>& demand)
      : arcs_(arcs), sources_(static_cast<int>(supply.size())), left_(supply), open_(supply.size(), 1),
        open_sources_(supply.size()), open_sinks_(demand.size()) {
    left_.insert(left_.end(), demand.begin(), demand.end());
    open_.resize(left_.size(), 1);
    mass_ = std::accumulate(supply.begin(), supply.end(), 0.0);
  }
  /// f [n] and g [m]; `tight`: arcs of reduced cost below it come first, all of them.
  std::vector<TreeArc> from(const std::vector<double>& f, const std::vector<double>& g, double tight) {
    from_leaves(forest(f, g, tight));
    serve_rest(g);
    return std::move(out_);
  }

private:
  struct Offer {
    double reduced;
    int source, sink;
  };
  static std::size_t at(int v) { return static_cast<std::size_t>(v); }

  /// Neighbours of every node in a forest of least reduced costs (Kruskal 1956), of the arcs below `tight`
  /// and the best of every source.
  std::vector<std::vector<int>> forest(const std::vector<double>& f, const std::vector<double>& g,
                                       double tight) {
    constexpr std::size_t each = 12;
    std::vector<std::vector<int>> neighbours(left_.size());
    Groups groups(left_.size());
    const auto take = [&](int i, int j) {
      if (!groups.join(i, j + sources_)) return;
      neighbours[at(i)].push_back(j + sources_), neighbours[at(j + sources_)].push_back(i);
    };
    std::vector<Offer> offers, row;
    for (int i = 0; i < sources_; ++i) {
      if (tight > 0)
        arcs_.for_each(i, [&](int j, double c) {
          if (c - f[at(i)] - g[at(j)] <= tight) take(i, j);
        });
      const Candidates some = arcs_.candidates(i);
      row.clear();
      for (index_t k = 0; k < some.count; ++k)
        if (some.cost[k] < no_arc)
          row.push_back({some.cost[k] - f[at(i)] - g[at(some.sink[k])], i, some.sink[k]});
      if (row.size() > each) {
        std::nth_element(row.begin(), row.begin() + each, row.end(), cheaper);
        row.resize(each);
      }
      offers.insert(offers.end(), row.begin(), row.end());
    }
    std::sort(offers.begin(), offers.end(), cheaper);
    for (const Offer& o : offers) take(o.source, o.sink);
    return neighbours;
  }
  static bool cheaper(const Offer& p, const Offer& q) {
    if (p.reduced != q.reduced) return p.reduced < q.reduced;
    return std::pair(p.source, p.sink) < std::pair(q.source, q.sink);
  }

  /// Writes the arc, with as much flow as both ends have left, and takes away the end `gone`.
  void use(int i, int j, double cost, int gone) {
    const double flow = std::max(0.0, std::min(left_[at(i)], left_[at(j + sources_)]));
    out_.push_back({i, j, flow, cost});
    left_[at(i)] -= flow, left_[at(j + sources_)] -= flow;
    open_[at(gone)] = 0;
    --(gone < sources_ ? open_sources_ : open_sinks_);
  }
  /// Whether the node may go: the last source has to serve all the sinks that are left, and the last sink all
  /// the sources.
  [[nodiscard]] bool may_go(int v) const {
    return v < sources_ ? open_sources_ > 1 || open_sinks_ == 1 : open_sinks_ > 1 || open_sources_ == 1;
  }
  void from_leaves(const std::vector<std::vector<int>>& neighbours) {
    std::vector<std::size_t> degree(left_.size());
    std::vector<int> leaves;
    for (std::size_t v = 0; v < left_.size(); ++v)
      if (degree[v] = neighbours[v].size(); degree[v] == 1) leaves.push_back(static_cast<int>(v));
    const double rounding = 1e-15 * mass_;
    for (std::size_t head = 0; head < leaves.size(); ++head) {
      const int v = leaves[head];
      if (!open_[at(v)] || degree[at(v)] != 1) continue;
      const int w = *std::find_if(neighbours[at(v)].begin(), neighbours[at(v)].end(),
                                  [&](int u) { return open_[at(u)] != 0; });
      // A leaf that wants more than there is uses up its neighbour, and waits for the rest.
      const int gone = left_[at(w)] >= left_[at(v)] - rounding ? v : w;
      if (open_sources_ == 0 || open_sinks_ == 0 || !may_go(gone)) return;
      const int i = std::min(v, w), j = std::max(v, w) - sources_;
      use(i, j, arcs_.cost(i, j), gone);
      for (const int u : neighbours[at(gone)])
        if (open_[at(u)] && --degree[at(u)] == 1) leaves.push_back(u);
    }
  }
  /// Source by source to the sinks of least reduced cost, over arcs that do not exist where there are no
  /// others.
  void serve_rest(const std::vector<double>& g) {
    std::vector<int> sinks;
    for (int j = 0; j < static_cast<int>(g.size()); ++j)
      if (open_[at(j + sources_)]) sinks.push_back(j);
    std::vector<double> reduced(g.size());
    for (int i = 0; i < sources_; ++i) {
      if (!open_[at(i)] || sinks.empty()) continue;
      // Costs of closed sinks are of no use; those that are not arcs of this source stay infinite.
      std::fill(reduced.begin(), reduced.end(), no_arc);
      arcs_.for_each(i, [&](int j, double c) { reduced[at(j)] = std::min(reduced[at(j)], c - g[at(j)]); });
      while (open_[at(i)] && !sinks.empty()) {
        const auto nearest = std::min_element(sinks.begin(), sinks.end(),
                                              [&](int p, int q) { return reduced[at(p)] < reduced[at(q)]; });
        const int j = *nearest;
        const bool source_goes =
            open_sources_ > 1 && (open_sinks_ == 1 || left_[at(i)] <= left_[at(j + sources_)]);
        const double cost = reduced[at(j)] < no_arc ? arcs_.cost(i, j) : no_arc;
        if (open_sources_ == 1 && open_sinks_ == 1) {
          use(i, j, cost, j + sources_);
          return;
        }
        use(i, j, cost, source_goes ? i : j + sources_);
        if (!source_goes) *nearest = sinks.back(), sinks.pop_back();
      }
    }
  }

  const Arcs& arcs_;
  int sources_;
  std::vector<double> left_;
  std::vector<char> open_;
  std::size_t open_sources_, open_sinks_;
  double mass_ = 0;
  std::vector<TreeArc> out_;
};

} // namespace sbi::ot::detail
