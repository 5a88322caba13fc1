// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace sbi::forward {

/// Weights of up to four neighbouring nodes: f(x) = sum_i weight[i] * f[first + i].
struct CardinalWeights {
  std::size_t first = 0, count = 0;
  std::array<double, 4> weight{};

  template <class Values> [[nodiscard]] double operator()(const Values& values) const {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += weight[i] * values[first + i];
    return sum;
  }
};

/// Cubic Hermite interpolation on increasing nodes with central-difference slopes (Catmull-Rom on uneven
/// nodes). It is linear in the values, continuous with its first derivative, passes through every node, and
/// is flat at the two end nodes and beyond: a table says nothing there. Throws ShapeError for fewer than two
/// nodes.
[[nodiscard]] inline CardinalWeights cardinal(std::span<const double> nodes, double x) {
  const std::size_t n = nodes.size();
  if (n < 2) throw ShapeError(sbi::text("cardinal: ", n, " nodes; want at least 2"));
  const double at = std::clamp(x, nodes.front(), nodes.back());
  const auto above =
      static_cast<std::size_t>(std::upper_bound(nodes.begin(), nodes.end(), at) - nodes.begin());
  const std::size_t i = std::min(std::max<std::size_t>(above, 1) - 1, n - 2);
  const double h = nodes[i + 1] - nodes[i], t = (at - nodes[i]) / h;

  CardinalWeights out;
  out.first = i > 0 ? i - 1 : 0;
  out.count = std::min(i + 2, n - 1) - out.first + 1;
  const auto add = [&](std::size_t node, double w) { out.weight[node - out.first] += w; };
  add(i, (1 + 2 * t) * (1 - t) * (1 - t));
  add(i + 1, t * t * (3 - 2 * t));
  if (i > 0) { // slope at the left node
    const double w = t * (1 - t) * (1 - t) * h / (nodes[i + 1] - nodes[i - 1]);
    add(i + 1, w), add(i - 1, -w);
  }
  if (i + 2 < n) { // slope at the right node
    const double w = t * t * (t - 1) * h / (nodes[i + 2] - nodes[i]);
    add(i + 2, w), add(i, -w);
  }
  return out;
}

} // namespace sbi::forward
