// SPDX-License-Identifier: MIT
#include <sbi/forward/isochrone.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// A made-up isochrone whose turn-off moves with age and metallicity: in phase (arc) all ages are the same
/// curve, shifted, so that interpolation at fixed phase is exact and interpolation at fixed mass is badly
/// wrong.
std::vector<IsochronePoint> curve(double mh, double log_age) {
  const double top = 0.3 - 0.25 * (log_age - 9) + 0.05 * mh; // log mass at the turn-off
  std::vector<IsochronePoint> out;
  const auto add = [&](double x, double y, double mass, int label) {
    out.push_back({top + mass, 4 * top + y, 3.8 + 0.1 * top + x, 4 - y, label});
  };
  for (int i = 0; i <= 40; ++i) add(-0.2 + 0.005 * i, -3 + 0.075 * i, -0.8 + 0.02 * i, 0);
  for (int i = 1; i <= 10; ++i) add(-0.01 * i, 0.01 * i, 0.001 * i, 1);
  for (int i = 1; i <= 30; ++i) add(-0.1 - 0.005 * i, 0.1 + 0.08 * i, 0.01 + 0.0001 * i, 2);
  add(-0.25, 2.52, 0.0131, 3); // the tip, then a flash: no mass lies between it and the clump
  for (int i = 0; i <= 10; ++i) add(-0.12 - 0.002 * i, 1.2 + 0.01 * i, 0.0131 + 0.001 * i, 3);
  for (int i = 1; i <= 10; ++i) add(-0.14 - 0.01 * i, 1.3 + 0.1 * i, 0.0231 + 0.0001 * i, 4);
  for (int i = 0; i < 5; ++i) add(-0.3, 5, 0.0242, 5); // pulses: left out
  return out;
}
Isochrones table() {
  const std::vector<double> mh{-0.5, 0, 0.5}, ages{9, 9.5, 10};
  return Isochrones(mh, ages, [&](index_t i, index_t j) {
    return curve(mh[static_cast<std::size_t>(i)], ages[static_cast<std::size_t>(j)]);
  });
}

} // namespace

TEST_CASE("forward/isochrone: tabulated isochrones come back at their own points") {
  const Isochrones iso = table();
  for (double mh : {-0.5, 0., 0.5})
    for (const IsochronePoint& p : curve(mh, 9.5)) {
      if (p.label > 4) continue;
      const auto star = iso.state(p.log_mass, 9.5, mh);
      REQUIRE(star);
      const bool flash = std::abs(p.log_mass - (0.3 - 0.125 + 0.05 * mh + 0.0131)) < 1e-9;
      if (flash) continue; // tip and clump share their mass
      // Corners between nodes are cut: at most a node's step of arc, 0.02, times the bend.
      CHECK(std::abs(star->log_l - p.log_l) < 0.012);
      CHECK(std::abs(star->log_teff - p.log_teff) < 0.002);
      CHECK(star->log_mass == p.log_mass);
      CHECK(star->log_age == 9.5);
      CHECK(star->mh == mh);
    }
}

TEST_CASE("forward/isochrone: between ages and metallicities the phases move, as at fixed phase") {
  const Isochrones iso = table();
  for (const IsochronePoint& p : curve(0.2, 9.3)) {
    if (p.label > 4 || std::abs(p.log_mass - (0.3 - 0.075 + 0.01 + 0.0131)) < 1e-9) continue;
    const auto star = iso.state(p.log_mass, 9.3, 0.2);
    REQUIRE(star);
    CHECK(std::abs(star->log_l - p.log_l) < 0.012);
    CHECK(std::abs(star->log_teff - p.log_teff) < 0.002);
    CHECK(std::abs(star->log_g - p.log_g) < 0.012);
  }
}

TEST_CASE("forward/isochrone: phase and mass are inverse to each other, and mass grows with phase") {
  const Isochrones iso = table();
  double before = -9;
  for (double p = 0; p <= 6; p += 0.01) {
    const auto star = iso.at_phase(p, 9.27, -0.13);
    REQUIRE(star);
    CHECK(star->log_mass >= before);
    before = star->log_mass;
    const auto back = iso.phase(star->log_mass, 9.27, -0.13);
    REQUIRE(back);
    if (p < 3 || p >= 4) CHECK(*back == doctest::Approx(p).epsilon(1e-6));
  }
  CHECK(iso.last_phase(9.27, -0.13) == 6);
  CHECK(iso.phase(before, 9.27, -0.13).value_or(0) == doctest::Approx(6));
}

TEST_CASE("forward/isochrone: outside the table or after the last phase there is no star") {
  const Isochrones iso = table();
  const double top = 0.3;
  CHECK(iso.state(top, 9, 0));
  CHECK_FALSE(iso.state(top, 8.99, 0));
  CHECK_FALSE(iso.state(top, 10.01, 0));
  CHECK_FALSE(iso.state(top, 9, 0.51));
  CHECK_FALSE(iso.state(top + 0.03, 9, 0)); // beyond the asymptotic giants
  CHECK_FALSE(iso.state(top - 0.81, 9, 0)); // below the lowest mass
  CHECK_FALSE(iso.state(std::nan(""), 9, 0));
  CHECK_FALSE(iso.at_phase(-0.1, 9, 0));
  CHECK_FALSE(iso.at_phase(6.1, 9, 0));
  CHECK(iso.last_phase(8, 0) == 0);
}

TEST_CASE(
    "forward/isochrone: where a neighbour stops early, so does the isochrone; without weight it has no say") {
  const std::vector<double> mh{0, 0.5}, ages{9, 10};
  const Isochrones iso(mh, ages, [&](index_t i, index_t j) {
    auto points = curve(mh[static_cast<std::size_t>(i)], ages[static_cast<std::size_t>(j)]);
    if (j == 1) points.resize(60); // ends on the red giant branch: complete up to the subgiants
    return points;
  });
  CHECK(iso.last_phase(9, 0.2) == 6);
  CHECK(iso.last_phase(9.5, 0.2) == 2);
  CHECK(iso.at_phase(1.9, 9.5, 0.2));
  CHECK_FALSE(iso.at_phase(2.1, 9.5, 0.2));
}

TEST_CASE("forward/isochrone: stray labels inside a stretch do not make a landmark, pulses end the giants") {
  const std::vector<double> mh{0, 0.5}, ages{9, 10};
  const auto build = [&](bool stray) {
    return Isochrones(mh, ages, [&, stray](index_t i, index_t j) {
      auto points = curve(mh[static_cast<std::size_t>(i)], ages[static_cast<std::size_t>(j)]);
      if (stray) points[20].label = 1, points[21].label = 1;
      return points;
    });
  };
  const Isochrones clean = build(false), stray = build(true);
  for (double p : {0.3, 0.8, 1.5, 4.5})
    CHECK(clean.at_phase(p, 9.4, 0.1)->log_l == stray.at_phase(p, 9.4, 0.1)->log_l);
  const Isochrones pulsing(mh, ages, [&](index_t i, index_t j) {
    auto points = curve(mh[static_cast<std::size_t>(i)], ages[static_cast<std::size_t>(j)]);
    points.resize(points.size() - 5);
    IsochronePoint p = points.back();
    const double peak = p.log_l;
    for (double l : {-0.1, -0.3, -0.1, 0.05}) p.log_l = peak + l, p.log_mass += 1e-5, points.push_back(p);
    return points;
  });
  CHECK(pulsing.at_phase(6, 9, 0)->log_l == doctest::Approx(clean.at_phase(6, 9, 0)->log_l));
}

TEST_CASE(
    "forward/isochrone: a file that labels the tip as a giant gives the same curve as one that does not") {
  const std::vector<double> mh{0, 0.5}, ages{9, 10};
  const auto build = [&](int label) {
    return Isochrones(mh, ages, [&, label](index_t i, index_t j) {
      auto points = curve(mh[static_cast<std::size_t>(i)], ages[static_cast<std::size_t>(j)]);
      points[81].label = label;
      return points;
    });
  };
  const Isochrones as_clump = build(3), as_giant = build(2);
  for (double p : {1.5, 2.5, 2.9, 3.0, 3.5, 4.0, 4.5, 5.5})
    CHECK(std::abs(as_clump.at_phase(p, 9.4, 0.1)->log_l - as_giant.at_phase(p, 9.4, 0.1)->log_l) < 1e-9);
  auto single = curve(0, 9); // one early asymptotic giant only
  single.resize(93 + 1);
  REQUIRE(single.back().label == 4);
  const Isochrones short_giants(mh, ages, [&](index_t, index_t) { return single; });
  CHECK(short_giants.last_phase(9.5, 0.2) == 6);
  CHECK(short_giants.at_phase(5.5, 9.5, 0.2)->log_l == doctest::Approx(single.back().log_l));
}

TEST_CASE("forward/isochrone: an axis of one value covers that value only") {
  const Isochrones iso({-0.08}, {9, 9.5}, [&](index_t, index_t j) { return curve(-0.08, j == 0 ? 9 : 9.5); });
  const Isochrones both({-0.08, 0.3}, {9, 9.5},
                        [&](index_t i, index_t j) { return curve(i == 0 ? -0.08 : 0.3, j == 0 ? 9 : 9.5); });
  for (double log_age : {9., 9.3, 9.5}) {
    const auto one = iso.state(0, log_age, -0.08), two = both.state(0, log_age, -0.08);
    REQUIRE(one);
    REQUIRE(two);
    CHECK(one->log_l == two->log_l);
    CHECK(one->log_teff == two->log_teff);
  }
  CHECK_FALSE(iso.state(0, 9.3, -0.0799));
  CHECK_FALSE(iso.state(0, 9.3, -0.0801));
  const Isochrones single({0}, {9}, [&](index_t, index_t) { return curve(0, 9); });
  CHECK(single.state(0, 9, 0));
  CHECK_FALSE(single.state(0, 9.001, 0));
  CHECK(single.last_phase(9, 0) == 6);
}

TEST_CASE("forward/isochrone: ages further apart than the largest step are not interpolated between") {
  const std::vector<double> ages{9, 9.1, 9.8};
  const Isochrones iso(
      {0, 0.5}, ages,
      [&](index_t i, index_t j) { return curve(i == 0 ? 0 : 0.5, ages[static_cast<std::size_t>(j)]); }, 0.2);
  CHECK(iso.state(0, 9.05, 0.2));
  CHECK(iso.state(0, 9.1, 0.2)); // the tabulated ages themselves are there
  CHECK(iso.state(0, 9.8, 0.2));
  CHECK_FALSE(iso.state(0, 9.11, 0.2));
  CHECK_FALSE(iso.state(0, 9.79, 0.2));
  CHECK(iso.last_phase(9.5, 0.2) == 0);
}

TEST_CASE("forward/isochrone: young stars arrive on the main sequence together, between ages too") {
  // Contracting stars below the arrival, main sequence above, with a step of 0.5 in log L between them; all
  // from 0.1 to 100 solar masses, so that the knee moves along the arc.
  const std::vector<double> ages{6, 6.4};
  const auto young = [](double mh, double log_age) {
    std::vector<IsochronePoint> out;
    const double knee = arrival_log_mass(log_age, mh);
    for (int i = 0; i <= 60; ++i) {
      const double m = -1 + (knee + 1) * i / 60;
      out.push_back({m, 2 * (m - knee) + 2, 3.8 + 0.1 * (m - knee), 4, 0});
    }
    for (int i = 0; i <= 60; ++i) {
      const double m = knee + 0.01 + (2 - knee - 0.01) * i / 60;
      out.push_back({m, 3 * (m - knee) + 1.5, 4 + 0.2 * (m - knee), 4.3, 0});
    }
    return out;
  };
  const Isochrones iso({-0.2, 0.2}, ages, [&](index_t i, index_t j) {
    return young(i == 0 ? -0.2 : 0.2, ages[static_cast<std::size_t>(j)]);
  });
  const double knee = arrival_log_mass(6.2, 0);
  CHECK(iso.last_phase(6.2, 0) == 1); // they end on the main sequence
  // 0.16 dex lie between the two tabulated knees: at even steps of the whole arc log L is off by 0.06 there.
  for (double d : {-0.5, -0.1, -0.02, 0.03, 0.1, 0.5}) {
    const auto star = iso.state(knee + d, 6.2, 0);
    REQUIRE(star);
    CAPTURE(d);
    CHECK(std::abs(star->log_l - (d < 0 ? 2 * d + 2 : 3 * d + 1.5)) < 0.02);
  }
  CHECK(iso.state(2, 6.2, 0));
  CHECK_FALSE(iso.state(2 + 1e-6, 6.2, 0));
}

TEST_CASE("forward/isochrone: the box around the table") {
  const EvolutionRange r = table().range();
  CHECK(r.log_age_min == 9);
  CHECK(r.log_age_max == 10);
  CHECK(r.mh_min == -0.5);
  CHECK(r.mh_max == 0.5);
  // Lowest mass of the oldest, metal-poor isochrone; last giant of the youngest, metal-rich one.
  CHECK(r.log_mass_min == doctest::Approx(0.3 - 0.25 - 0.025 - 0.8));
  CHECK(r.log_mass_max == doctest::Approx(0.3 + 0.025 + 0.0241));
  const Isochrones empty({0, 1}, {9, 10}, [](index_t, index_t) { return std::vector<IsochronePoint>{}; });
  CHECK_FALSE(empty.state(0, 9.5, 0.5));
  CHECK_THROWS_WITH_AS((void)empty.range(), "isochrones: none has a main sequence; want one or more",
                       ValueError);
}

TEST_CASE("forward/isochrone: bad tables are refused by name") {
  const std::vector<double> two{9, 10};
  const auto good = [&](index_t, index_t) { return curve(0, 9); };
  CHECK_THROWS_WITH_AS(Isochrones({}, two, good),
                       "isochrones: [M/H] of 0 values; want one or more, increasing", ValueError);
  CHECK_THROWS_AS(Isochrones({0, 0}, two, good), ValueError);
  auto points = curve(0, 9);
  points[3].log_mass = -5;
  CHECK_THROWS_AS(Isochrones({0, 1}, two, [&](index_t, index_t) { return points; }), ValueError);
  points = curve(0, 9);
  points[3].log_l = missing;
  CHECK_THROWS_AS(Isochrones({0, 1}, two, [&](index_t, index_t) { return points; }), ValueError);
}
