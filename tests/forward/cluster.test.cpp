// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/backend/reference.hpp>
#include <sbi/forward/chabrier.hpp>
#include <sbi/forward/cluster.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

using namespace sbi::forward;
using sbi::Cpu;
using sbi::index_t;
using sbi::Reference;
using sbi::Rng;

namespace {

ClusterParameters hyades_like() {
  ClusterParameters theta;
  theta.log_age = 8.8, theta.mh = .15, theta.longitude = 180, theta.latitude = -22;
  theta.distance_pc = 47, theta.radius_pc = 3, theta.stars = 2000;
  theta.a_v = .5, theta.a_v_spread = .2, theta.r_v = 3.3;
  theta.velocity = {-42, -19, -1}, theta.velocity_dispersion = .5;
  return theta;
}

std::array<double, 3> place(const Star& star) {
  constexpr double degree = std::numbers::pi / 180;
  const double d = std::pow(10, star.log_distance), b = star.latitude * degree, l = star.longitude * degree;
  return {d * std::cos(b) * std::cos(l), d * std::cos(b) * std::sin(l), d * std::sin(b)};
}

bool same(const Star& a, const Star& b) {
  return a.log_mass == b.log_mass && a.log_age == b.log_age && a.mh == b.mh &&
         a.log_distance == b.log_distance && a.a_v == b.a_v && a.r_v == b.r_v &&
         a.companions == b.companions && a.longitude == b.longitude && a.latitude == b.latitude &&
         a.velocity == b.velocity && a.population == b.population;
}
bool same(const std::vector<Star>& a, const std::vector<Star>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Star& x, const Star& y) { return same(x, y); });
}

struct TwoKinds { // small near and large far clusters
  ClusterParameters sample(Rng& rng) const {
    ClusterParameters theta;
    const bool large = rng.bernoulli(.5);
    theta.log_age = rng.uniform(7, 9);
    theta.stars = large ? 700 : 20, theta.distance_pc = large ? 2000 : 100;
    return theta;
  }
};

} // namespace

TEST_CASE("forward/cluster: what the stars share and how they differ") {
  const Cluster cluster(Kroupa(.1, 100), LuMultiplicity{}, Plummer{});
  const ClusterParameters theta = hyades_like();
  const std::vector<Star> stars = cluster.draw(Cpu<double>(2), Rng(4), theta);
  REQUIRE(stars.size() == 2000);
  const double n = 2000;
  double a_v = 0, a_v2 = 0, mass = 0, least_av = 1e9;
  std::array<double, 3> centre{}, v{}, v2{};
  bool shared = true;
  for (const Star& s : stars) {
    shared = shared && s.log_age == 8.8 && s.mh == .15 && s.r_v == 3.3 && s.population == 1;
    a_v += s.a_v / n, a_v2 += s.a_v * s.a_v / n, least_av = std::min(least_av, s.a_v);
    mass += std::pow(10, s.log_mass) / n;
    for (std::size_t k = 0; k < 3; ++k) {
      centre[k] += place(s)[k] / n;
      v[k] += s.velocity[k] / n, v2[k] += std::pow(s.velocity[k] - theta.velocity[k], 2) / n;
    }
  }
  CHECK(shared);
  CHECK(least_av > 0);
  CHECK(std::abs(a_v - .5) < 4 * .2 / std::sqrt(n)); // mean kept, 4 sigma
  // log-normal of relative width .4: kurtosis 5.97, so the variance is uncertain by sqrt(4.97/n)
  CHECK(std::abs(a_v2 - a_v * a_v - .04) < 4 * .04 * std::sqrt(4.97 / n));
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(std::abs(v[k] - theta.velocity[k]) < 4 * .5 / std::sqrt(n));
    CHECK(std::abs(v2[k] - .25) < 4 * .25 * std::sqrt(2 / n));
  }
  // The median is a better centre than the mean for Plummer's tails; this bound is 4 sigma of the mean with a
  // variance of one coordinate of (30 pc)^2 or less.
  CHECK(std::abs(centre[0] + 47 * std::cos(22 * std::numbers::pi / 180)) < 2.7);
  CHECK(std::abs(mass - cluster.masses().mean()) < .2); // 4 sigma: the standard deviation is 2.2
}

TEST_CASE("forward/cluster: places are exact everywhere on the sky") {
  const Cluster cluster(Kroupa(.1, 100), NoCompanions{}, King(1, 6));
  ClusterParameters theta = hyades_like();
  const King profile = cluster.shape().with_half_light_radius(theta.radius_pc);
  for (const auto& at : {std::pair{0., 90.}, {180., -90.}, {0., 0.}, {359.99, 89.9}, {-30., 45.}}) {
    const double longitude = at.first, latitude = at.second;
    theta.longitude = longitude, theta.latitude = latitude;
    CAPTURE(longitude);
    CAPTURE(latitude);
    Star middle;
    middle.longitude = longitude, middle.latitude = latitude,
    middle.log_distance = std::log10(theta.distance_pc);
    const std::array<double, 3> c = place(middle);
    double worst = 0;
    bool in_range = true;
    std::vector<double> u, across;
    const std::vector<Star> stars = cluster.draw(Reference<double>(), Rng(9), theta);
    for (std::size_t i = 0; i < stars.size(); ++i) {
      const std::array<double, 3> p = place(stars[i]);
      const double r = std::hypot(p[0] - c[0], p[1] - c[1], p[2] - c[2]);
      u.push_back(profile.enclosed(r));
      const double along =
          ((p[0] - c[0]) * c[0] + (p[1] - c[1]) * c[1] + (p[2] - c[2]) * c[2]) / theta.distance_pc;
      across.push_back(std::sqrt(r * r - along * along));
      // the same draw, moved: the offset is what the profile gave
      Rng row = Rng(9).split(i);
      (void)cluster.masses().sample(row);
      const std::array<double, 3> offset = sample_position(profile, row);
      for (std::size_t k = 0; k < 3; ++k) worst = std::max(worst, std::abs(p[k] - c[k] - offset[k]));
      in_range = in_range && stars[i].longitude >= 0 && stars[i].longitude < 360 &&
                 std::abs(stars[i].latitude) <= 90 &&
                 std::pow(10, stars[i].log_distance) < 47 + profile.tidal_radius();
    }
    CHECK(worst < 1e-11);
    CHECK(in_range);
    std::sort(u.begin(), u.end()), std::sort(across.begin(), across.end());
    double distance = 0; // Kolmogorov-Smirnov, 1 %
    for (std::size_t i = 0; i < u.size(); ++i)
      distance = std::max(distance, std::abs(u[i] - (static_cast<double>(i) + .5) / 2000) + .5 / 2000);
    CHECK(distance < 1.63 / std::sqrt(2000));
    // half inside the half-light radius across the sight: binomial, 4 sigma
    const auto inside = std::lower_bound(across.begin(), across.end(), theta.radius_pc) - across.begin();
    CHECK(std::abs(static_cast<double>(inside) - 1000) < 4 * std::sqrt(500));
  }
}

TEST_CASE("forward/cluster: any number of threads, and one star at a time, give the same stars") {
  const Cluster cluster(ChabrierSystem(.1, 100), FieldMultiplicity{}, Plummer{});
  ClusterParameters theta = hyades_like();
  theta.stars = 1000;
  const std::vector<Star> stars = cluster.draw(Reference<double>(), Rng(8), theta);
  CHECK(same(stars, cluster.draw(Cpu<double>(1), Rng(8), theta)));
  CHECK(same(stars, cluster.draw(Cpu<double>(2), Rng(8), theta)));
  const auto members = cluster.given(theta);
  for (std::uint64_t i : {0U, 255U, 256U, 999U}) {
    Rng row = Rng(8).split(i);
    CHECK(same(stars[i], members.draw(row)));
  }
  theta.stars = 0, theta.total_mass = 700;
  const std::vector<Star> by_mass = cluster.draw(Reference<double>(), Rng(8), theta);
  CHECK(same(by_mass, cluster.draw(Cpu<double>(2), Rng(8), theta)));
  // which companions a star has changes nothing else
  theta = hyades_like();
  const Cluster single(ChabrierSystem(.1, 100), NoCompanions{}, Plummer{});
  std::vector<Star> with = cluster.draw(Cpu<double>(2), Rng(8), theta);
  for (Star& s : with) s.companions = {};
  CHECK(same(with, single.draw(Cpu<double>(2), Rng(8), theta)));
}

TEST_CASE("forward/cluster: stars are drawn until their mass is nearest to the total") {
  const Cluster cluster(Kroupa(.1, 100), LuMultiplicity{}, Plummer{});
  ClusterParameters theta = hyades_like();
  theta.stars = 0;
  const auto members = cluster.given([&] {
    auto t = theta;
    t.stars = 1;
    return t;
  }());
  bool some_kept = false, some_dropped = false;
  for (double total : {.05, .3, 1., 10., 100., 500., 501., 502., 503., 3000.}) {
    theta.total_mass = total;
    CAPTURE(total);
    const std::vector<Star> stars = cluster.draw(Cpu<double>(2), Rng(21), theta);
    // the definition, one star after the other
    std::vector<double> sum{0};
    for (std::uint64_t i = 0; sum.back() < total; ++i) {
      Rng row = Rng(21).split(i);
      sum.push_back(sum.back() + system_mass(members.draw(row)));
    }
    const double over = sum.back() - total, under = total - sum[sum.size() - 2];
    (over < under ? some_kept : some_dropped) = true;
    CHECK(stars.size() == sum.size() - (over < under ? 1 : 2));
  }
  CHECK(some_kept);
  CHECK(some_dropped);
  Star star;
  star.log_mass = std::log10(2), star.companions = {.5, .25, 0};
  CHECK(system_mass(star) == doctest::Approx(3.5).epsilon(1e-14));
}

TEST_CASE("forward/cluster: the binary fraction overrides that of the model") {
  const Cluster cluster(Kroupa(.1, 100), LuMultiplicity{}, Plummer{});
  ClusterParameters theta = hyades_like();
  theta.stars = 20000;
  const auto share = [&] {
    double multiple = 0;
    for (const Star& s : cluster.draw(Cpu<double>(2), Rng(2), theta)) multiple += s.companions[0] > 0;
    return multiple / 20000;
  };
  const double own = MultiplicityScale(cluster.masses(), LuMultiplicity{}).fraction();
  const auto bound = [](double f) {
    return 4 * std::sqrt(f * (1 - f) / 20000) + .001;
  }; // 4 sigma; quadrature
  CHECK(std::abs(share() - own) < bound(own));
  theta.binary_fraction = .6;
  CHECK(std::abs(share() - .6) < bound(.6));
  theta.binary_fraction = 0;
  CHECK(share() == 0);
}

TEST_CASE("forward/cluster: many clusters, all at once and one after the other") {
  const Cluster model(Kroupa(.1, 100), LuMultiplicity{}, Plummer{});
  const ClusterHierarchy hierarchy(TwoKinds{}, model);
  const Rng rng(77);
  constexpr index_t n = 30;
  const ClusterSample sample = hierarchy.draw(Cpu<double>(2), rng, n);
  REQUIRE(sample.clusters.size() == n);
  REQUIRE(sample.cluster.size() == sample.stars.size());
  index_t next = 0;
  std::size_t at = 0;
  hierarchy.for_each(Reference<double>(), rng, n,
                     [&](index_t c, const ClusterParameters& theta, std::vector<Star> stars) {
                       CHECK(c == next++);
                       CHECK(static_cast<index_t>(stars.size()) == theta.stars);
                       REQUIRE(at + stars.size() <= sample.stars.size());
                       bool equal = true;
                       for (const Star& s : stars) {
                         equal = equal && same(s, sample.stars[at]) && sample.cluster[at] == c &&
                                 s.log_age == sample.clusters[static_cast<std::size_t>(c)].log_age;
                         ++at;
                       }
                       CHECK(equal);
                     });
  CHECK(next == n);
  CHECK(at == sample.stars.size());
  // cluster c alone
  const ClusterParameters theta = hierarchy.parameters(rng, 17);
  CHECK(theta.log_age == sample.clusters[17].log_age);
  const auto first = std::find(sample.cluster.begin(), sample.cluster.end(), 17) - sample.cluster.begin();
  const std::vector<Star> alone = model.draw(Cpu<double>(1), rng.split(17).split(1), theta);
  CHECK(same(alone, {sample.stars.begin() + first, sample.stars.begin() + first + theta.stars}));
  CHECK(sample.clusters[3].log_age != sample.clusters[4].log_age);
  CHECK(hierarchy.draw(Cpu<double>(2), rng, 0).stars.empty());
}

TEST_CASE("forward/cluster: parameters that are none are refused by name") {
  const Cluster cluster;
  const auto message = [&](auto&& change) -> std::string {
    ClusterParameters theta = hyades_like();
    change(theta);
    try {
      (void)cluster.draw(Cpu<double>(1), Rng(1), theta);
    } catch (const sbi::ValueError& e) {
      return e.what();
    }
    return "";
  };
  using T = ClusterParameters;
  CHECK(message([](T&) {}) == "");
  CHECK(message([](T& t) { t.log_age = sbi::missing; }) == "cluster: log age nan; want a finite value");
  CHECK(message([](T& t) { t.latitude = 91; }) == "cluster: latitude 91; want -90 to 90 degrees");
  CHECK(message([](T& t) { t.distance_pc = 0; }) == "cluster: distance 0; want a positive value");
  CHECK(message([](T& t) { t.radius_pc = -1; }) == "cluster: radius -1; want a positive value");
  CHECK(message([](T& t) { t.a_v = -.1; }) == "cluster: A_V -0.1; want 0 or more");
  CHECK(message([](T& t) { t.a_v = 0; }) == "cluster: spread of A_V 0.2; want 0 where A_V is 0");
  CHECK(message([](T& t) { t.total_mass = 100; }) ==
        "cluster: total mass 100; want either a number of stars or a total mass");
  CHECK(message([](T& t) { t.stars = 0; }) ==
        "cluster: total mass 0; want either a number of stars or a total mass");
  CHECK(message([](T& t) { t.stars = -5; }) == "cluster: number of stars -5; want 0 or more");
  CHECK(message([](T& t) { t.velocity_dispersion = -1; }) ==
        "cluster: velocity dispersion -1; want 0 or more");
  CHECK(message([](T& t) { t.binary_fraction = 1.1; }) ==
        "cluster: binary fraction 1.1; want 0 to 1, or missing");
}
