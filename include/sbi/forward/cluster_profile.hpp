// SPDX-License-Identifier: MIT
// How the stars of a cluster are spread in space: spherical profiles, normalised to one star.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/quadrature.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <numbers>

namespace sbi::forward {

/// A spherical distribution of stars, normalised to one. Radii in pc: r from the centre in space, R from it
/// on the sky. `density` [pc^-3], `surface_density` [pc^-2], the fractions of the stars inside r (`enclosed`)
/// and inside R (`enclosed_projected`), `radius(u)` inside which the fraction u lies in space, the radius on
/// the sky that holds one half, and the same shape with another such radius. Safe to call from many threads.
template <class P>
concept ClusterProfile = requires(const P& p, double x) {
  { p.density(x) } -> std::convertible_to<double>;
  { p.surface_density(x) } -> std::convertible_to<double>;
  { p.enclosed(x) } -> std::convertible_to<double>;
  { p.enclosed_projected(x) } -> std::convertible_to<double>;
  { p.radius(x) } -> std::convertible_to<double>;
  { p.half_light_radius() } -> std::convertible_to<double>;
  { p.with_half_light_radius(x) } -> std::same_as<P>;
  { p.edge() } -> std::convertible_to<double>;
};

namespace detail {
inline void check_fraction(double u) {
  if (!(u >= 0 && u <= 1))
    throw ValueError(sbi::text("cluster profile: radius of fraction ", u, "; want 0 to 1"));
}
} // namespace detail

/// Position of a random star relative to the centre [pc].
template <ClusterProfile P> [[nodiscard]] std::array<double, 3> sample_position(const P& profile, Rng& rng) {
  const double r = profile.radius(rng.uniform());
  const double z = rng.uniform(-1, 1), phi = 2 * std::numbers::pi * rng.uniform();
  const double rho = r * std::sqrt((1 - z) * (1 + z));
  return {rho * std::cos(phi), rho * std::sin(phi), r * z};
}

/// The sphere of Plummer (1911, MNRAS 71, 460): density ~ (1 + r^2/a^2)^(-5/2). Half of the stars lie inside
/// a on the sky and inside 1.3048 a in space.
class Plummer {
public:
  /// a [pc]. Throws ValueError unless a is positive and finite.
  explicit Plummer(double scale_radius = 1) : a_(scale_radius) {
    if (!(scale_radius > 0) || !is_finite(scale_radius))
      throw ValueError(
          sbi::text("Plummer profile: scale radius ", scale_radius, " pc; want a finite one above 0"));
  }
  [[nodiscard]] double scale_radius() const { return a_; }

  [[nodiscard]] double density(double r) const {
    const double w = 1 + r * r / (a_ * a_);
    return 3 / (4 * std::numbers::pi * a_ * a_ * a_ * w * w * std::sqrt(w));
  }
  [[nodiscard]] double surface_density(double r) const {
    const double w = a_ * a_ + r * r;
    return a_ * a_ / (std::numbers::pi * w * w);
  }
  [[nodiscard]] double enclosed(double r) const {
    const double x = r / std::hypot(r, a_);
    return x * x * x;
  }
  [[nodiscard]] double enclosed_projected(double r) const {
    const double x = r / std::hypot(r, a_);
    return x * x;
  }
  /// Inverse of `enclosed`; infinite at 1. Throws ValueError unless 0 <= u <= 1.
  [[nodiscard]] double radius(double u) const {
    detail::check_fraction(u);
    return a_ / std::sqrt(std::pow(u, -2.0 / 3) - 1);
  }
  [[nodiscard]] double half_mass_radius() const { return radius(0.5); }
  [[nodiscard]] double half_light_radius() const { return a_; }
  [[nodiscard]] double edge() const { return std::numeric_limits<double>::infinity(); }
  [[nodiscard]] Plummer with_half_light_radius(double r) const { return Plummer(r); }

private:
  double a_;
};

/// The profile of King (1962, AJ 67, 471): surface density ~ [(1 + (R/r_c)^2)^(-1/2) - (1 +
/// (r_t/r_c)^2)^(-1/2)]^2 inside the tidal radius r_t (his equation 14) and nothing outside. The number
/// inside R on the sky (equation 18) and the density in space (equation 27) are in closed form; the number
/// inside r is their integral, by Gauss-Legendre quadrature to rounding, and its inverse is found by Newton's
/// method.
class King {
public:
  /// Core and tidal radius [pc]. Throws ValueError unless 0 < core < tidal and their ratio's
  /// square is finite.
  King(double core, double tidal)
      : core_(core), x_tidal_(square(tidal / core)), depth_(std::asinh(tidal / core)) {
    if (!(core > 0 && core < tidal) || !is_finite(x_tidal_))
      throw ValueError(sbi::text("King profile: core radius ", core, " pc, tidal radius ", tidal,
                                 " pc; want 0 < core < tidal, and a finite ratio"));
    norm_ = 1 / number(x_tidal_);
    for (std::size_t i = 0; i < panels; ++i)
      enclosed_[i + 1] = enclosed_[i] + number_between(node(i), node(i + 1));
    half_light_ = half_light_in_cores();
  }
  [[nodiscard]] double core_radius() const { return core_; }
  [[nodiscard]] double edge() const { return tidal_radius(); }
  [[nodiscard]] double tidal_radius() const { return core_ * std::sqrt(x_tidal_); }

  [[nodiscard]] double density(double r) const { return unit_density(r / core_) / (core_ * core_ * core_); }
  [[nodiscard]] double surface_density(double r) const {
    const double x = square(r / core_);
    if (x >= x_tidal_) return 0;
    const double f = 1 / std::sqrt(1 + x) - 1 / std::sqrt(1 + x_tidal_);
    return norm_ * f * f / (std::numbers::pi * core_ * core_);
  }
  [[nodiscard]] double enclosed(double r) const {
    const double t = std::asinh(r / core_) / depth_;
    if (t >= 1) return 1;
    return enclosed_at(t / (1 + std::sqrt(1 - t))); // inverse of t = v (2 - v)
  }
  [[nodiscard]] double enclosed_projected(double r) const {
    return norm_ * number(std::min(square(r / core_), x_tidal_));
  }
  /// Inverse of `enclosed`. Throws ValueError unless 0 <= u <= 1.
  [[nodiscard]] double radius(double u) const {
    detail::check_fraction(u);
    if (u >= enclosed_.back()) return tidal_radius();
    const auto above = std::upper_bound(enclosed_.begin() + 1, enclosed_.end() - 1, u);
    const auto i = static_cast<std::size_t>(above - enclosed_.begin()) - 1;
    double low = node(i), high = node(i + 1);
    double v = std::lerp(low, high, (u - enclosed_[i]) / (enclosed_[i + 1] - enclosed_[i]));
    for (int step = 0; step < 60; ++step) {
      const double excess = enclosed_[i] + number_between(node(i), v) - u;
      if (std::abs(excess) < 1e-15) break;
      (excess > 0 ? high : low) = v;
      const double next = v - excess / slope(v);
      v = next > low && next < high ? next : 0.5 * (low + high);
    }
    return core_ * unit_radius(v);
  }
  [[nodiscard]] double half_mass_radius() const { return radius(0.5); }
  [[nodiscard]] double half_light_radius() const { return core_ * half_light_; }
  /// The profile of equal concentration r_t/r_c. Throws ValueError unless r is positive.
  [[nodiscard]] King with_half_light_radius(double r) const {
    if (!(r > 0)) throw ValueError(sbi::text("King profile: half-light radius ", r, " pc; want above 0"));
    King out = *this;
    out.core_ = r / half_light_;
    return out;
  }

private:
  static constexpr std::size_t panels = 64;
  static double square(double x) { return x * x; }

  /// Equation 18 over pi r_c^2 k, with x = (R/r_c)^2.
  [[nodiscard]] double number(double x) const {
    const double s = std::sqrt(1 + x_tidal_);
    return std::log1p(x) - 4 * x / ((std::sqrt(1 + x) + 1) * s) + x / (1 + x_tidal_);
  }
  /// Equation 27 for r_c = 1.
  [[nodiscard]] double unit_density(double r) const {
    const double x = r * r, s2 = 1 + x_tidal_;
    if (x >= x_tidal_) return 0;
    const double z = std::sqrt((1 + x) / s2), y = std::sqrt((x_tidal_ - x) / s2); // y^2 = 1 - z^2
    return norm_ / (square(std::numbers::pi) * s2 * std::sqrt(s2)) * (std::atan2(y, z) / z - y) / (z * z);
  }

  // The coordinate v in [0, 1] of the quadrature: r/r_c = sinh(v (2 - v) asinh(r_t/r_c)). It spreads core and
  // halo alike, and the root at the tidal radius becomes a polynomial in 1 - v.
  static double node(std::size_t i) { return static_cast<double>(i) / panels; }
  [[nodiscard]] double unit_radius(double v) const { return std::sinh(v * (2 - v) * depth_); }
  /// d enclosed / dv
  [[nodiscard]] double slope(double v) const {
    const double r = unit_radius(v);
    return 4 * std::numbers::pi * r * r * unit_density(r) * std::sqrt(1 + r * r) * 2 * (1 - v) * depth_;
  }
  [[nodiscard]] double number_between(double a, double b) const {
    double sum = 0;
    detail::gauss4(a, b, [&](double v, double weight) { sum += weight * slope(v); });
    return sum;
  }
  [[nodiscard]] double enclosed_at(double v) const {
    const auto i = std::min(static_cast<std::size_t>(v * panels), panels - 1);
    return enclosed_[i] + number_between(node(i), v);
  }
  [[nodiscard]] double half_light_in_cores() const {
    double low = 0, high = x_tidal_;
    for (int step = 0; step < 100 && low < high; ++step) {
      const double middle = 0.5 * (low + high);
      (norm_ * number(middle) < 0.5 ? low : high) = middle;
    }
    return std::sqrt(high);
  }

  double core_, x_tidal_, depth_; ///< x_tidal_ = (r_t/r_c)^2, depth_ = asinh(r_t/r_c)
  double norm_ = 0, half_light_ = 0;
  std::array<double, panels + 1> enclosed_{}; ///< at the nodes of v
};

static_assert(ClusterProfile<Plummer> && ClusterProfile<King>);

} // namespace sbi::forward
