// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/normal.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/imf.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace sbi::forward {

/// Initial mass function of Chabrier (2003, PASP 115, 763): log-normal up to 1 solar mass, dN/dlog10 m ~
/// exp(-(log10 m - log10 centre)^2 / (2 width^2)), and beyond the power law dN/dlog10 m ~ m^-1.3, continuous
/// there; normalised to one star on [lower, upper]. The cumulative distribution is exact, and its inverse to
/// rounding.
class Chabrier {
public:
  static constexpr double slope = 1.3; ///< of dN/dlog10 m above 1 solar mass

  /// centre in solar masses, width in dex. Throws ValueError for a range that is none, for lower = 0 (on the
  /// logarithmic axis that is no mass), a centre or width that is not positive or a range too far from the
  /// centre to hold stars.
  Chabrier(double centre, double width, double lower, double upper)
      : lower_(lower), upper_(upper), centre_(std::log10(centre)), width_(width) {
    if (!(lower > 0 && lower < upper))
      throw ValueError(sbi::text("imf: masses from ", lower, " to ", upper, "; want 0 < lower < upper"));
    if (!(centre > 0 && width > 0))
      throw ValueError(sbi::text("imf: log-normal about ", centre, " solar masses of width ", width,
                                 " dex; want positive values"));
    const double at_one = centre_ / width_;
    continuity_ = std::exp(-0.5 * at_one * at_one);
    low_ = below(std::log10(lower) - centre_);
    const double bell = scale() * std::max(0.0, below(std::log10(std::min(upper, 1.0)) - centre_) - low_);
    const double tail = upper > 1 ? power(std::max(lower, 1.0), upper) : 0;
    amplitude_ = 1 / (lower < 1 ? bell + tail : tail);
    bell_ = lower < 1 ? amplitude_ * bell : 0;
    if (!(amplitude_ > 0) || !is_finite(amplitude_))
      throw ValueError(sbi::text("imf: log-normal about ", centre, " solar masses of width ", width,
                                 " dex holds no stars from ", lower, " to ", upper,
                                 "; want a range with some"));
  }

  [[nodiscard]] double lower() const { return lower_; }
  [[nodiscard]] double upper() const { return upper_; }

  /// dN/dm at mass m; 0 outside the range.
  [[nodiscard]] double pdf(double m) const {
    if (!(m >= lower_ && m <= upper_)) return 0;
    const double z = (std::log10(m) - centre_) / width_;
    const double per_dex = m < 1 ? std::exp(-0.5 * z * z) : continuity_ * std::pow(m, -slope);
    return amplitude_ * per_dex / (m * std::numbers::ln10);
  }
  /// Fraction of the stars below mass m.
  [[nodiscard]] double cdf(double m) const {
    if (m <= lower_) return 0;
    if (m >= upper_) return 1;
    if (m < 1) return amplitude_ * scale() * (below(std::log10(m) - centre_) - low_);
    return bell_ + amplitude_ * power(std::max(lower_, 1.0), m);
  }
  /// The mass below which the fraction u of the stars lies. Throws ValueError unless 0 <= u <= 1.
  [[nodiscard]] double quantile(double u) const {
    if (!(u >= 0 && u <= 1))
      throw ValueError(sbi::text("imf: quantile of ", u, "; want a fraction from 0 to 1"));
    if (u < bell_) {
      const double p = low_ + u / (amplitude_ * scale());
      const double z = p > 0 ? normal_quantile(p) : -std::numeric_limits<double>::infinity();
      return std::clamp(std::pow(10, centre_ + width_ * z), lower_, std::min(upper_, 1.0)); // rounding only
    }
    if (upper_ <= 1) return upper_;
    const double from = std::max(lower_, 1.0);
    const double p =
        std::pow(from, -slope) - slope * std::numbers::ln10 / continuity_ * (u - bell_) / amplitude_;
    return p > 0 ? std::clamp(std::pow(p, -1 / slope), from, upper_) : upper_;
  }
  /// Mean mass of a star.
  [[nodiscard]] double mean() const {
    const double shift = width_ * width_ * std::numbers::ln10; // weighting by mass moves the bell
    double sum = 0;
    if (lower_ < 1)
      sum = scale() * std::exp(std::numbers::ln10 * (centre_ + 0.5 * shift)) *
            (below(std::log10(std::min(upper_, 1.0)) - centre_ - shift) -
             below(std::log10(lower_) - centre_ - shift));
    if (upper_ > 1)
      sum += continuity_ / std::numbers::ln10 *
             (std::pow(std::max(lower_, 1.0), 1 - slope) - std::pow(upper_, 1 - slope)) / (slope - 1);
    return amplitude_ * sum;
  }
  [[nodiscard]] double sample(Rng& rng) const { return quantile(rng.uniform()); }

private:
  /// Integral of the unit bell over all log10 m.
  [[nodiscard]] double scale() const { return width_ * std::sqrt(2 * std::numbers::pi); }
  /// Fraction of the bell below its centre + dex.
  [[nodiscard]] double below(double dex) const { return normal_cdf(dex / width_); }
  /// int_a^b dN of the power law, before normalisation.
  [[nodiscard]] double power(double a, double b) const {
    return continuity_ / (slope * std::numbers::ln10) * (std::pow(a, -slope) - std::pow(b, -slope));
  }
  double lower_, upper_, centre_, width_;
  double continuity_ = 0;           ///< of dN/dlog10 m at 1 solar mass
  double low_ = 0;                  ///< fraction of the bell below the lower mass
  double amplitude_ = 0, bell_ = 0; ///< bell_: fraction of the stars below 1 solar mass
};

/// Chabrier (2003, table 1) for single stars, counting each star of a multiple system.
struct ChabrierSingle : Chabrier {
  explicit ChabrierSingle(double lower = 0.01, double upper = 100) : Chabrier(0.079, 0.69, lower, upper) {}
};

/// Chabrier (2003, equation 18) for systems that are not resolved into stars.
struct ChabrierSystem : Chabrier {
  explicit ChabrierSystem(double lower = 0.01, double upper = 100) : Chabrier(0.22, 0.57, lower, upper) {}
};

static_assert(MassFunction<ChabrierSingle> && MassFunction<ChabrierSystem>);

} // namespace sbi::forward
