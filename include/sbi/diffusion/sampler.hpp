// SPDX-License-Identifier: MIT
// From noise to samples: the reverse SDE and the probability-flow ODE (Song et al. 2021, ICLR), both driven
// by a denoiser, the posterior mean x0_hat(x_t, t) of the clean data.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/diffusion/precondition.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

namespace sbi::diffusion {

/// `denoise(t, x, x0)`: writes x0_hat [rows, nodes] of a block of rows x [rows, nodes] at diffusion time t.
/// Entries of nodes that are not latent are ignored.
template <class D, class T>
concept Denoiser = std::invocable<D&, double, View<const T>, View<T>>;

namespace detail {

/// The states of a block: one row of them for all rows [nodes], one a row [rows, nodes], or none (all
/// latent).
class Latent {
public:
  template <class T> Latent(View<const std::uint8_t> states, View<T> x) : states_(states) {
    if (x.shape.rank() != 2) throw ShapeError(sbi::text("sampler: x is ", x.shape, "; want [rows, nodes]"));
    if (!states) return;
    if (states.shape == Shape{x.cols()})
      states_.row_stride = 0;
    else if (states.shape != x.shape)
      throw ShapeError(sbi::text("sampler: x is ", x.shape, ", states are ", states.shape, "; want ", x.shape,
                                 " or ", Shape{x.cols()}));
  }
  [[nodiscard]] bool operator()(index_t i, index_t j) const {
    return !states_ || states_(i, j) == Node::latent;
  }

private:
  View<const std::uint8_t> states_;
};

template <class T, class F> void for_each_latent(View<T> x, const Latent& latent, F&& f) {
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t j = 0; j < x.cols(); ++j)
      if (latent(i, j)) f(i, j);
}

/// The start at t = 1. x_T is alpha x_0 + sigma eps; what is known of x_0 there is its mean given the
/// conditioned nodes, which is the denoised value of pure noise to order (alpha / sigma)^2. So x_T = sigma z
/// + alpha x0_hat(sigma z): its mean is right to the third order in alpha / sigma, where a start at N(0,
/// alpha^2 + sigma^2) is wrong in the first and leaves the ODE's samples shifted by that share of the mean.
/// Its deviation is too large by v alpha^2 / (2 sigma^2) for data of variance v: 0.2 % at sigma = 15 alpha.
/// One network evaluation. Returns the rows' streams.
template <Sde S, class T, class D>
std::vector<Rng> start(const S& sde, D& denoise, const Rng& rng, index_t first_row, const Latent& latent,
                       View<T> x, View<T> x0) {
  std::vector<Rng> streams;
  streams.reserve(static_cast<std::size_t>(x.rows()));
  for (index_t i = 0; i < x.rows(); ++i)
    streams.push_back(rng.split(static_cast<std::uint64_t>(first_row + i)));
  const double sigma = sde.sigma(1);
  const T alpha = T(sde.alpha(1));
  for_each_latent(x, latent, [&](index_t i, index_t j) {
    x(i, j) = T(sigma * streams[static_cast<std::size_t>(i)].normal());
  });
  denoise(1.0, View<const T>(x), x0);
  for_each_latent(x, latent, [&](index_t i, index_t j) { x(i, j) += alpha * x0(i, j); });
  return streams;
}

/// Ends a path: the denoised value at the last time. Throws NumericalError where it is not finite.
template <class T> void finish(View<const T> x0, const Latent& latent, index_t first_row, View<T> x) {
  for_each_latent(x, latent, [&](index_t i, index_t j) {
    if (!is_finite(x0(i, j)))
      throw NumericalError(sbi::text("sampler: node ", j, " of row ", first_row + i, " is ", x0(i, j),
                                     "; want a finite value"));
    x(i, j) = x0(i, j);
  });
}

inline void check_steps(const char* sampler, int steps) {
  if (steps < 1) throw ValueError(sbi::text(sampler, ": steps = ", steps, "; want 1 or more"));
}

/// Times of the grid of Karras et al. (2022, equation 5) in the noise ratio s = sigma / alpha,
/// s_k = (s_0^(1/rho) + k / steps (s_steps^(1/rho) - s_0^(1/rho)))^rho, from exactly 1 to exactly t_min.
template <Sde S> std::vector<double> noise_grid(const char* sampler, const S& sde, int steps, double rho) {
  check_steps(sampler, steps);
  if (!(rho > 0)) throw ValueError(sbi::text(sampler, ": rho = ", rho, "; want > 0"));
  const double from = std::pow(noise_ratio(sde, 1), 1 / rho);
  const double to = std::pow(noise_ratio(sde, sde.t_min()), 1 / rho);
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(steps) + 1);
  times.push_back(1);
  for (int k = 1; k < steps; ++k) times.push_back(sde.time(std::pow(from + k * (to - from) / steps, rho)));
  times.push_back(sde.t_min());
  return times;
}

/// alpha and sigma as a length r and an angle phi.
struct Angle {
  template <Sde S>
  Angle(const S& sde, double t)
      : r(std::hypot(sde.alpha(t), sde.sigma(t))), phi(std::atan2(sde.sigma(t), sde.alpha(t))),
        cosine(sde.alpha(t) / r), sine(sde.sigma(t) / r) {}
  /// du/dphi = -F from u = x / r and x0_hat.
  template <class T> [[nodiscard]] T slope(T u, T x0) const { return (T(cosine) * u - x0) / T(sine); }
  double r, phi, cosine, sine;
};

} // namespace detail

/// The reverse SDE dx = (f x - g^2 score) dt + g dw, run backwards by Euler-Maruyama in `steps` equal steps
/// of t from 1 to t_min; first order. steps + 2 network evaluations: the first places the start, the last
/// gives the denoised value at t_min.
struct EulerMaruyama {
  int steps = 500;

  /// x [rows, nodes]: on entry the values of conditioned nodes (the other entries are not read), on return
  /// samples at latent nodes. `states` [nodes] or [rows, nodes] of Node, empty for all latent; nodes that are
  /// not latent get neither drift nor noise. Row i draws from rng.split(first_row + i), so that samples do
  /// not depend on the block. Returns the number of network evaluations. Throws ShapeError, ValueError (steps
  /// < 1), NumericalError.
  template <Sde S, class T, Denoiser<T> D>
  index_t sample(const S& sde, D&& denoise, View<T> x, View<const std::uint8_t> states, const Rng& rng,
                 index_t first_row = 0) const {
    detail::check_steps("EulerMaruyama", steps);
    const detail::Latent latent(states, x);
    Tensor<T> x0(x.shape);
    auto streams = detail::start(sde, denoise, rng, first_row, latent, x, x0.view());
    const double t_min = sde.t_min(), dt = (1 - t_min) / steps;
    for (int k = 0; k < steps; ++k) {
      const double t = 1 - k * dt, g = sde.diffusion(t);
      denoise(t, View<const T>(x), x0.view());
      const Precondition at(sde, t);
      const T contract = T(1 - sde.drift(t) * dt), push = T(g * g * dt);
      const double kick = g * std::sqrt(dt);
      detail::for_each_latent(x, latent, [&](index_t i, index_t j) {
        x(i, j) = contract * x(i, j) + push * at.score(x(i, j), x0(i, j)) +
                  T(kick * streams[static_cast<std::size_t>(i)].normal());
      });
    }
    denoise(t_min, View<const T>(x), x0.view());
    detail::finish(View<const T>(x0.view()), latent, first_row, x);
    return index_t{steps} + 2;
  }
};

/// Noise that a path gets anew before each step (Karras et al. 2022, NeurIPS, algorithm 2): a step that
/// starts at the noise ratio s within [from, to] is preceded by noise up to (1 + g) s with g = min(amount /
/// steps, sqrt 2 - 1), but never above the path's first. New noise forgets errors of earlier steps and adds
/// its own: worth trying where the network is inexact and steps are many. `scale` is the deviation of that
/// noise.
struct Churn {
  double amount = 0, from = 0, to = std::numeric_limits<double>::infinity(), scale = 1;

  /// Throws ValueError for a negative number or one that is not a number.
  void check() const {
    for (double v : {amount, from, to, scale})
      if (!(v >= 0))
        throw ValueError(sbi::text("churn: amount = ", amount, ", from = ", from, ", to = ", to,
                                   ", scale = ", scale, "; want 0 or more"));
  }
  /// The noise ratio to rise to from s.
  [[nodiscard]] double raised(double s, int steps, double top) const {
    if (!(amount > 0) || s < from || s > to) return s;
    return std::min(top, s * (1 + std::min(amount / steps, std::numbers::sqrt2 - 1)));
  }
};

/// The probability-flow ODE by Heun's method, second order (Karras et al. 2022, NeurIPS, algorithm 1), in the
/// angle phi = atan(sigma / alpha): with r^2 = alpha^2 + sigma^2, u = x / r obeys du/dphi = -F for every SDE,
/// where F = (x0_hat - cos phi u) / sin phi is the network's output (see Precondition). F is 0 for unit
/// Gaussian data, so only the departure from it is left to integrate: the error is a fifth to three quarters
/// of that of the same steps in x / alpha for Gaussians of variance 0.4 to 1e-4. The `steps` steps go from t
/// = 1 to t_min on the grid in sigma / alpha; an Euler step to phi = 0, which is the denoised value, ends the
/// path. 2 steps + 2 network evaluations, one of them to place the start. Noise enters at the start only,
/// unless there is `churn`: then this is the stochastic sampler of the same paper.
struct Heun {
  int steps = 20;
  double rho = 7;
  Churn churn{};

  /// As EulerMaruyama::sample.
  template <Sde S, class T, Denoiser<T> D>
  index_t sample(const S& sde, D&& denoise, View<T> x, View<const std::uint8_t> states, const Rng& rng,
                 index_t first_row = 0) const {
    churn.check();
    const auto times = detail::noise_grid("Heun", sde, steps, rho);
    const detail::Latent latent(states, x);
    Tensor<T> x0(x.shape), u(x.shape), slope(x.shape);
    auto streams = detail::start(sde, denoise, rng, first_row, latent, x, x0.view());
    const double top = noise_ratio(sde, times[0]);
    detail::Angle from(sde, times[0]);
    detail::for_each_latent(x, latent, [&](index_t i, index_t j) { u(i, j) = x(i, j) / T(from.r); });
    for (std::size_t k = 1; k < times.size(); ++k) {
      double t = times[k - 1];
      const double s = noise_ratio(sde, t), raised = churn.raised(s, steps, top);
      if (raised > s) { // x / alpha gains noise, and x / alpha = u / cos phi
        t = sde.time(raised);
        const detail::Angle up(sde, t);
        const T turn = T(up.cosine / from.cosine);
        const double kick = up.cosine * churn.scale * std::sqrt(raised * raised - s * s);
        detail::for_each_latent(x, latent, [&](index_t i, index_t j) {
          u(i, j) = turn * u(i, j) + T(kick * streams[static_cast<std::size_t>(i)].normal());
          x(i, j) = T(up.r) * u(i, j);
        });
        from = up;
      }
      const detail::Angle to(sde, times[k]);
      const T step = T(to.phi - from.phi);
      denoise(t, View<const T>(x), x0.view());
      detail::for_each_latent(x, latent, [&](index_t i, index_t j) {
        slope(i, j) = from.slope(u(i, j), x0(i, j));
        x(i, j) = T(to.r) * (u(i, j) + step * slope(i, j));
      });
      denoise(times[k], View<const T>(x), x0.view());
      detail::for_each_latent(x, latent, [&](index_t i, index_t j) {
        u(i, j) += step / 2 * (slope(i, j) + to.slope(u(i, j) + step * slope(i, j), x0(i, j)));
        x(i, j) = T(to.r) * u(i, j);
      });
      from = to;
    }
    denoise(times.back(), View<const T>(x), x0.view());
    detail::finish(View<const T>(x0.view()), latent, first_row, x);
    return 2 * index_t{steps} + 2;
  }
};

/// The probability-flow ODE by DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2): second order
/// with one network evaluation a step, exact where x0_hat is linear in log(sigma / alpha) between steps. With
/// y = x / alpha, s = sigma / alpha and h = log(s_k / s_(k+1)),
///     y_(k+1) = exp(-h) y_k + (1 - exp(-h)) D,  D = x0_hat_k + h / (2 h_previous) (x0_hat_k - x0_hat_(k-1)).
/// At the same number of evaluations its error is a quarter to a half of Heun's where the posterior is
/// narrow. steps + 2 network evaluations, on Heun's grid.
struct DpmSolver {
  int steps = 40;
  double rho = 7;

  /// As EulerMaruyama::sample.
  template <Sde S, class T, Denoiser<T> D>
  index_t sample(const S& sde, D&& denoise, View<T> x, View<const std::uint8_t> states, const Rng& rng,
                 index_t first_row = 0) const {
    const auto times = detail::noise_grid("DpmSolver", sde, steps, rho);
    const detail::Latent latent(states, x);
    Tensor<T> x0(x.shape), previous(x.shape);
    detail::start(sde, denoise, rng, first_row, latent, x, x0.view());
    double h_previous = 0;
    for (std::size_t k = 1; k < times.size(); ++k) {
      const double h = std::log(noise_ratio(sde, times[k - 1]) / noise_ratio(sde, times[k]));
      const double alpha = sde.alpha(times[k]);
      const T keep = T(alpha / sde.alpha(times[k - 1]) * std::exp(-h)), pull = T(-alpha * std::expm1(-h));
      const T extrapolate = T(k == 1 ? 0 : h / (2 * h_previous));
      denoise(times[k - 1], View<const T>(x), x0.view());
      detail::for_each_latent(x, latent, [&](index_t i, index_t j) {
        x(i, j) = keep * x(i, j) + pull * (x0(i, j) + extrapolate * (x0(i, j) - previous(i, j)));
      });
      std::swap(x0, previous);
      h_previous = h;
    }
    denoise(times.back(), View<const T>(x), x0.view());
    detail::finish(View<const T>(x0.view()), latent, first_row, x);
    return index_t{steps} + 2;
  }
};

} // namespace sbi::diffusion
