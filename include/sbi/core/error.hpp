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
/// A part of a message. The template below only lists its parts: messages are everywhere, and compile with
/// every program.
class TextPart {
public:
  TextPart(const char* part) : TextPart(std::string_view(part)) {}
  TextPart(const std::string& part) : TextPart(std::string_view(part)) {}
  TextPart(std::string_view part) : kind_(Kind::characters), size_(part.size()) {
    value_.characters = part.data();
  }
  TextPart(char part) : kind_(Kind::character) { value_.character = part; }
  template <std::same_as<bool> B> TextPart(B part) : TextPart(std::string_view(part ? "true" : "false")) {}
  template <std::signed_integral I> TextPart(I part) : kind_(Kind::integer) { value_.integer = part; }
  template <std::unsigned_integral I>
  requires(!std::same_as<I, bool>) TextPart(I part) : kind_(Kind::natural) { value_.natural = part; }
  TextPart(double part) : kind_(Kind::real) { value_.real = part; }
  template <class T>
  requires requires(const T& t) {
    { t.text() } -> std::convertible_to<std::string>;
  }
  TextPart(const T& part)
      : kind_(Kind::object),
        object_text_([](const void* p) -> std::string { return static_cast<const T*>(p)->text(); }) {
    value_.object = &part;
  }

  void append_to(std::string& out) const {
    char digits[32];
    switch (kind_) {
    case Kind::characters:
      out.append(value_.characters, size_);
      break;
    case Kind::character:
      out += value_.character;
      break;
    case Kind::integer:
      out += std::to_string(value_.integer);
      break;
    case Kind::natural:
      out += std::to_string(value_.natural);
      break;
    case Kind::real:
      out.append(
          digits,
          std::to_chars(digits, digits + sizeof digits, value_.real, std::chars_format::general, 6).ptr);
      break;
    case Kind::object:
      out += object_text_(value_.object);
      break;
    }
  }

private:
  enum class Kind : unsigned char { characters, character, integer, natural, real, object } kind_;
  std::size_t size_ = 0;
  union {
    const char* characters;
    char character;
    long long integer;
    unsigned long long natural;
    double real;
    const void* object;
  } value_{};
  std::string (*object_text_)(const void*) = nullptr;
};
[[gnu::cold]] inline std::string joined(const TextPart* parts, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) parts[i].append_to(out);
  return out;
}
} // namespace detail

/// Concatenates strings, numbers and anything with a `text()` member: the way messages are built.
template <class... Parts> [[nodiscard]] std::string text(const Parts&... parts) {
  if constexpr (sizeof...(parts) == 0) {
    return {};
  } else {
    const detail::TextPart all[] = {parts...};
    return detail::joined(all, sizeof...(parts));
  }
}

} // namespace sbi
