// SPDX-License-Identifier: MIT
// Rounds of the problem between a cloud and itself, next_i = -eps log sum_j w_j exp((p_j - C_ij) / eps). A
// symmetric kernel relative to earlier potentials p0 gives them in one pass over half of it:
//   u_j = exp((p_j - p0_j) / eps),   s_i = sum_j K_ij w_j u_j,   next_i = p0_i - eps log s_i.
// From potentials 0, which suit costs that are 0 between a point and itself, the solution is only
// eps log(1 / w) / 2 away: one K does. Rows whose sum is out of bounds, such as those of far points without
// weight, come from the log domain one by one; where these are many, and where the scalings u are out of
// bounds, K is computed anew from the present potentials.
#pragma once
#include <sbi/ot/potentials.hpp>
#include <sbi/ot/small_updates.hpp>
#include <sbi/ot/symmetric_kernel.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <type_traits>
#include <vector>

namespace sbi::ot::detail {

/// Rounds for a symmetric cost [n, n], a matrix or in dot-product form, that outlives it. Takes memory from
/// the arena of the thread that makes it, till its end.
template <class B, class T, class M> class SelfUpdates {
  using V = Vec<T>;
  using Side = SmallSide<T, V::lanes>;
  static constexpr bool is_matrix = std::is_same_v<M, View<const T>>;

public:
  SelfUpdates(const B& be, const M& cost, SinkhornDomain domain)
      : be_(be), scope_(be.arena()), cost_(cost),
        in_kernel_domain_(!is_reference_v<B> && domain == SinkhornDomain::automatic) {}

  /// For weights w, which may change from round to round. `next` holds estimates on entry.
  void round(const Weights<T>& w, const std::vector<T>& p, double eps, std::vector<T>& next) {
    if constexpr (!is_reference_v<B>)
      if (in_kernel_domain_ && fits(w) && update(w, p, eps, next)) return;
    softmin(be_, cost_, w.log, p, eps, next);
  }

  /// Row sums of the plan P of potentials p for the weights of the last round, and products P z, z [n, k].
  /// False where K does not hold the plan.
  [[nodiscard]] bool multiply_plan(const std::vector<T>& p, const std::vector<T>&, double eps, Transpose,
                                   View<const T> z, std::vector<T>& sums, Tensor<T>& products) {
    if constexpr (is_reference_v<B>) {
      return false;
    } else {
      if (!kernel_ || eps != eps_ || !scale_weights(weights_, p, reference_, scale_, left_)) return false;
      kernel_->multiply(be_, left_.data(), sums_.data(), [](index_t) {});
      const ArenaScope scope(be_.arena());
      const View<T> scaled(be_.arena().template array<T>(z.size()), z.shape);
      scale_rows(z, left_, scaled);
      products = Tensor<T>(z.shape);
      kernel_->multiply(be_, View<const T>(scaled), products.view());
      scale_rows<T>(products.view(), left_, products.view());
      sums.assign(sums_.begin(), sums_.begin() + z.rows());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] *= left_[i];
      return true;
    }
  }

private:
  /// Whether a weight times a scaling stays normal. Keeps the weights.
  [[nodiscard]] bool fits(const Weights<T>& w) {
    const auto n = static_cast<index_t>(w.value.size());
    if (weights_.empty())
      weights_.assign(static_cast<std::size_t>((n + V::lanes - 1) / V::lanes * V::lanes), T{0});
    bool good = true;
    const double least = std::exp2(Side::bound - Side::limit);
    for (std::size_t i = 0; i < w.value.size(); ++i) {
      weights_[i] = static_cast<T>(w.value[i]);
      good &= w.value[i] == 0 || w.value[i] > least;
    }
    return good;
  }
  /// False where K gives too few of the rows.
  [[nodiscard]] bool update(const Weights<T>& w, const std::vector<T>& p, double eps, std::vector<T>& next) {
    constexpr int most_failures = 4; // of K: then costs are not what it is good for
    const auto n = static_cast<index_t>(p.size());
    const bool build = eps != eps_ || !scale_weights(weights_, p, reference_, scale_, left_);
    if (!kernel_) {
      kernel_.emplace(be_.arena(), n);
      reference_.assign(weights_.size(), T{0});
      left_ = sums_ = reference_;
      if constexpr (!is_matrix) form_.emplace(cost_);
    }
    if (build) {
      eps_ = eps, unit_ = static_cast<T>(eps * log_2), scale_ = static_cast<T>(log2_e / eps);
      std::copy(p.begin(), p.end(), reference_.begin());
      left_ = weights_;
    }
    kernel_->multiply(be_, left_.data(), sums_.data(), [&](index_t panel) {
      if (build) fill(panel);
    });
    const T high = static_cast<T>(std::exp2(Side::bound));
    std::vector<index_t> bad;
    for (index_t i = 0; i < n; ++i)
      if (const T sum = sums_[static_cast<std::size_t>(i)]; !(sum * high > 1 && sum < high)) bad.push_back(i);
    if (static_cast<index_t>(bad.size()) > n / 16) {
      eps_ = 0;
      if (++failures_ == most_failures) in_kernel_domain_ = false, kernel_.reset();
      return false;
    }
    std::vector<T> alone;
    for (const index_t i : bad) alone.push_back(next[static_cast<std::size_t>(i)]);
    VectorRow<T>{n}.each([&](auto i) {
      const V log2_sum = log2_of_normal(load(sums_.data(), i));
      store(next.data(), i, fused_multiply_add(V(-unit_), log2_sum, load(reference_.data(), i)));
    });
    if (!bad.empty()) {
      softmin_rows(bad, w, p, eps, alone);
      for (std::size_t k = 0; k < bad.size(); ++k) next[static_cast<std::size_t>(bad[k])] = alone[k];
    }
    return true;
  }
  void fill(index_t panel) {
    const ArenaScope scope(be_.arena());
    const index_t first = kernel_->first(panel), rows = kernel_->rows(panel), width = kernel_->size() - first;
    View<const T> costs;
    if constexpr (is_matrix)
      costs = cost_.row_block(first, rows).columns(first, width);
    else
      costs = form_->costs(be_, first, rows, first);
    for (index_t r = 0; r < rows; ++r)
      fill_kernel(width, costs.row(r), reference_.data() + first,
                  reference_[static_cast<std::size_t>(first + r)], scale_, kernel_->row(panel, r));
  }
  /// Some rows in the log domain.
  void softmin_rows(const std::vector<index_t>& rows, const Weights<T>& w, const std::vector<T>& p,
                    double eps, std::vector<T>& out) const {
    const auto gather = [&](View<const T> from) {
      Tensor<T> to(Shape{static_cast<index_t>(rows.size()), from.cols()});
      for (std::size_t k = 0; k < rows.size(); ++k)
        std::copy_n(from.row(rows[k]), from.cols(), to.row(static_cast<index_t>(k)));
      return to;
    };
    if constexpr (is_matrix) {
      const Tensor<T> some = gather(cost_);
      softmin(be_, some.view(), w.log, p, eps, out);
    } else {
      DotForm<T> some{gather(cost_.q.view()), cost_.k, {}, cost_.beta};
      for (const index_t i : rows) some.alpha.push_back(cost_.alpha[static_cast<std::size_t>(i)]);
      softmin(be_, some, w.log, p, eps, out);
    }
  }

  const B& be_;
  ArenaScope scope_;
  const M& cost_;
  std::optional<FormRows<T>> form_; ///< of costs in dot-product form
  std::optional<SymmetricKernel<T>> kernel_;
  std::vector<T> weights_, reference_; ///< of the last round, padded with zeros; what K is relative to
  std::vector<T> left_, sums_;         ///< weights times scalings; K left
  double eps_ = 0;                     ///< that of K, 0 without
  T unit_ = 0, scale_ = 0;             ///< epsilon log 2 and its inverse
  int failures_ = 0;
  bool in_kernel_domain_;
};

} // namespace sbi::ot::detail
