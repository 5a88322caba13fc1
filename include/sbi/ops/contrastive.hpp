// SPDX-License-Identifier: MIT
// Losses that tell the rows of a batch apart: each row's partner is the same row of the other input, all
// other rows are its negatives. Embeddings are compared by the cosine, so that no loss falls by a change of
// their scale.
#pragma once
#include <sbi/autodiff/tape.hpp>
#include <sbi/backend/rows.hpp>
#include <sbi/ops/contrast_pairs.hpp>

namespace sbi::ops {

namespace detail {
template <class T>
void check_pair(const char* who, Shape a, Shape b, View<const T> present, double temperature) {
  if (a.rank() != 2 || !(a == b))
    throw ShapeError(sbi::text(who, ": the embeddings are ", a, " and ", b, "; want [n,d] twice"));
  if (present && (present.size() != a.rows() || !present.contiguous()))
    throw ShapeError(sbi::text(who, ": the mask is ", present.shape, " with rows ", present.row_stride,
                               " apart for embeddings ", a, "; want [", a.rows(), "] without gaps"));
  if (!(temperature > 0)) throw ValueError(sbi::text(who, ": temperature = ", temperature, "; want > 0"));
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
    detail::check_pair("info nce", a, b, present, temperature);
    return {1};
  }
  Shape saved(Shape a, Shape) const { return detail::ContrastState<T>::shape(a); }
  template <Backend B> void fwd(B& be, View<const T> a, View<const T> b, View<T> y, View<T> kept) const {
    y.data[0] = static_cast<T>(
        detail::contrast<B, T>(be, a, b, present, temperature, detail::ContrastState<T>(kept, a.shape)));
  }
  template <Backend B>
  void vjp(B& be, View<const T> a, View<const T>, View<const T>, View<const T> kept, View<const T> dy,
           View<T> da, View<T> db) const {
    detail::contrast_vjp<B, T>(be, detail::ContrastState<const T>(kept, a.shape), present, temperature,
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
    detail::check_pair("pair loss", a, b, present, temperature);
    if (!(attraction >= 0))
      throw ValueError(sbi::text("pair loss: attraction = ", attraction, "; want >= 0"));
    return {1};
  }
  Shape saved(Shape a, Shape) const { return detail::ContrastState<T>::shape(a); }
  template <Backend B> void fwd(B& be, View<const T> a, View<const T> b, View<T> y, View<T> kept) const {
    const double contrast =
        detail::contrast<B, T>(be, a, b, present, temperature, detail::ContrastState<T>(kept, a.shape));
    const Spread s = spread(be, a, b);
    y.data[0] = static_cast<T>(contrast + attraction * s.ratio());
  }
  template <Backend B>
  void vjp(B& be, View<const T> a, View<const T> b, View<const T>, View<const T> kept, View<const T> dy,
           View<T> da, View<T> db) const {
    const double d = static_cast<double>(dy.data[0]);
    detail::contrast_vjp<B, T>(be, detail::ContrastState<const T>(kept, a.shape), present, temperature, d, da,
                               db);
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
