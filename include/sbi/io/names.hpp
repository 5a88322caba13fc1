// SPDX-License-Identifier: MIT
// The end of a "no such name" message: which names were probably meant.
#pragma once
#include <sbi/core/error.hpp>

#include <algorithm>
#include <cctype>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::io {

/// Levenshtein distance without regard to case: insertions, deletions and substitutions cost 1 each.
[[nodiscard]] inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t up = row[j + 1];
      row[j + 1] = std::min({up + 1, row[j] + 1, diagonal + (lower(a[i]) == lower(b[j]) ? 0U : 1U)});
      diagonal = up;
    }
  }
  return row.back();
}

/// "; the nearest are 'x', 'y', 'z'": the (at most) three names nearest to `wanted`, or "; there are none" .
[[nodiscard]] inline std::string nearest_names(std::string_view wanted, std::span<const std::string> names) {
  if (names.empty()) return "; there are none";
  std::vector<std::size_t> order(names.size()), distance(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) distance[i] = edit_distance(wanted, names[i]);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return distance[a] < distance[b]; });
  std::string out = names.size() == 1 ? "; there is only " : "; the nearest are ";
  for (std::size_t i = 0; i < std::min<std::size_t>(3, order.size()); ++i)
    out += text(i == 0 ? "'" : ", '", names[order[i]], "'");
  return out;
}

} // namespace sbi::io
