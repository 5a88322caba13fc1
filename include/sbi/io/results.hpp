// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/io/files.hpp>

#include <nlohmann/json.hpp>

#include <concepts>
#include <filesystem>
#include <ranges>
#include <string>
#include <string_view>

namespace sbi::io {

/// The figures of a run by name, in the order they were set; written as results.json. A missing number (NaN)
/// becomes null, an infinite one the string "inf" or "-inf", since JSON has neither.
class Results {
public:
  /// Sets a number, a boolean, a string, another Results (a nested object) or a range of any of these. A name
  /// that was set before is replaced.
  template <class T> Results& set(const std::string& name, const T& value) {
    values_[name] = json(value);
    return *this;
  }
  [[nodiscard]] bool empty() const { return values_.empty(); }
  [[nodiscard]] std::string text() const {
    return values_.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  }
  /// Writes the file in one step. Throws FileError.
  void write(const std::filesystem::path& path) const { write_file(path, text() + "\n"); }

private:
  template <class T> [[nodiscard]] static nlohmann::ordered_json json(const T& value) {
    if constexpr (std::same_as<T, Results>) {
      return value.values_;
    } else if constexpr (std::floating_point<T>) {
      const auto x = static_cast<double>(value);
      if (is_finite(x)) return value;
      if (is_missing(x)) return nullptr;
      return x > 0 ? "inf" : "-inf";
    } else if constexpr (std::integral<T>) {
      return value;
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
      return std::string(std::string_view(value));
    } else {
      static_assert(std::ranges::input_range<const T>,
                    "sbi: results want a number, a boolean, a string, a Results or a range of these");
      auto list = nlohmann::ordered_json::array();
      for (const auto& item : value)
        list.push_back(json(static_cast<const std::ranges::range_value_t<T>&>(item)));
      return list;
    }
  }

  nlohmann::ordered_json values_ = nlohmann::ordered_json::object();
};

} // namespace sbi::io
