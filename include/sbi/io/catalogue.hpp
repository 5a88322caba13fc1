// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/tensor.hpp>
#include <sbi/io/names.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace sbi::io {

/// Stars of a real survey, one a row: x [n, observables] with its standard errors, both NaN where not
/// observed; labels [n, labels] with theirs, likewise; membership probability (1 where the catalogue has
/// none).
struct Catalogue {
  std::vector<std::string> observables, labels, ids;
  std::vector<std::string> bands; ///< passband name of each observable, "" for one that is no magnitude
  Tensor<double> x, sigma, label, label_sigma;
  std::vector<double> membership;

  [[nodiscard]] index_t rows() const { return x.rows(); }
  /// Column of an observable or a label; throws ValueError naming the nearest.
  [[nodiscard]] index_t find(const std::string& name) const { return position(observables, name); }
  [[nodiscard]] index_t find_label(const std::string& name) const { return position(labels, name); }

private:
  static index_t position(const std::vector<std::string>& names, const std::string& name) {
    const auto at = std::find(names.begin(), names.end(), name);
    if (at == names.end())
      throw ValueError(text("catalogue: no column '", name, "'", nearest_names(name, names)));
    return at - names.begin();
  }
};

} // namespace sbi::io
