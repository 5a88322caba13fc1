// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/view.hpp>

#include <span>
#include <vector>

namespace sbi::diagnostics {

/// The ranks of true values among their posterior samples, from many objects: what coverage and
/// simulation-based calibration are made of. A rank r of 0 to n (samples below the truth, ties counted half)
/// is stored as u = (r + 1/2) / (n + 1), so that objects with different n go together; u is uniform on its n
/// + 1 values for samples of the true posterior (Talts et al. 2018, arXiv:1804.06788, theorem 1).
class Ranks {
public:
  /// Throws ValueError for fewer than one parameter.
  explicit Ranks(index_t parameters) {
    if (parameters < 1) throw ValueError(sbi::text("ranks: ", parameters, " parameters; want 1 or more"));
    u_.resize(static_cast<std::size_t>(parameters));
  }

  /// Adds one object: samples [n, parameters] and its truth [parameters], of which missing values are
  /// skipped. Throws ShapeError, or ValueError for a sample that is missing; nothing is added then.
  template <class T> void add(View<T> samples, std::span<const double> truth) {
    if (samples.shape.rank() != 2 || samples.rows() < 1 || samples.cols() != parameters() ||
        truth.size() != u_.size())
      throw ShapeError(sbi::text("ranks: samples are ", samples.shape, ", ", truth.size(),
                                 " true values; want [n,", parameters(), "] and ", parameters()));
    std::vector<double> ranks;
    for (index_t j = 0; j < parameters(); ++j) {
      double r = 0;
      for (index_t i = 0; i < samples.rows(); ++i) {
        const auto x = static_cast<double>(samples(i, j)), t = truth[static_cast<std::size_t>(j)];
        if (is_missing(x))
          throw ValueError(sbi::text("ranks: sample ", i, " of parameter ", j, " is missing"));
        r += x < t ? 1 : x == t ? 0.5 : 0;
      }
      ranks.push_back((r + 0.5) / static_cast<double>(samples.rows() + 1));
    }
    for (std::size_t j = 0; j < ranks.size(); ++j)
      if (!is_missing(truth[j])) u_[j].push_back(ranks[j]);
  }

  [[nodiscard]] index_t parameters() const { return static_cast<index_t>(u_.size()); }
  /// The normalised ranks of one parameter, in the order in which objects were added.
  [[nodiscard]] std::span<const double> of(index_t parameter) const {
    if (parameter < 0 || parameter >= parameters())
      throw ShapeError(sbi::text("ranks: no parameter ", parameter, "; want 0 to ", parameters() - 1));
    return u_[static_cast<std::size_t>(parameter)];
  }

private:
  std::vector<std::vector<double>> u_;
};

} // namespace sbi::diagnostics
