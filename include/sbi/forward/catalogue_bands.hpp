// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/passband_file.hpp>
#include <sbi/io/catalogue_spec.hpp>

#include <string>
#include <vector>

namespace sbi::forward {

/// The passbands of a catalogue's magnitudes, in order: the full curves named by the description, below the
/// folder `data`, with the zero points of the embedded bands of the same name; the embedded band where no
/// curve is named. Throws ValueError for an unknown band, FileError for a curve that cannot be read.
[[nodiscard]] inline std::vector<Passband> catalogue_bands(const io::CatalogueSpec& spec,
                                                           const std::string& data) {
  std::vector<Passband> out;
  for (const io::CatalogueColumn& column : spec.observables) {
    if (column.band.empty()) continue;
    Passband band = passband(column.band);
    if (!column.curve.empty()) {
      const double zero_point = band.zero_point;
      band = read_passband(data + "/" + column.curve, column.band);
      band.zero_point = zero_point;
    }
    out.push_back(std::move(band));
  }
  return out;
}

} // namespace sbi::forward
