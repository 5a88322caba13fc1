// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/yso_parameters.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// One column of the table of parameters: `count` values a model, row-major [models, count]. Columns of the
/// grid of Richardson et al. (2024) that vary with the aperture have a value for each.
struct SedColumn {
  std::string name, unit;
  index_t count = 1;
  std::vector<double> values;
};

/// The parameters of the models of a cube, in their order.
struct SedParameters {
  std::vector<SedColumn> columns;

  /// The column of that name; throws ValueError with the names that exist.
  [[nodiscard]] const SedColumn& column(std::string_view name) const {
    std::string known;
    for (const SedColumn& c : columns) {
      if (c.name == name) return c;
      known += sbi::text(known.empty() ? "'" : ", '", c.name, "'");
    }
    throw ValueError(sbi::text("SED parameters: no column '", name, "'; want one of ", known));
  }
  /// The parameters that have a place in `YsoParameters`; NaN for those without a column.
  [[nodiscard]] YsoParameters object(index_t model) const {
    YsoParameters out;
    for (const YsoParameter& p : yso_parameters)
      for (const SedColumn& c : columns)
        if (c.name == p.name && c.count == 1) out.*p.member = c.values.at(static_cast<std::size_t>(model));
    return out;
  }
};

/// Spectral energy distributions of many models in many apertures: F_nu [mJy] at `distance`.
struct SedCube {
  std::vector<std::string> names;  ///< of the models
  std::vector<double> wavelengths; ///< micron, increasing
  std::vector<double> apertures;   ///< radii [au], increasing; empty if the light is not divided by aperture
  Tensor<float> fluxes;            ///< [models, apertures or 1, wavelengths]; NaN where the grid has no value
  Tensor<float> uncertainties;     ///< the same shape, or empty if they were not read
  std::vector<bool> valid;         ///< [models]: the grid's own flag
  double distance = 1000;          ///< parsec
  SedParameters parameters;        ///< no columns if they were not read

  /// Throws ShapeError or ValueError, naming the part, unless they fit together.
  void check() const {
    const Shape want{static_cast<index_t>(names.size()), aperture_count(),
                     static_cast<index_t>(wavelengths.size())};
    if (!(fluxes.shape() == want) || (uncertainties.size() != 0 && !(uncertainties.shape() == want)) ||
        valid.size() != names.size())
      throw ShapeError(sbi::text("SED cube: fluxes ", fluxes.shape(), ", uncertainties ",
                                 uncertainties.shape(), ", ", valid.size(), " flags; want ", want));
    for (const SedColumn& c : parameters.columns)
      if (c.count < 1 || c.values.size() != names.size() * static_cast<std::size_t>(c.count))
        throw ShapeError(sbi::text("SED cube: column '", c.name, "' has ", c.values.size(), " values; want ",
                                   c.count, " for each of ", names.size(), " models"));
    for (const auto* axis : {&wavelengths, &apertures}) {
      double last = 0;
      for (const double x : *axis) {
        if (!(x > last && is_finite(x)))
          throw ValueError(sbi::text("SED cube: ", axis == &wavelengths ? "wavelength " : "aperture ", x,
                                     " after ", last, "; want positive, increasing values"));
        last = x;
      }
    }
    if (!(distance > 0 && is_finite(distance)))
      throw ValueError(sbi::text("SED cube: distance ", distance, " pc; want a positive value"));
  }

  /// Position of a model; throws ValueError if there is none of that name.
  [[nodiscard]] index_t index(std::string_view name) const {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end())
      throw ValueError(sbi::text("SED cube: no model '", name, "' among ", names.size()));
    return at - names.begin();
  }

  /// The spectrum of a model within an aperture [au], mJy at each wavelength: fluxes are linear in the
  /// logarithm of the aperture. Nothing is extrapolated: throws ValueError for a model that is not there and
  /// an aperture beyond the table's. Without apertures every aperture gives the same.
  [[nodiscard]] std::vector<double> sed(index_t model, double aperture) const {
    const Place place = locate(model, aperture);
    std::vector<double> out(wavelengths.size());
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = at(place, i);
    return out;
  }
  /// The same at one wavelength [micron], a power law between those of the cube (a straight line where a flux
  /// is not positive). Throws ValueError outside their range too.
  [[nodiscard]] double flux(index_t model, double aperture, double wavelength) const {
    const Place place = locate(model, aperture);
    if (!(wavelength >= wavelengths.front() && wavelength <= wavelengths.back()))
      throw ValueError(sbi::text("SED cube: wavelength ", wavelength, " micron; want ", wavelengths.front(),
                                 " to ", wavelengths.back()));
    const std::size_t i = below(wavelengths, wavelength);
    const double a = at(place, i);
    if (wavelength == wavelengths[i]) return a;
    const double b = at(place, i + 1), left = wavelengths[i], right = wavelengths[i + 1];
    return a > 0 && b > 0 ? a * std::pow(b / a, std::log(wavelength / left) / std::log(right / left))
                          : a + (b - a) * (wavelength - left) / (right - left);
  }

private:
  struct Place {
    const float *low, *high;
    double fraction;
  };
  [[nodiscard]] index_t aperture_count() const {
    return apertures.empty() ? 1 : static_cast<index_t>(apertures.size());
  }
  static std::size_t below(const std::vector<double>& axis, double x) {
    return static_cast<std::size_t>(std::upper_bound(axis.begin(), axis.end(), x) - axis.begin()) - 1;
  }
  [[nodiscard]] Place locate(index_t model, double aperture) const {
    if (!(model >= 0 && model < static_cast<index_t>(names.size())))
      throw ValueError(sbi::text("SED cube: model ", model, "; want 0 to below ", names.size()));
    const auto row = [&](std::size_t a) {
      return fluxes.row(model * aperture_count() + static_cast<index_t>(a));
    };
    if (apertures.empty()) return {row(0), row(0), 0};
    if (!(aperture >= apertures.front() && aperture <= apertures.back()))
      throw ValueError(sbi::text("SED cube: aperture ", aperture, " au; want ", apertures.front(), " to ",
                                 apertures.back()));
    const std::size_t a = below(apertures, aperture);
    if (aperture == apertures[a]) return {row(a), row(a), 0};
    return {row(a), row(a + 1),
            std::log(aperture / apertures[a]) / std::log(apertures[a + 1] / apertures[a])};
  }
  static double at(const Place& p, std::size_t i) {
    const auto a = static_cast<double>(p.low[i]), b = static_cast<double>(p.high[i]);
    return p.fraction > 0 ? a + p.fraction * (b - a) : a; // a blank neighbour without weight does not matter
  }
};

} // namespace sbi::forward
