// SPDX-License-Identifier: MIT
// A file is either written whole or not at all: it grows under a temporary name beside its place and is
// renamed.
#pragma once
#include <sbi/core/error.hpp>

#include <atomic>
#include <filesystem>
#include <string>
#include <system_error>
#include <unistd.h>

namespace sbi::io {

/// Write to `temporary()`, close it, then call `commit()`. Without commit (an exception) nothing is left
/// behind, and a file that was there before stays as it was. The temporary name keeps the extension: some
/// writers look at it.
class AtomicFile {
public:
  /// Throws FileError if the folder of `path` does not exist or `path` is a folder.
  explicit AtomicFile(std::string path) : path_(std::move(path)) {
    namespace fs = std::filesystem;
    static std::atomic<unsigned> count{0}; // two writers of one process must not share a temporary
    const fs::path p(path_);
    const fs::path folder = p.has_parent_path() ? p.parent_path() : fs::path(".");
    if (!fs::is_directory(folder))
      throw FileError(text(path_, ": no folder '", folder.string(), "' to write to"));
    if (fs::is_directory(p)) throw FileError(text(path_, ": is a folder; want a file name"));
    temporary_ =
        (folder / text(".partial-", static_cast<long>(::getpid()), "-", count++, "-", p.filename().string()))
            .string();
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    std::error_code ignored;
    if (!committed_) std::filesystem::remove(temporary_, ignored);
  }

  [[nodiscard]] const std::string& temporary() const { return temporary_; }

  /// Puts the finished file in its place. Throws FileError if the rename fails.
  void commit() {
    std::error_code error;
    std::filesystem::rename(temporary_, path_, error);
    if (error) throw FileError(text(path_, ": cannot be put in place: ", error.message()));
    committed_ = true;
  }

private:
  std::string path_, temporary_;
  bool committed_ = false;
};

} // namespace sbi::io
