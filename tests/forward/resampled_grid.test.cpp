// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/black_body.hpp>
#include <sbi/forward/bt_settl_file.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/passband.hpp>
#include <sbi/forward/resampled_grid.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

std::vector<double> log_grid(double from, double to, int n) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(from * std::pow(to / from, static_cast<double>(i) / (n - 1)));
  out.back() = to;
  return out;
}
/// int F dlambda with a power law between the points, as the grid is meant.
double integral(std::span<const double> w, std::span<const double> f) {
  double sum = 0;
  for (std::size_t i = 1; i < w.size(); ++i) {
    const double p = std::log(f[i] / f[i - 1]) / std::log(w[i] / w[i - 1]) + 1;
    sum += std::abs(p) < 1e-9 ? f[i - 1] * w[i - 1] * std::log(w[i] / w[i - 1])
                              : (f[i] * w[i] - f[i - 1] * w[i - 1]) / p;
  }
  return sum;
}
std::vector<double> at(const SpectralGrid& grid, double teff, double log_g) {
  std::vector<double> f(grid.wavelengths().size());
  grid.flux(std::log10(teff), log_g, 0, f);
  return f;
}

} // namespace

TEST_CASE("forward/resampled_grid: the same wavelengths give the same grid, a power law is kept exactly") {
  const std::vector<double> w = log_grid(0.3, 30, 50);
  SpectralGrid grid({4000, 5000}, {4, 5}, {0}, w);
  std::vector<double> bumpy, law;
  for (std::size_t i = 0; i < w.size(); ++i) {
    bumpy.push_back(i % 3 == 1 ? 5 : 1);
    law.push_back(7 * std::pow(w[i], -2.5));
  }
  grid.set(0, 0, 0, bumpy), grid.set(1, 1, 0, law);
  const SpectralGrid same = resample(grid, w);
  CHECK(same.has(0, 0, 0));
  CHECK_FALSE(same.has(1, 0, 0));
  for (const std::size_t n : {grid.node(0, 0, 0), grid.node(1, 1, 0)})
    for (std::size_t i = 0; i < w.size(); ++i) CHECK(same.ln_flux(n)[i] == grid.ln_flux(n)[i]);
  CHECK(same.log_teffs()[1] == doctest::Approx(grid.log_teffs()[1]).epsilon(1e-14));
  // Finer: the law itself, also where a straight line would not be.
  const SpectralGrid fine = resample(grid, log_grid(0.4, 25, 333), 2);
  const std::vector<double> f = at(fine, 5000, 5);
  for (std::size_t i = 0; i < f.size(); ++i)
    CHECK(f[i] == doctest::Approx(7 * std::pow(fine.wavelengths()[i], -2.5)).epsilon(1e-6));
  // Coarser: the mean over a bin, from the integral of the law.
  const SpectralGrid coarse = resample(grid, log_grid(0.3, 30, 9));
  const std::vector<double> c = at(coarse, 5000, 5);
  for (std::size_t i = 1; i + 1 < c.size(); ++i) {
    const double low = std::sqrt(coarse.wavelengths()[i - 1] * coarse.wavelengths()[i]),
                 high = std::sqrt(coarse.wavelengths()[i] * coarse.wavelengths()[i + 1]);
    const double mean = 7 * (std::pow(low, -1.5) - std::pow(high, -1.5)) / 1.5 / (high - low);
    CHECK(c[i] == doctest::Approx(mean).epsilon(1e-6));
  }
}

TEST_CASE("forward/resampled_grid: averaging keeps the flux, however ragged the spectrum") {
  const std::vector<double> w = log_grid(0.3, 30, 3000);
  SpectralGrid grid({5000}, {4}, {0}, w);
  std::vector<double> f;
  for (double x : w) f.push_back((2 + std::sin(300 * std::log(x))) * black_body_flux(x, 5000));
  grid.set(0, 0, 0, f);
  for (int n : {100, 400, 1999}) { // the last: bins of one and a half old points
    const SpectralGrid coarse = resample(grid, log_grid(0.3, 30, n));
    const std::vector<double> edges = forward::detail::bin_edges(coarse.wavelengths(), 0.3, 30);
    const std::vector<double> c = at(coarse, 5000, 4);
    double sum = 0;
    for (std::size_t i = 0; i < c.size(); ++i) sum += c[i] * (edges[i + 1] - edges[i]);
    CAPTURE(n);
    CHECK(sum == doctest::Approx(integral(w, f)).epsilon(2e-6)); // single-precision logarithms
  }
}

TEST_CASE("forward/resampled_grid: nothing beyond the old wavelengths") {
  SpectralGrid grid({5000}, {4}, {0}, {1, 2, 3});
  grid.set(0, 0, 0, std::vector<double>{1, 2, 1});
  CHECK_THROWS_WITH_AS((void)resample(grid, {0.9, 2}),
                       doctest::Contains("0.9 to 2 micron; want some within 1 to 3"), ValueError);
  CHECK_THROWS_AS((void)resample(grid, {1, 3.1}), ValueError);
  CHECK_THROWS_AS((void)resample(grid, {}), ValueError);
  CHECK_THROWS_AS((void)resample(grid, {2, 1}), ValueError);
  CHECK(at(resample(grid, {2}), 5000, 4)[0] == doctest::Approx(2).epsilon(1e-6));
}

TEST_CASE("forward/resampled_grid: BT-Settl on the wavelengths of Kurucz has BT-Settl's magnitudes") {
  const std::string folder = sbi_test::data_file("btsettl_cifist"),
                    kurucz = sbi_test::data_file("kurucz93_kp00");
  if (folder.empty() || kurucz.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const SpectralGrid grid = read_bt_settl_grid(folder, {3500, 3600}),
                     reference = read_kurucz_grid(kurucz, {3500, 3500});
  std::vector<double> shared;
  for (double w : reference.wavelengths())
    if (w >= grid.wavelengths().front() && w <= grid.wavelengths().back()) shared.push_back(w);
  const SpectralGrid resampled = resample(grid, shared);
  const std::vector<double> a = at(grid, 3500, 4.5), b = at(resampled, 3500, 4.5);
  CHECK(integral(resampled.wavelengths(), b) ==
        doctest::Approx(integral(grid.wavelengths(), a)).epsilon(0.003));
  double worst = 0;
  for (const char* name :
       {"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J", "2MASS.H", "2MASS.Ks", "WISE.W1"}) {
    const double difference = magnitude(resampled.wavelengths(), b, passband(name)) -
                              magnitude(grid.wavelengths(), a, passband(name));
    worst = std::max(worst, std::abs(difference));
  }
  MESSAGE("largest change of a magnitude " << worst);
  CHECK(worst < 0.005);
}
