// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/diffusion/sde.hpp>

#include <cmath>

namespace sbi::diffusion {

/// What the network sees and predicts at one t, the same for every SDE.
///
/// With x_t = alpha x_0 + sigma eps and unit-variance, independent x_0 and eps, x_t has variance r^2 =
/// alpha^2 + sigma^2. Write alpha = r cos phi, sigma = r sin phi. Then
///     x_t / r =  cos phi x_0 + sin phi eps       is the network's input, of unit variance, and
///     F*      =  sin phi x_0 - cos phi eps       is its target: unit variance too, and uncorrelated with the
///     input,
/// because (x_0, eps) -> (x_t / r, F*) is orthogonal. Its inverse turns a prediction F into
///     x0_hat  = cos phi x_t / r + sin phi F = (alpha / r^2) x_t + (sigma / r) F,
///     eps_hat = sin phi x_t / r - cos phi F = (sigma / r^2) x_t - (alpha / r) F,
///     score   = -eps_hat / sigma            = (alpha x0_hat - x_t) / sigma^2.
/// For VP (r = 1) F* is minus the v of Salimans & Ho (2022, ICLR); for VE (alpha = 1) the factors are those
/// of Karras et al. (2022, NeurIPS, table 1) with sigma_data = 1. Since x0_hat - x_0 = (sigma / r) (F - F*),
/// the plain square error of F is theirs of x_0 with weight (r / sigma)^2. At small sigma an error of F is
/// damped by sigma, at large sigma x0_hat is F: neither end amplifies the network's errors.
///
/// Conditioned entries are clean data: they enter the network as they are, with scale 1.
class Precondition {
public:
  template <Sde S> Precondition(const S& sde, double t) : Precondition(sde.alpha(t), sde.sigma(t)) {}
  Precondition(double alpha, double sigma) : alpha_(alpha), sigma_(sigma), r_(std::hypot(alpha, sigma)) {}

  /// Factor on x_t before the network: 1 / r.
  [[nodiscard]] double input() const { return 1 / r_; }
  /// Factor on x_t in x0_hat: alpha / r^2.
  [[nodiscard]] double skip() const { return alpha_ / (r_ * r_); }
  /// Factor on F in x0_hat: sigma / r.
  [[nodiscard]] double output() const { return sigma_ / r_; }

  /// F* from the clean value and the noise.
  template <class T> [[nodiscard]] T target(T x0, T eps) const {
    return T(sigma_ / r_) * x0 - T(alpha_ / r_) * eps;
  }
  /// x0_hat from x_t and the network's output.
  template <class T> [[nodiscard]] T denoised(T x_t, T f) const { return T(skip()) * x_t + T(output()) * f; }
  /// eps_hat from x_t and the network's output.
  template <class T> [[nodiscard]] T noise(T x_t, T f) const {
    return T(sigma_ / (r_ * r_)) * x_t - T(alpha_ / r_) * f;
  }
  /// Score of the noised density from x_t and x0_hat.
  template <class T> [[nodiscard]] T score(T x_t, T x0_hat) const {
    return (T(alpha_) * x0_hat - x_t) / T(sigma_ * sigma_);
  }

private:
  double alpha_, sigma_, r_;
};

} // namespace sbi::diffusion
