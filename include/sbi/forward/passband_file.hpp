// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/passband.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace sbi::forward {

/// What the second column S of a curve weights: photon counters see int lambda F S dlambda, energy counters
/// int F S dlambda. It is a property of the file, not of the survey: curves stored as lambda times the photon
/// transmission are of the second kind, whatever the detector.
enum class Convention { photon, energy };

namespace detail {

/// Microns per unit of the wavelength column, from the ECSV header ("{name: wavelength, unit: Angstrom,
/// ...}") or a comment that names it; 0 if the file says nothing.
inline double microns_per_unit(std::string_view content, const std::string& path) {
  const std::size_t at = content.find("name: wavelength");
  if (at == std::string_view::npos) return 0;
  const std::string_view line = content.substr(at, content.find('\n', at) - at);
  const std::size_t unit_at = line.find("unit: ");
  if (unit_at == std::string_view::npos) return 0;
  const std::string_view unit = line.substr(unit_at + 6, line.find_first_of(",}", unit_at) - unit_at - 6);
  if (unit == "Angstrom") return 1e-4;
  if (unit == "nm") return 1e-3;
  if (unit == "micron" || unit == "um") return 1;
  throw FileError(text(path, ": wavelength unit '", unit, "'; want Angstrom, nm or micron"));
}

/// The convention that a comment states, as "DetectorType: 1" (photon; 0 is energy, as the SVO filter profile
/// service numbers them) or "detector_type: energy"; nothing if no comment does.
inline std::optional<Convention> stated_convention(std::string_view content, const std::string& path) {
  std::optional<Convention> out;
  io::for_each_line(content, [&](index_t number, std::string_view line) {
    if (!line.starts_with('#')) return;
    for (const std::string_view key : {"DetectorType", "detector_type"}) {
      const std::size_t at = line.find(key);
      if (at == std::string_view::npos) continue;
      const std::string_view rest = line.substr(at + key.size());
      const std::size_t sign = rest.find_first_not_of(" '\"\t");
      if (sign == std::string_view::npos || (rest[sign] != ':' && rest[sign] != '=')) continue; // just a word
      const std::size_t from = std::min(rest.find_first_not_of(" '\"\t", sign + 1), rest.size());
      const std::string_view value = rest.substr(from, rest.find_first_of(" ,;}'\"\t", from) - from);
      if (value != "0" && value != "1" && value != "energy" && value != "photon")
        throw FileError(
            text(path, ", line ", number, ": ", key, " '", value, "'; want 0 or energy, 1 or photon"));
      out = value == "1" || value == "photon" ? Convention::photon : Convention::energy;
    }
  });
  return out;
}

} // namespace detail

/// Reads a transmission curve: the ECSV files of speclite (wavelength unit in the header) or two bare columns
/// as the SVO filter service gives them (wavelength in Angstrom), plain or gzipped. A comment of the file may
/// state the convention of its second column, "DetectorType: 1" for photons and 0 for energy; otherwise it is
/// the one given, or photon. A curve of energy S_E becomes the photon transmission S_E / lambda. The SVO
/// files of 2MASS and WISE are of energy and do not say so; those of speclite are all of photons. The zero
/// point of the result is 1: the file does not know it. Throws FileError unless there are at least two rows
/// of two numbers, wavelengths are positive and strictly increase, and the response is >= 0 and not zero
/// everywhere, and if the file states another convention than the one given.
[[nodiscard]] inline Passband read_passband(const std::string& path, std::string name,
                                            std::optional<Convention> convention = {}) {
  const std::string content = io::read_text(path);
  const std::optional<Convention> stated = detail::stated_convention(content, path);
  if (stated && convention && *stated != *convention)
    throw FileError(text(path, ": DetectorType says ", *stated == Convention::photon ? "photon" : "energy",
                         ", not ", *convention == Convention::photon ? "photon" : "energy", " as wanted"));
  const bool energy = stated.value_or(convention.value_or(Convention::photon)) == Convention::energy;
  const double declared = detail::microns_per_unit(content, path);
  const double scale = declared > 0 ? declared : 1e-4;
  // ECSV has one line of column names between the header and the numbers.
  std::string_view body = content;
  if (content.starts_with("# %ECSV")) {
    std::size_t at = 0;
    while (at < content.size() && content[at] == '#')
      at = std::min(content.size(), content.find('\n', at)) + 1;
    const std::size_t names = std::min(at, content.size());
    if (content.compare(names, 10, "wavelength") != 0)
      throw FileError(text(path, ": the first column is not named 'wavelength'"));
    body = body.substr(std::min(content.size(), content.find('\n', names)));
  }
  const io::NumberTable table = io::parse_numbers(body, path);
  if (table.columns != 2 || table.rows() < 2)
    throw FileError(text(path, ": ", table.rows(), " rows of ", table.columns,
                         " numbers; want two or more of wavelength and response"));
  Passband band{std::move(name), {}, {}, 1};
  for (index_t r = 0; r < table.rows(); ++r) {
    band.wavelengths.push_back(scale * table(r, 0));
    band.transmission.push_back(table(r, 1));
  }
  try {
    check(band);
  } catch (const Error& error) {
    throw FileError(text(path, ": ", error.what()));
  }
  if (energy)
    for (std::size_t i = 0; i < band.transmission.size(); ++i) band.transmission[i] /= band.wavelengths[i];
  return band;
}

} // namespace sbi::forward
