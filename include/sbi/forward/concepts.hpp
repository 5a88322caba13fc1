// SPDX-License-Identifier: MIT
// The four parts of a synthetic star: evolution gives its state, an atmosphere its spectrum, a dust law takes
// some of the light away, passbands collect the rest. Each is a concept or a plain struct, so any one can be
// replaced.
#pragma once
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace sbi::forward {

/// What a star is. Logarithms to base 10; masses and luminosities in solar units, age in years, T_eff in
/// kelvin, surface gravity in cm/s^2, mh = [M/H] in dex.
struct StarState {
  double log_mass = 0;
  double log_age = 0;
  double mh = 0;
  double log_l = 0;
  double log_teff = 0;
  double log_g = 0;
};

/// A band of a photometric system: photon transmission S (any scale; zero outside the table, linear between
/// its points) at increasing wavelengths [micron], and the zero point: the photon-weighted mean flux density
/// <F> = int lambda F S dlambda / int lambda S dlambda [erg/s/cm^2/A] of a star of magnitude 0,
/// so that m = -2.5 log10(<F> / zero_point). Vega magnitudes unless the name says AB.
struct Passband {
  std::string name;
  std::vector<double> wavelengths;
  std::vector<double> transmission;
  double zero_point = 1;
};

/// Stellar evolution: from initial mass, age and metallicity to a StarState. Outside its tables or outside
/// the life of the star it gives nothing; it never extrapolates. `has_age` is false for a zero-age main
/// sequence, which ignores log_age. Safe to call from many threads at once.
template <class E>
concept Evolution = requires(const E& evolution, double log_mass, double log_age, double mh) {
  { evolution.state(log_mass, log_age, mh) } -> std::same_as<std::optional<StarState>>;
  {std::bool_constant<E::has_age>{}};
};

/// Model atmospheres: `flux` writes the surface flux density F_lambda [erg/s/cm^2/A] at each of its own
/// increasing `wavelengths()` [micron], with int F_lambda dlambda = sigma T_eff^4 over all wavelengths; out
/// has as many elements. `flux` throws ValueError where `covers` is false. Both are safe to call from many
/// threads at once.
template <class A>
concept Atmosphere = requires(const A& atmosphere, double log_teff, double log_g, double mh,
                              std::span<double> out) {
  { atmosphere.wavelengths() } -> std::convertible_to<std::span<const double>>;
  { atmosphere.covers(log_teff, log_g, mh) } -> std::convertible_to<bool>;
  atmosphere.flux(log_teff, log_g, mh, out);
};

/// An extinction law: `law(x, r_v)` is A(lambda)/A_V at x = 1/lambda [1/micron], with R_V = A_V/E(B-V).
/// Throws ValueError outside the range of x or R_V in which the law is defined.
template <class D>
concept DustLaw = requires(const D& law, double x, double r_v) {
  { law(x, r_v) } -> std::convertible_to<double>;
};

} // namespace sbi::forward
