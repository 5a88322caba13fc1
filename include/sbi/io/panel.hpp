// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sbi::io {

/// Colours that readers with any kind of colour vision tell apart (Okabe & Ito 2008).
enum class Colour : std::uint32_t {
  blue = 0x0072B2,
  vermillion = 0xD55E00,
  green = 0x009E73,
  purple = 0xCC79A7,
  orange = 0xE69F00,
  sky = 0x56B4E9,
  black = 0x202020,
  grey = 0x8C8C8C
};

/// How a series looks. `size` is relative: 1 is a good line or point. `opacity` runs from 0 (unseen) to 1.
struct Style {
  std::string label = {};
  Colour colour = Colour::blue;
  double size = 1, opacity = 1;
  bool dashed = false;
};

/// Any range of numbers, copied. NaN and infinite ones are not drawn, and interrupt a line.
struct Numbers : std::vector<double> {
  Numbers(std::initializer_list<double> values) : std::vector<double>(values) {}
  template <std::ranges::input_range Range> Numbers(const Range& values) { // NOLINT: meant to convert
    for (const auto& v : values) push_back(static_cast<double>(v));
  }
};

/// Viridis (Smith & van der Walt 2015), t from 0 to 1, as 0xRRGGBB.
[[nodiscard]] inline std::uint32_t viridis(double t) {
  static constexpr std::array<std::array<double, 3>, 9> anchors{{{68, 1, 84},
                                                                 {71, 44, 122},
                                                                 {59, 81, 139},
                                                                 {44, 113, 142},
                                                                 {33, 144, 141},
                                                                 {39, 173, 129},
                                                                 {92, 200, 99},
                                                                 {170, 220, 50},
                                                                 {253, 231, 37}}};
  const double at = std::min(std::max(t, 0.0), 1.0) * 8;
  const auto low = std::min<std::size_t>(static_cast<std::size_t>(at), 7);
  std::uint32_t out = 0;
  for (std::size_t k = 0; k < 3; ++k) {
    const double c =
        anchors[low][k] + (at - static_cast<double>(low)) * (anchors[low + 1][k] - anchors[low][k]);
    out = out << 8 | static_cast<std::uint32_t>(std::lround(c));
  }
  return out;
}

/// Text that shows as it is, where gnuplot would read '_' and '^' as the start of an index.
[[nodiscard]] inline std::string plain_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("_^{}@&~\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

/// One set of axes. Texts may use gnuplot's enhanced notation: "A_V", "log_{10} M", "{/:Italic x}"; see
/// plain_text for names that must not.
class Panel {
public:
  std::string title, x_label, y_label;
  /// Where the legend stands: "top left", "bottom right", "outside right", ...; "none" hides it.
  std::string legend = "top left";
  bool log_x = false, log_y = false;
  /// Fixed limits; where there are none the data decide.
  std::optional<std::pair<double, double>> x_range, y_range, colour_range;
  /// Draws y = x and gives both axes the same limits.
  bool diagonal = false;
  /// A unit is as long along y as along x, as in maps.
  bool equal_units = false;
  /// Without axes there is no frame, no grid and no numbers, which leaves more room for shapes.
  bool axes = true;

  Panel& points(const Numbers& x, const Numbers& y, Style style = {}) {
    return add(Kind::points, {x, y}, std::move(style));
  }
  /// Points coloured by how many others are near, the densest on top.
  Panel& points_by_density(const Numbers& x, const Numbers& y, Style style = {});
  /// Points coloured by a third quantity; `style.label` names the colour bar.
  Panel& points_by_value(const Numbers& x, const Numbers& y, const Numbers& value, Style style = {}) {
    return add(Kind::points_by_value, {x, y, value}, std::move(style));
  }
  /// Points whose size is a third quantity, 1 being a good one.
  Panel& points_by_size(const Numbers& x, const Numbers& y, const Numbers& size, Style style = {}) {
    return add(Kind::points_by_size, {x, y, size}, std::move(style));
  }
  /// Lines from (x, y) to (to_x, to_y), as opaque as their strength of at most 1 says, the strongest on top.
  Panel& segments(const Numbers& x, const Numbers& y, const Numbers& to_x, const Numbers& to_y,
                  const Numbers& strength, Style style = {});
  /// Points with bars from `low` to `high`.
  Panel& intervals(const Numbers& x, const Numbers& y, const Numbers& low, const Numbers& high,
                   Style style = {}) {
    return add(Kind::intervals, {x, y, low, high}, std::move(style));
  }
  Panel& line(const Numbers& x, const Numbers& y, Style style = {}) {
    return add(Kind::line, {x, y}, std::move(style));
  }
  /// The area between two curves.
  Panel& band(const Numbers& x, const Numbers& low, const Numbers& high, Style style = {}) {
    return add(Kind::band, {x, low, high}, std::move(style));
  }
  /// Bars of equal width over the range of the values, their area one.
  Panel& histogram(const Numbers& values, int bins = 30, Style style = {});

  enum class Kind {
    points,
    points_by_density,
    points_by_value,
    points_by_size,
    segments,
    intervals,
    line,
    band,
    histogram
  };
  struct Series {
    Kind kind;
    std::vector<std::vector<double>> columns;
    Style style;
  };
  [[nodiscard]] const std::vector<Series>& series() const { return series_; }

private:
  Panel& add(Kind kind, std::vector<std::vector<double>> columns, Style style) {
    for (const auto& c : columns)
      if (c.size() != columns[0].size())
        throw ShapeError(
            sbi::text("plot: ", c.size(), " values beside ", columns[0].size(), "; want as many"));
    series_.push_back({kind, std::move(columns), std::move(style)});
    return *this;
  }
  std::vector<Series> series_;
};

namespace detail {
/// A colour as gnuplot reads it, 0xAARRGGBB with the transparency AA.
inline std::uint32_t with_opacity(Colour colour, double opacity) {
  const double transparency = 255 * (1 - std::clamp(opacity, 0.0, 1.0));
  return static_cast<std::uint32_t>(std::lround(transparency)) << 24 | static_cast<std::uint32_t>(colour);
}
/// Position of each value on its axis as a cell number in [0, cells), or -1 where it cannot be drawn.
inline std::vector<int> cells_of(const std::vector<double>& values, bool logarithmic, int cells) {
  const auto on_axis = [&](double v) { return logarithmic ? (v > 0 ? std::log10(v) : missing) : v; };
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double v : values)
    if (const double a = on_axis(v); is_finite(a)) low = std::min(low, a), high = std::max(high, a);
  std::vector<int> out;
  for (const double v : values) {
    const double a = on_axis(v);
    const double t = high > low ? (a - low) / (high - low) : 0.5;
    out.push_back(is_finite(a) ? std::min(static_cast<int>(t * cells), cells - 1) : -1);
  }
  return out;
}
} // namespace detail

/// Density: counts in 80 x 80 cells of the axes, smoothed twice with a 3 x 3 mean.
inline Panel& Panel::points_by_density(const Numbers& x, const Numbers& y, Style style) {
  if (x.size() != y.size())
    throw ShapeError(sbi::text("plot: ", y.size(), " values beside ", x.size(), "; want as many"));
  constexpr int n = 80;
  const auto i = detail::cells_of(x, log_x, n), j = detail::cells_of(y, log_y, n);
  const auto cell = [](int a, int b) { return static_cast<std::size_t>(a * n + b); };
  std::vector<double> count(n * n);
  for (std::size_t k = 0; k < x.size(); ++k)
    if (i[k] >= 0 && j[k] >= 0) ++count[cell(i[k], j[k])];
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<double> mean(n * n);
    for (int a = 0; a < n; ++a)
      for (int b = 0; b < n; ++b)
        for (int p = std::max(a - 1, 0); p <= std::min(a + 1, n - 1); ++p)
          for (int q = std::max(b - 1, 0); q <= std::min(b + 1, n - 1); ++q)
            mean[cell(a, b)] += count[cell(p, q)] / 9;
    count = std::move(mean);
  }
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < x.size(); ++k)
    if (i[k] >= 0 && j[k] >= 0) order.push_back(k);
  const auto density = [&](std::size_t k) { return count[cell(i[k], j[k])]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return density(a) < density(b); });
  const double most = order.empty() ? 1 : density(order.back());
  std::vector<std::vector<double>> columns(3);
  for (const std::size_t k : order) {
    columns[0].push_back(x[k]);
    columns[1].push_back(y[k]);
    columns[2].push_back(viridis(0.92 * std::sqrt(density(k) / most))); // the last yellow is lost on white
  }
  return add(Kind::points_by_density, std::move(columns), std::move(style));
}

inline Panel& Panel::segments(const Numbers& x, const Numbers& y, const Numbers& to_x, const Numbers& to_y,
                              const Numbers& strength, Style style) {
  for (const Numbers* c : {&y, &to_x, &to_y, &strength})
    if (c->size() != x.size())
      throw ShapeError(sbi::text("plot: ", c->size(), " values beside ", x.size(), "; want as many"));
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < x.size(); ++k)
    if (strength[k] * style.opacity * 255 >= 0.5) order.push_back(k); // fainter ones cannot be seen
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return strength[a] < strength[b]; });
  std::vector<std::vector<double>> columns(5);
  for (const std::size_t k : order) {
    columns[0].push_back(x[k]), columns[1].push_back(y[k]);
    columns[2].push_back(to_x[k]), columns[3].push_back(to_y[k]);
    columns[4].push_back(detail::with_opacity(style.colour, strength[k] * style.opacity));
  }
  return add(Kind::segments, std::move(columns), std::move(style));
}

inline Panel& Panel::histogram(const Numbers& values, int bins, Style style) {
  if (bins < 1) throw ValueError(sbi::text("plot: histogram with ", bins, " bins; want at least 1"));
  double low = std::numeric_limits<double>::infinity(), high = -low, n = 0;
  for (const double v : values)
    if (is_finite(v)) low = std::min(low, v), high = std::max(high, v), ++n;
  if (n == 0) return add(Kind::histogram, {{}, {}, {}}, std::move(style));
  if (high == low) low -= 0.5, high += 0.5;
  const double width = (high - low) / bins;
  std::vector<std::vector<double>> columns(3, std::vector<double>(static_cast<std::size_t>(bins)));
  for (std::size_t b = 0; b < columns[0].size(); ++b) {
    columns[0][b] = low + (static_cast<double>(b) + 0.5) * width;
    columns[2][b] = width;
  }
  for (const double v : values)
    if (is_finite(v))
      columns[1][static_cast<std::size_t>(std::min((v - low) / width, bins - 0.5))] += 1 / (n * width);
  return add(Kind::histogram, std::move(columns), std::move(style));
}

} // namespace sbi::io
