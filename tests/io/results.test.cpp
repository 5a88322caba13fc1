// SPDX-License-Identifier: MIT
#include <sbi/io/results.hpp>

#include <doctest/doctest.h>

#include <array>
#include <filesystem>
#include <limits>
#include <string>
#include <unistd.h>
#include <vector>

using sbi::io::Results;

TEST_CASE("io/results: numbers, texts, lists and nested results, in the order they were set") {
  Results inner;
  inner.set("c2st", 0.52F).set("samples", 1000);
  Results results;
  results.set("program", "02_stars").set("converged", true).set("two_moons", inner);
  results.set("rmse", std::vector<double>{0.5, 1e-3}).set("names", std::array{"log_mass", "log_age"});
  results.set("table", std::vector<std::vector<int>>{{1, 2}, {3}})
      .set("flags", std::vector<bool>{true, false});
  const auto json = nlohmann::ordered_json::parse(results.text());
  CHECK(json.begin().key() == "program");
  CHECK(json["converged"] == true);
  CHECK(json["two_moons"]["samples"] == 1000);
  CHECK(json["two_moons"]["c2st"].get<float>() == 0.52F);
  CHECK(json["rmse"][1] == 1e-3);
  CHECK(json["names"][1] == "log_age");
  CHECK(json["table"][0][1] == 2);
  CHECK(json["flags"][1] == false);
}

TEST_CASE("io/results: missing and infinite numbers stay readable") {
  Results results;
  results.set("x", std::vector<double>{1, sbi::missing, std::numeric_limits<double>::infinity()});
  results.set("y", -std::numeric_limits<float>::infinity());
  const auto json = nlohmann::json::parse(results.text());
  CHECK(json["x"][1].is_null());
  CHECK(json["x"][2] == "inf");
  CHECK(json["y"] == "-inf");
}

TEST_CASE(
    "io/results: a name set twice keeps its place and its last value; large integers keep their digits") {
  Results results;
  CHECK(results.empty());
  results.set("a", 1).set("b", std::numeric_limits<std::uint64_t>::max()).set("a", 2);
  CHECK(results.text() == "{\n  \"a\": 2,\n  \"b\": 18446744073709551615\n}");
}

TEST_CASE("io/results: written as one file; text that is not UTF-8 cannot spoil it") {
  const auto folder = std::filesystem::temp_directory_path() / sbi::text("sbi-results-", ::getpid());
  Results results;
  results.set("path", "\xff/x");
  results.write(folder / "deep" / "results.json");
  CHECK(nlohmann::json::parse(sbi::io::read_file(folder / "deep" / "results.json")).contains("path"));
  std::filesystem::remove_all(folder);
}
