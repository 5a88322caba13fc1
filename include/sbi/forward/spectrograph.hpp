// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/spectral_response.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A slit or fibre spectrograph: each pixel holds the mean flux density over its range of wavelengths of the
/// spectrum blurred by a Gaussian line-spread function, whose full width at half maximum is lambda/R at the
/// wavelength where the light comes from. Light is conserved: a line's pixels times their widths add up to
/// its flux.
class Spectrograph {
public:
  /// R = lambda / FWHM at a wavelength [micron].
  using Resolution = std::function<double(double)>;

  /// Pixels between consecutive edges [micron]. With `photon_counting` a pixel is the mean over photons, int
  /// lambda F / int lambda, as a detector calibrated by photons gives; else over energy. R should change
  /// little within a line; beyond the outer edges it is that of the edge, and it must be safe to call from
  /// many threads. Throws ValueError unless there are two or more positive, increasing edges and R is
  /// positive and finite at each.
  Spectrograph(std::string name, std::vector<double> edges, Resolution resolution,
               bool photon_counting = false)
      : name_(std::move(name)), edges_(std::move(edges)), resolution_(std::move(resolution)),
        photon_counting_(photon_counting) {
    if (edges_.size() < 2)
      throw ValueError(sbi::text(name_, ": ", edges_.size(), " edges of pixels; want two or more"));
    for (std::size_t i = 0; i < edges_.size(); ++i) {
      const double edge = edges_[i];
      if (!(edge > (i > 0 ? edges_[i - 1] : 0)) || !is_finite(edge))
        throw ValueError(sbi::text(name_, ": edge ", edge, " micron; want positive, increasing values"));
      const double r = resolution_(edge);
      if (!(r > 0) || !is_finite(r))
        throw ValueError(sbi::text(name_, ": resolution ", r, " at ", edge, " micron; want > 0"));
    }
  }
  Spectrograph(std::string name, std::vector<double> edges, double resolution, bool photon_counting = false)
      : Spectrograph(
            std::move(name), std::move(edges), [resolution](double) { return resolution; }, photon_counting) {
  }

  [[nodiscard]] const std::vector<double>& edges() const { return edges_; }
  [[nodiscard]] index_t pixels() const { return static_cast<index_t>(edges_.size()) - 1; }
  /// Mean wavelength of a pixel [micron].
  [[nodiscard]] double centre(index_t pixel) const {
    const auto p = static_cast<std::size_t>(pixel);
    return 0.5 * (edges_[p] + edges_[p + 1]);
  }
  /// The wavelengths [micron] that a spectrum must cover: six standard deviations beyond the outer edges.
  [[nodiscard]] double first() const { return edges_.front() - reach * sigma(edges_.front()); }
  [[nodiscard]] double last() const { return edges_.back() + reach * sigma(edges_.back()); }

  /// The instrument's name and the mean wavelength of the pixel in Angstrom: "LAMOST.3700.4".
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (index_t p = 0; p < pixels(); ++p) {
      char digits[32];
      const auto end =
          std::to_chars(digits, digits + sizeof digits, 1e4 * centre(p), std::chars_format::fixed, 1).ptr;
      out.push_back(name_ + '.' + std::string(digits, end));
    }
    return out;
  }

  /// [wavelengths, pixels]: mean F_lambda of each pixel from F_lambda at increasing wavelengths [micron],
  /// lambda^4 F linear in ln(lambda) in between. Throws ValueError, naming both ranges, unless the spectrum
  /// covers `first` to `last`.
  [[nodiscard]] Tensor<double> weights(std::span<const double> wavelengths) const {
    detail::check_coverage(name_, wavelengths, first(), last());
    Tensor<double> out(Shape{static_cast<index_t>(wavelengths.size()), pixels()});
    double step = sigma(edges_[0]); // on which everything is smooth
    for (const double edge : edges_) step = std::min(step, sigma(edge));
    detail::spectrum_quadrature(
        wavelengths, first(), last(), step,
        [&](std::size_t i, double lambda, double w, const std::array<double, 2>& share) {
          const double s = sigma(lambda), scale = 1 / (std::numbers::sqrt2 * s);
          double* row = out.row(static_cast<index_t>(i));
          // The share of the light that falls between two edges, for every pixel within reach.
          auto p = static_cast<std::size_t>(
              std::lower_bound(edges_.begin() + 1, edges_.end() - 1, lambda - reach * s) - edges_.begin() -
              1);
          for (double before = std::erf((edges_[p] - lambda) * scale);
               p + 1 < edges_.size() && edges_[p] < lambda + reach * s; ++p) {
            const double a = edges_[p], b = edges_[p + 1], after = std::erf((b - lambda) * scale);
            const double norm = photon_counting_ ? 0.5 * (b * b - a * a) / lambda : b - a;
            const double weight = 0.5 * w * (after - before) / norm;
            row[p] += weight * share[0];
            row[p + edges_.size() - 1] += weight * share[1];
            before = after;
          }
        });
    return out;
  }

private:
  static constexpr double fwhm = 2.3548200450309493; // 2 sqrt(2 ln 2) standard deviations
  static constexpr double reach = 6;                 // standard deviations; 2e-9 of a line lies beyond

  [[nodiscard]] double sigma(double lambda) const {
    return lambda / (fwhm * resolution_(std::clamp(lambda, edges_.front(), edges_.back())));
  }

  std::string name_;
  std::vector<double> edges_;
  Resolution resolution_;
  bool photon_counting_;
};

static_assert(SpectralResponse<Spectrograph>);

/// Edges of `count` pixels of equal width from `start` to `end` [micron]. Throws ValueError.
[[nodiscard]] inline std::vector<double> linear_pixels(double start, double end, index_t count) {
  if (count < 1 || !(end > start) || !(start > 0))
    throw ValueError(sbi::text("linear_pixels: ", count, " pixels from ", start, " to ", end, " micron"));
  std::vector<double> edges;
  for (index_t i = 0; i <= count; ++i)
    edges.push_back(std::lerp(start, end, static_cast<double>(i) / static_cast<double>(count)));
  return edges;
}
/// Edges of pixels of `step` dex, centred on start, start 10^step, ... up to `end` [micron], as surveys give
/// their spectra. Throws ValueError.
[[nodiscard]] inline std::vector<double> logarithmic_pixels(double start, double end, double step) {
  if (!(start > 0) || !(end > start) || !(step > 0))
    throw ValueError(
        sbi::text("logarithmic_pixels: steps of ", step, " dex from ", start, " to ", end, " micron"));
  const auto count = static_cast<index_t>(std::floor(std::log10(end / start) / step + 1e-9)) + 1;
  std::vector<double> edges;
  for (index_t i = 0; i <= count; ++i)
    edges.push_back(start * std::pow(10, step * (static_cast<double>(i) - 0.5)));
  return edges;
}

/// Like LAMOST's low-resolution spectra: R = 1800, 3700-9000 A in steps of 10^-4 dex.
[[nodiscard]] inline Spectrograph lamost() { return {"LAMOST", logarithmic_pixels(0.37, 0.90, 1e-4), 1800}; }
/// Like BOSS spectra: R = 2000, 3600-10400 A in steps of 10^-4 dex. (The real R grows along each arm, from
/// about 1500 to 2600, Smee et al. 2013, AJ 146, 32; pass a function for that.)
[[nodiscard]] inline Spectrograph boss() { return {"BOSS", logarithmic_pixels(0.36, 1.04, 1e-4), 2000}; }

} // namespace sbi::forward
