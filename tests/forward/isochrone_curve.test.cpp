// SPDX-License-Identifier: MIT
#include <sbi/forward/isochrone_curve.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
/// A straight main sequence of log mass -1 to 1, log L = 4 log mass, then `subgiants` of label 1.
std::vector<IsochronePoint> line(int subgiants) {
  std::vector<IsochronePoint> out;
  for (int i = 0; i <= 100; ++i) {
    const double m = -1 + 0.02 * i;
    out.push_back({m, 4 * m, 3.7 + 0.5 * m, 4.4, 0});
  }
  for (int i = 0; i < subgiants; ++i) out.push_back({1 + 0.001 * i, 4 + 0.01 * i, 4.2 - 0.02 * i, 4, 1});
  return out;
}
} // namespace

TEST_CASE("forward/isochrone_curve: the arrival on the main sequence") {
  CHECK(std::pow(10, arrival_log_mass(6.5, 0)) == doctest::Approx(2.754).epsilon(1e-3));
  // Where the luminosity of the PARSEC isochrone of Z = 0.014 dips at 10^5.75 and 10^6.75 years
  // (between 5.196 and 5.452, and between 2.050 and 2.150 solar masses in the file): 0.05 dex.
  CHECK(std::abs(arrival_log_mass(5.75, -0.02) - std::log10(5.32)) < 0.05);
  CHECK(std::abs(arrival_log_mass(6.75, -0.02) - std::log10(2.1)) < 0.05);
}

TEST_CASE("forward/isochrone_curve: phases and nodes are inverse to each other, landmarks are nodes") {
  CHECK(IsochroneCurve::node_of(0) == 0);
  CHECK(IsochroneCurve::node_of(phase_count) == IsochroneCurve::last_node(phase_count));
  for (int k = 0; k <= phase_count; ++k) CHECK(IsochroneCurve::node_of(k) == IsochroneCurve::last_node(k));
  for (double p = 0; p < 6; p += 0.013)
    CHECK(IsochroneCurve::phase_of(IsochroneCurve::node_of(p)) == doctest::Approx(p).epsilon(1e-12));
}

TEST_CASE("forward/isochrone_curve: the knee stands at p = 0.3 where it lies beyond, else the arc is even") {
  const int knee = IsochroneCurve::runs[0].intervals;
  const IsochroneCurve young(line(3), 0.5, "young"), old(line(3), -0.9, "old"), heavy(line(3), 3, "heavy");
  CHECK(young.nodes[static_cast<std::size_t>(knee)].log_mass == doctest::Approx(0.5));
  // On a straight line arc and mass are proportional: 0.3 of the way from -1 to 1.
  CHECK(old.nodes[static_cast<std::size_t>(knee)].log_mass == doctest::Approx(-0.4));
  CHECK(heavy.nodes[static_cast<std::size_t>(knee)].log_mass == doctest::Approx(-1 + 0.95 * 2));
  for (const IsochroneCurve* c : {&young, &old, &heavy}) {
    CHECK(c->stretches == 1);
    CHECK(c->nodes.size() == static_cast<std::size_t>(IsochroneCurve::last_node(1)) + 1);
    for (std::size_t i = 1; i < c->nodes.size(); ++i) {
      CHECK(c->nodes[i].log_mass > c->nodes[i - 1].log_mass);
      CHECK(std::abs(c->nodes[i].log_l - 4 * c->nodes[i].log_mass) < 1e-12);
    }
    CHECK(c->nodes.front().log_mass == -1);
    CHECK(c->nodes.back().log_mass == doctest::Approx(1));
  }
}

TEST_CASE("forward/isochrone_curve: a curve without subgiants is a main sequence to its last point") {
  const IsochroneCurve curve(line(0), 0, "curve");
  CHECK(curve.stretches == 1);
  CHECK(curve.nodes.back().log_mass == doctest::Approx(1));
  auto jump = line(0); // labels that skip the subgiants end it just before
  jump.push_back({1.1, 4.5, 3.6, 3, 2});
  CHECK(IsochroneCurve(jump, 0, "jump").stretches == 1);
  CHECK(IsochroneCurve(jump, 0, "jump").nodes.back().log_mass == doctest::Approx(1));
  CHECK(IsochroneCurve({}, 0, "none").stretches == 0);
  CHECK(IsochroneCurve(std::vector{line(0)[0]}, 0, "one").stretches == 0);
}

TEST_CASE("forward/isochrone_curve: bad points are refused by name") {
  auto bad = line(0);
  bad[7].log_mass = -3;
  CHECK_THROWS_WITH_AS((void)IsochroneCurve(bad, 0, "isochrone x"),
                       "isochrone x: point 7 has less mass than the one before", ValueError);
  bad = line(0);
  bad[9].log_g = missing;
  CHECK_THROWS_WITH_AS((void)IsochroneCurve(bad, 0, "isochrone x"), "isochrone x: point 9 is not finite",
                       ValueError);
}
