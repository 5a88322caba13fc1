// SPDX-License-Identifier: MIT
// The ridge line of a colour-magnitude diagram: where the single stars of a cluster lie.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/diagnostics/quantile.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace example {

/// Bins of magnitude from `bright` to `faint`.
struct MagnitudeBins {
  double bright, faint, width;

  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::lround((faint - bright) / width));
  }
  [[nodiscard]] double middle(std::size_t bin) const {
    return bright + (static_cast<double>(bin) + 0.5) * width;
  }
};

/// Of each bin: the median colour of its stars, its standard error (as if their scatter were normal) and how
/// many stars it rests on; colour and error are NaN where these are fewer than five.
struct RidgeLine {
  std::vector<double> colour, error;
  std::vector<sbi::index_t> stars;
};

/// Binaries of similar masses, giants and stragglers are clipped: stars further from the median than
/// `deviations` robust standard deviations (1.4826 times the median distance from it) are left out, again and
/// again until none is. One rule for all bins and all catalogues. Values that are NaN do not count. Throws
/// ShapeError for lists of unequal length.
[[nodiscard]] inline RidgeLine ridge_line(std::span<const double> magnitude, std::span<const double> colour,
                                          const MagnitudeBins& bins, double deviations = 2.5) {
  if (magnitude.size() != colour.size())
    throw sbi::ShapeError(sbi::text("ridge line: ", magnitude.size(), " magnitudes and ", colour.size(),
                                    " colours; want as many of each"));
  std::vector<std::vector<double>> content(bins.count());
  for (std::size_t i = 0; i < magnitude.size(); ++i) {
    const double at = (magnitude[i] - bins.bright) / bins.width;
    if (at >= 0 && at < static_cast<double>(content.size()) && sbi::is_finite(colour[i]))
      content[static_cast<std::size_t>(at)].push_back(colour[i]);
  }
  RidgeLine out;
  for (std::vector<double>& inside : content) {
    double middle = sbi::missing, sigma = sbi::missing;
    std::sort(inside.begin(), inside.end());
    for (std::size_t before = 0; inside.size() >= 5 && inside.size() != before;) {
      middle = sbi::diagnostics::quantile(inside, 0.5);
      std::vector<double> distance;
      for (const double c : inside) distance.push_back(std::abs(c - middle));
      std::sort(distance.begin(), distance.end());
      sigma = 1.4826 * sbi::diagnostics::quantile(distance, 0.5);
      before = inside.size();
      std::erase_if(inside, [&](double c) { return std::abs(c - middle) > deviations * sigma; });
    }
    const bool enough = inside.size() >= 5;
    const auto n = static_cast<double>(inside.size());
    out.colour.push_back(enough ? middle : sbi::missing);
    out.error.push_back(enough ? 1.2533 * sigma / std::sqrt(n) : sbi::missing);
    out.stars.push_back(static_cast<sbi::index_t>(inside.size()));
  }
  return out;
}

} // namespace example
