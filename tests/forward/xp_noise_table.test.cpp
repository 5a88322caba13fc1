// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/black_body.hpp>
#include <sbi/forward/xp_file.hpp>
#include <sbi/forward/xp_noise_table.hpp>
#include <sbi/forward/xp_response.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// Coefficients of black bodies of some temperatures, all of about a thousand electrons a second.
Tensor<double> black_bodies(const XpResponse& response, const std::vector<double>& teffs) {
  std::vector<double> wavelengths;
  for (double l = .3; l < 1.2; l *= 1.005) wavelengths.push_back(l);
  const BlackBody atmosphere(wavelengths);
  const Tensor<double> weights = response.weights(wavelengths);
  Tensor<double> out(Shape{static_cast<index_t>(teffs.size()), 110});
  std::vector<double> flux(wavelengths.size());
  for (index_t i = 0; i < out.rows(); ++i) {
    atmosphere.flux(std::log10(teffs[static_cast<std::size_t>(i)]), 4.5, 0, flux);
    double sum = 0;
    for (const double f : flux) sum += f;
    for (index_t w = 0; w < weights.rows(); ++w)
      for (index_t k = 0; k < 110; ++k)
        out(i, k) += weights(w, k) * flux[static_cast<std::size_t>(w)] / sum * 1e-12;
  }
  return out;
}

} // namespace

TEST_CASE("forward/xp_noise_table: errors of stars between the templates and levels are those of the model; "
          "noise has them") {
  const std::string folder = sbi_test::data_file("gaiaxpy_instrument");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const XpInstrument instrument = read_xp_instrument(folder);
  const XpNoise noise(instrument);
  const XpResponse response(instrument);
  const XpNoiseTable table(instrument, noise,
                           black_bodies(response, {3000, 4000, 5000, 6500, 9000, 14000, 25000}).view());

  const Tensor<double> stars = black_bodies(response, {3000, 4500, 5700, 8000, 11000});
  std::array<double, 110> coefficients{}, exact{};
  std::array<float, 110> drawn{}, sigma{};
  double worst = 0;
  for (index_t i = 0; i < stars.rows(); ++i)
    for (double factor : {.02, 1., 60., 5e4}) {
      for (index_t k = 0; k < 110; ++k) coefficients[static_cast<std::size_t>(k)] = factor * stars(i, k);
      noise.sigma(coefficients, exact);
      Rng rng(1);
      table.draw(rng, coefficients, drawn, sigma);
      std::vector<double> ratio;
      for (std::size_t k = 0; k < 110; ++k)
        ratio.push_back(std::abs(static_cast<double>(sigma[k]) / exact[k] - 1));
      std::nth_element(ratio.begin(), ratio.begin() + 104, ratio.end());
      worst = std::max(worst, ratio[104]); // 95 % of the coefficients
    }
  MESSAGE("errors within ", 100 * worst, " % of the model");
  CHECK(worst < .1);

  for (index_t k = 0; k < 110; ++k) coefficients[static_cast<std::size_t>(k)] = stars(2, k);
  const auto covariance = noise.covariance(coefficients);
  constexpr int draws = 4000;
  Rng rng(5);
  std::array<double, 110> square{};
  double product = 0;
  for (int d = 0; d < draws; ++d) {
    table.draw(rng, coefficients, drawn, sigma);
    for (std::size_t k = 0; k < 110; ++k)
      square[k] += static_cast<double>(drawn[k]) * static_cast<double>(drawn[k]);
    product += static_cast<double>(drawn[0]) * static_cast<double>(drawn[1]);
  }
  for (std::size_t k = 0; k < 110; ++k) // five standard errors of a variance, of 110 of them
    CHECK(std::abs(square[k] / draws / std::pow(static_cast<double>(sigma[k]), 2) - 1) <
          5 * std::sqrt(2. / draws));
  const double correlation = covariance[0](0, 1) / std::sqrt(covariance[0](0, 0) * covariance[0](1, 1));
  CHECK(std::abs(product / draws / (static_cast<double>(sigma[0]) * static_cast<double>(sigma[1])) -
                 correlation) < .06);

  coefficients.fill(-1);
  CHECK_THROWS_AS(table.draw(rng, coefficients, drawn, sigma), ValueError);
  CHECK_THROWS_AS(XpNoiseTable(instrument, noise, stars.view().columns(0, 55)), ShapeError);
}
