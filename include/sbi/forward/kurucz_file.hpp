// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/spectral_grid.hpp>
#include <sbi/io/fits.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sbi::forward {

namespace detail {

/// "ckm05_5750.fits.gz" or "kp00_5750.fits" -> [M/H] and T_eff; false for any other name.
inline bool parse_kurucz_name(std::string_view name, double& mh, double& teff) {
  const std::size_t bar = name.find('_');
  if (bar == std::string_view::npos || bar < 3 || (name[bar - 3] != 'm' && name[bar - 3] != 'p'))
    return false;
  int tenths = 0, kelvin = 0;
  const char *a = name.data() + bar - 2, *b = name.data() + bar + 1, *end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(b, end, kelvin);
  if (error != std::errc{} || std::from_chars(a, a + 2, tenths).ptr != a + 2) return false;
  const std::string_view rest(stop, static_cast<std::size_t>(end - stop));
  if (rest != ".fits" && rest != ".fits.gz") return false;
  mh = (name[bar - 3] == 'm' ? -0.1 : 0.1) * tenths;
  teff = kelvin;
  return true;
}

} // namespace detail

/// Reads an ATLAS9 grid as STScI distributes it (Kurucz 1993; Castelli & Kurucz 2004): one FITS table for
/// each [M/H] and T_eff, <name>{m|p}<ten times [M/H]>_<T_eff>.fits[.gz], anywhere below one of the folders;
/// columns WAVELENGTH [A] and g00, g05, .. g50, the surface flux [erg/s/cm^2/A] at log g = 0, 0.5, .. 5, all
/// zero where there is no model. Throws FileError if no file is in range, two hold the same model, or the
/// files differ in their wavelengths.
[[nodiscard]] inline SpectralGrid read_kurucz_grid(const std::vector<std::string>& folders,
                                                   GridRange range = {}) {
  struct File {
    double mh, teff;
    std::string path;
  };
  std::vector<File> files;
  std::vector<double> teffs, mhs;
  for (const std::string& folder : folders) {
    if (!std::filesystem::is_directory(folder)) throw FileError(text(folder, ": no such folder"));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      File f{0, 0, entry.path().string()};
      if (!detail::parse_kurucz_name(entry.path().filename().string(), f.mh, f.teff) ||
          f.teff < range.teff_min || f.teff > range.teff_max || f.mh < range.mh_min - 1e-9 ||
          f.mh > range.mh_max + 1e-9)
        continue;
      teffs.push_back(f.teff);
      mhs.push_back(f.mh);
      files.push_back(std::move(f));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const File& x, const File& y) { return std::pair(x.mh, x.teff) < std::pair(y.mh, y.teff); });
  const auto twin = std::adjacent_find(files.begin(), files.end(), [](const File& x, const File& y) {
    return x.mh == y.mh && x.teff == y.teff;
  });
  if (twin != files.end())
    throw FileError(text(twin->path, " and ", (twin + 1)->path, ": the same [M/H] and T_eff; want one file"));
  if (files.empty())
    throw FileError(text(folders.empty() ? "no folder" : folders[0],
                         ": no file like kp00_5750.fits with T_eff ", range.teff_min, " to ",
                         range.teff_max));
  for (auto* axis : {&teffs, &mhs}) {
    std::sort(axis->begin(), axis->end());
    axis->erase(std::unique(axis->begin(), axis->end()), axis->end());
  }
  std::vector<double> log_gs;
  std::vector<std::string> columns;
  for (int g = 0; g <= 50; g += 5) {
    log_gs.push_back(0.1 * g);
    columns.push_back(g < 10 ? text("g0", g) : text("g", g));
  }
  const auto wavelengths_of = [](const io::FitsTable& table) {
    std::vector<double> w = table.numbers("WAVELENGTH");
    for (double& x : w) x *= 1e-4;
    return w;
  };
  const std::vector<double> wavelengths = wavelengths_of(io::FitsTable(files[0].path));
  SpectralGrid grid(teffs, log_gs, mhs, wavelengths);
  const auto position = [](const std::vector<double>& axis, double x) {
    return static_cast<std::size_t>(std::lower_bound(axis.begin(), axis.end(), x) - axis.begin());
  };
  for (const File& file : files) {
    const io::FitsTable table(file.path);
    if (wavelengths_of(table) != wavelengths)
      throw FileError(text(file.path, ": other wavelengths than in ", files[0].path, "; want the same"));
    for (std::size_t g = 0; g < columns.size(); ++g) {
      const std::vector<double> flux = table.numbers(columns[g]);
      if (std::all_of(flux.begin(), flux.end(), [](double f) { return f == 0; })) continue;
      grid.set(position(teffs, file.teff), g, position(mhs, file.mh), flux);
    }
  }
  return grid;
}
[[nodiscard]] inline SpectralGrid read_kurucz_grid(const std::string& folder, GridRange range = {}) {
  return read_kurucz_grid(std::vector{folder}, range);
}

} // namespace sbi::forward
