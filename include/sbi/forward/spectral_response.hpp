// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/tensor.hpp>
#include <sbi/forward/passband.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// An instrument that is linear in the spectrum, such as a spectrograph. `weights(wavelengths)` [wavelengths,
/// outputs] makes output k of a spectrum F_lambda [erg/s/cm^2/A] given at increasing `wavelengths` [micron]
/// the sum over i of weights(i, k) F_i, so that many spectra on one grid go through one matrix product. How
/// the spectrum runs between those wavelengths is part of the weights: lambda^4 F linear in ln(lambda), as in
/// `Photometry`. `weights` throws ValueError naming the range if the spectrum does not cover what the
/// instrument sees. `names()` has one name an output.
template <class R>
concept SpectralResponse = requires(const R& response, std::span<const double> wavelengths) {
  { response.weights(wavelengths) } -> std::same_as<Tensor<double>>;
  { response.names() } -> std::same_as<std::vector<std::string>>;
};

namespace detail {

/// Throws ValueError, naming the instrument and both ranges, unless `wavelengths` [micron] increase and reach
/// from `from` to `to`.
inline void check_coverage(std::string_view instrument, std::span<const double> wavelengths, double from,
                           double to) {
  if (wavelengths.size() < 2)
    throw ValueError(
        sbi::text(instrument, ": a spectrum of ", wavelengths.size(), " wavelengths; want two or more"));
  for (std::size_t i = 0; i < wavelengths.size(); ++i)
    if (!(wavelengths[i] > (i > 0 ? wavelengths[i - 1] : 0)) || !is_finite(wavelengths[i]))
      throw ValueError(sbi::text(instrument, ": wavelength ", wavelengths[i],
                                 " micron; want positive, increasing values"));
  if (wavelengths.front() > from || wavelengths.back() < to)
    throw ValueError(sbi::text(instrument, ": sees ", from, " to ", to, " micron; the spectrum runs from ",
                               wavelengths.front(), " to ", wavelengths.back()));
}

/// What the fluxes at two neighbouring wavelengths contribute to the flux at lambda between them: lambda^4 F
/// is linear in ln(lambda), which is exact for a Rayleigh-Jeans tail however coarse the grid.
inline std::array<double, 2> shares_of_neighbours(double left, double right, double lambda) {
  const double t = std::log(lambda / left) / std::log(right / left);
  return {(1 - t) * std::pow(left / lambda, 4), t * std::pow(right / lambda, 4)};
}

/// Quadrature over [from, to] of a spectrum given at `wavelengths`, in pieces no longer than `step`, each
/// between two of the wavelengths. Calls f(i, lambda, w, share): int F(lambda) g(lambda) dlambda = sum of
/// w g(lambda) (share[0] F[i] + share[1] F[i + 1]).
template <class F>
void spectrum_quadrature(std::span<const double> wavelengths, double from, double to, double step, F&& f) {
  auto i = static_cast<std::size_t>(std::upper_bound(wavelengths.begin() + 1, wavelengths.end() - 1, from) -
                                    wavelengths.begin() - 1);
  while (from < to) {
    while (i + 2 < wavelengths.size() && wavelengths[i + 1] <= from) ++i;
    const double left = wavelengths[i], right = wavelengths[i + 1], end = std::min(to, right);
    const double pieces = std::ceil((end - from) / step), width = (end - from) / pieces;
    for (double k = 0; k < pieces; ++k)
      gauss4(from + k * width, from + (k + 1) * width,
             [&](double lambda, double w) { f(i, lambda, w, shares_of_neighbours(left, right, lambda)); });
    from = end;
  }
}

} // namespace detail

} // namespace sbi::forward
