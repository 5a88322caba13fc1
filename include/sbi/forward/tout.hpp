// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/evolution_range.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <optional>

namespace sbi::forward {

/// The zero-age main sequence of Tout, Pols, Eggleton & Han (1996, MNRAS 281, 257): luminosity and radius as
/// rational functions of mass whose coefficients are quartic in log10(Z/0.02). Valid, and defined here, for
/// 0.1 to 100 solar masses and Z from 1e-4 to 0.03, to about 7.5 % in L and 5 % in R. [M/H] = log10(Z/0.02),
/// so it ends at +0.176.
class Tout1996 {
public:
  static constexpr bool has_age = false;
  static constexpr double mass_min = 0.1, mass_max = 100, z_solar = 0.02, z_min = 1e-4, z_max = 0.03;

  /// State at zero age: log_age is carried along and changes nothing. Empty outside the range of mass or Z.
  [[nodiscard]] std::optional<StarState> state(double log_mass, double log_age, double mh) const {
    constexpr double rounding = 1e-12; // lets both ends of the range in
    const double m = std::pow(10, log_mass), z = z_solar * std::pow(10, mh);
    if (!(m >= mass_min * (1 - rounding) && m <= mass_max * (1 + rounding) && z >= z_min * (1 - rounding) &&
          z <= z_max * (1 + rounding)))
      return std::nullopt;
    const double log_l = std::log10(luminosity(m, mh)), log_r = std::log10(radius(m, mh));
    return StarState{log_mass,
                     log_age,
                     mh,
                     log_l,
                     std::log10(solar_teff) + 0.25 * log_l - 0.5 * log_r,
                     solar_log_g + log_mass - 2 * log_r};
  }

  /// At any age.
  [[nodiscard]] EvolutionRange range() const {
    constexpr double any = std::numeric_limits<double>::max();
    return {std::log10(mass_min),        std::log10(mass_max),       -any, any,
            std::log10(z_min / z_solar), std::log10(z_max / z_solar)};
  }

private:
  using Row = std::array<double, 5>; // a + b x + c x^2 + d x^3 + e x^4
  static constexpr Row alpha{.39704170, -.32913574, .34776688, .37470851, .09011915},
      beta{8.52762600, -24.41225973, 56.43597107, 37.06152575, 5.45624060},
      gamma{.00025546, -.00123461, -.00023246, .00045519, .00016176},
      delta{5.43288900, -8.62157806, 13.44202049, 14.51584135, 3.39793084},
      epsilon{5.56357900, -10.32345224, 19.44322980, 18.97361347, 4.16903097},
      zeta{.78866060, -2.90870942, 6.54713531, 4.05606657, .53287322},
      eta{.00586685, -.01704237, .03872348, .02570041, .00383376};
  static constexpr Row theta{1.71535900, .62246212, -.92557761, -1.16996966, -.30631491},
      iota{6.59778800, -.42450044, -12.13339427, -10.73509484, -2.51487077},
      kappa{10.08855000, -7.11727086, -31.67119479, -24.24848322, -5.33608972},
      lambda{1.01249500, .32699690, -.00923418, -.03876858, -.00412750},
      mu{.07490166, .02410413, .07233664, .03040467, .00197741}, nu{.01077422, 0, 0, 0, 0},
      xi{3.08223400, .94472050, -2.15200882, -2.49219496, -.63848738},
      omicron{17.84778000, -7.45345690, -48.96066856, -40.05386135, -9.09331816},
      pi{.00022582, -.00186899, .00388783, .00142402, -.00007671};

  static double at(const Row& p, double x) { return p[0] + x * (p[1] + x * (p[2] + x * (p[3] + x * p[4]))); }

  /// Equation 1 [solar luminosities].
  static double luminosity(double m, double x) {
    const double m3 = m * m * m, m5 = m3 * m * m, m55 = m5 * std::sqrt(m), m11 = m55 * m55, m8 = m5 * m3;
    return (at(alpha, x) * m55 + at(beta, x) * m11) /
           (at(gamma, x) + m3 + at(delta, x) * m5 + at(epsilon, x) * m5 * m * m + at(zeta, x) * m8 +
            at(eta, x) * m8 * m * std::sqrt(m));
  }
  /// Equation 2 [solar radii].
  static double radius(double m, double x) {
    const double root = std::sqrt(m), m2 = m * m, m25 = m2 * root, m65 = m2 * m2 * m25, m85 = m65 * m2,
                 m11 = m85 * m25, m185 = m85 * m65 * m2 * m * root, m19 = m185 * root, m195 = m185 * m;
    return (at(theta, x) * m25 + at(iota, x) * m65 + at(kappa, x) * m11 + at(lambda, x) * m19 +
            at(mu, x) * m195) /
           (at(nu, x) + at(xi, x) * m2 + at(omicron, x) * m85 + m185 + at(pi, x) * m195);
  }
};

static_assert(RangedEvolution<Tout1996>);

} // namespace sbi::forward
