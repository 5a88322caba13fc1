// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/isochrone.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace sbi::forward {

/// [M/H] of PARSEC models of metal mass fraction z: log10(Z/X) - log10(0.0207) with X = 1 - Y - Z and the
/// enrichment law Y = 0.2485 + 1.78 Z (Bressan et al. 2012, MNRAS 427, 127).
[[nodiscard]] inline double parsec_metallicity(double z) {
  return std::log10(z / (1 - (0.2485 + 1.78 * z) - z) / 0.0207);
}

/// Which part of the files to keep: ages outside [log_age_min, log_age_max] are not loaded.
struct ParsecOptions {
  double log_age_min = 5.5, log_age_max = 10.1;
  int threads = 0;
};

/// Reads every isoc_z<Z>.dat or isoc_z<Z>.dat.gz of a folder (PARSEC isochrones in the layout of FSPS: log
/// age, initial mass, actual mass, log L, log T_eff, log g, surface composition, phase; all files with the
/// same ages). Thermally pulsing giants and what follows (phase 5, appended by FSPS) are left out. Throws
/// FileError for fewer than two files, a table of other than eight columns, or ages that differ between
/// files, and ValueError like `Isochrones`.
[[nodiscard]] inline Isochrones read_parsec_isochrones(const std::string& folder,
                                                       ParsecOptions options = {}) {
  struct File {
    std::string path;
    double z = 0;
    std::vector<double> log_ages;
    std::vector<std::vector<IsochronePoint>> curves;
  };
  std::vector<File> files;
  if (!std::filesystem::is_directory(folder)) throw FileError(text(folder, ": no such folder"));
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    double z = 0;
    const bool ours = name.starts_with("isoc_z") && (name.ends_with(".dat") || name.ends_with(".dat.gz"));
    if (ours && std::from_chars(name.data() + 6, name.data() + name.size(), z).ec == std::errc{} && z > 0)
      files.push_back({entry.path().string(), z, {}, {}});
  }
  if (files.size() < 2)
    throw FileError(text(folder, ": ", files.size(), " files named isoc_z<Z>.dat[.gz]; want two or more"));
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.z < b.z; });

  Cpu<double>(options.threads).for_each(static_cast<index_t>(files.size()), [&](index_t i) {
    File& file = files[static_cast<std::size_t>(i)];
    const io::NumberTable table = io::read_numbers(file.path);
    if (table.columns != 8) throw FileError(text(file.path, ": ", table.columns, " columns; want 8"));
    for (index_t r = 0; r < table.rows(); ++r) {
      const double log_age = table(r, 0), mass = table(r, 1);
      if (log_age < options.log_age_min - 1e-6 || log_age > options.log_age_max + 1e-6) continue;
      if (!(mass > 0))
        throw FileError(text(file.path, ", line ", table.lines[static_cast<std::size_t>(r)], ": mass ", mass,
                             "; want a positive value"));
      if (file.log_ages.empty() || log_age != file.log_ages.back()) {
        file.log_ages.push_back(log_age);
        file.curves.emplace_back();
      }
      file.curves.back().push_back({std::log10(mass), table(r, 3), table(r, 4), table(r, 5),
                                    static_cast<int>(std::lround(table(r, 7)))});
    }
  });
  std::vector<double> mh;
  for (const File& file : files) {
    mh.push_back(parsec_metallicity(file.z));
    if (file.log_ages != files[0].log_ages)
      throw FileError(text(file.path, ": other ages than in ", files[0].path, "; want the same"));
  }
  return Isochrones(std::move(mh), files[0].log_ages,
                    [&](index_t i, index_t j) -> const std::vector<IsochronePoint>& {
                      return files[static_cast<std::size_t>(i)].curves[static_cast<std::size_t>(j)];
                    });
}

} // namespace sbi::forward
