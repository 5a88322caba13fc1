// SPDX-License-Identifier: MIT
// Optimal transport on the line. For the cost |x - y|^p, p >= 1, mass keeps its order: the q-quantile of one
// side goes to the q-quantile of the other (Villani 2003, "Topics in Optimal Transportation", section 2.2;
// Santambrogio 2015, "Optimal Transport for Applied Mathematicians", section 2.2). After sorting the plan is
// one walk along both sides.
#pragma once
#include <sbi/ot/exact.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace sbi::ot {

struct LineResult {
  double value = 0;           ///< <P, |x - y|^p>, for masses of 1 the p-th power of the Wasserstein distance
  std::vector<Shipment> plan; ///< at most n + m - 1 entries, of positive mass, by growing x and y
  /// [n], [m] dual variables: f_i + g_j <= |x_i - y_j|^p, with equality where mass moves; <a, f> + <b, g> =
  /// value. They are the gradients of the value with respect to a and b, up to a common constant. Where the
  /// plan leaves a choice (a point of each side used up at once) the value has a kink, and they are the mean
  /// of both one-sided derivatives. None can be raised alone, those of points without weight included.
  std::vector<double> f, g;
  std::vector<double> dx, dy; ///< [n], [m] gradients with respect to the points; 0 from pairs that coincide
};

namespace detail {

/// |u|^p and its derivative in u, with the two powers that need no logarithm apart.
template <int P> struct LineCost {
  static_assert(P == 1 || P == 2);
  double operator()(double u) const { return P == 1 ? std::abs(u) : u * u; }
  [[nodiscard]] double slope(double u) const {
    return P == 2 ? 2 * u : static_cast<double>((u > 0) - (u < 0));
  }
};
template <> struct LineCost<0> {
  double p;
  double operator()(double u) const { return std::pow(std::abs(u), p); }
  [[nodiscard]] double slope(double u) const { return std::copysign(p * std::pow(std::abs(u), p - 1), u); }
};
/// f(cost) for the cost |u|^p. Throws ValueError, in the name of `who`, for p < 1, where mass does not keep
/// its order.
template <class F> decltype(auto) with_line_cost(const char* who, double p, F&& f) {
  if (!(p >= 1) || !is_finite(p)) throw ValueError(sbi::text(who, ": p = ", p, "; want finite and >= 1"));
  if (p == 1) return f(LineCost<1>{});
  if (p == 2) return f(LineCost<2>{});
  return f(LineCost<0>{p});
}

/// A point of the line, and which of its cloud it is.
struct Place {
  double at;
  index_t which;
};
/// In order; equal points by their number, so that the order is the same everywhere.
inline void sort_places(Place* first, index_t count) {
  std::sort(first, first + count,
            [](const Place& p, const Place& q) { return p.at != q.at ? p.at < q.at : p.which < q.which; });
}

enum class Used { source, sink, both };

/// The plan that keeps the order of sorted points: calls visit(i, j, mass, used) for the positions i, j of
/// each pair met, `used` telling which side it uses up; the last pair has both. Pairs may have no mass. What
/// is left of two points counts as equal within the rounding of sums of weights.
template <class F>
void walk_line(const Place* x, index_t n, const Place* y, index_t m, const double* a, const double* b,
               double mass, F&& visit) {
  const double rounding = 4 * std::numeric_limits<double>::epsilon() * mass;
  index_t i = 0, j = 0;
  double left = a[x[0].which], wanted = b[y[0].which];
  // The last point of a side takes what rounding left of the other, unless it has no weight at all.
  const auto if_weighted = [&](double w) { return a[x[i].which] > 0 && b[y[j].which] > 0 ? w : 0; };
  for (;;) {
    const bool last_i = i + 1 == n, last_j = j + 1 == m;
    if (last_i && last_j) return visit(i, j, if_weighted(wanted), Used::both);
    if (!last_i && !last_j && std::abs(left - wanted) <= rounding) {
      visit(i, j, if_weighted(left), Used::both);
      left = a[x[++i].which], wanted = b[y[++j].which];
    } else if (last_j || (!last_i && left < wanted)) {
      visit(i, j, if_weighted(left), Used::source);
      wanted -= left, left = a[x[++i].which];
    } else {
      visit(i, j, if_weighted(wanted), Used::sink);
      left -= wanted, wanted = b[y[++j].which];
    }
  }
}

/// The value for sorted points. With `dx` and `dy`, indexed as the weights are, the gradients are added there
/// with a factor.
template <class C>
[[nodiscard]] double line_value(const C& cost, const Place* x, index_t n, const Place* y, index_t m,
                                const double* a, const double* b, double mass, double* dx = nullptr,
                                double* dy = nullptr) {
  double value = 0;
  walk_line(x, n, y, m, a, b, mass, [&](index_t i, index_t j, double w, Used) {
    if (!(w > 0)) return;
    const double u = x[i].at - y[j].at;
    value += w * cost(u);
    if (!dx) return;
    const double slope = w * cost.slope(u);
    dx[x[i].which] += slope, dy[y[j].which] -= slope;
  });
  return value;
}

/// Sorted places of values.
template <class T>
[[nodiscard]] std::vector<Place> places(const char* who, const char* name, std::span<const T> values) {
  std::vector<Place> out;
  out.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!is_finite(values[i]))
      throw ValueError(sbi::text(who, ": ", name, "[", i, "] = ", values[i], "; want finite"));
    out.push_back({static_cast<double>(values[i]), static_cast<index_t>(i)});
  }
  sort_places(out.data(), static_cast<index_t>(out.size()));
  return out;
}

/// Dual variables of sorted points. They follow the walk, f_i + g_j = c_ij at every pair it meets; the cost
/// being submodular, c(i,j) + c(i+1,j+1) <= c(i,j+1) + c(i+1,j), any such walk gives feasible ones. Where
/// both sides are used up at once the walk may turn either way; the mean of both is taken.
template <class C>
void line_duals(const C& cost, const std::vector<Place>& x, const std::vector<Place>& y, const double* a,
                const double* b, double mass, LineResult& out) {
  out.f.assign(x.size(), 0), out.g.assign(y.size(), 0);
  const auto c = [&](index_t i, index_t j) {
    return cost(x[static_cast<std::size_t>(i)].at - y[static_cast<std::size_t>(j)].at);
  };
  const auto f = [&](index_t i) -> double& {
    return out.f[static_cast<std::size_t>(x[static_cast<std::size_t>(i)].which)];
  };
  const auto g = [&](index_t j) -> double& {
    return out.g[static_cast<std::size_t>(y[static_cast<std::size_t>(j)].which)];
  };
  const auto n = static_cast<index_t>(x.size()), m = static_cast<index_t>(y.size());
  g(0) = c(0, 0);
  walk_line(x.data(), n, y.data(), m, a, b, mass, [&](index_t i, index_t j, double, Used used) {
    if (used == Used::source) {
      f(i + 1) = c(i + 1, j) - g(j);
    } else if (used == Used::sink) {
      g(j + 1) = c(i, j + 1) - f(i);
    } else if (i + 1 < n) {
      f(i + 1) = f(i) + 0.5 * (c(i + 1, j) - c(i, j) + c(i + 1, j + 1) - c(i, j + 1));
      g(j + 1) = c(i + 1, j + 1) - f(i + 1);
    }
  });
}
} // namespace detail

/// Exact transport on the line for the cost |x - y|^p between points x [n] with weights a and y [m] with
/// weights b (empty: uniform), in double whatever T is and in O((n + m) log(n + m)); p = 1 and p = 2 are the
/// fast ones. The gradients are those of the envelope theorem: plan and dual variables are held. For p = 1
/// the value has kinks where points meet. Throws ShapeError for sizes that do not fit; ValueError for p < 1,
/// points that are not finite or so far apart that the cost is not, weights that `sinkhorn` refuses too, and
/// masses that differ by more than the square root of the machine precision (less is scaled away).
template <class T>
[[nodiscard]] LineResult line_transport(std::type_identity_t<std::span<const T>> x,
                                        std::type_identity_t<std::span<const T>> y,
                                        std::type_identity_t<std::span<const T>> a,
                                        std::type_identity_t<std::span<const T>> b, double p = 2) {
  constexpr const char* who = "line transport";
  const Weights<T> wa("a", a, static_cast<index_t>(x.size()));
  Weights<T> wb("b", b, static_cast<index_t>(y.size()));
  detail::balance(who, wa, wb);
  const std::vector<detail::Place> px = detail::places<T>(who, "x", x), py = detail::places<T>(who, "y", y);
  return detail::with_line_cost(who, p, [&](const auto& cost) {
    const double widest =
        std::max(std::abs(px.back().at - py.front().at), std::abs(py.back().at - px.front().at));
    if (!is_finite(cost(widest)))
      throw ValueError(sbi::text(who, ": points are ", widest, " apart; want a finite power ", p));
    const auto n = static_cast<index_t>(x.size()), m = static_cast<index_t>(y.size());
    LineResult out;
    out.dx.assign(x.size(), 0), out.dy.assign(y.size(), 0);
    out.value = detail::line_value(cost, px.data(), n, py.data(), m, wa.value.data(), wb.value.data(),
                                   wa.mass, out.dx.data(), out.dy.data());
    detail::walk_line(px.data(), n, py.data(), m, wa.value.data(), wb.value.data(), wa.mass,
                      [&](index_t i, index_t j, double mass, detail::Used) {
                        if (mass > 0)
                          out.plan.push_back({px[static_cast<std::size_t>(i)].which,
                                              py[static_cast<std::size_t>(j)].which, mass});
                      });
    detail::line_duals(cost, px, py, wa.value.data(), wb.value.data(), wa.mass, out);
    return out;
  });
}

} // namespace sbi::ot
