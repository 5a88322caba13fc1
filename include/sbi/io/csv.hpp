// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/io/files.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::io {

/// A table of named columns, written as comma-separated values (RFC 4180). Numbers have as many digits as it
/// takes to read the same bits back; a missing one (NaN) is an empty field.
class Csv {
public:
  /// Adds a column: a range of numbers or of strings. Throws ValueError when the name is taken, ShapeError
  /// when the length is not that of the columns before it.
  template <std::ranges::input_range Range> Csv& column(const std::string& name, const Range& values) {
    for (const auto& other : columns_)
      if (other.name == name) throw ValueError(sbi::text("csv: column '", name, "' is there already"));
    Column added{name, {}};
    for (const auto& value : values) added.fields.push_back(field(value));
    if (!columns_.empty() && added.fields.size() != columns_[0].fields.size())
      throw ShapeError(sbi::text("csv: column '", name, "' has ", added.fields.size(), " rows; want ",
                                 columns_[0].fields.size(), " as '", columns_[0].name, "'"));
    columns_.push_back(std::move(added));
    return *this;
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    const auto row = [&](const auto& field_of) {
      for (std::size_t c = 0; c < columns_.size(); ++c) {
        if (c > 0) out += ',';
        out += field_of(columns_[c]);
      }
      out += '\n';
    };
    row([](const Column& c) { return quoted(c.name); });
    for (std::size_t r = 0; !columns_.empty() && r < columns_[0].fields.size(); ++r)
      row([r](const Column& c) { return c.fields[r]; });
    return out;
  }
  /// Writes the file in one step. Throws FileError.
  void write(const std::filesystem::path& path) const { write_file(path, text()); }

private:
  struct Column {
    std::string name;
    std::vector<std::string> fields;
  };
  template <class T> static std::string field(const T& value) {
    if constexpr (std::floating_point<T>) {
      if (is_missing(value)) return "";
      char buffer[40];
      return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
    } else if constexpr (std::integral<T>) {
      return sbi::text(value);
    } else {
      static_assert(std::convertible_to<const T&, std::string_view>,
                    "sbi: a csv column wants numbers or strings");
      return quoted(value);
    }
  }
  static std::string quoted(std::string_view value) {
    if (value.find_first_of(",\"\n\r") == value.npos) return std::string(value);
    std::string out = "\"";
    for (const char c : value) {
      if (c == '"') out += '"';
      out += c;
    }
    return out + '"';
  }
  std::vector<Column> columns_;
};

} // namespace sbi::io
