// SPDX-License-Identifier: MIT
#include <sbi/diffusion/sde.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::diffusion;
using doctest::Approx;

namespace {

// Central differences with step h err by h^2 f'''/6 ~ 1e-8 and by rounding eps / h ~ 1e-11 here: 1e-6 is
// safe.
template <Sde S> void check_process(const S& sde) {
  for (double t : {0.02, 0.1, 0.35, 0.6, 0.99}) {
    CAPTURE(t);
    const double h = 1e-5;
    const double d_alpha = (sde.alpha(t + h) - sde.alpha(t - h)) / (2 * h);
    CHECK(d_alpha == Approx(sde.drift(t) * sde.alpha(t)).epsilon(1e-6));
    const auto variance = [&](double u) { return sde.sigma(u) * sde.sigma(u); };
    const double d_variance = (variance(t + h) - variance(t - h)) / (2 * h);
    CHECK(d_variance ==
          Approx(2 * sde.drift(t) * variance(t) + sde.diffusion(t) * sde.diffusion(t)).epsilon(1e-6));
    CHECK(sde.time(noise_ratio(sde, t)) == Approx(t).epsilon(1e-9));
  }
  CHECK(noise_ratio(sde, sde.t_min()) < 1e-2);
  CHECK(noise_ratio(sde, 1) > 10);
  CHECK(sde.time(noise_ratio(sde, sde.t_min())) == Approx(sde.t_min()).epsilon(1e-6));
}

} // namespace

TEST_CASE("diffusion/sde: scale, noise, drift and diffusion belong to one process") {
  check_process(VE{});
  check_process(VE{1e-4, 80});
  check_process(VP{});
  check_process(VP{0.01, 10});
  check_process(VP{5, 5}); // constant rate
  check_process(SubVP{});
}

TEST_CASE("diffusion/sde: closed forms") {
  const VE ve{1e-2, 10};
  CHECK(ve.sigma(0) == Approx(1e-2));
  CHECK(ve.sigma(0.5) == Approx(std::sqrt(1e-2 * 10)));
  CHECK(ve.sigma(1) == Approx(10));
  const VP vp{0.01, 10};
  for (double t : {1e-5, 0.3, 1.0}) {
    CHECK(vp.alpha(t) == Approx(std::exp(-0.25 * t * t * 9.99 - 0.5 * t * 0.01)));
    CHECK(vp.alpha(t) * vp.alpha(t) + vp.sigma(t) * vp.sigma(t) == Approx(1).epsilon(1e-14));
    CHECK(SubVP{0.01, 10}.sigma(t) == Approx(vp.sigma(t) * vp.sigma(t)));
  }
}

TEST_CASE("diffusion/sde: settings outside their domain are refused") {
  CHECK_THROWS_WITH_AS(VE(0, 1), "VE: sigma_min = 0, sigma_max = 1; want 0 < sigma_min < sigma_max",
                       sbi::ValueError);
  CHECK_THROWS_AS(VE(2, 1), sbi::ValueError);
  CHECK_THROWS_AS(VE(1, std::nan("")), sbi::ValueError);
  CHECK_THROWS_AS(VP(-1, 1), sbi::ValueError);
  CHECK_THROWS_AS(VP(2, 1), sbi::ValueError);
  CHECK_THROWS_AS(SubVP(0.1, 20, 0), sbi::ValueError);
}
