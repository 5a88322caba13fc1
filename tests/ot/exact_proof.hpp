// SPDX-License-Identifier: MIT
// The proof that a result of exact transport is optimal, by its dual variables.
#pragma once
#include <sbi/ot/exact.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

/// That the plan is feasible, the duals are, and both have the same value; infinite costs carry nothing.
/// Tolerances: rounding of sums of weights that sum to 1, and of costs up to `size`.
inline void check_optimal(const sbi::ot::ExactResult& r, const sbi::Tensor<double>& c,
                          const std::vector<double>& a, const std::vector<double>& b, double size = 1) {
  using sbi::index_t;
  CHECK(r.optimal);
  CHECK(r.unserved < 1e-14);
  std::vector<double> rows(a.size(), 0), columns(b.size(), 0);
  double value = 0, dual = 0, worst = 0, loose = 0, least = 1;
  for (const auto& s : r.plan) {
    const auto i = static_cast<std::size_t>(s.from), j = static_cast<std::size_t>(s.to);
    least = std::min(least, s.mass);
    rows[i] += s.mass, columns[j] += s.mass;
    value += s.mass * c(s.from, s.to);
    loose = std::max(loose, c(s.from, s.to) - r.f[i] - r.g[j]);
  }
  CHECK(least > 0);
  CHECK(r.plan.size() <= a.size() + b.size() - 1);
  double row_error = 0, column_error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    row_error = std::max(row_error, std::abs(rows[i] - a[i]));
    dual += a[i] * r.f[i];
  }
  for (std::size_t j = 0; j < b.size(); ++j) {
    column_error = std::max(column_error, std::abs(columns[j] - b[j]));
    dual += b[j] * r.g[j];
  }
  const double rounding = std::max(1e-14, 1e-16 * static_cast<double>(a.size() + b.size()));
  CHECK(row_error < rounding);
  CHECK(column_error < rounding);
  for (index_t i = 0; i < c.rows(); ++i)
    for (index_t j = 0; j < c.cols(); ++j)
      worst = std::min(worst, c(i, j) - r.f[static_cast<std::size_t>(i)] - r.g[static_cast<std::size_t>(j)]);
  CHECK(worst > -1e-12 * size);
  CHECK(loose < 1e-12 * size);
  CHECK(r.value == doctest::Approx(value).epsilon(1e-12));
  CHECK(std::abs(dual - value) < 1e-12 * size);
}
