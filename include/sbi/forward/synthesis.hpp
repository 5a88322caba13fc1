// SPDX-License-Identifier: MIT
// From many stars to what instruments record, fast: one pass over the spectrum of a star, one matrix product
// for a block of stars.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/forward/dust_curve.hpp>
#include <sbi/forward/light_source.hpp>
#include <sbi/forward/spectral_grid.hpp>
#include <sbi/forward/spectral_response.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Stars -> outputs of linear instruments. With models ln F_n(lambda) of a grid, dust k(lambda) =
/// A(lambda)/A_V and responses W, a source gives
///
///   c = (R/d)^2 sum_lambda W(lambda) exp(sum_n w_n ln F_n(lambda) - 0.4 ln 10 A_V k(lambda; R_V)),
///
/// so dust acts on the spectrum, and interpolation and dust cost one exponential a wavelength. T = float is
/// the fast path, a few 1e-6 relative from T = double while the light behind the dust stays a normal float
/// (A_V below 110).
template <class T = float> class Synthesis {
public:
  /// What outputs are differentiated by, all of the primary or of the whole source: log10 T_eff, log10 g,
  /// [M/H], log10 R, A_V, R_V, log10 distance.
  static constexpr std::array derivatives{"log_teff", "log_g", "mh",          "log_radius",
                                          "a_v",      "r_v",   "log_distance"};

  /// The outputs of all responses, one response after the other. R_V within [r_v_min, r_v_max]. The first
  /// model wavelength beyond either end of the dust law takes the law at its end: bands interpolate to there.
  /// Throws ValueError where a response sees wavelengths that the grid does not cover or the dust law not
  /// even so, and for a response that sees none.
  template <BoundedDustLaw D, SpectralResponse... R>
  Synthesis(SpectralGrid grid, const D& law, double r_v_min, double r_v_max, const R&... responses)
      : grid_(std::move(grid)), dust_(law, within(law, grid_.wavelengths()), r_v_min, r_v_max) {
    (add(responses), ...);
    first_ = size_of(grid_.wavelengths());
    for (const Part& part : parts_)
      first_ = std::min(first_, part.first), last_ = std::max(last_, part.first + part.weights.rows());
    if (first_ >= last_)
      throw ValueError("synthesis: no response sees any wavelength; want at least one that does");
    for (index_t i = first_; i < last_; ++i)
      if (!dust_.covered(static_cast<std::size_t>(i)))
        throw ValueError(sbi::text("synthesis: the dust law does not cover ",
                                   grid_.wavelengths()[static_cast<std::size_t>(i)],
                                   " micron, which a response sees"));
    for (std::size_t k = 0; k < depth_.size(); ++k)
      for (index_t i = first_; i < last_; ++i)
        depth_[k].push_back(
            static_cast<T>(-0.4 * std::numbers::ln10 * dust_.coefficient(k)[static_cast<std::size_t>(i)]));
  }

  [[nodiscard]] const SpectralGrid& grid() const { return grid_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] index_t outputs() const { return size_of(names_); }

  /// Outputs [sources, outputs] of many sources in parallel, NaN where `coverage` [sources] says no_model or
  /// bad_value. The bits do not depend on the number of threads. Throws ShapeError for extents that do not
  /// fit.
  template <Backend B>
  void fluxes(const B& be, std::span<const LightSource> sources, View<T> out,
              std::span<Coverage> coverage) const {
    run<false>(be, sources, out, {}, coverage);
  }
  /// The same with the derivatives [sources, 7, outputs] of each output in the order of `derivatives`. Where
  /// models are joined the derivative by T_eff, g or [M/H] jumps, as the interpolation's does; companions
  /// stay as they are.
  template <Backend B>
  void jacobian(const B& be, std::span<const LightSource> sources, View<T> out, View<T> slopes,
                std::span<Coverage> coverage) const {
    if (slopes.size() != size_of(sources) * size_of(derivatives) * outputs() || slopes.cols() != outputs() ||
        !slopes.contiguous())
      throw ShapeError(sbi::text("synthesis: room for derivatives ", slopes.shape, "; want [", sources.size(),
                                 ",", derivatives.size(), ",", outputs(), "] without gaps"));
    run<true>(be, sources, out, slopes, coverage);
  }

private:
  static constexpr index_t block = 32; // sources a task: their light stays in the second cache
  static constexpr int dust_terms = 4,
                       slope_rows = 6; // the derivative by distance is a multiple of the output

  /// A response where it sees something.
  struct Part {
    index_t first, column; // of the grid, of the outputs
    Tensor<T> weights;
  };
  template <class C> static index_t size_of(const C& c) { return static_cast<index_t>(c.size()); }

  template <class D> static std::vector<double> within(const D&, std::span<const double> wavelengths) {
    constexpr double rounding = 1e-12; // inside also after two divisions
    const double first = (1 + rounding) / D::x_max, last = (1 - rounding) / D::x_min;
    std::vector<double> out(wavelengths.begin(), wavelengths.end());
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i] > last && i > 0 && wavelengths[i - 1] < last) out[i] = last;
      if (out[i] < first && i + 1 < out.size() && wavelengths[i + 1] > first) out[i] = first;
    }
    return out;
  }
  template <SpectralResponse R> void add(const R& response) {
    const Tensor<double> w = response.weights(grid_.wavelengths());
    const std::vector<std::string> names = response.names();
    index_t first = w.rows(), last = 0;
    for (index_t i = 0; i < w.rows(); ++i)
      if (std::any_of(w.row(i), w.row(i) + w.cols(), [](double x) { return x != 0; }))
        first = std::min(first, i), last = i + 1;
    if (first >= last && !names.empty())
      throw ValueError(sbi::text("synthesis: the response of ", names[0],
                                 " sees no wavelength; want a weight that is not 0"));
    if (first < last) {
      Part part{first, outputs(), Tensor<T>(Shape{last - first, w.cols()})};
      std::transform(w.row(first), w.row(last), part.weights.begin(),
                     [](double x) { return static_cast<T>(x); });
      parts_.push_back(std::move(part));
    }
    names_.insert(names_.end(), names.begin(), names.end());
  }

  /// Whether every number of a source can be used; also outside the models.
  [[nodiscard]] bool usable(const LightSource& s) const {
    bool finite = s.count >= 1 && s.count <= size_of(s.stars) && is_finite(s.log_distance) && s.a_v >= 0 &&
                  is_finite(s.a_v) && s.r_v >= dust_.r_v_min() && s.r_v <= dust_.r_v_max();
    for (int k = 0; finite && k < s.count; ++k) {
      const Photosphere& p = s.stars[static_cast<std::size_t>(k)];
      finite = is_finite(p.log_teff) && is_finite(p.log_g) && is_finite(p.mh) && is_finite(p.log_radius);
    }
    return finite;
  }

  template <bool Slopes, Backend B>
  void run(const B& be, std::span<const LightSource> sources, View<T> out, View<T> slopes,
           std::span<Coverage> coverage) const {
    if (out.rows() != size_of(sources) || out.cols() != outputs() || coverage.size() != sources.size())
      throw ShapeError(sbi::text("synthesis: room for ", out.shape, " outputs and ", coverage.size(),
                                 " flags; want [", sources.size(), ",", outputs(), "] and ", sources.size()));
    constexpr index_t rows = Slopes ? 1 + slope_rows : 1;
    be.for_each((size_of(sources) + block - 1) / block, [&](index_t task) {
      const ArenaScope scope(be.arena());
      const index_t begin = task * block, count = std::min(block, size_of(sources) - begin),
                    width = last_ - first_;
      const View<T> light(be.arena().template array<T>(count * rows * width), Shape{count * rows, width});
      const View<T> sums(be.arena().template array<T>(count * rows * outputs()),
                         Shape{count * rows, outputs()});
      for (index_t s = 0; s < count; ++s)
        coverage[static_cast<std::size_t>(begin + s)] =
            shine<Slopes>(sources[static_cast<std::size_t>(begin + s)], light.row_block(s * rows, rows));
      for (const Part& part : parts_)
        gemm(be, light.columns(part.first - first_, part.weights.rows()), Transpose::no, part.weights.view(),
             Transpose::no, sums.columns(part.column, part.weights.cols()), Write::overwrite);
      for (index_t s = 0; s < count; ++s) {
        const LightSource& source = sources[static_cast<std::size_t>(begin + s)];
        const Coverage c = coverage[static_cast<std::size_t>(begin + s)];
        const bool seen = c == Coverage::whole || c == Coverage::dark_companions;
        const T scale = seen ? static_cast<T>(std::pow(10, 2 * (source.stars[0].log_radius +
                                                                log_solar_radius - source.log_distance)))
                             : std::numeric_limits<T>::quiet_NaN();
        const auto scaled = [&](index_t from, T* to, T factor) {
          for (index_t k = 0; k < outputs(); ++k) to[k] = factor * sums(s * rows + from, k);
        };
        scaled(0, out.row(begin + s), scale);
        if constexpr (Slopes) {
          for (index_t p = 0; p < slope_rows; ++p)
            scaled(1 + p, slopes.row((begin + s) * (slope_rows + 1) + p), scale);
          scaled(0, slopes.row((begin + s) * (slope_rows + 1) + slope_rows),
                 scale * static_cast<T>(-2 * std::numbers::ln10));
        }
      }
    });
  }

  /// The light of a source per surface of the primary [1 or 1 + 6, wavelengths]: the spectrum and its
  /// derivatives. Zero where nothing can be seen: the product must not meet numbers that are none.
  template <bool Slopes> Coverage shine(const LightSource& source, View<T> light) const {
    const auto darken = [&](Coverage why) {
      for (index_t r = 0; r < light.rows(); ++r) std::fill_n(light.row(r), light.cols(), T{0});
      return why;
    };
    if (!usable(source)) return darken(Coverage::bad_value);
    Coverage coverage = Coverage::whole;
    for (int k = 0; k < source.count; ++k) {
      const Photosphere& star = source.stars[static_cast<std::size_t>(k)];
      const std::optional<GridCorners> at = grid_.corners(star.log_teff, star.log_g, star.mh);
      if (!at && k == 0) return darken(Coverage::no_model);
      if (!at) {
        coverage = Coverage::dark_companions;
        continue;
      }
      const double area = 2 * std::numbers::ln10 * (star.log_radius - source.stars[0].log_radius);
      if (k == 0)
        add_star<Slopes, true>(source, *at, area, light);
      else
        add_star<Slopes, false>(source, *at, area, light);
    }
    return coverage;
  }

  template <bool Slopes, bool Primary>
  void add_star(const LightSource& source, const GridCorners& at, double log_area, View<T> light) const {
    using V = Vec<T>;
    const std::array<double, dust_terms> basis = dust_.basis(source.r_v),
                                         basis_slope = dust_.basis_slope(source.r_v);
    std::array<const float*, 8> node{};
    const auto count = static_cast<std::size_t>(at.count);
    for (std::size_t n = 0; n < count; ++n) node[n] = grid_.ln_flux(at.node[n]).data() + first_;
    const auto of_dust = [&](index_t i, index_t lanes, const std::array<double, dust_terms>& by, double a_v) {
      V sum(0);
      for (std::size_t t = 0; t < dust_terms; ++t)
        sum = fused_multiply_add(V(a_v * by[t]), V::load(depth_[t].data() + i, lanes), sum);
      return sum;
    };
    const auto of_models = [&](index_t i, index_t lanes, const std::array<double, 8>& weights, V sum) {
      for (std::size_t n = 0; n < count; ++n)
        sum = fused_multiply_add(V(weights[n]), load_models(node[n] + i, lanes), sum);
      return sum;
    };
    const auto put = [&](index_t row, index_t i, index_t lanes, V value) {
      T* to = light.row(row) + i;
      (Primary ? value : V::load(to, lanes) + value).store(to, lanes);
    };
    for (index_t i = 0; i < light.cols(); i += V::lanes) {
      const index_t lanes = std::min<index_t>(V::lanes, light.cols() - i);
      using std::exp;
      const V spectrum =
          exp(of_models(i, lanes, at.weight, of_dust(i, lanes, basis, source.a_v) + V(log_area)));
      put(0, i, lanes, spectrum);
      if constexpr (Slopes) {
        for (std::size_t p = 0; p < 3; ++p)
          put(static_cast<index_t>(1 + p), i, lanes,
              Primary ? spectrum * of_models(i, lanes, at.slope[p], V(0)) : V(0));
        put(4, i, lanes, Primary ? spectrum * V(2 * std::numbers::ln10) : V(0));
        put(5, i, lanes, spectrum * of_dust(i, lanes, basis, 1));
        put(6, i, lanes, spectrum * of_dust(i, lanes, basis_slope, source.a_v));
      }
    }
  }
  static Vec<T> load_models(const float* p, index_t lanes) {
    if constexpr (std::is_same_v<T, float>) {
      return Vec<T>::load(p, lanes);
    } else {
      T wide[Vec<T>::lanes] = {};
      std::copy_n(p, lanes, wide);
      return Vec<T>::load(wide);
    }
  }

  static inline const double log_solar_radius = std::log10(solar_radius / parsec);
  SpectralGrid grid_;
  DustCurve dust_;
  std::vector<Part> parts_;
  std::vector<std::string> names_;
  index_t first_ = 0, last_ = 0;                 // the part of the grid that some response sees
  std::array<std::vector<T>, dust_terms> depth_; // -0.4 ln 10 times the curve's coefficients there
};

} // namespace sbi::forward
