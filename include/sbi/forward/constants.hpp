// SPDX-License-Identifier: MIT
#pragma once

namespace sbi::forward {

// IAU 2015 Resolution B3 (nominal solar values) and B2 (parsec); cgs and kelvin. log g of the Sun is
// log10(G M / R^2) with G M = 1.3271244e26 cm^3/s^2.
inline constexpr double solar_teff = 5772, solar_log_g = 4.438, solar_radius = 6.957e10,
                        solar_luminosity = 3.828e33;
inline constexpr double parsec = 3.0856775814913673e18;
// IAU 2012; the solar mass is the nominal G M over the G of CODATA 2018.
inline constexpr double astronomical_unit = 1.495978707e13, solar_mass = 1.98841e33;

// CODATA 2018. Black-body surface flux pi B_lambda = c1 lambda^-5 / (exp(c2 / (lambda T)) - 1) in
// erg/s/cm^2/Angstrom for lambda in micron; the Stefan-Boltzmann constant in erg/s/cm^2/K^4; the speed of
// light in Angstrom/s.
inline constexpr double radiation_c1 = 3.741771852e7, radiation_c2 = 14387.76877,
                        stefan_boltzmann = 5.670374419e-5;
inline constexpr double light_speed = 2.99792458e18;

} // namespace sbi::forward
