// SPDX-License-Identifier: MIT
// One isochrone as a curve over evolutionary phase, so that two of them can be compared point by point.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
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

/// Where stars of this age arrive on the main sequence, log10 of their mass: the knee that isochrones younger
/// than 10^8 years have between stars that still contract and stars that burn hydrogen. A line through the
/// dip in luminosity of the PARSEC isochrones, good to 0.05 dex in mass from 10^5.5 to 10^7.5 years and [M/H]
/// = -0.6 to 0.2, to 0.3 dex beyond. It only says which points of two isochrones belong together.
[[nodiscard]] inline double arrival_log_mass(double log_age, double mh) {
  return 0.44 - 0.4 * (log_age - 6.5) + 0.1 * mh;
}

/// An isochrone tabulated over the phase coordinate p that `Isochrones` defines.
class IsochroneCurve {
public:
  /// A run of nodes from p = begin to p = end at equal steps of arc length: enough of them that linear
  /// interpolation between nodes stays below the 0.005 dex scatter of the files.
  struct Run {
    double begin, end;
    int intervals;
  };
  static constexpr std::array<Run, phase_count + 1> runs{
      {{0, 0.3, 140}, {0.3, 1, 180}, {1, 2, 48}, {2, 3, 80}, {3, 4, 32}, {4, 5, 64}, {5, 6, 64}}};
  struct Node {
    double log_mass, log_l, log_teff, log_g;
  };

  std::vector<Node> nodes; ///< of the whole stretches, run after run, and the last point
  int stretches = 0;       ///< how many whole stretches there are

  IsochroneCurve() = default;
  /// Points in order of mass. Landmarks: where each label begins for good (files have a few stray labels
  /// inside a stretch), the faintest point of label 3, and the end of label 4. A stretch counts only if the
  /// landmark after it exists; a curve without label 1 is a main sequence that ends with its last point.
  /// Throws ValueError, naming `what`, for masses that decrease or a value that is not finite.
  IsochroneCurve(std::span<const IsochronePoint> points, double arrival, const std::string& what) {
    const std::vector<std::size_t> landmark = landmarks(points, what);
    stretches = static_cast<int>(landmark.size()) - 1;
    if (stretches == 0) return;
    nodes.reserve(static_cast<std::size_t>(last_node(stretches)) + 1);
    for (std::size_t k = 0; k + 1 < landmark.size(); ++k) {
      const std::span<const IsochronePoint> stretch =
          points.subspan(landmark[k], landmark[k + 1] - landmark[k] + 1);
      const std::vector<double> arc = arc_length(stretch);
      double knee = 0;
      if (k == 0) {
        knee = std::clamp(arc_at(stretch, arc, arrival), runs[0].end * arc.back(), 0.95 * arc.back());
        append(stretch, arc, 0, knee, runs[0].intervals);
      }
      append(stretch, arc, knee, arc.back(), runs[k + 1].intervals);
    }
    const IsochronePoint& last = points[landmark.back()];
    nodes.push_back({last.log_mass, last.log_l, last.log_teff, last.log_g});
  }

  /// Phase coordinate of a (fractional) node, and back.
  [[nodiscard]] static double phase_of(double node) {
    for (const Run& run : runs) {
      if (node < run.intervals) return run.begin + (run.end - run.begin) * node / run.intervals;
      node -= run.intervals;
    }
    return phase_count;
  }
  [[nodiscard]] static double node_of(double p) {
    double node = 0;
    for (const Run& run : runs)
      if (p > run.begin) node += run.intervals * (std::min(p, run.end) - run.begin) / (run.end - run.begin);
    return node;
  }
  /// The node at which a curve of so many whole stretches ends.
  [[nodiscard]] static int last_node(int stretches) {
    int node = 0;
    for (const Run& run : runs)
      if (run.end <= stretches) node += run.intervals;
    return node;
  }

private:
  static std::vector<std::size_t> landmarks(std::span<const IsochronePoint> points, const std::string& what) {
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
      if (first == label.size() || label[first] != k) {
        if (k == 1 && first > 1) landmark.push_back(first - 1);
        break;
      }
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
    return landmark;
  }
  static std::vector<double> arc_length(std::span<const IsochronePoint> points) {
    std::vector<double> arc(points.size());
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      const double l = points[i + 1].log_l - points[i].log_l,
                   t = 8 * (points[i + 1].log_teff - points[i].log_teff),
                   m = 2 * (points[i + 1].log_mass - points[i].log_mass);
      arc[i + 1] = arc[i] + std::sqrt(l * l + t * t + m * m);
    }
    return arc;
  }
  /// Arc length at a mass; 0 below the first mass, the whole arc above the last.
  static double arc_at(std::span<const IsochronePoint> points, const std::vector<double>& arc,
                       double log_mass) {
    std::size_t i = 0;
    while (i < points.size() && points[i].log_mass < log_mass) ++i;
    if (i == 0 || i == points.size()) return i == 0 ? 0 : arc.back();
    const double a = points[i - 1].log_mass, b = points[i].log_mass;
    return std::lerp(arc[i - 1], arc[i], (log_mass - a) / (b - a));
  }
  /// Appends `count` nodes at equal steps of arc length in [from, to).
  void append(std::span<const IsochronePoint> points, const std::vector<double>& arc, double from, double to,
              int count) {
    for (int n = 0; n < count; ++n) {
      const double s = from + (to - from) * n / count;
      const auto above = std::upper_bound(arc.begin(), arc.end(), s);
      const auto i = static_cast<std::size_t>(std::min(above, arc.end() - 1) - arc.begin());
      const IsochronePoint &a = points[i > 0 ? i - 1 : 0], &b = points[i];
      const double width = i > 0 ? arc[i] - arc[i - 1] : 0, f = width > 0 ? (s - arc[i - 1]) / width : 0;
      nodes.push_back({std::lerp(a.log_mass, b.log_mass, f), std::lerp(a.log_l, b.log_l, f),
                       std::lerp(a.log_teff, b.log_teff, f), std::lerp(a.log_g, b.log_g, f)});
    }
  }
};

} // namespace sbi::forward
