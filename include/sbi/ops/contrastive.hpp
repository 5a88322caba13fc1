// SPDX-License-Identifier: MIT
// Losses that tell the rows of a batch apart: each row's partner is the same row of the other input, all
// other rows are its negatives. Embeddings are compared by the cosine, so that no loss falls by a change of
// their scale.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/gemm.hpp>
#include <sbi/backend/rows.hpp>

#include <cmath>
#include <limits>

namespace sbi::ops {

namespace detail {
/// What the two directions of the contrast need: unit rows u, v [n,d], the factors 1 / |z| and the
/// log-sum-exps.
template <class T> struct ContrastState {
  View<T> u, v, scale_u, scale_v, lse_u, lse_v;
  static Shape shape(Shape a) { return {a.rows(), 2 * a.cols() + 4}; }
  ContrastState(View<T> all, index_t d)
      : u(all.columns(0, d)), v(all.columns(d, d)), scale_u(all.columns(2 * d, 1)),
        scale_v(all.columns(2 * d + 1, 1)), lse_u(all.columns(2 * d + 2, 1)),
        lse_v(all.columns(2 * d + 3, 1)) {}
};

inline void check_pair(const char* who, Shape a, Shape b, index_t present, bool masked, double temperature) {
  if (a.rank() != 2 || !(a == b))
    throw ShapeError(sbi::text(who, ": the embeddings are ", a, " and ", b, "; want [n,d] twice"));
  if (masked && present != a.rows())
    throw ShapeError(sbi::text(who, ": the mask has ", present, " entries for embeddings ", a));
  if (!(temperature > 0)) throw ValueError(sbi::text(who, ": temperature = ", temperature, "; want > 0"));
}
template <class T> [[nodiscard]] bool is_present(View<const T> present, index_t i) {
  return !present || present.data[i] != 0;
}
template <class T> [[nodiscard]] index_t count_present(View<const T> present, index_t n) {
  index_t count = 0;
  for (index_t i = 0; i < n; ++i) count += is_present(present, i);
  return count;
}
/// 0 for present columns, minus infinity for the others.
template <class T> void fill_bias(View<const T> present, View<T> bias) {
  for (index_t i = 0; i < bias.size(); ++i)
    bias.data[i] = is_present(present, i) ? T{0} : -std::numeric_limits<T>::infinity();
}

/// unit = z / sqrt(|z|^2 + 1e-12), rows that are absent 0.
template <Backend B, class T>
void unit_rows(B& be, View<const T> z, View<const T> present, View<T> unit, View<T> scale) {
  const auto row = row_of(be, z.cols());
  using S = typename decltype(row_of(be, 1))::scalar;
  for (index_t r = 0; r < z.rows(); ++r) {
    S factor = 0;
    if (is_present(present, r))
      factor =
          1 / std::sqrt(row.sum([&](auto i) { return load(z.row(r), i) * load(z.row(r), i); }) + S(1e-12));
    scale(r, 0) = static_cast<T>(factor);
    row.each([&](auto i) {
      using V = decltype(load(z.row(r), i));
      store(unit.row(r), i, factor == 0 ? V(0) : V(factor) * load(z.row(r), i));
    });
  }
}
/// dz += scale (d - unit <unit, d>)
template <Backend B, class T>
void unit_rows_vjp(B& be, View<const T> unit, View<const T> scale, View<const T> d, View<T> dz) {
  const auto row = row_of(be, unit.cols());
  for (index_t r = 0; r < unit.rows(); ++r) {
    if (scale(r, 0) == 0) continue;
    const auto inner = row.sum([&](auto i) { return load(unit.row(r), i) * load(d.row(r), i); });
    row.each([&](auto i) {
      using V = decltype(load(d.row(r), i));
      add(dz.row(r), i, V(scale(r, 0)) * (load(d.row(r), i) - V(inner) * load(unit.row(r), i)));
    });
  }
}

/// lse_i = log sum_j exp(<u_i, v_j> / temperature) over present j; gives sum_i (lse_i - <u_i, v_i> /
/// temperature).
template <Backend B, class T>
[[nodiscard]] double contrast_one_way(B& be, View<const T> u, View<const T> v, View<const T> present,
                                      double temperature, View<T> lse) {
  using std::exp;
  using S = typename decltype(row_of(be, 1))::scalar;
  const index_t n = u.rows();
  const ArenaScope scope(be.arena());
  const View<T> similarity(be.arena().template array<T>(n * n), Shape{n, n}),
      bias(be.arena().template array<T>(n), {n});
  fill_bias(present, bias);
  gemm(be, u, Transpose::no, v, Transpose::yes, similarity, Write::overwrite);
  const auto row = row_of(be, n);
  const S inverse = static_cast<S>(1 / temperature);
  double sum = 0;
  for (index_t r = 0; r < n; ++r) {
    lse(r, 0) = 0;
    if (!is_present(present, r)) continue;
    const auto term = [&](auto j) {
      using V = decltype(load(similarity.row(r), j));
      return V(inverse) * load(similarity.row(r), j) + load(bias.data, j);
    };
    const S top = row.max(term);
    const S total = top + std::log(row.sum([&](auto j) { return exp(term(j) - decltype(term(j))(top)); }));
    lse(r, 0) = static_cast<T>(total);
    sum += static_cast<double>(total) - static_cast<double>(similarity(r, r)) / temperature;
  }
  return sum;
}

/// The mean of both directions over the present rows; 0 when there is none.
template <Backend B, class T>
[[nodiscard]] double contrast(B& be, View<const T> a, View<const T> b, View<const T> present,
                              double temperature, ContrastState<T> state) {
  unit_rows(be, a, present, state.u, state.scale_u);
  unit_rows(be, b, present, state.v, state.scale_v);
  const double sum = contrast_one_way<B, T>(be, state.u, state.v, present, temperature, state.lse_u) +
                     contrast_one_way<B, T>(be, state.v, state.u, present, temperature, state.lse_v);
  const index_t count = count_present(present, a.rows());
  return count == 0 ? 0 : 0.5 * sum / static_cast<double>(count);
}
template <Backend B, class T>
void contrast_vjp(B& be, ContrastState<const T> state, View<const T> present, double temperature, double d,
                  View<T> da, View<T> db) {
  using std::exp;
  using S = typename decltype(row_of(be, 1))::scalar;
  const index_t n = state.u.rows(), width = state.u.cols(), count = count_present(present, n);
  if (count == 0) return;
  Arena& arena = be.arena();
  const ArenaScope scope(arena);
  // The similarities, turned row by row into d loss / d similarity.
  const View<T> slope(arena.template array<T>(n * n), Shape{n, n}),
      du(arena.template array<T>(n * width), {n, width});
  const View<T> bias(arena.template array<T>(n), {n}), columns(arena.template array<T>(n), {n});
  fill_bias(present, bias);
  for (index_t j = 0; j < n; ++j) columns.data[j] = state.lse_v(j, 0);
  gemm(be, state.u, Transpose::no, state.v, Transpose::yes, slope, Write::overwrite);
  const S inverse = static_cast<S>(1 / temperature);
  const S factor = static_cast<S>(0.5 * d / (static_cast<double>(count) * temperature));
  for (index_t r = 0; r < n; ++r) {
    const bool some = is_present(present, r);
    row_of(be, n).each([&](auto j) {
      using V = decltype(load(slope.row(r), j));
      const V s = V(inverse) * load(slope.row(r), j) + load(bias.data, j);
      const V both = exp(s - V(state.lse_u(r, 0))) + exp(s - load(columns.data, j));
      store(slope.row(r), j, some ? V(factor) * both : V(0));
    });
    if (some) slope(r, r) -= static_cast<T>(2 * factor);
  }
  if (da) {
    gemm(be, View<const T>(slope), Transpose::no, state.v, Transpose::no, du, Write::overwrite);
    unit_rows_vjp<B, T>(be, state.u, state.scale_u, du, da);
  }
  if (db) {
    gemm(be, View<const T>(slope), Transpose::yes, state.u, Transpose::no, du, Write::overwrite);
    unit_rows_vjp<B, T>(be, state.v, state.scale_v, du, db);
  }
}
} // namespace detail

/// Contrastive loss between z_m [n,d], the embedding of one modality, and z_pool [n,d], a single number [1]:
///   (1/2c) sum_i [-2 s_ii + log sum_j exp s_ij + log sum_j exp s_ji],  s_ij = cos(z_m,i, z_pool,j) /
///   temperature
/// over the c rows in which the modality is present (InfoNCE in both directions, van den Oord et al. 2018,
/// Radford et al. 2021). Absent rows are neither anchors nor negatives; their values are not read.
template <class T> struct InfoNce {
  double temperature = 0.1;
  View<const T> present; ///< [n], 0 where the modality is missing; empty: all present

  Shape shape(Shape a, Shape b) const {
    detail::check_pair("info nce", a, b, present.size(), static_cast<bool>(present), temperature);
    return {1};
  }
  Shape saved(Shape a, Shape) const { return detail::ContrastState<T>::shape(a); }
  template <Backend B> void fwd(B& be, View<const T> a, View<const T> b, View<T> y, View<T> kept) const {
    y.data[0] = static_cast<T>(
        detail::contrast<B, T>(be, a, b, present, temperature, detail::ContrastState<T>(kept, a.cols())));
  }
  template <Backend B>
  void vjp(B& be, View<const T> a, View<const T>, View<const T>, View<const T> kept, View<const T> dy,
           View<T> da, View<T> db) const {
    detail::contrast_vjp<B, T>(be, detail::ContrastState<const T>(kept, a.cols()), present, temperature,
                               static_cast<double>(dy.data[0]), da, db);
  }
};

/// Loss of known pairs z_a,i <-> z_b,i of two domains, [n,d] each, a single number [1]: the contrast of
/// `InfoNce`, whose negatives keep the batch from collapsing into a point, plus `attraction` times
///   A = sum_i |a_i - b_i|^2 / (V + 1e-6 Q),  V = sum_i |a_i - mean a|^2 + |b_i - mean b|^2,  Q = sum_i
///   |a_i|^2 + |b_i|^2,
/// the squared distance of partners relative to the spread of the batch: what the cosine does not see, and
/// like it unchanged by a common factor, so that nothing is gained by shrinking. A counts as 0 with fewer
/// than two pairs.
template <class T> struct PairLoss {
  double temperature = 0.1;
  double attraction = 1;
  View<const T> present; ///< [n], 0 where there is no pair; empty: all are pairs

  Shape shape(Shape a, Shape b) const {
    detail::check_pair("pair loss", a, b, present.size(), static_cast<bool>(present), temperature);
    if (!(attraction >= 0))
      throw ValueError(sbi::text("pair loss: attraction = ", attraction, "; want >= 0"));
    return {1};
  }
  Shape saved(Shape a, Shape) const { return detail::ContrastState<T>::shape(a); }
  template <Backend B> void fwd(B& be, View<const T> a, View<const T> b, View<T> y, View<T> kept) const {
    const double contrast =
        detail::contrast<B, T>(be, a, b, present, temperature, detail::ContrastState<T>(kept, a.cols()));
    const Spread s = spread(be, a, b);
    y.data[0] = static_cast<T>(contrast + attraction * s.ratio());
  }
  template <Backend B>
  void vjp(B& be, View<const T> a, View<const T> b, View<const T>, View<const T> kept, View<const T> dy,
           View<T> da, View<T> db) const {
    const double d = static_cast<double>(dy.data[0]);
    detail::contrast_vjp<B, T>(be, detail::ContrastState<const T>(kept, a.cols()), present, temperature, d,
                               da, db);
    const Spread s = spread(be, a, b);
    if (s.scale() == 0) return;
    const double factor = 2 * attraction * d / s.scale(), ratio = s.ratio();
    const auto one = [&](View<const T> self, View<const T> other, const T* mean, View<T> out) {
      for (index_t r = 0; r < self.rows(); ++r)
        if (detail::is_present(present, r))
          row_of(be, self.cols()).each([&](auto i) {
            using V = decltype(load(mean, i));
            const V z = load(self.row(r), i);
            const V slope = z - load(other.row(r), i) - V(ratio) * (V(1 + floor) * z - load(mean, i));
            add(out.row(r), i, V(factor) * slope);
          });
    };
    const ArenaScope scope(be.arena());
    if (da) one(a, b, mean_row(be, a, s.count), da);
    if (db) one(b, a, mean_row(be, b, s.count), db);
  }

private:
  static constexpr double floor = 1e-6;
  struct Spread {
    double distance = 0, variance = 0, square = 0;
    index_t count = 0;
    [[nodiscard]] double scale() const { return count < 2 ? 0 : variance + floor * square; }
    [[nodiscard]] double ratio() const { return scale() > 0 ? distance / scale() : 0; }
  };
  template <Backend B> [[nodiscard]] const T* mean_row(B& be, View<const T> z, index_t count) const {
    const View<T> mean(be.arena().template zeros<T>(z.cols()), {z.cols()});
    const auto row = row_of(be, z.cols());
    for (index_t r = 0; r < z.rows(); ++r)
      if (detail::is_present(present, r)) row.each([&](auto i) { add(mean.data, i, load(z.row(r), i)); });
    row.each([&](auto i) {
      store(mean.data, i,
            load(mean.data, i) * decltype(load(mean.data, i))(1.0 / static_cast<double>(count)));
    });
    return mean.data;
  }
  template <Backend B> [[nodiscard]] Spread spread(B& be, View<const T> a, View<const T> b) const {
    Spread s;
    s.count = detail::count_present(present, a.rows());
    if (s.count < 2) return s;
    const ArenaScope scope(be.arena());
    const T *mean_a = mean_row(be, a, s.count), *mean_b = mean_row(be, b, s.count);
    const auto row = row_of(be, a.cols());
    const auto distance = [&](const T* p, const T* q) {
      return static_cast<double>(row.sum([&](auto i) {
        const auto difference = load(p, i) - load(q, i);
        return difference * difference;
      }));
    };
    const auto square = [&](const T* p) {
      return static_cast<double>(row.sum([&](auto i) { return load(p, i) * load(p, i); }));
    };
    for (index_t r = 0; r < a.rows(); ++r)
      if (detail::is_present(present, r)) {
        s.distance += distance(a.row(r), b.row(r));
        s.variance += distance(a.row(r), mean_a) + distance(b.row(r), mean_b);
        s.square += square(a.row(r)) + square(b.row(r));
      }
    return s;
  }
};

} // namespace sbi::ops
