// SPDX-License-Identifier: MIT
// What makes one library of spectra differ from another: a smooth factor on the flux. BaSeL is Kurucz' grid
// times such a function (Lejeune, Cuisinier & Buser 1997).
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/atmosphere_range.hpp>
#include <sbi/forward/cardinal.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A change of spectra in magnitudes, shift(lambda; T_eff, log g, [M/H]) = sum_k strength_k(T_eff, log g,
/// [M/H]) profile_k(lambda): `terms()` summands, `profile(k, lambda)` with lambda in micron, and `strengths`,
/// which writes as many numbers.
template <class S>
concept SpectralShift = requires(const S& shift, std::size_t k, double x, std::span<double> out) {
  { shift.terms() } -> std::convertible_to<std::size_t>;
  { shift.profile(k, x) } -> std::convertible_to<double>;
  shift.strengths(x, x, x, out);
};

/// How a random shift varies: rms over the draws [mag], and the lengths over which it loses its memory, in
/// ln(lambda), log10 T_eff and dex.
struct RandomShiftOptions {
  double amplitude = .05;
  double ln_lambda_length = .3, log_teff_length = .15, log_g_length = 3, mh_length = 3;
  int modes = 24;
};

/// A random smooth shift: a sum of waves in (ln lambda, log T_eff, log g, [M/H]) with normal frequencies and
/// uniform phases (random Fourier features, Rahimi & Recht 2007, NIPS 20). Over seeds its mean is 0, its rms
/// `amplitude`, and its covariance amplitude^2 exp(-sum_i (Delta_i / length_i)^2 / 2); over one seed's
/// spectrum the rms is that within some tens of per cent. A seed always gives the same function.
class RandomShift {
public:
  /// Throws ValueError for an amplitude that is negative or not finite, lengths that are not positive, or no
  /// modes.
  RandomShift(std::uint64_t seed, const RandomShiftOptions& options) {
    const RandomShiftOptions& o = options;
    if (!(o.amplitude >= 0) || !is_finite(o.amplitude))
      throw ValueError(text("random shift: amplitude ", o.amplitude, " mag; want 0 or more"));
    for (const double length : {o.ln_lambda_length, o.log_teff_length, o.log_g_length, o.mh_length})
      if (!(length > 0)) throw ValueError(text("random shift: length ", length, "; want > 0"));
    if (o.modes < 1) throw ValueError(text("random shift: ", o.modes, " modes; want 1 or more"));
    scale_ = o.amplitude * std::sqrt(2. / o.modes);
    Rng rng(seed);
    for (int k = 0; k < o.modes; ++k) {
      Wave w{};
      w.ln_lambda = rng.normal() / o.ln_lambda_length;
      w.log_teff = rng.normal() / o.log_teff_length;
      w.log_g = rng.normal() / o.log_g_length;
      w.mh = rng.normal() / o.mh_length;
      w.phase = rng.uniform(0, 2 * std::numbers::pi);
      waves_.push_back(w);
    }
  }

  /// Two a wave: cos(a + b) = cos a cos b - sin a sin b separates the spectrum from the star.
  [[nodiscard]] std::size_t terms() const { return 2 * waves_.size(); }
  [[nodiscard]] double profile(std::size_t k, double wavelength) const {
    const double a = waves_[k / 2].ln_lambda * std::log(wavelength);
    return k % 2 == 0 ? std::cos(a) : -std::sin(a);
  }
  void strengths(double log_teff, double log_g, double mh, std::span<double> out) const {
    for (std::size_t k = 0; k < waves_.size(); ++k) {
      const Wave& w = waves_[k];
      const double b = w.log_teff * log_teff + w.log_g * log_g + w.mh * mh + w.phase;
      out[2 * k] = scale_ * std::cos(b);
      out[2 * k + 1] = scale_ * std::sin(b);
    }
  }

private:
  struct Wave {
    double ln_lambda, log_teff, log_g, mh, phase;
  };
  double scale_;
  std::vector<Wave> waves_;
};

/// A measured shift: magnitudes at temperatures and wavelengths, whatever the gravity and metallicity.
/// Between the nodes it is interpolated smoothly in (ln T_eff, ln lambda) by `cardinal`; beyond them the edge
/// values continue, for the table says nothing there.
class TabulatedShift {
public:
  /// Temperatures [K] and wavelengths [micron], two or more of each, increasing; `shift` [temperature,
  /// wavelength; mag], row-major; the result is `amplitude` times it. Throws ShapeError for other sizes,
  /// ValueError for nodes that do not increase or values that are not finite.
  TabulatedShift(std::span<const double> teffs, std::span<const double> wavelengths,
                 std::span<const double> shift, double amplitude = 1) {
    if (teffs.size() < 2 || wavelengths.size() < 2 || shift.size() != teffs.size() * wavelengths.size())
      throw ShapeError(text("tabulated shift: ", shift.size(), " values for ", teffs.size(),
                            " temperatures and ", wavelengths.size(),
                            " wavelengths; want two or more of each and one value for each pair"));
    const auto take = [](std::span<const double> nodes, const char* name, std::vector<double>& out) {
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (!(nodes[i] > (i > 0 ? nodes[i - 1] : 0)) || !is_finite(nodes[i]))
          throw ValueError(
              text("tabulated shift: ", name, " ", nodes[i], "; want positive, increasing values"));
        out.push_back(std::log(nodes[i]));
      }
    };
    take(teffs, "temperature", ln_teffs_);
    take(wavelengths, "wavelength", ln_wavelengths_);
    for (const double s : shift) {
      if (!is_finite(s) || !is_finite(amplitude * s))
        throw ValueError(text("tabulated shift: ", amplitude, " times ", s, " mag; want finite values"));
      shift_.push_back(amplitude * s);
    }
  }

  [[nodiscard]] std::size_t terms() const { return ln_wavelengths_.size(); }
  [[nodiscard]] double profile(std::size_t k, double wavelength) const {
    const CardinalWeights w = cardinal(ln_wavelengths_, std::log(wavelength));
    return k >= w.first && k < w.first + w.count ? w.weight[k - w.first] : 0;
  }
  void strengths(double log_teff, double /*log_g*/, double /*mh*/, std::span<double> out) const {
    const CardinalWeights w = cardinal(ln_teffs_, log_teff * std::numbers::ln10);
    for (std::size_t k = 0; k < terms(); ++k) {
      out[k] = 0;
      for (std::size_t i = 0; i < w.count; ++i) out[k] += w.weight[i] * shift_[(w.first + i) * terms() + k];
    }
  }

private:
  std::vector<double> ln_teffs_, ln_wavelengths_, shift_;
};

/// The measured difference BT-Settl (CIFIST) minus Kurucz (1993), 3500-7000 K and 0.4-3.4 micron, that makes
/// family 2 of `AnalyticAtmosphere`, for any other atmosphere. The measurement integrated Kurucz' spectra
/// between the first and last of their points in each box; over the whole boxes BT-Settl is fainter by
/// .01-.04 mag more. Bolometric::keep takes away the part of this that all wavelengths share.
[[nodiscard]] inline TabulatedShift bt_settl_minus_kurucz(double amplitude = 1) {
  std::vector<double> shift;
  for (const auto& row : detail::library_shift) shift.insert(shift.end(), row.begin(), row.end());
  return {detail::library_teff, detail::library_wavelength, shift, amplitude};
}

static_assert(SpectralShift<RandomShift> && SpectralShift<TabulatedShift>);

/// Whether a distorted spectrum is scaled to the integral of the one it came from.
enum class Bolometric { keep, change };

/// An atmosphere times 10^(-0.4 shift); satisfies `Atmosphere` where the first one does. A shift of amplitude
/// 0 gives the same bits. With Bolometric::keep the integral of F over the atmosphere's wavelengths stays
/// what it was (sigma T^4 as exactly as before), so that the shift changes colours and bolometric
/// corrections, but not luminosities.
template <Atmosphere A, SpectralShift S> class Distorted {
public:
  Distorted(A atmosphere, const S& shift, Bolometric bolometric = Bolometric::keep)
      : atmosphere_(std::move(atmosphere)), shift_(shift), bolometric_(bolometric) {
    const std::span<const double> w = atmosphere_.wavelengths();
    for (std::size_t k = 0; k < shift_.terms(); ++k)
      for (const double lambda : w) profile_.push_back(-0.4 * std::numbers::ln10 * shift_.profile(k, lambda));
    // Trapezium rule for int F lambda dln(lambda).
    for (std::size_t i = 0; i < w.size(); ++i)
      weight_.push_back(w[i] * std::log(w[std::min(i + 1, w.size() - 1)] / w[i > 0 ? i - 1 : 0]));
  }

  [[nodiscard]] const A& atmosphere() const { return atmosphere_; }
  [[nodiscard]] std::span<const double> wavelengths() const { return atmosphere_.wavelengths(); }
  [[nodiscard]] AtmosphereRange range() const { return forward::range(atmosphere_); }
  [[nodiscard]] bool covers(double log_teff, double log_g, double mh) const {
    return atmosphere_.covers(log_teff, log_g, mh);
  }
  /// Surface flux [erg/s/cm^2/A] at every wavelength. Throws as the atmosphere does.
  void flux(double log_teff, double log_g, double mh, std::span<double> out) const {
    atmosphere_.flux(log_teff, log_g, mh, out);
    std::vector<double> strength(shift_.terms()), exponent(out.size());
    shift_.strengths(log_teff, log_g, mh, strength);
    for (std::size_t k = 0; k < strength.size(); ++k)
      for (std::size_t i = 0; i < out.size(); ++i) exponent[i] += strength[k] * profile_[k * out.size() + i];
    double before = 0, after = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      before += weight_[i] * out[i];
      out[i] *= std::exp(exponent[i]);
      after += weight_[i] * out[i];
    }
    if (bolometric_ == Bolometric::change || !(after > 0)) return;
    for (double& f : out) f *= before / after;
  }

private:
  A atmosphere_;
  S shift_;
  Bolometric bolometric_;
  std::vector<double> profile_; ///< [term, wavelength], in the exponent of e
  std::vector<double> weight_;  ///< [wavelength]
};

} // namespace sbi::forward
