// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <cmath>
#include <span>
#include <string_view>

namespace sbi::forward {

/// Spectral index alpha = dlog(lambda F_lambda) / dlog(lambda) of the points of a spectrum F_nu (any unit)
/// between two wavelengths [micron], by least squares in the logarithms. Missing fluxes (NaN) are left out.
/// Throws ShapeError for unequal lengths; ValueError for wavelengths or fluxes that are not positive and
/// unless two points at different wavelengths are left.
[[nodiscard]] inline double spectral_index(std::span<const double> wavelengths, std::span<const double> flux,
                                           double from = 2, double to = 24) {
  if (wavelengths.size() != flux.size())
    throw ShapeError(
        sbi::text("spectral index: ", wavelengths.size(), " wavelengths and ", flux.size(), " fluxes"));
  double count = 0, x = 0, y = 0, xx = 0, xy = 0;
  for (std::size_t i = 0; i < flux.size(); ++i) {
    const double w = wavelengths[i];
    if (!(w > 0)) throw ValueError(sbi::text("spectral index: wavelength ", w, " micron; want it positive"));
    if (w < from || w > to || is_missing(flux[i])) continue;
    if (!(flux[i] > 0 && is_finite(flux[i])))
      throw ValueError(
          sbi::text("spectral index: flux ", flux[i], " at ", w, " micron; want positive values or NaN"));
    const double u = std::log10(w), v = std::log10(flux[i]) - u;
    ++count, x += u, y += v, xx += u * u, xy += u * v;
  }
  const double spread = count * xx - x * x;
  if (!(count >= 2 && spread > 1e-9 * count * count))
    throw ValueError(sbi::text("spectral index: ", count, " points from ", from, " to ", to,
                               " micron; want two or more at different wavelengths"));
  return (count * xy - x * y) / spread;
}

/// A band for spectral indices: its wavelength [micron] and the flux density of magnitude 0 [Jy].
struct InfraredBand {
  double wavelength, zero_point;
};
inline constexpr InfraredBand two_mass_ks{2.159, 666.7}; ///< Cohen, Wheaton & Megeath (2003)
inline constexpr InfraredBand wise_w4{22.0883, 8.363};   ///< Jarrett et al. (2011), quoted from memory
inline constexpr InfraredBand mips_24{23.68, 7.17};      ///< Engelbracht et al. (2007), quoted from memory

/// Spectral index between magnitudes in two bands, as between K and W4 or [24]; NaN if one is missing. Throws
/// ValueError for bands at one wavelength or not positive.
[[nodiscard]] inline double spectral_index(double first, const InfraredBand& a, double second,
                                           const InfraredBand& b) {
  if (!(a.wavelength > 0 && b.wavelength > 0 && a.wavelength != b.wavelength && a.zero_point > 0 &&
        b.zero_point > 0))
    throw ValueError(sbi::text("spectral index: bands at ", a.wavelength, " and ", b.wavelength,
                               " micron with zero points ", a.zero_point, " and ", b.zero_point,
                               " Jy; want two wavelengths and positive values"));
  const double ratio = .4 * (first - second) + std::log10(b.zero_point / a.zero_point); // log F_nu(b)/F_nu(a)
  return ratio / std::log10(b.wavelength / a.wavelength) - 1;
}

/// Classes of young stellar objects by their spectral index from 2 to 24 micron (Lada 1987; Greene et al.
/// 1994).
enum class YsoClass { I, flat, II, III };

/// I above 0.3, flat from 0.3 to -0.3, II below that to -1.6, III below -1.6. Throws ValueError for NaN.
[[nodiscard]] inline YsoClass yso_class(double spectral_index) {
  if (is_missing(spectral_index)) throw ValueError("YSO class: the spectral index is missing; want a number");
  return spectral_index > .3      ? YsoClass::I
         : spectral_index >= -.3  ? YsoClass::flat
         : spectral_index >= -1.6 ? YsoClass::II
                                  : YsoClass::III;
}
[[nodiscard]] constexpr std::string_view yso_class_name(YsoClass c) {
  return c == YsoClass::I ? "I" : c == YsoClass::flat ? "flat" : c == YsoClass::II ? "II" : "III";
}

/// Gas over dust by mass, with which dust masses become the masses that stages are about (Richardson et al.
/// 2024, ApJ 961, 188).
inline constexpr double gas_to_dust = 100;

/// Evolutionary stage 0, 1, 2 or 3 of an object from what it is made of, not from what it looks like, as
/// Richardson et al. (2024) divide the grid: with more than 0.1 solar masses of envelope, gas and dust
/// (`(1 + gas_to_dust) * YsoEnvelope::mass()`), 0 around a source cooler than 3000 K and 1 around a hotter
/// one; with less, 2 with a disc and 3 without. Throws ValueError for a mass below 0 or a temperature that is
/// not positive.
[[nodiscard]] inline int yso_stage(double envelope_mass, double star_temperature, bool disc) {
  if (!(envelope_mass >= 0 && star_temperature > 0))
    throw ValueError(sbi::text("YSO stage: envelope of ", envelope_mass, " solar masses around ",
                               star_temperature, " K; want 0 or more and a positive temperature"));
  if (envelope_mass > .1) return star_temperature < 3000 ? 0 : 1;
  return disc ? 2 : 3;
}

} // namespace sbi::forward
