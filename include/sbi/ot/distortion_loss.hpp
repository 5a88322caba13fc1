// SPDX-License-Identifier: MIT
// Losses between two costs, whose sum over a plan is the distortion of distortion.hpp.
#pragma once
#include <cmath>
#include <concepts>
#include <limits>

namespace sbi::ot {

/// L(u, v) = f1(u) + f2(v) - h1(u) h2(v) >= 0, 0 for u = v, with the derivatives of its parts. `least`: every
/// entry must be larger.
template <class L>
concept DistortionLoss = requires(const L& loss, double u) {
  { loss(u, u) } -> std::convertible_to<double>;
  { loss.f1(u) } -> std::convertible_to<double>;
  { loss.f2(u) } -> std::convertible_to<double>;
  { loss.h1(u) } -> std::convertible_to<double>;
  { loss.h2(u) } -> std::convertible_to<double>;
  { loss.df1(u) } -> std::convertible_to<double>;
  { loss.df2(u) } -> std::convertible_to<double>;
  { loss.dh1(u) } -> std::convertible_to<double>;
  { loss.dh2(u) } -> std::convertible_to<double>;
  { loss.least() } -> std::convertible_to<double>;
};

/// L(u, v) = (u - v)^2.
struct SquareLoss {
  double operator()(double u, double v) const { return (u - v) * (u - v); }
  double f1(double u) const { return u * u; }
  double f2(double v) const { return v * v; }
  double h1(double u) const { return u; }
  double h2(double v) const { return 2 * v; }
  double df1(double u) const { return 2 * u; }
  double df2(double v) const { return 2 * v; }
  double dh1(double) const { return 1; }
  double dh2(double) const { return 2; }
  double least() const { return std::numeric_limits<double>::lowest(); }
};

/// L(u, v) = p log(p / q) - p + q with p = u + shift and q = v + shift. Without the shift, in units of the
/// costs, a cost of 0, as a point has to itself, makes the distortion of most plans infinite.
struct KullbackLeiblerLoss {
  double shift = 0;
  double operator()(double u, double v) const {
    return (u + shift) * std::log((u + shift) / (v + shift)) - u + v;
  }
  double f1(double u) const { return (u + shift) * std::log(u + shift) - u; }
  double f2(double v) const { return v; }
  double h1(double u) const { return u + shift; }
  double h2(double v) const { return std::log(v + shift); }
  double df1(double u) const { return std::log(u + shift); }
  double df2(double) const { return 1; }
  double dh1(double) const { return 1; }
  double dh2(double v) const { return 1 / (v + shift); }
  double least() const { return 0 - shift; }
};

} // namespace sbi::ot
