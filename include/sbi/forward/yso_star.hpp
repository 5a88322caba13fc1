// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/black_body.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/yso_dust.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <span>
#include <vector>

namespace sbi::forward {

/// A star that radiates like a black body, on the wavelengths of the young stellar objects.
class BlackBodyStar : public BlackBody {
public:
  BlackBodyStar() : BlackBody(centres()) {}

private:
  static std::vector<double> centres() {
    std::vector<double> out;
    for (std::size_t i = 0; i < yso_wavelength_count; ++i)
      out.push_back(detail::yso_shortest * std::exp(detail::yso_ln_step * (static_cast<double>(i) + .5)));
    return out;
  }
};

static_assert(Atmosphere<BlackBodyStar>);

/// Surface flux of a star in F_nu at the 200 wavelengths: a spectrum of the atmosphere's own grid averaged
/// over the logarithmic bins, so that the bins hold exactly its energy. Beyond the atmosphere's wavelengths a
/// black body of the same T_eff continues, scaled to meet its ends.
template <Atmosphere A> class YsoStar {
public:
  static constexpr double log_g = 4, mh = 0; ///< those of the published grid

  explicit YsoStar(A atmosphere = A{}) : atmosphere_(std::move(atmosphere)) {
    if constexpr (!std::same_as<A, BlackBodyStar>) {
      const std::span<const double> own = atmosphere_.wavelengths();
      if (own.size() < 2)
        throw ShapeError(text("YSO star: an atmosphere of ", own.size(), " wavelengths; want two or more"));
      const auto edge = [](std::size_t i) {
        return detail::yso_shortest * std::exp(detail::yso_ln_step * static_cast<double>(i));
      };
      for (std::size_t i = 0; i <= yso_wavelength_count; ++i) {
        if (edge(i) < own.front()) points_.push_back(edge(i));
      }
      first_ = points_.size();
      points_.insert(points_.end(), own.begin(), own.end());
      for (std::size_t i = 0; i <= yso_wavelength_count; ++i)
        if (edge(i) > own.back()) points_.push_back(edge(i));
      spread();
    }
  }

  [[nodiscard]] const A& atmosphere() const { return atmosphere_; }

  /// pi F_nu at the surface [erg/s/cm^2/Hz]. Throws ValueError where the atmosphere does not cover T_eff [K]
  /// with log g = 4 and solar metallicity.
  void flux(const YsoDust& dust, double teff, std::span<double, yso_wavelength_count> out) const {
    if constexpr (std::same_as<A, BlackBodyStar>) {
      dust.black_body(teff, out);
    } else {
      const std::size_t own = atmosphere_.wavelengths().size(), last = first_ + own - 1;
      std::vector<double> f(points_.size());
      atmosphere_.flux(std::log10(teff), log_g, mh, {f.data() + first_, own});
      const auto planck = [&](std::size_t j) {
        return radiation_c1 * std::pow(points_[j], -5) / std::expm1(radiation_c2 / (points_[j] * teff));
      };
      const double below = first_ > 0 ? f[first_] / planck(first_) : 0, above = f[last] / planck(last);
      for (std::size_t j = 0; j < first_; ++j) f[j] = below * planck(j);
      for (std::size_t j = last + 1; j < f.size(); ++j) f[j] = above * planck(j);
      std::fill(out.begin(), out.end(), 0.0);
      for (const Share& s : shares_) out[s.bin] += s.weight * f[s.point];
    }
  }

private:
  struct Share {
    std::size_t bin, point;
    double weight;
  };

  /// lambda F_lambda is linear in ln(lambda) between points; a bin's F_nu times nu dln(nu) is its integral.
  void spread() {
    const double shortest = std::log(detail::yso_shortest);
    for (std::size_t j = 0; j + 1 < points_.size(); ++j) {
      const double a = std::log(points_[j]), width = std::log(points_[j + 1]) - a;
      if (!(width > 0)) continue;
      for (double from = std::max(a, shortest); from < a + width;) {
        const auto bin =
            static_cast<std::size_t>(std::max(0., (from - shortest) / detail::yso_ln_step + 1e-9));
        if (bin >= yso_wavelength_count) break;
        const double end = shortest + detail::yso_ln_step * (static_cast<double>(bin) + 1);
        const double to = std::min(end, a + width), middle = ((from + to) / 2 - a) / width;
        // The bin's mean of lambda F_lambda, over nu at its centre.
        const double nu = light_speed / (1e4 * std::exp(end - detail::yso_ln_step / 2));
        const double scale = (to - from) / detail::yso_ln_step * 1e4 / nu;
        shares_.push_back({bin, j, scale * (1 - middle) * points_[j]});
        shares_.push_back({bin, j + 1, scale * middle * points_[j + 1]});
        from = to;
      }
    }
  }

  A atmosphere_;
  std::vector<double> points_; ///< micron: the atmosphere's from first_ on, the black body's around them
  std::size_t first_ = 0;
  std::vector<Share> shares_;
};

} // namespace sbi::forward
