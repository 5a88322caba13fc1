// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/concepts.hpp>

#include <concepts>
#include <span>

namespace sbi::forward {

/// The box around all stars that an atmosphere covers: T_eff [K], log g, [M/H], and the ends of its
/// wavelengths [micron]. Not every star in the box needs to be covered; `covers` knows the hull itself.
struct AtmosphereRange {
  double teff_min, teff_max, log_g_min, log_g_max, mh_min, mh_max, wavelength_min, wavelength_max;
};

/// An atmosphere with a `range()` of its own.
template <class A>
concept RangedAtmosphere = Atmosphere<A> && requires(const A& atmosphere) {
  { atmosphere.range() } -> std::same_as<AtmosphereRange>;
};

/// An atmosphere whose box is constant: static members teff_min .. mh_max.
template <class A>
concept BoxedAtmosphere = Atmosphere<A> && !RangedAtmosphere<A> && requires {
  A::teff_min;
  A::teff_max;
  A::log_g_min;
  A::log_g_max;
  A::mh_min;
  A::mh_max;
};

/// Where an atmosphere is valid.
template <RangedAtmosphere A> [[nodiscard]] AtmosphereRange range(const A& atmosphere) {
  return atmosphere.range();
}
template <BoxedAtmosphere A> [[nodiscard]] AtmosphereRange range(const A& atmosphere) {
  const std::span<const double> w = atmosphere.wavelengths();
  return {A::teff_min, A::teff_max, A::log_g_min, A::log_g_max, A::mh_min, A::mh_max, w.front(), w.back()};
}

/// Whether both atmospheres cover a star: only such stars can be compared between two libraries.
template <Atmosphere A, Atmosphere B>
[[nodiscard]] bool common_hull(const A& a, const B& b, const StarState& star) {
  return a.covers(star.log_teff, star.log_g, star.mh) && b.covers(star.log_teff, star.log_g, star.mh);
}

} // namespace sbi::forward
