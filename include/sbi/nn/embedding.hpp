// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/view.hpp>

#include <cmath>
#include <numbers>

namespace sbi::nn {

/// Fourier features of a diffusion time, through its noise ratio: sin and cos of w_k log(sigma / alpha) at
/// frequencies from `lowest` to `highest` in geometric progression. Fixed, so a checkpoint need not hold
/// them.
struct TimeEmbedding {
  index_t frequencies = 16;
  double lowest = 0.1, highest = 6;

  [[nodiscard]] index_t width() const { return 2 * frequencies; }
  /// Writes [width()] values.
  template <class T> void write(double noise_ratio, T* out) const {
    const double x = std::log(noise_ratio);
    for (index_t k = 0; k < frequencies; ++k) {
      const double share =
          frequencies > 1 ? static_cast<double>(k) / static_cast<double>(frequencies - 1) : 0;
      const double w = lowest * std::pow(highest / lowest, share);
      out[2 * k] = static_cast<T>(std::sin(w * x));
      out[2 * k + 1] = static_cast<T>(std::cos(w * x));
    }
  }
};

/// Features of a scalar: itself and sin, cos of (pi / 2) 2^k v for k < octaves. The octaves let the first
/// layer see structure much finer than the value's range, and learn noise by heart as fine: fewer serve
/// better where simulations are few (docs/decisions.md, 15). They come from one sine and cosine by doubling
/// the angle.
struct ValueEmbedding {
  index_t octaves = 4;

  [[nodiscard]] index_t width() const { return 1 + 2 * octaves; }
  template <class T> void write(T value, T* out) const {
    out[0] = value;
    T s = std::sin(static_cast<T>(std::numbers::pi / 2) * value),
      c = std::cos(static_cast<T>(std::numbers::pi / 2) * value);
    for (index_t k = 0; k < octaves; ++k) {
      out[1 + 2 * k] = s, out[2 + 2 * k] = c;
      const T doubled = 2 * s * c;
      c = c * c - s * s, s = doubled;
    }
  }
};

} // namespace sbi::nn
