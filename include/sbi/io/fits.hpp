// SPDX-License-Identifier: MIT
// FITS binary tables and images through CFITSIO: files close themselves, and CFITSIO's error stack becomes
// one FileError that names the file, the HDU and the column. `.fits.gz` is read like `.fits`.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/io/names.hpp>

#include <fitsio.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace sbi::io {

namespace detail {

/// CFITSIO keeps global state (its error stack, the open files, a flag of fits_open_diskfile), and not every
/// build of it is re-entrant, so every call goes through this lock.
inline std::recursive_mutex& cfitsio_lock() {
  static std::recursive_mutex lock; // recursive: closing a file may happen inside another call
  return lock;
}

/// Empties CFITSIO's error stack into one sentence: "<where>: <first message> (CFITSIO status n)".
[[noreturn]] inline void throw_fits(const std::string& where, int status) {
  char line[FLEN_ERRMSG] = {};
  std::string first;
  while (fits_read_errmsg(line) != 0)
    if (first.empty()) first = line;
  if (first.empty()) {
    char summary[FLEN_STATUS] = {};
    fits_get_errstatus(status, summary);
    first = summary;
  }
  throw FileError(text(where, ": ", first, " (CFITSIO status ", status, ")"));
}

struct FitsCloser {
  void operator()(fitsfile* file) const {
    const std::lock_guard guard(cfitsio_lock());
    int status = 0;
    fits_close_file(file, &status);
    fits_clear_errmsg();
  }
};
using FitsHandle = std::unique_ptr<fitsfile, FitsCloser>;

inline FitsHandle open_fits(const std::string& path) {
  // CFITSIO would look for "path.gz" by itself; a missing file is better said in our words.
  if (!std::filesystem::is_regular_file(path)) throw FileError(text(path, ": no such file"));
  fitsfile* raw = nullptr;
  int status = 0;
  fits_open_diskfile(&raw, path.c_str(), READONLY, &status);
  if (status != 0) throw_fits(path, status);
  return FitsHandle(raw);
}

} // namespace detail

/// What a column of a table holds: `count` values of one kind a row, in `unit` ("" if the file names none).
struct FitsColumn {
  enum class Kind { number, text, logical };
  std::string name, unit;
  Kind kind = Kind::number;
  index_t count = 1;
};

/// A binary (or ASCII) table of a FITS file, open for reading. Column names are matched exactly (dots are
/// part of a name). Blank or null entries of number columns read as NaN. Throws FileError for anything that
/// cannot be read.
class FitsTable {
public:
  /// extension: the EXTNAME wanted; "" takes the first table in the file.
  explicit FitsTable(std::string path, std::string_view extension = "") : path_(std::move(path)) {
    const std::lock_guard guard(detail::cfitsio_lock());
    file_ = detail::open_fits(path_);
    int status = 0, hdus = 0, kind = 0;
    fits_get_num_hdus(file_.get(), &hdus, &status);
    for (int hdu = 1; hdu <= hdus && status == 0; ++hdu) {
      fits_movabs_hdu(file_.get(), hdu, &kind, &status);
      if (status != 0 || kind == IMAGE_HDU) continue;
      char name[FLEN_VALUE] = {};
      int no_name = 0;
      fits_read_key(file_.get(), TSTRING, "EXTNAME", name, nullptr, &no_name);
      if (no_name != 0) fits_clear_errmsg();
      if (!extension.empty() && extension != name) continue;
      where_ = text(path_, ": table ",
                    *name ? text("'", static_cast<const char*>(name), "'") : text("in HDU ", hdu));
      read_columns();
      return;
    }
    if (status != 0) detail::throw_fits(path_, status);
    throw FileError(extension.empty()
                        ? text(path_, ": no table among ", hdus, " HDUs")
                        : text(path_, ": no table named '", extension, "' among ", hdus, " HDUs"));
  }

  [[nodiscard]] index_t rows() const { return rows_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<FitsColumn>& columns() const { return columns_; }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::any_of(columns_.begin(), columns_.end(), [&](const FitsColumn& c) { return c.name == name; });
  }
  /// The column of that name; throws FileError with the nearest names of the table if there is none.
  [[nodiscard]] const FitsColumn& column(std::string_view name) const {
    return columns_[static_cast<std::size_t>(index_of(name))];
  }

  /// A column of one number a row (logical values read as 0 and 1), [rows].
  [[nodiscard]] std::vector<double> numbers(std::string_view name) const {
    const index_t column = scalar(name, FitsColumn::Kind::number);
    return read<double>(column, TDOUBLE, 1);
  }
  /// The same of a column of integers, signed or not, or of logical values, without rounding: identifiers of
  /// 64 bits do not fit a double, [rows]. Throws FileError for text and for floating-point numbers.
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view name) const {
    const index_t column = scalar(name, FitsColumn::Kind::number);
    for (const int type : {TFLOAT, TDOUBLE, TCOMPLEX, TDBLCOMPLEX, TBIT}) // all other types are integers
      if (layout(column).type == type) refuse(column, "integers");
    static_assert(sizeof(LONGLONG) == sizeof(std::int64_t));
    return read<std::int64_t>(column, TLONGLONG, 1);
  }
  /// A column of `count` numbers a row, row-major [rows, count]. Throws FileError for rows of varying length.
  [[nodiscard]] std::vector<double> vectors(std::string_view name) const {
    const index_t column = index_of(name);
    require(column, FitsColumn::Kind::number);
    if (layout(column).type < 0) refuse(column, "as many numbers in each row");
    return read<double>(column, TDOUBLE, columns_[static_cast<std::size_t>(column)].count);
  }
  /// A column of text, trailing blanks removed, [rows]. Throws FileError for several words a row or rows of
  /// varying length.
  [[nodiscard]] std::vector<std::string> strings(std::string_view name) const {
    const index_t column = index_of(name);
    require(column, FitsColumn::Kind::text);
    const Layout form = layout(column);
    if (form.type < 0 || form.width < form.repeat) refuse(column, "one text of fixed width a row");
    const auto width = static_cast<std::size_t>(columns_[static_cast<std::size_t>(column)].count);
    const auto rows = static_cast<std::size_t>(rows_);
    std::vector<char> storage(rows * (width + 1));
    std::vector<char*> pointers(rows);
    for (std::size_t r = 0; r < rows; ++r) pointers[r] = storage.data() + r * (width + 1);
    const std::lock_guard guard(detail::cfitsio_lock());
    int status = 0, any_null = 0;
    char null[] = "";
    if (rows != 0)
      fits_read_col(file_.get(), TSTRING, static_cast<int>(column) + 1, 1, 1, rows_, null, pointers.data(),
                    &any_null, &status);
    if (status != 0) detail::throw_fits(described(column), status);
    std::vector<std::string> out(rows);
    for (std::size_t r = 0; r < rows; ++r) {
      out[r] = pointers[r];
      out[r].erase(out[r].find_last_not_of(' ') + 1);
    }
    return out;
  }

private:
  void read_columns() {
    int status = 0, count = 0;
    LONGLONG rows = 0;
    fits_get_num_rowsll(file_.get(), &rows, &status);
    fits_get_num_cols(file_.get(), &count, &status);
    rows_ = static_cast<index_t>(rows);
    for (int c = 1; c <= count && status == 0; ++c) {
      FitsColumn column;
      char value[FLEN_VALUE] = {}, key[FLEN_KEYWORD] = {};
      int type = 0, absent = 0;
      LONGLONG repeat = 0, width = 0;
      fits_make_keyn("TTYPE", c, key, &status);
      fits_read_key(file_.get(), TSTRING, key, value, nullptr, &absent);
      if (absent == 0) column.name = value;
      absent = 0;
      fits_make_keyn("TUNIT", c, key, &status);
      fits_read_key(file_.get(), TSTRING, key, value, nullptr, &absent);
      if (absent == 0) column.unit = value;
      fits_clear_errmsg();
      fits_get_coltypell(file_.get(), c, &type, &repeat, &width, &status);
      column.kind = std::abs(type) == TSTRING    ? FitsColumn::Kind::text
                    : std::abs(type) == TLOGICAL ? FitsColumn::Kind::logical
                                                 : FitsColumn::Kind::number;
      // Text in an ASCII table is one value of some width; columns of varying length (type < 0) have no
      // count.
      column.count = static_cast<index_t>(type < 0 ? 0 : type == TSTRING ? std::max(repeat, width) : repeat);
      columns_.push_back(std::move(column));
    }
    if (status != 0) detail::throw_fits(where_, status);
  }

  [[nodiscard]] index_t index_of(std::string_view name) const {
    for (std::size_t c = 0; c < columns_.size(); ++c)
      if (columns_[c].name == name) return static_cast<index_t>(c);
    std::vector<std::string> names;
    for (const FitsColumn& c : columns_) names.push_back(c.name);
    throw FileError(text(where_, " has no column '", name, "'", nearest_names(name, names)));
  }
  [[nodiscard]] std::string described(index_t column) const {
    return text(where_, ", column '", columns_[static_cast<std::size_t>(column)].name, "'");
  }
  /// CFITSIO's type of the values after scaling (negative where rows vary in length), values a row (bytes of
  /// text) and bytes of one.
  struct Layout {
    int type = 0;
    LONGLONG repeat = 0, width = 0;
  };
  [[nodiscard]] Layout layout(index_t column) const {
    const std::lock_guard guard(detail::cfitsio_lock());
    Layout out;
    int status = 0;
    fits_get_eqcoltypell(file_.get(), static_cast<int>(column) + 1, &out.type, &out.repeat, &out.width,
                         &status);
    if (status != 0) detail::throw_fits(described(column), status);
    return out;
  }
  [[noreturn]] void refuse(index_t column, const char* wanted) const {
    const std::lock_guard guard(detail::cfitsio_lock());
    char key[FLEN_KEYWORD] = {}, form[FLEN_VALUE] = {};
    int status = 0;
    fits_make_keyn("TFORM", static_cast<int>(column) + 1, key, &status);
    fits_read_key(file_.get(), TSTRING, key, form, nullptr, &status);
    if (status != 0) detail::throw_fits(described(column), status);
    throw FileError(
        text(described(column), " has the form '", static_cast<const char*>(form), "'; want ", wanted));
  }
  void require(index_t column, FitsColumn::Kind kind) const {
    const FitsColumn& c = columns_[static_cast<std::size_t>(column)];
    const bool is_text = c.kind == FitsColumn::Kind::text, wants_text = kind == FitsColumn::Kind::text;
    if (is_text != wants_text)
      throw FileError(text(described(column), " holds ", is_text ? "text" : "numbers", "; want ",
                           wants_text ? "text" : "numbers"));
  }
  [[nodiscard]] index_t scalar(std::string_view name, FitsColumn::Kind kind) const {
    const index_t column = index_of(name);
    require(column, kind);
    if (columns_[static_cast<std::size_t>(column)].count != 1)
      throw FileError(text(described(column), " has ", columns_[static_cast<std::size_t>(column)].count,
                           " values a row; want 1"));
    return column;
  }
  template <class T> [[nodiscard]] std::vector<T> read(index_t column, int type, index_t count) const {
    const auto size = static_cast<std::size_t>(rows_ * count);
    std::vector<T> out(size);
    const std::lock_guard guard(detail::cfitsio_lock());
    int status = 0, any_null = 0;
    T null{};
    if constexpr (std::is_same_v<T, double>) null = missing;
    // CFITSIO reads logical columns only as logicals.
    if (columns_[static_cast<std::size_t>(column)].kind == FitsColumn::Kind::logical) {
      std::vector<char> flags(size);
      char no = 0;
      if (size != 0)
        fits_read_col(file_.get(), TLOGICAL, static_cast<int>(column) + 1, 1, 1, rows_ * count, &no,
                      flags.data(), &any_null, &status);
      std::transform(flags.begin(), flags.end(), out.begin(), [](char f) { return static_cast<T>(f != 0); });
    } else if (size != 0) {
      fits_read_col(file_.get(), type, static_cast<int>(column) + 1, 1, 1, rows_ * count, &null, out.data(),
                    &any_null, &status);
    }
    if (status != 0) detail::throw_fits(described(column), status);
    return out;
  }

  std::string path_, where_;
  detail::FitsHandle file_;
  index_t rows_ = 0;
  std::vector<FitsColumn> columns_;
};

/// An image: values row-major in the C sense (the last FITS axis first), blanks as NaN.
struct FitsImage {
  Shape shape;
  std::vector<double> values;
};

/// Reads the image of one HDU (1 = primary). Throws FileError if it holds none, or one of more than four
/// axes.
[[nodiscard]] inline FitsImage read_fits_image(const std::string& path, int hdu = 1) {
  const std::lock_guard guard(detail::cfitsio_lock());
  const detail::FitsHandle file = detail::open_fits(path);
  const std::string where = text(path, ": HDU ", hdu);
  int status = 0, kind = 0, axes = 0, any_null = 0;
  LONGLONG extent[Shape::max_rank] = {};
  fits_movabs_hdu(file.get(), hdu, &kind, &status);
  if (status == 0 && kind == IMAGE_HDU) fits_get_img_dim(file.get(), &axes, &status);
  if (status != 0) detail::throw_fits(where, status);
  if (axes < 1 || axes > Shape::max_rank)
    throw FileError(text(where, " holds ", axes == 0 ? "no image" : text("an image of ", axes, " axes"),
                         "; want an image of 1 to ", Shape::max_rank, " axes"));
  fits_get_img_sizell(file.get(), axes, extent, &status);
  FitsImage image;
  image.shape = Shape{static_cast<index_t>(extent[axes - 1])};
  for (int a = axes - 2; a >= 0; --a) {
    const Shape s = image.shape;
    const auto n = static_cast<index_t>(extent[a]);
    image.shape = s.rank() == 1   ? Shape{s[0], n}
                  : s.rank() == 2 ? Shape{s[0], s[1], n}
                                  : Shape{s[0], s[1], s[2], n};
  }
  image.values.resize(static_cast<std::size_t>(image.shape.size()));
  double null = missing;
  if (!image.values.empty())
    fits_read_img(file.get(), TDOUBLE, 1, image.shape.size(), &null, image.values.data(), &any_null, &status);
  if (status != 0) detail::throw_fits(where, status);
  return image;
}

} // namespace sbi::io
