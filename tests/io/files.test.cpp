// SPDX-License-Identifier: MIT
#include <sbi/io/files.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace {
namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi-files-", ::getpid());
  Folder() { fs::remove_all(path), fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string message(auto&& f) {
  try {
    f();
  } catch (const sbi::FileError& error) {
    return error.what();
  }
  return "";
}
} // namespace

TEST_CASE("io/files: what is written is read back, with its zeros, and folders are created") {
  const Folder folder;
  const auto path = folder.path / "a" / "b" / "file.bin";
  std::string bytes(100'000, 'x');
  bytes[0] = bytes[99'999] = '\0';
  sbi::io::write_file(path, bytes);
  CHECK(sbi::io::read_file(path) == bytes);
  sbi::io::write_file(path, "");
  CHECK(sbi::io::read_file(path).empty());
  CHECK(std::distance(fs::directory_iterator(path.parent_path()), {}) == 1); // no temporary stays
}

TEST_CASE("io/files: errors name the file and the reason") {
  const Folder folder;
  CHECK(message([&] { (void)sbi::io::read_file(folder.path / "no"); }) ==
        (folder.path / "no").string() + ": cannot be read: No such file or directory");
  CHECK(message([&] { (void)sbi::io::read_file(folder.path); }) ==
        folder.path.string() + ": cannot be read: Is a directory");
  sbi::io::write_file(folder.path / "file", "text");
  CHECK(message([&] { sbi::io::write_file(folder.path / "file" / "below", "text"); }) ==
        (folder.path / "file").string() + ": the folder cannot be created: Not a directory");
  CHECK(message([&] { sbi::io::write_file(folder.path, "text"); }).find("is a folder") != std::string::npos);
  CHECK(sbi::io::read_file(folder.path / "file") == "text");
}

TEST_CASE("io/files: an output folder that takes no file is found out at once and leaves nothing") {
  const Folder folder;
  sbi::io::check_output_folder(folder.path / "new");
  CHECK(fs::is_empty(folder.path / "new"));
  CHECK_THROWS_AS(sbi::io::check_output_folder("/proc/self"),
                  sbi::FileError); // nobody, root included, can write there
}
