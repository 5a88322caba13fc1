// SPDX-License-Identifier: MIT
#include "uniformity.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/forward/cluster_prior.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

using namespace sbi::forward;
using sbi::Bounds;
using sbi::index_t;
using sbi::Rng;

namespace {

double phi(double z) { return .5 * std::erfc(-z / std::sqrt(2)); }

} // namespace

TEST_CASE("forward/cluster_prior: every parameter follows its range") {
  const ClusterPrior prior;
  Rng rng(12);
  constexpr int n = 5000;
  std::vector<double> age, mh, b, d, stars, radius, v;
  const double low = phi((-.6 + .05) / .15), high = phi((.4 + .05) / .15),
               sine = std::sin(20 * std::numbers::pi / 180);
  bool valid = true;
  for (int i = 0; i < n; ++i) {
    const ClusterParameters t = prior.sample(rng);
    t.check();
    age.push_back((t.log_age - 6.7) / 3);
    mh.push_back((phi((t.mh + .05) / .15) - low) / (high - low));
    b.push_back((std::sin(t.latitude * std::numbers::pi / 180) / sine + 1) / 2);
    d.push_back(std::log(t.distance_pc / 100) / std::log(30));
    stars.push_back(std::log(static_cast<double>(t.stars) / 30) / std::log(100));
    radius.push_back(phi(std::log10(t.radius_pc / 2.7) / .2));
    v.push_back(phi(t.velocity[2] / 10));
    valid = valid && t.a_v >= 0 && t.a_v <= 2 && t.a_v_spread <= .2 * t.a_v && t.velocity_dispersion >= .3 &&
            t.velocity_dispersion <= 1.5 && sbi::is_missing(t.binary_fraction) && t.longitude >= 0 &&
            t.longitude <= 360;
  }
  CHECK(valid);
  for (const auto* u : {&age, &mh, &b, &d, &radius, &v})
    CHECK(sbi_test::distance(*u) < 1.63 / std::sqrt(n));                            // 1 %
  CHECK(sbi_test::distance(stars) < 1.63 / std::sqrt(n) + .5 / 30 / std::log(100)); // rounded to whole stars

  ClusterPrior fixed; // equal ends
  fixed.log_age = {8, 8}, fixed.stars = {100, 100}, fixed.binary_fraction = {.3, .3}, fixed.radius_sigma = 0;
  const ClusterParameters t = fixed.sample(rng);
  CHECK(t.log_age == 8);
  CHECK(t.stars == 100);
  CHECK(t.binary_fraction == .3);
  CHECK(t.radius_pc == 2.7);
}

TEST_CASE("forward/cluster_prior: what is no range is refused by name") {
  Rng rng(1);
  const auto message = [&](auto&& change) -> std::string {
    ClusterPrior prior;
    change(prior);
    try {
      (void)prior.sample(rng);
    } catch (const sbi::ValueError& e) {
      return e.what();
    }
    return "";
  };
  using P = ClusterPrior;
  CHECK(message([](P&) {}) == "");
  CHECK(message([](P& p) {
          p.log_age = {9, 8};
        }) == "cluster prior: log age from 9 to 8; want increasing values from 0 to 11");
  CHECK(message([](P& p) {
          p.latitude = {-91, 8};
        }) == "cluster prior: latitude from -91 to 8; want increasing values from -90 to 90");
  CHECK(message([](P& p) { p.stars = {0, 8}; }).starts_with("cluster prior: number of stars from 0 to 8"));
  CHECK(message([](P& p) {
          p.binary_fraction = {.1, sbi::missing};
        }).starts_with("cluster prior: binary fraction"));
  CHECK(message([](P& p) { p.mh_sigma = -1; }) == "cluster prior: width of [M/H] -1; want 0 or more");
  CHECK(message([](P& p) { p.mh_mean = 1; }) == "cluster prior: mean [M/H] 1; want -0.6 to 0.4");
  CHECK(message([](P& p) { p.radius_pc = 0; }) ==
        "cluster prior: radius 0 pc, R_V 3.1; want positive values");
}

TEST_CASE("forward/cluster_prior: a list of clusters, smoothed") {
  ClusterParameters a, b;
  a.log_age = 7, a.mh = .1, a.longitude = 10, a.latitude = 89.5, a.distance_pc = 300, a.a_v = .4,
  a.a_v_spread = .1;
  a.radius_pc = 2, a.stars = 50, a.r_v = 3.5, a.binary_fraction = .4, a.velocity = {1, 2, 3};
  b = a, b.log_age = 9, b.stars = 5000;
  Rng rng(4);
  const EmpiricalClusterPrior sharp({a, b}, {0, 0, 0, 0, 0, 0, 0});
  int first = 0;
  for (int i = 0; i < 1000; ++i) {
    const ClusterParameters t = sharp.sample(rng);
    const bool is_a = t.log_age == 7;
    first += is_a;
    REQUIRE(t.stars == (is_a ? 50 : 5000));
    REQUIRE(t.distance_pc == 300);
    REQUIRE(t.latitude == doctest::Approx(89.5).epsilon(1e-12));
    REQUIRE(t.longitude == doctest::Approx(10).epsilon(1e-12));
    REQUIRE(t.velocity == a.velocity);
  }
  CHECK(std::abs(first - 500) < 4 * std::sqrt(250.)); // binomial, 4 sigma

  const ClusterKernel kernel;
  const EmpiricalClusterPrior smooth({a}, kernel);
  constexpr int n = 5000;
  std::vector<double> age, mh, d, radius, stars, av, angle;
  for (int i = 0; i < n; ++i) {
    const ClusterParameters t = smooth.sample(rng);
    t.check();
    age.push_back(phi((t.log_age - 7) / kernel.log_age));
    mh.push_back(phi((t.mh - .1) / kernel.mh));
    d.push_back(phi(std::log10(t.distance_pc / 300) / kernel.log_distance));
    radius.push_back(phi(std::log10(t.radius_pc / 2) / kernel.log_radius));
    stars.push_back(phi(std::log10(static_cast<double>(t.stars) / 50) / kernel.log_stars));
    av.push_back(phi(std::log10(t.a_v / .4) / kernel.log_av));
    REQUIRE(t.a_v_spread / t.a_v == doctest::Approx(.25).epsilon(1e-12));
    // two normal components: the squared angle from the centre is exponential, here across the pole
    const auto v = sky_vector(t.longitude, t.latitude), c = sky_vector(10, 89.5);
    const double chord =
        std::hypot(v[0] - c[0], v[1] - c[1], v[2] - c[2]) / (kernel.direction * radians_per_degree);
    angle.push_back(1 - std::exp(-.5 * chord * chord));
  }
  for (const auto* u : {&age, &mh, &d, &radius, &av, &angle})
    CHECK(sbi_test::distance(*u) < 1.63 / std::sqrt(n));
  // half a star of 50 is .0043 dex, .043 of the kernel's width
  CHECK(sbi_test::distance(stars) < 1.63 / std::sqrt(n) + .043 * .4);

  CHECK_THROWS_WITH(EmpiricalClusterPrior({}), "cluster prior: no clusters; want one or more");
  ClusterKernel negative;
  negative.mh = -1;
  CHECK_THROWS_WITH(EmpiricalClusterPrior({a}, negative),
                    "cluster prior: kernel of width -1; want 0 or more");
  a.stars = 0, a.total_mass = 100;
  CHECK_THROWS_WITH(EmpiricalClusterPrior({a}),
                    "cluster prior: a cluster of given mass; want a number of stars");
  a.distance_pc = -1;
  CHECK_THROWS_AS(EmpiricalClusterPrior({a}), sbi::ValueError);
}

TEST_CASE("forward/cluster_prior: clusters of the prior hold stars") {
  const ClusterHierarchy hierarchy(ClusterPrior{}, Cluster(Kroupa(.1, 100)));
  const ClusterSample sample = hierarchy.draw(sbi::Cpu<double>(2), Rng(3), 20);
  index_t wanted = 0;
  for (const ClusterParameters& t : sample.clusters) wanted += t.stars;
  CHECK(static_cast<index_t>(sample.stars.size()) == wanted);
}
