// SPDX-License-Identifier: MIT
#include "../data_file.hpp"

#include <sbi/io/catalogue_file.hpp>
#include <sbi/io/fits.hpp>
#include <sbi/io/fits_write.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::io;

namespace {

struct Fixture {
  std::string folder =
      (std::filesystem::temp_directory_path() / text("sbi-catalogue-", static_cast<long>(::getpid())))
          .string();
  std::vector<FitsOutputColumn> columns{{"id", std::vector<std::int64_t>{7, 8, 9, 9007199254740993}},
                                        {"flux", std::vector<double>{1000, 100, missing, 10}},
                                        {"flux_error", std::vector<double>{10, 2, missing, 1}},
                                        {"w3", std::vector<float>{11, 12, 0, 13}},
                                        {"w3_error", std::vector<float>{0.5F, -9999, 0.1F, 0.2F}},
                                        {"quality", std::vector<std::string>{"AB", "A", "AC", "AU"}},
                                        {"teff", std::vector<double>{5000, 6000, 4000, 0}},
                                        {"p", std::vector<double>{0.9, 0.1, 0.5, 0.7}}};
  CatalogueSpec spec;

  Fixture() {
    std::filesystem::create_directories(folder);
    spec.file = "t.fits";
    spec.id = "id";
    spec.membership = "p";
    CatalogueColumn g;
    g.name = "g", g.value = "flux", g.error = "flux_error", g.flux = true, g.zero_point = 25,
    g.band = "GaiaDR2.G";
    g.corrections = {{18, 0.1}, {20, 0.3}};
    CatalogueColumn w3;
    w3.name = "w3", w3.value = "w3", w3.error = "w3_error", w3.limit_values = {-9999},
    w3.missing_values = {0};
    w3.error_scale = 2, w3.error_floor = 0.3;
    w3.keep_if = {{"quality", -1e300, 1e300, 1, {"B", "C"}}};
    CatalogueColumn teff;
    teff.name = "log_teff", teff.value = "teff", teff.error_value = 50, teff.log10 = true,
    teff.missing_values = {0};
    spec.observables = {g, w3};
    spec.labels = {teff};
  }
  ~Fixture() { std::filesystem::remove_all(folder); }
  [[nodiscard]] Catalogue read() const {
    write_fits_table(folder + "/t.fits", columns);
    return read_catalogue(spec, folder);
  }
  [[nodiscard]] std::string failure() const {
    try {
      (void)read();
    } catch (const FileError& e) {
      return e.what();
    }
    return "nothing was thrown";
  }
};
bool contains(const std::string& s, const std::string& part) { return s.find(part) != std::string::npos; }

} // namespace

TEST_CASE("io/catalogue_file: fluxes, limits, flags, floors and logarithms become values with errors") {
  const Fixture f;
  const Catalogue c = f.read();
  REQUIRE(c.rows() == 4);
  CHECK(c.ids == std::vector<std::string>{"7", "8", "9", "9007199254740993"});
  CHECK(c.membership == std::vector<double>{0.9, 0.1, 0.5, 0.7});
  CHECK(c.bands == std::vector<std::string>{"GaiaDR2.G", ""});
  // 25 - 2.5 log10(1000) = 17.5, and 0.1 as before the first correction; 20 gets 0.3; 22.5 gets 0.3 beyond
  // the last.
  CHECK(c.x(0, 0) == doctest::Approx(17.6));
  CHECK(c.x(1, 0) == doctest::Approx(20.3));
  CHECK(c.x(3, 0) == doctest::Approx(22.8));
  CHECK(c.sigma(0, 0) == doctest::Approx(2.5 / std::log(10.) * 0.01));
  CHECK(is_missing(c.x(2, 0)));
  CHECK(is_missing(c.sigma(2, 0)));
  CHECK(c.x(0, 1) == 11);
  CHECK(c.sigma(0, 1) == doctest::Approx(std::hypot(1.0, 0.3)));
  CHECK(is_missing(c.x(1, 1))); // upper limit, and its flag has no second character
  CHECK(is_missing(c.x(2, 1))); // code 0
  CHECK(is_missing(c.x(3, 1))); // flag U
  CHECK(c.label(0, 0) == doctest::Approx(std::log10(5000.)));
  CHECK(c.label_sigma(0, 0) == doctest::Approx(50 / 5000. / std::log(10.)));
  CHECK(is_missing(c.label(3, 0)));
}

TEST_CASE("io/catalogue_file: rows can be left out, errors can be too large, NaN can mean a limit") {
  Fixture f;
  f.spec.keep_if = {{"p", 0.5, 1, -1, {}}};
  f.spec.observables[0].error_max = 5;
  f.spec.id = "quality";
  Catalogue c = f.read();
  CHECK(c.rows() == 3);
  CHECK(c.ids == std::vector<std::string>{"AB", "AC", "AU"});
  CHECK(is_missing(c.x(0, 0))); // 10 > 5
  std::get<std::vector<double>>(f.columns[2].values)[3] = missing;
  f.spec.observables[0].limit_is_nan = true;
  c = f.read();
  CHECK(is_missing(c.x(2, 0)));
}

TEST_CASE("io/catalogue_file: what the description cannot explain is named with file, column and row") {
  const auto failure = [](auto&& change) {
    Fixture f;
    change(f);
    return f.failure();
  };
  const auto set = [](int column, std::size_t row, double value) {
    return [=](Fixture& f) {
      std::get<std::vector<double>>(f.columns[static_cast<std::size_t>(column)].values)[row] = value;
    };
  };
  CHECK(contains(failure(set(1, 1, -3)), "t.fits, column 'flux', row 2: -3; want a positive flux"));
  CHECK(contains(failure(set(2, 3, missing)),
                 "column 'flux_error', row 4: nan; want a positive error, since there is a value"));
  CHECK(contains(failure(set(2, 0, 0)), "column 'flux_error', row 1: 0; want a positive error"));
  CHECK(contains(failure(set(6, 2, -4000)),
                 "column 'teff', row 3: -4000; want a positive value, since its logarithm is taken"));
  CHECK(contains(failure([](Fixture& f) { f.spec.observables[0].value = "fluxx"; }),
                 "no column 'fluxx'; the nearest are 'flux'"));
  CHECK(contains(failure([](Fixture& f) { f.spec.membership = "prob"; }), "no column 'prob'"));
}

TEST_CASE("io/catalogue_file: M67, as described in the examples") {
  const std::string path = sbi_test::data_file("m67_ngc2682/NGC_2682.fits.gz");
  if (path.empty()) {
    MESSAGE("no data folder: skipped");
    return;
  }
  const std::string data = path.substr(0, path.size() - std::string("/m67_ngc2682/NGC_2682.fits.gz").size());
  const Catalogue c =
      read_catalogue(read_catalogue_spec(std::string(SBI_SOURCE_DIR) + "/examples/m67.json"), data);
  CHECK(c.rows() == 1585);
  CHECK(std::count_if(c.membership.begin(), c.membership.end(), [](double p) { return p > 0.5; }) == 754);
  const auto present = [&](const char* name) {
    index_t n = 0;
    for (index_t r = 0; r < c.rows(); ++r) n += !is_missing(c.x(r, c.find(name)));
    return n;
  };
  CHECK(present("gaia_g") == 1585);
  CHECK(present("parallax") == 1569);
  CHECK(present("wise_w3") < 427 + 1); // the others are upper limits
  index_t labels = 0;
  std::vector<double> parallax;
  for (index_t r = 0; r < c.rows(); ++r) {
    labels += !is_missing(c.label(r, 0));
    if (c.membership[static_cast<std::size_t>(r)] > 0.8 && c.x(r, 0) < 16)
      parallax.push_back(c.x(r, c.find("parallax")));
    if (!is_missing(c.x(r, 0))) CHECK(c.sigma(r, 0) >= 0.02);
  }
  CHECK(labels == 210);
  std::nth_element(parallax.begin(), parallax.begin() + 100, parallax.end());
  CHECK(parallax[100] == doctest::Approx(1.16).epsilon(0.02)); // 860 pc, the distance of the cluster
}
