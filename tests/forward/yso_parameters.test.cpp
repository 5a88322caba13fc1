// SPDX-License-Identifier: MIT
#include <sbi/forward/yso_parameters.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE("forward/yso_parameters: names are those of the published tables") {
  // The columns of parameters.fits, in their order.
  const std::vector<std::string> columns{
      "star.radius",     "star.temperature",    "disk.mass",    "disk.rmax",      "disk.beta",
      "disk.p",          "disk.h100",           "disk.rmin",    "envelope.rho_0", "envelope.rc",
      "envelope.power",  "envelope.rmin",       "cavity.power", "cavity.theta_0", "cavity.rho_0",
      "ambient.density", "ambient.temperature", "scattering",   "inclination"};
  REQUIRE(yso_parameters.size() == columns.size());
  YsoParameters object;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    CHECK(yso_parameters[i].name == columns[i]);
    CHECK(is_missing(object.*yso_parameters[i].member)); // every one a member of its own
    object.*yso_parameter(columns[i]).member = static_cast<double>(i);
  }
  CHECK(object.star_radius == 0);
  CHECK(object.disk_rmin == 7);
  CHECK(object.envelope_rc == 9);
  CHECK(object.cavity_theta_0 == 13);
  CHECK(object.inclination == 18);
  CHECK_THROWS_WITH_AS((void)yso_parameter("disk.height"), doctest::Contains("no parameter 'disk.height'"),
                       ValueError);
}

TEST_CASE("forward/yso_parameters: eighteen geometries, there and back") {
  for (const std::string_view name : yso_geometries) CHECK(yso_geometry(name).text() == name);
  const YsoGeometry all = yso_geometry("spubhmi"), disc = yso_geometry("sp--s-i");
  CHECK(all.disk);
  CHECK(all.envelope == EnvelopeKind::ulrich);
  CHECK(all.cavity);
  CHECK(all.hole);
  CHECK(all.ambient);
  CHECK(disc.disk);
  CHECK(disc.envelope == EnvelopeKind::none);
  CHECK_FALSE(disc.cavity);
  CHECK_FALSE(disc.hole);
  CHECK_FALSE(disc.ambient);
  CHECK(yso_geometry("s-pbsmi").envelope == EnvelopeKind::power_law);
  CHECK_THROWS_WITH_AS((void)yso_geometry("sxubhmi"), doctest::Contains("letter 2 is 'x'; want one of 'p-'"),
                       ValueError);
  CHECK_THROWS_WITH_AS((void)yso_geometry("spubhm"), doctest::Contains("6 letters; want 7"), ValueError);
  CHECK_THROWS_WITH_AS((void)yso_geometry("s--bsmi"), doctest::Contains("no published set"), ValueError);
}

TEST_CASE("forward/yso_parameters: each set has the columns of its published table") {
  const auto columns = [](const char* name) {
    std::vector<std::string> out;
    for (const YsoParameter& p : yso_parameters)
      if (yso_geometry(name).uses(p)) out.emplace_back(p.name);
    return out;
  };
  // The listing of sp--s-i in the notebook of the grid.
  CHECK(columns("sp--s-i") == std::vector<std::string>{"star.radius", "star.temperature", "disk.mass",
                                                       "disk.rmax", "disk.beta", "disk.p", "disk.h100",
                                                       "scattering", "inclination"});
  CHECK(columns("spubhmi").size() == 18); // all but envelope.power
  CHECK(columns("s-p-smi") == std::vector<std::string>{"star.radius", "star.temperature", "envelope.rho_0",
                                                       "envelope.power", "ambient.density",
                                                       "ambient.temperature", "scattering", "inclination"});
}

TEST_CASE("forward/yso_parameters: draws fill the ranges, uniformly in the value or its logarithm") {
  const YsoGeometry geometry = yso_geometry("spubhmi");
  const int n = 4000;
  for (const YsoParameter& p : yso_parameters) {
    if (!geometry.uses(p) || p.name == "envelope.rc" || p.name == "envelope.rmin") continue;
    CAPTURE(std::string(p.name));
    Rng rng(7);
    double mean = 0, least = 1, most = 0;
    for (int i = 0; i < n; ++i) {
      const double v = sample_yso(geometry, rng).*p.member;
      if (p.sampling == Sampling::fixed) {
        CHECK(v == p.low);
        continue;
      }
      const double u = p.sampling == Sampling::log ? std::log(v / p.low) / std::log(p.high / p.low)
                                                   : (v - p.low) / (p.high - p.low);
      mean += u / n, least = std::min(least, u), most = std::max(most, u);
    }
    if (p.sampling == Sampling::fixed) continue;
    CHECK(std::abs(mean - .5) < 4 * .289 / std::sqrt(n)); // 4 sigma of a uniform mean
    CHECK(least < .005);
    CHECK(least >= 0);
    CHECK(most > .995);
    CHECK(most <= 1);
  }
}

TEST_CASE("forward/yso_parameters: linked parameters, absent parts and equal streams") {
  Rng a(3), b(3), c(3);
  const YsoParameters full = sample_yso(yso_geometry("spubhmi"), a),
                      lone = sample_yso(yso_geometry("s-u-hmi"), b),
                      star = sample_yso(yso_geometry("s---s-i"), c, true);
  CHECK(full.envelope_rc == full.disk_rmax);
  CHECK(full.envelope_rmin == full.disk_rmin);
  CHECK(lone.envelope_rc != full.envelope_rc);
  CHECK(is_missing(lone.disk_mass));
  CHECK(is_missing(star.envelope_rho_0));
  // One star in three geometries, and the streams are still together.
  CHECK(lone.star_radius == full.star_radius);
  CHECK(star.star_temperature == full.star_temperature);
  CHECK(lone.inclination == full.inclination);
  CHECK(std::cos(star.inclination * std::numbers::pi / 180) ==
        doctest::Approx(full.inclination / 90).epsilon(1e-12));
  CHECK(a() == b());
  Rng d(3);
  (void)sample_yso(yso_geometry("s---s-i"), d);
  CHECK(d() == c());
}

TEST_CASE("forward/yso_parameters: what is missing or means nothing is named") {
  Rng rng(1);
  const YsoGeometry geometry = yso_geometry("spubsmi");
  YsoParameters object = sample_yso(geometry, rng);
  CHECK_NOTHROW(check(object, geometry));
  CHECK_THROWS_WITH_AS(check(object, yso_geometry("s-p-smi")),
                       "YSO s-p-smi: envelope.power is missing; want a value", ValueError);
  object.star_radius = 0;
  CHECK_THROWS_WITH_AS(check(object, geometry), "YSO spubsmi: star.radius = 0; want a positive number",
                       ValueError);
  object.star_radius = 1, object.disk_mass = -1;
  CHECK_THROWS_WITH_AS(check(object, geometry), "YSO spubsmi: disk.mass = -1; want zero or a positive number",
                       ValueError);
  object.disk_mass = 0, object.inclination = 91;
  CHECK_THROWS_WITH_AS(check(object, geometry), "YSO spubsmi: inclination = 91; want a value from 0 to 90",
                       ValueError);
  object.inclination = 9, object.disk_rmax = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(check(object, geometry), ValueError);
}
