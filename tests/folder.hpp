// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>

#include <filesystem>
#include <string>
#include <unistd.h>

namespace sbi::testing {

/// A folder of this process for the length of a scope.
struct Folder {
  std::filesystem::path path;
  explicit Folder(const char* name)
      : path(std::filesystem::temp_directory_path() / sbi::text("sbi_", name, "_", ::getpid())) {
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path file(const char* name) const { return path / name; }
};

/// The message of the FileError that f throws; empty: it throws none.
template <class F> [[nodiscard]] std::string file_error(F&& f) {
  try {
    f();
  } catch (const FileError& error) {
    return error.what();
  }
  return "";
}

} // namespace sbi::testing
