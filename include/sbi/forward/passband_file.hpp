// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/passband.hpp>
#include <sbi/io/text_file.hpp>

#include <string>
#include <string_view>

namespace sbi::forward {

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

} // namespace detail

/// Reads a transmission curve: the ECSV files of speclite (wavelength unit in the header) or two bare columns
/// as the SVO filter service gives them (wavelength in Angstrom), plain or gzipped. The curve is taken as a
/// PHOTON transmission: curves stored as lambda * transmission (SVO copies of 2MASS and WISE) must be divided
/// by lambda first. The zero point of the result is 1: the file does not know it. Throws FileError unless
/// there are at least two rows of two numbers, wavelengths are positive and strictly increase, and the
/// response is >= 0 and not zero everywhere.
[[nodiscard]] inline Passband read_passband(const std::string& path, std::string name) {
  const std::string content = io::read_text(path);
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
  return band;
}

} // namespace sbi::forward
