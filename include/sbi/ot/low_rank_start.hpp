// SPDX-License-Identifier: MIT
// Where low-rank transport begins: each cloud is cut into as many clusters as the plan has ranks (k-means),
// the clusters of one cloud are matched with those of the other, and points belong softly to clusters near
// them.
#pragma once
#include <sbi/core/rng.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/low_rank_projection.hpp>

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace sbi::ot::detail {

template <class T> struct Clusters {
  Tensor<T> centres;          ///< [r,d]; fewer rows than wanted where there are fewer distinct points
  std::vector<T> mass;        ///< [r]
  std::vector<index_t> label; ///< [n]
  std::vector<T> distance;    ///< [n] |x_i - its centre|^2
  double within = 0;          ///< mean of the distance
};

/// Lloyd's algorithm on a weighted cloud.
template <class B, class T> class KMeans {
public:
  KMeans(const B& be, View<const T> x, const Weights<T>& a)
      : be_(be), x_(x), a_(a), label_(a.value.size(), 0), distance_(a.value.size()) {}

  /// `rank` clusters from centres that are drawn with a chance proportional to the squared distance to those
  /// before (Arthur, Vassilvitskii 2007), the best of a few draws each.
  [[nodiscard]] Clusters<T> operator()(index_t rank, Rng rng) {
    constexpr int draws = 4, rounds = 25;
    const index_t n = x_.rows(), d = x_.cols();
    Tensor<T> centres(Shape{rank, d});
    std::vector<T> nearest(a_.value.size(), std::numeric_limits<T>::max()), trial(nearest.size()),
        best(nearest.size());
    index_t found = 0;
    for (; found < rank; ++found) {
      const std::vector<double> chance = cumulative(found == 0 ? std::vector<T>(nearest.size(), 1) : nearest);
      if (!(chance.back() > 0)) break; // every point is a centre
      double least = std::numeric_limits<double>::max();
      for (int draw = 0; draw < draws; ++draw) {
        const auto at = std::upper_bound(chance.begin(), chance.end(), chance.back() * rng.uniform());
        const index_t i = std::min<index_t>(at - chance.begin(), n - 1);
        const double rest = closer(i, nearest, trial);
        if (rest < least) least = rest, best = trial, std::copy_n(x_.row(i), d, centres.row(found));
      }
      nearest = best;
    }
    Clusters<T> out;
    out.centres = Tensor<T>(Shape{found, d});
    std::copy_n(centres.data(), found * d, out.centres.data());
    for (int round = 0; round < rounds && assign(out.centres); ++round) move(out.centres);
    Column mass = chunk_sums(be_, n, found + 1, [&](index_t first, index_t count, double* sum) {
      for (index_t i = first; i < first + count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        sum[label_[at]] += a_.value[at], sum[found] += a_.value[at] * static_cast<double>(distance_[at]);
      }
    });
    out.within = mass.back();
    mass.pop_back();
    out.mass = rounded<T>(mass);
    out.label = label_, out.distance = distance_;
    return out;
  }

private:
  [[nodiscard]] std::vector<double> cumulative(const std::vector<T>& distance) const {
    std::vector<double> out(distance.size());
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = sum += a_.value[i] * static_cast<double>(distance[i]);
    return out;
  }
  /// The smaller of `nearest` and the distance to point k, and its weighted sum.
  double closer(index_t k, const std::vector<T>& nearest, std::vector<T>& out) const {
    const auto d = static_cast<std::size_t>(x_.cols());
    return chunk_sums(be_, x_.rows(), 1, [&](index_t first, index_t count, double* sum) {
      for (index_t i = first; i < first + count; ++i) {
        const auto at = static_cast<std::size_t>(i);
        out[at] = std::min(nearest[at], squared_distance(std::span<const T>(x_.row(i), d),
                                                         std::span<const T>(x_.row(k), d)));
        *sum += a_.value[at] * static_cast<double>(out[at]);
      }
    })[0];
  }
  /// Labels the points by the nearest centre; whether any label has changed.
  bool assign(const Tensor<T>& centres) {
    const index_t r = centres.rows();
    const Tensor<T> panels = column_panels<T>(centres.view());
    return chunk_sums(be_, x_.rows(), 1, [&](index_t first, index_t count, double* changes) {
             const ArenaScope scope(be_.arena());
             const View<T> distances(be_.arena().template array<T>(count * r), Shape{count, r});
             squared_distances(x_.row_block(first, count), panels, distances);
             for (index_t i = first; i < first + count; ++i) {
               const auto at = static_cast<std::size_t>(i);
               const T* to = distances.row(i - first);
               const index_t nearest = std::min_element(to, to + r) - to;
               if (nearest != label_[at]) ++*changes;
               label_[at] = nearest, distance_[at] = to[nearest];
             }
           })[0] > 0;
  }
  /// Centres become the means of their points; one that has none stays.
  void move(Tensor<T>& centres) const {
    const index_t d = x_.cols(), width = d + 1;
    const Column sums =
        chunk_sums(be_, x_.rows(), centres.rows() * width, [&](index_t first, index_t count, double* sum) {
          for (index_t i = first; i < first + count; ++i) {
            const auto at = static_cast<std::size_t>(i);
            double* of = sum + label_[at] * width;
            for (index_t k = 0; k < d; ++k) of[k] += a_.value[at] * static_cast<double>(x_(i, k));
            of[d] += a_.value[at];
          }
        });
    for (index_t c = 0; c < centres.rows(); ++c)
      if (const double* of = sums.data() + c * width; of[d] > 0)
        for (index_t k = 0; k < d; ++k) centres(c, k) = static_cast<T>(of[k] / of[d]);
  }

  const B& be_;
  View<const T> x_;
  const Weights<T>& a_;
  std::vector<index_t> label_;
  std::vector<T> distance_;
};

/// The assignment of r rows to r columns of least total cost.
template <class T> [[nodiscard]] std::vector<index_t> assignment(View<const T> cost) {
  std::vector<index_t> out(static_cast<std::size_t>(cost.rows()), 0);
  // Its vertices are permutations: what rounding leaves beside them weighs nothing.
  for (const Shipment& s : exact_transport(cost, {}, {}).plan)
    if (2 * s.mass * static_cast<double>(cost.rows()) > 1) out[static_cast<std::size_t>(s.from)] = s.to;
  return out;
}

/// -|x_i - c_k|^2 / temperature for the centres in the given order: [n,r].
template <class B, class T>
[[nodiscard]] Tensor<T> soft_labels(const B& be, View<const T> x, const Tensor<T>& centres,
                                    const std::vector<index_t>& order, double temperature) {
  Tensor<T> ordered(centres.shape());
  for (index_t k = 0; k < centres.rows(); ++k)
    std::copy_n(centres.row(order[static_cast<std::size_t>(k)]), centres.cols(), ordered.row(k));
  Tensor<T> out = cost_matrix(be, SquaredEuclidean{}, x, ordered.view());
  for (T& v : out) v = static_cast<T>(-static_cast<double>(v) / temperature);
  return out;
}

template <class T> [[nodiscard]] Tensor<T> random_labels(index_t rows, index_t rank, Rng rng) {
  Tensor<T> out(Shape{rows, rank});
  for (T& v : out) v = static_cast<T>(rng.normal());
  return out;
}

} // namespace sbi::ot::detail
