// SPDX-License-Identifier: MIT
// The problem of barycentres of spaces: its input, its options, its plans and its entries.
#pragma once
#include <sbi/ot/fused.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace sbi::ot {

/// The u for which f1'(u) / h1'(u) is the given value: the entry of a barycentre. One for each loss; another
/// loss brings its own, found by its arguments.
[[nodiscard]] inline double barycentre_entry(const SquareLoss&, double mean) { return mean / 2; }
[[nodiscard]] inline double barycentre_entry(const KullbackLeiblerLoss& loss, double mean) {
  return std::exp(mean) - loss.shift;
}

template <class L>
concept BarycentreLoss = DistortionLoss<L> && requires(const L& loss, double mean) {
  { barycentre_entry(loss, mean) } -> std::convertible_to<double>;
};

/// One of the spaces to average: costs [n, n], weights [n] (empty: uniform; scaled to sum 1), features [n, d]
/// (all spaces or none) and its share of the mean. Shares are scaled to sum 1; a space of share 0 plays no
/// part.
template <class T> struct GromovSpace {
  View<const T> cost;
  std::span<const T> weights;
  View<const T> features;
  double share = 1;
};

/// How plans between the barycentre and a space are found; the entropic ones belong to the objective with
/// eps KL(T | p x p_s).
enum class GromovPlans { exact, entropic, proximal };

struct GromovBarycentreOptions {
  GromovPlans plans = GromovPlans::exact;
  FusedOptions fused;       ///< of the plans; alpha counts with features alone
  double tolerance = 1e-8;  ///< of the objective's relative fall in one round
  int max_iterations = 100; ///< rounds of plans and entries of the best start
  int trial_iterations = 3; ///< rounds after which the best start is chosen
  /// Starts where none is given: each the image of one of the spaces, in turn, under a plan that pairs points
  /// at random.
  int starts = 4;
  std::uint64_t seed = 1;
};

namespace detail {

template <class B, class T, BarycentreLoss L> class GromovBarycentreProblem {
public:
  struct State {
    Tensor<T> cost, features;
    std::vector<Tensor<T>> plans;
    /// Of all these, once there are plans, and its share-free parts by space.
    double objective = std::numeric_limits<double>::infinity();
    std::vector<double> parts;
    double size = 0; ///< of the terms that cancel in the objective
    int iterations = 0;
    bool inner = false;
  };

  GromovBarycentreProblem(const B& be, std::span<const GromovSpace<T>> spaces, index_t size,
                          std::span<const T> p, const GromovBarycentreOptions& options, const L& loss)
      : be_(be), spaces_(spaces), o_(options), loss_(loss), target_("p", p, size) {
    double sum = 0;
    for (std::size_t s = 0; s < spaces.size(); ++s) {
      const GromovSpace<T>& space = spaces[s];
      if (!is_finite(space.share) || space.share < 0)
        throw ValueError(
            sbi::text("gromov barycentre: share ", s, " = ", space.share, "; want >= 0 and finite"));
      check_within(sbi::text("space ", s, ": C").c_str(), space.cost, loss.least());
      weights_.emplace_back("of a space", space.weights, space.cost.rows());
      weights_.back().scale(1 / weights_.back().mass);
      const View<const T> features = space.features, front = spaces[0].features;
      if (features) check_points("gromov barycentre", "features", features);
      if (static_cast<bool>(features) != static_cast<bool>(front) ||
          (features && (features.rows() != space.cost.rows() || features.cols() != front.cols())))
        throw ShapeError(sbi::text("gromov barycentre: features ", s, " are ", features.shape, "; want [",
                                   space.cost.rows(), ",d] for every space or none"));
      sum += space.share;
    }
    if (!(sum > 0))
      throw ValueError(sbi::text("gromov barycentre: the shares of ", spaces.size(), " spaces sum to ", sum,
                                 "; want > 0"));
    for (const GromovSpace<T>& space : spaces) share_.push_back(space.share / sum);
    target_.scale(1 / target_.mass);
    for (std::size_t i = 0; i < target_.value.size(); ++i)
      if (!(target_.value[i] > 0)) // its costs would be nobody's mean
        throw ValueError(
            sbi::text("gromov barycentre: weight p[", i, "] = ", target_.value[i], "; want > 0"));
    p_.assign(target_.value.begin(), target_.value.end());
    if (options.max_iterations < 1 || options.trial_iterations < 1 || options.starts < 1)
      throw ValueError(sbi::text("gromov barycentre: ", options.max_iterations, " iterations, ",
                                 options.trial_iterations, " of a trial, ", options.starts,
                                 " starts; want at least 1"));
    if (!(options.tolerance >= 0))
      throw ValueError(sbi::text("gromov barycentre: tolerance = ", options.tolerance, "; want >= 0"));
  }

  /// The image of a space under a plan that pairs points at random.
  [[nodiscard]] State start(int k) const {
    std::vector<std::size_t> some;
    for (std::size_t s = 0; s < share_.size(); ++s)
      if (share_[s] > 0) some.push_back(s);
    const std::size_t s = some[static_cast<std::size_t>(k) % some.size()];
    Rng rng(o_.seed, static_cast<std::uint64_t>(k));
    std::vector<index_t> rows(target_.value.size()), columns(weights_[s].value.size());
    std::iota(rows.begin(), rows.end(), 0), std::iota(columns.begin(), columns.end(), 0);
    shuffle(rng, rows), shuffle(rng, columns);
    State out;
    out.plans.resize(share_.size());
    out.plans[s] = in_order<T>(target_.value, weights_[s].value, rows, columns);
    entries(out);
    return out;
  }
  /// From given costs; without features the first round's plans are those of the costs alone.
  [[nodiscard]] State start(View<const T> cost, View<const T> features) const {
    const auto n = static_cast<index_t>(p_.size());
    check_within("start", cost, loss_.least());
    const bool wanted = static_cast<bool>(spaces_[0].features);
    if (cost.rows() != n)
      throw ShapeError(sbi::text("gromov barycentre: start is ", cost.shape, "; want [", n, ",", n, "]"));
    if (features) check_points("gromov barycentre", "start's features", features);
    if (features && (!wanted || features.rows() != n || features.cols() != spaces_[0].features.cols()))
      throw ShapeError(sbi::text("gromov barycentre: start's features are ", features.shape,
                                 "; want none or [", n, ",d] as the spaces'"));
    State out;
    out.cost = copied(cost);
    if (features) out.features = copied(features);
    out.plans.resize(share_.size());
    return out;
  }

  /// Plans, from the state's or, if asked for, from new starts where these are better; then the entries.
  /// Gives the objective's fall.
  double round(State& s, bool anew) const {
    const double before = s.objective;
    s.inner = true;
    for (std::size_t k = 0; k < share_.size(); ++k) {
      if (share_[k] == 0) continue;
      const Tensor<T> between = distances(s, spaces_[k]);
      FusedResult<T> found;
      if (is_finite(before)) found = solve(between, s, k, s.plans[k].view());
      if (!is_finite(before) || anew) {
        FusedResult<T> other = solve(between, s, k, {});
        if (!is_finite(before) || other.objective < found.objective) found = std::move(other);
      }
      s.inner = s.inner && found.converged;
      // Proximal points leave a plan with zeros by way of a worse one.
      if (!is_finite(before) || found.objective < s.parts[k]) s.plans[k] = std::move(found.plan);
    }
    entries(s);
    measure(s);
    ++s.iterations;
    return before - s.objective;
  }
  [[nodiscard]] bool negligible(double fall, const State& s) const {
    return fall <= std::max(o_.fused.absolute_tolerance,
                            std::max(o_.tolerance * std::abs(s.objective),
                                     64 * static_cast<double>(std::numeric_limits<T>::epsilon()) * s.size));
  }

private:
  [[nodiscard]] FusedResult<T> solve(const Tensor<T>& between, const State& s, std::size_t k,
                                     View<const T> start) const {
    FusedOptions run = o_.fused;
    run.gradients = false;
    const View<const T> cost = between.size() > 0 ? between.view() : View<const T>();
    const std::vector<T> weights(weights_[k].value.begin(), weights_[k].value.end());
    switch (o_.plans) {
    case GromovPlans::exact:
      return exact_fused(be_, cost, s.cost.view(), spaces_[k].cost, p_, weights, run, loss_, start);
    case GromovPlans::entropic:
      return entropic_fused(be_, cost, s.cost.view(), spaces_[k].cost, p_, weights, run, loss_, start);
    default:
      return proximal_fused(be_, cost, s.cost.view(), spaces_[k].cost, p_, weights, run, loss_, start);
    }
  }
  /// |Y_i - Y_s,j|^2, empty without features.
  [[nodiscard]] Tensor<T> distances(const State& s, const GromovSpace<T>& space) const {
    if (s.features.size() == 0) return {};
    return cost_matrix(be_, SquaredEuclidean{}, s.features.view(), space.features);
  }
  /// The entries that are best for the state's plans.
  void entries(State& s) const {
    const auto n = static_cast<index_t>(p_.size());
    const bool featured = static_cast<bool>(spaces_[0].features);
    Tensor<double> mean(Shape{n, n}), mass(mean.shape()),
        features(Shape{n, featured ? spaces_[0].features.cols() : 0});
    std::vector<double> weight(p_.size(), 0);
    for (std::size_t k = 0; k < share_.size(); ++k) {
      if (s.plans[k].size() == 0) continue;
      const View<const T> plan = std::as_const(s.plans[k]).view(), cost = spaces_[k].cost;
      Tensor<T> h(cost.shape), half(plan.shape), whole(Shape{n, n});
      for (index_t i = 0; i < cost.rows(); ++i)
        for (index_t j = 0; j < cost.cols(); ++j)
          h(i, j) = static_cast<T>(loss_.h2(static_cast<double>(cost(i, j))));
      parallel_gemm<B, T>(be_, plan, Transpose::no, h.view(), Transpose::no, half.view(), Write::overwrite);
      parallel_gemm<B, T>(be_, half.view(), Transpose::no, plan, Transpose::yes, whole.view(),
                          Write::overwrite);
      const Marginals of(be_, plan);
      const std::vector<double>& rows = of.rows;
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j) {
          mean(i, j) += share_[k] * static_cast<double>(whole(i, j));
          mass(i, j) += share_[k] * rows[static_cast<std::size_t>(i)] * rows[static_cast<std::size_t>(j)];
        }
      if (!featured) continue;
      for (std::size_t i = 0; i < rows.size(); ++i) weight[i] += share_[k] * rows[i];
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < plan.cols(); ++j)
          for (index_t c = 0; c < features.cols(); ++c)
            features(i, c) +=
                share_[k] * static_cast<double>(plan(i, j)) * static_cast<double>(spaces_[k].features(j, c));
    }
    s.cost = Tensor<T>(Shape{n, n});
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < n; ++j)
        s.cost(i, j) = static_cast<T>(barycentre_entry(loss_, mean(i, j) / mass(i, j)));
    if (!featured) return;
    s.features = Tensor<T>(Shape{n, features.cols()});
    for (index_t i = 0; i < n; ++i)
      for (index_t c = 0; c < features.cols(); ++c)
        s.features(i, c) = static_cast<T>(features(i, c) / weight[static_cast<std::size_t>(i)]);
  }
  /// The objective of the state's plans, costs and features.
  void measure(State& s) const {
    s.parts.assign(share_.size(), 0);
    s.objective = s.size = 0;
    for (std::size_t k = 0; k < share_.size(); ++k) {
      if (share_[k] == 0) continue;
      const View<const T> plan = std::as_const(s.plans[k]).view();
      const Tensor<T> between = distances(s, spaces_[k]);
      const double alpha = between.size() > 0 ? o_.fused.alpha : 1;
      const LossRowsOf<T, L> rows(loss_);
      const Distortion<B, T> energy(be_, s.cost.view(), spaces_[k].cost, rows);
      Tensor<T> interaction;
      energy.interaction(plan, interaction);
      double& part = s.parts[k];
      part = alpha * energy.value(plan, interaction);
      if (between.size() > 0) part += (1 - alpha) * inner<T>(be_, between.view(), plan);
      if (o_.plans == GromovPlans::entropic)
        part += o_.fused.sinkhorn.epsilon * plan_entropy(be_, plan, target_.value, weights_[k].value, true);
      s.objective += share_[k] * part;
      s.size += share_[k] * energy.size(target_.value, weights_[k].value);
    }
  }

  const B& be_;
  std::span<const GromovSpace<T>> spaces_;
  const GromovBarycentreOptions& o_;
  L loss_;
  Weights<T> target_;
  std::vector<Weights<T>> weights_;
  std::vector<double> share_;
  std::vector<T> p_;
};
} // namespace detail

} // namespace sbi::ot
