// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/track_grid.hpp>
#include <sbi/io/npy.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// What a grid of tracks stands for, and which of its nodes to keep.
struct TrackOptions {
  double mh = 0, mh_tolerance = 0.1;
  double mass_min = 0, mass_max = std::numeric_limits<double>::max(); ///< solar masses
  double log_age_max = std::numeric_limits<double>::max();
  /// The fastest change per dex of age that is taken for a star before the end of its main sequence; from the
  /// first faster step of a track on its nodes are missing. In the grids below log T_eff changes by up to 2.3
  /// and log L by up to 7 there, and later by 4 to 60 in log T_eff.
  double log_teff_rate = 3, log_l_rate = 8;
};

/// What to read of the grids that ysoisochrone (MIT licence) distributes, by name: they have values where the
/// original tracks have none, filled in between or beyond them. Named `baraffe` (Baraffe et al. 2015, A&A
/// 577, 42), `feiden_nob`, `feiden_b` (Feiden 2016, A&A 593, A99, without and with magnetic fields),
/// `mist_v1p2`, `parsecv1p2` and `spots_fspot_0339` (Somers et al. 2020, ApJ 891, 29). Left out:
///   baraffe     below 0.023 solar masses: log L jumps up and down by 0.15 with age while deuterium burns
///   feiden_nob  above 1.35 solar masses (log T_eff is 0.05 to 0.5 below every other grid after the knee:
///               those stars never reach the main sequence), and the last two ages
///   mist_v1p2   beyond 10^7.75 years: sun-like stars would pass through log L = 3
/// All are solar: [M/H] = 0, but -0.02 for parsecv1p2, which is the Z = 0.014 of the PARSEC isochrones (to
/// 0.002 in log L below the knee). Any other name: everything, [M/H] = 0.
[[nodiscard]] inline TrackOptions track_options(std::string_view name) {
  TrackOptions options;
  if (name == "baraffe") options.mass_min = 0.023;
  if (name == "feiden_nob") options.mass_max = 1.35, options.log_age_max = 7.985;
  if (name == "mist_v1p2") options.log_age_max = 7.75;
  if (name == "parsecv1p2") options.mh = -0.02;
  return options;
}

/// Reads a grid of tracks from a folder of single-precision NumPy files: mass.npy [Nm] (solar masses),
/// log_age.npy [Na] (years), log_teff.npy and log_l.npy [Na, Nm]; NaN where there is no model. Throws
/// FileError for a missing or damaged file, shapes that do not fit, masses that are not positive, or limits
/// that leave fewer than two ages or masses, and ValueError like `TrackGrid`.
///
/// Interpolated from every second age and every second mass only, so over steps of 0.02 dex, the grids miss
/// their own nodes (within `track_options`) by
///                     log L: median  99 %   largest   log T_eff: median  99 %   largest
///   baraffe                  0.0002  0.010  0.07                 3e-5    0.002  0.011
///   feiden_nob               0.0001  0.005  0.02                 1e-5    0.001  0.002
///   feiden_b                 0.0001  0.006  0.03                 1e-5    0.001  0.008
///   mist_v1p2                0.0002  0.026  0.10                 2e-5    0.006  0.028
///   parsecv1p2               0.0002  0.015  0.08                 2e-5    0.005  0.028
///   spots_fspot_0339         0.0002  0.003  0.02                 1e-5    0.001  0.004
/// the largest at the knee where stars reach the main sequence; the grids themselves by a quarter of that.
[[nodiscard]] inline TrackGrid read_track_grid(const std::string& folder, const TrackOptions& options) {
  const std::filesystem::path path(folder);
  if (!std::filesystem::is_directory(path)) throw FileError(text(folder, ": no such folder"));
  const auto mass = io::read_npy<float, 1>(path / "mass.npy");
  const auto log_age = io::read_npy<float, 1>(path / "log_age.npy");
  const auto log_teff = io::read_npy<float, 2>(path / "log_teff.npy");
  const auto log_l = io::read_npy<float, 2>(path / "log_l.npy");
  const std::size_t masses = mass.size(), ages = log_age.size();
  const auto check = [&](const auto& table, const char* name) {
    if (table.shape(0) != ages || table.shape(1) != masses)
      throw FileError(text((path / name).string(), ": ", table.shape(0), " x ", table.shape(1), "; want ",
                           ages, " ages x ", masses, " masses"));
  };
  check(log_teff, "log_teff.npy");
  check(log_l, "log_l.npy");

  std::vector<std::size_t> rows, columns;
  for (std::size_t i = 0; i < ages; ++i)
    if (log_age(i) <= options.log_age_max) rows.push_back(i);
  for (std::size_t j = 0; j < masses; ++j) {
    if (!(mass(j) > 0))
      throw FileError(text((path / "mass.npy").string(), ": value ", j, " is ", mass(j), "; want > 0"));
    if (mass(j) >= options.mass_min && mass(j) <= options.mass_max) columns.push_back(j);
  }
  if (rows.size() < 2 || columns.size() < 2)
    throw FileError(text(folder, ": ", rows.size(), " ages and ", columns.size(),
                         " masses within the limits; want two or more"));

  std::vector<double> x, y, t(rows.size() * columns.size(), missing), l(t.size(), missing);
  for (const std::size_t i : rows) x.push_back(double{log_age(i)});
  for (const std::size_t j : columns) y.push_back(std::log10(double{mass(j)}));
  for (std::size_t j = 0; j < columns.size(); ++j)
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double teff = double{log_teff(rows[i], columns[j])}, lum = double{log_l(rows[i], columns[j])};
      const std::size_t n = i * columns.size() + j, before = n - columns.size();
      if (i > 0 && !is_missing(t[before])) {
        const double step = x[i] - x[i - 1];
        if (std::abs(teff - t[before]) > options.log_teff_rate * step ||
            std::abs(lum - l[before]) > options.log_l_rate * step)
          break;
      }
      t[n] = teff, l[n] = lum;
    }
  return TrackGrid(std::move(x), std::move(y), std::move(t), std::move(l), options.mh, options.mh_tolerance);
}
/// With the limits that `track_options` knows for the folder's name.
[[nodiscard]] inline TrackGrid read_track_grid(const std::string& folder) {
  std::filesystem::path path = std::filesystem::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return read_track_grid(folder, track_options(path.filename().string()));
}

} // namespace sbi::forward
