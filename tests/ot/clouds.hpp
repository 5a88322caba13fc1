// SPDX-License-Identifier: MIT
// Point clouds that the tests of transport share.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <numeric>
#include <vector>

/// Standard normal coordinates times a scale.
inline sbi::Tensor<double> random_points(std::uint64_t seed, sbi::index_t n, sbi::index_t d,
                                         double scale = 1) {
  sbi::Rng rng(seed);
  sbi::Tensor<double> x(sbi::Shape{n, d});
  for (double& v : x) v = scale * rng.normal();
  return x;
}
/// Weights that sum to 1, the largest at most six times the smallest.
inline std::vector<double> random_weights(std::uint64_t seed, sbi::index_t n) {
  sbi::Rng rng(seed);
  std::vector<double> w(static_cast<std::size_t>(n));
  for (double& v : w) v = 0.2 + rng.uniform();
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& v : w) v /= sum;
  return w;
}
