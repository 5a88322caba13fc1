// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/band_response.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/exponential.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace sbi::forward {

/// Synthetic photometry of spectra that all live on one wavelength grid: the integrals of `BandResponse` are
/// one product with precomputed weights.
class Photometry {
public:
  /// Throws ValueError if a band is not covered by the wavelengths [micron], and as `check(Passband)` does.
  Photometry(std::span<const double> wavelengths, std::vector<Passband> bands)
      : bands_(std::move(bands)), weight_(bands_.weights(wavelengths)),
        wavelengths_(wavelengths.begin(), wavelengths.end()), first_(wavelengths.size()) {
    for (std::size_t i = 0; i < wavelengths.size(); ++i) {
      const double* w = weight_.row(static_cast<index_t>(i));
      if (std::all_of(w, w + weight_.cols(), [](double x) { return x == 0; })) continue;
      first_ = std::min(first_, i);
      last_ = i + 1;
    }
  }

  [[nodiscard]] const std::vector<Passband>& bands() const { return bands_.bands(); }

  /// A(lambda)/A_V on the part of the grid that the bands see, as optical depth per magnitude of A_V.
  template <DustLaw D> [[nodiscard]] std::vector<double> extinction(const D& law, double r_v) const {
    std::vector<double> out;
    for (std::size_t i = first_; i < last_; ++i)
      out.push_back(0.4 * std::numbers::ln10 * law(1 / wavelengths_[i], r_v));
    return out;
  }

  /// Magnitudes [bands] of a spectrum F_lambda [grid; erg/s/cm^2/A] behind dust of a_v magnitudes with the
  /// curve that `extinction` gave: the dust acts on the spectrum, so its effect on a band depends on the star
  /// and on a_v. Throws ShapeError for other lengths.
  void magnitudes(std::span<const double> flux, std::span<const double> extinction, double a_v,
                  std::span<double> out) const {
    if (flux.size() != wavelengths_.size() || extinction.size() != last_ - first_ ||
        out.size() != bands().size())
      throw ShapeError(sbi::text("photometry: ", flux.size(), " fluxes, ", extinction.size(),
                                 " extinctions, ", out.size(), " magnitudes; want ", wavelengths_.size(),
                                 ", ", last_ - first_, ", ", bands().size()));
    std::fill(out.begin(), out.end(), 0.0);
    const auto add = [&](std::size_t i, double light) {
      const double* w = weight_.row(static_cast<index_t>(i));
      for (std::size_t b = 0; b < out.size(); ++b) out[b] += w[b] * light;
    };
    using V = Vec<double>;
    std::size_t i = first_;
    for (; i + V::lanes <= last_; i += V::lanes) {
      double light[V::lanes];
      (V::load(&flux[i]) * detail::exponential(V(-a_v) * V::load(&extinction[i - first_]))).store(light);
      for (std::size_t k = 0; k < V::lanes; ++k) add(i + k, light[k]);
    }
    for (; i < last_; ++i) add(i, flux[i] * std::exp(-a_v * extinction[i - first_]));
    for (double& m : out) m = -2.5 * std::log10(m);
  }

private:
  BandResponse bands_;
  Tensor<double> weight_; // [grid, bands], over the zero point
  std::vector<double> wavelengths_;
  std::size_t first_, last_ = 0; // bands see grid points [first, last)
};

/// Apparent magnitudes of stars: an atmosphere, a dust law with its R_V, and passbands.
template <Atmosphere A, DustLaw D> class StellarPhotometry {
public:
  StellarPhotometry(A atmosphere, D law, std::vector<Passband> bands, double r_v = 3.1)
      : atmosphere_(std::move(atmosphere)), photometry_(atmosphere_.wavelengths(), std::move(bands)),
        extinction_(photometry_.extinction(law, r_v)) {}

  [[nodiscard]] const A& atmosphere() const { return atmosphere_; }
  [[nodiscard]] const std::vector<Passband>& bands() const { return photometry_.bands(); }

  /// Magnitudes [bands] of one star behind a_v magnitudes of dust at 10^log_distance parsec. `spectrum` is
  /// scratch of the length of the atmosphere's grid. Throws ValueError outside the atmosphere or for a
  /// negative a_v.
  void magnitudes(const StarState& star, double a_v, double log_distance, std::span<double> spectrum,
                  std::span<double> out) const {
    if (!(a_v >= 0)) throw ValueError(sbi::text("photometry: A_V = ", a_v, "; want 0 or more"));
    atmosphere_.flux(star.log_teff, star.log_g, star.mh, spectrum);
    photometry_.magnitudes(spectrum, extinction_, a_v, out);
    // L = 4 pi R^2 sigma T^4 gives the radius; the flux falls by (R/d)^2.
    static const double solar_log_radius = std::log10(solar_radius / parsec),
                        solar_log_t = std::log10(solar_teff);
    const double log_radius = 0.5 * star.log_l - 2 * (star.log_teff - solar_log_t) + solar_log_radius;
    for (double& m : out) m += 5 * (log_distance - log_radius);
  }

  /// Magnitudes [stars, bands] of many stars at once, in parallel; the bits do not depend on the number of
  /// threads. Throws ShapeError unless the three arrays have one length.
  template <Backend B>
  [[nodiscard]] Tensor<double> magnitudes(const B& backend, std::span<const StarState> stars,
                                          std::span<const double> a_v,
                                          std::span<const double> log_distance) const {
    if (a_v.size() != stars.size() || log_distance.size() != stars.size())
      throw ShapeError(sbi::text("photometry: ", stars.size(), " stars, ", a_v.size(), " extinctions, ",
                                 log_distance.size(), " distances; want as many of each"));
    const std::size_t bands = photometry_.bands().size(), n = stars.size();
    constexpr std::size_t block = 128; // stars a task
    Tensor<double> out(Shape{static_cast<index_t>(n), static_cast<index_t>(bands)});
    backend.for_each(static_cast<index_t>((n + block - 1) / block), [&](index_t task) {
      std::vector<double> spectrum(atmosphere_.wavelengths().size());
      const std::size_t first = static_cast<std::size_t>(task) * block;
      for (std::size_t i = first; i < std::min(first + block, n); ++i)
        magnitudes(stars[i], a_v[i], log_distance[i], spectrum, {out.data() + i * bands, bands});
    });
    return out;
  }

private:
  A atmosphere_;
  Photometry photometry_;
  std::vector<double> extinction_;
};

} // namespace sbi::forward
