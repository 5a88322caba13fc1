// SPDX-License-Identifier: MIT
// How much a plan between two spaces distorts the costs within them,
//
//   E(P) = sum_ijkl L(X_ik, Y_jl) P_ij P_kl,   X [n,n] and Y [m,m] the costs within, P [n,m] the plan.
//
// With L(u, v) = f1(u) + f2(v) - h1(u) h2(v) the four-fold sum is one of matrix products (Peyre, Cuturi,
// Solomon 2016, ICML): for r = P 1 and c = P^T 1,
//   E(P) = r^T f1(X) r + c^T f2(Y) c - <I(P), P> / 2,   I(P) = h1(X) P h2(Y)^T + h1(X)^T P h2(Y).
#pragma once
#include <sbi/backend/gemm.hpp>
#include <sbi/ot/distortion_loss.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/thin_product.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

namespace detail {

/// sum_j term(j) in double, by several sums that do not wait for each other.
template <class F> [[nodiscard]] double sum_row(index_t count, F&& term) {
  constexpr index_t chains = 16;
  double part[chains] = {};
  index_t j = 0;
  for (; j + chains <= count; j += chains)
    for (index_t c = 0; c < chains; ++c) part[c] += term(j + c);
  for (; j < count; ++j) part[0] += term(j);
  return std::accumulate(part, part + chains, 0.0);
}
/// sum_i row(i): rows on all threads, their sums in order.
template <class B, class F> [[nodiscard]] double sum_rows(const B& be, index_t rows, F&& row) {
  std::vector<double> sum(static_cast<std::size_t>(rows));
  for_each_row(be, rows, [&](index_t i) { sum[static_cast<std::size_t>(i)] = row(i); });
  return std::accumulate(sum.begin(), sum.end(), 0.0);
}
/// <x, y>
template <class T, class B> [[nodiscard]] double inner(const B& be, View<const T> x, View<const T> y) {
  return sum_rows(be, x.rows(), [&](index_t i) {
    const T *p = x.row(i), *q = y.row(i);
    return sum_row(x.cols(),
                   [&](index_t j) { return static_cast<double>(p[j]) * static_cast<double>(q[j]); });
  });
}
/// sum_ij P_ij log(P_ij / (a_i b_j)) over a plan's positive entries, less its mass and with that of a x b for
/// the `complete` KL(P | a x b).
template <class B, class T>
[[nodiscard]] double plan_entropy(const B& be, View<const T> plan, const std::vector<double>& a,
                                  const std::vector<double>& b, bool complete) {
  constexpr index_t chains = 16; // the order of additions of `sum_row`, without its copies of the logarithm
  return sum_rows(be, plan.rows(), [&](index_t i) {
    double part[chains] = {};
    const index_t count = plan.cols(), whole = count - count % chains;
    const T* row = plan.row(i);
    const double weight = a[static_cast<std::size_t>(i)];
    for (index_t j = 0; j < count; ++j) {
      const double p = static_cast<double>(row[j]), q = weight * b[static_cast<std::size_t>(j)];
      part[j < whole ? j % chains : 0] += (p > 0 && q > 0 ? p * std::log(p / q) : 0) + (complete ? q - p : 0);
    }
    return std::accumulate(part, part + chains, 0.0);
  });
}

template <class T> [[nodiscard]] Tensor<T> copied(View<const T> x) {
  Tensor<T> out(x.shape);
  for (index_t i = 0; i < x.rows(); ++i) std::copy_n(x.row(i), x.cols(), out.row(i));
  return out;
}

/// Row and column sums of a plan.
struct Marginals {
  std::vector<double> rows, columns;
  template <class B, class T>
  Marginals(const B& be, View<T> plan)
      : rows(static_cast<std::size_t>(plan.rows()), 0), columns(static_cast<std::size_t>(plan.cols()), 0) {
    for_each_row(be, plan.rows(), [&](index_t i) {
      const auto* row = plan.row(i);
      rows[static_cast<std::size_t>(i)] =
          sum_row(plan.cols(), [&](index_t j) { return static_cast<double>(row[j]); });
    });
    be.for_each((plan.cols() + row_block - 1) / row_block, [&](index_t block) {
      const index_t end = std::min(plan.cols(), (block + 1) * row_block);
      for (index_t i = 0; i < plan.rows(); ++i)
        for (index_t j = block * row_block; j < end; ++j)
          columns[static_cast<std::size_t>(j)] += static_cast<double>(plan(i, j));
    });
  }
};

/// Throws ShapeError for a cost within a space that is not [points, points], ValueError for an entry that the
/// loss has no value for.
template <class T> void check_within(const char* name, View<const T> cost, double least) {
  if (cost.shape.rank() != 2 || cost.rows() != cost.cols() || cost.rows() == 0)
    throw ShapeError(sbi::text("distortion: ", name, " is ", cost.shape, "; want [points, points]"));
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t k = 0; k < cost.cols(); ++k) {
      if (!is_finite(cost(i, k)))
        throw ValueError(
            sbi::text("distortion: ", name, "[", i, ",", k, "] = ", cost(i, k), "; want finite"));
      if (!(static_cast<double>(cost(i, k)) > least))
        throw ValueError(sbi::text("distortion: ", name, "[", i, ",", k, "] = ", cost(i, k),
                                   "; the loss wants > ", least));
    }
}

/// E between two checked matrices of costs. They and the loss have to outlive it.
template <class B, class T> class Distortion {
public:
  Distortion(const B& be, View<const T> x, View<const T> y, const LossRows<T>& loss)
      : be_(be), loss_(loss), x_(x), y_(y) {
    constexpr auto h1 = LossPart::h1, h2 = LossPart::h2;
    // With even and odd parts under transposition I(P) = 2 h1+ P h2+ - 2 h1- P h2-. Where a matrix is
    // symmetric, or both are up to their rounding, the second product is below the rounding of the first.
    Tensor<T> even_x = combined(x, h1, 1, 1), even_y = combined(y, h2, 0.5, 0.5);
    Tensor<T> odd_x = combined(x, h1, -1, 1), odd_y = combined(y, h2, 0.5, -0.5);
    const bool both =
        largest(odd_x) * largest(odd_y) >
        static_cast<double>(std::numeric_limits<T>::epsilon()) * largest(even_x) * largest(even_y);
    even_x_ = factor(std::move(even_x)), even_y_ = factor(std::move(even_y));
    if (both) odd_x_ = factor(std::move(odd_x)), odd_y_ = factor(std::move(odd_y));
  }

  /// I(P) of a dense plan and of a sparse one, which saves the first product.
  void interaction(View<const T> plan, Tensor<T>& out) const {
    interaction(out, [&](const Tensor<T>& y, Tensor<T>& right) {
      parallel_gemm<B, T>(be_, plan, Transpose::no, y.view(), Transpose::no, right.view(), Write::overwrite);
    });
  }
  void interaction(std::span<const Shipment> plan, Tensor<T>& out) const {
    interaction(out, [&](const Tensor<T>& y, Tensor<T>& right) {
      for (const Shipment& s : plan) {
        const T mass = static_cast<T>(s.mass);
        const T *from = y.row(s.to), *end = from + y.cols();
        for (T* to = right.row(s.from); from != end; ++from, ++to) *to += mass * *from;
      }
    });
  }

  /// E(P) given I(P). The terms without I are those of the plan's own marginals: with others E can come out
  /// negative. What rounding leaves below 0 is cut off.
  [[nodiscard]] double value(View<const T> plan, const Tensor<T>& interaction) const {
    const Marginals of(be_, plan);
    const double alone = form(x_, of.rows, LossPart::f1, false) + form(y_, of.columns, LossPart::f2, false);
    return std::max(0.0, alone - inner<T>(be_, interaction.view(), plan) / 2);
  }
  /// The size of the terms that cancel in E.
  [[nodiscard]] double size(const std::vector<double>& a, const std::vector<double>& b) const {
    return form(x_, a, LossPart::f1, true) + form(y_, b, LossPart::f2, true);
  }
  /// u [n] and v [m] with dE/dP_ij = u_i + v_j - I_ij for plans with the marginals a and b.
  [[nodiscard]] std::vector<double> row_slope(const std::vector<double>& a) const {
    return twofold(x_, a, LossPart::f1);
  }
  [[nodiscard]] std::vector<double> column_slope(const std::vector<double>& b) const {
    return twofold(y_, b, LossPart::f2);
  }

  /// dE/dX [n,n] and dE/dY [m,m] times `factor`, every entry on its own, the plan held.
  void gradients(View<const T> plan, double factor, Tensor<T>& dx, Tensor<T>& dy) const {
    const index_t n = plan.rows(), m = plan.cols();
    const Marginals of(be_, plan);
    const Tensor<T> h1 = combined(x_, LossPart::h1, 1, 0), h2 = combined(y_, LossPart::h2, 1, 0);
    Tensor<T> half(Shape{n, m});
    dx = Tensor<T>(Shape{n, n}), dy = Tensor<T>(Shape{m, m});
    parallel_gemm<B, T>(be_, plan, Transpose::no, h2.view(), Transpose::no, half.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, half.view(), Transpose::no, plan, Transpose::yes, dx.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, h1.view(), Transpose::no, plan, Transpose::no, half.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, plan, Transpose::yes, half.view(), Transpose::no, dy.view(), Write::overwrite);
    finish(x_, of.rows, factor, LossPart::df1, LossPart::dh1, dx);
    finish(y_, of.columns, factor, LossPart::df2, LossPart::dh2, dy);
  }

private:
  /// A matrix: U, or U V where it is of low rank.
  struct Factor {
    Tensor<T> u;
    std::optional<Tensor<T>> v;
  };
  [[nodiscard]] Factor factor(Tensor<T> matrix) const {
    if (auto thin = thin_product<B, T>(be_, matrix.view())) return {std::move(thin->u), std::move(thin->v)};
    return {std::move(matrix), {}};
  }
  [[nodiscard]] static double largest(const Tensor<T>& matrix) {
    T most{0};
    for (const T v : matrix) most = std::max(most, std::abs(v));
    return static_cast<double>(most);
  }
  /// here h(C) + there h(C)^T
  Tensor<T> combined(View<const T> cost, LossPart h, double here, double there) const {
    Tensor<T> out(cost.shape);
    for_each_row(be_, cost.rows(), [&](index_t i) {
      const ArenaScope scope(be_.arena());
      const double *row = part(h, cost.row(i), cost.cols()),
                   *column = there != 0 ? of_column(h, cost, i) : row;
      for (index_t k = 0; k < cost.cols(); ++k)
        out(i, k) = static_cast<T>(here * row[k] + (there != 0 ? there * column[k] : 0));
    });
    return out;
  }
  /// right_product(Z, to): to, which is 0, becomes P Z.
  template <class Right> void interaction(Tensor<T>& out, Right&& right_product) const {
    if (out.shape() != Shape{x_.rows(), y_.rows()}) out = Tensor<T>(Shape{x_.rows(), y_.rows()});
    const auto add = [&](const Factor& x, const Factor& y, Write write) {
      Tensor<T> right(Shape{x_.rows(), y.u.cols()});
      right_product(y.u, right);
      if (!y.v) return multiply(x, right, out, write);
      Tensor<T> both(right.shape());
      multiply(x, right, both, Write::overwrite);
      multiply(both, *y.v, out, write);
    };
    add(even_x_, even_y_, Write::overwrite);
    if (odd_x_.u.size() > 0) add(odd_x_, odd_y_, Write::accumulate);
  }
  void multiply(const Tensor<T>& a, const Tensor<T>& b, Tensor<T>& out, Write write) const {
    parallel_gemm<B, T>(be_, a.view(), Transpose::no, b.view(), Transpose::no, out.view(), write);
  }
  void multiply(const Factor& a, const Tensor<T>& b, Tensor<T>& out, Write write) const {
    if (!a.v) return multiply(a.u, b, out, write);
    Tensor<T> right(Shape{a.v->rows(), b.cols()});
    multiply(*a.v, b, right, Write::overwrite);
    multiply(a.u, right, out, write);
  }
  /// A part of the loss of a row of costs, in the arena.
  [[nodiscard]] double* part(LossPart which, const T* costs, index_t count) const {
    double* const out = be_.arena().template array<double>(count);
    loss_.apply(which, costs, count, out);
    return out;
  }
  [[nodiscard]] double* of_column(LossPart which, View<const T> cost, index_t i) const {
    T* const costs = be_.arena().template array<T>(cost.rows());
    for (index_t k = 0; k < cost.rows(); ++k) costs[k] = cost(k, i);
    return part(which, costs, cost.rows());
  }
  /// w^T f(C) w, or |f(C)| in between
  [[nodiscard]] double form(View<const T> cost, const std::vector<double>& w, LossPart f, bool sizes) const {
    return sum_rows(be_, cost.rows(), [&](index_t i) {
      const ArenaScope scope(be_.arena());
      double* const of = part(f, cost.row(i), cost.cols());
      for (index_t k = 0; sizes && k < cost.cols(); ++k) of[k] = std::abs(of[k]);
      const double weight = w[static_cast<std::size_t>(i)], *other = w.data();
      return sum_row(cost.cols(), [=](index_t k) { return weight * other[k] * of[k]; });
    });
  }
  /// (f(C) + f(C)^T) w
  [[nodiscard]] std::vector<double> twofold(View<const T> cost, const std::vector<double>& w,
                                            LossPart f) const {
    std::vector<double> out(w.size(), 0);
    for_each_row(be_, cost.rows(), [&](index_t i) {
      const ArenaScope scope(be_.arena());
      const double *row = part(f, cost.row(i), cost.cols()), *column = of_column(f, cost, i);
      out[static_cast<std::size_t>(i)] =
          sum_row(cost.cols(), [=, of = w.data()](index_t k) { return of[k] * (row[k] + column[k]); });
    });
    return out;
  }
  /// out = factor (f'(C) w w^T - h'(C) out), entry by entry
  void finish(View<const T> cost, const std::vector<double>& w, double factor, LossPart df, LossPart dh,
              Tensor<T>& out) const {
    for_each_row(be_, cost.rows(), [&](index_t i) {
      const ArenaScope scope(be_.arena());
      const double *f = part(df, cost.row(i), cost.cols()), *h = part(dh, cost.row(i), cost.cols());
      for (index_t k = 0; k < cost.cols(); ++k) {
        const double mass = w[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>(k)];
        out(i, k) = static_cast<T>(factor * (f[k] * mass - h[k] * static_cast<double>(out(i, k))));
      }
    });
  }

  const B& be_;
  const LossRows<T>& loss_;
  View<const T> x_, y_;
  Factor even_x_, even_y_, odd_x_, odd_y_;
};

} // namespace detail

/// E(P) of a plan [n, m], whatever its marginals, between costs x [n, n] and y [m, m] within two spaces; they
/// need not be symmetric. Takes 2 n m (n + m) operations. Throws ShapeError for sizes that do not fit and
/// ValueError for entries that are not finite, negative ones of the plan, and costs that the loss has no
/// value for.
template <class B, DistortionLoss L = SquareLoss, class T = typename B::compute_t>
[[nodiscard]] double distortion(const B& be, std::type_identity_t<View<const T>> x,
                                std::type_identity_t<View<const T>> y,
                                std::type_identity_t<View<const T>> plan, const L& loss = {}) {
  const detail::LossRowsOf<T, L> rows(loss);
  detail::check_within("x", x, rows.least());
  detail::check_within("y", y, rows.least());
  if (plan.shape.rank() != 2 || plan.rows() != x.rows() || plan.cols() != y.rows())
    throw ShapeError(
        sbi::text("distortion: the plan is ", plan.shape, "; want [", x.rows(), ",", y.rows(), "]"));
  for (index_t i = 0; i < plan.rows(); ++i)
    for (index_t j = 0; j < plan.cols(); ++j)
      if (!is_finite(plan(i, j)) || plan(i, j) < 0)
        throw ValueError(
            sbi::text("distortion: plan[", i, ",", j, "] = ", plan(i, j), "; want >= 0 and finite"));
  const detail::Distortion<B, T> of(be, x, y, rows);
  Tensor<T> interaction;
  of.interaction(plan, interaction);
  return of.value(plan, interaction);
}

} // namespace sbi::ot
