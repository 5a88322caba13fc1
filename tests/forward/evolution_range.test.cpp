// SPDX-License-Identifier: MIT
#include <sbi/forward/evolution_range.hpp>
#include <sbi/forward/tout.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::forward;

namespace {
struct NoBox {
  static constexpr bool has_age = false;
  [[nodiscard]] std::optional<StarState> state(double, double, double) const { return StarState{}; }
};
} // namespace

TEST_CASE("forward/evolution_range: the box of a main sequence, whose corners are stars") {
  static_assert(RangedEvolution<Tout1996>);
  static_assert(Evolution<NoBox> && !RangedEvolution<NoBox>);
  const Tout1996 tout;
  const EvolutionRange r = tout.range();
  CHECK(std::pow(10, r.log_mass_min) == doctest::Approx(0.1));
  CHECK(std::pow(10, r.log_mass_max) == doctest::Approx(100));
  CHECK(r.mh_max == doctest::Approx(0.176).epsilon(1e-3));
  for (const double m : {r.log_mass_min, r.log_mass_max})
    for (const double a : {r.log_age_min, 0., r.log_age_max})
      for (const double z : {r.mh_min, r.mh_max}) CHECK(tout.state(m, a, z).has_value());
  CHECK_FALSE(tout.state(r.log_mass_max + 1e-6, 9, 0).has_value());
  CHECK_FALSE(tout.state(r.log_mass_min - 1e-6, 9, 0).has_value());
  CHECK_FALSE(tout.state(0, 9, r.mh_max + 1e-6).has_value());
  CHECK_FALSE(tout.state(0, 9, r.mh_min - 1e-6).has_value());
}
