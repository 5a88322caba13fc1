// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/yso_diffuse.hpp>
#include <sbi/forward/yso_disc.hpp>
#include <sbi/forward/yso_dust.hpp>
#include <sbi/forward/yso_envelope.hpp>
#include <sbi/forward/yso_parameters.hpp>
#include <sbi/forward/yso_star.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <span>
#include <vector>

namespace sbi::forward {

/// The 20 apertures of the published grids [au]: 100 to 1e6, evenly spaced in the logarithm.
[[nodiscard]] inline std::vector<double> yso_apertures() {
  std::vector<double> out;
  for (int a = 0; a < 20; ++a) out.push_back(std::pow(10, 2 + 4 * a / 19.));
  return out;
}

/// Spectral energy distributions of young stellar objects from the parameters of the grid of Robitaille
/// (2017): a photosphere, a flared passive disc (`YsoDisc`), an envelope with a cavity and an ambient medium
/// (`YsoEnvelope`), dust that extinguishes, scatters and radiates (`add_diffuse_light`). Analytic where the
/// grid is Monte Carlo: each part is energy-consistent, but the disc is heated by the star alone and dims the
/// star only towards the observer, and diffuse light leaves in all directions alike. Parts end where the
/// grid's do: inside at multiples of the sublimation radius, the envelope outside where optically thin dust
/// is as cold as the ambient medium or where it is as dilute, the larger of the two, at most 1e6 au (the
/// largest aperture). A disc or an envelope that would end inside its inner radius does not exist, as in the
/// grid. Immutable, so one object serves many threads.
template <Atmosphere A = BlackBodyStar> class Yso {
public:
  explicit Yso(const YsoGeometry& geometry, A atmosphere = A{})
      : geometry_(geometry), star_(std::move(atmosphere)) {}

  [[nodiscard]] const YsoGeometry& geometry() const { return geometry_; }
  [[nodiscard]] const YsoDust& dust() const { return dust_; }
  [[nodiscard]] std::span<const double> wavelengths() const { return dust_.wavelengths(); } ///< micron

  /// F_nu at 1 kpc [mJy], [apertures, 200], from inside apertures of increasing radii [au], for an observer
  /// at an inclination of 0 (face-on) to 90 degrees. The star is in every aperture. Parameters of parts that
  /// the geometry does not have are ignored, as is the inclination among them. Throws ValueError as
  /// `check(YsoParameters)` does, where the atmosphere does not cover the star, and for apertures that are
  /// none.
  [[nodiscard]] Tensor<double> sed(const YsoParameters& object, double inclination,
                                   std::span<const double> apertures) const {
    check_apertures(apertures);
    Tensor<double> out(Shape{static_cast<index_t>(apertures.size()), n});
    sed(object, inclination, apertures, {out.data(), apertures.size() * n});
    return out;
  }

  /// Many objects at once, each at its own inclination: [objects, apertures, 200], in parallel; the bits do
  /// not depend on the number of threads.
  template <Backend B>
  [[nodiscard]] Tensor<double> seds(const B& backend, std::span<const YsoParameters> objects,
                                    std::span<const double> apertures) const {
    check_apertures(apertures);
    Tensor<double> out(
        Shape{static_cast<index_t>(objects.size()), static_cast<index_t>(apertures.size()), n});
    const std::size_t size = apertures.size() * n;
    backend.for_each(static_cast<index_t>(objects.size()), [&](index_t i) {
      const YsoParameters& object = objects[static_cast<std::size_t>(i)];
      sed(object, object.inclination, apertures, {out.data() + static_cast<std::size_t>(i) * size, size});
    });
    return out;
  }

  /// Inside this radius [au] dust sublimates, at 1600 K.
  [[nodiscard]] double sublimation_radius(const YsoParameters& object) const {
    return dust_.sublimation_radius(object.star_temperature) * star_radius(object);
  }
  /// The disc, or nothing where the geometry or the parameters have none. It refers to this object's dust.
  [[nodiscard]] std::optional<YsoDisc> disc(const YsoParameters& object) const {
    check(object, geometry_);
    if (!geometry_.disk || object.disk_mass == 0) return std::nullopt;
    const double r_in = sublimation_radius(object) * (geometry_.hole ? object.disk_rmin : 1);
    if (!(r_in < object.disk_rmax)) return std::nullopt;
    const DiscShape shape{object.disk_mass, r_in,          object.disk_rmax,
                          object.disk_beta, object.disk_p, object.disk_h100};
    return YsoDisc(dust_, shape, object.star_radius, object.star_temperature);
  }
  /// The envelope and the ambient medium, or nothing where there is neither. Both throw as
  /// `check(YsoParameters)` does.
  [[nodiscard]] std::optional<YsoEnvelope> envelope(const YsoParameters& object) const {
    check(object, geometry_);
    if (geometry_.envelope == EnvelopeKind::none && !geometry_.ambient) return std::nullopt;
    EnvelopeShape s;
    s.kind = geometry_.envelope;
    s.r_in = sublimation_radius(object);
    double cold = 2.725; // K: the microwave background, where there is no ambient medium
    if (geometry_.ambient) s.ambient = object.ambient_density, cold = object.ambient_temperature;
    s.r_out = star_radius(object) * dust_.radius_of(cold, object.star_temperature);
    const bool around = geometry_.envelope != EnvelopeKind::none;
    if (geometry_.hole && (around || geometry_.disk))
      s.r_in *= around ? object.envelope_rmin : object.disk_rmin;
    if (around) s.rho_0 = object.envelope_rho_0;
    const double excess = s.ambient > 0 ? s.rho_0 / s.ambient : 0;
    if (s.kind == EnvelopeKind::power_law) {
      s.power = object.envelope_power;
      s.r_out = std::max(s.r_out, 1000 * std::pow(excess, -1 / s.power));
    } else if (s.kind == EnvelopeKind::ulrich) {
      s.rc = object.envelope_rc;
      s.r_out = std::max(s.r_out, s.rc * std::pow(excess, 2. / 3)); // rho_0 (r / rc)^-1.5 far out
    }
    s.r_out = std::min(s.r_out, farthest);
    if (geometry_.disk) s.r_out = std::max(s.r_out, object.disk_rmax);
    if (!(s.r_in < s.r_out)) return std::nullopt;
    s.cavity = geometry_.cavity;
    if (s.cavity)
      s.cavity_power = object.cavity_power, s.cavity_theta_0 = object.cavity_theta_0,
      s.cavity_rho_0 = object.cavity_rho_0;
    return YsoEnvelope(s);
  }

private:
  static constexpr index_t n = static_cast<index_t>(yso_wavelength_count);
  static constexpr double farthest = 1e6; ///< au: the largest aperture of the grid

  static double star_radius(const YsoParameters& object) { // au
    return object.star_radius * solar_radius / astronomical_unit;
  }
  static void check_apertures(std::span<const double> apertures) {
    if (apertures.empty()) throw ValueError("YSO: no apertures; want one radius [au] or more");
    double last = 0;
    for (const double a : apertures) {
      if (!(a > last && a < 1e300))
        throw ValueError(sbi::text("YSO: aperture ", a, " au after ", last, "; want increasing radii"));
      last = a;
    }
  }

  void sed(YsoParameters object, double inclination, std::span<const double> apertures,
           std::span<double> rows) const {
    object.inclination = inclination;
    check(object, geometry_);
    YsoSpectrum surface;
    star_.flux(dust_, object.star_temperature, surface);
    const std::optional<YsoDisc> disc_part = disc(object);
    const std::optional<YsoEnvelope> envelope_part = envelope(object);
    const double disc_column = disc_part ? disc_part->foreground(inclination) : 0;
    const double column = envelope_part ? envelope_part->foreground(inclination) : 0;
    if (disc_part) disc_part->add_light(inclination, apertures, rows);
    const double radius = object.star_radius * solar_radius;
    const double seen = detail::to_millijansky * std::pow(radius / detail::yso_distance, 2);
    for (std::size_t i = 0; i < yso_wavelength_count; ++i) { // the star joins the innermost aperture
      rows[i] += seen * surface[i] * std::exp(-dust_.extinction()[i] * disc_column);
      if (column == 0) continue;
      const double left = std::exp(-dust_.extinction()[i] * column);
      for (std::size_t at = i; at < rows.size(); at += yso_wavelength_count) rows[at] *= left;
    }
    if (envelope_part) {
      YsoSpectrum source{};
      double starlight = 1;
      if (disc_part) {
        disc_part->luminosity(source);
        starlight -= disc_part->reprocessed();
      }
      starlight *= 4 * std::numbers::pi * radius * radius;
      for (std::size_t i = 0; i < yso_wavelength_count; ++i) source[i] += starlight * surface[i];
      add_diffuse_light(dust_, *envelope_part, source, object.scattering != 0, apertures, rows);
    }
    for (std::size_t at = yso_wavelength_count; at < rows.size(); ++at)
      rows[at] += rows[at - yso_wavelength_count];
  }

  YsoGeometry geometry_;
  YsoDust dust_;
  YsoStar<A> star_;
};

} // namespace sbi::forward
