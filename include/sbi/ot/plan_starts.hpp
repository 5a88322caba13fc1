// SPDX-License-Identifier: MIT
// Plans that solvers of problems that are not convex begin with.
#pragma once
#include <sbi/ot/distortion.hpp>
#include <sbi/ot/line.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace sbi::ot::detail {

/// A non-negative matrix made a plan of these marginals (Altschuler, Weed, Rigollet 2017, algorithm 2): what
/// is too much is scaled away, what is missing then is shared out.
template <class T>
void round_to_marginals(const std::vector<double>& a, const std::vector<double>& b, Tensor<T>& plan) {
  const auto n = a.size(), m = b.size();
  std::vector<double> p(plan.begin(), plan.end()), rows(n), columns(m);
  const auto each = [&](auto&& f) {
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < m; ++j) f(p[i * m + j], i, j);
  };
  const auto sum = [&] {
    std::fill(columns.begin(), columns.end(), 0);
    for (std::size_t i = 0; i < n; ++i) {
      const double* const row = p.data() + i * m;
      rows[i] = sum_row(static_cast<index_t>(m), [row](index_t j) { return row[j]; });
      for (std::size_t j = 0; j < m; ++j) columns[j] += row[j];
    }
  };
  sum();
  for (std::size_t i = 0; i < n; ++i) rows[i] = rows[i] > a[i] ? a[i] / rows[i] : 1;
  each([&](double& v, std::size_t i, std::size_t) { v *= rows[i]; });
  sum();
  for (std::size_t j = 0; j < m; ++j) columns[j] = columns[j] > b[j] ? b[j] / columns[j] : 1;
  each([&](double& v, std::size_t, std::size_t j) { v *= columns[j]; });
  sum();
  for (std::size_t i = 0; i < n; ++i) rows[i] = std::max(0.0, a[i] - rows[i]);
  for (std::size_t j = 0; j < m; ++j) columns[j] = std::max(0.0, b[j] - columns[j]);
  if (const double missing = std::accumulate(rows.begin(), rows.end(), 0.0); missing > 0)
    each([&](double& v, std::size_t i, std::size_t j) { v += rows[i] / missing * columns[j]; });
  std::transform(p.begin(), p.end(), plan.begin(), [](double v) { return static_cast<T>(v); });
}

/// The plan that fills the sinks, in their order, from the sources, in theirs.
template <class T>
[[nodiscard]] Tensor<T> in_order(const std::vector<double>& a, const std::vector<double>& b,
                                 const std::vector<index_t>& rows, const std::vector<index_t>& columns) {
  Tensor<T> out(Shape{static_cast<index_t>(a.size()), static_cast<index_t>(b.size())});
  const auto places = [](const std::vector<index_t>& order) {
    std::vector<Place> of;
    for (const index_t which : order) of.push_back({0, which}); // the walk asks for the order alone
    return of;
  };
  const std::vector<Place> x = places(rows), y = places(columns);
  walk_line(x.data(), out.rows(), y.data(), out.cols(), a.data(), b.data(),
            std::accumulate(a.begin(), a.end(), 0.0), [&](index_t i, index_t j, double mass, Used) {
              out(rows[static_cast<std::size_t>(i)], columns[static_cast<std::size_t>(j)]) =
                  static_cast<T>(mass);
            });
  return out;
}

/// The indices of the points in the order of their mean cost to the others.
template <class T>
[[nodiscard]] std::vector<index_t> by_eccentricity(View<const T> cost, const std::vector<double>& weight) {
  std::vector<double> mean(weight.size(), 0);
  std::vector<index_t> out(weight.size());
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t k = 0; k < cost.cols(); ++k)
      mean[static_cast<std::size_t>(i)] +=
          weight[static_cast<std::size_t>(k)] * static_cast<double>(cost(i, k));
  std::iota(out.begin(), out.end(), 0);
  std::stable_sort(out.begin(), out.end(), [&](index_t i, index_t k) {
    return mean[static_cast<std::size_t>(i)] < mean[static_cast<std::size_t>(k)];
  });
  return out;
}

} // namespace sbi::ot::detail
