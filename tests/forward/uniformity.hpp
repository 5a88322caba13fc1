// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace sbi_test {

/// The distance of Kolmogorov and Smirnov from the uniform distribution on [0, 1]; below 1.63 / sqrt(n) in 99
/// % of uniform samples.
inline double distance(std::vector<double> u) {
  std::sort(u.begin(), u.end());
  const auto n = static_cast<double>(u.size());
  double d = 0;
  for (std::size_t i = 0; i < u.size(); ++i)
    d = std::max(
        {d, std::abs(u[i] - static_cast<double>(i) / n), std::abs(u[i] - static_cast<double>(i + 1) / n)});
  return d;
}

} // namespace sbi_test
