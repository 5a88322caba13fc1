// SPDX-License-Identifier: MIT
// Whole files and output folders.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/io/atomic_file.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

namespace sbi::io {

/// Creates a folder and its parents; nothing happens when it is there. Throws FileError.
inline void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return;
  std::filesystem::create_directories(folder, error);
  if (error) throw FileError(text(folder.string(), ": the folder cannot be created: ", error.message()));
}

/// Writes a whole file in one step (see AtomicFile), creating its folder where that is missing. Throws
/// FileError.
inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  if (path.has_parent_path()) create_folder(path.parent_path());
  AtomicFile file(path.string());
  errno = 0;
  std::ofstream out(file.temporary(), std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out)
    throw FileError(
        text(path.string(), ": cannot be written: ", std::generic_category().message(errno ? errno : EIO)));
  file.commit();
}

/// The bytes of a whole file. Throws FileError when it is missing, is a folder or cannot be read.
[[nodiscard]] inline std::string read_file(const std::filesystem::path& path) {
  const auto fail = [&](int error) {
    throw FileError(
        text(path.string(), ": cannot be read: ", std::generic_category().message(error ? error : EIO)));
  };
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) fail(EISDIR);
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(errno);
  std::string bytes;
  const auto size = std::filesystem::file_size(path, error);
  if (!error) bytes.reserve(size);
  char block[1 << 14];
  while (in.read(block, sizeof block) || in.gcount() > 0)
    bytes.append(block, static_cast<std::size_t>(in.gcount()));
  if (in.bad()) fail(errno);
  return bytes;
}

/// Creates the output folder of a program and writes into it once, so that a long run finds out at its start,
/// not at its end, that its results have nowhere to go. Throws FileError.
inline void check_output_folder(const std::filesystem::path& folder) {
  create_folder(folder);
  const AtomicFile probe((folder / "output").string());
  errno = 0;
  if (!std::ofstream(probe.temporary()))
    throw FileError(text(folder.string(), ": nothing can be written into this folder: ",
                         std::generic_category().message(errno ? errno : EIO)));
}

} // namespace sbi::io
