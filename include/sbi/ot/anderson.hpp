// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/rows.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

/// Anderson acceleration of a fixed point x = F(x): the next x is F of the affine combination of the last few
/// iterates whose residuals F(x) - x cancel best, in a norm with weights (Walker and Ni 2011, type II). On a
/// symmetric linear map it needs about the square root of the iterations. Where the residual grows instead,
/// F is not linear that far: the iteration goes back to F of its best iterate, and forgets the rest.
template <class T> class Anderson {
public:
  static constexpr int memory = 8;

  /// Steps that leave an image by more than `reach` anywhere are not made: where changes hardly differ, as
  /// along the constant that two potentials may exchange, an extrapolation has no measure of its own.
  Anderson(std::span<const double> weights, double reach)
      : weights_(weights.begin(), weights.end()), reach_(reach) {}

  /// Forgets the past: the next step is x = F(x).
  void restart() {
    stored_ = 0, has_last_ = false;
    best_norm_ = std::numeric_limits<double>::infinity();
  }

  /// Replaces x by the next iterate, given image = F(x). Entries without weight follow along and count for
  /// nothing.
  void step(std::span<T> x, std::span<const T> image) {
    const std::size_t n = x.size();
    std::vector<double> residual(n);
    for (std::size_t i = 0; i < n; ++i)
      residual[i] = weights_[i] > 0 ? static_cast<double>(image[i]) - static_cast<double>(x[i]) : 0;
    const double norm = dot(residual, residual);
    if (norm < best_norm_) {
      best_norm_ = norm;
      best_image_.assign(image.begin(), image.end());
    } else if (!(norm <= growth * best_norm_)) {
      std::copy(best_image_.begin(), best_image_.end(), x.begin());
      return restart();
    }
    if (has_last_) {
      const int at = stored_++ % memory;
      const auto slot = static_cast<std::size_t>(at);
      changes_[slot].resize(n), images_[slot].resize(n);
      for (std::size_t i = 0; i < n; ++i) {
        changes_[slot][i] = residual[i] - last_residual_[i];
        images_[slot][i] =
            weights_[i] > 0 ? static_cast<double>(image[i]) - static_cast<double>(last_image_[i]) : 0;
      }
      for (std::size_t k = 0; k < static_cast<std::size_t>(used()); ++k)
        products_[slot][k] = products_[k][slot] = dot(changes_[slot], changes_[k]);
    }
    last_image_.assign(image.begin(), image.end());
    has_last_ = true;
    const Row factor = solve(residual);
    last_residual_ = std::move(residual);
    correction_.assign(n, 0);
    for (std::size_t k = 0; k < static_cast<std::size_t>(used()); ++k)
      for (std::size_t i = 0; i < n; ++i) correction_[i] += factor[k] * images_[k][i];
    double most = 0;
    for (double c : correction_) most = std::max(most, std::abs(c));
    if (!(most <= reach_)) {
      std::copy(image.begin(), image.end(), x.begin());
      return restart();
    }
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<T>(static_cast<double>(image[i]) - correction_[i]);
  }

private:
  static constexpr double growth = 4; // of the squared norm
  using Row = std::array<double, memory>;

  [[nodiscard]] int used() const { return std::min(stored_, memory); }
  [[nodiscard]] double dot(const std::vector<double>& u, const std::vector<double>& v) const {
    return VectorRow<double>{static_cast<index_t>(u.size())}.sum(
        [&](auto at) { return load(weights_.data(), at) * load(u.data(), at) * load(v.data(), at); });
  }
  /// Least squares |residual - changes factor| by the normal equations, with a ridge of the rounding of T.
  [[nodiscard]] Row solve(const std::vector<double>& residual) const {
    std::array<Row, memory> lower{};
    Row x{};
    const auto size = static_cast<std::size_t>(used());
    double trace = 0;
    for (std::size_t i = 0; i < size; ++i) x[i] = dot(changes_[i], residual), trace += products_[i][i];
    for (std::size_t i = 0; i < size; ++i) { // Cholesky, forward substitution
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = products_[i][j] + (i == j ? ridge * trace : 0);
        for (std::size_t k = 0; k < j; ++k) sum -= lower[i][k] * lower[j][k];
        lower[i][j] = i == j ? std::sqrt(std::max(sum, ridge * trace)) : sum / lower[j][j];
      }
      for (std::size_t k = 0; k < i; ++k) x[i] -= lower[i][k] * x[k];
      if (!(lower[i][i] > 0)) return Row{};
      x[i] /= lower[i][i];
    }
    for (std::size_t i = size; i-- > 0;) {
      for (std::size_t k = i + 1; k < size; ++k) x[i] -= lower[k][i] * x[k];
      x[i] /= lower[i][i];
    }
    return x;
  }

  static constexpr double ridge = sizeof(T) == 4 ? 1e-8 : 1e-14;
  std::vector<double> weights_;
  double reach_;
  std::array<std::vector<double>, memory> changes_, images_;
  std::array<Row, memory> products_{}; ///< of the changes
  std::vector<double> last_residual_, correction_;
  std::vector<T> last_image_, best_image_;
  double best_norm_ = std::numeric_limits<double>::infinity();
  int stored_ = 0;
  bool has_last_ = false;
};

} // namespace sbi::ot
