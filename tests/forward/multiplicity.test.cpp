// SPDX-License-Identifier: MIT
#include "uniformity.hpp"

#include <sbi/forward/chabrier.hpp>
#include <sbi/forward/multiplicity.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

using namespace sbi::forward;
using sbi::Rng;

namespace {

struct Counts {
  double multiple = 0, companions = 0, variance = 0; // means a star; variance of the number of companions
  std::vector<double> ratios;
};

template <class M> Counts count(const M& model, double mass, int n, double scale = 1) {
  Rng rng(17);
  Counts out;
  double squares = 0;
  bool sorted = true; // the largest first, so zeros last
  for (int i = 0; i < n; ++i) {
    const MassRatios q = model.draw(rng, mass, scale);
    int k = 0;
    for (std::size_t j = 0; j < q.size(); ++j) {
      if (q[j] > 0) ++k, out.ratios.push_back(q[j]);
      sorted = sorted && (j == 0 || q[j] <= q[j - 1]);
    }
    out.multiple += k > 0, out.companions += k, squares += k * k;
  }
  CHECK(sorted);
  out.multiple /= n, out.companions /= n;
  out.variance = squares / n - out.companions * out.companions;
  return out;
}

/// Mean of 1 + Poisson(more) cut at three.
double mean_number(double more) {
  const double none = std::exp(-more), one = more * none;
  return 1 + one + 2 * (1 - none - one);
}

} // namespace

TEST_CASE("forward/multiplicity: Lu et al. 2013") {
  const LuMultiplicity lu;
  CHECK(lu.fraction(1) == .44);
  CHECK(lu.companions(1) == .50);
  CHECK(lu.fraction(.1) == doctest::Approx(.44 * std::pow(.1, .51)));
  CHECK(lu.fraction(10) == 1);
  CHECK(lu.companions(200) == 3);
  for (double mass : {.05, .1, .5, 1., 4.9, 5.1, 30., 120.}) CHECK(lu.companions(mass) >= lu.fraction(mass));

  constexpr int n = 20000;
  for (double mass : {.1, 1., 4., 20.}) {
    CAPTURE(mass);
    const Counts c = count(lu, mass, n);
    const double f = lu.fraction(mass);
    CHECK(std::abs(c.multiple - f) <= 4 * std::sqrt(f * (1 - f) / n)); // binomial, 4 sigma
    // f (1 + Poisson) has the published mean, less what the cut at three takes away
    CHECK(std::abs(c.companions - f * mean_number(lu.companions(mass) / f - 1)) <
          4 * std::sqrt(c.variance / n));
    std::vector<double> u;
    const double low = std::pow(.01, .6); // inverse of the cumulative q^-0.4 on [.01, 1]
    for (double q : c.ratios) u.push_back((std::pow(q, .6) - low) / (1 - low));
    CHECK(sbi_test::distance(u) < 1.63 / std::sqrt(u.size()));
  }
  CHECK(mean_number(.5 / .44 - 1) * .44 ==
        doctest::Approx(.5).epsilon(.001)); // what the cut takes from 1 Msun
}

TEST_CASE("forward/multiplicity: field stars of Duchene & Kraus 2013") {
  const FieldMultiplicity field;
  CHECK(field.fraction(.05) == .22);
  CHECK(field.fraction(.1) == .26);
  CHECK(field.fraction(.3) == .26);
  CHECK(field.fraction(1) == .44);
  CHECK(field.fraction(3) == .50);
  CHECK(field.fraction(10) == .60);
  CHECK(field.fraction(30) == .80);
  CHECK(field.companions(1) == .62);
  // half way through a gap in log mass, and no jump at its ends
  CHECK(field.fraction(std::sqrt(.5 * .7)) == doctest::Approx(.35).epsilon(1e-12));
  CHECK(field.fraction(std::sqrt(40)) == doctest::Approx(.55).epsilon(1e-12));
  for (double edge : {.5, .7, 1.3, 1.5, 5., 8.})
    CHECK(field.fraction(edge * (1 + 1e-9)) ==
          doctest::Approx(field.fraction(edge * (1 - 1e-9))).epsilon(1e-6));

  constexpr int n = 20000;
  for (double mass : {.05, .3, .6, 1., 20.}) {
    CAPTURE(mass);
    const Counts c = count(field, mass, n);
    const double f = field.fraction(mass);
    CHECK(std::abs(c.multiple - f) < 4 * std::sqrt(f * (1 - f) / n));
    CHECK(std::abs(c.companions - f * mean_number(field.companions(mass) / f - 1)) <=
          4 * std::sqrt(c.variance / n));
    std::vector<double> u;
    for (double q : c.ratios) u.push_back((q - .1) / .9);
    CHECK(sbi_test::distance(u) < 1.63 / std::sqrt(u.size()));
  }
  std::vector<double> u; // q^2 on [.5, 1]
  for (double q : count(FieldMultiplicity(2, .5), 1, n).ratios) u.push_back((q * q * q - .125) / .875);
  CHECK(sbi_test::distance(u) < 1.63 / std::sqrt(u.size()));
  CHECK_THROWS_WITH(FieldMultiplicity(0, 1), "multiplicity: mass ratios from 1 to 1; want 0 < lowest < 1");
  CHECK_THROWS_AS(FieldMultiplicity(0, 0), sbi::ValueError);
}

TEST_CASE("forward/multiplicity: single stars have no companions") {
  Rng rng(1);
  CHECK(NoCompanions().draw(rng, 1) == MassRatios{});
  CHECK(NoCompanions().fraction(1) == 0);
}

TEST_CASE("forward/multiplicity: scaled to a share of all systems") {
  const Kroupa masses(.1, 100);
  const LuMultiplicity lu;
  const MultiplicityScale scale(masses, lu);
  // own share: mean of .44 m^.51 over the mass function, by the midpoint rule in log mass
  double mean = 0;
  constexpr int n = 20000;
  for (int i = 0; i < n; ++i) {
    const double m = std::pow(10, -1 + 3 * (i + .5) / n);
    mean += masses.pdf(m) * m * std::log(10.0) * 3 / n * lu.fraction(m);
  }
  CHECK(std::abs(scale.fraction() - mean) < .001);
  CHECK(scale(sbi::missing) == 1);
  CHECK(scale(0) == 0);
  CHECK(scale(scale.fraction()) > 1 - 1e-12);
  for (double share : {.05, .3, .7, .99, 1.}) {
    CAPTURE(share);
    Rng rng(5);
    const double factor = scale(share);
    constexpr int stars = 20000;
    double multiple = 0;
    for (int i = 0; i < stars; ++i) {
      const double mass = masses.sample(rng);
      multiple += lu.draw(rng, mass, factor)[0] > 0;
    }
    // 4 sigma, and .001 for the nodes
    CHECK(std::abs(multiple / stars - share) <= 4 * std::sqrt(share * (1 - share) / stars) + .001);
  }
  const FieldMultiplicity field; // scaled beyond 1 for heavy stars only
  const double s = MultiplicityScale(masses, field)(.6);
  CHECK(s * .80 > 1);
  CHECK(s * .26 < 1);
  CHECK_THROWS_WITH((void)scale(1.5), "multiplicity: binary fraction 1.5; want 0 to 1");
  const MultiplicityScale none(masses, NoCompanions{});
  CHECK(none(0) == 0);
  CHECK_THROWS_WITH(
      (void)none(.3),
      "multiplicity: binary fraction 0.3; the model gives companions to 0 of the stars at most");
  struct Massive { // only half of the stars can have companions
    double median;
    double fraction(double m) const { return m > median ? 0.5 : 0; }
    MassRatios draw(Rng&, double, double = 1) const { return {}; }
  };
  const MultiplicityScale half(masses, Massive{masses.quantile(.5)});
  CHECK(half(.4) == doctest::Approx(1.6).epsilon(1e-12));
  CHECK_THROWS_AS((void)half(.6), sbi::ValueError);
}
