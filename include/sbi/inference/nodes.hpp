// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/shape.hpp>

#include <algorithm>
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
  /// Throws ValueError, which begins with `model`, unless there are parameters among the nodes, bounds for
  /// each, and no name twice.
  void check(const char* model) const {
    if (parameters < 1 || parameters > size() || bounds.size() != names.size())
      throw ValueError(sbi::text(model, ": ", parameters, " parameters among ", size(), " nodes with ",
                                 bounds.size(), " bounds; want at least one, and bounds for each node"));
    for (auto name = names.begin(); name != names.end(); ++name)
      if (std::find(names.begin(), name, *name) != name)
        throw ValueError(sbi::text(model, ": two nodes are called ", *name, "; want different names"));
  }
};

namespace detail {
[[nodiscard]] inline Nodes checked(Nodes nodes, const char* model) {
  nodes.check(model);
  return nodes;
}
} // namespace detail

} // namespace sbi
