// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/backend/reference.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/yso.hpp>
#include <sbi/forward/yso_class.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <string_view>
#include <vector>

using sbi::Rng;
using sbi::Tensor;
using sbi::ValueError;
using namespace sbi::forward;

namespace {

/// A T Tauri star with a disc, an Ulrich envelope and a cavity; each geometry takes what it has.
YsoParameters object() {
  YsoParameters p;
  p.star_radius = 2, p.star_temperature = 4000;
  p.disk_mass = 1e-4, p.disk_rmax = 200, p.disk_beta = 1.15, p.disk_p = -1, p.disk_h100 = 5, p.disk_rmin = 2;
  p.envelope_rho_0 = 1e-19, p.envelope_rc = 200, p.envelope_power = -1.5, p.envelope_rmin = 2;
  p.cavity_power = 1.5, p.cavity_theta_0 = 20, p.cavity_rho_0 = 1e-22;
  p.ambient_density = 1e-23, p.ambient_temperature = 10, p.scattering = 1, p.inclination = 40;
  return p;
}
Yso<> model(std::string_view geometry) { return Yso<>(yso_geometry(geometry)); }

/// Observed F_nu times 4 pi d^2, integrated [erg/s].
double luminosity(const Yso<>& yso, const double* row) {
  YsoSpectrum f;
  std::copy_n(row, f.size(), f.begin());
  return yso.dust().integral(f) * 4 * std::numbers::pi * std::pow(sbi::forward::detail::yso_distance, 2) /
         sbi::forward::detail::to_millijansky;
}
double star_luminosity(const YsoParameters& p) {
  return 4 * std::numbers::pi * std::pow(p.star_radius * solar_radius, 2) * stefan_boltzmann *
         std::pow(p.star_temperature, 4);
}
/// Mean over all observers.
double mean_luminosity(const Yso<>& yso, const YsoParameters& p) {
  double sum = 0;
  const std::vector<double> all{1e9};
  const auto add = [&](double mu, double w) {
    sum += w * luminosity(yso, yso.sed(p, std::acos(mu) * 180 / std::numbers::pi, all).data());
  };
  sbi::forward::detail::gauss4(0, .3, add), sbi::forward::detail::gauss4(.3, 1, add);
  return sum;
}

} // namespace

TEST_CASE("forward/yso: apertures are those of the published cubes") {
  const std::vector<double> a = yso_apertures();
  REQUIRE(a.size() == 20);
  CHECK(a[0] == 100);
  CHECK(a[1] == doctest::Approx(162.377674).epsilon(1e-8)); // the listing of the grid
  CHECK(a[12] == doctest::Approx(33598.1829).epsilon(1e-8));
  CHECK(a[19] == 1e6);
}

TEST_CASE("forward/yso: a star alone is a black body at 1 kpc, in every aperture and direction") {
  const Yso<> yso = model("s---s-i");
  const YsoParameters p = object();
  const Tensor<double> sed = yso.sed(p, 70, yso_apertures());
  CHECK(sed.shape() == sbi::Shape{20, 200});
  for (sbi::index_t i = 60; i < 200; ++i) {
    const double w = yso.wavelengths()[static_cast<std::size_t>(i)], nu = light_speed / (1e4 * w);
    // pi B_nu (R/d)^2 in mJy, from h and k (CODATA 2018).
    const double b = std::numbers::pi * 2 * 6.62607015e-27 * std::pow(nu, 3) / std::pow(2.99792458e10, 2) /
                     std::expm1(6.62607015e-27 * nu / (1.380649e-16 * 4000));
    CHECK(sed(19, i) ==
          doctest::Approx(1e26 * b * std::pow(2 * 6.957e10 / 3.0856775815e21, 2)).epsilon(1e-6));
    CHECK(sed(0, i) == sed(19, i));
  }
  CHECK(luminosity(yso, sed.row(0)) == doctest::Approx(star_luminosity(p)).epsilon(1e-6));
  CHECK(yso_class(spectral_index(yso.wavelengths(), {sed.row(0), 200})) == YsoClass::III);
}

TEST_CASE("forward/yso: a disc without mass is no disc, an envelope without dust no envelope") {
  YsoParameters p = object();
  p.disk_mass = 0, p.envelope_rho_0 = 0, p.ambient_density = 0, p.cavity_rho_0 = 0;
  const std::vector<double> apertures{1e3, 1e6};
  const Tensor<double> star = model("s---s-i").sed(p, 40, apertures);
  for (const char* geometry : {"sp--s-i", "s-p-smi", "spubhmi"}) {
    const Tensor<double> sed = model(geometry).sed(p, 40, apertures);
    for (sbi::index_t i = 0; i < 400; ++i)
      CHECK(sed.data()[i] == doctest::Approx(star.data()[i]).epsilon(1e-12));
  }
  p.disk_mass = 1e-16; // continuity: the same to 1e-3 up to the millimetre
  const Tensor<double> light = model("sp--s-i").sed(p, 40, apertures);
  for (sbi::index_t i = 40; i < 180; ++i) CHECK(light(0, i) == doctest::Approx(star(0, i)).epsilon(1e-3));
}

TEST_CASE("forward/yso: energy is conserved over all directions") {
  for (const char* geometry : {"s-p-smi", "s-p-hmi", "s-u-smi", "s---smi"}) {
    CAPTURE(std::string(geometry));
    // 8 directions heat the envelope and 8 others look at it: 1 % where it is not spherical.
    CHECK(mean_luminosity(model(geometry), object()) / star_luminosity(object()) ==
          doctest::Approx(1).epsilon(.01));
  }
  // A disc radiates the half of the starlight on its surface and hides the star from observers near its
  // plane: the two are not the same light, here within 5 %.
  for (const char* geometry : {"sp--s-i", "spu-smi", "spubsmi"}) {
    CAPTURE(std::string(geometry));
    CHECK(mean_luminosity(model(geometry), object()) / star_luminosity(object()) ==
          doctest::Approx(1).epsilon(.05));
  }
}

TEST_CASE("forward/yso: the disc hides its star at high inclination") {
  const Yso<> yso = model("sp--s-i");
  const std::vector<double> all{1e6};
  const auto j = [&](double i) { return yso.sed(object(), i, all)(0, 73); }; // 1.2 micron
  const double star = model("s---s-i").sed(object(), 0, all)(0, 73);
  CHECK(j(0) / star == doctest::Approx(1).epsilon(.05)); // and a little from the disc
  CHECK(j(50) / star == doctest::Approx(1).epsilon(.1));
  CHECK(j(88) < 1e-6 * star);
  // Millimetre waves pass.
  CHECK(yso.sed(object(), 88, all)(0, 190) > .02 * yso.sed(object(), 0, all)(0, 190));
}

TEST_CASE("forward/yso: an envelope reddens the star by its column and shines in the far-infrared") {
  const Yso<> yso = model("s-p-smi");
  YsoParameters p = object();
  p.envelope_rho_0 = 1e-21, p.scattering = 0;
  const std::vector<double> all{1e6};
  const Tensor<double> sed = yso.sed(p, 0, all), star = model("s---s-i").sed(p, 0, all);
  const double column = yso.envelope(p)->foreground(0);
  for (sbi::index_t i : {60, 64, 70}) { // 0.5 to 1 micron: no dust is that hot
    const double tau = yso.dust().extinction()[static_cast<std::size_t>(i)] * column;
    CHECK(sed(0, i) / star(0, i) == doctest::Approx(std::exp(-tau)).epsilon(.02));
  }
  CHECK(sed(0, 140) > 1e3 * star(0, 140)); // 100 micron
  p.scattering = 1;
  CHECK(yso.sed(p, 0, all)(0, 64) > 1.2 * sed(0, 64));
}

TEST_CASE("forward/yso: radii follow the sublimation radius, the hole and the ambient medium") {
  const YsoParameters p = object();
  const Yso<> disc = model("sp--s-i"), hole = model("sp--h-i");
  const double rsub = disc.sublimation_radius(p);
  CHECK(rsub == doctest::Approx(5.16619 * 2 * 6.957e10 / 1.495978707e13).epsilon(.01)); // yso_dust's oracle
  const double first = disc.disc(p)->radius(0) / rsub, second = hole.disc(p)->radius(0) / rsub;
  CHECK(first > 1);
  CHECK(first < 1.06);
  CHECK(second > 2);
  CHECK(second < 2.12);
  // 10 K is reached at 3330557 radii (full table): 31 000 au.
  const auto edge = [&](const Yso<>& y, const YsoParameters& q) {
    const YsoEnvelope e = *y.envelope(q);
    return e.radius(e.shells() - 1);
  };
  CHECK(edge(model("s---smi"), p) == doctest::Approx(3330557 * 2 * 6.957e10 / 1.495978707e13).epsilon(.07));
  YsoParameters dense = p;
  dense.envelope_rho_0 =
      1e-17; // at 10^(6 / 1.5) times 1000 au as thin as the medium: beyond the largest aperture
  CHECK(edge(model("s-p-smi"), dense) == doctest::Approx(1e6).epsilon(.1));
  dense.disk_rmin = 1e6;
  CHECK_FALSE(hole.disc(dense).has_value()); // it would end inside its hole
  CHECK_FALSE(model("s---s-i").envelope(p).has_value());
}

TEST_CASE("forward/yso: what nests adds up: apertures, and objects at once") {
  const Yso<> yso = model("spubhmi");
  const Tensor<double> sed = yso.sed(object(), 40, yso_apertures());
  for (sbi::index_t a = 1; a < 20; ++a)
    for (sbi::index_t i = 0; i < 200; ++i) CHECK(sed(a, i) >= sed(a - 1, i));
  CHECK(sed(19, 160) > 1.5 * sed(0, 160)); // 360 micron: a big cold envelope
  CHECK(sed(19, 75) < 1.6 * sed(0, 75));
  std::vector<YsoParameters> many;
  Rng rng(2);
  for (int k = 0; k < 6; ++k) many.push_back(sample_yso(yso.geometry(), rng, true));
  const Tensor<double> one = yso.seds(sbi::Reference<double>(), many, yso_apertures()),
                       threads = yso.seds(sbi::Cpu<double>(2), many, yso_apertures());
  CHECK(one.shape() == sbi::Shape{6, 20, 200});
  for (sbi::index_t k = 0; k < one.size(); ++k) CHECK(one.data()[k] == threads.data()[k]);
  const Tensor<double> third = yso.sed(many[3], many[3].inclination, yso_apertures());
  for (sbi::index_t k = 0; k < 4000; ++k) CHECK(third.data()[k] == one.data()[3 * 4000 + k]);
}

TEST_CASE("forward/yso: every geometry gives light that is finite and not negative, all over the prior") {
  for (const std::string_view name : yso_geometries) {
    const Yso<> yso = model(name);
    Rng rng(11);
    bool fine = true;
    for (int k = 0; k < 12; ++k) {
      const YsoParameters p = sample_yso(yso.geometry(), rng);
      const Tensor<double> sed = yso.sed(p, p.inclination, yso_apertures());
      double most = 0;
      for (const double f : sed) {
        fine = fine && f >= 0 && sbi::is_finite(f);
        most = std::max(most, f);
      }
      fine = fine && most > 0;
    }
    CAPTURE(std::string(name));
    CHECK(fine);
  }
}

TEST_CASE("forward/yso: stars are class III, discs class II, envelopes class I") {
  const std::vector<double> aperture{3000};
  const auto count = [&](const char* geometry, double rho_low, double rho_high) {
    const Yso<> yso = model(geometry);
    std::array<int, 5> classes{}; // the last: no light between 2 and 24 micron
    Rng rng(4);
    for (int k = 0; k < 200; ++k) {
      YsoParameters p = sample_yso(yso.geometry(), rng, true);
      // Low-mass stars and, as is usual, thin flat discs.
      p.star_temperature = rng.uniform(3000, 5000), p.star_radius = rng.uniform(1, 3);
      p.disk_h100 = rng.uniform(3, 10), p.disk_rmin = 1;
      p.envelope_rho_0 = rho_low * std::pow(rho_high / rho_low, rng.uniform());
      const Tensor<double> sed = yso.sed(p, p.inclination, aperture);
      if (sed(0, 83) < 1e-12)
        ++classes[4]; // 2.4 micron
      else
        ++classes[static_cast<std::size_t>(yso_class(spectral_index(yso.wavelengths(), {sed.row(0), 200})))];
    }
    return classes;
  };
  const auto at = [](YsoClass c) { return static_cast<std::size_t>(c); };
  CHECK(count("s---s-i", 1, 1)[at(YsoClass::III)] == 200);
  CHECK(count("sp--s-i", 1, 1)[at(YsoClass::II)] > 140); // the others: edge-on, or too light to be thick
  for (const auto& classes : {count("s-p-smi", 1e-21, 1e-20), count("spu-smi", 3e-20, 3e-19)}) {
    CHECK(classes[at(YsoClass::I)] > 110);
    CHECK(classes[at(YsoClass::I)] + classes[at(YsoClass::flat)] + classes[4] >
          170); // 4: too deep to be seen
    CHECK(classes[at(YsoClass::III)] == 0);
  }
}

TEST_CASE("forward/yso: stages of the object") {
  YsoParameters p = object();
  const Yso<> yso = model("spu-smi");
  const auto stage = [&] {
    return yso_stage((1 + gas_to_dust) * yso.envelope(p)->mass(), p.star_temperature,
                     yso.disc(p).has_value());
  };
  CHECK(stage() == 1); // 8 solar masses
  p.star_temperature = 2900;
  CHECK(stage() == 0);
  p.envelope_rho_0 = 1e-23;
  CHECK(stage() == 2);
  p.disk_mass = 0;
  CHECK(stage() == 3);
}

TEST_CASE("forward/yso: any atmosphere will do") {
  const Yso<AnalyticAtmosphere> yso(yso_geometry("sp--s-i"));
  YsoParameters p = object();
  const std::vector<double> all{1e6};
  const Tensor<double> sed = yso.sed(p, 0, all), black = model("sp--s-i").sed(p, 0, all);
  CHECK(sed(0, 57) < .8 * black(0, 57)); // 0.43 micron: line blanketing
  CHECK(sed(0, 150) == doctest::Approx(black(0, 150)).epsilon(.02));
  p.star_temperature = 2400;
  CHECK_THROWS_WITH_AS((void)yso.sed(p, 0, all), doctest::Contains("T_eff 2400 K"), ValueError);
}

TEST_CASE("forward/yso: bad input is named") {
  const Yso<> yso = model("spubsmi");
  YsoParameters p = object();
  const std::vector<double> all{1e6};
  CHECK_THROWS_WITH_AS((void)yso.sed(p, 91, all), doctest::Contains("inclination = 91"), ValueError);
  CHECK_THROWS_WITH_AS((void)yso.sed(p, 10, {}), doctest::Contains("no apertures"), ValueError);
  CHECK_THROWS_WITH_AS((void)yso.sed(p, 10, std::vector<double>{100, 100}),
                       doctest::Contains("aperture 100 au after 100"), ValueError);
  p.disk_rmax = sbi::missing;
  CHECK_THROWS_WITH_AS((void)yso.disc(p), doctest::Contains("disk.rmax is missing"), ValueError);
  CHECK_THROWS_AS((void)yso.envelope(p), ValueError);
  p = object();
  p.cavity_power = sbi::missing;
  CHECK_THROWS_WITH_AS((void)yso.sed(p, 10, all), doctest::Contains("cavity.power is missing"), ValueError);
}
