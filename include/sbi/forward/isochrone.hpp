// SPDX-License-Identifier: MIT
// Isochrones interpolated in log age and metallicity at fixed evolutionary phase. Interpolating at fixed
// initial mass instead would mix a turn-off star of one age with a giant of the next: the phases move in
// mass, the curve does not.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/concepts.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

namespace sbi::forward {

/// The stretches of an isochrone, each between two landmarks that every isochrone shares. `descent` leads
/// from the tip of the red giant branch to the faintest core-helium-burning star; where helium ignites in a
/// flash it has no extent in mass, and no star lives there.
enum class Phase { main_sequence, subgiant, red_giant, descent, helium_burning, asymptotic_giant };
inline constexpr int phase_count = 6;

/// One row of an isochrone file. `label`: 0 pre-main and main sequence, 1 subgiant, 2 red giant, 3 core
/// helium burning, 4 early asymptotic giant; anything else ends the curve.
struct IsochronePoint {
  double log_mass = 0, log_l = 0, log_teff = 0, log_g = 0;
  int label = 0;
};

/// A table of isochrones on a rectangle of metallicities and ages; satisfies `Evolution`.
///
/// The phase coordinate p of a point is k + f in stretch k (the order of `Phase`), f in [0, 1] the arc length
/// since its landmark over that of the whole stretch, with ds^2 = dlog_l^2 + (8 dlog_teff)^2 + (2
/// dlog_mass)^2. Every isochrone is tabulated at the same p, so the isochrone of any age and metallicity is
/// the bilinear combination of its four neighbours, in log mass too: mass then grows with p, and the p of a
/// given initial mass is found by bisection.
class Isochrones {
public:
  static constexpr bool has_age = true;
  /// Intervals of each stretch in the table: enough that linear interpolation between nodes stays below the
  /// 0.005 dex scatter of the files.
  static constexpr std::array<int, phase_count> intervals{220, 48, 80, 32, 64, 64};
  static constexpr int nodes = 220 + 48 + 80 + 32 + 64 + 64 + 1;

  /// mh and log_ages: increasing, two or more each; curve(i, j) gives the std::vector<IsochronePoint> of
  /// mh[i] and log_ages[j] in order of mass. Throws ValueError for axes that do not increase, a curve without
  /// a complete main sequence, masses that decrease or a value that is not finite, naming the curve.
  template <class Curve>
  Isochrones(std::vector<double> mh, std::vector<double> log_ages, Curve&& curve)
      : mh_(std::move(mh)), log_ages_(std::move(log_ages)) {
    for (const auto* axis : {&mh_, &log_ages_})
      if (axis->size() < 2 ||
          std::adjacent_find(axis->begin(), axis->end(), std::greater_equal<>()) != axis->end())
        throw ValueError(text("isochrones: ", axis == &mh_ ? "[M/H]" : "log age", " of ", axis->size(),
                              " values; want two or more, increasing"));
    curves_.resize(mh_.size() * log_ages_.size());
    for (std::size_t i = 0; i < mh_.size(); ++i)
      for (std::size_t j = 0; j < log_ages_.size(); ++j) {
        Curve_& c = curves_[i * log_ages_.size() + j];
        c = resample(curve(static_cast<index_t>(i), static_cast<index_t>(j)),
                     text("isochrone of [M/H] = ", mh_[i], ", log age = ", log_ages_[j]));
      }
  }

  /// The star of this initial mass, or nothing: outside the table's ages and metallicities, below its lowest
  /// mass, or after the last phase that all neighbouring isochrones reach (the star is beyond its giant
  /// phases).
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
    double rest = *node;
    for (int k = 0; k < phase_count; ++k) {
      const double n = intervals[static_cast<std::size_t>(k)];
      if (rest < n) return k + rest / n;
      rest -= n;
    }
    return phase_count;
  }
  /// The star at phase coordinate p: the way to draw giants, which span 1e-3 of the mass axis. Nothing for p
  /// outside [0, last_phase(log_age, mh)] or outside the table.
  [[nodiscard]] std::optional<StarState> at_phase(double p, double log_age, double mh) const {
    if (!(p >= 0 && p <= phase_count)) return std::nullopt;
    const int k = std::min(static_cast<int>(p), phase_count - 1);
    double node = (p - k) * intervals[static_cast<std::size_t>(k)];
    for (int before = 0; before < k; ++before) node += intervals[static_cast<std::size_t>(before)];
    return at_node(node, log_age, mh);
  }
  /// How many whole stretches the isochrone has, 0 outside the table.
  [[nodiscard]] int last_phase(double log_age, double mh) const {
    const std::optional<Corners> corners = find(log_age, mh);
    return corners ? corners->stretches : 0;
  }

  [[nodiscard]] const std::vector<double>& metallicities() const { return mh_; }
  [[nodiscard]] const std::vector<double>& log_ages() const { return log_ages_; }

private:
  struct Node {
    double log_mass, log_l, log_teff, log_g;
  };
  struct Curve_ {
    std::vector<Node> node;
    int stretches = 0;
  };
  struct Corners {
    std::array<const Node*, 4> node;
    std::array<double, 4> weight;
    int stretches, last_node;
  };

  /// Landmarks: where each label begins for good (files have a few stray labels inside a stretch), the
  /// faintest point of label 3, and the end of label 4. A stretch counts only if the landmark after it
  /// exists.
  static Curve_ resample(const std::vector<IsochronePoint>& points, const std::string& what) {
    std::vector<int> label;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const IsochronePoint& p = points[i];
      if (p.label < 0 || p.label > 4 || (p.label < 4 && i > 0 && points[i - 1].label == 4)) break;
      if (!is_finite(p.log_mass) || !is_finite(p.log_l) || !is_finite(p.log_teff) || !is_finite(p.log_g))
        throw ValueError(text(what, ": point ", i, " is not finite"));
      if (i > 0 && p.log_mass < points[i - 1].log_mass)
        throw ValueError(text(what, ": point ", i, " has less mass than the one before"));
      label.push_back(p.label);
    }
    for (std::size_t i = label.size(); i-- > 1;) label[i - 1] = std::min(label[i - 1], label[i]);
    const auto first_of = [&](int k) {
      return static_cast<std::size_t>(std::lower_bound(label.begin(), label.end(), k) - label.begin());
    };
    std::vector<std::size_t> landmark{0};
    for (int k = 1; k <= 4; ++k) {
      const std::size_t first = first_of(k);
      if (first == label.size() || label[first] != k) break;
      if (k == 4) {
        landmark.push_back(landmark.back());
        for (std::size_t i = landmark[3]; i < first; ++i)
          if (points[i].log_l < points[landmark[4]].log_l) landmark[4] = i;
        // Files that begin label 3 on the clump have the tip as their last giant: the descent starts there.
        if (landmark[4] == landmark[3] && landmark[3] > landmark[2] + 1) --landmark[3];
      }
      landmark.push_back(first);
    }
    if (landmark.size() == 6) { // thermal pulses begin where the luminosity first falls by more than 0.25 dex
      std::size_t brightest = landmark[5];
      for (std::size_t i = brightest; i < label.size() && points[i].log_l > points[brightest].log_l - 0.25;
           ++i)
        if (points[i].log_l > points[brightest].log_l) brightest = i;
      landmark.push_back(brightest);
    }
    Curve_ curve;
    curve.stretches = static_cast<int>(landmark.size()) - 1;
    if (curve.stretches == 0) return curve;
    for (int k = 0; k < curve.stretches; ++k)
      append(curve.node, points, landmark[static_cast<std::size_t>(k)],
             landmark[static_cast<std::size_t>(k) + 1], intervals[static_cast<std::size_t>(k)]);
    const IsochronePoint& last = points[landmark.back()];
    curve.node.push_back({last.log_mass, last.log_l, last.log_teff, last.log_g});
    return curve;
  }
  /// Appends `count` nodes at equal steps of arc length from point `first` up to, not including, point
  /// `last`.
  static void append(std::vector<Node>& out, const std::vector<IsochronePoint>& points, std::size_t first,
                     std::size_t last, int count) {
    std::vector<double> arc(last - first + 1);
    for (std::size_t i = first; i < last; ++i) {
      const double l = points[i + 1].log_l - points[i].log_l,
                   t = 8 * (points[i + 1].log_teff - points[i].log_teff),
                   m = 2 * (points[i + 1].log_mass - points[i].log_mass);
      arc[i - first + 1] = arc[i - first] + std::sqrt(l * l + t * t + m * m);
    }
    if (first == last) { // a stretch without extent
      const IsochronePoint& p = points[first];
      out.insert(out.end(), static_cast<std::size_t>(count), Node{p.log_mass, p.log_l, p.log_teff, p.log_g});
      return;
    }
    for (int n = 0; n < count; ++n) {
      const double s = arc.back() * n / count;
      const auto above = std::upper_bound(arc.begin() + 1, arc.end(), s);
      const auto i = static_cast<std::size_t>(std::min(above, arc.end() - 1) - arc.begin());
      const double width = arc[i] - arc[i - 1], f = width > 0 ? (s - arc[i - 1]) / width : 0;
      const IsochronePoint &a = points[first + i - 1], &b = points[first + i];
      out.push_back({std::lerp(a.log_mass, b.log_mass, f), std::lerp(a.log_l, b.log_l, f),
                     std::lerp(a.log_teff, b.log_teff, f), std::lerp(a.log_g, b.log_g, f)});
    }
  }

  /// Index of the interval of `axis` that holds x, and where in it; nothing outside.
  static std::optional<std::pair<std::size_t, double>> interval(const std::vector<double>& axis, double x) {
    if (!(x >= axis.front() && x <= axis.back())) return std::nullopt;
    const auto above = std::upper_bound(axis.begin() + 1, axis.end() - 1, x);
    const auto i = static_cast<std::size_t>(above - axis.begin()) - 1;
    return std::pair{i, (x - axis[i]) / (axis[i + 1] - axis[i])};
  }
  [[nodiscard]] std::optional<Corners> find(double log_age, double mh) const {
    const auto z = interval(mh_, mh), a = interval(log_ages_, log_age);
    if (!z || !a) return std::nullopt;
    Corners c{{}, {}, phase_count, 0};
    for (std::size_t i = 0; i < 4; ++i) {
      const Curve_& curve = curves_[(z->first + i / 2) * log_ages_.size() + a->first + i % 2];
      c.node[i] = curve.node.data();
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
    for (int k = 0; k < c.stretches; ++k) c.last_node += intervals[static_cast<std::size_t>(k)];
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
  std::vector<Curve_> curves_;
};

static_assert(Evolution<Isochrones>);

} // namespace sbi::forward
