// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/passband.hpp>
#include <sbi/forward/spectral_response.hpp>

#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Passbands as a linear instrument: output b is <F> / zero point = 10^(-0.4 m) in band b, with <F> = int
/// lambda F S dlambda / int lambda S dlambda. Between grid points lambda^4 F is linear in ln(lambda), which
/// is linear in F and exact for a Rayleigh-Jeans tail however coarse the grid.
class BandResponse {
public:
  explicit BandResponse(std::vector<Passband> bands) : bands_(std::move(bands)) {}

  [[nodiscard]] const std::vector<Passband>& bands() const { return bands_; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const Passband& band : bands_) out.push_back(band.name);
    return out;
  }

  /// [wavelengths, bands]. Throws ValueError if a band is not covered by the wavelengths [micron], and as
  /// `check(Passband)` does.
  [[nodiscard]] Tensor<double> weights(std::span<const double> wavelengths) const {
    Tensor<double> out(Shape{static_cast<index_t>(wavelengths.size()), static_cast<index_t>(bands_.size())});
    for (index_t b = 0; b < out.cols(); ++b) {
      const Passband& band = bands_[static_cast<std::size_t>(b)];
      double norm = 0;
      detail::band_quadrature(wavelengths, band, [&](std::size_t i, double lambda, double w) {
        const auto share = detail::shares_of_neighbours(wavelengths[i], wavelengths[i + 1], lambda);
        const auto row = static_cast<index_t>(i);
        out(row, b) += w * share[0];
        out(row + 1, b) += w * share[1];
        norm += w;
      });
      for (index_t i = 0; i < out.rows(); ++i) out(i, b) /= norm * band.zero_point;
    }
    return out;
  }

private:
  std::vector<Passband> bands_;
};

static_assert(SpectralResponse<BandResponse>);

} // namespace sbi::forward
