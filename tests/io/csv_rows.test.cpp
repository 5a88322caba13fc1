// SPDX-License-Identifier: MIT
#include <sbi/io/csv_rows.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/number_columns.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

using namespace sbi;

TEST_CASE("io/csv_rows: rows come back as floats, gaps as gaps; nothing is there before the end") {
  const auto path = (std::filesystem::temp_directory_path() / "sbi_csv_rows.csv").string();
  std::filesystem::remove(path);
  {
    io::CsvRows out(path, {"a", "b"});
    for (int i = 0; i < 100'000; ++i) out.add(std::vector<double>{i / 3.0, i % 2 ? missing : -1e-20 * i});
    CHECK_FALSE(std::filesystem::exists(path));
    out.close();
  }
  const auto table = io::read_number_columns(path);
  REQUIRE(table.rows() == 100'000);
  for (std::size_t i = 0; i < 100'000; i += 997) {
    CHECK(static_cast<float>(table.column("a")[i]) == static_cast<float>(static_cast<double>(i) / 3));
    CHECK(is_missing(table.column("b")[i]) == (i % 2 == 1));
  }
  { const io::CsvRows abandoned(path, {"c"}); }
  CHECK(io::read_number_columns(path).has("a")); // the old file stays
  std::filesystem::remove(path);
}

TEST_CASE("io/csv_rows: bad names, rows and places are named") {
  const auto path = (std::filesystem::temp_directory_path() / "sbi_csv_rows_bad.csv").string();
  CHECK_THROWS_AS(io::CsvRows(path, {}), ValueError);
  CHECK_THROWS_AS(io::CsvRows(path, {"a,b"}), ValueError);
  CHECK_THROWS_AS(io::CsvRows("/no/such/folder/x.csv", {"a"}), FileError);
  io::CsvRows out(path, {"a", "b"});
  CHECK_THROWS_AS(out.add(std::vector<double>{1}), ShapeError);
  CHECK_FALSE(std::filesystem::exists(path));
}
