// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <string_view>

namespace sbi::forward {

/// A young stellar object in the parameters of Robitaille (2017, A&A 600, A11), under the column names of
/// that grid with '_' for '.'; NaN where the geometry has no such part. Masses and densities are those of
/// dust alone. Inner radii are multiples of the radius at which optically thin dust has 1600 K.
struct YsoParameters {
  double star_radius = missing;         ///< solar radii
  double star_temperature = missing;    ///< K
  double disk_mass = missing;           ///< solar masses of dust
  double disk_rmax = missing;           ///< outer radius [au]
  double disk_beta = missing;           ///< scale height h = h100 (r / 100 au)^beta
  double disk_p = missing;              ///< surface density ~ r^p
  double disk_h100 = missing;           ///< scale height at 100 au [au]
  double disk_rmin = missing;           ///< inner radius [sublimation radii]
  double envelope_rho_0 = missing;      ///< dust [g/cm^3]: at 1000 au (power law), Ulrich's rho_0
  double envelope_rc = missing;         ///< centrifugal radius of an Ulrich envelope [au]
  double envelope_power = missing;      ///< density ~ r^power
  double envelope_rmin = missing;       ///< inner radius [sublimation radii]
  double cavity_power = missing;        ///< wall z ~ w^power
  double cavity_theta_0 = missing;      ///< half opening angle of the wall at 10 000 au [degrees]
  double cavity_rho_0 = missing;        ///< dust in the cavity [g/cm^3]
  double ambient_density = missing;     ///< dust outside everything [g/cm^3]
  double ambient_temperature = missing; ///< K
  double scattering = missing;          ///< 1: the SED has scattered light, 0: it has not
  double inclination = missing;         ///< degrees, 0 face-on
};

enum class Sampling { log, linear, fixed };

/// One parameter: its name in the published tables, where its value lies in the grid and how it was drawn
/// there, and the values that mean anything at all.
struct YsoParameter {
  std::string_view name;
  double YsoParameters::*member;
  double low, high;
  Sampling sampling;
  double least, most;
};

namespace detail {
inline constexpr double positive = std::numeric_limits<double>::min(),
                        unbounded = std::numeric_limits<double>::max();
} // namespace detail

/// The parameters in the order of the published tables. Their ranges are those of Table 2 of the paper,
/// quoted from memory and the same in the set-up scripts of the grid.
inline constexpr std::array<YsoParameter, 19> yso_parameters{{
    {"star.radius", &YsoParameters::star_radius, .1, 100, Sampling::log, detail::positive, detail::unbounded},
    {"star.temperature", &YsoParameters::star_temperature, 2000, 30000, Sampling::log, detail::positive,
     detail::unbounded},
    {"disk.mass", &YsoParameters::disk_mass, 1e-8, 1e-1, Sampling::log, 0, detail::unbounded},
    {"disk.rmax", &YsoParameters::disk_rmax, 50, 5000, Sampling::log, detail::positive, detail::unbounded},
    {"disk.beta", &YsoParameters::disk_beta, 1, 1.3, Sampling::linear, 0, 2},
    {"disk.p", &YsoParameters::disk_p, -2, 0, Sampling::linear, -10, 10},
    {"disk.h100", &YsoParameters::disk_h100, 1, 20, Sampling::log, detail::positive, detail::unbounded},
    {"disk.rmin", &YsoParameters::disk_rmin, 1, 1000, Sampling::log, detail::positive, detail::unbounded},
    {"envelope.rho_0", &YsoParameters::envelope_rho_0, 1e-24, 1e-16, Sampling::log, 0, detail::unbounded},
    {"envelope.rc", &YsoParameters::envelope_rc, 50, 5000, Sampling::log, detail::positive,
     detail::unbounded},
    {"envelope.power", &YsoParameters::envelope_power, -2, -1, Sampling::linear, -10, -1e-3},
    {"envelope.rmin", &YsoParameters::envelope_rmin, 1, 1000, Sampling::log, detail::positive,
     detail::unbounded},
    {"cavity.power", &YsoParameters::cavity_power, 1, 2, Sampling::linear, 1, 10},
    {"cavity.theta_0", &YsoParameters::cavity_theta_0, 0, 60, Sampling::linear, 0, 89},
    {"cavity.rho_0", &YsoParameters::cavity_rho_0, 1e-23, 1e-20, Sampling::log, 0, detail::unbounded},
    {"ambient.density", &YsoParameters::ambient_density, 1e-23, 1e-23, Sampling::fixed, 0, detail::unbounded},
    {"ambient.temperature", &YsoParameters::ambient_temperature, 10, 10, Sampling::fixed, 1, 1000},
    {"scattering", &YsoParameters::scattering, 1, 1, Sampling::fixed, 0, 1},
    {"inclination", &YsoParameters::inclination, 0, 90, Sampling::linear, 0, 90},
}};

/// The parameter of that name; throws ValueError with the names that exist.
[[nodiscard]] inline const YsoParameter& yso_parameter(std::string_view name) {
  std::string known;
  for (const YsoParameter& p : yso_parameters) {
    if (p.name == name) return p;
    known += sbi::text(known.empty() ? "" : ", ", p.name);
  }
  throw ValueError(sbi::text("YSO: no parameter '", name, "'; want one of ", known));
}

enum class EnvelopeKind { none, power_law, ulrich };

/// Which parts an object has: the star always, and interstellar dust everywhere.
struct YsoGeometry {
  bool disk = false;
  EnvelopeKind envelope = EnvelopeKind::none;
  bool cavity = false;  ///< bipolar, in the envelope
  bool hole = false;    ///< the inner radius is a parameter, not the sublimation radius
  bool ambient = false; ///< a medium of constant density around everything

  /// Its seven letters: s(tar), p(assive disc), p(ower-law) or u(lrich) envelope, b(ipolar cavity), s (inner
  /// radius where dust sublimates) or h(ole), (ambient) m(edium), i(nterstellar dust); '-' for what is
  /// absent.
  [[nodiscard]] std::string text() const {
    std::string out = "s---s-i";
    if (disk) out[1] = 'p';
    if (envelope != EnvelopeKind::none) out[2] = envelope == EnvelopeKind::ulrich ? 'u' : 'p';
    if (cavity) out[3] = 'b';
    if (hole) out[4] = 'h';
    if (ambient) out[5] = 'm';
    return out;
  }

  /// Whether the grid varies or fixes this parameter for objects of this kind.
  [[nodiscard]] bool uses(const YsoParameter& parameter) const {
    const std::string_view name = parameter.name;
    if (name.starts_with("disk.")) return disk && (hole || name != "disk.rmin");
    if (name == "envelope.rc") return envelope == EnvelopeKind::ulrich;
    if (name == "envelope.power") return envelope == EnvelopeKind::power_law;
    if (name.starts_with("envelope."))
      return envelope != EnvelopeKind::none && (hole || name != "envelope.rmin");
    if (name.starts_with("cavity.")) return cavity;
    if (name.starts_with("ambient.")) return ambient;
    return true;
  }
};

/// The 18 published model sets.
inline constexpr std::array<std::string_view, 18> yso_geometries{
    "s---s-i", "s---smi", "sp--s-i", "sp--h-i", "sp--smi", "sp--hmi", "s-p-smi", "s-p-hmi", "s-pbsmi",
    "s-pbhmi", "s-u-smi", "s-u-hmi", "s-ubsmi", "s-ubhmi", "spu-smi", "spu-hmi", "spubsmi", "spubhmi"};

/// The geometry of a model set. Throws ValueError, naming the letter, for a name that does not follow the
/// scheme, and for one that does but is not among the 18.
[[nodiscard]] inline YsoGeometry yso_geometry(std::string_view name) {
  constexpr std::array<std::string_view, 7> letters{"s", "p-", "pu-", "b-", "sh", "m-", "i"};
  if (name.size() != letters.size())
    throw ValueError(
        sbi::text("YSO geometry '", name, "': ", name.size(), " letters; want 7, as in spubhmi"));
  for (std::size_t k = 0; k < letters.size(); ++k)
    if (letters[k].find(name[k]) == std::string_view::npos)
      throw ValueError(sbi::text("YSO geometry '", name, "': letter ", k + 1, " is '", name[k],
                                 "'; want one of '", letters[k], "'"));
  if (std::find(yso_geometries.begin(), yso_geometries.end(), name) == yso_geometries.end()) {
    std::string known;
    for (const std::string_view g : yso_geometries) known += sbi::text(known.empty() ? "" : ", ", g);
    throw ValueError(sbi::text("YSO geometry '", name, "' is no published set; want one of ", known));
  }
  return {name[1] == 'p',
          name[2] == 'u'   ? EnvelopeKind::ulrich
          : name[2] == 'p' ? EnvelopeKind::power_law
                           : EnvelopeKind::none,
          name[3] == 'b', name[4] == 'h', name[5] == 'm'};
}

/// Throws ValueError, naming the parameter, if one that the geometry uses is missing or has a value that
/// means nothing. The ranges of the grid are no limits.
inline void check(const YsoParameters& object, const YsoGeometry& geometry) {
  for (const YsoParameter& p : yso_parameters) {
    if (!geometry.uses(p)) continue;
    const double value = object.*p.member;
    if (is_missing(value))
      throw ValueError(sbi::text("YSO ", geometry.text(), ": ", p.name, " is missing; want a value"));
    if (!(value >= p.least && value <= p.most))
      throw ValueError(sbi::text("YSO ", geometry.text(), ": ", p.name, " = ", value, "; want ",
                                 p.most < detail::unbounded
                                     ? sbi::text("a value from ", p.least, " to ", p.most)
                                     : sbi::text(p.least > 0 ? "" : "zero or ", "a positive number")));
  }
}

/// An object drawn as the grid was: uniform in each parameter or its logarithm, a disc and an envelope with
/// one inner radius, and an Ulrich envelope around a disc with its centrifugal radius at the disc's edge.
/// Inclinations are uniform in degrees, as in the grid, or `isotropic`: uniform in their cosine. Every call
/// takes the same number of random numbers, whatever the geometry.
[[nodiscard]] inline YsoParameters sample_yso(const YsoGeometry& geometry, Rng& rng, bool isotropic = false) {
  YsoParameters out;
  for (const YsoParameter& p : yso_parameters) {
    const double u = rng.uniform();
    if (!geometry.uses(p)) continue;
    out.*p.member = p.sampling == Sampling::fixed ? p.low
                    : p.sampling == Sampling::log ? p.low * std::pow(p.high / p.low, u)
                                                  : p.low + (p.high - p.low) * u;
    if (isotropic && p.member == &YsoParameters::inclination)
      out.inclination = std::acos(u) * 180 / std::numbers::pi;
  }
  if (geometry.disk && geometry.envelope == EnvelopeKind::ulrich) out.envelope_rc = out.disk_rmax;
  if (geometry.disk && geometry.envelope != EnvelopeKind::none) out.envelope_rmin = out.disk_rmin;
  return out;
}

} // namespace sbi::forward
