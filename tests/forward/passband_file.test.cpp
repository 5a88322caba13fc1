// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/forward/passband_file.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <utility>

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
