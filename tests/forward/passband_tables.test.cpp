// SPDX-License-Identifier: MIT
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/passband.hpp>
#include <sbi/forward/passband_file.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

using namespace sbi::forward;

namespace {

std::string passband_folder() {
  const char* given = std::getenv("SBI_DATA_DIR");
  const std::filesystem::path data = given ? given : SBI_SOURCE_DIR "/../shared/data";
  return (data / "passbands_speclite").string();
}

} // namespace

TEST_CASE("forward/passband_tables: thirteen bands, increasing, starting and ending near zero") {
  CHECK(detail::band_tables.size() == 13);
  for (const detail::BandTable& table : detail::band_tables) {
    CAPTURE(std::string(table.name));
    CHECK_NOTHROW(check(passband(table.name)));
    CHECK(table.points.front()[1] < 0.02); // a curve cut off short would lose light
    CHECK(table.points.back()[1] < 0.02);
  }
}

TEST_CASE("forward/passband_tables: colours of stars agree with the full published curves") {
  if (!std::filesystem::exists(passband_folder())) {
    MESSAGE("skipped: no passband files in " << passband_folder());
    return;
  }
  const std::pair<const char*, const char*> files[]{
      {"GaiaDR3.G", "gaiadr3-G"}, {"GaiaDR3.BP", "gaiadr3-BP"}, {"GaiaDR3.RP", "gaiadr3-RP"},
      {"GaiaDR2.G", "gaiadr2-G"}, {"GaiaDR2.BP", "gaiadr2-BP"}, {"GaiaDR2.RP", "gaiadr2-RP"},
      {"2MASS.J", "twomass-J"},   {"2MASS.H", "twomass-H"},     {"2MASS.Ks", "twomass-Ks"},
      {"WISE.W1", "wise2010-W1"}, {"WISE.W2", "wise2010-W2"},   {"WISE.W3", "wise2010-W3"},
      {"WISE.W4", "wise2010-W4"}};
  const AnalyticAtmosphere atmosphere;
  std::vector<double> flux(AnalyticAtmosphere::grid_size);
  double worst = 0;
  for (const auto& file : files) {
    const Passband thin = passband(file.first);
    Passband full = read_passband(passband_folder() + "/" + file.second + ".ecsv", thin.name);
    full.zero_point = thin.zero_point;
    for (double teff : {2500., 3000., 3500., 4000., 5000., 5772., 7000., 10000., 20000., 30000.}) {
      atmosphere.flux(std::log10(teff), 4.5, 0, flux);
      const double difference =
          magnitude(atmosphere.wavelengths(), flux, thin) - magnitude(atmosphere.wavelengths(), flux, full);
      CAPTURE(thin.name);
      CAPTURE(teff);
      worst = std::max(worst, std::abs(difference));
      CHECK(std::abs(difference) < 0.001); // below the calibration error of every one of these surveys
    }
  }
  MESSAGE("largest difference between thinned and full curves: " << worst << " mag");
}
