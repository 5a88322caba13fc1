// SPDX-License-Identifier: MIT
#include "../data_file.hpp"
#include "calspec.hpp"

#include <sbi/forward/passband_file.hpp>
#include <sbi/io/fits.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {
struct TextFile {
  std::string path =
      (std::filesystem::temp_directory_path() / text("sbi-band-", static_cast<long>(::getpid()))).string();
  explicit TextFile(const std::string& content) { std::ofstream(path) << content; }
  ~TextFile() { std::filesystem::remove(path); }
};
std::string failure(const std::string& content) {
  const TextFile file(content);
  try {
    (void)read_passband(file.path, "test");
  } catch (const FileError& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }
using sbi_test::calspec;
using sbi_test::Spectrum;
Passband full(const std::string& file, std::optional<Convention> convention = {}) {
  return read_passband(sbi_test::data_file("passbands_speclite") + "/" + file + ".ecsv", file, convention);
}
bool no_data() {
  for (const char* folder : {"passbands_speclite", "calspec"})
    if (sbi_test::data_file(folder).empty()) {
      MESSAGE("no data folder: skipped");
      return true;
    }
  return false;
}
std::string ecsv(const std::string& unit, const std::string& rows) {
  return "# %ECSV 0.9\n# ---\n# datatype:\n# - {name: wavelength, unit: " + unit +
         ", datatype: float64}\n# - {name: response, datatype: float64}\nwavelength response\n" + rows;
}
} // namespace

TEST_CASE("forward/passband_file: units come from an ECSV header, bare columns are Angstrom") {
  for (const auto& [unit, first] : {std::pair{"Angstrom", 0.5}, {"nm", 5.0}, {"micron", 5000.0}}) {
    const TextFile file(ecsv(unit, "5000 0\n6000 1\n7000 0\n"));
    const Passband band = read_passband(file.path, "x");
    CHECK(band.wavelengths[0] == doctest::Approx(first).epsilon(1e-14));
    CHECK(band.transmission[1] == 1);
    CHECK(band.zero_point == 1);
  }
  const TextFile bare("# SVO\n5000 0.1\n6000 0.9\n");
  const Passband band = read_passband(bare.path, "svo");
  CHECK(band.name == "svo");
  CHECK(band.wavelengths[1] == doctest::Approx(0.6).epsilon(1e-14));
}

TEST_CASE("forward/passband_file: what is wrong with a curve is said") {
  CHECK(contains(failure("5000 0.1\n5000 0.9\n"), "want positive, increasing values"));
  CHECK(contains(failure("5000 0.1\n6000 -0.9\n"), "want 0 or more"));
  CHECK(contains(failure("5000 0\n6000 0\n"), "zero everywhere"));
  CHECK(contains(failure("5000 0 1\n6000 0 1\n"), "want two or more of wavelength and response"));
  CHECK(contains(failure(ecsv("furlong", "1 1\n2 1\n")), "'furlong'; want Angstrom, nm or micron"));
  CHECK(contains(failure("# %ECSV 0.9\n# x\nlambda response\n1 1\n"), "not named 'wavelength'"));
  CHECK(contains(failure("# %ECSV 0.9\n"), "not named 'wavelength'"));
}

TEST_CASE("forward/passband_file: a curve of energy becomes one of photons") {
  const std::string rows = "5000 0.1\n6000 0.9\n8000 0.2\n";
  const TextFile file(rows);
  const Passband photon = read_passband(file.path, "x"),
                 energy = read_passband(file.path, "x", Convention::energy);
  CHECK(read_passband(file.path, "x", Convention::photon).transmission == photon.transmission);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(energy.transmission[i] ==
          doctest::Approx(photon.transmission[i] / photon.wavelengths[i]).epsilon(1e-14));
  // int F S / int S of F = lambda^2 by hand, in steps of a straight line: S is 0.1 to 0.9 to 0.2 at 0.5, 0.6,
  // 0.8 micron. Between the points S / lambda is taken as straight, not S: 0.4 % of this curve.
  double top = 0, bottom = 0;
  const int n = 3000;
  for (int i = 0; i < n; ++i) {
    const double w = 0.5 + 0.3 * (i + 0.5) / n;
    const double s = w < 0.6 ? 0.1 + 8 * (w - 0.5) : 0.9 - 3.5 * (w - 0.6);
    top += w * w * s, bottom += s;
  }
  const std::vector<double> grid{0.4, 1}, flux{0.16, 1}; // a power law is interpolated exactly
  CHECK(mean_flux(grid, flux, energy) == doctest::Approx(top / bottom).epsilon(0.004));
  CHECK(mean_flux(grid, flux, photon) > 1.01 * top / bottom);
}

TEST_CASE("forward/passband_file: a convention that the file states wins, another one wanted is an error") {
  const std::string rows = "5000 0.1\n6000 0.9\n";
  const double as_photon = 0.9, as_energy = 0.9 / 0.6;
  for (const auto& [header, want] : {std::pair{"# DetectorType: 0\n", as_energy},
                                     {"# DetectorType = '1'\n", as_photon},
                                     {"# - {detector_type: energy}\n", as_energy},
                                     {"# - {band: x, detector_type: photon, y: 0}\n", as_photon},
                                     {"# DetectorTypes are listed elsewhere: 0\n", 0.},
                                     {"# DetectorType: ccd\n", -1.}}) {
    const TextFile file(header + rows);
    const std::string comment = header;
    CAPTURE(comment);
    if (want < 0) {
      CHECK_THROWS_WITH_AS((void)read_passband(file.path, "x"), doctest::Contains("line 1: DetectorType '"),
                           FileError);
      continue;
    }
    if (want == 0) { // says nothing
      CHECK(read_passband(file.path, "x").transmission[1] == doctest::Approx(as_photon));
      CHECK(read_passband(file.path, "x", Convention::energy).transmission[1] == doctest::Approx(as_energy));
      continue;
    }
    CHECK(read_passband(file.path, "x").transmission[1] == doctest::Approx(want));
    const bool photon = want == as_photon;
    CHECK(read_passband(file.path, "x", photon ? Convention::photon : Convention::energy).transmission[1] ==
          doctest::Approx(want));
    CHECK_THROWS_WITH_AS(
        (void)read_passband(file.path, "x", photon ? Convention::energy : Convention::photon),
        doctest::Contains(photon ? "says photon, not energy" : "says energy, not photon"), FileError);
  }
}

TEST_CASE("forward/passband_file: pivot wavelengths of the full curves") {
  const std::string folder = sbi_test::data_file("passbands_speclite");
  if (folder.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  // Own quadrature in double precision, another code: the figures have six digits.
  for (const auto& [name_, pivot] : {std::pair{"gaiadr3-G", 6217.60},
                                     {"gaiadr3-BP", 5109.71},
                                     {"gaiadr3-RP", 7769.02},
                                     {"twomass-J", 12355.},
                                     {"twomass-H", 16457.},
                                     {"twomass-Ks", 21603.},
                                     {"wise2010-W1", 33682.},
                                     {"wise2010-W2", 46179.},
                                     {"wise2010-W3", 120728.},
                                     {"wise2010-W4", 221944.}}) {
    const std::string name = name_;
    const Passband band = read_passband(folder + "/" + name + ".ecsv", name);
    CAPTURE(name);
    CHECK(1e4 * pivot_wavelength(band) == doctest::Approx(pivot).epsilon(1e-4));
  }
}

TEST_CASE("forward/passband_file: the zero points of Gaia DR3 from its curves and its Vega") {
  if (no_data()) return;
  Spectrum vega = calspec("alpha_lyr_mod_002.fits");
  for (double& f : vega.flux) f *= 1.02140869; // to 3.62286e-11 W/m^2/nm at 550 nm
  // Published zero points of e-/s = P / (1e9 h c) int lambda F S dlambda in nm and W/m^2/nm, P = .7278 m^2,
  // Vega and AB; mean wavelength int lambda S / int S.
  for (const auto& [file, vega_zero, ab_zero, offset, mean] :
       {std::tuple{"gaiadr3-G", 25.6873668671, 25.8010446445, .1137, 6390.2},
        {"gaiadr3-BP", 25.3385422158, 25.3539555559, .0154, 5182.6},
        {"gaiadr3-RP", 24.7478955012, 25.1039837393, .3561, 7825.1}}) {
    const Passband band = full(file);
    double photons = 0, transmission = 0; // int lambda S dlambda [nm^2], int S dlambda [nm]
    forward::detail::band_quadrature(band.wavelengths, band, [&](std::size_t, double lambda, double w) {
      photons += 1e6 * w, transmission += 1e3 * w / lambda;
    });
    const double area = .7278 / (1e9 * 6.62607015e-34 * 2.99792458e8);
    const auto zero = [&](double flux) { return 2.5 * std::log10(area * 1e-2 * flux * photons); };
    const double found = zero(vega_zero_point(band, vega.wavelengths, vega.flux));
    CAPTURE(band.name);
    CHECK(std::abs(found - vega_zero) < 3e-4); // published to .003; another quadrature of the same curves
    CHECK(std::abs(zero(ab_zero_point(band)) - ab_zero) < 8e-4);
    CHECK(std::abs(zero(ab_zero_point(band)) - found - offset) < 8e-4);
    CHECK(1e4 * 1e-3 * photons / transmission == doctest::Approx(mean).epsilon(1e-5));
  }
  // Other Vegas in these bands: the CALSPEC spectrum, and the model without the scale.
  const Spectrum stis = calspec("alpha_lyr_stis_011.fits"), model = calspec("alpha_lyr_mod_002.fits");
  for (const auto& [file, name, want] : {std::tuple{"gaiadr3-G", "GaiaDR3.G", .0130},
                                         {"gaiadr3-BP", "GaiaDR3.BP", .0075},
                                         {"gaiadr3-RP", "GaiaDR3.RP", .0247}}) {
    Passband band = full(file);
    band.zero_point = passband(name).zero_point;
    CHECK(std::abs(magnitude(stis.wavelengths, stis.flux, band) - want) < 5e-4);
    CHECK(std::abs(magnitude(model.wavelengths, model.flux, band) - .0229) < 5e-4);
  }
}

TEST_CASE("forward/passband_file: the speclite curves of 2MASS and WISE are of photons") {
  if (no_data()) return;
  const Spectrum vega = calspec("alpha_lyr_mod_002.fits");
  // F_lambda of magnitude 0 [W/cm^2/micron = 1e3 erg/s/cm^2/A] of Cohen et al. (2003) and Jarrett et al.
  // (2011); computed over published with the curve taken as photons and, where that is known, as energy.
  for (const auto& [file, published, photon, energy] : {std::tuple{"twomass-J", 3.129e-13, .9992, 1.010},
                                                        {"twomass-H", 1.133e-13, 1.0040, 0.},
                                                        {"twomass-Ks", 4.283e-14, .9995, 0.},
                                                        {"wise2010-W1", 8.1787e-15, 1.0015, 1.028},
                                                        {"wise2010-W2", 2.4150e-15, 1.0010, 0.},
                                                        {"wise2010-W3", 6.5151e-17, 1.0024, 1.200},
                                                        {"wise2010-W4", 5.0901e-18, .976, 0.}}) {
    const std::string name = file;
    const double scale = 1e3 * published;
    const auto ratio = [&](Convention convention) {
      return vega_zero_point(full(name, convention), vega.wavelengths, vega.flux) / scale;
    };
    CAPTURE(name);
    CHECK(std::abs(ratio(Convention::photon) - photon) < 5e-4);
    if (energy > 0) CHECK(std::abs(ratio(Convention::energy) - energy) < 1e-3);
  }
}

TEST_CASE("forward/passband_file: absolute magnitudes of the Sun on the Gaia and AB systems") {
  if (no_data()) return;
  const Spectrum measured = calspec("sun_reference_stis_001.fits"), model = calspec("sun_kurucz93.fits");
  const double modulus = 5 * std::log10(10 * 206264.806); // from 1 au to 10 pc
  for (const auto& [file, name, stis, kurucz] : {std::tuple{"gaiadr3-G", "GaiaDR3.G", 4.668, 4.673},
                                                 {"gaiadr3-BP", "GaiaDR3.BP", 4.989, 4.997},
                                                 {"gaiadr3-RP", "GaiaDR3.RP", 4.182, 4.185}}) {
    Passband band = full(file);
    band.zero_point = passband(name).zero_point;
    CHECK(std::abs(magnitude(measured.wavelengths, measured.flux, band) + modulus - stis) < 0.0015);
    CHECK(std::abs(magnitude(model.wavelengths, model.flux, band) + modulus - kurucz) < 0.0015);
  }
  for (const auto& [file, want] : {std::pair{"twomass-J", 4.559},
                                   {"twomass-H", 4.707},
                                   {"twomass-Ks", 5.135},
                                   {"wise2010-W1", 5.950},
                                   {"wise2010-W2", 6.617},
                                   {"wise2010-W3", 8.417},
                                   {"wise2010-W4", 9.887}})
    CHECK(std::abs(magnitude(model.wavelengths, model.flux, ab(full(file))) + modulus - want) < 0.001);
}
