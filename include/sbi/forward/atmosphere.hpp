// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/forward/atmosphere_features.hpp>
#include <sbi/forward/cardinal.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/exponential.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

namespace sbi::forward {

namespace detail {

/// BT-Settl (CIFIST) minus Kurucz (1993), log g 4.5, solar metallicity [mag], measured in boxes of 0.38-0.43,
/// 0.43-0.5, 0.5-0.6, 0.6-0.7, 0.7-0.9 micron, J, H, K and 3-3.8 micron; rows are the temperatures.
inline constexpr std::array<double, 5> library_teff{3500, 4000, 5000, 6000, 7000};
inline constexpr std::array<double, 9> library_wavelength{.405, .465, .55, .65, .80, 1.235, 1.65, 2.16, 3.4};
inline constexpr std::array<std::array<double, 9>, 5> library_shift{
    {{-.273, -.151, .179, .254, -.262, -.081, .042, .056, .167},
     {-.199, -.159, .010, .140, -.083, -.042, .011, -.013, .032},
     {-.212, -.032, -.015, -.028, -.006, -.009, -.010, -.025, -.014},
     {-.041, -.018, -.001, -.004, .006, -.010, -.022, -.021, -.007},
     {-.124, -.042, -.043, -.004, -.000, -.014, -.018, -.020, .001}}};

} // namespace detail

/// Analytic stellar spectra for 2500-30000 K: a black body times smooth opacity features (Lyman, Balmer and
/// Paschen edges, line blanketing, Ca H and K, the G band, TiO, VO, FeH, water and CO bands, the H- opacity
/// minimum) whose strengths vary smoothly with temperature, gravity and metallicity, normalised to sigma T^4
/// at every point. At a resolution of about 70 they stand for line-blanketed model atmospheres: the synthetic
/// magnitudes of dwarfs, G to W2 and [M/H] -1 to +0.5, follow those of Castelli & Kurucz (2004) with an rms
/// of .01-.02 mag at 4300-10000 K (at most .05), .02-.05 at 3600-4300 K (at most .14) and .02-.13 at 3500 K
/// (at most .27, in BP).
///
/// Family 1 is that. Family 2 is family 1 distorted as one real library differs from another (BT-Settl from
/// Kurucz): by .03-.25 mag in the cool stars, .01-.03 in most of the others; `amplitude` scales the
/// distortion (1 = as measured, 0 = family 1). Outside the temperatures and wavelengths of the measurement
/// its edge values continue.
class AnalyticAtmosphere {
public:
  static constexpr double teff_min = 2500, teff_max = 30000, log_g_min = 3, log_g_max = 5.5, mh_min = -1,
                          mh_max = .5;
  static constexpr std::size_t grid_size = 512;

  /// Throws ValueError for a family other than 1 and 2 or an amplitude that is not finite.
  explicit AnalyticAtmosphere(int family = 1, double amplitude = 1)
      : wavelengths_(grid_size), planck_(grid_size), exponent_(grid_size),
        distortion_(family == 2 ? -0.4 * std::numbers::ln10 * amplitude : 0) {
    if (family != 1 && family != 2)
      throw ValueError(sbi::text("atmosphere: family ", family, "; want 1 or 2"));
    if (!is_finite(amplitude))
      throw ValueError(sbi::text("atmosphere: amplitude ", amplitude, "; want a finite number"));
    for (std::size_t i = 0; i < grid_size; ++i) {
      wavelengths_[i] = shortest * std::exp(step_ * static_cast<double>(i));
      planck_[i] = radiation_c1 * std::pow(wavelengths_[i], -5);
      exponent_[i] = radiation_c2 / wavelengths_[i];
    }
    for (const detail::Feature& feature : detail::features) {
      profiles_.emplace_back(
          [&](double lambda) {
            const double u = std::log(lambda / feature.centre) / feature.width;
            return feature.edge ? 1 / (1 + std::exp(u)) : std::exp(-0.5 * u * u);
          },
          wavelengths_);
    }
    std::array<double, 9> position{};
    for (std::size_t j = 0; j < position.size(); ++j) position[j] = std::log(detail::library_wavelength[j]);
    for (std::size_t j = 0; j < position.size() && distortion_ != 0; ++j) {
      std::array<double, 9> unit{};
      unit[j] = 1;
      profiles_.emplace_back([&](double lambda) { return cardinal(position, std::log(lambda))(unit); },
                             wavelengths_);
    }
    take_log(detail::feature_teff, solar_), take_log(detail::feature_gravity_teff, gravity_);
    take_log(detail::feature_metal_teff, metals_), take_log(detail::library_teff, library_);
  }

  /// 512 wavelengths from 0.03 to 50 micron, evenly spaced in the logarithm.
  [[nodiscard]] std::span<const double> wavelengths() const { return wavelengths_; }

  /// Whether T_eff is within 2500-30000 K, log g within 3-5.5 and [M/H] within -1 to +0.5.
  [[nodiscard]] bool covers(double log_teff, double log_g, double mh) const {
    return log_teff >= std::log10(teff_min) && log_teff <= std::log10(teff_max) && log_g >= log_g_min &&
           log_g <= log_g_max && mh >= mh_min && mh <= mh_max;
  }

  /// Surface flux density [erg/s/cm^2/A] at each wavelength. Throws ValueError outside `covers`, ShapeError
  /// for an output of another length.
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    if (!covers(log_teff, log_g, mh))
      throw ValueError(sbi::text("atmosphere: T_eff ", std::pow(10, log_teff), " K, log g ", log_g,
                                 ", [M/H] ", mh, "; want ", teff_min, "-", teff_max, " K, ", log_g_min, "-",
                                 log_g_max, ", ", mh_min, " to ", mh_max));
    if (out.size() != grid_size)
      throw ShapeError(sbi::text("atmosphere: ", out.size(), " fluxes for ", grid_size, " wavelengths"));
    const double ln_t = log_teff * std::numbers::ln10, teff = std::exp(ln_t);
    std::fill(out.begin(), out.end(), 0.0);
    const CardinalWeights solar = cardinal(solar_, ln_t), gravity = cardinal(gravity_, ln_t),
                          metals = cardinal(metals_, ln_t), library = cardinal(library_, ln_t);
    for (std::size_t k = 0; k < detail::features.size(); ++k) {
      const detail::Feature& f = detail::features[k];
      profiles_[k].add(solar(f.solar) + gravity(f.gravity) * (log_g - 4.5) + metals(f.metals) * mh, out);
    }
    for (std::size_t k = detail::features.size(); k < profiles_.size(); ++k) {
      double shift = 0;
      for (std::size_t i = 0; i < library.count; ++i)
        shift += library.weight[i] * detail::library_shift[library.first + i][k - detail::features.size()];
      profiles_[k].add(distortion_ * shift, out);
    }
    using V = Vec<double>;
    static_assert(grid_size % V::lanes == 0);
    V sum(0); // int F dlambda = int F lambda dln(lambda), trapezium rule: the ends do not contribute
    for (std::size_t i = 0; i < grid_size; i += V::lanes) {
      const V x = V::load(&exponent_[i]) * V(1 / teff);
      const V f =
          V::load(&planck_[i]) * detail::exponential(V::load(&out[i])) / (detail::exponential(x) - V(1));
      f.store(&out[i]);
      sum += f * V::load(&wavelengths_[i]);
    }
    const double total = horizontal_sum(sum);
    const double scale = stefan_boltzmann * std::pow(teff, 4) / (total * step_ * 1e4);
    for (double& f : out) f *= scale;
  }

private:
  static constexpr double shortest = 0.03, longest = 50; // micron

  /// A feature on the grid, only where it is not negligible.
  class Profile {
  public:
    template <class F> Profile(F&& shape, const std::vector<double>& wavelengths) {
      constexpr double negligible = 1e-9;
      std::size_t last = 0;
      std::vector<double> value;
      for (std::size_t i = 0; i < wavelengths.size(); ++i) {
        const double phi = shape(wavelengths[i]);
        if (value.empty() && std::abs(phi) < negligible) continue;
        if (value.empty()) first_ = i;
        value.push_back(phi);
        if (std::abs(phi) >= negligible) last = value.size();
      }
      value.resize(last);
      value_ = std::move(value);
    }
    void add(double strength, std::span<double> exponent) const {
      double* at = exponent.data() + first_;
      for (std::size_t i = 0; i < value_.size(); ++i) at[i] += strength * value_[i];
    }

  private:
    std::size_t first_ = 0;
    std::vector<double> value_;
  };

  template <std::size_t N>
  static void take_log(const std::array<double, N>& teff, std::array<double, N>& out) {
    for (std::size_t i = 0; i < N; ++i) out[i] = std::log(teff[i]);
  }

  double step_ = std::log(longest / shortest) / (grid_size - 1); // in ln(lambda)
  std::vector<double> wavelengths_, planck_, exponent_;          // micron; c1 lambda^-5; c2 / lambda
  double distortion_; // -0.4 ln 10 amplitude: from magnitudes to the exponent; 0 in family 1
  std::vector<Profile> profiles_;
  std::array<double, 13> solar_{};
  std::array<double, 5> gravity_{}, library_{};
  std::array<double, 4> metals_{};
};

static_assert(Atmosphere<AnalyticAtmosphere>);

} // namespace sbi::forward
