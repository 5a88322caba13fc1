// SPDX-License-Identifier: MIT
// A made-up channel whose mathematics can be done by hand, and the real data where they are.
#pragma once
#include "../data_file.hpp"

#include <sbi/forward/xp_file.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace sbi_test {

inline sbi::Tensor<double> scaled_identity(double scale) {
  constexpr sbi::index_t n = sbi::forward::XpChannel::coefficients;
  sbi::Tensor<double> out(sbi::Shape{n, n});
  for (sbi::index_t i = 0; i < n; ++i) out(i, i) = scale;
  return out;
}

/// u = 0 .. 59 linear over 0.3 to 1.1 micron (falling with wavelength if `falling`), x = u / 3 - 59 / 6,
/// response 0.5 everywhere, Binv = `inverse` times the identity, T = 1.
inline sbi::forward::XpTables tables(const char* name, double inverse, bool falling) {
  sbi::forward::XpTables t;
  t.name = name;
  t.pseudo_range = {0, 59};
  t.arguments = {-59. / 6, 59. / 6};
  t.dispersion_wavelengths = {300, 1100};
  t.pseudo_wavelengths = falling ? std::vector<double>{66, -7} : std::vector<double>{-7, 66};
  for (int i = 0; i <= 800; ++i) {
    t.response_wavelengths.push_back(300 + i);
    t.response.push_back(0.5);
  }
  t.inverse_bases = scaled_identity(inverse);
  t.transformation = scaled_identity(1);
  return t;
}
inline sbi::forward::XpInstrument made_up_instrument() {
  using sbi::forward::XpChannel;
  return {XpChannel(tables("BP", 1, true)), XpChannel(tables("RP", 2, false))};
}

inline bool no_xp_data() {
  for (const char* folder : {"gaiaxpy_instrument", "gaiaxpy_xp_samples"})
    if (data_file(folder).empty()) {
      MESSAGE("no data folder: skipped");
      return true;
    }
  return false;
}
inline sbi::forward::XpInstrument instrument() {
  return sbi::forward::read_xp_instrument(data_file("gaiaxpy_instrument"));
}
inline std::vector<sbi::forward::XpSource> sources(const std::string& file) {
  return sbi::forward::read_xp_sources(data_file("gaiaxpy_xp_samples/" + file));
}
/// All real sources with both channels: Proxima Cen, a blue star (G 13), three faint ones (G 15-17), 18 Sco.
inline std::vector<sbi::forward::XpSource> all_sources() {
  std::vector<sbi::forward::XpSource> out;
  for (const char* file :
       {"XP_CONTINUOUS_RAW.csv", "XP_CONTINUOUS_RAW_colour_eq_dr3int6.csv", "18Sco-XP-spectra.csv"})
    for (sbi::forward::XpSource& source : sources(file)) out.push_back(std::move(source));
  return out;
}
/// A row of lists such as GaiaXPy writes its results in.
inline std::vector<double> list(const std::string& file, std::size_t row, const char* column) {
  return sbi::forward::detail::ListTable(data_file("gaiaxpy_xp_samples/" + file)).list(row, column);
}

} // namespace sbi_test
