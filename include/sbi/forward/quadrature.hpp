// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cstddef>

namespace sbi::forward::detail {

/// Gauss-Legendre quadrature with four points on [a, b]: exact for polynomials to degree 7. Calls f(x,
/// weight).
template <class F> void gauss4(double a, double b, F&& f) {
  constexpr std::array<double, 2> node{0.3399810435848563, 0.8611363115940526},
      weight{0.6521451548625461, 0.3478548451374538};
  const double centre = 0.5 * (a + b), half = 0.5 * (b - a);
  for (std::size_t i = 0; i < 2; ++i) {
    f(centre - half * node[i], half * weight[i]);
    f(centre + half * node[i], half * weight[i]);
  }
}

} // namespace sbi::forward::detail
