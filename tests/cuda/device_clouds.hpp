// SPDX-License-Identifier: MIT
// What the tests of transport on a GPU share.
#pragma once
#include "../ot/clouds.hpp"

#include <sbi/ot/cuda.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

template <class T, class U> sbi::Tensor<T> as(const sbi::Tensor<U>& x) {
  sbi::Tensor<T> out(x.shape());
  std::transform(x.begin(), x.end(), out.begin(), [](U v) { return static_cast<T>(v); });
  return out;
}
template <class T, class U> std::vector<T> as(const std::vector<U>& x) {
  std::vector<T> out;
  for (U v : x) out.push_back(static_cast<T>(v));
  return out;
}

/// Extents of two clouds.
struct Extents {
  sbi::index_t n, m;
};

/// Weights of which every third is 0.
inline std::vector<double> weights_with_zeros(std::uint64_t seed, sbi::index_t n) {
  std::vector<double> w = random_weights(seed, n);
  for (std::size_t i = 1; i < w.size(); i += 3) w[i] = 0;
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& v : w) v /= sum;
  return w;
}

/// The largest |x_i - y_i|; of potentials without the constant that they are known up to, the mean of the
/// differences.
template <class U, class V> double largest_difference(const U& x, const V& y, bool up_to_constant = false) {
  double mean = 0, worst = 0;
  const auto difference = [&](std::size_t i) {
    return static_cast<double>(x.begin()[static_cast<std::ptrdiff_t>(i)]) -
           static_cast<double>(y.begin()[static_cast<std::ptrdiff_t>(i)]);
  };
  const auto n = static_cast<std::size_t>(x.end() - x.begin());
  if (up_to_constant)
    for (std::size_t i = 0; i < n; ++i) mean += difference(i) / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double d = std::abs(difference(i) - mean);
    if (!(d <= worst)) worst = d; // NaN too
  }
  return worst;
}
