// SPDX-License-Identifier: MIT
#include <sbi/forward/spectral_response.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

struct Sum {
  Tensor<double> weights(std::span<const double> wavelengths) const {
    return Tensor<double>(Shape{static_cast<index_t>(wavelengths.size()), 1});
  }
  std::vector<std::string> names() const { return {"sum"}; }
};
struct Nameless {
  Tensor<double> weights(std::span<const double>) const { return {}; }
};
static_assert(SpectralResponse<Sum>);
static_assert(!SpectralResponse<Nameless>);
static_assert(!SpectralResponse<int>);

double integral(const std::vector<double>& wavelengths, const std::vector<double>& flux, double from,
                double to, double step) {
  double sum = 0;
  forward::detail::spectrum_quadrature(
      wavelengths, from, to, step, [&](std::size_t i, double, double w, const std::array<double, 2>& share) {
        sum += w * (share[0] * flux[i] + share[1] * flux[i + 1]);
      });
  return sum;
}

} // namespace

TEST_CASE("forward/spectral_response: a Rayleigh-Jeans spectrum is integrated exactly on a coarse grid") {
  const std::vector<double> wavelengths{1, 2.5, 3, 7};
  std::vector<double> flux;
  for (const double w : wavelengths) flux.push_back(std::pow(w, -4));
  const auto exact = [](double a, double b) { return (std::pow(a, -3) - std::pow(b, -3)) / 3; };
  // Gauss-Legendre with four points on pieces of 0.05: the error is far below 1e-10.
  CHECK(integral(wavelengths, flux, 1.2, 6.5, 0.05) == doctest::Approx(exact(1.2, 6.5)).epsilon(1e-10));
  CHECK(integral(wavelengths, flux, 2.6, 2.7, 10) == doctest::Approx(exact(2.6, 2.7)).epsilon(1e-10));
  CHECK(integral(wavelengths, flux, 1, 7, 0.05) == doctest::Approx(exact(1, 7)).epsilon(1e-10));
  CHECK(integral(wavelengths, flux, 3, 3, 0.05) == 0);
}

TEST_CASE("forward/spectral_response: lambda^4 F is linear in ln lambda") {
  const std::vector<double> wavelengths{2, 8}, flux{1, 0};
  forward::detail::spectrum_quadrature(
      wavelengths, 3.9999, 4.0001, 1,
      [&](std::size_t i, double lambda, double, const std::array<double, 2>& share) {
        CHECK(i == 0);
        CHECK(lambda == doctest::Approx(4).epsilon(1e-4));
        CHECK(share[0] == doctest::Approx(0.5 / 16).epsilon(1e-3)); // halfway in ln lambda, (2/4)^4
        CHECK(share[1] == doctest::Approx(0.5 * 16).epsilon(1e-3));
      });
}

TEST_CASE("forward/spectral_response: coverage") {
  const std::vector<double> good{1, 2, 3}, twice{1, 2, 2}, zero{0, 1}, one{1};
  using forward::detail::check_coverage;
  CHECK_NOTHROW(check_coverage("X", good, 1, 3));
  CHECK_THROWS_WITH_AS(check_coverage("X", good, 0.5, 2),
                       doctest::Contains("X: sees 0.5 to 2 micron; the spectrum runs from 1 to 3"),
                       ValueError);
  CHECK_THROWS_AS(check_coverage("X", good, 1, 3.5), ValueError);
  CHECK_THROWS_WITH_AS(check_coverage("X", twice, 1, 2), doctest::Contains("increasing"), ValueError);
  CHECK_THROWS_AS(check_coverage("X", zero, 0.5, 1), ValueError);
  CHECK_THROWS_WITH_AS(check_coverage("X", one, 1, 1), doctest::Contains("two or more"), ValueError);
}
