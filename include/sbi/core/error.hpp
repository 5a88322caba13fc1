// SPDX-License-Identifier: MIT
// Errors: one base type, a few derived ones, and the text helper that builds their messages.
#pragma once
#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace sbi {

/// Base of everything the library throws. The message names the thing, its value and what was wanted.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Shapes that do not fit together.
struct ShapeError : Error {
  using Error::Error;
};

/// A value outside its domain: a setting, an observation, a column entry.
struct ValueError : Error {
  using Error::Error;
};

/// A file that cannot be read, written or understood.
struct FileError : Error {
  using Error::Error;
};

/// An iteration that did not converge, or a computation that met a non-finite number.
struct NumericalError : Error {
  using Error::Error;
};

namespace detail {
inline void append(std::string& out, std::string_view part) { out += part; }
inline void append(std::string& out, char part) { out += part; }
template <std::same_as<bool> B> void append(std::string& out, B part) { out += part ? "true" : "false"; }
template <std::integral I>
requires(!std::same_as<I, bool> && !std::same_as<I, char>) void append(std::string& out, I part) {
  out += std::to_string(part);
}
template <std::floating_point F> void append(std::string& out, F part) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, part, std::chars_format::general, 6).ptr;
  out.append(buffer, end);
}
template <class T>
requires requires(const T& t) {
  { t.text() } -> std::convertible_to<std::string>;
}
void append(std::string& out, const T& part) { out += part.text(); }
} // namespace detail

/// Concatenates strings, numbers and anything with a `text()` member: the way messages are built.
template <class... Parts> [[nodiscard]] std::string text(const Parts&... parts) {
  std::string out;
  (detail::append(out, parts), ...);
  return out;
}

} // namespace sbi
