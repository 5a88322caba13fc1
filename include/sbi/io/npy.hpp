// SPDX-License-Identifier: MIT
// NumPy's .npy files from and into xtensor's arrays. xtensor has a reader of its own; it pulls <regex> into
// every file that names it and believes a damaged header, so this one reads the (short) format itself.
#pragma once
#include <sbi/core/adapt.hpp>
#include <sbi/io/files.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <type_traits>

namespace sbi::io {

namespace detail {
static_assert(std::endian::native == std::endian::little,
              "sbi: .npy files are read and written on little-endian machines");

/// NumPy's name of an element type, as in '<f8'.
template <class T> std::string npy_type() {
  static_assert(std::is_arithmetic_v<T>, "sbi: an .npy file wants numbers or booleans");
  const char kind = std::same_as<T, bool>         ? 'b'
                    : std::is_floating_point_v<T> ? 'f'
                    : std::is_signed_v<T>         ? 'i'
                                                  : 'u';
  return text(sizeof(T) == 1 ? '|' : '<', kind, sizeof(T));
}

/// The text after `'key': ` in the header, which is a Python dictionary; empty when there is none.
inline std::string_view npy_header_value(std::string_view header, std::string_view key) {
  const auto at = header.find(text('\'', key, '\''));
  const auto colon = at == header.npos ? at : header.find(':', at);
  const auto first = colon == header.npos ? colon : header.find_first_not_of(' ', colon + 1);
  return first == header.npos ? std::string_view{} : header.substr(first);
}
} // namespace detail

/// Reads an array of exactly this element type and rank; both memory orders are understood. Throws FileError
/// when the file is missing, is no .npy file, holds another type or rank, or has fewer or more bytes than its
/// header says. Format: numpy.lib.format, versions 1 to 3.
template <class T, std::size_t N>
[[nodiscard]] xt::xtensor<T, N> read_npy(const std::filesystem::path& path) {
  static_assert(N >= 1, "sbi: read_npy wants a rank of at least 1");
  const std::string bytes = read_file(path);
  const auto fail = [&](const auto&... why) { throw FileError(text(path.string(), ": ", why...)); };

  if (bytes.size() < 10 || bytes.compare(0, 6, "\x93NUMPY") != 0) fail("is no .npy file");
  const std::size_t length_bytes = bytes[6] == 1 ? 2 : 4;
  const auto cut_header = [&] { fail("is cut short: its header ends beyond its ", bytes.size(), " bytes"); };
  if (bytes.size() < 8 + length_bytes) cut_header();
  std::size_t header_bytes = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    header_bytes |= std::size_t{static_cast<unsigned char>(bytes[8 + i])} << (8 * i);
  const std::size_t start = 8 + length_bytes + header_bytes;
  if (start > bytes.size()) cut_header();
  const auto header = std::string_view(bytes).substr(8 + length_bytes, header_bytes);

  const auto type = detail::npy_header_value(header, "descr");
  const std::string wanted = text('\'', detail::npy_type<T>(), '\'');
  if (!type.starts_with(wanted))
    fail("holds values of type ", type.substr(0, type.find(',')), "; want ", wanted);

  auto list = detail::npy_header_value(header, "shape");
  list = list.substr(0, list.find(')') == list.npos ? 0 : list.find(')') + 1);
  std::array<std::size_t, N> shape{};
  std::size_t rank = 0, count = 1;
  const std::size_t most = bytes.size() - start;
  for (const char *p = list.data() + 1, *end = list.data() + list.size(); p < end && *p != ')'; ++rank) {
    std::size_t extent = 0;
    const auto [next, error] = std::from_chars(p, end, extent);
    if (error != std::errc{}) fail("has the shape ", list, ", which is no list of extents");
    // An extent beyond the file's bytes is refused here, so that no product overflows and nothing huge is
    // allocated.
    if (extent != 0 && count > most / extent)
      fail("is cut short: ", most, " bytes of values for the shape ", list);
    count *= extent;
    if (rank < N) shape[rank] = extent;
    p = next;
    while (p < end && (*p == ',' || *p == ' ' || *p == 'L')) ++p; // Python 2 wrote (3L,)
  }
  if (rank != N) fail("has the shape ", list, "; want an array of rank ", N);
  if (count * sizeof(T) > most) fail("is cut short: ", most, " bytes of values for the shape ", list);
  if (count * sizeof(T) < most) fail("has ", most, " bytes of values, more than the shape ", list, " needs");

  const auto copy = [&](auto& out) {
    if (count > 0) std::memcpy(out.data(), bytes.data() + start, most);
  };
  if (detail::npy_header_value(header, "fortran_order").starts_with("True")) {
    xt::xtensor<T, N, xt::layout_type::column_major> columns(shape);
    copy(columns);
    return columns;
  }
  xt::xtensor<T, N> out(shape);
  copy(out);
  return out;
}

/// Writes an array or an expression of xtensor as a row-major .npy file, in one step. Throws FileError.
template <class Expression>
void write_npy(const std::filesystem::path& path, const xt::xexpression<Expression>& x) {
  using T = std::remove_const_t<typename Expression::value_type>;
  const auto& expression = x.derived_cast();
  std::string shape;
  std::size_t count = 1;
  for (const auto extent : expression.shape()) {
    shape += text(shape.empty() ? "" : ", ", extent);
    count *= static_cast<std::size_t>(extent);
  }
  if (expression.dimension() == 1) shape += ','; // Python's tuple of one
  std::string header =
      text("{'descr': '", detail::npy_type<T>(), "', 'fortran_order': False, 'shape': (", shape, "), }");
  header.append(64 - (10 + header.size() + 1) % 64, ' '); // the values start at a multiple of 64 bytes
  header += '\n';
  std::string bytes("\x93NUMPY\x01\0", 8);
  bytes += static_cast<char>(header.size() % 256);
  bytes += static_cast<char>(header.size() / 256);
  bytes += header;
  const std::size_t start = bytes.size();
  bytes.resize(start + count * sizeof(T));
  char* out = bytes.data() + start;
  for (auto it = expression.template begin<xt::layout_type::row_major>(),
            end = expression.template end<xt::layout_type::row_major>();
       it != end; ++it, out += sizeof(T)) {
    const T value = *it;
    std::memcpy(out, &value, sizeof(T));
  }
  write_file(path, bytes);
}

} // namespace sbi::io
