// SPDX-License-Identifier: MIT
// Optimal transport without regularisation, min_P <P, C> with P 1 = a, P^T 1 = b, P >= 0, between all points
// or along a list of arcs, by the network simplex method (`network_simplex.hpp`). An assignment is the case
// of equal weights and as many rows as columns.
#pragma once
#include <sbi/ot/exact_problem.hpp>

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace sbi::ot {

/// Exact transport for a cost [n, m] with weights a and b (empty: uniform), in double whatever T is; plus
/// infinity forbids a pair. Beside the cost it holds four bytes a pair for a start, and a copy of the cost
/// unless T is double, n >= m and all points have weight. The reduced costs are at least zero within the
/// rounding of the largest dual variable: costs far above the others take part only where there is no plan
/// without them or their duals ask for it. Throws ShapeError for sizes that do not fit and ValueError for a
/// cost that is NaN, minus infinity or above 1e290 in size, weights that `sinkhorn` refuses too, masses that
/// differ by more than the square root of the machine precision (less is scaled away), and, naming the rows
/// or columns, where forbidden pairs leave no plan. Whether the limit of pivots was enough the result says
/// itself: without forbidden pairs the plan is feasible in any case.
template <class T>
[[nodiscard]] ExactResult exact_transport(View<const T> cost, std::type_identity_t<std::span<const T>> a,
                                          std::type_identity_t<std::span<const T>> b,
                                          const ExactOptions& options = {}) {
  using namespace detail;
  if (cost.shape.rank() != 2)
    throw ShapeError(sbi::text("exact transport: the cost is ", cost.shape, "; want [n, m]"));
  const TransportSides<T> sides(a, b, cost.rows(), cost.cols());
  check_start(options, sides.a.value.size(), sides.b.value.size());
  double largest = 0;
  for (index_t i = 0; i < cost.rows(); ++i)
    largest = std::max(
        largest, checked_size(cost.row(i), cost.cols(), [&](index_t j) { return sbi::text(i, ",", j); }));

  // The search goes through sources with a few sinks for each: the longer side makes the sources.
  const bool turned = sides.sinks.point.size() > sides.sources.point.size();
  const Weighted &from = turned ? sides.sinks : sides.sources, &to = turned ? sides.sources : sides.sinks;
  DenseArcs arcs = [&] {
    if constexpr (std::is_same_v<T, double>)
      if (!turned && from.all() && to.all()) return DenseArcs(cost);
    Tensor<double> dense(
        Shape{static_cast<index_t>(from.point.size()), static_cast<index_t>(to.point.size())});
    for (std::size_t i = 0; i < sides.sources.point.size(); ++i) {
      const T* row = cost.row(sides.sources.point[i]);
      double* const out = turned ? dense.data() + i : dense.row(static_cast<index_t>(i));
      const auto step = turned ? dense.cols() : 1;
      for (std::size_t j = 0; j < sides.sinks.point.size(); ++j)
        out[static_cast<index_t>(j) * step] = static_cast<double>(row[sides.sinks.point[j]]);
    }
    return DenseArcs(std::move(dense));
  }();
  TransportBasis found = solve_weighted(
      arcs, from, to, turned ? options.g : options.f, turned ? options.f : options.g, largest, sides.rounding,
      options.max_pivots, [&] { return rough_duals(arcs.matrix(), from.weight, to.weight); });
  if (turned) {
    std::swap(found.f, found.g);
    for (TreeArc& arc : found.arcs) std::swap(arc.source, arc.sink);
  }
  return exact_result(found, sides.sources, sides.sinks, [&](index_t i, auto&& visit) {
    for (index_t j = 0; j < cost.cols(); ++j)
      if (const double c = static_cast<double>(cost(i, j)); c < no_arc) visit(j, c);
  });
}

/// The same along a list of arcs, in memory and time for these alone. Throws what the other does, and
/// ShapeError or ValueError for a list that does not hold together.
template <class T>
[[nodiscard]] ExactResult
exact_transport(const SparseCost<T>& cost, std::type_identity_t<std::span<const T>> a,
                std::type_identity_t<std::span<const T>> b, const ExactOptions& options = {}) {
  using namespace detail;
  const auto count = static_cast<index_t>(cost.cost.size());
  check_sparse(cost.row_start, cost.column, cost.columns, count);
  const auto rows = static_cast<index_t>(cost.row_start.size()) - 1;
  const TransportSides<T> sides(a, b, rows, cost.columns);
  check_start(options, sides.a.value.size(), sides.b.value.size());
  const double largest = checked_size(cost.cost.data(), count, [](index_t k) { return sbi::text(k); });

  const auto for_each = [&](index_t i, auto&& visit) {
    const auto row = static_cast<std::size_t>(i);
    for (auto k = static_cast<std::size_t>(cost.row_start[row]);
         k < static_cast<std::size_t>(cost.row_start[row + 1]); ++k)
      if (const auto c = static_cast<double>(cost.cost[k]); c < no_arc) visit(cost.column[k], c);
  };
  std::vector<index_t> first{0};
  std::vector<int> sink;
  std::vector<double> value;
  for (const int i : sides.sources.point) {
    for_each(i, [&](index_t j, double c) {
      if (const int place = sides.sinks.place[static_cast<std::size_t>(j)]; place >= 0)
        sink.push_back(place), value.push_back(c);
    });
    first.push_back(static_cast<index_t>(sink.size()));
  }
  ListedArcs arcs(first, sink, value, static_cast<index_t>(sides.sinks.point.size()));
  const TransportBasis found =
      solve_weighted(arcs, sides.sources, sides.sinks, options.f, options.g, largest, sides.rounding,
                     options.max_pivots, [&] { return reduced_rows_and_columns(arcs); });
  return exact_result(found, sides.sources, sides.sinks, for_each);
}

} // namespace sbi::ot
