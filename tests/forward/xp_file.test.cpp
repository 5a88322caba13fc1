// SPDX-License-Identifier: MIT
#include "xp_cases.hpp"

#include <sbi/forward/xp_file.hpp>
#include <sbi/io/files.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <unistd.h>

using namespace sbi;
using namespace sbi::forward;
using namespace sbi_test;

namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / text("sbi-xp-file-", ::getpid());
  Folder() {
    std::filesystem::remove_all(path);
    io::create_folder(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& content) const {
    io::write_file(path / name, content);
    return (path / name).string();
  }
};
std::string numbers(int count, double value) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text(i > 0 ? ", " : "", value + i);
  return "\"(" + out + ")\"";
}
std::string bases(int n, const std::string& matrix) {
  return text("nBases,pwlRangeMin,pwlRangeMax,normRangeMin,normRangeMax,nInverseBasesCoefficients,"
              "inverseBasesCoefficients,nTransformedBases,transformationMatrix\n",
              n, ",0,59,-9.8,9.467,", n, ',', matrix, ',', n, ',', matrix, '\n');
}

} // namespace

TEST_CASE("forward/xp_file: lists in quotes") {
  const Folder folder;
  const auto path = folder.write("t.csv", "id,a,b\r\n7,\"(1.5, -2e3)\",x\r\n8,,\"y,z\"\n");
  const forward::detail::ListTable table(path);
  CHECK(table.rows() == 2);
  CHECK(table.has("b"));
  CHECK_FALSE(table.has("c"));
  CHECK(table.list(0, "a") == std::vector<double>{1.5, -2000});
  CHECK(table.list(1, "a").empty());
  CHECK(table.field(1, "b") == "y,z");
  CHECK(table.list(1, "a", 3, true).empty());
  CHECK_THROWS_WITH_AS((void)table.list(0, "a", 3, true), doctest::Contains("line 2, column 'a': 2 numbers"),
                       FileError);
  CHECK_THROWS_WITH_AS((void)table.list(0, "b"), doctest::Contains("is not a number"), FileError);
  CHECK_THROWS_WITH_AS((void)table.field(0, "aa"), doctest::Contains("no column 'aa'"), FileError);
  using forward::detail::ListTable;
  CHECK_THROWS_WITH_AS(ListTable(folder.write("a.csv", "a,b\n1\n")), doctest::Contains("1 fields; want 2"),
                       FileError);
  CHECK_THROWS_WITH_AS(ListTable(folder.write("b.csv", "a\n\"(1,2\n")), doctest::Contains("does not end"),
                       FileError);
  CHECK_THROWS_WITH_AS(ListTable(folder.write("c.csv", "a\n")), doctest::Contains("no rows"), FileError);
}

TEST_CASE("forward/xp_file: sources") {
  const Folder folder;
  const std::string head = "source_id,bp_coefficients,bp_coefficient_errors,bp_coefficient_correlations,"
                           "rp_standard_deviation,rp_coefficients,rp_coefficient_errors,"
                           "rp_coefficient_correlations\n";
  const std::string rp = numbers(55, 1) + ',' + numbers(55, 2) + ',' + numbers(1485, 0);
  const auto s = read_xp_sources(folder.write("s.csv", head + "18446744073709551615,,,,1.25," + rp + '\n'));
  REQUIRE(s.size() == 1);
  CHECK(s[0].id == 18446744073709551615ULL);
  CHECK(s[0].bp.coefficients.empty());
  CHECK(s[0].rp.coefficients[54] == 55);
  CHECK(s[0].rp.errors[0] == 2);
  CHECK(s[0].rp.correlations.size() == 1485);
  CHECK(s[0].rp.standard_deviation == 1.25);
  CHECK(is_missing(s[0].rp.measurements));
  const auto c = s[0].coefficients();
  REQUIRE(c.size() == 110);
  CHECK(is_missing(c[54]));
  CHECK(c[55] == 1);
  CHECK_THROWS_WITH_AS((void)read_xp_sources(folder.write("i.csv", head + "x,,,,1," + rp + '\n')),
                       doctest::Contains("source_id 'x'"), FileError);
  CHECK_THROWS_WITH_AS(
      (void)read_xp_sources(folder.write("n.csv", head + "1," + numbers(54, 0) + ",,,1," + rp + '\n')),
      doctest::Contains("column 'bp_coefficients': 54 numbers; want 55"), FileError);
  CHECK_THROWS_AS((void)read_xp_sources(folder.write("e.csv", head + "1," + numbers(55, 0) + ",,,1," + rp)),
                  FileError);
  CHECK_THROWS_AS((void)read_xp_sources((folder.path / "none.csv").string()), FileError);
}

TEST_CASE("forward/xp_file: a broken instrument") {
  const Folder folder;
  CHECK_THROWS_WITH_AS((void)read_xp_instrument(folder.path.string()), doctest::Contains("no such file"),
                       FileError);
  folder.write("bpC03_v375wi_bases.csv", bases(54, numbers(54 * 54, 0)));
  CHECK_THROWS_WITH_AS((void)read_xp_instrument(folder.path.string()), doctest::Contains("54 bases; want 55"),
                       FileError);
  folder.write("bpC03_v375wi_bases.csv", bases(55, numbers(55 * 55, 0)));
  folder.write("bpC03_v375wi_dispersion.csv", "300,400\n5,4\n3,2\n");
  CHECK_THROWS_WITH_AS((void)read_xp_instrument(folder.path.string()),
                       doctest::Contains("3 rows of numbers; want 2"), FileError);
  folder.write("bpC03_v375wi_dispersion.csv", "300,300\n5,4\n");
  folder.write("bpC03_v375wi_response.csv", "300,400\n1,1\n");
  CHECK_THROWS_WITH_AS((void)read_xp_instrument(folder.path.string()),
                       doctest::Contains("bpC03_v375wi: cubic spline"), FileError);
}

TEST_CASE("forward/xp_file: the instrument of data release 3") {
  if (no_xp_data()) return;
  const XpInstrument xp = instrument();
  // u(lambda) and the response at some wavelengths, interpolated independently.
  const double bp[][2] = {{400, 35.106}, {450, 28.123}, {500, 23.151},
                          {550, 19.436}, {600, 16.556}, {640, 14.675}};
  const double rp[][2] = {{640, 13.116}, {700, 21.475}, {800, 32.177}, {900, 40.545}, {1000, 47.600}};
  for (const auto& [w, u] : bp) CHECK(std::abs(xp.bp.pseudo_wavelength(1e-3 * w) - u) < 6e-4);
  for (const auto& [w, u] : rp) CHECK(std::abs(xp.rp.pseudo_wavelength(1e-3 * w) - u) < 6e-4);
  const auto response = [](const XpChannel& c, double w) {
    return c.electrons(w) * 6.62607015e-34 * 299792458 / (0.7278 * 10 * 1e-6 * w);
  };
  CHECK(response(xp.bp, 0.55) == doctest::Approx(0.6298).epsilon(1e-4));
  CHECK(response(xp.rp, 0.70) == doctest::Approx(0.7700).epsilon(1e-4));
  CHECK(xp.bp.first() == doctest::Approx(0.3245));
  CHECK(xp.bp.last() == doctest::Approx(0.707));
  CHECK(xp.rp.first() == doctest::Approx(0.603));
  CHECK(xp.rp.last() == doctest::Approx(1.1));
  CHECK(xp.bp.step() == doctest::Approx(5e-4));
  // T is a rotation, to its ten digits.
  for (const XpChannel* c : {&xp.bp, &xp.rp})
    for (index_t i = 0; i < 55; ++i)
      for (index_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (index_t k = 0; k < 55; ++k) sum += c->transformation()(i, k) * c->transformation()(j, k);
        CHECK(std::abs(sum - (i == j ? 1 : 0)) < 1e-9);
      }
  const auto source = sources("XP_CONTINUOUS_RAW.csv");
  CHECK(source[0].id == 5853498713190525696ULL);
  CHECK(source[0].bp.measurements == 4701);
  CHECK(source[0].rp.standard_deviation == doctest::Approx(1.3151282));
}
