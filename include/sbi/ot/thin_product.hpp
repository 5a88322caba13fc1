// SPDX-License-Identifier: MIT
// Matrices of low rank as products of two thin ones. Squared distances of points in d dimensions have rank d
// + 2, whatever the number of points.
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/ot/cost.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace sbi::ot::detail {

/// C = U V
template <class T> struct ThinProduct {
  Tensor<T> u, v; ///< [n, rank], [rank, m]
};

/// The remainder C - U V of crosses so far, by rows and columns where they are asked for.
template <class T> class CrossApproximation {
public:
  explicit CrossApproximation(View<const T> c)
      : c_(c), used_(static_cast<std::size_t>(c.rows()), 0), row_(static_cast<std::size_t>(c.cols())),
        column_(static_cast<std::size_t>(c.rows())) {}

  [[nodiscard]] index_t rank() const { return static_cast<index_t>(u_.size()); }
  /// Takes out the cross of a large entry near row `at`, which becomes a row for the next one. False where
  /// that entry is no larger than `least`.
  [[nodiscard]] bool add(index_t& at, double least) {
    std::size_t j = 0;
    for (int turn = 0; turn < turns; ++turn) { // towards an entry that is the largest of its row and column
      read_row(at);
      j = largest(row_, {});
      read_column(j);
      const auto i = static_cast<index_t>(largest(column_, used_));
      if (std::abs(column_[static_cast<std::size_t>(i)]) <= std::abs(row_[j])) break;
      at = i;
    }
    read_row(at);
    used_[static_cast<std::size_t>(at)] = 1;
    const double pivot = row_[j];
    if (!(std::abs(pivot) > least)) return false;
    for (double& v : column_) v /= pivot;
    at = static_cast<index_t>(largest(column_, used_));
    u_.push_back(column_), v_.push_back(row_);
    return true;
  }
  [[nodiscard]] ThinProduct<T> result() const {
    ThinProduct<T> out{Tensor<T>(Shape{c_.rows(), rank()}), Tensor<T>(Shape{rank(), c_.cols()})};
    for (index_t k = 0; k < rank(); ++k) {
      const auto at = static_cast<std::size_t>(k);
      for (index_t i = 0; i < c_.rows(); ++i)
        out.u(i, k) = static_cast<T>(u_[at][static_cast<std::size_t>(i)]);
      for (index_t j = 0; j < c_.cols(); ++j)
        out.v(k, j) = static_cast<T>(v_[at][static_cast<std::size_t>(j)]);
    }
    return out;
  }

private:
  static constexpr int turns = 3;
  using Vectors = std::vector<std::vector<double>>;

  void read_row(index_t i) {
    for (std::size_t j = 0; j < row_.size(); ++j)
      row_[j] = static_cast<double>(c_(i, static_cast<index_t>(j)));
    for (std::size_t k = 0; k < u_.size(); ++k)
      for (std::size_t j = 0; j < row_.size(); ++j) row_[j] -= u_[k][static_cast<std::size_t>(i)] * v_[k][j];
  }
  void read_column(std::size_t j) {
    for (std::size_t i = 0; i < column_.size(); ++i)
      column_[i] = static_cast<double>(c_(static_cast<index_t>(i), static_cast<index_t>(j)));
    for (std::size_t k = 0; k < u_.size(); ++k)
      for (std::size_t i = 0; i < column_.size(); ++i) column_[i] -= u_[k][i] * v_[k][j];
  }
  [[nodiscard]] static std::size_t largest(const std::vector<double>& v, const std::vector<char>& without) {
    std::size_t best = 0;
    double most = -1;
    for (std::size_t i = 0; i < v.size(); ++i)
      if (std::abs(v[i]) > most && (without.empty() || !without[i])) best = i, most = std::abs(v[i]);
    return best;
  }

  View<const T> c_;
  std::vector<char> used_; ///< rows whose cross is taken out
  std::vector<double> row_, column_;
  Vectors u_, v_;
};

/// U and V of rank at most an eighth of the smaller extent whose product has every entry of C to rounding, by
/// cross approximation with partial pivots (Bebendorf 2000, Numer. Math. 86), which takes O((n + m) rank^2)
/// operations where C has them or not, and a comparison with all of C, O(n m rank). Nothing where there are
/// none or C is not finite.
template <class B, class T>
[[nodiscard]] std::optional<ThinProduct<T>> thin_product(const B& be, View<const T> c) {
  constexpr double rounding = 32;
  const index_t limit = std::min(c.rows(), c.cols()) / 8;
  std::vector<std::pair<double, index_t>> worst(static_cast<std::size_t>(c.rows()));
  // The largest entry of C - U V and its row.
  const auto compare = [&](const ThinProduct<T>& with) {
    for_each_row(be, c.rows(), [&](index_t i) {
      const ArenaScope scope(be.arena());
      double* row = be.arena().template array<double>(c.cols());
      std::copy_n(c.row(i), c.cols(), row);
      for (index_t k = 0; k < with.u.cols(); ++k)
        for (index_t j = 0; j < c.cols(); ++j)
          row[j] -= static_cast<double>(with.u(i, k)) * static_cast<double>(with.v(k, j));
      double most = 0;
      for (index_t j = 0; j < c.cols(); ++j) most = std::max(most, std::abs(row[j]));
      worst[static_cast<std::size_t>(i)] = {most, i};
    });
    return *std::max_element(worst.begin(), worst.end());
  };
  CrossApproximation<T> crosses(c);
  const double size = compare(crosses.result()).first;
  const double least = rounding * static_cast<double>(std::numeric_limits<T>::epsilon()) * size;
  index_t row = 0;
  for (int attempt = 0; attempt < 3; ++attempt) {
    while (crosses.rank() < limit && crosses.add(row, least)) {
    }
    if (crosses.rank() >= limit) break;
    ThinProduct<T> out = crosses.result();
    const auto [error, at] = compare(out);
    if (error <= 2 * least) return out;
    row = at;
  }
  return {};
}

} // namespace sbi::ot::detail
