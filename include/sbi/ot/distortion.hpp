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
#include <sbi/core/adapt.hpp>
#include <sbi/ot/distortion_loss.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/thin_product.hpp>

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
/// sum_ij term(i, j) in double: rows on all threads, their sums in order.
template <class B, class F>
[[nodiscard]] double sum_entries(const B& be, index_t rows, index_t cols, F&& term) {
  std::vector<double> sum(static_cast<std::size_t>(rows));
  for_each_row(be, rows, [&](index_t i) {
    sum[static_cast<std::size_t>(i)] = sum_row(cols, [&](index_t j) { return term(i, j); });
  });
  return std::accumulate(sum.begin(), sum.end(), 0.0);
}
/// <x, y>
template <class T, class B> [[nodiscard]] double inner(const B& be, View<const T> x, View<const T> y) {
  return sum_entries(be, x.rows(), x.cols(), [&](index_t i, index_t j) {
    return static_cast<double>(x(i, j)) * static_cast<double>(y(i, j));
  });
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
template <class T, DistortionLoss L> void check_within(const char* name, View<const T> cost, const L& loss) {
  if (cost.shape.rank() != 2 || cost.rows() != cost.cols() || cost.rows() == 0)
    throw ShapeError(sbi::text("distortion: ", name, " is ", cost.shape, "; want [points, points]"));
  for (index_t i = 0; i < cost.rows(); ++i)
    for (index_t k = 0; k < cost.cols(); ++k) {
      if (!is_finite(cost(i, k)))
        throw ValueError(
            sbi::text("distortion: ", name, "[", i, ",", k, "] = ", cost(i, k), "; want finite"));
      if (!(static_cast<double>(cost(i, k)) > loss.least()))
        throw ValueError(sbi::text("distortion: ", name, "[", i, ",", k, "] = ", cost(i, k),
                                   "; the loss wants > ", loss.least()));
    }
}

/// E between two checked matrices of costs, which have to outlive it.
template <class B, class T, DistortionLoss L> class Distortion {
public:
  Distortion(const B& be, View<const T> x, View<const T> y, const L& loss)
      : be_(be), loss_(loss), x_(x), y_(y) {
    const auto h1 = [&](double u) { return loss.h1(u); };
    const auto h2 = [&](double v) { return loss.h2(v); };
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
    const double alone = form(x_, of.rows, [&](double u) { return loss_.f1(u); }) +
                         form(y_, of.columns, [&](double v) { return loss_.f2(v); });
    return std::max(0.0, alone - inner<T>(be_, interaction.view(), plan) / 2);
  }
  /// The size of the terms that cancel in E.
  [[nodiscard]] double size(const std::vector<double>& a, const std::vector<double>& b) const {
    return form(x_, a, [&](double u) { return std::abs(loss_.f1(u)); }) +
           form(y_, b, [&](double v) { return std::abs(loss_.f2(v)); });
  }
  /// u [n] and v [m] with dE/dP_ij = u_i + v_j - I_ij for plans with the marginals a and b.
  [[nodiscard]] std::vector<double> row_slope(const std::vector<double>& a) const {
    return twofold(x_, a, [&](double u) { return loss_.f1(u); });
  }
  [[nodiscard]] std::vector<double> column_slope(const std::vector<double>& b) const {
    return twofold(y_, b, [&](double v) { return loss_.f2(v); });
  }

  /// dE/dX [n,n] and dE/dY [m,m] times `factor`, every entry on its own, the plan held.
  void gradients(View<const T> plan, double factor, Tensor<T>& dx, Tensor<T>& dy) const {
    const index_t n = plan.rows(), m = plan.cols();
    const Marginals of(be_, plan);
    const Tensor<T> h1 = combined(
        x_, [&](double u) { return loss_.h1(u); }, 1, 0);
    const Tensor<T> h2 = combined(
        y_, [&](double v) { return loss_.h2(v); }, 1, 0);
    Tensor<T> half(Shape{n, m});
    dx = Tensor<T>(Shape{n, n}), dy = Tensor<T>(Shape{m, m});
    parallel_gemm<B, T>(be_, plan, Transpose::no, h2.view(), Transpose::no, half.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, half.view(), Transpose::no, plan, Transpose::yes, dx.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, h1.view(), Transpose::no, plan, Transpose::no, half.view(), Write::overwrite);
    parallel_gemm<B, T>(be_, plan, Transpose::yes, half.view(), Transpose::no, dy.view(), Write::overwrite);
    finish(
        x_, of.rows, factor, [&](double u) { return loss_.df1(u); }, [&](double u) { return loss_.dh1(u); },
        dx);
    finish(
        y_, of.columns, factor, [&](double v) { return loss_.df2(v); },
        [&](double v) { return loss_.dh2(v); }, dy);
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
    return static_cast<double>(as_eigen(matrix).cwiseAbs().maxCoeff());
  }
  /// here h(C) + there h(C)^T
  template <class H> Tensor<T> combined(View<const T> cost, H&& h, double here, double there) const {
    Tensor<T> out(cost.shape);
    for_each_row(be_, cost.rows(), [&](index_t i) {
      for (index_t k = 0; k < cost.cols(); ++k)
        out(i, k) = static_cast<T>(here * h(static_cast<double>(cost(i, k))) +
                                   (there != 0 ? there * h(static_cast<double>(cost(k, i))) : 0));
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
  /// w^T f(C) w
  template <class F>
  [[nodiscard]] double form(View<const T> cost, const std::vector<double>& w, F&& f) const {
    return sum_entries(be_, cost.rows(), cost.cols(), [&](index_t i, index_t k) {
      return w[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>(k)] *
             f(static_cast<double>(cost(i, k)));
    });
  }
  /// (f(C) + f(C)^T) w
  template <class F>
  [[nodiscard]] std::vector<double> twofold(View<const T> cost, const std::vector<double>& w, F&& f) const {
    std::vector<double> out(w.size(), 0);
    for_each_row(be_, cost.rows(), [&](index_t i) {
      for (index_t k = 0; k < cost.cols(); ++k)
        out[static_cast<std::size_t>(i)] +=
            w[static_cast<std::size_t>(k)] *
            (f(static_cast<double>(cost(i, k))) + f(static_cast<double>(cost(k, i))));
    });
    return out;
  }
  /// out = factor (f'(C) w w^T - h'(C) out), entry by entry
  template <class F, class H>
  void finish(View<const T> cost, const std::vector<double>& w, double factor, F&& df, H&& dh,
              Tensor<T>& out) const {
    for_each_row(be_, cost.rows(), [&](index_t i) {
      for (index_t k = 0; k < cost.cols(); ++k) {
        const double c = static_cast<double>(cost(i, k));
        const double mass = w[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>(k)];
        out(i, k) = static_cast<T>(factor * (df(c) * mass - dh(c) * static_cast<double>(out(i, k))));
      }
    });
  }

  const B& be_;
  L loss_;
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
  detail::check_within("x", x, loss);
  detail::check_within("y", y, loss);
  if (plan.shape.rank() != 2 || plan.rows() != x.rows() || plan.cols() != y.rows())
    throw ShapeError(
        sbi::text("distortion: the plan is ", plan.shape, "; want [", x.rows(), ",", y.rows(), "]"));
  for (index_t i = 0; i < plan.rows(); ++i)
    for (index_t j = 0; j < plan.cols(); ++j)
      if (!is_finite(plan(i, j)) || plan(i, j) < 0)
        throw ValueError(
            sbi::text("distortion: plan[", i, ",", j, "] = ", plan(i, j), "; want >= 0 and finite"));
  const detail::Distortion<B, T, L> of(be, x, y, loss);
  Tensor<T> interaction;
  of.interaction(plan, interaction);
  return of.value(plan, interaction);
}

} // namespace sbi::ot
