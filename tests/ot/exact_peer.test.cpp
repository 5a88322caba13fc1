// SPDX-License-Identifier: MIT
// Against LEMON's network simplex, where its headers are installed (Debian: liblemon-dev).
#if __has_include(<lemon/network_simplex.h>)
#define LEMON_ONLY_TEMPLATES
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>

#include <doctest/doctest.h>

#include <lemon/network_simplex.h>
#include <lemon/smart_graph.h>
#include <limits>
#include <numeric>
#include <optional>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The least cost in whole numbers, of the arcs that are not infinite; nothing where there is no plan.
std::optional<long> peer(const Tensor<double>& c, const std::vector<long>& a, const std::vector<long>& b) {
  using Graph = lemon::SmartDigraph;
  Graph graph;
  std::vector<Graph::Node> from, to;
  for (std::size_t i = 0; i < a.size(); ++i) from.push_back(graph.addNode());
  for (std::size_t j = 0; j < b.size(); ++j) to.push_back(graph.addNode());
  Graph::ArcMap<long> cost(graph);
  Graph::NodeMap<long> supply(graph, 0);
  for (std::size_t i = 0; i < a.size(); ++i) supply[from[i]] = a[i];
  for (std::size_t j = 0; j < b.size(); ++j) supply[to[j]] = -b[j];
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < b.size(); ++j)
      if (const double v = c(static_cast<index_t>(i), static_cast<index_t>(j)); v < infinity)
        cost[graph.addArc(from[i], to[j])] = static_cast<long>(v);
  lemon::NetworkSimplex<Graph, long, long> simplex(graph);
  simplex.costMap(cost).supplyMap(supply);
  if (simplex.run() != simplex.OPTIMAL) return {};
  return simplex.totalCost<long>();
}
} // namespace

TEST_CASE(
    "ot/exact peer: the value of LEMON's network simplex in whole numbers, with any share of the arcs") {
  int plans = 0, none = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Rng rng(seed);
    const auto n = static_cast<index_t>(1 + rng.uniform() * 60),
               m = static_cast<index_t>(1 + rng.uniform() * 60);
    const double share = seed % 4 == 0 ? 1 : 0.02 + 0.3 * rng.uniform(), top = seed % 3 ? 1e6 : 4;
    Tensor<double> c(Shape{n, m});
    for (double& v : c) v = rng.uniform() < share ? std::floor(top * rng.uniform()) : infinity;
    std::vector<long> a(static_cast<std::size_t>(n)), b(static_cast<std::size_t>(m));
    long left = 0;
    for (long& w : a) left += w = static_cast<long>(rng.uniform() * 1000); // some are 0
    a[0] += 100, left += 100;
    for (long& w : b) left -= w = std::min(left, static_cast<long>(rng.uniform() * 1000));
    b.back() += left;
    const Vector wa(a.begin(), a.end()), wb(b.begin(), b.end());
    std::vector<index_t> start{0}, column;
    Vector cost;
    for (index_t i = 0; i < n; ++i) {
      for (index_t j = 0; j < m; ++j)
        if (c(i, j) < infinity) column.push_back(j), cost.push_back(c(i, j));
      start.push_back(static_cast<index_t>(cost.size()));
    }
    const ot::SparseCost<double> list{m, start, column, cost};
    const auto expected = peer(c, a, b);
    CAPTURE(seed);
    if (!expected) {
      ++none;
      CHECK_THROWS_AS((void)ot::exact_transport<double>(c.view(), wa, wb), ValueError);
      CHECK_THROWS_AS((void)ot::exact_transport(list, wa, wb), ValueError);
      continue;
    }
    ++plans;
    // Sums of whole numbers below 2^53: exact in double.
    CHECK(ot::exact_transport<double>(c.view(), wa, wb).value == static_cast<double>(*expected));
    CHECK(ot::exact_transport(list, wa, wb).value == static_cast<double>(*expected));
  }
  CHECK(plans > 10);
  CHECK(none > 5);
}
#endif
