// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/spectral_grid.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

namespace detail {

/// "lte058.0-4.5-0.0a+0.0.BT-Settl.spec.txt[.gz]" -> T_eff 5800 K, log g 4.5; false for any other name or
/// metallicity.
inline bool parse_bt_settl_name(std::string_view name, double& teff, double& log_g) {
  if (!name.starts_with("lte") || name.find("-0.0a+0.0.BT-Settl") == std::string_view::npos) return false;
  const char *at = name.data() + 3, *end = name.data() + name.size();
  const auto t = std::from_chars(at, end, teff);
  if (t.ec != std::errc{} || t.ptr == end || *t.ptr != '-') return false;
  teff = std::round(1000 * teff) / 10;
  return std::from_chars(t.ptr + 1, end, log_g).ec == std::errc{};
}

/// Mean flux of a spectrum (increasing wavelengths, trapezoids in between) in each bin [edges[i], edges[i +
/// 1]]; bins reaching outside the spectrum see zero there. The integral over all bins is that of the
/// spectrum.
inline std::vector<double> rebin(const std::vector<double>& wavelengths, const std::vector<double>& flux,
                                 const std::vector<double>& edges) {
  std::vector<double> cumulative(wavelengths.size());
  for (std::size_t i = 1; i < wavelengths.size(); ++i)
    cumulative[i] = cumulative[i - 1] + 0.5 * (flux[i] + flux[i - 1]) * (wavelengths[i] - wavelengths[i - 1]);
  const auto integral = [&](double x) {
    if (x <= wavelengths.front()) return 0.0;
    if (x >= wavelengths.back()) return cumulative.back();
    const auto i = static_cast<std::size_t>(std::upper_bound(wavelengths.begin(), wavelengths.end(), x) -
                                            wavelengths.begin()) -
                   1;
    const double h = x - wavelengths[i],
                 slope = (flux[i + 1] - flux[i]) / (wavelengths[i + 1] - wavelengths[i]);
    return cumulative[i] + h * (flux[i] + 0.5 * slope * h);
  };
  std::vector<double> out(edges.size() - 1);
  for (std::size_t i = 0; i + 1 < edges.size(); ++i)
    out[i] = (integral(edges[i + 1]) - integral(edges[i])) / (edges[i + 1] - edges[i]);
  return out;
}

} // namespace detail

/// Reads BT-Settl (CIFIST) spectra of solar composition: files lte<T_eff/100>-<log
/// g>-0.0a+0.0.BT-Settl.spec.txt[.gz] of wavelength [A] and surface flux [erg/s/cm^2/A]. The models have tens
/// of thousands of wavelengths, each its own, so they are averaged in equal steps of ln(wavelength),
/// 1/`resolution` apart, from 0.1 to 30 micron (where the files end); the integral of the flux is kept.
/// Temperatures known for some gravities only are filled in between (`fill_gaps`). The files hold sigma T^4
/// to 1 % at log g 4.5 from 3000 K on, 3 % less at log g 2.5, and scatter by up to 18 % below 3000 K. Throws
/// FileError if no file is in range or one is not a spectrum.
[[nodiscard]] inline SpectralGrid read_bt_settl_grid(const std::string& folder, GridRange range = {},
                                                     double resolution = 500, int threads = 0) {
  struct File {
    double teff, log_g;
    std::string path;
    std::vector<double> flux;
  };
  if (!std::filesystem::is_directory(folder)) throw FileError(text(folder, ": no such folder"));
  std::vector<File> files;
  std::vector<double> teffs, log_gs;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    File f{0, 0, entry.path().string(), {}};
    if (!detail::parse_bt_settl_name(entry.path().filename().string(), f.teff, f.log_g) ||
        f.teff < range.teff_min || f.teff > range.teff_max)
      continue;
    teffs.push_back(f.teff);
    log_gs.push_back(f.log_g);
    files.push_back(std::move(f));
  }
  if (files.empty()) throw FileError(text(folder, ": no BT-Settl spectrum of the T_eff range wanted"));
  for (auto* axis : {&teffs, &log_gs}) {
    std::sort(axis->begin(), axis->end());
    axis->erase(std::unique(axis->begin(), axis->end()), axis->end());
  }
  constexpr double first = 0.1, last = 30; // micron
  const auto bins = static_cast<std::size_t>(std::ceil(resolution * std::log(last / first)));
  std::vector<double> edges(bins + 1), wavelengths(bins);
  for (std::size_t i = 0; i <= bins; ++i)
    edges[i] = first * std::pow(last / first, static_cast<double>(i) / static_cast<double>(bins));
  for (std::size_t i = 0; i < bins; ++i) wavelengths[i] = 0.5 * (edges[i] + edges[i + 1]);

  Cpu<double>(threads).for_each(static_cast<index_t>(files.size()), [&](index_t i) {
    File& file = files[static_cast<std::size_t>(i)];
    const io::NumberTable table = io::read_numbers(file.path);
    if (table.columns != 2 || table.rows() < 2)
      throw FileError(text(file.path, ": ", table.columns, " columns; want wavelength and flux"));
    std::vector<double> w, f;
    for (index_t r = 0; r < table.rows(); ++r) {
      if (r > 0 && !(table(r, 0) > table(r - 1, 0)))
        throw FileError(text(file.path, ", line ", table.lines[static_cast<std::size_t>(r)], ": wavelength ",
                             table(r, 0), " does not increase"));
      w.push_back(1e-4 * table(r, 0));
      f.push_back(table(r, 1));
    }
    file.flux = detail::rebin(w, f, edges);
  });
  SpectralGrid grid(teffs, log_gs, {0.0}, wavelengths);
  const auto position = [](const std::vector<double>& axis, double x) {
    return static_cast<std::size_t>(std::lower_bound(axis.begin(), axis.end(), x) - axis.begin());
  };
  for (const File& file : files)
    grid.set(position(teffs, file.teff), position(log_gs, file.log_g), 0, file.flux);
  grid.fill_gaps();
  return grid;
}

} // namespace sbi::forward
