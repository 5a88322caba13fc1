// SPDX-License-Identifier: MIT
// Isochrones interpolated in log age and metallicity at fixed evolutionary phase. Interpolating at fixed
// initial mass instead would mix a turn-off star of one age with a giant of the next: the phases move in
// mass, the curve does not.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/evolution_range.hpp>
#include <sbi/forward/isochrone_curve.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace sbi::forward {

/// A table of isochrones on a rectangle of metallicities and ages; satisfies `Evolution`.
///
/// The phase coordinate p of a point is k + f in stretch k (the order of `Phase`), f in [0, 1] the arc length
/// since its landmark over that of the whole stretch, with ds^2 = dlog_l^2 + (8 dlog_teff)^2 + (2
/// dlog_mass)^2. Every isochrone is tabulated at the same p, so the isochrone of any age and metallicity is
/// the bilinear combination of its four neighbours, in log mass too: mass then grows with p, and the p of a
/// given initial mass is found by bisection.
///
/// In the first stretch of young isochrones p = 0.3 is the arrival on the main sequence (`arrival_log_mass`)
/// wherever that lies beyond 0.3 of the arc. Without it, a contracting star of one age would be mixed with a
/// hydrogen-burning one of the next: PARSEC isochrones of 10^6.35 to 10^7 years predicted from neighbours at
/// twice the spacing would then be wrong by 0.15 in log L and 0.05 in log T_eff around the knee (95 % of the
/// points); with it they are by 0.04 and 0.01.
class Isochrones {
public:
  static constexpr bool has_age = true;

  /// mh and log_ages: increasing; an axis of one value covers that value only. curve(i, j) gives the
  /// std::vector<IsochronePoint> of mh[i] and log_ages[j] in order of mass. Two ages further apart than
  /// `largest_age_step` [dex] are not interpolated between. Throws ValueError for axes that are empty or do
  /// not increase, masses that decrease or a value that is not finite, naming the curve.
  template <class Curve>
  Isochrones(std::vector<double> mh, std::vector<double> log_ages, Curve&& curve,
             double largest_age_step = std::numeric_limits<double>::max())
      : mh_(std::move(mh)), log_ages_(std::move(log_ages)), largest_age_step_(largest_age_step) {
    for (const auto* axis : {&mh_, &log_ages_})
      if (axis->empty() ||
          std::adjacent_find(axis->begin(), axis->end(), std::greater_equal<>()) != axis->end())
        throw ValueError(text("isochrones: ", axis == &mh_ ? "[M/H]" : "log age", " of ", axis->size(),
                              " values; want one or more, increasing"));
    curves_.resize(mh_.size() * log_ages_.size());
    for (std::size_t i = 0; i < mh_.size(); ++i)
      for (std::size_t j = 0; j < log_ages_.size(); ++j)
        curves_[i * log_ages_.size() + j] = IsochroneCurve(
            curve(static_cast<index_t>(i), static_cast<index_t>(j)), arrival_log_mass(log_ages_[j], mh_[i]),
            text("isochrone of [M/H] = ", mh_[i], ", log age = ", log_ages_[j]));
  }

  /// The star of this initial mass, or nothing: outside the table's ages and metallicities, below its lowest
  /// mass, or after the last phase that all neighbouring isochrones reach (the star is beyond its giant
  /// phases). An isochrone that ends on the main sequence reaches its last point.
  [[nodiscard]] std::optional<StarState> state(double log_mass, double log_age, double mh) const {
    const std::optional<double> node = locate(log_mass, log_age, mh);
    if (!node) return std::nullopt;
    std::optional<StarState> star = at_node(*node, log_age, mh);
    star->log_mass = log_mass;
    return star;
  }
  /// The phase coordinate of this initial mass, in [0, phase_count]; nothing where `state` gives nothing.
  [[nodiscard]] std::optional<double> phase(double log_mass, double log_age, double mh) const {
    const std::optional<double> node = locate(log_mass, log_age, mh);
    if (!node) return std::nullopt;
    return IsochroneCurve::phase_of(*node);
  }
  /// The star at phase coordinate p: the way to draw giants, which span 1e-3 of the mass axis. Nothing for p
  /// outside [0, last_phase(log_age, mh)] or outside the table.
  [[nodiscard]] std::optional<StarState> at_phase(double p, double log_age, double mh) const {
    if (!(p >= 0 && p <= phase_count)) return std::nullopt;
    return at_node(IsochroneCurve::node_of(p), log_age, mh);
  }
  /// How many whole stretches the isochrone has, 0 outside the table.
  [[nodiscard]] int last_phase(double log_age, double mh) const {
    const std::optional<Corners> corners = find(log_age, mh);
    return corners ? corners->stretches : 0;
  }

  /// Throws ValueError if no isochrone has two points of a main sequence.
  [[nodiscard]] EvolutionRange range() const {
    double low = std::numeric_limits<double>::max(), high = -low;
    for (const IsochroneCurve& curve : curves_)
      if (curve.stretches > 0)
        low = std::min(low, curve.nodes.front().log_mass), high = std::max(high, curve.nodes.back().log_mass);
    if (!(low <= high)) throw ValueError("isochrones: none has a main sequence; want one or more");
    return {low, high, log_ages_.front(), log_ages_.back(), mh_.front(), mh_.back()};
  }
  [[nodiscard]] const std::vector<double>& metallicities() const { return mh_; }
  [[nodiscard]] const std::vector<double>& log_ages() const { return log_ages_; }

private:
  using Node = IsochroneCurve::Node;
  struct Corners {
    std::array<const Node*, 4> node;
    std::array<double, 4> weight;
    int stretches, last_node;
  };

  /// Index of the interval of `axis` that holds x, and where in it; nothing outside.
  static std::optional<std::pair<std::size_t, double>> interval(const std::vector<double>& axis, double x) {
    if (!(x >= axis.front() && x <= axis.back())) return std::nullopt;
    if (axis.size() == 1) return std::pair{std::size_t{0}, 0.0};
    const auto above = std::upper_bound(axis.begin() + 1, axis.end() - 1, x);
    const auto i = static_cast<std::size_t>(above - axis.begin()) - 1;
    return std::pair{i, (x - axis[i]) / (axis[i + 1] - axis[i])};
  }
  [[nodiscard]] std::optional<Corners> find(double log_age, double mh) const {
    const auto z = interval(mh_, mh), a = interval(log_ages_, log_age);
    if (!z || !a) return std::nullopt;
    if (a->second > 0 && a->second < 1 && log_ages_[a->first + 1] - log_ages_[a->first] > largest_age_step_)
      return std::nullopt;
    Corners c{{}, {}, phase_count, 0};
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t row = std::min(z->first + i / 2, mh_.size() - 1),
                        column = std::min(a->first + i % 2, log_ages_.size() - 1);
      const IsochroneCurve& curve = curves_[row * log_ages_.size() + column];
      c.node[i] = curve.nodes.data();
      c.weight[i] = (i / 2 ? z->second : 1 - z->second) * (i % 2 ? a->second : 1 - a->second);
      // A neighbour without weight (the table's own age or metallicity) has no say in where the curve ends.
      if (c.weight[i] > 0)
        c.stretches = std::min(c.stretches, curve.stretches);
      else
        c.node[i] = nullptr;
    }
    if (c.stretches == 0) return std::nullopt;
    for (const Node*& n : c.node)
      if (!n) n = *std::find_if(c.node.begin(), c.node.end(), [](const Node* p) { return p != nullptr; });
    c.last_node = IsochroneCurve::last_node(c.stretches);
    return c;
  }
  static double mix(const Corners& c, int node, double Node::*member) {
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += c.weight[i] * (c.node[i] + node)->*member;
    return sum;
  }
  [[nodiscard]] std::optional<double> locate(double log_mass, double log_age, double mh) const {
    const std::optional<Corners> c = find(log_age, mh);
    if (!c) return std::nullopt;
    int low = 0, high = c->last_node;
    const double least = mix(*c, low, &Node::log_mass), most = mix(*c, high, &Node::log_mass);
    constexpr double rounding = 1e-12; // the mass that at_phase gave for an end must be found again
    if (!(log_mass >= least - rounding && log_mass <= most + rounding)) return std::nullopt;
    log_mass = std::clamp(log_mass, least, most);
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (mix(*c, middle, &Node::log_mass) <= log_mass ? low : high) = middle;
    }
    const double a = mix(*c, low, &Node::log_mass), b = mix(*c, high, &Node::log_mass);
    return low + (b > a ? std::min((log_mass - a) / (b - a), 1.0) : 0);
  }
  [[nodiscard]] std::optional<StarState> at_node(double node, double log_age, double mh) const {
    const std::optional<Corners> c = find(log_age, mh);
    if (!c || !(node >= 0 && node <= c->last_node)) return std::nullopt;
    const int i = std::min(static_cast<int>(node), c->last_node - 1);
    const double f = node - i;
    const auto value = [&](double Node::*m) { return std::lerp(mix(*c, i, m), mix(*c, i + 1, m), f); };
    return StarState{value(&Node::log_mass), log_age, mh, value(&Node::log_l), value(&Node::log_teff),
                     value(&Node::log_g)};
  }

  std::vector<double> mh_, log_ages_;
  double largest_age_step_;
  std::vector<IsochroneCurve> curves_;
};

static_assert(RangedEvolution<Isochrones>);

} // namespace sbi::forward
