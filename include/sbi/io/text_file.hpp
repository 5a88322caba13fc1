// SPDX-License-Identifier: MIT
// Text files of numbers, plain or gzipped: what spectra, isochrones and passbands come in.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/shape.hpp>

#include <charconv>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>
#include <zlib.h>

namespace sbi::io {

/// The whole of a text file; gzipped content is unpacked whatever the name. Throws FileError.
[[nodiscard]] inline std::string read_text(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) throw FileError(text(path, ": no such file"));
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) throw FileError(text(path, ": cannot be opened"));
  gzbuffer(file.get(), 1U << 17);
  std::string out;
  std::size_t used = 0;
  for (int got = 1; got > 0; used += static_cast<std::size_t>(got > 0 ? got : 0)) {
    if (out.size() - used < 65'536) out.resize(2 * out.size() + 65'536);
    got = gzread(file.get(), out.data() + used,
                 static_cast<unsigned>(std::min<std::size_t>(out.size() - used, 1U << 30)));
  }
  int code = Z_OK;
  const char* reason = gzerror(file.get(), &code); // a truncated stream shows here, not in gzread
  if (code != Z_OK && code != Z_STREAM_END) throw FileError(text(path, ": cannot be read: ", reason));
  out.resize(used);
  return out;
}

/// Calls f(number, line) for every line of `content`, counting from 1, without its end-of-line characters.
template <class F> void for_each_line(std::string_view content, F&& f) {
  for (index_t number = 1; !content.empty(); ++number) {
    const std::size_t end = content.find('\n');
    std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    f(number, line);
  }
}

/// Appends the blank-separated numbers of a line to `out` and returns how many there were; -1 - n if the word
/// after n numbers is not one.
[[nodiscard]] inline index_t append_numbers(std::string_view line, std::vector<double>& out) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == ','; };
  const char *at = line.data(), *const end = at + line.size();
  for (index_t count = 0;; ++count) {
    while (at != end && blank(*at)) ++at;
    if (at == end) return count;
    if (*at == '+') ++at; // from_chars takes no plus sign
    double value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc{} || (stop != end && !blank(*stop))) return -1 - count;
    out.push_back(value);
    at = stop;
  }
}

/// Rows of equally many numbers, row-major; `lines` holds the line each row stood on.
struct NumberTable {
  index_t columns = 0;
  std::vector<double> values;
  std::vector<index_t> lines;

  [[nodiscard]] index_t rows() const { return static_cast<index_t>(lines.size()); }
  [[nodiscard]] double operator()(index_t row, index_t column) const {
    return values[static_cast<std::size_t>(row * columns + column)];
  }
};

/// The numbers of `content`; lines that are empty or begin with '#' are skipped. `path` is for messages only.
/// Throws FileError naming the line for a word that is no number, a row of another length, or no rows at all.
[[nodiscard]] inline NumberTable parse_numbers(std::string_view content, const std::string& path) {
  NumberTable table;
  for_each_line(content, [&](index_t number, std::string_view line) {
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '#') return;
    const index_t count = append_numbers(line, table.values);
    if (count < 0)
      throw FileError(text(path, ", line ", number, ": word ", -count, " of '", line, "' is not a number"));
    if (table.columns == 0) table.columns = count;
    if (count != table.columns)
      throw FileError(
          text(path, ", line ", number, ": ", count, " numbers; want ", table.columns, " as before"));
    table.lines.push_back(number);
  });
  if (table.lines.empty()) throw FileError(text(path, ": no rows of numbers"));
  return table;
}

[[nodiscard]] inline NumberTable read_numbers(const std::string& path) {
  return parse_numbers(read_text(path), path);
}

} // namespace sbi::io
