// SPDX-License-Identifier: MIT
// A passive disc: dust that the star heats, in annuli.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/exponential.hpp>
#include <sbi/forward/yso_dust.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace sbi::forward {

namespace detail {
inline constexpr double yso_distance = 1e3 * parsec; ///< cm: where the fluxes of the grid are given
inline constexpr double to_millijansky = 1e26;       ///< from erg/s/cm^2/Hz
} // namespace detail

/// Where the dust of a disc is: density Sigma(r) / (sqrt(2 pi) h) exp(-z^2 / 2 h^2) with h = h100 (r / 100
/// au)^beta and Sigma ~ r^p between two radii.
struct DiscShape {
  double mass;        ///< of the dust [solar masses]
  double r_in, r_out; ///< au
  double beta, p;
  double h100; ///< au
};

/// A flared passive disc around a star, heated by it and by nothing else (Kenyon & Hartmann 1987, ApJ 323,
/// 714; Chiang & Goldreich 1997, ApJ 490, 368). Starlight meets the surface, at H = 4 scale heights (CG97,
/// section 2.2), at the grazing angle
///
///   phi = (2 / pi) (r/R)^2 (arcsin(R/r) - (R/r) sqrt(1 - (R/r)^2)) + r d(H/r)/dr / (1 + (H/r)^2)^(3/2).
///
/// The first term is that of a flat disc, exactly (-> 0.42 R/r far out, the 0.4 of CG97 eq. 5), the second
/// the flaring, where the denominator makes it the share of the sky between two radii. An opaque annulus has
/// T = (phi/2)^(1/4) (R/r)^(1/2) T_star (CG97 eq. 1: the disc sees half of the star). A dilute one takes
/// 1 - exp(-tau/phi) of that light and radiates by its opacity, so that it tends to the temperature of
/// optically thin dust. The inner edge is a wall to the height of H that faces the star (Natta et al. 2001;
/// Dullemond, Dominik & Natta 2001). What is absorbed is radiated; viscous heating, scattering, the warmer
/// layer on the surface and shadows on the far side are left out.
class YsoDisc {
public:
  static constexpr double surface = 4; ///< height of the surface in scale heights

  /// The star's radius in solar radii, its temperature in K. `dust` must outlive the disc. Throws ValueError
  /// unless 0 < R <= r_in < r_out, mass >= 0, h100 > 0 and everything is finite.
  YsoDisc(const YsoDust& dust, const DiscShape& shape, double star_radius, double star_temperature,
          int annuli = 96)
      : dust_(&dust), shape_(shape), annuli_(static_cast<std::size_t>(std::max(annuli, 0))) {
    const double radius = star_radius * solar_radius / astronomical_unit;
    if (!(radius > 0 && shape.r_in >= radius * (1 - 1e-12) && shape.r_out > shape.r_in && shape.r_out < 1e9 &&
          shape.mass >= 0 && shape.mass < 1e30 && shape.h100 > 0 && shape.h100 < 1e9 &&
          std::abs(shape.beta) < 10 && std::abs(shape.p) < 100 && star_temperature > 0 && annuli > 1))
      throw ValueError(sbi::text("disc of ", shape.mass, " solar masses from ", shape.r_in, " to ",
                                 shape.r_out, " au, beta ", shape.beta, ", p ", shape.p, ", h100 ",
                                 shape.h100, " au around a star of ", star_radius, " solar radii, ",
                                 star_temperature, " K in ", annuli,
                                 " annuli; want radii that increase from the star outwards, a scale height "
                                 "above zero and finite values"));
    const double sigma_t4 = stefan_boltzmann * std::pow(star_temperature, 4);
    const double kappa = dust.planck_mean(star_temperature);
    const double step = std::log(shape.r_out / shape.r_in) / annuli;
    const auto moment = [&](double a, double b) { // int r^(p + 1) dr
      const double k = shape.p + 2;
      return std::abs(k) < 1e-9 ? std::log(b / a) : (std::pow(b, k) - std::pow(a, k)) / k;
    };
    const double whole = moment(1, shape.r_out / shape.r_in);
    double radial = 0; // column along the midplane
    for (std::size_t j = 0; j < annuli_.size(); ++j) {
      Annulus& a = annuli_[j];
      const double from = std::exp(step * static_cast<double>(j)),
                   to = std::exp(step * (static_cast<double>(j) + 1));
      a.inner = shape.r_in * from, a.outer = shape.r_in * to;
      a.radius = std::sqrt(a.inner * a.outer);
      const double au2 = astronomical_unit * astronomical_unit;
      a.area = std::numbers::pi * (a.outer * a.outer - a.inner * a.inner) * au2;
      a.column = shape.mass * solar_mass * moment(from, to) / whole / a.area;
      a.midplane =
          a.column * (a.outer - a.inner) / (std::sqrt(2 * std::numbers::pi) * scale_height(a.radius));
      radial += a.midplane;
      const double x = std::min(1., radius / a.radius), phi = grazing_angle(a.radius, radius);
      const double flux = x * x * sigma_t4 * phi * -std::expm1(-kappa * a.column / phi); // both faces
      if (!(flux > 0)) continue;
      a.temperature = dust.slab_temperature(flux, a.column);
      absorbed_ += flux * a.area;
    }
    luminosity_ = 4 * std::numbers::pi * std::pow(star_radius * solar_radius, 2) * sigma_t4;
    set_rim(kappa * radial, radial);
    absorbed_ += rim_.luminosity;
  }

  [[nodiscard]] double scale_height(double r) const { ///< au
    return shape_.h100 * std::pow(r / 100, shape_.beta);
  }
  /// Angle between starlight and the surface, for a star of this radius; all in au.
  [[nodiscard]] double grazing_angle(double r, double star_radius) const {
    const double x = std::min(1., star_radius / r), height = surface * scale_height(r) / r;
    const double flat =
        x < .03 ? x * (2. / 3 + .2 * x * x) : (std::asin(x) - x * std::sqrt(1 - x * x)) / (x * x);
    return 2 / std::numbers::pi * flat +
           std::max(0., shape_.beta - 1) * height / std::pow(1 + height * height, 1.5);
  }
  [[nodiscard]] std::size_t annuli() const { return annuli_.size(); }
  [[nodiscard]] double radius(std::size_t j) const { return annuli_[j].radius; }           ///< au
  [[nodiscard]] double temperature(std::size_t j) const { return annuli_[j].temperature; } ///< K
  [[nodiscard]] double column(std::size_t j) const { return annuli_[j].column; }           ///< g/cm^2 of dust
  [[nodiscard]] double rim_temperature() const { return rim_.temperature; }                ///< K
  /// Share of the star's luminosity that the disc takes and radiates.
  [[nodiscard]] double reprocessed() const { return absorbed_ / luminosity_; }

  /// Dust between the star and an observer at this inclination [degrees], in g/cm^2.
  [[nodiscard]] double foreground(double inclination) const {
    double sum = 0;
    for (std::size_t j = 0; j < annuli_.size(); ++j) sum += foreground_of(j, inclination);
    return sum;
  }

  /// Adds the disc's light at 1 kpc [mJy] to `rows` [apertures, 200]: to row a what comes from between
  /// aperture a - 1 and a (radii in au, increasing), as the observer at this inclination [degrees] sees it: F
  /// = cos(i)/d^2 int B (1 - exp(-tau / cos i)) 2 pi r dr, and the wall. The disc's own dust further out dims
  /// an annulus as it would a light at the star.
  void add_light(double inclination, std::span<const double> apertures, std::span<double> rows) const {
    const double scale =
        detail::to_millijansky / (std::numbers::pi * detail::yso_distance * detail::yso_distance);
    const double cosine = std::max(0., std::cos(inclination * std::numbers::pi / 180));
    double ahead = 0;
    for (std::size_t j = annuli_.size(); j-- > 0;) {
      const Annulus& a = annuli_[j];
      if (a.temperature > 0 && cosine > 1e-12)
        shared(a.inner, a.outer, apertures, [&](std::size_t row, double share) {
          add_slab(a.temperature, a.column / cosine, ahead, scale * share * cosine * a.area,
                   rows.subspan(row * yso_wavelength_count).first<yso_wavelength_count>());
        });
      ahead += foreground_of(j, inclination);
    }
    if (const double area = rim_area(inclination); area > 0)
      shared(shape_.r_in, shape_.r_in, apertures, [&](std::size_t row, double share) {
        add_slab(rim_.temperature, rim_.column, ahead, scale * share * area * rim_.scale,
                 rows.subspan(row * yso_wavelength_count).first<yso_wavelength_count>());
      });
  }

  /// Luminosity of the whole disc in all directions [erg/s/Hz]: the spectrum seen at 60 degrees without
  /// self-absorption, scaled to what was absorbed.
  void luminosity(std::span<double, yso_wavelength_count> out) const {
    std::fill(out.begin(), out.end(), 0.0);
    if (!(absorbed_ > 0)) return;
    for (const Annulus& a : annuli_)
      if (a.temperature > 0) add_slab(a.temperature, 2 * a.column, 0, 2 * a.area, out);
    YsoSpectrum wall{};
    if (rim_.luminosity > 0) {
      add_slab(rim_.temperature, rim_.column, 0, 1, wall);
      const double to_wall = rim_.luminosity / dust_->integral(wall);
      for (std::size_t i = 0; i < out.size(); ++i) wall[i] *= to_wall;
    }
    const double annuli = absorbed_ - rim_.luminosity, sum = dust_->integral(out);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = (sum > 0 ? out[i] * annuli / sum : 0) + wall[i];
  }

private:
  struct Annulus {
    double inner = 0, outer = 0, radius = 0; // au
    double area = 0;                         // cm^2, one face
    double column = 0;                       // g/cm^2 through both faces
    double midplane = 0;                     // g/cm^2 along the midplane
    double temperature = 0;                  // K; 0: no light reaches it
  };
  struct Rim {
    double temperature = 0, column = 0, luminosity = 0, scale = 0;
  };

  /// The wall takes the light below H at r_in, over both faces sin(arctan(H/r)) of the sky, and lets it out
  /// through its two openings: 2 pi r^2 (1 - F) with the view factor F between discs a distance 2 H apart.
  /// Where starlight crosses the midplane (optical depth tau, column) there is no wall: it takes the part of
  /// that dust which the rest shades.
  void set_rim(double tau, double column) {
    const double share = tau > 1e-6 ? 1 + std::expm1(-tau) / tau : tau / 2;
    const double height = surface * scale_height(shape_.r_in) / shape_.r_in;
    const double z = 4 * height * height; // (2 H / r)^2; 1 - F = (sqrt(z^2 + 4 z) - z) / 2
    const double radius = shape_.r_in * astronomical_unit;
    const double escape = std::numbers::pi * radius * radius * (std::sqrt(z * z + 4 * z) - z);
    const double taken = share * luminosity_ * height / std::sqrt(1 + height * height);
    if (!(escape > 0 && taken > 0)) return;
    rim_.luminosity = taken;
    rim_.column = 2 * column; // a face of a thin layer radiates 2 tau B
    rim_.temperature = dust_->slab_temperature(2 * taken / escape, column);
    YsoSpectrum light{};
    add_slab(rim_.temperature, rim_.column, 0, escape, light);
    rim_.scale = taken / dust_->integral(light);
  }
  /// Projected area of the far side of the wall that the near side does not hide [cm^2].
  [[nodiscard]] double rim_area(double inclination) const {
    if (!(rim_.luminosity > 0) || !(inclination > 0)) return 0;
    const double angle = inclination * std::numbers::pi / 180, radius = shape_.r_in * astronomical_unit;
    const double cosine = std::max(0., std::cos(angle));
    const double slope = surface * scale_height(shape_.r_in) / shape_.r_in * std::sin(angle);
    const double delta = slope < cosine ? slope / cosine : 1;
    return 2 * radius * radius * cosine * (std::asin(delta) + delta * std::sqrt(1 - delta * delta));
  }
  /// The part of the ray from the star to the observer that runs through annulus j [g/cm^2].
  [[nodiscard]] double foreground_of(std::size_t j, double inclination) const {
    const double angle = inclination * std::numbers::pi / 180, sine = std::sin(angle);
    if (!(sine > 1e-9)) return 0;
    const Annulus& a = annuli_[j];
    const double z = std::cos(angle) / sine * a.radius / scale_height(a.radius);
    return z < 38 ? a.midplane * std::exp(-.5 * z * z) / sine : 0;
  }
  /// Which apertures the ring from `inner` to `outer` [au] lies in, by area: share(row, part of it).
  template <class F>
  static void shared(double inner, double outer, std::span<const double> apertures, F&& share) {
    double within = 0;
    for (std::size_t row = 0; row < apertures.size() && within < 1; ++row) {
      const double b = apertures[row];
      const double now = b >= outer   ? 1
                         : b <= inner ? 0
                                      : (b * b - inner * inner) / (outer * outer - inner * inner);
      if (now > within) share(row, now - within);
      within = now;
    }
  }
  /// out += area pi B_nu(T) (1 - exp(-kappa column)) exp(-chi ahead).
  void add_slab(double temperature, double column, double ahead, double area,
                std::span<double, yso_wavelength_count> out) const {
    using V = Vec<double>;
    YsoSpectrum light;
    dust_->black_body(temperature, light);
    const double *kappa = dust_->absorption().data(), *chi = dust_->extinction().data();
    const bool thick = column * .02 > 40, clear = ahead * 2e5 < 1e-7; // kappa > .02, chi < 2e5 everywhere
    for (std::size_t i = 0; i < yso_wavelength_count; i += V::lanes) {
      V f = V::load(&light[i]) * V(area);
      if (!thick) f *= V(1) - detail::exponential(V::load(kappa + i) * V(-column));
      if (!clear) f *= detail::exponential(V::load(chi + i) * V(-ahead));
      (V::load(&out[i]) + f).store(&out[i]);
    }
  }

  const YsoDust* dust_;
  DiscShape shape_;
  std::vector<Annulus> annuli_;
  Rim rim_;
  double absorbed_ = 0, luminosity_ = 0; // erg/s
};

} // namespace sbi::forward
