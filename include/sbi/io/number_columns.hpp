// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/io/fits.hpp>
#include <sbi/io/names.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sbi::io {

/// Named columns of numbers, NaN where an entry is empty.
class NumberColumns {
public:
  /// `path` is for messages. Throws FileError for names that are empty or repeated, and for unequal lengths.
  NumberColumns(std::string path, std::vector<std::string> names, std::vector<std::vector<double>> columns)
      : path_(std::move(path)), names_(std::move(names)), columns_(std::move(columns)) {
    if (names_.size() != columns_.size())
      throw ShapeError(
          text(path_, ": ", names_.size(), " names for ", columns_.size(), " columns; want one each"));
    for (std::size_t c = 0; c < names_.size(); ++c) {
      if (names_[c].empty()) throw FileError(text(path_, ": column ", c + 1, " has no name"));
      if (std::find(names_.begin(), names_.begin() + static_cast<index_t>(c), names_[c]) !=
          names_.begin() + static_cast<index_t>(c))
        throw FileError(text(path_, ": two columns named '", names_[c], "'"));
      if (columns_[c].size() != columns_[0].size())
        throw FileError(text(path_, ": column '", names_[c], "' has ", columns_[c].size(), " rows; want ",
                             columns_[0].size()));
    }
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] index_t rows() const {
    return columns_.empty() ? 0 : static_cast<index_t>(columns_[0].size());
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  /// Throws FileError with the nearest names of the table if there is none of this name.
  [[nodiscard]] const std::vector<double>& column(std::string_view name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
      throw FileError(text(path_, ": no column '", name, "'", nearest_names(std::string(name), names_)));
    return columns_[static_cast<std::size_t>(at - names_.begin())];
  }

private:
  std::string path_;
  std::vector<std::string> names_;
  std::vector<std::vector<double>> columns_;
};

/// Reads a table of numbers: FITS (the first table of a file named *.fits[.gz]; its columns of one number a
/// row) or comma-separated values, plain or gzipped: the first line that is neither empty nor begins with '#'
/// names the columns, an empty field is NaN. Throws FileError naming line and column for a field that is no
/// finite number and for a row of another length.
[[nodiscard]] inline NumberColumns read_number_columns(const std::string& path) {
  std::vector<std::string> names;
  std::vector<std::vector<double>> columns;
  if (path.ends_with(".fits") || path.ends_with(".fits.gz")) {
    const FitsTable table(path);
    for (const FitsColumn& c : table.columns())
      if (c.kind == FitsColumn::Kind::number && c.count == 1) {
        names.push_back(c.name);
        columns.push_back(table.numbers(c.name));
      }
    return {path, std::move(names), std::move(columns)};
  }
  const std::string text_of_file = read_text(path);
  std::string_view content = text_of_file;
  if (content.starts_with("\xEF\xBB\xBF")) content.remove_prefix(3); // the mark of some spreadsheets
  const auto trimmed = [](std::string_view field) {
    const std::size_t first = field.find_first_not_of(" \t\"");
    if (first == std::string_view::npos) return std::string_view{};
    return field.substr(first, field.find_last_not_of(" \t\"") - first + 1);
  };
  for_each_line(content, [&](index_t number, std::string_view line) {
    const std::size_t first = line.find_first_not_of(" \t");
    const bool header = names.empty();
    const bool blank =
        first == std::string_view::npos && (header || names.size() > 1); // a gap where there is one column
    if (blank || (first != std::string_view::npos && line[first] == '#')) return;
    std::size_t c = 0;
    for (std::size_t at = 0; at <= line.size(); ++c) {
      const std::size_t comma = std::min(line.find(',', at), line.size());
      const std::string_view field = trimmed(line.substr(at, comma - at));
      at = comma + 1;
      if (header) {
        names.emplace_back(field);
        columns.emplace_back();
        continue;
      }
      double value = missing;
      if (c < names.size() && !field.empty()) {
        const char* const end = field.data() + field.size();
        const auto [stop, error] = std::from_chars(field.data() + (field[0] == '+' ? 1 : 0), end, value);
        if (error != std::errc{} || stop != end || field.starts_with("+-") || !is_finite(value))
          throw FileError(
              text(path, ", line ", number, ", column '", names[c], "': '", field, "' is not a number"));
      }
      if (c < names.size()) columns[c].push_back(value);
    }
    if (!header && c != names.size())
      throw FileError(text(path, ", line ", number, ": ", c, " fields; want ", names.size()));
  });
  if (names.empty()) throw FileError(text(path, ": no line that names the columns"));
  return {path, std::move(names), std::move(columns)};
}

} // namespace sbi::io
