// SPDX-License-Identifier: MIT
#include <sbi/forward/dust_map_file.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// A folder that vanishes with the test.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / text("sbi-dust-map-", static_cast<long>(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return (path / name).string(); }
};

/// Row 0: distances 100 and 300 pc; cell c: 0.1 c and 0.1 c + 1.
xt::xtensor<double, 2> matrix() {
  xt::xtensor<double, 2> m({13, 2});
  m(0, 0) = 100;
  m(0, 1) = 300;
  for (std::size_t c = 0; c < 12; ++c) {
    m(c + 1, 0) = 0.1 * static_cast<double>(c);
    m(c + 1, 1) = m(c + 1, 0) + 1;
  }
  return m;
}
void write_text(const std::string& path, const xt::xtensor<double, 2>& m) {
  std::ofstream out(path);
  out << "# distances in pc, then cells\n";
  for (std::size_t r = 0; r < m.shape(0); ++r) out << m(r, 0) << ", " << m(r, 1) << "\n";
}
void write_fits(const std::string& path, std::vector<long> extents, std::vector<double> values) {
  fitsfile* file = nullptr;
  int status = 0;
  fits_create_diskfile(&file, path.c_str(), &status);
  fits_create_img(file, DOUBLE_IMG, static_cast<int>(extents.size()), extents.data(), &status);
  fits_write_img(file, TDOUBLE, 1, static_cast<LONGLONG>(values.size()), values.data(), &status);
  fits_close_file(file, &status);
  REQUIRE(status == 0);
}
void check(const GridDust& map) {
  CHECK(map.cells().nside() == 1);
  CHECK(map.last_distance() == 300);
  for (index_t c = 0; c < 12; ++c) {
    const auto [l, b] = map.cells().centre(c);
    // Half way between the entries.
    CHECK(map(l, b, 200) == doctest::Approx(0.1 * static_cast<double>(c) + 0.5).epsilon(1e-14));
  }
}

} // namespace

TEST_CASE("forward/dust_map_file: the same map from all three kinds of file") {
  const Folder folder;
  const auto m = matrix();
  io::write_npy(folder / "map.npy", m);
  check(read_dust_map(folder / "map.npy"));
  write_text(folder / "map.csv", m);
  check(read_dust_map(folder / "map.csv"));
  write_fits(folder / "map.fits", {2, 13}, {m.begin(), m.end()});
  check(read_dust_map(folder / "map.fits"));

  // As densities: 0.1 kpc at 0.5 mag/kpc, 0.1 kpc at 1.5 mag/kpc.
  const GridDust density = read_dust_map(folder / "map.npy", GridDust::Values::density);
  const auto [l, b] = density.cells().centre(5);
  CHECK(density(l, b, 200) == doctest::Approx(0.2).epsilon(1e-14));
}

TEST_CASE("forward/dust_map_file: a cell of NaN is not covered") {
  const Folder folder;
  auto m = matrix();
  m(4, 0) = m(4, 1) = missing;
  io::write_npy(folder / "map.npy", m);
  write_text(folder / "map.txt", m);
  for (const char* name : {"map.npy", "map.txt"}) {
    const GridDust map = read_dust_map(folder / name);
    for (index_t c = 0; c < 12; ++c) {
      const auto [l, b] = map.cells().centre(c);
      CHECK(map.covers(l, b) == (c != 3));
    }
  }
}

TEST_CASE("forward/dust_map_file: bad files are named") {
  const Folder folder;
  const auto message = [&](const char* name) {
    try {
      (void)read_dust_map(folder / name);
    } catch (const FileError& e) {
      return std::string(e.what());
    }
    return std::string("nothing was thrown");
  };
  const auto says = [](const std::string& what, const std::string& part) {
    CAPTURE(what);
    CHECK(what.find(part) != std::string::npos);
  };
  says(message("none.csv"), "none.csv: no such file");
  says(message("none.npy"), "none.npy");
  says(message("none.fits"), "none.fits: no such file");

  auto m = matrix();
  m(0, 1) = 50;
  io::write_npy(folder / "order.npy", m);
  says(message("order.npy"), "order.npy: dust map: distance 1 is 50 pc; want more than 100");
  m = matrix();
  m(3, 1) = 0.1;
  write_text(folder / "falls.csv", m);
  says(message("falls.csv"), "falls.csv: dust map: cell 2, distance 300 pc: A_V = 0.1 after 0.2");
  write_fits(folder / "rows.fits", {2, 12}, std::vector<double>(24, 1.0));
  says(message("rows.fits"),
       "rows.fits: 12 rows of 2; want one row of distances and 12 nside^2 rows of values");
  write_fits(folder / "cube.fits", {2, 13, 1}, std::vector<double>(26, 1.0));
  says(message("cube.fits"), "cube.fits: an image of 3 axes; want 2");
  std::ofstream(folder / "word.csv") << "100, 300\n0.1, x\n";
  says(message("word.csv"), "word.csv, line 2");
  std::ofstream(folder / "short.csv") << "100, 300\n0.1\n";
  says(message("short.csv"), "short.csv, line 2");
  std::ofstream(folder / "one.csv") << "100, 300\n";
  says(message("one.csv"), "one.csv: 1 rows of 2");
}
