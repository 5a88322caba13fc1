// SPDX-License-Identifier: MIT
// Forward noising processes dx = f(t) x dt + g(t) dw on t in [0, 1]: linear drift, so that
// x_t = alpha(t) x_0 + sigma(t) eps with eps ~ N(0, I). Data are taken as z-scored (zero mean, unit
// variance).
#pragma once
#include <sbi/core/error.hpp>

#include <cmath>
#include <concepts>

namespace sbi::diffusion {

/// A linear noising process. alpha and sigma are the scale of the data and of the noise, drift is f and
/// diffusion is g; `time` inverts the noise ratio sigma / alpha, which solvers step in. Training and sampling
/// use [t_min, 1].
template <class S>
concept Sde = requires(const S& sde, double t) {
  { sde.alpha(t) } -> std::convertible_to<double>;
  { sde.sigma(t) } -> std::convertible_to<double>;
  { sde.drift(t) } -> std::convertible_to<double>;
  { sde.diffusion(t) } -> std::convertible_to<double>;
  { sde.time(t) } -> std::convertible_to<double>;
  { sde.t_min() } -> std::convertible_to<double>;
};

/// sigma(t) / alpha(t): the noise of x_t / alpha(t), a variable in which every process is variance exploding.
template <Sde S> [[nodiscard]] double noise_ratio(const S& sde, double t) {
  return sde.sigma(t) / sde.alpha(t);
}

/// Variance exploding (Song et al. 2021, ICLR, section 3.4): alpha = 1, sigma(t) = sigma_min (sigma_max /
/// sigma_min)^t. sigma_min should lie well below the narrowest structure of the z-scored data, sigma_max well
/// above 1.
class VE {
public:
  /// Throws ValueError unless 0 < sigma_min < sigma_max < infinity.
  explicit VE(double sigma_min = 1e-3, double sigma_max = 15) : sigma_min_(sigma_min), sigma_max_(sigma_max) {
    if (!(0 < sigma_min && sigma_min < sigma_max && std::isfinite(sigma_max)))
      throw ValueError(sbi::text("VE: sigma_min = ", sigma_min, ", sigma_max = ", sigma_max,
                                 "; want 0 < sigma_min < sigma_max"));
    log_range_ = std::log(sigma_max / sigma_min);
  }
  [[nodiscard]] double alpha(double) const { return 1; }
  [[nodiscard]] double sigma(double t) const { return sigma_min_ * std::exp(log_range_ * t); }
  [[nodiscard]] double drift(double) const { return 0; }
  [[nodiscard]] double diffusion(double t) const { return sigma(t) * std::sqrt(2 * log_range_); }
  [[nodiscard]] double time(double ratio) const { return std::log(ratio / sigma_min_) / log_range_; }
  [[nodiscard]] double t_min() const { return 0; }
  [[nodiscard]] double sigma_min() const { return sigma_min_; }
  [[nodiscard]] double sigma_max() const { return sigma_max_; }

private:
  double sigma_min_, sigma_max_, log_range_ = 0;
};

/// The rate beta(t) = beta_min + t (beta_max - beta_min) shared by VP and SubVP. sigma vanishes at t = 0, so
/// time starts at t_min > 0.
class LinearBeta {
public:
  [[nodiscard]] double alpha(double t) const { return std::exp(-integral(t) / 2); }
  [[nodiscard]] double drift(double t) const { return -beta(t) / 2; }
  [[nodiscard]] double t_min() const { return t_min_; }
  [[nodiscard]] double beta_min() const { return beta_min_; }
  [[nodiscard]] double beta_max() const { return beta_max_; }
  [[nodiscard]] double beta(double t) const { return beta_min_ + t * (beta_max_ - beta_min_); }
  /// Integral of beta from 0 to t.
  [[nodiscard]] double integral(double t) const { return t * (beta_min_ + t / 2 * (beta_max_ - beta_min_)); }

protected:
  /// Throws ValueError unless 0 < beta_min <= beta_max < infinity and 0 < t_min < 1.
  LinearBeta(double beta_min, double beta_max, double t_min)
      : beta_min_(beta_min), beta_max_(beta_max), t_min_(t_min) {
    if (!(0 < beta_min && beta_min <= beta_max && std::isfinite(beta_max)))
      throw ValueError(sbi::text("VP: beta_min = ", beta_min, ", beta_max = ", beta_max,
                                 "; want 0 < beta_min <= beta_max"));
    if (!(0 < t_min && t_min < 1)) throw ValueError(sbi::text("VP: t_min = ", t_min, "; want 0 < t_min < 1"));
  }
  /// The t at which the integral of beta is `value`: the root of a quadratic, in the form without
  /// cancellation.
  [[nodiscard]] double inverse_integral(double value) const {
    return 2 * value / (beta_min_ + std::sqrt(beta_min_ * beta_min_ + 2 * (beta_max_ - beta_min_) * value));
  }

private:
  double beta_min_, beta_max_, t_min_;
};

/// Variance preserving (Song et al. 2021, equation 11): alpha = exp(-B / 2), sigma^2 = 1 - exp(-B), with B(t)
/// the integral of beta. Unit variance is kept at every t.
class VP : public LinearBeta {
public:
  explicit VP(double beta_min = 0.1, double beta_max = 20, double t_min = 1e-5)
      : LinearBeta(beta_min, beta_max, t_min) {}
  [[nodiscard]] double sigma(double t) const { return std::sqrt(-std::expm1(-integral(t))); }
  [[nodiscard]] double diffusion(double t) const { return std::sqrt(beta(t)); }
  [[nodiscard]] double time(double ratio) const { return inverse_integral(std::log1p(ratio * ratio)); }
};

/// Sub-variance preserving (Song et al. 2021, equation 12): alpha = exp(-B / 2), sigma = 1 - exp(-B),
/// g^2 = beta (1 - exp(-2 B)). Its sigma rises like t, not sqrt(t), so its t_min is larger for the same least
/// noise.
class SubVP : public LinearBeta {
public:
  explicit SubVP(double beta_min = 0.1, double beta_max = 20, double t_min = 1e-2)
      : LinearBeta(beta_min, beta_max, t_min) {}
  [[nodiscard]] double sigma(double t) const { return -std::expm1(-integral(t)); }
  [[nodiscard]] double diffusion(double t) const {
    return std::sqrt(-beta(t) * std::expm1(-2 * integral(t)));
  }
  /// alpha solves (1 - alpha^2) / alpha = ratio, so B = -2 ln alpha = 2 asinh(ratio / 2).
  [[nodiscard]] double time(double ratio) const { return inverse_integral(2 * std::asinh(ratio / 2)); }
};

} // namespace sbi::diffusion
