// SPDX-License-Identifier: MIT
#include <sbi/forward/spectrograph.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

std::vector<double> grid(double from, double to, double step) {
  std::vector<double> out;
  for (int i = 0; from + i * step < to + 0.5 * step; ++i) out.push_back(from + i * step);
  return out;
}
template <class F>
std::vector<double> observe(const Spectrograph& s, const std::vector<double>& w, F&& flux) {
  const Tensor<double> weights = s.weights(w);
  std::vector<double> out(static_cast<std::size_t>(weights.cols()));
  for (index_t i = 0; i < weights.rows(); ++i)
    for (index_t p = 0; p < weights.cols(); ++p)
      out[static_cast<std::size_t>(p)] += weights(i, p) * flux(w[static_cast<std::size_t>(i)]);
  return out;
}
struct Moments {
  double total = 0, mean = 0, sigma = 0;
};
Moments moments(const Spectrograph& s, const std::vector<double>& flux) {
  Moments m;
  double square = 0;
  for (index_t p = 0; p < s.pixels(); ++p) {
    const auto i = static_cast<std::size_t>(p);
    const double light = flux[i] * (s.edges()[i + 1] - s.edges()[i]);
    m.total += light;
    m.mean += light * s.centre(p);
    square += light * s.centre(p) * s.centre(p);
  }
  m.mean /= m.total;
  m.sigma = std::sqrt(square / m.total - m.mean * m.mean);
  return m;
}
double gauss(double x, double centre, double sigma) {
  const double t = (x - centre) / sigma;
  return std::exp(-0.5 * t * t) / (sigma * std::sqrt(2 * std::acos(-1)));
}

} // namespace

TEST_CASE("forward/spectrograph: a constant spectrum stays constant") {
  // On a fine grid, where lambda^4 F linear in ln lambda is constant to (step/lambda)^2; with sigma
  // proportional to lambda a constant changes by (sigma/lambda)^2 = 5e-8 at R = 1800.
  const auto w = grid(0.49, 0.56, 5e-6);
  for (const bool photons : {false, true}) {
    const Spectrograph s("S", linear_pixels(0.5, 0.55, 40), 1800, photons);
    for (const double f : observe(s, w, [](double) { return 2.5; }))
      CHECK(f == doctest::Approx(2.5).epsilon(1e-6));
  }
  // A slope is not changed either: pixels hold its value at their centre, or at the mean photon's wavelength.
  const Spectrograph energy("S", linear_pixels(0.5, 0.55, 10), 1800),
      photon("S", linear_pixels(0.5, 0.55, 10), 1800, true);
  const auto e = observe(energy, w, [](double x) { return x; }),
             p = observe(photon, w, [](double x) { return x; });
  for (index_t i = 0; i < energy.pixels(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    const double a = energy.edges()[k], b = energy.edges()[k + 1];
    CHECK(e[k] == doctest::Approx(0.5 * (a + b)).epsilon(1e-6));
    CHECK(p[k] == doctest::Approx(2. / 3 * (b * b * b - a * a * a) / (b * b - a * a)).epsilon(1e-6));
  }
}

TEST_CASE("forward/spectrograph: a line keeps its light and place and gets the right width") {
  const double centre = 0.5003, narrow = 1e-5;
  const auto w = grid(0.49, 0.51, 2e-6);
  for (const double r : {500.0, 1800.0, 5000.0}) {
    const Spectrograph s("S", linear_pixels(0.4968, 0.5038, 350), r);
    const Moments m = moments(s, observe(s, w, [&](double x) { return gauss(x, centre, narrow); }));
    CHECK(m.total == doctest::Approx(1).epsilon(1e-6));
    CHECK(m.mean == doctest::Approx(centre).epsilon(1e-6));
    // In quadrature: the line-spread function, the line, and a pixel of uniform response (width^2/12).
    const double lsf = centre / r / 2.3548200450309493, pixel = 2e-5 / std::sqrt(12.);
    CHECK(m.sigma == doctest::Approx(std::sqrt(lsf * lsf + narrow * narrow + pixel * pixel)).epsilon(1e-3));
  }
}

TEST_CASE("forward/spectrograph: the resolution may depend on wavelength") {
  for (const double centre : {0.45, 0.65, 0.85}) {
    const Spectrograph s("S", linear_pixels(centre - 0.003, centre + 0.003, 300),
                         [](double x) { return 1000 * x; }); // a full width of 1 nm
    const auto w = grid(centre - 0.006, centre + 0.006, 2e-6);
    const Moments m = moments(s, observe(s, w, [&](double x) { return gauss(x, centre, 1e-5); }));
    CHECK(2.3548200450309493 * m.sigma == doctest::Approx(1e-3).epsilon(2e-3));
  }
}

TEST_CASE("forward/spectrograph: light is conserved on a coarse grid of wavelengths") {
  // What leaves a stretch of spectrum arrives in the pixels: the integral of the interpolated spectrum.
  const std::vector<double> w{0.3, 0.39, 0.5, 0.56, 0.8}, flux{1, 3, 0, 5, 2};
  const Spectrograph s("S", linear_pixels(0.4, 0.7, 600), 300);
  const Tensor<double> weights = s.weights(w);
  double pixels = 0, spectrum = 0;
  for (index_t p = 0; p < s.pixels(); ++p)
    for (index_t i = 0; i < weights.rows(); ++i)
      pixels += weights(i, p) * flux[static_cast<std::size_t>(i)] * (0.3 / 600);
  forward::detail::spectrum_quadrature(
      w, 0.4, 0.7, 1e-3, [&](std::size_t i, double, double v, const std::array<double, 2>& share) {
        spectrum += v * (share[0] * flux[i] + share[1] * flux[i + 1]);
      });
  // Light crosses the outer edges both ways; the differences are of the order of slope * sigma^2, 1e-6.
  CHECK(pixels == doctest::Approx(spectrum).epsilon(1e-5));
}

TEST_CASE("forward/spectrograph: surveys") {
  static_assert(SpectralResponse<Spectrograph>);
  const Spectrograph l = lamost(), b = boss();
  CHECK(l.pixels() == 3861); // log10(9000/3700) / 1e-4 = 3860.5 steps
  CHECK(b.pixels() == 4608); // log10(10400/3600) / 1e-4 = 4607.3 steps
  CHECK(l.names().front() == "LAMOST.3700.0");
  CHECK(b.names()[1] == "BOSS.3600.8");
  CHECK(l.names().size() == 3861);
  CHECK(l.centre(3860) == doctest::Approx(0.9).epsilon(2e-4));
  CHECK(l.first() == doctest::Approx(0.37 * (1 - 6 / (1800 * 2.35482))).epsilon(2e-4));
}

TEST_CASE("forward/spectrograph: bad input") {
  const auto pixels = linear_pixels(0.4, 0.5, 10);
  const std::vector<double> one{0.4}, down{0.5, 0.4};
  CHECK_THROWS_WITH_AS(Spectrograph("S", one, 100), doctest::Contains("two or more"), ValueError);
  CHECK_THROWS_WITH_AS(Spectrograph("S", down, 100), doctest::Contains("increasing"), ValueError);
  CHECK_THROWS_WITH_AS(Spectrograph("S", pixels, 0), doctest::Contains("S: resolution 0 at 0.4"), ValueError);
  CHECK_THROWS_AS(Spectrograph("S", pixels, missing), ValueError);
  CHECK_THROWS_AS((void)linear_pixels(0.4, 0.4, 10), ValueError);
  CHECK_THROWS_AS((void)linear_pixels(0.4, 0.5, 0), ValueError);
  CHECK_THROWS_AS((void)logarithmic_pixels(0.4, 0.5, 0), ValueError);
  const Spectrograph s("S", pixels, 100);
  CHECK_THROWS_WITH_AS((void)s.weights(grid(0.4, 0.5, 0.01)), doctest::Contains("S: sees 0.389"), ValueError);
}
