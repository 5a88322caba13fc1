// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/catalogue_bands.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace sbi;
using namespace sbi::forward;

TEST_CASE(
    "forward/catalogue_bands: embedded bands where no curve is named, full curves with the same zero point") {
  io::CatalogueSpec spec;
  spec.observables.resize(3);
  spec.observables[0].band = "GaiaDR2.G";
  spec.observables[2].band = "2MASS.J";
  const auto bands = catalogue_bands(spec, "nowhere"); // the parallax has none
  REQUIRE(bands.size() == 2);
  CHECK(bands[1].name == "2MASS.J");
  spec.observables[0].curve = "none.ecsv";
  CHECK_THROWS_AS((void)catalogue_bands(spec, "nowhere"), FileError);
  spec.observables[0].band = "GaiaDR9.G";
  CHECK_THROWS_AS((void)catalogue_bands(spec, "nowhere"), ValueError);

  const std::string folder = sbi_test::data_file("passbands_speclite");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  spec.observables[0].band = "GaiaDR2.G";
  spec.observables[0].curve = "gaiadr2-G.ecsv";
  const auto full = catalogue_bands(spec, folder);
  CHECK(full[0].wavelengths.size() > bands[0].wavelengths.size());
  CHECK(full[0].zero_point == bands[0].zero_point);
  CHECK(pivot_wavelength(full[0]) == doctest::Approx(pivot_wavelength(bands[0])).epsilon(0.001));
}
