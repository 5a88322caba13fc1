// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace sbi {

/// How foreign rows are to what a model was trained on, by their embeddings. The distance of a row to its
/// `neighbour`-th nearest reference embedding is ranked among the same distance of held-out simulated rows:
/// the result, one a row of `rows`, is the share of the held-out rows that lie as far out or farther, (k + 1)
/// / (n + 1). A small value (0.01 say) means that nothing like this row was simulated, and its posterior
/// rests on extrapolation; for rows like the simulations it is uniform. Throws ShapeError for widths that
/// differ, ValueError for fewer than `neighbour` reference rows or no held-out row.
template <Backend B, class T>
[[nodiscard]] std::vector<double> embedding_p_values(const B& backend, const Tensor<T>& reference,
                                                     const Tensor<T>& held_out, const Tensor<T>& rows,
                                                     index_t neighbour = 5) {
  if (reference.cols() != held_out.cols() || reference.cols() != rows.cols())
    throw ShapeError(sbi::text("embeddings are ", reference.shape(), ", ", held_out.shape(), " and ",
                               rows.shape(), "; want one width"));
  if (neighbour < 1 || reference.rows() < neighbour || held_out.rows() < 1)
    throw ValueError(sbi::text("embeddings: ", reference.rows(), " reference rows for neighbour ", neighbour,
                               ", ", held_out.rows(), " held out; want enough of both"));
  const auto distances = [&](const Tensor<T>& from) {
    std::vector<double> out(static_cast<std::size_t>(from.rows()));
    backend.for_each(from.rows(), [&](index_t i) {
      std::vector<double> square(static_cast<std::size_t>(reference.rows()));
      for (index_t r = 0; r < reference.rows(); ++r) {
        double sum = 0;
        for (index_t j = 0; j < from.cols(); ++j) {
          const double d = static_cast<double>(from(i, j)) - static_cast<double>(reference(r, j));
          sum += d * d;
        }
        square[static_cast<std::size_t>(r)] = sum;
      }
      std::nth_element(square.begin(), square.begin() + (neighbour - 1), square.end());
      out[static_cast<std::size_t>(i)] = square[static_cast<std::size_t>(neighbour - 1)];
    });
    return out;
  };
  std::vector<double> usual = distances(held_out), out = distances(rows);
  std::sort(usual.begin(), usual.end());
  for (double& d : out) {
    const auto farther = usual.end() - std::lower_bound(usual.begin(), usual.end(), d);
    d = static_cast<double>(farther + 1) / static_cast<double>(usual.size() + 1);
  }
  return out;
}

} // namespace sbi
