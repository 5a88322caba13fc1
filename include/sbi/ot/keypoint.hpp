// SPDX-License-Identifier: MIT
// Keypoint-guided transport (Gu, Yang, Zeng, Sun, Xu 2022, NeurIPS, "Keypoint-guided optimal transport"): a
// few pairs (i_u, j_u) are known to belong together, and every other point is described by how it relates to
// the keypoints of its own cloud. The clouds may lie in different spaces; only distances within each are
// read.
//
//   R_ku = softmax_u(-c(x_k, x_(i_u)) / tau),  S_lu = softmax_u(-c(y_l, y_(j_u)) / tau'),
//   G_kl = JS(R_k, S_l), the Jensen-Shannon divergence, in [0, log 2];
//   tau and tau' are the temperature times the largest such cost of their cloud.
//
// The plan has to join each keypoint with its partner alone, which leaves an ordinary problem between all
// other points with the cost G: no masks reach the solver.
#pragma once
#include <sbi/ot/sinkhorn.hpp>

#include <algorithm>
#include <span>
#include <vector>

namespace sbi::ot {

/// Point x of the first cloud and point y of the second belong together.
struct Keypoint {
  index_t x, y;
};

struct KeypointOptions {
  SinkhornOptions sinkhorn; ///< epsilon in units of G, that is of nats
  double temperature = 0.1;
  bool gradients = true;
};

template <class T> struct KeypointResult {
  double value = 0; ///< min <P, G> + eps KL(P | a x b) over the points that are no keypoints
  std::vector<index_t> rest_x, rest_y; ///< which those are
  Tensor<T> cost;                      ///< [rest x, rest y] G between them
  SinkhornResult<T> plan;              ///< their potentials; see `transport_plan`
  Tensor<T> dx, dy;                    ///< [n,d], [m,e] gradients of the value, keypoints included
  bool converged = false;
};

namespace detail {

/// How the points of one cloud relate to its keypoints.
template <class C, class T> class Relation {
public:
  /// `keys`: the keypoints, `rest`: the points to describe.
  Relation(const C& cost, View<const T> x, const std::vector<index_t>& keys, const std::vector<index_t>& rest,
           double temperature)
      : cost_(cost), x_(x), keys_(keys), rest_(rest),
        share_(Shape{static_cast<index_t>(rest.size()), static_cast<index_t>(keys.size())}) {
    const index_t u = share_.cols();
    double largest = 0;
    for (index_t k = 0; k < share_.rows(); ++k)
      for (index_t i = 0; i < u; ++i) {
        share_(k, i) = static_cast<double>(cost_(point(rest_[at(k)]), point(keys_[at(i)])));
        largest = std::max(largest, share_(k, i));
      }
    tau_ = largest > 0 ? temperature * largest : 1;
    entropy_.resize(rest.size());
    for (index_t k = 0; k < share_.rows(); ++k) {
      double* row = share_.row(k);
      const double least = *std::min_element(row, row + u); // of its own row: nothing underflows altogether
      double sum = 0;
      for (index_t i = 0; i < u; ++i) sum += row[i] = std::exp((least - row[i]) / tau_);
      for (index_t i = 0; i < u; ++i)
        row[i] /= sum, entropy_[at(k)] -= row[i] > 0 ? row[i] * std::log(row[i]) : 0;
    }
  }
  [[nodiscard]] const double* share(index_t k) const { return share_.row(k); }
  [[nodiscard]] double entropy(index_t k) const { return entropy_[at(k)]; }
  [[nodiscard]] index_t keys() const { return share_.cols(); }

  /// Chains d value / d share of row k to the points.
  void add_gradient(index_t k, const double* slope, Tensor<T>& dx) const {
    const double* r = share_.row(k);
    double mean = 0;
    for (index_t u = 0; u < keys(); ++u) mean += r[u] * slope[u];
    const index_t own = rest_[at(k)];
    for (index_t u = 0; u < keys(); ++u) {
      const T weight = static_cast<T>(-r[u] / tau_ * (slope[u] - mean));
      const index_t key = keys_[at(u)];
      const auto width = static_cast<std::size_t>(x_.cols());
      cost_.add_gradient(weight, point(own), point(key), std::span<T>(dx.row(own), width));
      cost_.add_gradient(weight, point(key), point(own), std::span<T>(dx.row(key), width));
    }
  }

private:
  static std::size_t at(index_t i) { return static_cast<std::size_t>(i); }
  [[nodiscard]] std::span<const T> point(index_t i) const {
    return {x_.row(i), static_cast<std::size_t>(x_.cols())};
  }
  const C& cost_;
  View<const T> x_;
  const std::vector<index_t>& keys_;
  const std::vector<index_t>& rest_;
  Tensor<double> share_;
  std::vector<double> entropy_;
  double tau_ = 1;
};

[[nodiscard]] inline std::vector<index_t> others(const std::vector<index_t>& keys, index_t n,
                                                 const char* cloud) {
  std::vector<char> taken(static_cast<std::size_t>(n), 0);
  for (std::size_t u = 0; u < keys.size(); ++u) {
    if (keys[u] < 0 || keys[u] >= n)
      throw ValueError(
          sbi::text("keypoints: keypoint ", u, " is point ", keys[u], " of ", cloud, "; want 0 to ", n - 1));
    if (taken[static_cast<std::size_t>(keys[u])]++)
      throw ValueError(sbi::text("keypoints: point ", keys[u], " of ", cloud, " is a keypoint twice"));
  }
  std::vector<index_t> out;
  for (index_t i = 0; i < n; ++i)
    if (!taken[static_cast<std::size_t>(i)]) out.push_back(i);
  return out;
}
} // namespace detail

/// Keypoint-guided transport of x [n, d] with weights a to y [m, e] with weights b (empty: uniform), guided
/// by two or more pairs. The ground cost is applied within each cloud. Gradients are those of the value by
/// the envelope theorem; tau counts as a constant. With finite prices the points that are no keypoints may be
/// reweighted. Throws ShapeError and ValueError for what `sinkhorn` refuses, for keypoints out of range,
/// repeated, fewer than two (one tells nothing apart) or all there are, and, as no plan exists then, for
/// partners of different weight.
template <class B, class C, class T = typename B::compute_t>
[[nodiscard]] KeypointResult<T>
keypoint_guided(const B& be, const C& cost, std::type_identity_t<View<const T>> x,
                std::type_identity_t<View<const T>> y, std::span<const Keypoint> keypoints,
                std::type_identity_t<std::span<const T>> a, std::type_identity_t<std::span<const T>> b,
                const KeypointOptions& options) {
  static_assert(Cost<C, T>,
                "sbi: a transport cost needs c(x, y) and add_gradient(weight, x, y, out) on spans");
  detail::check_points("keypoints", "x", x);
  detail::check_points("keypoints", "y", y);
  if (!(options.temperature > 0) || !is_finite(options.temperature))
    throw ValueError(sbi::text("keypoints: temperature = ", options.temperature, "; want > 0"));
  if (keypoints.size() < 2)
    throw ValueError(
        sbi::text("keypoints: ", keypoints.size(), " of them; want two or more, one tells nothing apart"));
  const Weights<T> wa("a", a, x.rows()), wb("b", b, y.rows());
  std::vector<index_t> of_x, of_y;
  for (const Keypoint& k : keypoints) of_x.push_back(k.x), of_y.push_back(k.y);
  KeypointResult<T> out;
  out.rest_x = detail::others(of_x, x.rows(), "x"), out.rest_y = detail::others(of_y, y.rows(), "y");
  if (out.rest_x.empty() || out.rest_y.empty())
    throw ValueError("keypoints: every point of a cloud is a keypoint; want others to couple");
  const double rounding = std::sqrt(static_cast<double>(std::numeric_limits<T>::epsilon()));
  for (std::size_t u = 0; u < keypoints.size(); ++u) {
    const double p = wa.value[static_cast<std::size_t>(of_x[u])],
                 q = wb.value[static_cast<std::size_t>(of_y[u])];
    if (std::abs(p - q) > rounding * std::max(p, q))
      throw ValueError(sbi::text("keypoints: keypoint ", u, " weighs ", p, " in x and ", q,
                                 " in y; want equal weights, no plan joins them otherwise"));
  }
  const auto weights = [](const Weights<T>& w, const std::vector<index_t>& rest) {
    std::vector<T> of;
    for (index_t i : rest) of.push_back(static_cast<T>(w.value[static_cast<std::size_t>(i)]));
    return of;
  };
  const std::vector<T> p = weights(wa, out.rest_x), q = weights(wb, out.rest_y);

  const detail::Relation<C, T> r(cost, x, of_x, out.rest_x, options.temperature),
      s(cost, y, of_y, out.rest_y, options.temperature);
  const index_t n = static_cast<index_t>(p.size()), m = static_cast<index_t>(q.size()), keys = r.keys();
  out.cost = Tensor<T>(Shape{n, m});
  detail::for_each_row(be, n, [&](index_t i) {
    for (index_t j = 0; j < m; ++j) {
      double mixed = 0; // the entropy of the mean of both
      for (index_t u = 0; u < keys; ++u) {
        const double mean = (r.share(i)[u] + s.share(j)[u]) / 2;
        mixed -= mean > 0 ? mean * std::log(mean) : 0;
      }
      out.cost(i, j) = static_cast<T>(std::max(0.0, mixed - (r.entropy(i) + s.entropy(j)) / 2));
    }
  });
  out.plan = sinkhorn(be, out.cost.view(), p, q, options.sinkhorn);
  out.value = out.plan.value, out.converged = out.plan.converged;
  if (!options.gradients) return out;

  const Tensor<T> plan = transport_plan(be, out.cost.view(), p, q, out.plan, options.sinkhorn.epsilon);
  // dJS/dR_u = log(R_u / m_u) / 2; a share of 0 moves nothing, whatever its slope.
  const auto slope = [](double share, double other) {
    return share > 0 ? std::log(2 * share / (share + other)) / 2 : 0.0;
  };
  out.dx = Tensor<T>(x.shape), out.dy = Tensor<T>(y.shape);
  std::vector<double> left(static_cast<std::size_t>(keys)), right(static_cast<std::size_t>(m * keys), 0);
  for (index_t i = 0; i < n; ++i) {
    std::fill(left.begin(), left.end(), 0.0);
    for (index_t j = 0; j < m; ++j) {
      const double w = static_cast<double>(plan(i, j));
      if (w == 0) continue;
      for (index_t u = 0; u < keys; ++u) {
        left[static_cast<std::size_t>(u)] += w * slope(r.share(i)[u], s.share(j)[u]);
        right[static_cast<std::size_t>(j * keys + u)] += w * slope(s.share(j)[u], r.share(i)[u]);
      }
    }
    r.add_gradient(i, left.data(), out.dx);
  }
  for (index_t j = 0; j < m; ++j) s.add_gradient(j, right.data() + j * keys, out.dy);
  return out;
}

} // namespace sbi::ot
