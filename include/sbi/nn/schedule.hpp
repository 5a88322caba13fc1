// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/shape.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sbi::nn {

/// Learning rate against step: a linear warm-up to `peak`, then half a cosine down to `floor` times the peak.
struct WarmupCosine {
  double peak = 1e-3;
  index_t warmup = 100, total = 1000;
  double floor = 0.01;

  [[nodiscard]] double operator()(index_t step) const {
    if (step < warmup) return peak * static_cast<double>(step + 1) / static_cast<double>(warmup);
    const double share = std::min(1.0, static_cast<double>(step - warmup) /
                                           static_cast<double>(std::max<index_t>(total - warmup, 1)));
    return peak * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * share)));
  }
};

/// A weight that rises linearly from 0 to 1 over [begin, begin + length) steps.
struct Ramp {
  index_t begin = 0, length = 1;
  [[nodiscard]] double operator()(index_t step) const {
    return std::clamp(static_cast<double>(step - begin) / static_cast<double>(std::max<index_t>(length, 1)),
                      0.0, 1.0);
  }
};

} // namespace sbi::nn
