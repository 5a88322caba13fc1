// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/atmosphere_range.hpp>
#include <sbi/forward/constants.hpp>

#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Surface flux density pi B_lambda [erg/s/cm^2/A] of a black body of temperature teff [K] at a wavelength
/// [micron].
[[nodiscard]] inline double black_body_flux(double wavelength, double teff) {
  return radiation_c1 * std::pow(wavelength, -5) / std::expm1(radiation_c2 / (wavelength * teff));
}

/// Black bodies on any wavelengths; satisfies `Atmosphere`. The flux does not depend on log g and [M/H], of
/// which every finite value is covered. int F dlambda = sigma T^4 as far as the wavelengths reach.
class BlackBody {
public:
  static constexpr double teff_min = 10, teff_max = 1e7;

  /// Increasing wavelengths [micron]. Throws ValueError unless there are some, positive and increasing.
  explicit BlackBody(std::vector<double> wavelengths) : wavelengths_(std::move(wavelengths)) {
    if (wavelengths_.empty()) throw ValueError("black body: no wavelengths; want one or more");
    for (std::size_t i = 0; i < wavelengths_.size(); ++i)
      if (!(wavelengths_[i] > (i > 0 ? wavelengths_[i - 1] : 0)) || !is_finite(wavelengths_[i]))
        throw ValueError(
            text("black body: wavelength ", wavelengths_[i], " micron; want positive, increasing values"));
  }

  [[nodiscard]] std::span<const double> wavelengths() const { return wavelengths_; }
  [[nodiscard]] AtmosphereRange range() const {
    constexpr double any = std::numeric_limits<double>::max();
    return {teff_min, teff_max, -any, any, -any, any, wavelengths_.front(), wavelengths_.back()};
  }
  [[nodiscard]] bool covers(double log_teff, double log_g, double mh) const {
    return log_teff >= std::log10(teff_min) && log_teff <= std::log10(teff_max) && is_finite(log_g) &&
           is_finite(mh);
  }
  /// Surface flux [erg/s/cm^2/A] at every wavelength. Throws ValueError where not covered, ShapeError for an
  /// `out` of another size.
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    if (!covers(log_teff, log_g, mh))
      throw ValueError(text("black body: log T_eff = ", log_teff, ", log g = ", log_g, ", [M/H] = ", mh,
                            "; want ", teff_min, " to ", teff_max, " K and finite values"));
    if (out.size() != wavelengths_.size())
      throw ShapeError(text("black body: room for ", out.size(), " fluxes; want ", wavelengths_.size()));
    const double teff = std::pow(10, log_teff);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = black_body_flux(wavelengths_[i], teff);
  }

private:
  std::vector<double> wavelengths_;
};

static_assert(RangedAtmosphere<BlackBody>);

} // namespace sbi::forward
