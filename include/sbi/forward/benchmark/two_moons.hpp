// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/rng.hpp>

#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <utility>

namespace sbi::forward {

/// Two moons (Greenberg et al. 2019, ICML; as set in Lueckmann et al. 2021, AISTATS, "Benchmarking
/// simulation-based inference", task T.8): theta uniform on [-1, 1]^2, and
///     x = (r cos a + 1/4, r sin a) + (-|theta_1 + theta_2|, theta_2 - theta_1) / sqrt(2),
/// a ~ U(-pi/2, pi/2), r ~ N(0.1, 0.01^2). The posterior is two crescents, 0.01 thin, and is known exactly.
struct TwoMoons {
  static constexpr std::array parameters{"theta1", "theta2"};
  static constexpr std::array observables{"x1", "x2"};
  static constexpr std::array bounds{Bounds{-1, 1}, Bounds{-1, 1}};
  static constexpr bool thread_safe = true;

  void sample_prior(Rng& rng, std::span<double> theta) const {
    for (double& value : theta) value = rng.uniform(-1, 1);
  }

  void simulate(Rng& rng, std::span<const double> theta, std::span<double> x) const {
    const auto [p1, p2] = crescent(rng);
    x[0] = p1 - std::abs(theta[0] + theta[1]) / std::numbers::sqrt2;
    x[1] = p2 + (theta[1] - theta[0]) / std::numbers::sqrt2;
  }

  /// One draw of the exact posterior. A crescent point p that explains x means |theta_1 + theta_2| = sqrt(2)
  /// (p_1 - x_1) and theta_2 - theta_1 = sqrt(2) (x_2 - p_2), both signs of the sum alike; points with p_1 <
  /// x_1 or theta outside the prior are drawn again. Throws NumericalError for an x the prior cannot explain.
  void sample_posterior(Rng& rng, std::span<const double> x, std::span<double> theta) const {
    for (int attempt = 0; attempt < 1'000'000; ++attempt) {
      const auto [p1, p2] = crescent(rng);
      const double half_sum = (rng.bernoulli(0.5) ? 1 : -1) * (p1 - x[0]) / std::numbers::sqrt2;
      const double half_difference = (x[1] - p2) / std::numbers::sqrt2;
      theta[0] = half_sum - half_difference;
      theta[1] = half_sum + half_difference;
      if (p1 >= x[0] && std::abs(theta[0]) <= 1 && std::abs(theta[1]) <= 1) return;
    }
    throw NumericalError(
        sbi::text("two moons: no theta in [-1, 1]^2 explains x = (", x[0], ", ", x[1], ") in 1000000 draws"));
  }

private:
  static std::pair<double, double> crescent(Rng& rng) {
    const double a = rng.uniform(-std::numbers::pi / 2, std::numbers::pi / 2), r = rng.normal(0.1, 0.01);
    return {r * std::cos(a) + 0.25, r * std::sin(a)};
  }
};

} // namespace sbi::forward
