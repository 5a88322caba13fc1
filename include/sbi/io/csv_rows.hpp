// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/io/atomic_file.hpp>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace sbi::io {

/// Comma-separated numbers written row by row, for tables that do not fit into memory (`Csv` writes those
/// that do). The file appears whole with `close`, or not at all. Single precision: as many digits as give the
/// same float back; a missing number is an empty field.
class CsvRows {
public:
  /// Column names without commas, quotes or line ends. Throws FileError if the file cannot be created,
  /// ValueError for no names.
  CsvRows(const std::string& path, const std::vector<std::string>& names)
      : path_(path), file_(path), columns_(names.size()) {
    if (names.empty()) throw ValueError(text(path, ": no columns to write; want at least one"));
    errno = 0;
    out_.open(file_.temporary(), std::ios::binary);
    check();
    for (const std::string& name : names) {
      if (name.find_first_of(",\"\r\n") != std::string::npos)
        throw ValueError(
            text(path, ": column '", name, "'; want a name without commas, quotes and line ends"));
      if (&name != names.data()) buffer_ += ',';
      buffer_ += name;
    }
    buffer_ += '\n';
  }

  /// One row; throws ShapeError unless it has a number for each column.
  void add(std::span<const double> values) {
    if (values.size() != columns_)
      throw ShapeError(text(path_, ": a row of ", values.size(), " numbers; want ", columns_));
    for (std::size_t c = 0; c < values.size(); ++c) {
      if (c > 0) buffer_ += ',';
      if (is_missing(values[c])) continue;
      char digits[40];
      buffer_.append(digits,
                     std::to_chars(digits, digits + sizeof digits, static_cast<float>(values[c])).ptr);
    }
    buffer_ += '\n';
    if (buffer_.size() > 1U << 20) flush();
  }
  /// Puts the file in its place. Throws FileError if the disc does not take it.
  void close() {
    flush();
    out_.close();
    check();
    file_.commit();
  }

private:
  void flush() {
    errno = 0;
    out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    buffer_.clear();
    check();
  }
  void check() const {
    if (!out_)
      throw FileError(
          text(path_, ": cannot be written: ", std::generic_category().message(errno ? errno : EIO)));
  }

  std::string path_;
  AtomicFile file_;
  std::size_t columns_;
  std::ofstream out_;
  std::string buffer_;
};

} // namespace sbi::io
