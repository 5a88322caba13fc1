// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/exponential.hpp>
#include <sbi/forward/yso_disc.hpp>
#include <sbi/forward/yso_dust.hpp>
#include <sbi/forward/yso_envelope.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace sbi::forward {

/// Light that an envelope takes from a source at its centre and gives back, added at 1 kpc [mJy] to `rows`
/// [apertures, 200]: to row a what appears between aperture a - 1 and a (radii in au, increasing). `source`
/// is the luminosity [erg/s/Hz], the same in all directions.
///
/// From shell to shell outwards, every ray loses what the dust on it extinguishes. The scattered part travels
/// on outwards as diffuse light; the absorbed part, together with what the shell absorbs of the diffuse light
/// from further in, is radiated at the temperature at which the shell loses as much, and joins it. Diffuse
/// light is the same in all directions, through the clear parts of a shell and through its dense ones. With
/// `scattering` off, scattered light counts as absorbed. No energy is lost: source = direct + diffuse light.
/// In the transparent limit temperatures are those of optically thin dust; what is left out is that outer
/// shells warm inner ones, and that diffuse light does not come back.
inline void add_diffuse_light(const YsoDust& dust, const YsoEnvelope& envelope,
                              std::span<const double, yso_wavelength_count> source, bool scattering,
                              std::span<const double> apertures, std::span<double> rows) {
  using V = Vec<double>;
  constexpr std::size_t n = yso_wavelength_count;
  const auto& directions = envelope.directions();
  const double *kappa = dust.absorption().data(), *chi = dust.extinction().data();
  std::vector<double> beams(directions.size() * n, 1.0); // direct light left, by direction
  std::vector<double> given(envelope.shells() * n), taken(envelope.shells() * n);
  YsoSpectrum diffuse{}, absorbed{}, light{};
  for (std::size_t k = 0; k < envelope.shells(); ++k) {
    double* give = &given[k * n];
    double* take = &taken[k * n]; // share of the diffuse light that the shell absorbs
    double mean = 0;
    for (std::size_t m = 0; m < directions.size(); ++m) {
      const V weight(directions[m].weight), column(-envelope.column(k, m));
      mean += directions[m].weight * envelope.column(k, m);
      double* beam = &beams[m * n];
      for (std::size_t i = 0; i < n; i += V::lanes) {
        const V before = V::load(beam + i), after = before * detail::exponential(V::load(chi + i) * column);
        after.store(beam + i);
        (V::load(give + i) + weight * (before - after)).store(give + i);
        const V opaque = V(1) - detail::exponential(V::load(kappa + i) * column);
        (V::load(take + i) + weight * opaque).store(take + i);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double lost = give[i] * source[i];
      take[i] = std::min(1., take[i]); // weights add up to 1 but for rounding
      give[i] = scattering ? lost * (1 - kappa[i] / chi[i]) : 0;
      absorbed[i] = lost - give[i] + diffuse[i] * take[i];
      diffuse[i] += give[i] - diffuse[i] * take[i];
    }
    const double heat = dust.integral(absorbed);
    const double radius = envelope.radius(k) * astronomical_unit;
    if (!(heat > 0 && mean > 0)) continue;
    dust.black_body(dust.slab_temperature(heat / (4 * std::numbers::pi * radius * radius), mean), light);
    for (std::size_t i = 0; i < n; ++i) light[i] *= take[i];
    const double radiated = dust.integral(light);
    for (std::size_t i = 0; i < n && radiated > 0; ++i) {
      const double thermal = light[i] * (heat / radiated);
      give[i] += thermal;
      diffuse[i] += thermal;
    }
  }
  const double scale =
      detail::to_millijansky / (4 * std::numbers::pi * detail::yso_distance * detail::yso_distance);
  std::fill(light.begin(), light.end(), scale); // now the share of a shell's light that gets out
  for (std::size_t k = envelope.shells(); k-- > 0;) {
    double within = 0;
    for (std::size_t row = 0; row < apertures.size() && within < 1; ++row) {
      const double b = apertures[row] / envelope.radius(k); // a thin shell, seen within b radii
      const double now = b < 1 ? b * b / (1 + std::sqrt(1 - b * b)) : 1, share = now - within;
      double* out = &rows[row * n];
      for (std::size_t i = 0; i < n; ++i) out[i] += share * light[i] * given[k * n + i];
      within = now;
    }
    for (std::size_t i = 0; i < n; ++i) light[i] *= 1 - taken[k * n + i];
  }
}

} // namespace sbi::forward
