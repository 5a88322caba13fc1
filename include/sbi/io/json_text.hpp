// SPDX-License-Identifier: MIT
// JSON as text, for what is only written: seconds of compile time less than a library that also reads it.
#pragma once
#include <sbi/core/error.hpp>

#include <charconv>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::io {

namespace detail {

/// Number of bytes of the UTF-8 character at the start of a text (Unicode 15, table 3-7); 0: there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0), second = byte(1);
  const std::size_t length = first < 0x80                     ? 1
                             : first >= 0xC2 && first <= 0xDF ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  // No character in more bytes than it needs, no half of a pair of UTF-16, none above U+10FFFF.
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : length;
}

} // namespace detail

/// A text as JSON writes it, in quotes. Throws ValueError for one that is not UTF-8.
[[nodiscard]] inline std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = detail::utf8_length(text.substr(i));
    if (length == 0) throw ValueError(sbi::text("json: a text is not UTF-8 at byte ", i, ": ", text));
    constexpr std::string_view special = "\"\\\b\f\n\r\t", letter = "\"\\bfnrt";
    if (const auto at = special.find(text[i]); at != special.npos) {
      out += {'\\', letter[at]};
    } else if (static_cast<unsigned char>(text[i]) < 0x20) {
      constexpr std::string_view digits = "0123456789abcdef";
      const auto code = static_cast<unsigned char>(text[i]);
      out += {'\\', 'u', '0', '0', digits[code >> 4U], digits[code & 15U]};
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out + '"';
}

template <std::integral I> [[nodiscard]] std::string json_text(I number) {
  if constexpr (std::same_as<I, bool>)
    return number ? "true" : "false";
  else
    return sbi::text(number);
}

/// In as few digits as give the same number back. Throws ValueError for one that is not finite: JSON has
/// none.
[[nodiscard]] inline std::string json_text(double number) {
  if (!std::isfinite(number)) throw ValueError(sbi::text("json: ", number, "; want a finite number"));
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
}

template <class T> [[nodiscard]] std::string json_text(const std::vector<T>& list);

/// An object, member by member in the order they are added; a name must not come twice.
class JsonObject {
public:
  template <class T> JsonObject& add(std::string_view name, const T& value) {
    return add_text(name, json_text(value));
  }
  [[nodiscard]] bool empty() const { return members_.empty(); }
  [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }

private:
  JsonObject& add_text(std::string_view name, std::string_view value) {
    if (!members_.empty()) members_ += ',';
    members_ += json_text(name), members_ += ':', members_ += value;
    return *this;
  }
  std::string members_;
};
[[nodiscard]] inline std::string json_text(const JsonObject& object) { return object.text(); }

template <class T> std::string json_text(const std::vector<T>& list) {
  std::string out = "[";
  for (const T& item : list) {
    if (out.size() > 1) out += ',';
    out += json_text(item);
  }
  return out + ']';
}

} // namespace sbi::io
