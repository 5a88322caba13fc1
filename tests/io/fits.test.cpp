// SPDX-License-Identifier: MIT
#include <sbi/io/fits.hpp>
#include <sbi/io/fits_write.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>
#include <zlib.h>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

using namespace sbi;
using namespace sbi::io;

namespace {

/// A folder of its own that disappears with the test.
struct Scratch {
  std::filesystem::path folder;
  Scratch() {
    static std::atomic<int> count{0};
    folder = std::filesystem::temp_directory_path() /
             text("sbi-fits-", static_cast<long>(::getpid()), "-", count++);
    std::filesystem::create_directories(folder);
  }
  ~Scratch() { std::filesystem::remove_all(folder); }
  [[nodiscard]] std::string operator/(const char* name) const { return (folder / name).string(); }
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

std::string data_file(const std::string& name) {
  for (const std::string& root : {std::string(std::getenv("SBI_DATA_DIR") ? std::getenv("SBI_DATA_DIR") : ""),
                                  std::string(SBI_SOURCE_DIR) + "/../shared/data"})
    if (!root.empty() && std::filesystem::exists(root + "/" + name)) return root + "/" + name;
  return "";
}

} // namespace

TEST_CASE("io/fits: text of ASCII tables has the width of its column") {
  const Scratch scratch;
  const std::string path = scratch / "ascii.fits";
  {
    fitsfile* file = nullptr;
    int status = 0;
    char name[] = "name", number[] = "number", a20[] = "A20", e[] = "E14.6", count[] = "count", i[] = "I6";
    char *names[] = {name, number, count}, *formats[] = {a20, e, i};
    fits_create_file(&file, path.c_str(), &status);
    fits_create_tbl(file, ASCII_TBL, 0, 3, names, formats, nullptr, "LIST", &status);
    char first[] = "a name of 20 letters", second[] = "short";
    char* values[] = {first, second};
    double numbers[] = {1.5, -2};
    fits_write_col(file, TSTRING, 1, 1, 1, 2, values, &status);
    fits_write_col(file, TDOUBLE, 2, 1, 1, 2, numbers, &status);
    int counts[] = {12, -3};
    fits_write_col(file, TINT, 3, 1, 1, 2, counts, &status);
    fits_close_file(file, &status);
    REQUIRE(status == 0);
  }
  const FitsTable table(path, "LIST");
  CHECK(table.integers("count") == std::vector<std::int64_t>{12, -3});
  CHECK_THROWS_AS((void)table.integers("number"), FileError);
  CHECK(table.strings("name") == std::vector<std::string>{"a name of 20 letters", "short"});
  CHECK(table.numbers("number") == std::vector<double>{1.5, -2});
}

TEST_CASE("io/fits: a table comes back as it was written, NaN, units, 64-bit identifiers and text included") {
  const Scratch scratch;
  const std::string path = scratch / "stars.fits";
  write_fits_table(path, stars(), "STARS");
  const FitsTable table(path);
  REQUIRE(table.rows() == 3);
  REQUIRE(table.columns().size() == 5);
  CHECK(table.columns()[0].name == "payne.teff");
  CHECK(table.columns()[0].unit == "K");
  CHECK(table.column("flag").unit.empty());
  CHECK(table.column("name").kind == FitsColumn::Kind::text);
  const auto teff = table.numbers("payne.teff");
  CHECK(teff[0] == 5777.25);
  CHECK(is_missing(teff[1]));
  const auto feh = table.numbers("payne.feh");
  CHECK(feh[1] == -0.25);
  CHECK(is_missing(feh[2]));
  CHECK(table.numbers("flag") == std::vector<double>{-1, 0, 7});
  // 2^53 + 1 is not a double: integers() must keep it.
  CHECK(table.integers("source_id") == std::vector<std::int64_t>{608623597720190464, 9007199254740993, -3});
  CHECK(table.strings("name") == std::vector<std::string>{"M67 1", "", "a star with a long name"});
  CHECK(FitsTable(path, "STARS").rows() == 3);
}

TEST_CASE("io/fits: a gzipped file is read like a plain one; it is not written") {
  const Scratch scratch;
  const std::string path = scratch / "stars.fits";
  write_fits_table(path, stars());
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  gzFile out = gzopen((path + ".gz").c_str(), "wb");
  REQUIRE(gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
  gzclose(out);
  CHECK(FitsTable(path + ".gz").numbers("flag") == std::vector<double>{-1, 0, 7});
  CHECK_THROWS_AS(write_fits_table(path + ".gz", stars()), ValueError);
}

TEST_CASE("io/fits: brackets in a file name are part of the name, not CFITSIO's filter syntax") {
  const Scratch scratch;
  const std::string path = scratch / "stars[1].fits";
  write_fits_table(path, stars());
  CHECK(FitsTable(path).rows() == 3);
}

TEST_CASE("io/fits: what is wrong is named: file, extension, column and the nearest names") {
  const Scratch scratch;
  const std::string path = scratch / "stars.fits";
  write_fits_table(path, stars(), "STARS");
  const FitsTable table(path);
  const std::string no_column = message([&] { (void)table.numbers("payne.tef"); });
  CHECK(contains(no_column, path));
  CHECK(contains(no_column, "'STARS'"));
  CHECK(contains(no_column, "'payne.tef'"));
  CHECK(contains(no_column, "the nearest are 'payne.teff'"));
  CHECK(contains(message([&] { (void)table.numbers("name"); }), "holds text; want numbers"));
  CHECK(contains(message([&] { (void)table.strings("flag"); }), "holds numbers; want text"));
  CHECK(contains(message([&] { FitsTable(path, "PLANETS"); }), "no table named 'PLANETS'"));
  CHECK(contains(message([&] { FitsTable(scratch / "none.fits"); }), "no such file"));
  CHECK_THROWS_AS((void)table.numbers("none"), FileError);
  std::ofstream(scratch / "text.fits") << "SIMPLE? no, this is a letter\n";
  const std::string not_fits = message([&] { FitsTable(scratch / "text.fits"); });
  CHECK(contains(not_fits, "text.fits"));
  CHECK(contains(not_fits, "CFITSIO status"));
}

TEST_CASE("io/fits: integers come from integer columns of every kind; floating-point numbers are not cut") {
  const Scratch scratch;
  const std::string path = scratch / "kinds.fits";
  std::vector<const char*> forms{"1B", "1S", "1I", "1U", "1J", "1V", "1K", "1L", "1D", "1E", "1J"};
  {
    fitsfile* file = nullptr;
    int status = 0;
    std::vector<std::string> names;
    for (std::size_t c = 0; c < forms.size(); ++c) names.push_back(text("c", c));
    std::vector<char*> name_list, form_list;
    for (std::size_t c = 0; c < forms.size(); ++c) {
      name_list.push_back(names[c].data());
      form_list.push_back(const_cast<char*>(forms[c]));
    }
    fits_create_file(&file, path.c_str(), &status);
    fits_create_tbl(file, BINARY_TBL, 2, static_cast<int>(forms.size()), name_list.data(), form_list.data(),
                    nullptr, "KINDS", &status);
    double numbers[] = {1, 0}, reals[] = {1.7, missing}, tenth = 0.1;
    char flags[] = {1, 0};
    for (int c = 1; c <= 7; ++c) fits_write_col(file, TDOUBLE, c, 1, 1, 2, numbers, &status);
    fits_write_col(file, TLOGICAL, 8, 1, 1, 2, flags, &status);
    fits_write_col(file, TDOUBLE, 9, 1, 1, 2, reals, &status);
    fits_write_col(file, TDOUBLE, 10, 1, 1, 2, reals, &status);
    fits_write_col(file, TDOUBLE, 11, 1, 1, 2, numbers, &status);
    fits_write_key(file, TDOUBLE, "TSCAL11", &tenth, "",
                   &status); // integers in the file, tenths in the table
    fits_close_file(file, &status);
    REQUIRE(status == 0);
  }
  const FitsTable table(path);
  for (const char* name : {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"}) {
    CAPTURE(name);
    CHECK(table.integers(name) == std::vector<std::int64_t>{1, 0});
  }
  const std::string real = message([&] { (void)table.integers("c8"); });
  CHECK(contains(real, path));
  CHECK(contains(real, "column 'c8' has the form '1D'; want integers"));
  CHECK(contains(message([&] { (void)table.integers("c9"); }), "form '1E'"));
  CHECK_THROWS_AS((void)table.integers("c10"), FileError);
  CHECK(table.numbers("c10") == std::vector<double>{0.1, 0});
}

TEST_CASE("io/fits: several words a row and rows of varying length are refused") {
  const Scratch scratch;
  const std::string path = scratch / "forms.fits";
  {
    fitsfile* file = nullptr;
    int status = 0;
    char words[] = "words", w[] = "20A5", numbers[] = "numbers", n[] = "1PD(5)", texts[] = "texts",
         t[] = "1PA(9)", none[] = "none", zero[] = "0D";
    char *names[] = {words, numbers, texts, none}, *forms[] = {w, n, t, zero};
    fits_create_file(&file, path.c_str(), &status);
    fits_create_tbl(file, BINARY_TBL, 3, 4, names, forms, nullptr, "FORMS", &status);
    double values[] = {1, 2, 3};
    fits_write_col(file, TDOUBLE, 2, 1, 1, 3, values, &status);
    fits_close_file(file, &status);
    REQUIRE(status == 0);
  }
  const FitsTable table(path);
  const std::string several = message([&] { (void)table.strings("words"); });
  CHECK(contains(several, path));
  CHECK(contains(several, "column 'words' has the form '20A5'; want one text of fixed width a row"));
  CHECK(contains(message([&] { (void)table.vectors("numbers"); }), "column 'numbers' has the form '1PD("));
  CHECK_THROWS_AS((void)table.numbers("numbers"), FileError);
  CHECK_THROWS_AS((void)table.integers("numbers"), FileError);
  CHECK(contains(message([&] { (void)table.strings("texts"); }), "column 'texts' has the form '1PA("));
  CHECK(table.vectors("none").empty());
}

TEST_CASE("io/fits: a file cut short is an error, not zeros") {
  const Scratch scratch;
  const std::string path = scratch / "long.fits";
  const std::vector<FitsOutputColumn> columns{{"x", std::vector<double>(100'000, 1.5)}};
  write_fits_table(path, columns);
  std::filesystem::resize_file(path, 20 * 2880);
  CHECK_THROWS_AS((void)FitsTable(path).numbers("x"), FileError);
}

TEST_CASE("io/fits: many threads may read at once") {
  const Scratch scratch;
  const std::string path = scratch / "stars.fits";
  write_fits_table(path, stars());
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i)
        if (FitsTable(path).integers("source_id")[1] == 9007199254740993) ++right;
    });
  for (auto& t : threads) t.join();
  CHECK(right == 80);
}

TEST_CASE("io/fits: an image comes back with its shape; a table is not an image") {
  const Scratch scratch;
  const std::string path = scratch / "image.fits";
  {
    fitsfile* raw = nullptr;
    int status = 0;
    long extent[2] = {3, 2}; // FITS order: the first axis runs fastest
    float values[6] = {1, 2, 3, 4, 5, static_cast<float>(missing)};
    fits_create_file(&raw, path.c_str(), &status);
    fits_create_img(raw, FLOAT_IMG, 2, extent, &status);
    fits_write_img(raw, TFLOAT, 1, 6, values, &status);
    fits_close_file(raw, &status);
    REQUIRE(status == 0);
  }
  const FitsImage image = read_fits_image(path);
  CHECK(image.shape == Shape{2, 3});
  CHECK(image.values[3] == 4);
  CHECK(is_missing(image.values[5]));
  write_fits_table(scratch / "table.fits", stars());
  CHECK_THROWS_AS((void)read_fits_image(scratch / "table.fits", 2), FileError);
  CHECK_THROWS_AS((void)read_fits_image(path, 9), FileError);
}

TEST_CASE("io/fits: columns of a real catalogue, with dots in their names and several values a row") {
  const std::string path = data_file("m67_ngc2682/NGC_2682.fits.gz");
  if (path.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const FitsTable table(path);
  CHECK(table.rows() == 1585);
  CHECK(table.columns().size() == 312);
  const auto teff = table.numbers("payne.teff");
  CHECK(std::count_if(teff.begin(), teff.end(), [](double t) { return t > 0; }) == 235);
  CHECK(table.column("ucal_fluxqz.median").count == 5);
  CHECK(table.vectors("ucal_fluxqz.median").size() == 5 * 1585);
  CHECK_THROWS_AS((void)table.numbers("ucal_fluxqz.median"), FileError);
  CHECK(table.column("Gaia_qualcut").kind == FitsColumn::Kind::logical);
  const auto good = table.numbers("Gaia_qualcut");
  CHECK(std::count(good.begin(), good.end(), 1.0) == 1569);
  CHECK(table.strings("payne.quality_flag")[0].size() <= 8);
}
