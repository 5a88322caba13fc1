// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/io/files.hpp>
#include <sbi/io/gnuplot.hpp>
#include <sbi/io/panel.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace sbi::io {

/// What became of a picture.
struct Picture {
  std::filesystem::path png, script;
  bool drawn = false;
  /// One sentence for the user: where the picture is, or how to get it.
  std::string note;
};

/// A grid of panels, drawn by gnuplot. Beside the PNG lie the script and its data, so that a picture can be
/// changed without running anything again, and drawn later where gnuplot is missing.
class Figure {
public:
  std::string title;
  /// Width and height of a panel in pixels of a screen; the file has `resolution` times as many.
  int panel_width = 460, panel_height = 390;
  double resolution = 2;

  explicit Figure(int rows = 1, int columns = 1) : rows_(rows), columns_(columns) {
    if (rows < 1 || columns < 1)
      throw ValueError(sbi::text("plot: a grid of ", rows, " x ", columns, " panels"));
    panels_.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  }
  /// Panels are counted by rows, from 0. Throws ValueError.
  [[nodiscard]] Panel& panel(int i) {
    if (i < 0 || i >= rows_ * columns_)
      throw ValueError(sbi::text("plot: panel ", i, " of ", rows_ * columns_));
    return panels_[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] Panel& panel(int row, int column) { return panel(row * columns_ + column); }

  /// Writes NAME.png, NAME.gp and NAME.dat. Throws ValueError for a name that does not end in .png, FileError
  /// when a file cannot be written or gnuplot fails.
  Picture
  write(const std::filesystem::path& png) const; // NOLINT: the picture is made whether or not it is looked at

private:
  [[nodiscard]] std::string script(const std::string& stem, std::string& data) const;
  int rows_, columns_;
  std::vector<Panel> panels_;
};

namespace detail {
inline std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c == '\n' ? ' ' : c;
  }
  return out + "'";
}
inline std::string hex(Colour colour, double opacity) {
  char out[12];
  std::snprintf(out, sizeof out, "#%08x", static_cast<unsigned>(with_opacity(colour, opacity)));
  return out;
}
/// Whether a column of a series holds positions along x, or along y.
inline bool along_x(Panel::Kind kind, std::size_t column) {
  return column == 0 || (kind == Panel::Kind::segments && column == 2);
}
inline bool along_y(Panel::Kind kind, std::size_t column) {
  using Kind = Panel::Kind;
  return column == 1 || (kind == Kind::segments && column == 3) ||
         (column > 1 && (kind == Kind::band || kind == Kind::intervals));
}
/// Appends a number with as many digits as tell it from every other.
inline void append_number(std::string& out, double number) {
  char digits[32];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}
/// Writes the rows that can be drawn as the next block of the data file; false when there is none.
inline bool append_block(std::string& data, const Panel& panel, const Panel::Series& series) {
  const auto drawable = [&](std::size_t row) {
    for (std::size_t c = 0; c < series.columns.size(); ++c) {
      const double v = series.columns[c][row];
      // A bar that leaves a logarithmic axis is cut off there.
      const bool bar = series.kind == Panel::Kind::intervals && c > 1;
      if (!is_finite(v) || (panel.log_x && along_x(series.kind, c) && v <= 0) ||
          (panel.log_y && along_y(series.kind, c) && !bar && v <= 0))
        return false;
    }
    return true;
  };
  std::string block;
  bool any = false, gap = false;
  const bool joined = series.kind == Panel::Kind::line || series.kind == Panel::Kind::band;
  for (std::size_t r = 0; r < series.columns[0].size(); ++r) {
    if (!drawable(r)) {
      gap = any && joined;
      continue;
    }
    if (gap) block += '\n'; // one empty line interrupts a curve
    any = true, gap = false;
    for (const auto& column : series.columns) {
      append_number(block, column[r]);
      block += ' ';
    }
    block += '\n';
  }
  if (any) data += "# " + series.style.label + "\n" + block + "\n\n";
  return any;
}
inline std::string look_of(const Panel::Series& series) {
  using Kind = Panel::Kind;
  const auto& s = series.style;
  const std::string colour = "linecolor rgb '" + hex(s.colour, s.opacity) + "'";
  const std::string dash = s.dashed ? " dashtype 2" : "";
  switch (series.kind) {
  case Kind::points:
    return text("using 1:2 with points pointtype 7 pointsize ", 0.45 * s.size, ' ', colour);
  case Kind::points_by_density:
    return text("using 1:2:3 with points pointtype 7 pointsize ", 0.4 * s.size, " linecolor rgb variable");
  case Kind::points_by_value:
    return text("using 1:2:3 with points pointtype 7 pointsize ", 0.5 * s.size, " linecolor palette");
  case Kind::points_by_size:
    return text("using 1:2:(", 0.45 * s.size, "*$3) with points pointtype 7 pointsize variable ", colour);
  case Kind::segments:
    return text("using 1:2:($3-$1):($4-$2):5 with vectors nohead linewidth ", s.size, dash,
                " linecolor rgb variable");
  case Kind::intervals:
    return text("using 1:2:3:4 with yerrorbars pointtype 7 pointsize ", 0.5 * s.size, " linewidth 1 ",
                colour);
  case Kind::line:
    return text("using 1:2 with lines linewidth ", 2 * s.size, dash, ' ', colour);
  case Kind::band:
    return text("using 1:2:3 with filledcurves fillstyle solid noborder fillcolor rgb '",
                hex(s.colour, s.opacity < 1 ? s.opacity : 0.25), "'");
  case Kind::histogram:
    return text("using 1:2:3 with boxes fillstyle solid border fillcolor rgb '",
                hex(s.colour, 0.35 * s.opacity), "' linewidth ", s.size, ' ', colour);
  }
  return {};
}
inline std::string limits(const char* axis, const std::optional<std::pair<double, double>>& range) {
  if (!range) return text("set ", axis, "range [*:*]\n");
  std::string out = text("set ", axis, "range [");
  append_number(out, range->first);
  append_number(out += ':', range->second);
  return out + "]\n";
}
/// The least and the greatest value drawn along x, along y, or along both.
struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void include(const Panel& panel, bool of_x, bool of_y) {
    for (const auto& series : panel.series())
      for (std::size_t c = 0; c < series.columns.size(); ++c) {
        const bool is_x = along_x(series.kind, c), is_y = along_y(series.kind, c);
        if (!(of_x && is_x) && !(of_y && is_y)) continue;
        for (const double v : series.columns[c])
          if (is_finite(v) && (v > 0 || !(is_x ? panel.log_x : panel.log_y)))
            low = std::min(low, v), high = std::max(high, v);
      }
  }
};
/// The limits around a diagonal: those of both axes, with a margin.
inline std::optional<std::pair<double, double>> common_range(const Panel& panel) {
  Extent e;
  e.include(panel, true, true);
  if (!(e.low < e.high)) return std::nullopt;
  if (panel.log_x && panel.log_y) return std::pair(e.low / 1.2, e.high * 1.2);
  const double margin = 0.03 * (e.high - e.low);
  return std::pair(e.low - margin, e.high + margin);
}
inline std::string frame_setup(const Panel& panel) {
  return text(panel.equal_units ? "set size ratio -1\n" : "set size noratio\n",
              panel.axes ? "set border 3 linecolor rgb '#606060' linewidth 0.8\n"
                           "set tics nomirror out scale 0.5 textcolor rgb '#303030' font ',9'\n"
                           "set grid linetype 1 linewidth 0.5 linecolor rgb '#e6e6e6'\n"
                         : "unset border\nunset tics\nunset grid\n");
}
inline std::string axis_setup(const char* axis, const Panel& panel, bool is_x) {
  if (!(is_x ? panel.log_x : panel.log_y))
    return text("unset logscale ", axis, "\nset format ", axis, " '%g'\n");
  Extent e;
  e.include(panel, is_x, !is_x);
  // Powers of ten read well over many decades; on few of them they would all be the same one.
  const char* format = e.high > 300 * e.low ? " '10^{%L}'\n" : " '%g'\n";
  return text("set logscale ", axis, "\nset format ", axis, format);
}
} // namespace detail

inline std::string Figure::script(const std::string& stem, std::string& data) const {
  const auto pixels = [&](int n) { return std::lround(resolution * n); };
  const int banner = title.empty() ? 0 : 30;
  std::string out =
      text("# Draw with: gnuplot ", stem, ".gp\nset terminal pngcairo enhanced background 'white' size ",
           pixels(panel_width * columns_), ',', pixels(panel_height * rows_ + banner),
           " font 'DejaVu Sans,10' fontscale ", resolution, " linewidth ", resolution, " pointscale ",
           resolution, "\nset output ", detail::quoted(stem + ".png"), "\nset encoding utf8\n");
  out += "set colorbox user noborder\nunset colorbox\n"
         "set title offset 0,-0.3\n"
         "set palette defined (";
  for (int k = 0; k <= 8; ++k) {
    char colour[16];
    std::snprintf(colour, sizeof colour, "'#%06x'", static_cast<unsigned>(viridis(0.92 * k / 8)));
    out += text(k > 0 ? ", " : "", k, ' ', colour);
  }
  out += text(")\nset multiplot layout ", rows_, ',', columns_,
              title.empty() ? "" : " title " + detail::quoted(title) + " font ',13'", "\n");

  int index = 0;
  for (const Panel& panel : panels_) {
    if (panel.series().empty()) {
      out += "\nset multiplot next\n";
      continue;
    }
    out += text("\nset title ", detail::quoted(panel.title), "\nset xlabel ", detail::quoted(panel.x_label),
                "\nset ylabel ", detail::quoted(panel.y_label), '\n');
    out += detail::frame_setup(panel) + detail::axis_setup("x", panel, true) +
           detail::axis_setup("y", panel, false);
    auto x_range = panel.x_range, y_range = panel.y_range;
    if (panel.diagonal) {
      const auto both = detail::common_range(panel);
      if (!x_range) x_range = both;
      if (!y_range) y_range = both;
    }
    out += detail::limits("x", x_range) + detail::limits("y", y_range) +
           detail::limits("cb", panel.colour_range);

    std::string plots, colour_bar;
    for (const auto& series : panel.series()) {
      if (!detail::append_block(data, panel, series)) continue;
      const bool by_value = series.kind == Panel::Kind::points_by_value;
      if (by_value) colour_bar = series.style.label;
      const auto& label = series.style.label;
      plots += text(plots.empty() ? "plot " : ", \\\n     ", detail::quoted(stem + ".dat"), " index ",
                    index++, ' ', detail::look_of(series),
                    label.empty() || by_value ? " notitle" : " title " + detail::quoted(label));
    }
    const bool drawn = !plots.empty();
    if (panel.diagonal && drawn)
      plots += ", \\\n     x with lines linewidth 1 dashtype 2 linecolor rgb '#404040' notitle";
    out += panel.legend == "none" ? "unset key\n"
                                  : text("set key ", panel.legend,
                                         " opaque nobox reverse Left samplen 1.6 spacing 1.1 font ',9'\n");
    out += colour_bar.empty()
               ? "unset colorbox\n"
               : text("set colorbox default noborder\nset cblabel ", detail::quoted(colour_bar), '\n');
    // A panel whose values are all missing keeps its place and its labels.
    out += drawn ? plots + "\n" : "set xrange [0:1]\nset yrange [0:1]\nplot NaN notitle\n";
  }
  return out + "\nunset multiplot\nunset output\n";
}

inline Picture Figure::write(const std::filesystem::path& png) const {
  if (png.extension() != ".png")
    throw ValueError(text("plot: '", png.string(), "'; want a name that ends in .png"));
  const std::string stem = png.stem().string();
  Picture out{png, std::filesystem::path(png).replace_extension(".gp"), false, {}};
  std::string data;
  const std::string commands = script(stem, data);
  write_file(std::filesystem::path(png).replace_extension(".dat"), data);
  write_file(out.script, commands);
  std::error_code ignored;
  std::filesystem::remove(png, ignored); // an old picture must not stand for a new one
  try {
    out.drawn = run_gnuplot(out.script);
  } catch (const FileError&) {
    std::filesystem::remove(png, ignored);
    throw;
  }
  if (out.drawn && !std::filesystem::exists(png))
    throw FileError(text(png.string(), ": gnuplot wrote no picture"));
  out.note = out.drawn
                 ? text("picture: ", png.string())
                 : text("no picture ", png.string(),
                        ": gnuplot is not installed; draw it later with: gnuplot ", out.script.string());
  return out;
}

} // namespace sbi::io
