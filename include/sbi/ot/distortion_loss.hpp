// SPDX-License-Identifier: MIT
// Losses between two costs, whose sum over a plan is the distortion of distortion.hpp.
#pragma once
#include <sbi/core/shape.hpp>

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

namespace detail {
/// A function of a loss.
enum class LossPart { f1, f2, h1, h2, df1, df2, dh1, dh2 };

/// A loss by rows of costs: the solvers are compiled once, whatever the loss, and pay one call a row.
template <class T> struct LossRows {
  virtual ~LossRows() = default;
  virtual void apply(LossPart part, const T* costs, index_t count, double* out) const = 0;
  [[nodiscard]] virtual double least() const = 0;
};
template <class T, DistortionLoss L> struct LossRowsOf final : LossRows<T> {
  explicit LossRowsOf(const L& of) : loss(of) {}
  void apply(LossPart part, const T* costs, index_t count, double* out) const override {
    const auto each = [&](auto&& f) {
      for (index_t k = 0; k < count; ++k) out[k] = f(static_cast<double>(costs[k]));
    };
    switch (part) {
    case LossPart::f1:
      return each([this](double u) { return loss.f1(u); });
    case LossPart::f2:
      return each([this](double v) { return loss.f2(v); });
    case LossPart::h1:
      return each([this](double u) { return loss.h1(u); });
    case LossPart::h2:
      return each([this](double v) { return loss.h2(v); });
    case LossPart::df1:
      return each([this](double u) { return loss.df1(u); });
    case LossPart::df2:
      return each([this](double v) { return loss.df2(v); });
    case LossPart::dh1:
      return each([this](double u) { return loss.dh1(u); });
    case LossPart::dh2:
      return each([this](double v) { return loss.dh2(v); });
    }
  }
  [[nodiscard]] double least() const override { return loss.least(); }
  L loss;
};
} // namespace detail

} // namespace sbi::ot
