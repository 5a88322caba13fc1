// SPDX-License-Identifier: MIT
// Exact transport between n standard normal points and n others, shifted by .3, of dimension d, squared
// Euclidean cost in double, on one thread. `weights`: 0 for equal ones, an assignment, 1 for random ones of
// at most six times the smallest. `again` begins from the duals of the result; `nearest` has arcs to the 30
// nearest points of each and those of the optimal plan alone.
#include <sbi/backend/cpu.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace {
using sbi::index_t;
using sbi::Tensor;

struct Problem {
  Tensor<double> cost;
  std::vector<double> a, b; // empty: equal weights

  explicit Problem(const benchmark::State& state) {
    const index_t n = state.range(0), d = state.range(1);
    sbi::Rng rng(1);
    Tensor<double> x({n, d}), y({n, d});
    for (double& v : x) v = rng.normal();
    for (double& v : y) v = rng.normal() + 0.3;
    cost = sbi::ot::cost_matrix(sbi::Cpu<double>(1), sbi::ot::SquaredEuclidean{}, x.view(), y.view());
    if (state.range(2) == 0) return;
    for (std::vector<double>* w : {&a, &b}) {
      w->resize(static_cast<std::size_t>(n));
      for (double& v : *w) v = 0.2 + rng.uniform();
      const double sum = std::accumulate(w->begin(), w->end(), 0.0);
      for (double& v : *w) v /= sum;
    }
  }
};
void report(benchmark::State& state, const sbi::ot::ExactResult& result) {
  if (!result.optimal) state.SkipWithError("not optimal");
  state.counters["pivots"] = static_cast<double>(result.pivots);
}
void dense(benchmark::State& state) {
  const Problem problem(state);
  sbi::ot::ExactResult result;
  for (auto _ : state) result = sbi::ot::exact_transport<double>(problem.cost.view(), problem.a, problem.b);
  report(state, result);
}
void again(benchmark::State& state) {
  const Problem problem(state);
  const auto first = sbi::ot::exact_transport<double>(problem.cost.view(), problem.a, problem.b);
  sbi::ot::ExactOptions options;
  options.f = first.f, options.g = first.g;
  sbi::ot::ExactResult result;
  for (auto _ : state)
    result = sbi::ot::exact_transport<double>(problem.cost.view(), problem.a, problem.b, options);
  report(state, result);
}
void nearest(benchmark::State& state) {
  const Problem problem(state);
  const index_t n = problem.cost.rows();
  constexpr index_t count = 30;
  std::vector<index_t> row_start{0}, column, order(static_cast<std::size_t>(n));
  std::vector<double> cost;
  auto plan = sbi::ot::exact_transport<double>(problem.cost.view(), problem.a, problem.b).plan;
  for (index_t i = 0; i < n; ++i) {
    std::iota(order.begin(), order.end(), index_t{0});
    std::partial_sort(order.begin(), order.begin() + count, order.end(),
                      [&](index_t p, index_t q) { return problem.cost(i, p) < problem.cost(i, q); });
    for (index_t k = 0; k < count; ++k) column.push_back(order[static_cast<std::size_t>(k)]);
    for (const auto& s : plan)
      if (s.from == i) column.push_back(s.to);
    for (auto k = cost.size(); k < column.size(); ++k) cost.push_back(problem.cost(i, column[k]));
    row_start.push_back(static_cast<index_t>(column.size()));
  }
  const sbi::ot::SparseCost<double> arcs{n, row_start, column, cost};
  sbi::ot::ExactResult result;
  for (auto _ : state) result = sbi::ot::exact_transport(arcs, problem.a, problem.b);
  report(state, result);
}
const std::vector<std::vector<std::int64_t>> all{{1000, 2000}, {2, 64}, {0, 1}};
BENCHMARK(dense)->ArgNames({"n", "d", "weights"})->ArgsProduct(all)->Unit(benchmark::kMillisecond);
BENCHMARK(again)->ArgNames({"n", "d", "weights"})->ArgsProduct(all)->Unit(benchmark::kMillisecond);
BENCHMARK(nearest)->ArgNames({"n", "d", "weights"})->ArgsProduct(all)->Unit(benchmark::kMillisecond);
} // namespace

BENCHMARK_MAIN();
