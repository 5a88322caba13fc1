// SPDX-License-Identifier: MIT
#include <sbi/forward/band_response.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <tuple>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

double through(const Tensor<double>& weights, index_t band, const std::vector<double>& wavelengths,
               double (*flux)(double)) {
  double sum = 0;
  for (index_t i = 0; i < weights.rows(); ++i)
    sum += weights(i, band) * flux(wavelengths[static_cast<std::size_t>(i)]);
  return sum;
}

} // namespace

TEST_CASE("forward/band_response: a Rayleigh-Jeans tail is exact on a coarse grid, and a mean is that of "
          "mean_flux on a fine one") {
  const BandResponse bands(passbands({"GaiaDR3.G", "WISE.W3"}));
  CHECK(bands.names() == std::vector<std::string>{"GaiaDR3.G", "WISE.W3"});
  const std::vector<double> coarse{.2, .5, 1.5, 5, 20, 40};
  const auto tail = [](double l) { return std::pow(l, -4); };
  std::vector<double> fine, flux;
  for (double l = .3; l < 30; l *= 1.001) fine.push_back(l), flux.push_back(tail(l));
  const Tensor<double> of_coarse = bands.weights(coarse), of_fine = bands.weights(fine);
  for (index_t b = 0; b < 2; ++b) {
    const Passband& band = bands.bands()[static_cast<std::size_t>(b)];
    const double want =
        mean_flux(fine, flux, band) / band.zero_point; // power laws between points: exact here
    // Four-point quadrature between the points of band and grid: pieces differ between the grids.
    CHECK(through(of_coarse, b, coarse, tail) == doctest::Approx(want).epsilon(1e-9));
    CHECK(through(of_fine, b, fine, tail) == doctest::Approx(want).epsilon(1e-9));
  }
}

TEST_CASE("forward/band_response: a band that is not covered is named") {
  CHECK_THROWS_AS(std::ignore = BandResponse(passbands({"WISE.W4"})).weights(std::vector<double>{.3, 1, 10}),
                  ValueError);
}
