// SPDX-License-Identifier: MIT
// Synthetic observations on the tape: gradients of any loss by the parameters of stars.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/forward/synthesis.hpp>

#include <cmath>
#include <numbers>
#include <vector>

namespace sbi::forward {

/// y [n, outputs] = what the instruments of a `Synthesis` record of n single stars, x [n, 7] in the order of
/// `Synthesis::derivatives`: log10 T_eff, log10 g, [M/H], log10 R [solar], A_V, R_V, log10 distance [pc]. The
/// first `magnitudes` outputs are turned into -2.5 log10. The synthesis must outlive the tape. A star without
/// models, or a number that cannot be used, throws ValueError naming the row: there is no gradient to follow
/// back.
template <class T> struct Synthesize {
  const Synthesis<T>* synthesis;
  index_t magnitudes = 0;

  static constexpr auto inputs = static_cast<index_t>(Synthesis<T>::derivatives.size());

  [[nodiscard]] Shape shape(Shape x) const {
    if (x.cols() != inputs) throw ShapeError(sbi::text("synthesize: x is ", x, "; want [n,", inputs, "]"));
    if (magnitudes < 0 || magnitudes > synthesis->outputs())
      throw ValueError(
          sbi::text("synthesize: ", magnitudes, " magnitudes of ", synthesis->outputs(), " outputs"));
    return {x.rows(), synthesis->outputs()};
  }
  /// dy/dx [n, 7, outputs].
  [[nodiscard]] Shape saved(Shape x) const { return {x.rows(), inputs, synthesis->outputs()}; }

  template <Backend B> void fwd(B& be, View<const T> x, View<T> y, View<T> slopes) const {
    std::vector<LightSource> sources(static_cast<std::size_t>(x.rows()));
    std::vector<Coverage> coverage(sources.size());
    for (index_t i = 0; i < x.rows(); ++i) {
      const T* p = x.row(i);
      LightSource& s = sources[static_cast<std::size_t>(i)];
      s.stars[0] = {p[0], p[1], p[2], p[3]};
      s.a_v = p[4], s.r_v = p[5], s.log_distance = p[6];
    }
    synthesis->jacobian(be, sources, y, slopes, coverage);
    for (index_t i = 0; i < x.rows(); ++i) {
      if (coverage[static_cast<std::size_t>(i)] != Coverage::whole) {
        const T* p = x.row(i);
        throw ValueError(sbi::text("synthesize: row ", i, ": log T_eff ", p[0], ", log g ", p[1], ", [M/H] ",
                                   p[2], ", log R ", p[3], ", A_V ", p[4], ", R_V ", p[5], ", log distance ",
                                   p[6], " is no star of this atmosphere and dust law"));
      }
      for (index_t k = 0; k < magnitudes; ++k) {
        if (!(y(i, k) > 0))
          throw ValueError(sbi::text("synthesize: row ", i, ": no light in ",
                                     synthesis->names()[static_cast<std::size_t>(k)],
                                     "; want some to take a logarithm of"));
        const T scale = static_cast<T>(-2.5 / std::numbers::ln10) / y(i, k);
        for (index_t p = 0; p < inputs; ++p) slopes(i * inputs + p, k) *= scale;
        y(i, k) = static_cast<T>(-2.5) * std::log10(y(i, k));
      }
    }
  }
  template <Backend B>
  void vjp(B&, View<const T> x, View<const T>, View<const T> slopes, View<const T> dy, View<T> dx) const {
    for (index_t i = 0; i < x.rows(); ++i)
      for (index_t p = 0; p < inputs; ++p) {
        double sum = 0;
        for (index_t k = 0; k < dy.cols(); ++k)
          sum += static_cast<double>(slopes(i * inputs + p, k) * dy(i, k));
        dx(i, p) += static_cast<T>(sum);
      }
  }
};

} // namespace sbi::forward
