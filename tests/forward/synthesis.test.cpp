// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/band_response.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/synthesis.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// Greybodies whose slope and depth depend on gravity and metallicity, on 300 wavelengths that are no
/// multiple of any vector; the coolest dwarf of low metallicity is missing.
SpectralGrid grey_grid() {
  std::vector<double> wavelengths(301);
  for (std::size_t i = 0; i < wavelengths.size(); ++i)
    wavelengths[i] = 0.1 * std::pow(400, static_cast<double>(i) / 300);
  const std::vector<double> teffs{4000, 5000, 6500, 8000}, log_gs{3, 4, 5}, mhs{-1, 0, .3};
  SpectralGrid grid(teffs, log_gs, mhs, wavelengths);
  std::vector<double> flux(wavelengths.size());
  for (std::size_t t = 0; t < teffs.size(); ++t)
    for (std::size_t g = 0; g < log_gs.size(); ++g)
      for (std::size_t m = 0; m < mhs.size(); ++m) {
        if (t == 0 && g == 2 && m == 0) continue;
        for (std::size_t i = 0; i < flux.size(); ++i) {
          const double l = wavelengths[i];
          flux[i] = 1e11 * std::pow(l, -5) / std::expm1(14388 / (l * teffs[t])) *
                    std::exp(-.1 * log_gs[g] * std::sin(3 * l) - (.2 + .1 * mhs[m]) / l);
        }
        grid.set(t, g, m, flux);
      }
  return grid;
}
const std::vector<Passband>& bands() {
  static const std::vector<Passband> all = passbands({"GaiaDR3.G", "GaiaDR3.BP", "2MASS.J", "WISE.W2"});
  return all;
}
template <class T> Synthesis<T> synthesis() {
  return Synthesis<T>(grey_grid(), CCM89{}, 2, 6, BandResponse(bands()));
}
LightSource source(double teff, double log_g, double mh, double a_v = 0, double r_v = 3.1) {
  LightSource s;
  s.stars[0] = {std::log10(teff), log_g, mh, 0.1};
  s.a_v = a_v, s.r_v = r_v, s.log_distance = 2.3;
  return s;
}
std::vector<LightSource> random_sources(std::size_t n) {
  std::vector<LightSource> out;
  Rng rng(4);
  for (std::size_t i = 0; i < n; ++i)
    out.push_back(source(rng.uniform(5000, 8000), rng.uniform(3, 5), rng.uniform(-1, .3), rng.uniform(0, 4),
                         rng.uniform(2, 6)));
  return out;
}
template <class T>
Tensor<T> fluxes(const Synthesis<T>& of, const std::vector<LightSource>& sources,
                 std::vector<Coverage>& coverage, int threads = 1) {
  Tensor<T> out(Shape{static_cast<index_t>(sources.size()), of.outputs()});
  coverage.resize(sources.size());
  of.fluxes(Cpu<T>(threads), sources, out.view(), coverage);
  return out;
}
template <class T> Tensor<T> fluxes(const Synthesis<T>& of, const std::vector<LightSource>& sources) {
  std::vector<Coverage> coverage;
  return fluxes(of, sources, coverage);
}

/// A law that ends before the mid-infrared.
struct Optical {
  static constexpr double x_min = 1, x_max = 4;
  double operator()(double, double) const { return 1; }
};

} // namespace

TEST_CASE("forward/synthesis: the magnitudes of direct photometry, in double and in float") {
  const auto in_double = synthesis<double>();
  const auto in_float = synthesis<float>();
  const auto sources = random_sources(77);
  const auto a = fluxes(in_double, sources);
  const auto b = fluxes(in_float, sources);
  std::vector<double> spectrum(301), direct(bands().size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const LightSource& s = sources[i];
    const StellarPhotometry<SpectralGrid, CCM89> photometry(grey_grid(), CCM89{}, bands(), s.r_v);
    StarState state;
    state.log_teff = s.stars[0].log_teff, state.log_g = s.stars[0].log_g, state.mh = s.stars[0].mh;
    state.log_l = 2 * s.stars[0].log_radius + 4 * (state.log_teff - std::log10(solar_teff));
    CHECK(photosphere(state).log_radius == doctest::Approx(s.stars[0].log_radius).epsilon(1e-12));
    photometry.magnitudes(state, s.a_v, s.log_distance, spectrum, direct);
    for (std::size_t k = 0; k < direct.size(); ++k) {
      const auto row = static_cast<index_t>(i), col = static_cast<index_t>(k);
      CHECK(-2.5 * std::log10(a(row, col)) == doctest::Approx(direct[k]).epsilon(1e-9));
      // Single-precision sums of 300 terms, and exponents of size 30: a few 1e-6.
      CHECK(static_cast<double>(b(row, col)) == doctest::Approx(a(row, col)).epsilon(1e-5));
    }
  }
  CHECK(in_double.names() == std::vector<std::string>{"GaiaDR3.G", "GaiaDR3.BP", "2MASS.J", "WISE.W2"});
}

TEST_CASE("forward/synthesis: companions add their light, those without models none") {
  const auto of = synthesis<double>();
  auto pair = source(6000, 4.5, 0, 1.2);
  pair.count = 3;
  pair.stars[1] = {std::log10(4500), 4.7, 0, -.15};
  pair.stars[2] = {std::log10(4100), 4.8, 0, -.2};
  const auto alone = [&](std::size_t k) {
    auto s = pair;
    s.count = 1, s.stars[0] = pair.stars[k];
    return s;
  };
  auto dark = pair;
  dark.stars[2].log_teff = std::log10(3000);
  std::vector<Coverage> coverage;
  const auto c = fluxes(of, {pair, alone(0), alone(1), alone(2), dark}, coverage);
  for (index_t k = 0; k < of.outputs(); ++k) {
    CHECK(c(0, k) == doctest::Approx(c(1, k) + c(2, k) + c(3, k)).epsilon(1e-12));
    CHECK(c(4, k) == doctest::Approx(c(1, k) + c(2, k)).epsilon(1e-12));
  }
  CHECK(coverage[0] == Coverage::whole);
  CHECK(coverage[4] == Coverage::dark_companions);
}

TEST_CASE(
    "forward/synthesis: stars without models and numbers that are none are flagged and spoil no other") {
  const auto of = synthesis<float>();
  std::vector<LightSource> sources = random_sources(40);
  const auto clean = fluxes(of, sources);
  sources[3].stars[0].log_teff = std::log10(9000); // beyond the grid
  sources[5] = source(4300, 4.6, -.5);             // next to the missing model
  sources[7].stars[0].mh = std::nan(""), sources[9].a_v = -1, sources[11].r_v = 7, sources[13].count = 0;
  sources[15].log_distance = INFINITY;
  std::vector<Coverage> coverage;
  const auto c = fluxes(of, sources, coverage);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const bool hull = i == 3 || i == 5, bad = i >= 7 && i <= 15 && i % 2 == 1;
    CHECK(coverage[i] == (hull ? Coverage::no_model : bad ? Coverage::bad_value : Coverage::whole));
    for (index_t k = 0; k < of.outputs(); ++k) {
      const auto row = static_cast<index_t>(i);
      if (hull || bad)
        CHECK(std::isnan(c(row, k)));
      else
        CHECK(c(row, k) == clean(row, k));
    }
  }
}

TEST_CASE("forward/synthesis: the bits depend neither on the threads nor on the company") {
  const auto of = synthesis<float>();
  const auto sources = random_sources(101);
  std::vector<Coverage> coverage;
  const auto one = fluxes(of, sources, coverage, 1), two = fluxes(of, sources, coverage, 2);
  CHECK(std::memcmp(one.data(), two.data(), sizeof(float) * static_cast<std::size_t>(one.size())) == 0);
  for (std::size_t i : {0u, 31u, 64u, 100u}) {
    const auto single = fluxes(of, {sources[i]});
    for (index_t k = 0; k < of.outputs(); ++k) CHECK(single(0, k) == one(static_cast<index_t>(i), k));
  }
}

TEST_CASE("forward/synthesis: derivatives by every parameter against central differences") {
  const auto of = synthesis<double>();
  const index_t parameters = static_cast<index_t>(Synthesis<double>::derivatives.size()),
                outputs = of.outputs();
  auto sources = random_sources(20);
  sources[0].count = 2, sources[0].stars[1] = {std::log10(4500), 4.5, 0.1, -.1};
  Tensor<double> value(Shape{20, outputs}), slope(Shape{20 * parameters, outputs});
  std::vector<Coverage> coverage(20);
  of.jacobian(Cpu<double>(1), sources, value.view(), slope.view(), coverage);
  CHECK(value(3, 1) == fluxes(of, sources)(3, 1));
  constexpr double h = 1e-6;
  for (index_t p = 0; p < parameters; ++p) {
    const auto moved = [&](double by) {
      auto all = sources;
      for (LightSource& s : all) {
        double* const of_source[] = {
            &s.stars[0].log_teff, &s.stars[0].log_g, &s.stars[0].mh, &s.stars[0].log_radius, &s.a_v, &s.r_v,
            &s.log_distance};
        *of_source[p] += by;
      }
      return fluxes(of, all);
    };
    const auto above = moved(h), below = moved(-h);
    for (index_t i = 0; i < 20; ++i)
      for (index_t k = 0; k < outputs; ++k) {
        const double difference = (above(i, k) - below(i, k)) / (2 * h);
        // Truncation h^2 and rounding 1e-16 / h, both relative to the value.
        CHECK(std::abs(slope(i * parameters + p, k) - difference) <
              1e-7 * std::max(std::abs(difference), value(i, k)));
      }
  }
}

TEST_CASE("forward/synthesis: what cannot be built or filled says why") {
  Passband far{"far", {50, 60, 70}, {0, 1, 0}, 1};
  CHECK_THROWS_AS(Synthesis<float>(grey_grid(), CCM89{}, 2, 6, BandResponse({far})), ValueError);
  CHECK_THROWS_AS(Synthesis<float>(grey_grid(), Optical{}, 2, 6, BandResponse(bands())), ValueError);
  struct Blind {
    Tensor<double> weights(std::span<const double> w) const {
      return Tensor<double>(Shape{static_cast<index_t>(w.size()), 1});
    }
    std::vector<std::string> names() const { return {"blind"}; }
  };
  CHECK_THROWS_WITH_AS(Synthesis<float>(grey_grid(), CCM89{}, 2, 6, Blind{}),
                       "synthesis: the response of blind sees no wavelength; want a weight that is not 0",
                       ValueError);
  const auto of = synthesis<float>();
  Tensor<float> out(Shape{2, 3});
  std::vector<Coverage> coverage(2);
  CHECK_THROWS_AS(of.fluxes(Cpu<float>(1), random_sources(2), out.view(), coverage), ShapeError);
}
