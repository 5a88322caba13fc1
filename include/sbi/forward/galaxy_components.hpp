// SPDX-License-Identifier: MIT
// The stellar components of the Milky Way in the model of Robin, Reyle, Derriere & Picaud (2003, A&A 409,
// 523; erratum 2004, A&A 416, 157): density laws, ages, metallicities and motions.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/galaxy_frame.hpp>
#include <sbi/forward/imf.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <functional>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// How stars are spread: a density at each place, on any scale, finite, not negative and smooth but for
/// edges. Safe to call from many threads at once.
template <class L>
concept DensityLaw = std::copy_constructible<L> && requires(const L& law, const Galactocentric& place) {
  { law(place) } -> std::convertible_to<double>;
};

/// Warp and flare of the thin disc: its mid-plane lies at z = slope (R - start) cos(theta - 90 degrees)
/// beyond a radius, up on the side of l = 90 degrees, and heights grow as k = 1 + slope (R - start). Both
/// begin with the radii of Robin et al. scaled from their R0 = 8.5 kpc. The flare's 5.4e-4 is printed in some
/// places as per kpc, which would be no flare (0.3 per cent at 15 kpc); it is per pc here, k = 4.3 at R = 15
/// kpc, as counts of stars want it (3.3, +2.2 -1.6: Lopez-Corredoira & Molgo 2014, A&A 567, A106).
struct WarpFlare {
  double warp_start, flare_start;              ///< kpc
  double warp_slope = 0.18, flare_slope = .54; ///< kpc of height, and growth of heights, per kpc of radius

  explicit WarpFlare(const GalaxyFrame& frame)
      : warp_start(8.4 / 8.5 * frame.r_sun()), flare_start(9.5 / 8.5 * frame.r_sun()) {}

  /// Height of the mid-plane [kpc]; cos(theta - 90 degrees) = y / R.
  [[nodiscard]] double plane(const Galactocentric& p, double radius) const {
    return radius > warp_start ? warp_slope * (radius - warp_start) * p.y / radius : 0;
  }
  [[nodiscard]] double flare(double radius) const {
    return radius > flare_start ? 1 + flare_slope * (radius - flare_start) : 1;
  }
};

/// Thin disc with a central hole (Einasto laws; table 3), of a^2 = R^2 + (z / (k flattening))^2: the
/// difference of exp(-a^2 / h^2), for stars younger than 0.15 Gyr, or of exp(-sqrt(1/4 + a^2 / h^2)) with the
/// outer and the inner scale h. Divided by the flare's k, which spreads stars and adds none: surface
/// densities and the mass of the disc are those without warp and flare. Nothing beyond `edge`.
struct ThinDisc {
  double flattening;
  bool young;
  WarpFlare bend;
  double outer = young ? 5 : 2.53, inner = young ? 3 : 1.32; ///< kpc
  double edge = 14;                                          ///< kpc

  [[nodiscard]] double operator()(const Galactocentric& p) const {
    const double r = p.radius();
    if (r > edge) return 0;
    const double k = bend.flare(r), h = (p.z - bend.plane(p, r)) / (k * flattening), a2 = r * r + h * h;
    const auto profile = [&](double scale) {
      const double s = a2 / (scale * scale);
      return std::exp(young ? -s : -std::sqrt(0.25 + s));
    };
    return (profile(outer) - profile(inner)) / k;
  }
};

/// Thick disc (table 3): exponential in R and beyond |z| = `knee`, a parabola within; no warp, no flare.
struct ThickDisc {
  double length = 2.5, height = 0.8, knee = 0.4; ///< kpc

  [[nodiscard]] double operator()(const Galactocentric& p) const {
    const double z = std::abs(p.z);
    const double vertical = z < knee ? 1 - z * z / (knee * (2 * height + knee))
                                     : std::exp((knee - z) / height) / (1 + knee / (2 * height));
    return std::exp(-p.radius() / length) * vertical;
  }
};

/// Stellar halo (table 3): a power of a = sqrt(R^2 + (z / flattening)^2), constant within `core`.
struct Halo {
  double flattening = 0.76, slope = -2.44, core = 0.5; ///< core in kpc

  [[nodiscard]] double operator()(const Galactocentric& p) const {
    const double h = p.z / flattening;
    return std::pow(std::max(std::sqrt(p.x * p.x + p.y * p.y + h * h), core), slope);
  }
};

/// Triaxial bulge, a bar (section 2.4): exp(-r_s^2 / 2), r_s^4 = ((x/x0)^2 + (y/y0)^2)^2 + (z/z0)^4 in its
/// own axes, times exp(-2 (R - cut)^2) beyond `cut`. Its near end lies at positive longitudes, `angle` from
/// the line to the Sun. (Its tilt of 3.5 degrees out of the plane is left out.)
struct Bulge {
  double x0 = 1.59, y0 = 0.424, z0 = 0.424, cut = 2.54; ///< kpc
  double angle = 11.1;                                  ///< degrees

  [[nodiscard]] double operator()(const Galactocentric& p) const {
    const double alpha = angle * std::numbers::pi / 180, c = std::cos(alpha), s = std::sin(alpha);
    const double x = (p.x * c - p.y * s) / x0, y = (p.x * s + p.y * c) / y0, z = p.z / z0;
    const double beyond = std::max(p.radius() - cut, 0.0), plane = x * x + y * y;
    return std::exp(-0.5 * std::sqrt(plane * plane + z * z * z * z) - 2 * beyond * beyond);
  }
};

/// A population of the Galaxy. Its law is scaled so that it has `density` exactly at `anchor`.
struct GalaxyComponent {
  std::string name;
  std::function<double(const Galactocentric&)> law; ///< any DensityLaw
  Galactocentric anchor;
  /// Of stars that shine today, in solar masses, or their number where `counts_stars`, per cubic kpc.
  double density = 0;
  bool counts_stars = false;
  double age_min = 0, age_max = 0;                 ///< Gyr; ages are uniform between
  double feh = 0, feh_sigma = 0, feh_gradient = 0; ///< [Fe/H] at the Sun's radius, dex, dex/kpc
  std::array<double, 3> dispersion{};              ///< of U, V, W at the Sun's radius, km/s
  double dispersion_slope = 0;                     ///< d ln dispersion / d R, per kpc
  double drift = 0; ///< asymmetric drift, km/s: how much slower than a circular orbit the mean rotation is

  /// Throws ValueError naming the component and what is no value.
  void check() const {
    const auto want = [&](bool good, const char* what, double value, const char* wanted) {
      if (!good)
        throw ValueError(sbi::text("galaxy component ", name, ": ", what, " ", value, "; want ", wanted));
    };
    const auto positive = [](double x) { return is_finite(x) && x > 0; };
    if (!law) throw ValueError(sbi::text("galaxy component ", name, ": no density law"));
    want(positive(density), "density", density, "a positive value");
    want(is_finite(age_min) && age_min >= 0, "lowest age", age_min, "0 Gyr or more");
    want(positive(age_max) && age_max >= age_min, "highest age", age_max, "more than 0 and the lowest age");
    want(is_finite(feh), "[Fe/H]", feh, "a finite value");
    want(is_finite(feh_sigma) && feh_sigma >= 0, "width of [Fe/H]", feh_sigma, "0 dex or more");
    want(is_finite(feh_gradient), "gradient of [Fe/H]", feh_gradient, "a finite value");
    for (double s : dispersion) want(is_finite(s) && s >= 0, "velocity dispersion", s, "0 km/s or more");
    want(is_finite(dispersion_slope), "slope of the dispersion", dispersion_slope, "a finite value");
    want(is_finite(drift), "asymmetric drift", drift, "a finite value");
  }
};

/// What Star::population says: the number of the component of `besancon_components`, thin discs in a row.
struct GalaxyPopulation {
  enum : int {
    first = 10, ///< component i of any galaxy has this number plus i
    thin_disc_1 = first,
    thin_disc_7 = first + 6,
    thick_disc,
    halo,
    bulge
  };
};

/// The ten components: tables 1, 2 and 4 of Robin et al., sections 2.1 to 2.4. Local densities hold at the
/// place of the Sun, z_sun above the plane (in the plane the youngest disc has 1.05 times as much). The
/// dispersions of the thin disc fall outwards as exp(-0.33 (R - R0) / 2.5 kpc) along all axes (Sharma et al.
/// 2011, ApJ 730, 3); the other components have theirs everywhere. Drifts are those of table 4 at the Sun,
/// held everywhere. [Fe/H] of the thin disc falls by 0.07 dex/kpc. The halo's 14 Gyr are the model's: change
/// the age where isochrones end earlier.
[[nodiscard]] inline std::vector<GalaxyComponent>
besancon_components(const GalaxyFrame& frame = GalaxyFrame()) {
  struct Row {
    double age_min, age_max, feh, feh_sigma, flattening, density; // Gyr, dex, -, 1e6 solar masses / kpc^3
    std::array<double, 3> dispersion;
    double drift;
  };
  constexpr std::array<Row, 7> thin{{{0, .15, .01, .12, .0140, 3.999, {16.7, 10.8, 6}, 3.5},
                                     {.15, 1, .03, .12, .0268, 7.902, {19.8, 12.8, 8}, 3.1},
                                     {1, 2, .03, .10, .0375, 6.224, {27.2, 17.6, 10}, 5.8},
                                     {2, 3, .01, .11, .0551, 4.020, {30.2, 19.5, 13.2}, 7.3},
                                     {3, 5, -.07, .18, .0696, 5.814, {36.7, 23.7, 15.8}, 10.8},
                                     {5, 7, -.14, .17, .0785, 4.928, {43.1, 27.8, 17.4}, 14.8},
                                     {7, 10, -.37, .20, .0791, 6.590, {43.1, 27.8, 17.5}, 14.8}}};
  std::vector<GalaxyComponent> out;
  const auto add = [&](std::string name, auto law, const Galactocentric& anchor, double density,
                       const Row& row) -> GalaxyComponent& {
    static_assert(DensityLaw<decltype(law)>);
    out.push_back({std::move(name), law, anchor, density, false, row.age_min, row.age_max, row.feh,
                   row.feh_sigma, 0, row.dispersion, 0, row.drift});
    return out.back();
  };
  for (std::size_t i = 0; i < thin.size(); ++i) {
    GalaxyComponent& disc =
        add(sbi::text("thin disc ", i + 1), ThinDisc{thin[i].flattening, i == 0, WarpFlare(frame)},
            frame.sun(), 1e6 * thin[i].density, thin[i]);
    disc.feh_gradient = -0.07;
    disc.dispersion_slope = -0.33 / 2.5;
  }
  add("thick disc", ThickDisc{}, frame.sun(), 1.34e6, {11, 11, -.78, .30, 0, 0, {67, 51, 42}, 53});
  add("halo", Halo{}, frame.sun(), 9.32e3, {14, 14, -1.78, .50, 0, 0, {131, 106, 85}, 226});
  add("bulge", Bulge{}, {}, 13.7e9, {10, 10, 0, .40, 0, 0, {113, 115, 100}, 79}).counts_stars = true;
  return out;
}

/// The mass functions of the ten components in Galaxia (Sharma et al. 2011; as in its code): slopes 1.6 and 3
/// about 1 solar mass in the thin disc, 0.5 in thick disc and halo, 2.35 in the bulge; 0.07 to 100 solar
/// masses.
[[nodiscard]] inline std::vector<BrokenPowerLaw<2>> galaxia_mass_functions() {
  std::vector<BrokenPowerLaw<2>> out(7, ThinDiscMasses());
  out.insert(out.end(), {OldDiscMasses(), OldDiscMasses(), BulgeMasses()});
  return out;
}

} // namespace sbi::forward
