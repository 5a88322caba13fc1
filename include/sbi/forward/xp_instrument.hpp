// SPDX-License-Identifier: MIT
// Gaia's prism spectrographs BP and RP as data release 3 describes them: 55 coefficients each, and how they
// become a spectrum. Montegriffo et al. 2023 (A&A 674, A3); the tables are those of GaiaXPy (BSD-3-Clause).
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/cubic_spline.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <vector>

namespace sbi::forward {

/// The Hermite functions phi_n(x) = H_n(x) exp(-x^2/2) / sqrt(2^n n! sqrt(pi)), n = 0 .. out.size() - 1,
/// which are orthonormal on the whole line, by their recursion.
inline void hermite_functions(double x, std::span<double> out) {
  double before = 0, now = std::sqrt(std::numbers::inv_sqrtpi) * std::exp(-0.5 * x * x);
  for (std::size_t n = 0; n < out.size(); ++n) {
    if (n > 0) {
      const auto order = static_cast<double>(n);
      const double next = std::sqrt(2 / order) * x * now - std::sqrt((order - 1) / order) * before;
      before = now;
      now = next;
    }
    out[n] = now;
  }
}

/// What describes a channel. Wavelengths in nm as in Gaia's files; u is the pseudo-wavelength, in samples
/// along the scan. The mean spectrum is h(u) = sum_i c_i (T phi(x(u)))_i electrons a second and sample, with
/// x(u) linear from `arguments` to `pseudo_range`, and its deconvolved image, in electrons a second and nm,
/// is sum_i c_i (T Binv phi(x(u(lambda))))_i.
struct XpTables {
  std::string name;
  std::array<double, 2> pseudo_range{}, arguments{};
  std::vector<double> dispersion_wavelengths, pseudo_wavelengths; ///< u(lambda), a natural cubic spline
  std::vector<double> response_wavelengths, response;             ///< electrons a photon, likewise
  Tensor<double> inverse_bases, transformation;                   ///< Binv, T: [coefficients, coefficients]
};

/// One of the two spectrographs. Wavelengths in micron, fluxes in erg/s/cm^2/A as everywhere in this library
/// (1 W/m^2/nm of Gaia's catalogue is 100 erg/s/cm^2/A).
class XpChannel {
public:
  static constexpr index_t coefficients = 55;
  /// Collecting area of a telescope [m^2].
  static constexpr double aperture = 0.7278;

  /// Throws ShapeError unless both matrices are [55, 55], ValueError for an empty range of u or x, or a
  /// response that is nowhere positive, and as `CubicSpline` does.
  explicit XpChannel(XpTables tables)
      : name_(std::move(tables.name)), inverse_bases_(std::move(tables.inverse_bases)),
        transformation_(std::move(tables.transformation)),
        dispersion_(std::move(tables.dispersion_wavelengths), std::move(tables.pseudo_wavelengths)),
        response_(std::move(tables.response_wavelengths), std::move(tables.response)) {
    for (const auto* matrix : {&inverse_bases_, &transformation_})
      if (matrix->shape() != Shape{coefficients, coefficients})
        throw ShapeError(sbi::text("XP ", name_, ": a matrix ", matrix->shape(), "; want [55,55]"));
    const auto [u0, u1] = tables.pseudo_range;
    const auto [x0, x1] = tables.arguments;
    if (!(u1 > u0) || !(x1 > x0))
      throw ValueError(sbi::text("XP ", name_, ": pseudo-wavelengths ", u0, " to ", u1, ", arguments ", x0,
                                 " to ", x1, "; want increasing ranges"));
    slope_ = (x1 - x0) / (u1 - u0);
    offset_ = x0 - u0 * slope_;
    const std::vector<double>&r = response_.y(), &w = response_.x();
    const double least = 1e-5 * *std::max_element(r.begin(), r.end());
    const auto sees = [least](double value) { return value > least && value > 0; };
    const auto low = std::find_if(r.begin(), r.end(), sees);
    const auto high = std::find_if(r.rbegin(), r.rend(), sees);
    if (low == r.end()) throw ValueError(sbi::text("XP ", name_, ": the response is nowhere positive"));
    first_ = std::max(w[static_cast<std::size_t>(low - r.begin())], dispersion_.x().front());
    last_ = std::min(w[static_cast<std::size_t>(r.rend() - high) - 1], dispersion_.x().back());
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Tensor<double>& inverse_bases() const { return inverse_bases_; }
  [[nodiscard]] const Tensor<double>& transformation() const { return transformation_; }
  /// Where the channel sees light [micron]: its response is above 1e-5 of its maximum.
  [[nodiscard]] double first() const { return 1e-3 * first_; }
  [[nodiscard]] double last() const { return 1e-3 * last_; }
  /// The step of the table of the response [micron].
  [[nodiscard]] double step() const {
    return 1e-3 * (response_.x().back() - response_.x().front()) /
           static_cast<double>(response_.x().size() - 1);
  }

  /// u(lambda) and du/dlambda [1/micron]; throw ValueError outside the table.
  [[nodiscard]] double pseudo_wavelength(double wavelength) const { return dispersion_(1e3 * wavelength); }
  [[nodiscard]] double dispersion(double wavelength) const {
    return 1e3 * dispersion_.derivative(1e3 * wavelength);
  }
  /// x(u), the argument of the Hermite functions, and its slope dx/du.
  [[nodiscard]] double argument(double u) const { return offset_ + slope_ * u; }
  [[nodiscard]] double argument_slope() const { return slope_; }

  /// Electrons a second and micron of wavelength from 1 erg/s/cm^2/A: P R(lambda) lambda / (h c).
  [[nodiscard]] double electrons(double wavelength) const {
    constexpr double photon = 6.62607015e-34 * 299792458; // h c [J m]
    return 1e4 * aperture * 1e-3 * std::max(response_(1e3 * wavelength), 0.0) * (1e-6 * wavelength) / photon;
  }

  /// The bases T phi [55] of the mean spectrum at u.
  void bases(double u, std::span<double> out) const {
    std::array<double, coefficients> phi;
    hermite_functions(argument(u), phi);
    transform(phi, out);
  }
  /// Their deconvolved images as flux densities at a wavelength [55]: F = sum_i c_i out_i erg/s/cm^2/A.
  /// Throws ValueError where the channel sees no light.
  void fluxes(double wavelength, std::span<double> out) const {
    if (!(wavelength >= first() && wavelength <= last()))
      throw ValueError(
          sbi::text("XP ", name_, ": wavelength ", wavelength, " micron; want ", first(), " to ", last()));
    std::array<double, coefficients> phi, image{};
    hermite_functions(argument(pseudo_wavelength(wavelength)), phi);
    for (index_t i = 0; i < coefficients; ++i)
      for (index_t k = 0; k < coefficients; ++k)
        image[static_cast<std::size_t>(i)] += inverse_bases_(i, k) * phi[static_cast<std::size_t>(k)];
    transform(image, out);
    const double per_nm = 1e-3 * electrons(wavelength);
    for (double& f : out) f /= per_nm;
  }

private:
  void transform(const std::array<double, coefficients>& in, std::span<double> out) const {
    if (out.size() != in.size())
      throw ShapeError(sbi::text("XP ", name_, ": room for ", out.size(), " values; want 55"));
    for (index_t i = 0; i < coefficients; ++i) {
      double sum = 0;
      for (index_t k = 0; k < coefficients; ++k)
        sum += transformation_(i, k) * in[static_cast<std::size_t>(k)];
      out[static_cast<std::size_t>(i)] = sum;
    }
  }

  std::string name_;
  Tensor<double> inverse_bases_, transformation_;
  CubicSpline dispersion_, response_;
  double slope_ = 1, offset_ = 0, first_ = 0, last_ = 0; // first_, last_ in nm
};

/// Both channels. A spectrum has 110 coefficients: BP's, then RP's.
struct XpInstrument {
  XpChannel bp, rp;
  static constexpr index_t coefficients = 2 * XpChannel::coefficients;

  /// Share of RP in a sampled spectrum: BP below 635 nm, RP above 643 nm, linear in between.
  [[nodiscard]] static double share_of_rp(double wavelength) {
    return std::clamp((wavelength - 0.635) / 0.008, 0.0, 1.0);
  }
};

/// The wavelengths of Gaia's own sampled spectra [micron]: 336 to 1020 nm every 2 nm.
[[nodiscard]] inline std::vector<double> xp_wavelengths() {
  std::vector<double> out;
  for (int nm = 336; nm <= 1020; nm += 2) out.push_back(1e-3 * nm);
  return out;
}

/// The external calibration: coefficients -> flux densities [erg/s/cm^2/A] at fixed wavelengths. With a
/// natural spline through the dispersion these are the archive's sampled spectra to their 7 digits (3e-7); a
/// not-a-knot spline is off by up to 3e-3 at 336-352 nm.
class XpSampling {
public:
  /// Wavelengths [micron] in any order. Throws ValueError for one that its channel does not see.
  explicit XpSampling(const XpInstrument& instrument, std::vector<double> wavelengths = xp_wavelengths())
      : wavelengths_(std::move(wavelengths)),
        fluxes_(Shape{static_cast<index_t>(wavelengths_.size()), XpInstrument::coefficients}) {
    constexpr auto n = static_cast<std::size_t>(XpChannel::coefficients);
    for (std::size_t i = 0; i < wavelengths_.size(); ++i) {
      const double share = XpInstrument::share_of_rp(wavelengths_[i]);
      double* row = fluxes_.row(static_cast<index_t>(i));
      if (!(share >= 1)) instrument.bp.fluxes(wavelengths_[i], {row, n}); // also where it is NaN
      if (share > 0) instrument.rp.fluxes(wavelengths_[i], {row + n, n});
    }
  }

  [[nodiscard]] const std::vector<double>& wavelengths() const { return wavelengths_; }

  /// [110, wavelengths]: many spectra [n, 110] times this are their fluxes [n, wavelengths].
  [[nodiscard]] Tensor<double> matrix() const {
    Tensor<double> out(Shape{fluxes_.cols(), fluxes_.rows()});
    for (index_t i = 0; i < fluxes_.rows(); ++i) {
      const double rp = XpInstrument::share_of_rp(wavelengths_[static_cast<std::size_t>(i)]);
      for (index_t k = 0; k < fluxes_.cols(); ++k)
        out(k, i) = (k < XpChannel::coefficients ? 1 - rp : rp) * fluxes_(i, k);
    }
    return out;
  }

  /// Fluxes [wavelengths] of 110 coefficients. A channel with a missing coefficient counts as missing: where
  /// both channels overlap the other one stands alone, elsewhere its fluxes are missing. Throws ShapeError.
  void flux(std::span<const double> coefficients, std::span<double> out) const {
    check(coefficients.size(), static_cast<std::size_t>(XpInstrument::coefficients), out.size());
    const auto half = coefficients.begin() + XpChannel::coefficients;
    const bool bp = std::none_of(coefficients.begin(), half, [](double c) { return is_missing(c); });
    const bool rp = std::none_of(half, coefficients.end(), [](double c) { return is_missing(c); });
    merge(bp, rp, out, [&](index_t i, index_t channel, double share) {
      double sum = 0;
      for (index_t k = channel * XpChannel::coefficients; k < (channel + 1) * XpChannel::coefficients; ++k)
        sum += coefficients[static_cast<std::size_t>(k)] * fluxes_(i, k);
      return share * sum;
    });
  }

  /// Standard errors [wavelengths] from the covariances [55, 55] of the coefficients; an empty one is that of
  /// a missing channel. The errors of the channels are independent. Throws ShapeError.
  void error(const Tensor<double>& bp, const Tensor<double>& rp, std::span<double> out) const {
    for (const auto* covariance : {&bp, &rp})
      if (covariance->size() > 0 &&
          covariance->shape() != Shape{XpChannel::coefficients, XpChannel::coefficients})
        throw ShapeError(sbi::text("XP sampling: a covariance ", covariance->shape(), "; want [55,55]"));
    check(0, 0, out.size());
    merge(bp.size() > 0, rp.size() > 0, out, [&](index_t i, index_t channel, double share) {
      const Tensor<double>& covariance = channel == 0 ? bp : rp;
      const double* f = fluxes_.row(i) + channel * XpChannel::coefficients;
      double sum = 0;
      for (index_t j = 0; j < XpChannel::coefficients; ++j)
        for (index_t k = 0; k < XpChannel::coefficients; ++k) sum += f[j] * covariance(j, k) * f[k];
      return share * share * sum;
    });
    for (double& e : out) e = std::sqrt(e);
  }

private:
  void check(std::size_t got, std::size_t want, std::size_t room) const {
    if (got != want || room != wavelengths_.size())
      throw ShapeError(sbi::text("XP sampling: ", got, " coefficients and room for ", room, " fluxes; want ",
                                 want, " and ", wavelengths_.size()));
  }
  /// out[i] = sum of f(i, channel, share of the channel) over the channels that are there.
  template <class F> void merge(bool bp, bool rp, std::span<double> out, F&& f) const {
    for (std::size_t i = 0; i < out.size(); ++i) {
      double share = XpInstrument::share_of_rp(wavelengths_[i]);
      if (share > 0 && share < 1 && bp != rp) share = rp ? 1 : 0;
      const auto row = static_cast<index_t>(i);
      const bool known = (share == 1 || bp) && (share == 0 || rp);
      out[i] = known ? (share < 1 ? f(row, 0, 1 - share) : 0) + (share > 0 ? f(row, 1, share) : 0) : missing;
    }
  }

  std::vector<double> wavelengths_;
  Tensor<double> fluxes_; ///< [wavelengths, 110], before the channels are merged
};

} // namespace sbi::forward
