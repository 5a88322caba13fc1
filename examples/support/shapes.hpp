// SPDX-License-Identifier: MIT
// The clouds that the transport program aligns, made with their truth: a curve and its deformed image, and
// classes seen in two spaces.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <numeric>
#include <vector>

namespace example {

using sbi::index_t;
using sbi::Tensor;

/// Weighted points along a curve. Each knows where on the curve it lies, from 0 to 1; NaN is a stray.
struct Curve {
  Tensor<double> points;             ///< [n, 2] or [n, 3]
  std::vector<double> weight, along; ///< [n], the weights of sum 1
  std::vector<double> brightness;    ///< [n] a quantity that both clouds are observed with, noisy
  [[nodiscard]] bool stray(index_t i) const { return !(along[static_cast<std::size_t>(i)] >= 0); }
};

using Plane = std::array<double, 2>;

/// A fish hook, a stem that ends in an arc, about its centre: it has no symmetry, so that only one alignment
/// is right.
inline Plane on_hook(double t) {
  constexpr double stem = 1.45, radius = 0.48, turn = 200 * std::numbers::pi / 180;
  const double length = t * (stem + radius * turn), angle = std::max(0.0, length - stem) / radius;
  return {radius * std::cos(angle) - 0.27, 1.15 - std::min(length, stem) - radius * std::sin(angle)};
}
/// How it is seen from elsewhere: stretched, bent and turned.
inline Plane deformed(const Plane& p, double degrees) {
  const double u = 1.1 * p[0] + 0.1 * p[1] * p[1], v = 0.95 * p[1] - 0.1 * p[0] * p[1];
  const double angle = degrees * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
  return {c * u - s * v, s * u + c * v};
}
/// The same on a cylinder in three dimensions.
inline std::array<double, 3> rolled(const Plane& p) {
  constexpr double radius = 0.9;
  return {radius * std::sin(p[0] / radius), p[1], radius * (1 - std::cos(p[0] / radius))};
}

/// n points on the hook whose density along it differs by `crowding` (1: even) from that of their mass.
inline Curve sample_hook(index_t n, double crowding, sbi::Rng rng) {
  Curve out{Tensor<double>(sbi::Shape{n, 2}), {}, {}, {}};
  for (index_t i = 0; i < n; ++i) {
    const double s = (static_cast<double>(i) + rng.uniform()) / static_cast<double>(n);
    const double t = std::pow(s, crowding), mass = 1 + 1.5 * std::pow(std::sin(3 * t), 2);
    const Plane p = on_hook(t);
    for (index_t k = 0; k < 2; ++k) out.points(i, k) = p[static_cast<std::size_t>(k)] + rng.normal(0, 0.03);
    out.along.push_back(t), out.brightness.push_back(t + rng.normal(0, 0.1));
    out.weight.push_back(crowding * std::pow(s, crowding - 1) * mass * rng.uniform(0.6, 1.4));
  }
  const double sum = std::accumulate(out.weight.begin(), out.weight.end(), 0.0);
  for (double& w : out.weight) w /= sum;
  return out;
}

/// The last points of a curve become strays around a place, of this share of the mass.
inline void add_strays(Curve& curve, const Plane& place, double share, sbi::Rng rng) {
  const index_t n = curve.points.rows(), strays = std::max<index_t>(1, n / 12);
  const auto first = static_cast<std::size_t>(n - strays);
  for (index_t i = 0; i < n; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (at >= first) {
      for (index_t k = 0; k < 2; ++k)
        curve.points(i, k) = place[static_cast<std::size_t>(k)] + rng.normal(0, 0.07);
      curve.along[at] = sbi::missing, curve.brightness[at] = rng.uniform();
    }
  }
  double kept = 0;
  for (std::size_t i = 0; i < first; ++i) kept += curve.weight[i];
  for (std::size_t i = 0; i < curve.weight.size(); ++i)
    curve.weight[i] = i < first ? (1 - share) * curve.weight[i] / kept : share / static_cast<double>(strays);
}

/// Points of several classes in a space.
struct Labelled {
  Tensor<double> points;      ///< [n, d]
  std::vector<index_t> label; ///< [n]
};

/// The same classes in a space of ten dimensions and in one of five. A class lies in the second space where
/// the first has another class, and what a point is within its class goes through a smooth map: which
/// clusters are near each other in one space says nothing about the other.
inline std::array<Labelled, 2> two_spaces(index_t classes, index_t per_class, sbi::Rng rng) {
  constexpr index_t wide = 10, narrow = 5;
  const auto normal = [&](index_t rows, index_t cols, double scale) {
    Eigen::MatrixXd out(rows, cols);
    for (index_t i = 0; i < rows; ++i)
      for (index_t k = 0; k < cols; ++k) out(i, k) = rng.normal(0, scale);
    return out;
  };
  const Eigen::MatrixXd centres = normal(classes, wide, 2.5), map = normal(wide, narrow, 1 / std::sqrt(10.0)),
                        bend = normal(wide, narrow, 0.5 / std::sqrt(10.0));
  std::array<Labelled, 2> out;
  for (const bool second : {false, true}) {
    Labelled& cloud = out[second];
    const index_t count = second ? per_class + per_class / 4 : per_class;
    cloud.points = Tensor<double>(sbi::Shape{classes * count, second ? narrow : wide});
    for (index_t c = 0; c < classes; ++c)
      for (index_t i = 0; i < count; ++i) {
        Eigen::RowVectorXd x = centres.row(second ? (c + 1) % classes : c) + normal(1, wide, 1).row(0);
        if (second) {
          const Eigen::RowVectorXd u = x * map, v = x * bend;
          x.resize(narrow);
          for (index_t k = 0; k < narrow; ++k) x[k] = 2 * std::tanh(u[k] / 2) + 0.5 * std::sin(v[k]);
        }
        const index_t row = c * count + i;
        for (index_t k = 0; k < x.size(); ++k) cloud.points(row, k) = x[k];
        cloud.label.push_back(c);
      }
  }
  return out;
}

/// Every coordinate with mean 0 and variance 1, and zeros up to a number of coordinates.
inline Tensor<double> standardised(const Tensor<double>& points, index_t coordinates) {
  const index_t n = points.rows();
  Tensor<double> out(sbi::Shape{n, coordinates});
  for (index_t k = 0; k < points.cols(); ++k) {
    double mean = 0, square = 0;
    for (index_t i = 0; i < n; ++i) mean += points(i, k) / static_cast<double>(n);
    for (index_t i = 0; i < n; ++i) square += std::pow(points(i, k) - mean, 2) / static_cast<double>(n);
    for (index_t i = 0; i < n; ++i) out(i, k) = (points(i, k) - mean) / std::sqrt(square);
  }
  return out;
}

/// Points along their two directions of largest variance, scaled to a standard deviation of 1: [n, 2].
inline Tensor<double> seen_in_plane(const Tensor<double>& points) {
  const index_t n = points.rows(), d = points.cols();
  Eigen::MatrixXd x(n, d);
  for (index_t i = 0; i < n; ++i)
    for (index_t k = 0; k < d; ++k) x(i, k) = points(i, k);
  x.rowwise() -= x.colwise().mean().eval();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> axes(x.transpose() * x);
  const Eigen::MatrixXd seen = x * axes.eigenvectors().rightCols(2).rowwise().reverse();
  Tensor<double> out(sbi::Shape{n, 2});
  for (index_t k = 0; k < 2; ++k)
    for (index_t i = 0; i < n; ++i)
      out(i, k) = seen(i, k) / std::sqrt(seen.col(k).squaredNorm() / static_cast<double>(n));
  return out;
}

} // namespace example
