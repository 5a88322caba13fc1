// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/simd.hpp>

#include <cmath>

namespace sbi::forward::detail {

/// e^x in every lane. With two lanes (SSE2, which has no 64-bit integer comparison) the library's scalar
/// function is twice as fast as the vector polynomial; with four or eight it is two to three times slower.
template <int N> Vec<double, N> exponential(Vec<double, N> x) {
  if constexpr (N > 2) {
    return exp(x);
  } else {
    double lane[N];
    x.store(lane);
    for (double& v : lane) v = std::exp(v);
    return Vec<double, N>::load(lane);
  }
}

} // namespace sbi::forward::detail
