// SPDX-License-Identifier: MIT
// Which arcs a transport problem has, what they cost, and which of a source's arcs are worth a look: all of a
// matrix, or a list. An infinite cost stands for an arc that does not exist.
#pragma once
#include <sbi/ot/softmin.hpp>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

inline constexpr double no_arc = std::numeric_limits<double>::infinity();

/// Arcs of one source that are searched for the least reduced cost.
struct Candidates {
  const int* sink;
  const double* cost;
  index_t count;

  /// Index and value of the least cost_k - g[sink_k], in four chains that do not wait for each other.
  [[nodiscard]] std::pair<index_t, double> least(const double* g) const {
    double best[4] = {no_arc, no_arc, no_arc, no_arc};
    index_t where[4] = {0, 0, 0, 0}, k = 0;
    for (; k + 4 <= count; k += 4)
      for (int chain = 0; chain < 4; ++chain) {
        const double r = cost[k + chain] - g[sink[k + chain]];
        where[chain] = r < best[chain] ? k + chain : where[chain];
        best[chain] = r < best[chain] ? r : best[chain];
      }
    for (; k < count; ++k)
      if (const double r = cost[k] - g[sink[k]]; r < best[0]) best[0] = r, where[0] = k;
    const auto chain = std::min_element(best, best + 4) - best;
    return {where[chain], best[chain]};
  }
};

/// Every source with every sink, by a matrix of costs [n, m].
class DenseArcs {
public:
  explicit DenseArcs(View<const double> cost) : cost_(cost) {}
  explicit DenseArcs(Tensor<double> cost) : own_(std::move(cost)), cost_(own_.view()) {}
  DenseArcs(DenseArcs&&) = default; // a copy would refer to the other's matrix

  [[nodiscard]] index_t sources() const { return cost_.rows(); }
  [[nodiscard]] index_t sinks() const { return cost_.cols(); }
  [[nodiscard]] View<const double> matrix() const { return cost_; }
  /// visit(j, cost) for the arcs of source i
  template <class F> void for_each(index_t i, F&& visit) const {
    const double* row = cost_.row(i);
    for (index_t j = 0; j < sinks(); ++j)
      if (row[j] < no_arc) visit(static_cast<int>(j), row[j]);
  }
  /// The cost of an arc, infinite where there is none.
  [[nodiscard]] double cost(int i, int j) const { return cost_(i, j); }

  /// The same arcs at the cost change(i, j, cost).
  template <class F> [[nodiscard]] DenseArcs with_costs(F&& change) const {
    Tensor<double> out(cost_.shape);
    std::fill(out.begin(), out.end(), no_arc);
    for (index_t i = 0; i < sources(); ++i)
      for_each(i, [&](int j, double c) { out(i, j) = change(static_cast<int>(i), j, c); });
    return DenseArcs(std::move(out));
  }

  /// Makes the list of each source: the sinks of least cost_ij - g_j among those with j = k modulo the length
  /// of a list, for all k. The least of all is on it, and most of the next ones.
  void choose(const double* g) {
    sink_.resize(static_cast<std::size_t>(sources() * length));
    value_.resize(sink_.size());
    for (index_t i = 0; i < sources(); ++i) choose_row(i, g);
  }
  [[nodiscard]] Candidates candidates(index_t i) const {
    return {sink_.data() + i * length, value_.data() + i * length, std::min(length, sinks())};
  }

private:
  static constexpr index_t length = 32;

  void choose_row(index_t i, const double* g) {
    using V = Vec<double>;
    constexpr index_t lanes = V::lanes, vectors = length / lanes;
    const double* row = cost_.row(i);
    double best[length], where[length]; // indices in double, which vectors select alike
    V least[vectors], at[vectors], place[vectors];
    for (index_t k = 0; k < length; ++k) best[k] = no_arc, where[k] = static_cast<double>(k);
    for (index_t v = 0; v < vectors; ++v) least[v] = V(no_arc), at[v] = place[v] = V::load(where + v * lanes);
    index_t j = 0;
    for (; j + length <= sinks(); j += length) {
#pragma GCC unroll 8
      for (index_t v = 0; v < vectors; ++v) {
        const V r = V::load(row + j + v * lanes) - V::load(g + j + v * lanes);
        const auto lower = r < least[v];
        least[v] = select(lower, r, least[v]), at[v] = select(lower, place[v], at[v]);
        place[v] += V(length);
      }
    }
    for (index_t v = 0; v < vectors; ++v) least[v].store(best + v * lanes), at[v].store(where + v * lanes);
    for (index_t k = 0; j < sinks(); ++j, ++k)
      if (row[j] - g[j] < best[k]) best[k] = row[j] - g[j], where[k] = static_cast<double>(j);
    for (index_t k = 0; k < std::min(length, sinks()); ++k) {
      const auto sink = static_cast<int>(where[k]);
      sink_[static_cast<std::size_t>(i * length + k)] = sink;
      value_[static_cast<std::size_t>(i * length + k)] = row[sink];
    }
  }

  Tensor<double> own_;
  View<const double> cost_;
  std::vector<int> sink_;
  std::vector<double> value_;
};

/// The arcs [first_i, first_{i+1}) of a list for source i.
class ListedArcs {
public:
  ListedArcs(std::span<const index_t> first, std::span<const int> sink, std::span<const double> cost,
             index_t sinks)
      : first_(first), sink_(sink), cost_(cost), sinks_(sinks) {}
  ListedArcs(ListedArcs&&) = default; // a copy would refer to the other's costs

  [[nodiscard]] index_t sources() const { return static_cast<index_t>(first_.size()) - 1; }
  [[nodiscard]] index_t sinks() const { return sinks_; }
  template <class F> void for_each(index_t i, F&& visit) const {
    const Candidates all = candidates(i);
    for (index_t k = 0; k < all.count; ++k)
      if (all.cost[k] < no_arc) visit(all.sink[k], all.cost[k]);
  }
  /// Of several arcs between the same points the cheapest.
  [[nodiscard]] double cost(int i, int j) const {
    double least = no_arc;
    for_each(i, [&](int sink, double c) { least = sink == j ? std::min(least, c) : least; });
    return least;
  }
  template <class F> [[nodiscard]] ListedArcs with_costs(F&& change) const {
    ListedArcs out(first_, sink_, {}, sinks_);
    out.own_.assign(cost_.begin(), cost_.end());
    out.cost_ = out.own_;
    for (index_t i = 0; i < sources(); ++i)
      for (auto k = static_cast<std::size_t>(first_[static_cast<std::size_t>(i)]);
           k < static_cast<std::size_t>(first_[static_cast<std::size_t>(i + 1)]); ++k)
        if (double& c = out.own_[k]; c < no_arc) c = change(static_cast<int>(i), sink_[k], c);
    return out;
  }
  void choose(const double*) {}
  [[nodiscard]] Candidates candidates(index_t i) const {
    const index_t begin = first_[static_cast<std::size_t>(i)];
    return {sink_.data() + begin, cost_.data() + begin, first_[static_cast<std::size_t>(i + 1)] - begin};
  }

private:
  std::span<const index_t> first_;
  std::span<const int> sink_;
  std::vector<double> own_;
  std::span<const double> cost_;
  index_t sinks_;
};

} // namespace sbi::ot::detail
