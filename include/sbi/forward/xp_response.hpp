// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/adapt.hpp>
#include <sbi/forward/spectral_response.hpp>
#include <sbi/forward/xp_instrument.hpp>

#include <Eigen/LU>

#include <array>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// The way into the instrument: spectrum -> the 110 coefficients of the mean BP and RP spectra, noise-free.
///
/// The mean spectrum of a source that sends e(lambda) = P R(lambda) lambda F(lambda) / (h c) electrons a
/// second and nm is h(u) = int L(u, lambda) e(lambda) dlambda, L being the line-spread function. Data release
/// 3 publishes L only through the inverse bases: Binv is such that L (Binv phi(x(u(lambda)))) = phi(x(u)).
/// So on the span of the Hermite functions L is the inverse of Binv (condition 157 in BP, 55 in RP), and what
/// of e lies outside that span, at scales below two samples, L takes away anyway. With a_k = int e phi_k dx,
/// the projection, the coefficients are c = T Binv^-T a. There is no regularisation and nothing is fitted.
/// (Least squares against the sampled fluxes would need both, and would not blur a line by L.)
///
/// The result agrees with simulations by the instrument model of the Gaia team (kernels v375wi, v142r, as in
/// early versions of GaiaXPy) to 0.1-0.3 % of the norm of the coefficients.
class XpResponse {
public:
  explicit XpResponse(XpInstrument instrument) : instrument_(std::move(instrument)) {
    project(instrument_.bp, bp_);
    project(instrument_.rp, rp_);
  }

  [[nodiscard]] const XpInstrument& instrument() const { return instrument_; }
  /// "BP.0" to "BP.54", then "RP.0" to "RP.54".
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const XpChannel* channel : {&instrument_.bp, &instrument_.rp})
      for (index_t k = 0; k < XpChannel::coefficients; ++k) out.push_back(sbi::text(channel->name(), '.', k));
    return out;
  }

  /// [wavelengths, 110]: electrons a second from fluxes F_lambda [erg/s/cm^2/A] at the Earth, given at
  /// increasing wavelengths [micron], lambda^4 F linear in ln(lambda) in between. Throws ValueError, naming
  /// channel and range, unless they reach from 0.3245 to 1.1 micron.
  [[nodiscard]] Tensor<double> weights(std::span<const double> wavelengths) const {
    Tensor<double> out(Shape{static_cast<index_t>(wavelengths.size()), XpInstrument::coefficients});
    add(instrument_.bp, bp_, wavelengths, 0, out);
    add(instrument_.rp, rp_, wavelengths, XpChannel::coefficients, out);
    return out;
  }

private:
  static constexpr index_t n = XpChannel::coefficients;

  /// out = Binv^-1 T^T [Hermite functions, coefficients].
  static void project(const XpChannel& channel, Tensor<double>& out) {
    const Eigen::PartialPivLU<EigenMatrix<double>> lu(as_eigen(channel.inverse_bases()));
    const auto pivots = lu.matrixLU().diagonal().cwiseAbs();
    if (!(pivots.minCoeff() > 1e-10 * pivots.maxCoeff()))
      throw ValueError(sbi::text("XP ", channel.name(), ": inverse bases with pivots from ",
                                 pivots.minCoeff(), " to ", pivots.maxCoeff(),
                                 "; want a matrix that can be inverted"));
    out = Tensor<double>(Shape{n, n});
    as_eigen(out) = lu.solve(as_eigen(channel.transformation()).transpose());
  }

  static void add(const XpChannel& channel, const Tensor<double>& projector,
                  std::span<const double> wavelengths, index_t column, Tensor<double>& out) {
    const double from = channel.first(), to = channel.last();
    detail::check_coverage("XP " + channel.name(), wavelengths, from, to);
    Tensor<double> hermite(Shape{out.rows(), n}); // the a_k that each flux contributes
    std::array<double, static_cast<std::size_t>(n)> phi;
    detail::spectrum_quadrature(
        wavelengths, from, to, channel.step(),
        [&](std::size_t i, double lambda, double w, const std::array<double, 2>& share) {
          const double dx = std::abs(channel.dispersion(lambda)) * channel.argument_slope();
          // phi is orthonormal in x: a_k = int e phi_k dx = int e phi_k |dx/dlambda| dlambda, e per nm
          const double scale = w * 1e-3 * channel.electrons(lambda) * dx;
          hermite_functions(channel.argument(channel.pseudo_wavelength(lambda)), phi);
          for (std::size_t side = 0; side < 2; ++side) {
            double* row = hermite.row(static_cast<index_t>(i + side));
            for (std::size_t k = 0; k < phi.size(); ++k) row[k] += scale * share[side] * phi[k];
          }
        });
    for (index_t i = 0; i < out.rows(); ++i) {
      double* row = out.row(i) + column;
      for (index_t k = 0; k < n; ++k)
        if (const double a = hermite(i, k); a != 0)
          for (index_t c = 0; c < n; ++c) row[c] += a * projector(k, c);
    }
  }

  XpInstrument instrument_;
  Tensor<double> bp_, rp_;
};

static_assert(SpectralResponse<XpResponse>);

} // namespace sbi::forward
