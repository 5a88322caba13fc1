// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/io/catalogue_spec.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

using namespace sbi;
using namespace sbi::io;

namespace {

const std::string start = R"({"file": "t.fits", "id": "id", "observables": [)";

CatalogueSpec parse(const std::string& json) {
  const auto path =
      std::filesystem::temp_directory_path() / text("sbi-spec-", static_cast<long>(::getpid()), ".json");
  std::ofstream(path) << json;
  try {
    const CatalogueSpec spec = read_catalogue_spec(path.string());
    std::filesystem::remove(path);
    return spec;
  } catch (...) {
    std::filesystem::remove(path);
    throw;
  }
}
std::string failure(const std::string& json) {
  try {
    (void)parse(json);
  } catch (const FileError& e) {
    return e.what();
  }
  return "nothing was thrown";
}
bool contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

} // namespace

TEST_CASE("io/catalogue_spec: entries become members, absent ones keep their defaults") {
  const CatalogueSpec spec =
      parse(start + R"({"name": "g", "value": "flux", "error": "e", "flux": true, "zero_point": 25.5,
    "limit_values": ["nan", -9999], "missing_values": [0], "corrections": [[6, 0], [16, -0.03]], "band": "GaiaDR2.G",
    "keep_if": [{"column": "q", "position": 1, "accept": ["A", "B"]}, {"column": "r", "max": 2}]}],
    "labels": [{"name": "t", "value": "teff", "error_value": 30, "log10": true}], "membership": "p"})");
  CHECK(spec.file == "t.fits");
  CHECK(spec.table.empty());
  CHECK(spec.membership == "p");
  REQUIRE(spec.observables.size() == 1);
  const CatalogueColumn& g = spec.observables[0];
  CHECK(g.flux);
  CHECK(g.limit_is_nan);
  CHECK(g.limit_values == std::vector<double>{-9999});
  CHECK(g.corrections[1].second == -0.03);
  CHECK(g.error_scale == 1);
  CHECK(g.keep_if[0].accept[1] == "B");
  CHECK(g.keep_if[1].max == 2);
  CHECK(spec.labels[0].log10);
  CHECK(spec.labels[0].error_value == 30);
}

TEST_CASE("io/catalogue_spec: mistakes are found where they stand") {
  CHECK(contains(failure("{"), "not JSON"));
  CHECK(contains(failure("[]"), "want an object"));
  CHECK(contains(failure(R"({"file": "t.fits", "observables": []})"), "no 'id'"));
  CHECK(contains(failure(R"({"file": "t.fits", "id": "i", "observables": []})"), "no observables"));
  CHECK(contains(failure(start + R"({"name": "g", "valu": "f"}]})"),
                 "observables[0]: unknown entry 'valu'; the nearest are 'value'"));
  CHECK(contains(failure(start + R"({"name": "g", "value": "f"}]})"),
                 "wants 'error' or a positive 'error_value'"));
  CHECK(contains(failure(start + R"({"name": "g", "value": 3, "error": "e"}]})"), "'value' is number 3"));
  CHECK(contains(failure(start + R"({"name": "g", "value": "f", "error": "e", "error_scale": 0}]})"),
                 "error_scale = 0"));
  CHECK(contains(
      failure(start + R"({"name": "g", "value": "f", "error": "e", "keep_if": [{"column": "c"}]}]})"),
      "keep_if[0]: wants 'min' or 'max'"));
  CHECK(contains(failure(start + R"({"name": "g", "value": "f", "error": "e", "limit_values": ["inf"]}]})"),
                 "want a number or \"nan\""));
  CHECK(contains(
      failure(start + R"({"name": "g", "value": "f", "error": "e", "corrections": [[2, 0], [1, 0]]}]})"),
      "do not increase"));
  const std::string huge = failure(start + R"({"name": "g", "value": "f", "error_value": 1e999}]})");
  CHECK(contains(huge, "sbi-spec-")); // the file's name
  CHECK(contains(huge, "a number no double can hold"));
  CHECK(contains(huge, "1e999"));
  CHECK(contains(failure(start + R"({"name": "g", "value": "f", "error": "e"},
                                    {"name": "r", "value": "f", "error": "e"},
                                    {"name": "g", "value": "h", "error": "e"}]})"),
                 "observables[2]: a second observable named 'g'"));
  CHECK_THROWS_AS((void)read_catalogue_spec("no/such/file.json"), FileError);
}

TEST_CASE("io/catalogue_spec: the description of M67 that comes with the examples") {
  const CatalogueSpec spec = read_catalogue_spec(std::string(SBI_SOURCE_DIR) + "/examples/m67.json");
  CHECK(spec.observables.size() == 10);
  CHECK(spec.labels.size() == 3);
  CHECK(spec.observables[0].band == "GaiaDR2.G");
}
