// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diagnostics/ranks.hpp>

#include <array>
#include <cmath>
#include <numbers>

namespace sbi::diagnostics {

/// How often central credible intervals hold the truth, at 19 nominal levels 0.05, 0.10, ..., 0.95.
struct Coverage {
  static constexpr int levels = 19;
  index_t objects = 0;
  std::array<double, levels> nominal{};
  std::array<double, levels> observed{}; ///< fraction of the objects inside their interval
  std::array<double, levels> error{}; ///< binomial standard deviation sqrt(L (1 - L) / objects) if calibrated
  double deviation = 0;               ///< mean over levels of |observed - nominal|
  double expected_deviation = 0;      ///< its expectation if calibrated, from the binomial errors
  double bias =
      0; ///< mean over levels of observed - nominal: negative for intervals too narrow (overconfident)
};

/// Coverage of one parameter from its normalised ranks u (Ranks::of). The central interval of level L holds
/// the truth where |2 u - 1| <= L; its edges are order statistics of the samples, and its coverage is L to
/// within 1 / (n + 1). Throws ValueError for no ranks.
[[nodiscard]] inline Coverage central_coverage(std::span<const double> u) {
  if (u.empty()) throw ValueError("coverage: no objects; want one or more");
  Coverage out;
  out.objects = static_cast<index_t>(u.size());
  const auto n = static_cast<double>(u.size());
  for (std::size_t k = 0; k < out.nominal.size(); ++k) {
    const double level = static_cast<double>(k + 1) / 20;
    index_t inside = 0;
    for (double v : u)
      inside += std::abs(2 * v - 1) <= level + 1e-12; // a rank on the edge counts, rounding or not
    out.nominal[k] = level;
    out.observed[k] = static_cast<double>(inside) / n;
    out.error[k] = std::sqrt(level * (1 - level) / n);
    out.deviation += std::abs(out.observed[k] - level) / Coverage::levels;
    out.bias += (out.observed[k] - level) / Coverage::levels;
    out.expected_deviation += std::sqrt(2 / std::numbers::pi) * out.error[k] / Coverage::levels; // E|N(0, e)|
  }
  return out;
}

} // namespace sbi::diagnostics
