// SPDX-License-Identifier: MIT
// Point clouds, matrices and definitions that the tests of transport share.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <cmath>
#include <numeric>
#include <vector>

template <class T> sbi::Tensor<T> cast(const sbi::Tensor<double>& x) {
  return sbi::Tensor<T>(x.shape(), std::vector<T>(x.begin(), x.end()));
}
template <class T> std::vector<T> cast(const std::vector<double>& x) { return {x.begin(), x.end()}; }

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
/// Entries uniform in [0, 1).
inline sbi::Tensor<double> random_matrix(std::uint64_t seed, sbi::index_t n, sbi::index_t m) {
  sbi::Rng rng(seed);
  sbi::Tensor<double> c(sbi::Shape{n, m});
  for (double& v : c) v = rng.uniform();
  return c;
}
/// |x_i - y_j|^2 by its definition.
inline double squared_distance(const sbi::Tensor<double>& x, sbi::index_t i, const sbi::Tensor<double>& y,
                               sbi::index_t j) {
  double sum = 0;
  for (sbi::index_t k = 0; k < x.cols(); ++k) sum += std::pow(x(i, k) - y(j, k), 2);
  return sum;
}
/// sum_ijkl loss(cx(i, k), cy(j, l)) P_ij P_kl: the distortion of a plan by its definition.
template <class L, class X, class Y>
double distortion_by_definition(const sbi::Tensor<double>& p, const L& loss, const X& cx, const Y& cy) {
  double sum = 0;
  for (sbi::index_t i = 0; i < p.rows(); ++i)
    for (sbi::index_t k = 0; k < p.rows(); ++k)
      for (sbi::index_t j = 0; j < p.cols(); ++j)
        for (sbi::index_t l = 0; l < p.cols(); ++l) sum += loss(cx(i, k), cy(j, l)) * p(i, j) * p(k, l);
  return sum;
}
/// The same of the square loss between clouds under squared distances.
inline double squared_distortion(const sbi::Tensor<double>& x, const sbi::Tensor<double>& y,
                                 const sbi::Tensor<double>& p) {
  return distortion_by_definition(
      p, [](double u, double v) { return (u - v) * (u - v); },
      [&](sbi::index_t i, sbi::index_t k) { return squared_distance(x, i, x, k); },
      [&](sbi::index_t j, sbi::index_t l) { return squared_distance(y, j, y, l); });
}
/// sum_ij P_ij log(P_ij / (a_i b_j)): KL(P | a x b) of a plan with these marginals.
inline double relative_entropy(const sbi::Tensor<double>& p, const std::vector<double>& a,
                               const std::vector<double>& b) {
  double sum = 0;
  for (sbi::index_t i = 0; i < p.rows(); ++i)
    for (sbi::index_t j = 0; j < p.cols(); ++j)
      if (p(i, j) > 0)
        sum +=
            p(i, j) * std::log(p(i, j) / (a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)]));
  return sum;
}
