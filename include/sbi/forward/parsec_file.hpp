// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/isochrone.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <charconv>
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

/// Which part of the files to keep: ages outside [log_age_min, log_age_max] are not loaded, and isochrones
/// end at initial mass mass_max [solar masses].
struct ParsecOptions {
  double log_age_min = 5.5, log_age_max = 10.1;
  int threads = 0;
  double mass_max = 100;
};

namespace detail {

/// Where the main sequence of stars of more than 8 solar masses ends, as the index of its last point: just
/// before the dash to the red (log T_eff falls more than 50 times as fast as log mass grows; a few times on
/// the main sequence, hundreds of times after it), or where log T_eff is least if it rises by 0.1 afterwards
/// (stripped stars; the hook at the end of the main sequence makes 0.05). The labels of most files say main
/// sequence up to red supergiants and Wolf-Rayet stars in isochrones younger than 10^7.15 years. Size - 1 if
/// the labels are right.
inline std::size_t end_of_main_sequence(const std::vector<IsochronePoint>& points) {
  double hottest = 0;
  std::size_t coolest = points.size();
  for (std::size_t i = 0; i + 1 < points.size() && points[i].label == 0; ++i) {
    const IsochronePoint &p = points[i], &next = points[i + 1];
    if (p.log_mass < 0.9) continue;
    hottest = std::max(hottest, p.log_teff);
    if (p.log_teff < hottest - 0.02 && (coolest == points.size() || p.log_teff < points[coolest].log_teff))
      coolest = i;
    if (coolest < i && p.log_teff > points[coolest].log_teff + 0.1) return coolest;
    const double fall = p.log_teff - next.log_teff;
    if (fall > 0.002 && fall > 50 * (next.log_mass - p.log_mass)) return i;
  }
  return points.size() - 1;
}

/// Cuts a PARSEC isochrone at mass `log_mass_max`, at the end of the main sequence where its labels leave
/// that out, and where massive stars with such labels follow on others that burn helium (3).
inline void cut_parsec_isochrone(std::vector<IsochronePoint>& points, double log_mass_max) {
  const auto heavy = std::upper_bound(points.begin(), points.end(), log_mass_max,
                                      [](double m, const IsochronePoint& p) { return m < p.log_mass; });
  if (heavy == points.begin()) points.clear();
  if (points.empty()) return;
  if (heavy != points.end()) {
    const IsochronePoint &a = *(heavy - 1), &b = *heavy;
    const double f = (log_mass_max - a.log_mass) / (b.log_mass - a.log_mass);
    *heavy = {log_mass_max, std::lerp(a.log_l, b.log_l, f), std::lerp(a.log_teff, b.log_teff, f),
              std::lerp(a.log_g, b.log_g, f), a.label};
    points.erase(heavy + 1, points.end());
  }
  const auto helium = std::find_if(points.begin(), points.end(), [](const auto& p) { return p.label == 3; });
  points.erase(std::find_if(helium, points.end(), [](const auto& p) { return p.label < 3; }), points.end());
  const std::size_t last = end_of_main_sequence(points);
  // A label that is right begins its subgiants within two points of the same place.
  if (last + 3 < points.size() && points[last + 3].label == 0) points.resize(last + 1);
}

} // namespace detail

/// Reads every isoc_z<Z>.dat or isoc_z<Z>.dat.gz of a folder (PARSEC isochrones in the layout of FSPS: log
/// age, initial mass, actual mass, log L, log T_eff, log g, surface composition, phase; all files with the
/// same ages). Thermally pulsing giants and what follows (phase 5, appended by FSPS) are left out, and so are
/// stars of more than 8 solar masses after the main sequence where the files do not label them (ages below
/// 10^7.15 years at solar metallicity): there the isochrone ends with the main sequence.
///
/// Isochrones predicted from their two neighbours in age, so at twice the spacing of the table, are wrong by
/// (median, 95 % of the points of all metallicities; the table itself is four times better where it is
/// smooth)
///                                                  log L           log T_eff
///   contracting stars                              0.001, 0.01     0.0002, 0.004
///   arrival on the main sequence, to 10^7 years    0.001, 0.04     0.0006, 0.009
///                                 later            0.002, 0.009    0.0004, 0.002
///   main sequence, 10^6.35 to 10^7 years           0.002, 0.025    0.001, 0.09  (massive stars near its end)
///                  other ages                      0.0005, 0.007   0.0002, 0.004
///   last 3 % of its phase, at fixed mass           0.02, 0.06      0.01, 0.04  (0.2 below 10^7 years)
///   subgiants to clump at fixed phase, 10^8 years  0.001, 0.006    0.0001, 0.002
///                  beyond 10^9 years               0.002, 0.2      0.0003, 0.03  (the bump moves in phase)
/// and from their two neighbours in metallicity by 2 to 5 times as much.
///
/// Throws FileError for fewer than two files, a table of other than eight columns, or ages that differ
/// between files, and ValueError for a mass_max that is not positive or like `Isochrones`.
[[nodiscard]] inline Isochrones read_parsec_isochrones(const std::string& folder,
                                                       ParsecOptions options = {}) {
  struct File {
    std::string path;
    double z = 0;
    std::vector<double> log_ages;
    std::vector<std::vector<IsochronePoint>> curves;
  };
  std::vector<File> files;
  if (!(options.mass_max > 0))
    throw ValueError(text("PARSEC isochrones up to mass ", options.mass_max, "; want a positive value"));
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
  for (File& file : files) {
    for (std::vector<IsochronePoint>& curve : file.curves)
      detail::cut_parsec_isochrone(curve, std::log10(options.mass_max));
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
