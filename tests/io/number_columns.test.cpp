// SPDX-License-Identifier: MIT
#include <sbi/io/atomic_file.hpp>
#include <sbi/io/fits_write.hpp>
#include <sbi/io/number_columns.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>

using namespace sbi;

namespace {

std::string scratch(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() / "sbi_number_columns";
  std::filesystem::create_directories(folder);
  return (folder / name).string();
}
std::string file_of(const std::string& name, const std::string& content) {
  const std::string path = scratch(name);
  std::ofstream(path) << content;
  return path;
}
std::string message_of(const std::string& content) {
  try {
    std::ignore = io::read_number_columns(file_of("bad.csv", content));
  } catch (const FileError& error) {
    return std::string(error.what()).substr(scratch("bad.csv").size());
  }
  return "no error";
}

} // namespace

TEST_CASE("io/number_columns: comma-separated values with comments, blanks, quotes and gaps") {
  const auto table = io::read_number_columns(
      file_of("good.csv", "# stars\n\n\"teff\", logg ,mh\r\n5772,4.438,\r\n+3.5e3, 5 ,-0.5\n\n"));
  CHECK(table.names() == std::vector<std::string>{"teff", "logg", "mh"});
  CHECK(table.rows() == 2);
  CHECK(table.column("teff") == std::vector<double>{5772, 3500});
  CHECK(table.column("logg")[1] == 5);
  CHECK(is_missing(table.column("mh")[0]));
  CHECK(table.has("mh"));
  CHECK_FALSE(table.has("MH"));
  CHECK_THROWS_AS(std::ignore = table.column("tefff"), FileError);
}

TEST_CASE("io/number_columns: one column with a gap, and the mark of a spreadsheet") {
  const auto table = io::read_number_columns(file_of("one.csv", "\xEF\xBB\xBFteff\n5000\n\n6000\n"));
  CHECK(table.names() == std::vector<std::string>{"teff"});
  REQUIRE(table.rows() == 3);
  CHECK(is_missing(table.column("teff")[1]));
}

TEST_CASE("io/number_columns: a FITS table gives its columns of single numbers") {
  const std::string path = scratch("good.fits");
  const std::vector<io::FitsOutputColumn> columns{{"teff", std::vector<double>{1, 2}},
                                                  {"name", std::vector<std::string>{"a", "b"}},
                                                  {"id", std::vector<std::int64_t>{7, 8}}};
  io::write_fits_table(path, columns);
  const auto table = io::read_number_columns(path);
  CHECK(table.names() == std::vector<std::string>{"teff", "id"});
  CHECK(table.column("id") == std::vector<double>{7, 8});
}

TEST_CASE("io/number_columns: what is no table of numbers is named") {
  CHECK(message_of("a,b\n1,2\n1,x\n") == ", line 3, column 'b': 'x' is not a number");
  CHECK(message_of("a\n1e999\n") == ", line 2, column 'a': '1e999' is not a number");
  CHECK(message_of("a\n+-5\n") == ", line 2, column 'a': '+-5' is not a number");
  CHECK(message_of("a\ninf\n") == ", line 2, column 'a': 'inf' is not a number");
  CHECK(message_of("a,b\n1\n") == ", line 2: 1 fields; want 2");
  CHECK(message_of("a,b\n1,2,3\n") == ", line 2: 3 fields; want 2");
  CHECK(message_of("a,a\n1,2\n") == ": two columns named 'a'");
  CHECK(message_of("a,\n1,2\n") == ": column 2 has no name");
  CHECK(message_of("# nothing\n") == ": no line that names the columns");
  CHECK_THROWS_AS(std::ignore = io::read_number_columns(scratch("absent.csv")), FileError);
}
