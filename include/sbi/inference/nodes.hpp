// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/shape.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sbi {

/// The variables of a joint distribution: parameters first, then observables.
struct Nodes {
  std::vector<std::string> names;
  std::vector<Bounds> bounds; ///< one a node
  index_t parameters = 0;     ///< how many of them are parameters

  [[nodiscard]] index_t size() const { return static_cast<index_t>(names.size()); }
  [[nodiscard]] index_t observables() const { return size() - parameters; }
  /// Index of a node. Throws ValueError naming all nodes when there is none of that name.
  [[nodiscard]] index_t find(const std::string& name) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return static_cast<index_t>(i);
    std::string known;
    for (const auto& n : names) known += (known.empty() ? "" : ", ") + n;
    throw ValueError(sbi::text("no node is called ", name, "; want one of ", known));
  }
  [[nodiscard]] std::vector<std::uint8_t> is_parameter() const {
    std::vector<std::uint8_t> flags(names.size(), 0);
    for (index_t i = 0; i < parameters; ++i) flags[static_cast<std::size_t>(i)] = 1;
    return flags;
  }
};

} // namespace sbi
