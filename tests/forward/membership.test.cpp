// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/membership.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

using namespace sbi::forward;
using sbi::Cpu;
using sbi::Rng;
using std::numbers::pi;

namespace {

/// Stars of constant density in a cone about a centre on the equator, up to a distance.
struct Cone {
  double longitude = 120, opening = 1, reach = 3000; // degrees, pc

  Star draw(Rng& rng) const {
    Star star;
    const double half = std::sin(opening * pi / 360); // of the opening angle's half
    const double s = half * std::sqrt(rng.uniform()); // uniform in solid angle
    const double angle = 2 * std::asin(s), turn = 2 * pi * rng.uniform();
    const double b = std::asin(std::sin(angle) * std::sin(turn));
    star.latitude = b * 180 / pi;
    star.longitude = longitude + std::atan2(std::sin(angle) * std::cos(turn), std::cos(angle)) * 180 / pi;
    star.log_distance = std::log10(reach * std::cbrt(rng.uniform()));
    star.population = 7;
    return star;
  }
};
static_assert(StarSource<Cone> && StarSource<Cluster<>::Members> && !StarSource<Plummer>);

double parallax(const Star& s) { return std::pow(10, 3 - s.log_distance); }

ClusterParameters theta() {
  ClusterParameters t;
  t.longitude = 120, t.latitude = 0, t.distance_pc = 500, t.radius_pc = 3, t.stars = 4000;
  return t;
}

FieldParallaxes field_parallaxes() {
  std::vector<double> values;
  Rng rng(31);
  for (int i = 0; i < 20000; ++i) values.push_back(parallax(Cone{}.draw(rng)));
  return FieldParallaxes(std::move(values), 200);
}

} // namespace

TEST_CASE("forward/membership: a mixture has the share of field stars that was asked for") {
  const Cluster<> model;
  ClusterParameters t = theta();
  t.stars = 300;
  const std::vector<Star> cluster = model.draw(Cpu<double>(1), Rng(1), t);
  for (double contamination : {0., .25, .5, .9}) {
    const MixedStars mixed = contaminate(cluster, Cone{}, contamination, Rng(2));
    const auto n = static_cast<double>(mixed.stars.size());
    REQUIRE(mixed.member.size() == mixed.stars.size());
    const auto members = std::count(mixed.member.begin(), mixed.member.end(), true);
    CHECK(members == 300);
    CHECK(std::abs(n - 300 / (1 - contamination)) <= .5);
    bool labels = true;
    double order = 0;
    for (std::size_t i = 0; i < mixed.stars.size(); ++i) {
      labels = labels && (mixed.stars[i].population == (mixed.member[i] ? 1 : 7));
      if (mixed.member[i]) order += static_cast<double>(i) / n / 300;
    }
    CHECK(labels);
    CHECK(std::abs(order - .5) < 4 / std::sqrt(12 * 300.)); // shuffled: mean place of the members, 4 sigma
    const MixedStars again = contaminate(cluster, Cone{}, contamination, Rng(2));
    CHECK(again.stars.back().longitude == mixed.stars.back().longitude);
    CHECK(again.member == mixed.member);
  }
  CHECK_THROWS_WITH((void)contaminate(cluster, Cone{}, 1, Rng(2)),
                    "contaminate: contamination 1; want 0 or more and below 1");
}

TEST_CASE("forward/membership: the field's parallaxes, convolved with their error") {
  std::vector<double> values; // exactly uniform on [1, 3]
  for (int i = 0; i <= 1000; ++i) values.push_back(1 + .002 * i);
  std::reverse(values.begin(), values.end());
  const FieldParallaxes uniform(values, 10);
  CHECK(uniform(2, .01) == doctest::Approx(.5).epsilon(1e-12));
  CHECK(uniform(1, .01) == doctest::Approx(.25).epsilon(1e-12)); // half of the normal density is inside
  CHECK(uniform(4, .01) < 1e-12);
  double sum = 0;
  for (int i = -4000; i < 8000; ++i) sum += .001 * uniform(.001 * i, .3);
  CHECK(std::abs(sum - 1) < 1e-9);
  const FieldParallaxes cone = field_parallaxes(); // p(parallax) = 3/reach^3 1000^3 parallax^-4 from 1/3 mas
  CHECK(cone(.5, .001) == doctest::Approx(3 / 27. * 16).epsilon(.2)); // 100 stars a bin, 4 bins in the error
  CHECK_THROWS_WITH(FieldParallaxes({1, 2, 3}, 5), "field parallaxes: 3 values for 5 bins; want more values");
  CHECK_THROWS_WITH(FieldParallaxes({1, 2, sbi::missing}, 2),
                    "field parallaxes: one is nan; want finite values");
  CHECK_THROWS_WITH(FieldParallaxes({1, 1, 1, 2}, 3),
                    "field parallaxes: 1 fills a whole bin; want fewer bins");
}

TEST_CASE("forward/membership: the density of members against brute force") {
  // p/(1 - p) = f p_c/((1 - f) p_f); the field is known in closed form, so p_c can be read off and compared
  // with a sum over 2 10^5 steps along the line of sight.
  std::vector<double> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(.01 * i); // uniform on [0, 10] mas
  const FieldParallaxes field(values, 10);
  const double opening = 2, solid_angle = 2 * pi * (1 - std::cos(opening * pi / 180));
  const auto compare = [&](const auto& shape, const ClusterParameters& t, double offset, double observed,
                           double error) {
    const Membership membership(t, shape, field, opening, .5);
    const double p = membership(t.longitude + offset, 0, observed, error);
    CAPTURE(offset);
    CAPTURE(observed);
    CAPTURE(error);
    const auto profile = shape.with_half_light_radius(t.radius_pc);
    const double angle = offset * pi / 180;
    const bool seen = !sbi::is_missing(observed);
    double sum = 0;
    constexpr int steps = 200000;
    const double from = .02 * t.distance_pc, step = 2 * t.distance_pc / steps;
    for (int i = 0; i < steps; ++i) {
      const double s = from + (i + .5) * step;
      const double r = std::hypot(s - t.distance_pc * std::cos(angle), t.distance_pc * std::sin(angle));
      const double u = seen ? (observed - 1000 / s) / error : 0;
      sum += step * s * s * profile.density(r) * std::exp(-.5 * u * u);
    }
    if (seen) sum /= error * std::sqrt(2 * pi);
    const double expected = sum / profile.enclosed_projected(t.distance_pc * std::sin(opening * pi / 180));
    const double other = (seen ? field(observed, error) : 1) / solid_angle;
    CHECK(p == doctest::Approx(expected / (expected + other)).epsilon(1e-6));
    CHECK(p / (1 - p) * other == doctest::Approx(expected).epsilon(1e-5));
  };
  ClusterParameters t = theta();
  for (double error : {.002, .02, .1, .5})
    for (double offset : {0., .2, 1.}) {
      compare(Plummer{}, t, offset, 2, error);
      compare(Plummer{}, t, offset, 2 + 1.5 * error, error);
      compare(King(1, 10), t, offset, 2 - error, error);
    }
  compare(King(1, 5), t, 1.9, 2, .1); // beyond the edge
  compare(Plummer{}, t, .3, sbi::missing, sbi::missing);
  t.distance_pc = 120; // a deep cluster with parallaxes that resolve it
  compare(Plummer{}, t, .5, 1000 / 122., .02);
  compare(King(1, 10), t, .5, 1000 / 118., .02);
}

TEST_CASE("forward/membership: calibrated and decisive on a simulated mixture") {
  // 4000 members of a cluster at 500 pc and 4000 stars of the cone of 1 degree, parallaxes known to .3 mas
  // (the faint end of Gaia, so that parallax alone cannot decide).
  const double error = .3, opening = 1;
  ClusterParameters t = theta();
  t.stars = 4500;
  const Cluster<> model;
  std::vector<Star> cluster = model.draw(Cpu<double>(2), Rng(5), t);
  const auto outside = [&](const Star& s) {
    const double dl = s.longitude - 120;
    return std::acos(std::cos(s.latitude * pi / 180) * std::cos(dl * pi / 180)) > opening * pi / 180;
  };
  cluster.erase(std::remove_if(cluster.begin(), cluster.end(), outside), cluster.end());
  const MixedStars mixed = contaminate(cluster, Cone{}, .5, Rng(6));
  const Membership membership(t, Plummer{}, field_parallaxes(), opening, .5);

  Rng noise(7);
  std::array<double, 10> sum{}, members{}, count{};
  std::vector<std::pair<double, bool>> ranked;
  for (std::size_t i = 0; i < mixed.stars.size(); ++i) {
    const Star& s = mixed.stars[i];
    // one star in five has no parallax: the direction alone is calibrated too
    const double seen = i % 5 ? parallax(s) + error * noise.normal() : sbi::missing;
    const double p = membership(s.longitude, s.latitude, seen, error);
    const auto bin = std::min<std::size_t>(9, static_cast<std::size_t>(10 * p));
    sum[bin] += p, members[bin] += mixed.member[i], count[bin] += 1;
    ranked.push_back({p, mixed.member[i]});
  }
  int used = 0;
  for (std::size_t k = 0; k < count.size(); ++k) {
    if (count[k] < 20) continue;
    ++used;
    const double p = sum[k] / count[k];
    CAPTURE(p);
    CHECK(std::abs(members[k] / count[k] - p) < 4 * std::sqrt(p * (1 - p) / count[k])); // binomial, 4 sigma
  }
  CHECK(used >= 8);
  std::sort(ranked.begin(), ranked.end());
  double ranks = 0, m = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i)
    if (ranked[i].second) ranks += static_cast<double>(i + 1), m += 1;
  const double area =
      (ranks - m * (m + 1) / 2) / (m * (static_cast<double>(ranked.size()) - m)); // Mann-Whitney
  MESSAGE("area under the curve " << area);
  CHECK(area > .9);
}

TEST_CASE("forward/membership: what is not in the circle or has no error is refused") {
  const Membership membership(theta(), Plummer{}, field_parallaxes(), 1, .5);
  CHECK(membership(120, 0, 2, .05) > .99);
  CHECK(membership(120, 0, 5, .05) < 1e-5); // far in front
  CHECK(membership(120, 0, 8, .05) == 0);
  CHECK(membership(120, 0, -3, .1) == 0);
  CHECK(membership(120 + 360, 0, 2, .05) == doctest::Approx(membership(120, 0, 2, .05)).epsilon(1e-9));
  CHECK_THROWS_WITH((void)membership(122, 0, 2, .05),
                    "membership: a star 2 degrees from the centre; want at most 1");
  CHECK_THROWS_WITH((void)membership(120, 0, 2, 0),
                    "membership: parallax error 0 mas; want a positive value");
  CHECK_THROWS_WITH(Membership(theta(), Plummer{}, field_parallaxes(), 90, .5),
                    "membership: opening 90 degrees; want above 0 and below 90");
  CHECK_THROWS_WITH(Membership(theta(), Plummer{}, field_parallaxes(), 1, 2),
                    "membership: member share 2; want 0 to 1");
}
