// SPDX-License-Identifier: MIT
#include "uniformity.hpp"

#include <sbi/forward/cluster_profile.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

using namespace sbi::forward;
using sbi::Rng;
using std::numbers::pi;

namespace {

/// int_a^b f by Simpson's rule in s with x = a + (b - a) s^2 (3 - 2 s), which is flat at both ends and so
/// softens roots there; its error is below 1e-9 for what is integrated here.
template <class F> double integral(double a, double b, F&& f) {
  constexpr int n = 20000;
  double sum = 0;
  for (int i = 0; i <= n; ++i) {
    const double s = static_cast<double>(i) / n;
    sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * f(a + (b - a) * s * s * (3 - 2 * s)) * 6 * s * (1 - s);
  }
  return (b - a) * sum / (3 * n);
}

/// int over all z of rho(sqrt(R^2 + z^2)), with z up to `edge` (infinite: z = R' tan phi).
template <class P> double projected(const P& profile, double r, double edge) {
  if (edge > 0)
    return 2 * integral(0, std::sqrt(edge * edge - r * r),
                        [&](double z) { return profile.density(std::hypot(r, z)); });
  return 2 * integral(0, pi / 2, [&](double phi) {
           const double c = std::cos(phi);
           return c > 1e-9 ? profile.density(std::hypot(r, std::tan(phi))) / (c * c) : 0;
         });
}

/// 10 000 positions: radii in space and on three planes of the sky against the cumulative distributions, 1 %
/// bound of Kolmogorov and Smirnov; and no preferred direction.
template <class P> void check_samples(const P& profile, std::uint64_t seed) {
  Rng rng(seed);
  constexpr int n = 10000;
  std::vector<double> space, xy, xz, cosine;
  for (int i = 0; i < n; ++i) {
    const auto [x, y, z] = sample_position(profile, rng);
    const double r = std::hypot(x, y, z);
    space.push_back(profile.enclosed(r));
    xy.push_back(profile.enclosed_projected(std::hypot(x, y)));
    xz.push_back(profile.enclosed_projected(std::hypot(x, z)));
    cosine.push_back(.5 + .5 * y / r);
  }
  for (const auto* u : {&space, &xy, &xz, &cosine}) CHECK(sbi_test::distance(*u) < 1.63 / std::sqrt(n));
}

} // namespace

TEST_CASE("forward/cluster_profile: Plummer") {
  const Plummer profile(2);
  CHECK(std::abs(profile.half_mass_radius() / 2 - 1.3048) < 5e-5); // printed digits
  CHECK(profile.enclosed_projected(profile.half_light_radius()) == doctest::Approx(.5).epsilon(1e-14));
  CHECK(profile.with_half_light_radius(5).scale_radius() == 5);
  CHECK(std::isinf(profile.edge()));
  // r = 2 tan phi and R = 2 tan phi
  const auto total = [](auto&& f) {
    return integral(0, pi / 2, [&](double phi) {
      const double c = std::cos(phi);
      return c > 1e-9 ? f(2 * std::tan(phi)) * 2 / (c * c) : 0;
    });
  };
  CHECK(std::abs(total([&](double r) { return 4 * pi * r * r * profile.density(r); }) - 1) < 1e-8);
  CHECK(std::abs(total([&](double r) { return 2 * pi * r * profile.surface_density(r); }) - 1) < 1e-8);
  for (double r : {.1, 1., 3., 20.}) {
    CHECK(integral(0, r, [&](double x) { return 4 * pi * x * x * profile.density(x); }) ==
          doctest::Approx(profile.enclosed(r)).epsilon(1e-8));
    CHECK(integral(0, r, [&](double x) { return 2 * pi * x * profile.surface_density(x); }) ==
          doctest::Approx(profile.enclosed_projected(r)).epsilon(1e-8));
    CHECK(projected(profile, r, 0) == doctest::Approx(profile.surface_density(r)).epsilon(1e-8));
    CHECK(profile.radius(profile.enclosed(r)) == doctest::Approx(r).epsilon(1e-12));
  }
  CHECK(profile.radius(0) == 0);
  check_samples(profile, 1);
  CHECK_THROWS_WITH(Plummer(0), "Plummer profile: scale radius 0 pc; want a finite one above 0");
  CHECK_THROWS_WITH((void)profile.radius(2), "cluster profile: radius of fraction 2; want 0 to 1");
}

TEST_CASE("forward/cluster_profile: King's surface density, its projection and its integrals") {
  for (const King& profile : {King(1, 1.5), King(1.2, 8.3), King(.5, 50)}) {
    const double edge = profile.edge(), core = profile.core_radius();
    CAPTURE(edge);
    // equation 14
    const double outer = 1 / std::sqrt(1 + edge * edge / (core * core));
    const auto shape = [&](double r) {
      return std::pow(1 / std::sqrt(1 + r * r / (core * core)) - outer, 2);
    };
    CHECK(profile.surface_density(core) / profile.surface_density(0) ==
          doctest::Approx(shape(core) / shape(0)).epsilon(1e-12));
    CHECK(std::abs(integral(0, edge, [&](double r) { return 2 * pi * r * profile.surface_density(r); }) - 1) <
          1e-8);
    CHECK(std::abs(integral(0, edge, [&](double r) { return 4 * pi * r * r * profile.density(r); }) - 1) <
          1e-8);
    for (double f : {.01, .1, .3, .6, .9, .99}) {
      const double r = f * edge;
      CHECK(projected(profile, r, edge) ==
            doctest::Approx(profile.surface_density(r)).epsilon(1e-7)); // equation 27
      CHECK(std::abs(integral(0, r, [&](double x) { return 2 * pi * x * profile.surface_density(x); }) -
                     profile.enclosed_projected(r)) < 1e-9);
      CHECK(std::abs(integral(0, r, [&](double x) { return 4 * pi * x * x * profile.density(x); }) -
                     profile.enclosed(r)) < 1e-9);
    }
    for (double u : {1e-9, 1e-4, .01, .2, .5, .9, .999, 1 - 1e-9})
      CHECK(std::abs(profile.enclosed(profile.radius(u)) - u) < 1e-13);
    CHECK(profile.radius(0) < 1e-4 * core); // u^(1/3) of rounding
    CHECK(profile.radius(1) == doctest::Approx(edge).epsilon(1e-12));
    CHECK(profile.enclosed(edge * 1.1) == 1);
    CHECK(profile.enclosed_projected(edge * 1.1) == doctest::Approx(1).epsilon(1e-14));
    CHECK(profile.density(edge * 1.01) == 0);
    CHECK(profile.surface_density(edge * 1.01) == 0);
    CHECK(profile.enclosed_projected(profile.half_light_radius()) == doctest::Approx(.5).epsilon(1e-12));
    CHECK(profile.enclosed(profile.half_mass_radius()) == doctest::Approx(.5).epsilon(1e-12));
    CHECK(profile.half_mass_radius() > profile.half_light_radius());
    const King wide = profile.with_half_light_radius(7);
    CHECK(wide.half_light_radius() == doctest::Approx(7).epsilon(1e-14));
    CHECK(wide.tidal_radius() / wide.core_radius() == doctest::Approx(edge / core).epsilon(1e-14));
    CHECK(wide.enclosed_projected(7) == doctest::Approx(.5).epsilon(1e-12));
    check_samples(profile, 2);
  }
  CHECK_THROWS_WITH(
      King(2, 2),
      "King profile: core radius 2 pc, tidal radius 2 pc; want 0 < core < tidal, and a finite ratio");
  CHECK_THROWS_AS(King(1, std::numeric_limits<double>::infinity()), sbi::ValueError);
  CHECK_THROWS_AS(King(1, 1e200), sbi::ValueError);
  CHECK_THROWS_AS((void)Plummer(std::numeric_limits<double>::infinity()), sbi::ValueError);
  CHECK_THROWS_AS(King(0, 1), sbi::ValueError);
  CHECK_THROWS_AS((void)King(1, 2).with_half_light_radius(0), sbi::ValueError);
  CHECK_THROWS_AS((void)King(1, 2).radius(-.1), sbi::ValueError);
}
