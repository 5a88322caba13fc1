// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/passband.hpp>

#include <cmath>
#include <span>
#include <vector>

namespace sbi::forward {

/// F_lambda [erg/s/cm^2/A] of a flux density F_nu [mJy] at a wavelength [micron].
[[nodiscard]] inline double f_lambda(double millijansky, double wavelength) {
  const double angstrom = 1e4 * wavelength;
  return 1e-26 * millijansky * light_speed / (angstrom * angstrom);
}

/// Magnitudes [bands] of a spectral energy distribution in F_nu [mJy at 1 kpc], as the grids of young stellar
/// objects give it, of an object at 10^log_distance parsec; NaN where a flux that a band needs is missing and
/// where a band sees nothing. Between its points the spectrum is a power law (`mean_flux`). Throws ShapeError
/// for unequal lengths, ValueError if the wavelengths do not cover a band or a flux in it is negative.
[[nodiscard]] inline std::vector<double> sed_magnitudes(std::span<const double> wavelengths,
                                                        std::span<const double> millijansky,
                                                        std::span<const Passband> bands,
                                                        double log_distance = 3) {
  if (wavelengths.size() != millijansky.size())
    throw ShapeError(
        sbi::text("SED: ", wavelengths.size(), " wavelengths and ", millijansky.size(), " fluxes"));
  std::vector<double> flux(wavelengths.size()), out;
  for (std::size_t i = 0; i < flux.size(); ++i) flux[i] = f_lambda(millijansky[i], wavelengths[i]);
  for (const Passband& band : bands) {
    check(band);
    bool complete = true; // the points inside the band and the two around it
    for (std::size_t i = 0; i < flux.size(); ++i)
      if (is_missing(flux[i]) && (i + 1 == flux.size() || wavelengths[i + 1] > band.wavelengths.front()) &&
          (i == 0 || wavelengths[i - 1] < band.wavelengths.back()))
        complete = false;
    const double mean = complete ? mean_flux(wavelengths, flux, band) : missing;
    out.push_back(mean > 0 ? -2.5 * std::log10(mean / band.zero_point) + 5 * (log_distance - 3) : missing);
  }
  return out;
}

} // namespace sbi::forward
