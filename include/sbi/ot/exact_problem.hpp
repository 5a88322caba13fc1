// SPDX-License-Identifier: MIT
// Exact transport: what is asked and answered, the checks before, and the way between all points and those
// with weight.
#pragma once
#include <sbi/ot/network_simplex.hpp>
#include <sbi/ot/rough_duals.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sbi::ot {

struct ExactOptions {
  long max_pivots = 0; ///< 0: no limit
  /// [n], [m] dual variables to begin from, of the same problem or one like it, feasible or not; both or
  /// neither. From those of a result the same problem takes no pivots where its plan is unique and few
  /// elsewhere.
  std::span<const double> f = {}, g = {};
};

/// One entry of a plan.
struct Shipment {
  index_t from, to;
  double mass;
};

struct ExactResult {
  double value = 0;           ///< <P, C>
  std::vector<Shipment> plan; ///< at most n + m - 1 entries, of positive mass; the gradient of the value in C
  /// [n], [m] dual variables: f_i + g_j <= C_ij, with equality where mass moves; <a, f> + <b, g> = value.
  /// They are the gradients of the value with respect to a and b, up to a common constant. Points without
  /// weight get the largest value that is feasible, 0 if any is.
  std::vector<double> f, g;
  long pivots = 0;
  bool optimal = false;
  /// Mass that no arcs serve, where not all exist: rounding of the weights, or the limit of pivots came
  /// first.
  double unserved = 0;
};

/// Costs of the arcs that exist, row by row: those of row i are the entries [row_start_i, row_start_{i+1}) of
/// `column` and `cost`. Rows need no order, several arcs may join the same points, and plus infinity stands
/// for an arc that does not exist.
template <class T> struct SparseCost {
  index_t columns = 0;
  std::span<const index_t> row_start; ///< [n + 1]
  std::span<const index_t> column;    ///< [arcs], in [0, columns)
  std::span<const T> cost;            ///< [arcs]
};

namespace detail {

/// The points with weight of one side.
struct Weighted {
  const char* kind;           ///< row or column
  std::vector<int> point;     ///< [with weight]
  std::vector<int> place;     ///< [points] the inverse, -1 without weight
  std::vector<double> weight; ///< [with weight]

  Weighted(const char* kind_, const std::vector<double>& all) : kind(kind_), place(all.size(), -1) {
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i] > 0) {
        place[i] = static_cast<int>(point.size());
        point.push_back(static_cast<int>(i)), weight.push_back(all[i]);
      }
  }
  [[nodiscard]] bool all() const { return point.size() == place.size(); }
  [[nodiscard]] std::vector<double> restricted(std::span<const double> x) const {
    std::vector<double> out;
    for (const int i : point) out.push_back(x[static_cast<std::size_t>(i)]);
    return out;
  }
};

/// Names of points in a message: at most four, and how many there are.
[[nodiscard]] inline std::string listed(const char* kind, const std::vector<int>& points) {
  std::string out = kind;
  if (points.size() > 1) out += 's';
  for (std::size_t k = 0; k < std::min<std::size_t>(4, points.size()); ++k)
    out += sbi::text(k ? ", " : " ", points[k]);
  if (points.size() > 4) out += sbi::text(" ... (", points.size(), " of them)");
  return out;
}

/// Says which points cannot be served: sources that hold more than all the sinks take that they reach, or the
/// sinks that are left over, whichever are fewer. The duals of the first phase, whole numbers, tell them
/// apart: sources above a level reach only sinks of minus that level and below.
template <class Arcs>
[[noreturn]] void throw_unserved(const Arcs& arcs, const Weighted& a, const Weighted& b,
                                 const TransportBasis& found) {
  double most = 0;
  std::vector<int> rows, columns; // columns: not reached
  double held = 0, wanted = 0, reached_mass = 0, reaching = 0;
  std::vector<double> levels(found.f);
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  for (const double level : levels) {
    std::vector<char> reached(b.weight.size(), 0);
    std::vector<int> of, others;
    double mass = 0, below = 0, takes = 0, left = 0;
    for (std::size_t i = 0; i < a.weight.size(); ++i) {
      if (found.f[i] < level) {
        below += a.weight[i];
        continue;
      }
      mass += a.weight[i], of.push_back(a.point[i]);
      arcs.for_each(static_cast<index_t>(i),
                    [&](int j, double) { reached[static_cast<std::size_t>(j)] = 1; });
    }
    for (std::size_t j = 0; j < b.weight.size(); ++j)
      if (reached[j])
        takes += b.weight[j];
      else
        left += b.weight[j], others.push_back(b.point[j]);
    if (mass - takes < most) continue;
    most = mass - takes;
    rows = of, columns = others, held = mass, reached_mass = takes, wanted = left, reaching = below;
  }
  const bool of_rows = rows.size() <= columns.size() || columns.empty();
  throw ValueError(sbi::text("exact transport: weight ", of_rows ? held : wanted, " in ",
                             of_rows ? listed(a.kind, rows) : listed(b.kind, columns), ", only ",
                             of_rows ? reached_mass : reaching, " in ", of_rows ? b.kind : a.kind,
                             "s at the other end of an arc; want more arcs"));
}

inline void check_start(const ExactOptions& options, std::size_t n, std::size_t m) {
  if (options.f.empty() && options.g.empty()) return;
  if (options.f.size() != n || options.g.size() != m)
    throw ShapeError(sbi::text("exact transport: ", options.f.size(), " and ", options.g.size(),
                               " dual variables to begin from; want ", n, " and ", m));
  for (const auto duals : {options.f, options.g})
    for (std::size_t i = 0; i < duals.size(); ++i)
      if (!is_finite(duals[i]))
        throw ValueError(sbi::text("exact transport: ", duals.data() == options.f.data() ? "f[" : "g[", i,
                                   "] = ", duals[i], " to begin from; want finite"));
}

inline void check_sparse(std::span<const index_t> row_start, std::span<const index_t> column, index_t columns,
                         index_t arcs) {
  if (row_start.size() < 2 || static_cast<index_t>(column.size()) != arcs || row_start[0] != 0 ||
      row_start.back() != arcs)
    throw ShapeError(sbi::text("exact transport: ", row_start.size(), " row starts, ", column.size(),
                               " columns, ", arcs, " costs; want row starts from 0 to the number of both"));
  for (std::size_t i = 1; i < row_start.size(); ++i)
    if (row_start[i] < row_start[i - 1])
      throw ValueError(sbi::text("exact transport: row start ", i, " = ", row_start[i],
                                 " is below the one before, ", row_start[i - 1]));
  for (std::size_t k = 0; k < column.size(); ++k)
    if (column[k] < 0 || column[k] >= columns)
      throw ValueError(
          sbi::text("exact transport: column[", k, "] = ", column[k], "; want 0 to ", columns - 1));
}

/// f_i = min_j C_ij over the arcs of a row, then g_j = min_i (C_ij - f_i); 0 without arcs.
template <class Arcs> [[nodiscard]] RoughDuals reduced_rows_and_columns(const Arcs& arcs) {
  RoughDuals out{std::vector<double>(static_cast<std::size_t>(arcs.sources()), 0),
                 std::vector<double>(static_cast<std::size_t>(arcs.sinks()), no_arc)};
  for (index_t i = 0; i < arcs.sources(); ++i) {
    double least = no_arc;
    arcs.for_each(i, [&](int, double c) { least = std::min(least, c); });
    if (least == no_arc) continue;
    out.f[static_cast<std::size_t>(i)] = least;
    arcs.for_each(i, [&](int j, double c) {
      double& g = out.g[static_cast<std::size_t>(j)];
      g = std::min(g, c - least);
    });
  }
  std::replace(out.g.begin(), out.g.end(), no_arc, 0.0);
  return out;
}

/// Weights of both sides, of equal mass, and the points that have some.
template <class T> struct TransportSides {
  Weights<T> a, b;
  Weighted sources, sinks;
  double rounding; ///< of the weights: what may stay unserved

  TransportSides(std::span<const T> wa, std::span<const T> wb, index_t n, index_t m)
      : a("a", wa, (check_count(n, m), n)), b(balanced(a, wb, m)), sources("row", a.value),
        sinks("column", b.value),
        rounding(std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon())) * a.mass) {}

private:
  static void check_count(index_t n, index_t m) {
    constexpr index_t most = std::numeric_limits<int>::max();
    if (n > most - m)
      throw ShapeError(sbi::text("exact transport: ", n, " rows and ", m, " columns; want at most ", most));
  }
  static Weights<T> balanced(const Weights<T>& a, std::span<const T> wb, index_t m) {
    Weights<T> b("b", wb, m);
    balance("exact transport", a, b);
    return b;
  }
};

/// Solves it between points with weight. `start`: the dual variables to begin from, made if none are given.
template <class Arcs, class Start>
[[nodiscard]] TransportBasis solve_weighted(Arcs& arcs, const Weighted& a, const Weighted& b,
                                            std::span<const double> f, std::span<const double> g,
                                            double largest, double rounding, long max_pivots, Start&& start) {
  TransportTask task;
  task.supply = a.weight, task.demand = b.weight;
  task.rounding = rounding, task.largest = largest;
  if (max_pivots > 0) task.max_pivots = max_pivots;
  if (f.empty()) {
    RoughDuals duals = start();
    task.f = std::move(duals.f), task.g = std::move(duals.g);
  } else {
    task.f = a.restricted(f), task.g = b.restricted(g);
    double size = 0;
    for (const double p : task.f) size = std::max(size, std::abs(p));
    for (const double p : task.g) size = std::max(size, std::abs(p));
    task.tight =
        std::max(64 * std::numeric_limits<double>::epsilon() * size, std::numeric_limits<double>::min());
  }
  TransportBasis found = solve_transport(arcs, task);
  if (found.unserved > rounding && found.pivots < task.max_pivots) throw_unserved(arcs, a, b, found);
  return found;
}

/// The result in terms of all points; for_each(i, visit(j, cost)) goes through the arcs of row i.
template <class ForEach>
[[nodiscard]] ExactResult exact_result(const TransportBasis& found, const Weighted& a, const Weighted& b,
                                       ForEach&& for_each) {
  ExactResult out;
  out.pivots = found.pivots, out.optimal = found.optimal, out.unserved = found.unserved;
  for (const TreeArc& arc : found.arcs)
    if (arc.flow > 0) {
      out.value += arc.flow * arc.cost;
      out.plan.push_back({a.point[static_cast<std::size_t>(arc.source)],
                          b.point[static_cast<std::size_t>(arc.sink)], arc.flow});
    }
  out.f.assign(a.place.size(), no_arc), out.g.assign(b.place.size(), no_arc);
  for (std::size_t k = 0; k < a.point.size(); ++k) out.f[static_cast<std::size_t>(a.point[k])] = found.f[k];
  for (std::size_t k = 0; k < b.point.size(); ++k) out.g[static_cast<std::size_t>(b.point[k])] = found.g[k];
  if (!a.all())
    for (std::size_t i = 0; i < out.f.size(); ++i)
      if (double& f = out.f[i]; a.place[i] < 0) {
        for_each(static_cast<index_t>(i), [&](index_t j, double c) {
          if (const auto q = static_cast<std::size_t>(j); b.place[q] >= 0) f = std::min(f, c - out.g[q]);
        });
        if (f == no_arc) f = 0;
      }
  if (!b.all()) {
    for (std::size_t i = 0; i < out.f.size(); ++i)
      for_each(static_cast<index_t>(i), [&](index_t j, double c) {
        if (const auto q = static_cast<std::size_t>(j); b.place[q] < 0)
          out.g[q] = std::min(out.g[q], c - out.f[i]);
      });
    std::replace(out.g.begin(), out.g.end(), no_arc, 0.0);
  }
  return out;
}

/// The largest size of a cost that is not plus infinity. Throws ValueError for one that is NaN or so large
/// that sums of costs would overflow.
template <class T, class Name> [[nodiscard]] double checked_size(const T* cost, index_t count, Name&& name) {
  constexpr T top = std::numeric_limits<T>::infinity();
  constexpr double most = 1e290;
  T largest = 0;
  bool good = true;
  for (index_t k = 0; k < count; ++k) {
    const T c = cost[k], size = c < 0 ? -c : c;
    good &= size < top || c == top;
    largest = size < top && size > largest ? size : largest;
  }
  for (index_t k = 0; (!good || static_cast<double>(largest) > most) && k < count; ++k)
    if (const auto c = static_cast<double>(cost[k]); !(std::abs(c) <= most) && c != no_arc)
      throw ValueError(sbi::text("exact transport: cost[", name(k), "] = ", c,
                                 "; want finite (1e290 at most), or infinity where there is no arc"));
  return static_cast<double>(largest);
}
} // namespace detail

} // namespace sbi::ot
