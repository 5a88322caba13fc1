// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/joined_evolution.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/track_file.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// A box full of stars with log L = `level`.
struct Flat {
  static constexpr bool has_age = true;
  double level;
  EvolutionRange box;
  [[nodiscard]] std::optional<StarState> state(double m, double a, double z) const {
    if (!(m >= box.log_mass_min && m <= box.log_mass_max && a >= box.log_age_min && a <= box.log_age_max &&
          z >= box.mh_min && z <= box.mh_max))
      return std::nullopt;
    return StarState{m, a, z, level, 3 + level / 10, 4 + level};
  }
  [[nodiscard]] EvolutionRange range() const { return box; }
};
const Flat young{0, {-2, 0.1, 5, 7.5, -0.1, 0.1}}, old{1, {-1, 2, 6, 10, -2, 0.5}};
constexpr Handover ages{7, 7.2}, masses{-0.2, 0};

} // namespace

TEST_CASE("forward/joined_evolution: the first, then the second, linear in log age between") {
  const JoinedEvolution joined(young, old, ages);
  const auto l = [&](double m, double a, double z) {
    const auto star = joined.state(m, a, z);
    return star ? star->log_l : missing;
  };
  CHECK(l(-0.5, 5.5, 0) == 0);
  CHECK(l(-0.5, 7, 0) == 0);
  CHECK(l(-0.5, 7.05, 0) == doctest::Approx(0.25));
  CHECK(l(-0.5, 7.15, 0) == doctest::Approx(0.75));
  CHECK(l(-0.5, 7.2, 0) == 1);
  CHECK(l(-0.5, 9.9, 0) == 1);
  const auto star = joined.state(-0.5, 7.1, 0.05);
  REQUIRE(star);
  CHECK(star->log_mass == -0.5);
  CHECK(star->log_age == 7.1);
  CHECK(star->mh == 0.05);
  CHECK(star->log_teff == doctest::Approx(3.05));
  CHECK(star->log_g == doctest::Approx(4.5));
  for (double a = 5; a < 9.998; a += 0.001) // no step anywhere
    CHECK(std::abs(l(0, a + 0.001, 0) - l(0, a, 0)) < 0.0051);
}

TEST_CASE("forward/joined_evolution: a star needs every model that has a share in it") {
  const JoinedEvolution joined(young, old, ages);
  CHECK(joined.state(-1.5, 7, 0)); // brown dwarfs are young only
  CHECK_FALSE(joined.state(-1.5, 7.001, 0));
  CHECK_FALSE(joined.state(1, 7, 0)); // massive stars are old only
  CHECK_FALSE(joined.state(1, 7.199, 0));
  CHECK(joined.state(1, 7.2, 0));
  CHECK_FALSE(joined.state(0, 7, -0.5)); // and so are metal-poor ones
  CHECK(joined.state(0, 7.2, -0.5));
  CHECK_FALSE(joined.state(0, 4.9, 0));
  CHECK_FALSE(joined.state(0, 10.1, 0));
  CHECK_FALSE(joined.state(3, 8, 0));
  CHECK_FALSE(joined.state(std::nan(""), 8, 0));
  CHECK_FALSE(joined.state(0, std::nan(""), 0));
  CHECK_FALSE(joined.state(0, 8, std::nan("")));
}

TEST_CASE("forward/joined_evolution: massive young stars may come from the second model") {
  const JoinedEvolution joined(young, old, ages, masses);
  CHECK(joined.state(-0.2, 6.5, 0)->log_l == 0);
  CHECK(joined.state(-0.1, 6.5, 0)->log_l == doctest::Approx(0.5));
  CHECK(joined.state(-0.1, 7.1, 0)->log_l == doctest::Approx(0.75)); // the share of the first is 0.5 x 0.5
  CHECK(joined.state(0, 6.5, 0)->log_l == 1);
  CHECK(joined.state(1, 6.5, -1)->log_l == 1);
  CHECK_FALSE(joined.state(1, 5.9, 0)); // younger than the second model
  CHECK_FALSE(joined.state(std::nan(""), 6.5, 0));
}

TEST_CASE("forward/joined_evolution: the box around what is used") {
  const EvolutionRange r = JoinedEvolution(young, old, ages).range();
  CHECK(r.log_mass_min == -2);
  CHECK(r.log_mass_max == 2);
  CHECK(r.log_age_min == 5);
  CHECK(r.log_age_max == 10);
  CHECK(r.mh_min == -2);
  CHECK(r.mh_max == 0.5);
  Flat small = old;
  small.box = {-1, -0.5, 6, 10, 0, 0};
  CHECK(JoinedEvolution(young, small, ages).range().log_mass_max == 0.1);
  CHECK(JoinedEvolution(young, Flat{1, {-1, 2, 4, 10, 0, 0}}, ages).range().log_age_min == 5);
  CHECK(JoinedEvolution(young, Flat{1, {-1, 2, 4, 10, 0, 0}}, ages, masses).range().log_age_min == 4);
}

TEST_CASE("forward/joined_evolution: handovers that cannot be are refused by name") {
  CHECK_THROWS_WITH_AS((void)JoinedEvolution(young, old, {7, 7}),
                       "joined evolution: handover in log age from 7 to 7; want it to increase", ValueError);
  CHECK_THROWS_WITH_AS((void)JoinedEvolution(young, old, {7, 7.6}),
                       "joined evolution: handover in log age from 7 to 7.6, but the young model ends at 7.5 "
                       "and the old one begins at 6; want both to cover it",
                       ValueError);
  CHECK_THROWS_WITH_AS((void)JoinedEvolution(young, old, {5.5, 7}),
                       "joined evolution: handover in log age from 5.5 to 7, but the young model ends at 7.5 "
                       "and the old one begins at 6; want both to cover it",
                       ValueError);
  CHECK_THROWS_AS((void)JoinedEvolution(young, old, ages, Handover{0, 0.2}), ValueError);
  CHECK_THROWS_AS((void)JoinedEvolution(young, old, {7, std::nan("")}), ValueError);
}

TEST_CASE("forward/joined_evolution: contracting stars of Baraffe et al. that become PARSEC's") {
  const std::string tracks = sbi_test::data_file("pms_tracks/baraffe"),
                    isochrones = sbi_test::data_file("isochrones_parsec_fsps");
  if (tracks.empty() || isochrones.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const JoinedEvolution joined(read_track_grid(tracks), read_parsec_isochrones(isochrones), {7, 7.3},
                               Handover{-0.1, 0.1});
  CHECK(joined.range().log_mass_min == doctest::Approx(std::log10(0.0234)).epsilon(1e-3));
  CHECK(joined.range().log_mass_max == doctest::Approx(2)); // isochrones end at 100 solar masses
  for (const double m : {0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2, 2.0, 5.0}) {
    double step_l = 0, step_t = 0;
    std::optional<StarState> before;
    for (double a = 6; a < 8; a += 0.001) {
      const auto star = joined.state(std::log10(m), a, 0);
      REQUIRE(star);
      if (before) {
        step_l = std::max(step_l, std::abs(star->log_l - before->log_l));
        step_t = std::max(step_t, std::abs(star->log_teff - before->log_teff));
      }
      before = star;
    }
    CAPTURE(m);
    // The fastest honest change is that of a star arriving on the main sequence, 7 and 2.3 per dex of age; a
    // jump between the models would be 0.04 to 0.1 in log L and 0.02 to 0.06 in log T_eff.
    CHECK(step_l < 0.009);
    CHECK(step_t < 0.003);
  }
  CHECK(joined.state(std::log10(0.03), 6.9, 0));
  CHECK_FALSE(joined.state(std::log10(0.03), 7.1, 0)); // PARSEC begins at 0.09 solar masses
  CHECK_FALSE(joined.state(0, 6, -1));                 // the tracks are solar
  CHECK(joined.state(0, 8, -1));
}
