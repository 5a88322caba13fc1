// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/dust.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace sbi::forward {

namespace detail {

enum class SplineEnd { natural, not_a_knot };

/// The second derivatives at increasing knots x of the cubic spline through (x, y): zero at both ends, or
/// with one cubic over the first two and one over the last two intervals.
template <std::size_t N>
constexpr std::array<double, N> spline_bends(const std::array<double, N>& x, const std::array<double, N>& y,
                                             SplineEnd end) {
  static_assert(N >= 4, "sbi: a spline wants at least four knots");
  // Unknowns are the inner second derivatives m; an end that is no knot is linear in the two next to it.
  std::array<double, N> m{}, upper{};
  const auto width = [&](std::size_t i) { return x[i + 1] - x[i]; };
  const auto slope = [&](std::size_t i) { return (y[i + 1] - y[i]) / width(i); };
  for (std::size_t i = 1; i + 1 < N; ++i) { // elimination (Thomas)
    const double left = width(i - 1), right = width(i);
    double below = i > 1 ? left : 0, diagonal = 2 * (left + right), above = i + 2 < N ? right : 0;
    if (end == SplineEnd::not_a_knot && i == 1) {
      diagonal += left * (left + right) / right;
      above -= left * left / right;
    }
    if (end == SplineEnd::not_a_knot && i + 2 == N) {
      diagonal += right * (left + right) / left;
      below -= right * right / left;
    }
    const double pivot = diagonal - below * upper[i - 1];
    upper[i] = above / pivot;
    m[i] = (6 * (slope(i) - slope(i - 1)) - below * m[i - 1]) / pivot;
  }
  for (std::size_t i = N - 2; i-- > 1;) m[i] -= upper[i] * m[i + 1];
  if (end == SplineEnd::not_a_knot) {
    m[0] = m[1] + (m[1] - m[2]) * width(0) / width(1);
    m[N - 1] = m[N - 2] + (m[N - 2] - m[N - 3]) * width(N - 2) / width(N - 3);
  }
  return m;
}

/// The weights of a spline at one point t between the knots: of the values and of the second derivatives at
/// the two knots around it.
struct SplineWeights {
  template <std::size_t N> SplineWeights(const std::array<double, N>& x, double t) {
    low = static_cast<std::size_t>(std::upper_bound(x.begin() + 1, x.end() - 1, t) - x.begin()) - 1;
    const double h = x[low + 1] - x[low];
    right = (t - x[low]) / h;
    left = 1 - right;
    left_bend = left * (left * left - 1) * h * h / 6;
    right_bend = right * (right * right - 1) * h * h / 6;
  }
  template <std::size_t N>
  [[nodiscard]] double operator()(const std::array<double, N>& y, const std::array<double, N>& bends) const {
    return left * y[low] + right * y[low + 1] + left_bend * bends[low] + right_bend * bends[low + 1];
  }

  std::size_t low;
  double left, right, left_bend, right_bend;
};

/// F99 in the ultraviolet: the coefficients of R_V, 1, 1/R_V and 1/R_V^2 in A(lambda)/A_V. The parameters of
/// Fitzpatrick & Massa are C2 = -0.824 + 4.717/R_V, C1 = 2.030 - 3.007 C2, C3 = 3.23, C4 = 0.41.
constexpr std::array<double, 4> f99_ultraviolet(double x) {
  const double shape = fitzpatrick_massa(x, {2.030, 0, 3.23, 0.41}, 4.596, 0.99);
  return {0, 1, shape - 0.824 * (x - 3.007), 4.717 * (x - 3.007)};
}
/// F99 at longer wavelengths: the same four coefficients at the anchors of the spline.
struct F99Spline {
  using Knots = std::array<double, 9>;
  static constexpr Knots knots{0,         1 / 2.65,  1 / 1.22, 1 / 0.600, 1 / 0.547,
                               1 / 0.467, 1 / 0.411, 1 / 0.27, 1 / 0.26};
  std::array<Knots, 4> anchors{}, bends{};

  constexpr F99Spline() {
    anchors[0][6] = -0.00033;
    anchors[1] = {0, 0.265 / 3.1, 0.829 / 3.1, 1.0044, 1.0016, 1.0016, 1.0032, 0, 0};
    anchors[2] = {0, 0, 0, -0.426, -0.050, 0.701, 1.208, 0, 0};
    for (std::size_t k = 0; k < 4; ++k) {
      for (const std::size_t i : {std::size_t{7}, std::size_t{8}})
        anchors[k][i] = f99_ultraviolet(knots[i])[k];
      bends[k] = spline_bends(knots, anchors[k], SplineEnd::natural);
    }
  }
};
inline constexpr F99Spline f99_spline;

/// The table of Fitzpatrick et al. (2019): x [1/micron], k = E(lambda-55)/E(44-55) at R(55) = 3.02, and its
/// change with R(55).
inline constexpr double f19_table[][3]{
    {0, -3.02, -1},       {.455, -2.747, -.842}, {.606, -2.528, -.728}, {.8, -2.222, -.531},
    {1, -1.757, -.36},    {1.1, -1.567, -.284},  {1.2, -1.3, -.223},    {1.25, -1.216, -.198},
    {1.3, -1.07, -.173},  {1.35, -.973, -.15},   {1.4, -.868, -.13},    {1.45, -.75, -.11},
    {1.5, -.629, -.096},  {1.55, -.509, -.081},  {1.6, -.407, -.063},   {1.65, -.32, -.048},
    {1.7, -.221, -.032},  {1.75, -.133, -.017},  {1.8, -.048, -.005},   {1.818, 0, 0},
    {1.85, .071, .007},   {1.9, .188, .013},     {1.95, .319, .012},    {2, .438, .01},
    {2.05, .575, .004},   {2.1, .665, .003},     {2.15, .744, 0},       {2.2, .838, .002},
    {2.25, .951, .001},   {2.273, 1, 0},         {2.3, 1.044, 0},       {2.35, 1.113, .001},
    {2.4, 1.181, .001},   {2.45, 1.269, -.002},  {2.5, 1.346, 0},       {2.55, 1.405, -.002},
    {2.6, 1.476, -.002},  {2.65, 1.558, -.006},  {2.7, 1.632, -.009},   {2.75, 1.723, -.011},
    {2.8, 1.791, -.017},  {2.85, 1.869, -.025},  {2.9, 1.948, -.029},   {2.95, 2.009, -.037},
    {3, 2.09, -.043},     {3.1, 2.253, -.064},   {3.2, 2.408, -.092},   {3.3, 2.565, -.122},
    {3.4, 2.746, -.161},  {3.5, 2.933, -.201},   {3.6, 3.124, -.249},   {3.7, 3.328, -.303},
    {3.8, 3.55, -.366},   {3.9, 3.815, -.437},   {4, 4.139, -.517},     {4.1, 4.534, -.603},
    {4.2, 5.012, -.692},  {4.3, 5.56, -.774},    {4.4, 6.118, -.843},   {4.5, 6.565, -.888},
    {4.6, 6.767, -.908},  {4.7, 6.681, -.903},   {4.8, 6.394, -.88},    {4.9, 6.038, -.849},
    {5, 5.704, -.816},    {5.1, 5.432, -.785},   {5.2, 5.226, -.76},    {5.3, 5.078, -.741},
    {5.4, 4.978, -.729},  {5.5, 4.913, -.722},   {5.6, 4.877, -.722},   {5.7, 4.862, -.726},
    {5.8, 4.864, -.734},  {5.9, 4.879, -.745},   {6, 4.904, -.76},      {6.1, 4.938, -.778},
    {6.2, 4.982, -.798},  {6.3, 5.038, -.82},    {6.4, 5.105, -.845},   {6.5, 5.181, -.87},
    {6.6, 5.266, -.898},  {6.7, 5.359, -.926},   {6.8, 5.46, -.956},    {6.9, 5.569, -.988},
    {7, 5.684, -1.02},    {7.1, 5.805, -1.053},  {7.2, 5.933, -1.087},  {7.3, 6.067, -1.122},
    {7.4, 6.207, -1.158}, {7.5, 6.352, -1.195},  {7.6, 6.502, -1.232},  {7.7, 6.657, -1.27},
    {7.8, 6.817, -1.309}, {7.9, 6.981, -1.349},  {8, 7.15, -1.389},     {8.1, 7.323, -1.429},
    {8.2, 7.5, -1.471},   {8.3, 7.681, -1.513},  {8.4, 7.866, -1.555},  {8.5, 8.054, -1.598},
    {8.6, 8.246, -1.641}, {8.7, 8.441, -1.685}};
struct F19Spline {
  static constexpr std::size_t rows = sizeof f19_table / sizeof f19_table[0];
  using Column = std::array<double, rows>;
  Column x{}, k{}, slope{}, k_bends{}, slope_bends{};

  constexpr F19Spline() {
    for (std::size_t i = 0; i < rows; ++i) {
      x[i] = f19_table[i][0];
      k[i] = f19_table[i][1];
      slope[i] = f19_table[i][2];
    }
    k_bends = spline_bends(x, k, SplineEnd::not_a_knot);
    slope_bends = spline_bends(x, slope, SplineEnd::not_a_knot);
  }
};
inline constexpr F19Spline f19_spline;

} // namespace detail

/// The extinction law of Fitzpatrick (1999, PASP 111, 63), for 2 <= R_V <= 6: the curve of Fitzpatrick &
/// Massa (1990) with parameters that depend on R_V up to 2700 A, and a natural cubic spline in x through 2600
/// and 2700 A, through anchors in the optical and infrared that depend on R_V (tables 3 and 4), and through
/// zero at infinite wavelength. It meets the anchors and is continuous at 2700 A, where its first derivative
/// steps. Theirs rests on spectra for x <= 8.7 per micron and photometry for wavelengths up to 2.65 micron.
/// The continuation is the same formula on both sides: to x = 10 in the ultraviolet, and in the infrared the
/// last piece of their spline, which falls nearly as x to its anchor at 0; down to x = 0.01 (100 micron). It
/// knows nothing of the silicate features at 10 and 20 micron.
struct F99 {
  static constexpr double x_min = 0.01, x_max = 10;
  static constexpr double r_v_min = 2, r_v_max = 6;

  /// For an R_V that is a number or a Dual. Throws ValueError outside the ranges.
  template <class R> [[nodiscard]] detail::DustNumber<R> operator()(double x, const R& r_v) const {
    const auto r = static_cast<detail::DustNumber<R>>(r_v);
    detail::check_dust<F99>("F99", x, detail::plain(r));
    std::array<double, 4> c{}; // of R_V, 1, 1/R_V and 1/R_V^2
    if (x >= detail::F99Spline::knots[7]) {
      c = detail::f99_ultraviolet(x);
    } else {
      const detail::SplineWeights weights(detail::F99Spline::knots, x);
      for (std::size_t k = 0; k < 4; ++k)
        c[k] = weights(detail::f99_spline.anchors[k], detail::f99_spline.bends[k]);
    }
    return c[0] * r + c[1] + (c[2] + c[3] / r) / r;
  }
};

/// The extinction law of Fitzpatrick et al. (2019, ApJ 886, 108), from optical spectra, for 2 <= R_V <= 6:
/// the cubic spline (without knots next to the ends) of their table of k = E(lambda-55)/E(44-55) at R_V = 3.1
/// and of its slope; A(lambda)/A_V = 1 + k/R_V. Theirs for 0.3 <= x <= 8.7 per micron. Below x = 0.3 the
/// spline has no data but an anchor at infinite wavelength; the power law x^1.61 continues instead, as for
/// CCM89, joined without a step down to x = 0.01 (100 micron). Their ratio is A(lambda)/A(55) = 1 + k/R(55)
/// with the monochromatic R(55) = (R_V - 0.049)/1.01; R_V stands here in the place of R(55), as in the
/// package dust_extinction. That moves A(lambda)/A_V by -0.026 k/R_V at R_V = 3.1: it matters in the
/// infrared, where it adds up to 0.025.
struct F19 {
  static constexpr double x_min = 0.01, x_max = 8.7;
  static constexpr double r_v_min = 2, r_v_max = 6;

  /// For an R_V that is a number or a Dual. Throws ValueError outside the ranges.
  template <class R> [[nodiscard]] detail::DustNumber<R> operator()(double x, const R& r_v) const {
    const auto r = static_cast<detail::DustNumber<R>>(r_v);
    detail::check_dust<F19>("F19", x, detail::plain(r));
    constexpr double end = 0.3; // of their data
    const detail::F19Spline& table = detail::f19_spline;
    const detail::SplineWeights weights(table.x, std::max(x, end));
    const double k = weights(table.k, table.k_bends);
    const double slope = 0.990 * weights(table.slope, table.slope_bends); // R(55) changes by 0.990 with R_V
    const double fall = x < end ? std::pow(x / end, 1.61) : 1;
    // 1 + (k + slope (R_V - 3.1)) / R_V
    return detail::DustTerms{fall * (1 + slope), fall * (k - 3.1 * slope)}.at(r);
  }
};

static_assert(DustLaw<F99> && DustLaw<F19>);

} // namespace sbi::forward
