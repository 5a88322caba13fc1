// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/denormals.hpp>
#include <sbi/core/aligned.hpp>
#include <sbi/nn/parameters.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace sbi::nn {

/// Partial gradients of a step. Each task adds to the slot of its number, the slots are added up in order:
/// the sum does not depend on the number of threads.
template <class T> class GradientSlots {
public:
  /// For the parameters whose names hold `only`; the others' are dropped.
  GradientSlots(index_t slots, const Parameters<T>& parameters, std::string_view only = "")
      : slots_(static_cast<std::size_t>(slots), AlignedVector<T>(parameters.values().size())),
        pieces_(parameters.pieces(only)), squares_(pieces_.size()) {}

  [[nodiscard]] index_t count() const { return static_cast<index_t>(slots_.size()); }
  /// The values of a slot, set to zero.
  [[nodiscard]] T* cleared(index_t slot) {
    auto& values = slots_[static_cast<std::size_t>(slot)];
    std::fill(values.begin(), values.end(), T{0});
    return values.data();
  }
  /// Adds all slots to the first, piece by piece, and returns the Euclidean norm of the sum, summed in
  /// double.
  template <Backend B> double reduce(const B& backend) {
    backend.for_each(static_cast<index_t>(squares_.size()), [&](index_t b) {
      const FlushDenormals flush;
      const auto [first, last, is_matrix] = pieces_[static_cast<std::size_t>(b)];
      T* total = slots_.front().data();
      for (std::size_t s = 1; s < slots_.size(); ++s) {
        const T* more = slots_[s].data();
        for (index_t i = first; i < last; ++i) total[i] += more[i];
      }
      std::array<double, 8> sum{}; // chains that do not wait for each other
      for (index_t i = first; i < last; ++i)
        sum[static_cast<std::size_t>(i % 8)] += static_cast<double>(total[i]) * static_cast<double>(total[i]);
      double all = 0;
      for (double s : sum) all += s;
      squares_[static_cast<std::size_t>(b)] = all;
    });
    double square = 0;
    for (double s : squares_) square += s;
    return std::sqrt(square);
  }
  /// What `reduce` has added up.
  [[nodiscard]] AlignedVector<T>& total() { return slots_.front(); }

private:
  std::vector<AlignedVector<T>> slots_;
  std::vector<typename Parameters<T>::Piece> pieces_;
  std::vector<double> squares_; // of each piece
};

/// What shortens a gradient of this norm to at most `limit`; 1 where the norm is not finite, since the caller
/// decides what a failed step means.
[[nodiscard]] inline double clip_factor(double norm, double limit) {
  return std::isfinite(norm) && norm > limit ? limit / norm : 1;
}

} // namespace sbi::nn
