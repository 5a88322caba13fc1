// SPDX-License-Identifier: MIT
#include <sbi/io/atomic_file.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace sbi;

namespace {
std::string content(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}
} // namespace

TEST_CASE("io/atomic_file: only a committed file appears; an abandoned one leaves the old") {
  const auto folder =
      std::filesystem::temp_directory_path() / text("sbi-atomic-", static_cast<long>(::getpid()));
  std::filesystem::create_directories(folder);
  const auto path = folder / "result.txt";
  {
    io::AtomicFile file(path.string());
    std::ofstream(file.temporary()) << "first";
    CHECK_FALSE(std::filesystem::exists(path));
    file.commit();
  }
  CHECK(content(path) == "first");
  {
    io::AtomicFile file(path.string());
    std::ofstream(file.temporary()) << "second";
  }
  CHECK(content(path) == "first");
  CHECK(std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator{}) ==
        1);
  {
    io::AtomicFile a(path.string()), b(path.string());
    CHECK(a.temporary() != b.temporary());
    CHECK_THROWS_AS(a.commit(), FileError); // nothing was written
  }
  CHECK_THROWS_AS(io::AtomicFile((folder / "none" / "x").string()), FileError);
  CHECK_THROWS_AS(io::AtomicFile(folder.string()), FileError);
  std::filesystem::remove_all(folder);
}
