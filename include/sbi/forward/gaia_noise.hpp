// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/noise.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>

namespace sbi::forward {

namespace detail {

/// A cubic B-spline as polynomials in (m - knot) between its knots, with a table that finds the piece.
template <std::size_t Knots> class MagnitudeSpline {
public:
  /// Knots: the first and the last four times each; one coefficient a basis function.
  constexpr MagnitudeSpline(const std::array<double, Knots>& knots,
                            const std::array<double, Knots - 4>& coefficients) {
    for (std::size_t k = 0; k < pieces; ++k) {
      start_[k] = knots[k + 3];
      polynomial_[k] = piece(knots, coefficients, k + 3);
    }
    end_ = knots[Knots - 4];
    end_value_ = coefficients[Knots - 5];
    std::size_t k = 0;
    for (std::size_t bin = 0; bin < bins; ++bin) {
      while (k + 1 < pieces && start_[k + 1] <= start_[0] + static_cast<double>(bin) / bins_per_magnitude)
        ++k;
      first_piece_[bin] = static_cast<std::uint8_t>(k);
    }
  }

  /// Before the first knot constant, beyond the last `slope` per magnitude.
  [[nodiscard]] constexpr double operator()(double m, double slope) const {
    if (!(m < end_)) return end_value_ + slope * (m - end_);
    const double x = std::max(m, start_[0]);
    std::size_t k = first_piece_[static_cast<std::size_t>((x - start_[0]) * bins_per_magnitude)];
    while (k + 1 < pieces && x >= start_[k + 1]) ++k;
    const double t = x - start_[k];
    const auto& p = polynomial_[k];
    return p[0] + t * (p[1] + t * (p[2] + t * p[3]));
  }

private:
  static constexpr std::size_t pieces = Knots - 7, bins = 100; ///< 20 magnitudes
  static constexpr double bins_per_magnitude = 5;

  /// Taylor coefficients at knot k of the piece that begins there: the coefficients of the derivative of a
  /// B-spline are differences of its own, and de Boor's recursion evaluates each.
  static constexpr std::array<double, 4> piece(const std::array<double, Knots>& t,
                                               const std::array<double, Knots - 4>& c, std::size_t k) {
    std::array<double, 4> active{c[k - 3], c[k - 2], c[k - 1], c[k]}, out{};
    double factorial = 1;
    for (std::size_t order = 0; order < 4; ++order) {
      const std::size_t degree = 3 - order;
      std::array<double, 4> d = active; // those from `order` on
      for (std::size_t r = 1; r <= degree; ++r)
        for (std::size_t j = 3; j >= order + r; --j) {
          const std::size_t i = k - 3 + j;
          const double alpha = (t[k] - t[i]) / (t[i + degree - r + 1] - t[i]);
          d[j] = (1 - alpha) * d[j - 1] + alpha * d[j];
        }
      out[order] = d[3] / factorial;
      factorial *= static_cast<double>(order + 1);
      for (std::size_t j = 3; j > order; --j) {
        const std::size_t i = k - 3 + j;
        active[j] = static_cast<double>(degree) * (active[j] - active[j - 1]) / (t[i + degree] - t[i]);
      }
    }
    return out;
  }

  std::array<double, pieces> start_{};
  std::array<std::array<double, 4>, pieces> polynomial_{};
  std::array<std::uint8_t, bins> first_piece_{};
  double end_ = 0, end_value_ = 0;
};

// Knots and coefficients of log10 sigma for 200 (G) and 20 (BP, RP) observations: PyGaia (BSD-3-Clause),
// src/pygaia/errors/data/LogErrVsMagSpline2.csv.
inline constexpr MagnitudeSpline<36> gaia_g_spline{
    {3.98333, 3.98333, 3.98333, 3.98333, 5.0,  6.0,  7.0,  7.5,  8.0,      8.5,      9.0,      9.5,
     10.0,    10.2,    10.4,    10.6,    10.8, 11.0, 11.2, 11.4, 11.6,     11.8,     12.0,     13.0,
     14.0,    15.0,    16.0,    17.0,    18.0, 19.0, 20.0, 20.5, 21.01667, 21.01667, 21.01667, 21.01667},
    {-2.6686688,  -3.15478854, -2.80164701, -3.58524418, -3.71684791, -3.6077583,  -3.54068951, -3.55453827,
     -3.69550477, -3.64960192, -3.67027793, -3.53502324, -3.49776724, -3.80810077, -3.7052822,  -3.65815826,
     -3.49039211, -3.46277842, -3.65011101, -3.67777462, -3.58066755, -3.59785497, -3.63101572, -3.44255105,
     -3.24041933, -3.0098533,  -2.78252535, -2.5043271,  -2.27768095, -2.0678234,  -1.97972281, -1.89599009}};
inline constexpr MagnitudeSpline<24> gaia_bp_spline{
    {3.95, 3.95, 3.95, 3.95, 5.0,  6.0,  7.0,  8.0,  9.0,      10.0,     11.0,     12.0,
     13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0, 21.01667, 21.01667, 21.01667, 21.01667},
    {-2.35733011, -2.64095421, -3.21749952, -2.84441953, -3.07084609, -3.03059536, -3.24395598,
     -3.21406564, -3.2063127,  -3.0198331,  -3.08416649, -2.97503661, -2.75397143, -2.49071345,
     -2.19411197, -1.88226834, -1.51910871, -1.21081614, -0.96169554, -0.87317411}};
inline constexpr MagnitudeSpline<24> gaia_rp_spline{
    {3.98333, 3.98333, 3.98333, 3.98333, 5.0,  6.0,  7.0,  8.0,  9.0,      10.0,     11.0,     12.0,
     13.0,    14.0,    15.0,    16.0,    17.0, 18.0, 19.0, 20.0, 21.01667, 21.01667, 21.01667, 21.01667},
    {-2.46576846, -2.60861172, -2.56457496, -3.23711778, -3.05783128, -3.39912752, -3.39275878,
     -3.4804449,  -3.28253968, -3.3275789,  -3.14046441, -2.93924351, -2.66053568, -2.36244582,
     -2.00112286, -1.67847377, -1.36757625, -0.9454358,  -0.84779583, -0.79312323}};

/// sigma of `spline`, made for `observations` visits, after `usual` visits. Beyond magnitude 21, where the
/// spline ends and the background dominates, errors grow as the flux falls, 0.4 dex a magnitude: the spline's
/// own slopes there (0.16 in RP) are those of the stars that survive the survey's cuts, and straight lines
/// along them would make faint stars too good.
template <std::size_t Knots>
double gaia_noise(const MagnitudeSpline<Knots>& spline, double observations, double usual, double m) {
  return std::sqrt(observations / usual) * std::exp(std::numbers::ln10 * spline(m, 0.4));
}

} // namespace detail

/// Errors of the mean G, BP, RP magnitudes of Gaia DR3 [mag] for the mean numbers of observations, 351 in G
/// and 40 in BP and RP, with 3 mmag for the zero point: gaia_g_error(15.0), or for other observations and
/// floors gaia_g_error.with_observations(200).with_floor(0)(15.0). The statistical part is PyGaia's cubic
/// spline of log10 sigma, exactly, from magnitude 4 to 21; constant for
/// brighter stars, and see `detail::gaia_noise` for fainter ones.
inline constexpr ErrorCurve gaia_g_error{
    [](double m) { return detail::gaia_noise(detail::gaia_g_spline, 200, 351, m); }, 0.003, 351};
inline constexpr ErrorCurve gaia_bp_error{
    [](double m) { return detail::gaia_noise(detail::gaia_bp_spline, 20, 40, m); }, 0.003, 40};
inline constexpr ErrorCurve gaia_rp_error{
    [](double m) { return detail::gaia_noise(detail::gaia_rp_spline, 20, 40, m); }, 0.003, 40};

/// Error of a Gaia DR3 parallax [mas] against G: sqrt(40 + 800 z + 30 z^2) microarcseconds with z = 10^(0.4
/// (G - 15)), not below its value at G = 13 (the mission's published science performance). DR3 parallaxes are
/// too small by about 0.017 mas for faint stars and up to 0.04 mas for bright ones (Lindegren et al. 2021,
/// A&A 649, A4; depends on colour and position, not modelled): the `offset` of the channel, by default 0.
inline constexpr ErrorCurve parallax_error{[](double g) {
  const double z = std::pow(10, 0.4 * (std::max(g, 13.0) - 15));
  return 1e-3 * std::sqrt(40 + 800 * z + 30 * z * z);
}};

} // namespace sbi::forward
