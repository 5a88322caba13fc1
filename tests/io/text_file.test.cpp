// SPDX-License-Identifier: MIT
#include <sbi/io/text_file.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace sbi;
using namespace sbi::io;

namespace {
std::string message(auto&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
std::string scratch(const char* name) {
  return (std::filesystem::temp_directory_path() /
          text("sbi-text-", static_cast<long>(::getpid()), "-", name))
      .string();
}
} // namespace

TEST_CASE("io/text_file: plain and gzipped text read alike, the longest lines whole") {
  std::string content;
  for (int i = 0; i < 50'000; ++i) content += text(i, " ", 0.5 * i, "\n");
  const std::string plain = scratch("plain.txt"), zipped = scratch("zipped.dat");
  std::ofstream(plain) << content;
  gzFile out = gzopen(zipped.c_str(), "wb");
  REQUIRE(gzwrite(out, content.data(), static_cast<unsigned>(content.size())) ==
          static_cast<int>(content.size()));
  gzclose(out);
  CHECK(read_text(plain) == content);
  CHECK(read_text(zipped) == content);
  const NumberTable table = read_numbers(zipped);
  CHECK(table.rows() == 50'000);
  CHECK(table(49'999, 1) == 24999.5);
  // A stream cut short must not pass for a short file.
  std::filesystem::resize_file(zipped, std::filesystem::file_size(zipped) / 2);
  CHECK_THROWS_AS((void)read_text(zipped), FileError);
  std::filesystem::remove(plain);
  std::filesystem::remove(zipped);
  CHECK(message([&] { (void)read_text(plain); }).find("no such file") != std::string::npos);
}

TEST_CASE("io/text_file: numbers of every notation, comments and blank lines apart") {
  const NumberTable t = parse_numbers("# a b c\n\n 1, -2.5 +3e2\r\n\t4\t5e-3   nan\n#end", "x.txt");
  REQUIRE(t.rows() == 2);
  CHECK(t.columns == 3);
  CHECK(t(0, 1) == -2.5);
  CHECK(t(0, 2) == 300);
  CHECK(t(1, 1) == 0.005);
  CHECK(t(1, 2) != t(1, 2));
  CHECK(t.lines == std::vector<index_t>{3, 4});
}

TEST_CASE("io/text_file: a word, a short row and an empty file are named with their line") {
  CHECK(message([] { (void)parse_numbers("1 2\n3 x4\n", "f.txt"); }) ==
        "f.txt, line 2: word 2 of '3 x4' is not a number");
  CHECK(message([] { (void)parse_numbers("1 2\n# c\n3\n", "f.txt"); }) ==
        "f.txt, line 3: 1 numbers; want 2 as before");
  CHECK(message([] { (void)parse_numbers("# only\n", "f.txt"); }) == "f.txt: no rows of numbers");
  CHECK(message([] { (void)parse_numbers("1 2abc\n", "f.txt"); }).find("word 2") != std::string::npos);
}
