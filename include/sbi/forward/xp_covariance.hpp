// SPDX-License-Identifier: MIT
// How well the coefficients of a mean BP or RP spectrum are known: as the catalogue says, and for simulated
// stars as photons and background would have it.
#pragma once
#include <sbi/core/adapt.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/xp_instrument.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Covariance of the coefficients of one channel from the catalogue: C_ij = e_i corr_ij e_j with the
/// published errors e, which hold the solution's standard deviation already (GaiaXPy's "covariance" is C over
/// its square; its errors of sampled spectra are those of C).
class XpCovariance {
public:
  /// errors [n] and the strict upper triangle of the correlations [n (n - 1) / 2], packed by columns as in
  /// the archive. Throws ShapeError, ValueError for an error that is not positive or a correlation outside
  /// [-1, 1], NumericalError if the matrix is not positive definite.
  XpCovariance(std::span<const double> errors, std::span<const double> correlations) {
    const auto n = static_cast<index_t>(errors.size());
    if (n == 0 || static_cast<index_t>(correlations.size()) != n * (n - 1) / 2)
      throw ShapeError(sbi::text("XP covariance: ", n, " errors and ", correlations.size(),
                                 " correlations; want ", n * (n - 1) / 2));
    matrix_ = Tensor<double>(Shape{n, n});
    factor_ = matrix_;
    auto next = correlations.begin();
    for (index_t j = 0; j < n; ++j) {
      const double e = errors[static_cast<std::size_t>(j)];
      if (!(e > 0) || !is_finite(e))
        throw ValueError(sbi::text("XP covariance: error ", e, " of coefficient ", j, "; want > 0"));
      for (index_t i = 0; i < j; ++i, ++next) {
        if (!(std::abs(*next) <= 1))
          throw ValueError(sbi::text("XP covariance: correlation ", *next, " of coefficients ", i, " and ", j,
                                     "; want -1 to 1"));
        matrix_(i, j) = matrix_(j, i) = errors[static_cast<std::size_t>(i)] * e * *next;
      }
      matrix_(j, j) = e * e;
    }
    const Eigen::LLT<EigenMatrix<double>> cholesky(as_eigen(matrix_));
    if (cholesky.info() != Eigen::Success)
      throw NumericalError("XP covariance: not positive definite; want correlations packed by columns");
    as_eigen(factor_) = cholesky.matrixL();
  }

  /// C and its lower Cholesky factor L with C = L L^T, both [n, n].
  [[nodiscard]] const Tensor<double>& matrix() const { return matrix_; }
  [[nodiscard]] const Tensor<double>& factor() const { return factor_; }

  /// r^T C^-1 r of a difference of coefficients [n]. Throws ShapeError.
  [[nodiscard]] double chi_squared(std::span<const double> difference) const {
    check(difference.size());
    const Eigen::Map<const Eigen::VectorXd> r(difference.data(), matrix_.rows());
    return as_eigen(factor_).triangularView<Eigen::Lower>().solve(r).squaredNorm();
  }
  /// Gaussian noise [n] of this covariance. Throws ShapeError.
  void draw(Rng& rng, std::span<double> noise) const {
    check(noise.size());
    Eigen::VectorXd z(matrix_.rows());
    for (double& x : z) x = rng.normal();
    Eigen::Map<Eigen::VectorXd>(noise.data(), matrix_.rows()) =
        as_eigen(factor_).triangularView<Eigen::Lower>() * z;
  }

private:
  void check(std::size_t got) const {
    if (static_cast<index_t>(got) != matrix_.rows())
      throw ShapeError(sbi::text("XP covariance: ", got, " coefficients; want ", matrix_.rows()));
  }

  Tensor<double> matrix_, factor_;
};

/// What makes a sample of a spectrum uncertain in one transit. Its variance is h (1/4.42 s + floor^2 sum h) +
/// background [(electrons/s)^2], h being the mean spectrum: photons, a calibration whose relative error adds
/// like the noise of that many photons, and sky with read-out noise. Samples cover u from `first` to `last`,
/// more and more of them within a width around either.
struct XpChannelNoise {
  double first, first_width, last, last_width, background, floor;
  /// Information on coefficients 41 to 54 beyond that of the samples, in units of that of one sample at the
  /// edge: these have most of their power where there are none, and the catalogue knows them better than
  /// samples alone allow.
  std::array<double, 14> extra;

  /// Fitted to the published errors and correlations of the real sources in GaiaXPy's tests, over their
  /// standard deviations. Published errors over modelled ones: three faint stars in BP (BP 15-18) 0.94-1.01
  /// in the mean, scattering by 5-11 % from coefficient to coefficient; five in RP (RP 13-18) 0.89-1.04 and
  /// 10-19 %. Brighter ones are less certain: a star of BP 13 1.34 in BP, scattering by a factor of 1.8;
  /// Proxima Centauri (BP 11, RP 7.6) 2.1 in BP and 1.6 in RP.
  static constexpr XpChannelNoise bp() {
    return {3.6,
            5.8,
            58.4,
            0.5,
            4.1,
            0.003,
            {.45, .60, .55, .79, 1.19, 1.01, 1.41, 2.60, 4.39, 4.81, 16.2, 14.2, 31.6, 196}};
  }
  static constexpr XpChannelNoise rp() {
    return {3.9,
            8.1,
            57.1,
            4.4,
            4.75,
            0.0015,
            {.37, .49, .58, .60, .85, 1.32, 2.55, 2.88, 2.26, 4.11, 4.73, 5.52, 30.7, 112}};
  }
};

/// Errors of simulated stars: with samples independent, the information on the coefficients is I = N sum_u
/// (T phi)(T phi)^T / var(u), and C = I^-1. Catalogued correlations of faint stars differ from those of C by
/// 0.05-0.08 rms; they are 0.05-0.10 rms themselves.
class XpNoise {
public:
  struct Options {
    /// Transits of a star: 40 is the median number of BP and of RP observations in data release 3. (The faint
    /// stars of the fit have 15-19 in BP and 16-39 in RP.)
    double bp_transits = 40, rp_transits = 40;
    /// Root of chi^2 per degree of freedom by which the catalogue multiplies its errors; 1.01-1.06 for
    /// ordinary stars.
    double standard_deviation = 1.04;
    XpChannelNoise bp = XpChannelNoise::bp(), rp = XpChannelNoise::rp();
  };

  /// Throws ValueError for an option that is not positive.
  explicit XpNoise(const XpInstrument& instrument) : XpNoise(instrument, Options{}) {}
  XpNoise(const XpInstrument& instrument, const Options& options)
      : channels_{Channel(instrument.bp, options.bp, options.bp_transits),
                  Channel(instrument.rp, options.rp, options.rp_transits)},
        deviation_(options.standard_deviation) {
    for (const auto& [name, value] : {std::pair{"BP transits", options.bp_transits},
                                      {"RP transits", options.rp_transits},
                                      {"standard deviation", options.standard_deviation},
                                      {"BP background", options.bp.background},
                                      {"RP background", options.rp.background},
                                      {"BP first width", options.bp.first_width},
                                      {"BP last width", options.bp.last_width},
                                      {"RP first width", options.rp.first_width},
                                      {"RP last width", options.rp.last_width}})
      if (!(value > 0) || !is_finite(value))
        throw ValueError(sbi::text("XP noise: ", name, ' ', value, "; want > 0"));
  }

  /// Standard errors [110] that the catalogue would give to a star of these coefficients [110], which are
  /// electrons a second. Throws ShapeError, ValueError for a coefficient that is not finite.
  void sigma(std::span<const double> coefficients, std::span<double> out) const {
    check(coefficients, out.size());
    for (std::size_t c = 0; c < 2; ++c) {
      const Factor factor = channels_[c].information(coefficients.subspan(c * half, half));
      const Eigen::MatrixXd inverse =
          factor.matrixL().solve(Eigen::MatrixXd::Identity(XpChannel::coefficients, XpChannel::coefficients));
      for (std::size_t k = 0; k < half; ++k)
        out[c * half + k] = deviation_ * inverse.col(static_cast<index_t>(k)).norm();
    }
  }
  /// Covariances [55, 55] of the two channels; throws as `sigma` does.
  [[nodiscard]] std::array<Tensor<double>, 2> covariance(std::span<const double> coefficients) const {
    check(coefficients, coefficients.size());
    constexpr index_t n = XpChannel::coefficients;
    std::array<Tensor<double>, 2> out{Tensor<double>(Shape{n, n}), Tensor<double>(Shape{n, n})};
    for (std::size_t c = 0; c < 2; ++c)
      as_eigen(out[c]) = deviation_ * deviation_ *
                         channels_[c]
                             .information(coefficients.subspan(c * half, half))
                             .solve(Eigen::MatrixXd::Identity(n, n));
    return out;
  }
  /// Gaussian noise [110] of that covariance, always from 110 random numbers; throws as `sigma` does.
  void draw(Rng& rng, std::span<const double> coefficients, std::span<double> noise) const {
    check(coefficients, noise.size());
    for (std::size_t c = 0; c < 2; ++c) {
      const Factor factor = channels_[c].information(coefficients.subspan(c * half, half));
      Eigen::VectorXd z(XpChannel::coefficients);
      for (double& x : z) x = rng.normal();
      Eigen::Map<Eigen::VectorXd>(noise.data() + c * half, XpChannel::coefficients) =
          deviation_ * factor.matrixU().solve(z);
    }
  }

private:
  static constexpr auto half = static_cast<std::size_t>(XpChannel::coefficients);
  using Factor = Eigen::LLT<Eigen::MatrixXd>;

  class Channel {
  public:
    Channel(const XpChannel& channel, const XpChannelNoise& noise, double transits)
        : noise_(noise), transits_(transits) {
      // The bases oscillate with up to 3.4 radians a sample, their products with twice that: two points a
      // sample. Beyond -4 and 64 all bases vanish.
      constexpr index_t points = 136;
      bases_.resize(points, XpChannel::coefficients);
      coverage_.resize(points);
      edge_.resize(points);
      for (index_t i = 0; i < points; ++i) {
        const double u = -3.75 + step * static_cast<double>(i);
        channel.bases(u, {bases_.row(i).data(), half});
        coverage_[i] = std::clamp((u - noise.first) / noise.first_width + 0.5, 0.0, 1.0) *
                       std::clamp((noise.last - u) / noise.last_width + 0.5, 0.0, 1.0);
        edge_[i] = (u > 0 && u < 6) || (u > 54 && u < 60) ? 1 : 0;
      }
      edge_ /= edge_.sum();
    }

    /// Factored I of coefficients [55].
    [[nodiscard]] Factor information(std::span<const double> coefficients) const {
      constexpr double seconds = 4.42; // exposure of a CCD
      const Eigen::Map<const Eigen::VectorXd> c(coefficients.data(), XpChannel::coefficients);
      const Eigen::ArrayXd light = (bases_ * c).array().max(0.0);
      const double per_light = 1 / seconds + noise_.floor * noise_.floor * step * light.sum();
      const Eigen::ArrayXd weight =
          (transits_ * step * coverage_ / (light * per_light + noise_.background)).sqrt();
      const EigenMatrix<double> rows = bases_.array().colwise() * weight;
      Eigen::MatrixXd information = Eigen::MatrixXd::Zero(XpChannel::coefficients, XpChannel::coefficients);
      information.selfadjointView<Eigen::Lower>().rankUpdate(rows.transpose());
      const double edge = (edge_ * light).sum() * per_light + noise_.background;
      constexpr auto skip = XpChannel::coefficients - static_cast<index_t>(decltype(noise_.extra){}.size());
      for (std::size_t k = 0; k < noise_.extra.size(); ++k) {
        const index_t i = skip + static_cast<index_t>(k);
        information(i, i) += transits_ * noise_.extra[k] / edge;
      }
      Factor factor(information);
      if (factor.info() != Eigen::Success)
        throw NumericalError("XP noise: the information on the coefficients is not positive definite");
      return factor;
    }

  private:
    static constexpr double step = 0.5;
    XpChannelNoise noise_;
    double transits_;
    EigenMatrix<double> bases_; // [points, coefficients]
    Eigen::ArrayXd coverage_, edge_;
  };

  static void check(std::span<const double> coefficients, std::size_t room) {
    if (coefficients.size() != 2 * half || room != 2 * half)
      throw ShapeError(sbi::text("XP noise: ", coefficients.size(), " coefficients and room for ", room,
                                 "; want 110 of each"));
    for (std::size_t k = 0; k < coefficients.size(); ++k)
      if (!is_finite(coefficients[k]))
        throw ValueError(
            sbi::text("XP noise: coefficient ", k, " is ", coefficients[k], "; want finite values"));
  }

  std::array<Channel, 2> channels_;
  double deviation_;
};

} // namespace sbi::forward
