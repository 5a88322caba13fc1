// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/quadrature.hpp>
#include <sbi/forward/yso_disc.hpp>
#include <sbi/forward/yso_parameters.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace sbi::forward {

/// Density of gas that falls from afar with angular momentum (Ulrich 1976, ApJ 210, 377), over rho_0, at a
/// radius in centrifugal radii and mu = |cos(theta)|: x^(-3/2) (1 + mu/mu0)^(-1/2) (mu/mu0 + 2 mu0^2/x)^(-1),
/// where the streamline through the point started from mu0: mu0^3 + mu0 (x - 1) - mu x = 0. Infinite at x = 1
/// in the plane mu = 0.
[[nodiscard]] inline double ulrich_density(double x, double mu) {
  // Convex in mu0 with one root in [mu, 1]: Newton's steps from 1 come down to it.
  double mu0 = 1;
  for (int step = 0; step < 60; ++step) {
    const double value = mu0 * (mu0 * mu0 + x - 1) - mu * x, slope = 3 * mu0 * mu0 + x - 1;
    if (!(slope > 0)) break;
    const double next = mu0 - value / slope;
    if (!(next < mu0)) break;
    const bool close = mu0 - next < 1e-13;
    mu0 = next;
    if (close) break;
  }
  const double ratio = std::max(0., mu0 * mu0 + x - 1) / x; // mu / mu0, defined at mu0 = 0 too
  return 1 / (x * std::sqrt(x) * std::sqrt(1 + ratio) * (ratio + 2 * mu0 * mu0 / x));
}

/// The dust around a star: an envelope between two radii, a bipolar cavity in it, a medium around all.
struct EnvelopeShape {
  EnvelopeKind kind = EnvelopeKind::none;
  double r_in = 0, r_out = 0; ///< au
  double rho_0 = 0;           ///< dust [g/cm^3], at 1000 au (power law) or Ulrich's
  double power = 0;           ///< of a power law
  double rc = 0;              ///< centrifugal radius [au]
  bool cavity = false;        ///< inside z > z0 (w / w0)^power through the point at theta_0, 10 000 au
  double cavity_power = 1;    ///< 1 or more
  double cavity_theta_0 = 0;  ///< degrees
  double cavity_rho_0 = 0;    ///< dust [g/cm^3], everywhere inside
  double ambient = 0;         ///< dust [g/cm^3]: the density is nowhere below this
};

/// Densities, columns and masses of a dusty envelope, in the definitions of the grid of Robitaille (2017).
/// Columns are integrated over shells, evenly spaced in log r, as power laws between their edges.
class YsoEnvelope {
public:
  /// Throws ValueError unless 0 < r_in < r_out and the rest is finite and not negative.
  explicit YsoEnvelope(const EnvelopeShape& shape, int shells = 96) : shape_(shape) {
    const auto fine = [](double x, double low, double high) { return x >= low && x <= high; };
    if (!(fine(shape.r_in, 1e-9, 1e9) && shape.r_out > shape.r_in && shape.r_out < 1e12 && shells > 0 &&
          fine(shape.rho_0, 0, 1) && fine(shape.ambient, 0, 1) && fine(shape.power, -10, 10) &&
          (shape.kind != EnvelopeKind::ulrich || fine(shape.rc, 1e-9, 1e9)) &&
          (!shape.cavity || (fine(shape.cavity_power, 1, 10) && fine(shape.cavity_theta_0, 0, 89) &&
                             fine(shape.cavity_rho_0, 0, 1)))))
      throw ValueError(sbi::text("envelope from ", shape.r_in, " to ", shape.r_out, " au in ", shells,
                                 " shells, rho_0 ", shape.rho_0, ", power ", shape.power, ", rc ", shape.rc,
                                 " au, cavity of power ", shape.cavity_power, ", ", shape.cavity_theta_0,
                                 " degrees, density ", shape.cavity_rho_0, ", ambient ", shape.ambient,
                                 "; want radii that increase, densities from 0 to 1 g/cm^3, a cavity of "
                                 "power 1 or more and 0 to 89 degrees"));
    if (shape.cavity && shape.cavity_theta_0 > 0) {
      const double theta = shape.cavity_theta_0 * std::numbers::pi / 180;
      ln_z0_ = std::log(1e4 * std::cos(theta)), ln_w0_ = std::log(1e4 * std::sin(theta));
      has_cavity_ = true;
    }
    const double step = std::log(shape.r_out / shape.r_in) / shells;
    for (int k = 0; k <= shells; ++k) edges_.push_back(shape.r_in * std::exp(step * k));
    if (shape.kind != EnvelopeKind::ulrich && !has_cavity_) {
      directions_.push_back({.5, 1}); // every direction is like every other
    } else {
      const auto add = [&](double mu, double weight) { directions_.push_back({mu, weight}); };
      detail::gauss4(0, .5, add), detail::gauss4(.5, 1, add);
    }
    for (std::size_t k = 0; k + 1 < edges_.size(); ++k)
      for (const Direction& d : directions_) columns_.push_back(shell_column(k, d.mu, true));
  }

  /// Dust at a radius [au] and mu = |cos(theta)| [g/cm^3]; 0 outside r_in to r_out.
  [[nodiscard]] double density(double r, double mu) const {
    if (!(r >= shape_.r_in && r <= shape_.r_out)) return 0;
    return whole_density(r, mu, r < cavity_radius(mu));
  }
  /// Dust from the star to an observer at this inclination [degrees], g/cm^2. In an Ulrich envelope rays
  /// within half a degree of the plane count as half a degree above it: its sheet at r = rc has no finite
  /// column.
  [[nodiscard]] double foreground(double inclination) const {
    const double mu = std::cos(inclination * std::numbers::pi / 180);
    double sum = 0;
    for (std::size_t k = 0; k + 1 < edges_.size(); ++k) sum += shell_column(k, std::abs(mu), true);
    return sum;
  }
  /// The envelope's own dust within a radius [au], in solar masses, without cavity and ambient medium.
  [[nodiscard]] double mass(double radius = 1e30) const {
    double sum = 0;
    for (std::size_t k = 0; k + 1 < edges_.size() && edges_[k] < radius; ++k) {
      double column = 0;
      for (const Direction& d : directions_) column += d.weight * shell_column(k, d.mu, false);
      const double a = edges_[k], b = edges_[k + 1];
      const double part =
          radius < b ? (std::pow(radius, 3) - std::pow(a, 3)) / (std::pow(b, 3) - std::pow(a, 3)) : 1;
      sum += part * 4 * std::numbers::pi * a * b * column;
    }
    return sum * astronomical_unit * astronomical_unit / solar_mass;
  }

  /// Directions from the star and their share of the sky, for averages: mu = |cos(theta)| by Gauss-Legendre
  /// quadrature, a single one for a spherical envelope.
  struct Direction {
    double mu, weight;
  };
  [[nodiscard]] const std::vector<Direction>& directions() const { return directions_; }
  [[nodiscard]] std::size_t shells() const { return edges_.size() - 1; }
  [[nodiscard]] double radius(std::size_t k) const { return std::sqrt(edges_[k] * edges_[k + 1]); } ///< au
  /// Dust across shell k in direction m [g/cm^2].
  [[nodiscard]] double column(std::size_t k, std::size_t m) const {
    return columns_[k * directions_.size() + m];
  }

private:
  static constexpr double flattest = .0087265; ///< sin(0.5 degrees)

  [[nodiscard]] double own_density(double r, double mu) const {
    switch (shape_.kind) {
    case EnvelopeKind::power_law:
      return shape_.rho_0 * std::pow(r / 1000, shape_.power);
    case EnvelopeKind::ulrich:
      return shape_.rho_0 * ulrich_density(r / shape_.rc, std::max(mu, flattest));
    case EnvelopeKind::none:
      break;
    }
    return 0;
  }
  [[nodiscard]] double whole_density(double r, double mu, bool in_cavity) const {
    return std::max(in_cavity ? shape_.cavity_rho_0 : own_density(r, mu), shape_.ambient);
  }
  /// A ray from the star starts in the cavity and leaves it here [au]; 0 if it never was in it.
  [[nodiscard]] double cavity_radius(double mu) const {
    if (!has_cavity_) return 0;
    // r mu = z0 (r sin / w0)^power
    const double sine = std::sqrt(std::max(0., 1 - mu * mu));
    if (!(sine > 0)) return 1e300;
    if (!(mu > 0)) return 0;
    const double excess = std::log(mu) - ln_z0_ + shape_.cavity_power * (ln_w0_ - std::log(sine));
    if (shape_.cavity_power == 1) return excess > 0 ? 1e300 : 0;
    return std::exp(std::clamp(excess / (shape_.cavity_power - 1), -690., 690.));
  }
  /// int rho dr over shell k at mu [g/cm^2], with everything or with the envelope alone.
  [[nodiscard]] double shell_column(std::size_t k, double mu, bool everything) const {
    const double a = edges_[k], b = edges_[k + 1], wall = cavity_radius(mu);
    const auto outside = [&](double r) {
      return everything ? whole_density(r, mu, false) : own_density(r, mu);
    };
    double sum = 0;
    if (wall > a && everything) {
      const double end = std::min(wall, b);
      sum += std::max(shape_.cavity_rho_0, shape_.ambient) * (end - a);
    }
    if (wall < b) {
      const double start = std::max(wall, a);
      sum += power_law_integral(start, outside(start), b, outside(b));
    }
    return sum * astronomical_unit;
  }
  static double power_law_integral(double a, double at_a, double b, double at_b) {
    if (!(at_a > 0 && at_b > 0)) return (at_a + at_b) / 2 * (b - a);
    const double width = std::log(b / a);
    if (!(width > 1e-12)) return at_a * (b - a);
    const double k = 1 + std::log(at_b / at_a) / width;
    return std::abs(k) < 1e-6 ? at_a * a * width : (at_b * b - at_a * a) / k;
  }

  EnvelopeShape shape_;
  std::vector<double> edges_; ///< au
  std::vector<Direction> directions_;
  std::vector<double> columns_; ///< [shells, directions]
  double ln_z0_ = 0, ln_w0_ = 0;
  bool has_cavity_ = false;
};

} // namespace sbi::forward
