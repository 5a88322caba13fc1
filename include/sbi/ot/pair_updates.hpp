// SPDX-License-Identifier: MIT
// Rounds of Sinkhorn's algorithm between given pairs. The potentials are the state; a kernel matrix relative
// to earlier potentials f0 and g0 gives the next ones in one pass over it, each row of which belongs to a
// point of b:
//   u_i = exp((f_i - f0_i) / eps),  s_j = sum_i K_ji a_i u_i,  g_j = g0_j - eps log s_j,
//   v_j = exp((g_j - g0_j) / eps),  r_i = sum_j K_ji b_j v_j,  next f_i = f0_i - eps log r_i.
// Where a scaling or a sum leaves the bounds within which the entries of K lost to underflow are far below
// rounding, K is computed anew from the present potentials (Schmitzer 2019, "Stabilized sparse scaling
// algorithms", SIAM J. Sci. Comput. 41), row by row in the log domain where need be; potentials that K cannot
// give even then come from the log domain.
#pragma once
#include <sbi/ot/kernel_matrix.hpp>
#include <sbi/ot/potentials.hpp>
#include <sbi/ot/small_updates.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

namespace sbi::ot::detail {

/// Rounds for weights a [n] and b [m] and a cost, a matrix or in dot-product form, that outlive it. Takes
/// memory from the arena of the thread that makes it, till its end.
template <class B, class T, class M> class PairUpdates {
  using V = Vec<T>;
  static constexpr index_t group = KernelMatrix<T>::group;
  using Part = Vec<T, std::min(V::lanes, static_cast<int>(group))>; ///< of a group
  static constexpr bool is_matrix = std::is_same_v<M, View<const T>>;

public:
  /// `many`: that K will be computed many times; costs are then kept in its order where this is worth it.
  PairUpdates(const B& be, const M& cost, const Weights<T>& a, const Weights<T>& b, SinkhornDomain domain,
              bool many)
      : be_(be), scope_(be.arena()), cost_(cost), a_(a), b_(b), many_(many) {
    in_kernel_domain_ = !is_reference_v<B> && domain == SinkhornDomain::automatic && fit(a) && fit(b);
  }

  /// To be called when a has changed.
  void take_weights() {
    if (!in_kernel_domain_ || !kernel_) return;
    if (fit(a_))
      copy(a_, a_values_);
    else
      in_kernel_domain_ = false, kernel_.reset();
  }

  /// g_j = -damping eps log sum_i a_i exp((f_i - C_ij) / eps), then the f to come, next_i = -eps log sum_j
  /// b_j exp((g_j - C_ij) / eps). Both hold estimates on entry.
  void round(const std::vector<T>& f, double eps, double damping, std::vector<T>& g, std::vector<T>& next) {
    damping_ = static_cast<T>(damping);
    if (!update_columns(f, eps, g)) {
      columns_in_log_domain(f, eps, g);
      for (T& p : g) p *= damping_;
    } else if (take_rows(next)) {
      return;
    }
    softmin(be_, cost_, b_.log, g, eps, next);
  }

  /// Row sums of the plan P of these potentials and products P z, z [m, k], or with Transpose::yes those of
  /// its transpose, z [n, k]. False where K does not hold the plan.
  [[nodiscard]] bool multiply_plan(const std::vector<T>& f, const std::vector<T>& g, double eps,
                                   Transpose transpose, View<const T> z, std::vector<T>& sums,
                                   Tensor<T>& products) {
    if constexpr (is_reference_v<B>) {
      return false;
    } else {
      if (!kernel_ || eps != eps_ || !scale_weights(a_values_, f, f0_, scale_, left_) ||
          !scale_weights(b_values_, g, g0_, scale_, right_))
        return false;
      const bool turned = transpose == Transpose::yes; // as K is
      const std::vector<T>&outer = turned ? right_ : left_, &inner = turned ? left_ : right_;
      sums.resize(outer.size());
      kernel_->sweep(be_, turned ? nullptr : sums.data(), [&](index_t first, index_t count, T* to) {
        for (index_t j = first; j < first + count; j += group)
          if (turned)
            kernel_->row_sums(j, left_.data(), sums.data() + j);
          else
            kernel_->add_to_columns(j, right_.data() + j, to);
      });
      const ArenaScope scope(be_.arena());
      const View<T> scaled(be_.arena().template array<T>(z.size()), z.shape);
      scale_rows(z, inner, scaled);
      products = Tensor<T>(Shape{turned ? kernel_->rows() : kernel_->columns(), z.cols()});
      parallel_gemm(be_, kernel_->view(), turned ? Transpose::no : Transpose::yes, View<const T>(scaled),
                    Transpose::no, products.view(), Write::overwrite);
      scale_rows<T>(products.view(), outer, products.view());
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] *= outer[i];
      return true;
    }
  }

private:
  /// Whether a weight times a scaling stays normal.
  [[nodiscard]] static bool fit(const Weights<T>& w) {
    using Side = SmallSide<T, V::lanes>;
    const double least = std::exp2(Side::bound - Side::limit);
    return std::all_of(w.value.begin(), w.value.end(), [&](double v) { return v == 0 || v > least; });
  }
  static void copy(const Weights<T>& w, std::vector<T>& to) {
    std::transform(w.value.begin(), w.value.end(), to.begin(), [](double v) { return static_cast<T>(v); });
  }
  /// In the kernel domain; false where that is impossible.
  [[nodiscard]] bool update_columns(const std::vector<T>& f, double eps, std::vector<T>& g) {
    if constexpr (!is_reference_v<B>) {
      if (!in_kernel_domain_) return false;
      if (!kernel_) allocate();
      if (eps == eps_ && scale_weights(a_values_, f, f0_, scale_, left_) && sum<false>(g)) return true;
      refer_to(f, g, eps);
      if (sum<true>(g)) return true;
      in_kernel_domain_ = false, kernel_.reset(); // a point without any partner
    }
    return false;
  }
  void columns_in_log_domain(const std::vector<T>& f, double eps, std::vector<T>& g) {
    if constexpr (is_matrix) {
      softmin_columns(be_, cost_, a_.log, f, eps, g);
    } else {
      if (!turned_) turned_ = cost_.transposed();
      softmin(be_, *turned_, a_.log, f, eps, g);
    }
  }

  void allocate() {
    kernel_.emplace(be_.arena(), static_cast<index_t>(b_.value.size()),
                    static_cast<index_t>(a_.value.size()));
    f0_.assign(static_cast<std::size_t>(kernel_->padded_columns()), T{0});
    g0_.assign(static_cast<std::size_t>(kernel_->padded_rows()), T{0});
    a_values_ = f0_, b_values_ = g0_, sums_ = f0_;
    copy(a_, a_values_), copy(b_, b_values_);
    left_ = a_values_, right_ = b_values_;
    if constexpr (!is_matrix) form_.emplace(cost_, true);
    if (worth_keeping()) keep_costs();
  }
  /// Makes these potentials the reference, all scalings 1. K is still to be computed.
  void refer_to(const std::vector<T>& f, const std::vector<T>& g, double eps) {
    eps_ = eps, unit_ = static_cast<T>(eps * log_2), scale_ = static_cast<T>(log2_e / eps);
    std::copy(f.begin(), f.end(), f0_.begin());
    std::copy(g.begin(), g.end(), g0_.begin());
    left_ = a_values_;
  }

  /// Costs of points [first, first + count) of b to all of a, in the caller's arena scope.
  [[nodiscard]] View<const T> cost_columns(index_t first, index_t count) const {
    if (kept_) return kept_.row_block(first, count);
    if constexpr (is_matrix) {
      const index_t n = cost_.rows();
      T* out = be_.arena().template array<T>(count * n);
      const View<const T> from = cost_.columns(first, count);
      // Short pieces of far rows: memory does not bring them by itself.
      constexpr index_t ahead = 64, line = 64 / static_cast<index_t>(sizeof(T));
      for (index_t i = 0; i < n; i += ahead) {
        for (index_t next = i + ahead; next < std::min(n, i + 2 * ahead); ++next)
          for (index_t j = 0; j < count; j += line) __builtin_prefetch(from.row(next) + j);
        sbi::detail::transpose_into<T, V::lanes>(from.row_block(i, std::min(ahead, n - i)), out + i, n);
      }
      return {out, Shape{count, n}};
    } else {
      return form_->costs(be_, first, count, 0);
    }
  }
  /// Products of a few coordinates cost less than reading their results again.
  [[nodiscard]] bool worth_keeping() const {
    constexpr index_t narrow = 16;
    if constexpr (!is_matrix)
      if (cost_.q.cols() <= narrow) return false;
    return many_ && matrices_fit<T>(2, kernel_->columns(), kernel_->rows());
  }
  void keep_costs() {
    const index_t m = kernel_->rows(), n = kernel_->columns();
    const View<T> costs(be_.arena().template array<T>(m * n), Shape{m, n});
    be_.for_each((m + row_block - 1) / row_block, [&](index_t block) {
      const FlushDenormals flush;
      const ArenaScope scope(be_.arena());
      const index_t first = block * row_block;
      const View<const T> from = cost_columns(first, std::min(row_block, m - first));
      std::copy(from.data, from.data + from.size(), costs.row(first));
    });
    kept_ = costs;
  }
  void fill(index_t row, const T* cost, T reference) {
    fill_kernel(kernel_->columns(), cost, f0_.data(), reference, scale_, kernel_->row(row));
  }
  void fill(index_t first, View<const T> costs) {
    for (index_t r = 0; r < costs.rows(); ++r)
      fill(first + r, costs.row(r), g0_[static_cast<std::size_t>(first + r)]);
  }
  /// A row of K whose sum is out of bounds for g0: computes g0 by its largest entry. Without any entry with
  /// weight the row becomes 0.
  void refill(index_t j, const T* cost) {
    const VectorRow<T> row{kernel_->columns()};
    T& reference = g0_[static_cast<std::size_t>(j)];
    reference = -row.max([&](auto i) {
      const V level = load(f0_.data(), i) - load(cost, i);
      return select(load(left_.data(), i) > V(0), level, V(-std::numeric_limits<T>::infinity()));
    });
    fill(j, cost, reference);
    const T sum = row.sum([&](auto i) { return load(kernel_->row(j), i) * load(left_.data(), i); });
    reference -= unit_ * std::log2(sum);
    fill(j, cost, reference);
  }
  [[nodiscard]] static bool in_bounds(T x) {
    static const T high = static_cast<T>(std::exp2(SmallSide<T, V::lanes>::bound));
    return x * high > 1 && x < high;
  }
  /// The half step of the columns, and the sums of the rows that follow from it. With Build K is computed
  /// first. False where a sum of a column is out of bounds, with Build where it has no partner; g is then
  /// what it was there.
  template <bool Build> [[nodiscard]] bool sum(std::vector<T>& g) {
    const auto blocks = static_cast<std::size_t>((kernel_->rows() + row_block - 1) / row_block);
    std::vector<char> bad(blocks, 0), far(blocks, 0);
    kernel_->sweep(be_, sums_.data(), [&](index_t first, index_t count, T* row_sums) {
      const ArenaScope scope(be_.arena());
      View<const T> costs;
      if constexpr (Build) {
        costs = cost_columns(first, count);
        fill(first, costs);
      }
      for (index_t j = first; j < first + count; j += group) {
        const index_t present = std::min(group, first + count - j);
        T sums[group], fresh[group], scaling[group];
        const auto sum_group = [&] {
          kernel_->row_sums(j, left_.data(), sums);
          std::fill(sums + present, sums + group, T{1});
          return std::all_of(sums, sums + group, in_bounds);
        };
        bool good = sum_group();
        if (Build && !good) {
          for (index_t r = 0; r < present; ++r)
            if (!in_bounds(sums[r])) refill(j + r, costs.row(j + r - first));
          good = sum_group();
        }
        if (!good) {
          bad[static_cast<std::size_t>(first / row_block)] = 1;
          continue;
        }
        for (index_t r = 0; r < group; r += Part::lanes) {
          const Part reference = Part::load(g0_.data() + j + r);
          const Part next = Part(damping_) *
                            fused_multiply_add(Part(-unit_), log2_of_normal(Part::load(sums + r)), reference);
          next.store(fresh + r);
          exp2_bounded((next - reference) * Part(scale_)).store(scaling + r);
        }
        std::copy(fresh, fresh + present, g.data() + j);
        if (!std::all_of(scaling, scaling + present, in_bounds))
          far[static_cast<std::size_t>(first / row_block)] = 1;
        for (index_t r = 0; r < group; ++r) scaling[r] *= b_values_[static_cast<std::size_t>(j + r)];
        kernel_->add_to_columns(j, scaling, row_sums);
      }
    });
    const auto any = [](const std::vector<char>& flags) {
      return std::find(flags.begin(), flags.end(), char{1}) != flags.end();
    };
    rows_are_safe_ = !any(far);
    return !any(bad);
  }
  /// The f that follows from the sums of the rows; false where one is out of bounds.
  [[nodiscard]] bool take_rows(std::vector<T>& f) const {
    const VectorRow<T> row{kernel_->columns()};
    if (!rows_are_safe_ || row.sum([&](auto i) { return out_of_bounds(load(sums_.data(), i)); }) > 0)
      return false;
    row.each([&](auto i) {
      const V log2_sum = log2_of_normal(load(sums_.data(), i));
      store(f.data(), i, fused_multiply_add(V(-unit_), log2_sum, load(f0_.data(), i)));
    });
    return true;
  }

  const B& be_;
  ArenaScope scope_;
  const M& cost_;
  const Weights<T>&a_, &b_;
  std::optional<M> turned_;               ///< costs in dot-product form transposed, for the log domain
  std::optional<FormRows<T>> form_;       ///< of the same, for K
  View<const T> kept_;                    ///< costs in the order of K, or nothing
  std::optional<KernelMatrix<T>> kernel_; ///< [m, n]
  std::vector<T> a_values_, b_values_;    ///< the weights; these and those below are padded with zeros
  std::vector<T> f0_, g0_;                ///< what K is relative to
  std::vector<T> left_, right_;           ///< weights times scalings
  std::vector<T> sums_;                   ///< of the plan's rows, relative to a and u
  double eps_ = 0;                        ///< that of K, 0 without
  T unit_ = 0, scale_ = 0;                ///< epsilon log 2 and its inverse
  T damping_ = 1;
  bool many_, in_kernel_domain_ = false, rows_are_safe_ = false;
};

} // namespace sbi::ot::detail
