// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/forward/concepts.hpp>

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <numbers>
#include <span>
#include <vector>

namespace sbi::forward {

/// A law that says in which range of x = 1/lambda [1/micron] it is defined.
template <class D>
concept BoundedDustLaw = DustLaw<D> && requires {
  { D::x_min } -> std::convertible_to<double>;
  { D::x_max } -> std::convertible_to<double>;
};

/// A(lambda)/A_V of one law on fixed wavelengths for any R_V in a range, without the law: at fixed wavelength
/// CCM89, ODonnell94, F99, F19 and G23 are all combinations of R_V, 1, 1/R_V and 1/R_V^2, so that their
/// values at four R_V determine them. `coefficient(k)` is the law at the k-th of these four (Chebyshev's
/// points of the range), and A(lambda_i)/A_V = sum_k basis(r_v)[k] * coefficient(k)[i], to rounding.
class DustCurve {
public:
  /// For wavelengths [micron] and r_v_min <= R_V <= r_v_max. A wavelength outside the law's range of x is not
  /// covered: its coefficients are 0. Throws ValueError for a wavelength that is not positive, an empty range
  /// of R_V or one that is not within the law's, and a law that is no such combination.
  template <BoundedDustLaw D>
  DustCurve(const D& law, std::span<const double> wavelengths, double r_v_min, double r_v_max)
      : r_v_min_(r_v_min), r_v_max_(r_v_max), covered_(wavelengths.size()) {
    if (!(r_v_min > 0 && r_v_min < r_v_max && is_finite(r_v_max)))
      throw ValueError(
          sbi::text("dust curve: R_V from ", r_v_min, " to ", r_v_max, "; want 0 < first < last"));
    for (std::size_t k = 0; k < 4; ++k) {
      const double at = std::cos(std::numbers::pi * (2 * static_cast<double>(k) + 1) / 8);
      nodes_[k] = 0.5 * (r_v_min + r_v_max) - 0.5 * (r_v_max - r_v_min) * at;
      coefficients_[k].resize(wavelengths.size());
    }
    for (std::size_t i = 0; i < wavelengths.size(); ++i) {
      if (!(wavelengths[i] > 0) || !is_finite(wavelengths[i]))
        throw ValueError(sbi::text("dust curve: wavelength ", wavelengths[i], " micron; want > 0"));
      const double x = 1 / wavelengths[i];
      covered_[i] = x >= D::x_min && x <= D::x_max;
      if (!covered_[i]) continue;
      const std::array<double, 2> ends{r_v_min, r_v_max}, wanted{law(x, r_v_min), law(x, r_v_max)};
      for (std::size_t k = 0; k < 4; ++k) coefficients_[k][i] = law(x, nodes_[k]);
      for (std::size_t e = 0; e < 2; ++e) { // where R_V is farthest from the nodes
        const double got = at(basis(ends[e]), i);
        if (!(std::abs(got - wanted[e]) <= 1e-9 * (1 + std::abs(wanted[e]))))
          throw ValueError(sbi::text("dust curve: at x = ", x, " per micron and R_V = ", ends[e],
                                     " the law is ", wanted[e], ", not ", got,
                                     "; want a combination of R_V, 1, 1/R_V, 1/R_V^2"));
      }
    }
  }

  [[nodiscard]] std::size_t size() const { return covered_.size(); }
  [[nodiscard]] double r_v_min() const { return r_v_min_; }
  [[nodiscard]] double r_v_max() const { return r_v_max_; }
  /// Whether the law is defined at the i-th wavelength.
  [[nodiscard]] bool covered(std::size_t i) const { return covered_[i]; }
  /// The k-th coefficient at every wavelength, k = 0 .. 3.
  [[nodiscard]] std::span<const double> coefficient(std::size_t k) const { return coefficients_[k]; }

  /// Throws ValueError outside the range of R_V.
  void check(double r_v) const {
    if (!(r_v >= r_v_min_ && r_v <= r_v_max_))
      throw ValueError(sbi::text("dust curve: R_V = ", r_v, "; want ", r_v_min_, " to ", r_v_max_));
  }
  /// What the coefficients are multiplied with at this R_V: p(R_V) / R_V^2 with cubic polynomials p, each 1
  /// at its own node and 0 at the others. For R_V in the range, as `check` tells.
  [[nodiscard]] std::array<double, 4> basis(double r_v) const {
    std::array<double, 4> out;
    for (std::size_t k = 0; k < 4; ++k) {
      double product = nodes_[k] / r_v * (nodes_[k] / r_v);
      for (std::size_t j = 0; j < 4; ++j)
        if (j != k) product *= (r_v - nodes_[j]) / (nodes_[k] - nodes_[j]);
      out[k] = product;
    }
    return out;
  }
  /// Its derivative by R_V.
  [[nodiscard]] std::array<double, 4> basis_slope(double r_v) const {
    std::array<double, 4> out;
    for (std::size_t k = 0; k < 4; ++k) {
      double product = 1, slope = 0;
      for (std::size_t j = 0; j < 4; ++j) {
        if (j == k) continue;
        const double inverse = 1 / (nodes_[k] - nodes_[j]), factor = (r_v - nodes_[j]) * inverse;
        slope = slope * factor + product * inverse;
        product *= factor;
      }
      out[k] = nodes_[k] / r_v * (nodes_[k] / r_v) * (slope - 2 * product / r_v);
    }
    return out;
  }
  /// The sum of the coefficients at the i-th wavelength with the factors that `basis` or `basis_slope` gave.
  [[nodiscard]] double at(const std::array<double, 4>& basis, std::size_t i) const {
    double sum = 0;
    for (std::size_t k = 0; k < 4; ++k) sum += basis[k] * coefficients_[k][i];
    return sum;
  }

private:
  double r_v_min_, r_v_max_;
  std::array<double, 4> nodes_{};
  std::array<std::vector<double>, 4> coefficients_;
  std::vector<bool> covered_;
};

} // namespace sbi::forward
