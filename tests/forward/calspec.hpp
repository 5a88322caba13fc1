// SPDX-License-Identifier: MIT
#pragma once
#include "../data_file.hpp"

#include <sbi/io/fits.hpp>

#include <string>
#include <vector>

namespace sbi_test {

struct Spectrum {
  std::vector<double> wavelengths, flux; ///< micron, erg/s/cm^2/A
};

/// A standard star's spectrum, without repeated wavelengths.
inline Spectrum calspec(const std::string& name) {
  const sbi::io::FitsTable table(data_file("calspec/" + name));
  Spectrum s;
  const auto w = table.numbers("WAVELENGTH"), f = table.numbers("FLUX");
  for (std::size_t i = 0; i < w.size(); ++i)
    if (s.wavelengths.empty() || 1e-4 * w[i] > s.wavelengths.back()) {
      s.wavelengths.push_back(1e-4 * w[i]);
      s.flux.push_back(f[i]);
    }
  return s;
}

} // namespace sbi_test
