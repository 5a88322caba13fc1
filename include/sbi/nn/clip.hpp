// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <vector>

namespace sbi::nn {

/// Scales a gradient to at most `limit` in Euclidean norm and returns the norm it had. A non-finite norm is
/// returned and the gradient left as it is: the caller decides what a failed step means. Summed in double, in
/// order.
template <class T> double clip_norm(std::vector<T>& gradient, double limit) {
  double square = 0;
  for (T g : gradient) square += static_cast<double>(g) * static_cast<double>(g);
  const double norm = std::sqrt(square);
  if (std::isfinite(norm) && norm > limit) {
    const T scale = static_cast<T>(limit / norm);
    for (T& g : gradient) g *= scale;
  }
  return norm;
}

} // namespace sbi::nn
