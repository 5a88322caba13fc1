// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/adapt.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/simd.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/xp_covariance.hpp>

#include <Eigen/Cholesky>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::forward {

/// `XpNoise` for millions of stars: factors of its covariances, tabulated for template spectra at all levels
/// of light, a hundred times faster to draw from. A star takes the template of the nearest colour, log10 of
/// the light of RP over that of BP, and interpolates in the logarithm of each channel's light. Errors are
/// within a few per cent of `XpNoise`, which has been fitted to real ones to 5-19 %.
class XpNoiseTable {
public:
  static constexpr index_t half = XpChannel::coefficients;
  static constexpr double level_min = 1.5, level_max = 9,
                          level_step = .25; ///< log10 of electrons a second of a channel

  /// templates [m, 110]: noise-free coefficients of spectra of all colours, of any brightness. Throws
  /// ShapeError for other sizes, ValueError for a template without light in one of the channels.
  XpNoiseTable(const XpInstrument& instrument, const XpNoise& noise, View<const double> templates) {
    if (templates.rows() < 1 || templates.cols() != 2 * half)
      throw ShapeError(
          sbi::text("XP noise table: templates ", templates.shape, "; want [m,", 2 * half, "], m >= 1"));
    light_of(instrument.bp, {light_.data(), static_cast<std::size_t>(half)});
    light_of(instrument.rp, {light_.data() + half, static_cast<std::size_t>(half)});
    std::vector<index_t> order(static_cast<std::size_t>(templates.rows()));
    std::iota(order.begin(), order.end(), index_t{0});
    std::vector<double> colours;
    for (const index_t i : order)
      colours.push_back(place({templates.row(i), static_cast<std::size_t>(2 * half)}).colour);
    std::sort(order.begin(), order.end(), [&](index_t a, index_t b) {
      return colours[static_cast<std::size_t>(a)] < colours[static_cast<std::size_t>(b)];
    });
    node_.resize(order.size() * static_cast<std::size_t>(levels) * 2);
    for (std::size_t t = 0; t < order.size(); ++t) {
      const std::span<const double> coefficients(templates.row(order[t]), static_cast<std::size_t>(2 * half));
      const Place at = place(coefficients);
      colour_.push_back(at.colour);
      for (index_t l = 0; l < levels; ++l) {
        std::vector<double> scaled(coefficients.begin(), coefficients.end());
        const double level = level_min + level_step * static_cast<double>(l);
        for (std::size_t k = 0; k < scaled.size(); ++k)
          scaled[k] *= std::pow(10, level - at.level[k / static_cast<std::size_t>(half)]);
        const auto covariance = noise.covariance(scaled);
        for (std::size_t channel = 0; channel < 2; ++channel)
          node_[(t * static_cast<std::size_t>(levels) + static_cast<std::size_t>(l)) * 2 + channel] =
              Node(covariance[channel]);
      }
    }
  }

  /// Gaussian noise [110] and standard errors [110] of a star with these noise-free coefficients [110];
  /// always from 110 random numbers. A star fainter than the table has the noise of its faint end, a brighter
  /// one relative errors of its bright end. Throws ShapeError for other sizes, ValueError for a star without
  /// light in a channel.
  void draw(Rng& rng, std::span<const double> coefficients, std::span<float> noise,
            std::span<float> sigma) const {
    constexpr auto all = static_cast<std::size_t>(2 * half);
    if (coefficients.size() != all || noise.size() != all || sigma.size() != all)
      throw ShapeError(sbi::text("XP noise table: ", coefficients.size(), " coefficients, room for ",
                                 noise.size(), " and ", sigma.size(), "; want 110 of each"));
    const Place at = place(coefficients);
    const auto above = std::lower_bound(colour_.begin(), colour_.end(), at.colour);
    auto t = static_cast<std::size_t>(above - colour_.begin());
    if (t == colour_.size() || (t > 0 && at.colour - colour_[t - 1] < colour_[t] - at.colour)) --t;
    for (std::size_t channel = 0; channel < 2; ++channel) {
      const double position =
          std::clamp((at.level[channel] - level_min) / level_step, 0.0, static_cast<double>(levels - 1));
      const auto low = std::min(static_cast<index_t>(position), levels - 2);
      const double f = position - static_cast<double>(low),
                   beyond = std::pow(10, std::max(0.0, at.level[channel] - level_max));
      const Node* node =
          &node_[(t * static_cast<std::size_t>(levels) + static_cast<std::size_t>(low)) * 2 + channel];
      mix(rng, node[0], node[2], f, beyond, noise.data() + static_cast<index_t>(channel) * half,
          sigma.data() + static_cast<index_t>(channel) * half);
    }
  }

private:
  static constexpr auto levels = static_cast<index_t>((level_max - level_min) / level_step + 1.5);
  using V = Vec<float>;
  static constexpr index_t padded = (half + V::lanes - 1) / V::lanes * V::lanes;

  struct Place {
    std::array<double, 2> level; // of the channels
    double colour;
  };
  /// A lower factor L of a covariance over its scale, columns padded to whole vectors, each from the vector
  /// that holds its diagonal on; and the standard errors over the scale.
  struct Node {
    std::vector<float> factor, sigma;
    double log_scale = 0;

    Node() = default;
    explicit Node(const Tensor<double>& covariance) : sigma(static_cast<std::size_t>(padded)) {
      const Eigen::MatrixXd c = as_eigen(covariance);
      const Eigen::LLT<Eigen::MatrixXd> cholesky(c);
      if (cholesky.info() != Eigen::Success)
        throw NumericalError("XP noise table: a covariance is not positive definite");
      const Eigen::MatrixXd l = cholesky.matrixL();
      const double scale = std::sqrt(c.trace());
      log_scale = std::log(scale);
      for (index_t k = 0; k < half; ++k) {
        sigma[static_cast<std::size_t>(k)] = static_cast<float>(std::sqrt(c(k, k)) / scale);
        for (index_t i = k / V::lanes * V::lanes; i < padded; ++i)
          factor.push_back(i >= k && i < half ? static_cast<float>(l(i, k) / scale) : 0.0f);
      }
    }
  };

  /// The light of a channel is linear in the coefficients: sum over u of the bases.
  static void light_of(const XpChannel& channel, std::span<double> out) {
    constexpr double step = 0.5;
    std::array<double, static_cast<std::size_t>(half)> bases;
    for (double u = -3.75; u < 64; u += step) { // beyond, all bases vanish
      channel.bases(u, bases);
      for (std::size_t k = 0; k < bases.size(); ++k) out[k] += step * bases[k];
    }
  }
  [[nodiscard]] Place place(std::span<const double> coefficients) const {
    double bp = 0, rp = 0;
    for (std::size_t k = 0; k < static_cast<std::size_t>(half); ++k) {
      bp += light_[k] * coefficients[k];
      rp += light_[k + static_cast<std::size_t>(half)] * coefficients[k + static_cast<std::size_t>(half)];
    }
    if (!(bp > 0 && rp > 0) || !is_finite(bp + rp))
      throw ValueError(
          sbi::text("XP noise table: ", bp, " electrons a second in BP, ", rp, " in RP; want light in both"));
    return {{std::log10(bp), std::log10(rp)}, std::log10(rp / bp)};
  }

  static void mix(Rng& rng, const Node& a, const Node& b, double f, double beyond, float* noise,
                  float* sigma) {
    const double scale = beyond * std::exp(std::lerp(a.log_scale, b.log_scale, f));
    const V of_a(static_cast<float>(scale * (1 - f))), of_b(static_cast<float>(scale * f));
    constexpr index_t vectors = padded / V::lanes;
    V sum[vectors];
    for (V& s : sum) s = V(0);
    const float *p = a.factor.data(), *q = b.factor.data();
    for (index_t k = 0; k < half; ++k) {
      const V z(static_cast<float>(rng.normal()));
      const V za = z * of_a, zb = z * of_b;
      for (index_t i = k / V::lanes; i < vectors; ++i, p += V::lanes, q += V::lanes)
        sum[i] = fused_multiply_add(zb, V::load(q), fused_multiply_add(za, V::load(p), sum[i]));
    }
    for (index_t i = 0; i < vectors; ++i) {
      const index_t count = std::min<index_t>(V::lanes, half - i * V::lanes);
      sum[i].store(noise + i * V::lanes, count);
      (of_a * V::load(a.sigma.data() + i * V::lanes) + of_b * V::load(b.sigma.data() + i * V::lanes))
          .store(sigma + i * V::lanes, count);
    }
  }

  std::array<double, static_cast<std::size_t>(2 * half)> light_{};
  std::vector<double> colour_; // of the templates, increasing
  std::vector<Node> node_;     // [template, level, channel]
};

} // namespace sbi::forward
