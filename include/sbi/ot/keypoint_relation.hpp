// SPDX-License-Identifier: MIT
// What keypoint-guided transport is made of: the pairs with the weights of both clouds, and how the points of
// a cloud relate to its keypoints.
#pragma once
#include <sbi/ot/cost_gradient.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

namespace sbi::ot {

/// Point x of the first cloud and point y of the second belong together.
struct Keypoint {
  index_t x, y;
};

/// What to do with partners of different weight, which no plan joins: refuse them, or give both the smaller
/// weight and scale the other points of their clouds so that the clouds' masses stay.
enum class PartnerWeights { refuse, common };

namespace detail {

/// Weights divided between keypoints, whose mass is known to go to their partners, and the rest.
template <class T> struct KeypointWeights {
  std::vector<index_t> key_x, key_y, rest_x, rest_y;
  std::vector<double> weight; ///< of each pair
  std::vector<T> rest_a, rest_b;
  double key_mass = 0, rest_mass_a = 0, rest_mass_b = 0;

  /// `balanced`: all of both clouds is to move.
  KeypointWeights(std::span<const Keypoint> keypoints, const Weights<T>& a, Weights<T> b,
                  PartnerWeights partners, bool balanced) {
    for (const Keypoint& k : keypoints) key_x.push_back(k.x), key_y.push_back(k.y);
    rest_x = others(key_x, static_cast<index_t>(a.value.size()), "x");
    rest_y = others(key_y, static_cast<index_t>(b.value.size()), "y");
    if (rest_x.empty() || rest_y.empty())
      throw ValueError("keypoints: every point of a cloud is a keypoint; want others to couple");
    if (balanced) balance("keypoints", a, b);
    const double rounding = std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon()));
    for (std::size_t u = 0; u < keypoints.size(); ++u) {
      const double p = of(a, key_x[u]), q = of(b, key_y[u]);
      if (partners == PartnerWeights::refuse && std::abs(p - q) > rounding * std::max(p, q))
        throw ValueError(sbi::text("keypoints: keypoint ", u, " weighs ", p, " in x and ", q,
                                   " in y; want equal weights, no plan joins them otherwise"));
      weight.push_back(partners == PartnerWeights::common ? std::min(p, q) : p);
      key_mass += weight.back();
    }
    const bool keep = partners == PartnerWeights::common;
    rest_a = rest(a, rest_x, "x", keep ? a.mass - key_mass : 0, rest_mass_a);
    rest_b = rest(b, rest_y, "y", balanced ? rest_mass_a : keep ? b.mass - key_mass : 0, rest_mass_b);
  }

private:
  static double of(const Weights<T>& w, index_t i) { return w.value[static_cast<std::size_t>(i)]; }
  static std::vector<index_t> others(const std::vector<index_t>& keys, index_t n, const char* cloud) {
    std::vector<char> taken(static_cast<std::size_t>(n), 0);
    for (std::size_t u = 0; u < keys.size(); ++u) {
      if (keys[u] < 0 || keys[u] >= n)
        throw ValueError(sbi::text("keypoints: keypoint ", u, " is point ", keys[u], " of ", cloud,
                                   "; want 0 to ", n - 1));
      if (taken[static_cast<std::size_t>(keys[u])]++)
        throw ValueError(sbi::text("keypoints: point ", keys[u], " of ", cloud, " is a keypoint twice"));
    }
    std::vector<index_t> out;
    for (index_t i = 0; i < n; ++i)
      if (!taken[static_cast<std::size_t>(i)]) out.push_back(i);
    return out;
  }
  /// The weights of these points, scaled to a mass where one is given.
  static std::vector<T> rest(const Weights<T>& w, const std::vector<index_t>& points, const char* cloud,
                             double wanted, double& mass) {
    mass = 0;
    for (index_t i : points) mass += of(w, i);
    if (!(mass > 0))
      throw ValueError(
          sbi::text("keypoints: the points of ", cloud, " that are no keypoints weigh ", mass, "; want > 0"));
    const double factor = wanted > 0 ? wanted / mass : 1;
    mass *= factor;
    std::vector<T> out;
    for (index_t i : points) out.push_back(static_cast<T>(factor * of(w, i)));
    return out;
  }
};

/// R_iu = softmax_u(-c(x_i, x_(key u)) / tau) of every point i of a cloud.
template <class C, class T> class Relation {
public:
  Relation(const C& cost, View<const T> x, const std::vector<index_t>& keys, double tau)
      : cost_(cost), x_(x), keys_(keys), share_(Shape{x.rows(), static_cast<index_t>(keys.size())}),
        entropy_(static_cast<std::size_t>(x.rows()), 0), tau_(tau) {
    const index_t u = share_.cols();
    for (index_t k = 0; k < share_.rows(); ++k) {
      double* row = share_.row(k);
      for (index_t i = 0; i < u; ++i) row[i] = between(cost, x, k, keys[static_cast<std::size_t>(i)]);
      const double least = *std::min_element(row, row + u); // of its own row: nothing underflows altogether
      double sum = 0;
      for (index_t i = 0; i < u; ++i) sum += row[i] = std::exp((least - row[i]) / tau_);
      for (index_t i = 0; i < u; ++i)
        row[i] /= sum, entropy_[static_cast<std::size_t>(k)] -= row[i] > 0 ? row[i] * std::log(row[i]) : 0;
    }
  }
  /// The largest cost of one of the points `rest` to a keypoint.
  [[nodiscard]] static double largest(const C& cost, View<const T> x, const std::vector<index_t>& keys,
                                      const std::vector<index_t>& rest) {
    double out = 0;
    for (index_t i : rest)
      for (index_t key : keys) out = std::max(out, between(cost, x, i, key));
    return out;
  }
  [[nodiscard]] index_t points() const { return share_.rows(); }
  [[nodiscard]] index_t keys() const { return share_.cols(); }

  /// The Jensen-Shannon divergence of the relations of a point here and one there, in [0, log 2].
  [[nodiscard]] double divergence(index_t i, const Relation& other, index_t j) const {
    const double *r = share_.row(i), *s = other.share_.row(j);
    double mixed = 0; // the entropy of the mean of both
    for (index_t u = 0; u < keys(); ++u) {
      const double mean = (r[u] + s[u]) / 2;
      mixed -= mean > 0 ? mean * std::log(mean) : 0;
    }
    return std::max(
        0.0,
        mixed - (entropy_[static_cast<std::size_t>(i)] + other.entropy_[static_cast<std::size_t>(j)]) / 2);
  }
  /// dx += d/dx sum_ij weight_ij divergence(i, other, j), tau held.
  template <class B>
  void add_gradient(const B& be, const Relation& other, View<const T> weight, Tensor<T>& dx) const {
    Tensor<double> slope(share_.shape()); // in the shares, d JS / d R_u = log(R_u / mean_u) / 2
    for_each_row(be, points(), [&](index_t i) {
      const double* r = share_.row(i);
      double* to = slope.row(i);
      for (index_t j = 0; j < other.points(); ++j) {
        const double w = static_cast<double>(weight(i, j));
        if (w == 0) continue;
        const double* s = other.share_.row(j);
        for (index_t u = 0; u < keys(); ++u) // a share of 0 moves nothing, whatever its slope
          if (r[u] > 0) to[u] += w * std::log(2 * r[u] / (r[u] + s[u])) / 2;
      }
    });
    for (index_t i = 0; i < points(); ++i) {
      const double *r = share_.row(i), *by = slope.row(i);
      const double mean = std::inner_product(r, r + keys(), by, 0.0);
      for (index_t u = 0; u < keys(); ++u) {
        const T w = static_cast<T>(-r[u] / tau_ * (by[u] - mean));
        const index_t key = keys_[static_cast<std::size_t>(u)];
        if (w == 0 || key == i) continue;
        cost_.add_gradient(w, point(x_, i), point(x_, key), point(dx, i));
        cost_.add_gradient(w, point(x_, key), point(x_, i), point(dx, key));
      }
    }
  }

private:
  static double between(const C& cost, View<const T> x, index_t i, index_t k) {
    return static_cast<double>(cost(point(x, i), point(x, k)));
  }
  const C& cost_;
  View<const T> x_;
  const std::vector<index_t>& keys_;
  Tensor<double> share_;
  std::vector<double> entropy_;
  double tau_;
};

} // namespace detail
} // namespace sbi::ot
