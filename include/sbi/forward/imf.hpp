// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <limits>

namespace sbi::forward {

/// A distribution of initial masses (solar masses) on [lower, upper], normalised to one star: density,
/// fraction of the stars below a mass, its inverse, mean mass of a star, and a random mass. Safe to call from
/// many threads at once.
template <class F>
concept MassFunction = requires(const F& f, double x, Rng& rng) {
  { f.lower() } -> std::convertible_to<double>;
  { f.upper() } -> std::convertible_to<double>;
  { f.pdf(x) } -> std::convertible_to<double>;
  { f.cdf(x) } -> std::convertible_to<double>;
  { f.quantile(x) } -> std::convertible_to<double>;
  { f.mean() } -> std::convertible_to<double>;
  { f.sample(rng) } -> std::convertible_to<double>;
};

/// Initial mass function of N power laws, dN/dm ~ m^-slope[i] on [edge[i], edge[i+1]] (solar masses),
/// continuous and normalised to one star. The cumulative distribution and its inverse are exact, so a sample
/// costs one uniform number and one power.
template <int N> class BrokenPowerLaw {
public:
  static_assert(N >= 1, "sbi: a broken power law wants at least one segment");

  /// Restricts the law to [lower, upper]; `breaks` are the N - 1 inner edges, increasing. lower = 0 needs
  /// slope[0] < 1 and an infinite upper mass slope[N-1] > 1. Throws ValueError otherwise, and for slopes and
  /// breaks that are not finite or breaks that are not positive.
  BrokenPowerLaw(std::array<double, N> slopes, std::array<double, N - 1> breaks, double lower, double upper)
      : slope_(slopes) {
    if (!(lower >= 0 && lower < upper))
      throw ValueError(sbi::text("imf: masses from ", lower, " to ", upper, "; want 0 <= lower < upper"));
    if ((lower == 0 && !(slopes.front() < 1)) || (std::isinf(upper) && !(slopes.back() > 1)))
      throw ValueError(sbi::text("imf: masses from ", lower, " to ", upper, " with slopes ", slopes.front(),
                                 " to ", slopes.back(),
                                 " hold infinitely many stars; want a narrower range"));
    for (const double s : slopes)
      if (!is_finite(s)) throw ValueError(sbi::text("imf: slope ", s, "; want a finite number"));
    for (const double b : breaks)
      if (!(b > 0) || !is_finite(b))
        throw ValueError(sbi::text("imf: break at ", b, " solar masses; want a positive, finite mass"));
    edge_.front() = lower, edge_.back() = upper;
    for (std::size_t i = 1; i < N; ++i) {
      if (i > 1 && !(breaks[i - 2] < breaks[i - 1]))
        throw ValueError(
            sbi::text("imf: breaks ", breaks[i - 2], " and ", breaks[i - 1], "; want increasing masses"));
      edge_[i] = std::clamp(breaks[i - 1], lower, upper);
    }
    double amplitude = 1;
    for (std::size_t i = 0; i < N; ++i) {
      if (i > 0) amplitude *= std::pow(breaks[i - 1], slopes[i] - slopes[i - 1]); // continuity at the break
      amplitude_[i] = amplitude;
      cumulative_[i + 1] = cumulative_[i] + amplitude * moment(i, 0, edge_[i], edge_[i + 1]);
    }
    if (!(cumulative_.back() > 0) || !is_finite(cumulative_.back()))
      throw ValueError(sbi::text("imf: masses from ", lower, " to ", upper, " hold ", cumulative_.back(),
                                 " stars; want a range and slopes that doubles can hold"));
    for (double& a : amplitude_) a /= cumulative_.back();
    for (std::size_t i = 0; i < N; ++i) cumulative_[i + 1] /= cumulative_.back();
    cumulative_.back() = 1;
  }

  [[nodiscard]] double lower() const { return edge_.front(); }
  [[nodiscard]] double upper() const { return edge_.back(); }

  /// dN/dm at mass m; 0 outside the range.
  [[nodiscard]] double pdf(double m) const {
    if (!(m >= lower() && m <= upper())) return 0;
    const std::size_t i = segment(m);
    return amplitude_[i] * std::pow(m, -slope_[i]);
  }
  /// Fraction of the stars below mass m.
  [[nodiscard]] double cdf(double m) const {
    if (m <= lower()) return 0;
    if (m >= upper()) return 1;
    const std::size_t i = segment(m);
    return cumulative_[i] + amplitude_[i] * moment(i, 0, edge_[i], m);
  }
  /// The mass below which the fraction u of the stars lies. Throws ValueError unless 0 <= u <= 1.
  [[nodiscard]] double quantile(double u) const {
    if (!(u >= 0 && u <= 1))
      throw ValueError(sbi::text("imf: quantile of ", u, "; want a fraction from 0 to 1"));
    std::size_t i = 0;
    while (i + 1 < N && u > cumulative_[i + 1]) ++i;
    const double p = 1 - slope_[i], wanted = (u - cumulative_[i]) / amplitude_[i];
    const double power = std::pow(edge_[i], p) + p * wanted; // m^p; rounding may take it below 0 at the end
    const double m = p == 0                  ? edge_[i] * std::exp(wanted)
                     : p < 0 && !(power > 0) ? edge_[i + 1]
                                             : std::pow(power, 1 / p);
    return std::clamp(m, edge_[i], edge_[i + 1]); // rounding only
  }
  /// Mean mass of a star; infinite where the integral diverges.
  [[nodiscard]] double mean() const {
    double sum = 0;
    for (std::size_t i = 0; i < N; ++i) sum += amplitude_[i] * moment(i, 1, edge_[i], edge_[i + 1]);
    return sum;
  }
  [[nodiscard]] double sample(Rng& rng) const { return quantile(rng.uniform()); }

private:
  [[nodiscard]] std::size_t segment(double m) const {
    std::size_t i = 0;
    while (i + 1 < N && (m > edge_[i + 1] || edge_[i] == edge_[i + 1])) ++i; // cut-off segments hold no star
    return i;
  }
  /// int_a^b m^(order - slope) dm
  [[nodiscard]] double moment(std::size_t i, int order, double a, double b) const {
    if (!(a < b)) return 0;
    const double p = order + 1 - slope_[i];
    if (p == 0) return std::log(b / a);
    return (std::pow(b, p) - std::pow(a, p)) / p;
  }

  std::array<double, N> slope_, amplitude_{};
  std::array<double, N + 1> edge_{}, cumulative_{};
};

/// Salpeter (1955): slope 2.35.
struct Salpeter : BrokenPowerLaw<1> {
  explicit Salpeter(double lower = 0.1, double upper = 100) : BrokenPowerLaw({2.35}, {}, lower, upper) {}
};

/// Kroupa (2001): slopes 0.3, 1.3, 2.3 with breaks at 0.08 and 0.5 solar masses.
struct Kroupa : BrokenPowerLaw<3> {
  explicit Kroupa(double lower = 0.01, double upper = 100)
      : BrokenPowerLaw({0.3, 1.3, 2.3}, {0.08, 0.5}, lower, upper) {}
};

// The mass functions of the components of Galaxia (Sharma et al. 2011, ApJ 730, 3; as in its code).

/// Thin disc: slopes 1.6 and 3.0 with a break at 1 solar mass.
struct ThinDiscMasses : BrokenPowerLaw<2> {
  explicit ThinDiscMasses(double lower = 0.07, double upper = 100)
      : BrokenPowerLaw({1.6, 3.0}, {1}, lower, upper) {}
};
/// Thick disc and halo: slope 0.5. It is meant for old stars: above 1 solar mass none of them shines. All
/// three are of one type, so that a galaxy can hold them.
struct OldDiscMasses : BrokenPowerLaw<2> {
  explicit OldDiscMasses(double lower = 0.07, double upper = 100)
      : BrokenPowerLaw({0.5, 0.5}, {1}, lower, upper) {}
};
/// Bulge: slope 2.35.
struct BulgeMasses : BrokenPowerLaw<2> {
  explicit BulgeMasses(double lower = 0.07, double upper = 100)
      : BrokenPowerLaw({2.35, 2.35}, {1}, lower, upper) {}
};

static_assert(MassFunction<Salpeter> && MassFunction<Kroupa> && MassFunction<ThinDiscMasses>);

} // namespace sbi::forward
