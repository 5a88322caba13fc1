// SPDX-License-Identifier: MIT
// A file is either written whole or not at all: it grows under a temporary name beside its place and is
// renamed.
#pragma once
#include <sbi/core/error.hpp>

#include <atomic>
#include <cerrno>
#include <fcntl.h>
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

  /// Forces the finished file to the disk and puts it in its place: after a crash of the machine either the
  /// old file or the whole new one is there. Throws FileError if the disk refuses (full, gone) or the rename
  /// fails.
  void commit() {
    if (const int error = sync(temporary_, O_WRONLY))
      throw FileError(text(path_, ": cannot be written: ", std::generic_category().message(error)));
    std::error_code error;
    std::filesystem::rename(temporary_, path_, error);
    if (error) throw FileError(text(path_, ": cannot be put in place: ", error.message()));
    committed_ = true;
    const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
    sync(folder.empty() ? "." : folder.string(),
         O_RDONLY); // a folder that cannot be opened still holds the file
  }

private:
  static int sync(const std::string& path, int flags) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
    if (descriptor < 0) return errno;
    const int error =
        ::fsync(descriptor) == 0 || errno == EINVAL ? 0 : errno; // EINVAL: nothing to sync there
    return ::close(descriptor) == 0 || error != 0 ? error : errno;
  }

  std::string path_, temporary_;
  bool committed_ = false;
};

} // namespace sbi::io
