// SPDX-License-Identifier: MIT
#include <sbi/forward/sed_cube_file.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

constexpr int models = 5, apertures = 3, wavelengths = 4;
float value(index_t m, index_t a, index_t w) { return static_cast<float>(1000 * m + 100 * a + w + 1); }

/// What may be wrong with a cube.
struct Layout {
  std::string flux_unit = "mJy", wavelength_unit = "um", aperture_unit = "AU", values = "VALUES";
  bool distance = true, divided = true, increasing = false, uncertainties = true;
  int names = models;
};

/// A folder with flux.fits and parameters.fits as the grids have them, written with CFITSIO: wavelengths run
/// from long to short.
struct Folder {
  std::filesystem::path path;
  explicit Folder(const Layout& layout = {}) {
    static std::atomic<int> count{0};
    path = std::filesystem::temp_directory_path() /
           text("sbi-cube-", static_cast<long>(::getpid()), "-", count++);
    std::filesystem::create_directories(path);
    write_cube(layout);
    write_parameters();
  }
  Folder(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string cube() const { return (path / "flux.fits").string(); }
  [[nodiscard]] std::string parameters() const { return (path / "parameters.fits").string(); }

  void write_cube(const Layout& layout) const {
    fitsfile* f = nullptr;
    int status = 0;
    fits_create_diskfile(&f, cube().c_str(), &status);
    long flags_axis[1] = {layout.names};
    std::vector<int> flags(static_cast<std::size_t>(layout.names), 1);
    flags[1] = 0;
    fits_create_img(f, LONG_IMG, 1, flags_axis, &status);
    fits_write_img(f, TINT, 1, layout.names, flags.data(), &status);
    double centimetres = 3.0856775814913673e21;
    if (layout.distance) fits_write_key(f, TDOUBLE, "DISTANCE", &centimetres, "", &status);
    const auto table = [&](const char* extension, std::vector<std::string> names,
                           std::vector<std::string> formats, std::vector<std::string> units) {
      std::vector<char*> n, t, u;
      for (auto& s : names) n.push_back(s.data());
      for (auto& s : formats) t.push_back(s.data());
      for (auto& s : units) u.push_back(s.data());
      fits_create_tbl(f, BINARY_TBL, 0, static_cast<int>(n.size()), n.data(), t.data(), u.data(), extension,
                      &status);
    };
    table("MODEL_NAMES", {"MODEL_NAME"}, {"30A"}, {""});
    for (int m = 0; m < layout.names; ++m) {
      std::string name = text("model", m, "_01");
      char* cell[1] = {name.data()};
      fits_write_col(f, TSTRING, 1, m + 1, 1, 1, cell, &status);
    }
    table("SPECTRAL_INFO", {"WAVELENGTH", "FREQUENCY"}, {"1D", "1D"}, {layout.wavelength_unit, "Hz"});
    for (int w = 0; w < wavelengths; ++w) {
      double x = std::pow(10., layout.increasing ? w : wavelengths - 1 - w), nu = 2.99792458e14 / x;
      fits_write_col(f, TDOUBLE, 1, w + 1, 1, 1, &x, &status);
      fits_write_col(f, TDOUBLE, 2, w + 1, 1, 1, &nu, &status);
    }
    if (layout.divided) {
      table("APERTURES", {"APERTURE"}, {"1D"}, {layout.aperture_unit});
      for (int a = 0; a < apertures; ++a) {
        double x = std::pow(10., a + 2);
        fits_write_col(f, TDOUBLE, 1, a + 1, 1, 1, &x, &status);
      }
    }
    const int rows = layout.divided ? apertures : 1;
    const auto image = [&](const std::string& name, float scale) {
      std::vector<float> v;
      for (index_t m = 0; m < models; ++m)
        for (index_t a = 0; a < rows; ++a)
          for (index_t w = 0; w < wavelengths; ++w) // w counts from the shortest wavelength
            v.push_back(scale * value(m, a, layout.increasing ? w : wavelengths - 1 - w));
      if (scale == 1)
        v[1] = std::numeric_limits<float>::quiet_NaN(); // model 0, aperture 0, w = 2 if reversed
      long axes[3] = {wavelengths, rows, models};
      fits_create_img(f, FLOAT_IMG, 3, axes, &status);
      std::string extension = name, unit = layout.flux_unit;
      fits_write_key(f, TSTRING, "EXTNAME", extension.data(), "", &status);
      fits_write_key(f, TSTRING, "BUNIT", unit.data(), "", &status);
      fits_write_img(f, TFLOAT, 1, static_cast<LONGLONG>(v.size()), v.data(), &status);
    };
    image(layout.values, 1);
    if (layout.uncertainties) image("UNCERTAINTIES", .125F);
    fits_close_file(f, &status);
    REQUIRE(status == 0);
  }
  /// Rows in the opposite order, with a row too many, a text column and a column with a value for each
  /// aperture.
  void write_parameters() const {
    fitsfile* f = nullptr;
    int status = 0;
    fits_create_diskfile(&f, parameters().c_str(), &status);
    char n0[] = "MODEL_NAME", n1[] = "star.radius", n2[] = "scattering", n3[] = "Sphere Masses",
         n4[] = "dust";
    char t0[] = "30A", t1[] = "1D", t2[] = "1K", t3[] = "3D", t4[] = "4A";
    char *names[] = {n0, n1, n2, n3, n4}, *formats[] = {t0, t1, t2, t3, t4};
    fits_create_tbl(f, BINARY_TBL, 0, 5, names, formats, nullptr, nullptr, &status);
    for (int r = 0; r <= models; ++r) {
      const int m = models - r;
      std::string name = text("model", m, "_01"), dust = "d03";
      char *cell[1] = {name.data()}, *word[1] = {dust.data()};
      double radius = 10. + m, masses[3] = {1. * m, 2. * m, 3. * m};
      LONGLONG one = 1;
      fits_write_col(f, TSTRING, 1, r + 1, 1, 1, cell, &status);
      fits_write_col(f, TDOUBLE, 2, r + 1, 1, 1, &radius, &status);
      fits_write_col(f, TLONGLONG, 3, r + 1, 1, 1, &one, &status);
      fits_write_col(f, TDOUBLE, 4, r + 1, 1, 3, masses, &status);
      fits_write_col(f, TSTRING, 5, r + 1, 1, 1, word, &status);
    }
    fits_close_file(f, &status);
    REQUIRE(status == 0);
  }
};

std::string message(const Layout& layout) {
  const Folder folder(layout);
  try {
    (void)SedCubeFile(folder.cube()).read({{}, {}, true});
  } catch (const FileError& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool has(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

} // namespace

TEST_CASE("forward/sed_cube_file: a cube in the published layout, turned to increasing wavelengths") {
  const Folder folder;
  const SedCubeFile file(folder.cube());
  CHECK(file.names().size() == 5);
  CHECK(file.wavelengths() == std::vector<double>{1, 10, 100, 1000});
  CHECK(file.apertures() == std::vector<double>{100, 1000, 10000});
  CHECK(file.distance() == doctest::Approx(1000).epsilon(1e-12));
  CHECK(file.bytes() == 5 * 3 * 4 * 4);
  const SedCube cube = file.read({{}, {}, true});
  CHECK(cube.fluxes.shape() == Shape{5, 3, 4});
  CHECK(cube.valid == std::vector<bool>{true, false, true, true, true});
  for (index_t m = 0; m < 5; ++m)
    for (index_t a = 0; a < 3; ++a)
      for (index_t w = 0; w < 4; ++w) {
        if (m == 0 && a == 0 && w == 2) continue;
        CHECK(cube.fluxes(m * 3 + a, w) == value(m, a, w));
        CHECK(cube.uncertainties(m * 3 + a, w) == value(m, a, w) / 8);
      }
  CHECK(is_missing(cube.fluxes(0, 2)));
  CHECK(cube.flux(cube.index("model3_01"), 1000, 100) == value(3, 1, 2));
  CHECK(cube.sed(3, std::sqrt(1e5))[0] == doctest::Approx((value(3, 0, 0) + value(3, 1, 0)) / 2));
}

TEST_CASE("forward/sed_cube_file: parts of a cube") {
  const Folder folder;
  const SedCubeFile file(folder.cube());
  const SedSelection selection{{1, 2, 4}, {1}, false};
  CHECK(file.bytes(selection) == 3 * 1 * 4 * 4);
  const SedCube part = file.read(selection);
  CHECK(part.names == std::vector<std::string>{"model1_01", "model2_01", "model4_01"});
  CHECK(part.apertures == std::vector<double>{1000});
  CHECK(part.valid == std::vector<bool>{false, true, true});
  CHECK(part.uncertainties.size() == 0);
  const index_t original[]{1, 2, 4};
  for (index_t m = 0; m < 3; ++m)
    for (index_t w = 0; w < 4; ++w) CHECK(part.fluxes(m, w) == value(original[m], 1, w));
  const SedCube two = file.read({{file.index("model3_01")}, {0, 2}, false});
  CHECK(two.fluxes(0, 3) == value(3, 0, 3));
  CHECK(two.fluxes(1, 0) == value(3, 2, 0));
  CHECK_THROWS_WITH_AS((void)file.read({{2, 1}, {}, false}), doctest::Contains("model 1 after 2"),
                       ValueError);
  CHECK_THROWS_WITH_AS((void)file.read({{}, {3}, false}), doctest::Contains("aperture 3"), ValueError);
  CHECK_THROWS_WITH_AS((void)file.index("model33_01"), doctest::Contains("the nearest are 'model3_01'"),
                       ValueError);
}

TEST_CASE("forward/sed_cube_file: other units, other order, no apertures") {
  Layout layout;
  layout.flux_unit = "Jy", layout.increasing = true, layout.divided = false,
  layout.wavelength_unit = "micron";
  const Folder folder(layout);
  const SedCubeFile file(folder.cube());
  CHECK(file.wavelengths() == std::vector<double>{1, 10, 100, 1000});
  CHECK(file.apertures().empty());
  const SedCube cube = file.read();
  CHECK(cube.fluxes.shape() == Shape{5, 1, 4});
  CHECK(cube.sed(4, 1)[3] == 1000 * value(4, 0, 3));
}

TEST_CASE("forward/sed_cube_file: the table of parameters, put in the cube's order") {
  const Folder folder;
  SedCube cube = SedCubeFile(folder.cube()).read({{1, 4}, {}, false});
  cube.parameters = read_sed_parameters(folder.parameters(), cube.names);
  cube.check();
  CHECK(cube.parameters.columns.size() == 3); // text is left out
  CHECK(cube.parameters.column("star.radius").values == std::vector<double>{11, 14});
  CHECK(cube.parameters.column("Sphere Masses").count == 3);
  CHECK(cube.parameters.column("Sphere Masses").values == std::vector<double>{1, 2, 3, 4, 8, 12});
  CHECK(cube.parameters.object(1).star_radius == 14);
  CHECK(cube.parameters.object(0).scattering == 1);
  const std::vector<std::string> unknown{"model9_01"};
  CHECK_THROWS_WITH_AS((void)read_sed_parameters(folder.parameters(), unknown),
                       doctest::Contains("no row of model 'model9_01' among 6"), FileError);
}

TEST_CASE("forward/sed_cube_file: what is wrong with a layout is named") {
  const auto with = [](const std::function<void(Layout&)>& change) {
    Layout layout;
    change(layout);
    return message(layout);
  };
  CHECK(has(with([](Layout& l) { l.distance = false; }), "primary HDU without a positive DISTANCE"));
  CHECK(
      has(with([](Layout& l) { l.values = "FLUXES"; }), "no image named 'VALUES'; the nearest are 'FLUXES'"));
  CHECK(has(with([](Layout& l) { l.flux_unit = "erg / (cm2 s)"; }),
            "VALUES in 'erg / (cm2 s)'; want mJy or Jy"));
  CHECK(has(with([](Layout& l) { l.wavelength_unit = "nm"; }), "column 'WAVELENGTH' in 'nm'; want micron"));
  CHECK(has(with([](Layout& l) { l.aperture_unit = "arcsec"; }), "column 'APERTURE' in 'arcsec'; want au"));
  CHECK(has(with([](Layout& l) { l.names = 4; }), "VALUES is [5,3,4] with 4 flags; want [4,3,4]"));
  CHECK(has(with([](Layout& l) { l.uncertainties = false; }), "no image named 'UNCERTAINTIES'"));
  CHECK_THROWS_WITH_AS(SedCubeFile("/nowhere/flux.fits"), doctest::Contains("no such file"), FileError);
}
