// SPDX-License-Identifier: MIT
#include <sbi/io/csv.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

using sbi::io::Csv;

TEST_CASE("io/csv: columns of numbers and texts, missing values, quotes") {
  Csv csv;
  csv.column("id", std::vector<long>{1, -2, 9007199254740993})
      .column("log mass, Msun", std::vector<double>{0.1, sbi::missing, 1e-300})
      .column("name", std::vector<std::string>{"a", "b,c", "say \"x\"\nnow"})
      .column("member", std::vector<bool>{true, false, true});
  CHECK(csv.text() == "id,\"log mass, Msun\",name,member\n"
                      "1,0.1,a,true\n"
                      "-2,,\"b,c\",false\n"
                      "9007199254740993,1e-300,\"say \"\"x\"\"\nnow\",true\n");
}

TEST_CASE("io/csv: numbers read back to the same bits, in both precisions") {
  const std::vector<double> x{1.0 / 3, 0.1 + 0.2, std::numeric_limits<double>::denorm_min(), -1e22};
  std::string text = Csv{}.column("x", x).text();
  const char* at = text.c_str() + 2;
  for (double v : x) {
    char* end = nullptr;
    CHECK(std::strtod(at, &end) == v);
    at = end + 1;
  }
  CHECK(Csv{}.column("f", std::vector<float>{0.1F}).text() == "f\n0.1\n");
}

TEST_CASE("io/csv: columns that do not fit are refused") {
  Csv csv;
  csv.column("a", std::vector<int>{1, 2});
  CHECK_THROWS_WITH_AS(csv.column("b", std::vector<int>{1}), "csv: column 'b' has 1 rows; want 2 as 'a'",
                       sbi::ShapeError);
  CHECK_THROWS_WITH_AS(csv.column("a", std::vector<int>{1, 2}), "csv: column 'a' is there already",
                       sbi::ValueError);
  CHECK(csv.text() == "a\n1\n2\n");
}

TEST_CASE("io/csv: written to a file") {
  const auto path = std::filesystem::temp_directory_path() / sbi::text("sbi-csv-", ::getpid(), ".csv");
  Csv{}.column("a", std::vector<int>{7}).write(path);
  CHECK(sbi::io::read_file(path) == "a\n7\n");
  std::filesystem::remove(path);
}
