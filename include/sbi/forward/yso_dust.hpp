// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/exponential.hpp>
#include <sbi/forward/quadrature.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

namespace sbi::forward {

/// Spectra of young stellar objects live on the 200 wavelengths of the grid of Robitaille (2017, A&A 600,
/// A11): the centres of 200 logarithmic bins from 0.01 to 5000 micron, 0.0103 to 4838.6.
inline constexpr std::size_t yso_wavelength_count = 200;
using YsoSpectrum = std::array<double, yso_wavelength_count>;

namespace detail {

inline constexpr double yso_shortest = .01, yso_ln_step = .06561181688702164; // ln(5000 / 0.01) / 200

// clang-format off
/// Wavelength [micron], absorption and extinction [cm^2/g of dust] of carbonaceous and silicate dust with
/// R_V = 5.5 (Weingartner & Draine 2001, case A, renormalised as in Draine 2003; his table of 2003-12-17,
/// with 2.199e-26 g of dust per H), thinned so that power laws between the nodes keep within 2 %.
inline constexpr std::array<std::array<double, 3>, 75> yso_opacity_nodes{{
    {.01, 1.181e4, 2.597e4}, {.01148, 1.252e4, 2.679e4}, {.0117, 1.308e4, 2.71e4},
    {.01192, 1.281e4, 2.579e4}, {.0124, 1.263e4, 2.642e4}, {.01413, 1.326e4, 2.757e4},
    {.02239, 1.717e4, 3.209e4}, {.02344, 1.76e4, 3.182e4}, {.02818, 1.97e4, 3.476e4},
    {.03388, 2.317e4, 3.85e4}, {.03467, 2.297e4, 3.822e4}, {.03548, 2.175e4, 3.712e4},
    {.04266, 2.441e4, 4.116e4}, {.05754, 4.039e4, 5.894e4}, {.06026, 5.067e4, 6.971e4},
    {.06457, 6.473e4, 8.477e4}, {.06918, 7.895e4, 1e5}, {.07244, 8.395e4, 1.054e5},
    {.07413, 8.126e4, 1.028e5}, {.08128, 6.074e4, 8.181e4}, {.0871, 5.207e4, 7.271e4},
    {.1318, 2.822e4, 4.684e4}, {.1413, 2.654e4, 4.453e4}, {.1622, 2.531e4, 4.291e4},
    {.182, 2.569e4, 4.607e4}, {.195, 2.776e4, 5.08e4}, {.2125, 3.34e4, 5.971e4}, {.2188, 3.348e4, 6.066e4},
    {.2291, 2.968e4, 5.748e4}, {.2455, 2.278e4, 5.02e4}, {.257, 2.016e4, 4.729e4}, {.2754, 1.776e4, 4.432e4},
    {.4571, 9310, 3.525e4}, {.6166, 6281, 2.692e4}, {.7413, 5048, 2.122e4}, {.8913, 4108, 1.6e4},
    {1.549, 2224, 5953}, {3.311, 997.7, 1806}, {5.495, 540.2, 749.9}, {5.888, 508.9, 676.2},
    {6.166, 519.5, 663}, {6.457, 471.7, 593.9}, {6.918, 436.4, 531.6}, {7.244, 437.1, 517.1},
    {7.413, 461.4, 534.3}, {7.586, 518.7, 585.3}, {7.943, 723.5, 779.4}, {8.318, 1127, 1174},
    {8.511, 1318, 1362}, {9.12, 2050, 2084}, {9.333, 2258, 2289}, {9.55, 2288, 2317}, {10.36, 1909, 1931},
    {12.88, 721.7, 730.3}, {13.8, 546, 552.1}, {14.13, 525.5, 531.2}, {14.45, 531.2, 536.2},
    {16.98, 760.7, 763.1}, {17.78, 810.7, 812.6}, {18.62, 815.8, 817.6}, {19.5, 771.1, 772.6},
    {23.99, 528.3, 528.9}, {30.9, 396.2, 396.5}, {33.88, 346.9, 347.2}, {38.02, 274, 274.2},
    {50.12, 140.3, 140.4}, {109.6, 23.08, 23.08}, {138, 14.83, 14.83}, {166, 9.628, 9.628},
    {245.5, 4.297, 4.297}, {338.8, 2.11, 2.11}, {446.7, 1.215, 1.215}, {707.9, .5442, .5443},
    {2692, .06929, .0693}, {5248, .02374, .02374}}};
// clang-format on

} // namespace detail

/// Absorption and extinction by a gram of dust [cm^2].
struct DustOpacity {
  double absorption, extinction;
};

/// The dust of the grid at any wavelength from 0.01 to 5248 micron; throws ValueError outside.
[[nodiscard]] inline DustOpacity yso_opacity(double wavelength) {
  const auto& nodes = detail::yso_opacity_nodes;
  if (!(wavelength >= nodes.front()[0] && wavelength <= nodes.back()[0]))
    throw ValueError(sbi::text("YSO dust: wavelength ", wavelength, " micron; want ", nodes.front()[0],
                               " to ", nodes.back()[0]));
  const auto above = std::upper_bound(nodes.begin() + 1, nodes.end() - 1, wavelength,
                                      [](double w, const auto& node) { return w < node[0]; });
  const auto& a = *(above - 1);
  const auto& b = *above;
  const double t = std::log(wavelength / a[0]) / std::log(b[0] / a[0]);
  return {a[1] * std::pow(b[1] / a[1], t), a[2] * std::pow(b[2] / a[2], t)};
}

/// The dust on the wavelengths of the grid, and what follows from it: means, temperatures and radii.
/// Immutable, so one object serves many threads.
class YsoDust {
public:
  YsoDust() {
    for (std::size_t i = 0; i < yso_wavelength_count; ++i) {
      const double w = detail::yso_shortest * std::exp(detail::yso_ln_step * (static_cast<double>(i) + .5));
      const double angstrom = 1e4 * w;
      const DustOpacity opacity = yso_opacity(w);
      wavelengths_[i] = w;
      absorption_[i] = opacity.absorption;
      extinction_[i] = opacity.extinction;
      planck_[i] = radiation_c1 * std::pow(w, -5) * angstrom * angstrom / light_speed;
      exponent_[i] = radiation_c2 / w;
      frequency_[i] = light_speed / angstrom * detail::yso_ln_step;
    }
    std::vector<YsoSpectrum> slab(columns);
    for (std::size_t n = 0; n < columns; ++n)
      for (std::size_t i = 0; i < yso_wavelength_count; ++i)
        slab[n][i] =
            slab_emissivity(absorption_[i] * std::exp(ln_column_min + column_step * static_cast<double>(n)));
    for (std::size_t t = 0; t < temperatures; ++t) {
      YsoSpectrum light;
      black_body(std::exp(ln_t_min + t_step * static_cast<double>(t)), light);
      for (std::size_t n = 0; n < columns; ++n) {
        double sum = 0;
        for (std::size_t i = 0; i < yso_wavelength_count; ++i) sum += light[i] * slab[n][i] * frequency_[i];
        ln_emitted_[n][t] = std::log(2 * sum);
      }
    }
  }

  [[nodiscard]] std::span<const double> wavelengths() const { return wavelengths_; } ///< micron
  [[nodiscard]] std::span<const double> absorption() const { return absorption_; }   ///< cm^2/g of dust
  [[nodiscard]] std::span<const double> extinction() const { return extinction_; }   ///< cm^2/g of dust

  /// pi B_nu [erg/s/cm^2/Hz] of a temperature [K] at the 200 wavelengths.
  void black_body(double temperature, std::span<double, yso_wavelength_count> out) const {
    using V = Vec<double>;
    static_assert(yso_wavelength_count % V::lanes == 0);
    const V inverse(1 / temperature);
    for (std::size_t i = 0; i < yso_wavelength_count; i += V::lanes)
      (V::load(&planck_[i]) / (detail::exponential(V::load(&exponent_[i]) * inverse) - V(1))).store(&out[i]);
  }
  /// int F_nu dnu of a spectrum at the 200 wavelengths.
  [[nodiscard]] double integral(std::span<const double, yso_wavelength_count> flux) const {
    using V = Vec<double>;
    V sum(0);
    for (std::size_t i = 0; i < yso_wavelength_count; i += V::lanes)
      sum += V::load(&flux[i]) * V::load(&frequency_[i]);
    return horizontal_sum(sum);
  }
  /// Absorption averaged over a black body [cm^2/g of dust].
  [[nodiscard]] double planck_mean(double temperature) const {
    YsoSpectrum light;
    black_body(temperature, light);
    double absorbed = 0;
    for (std::size_t i = 0; i < yso_wavelength_count; ++i)
      absorbed += light[i] * absorption_[i] * frequency_[i];
    return absorbed / integral(light);
  }
  /// Where optically thin dust around a black body of t_star has this temperature, in radii of the star: W(r)
  /// kappa(t_star) t_star^4 = kappa(t) t^4 with Planck means and the dilution W = (1 - sqrt(1 - 1/r^2)) / 2;
  /// 1 if the dust is cooler at the surface already.
  [[nodiscard]] double radius_of(double temperature, double t_star) const {
    const double w = std::pow(temperature / t_star, 4) * planck_mean(temperature) / planck_mean(t_star);
    return w < .5 ? .5 / std::sqrt(w * (1 - w)) : 1;
  }
  /// Radius inside which dust sublimates, at 1600 K, in radii of the star.
  [[nodiscard]] double sublimation_radius(double t_star) const { return radius_of(1600, t_star); }

  /// What the two faces of a slab of dust with this temperature [K] and column [g/cm^2] radiate together
  /// [erg/s/cm^2]: 2 int pi B_nu (1 - 2 E_3(kappa column)) dnu, from a table in the logarithms (0.4 %).
  [[nodiscard]] double slab_flux(double temperature, double column) const {
    const Row row = row_of(column);
    const double x = (std::log(temperature) - ln_t_min) / t_step;
    const auto t = static_cast<std::size_t>(std::clamp(x, 0., temperatures - 2.));
    return std::exp(std::lerp(row.at(t), row.at(t + 1), x - static_cast<double>(t)));
  }
  /// The inverse: the temperature [K] at which a slab of a column > 0 radiates a flux > 0. Beyond 2 to 1e5 K
  /// the power law at the end of the table continues.
  [[nodiscard]] double slab_temperature(double flux, double column) const {
    const Row row = row_of(column);
    const double target = std::log(flux);
    std::size_t low = 0, high = temperatures - 1;
    while (high - low > 1) {
      const std::size_t middle = (low + high) / 2;
      (row.at(middle) <= target ? low : high) = middle;
    }
    const double a = row.at(low), b = row.at(high);
    return std::exp(ln_t_min + t_step * (static_cast<double>(low) + (target - a) / (b - a)));
  }

private:
  static constexpr std::size_t temperatures = 140, columns = 96;
  static constexpr double ln_t_min = .6931471805599453, t_step = .077841;            // 2 to 1e5 K
  static constexpr double ln_column_min = -20.72326583694641, column_step = .315090; // 1e-9 to 1e4 g/cm^2

  /// 1 - 2 E_3(tau): what a face of a slab radiates, over what a black body does.
  static double slab_emissivity(double tau) {
    double sum = 0;
    const auto add = [&](double mu, double weight) { sum -= 2 * weight * mu * std::expm1(-tau / mu); };
    detail::gauss4(0, .25, add);
    detail::gauss4(.25, 1, add);
    return sum;
  }

  struct Row {
    const double *below, *above;
    double fraction;
    [[nodiscard]] double at(std::size_t t) const { return below[t] + fraction * (above[t] - below[t]); }
  };
  /// Thinner and thicker slabs than the table's follow its edge: proportional to the column, independent of
  /// it.
  [[nodiscard]] Row row_of(double column) const {
    const double y = (std::log(column) - ln_column_min) / column_step;
    const auto n = static_cast<std::size_t>(std::clamp(y, 0., columns - 2.));
    return {ln_emitted_[n].data(), ln_emitted_[n + 1].data(), y - static_cast<double>(n)};
  }

  YsoSpectrum wavelengths_{}, absorption_{}, extinction_{};
  YsoSpectrum planck_{}, exponent_{}, frequency_{}; // pi B_nu = planck / (exp(exponent / T) - 1); nu dln(nu)
  std::vector<std::array<double, temperatures>> ln_emitted_ = // ln of slab_flux
      std::vector<std::array<double, temperatures>>(columns);
};

} // namespace sbi::forward
