// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/passband_tables.hpp>
#include <sbi/forward/quadrature.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// An embedded passband with its Vega zero point: GaiaDR3.G/BP/RP, GaiaDR2.G/BP/RP, 2MASS.J/H/Ks, WISE.W1 to
/// W4. Throws ValueError for another name.
[[nodiscard]] inline Passband passband(std::string_view name) {
  std::string known;
  for (const detail::BandTable& table : detail::band_tables) {
    if (table.name != name) {
      known += sbi::text(known.empty() ? "" : ", ", table.name);
      continue;
    }
    Passband band{std::string(name), {}, {}, table.zero_point};
    for (const auto& [wavelength, transmission] : table.points) {
      band.wavelengths.push_back(wavelength);
      band.transmission.push_back(transmission);
    }
    return band;
  }
  throw ValueError(sbi::text("passband: '", name, "' is not embedded; want one of ", known));
}

/// Several embedded passbands, in the order of the names.
[[nodiscard]] inline std::vector<Passband> passbands(std::initializer_list<std::string_view> names) {
  std::vector<Passband> out;
  for (std::string_view name : names) out.push_back(passband(name));
  return out;
}

/// Throws ShapeError or ValueError, naming the band, unless it has two or more points at increasing positive
/// wavelengths, transmissions that are finite, not negative and not all zero, and a positive zero point.
inline void check(const Passband& band) {
  const std::size_t n = band.wavelengths.size();
  if (n < 2 || band.transmission.size() != n)
    throw ShapeError(sbi::text("passband ", band.name, ": ", n, " wavelengths and ", band.transmission.size(),
                               " transmissions; want as many of each, two or more"));
  bool any = false;
  for (std::size_t i = 0; i < n; ++i) {
    const double s = band.transmission[i];
    if (!(band.wavelengths[i] > (i > 0 ? band.wavelengths[i - 1] : 0)) || !is_finite(band.wavelengths[i]))
      throw ValueError(sbi::text("passband ", band.name, ": wavelength ", band.wavelengths[i],
                                 " micron; want positive, increasing values"));
    if (!(s >= 0) || !is_finite(s))
      throw ValueError(sbi::text("passband ", band.name, ": transmission ", s, "; want 0 or more"));
    any = any || s > 0;
  }
  if (!any) throw ValueError(sbi::text("passband ", band.name, ": the transmission is zero everywhere"));
  if (!(band.zero_point > 0) || !is_finite(band.zero_point))
    throw ValueError(
        sbi::text("passband ", band.name, ": zero point ", band.zero_point, "; want a positive flux"));
}

namespace detail {

/// Quadrature of a spectrum given at `wavelengths` against the photons of a band: calls f(i, lambda, w) so
/// that int lambda S g dlambda = sum w g(lambda), where lambda lies between wavelengths i and i + 1. Throws
/// ValueError if the spectrum does not cover the band.
template <class F> void band_quadrature(std::span<const double> wavelengths, const Passband& band, F&& f) {
  check(band);
  if (wavelengths.size() < 2 || wavelengths.front() > band.wavelengths.front() ||
      wavelengths.back() < band.wavelengths.back())
    throw ValueError(sbi::text("passband ", band.name, ": runs from ", band.wavelengths.front(), " to ",
                               band.wavelengths.back(), " micron; want a spectrum that covers it"));
  std::size_t i = 0;
  for (std::size_t k = 0; k + 1 < band.wavelengths.size(); ++k) {
    const double a = band.wavelengths[k], b = band.wavelengths[k + 1];
    const double slope = (band.transmission[k + 1] - band.transmission[k]) / (b - a);
    for (double from = a; from < b;) {
      while (i + 2 < wavelengths.size() && wavelengths[i + 1] <= from) ++i;
      const double to = std::min(b, wavelengths[i + 1]);
      gauss4(from, to, [&](double lambda, double w) {
        f(i, lambda, w * lambda * (band.transmission[k] + slope * (lambda - a)));
      });
      from = to;
    }
  }
}

} // namespace detail

/// Pivot wavelength [micron]: lambda_p^2 = int lambda S dlambda / int S/lambda dlambda, which turns
/// <F_lambda> into <F_nu> = lambda_p^2 <F_lambda> / c exactly.
[[nodiscard]] inline double pivot_wavelength(const Passband& band) {
  double photons = 0, inverse = 0;
  detail::band_quadrature(band.wavelengths, band, [&](std::size_t, double lambda, double w) {
    photons += w;
    inverse += w / (lambda * lambda);
  });
  return std::sqrt(photons / inverse);
}

/// The zero point of the AB system [erg/s/cm^2/A]: F_lambda of 3631 Jy at the pivot wavelength. Vega
/// magnitudes turn into AB ones by m_AB = m - 2.5 log10(band.zero_point / ab_zero_point(band)).
[[nodiscard]] inline double ab_zero_point(const Passband& band) {
  constexpr double f_nu = 3631e-23; // erg/s/cm^2/Hz
  const double angstrom = 1e4 * pivot_wavelength(band);
  return f_nu * light_speed / (angstrom * angstrom);
}

/// The band for AB magnitudes: the zero point of the AB system, "_AB" behind the name.
[[nodiscard]] inline Passband ab(Passband band) {
  band.zero_point = ab_zero_point(band);
  band.name += "_AB";
  return band;
}

/// Photon-weighted mean flux density <F> = int lambda F S / int lambda S of a spectrum given at increasing
/// wavelengths [micron], in the unit of the flux. Between its points the spectrum is a power law (a straight
/// line where a flux is 0): on coarse infrared grids linear interpolation is wrong by magnitudes. Throws
/// ShapeError for unequal lengths, ValueError if the spectrum does not cover the band or is negative,
/// infinite or missing somewhere in it.
[[nodiscard]] inline double mean_flux(std::span<const double> wavelengths, std::span<const double> flux,
                                      const Passband& band) {
  if (wavelengths.size() != flux.size())
    throw ShapeError(
        sbi::text("mean_flux: ", wavelengths.size(), " wavelengths and ", flux.size(), " fluxes"));
  double sum = 0, norm = 0;
  detail::band_quadrature(wavelengths, band, [&](std::size_t i, double lambda, double w) {
    for (const std::size_t k : {i, i + 1})
      if (!(flux[k] >= 0) || !is_finite(flux[k]))
        throw ValueError(sbi::text("mean_flux: flux ", flux[k], " at ", wavelengths[k],
                                   " micron, in passband ", band.name, "; want 0 or more"));
    const double a = wavelengths[i], b = wavelengths[i + 1];
    const double value =
        flux[i] > 0 && flux[i + 1] > 0
            ? flux[i] * std::pow(flux[i + 1] / flux[i], std::log(lambda / a) / std::log(b / a))
            : flux[i] + (flux[i + 1] - flux[i]) * (lambda - a) / (b - a);
    sum += w * value;
    norm += w;
  });
  return sum / norm;
}

/// The zero point [unit of the flux] on which a spectrum of Vega, or of another standard, has a magnitude: 0
/// unless the system says otherwise. Throws as `mean_flux` does.
[[nodiscard]] inline double vega_zero_point(const Passband& band, std::span<const double> wavelengths,
                                            std::span<const double> vega, double vega_magnitude = 0) {
  return mean_flux(wavelengths, vega, band) * std::pow(10, 0.4 * vega_magnitude);
}

/// Magnitude of a spectrum in F_lambda [erg/s/cm^2/A] on the band's zero point.
[[nodiscard]] inline double magnitude(std::span<const double> wavelengths, std::span<const double> flux,
                                      const Passband& band) {
  return -2.5 * std::log10(mean_flux(wavelengths, flux, band) / band.zero_point);
}

} // namespace sbi::forward
