// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/io/atomic_file.hpp>
#include <sbi/io/fits.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace sbi::io {

/// A column to write: one value a row, its type that of the vector; NaN of float and double is written as it
/// is.
struct FitsOutputColumn {
  std::string name;
  std::variant<std::vector<double>, std::vector<float>, std::vector<std::int32_t>, std::vector<std::int64_t>,
               std::vector<std::string>>
      values;
  std::string unit = "";

  [[nodiscard]] index_t rows() const {
    return std::visit([](const auto& v) { return static_cast<index_t>(v.size()); }, values);
  }
};

/// Writes one binary table (extension name `extension`) to `path`, whole or not at all; a file of that name
/// is replaced. Throws ValueError for no columns, unequal lengths, empty or repeated names, and texts
/// that a header cannot hold whole (68 characters, a quote counting twice); FileError if the disc does
/// not take it.
inline void write_fits_table(const std::string& path, std::span<const FitsOutputColumn> columns,
                             const std::string& extension = "TABLE") {
  if (path.ends_with(".gz"))
    throw ValueError(text(path, ": tables are written uncompressed; want a name without .gz"));
  if (columns.empty()) throw ValueError(text(path, ": no columns to write; want at least one"));
  const auto require_card = [&](const char* what, const std::string& value) {
    const auto length = value.size() + static_cast<std::size_t>(std::count(value.begin(), value.end(), '\''));
    if (length > 68)
      throw ValueError(text(path, ": the ", what, " '", value, "' takes ", length,
                            " characters in a header; want 68 at most"));
  };
  require_card("table name", extension);
  const index_t rows = columns[0].rows();
  std::vector<std::string> names, formats, units;
  for (const FitsOutputColumn& c : columns) {
    if (c.name.empty()) throw ValueError(text(path, ": column ", names.size(), " has no name"));
    if (std::find(names.begin(), names.end(), c.name) != names.end())
      throw ValueError(text(path, ": two columns named '", c.name, "'"));
    if (c.rows() != rows)
      throw ValueError(text(path, ": column '", c.name, "' has ", c.rows(), " rows and '", columns[0].name,
                            "' ", rows, "; want the same"));
    require_card("column name", c.name);
    require_card("unit", c.unit);
    names.push_back(c.name);
    units.push_back(c.unit);
    if (const auto* words = std::get_if<std::vector<std::string>>(&c.values)) {
      std::size_t width = 1;
      for (const std::string& w : *words) width = std::max(width, w.size());
      formats.push_back(text(width, "A"));
    } else {
      constexpr const char* codes[] = {"1D", "1E", "1J", "1K"};
      formats.emplace_back(codes[c.values.index()]);
    }
  }
  const auto pointers = [](std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& w : words) out.push_back(w.data());
    return out;
  };
  AtomicFile target(path);
  const std::lock_guard guard(detail::cfitsio_lock());
  int status = 0;
  fitsfile* raw = nullptr;
  fits_create_diskfile(&raw, target.temporary().c_str(), &status);
  if (status != 0) detail::throw_fits(path, status);
  detail::FitsHandle file(raw);
  auto name_list = pointers(names), format_list = pointers(formats), unit_list = pointers(units);
  fits_create_tbl(raw, BINARY_TBL, rows, static_cast<int>(columns.size()), name_list.data(),
                  format_list.data(), unit_list.data(), extension.c_str(), &status);
  if (status != 0) detail::throw_fits(path, status);
  for (std::size_t c = 0; c < columns.size() && rows != 0; ++c) {
    const int number = static_cast<int>(c) + 1;
    std::visit(
        [&]<class T>(const std::vector<T>& values) {
          if constexpr (std::is_same_v<T, std::string>) {
            std::vector<std::string> words = values;
            auto list = pointers(words);
            fits_write_col(raw, TSTRING, number, 1, 1, rows, list.data(), &status);
          } else {
            constexpr int type = std::is_same_v<T, double>         ? TDOUBLE
                                 : std::is_same_v<T, float>        ? TFLOAT
                                 : std::is_same_v<T, std::int32_t> ? TINT
                                                                   : TLONGLONG;
            auto copy = values; // CFITSIO's interface is not const
            fits_write_col(raw, type, number, 1, 1, rows, copy.data(), &status);
          }
        },
        columns[c].values);
    if (status != 0) detail::throw_fits(text(path, ", column '", names[c], "'"), status);
  }
  file.release();
  fits_close_file(raw, &status); // the last buffers go to disc here: a full disc shows only now
  if (status != 0) detail::throw_fits(path, status);
  target.commit();
}

} // namespace sbi::io
