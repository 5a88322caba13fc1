// SPDX-License-Identifier: MIT
#pragma once
#include <limits>

namespace sbi {

/// The range of a parameter; infinite where it is not bounded.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};

} // namespace sbi
