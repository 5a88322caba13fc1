// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/isochrone.hpp>
#include <sbi/forward/surface_gravity.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// One row of a BaSTI isochrone: initial and present mass [solar masses], log10 of L [solar luminosities] and
/// T_eff [K], and the absolute magnitudes in Gaia DR3 G, G_BP, G_RP and G_RVS (Vega) that its authors
/// publish.
struct BastiPoint {
  double mass = 0, mass_now = 0, log_l = 0, log_teff = 0;
  std::array<double, 4> magnitudes{};
};

/// One file of BaSTI-IAC (Hidalgo et al. 2018, ApJ 856, 125): the isochrone of one age [log10 yr] and [M/H].
struct BastiIsochrone {
  double mh = 0, log_age = 0;
  std::vector<BastiPoint> points;
};

/// Reads one .isc_gaia-dr3-new file, plain or gzipped. Throws FileError for a header without [M/H], age or
/// number of points, or another number of rows or columns than it says.
[[nodiscard]] inline BastiIsochrone read_basti_isochrone(const std::string& path) {
  const std::string content = io::read_text(path);
  const auto header = [&](std::string_view name) {
    const std::size_t at = content.find(name);
    const std::size_t equals = at == content.npos ? at : content.find_first_not_of(" =", at + name.size());
    double value = 0;
    if (equals == content.npos ||
        std::from_chars(content.data() + equals, content.data() + content.size(), value).ec != std::errc{})
      throw FileError(text(path, ": no '", name, "' in the header; want a BaSTI isochrone"));
    return value;
  };
  BastiIsochrone out{header("[M/H]"), std::log10(1e6 * header("Age (Myr)")), {}};
  const double rows = header("Np");
  const io::NumberTable table = io::parse_numbers(content, path);
  if (table.columns != 8 || static_cast<double>(table.rows()) != rows)
    throw FileError(text(path, ": ", table.rows(), " rows of ", table.columns, " numbers; want ", rows,
                         " of 8 as the header says"));
  for (index_t r = 0; r < table.rows(); ++r)
    out.points.push_back({table(r, 0),
                          table(r, 1),
                          table(r, 2),
                          table(r, 3),
                          {table(r, 4), table(r, 5), table(r, 6), table(r, 7)}});
  return out;
}

/// Every *.isc_gaia-dr3-new[.gz] of a folder, in order of age. Throws FileError for none, or two
/// metallicities.
[[nodiscard]] inline std::vector<BastiIsochrone> read_basti_tables(const std::string& folder) {
  if (!std::filesystem::is_directory(folder)) throw FileError(text(folder, ": no such folder"));
  std::vector<BastiIsochrone> tables;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".isc_gaia-dr3-new") && !name.ends_with(".isc_gaia-dr3-new.gz")) continue;
    tables.push_back(read_basti_isochrone(entry.path().string()));
    if (tables.back().mh != tables.front().mh)
      throw FileError(text(entry.path().string(), ": [M/H] = ", tables.back().mh, "; want ",
                           tables.front().mh, " as in the other files"));
  }
  if (tables.empty()) throw FileError(text(folder, ": no file named *.isc_gaia-dr3-new[.gz]"));
  std::sort(tables.begin(), tables.end(),
            [](const BastiIsochrone& a, const BastiIsochrone& b) { return a.log_age < b.log_age; });
  return tables;
}

/// Evolution from these isochrones, which hold one metallicity: it covers that value only, and no age between
/// two files more than `largest_age_step` [dex] apart. The phases stand at fixed rows: of 2100, row 360 is
/// the hottest of the turn-off, 490 the foot and 1290 the tip of the red giant branch, 1950 the end of helium
/// in the core. Throws ValueError for another number of rows and like `Isochrones`.
[[nodiscard]] inline Isochrones basti_isochrones(const std::vector<BastiIsochrone>& tables,
                                                 double largest_age_step = 0.15) {
  constexpr std::size_t rows = 2100;
  constexpr std::array<std::size_t, 4> first_row{359, 489, 1289, 1949}; // of labels 1 to 4, from 0
  std::vector<double> log_ages;
  for (const BastiIsochrone& table : tables) {
    log_ages.push_back(table.log_age);
    if (table.points.size() != rows || table.mh != tables.front().mh)
      throw ValueError(text("BaSTI isochrone of log age ", table.log_age, ": ", table.points.size(),
                            " points, [M/H] = ", table.mh, "; want ", rows, " and ", tables.front().mh));
  }
  return Isochrones(
      tables.empty() ? std::vector<double>{} : std::vector{tables.front().mh}, log_ages,
      [&](index_t, index_t j) {
        std::vector<IsochronePoint> points;
        for (const BastiPoint& p : tables[static_cast<std::size_t>(j)].points) {
          const auto label = std::upper_bound(first_row.begin(), first_row.end(), points.size());
          points.push_back({std::log10(p.mass), p.log_l, p.log_teff,
                            surface_gravity(std::log10(p.mass_now), p.log_l, p.log_teff),
                            static_cast<int>(label - first_row.begin())});
        }
        return points;
      },
      largest_age_step);
}

/// `basti_isochrones` of a folder's files.
[[nodiscard]] inline Isochrones read_basti_isochrones(const std::string& folder) {
  return basti_isochrones(read_basti_tables(folder));
}

} // namespace sbi::forward
