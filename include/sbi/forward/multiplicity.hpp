// SPDX-License-Identifier: MIT
// How many companions a star has, and how heavy they are.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <functional>
#include <vector>

namespace sbi::forward {

/// Masses of companions in units of the primary's, the largest first, 0 where there is none (as in `Star`).
using MassRatios = std::array<double, Star::most_companions>;

/// Multiplicity of stars: `fraction(mass)` is the probability that a primary of this mass (solar masses) has
/// companions, `draw(rng, mass, scale)` draws them with that probability times `scale`, at most 1; scale
/// leaves the number of companions of a multiple star alone. Safe to call from many threads at once.
template <class M>
concept Multiplicity = requires(const M& m, Rng& rng, double mass, double scale) {
  { m.fraction(mass) } -> std::convertible_to<double>;
  { m.draw(rng, mass) } -> std::same_as<MassRatios>;
  { m.draw(rng, mass, scale) } -> std::same_as<MassRatios>;
};

namespace detail {

/// Companions of a star that is multiple with probability `multiple` and has `mean` >= 1 companions if so: 1
/// and a Poisson number, cut at Star::most_companions.
[[nodiscard]] inline MassRatios draw_companions(Rng& rng, double multiple, double mean,
                                                const BrokenPowerLaw<1>& ratio) {
  MassRatios out{};
  if (!rng.bernoulli(multiple)) return out;
  const double more = mean - 1, u = rng.uniform();
  std::size_t n = 1;
  for (double p = std::exp(-more), sum = p; n < out.size() && u > sum; ++n) {
    p *= more / static_cast<double>(n);
    sum += p;
  }
  for (std::size_t i = 0; i < n; ++i) out[i] = ratio.sample(rng);
  std::sort(out.begin(), out.end(), std::greater<>());
  return out;
}

} // namespace detail

/// Single stars only.
struct NoCompanions {
  [[nodiscard]] double fraction(double) const { return 0; }
  [[nodiscard]] MassRatios draw(Rng&, double, double = 1) const { return {}; }
};

/// Young clusters (Lu et al. 2013, ApJ 764, 155; for ages below about 10 Myr): a fraction MF = 0.44 m^0.51
/// (at most 1) of the stars is multiple, and a star has CSF = 0.50 m^0.45 (at most 3) companions in the mean.
/// A multiple star has 1 + Poisson(CSF/MF - 1) companions, which keeps both means (as in SPISEA), except that
/// more than three are cut to three. Mass ratios follow q^-0.4 on [0.01, 1].
class LuMultiplicity {
public:
  [[nodiscard]] double fraction(double mass) const { return std::min(1.0, 0.44 * std::pow(mass, 0.51)); }
  /// Mean number of companions of a star, the cut at three not counted.
  [[nodiscard]] double companions(double mass) const { return std::min(3.0, 0.50 * std::pow(mass, 0.45)); }
  [[nodiscard]] MassRatios draw(Rng& rng, double mass, double scale = 1) const {
    const double multiple = fraction(mass);
    return detail::draw_companions(rng, scale * multiple, companions(mass) / multiple, ratio_);
  }

private:
  BrokenPowerLaw<1> ratio_{{0.4}, {}, 0.01, 1};
};

/// Field stars on the main sequence: the multiplicity fractions of Duchene & Kraus (2013, ARA&A 51, 269,
/// table 1) in their mass ranges, linear in log mass where the table has gaps (0.5-0.7, 1.3-1.5, 5-8 solar
/// masses), with a step at 0.1. Above 1.5 solar masses the table gives lower limits, and those are used. The
/// mean number of companions is read from the same table in the same way (0.22, 0.33, 0.62, 1, 1, 1.3); a
/// multiple star has 1 + Poisson(mean/fraction - 1), cut at three. Mass ratios are uniform on [0.1, 1] unless
/// other values are given: q^exponent on [lowest, 1].
class FieldMultiplicity {
public:
  /// Throws ValueError unless 0 < lowest < 1.
  explicit FieldMultiplicity(double exponent = 0, double lowest = 0.1)
      : ratio_({-exponent}, {}, checked(lowest), 1) {}

  [[nodiscard]] double fraction(double mass) const { return look_up(fractions, mass); }
  /// Mean number of companions of a star, the cut at three not counted.
  [[nodiscard]] double companions(double mass) const { return look_up(frequencies, mass); }
  [[nodiscard]] MassRatios draw(Rng& rng, double mass, double scale = 1) const {
    const double multiple = fraction(mass);
    return detail::draw_companions(rng, scale * multiple, companions(mass) / multiple, ratio_);
  }

private:
  static constexpr std::array<double, 5> to{0.1, 0.5, 1.3, 5, 16}, ///< ends of all ranges but the last
      from{0.1, 0.7, 1.5, 8, 16};                                  ///< beginnings of all but the first
  static constexpr std::array<double, 6> fractions{0.22, 0.26, 0.44, 0.50, 0.60, 0.80},
      frequencies{0.22, 0.33, 0.62, 1.00, 1.00, 1.30};

  static double checked(double lowest) {
    if (!(lowest > 0 && lowest < 1))
      throw ValueError(sbi::text("multiplicity: mass ratios from ", lowest, " to 1; want 0 < lowest < 1"));
    return lowest;
  }
  static double look_up(const std::array<double, 6>& value, double mass) {
    std::size_t i = 0;
    while (i < from.size() && mass >= from[i]) ++i;
    if (i == from.size() || mass < to[i]) return value[i];
    return std::lerp(value[i], value[i + 1], std::log(mass / to[i]) / std::log(from[i] / to[i]));
  }

  BrokenPowerLaw<1> ratio_;
};

static_assert(Multiplicity<NoCompanions> && Multiplicity<LuMultiplicity> && Multiplicity<FieldMultiplicity>);

/// What to scale a multiplicity by so that a wanted share of all systems with primaries of a mass function is
/// multiple. The mean over masses is taken at 1024 equally probable ones, to better than 0.001.
class MultiplicityScale {
public:
  template <MassFunction F, Multiplicity M> MultiplicityScale(const F& masses, const M& multiplicity) {
    constexpr std::size_t nodes = 1024;
    fraction_.resize(nodes);
    for (std::size_t i = 0; i < nodes; ++i) {
      fraction_[i] = multiplicity.fraction(masses.quantile((static_cast<double>(i) + 0.5) / nodes));
      mean_ += fraction_[i] / nodes;
    }
  }

  /// Share of all systems that is multiple at scale 1.
  [[nodiscard]] double fraction() const { return mean_; }

  /// The scale; 1 for a missing share, which asks for the model's own. Throws ValueError for a share outside
  /// [0, 1], or above the share of stars that the model gives any companions.
  [[nodiscard]] double operator()(double share) const {
    if (is_missing(share)) return 1;
    if (!(share >= 0 && share <= 1))
      throw ValueError(sbi::text("multiplicity: binary fraction ", share, "; want 0 to 1"));
    if (share == 0) return 0;
    const auto impossible = [&](double most) {
      return ValueError(sbi::text("multiplicity: binary fraction ", share, "; the model gives companions to ",
                                  most, " of the stars at most"));
    };
    if (!(mean_ > 0)) throw impossible(0);
    // The share is concave and piecewise linear in the scale, so Newton's steps from below never overshoot
    // and end in a finite number.
    const auto n = static_cast<double>(fraction_.size());
    double scale = share / mean_;
    for (;;) {
      double got = 0, slope = 0;
      for (double f : fraction_) {
        got += std::min(1.0, scale * f) / n;
        if (scale * f < 1) slope += f / n;
      }
      if (got >= share * (1 - 1e-14)) return scale;
      if (!(slope > 0)) throw impossible(got);
      scale += (share - got) / slope;
    }
  }

private:
  std::vector<double> fraction_;
  double mean_ = 0;
};

} // namespace sbi::forward
