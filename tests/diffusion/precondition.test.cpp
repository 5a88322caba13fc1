// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/diffusion/precondition.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::diffusion;
using doctest::Approx;

namespace {

template <Sde S> void check_identities(const S& sde) {
  for (double t : {0.01, 0.2, 0.5, 0.9, 1.0}) {
    CAPTURE(t);
    const Precondition at(sde, t);
    const double alpha = sde.alpha(t), sigma = sde.sigma(t), x0 = 0.7, eps = -1.3,
                 x_t = alpha * x0 + sigma * eps;
    const double f = at.target(x0, eps);
    CHECK(at.denoised(x_t, f) == Approx(x0).epsilon(1e-12));
    CHECK(at.noise(x_t, f) == Approx(eps).epsilon(1e-12));
    // (alpha x0 - x_t) / sigma^2 cancels to eps / sigma: rounding of x_t is amplified by 1 / sigma < 1e3.
    CHECK(at.score(x_t, x0) == Approx(-eps / sigma).epsilon(1e-9));
    // An error of the network is an error of x0_hat damped by sigma / r.
    const double r = std::sqrt(alpha * alpha + sigma * sigma);
    CHECK(at.denoised(x_t, f + 0.1) - x0 == Approx(0.1 * sigma / r).epsilon(1e-9));
  }
}

} // namespace

TEST_CASE("diffusion/precondition: the true target gives back the data, the noise and the score") {
  check_identities(VE{});
  check_identities(VP{});
  check_identities(SubVP{});
}

TEST_CASE("diffusion/precondition: EDM's factors with unit data variance for VE, minus v for VP") {
  const VE ve;
  const double sigma = ve.sigma(0.6), c = 1 + sigma * sigma;
  const Precondition edm(ve, 0.6);
  CHECK(edm.input() == Approx(1 / std::sqrt(c)));
  CHECK(edm.skip() == Approx(1 / c));
  CHECK(edm.output() == Approx(sigma / std::sqrt(c)));
  const VP vp;
  CHECK(Precondition(vp, 0.3).input() == Approx(1));
  CHECK(Precondition(vp, 0.3).target(0.4, 2.0) == Approx(-(vp.alpha(0.3) * 2.0 - vp.sigma(0.3) * 0.4)));
}

TEST_CASE("diffusion/precondition: input and target have unit variance and no correlation") {
  const VE ve;
  const Precondition at(ve, 0.75);
  sbi::Rng rng(3);
  const int n = 40000;
  double xx = 0, ff = 0, xf = 0;
  for (int i = 0; i < n; ++i) {
    const double x0 = rng.normal(), eps = rng.normal();
    const double x = at.input() * (x0 + ve.sigma(0.75) * eps), f = at.target(x0, eps);
    xx += x * x, ff += f * f, xf += x * f;
  }
  CHECK(std::abs(xx / n - 1) < 4 * std::sqrt(2.0 / n)); // four standard deviations of a sample variance
  CHECK(std::abs(ff / n - 1) < 4 * std::sqrt(2.0 / n));
  CHECK(std::abs(xf / n) < 4 / std::sqrt(double(n)));
}
