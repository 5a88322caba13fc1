// SPDX-License-Identifier: MIT
#include <sbi/io/fits.hpp>
#include <sbi/io/fits_write.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::io;

namespace {

/// A folder of its own that disappears with the test.
struct Scratch {
  std::filesystem::path folder;
  Scratch() {
    static std::atomic<int> count{0};
    folder = std::filesystem::temp_directory_path() /
             text("sbi-fits-write-", static_cast<long>(::getpid()), "-", count++);
    std::filesystem::create_directories(folder);
  }
  ~Scratch() { std::filesystem::remove_all(folder); }
  [[nodiscard]] std::string operator/(const char* name) const { return (folder / name).string(); }
  [[nodiscard]] int entries() const {
    int n = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder)) ++n;
    return n;
  }
};

std::vector<FitsOutputColumn> stars() {
  return {{"payne.teff", std::vector<double>{5777.25, missing, 4800}, "K"},
          {"payne.feh", std::vector<float>{0.5F, -0.25F, static_cast<float>(missing)}, "dex"},
          {"flag", std::vector<std::int32_t>{-1, 0, 7}},
          {"source_id", std::vector<std::int64_t>{608623597720190464, 9007199254740993, -3}},
          {"name", std::vector<std::string>{"M67 1", "", "a star with a long name"}, "text"}};
}

std::string message(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

} // namespace

TEST_CASE("io/fits_write: a refused table leaves the old file and no temporary behind") {
  const Scratch scratch;
  const std::string path = scratch / "stars.fits";
  write_fits_table(path, stars());
  auto broken = stars();
  broken[1].values = std::vector<double>{1};
  CHECK(contains(message([&] { write_fits_table(path, broken); }), "'payne.feh' has 1 rows"));
  broken = stars();
  broken[2].name = "name";
  CHECK(contains(message([&] { write_fits_table(path, broken); }), "two columns named 'name'"));
  broken = stars();
  broken[2].name = std::string(69, 'n');
  CHECK(
      contains(message([&] { write_fits_table(path, broken); }), "takes 69 characters in a header; want 68"));
  broken[2].name = std::string(67, 'n') + "'"; // a quote is written twice
  CHECK(contains(message([&] { write_fits_table(path, broken); }), "the column name 'nnn"));
  broken = stars();
  broken[2].unit = std::string(69, 'u');
  CHECK(contains(message([&] { write_fits_table(path, broken); }), "the unit 'uuu"));
  CHECK(contains(message([&] { write_fits_table(path, stars(), std::string(69, 't')); }),
                 "the table name 'ttt"));
  CHECK_THROWS_AS(write_fits_table(path, std::vector<FitsOutputColumn>{}), ValueError);
  CHECK_THROWS_AS(write_fits_table(scratch / "no/such/folder.fits", stars()), FileError);
  CHECK(FitsTable(path).rows() == 3);
  CHECK(scratch.entries() == 1);
}

TEST_CASE("io/fits_write: the longest names and units come back whole") {
  const Scratch scratch;
  const std::string path = scratch / "long.fits", name(68, 'n'), quoted = std::string(66, 'q') + "'";
  const std::vector<double> x{1, 2};
  write_fits_table(path, std::vector<FitsOutputColumn>{{name, x, quoted}, {quoted, x, name}}, name);
  const FitsTable table(path, name);
  CHECK(table.columns()[0].name == name);
  CHECK(table.columns()[0].unit == quoted);
  CHECK(table.columns()[1].name == quoted);
  CHECK(table.columns()[1].unit == name);
}

TEST_CASE("io/fits_write: an empty table keeps its columns") {
  const Scratch scratch;
  const std::string path = scratch / "empty.fits";
  write_fits_table(
      path, std::vector<FitsOutputColumn>{{"x", std::vector<double>{}}, {"s", std::vector<std::string>{}}});
  const FitsTable table(path);
  CHECK(table.rows() == 0);
  CHECK(table.numbers("x").empty());
  CHECK(table.strings("s").empty());
}
