// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/shape.hpp>
#include <sbi/forward/cluster.hpp>
#include <sbi/forward/cluster_prior.hpp>
#include <sbi/forward/sky.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sbi::forward {

/// What a table of clusters does not say.
struct ClusterTableOptions {
  ClusterKernel kernel;
  /// A_V: that of a plane layer of dust, av_per_kpc exp(-|z|/dust_height), in whose middle the Sun is. The
  /// defaults are round numbers for the solar neighbourhood.
  double av_per_kpc = 0.7, dust_height_pc = 100;
  double relative_av_spread = 0.1;  ///< a_v_spread over a_v
  double velocity_dispersion = 0.8; ///< km/s
  /// How many systems stand behind a listed star; 1 takes the number of listed members for all.
  double stars_per_member = 1;
};

/// Reads a blank-separated table of clusters whose first line, '# name name ...', names its columns, into a
/// prior. Columns: l, b [degrees], r50 [degrees; holds half of the members], nbstars (listed members), dmode
/// [pc], logt_Kharchenko (log10 years), FeH_synth ([M/H]); others are not looked at. The table of
/// Cantat-Gaudin et al. (2018, A&A 618, A93; members brighter than G = 18, directions, radii, distances) with
/// the ages of Kharchenko et al. (2013, A&A 558, A53) is of this form; its [M/H] is a radial gradient, for
/// want of measured ones. Throws FileError naming the line and the column for a column that is not there, a
/// word that is not a number or a value that is not possible, and ValueError as `EmpiricalClusterPrior` or
/// for options out of their range.
[[nodiscard]] inline EmpiricalClusterPrior read_cluster_prior(const std::string& path,
                                                              const ClusterTableOptions& options = {}) {
  const auto want = [](bool fine, const char* name, double value, const char* wanted) {
    if (!fine || !is_finite(value))
      throw ValueError(text("cluster table: ", name, " ", value, "; want ", wanted));
  };
  want(options.av_per_kpc >= 0, "A_V per kpc", options.av_per_kpc, "0 or more");
  want(options.relative_av_spread >= 0, "relative spread of A_V", options.relative_av_spread, "0 or more");
  want(options.velocity_dispersion >= 0, "velocity dispersion", options.velocity_dispersion, "0 or more");
  want(options.dust_height_pc > 0, "height of the dust", options.dust_height_pc, "a positive value");
  want(options.stars_per_member > 0, "stars per member", options.stars_per_member, "a positive value");

  struct Column {
    std::string_view name;
    double least, most; // beyond is not possible
    std::size_t at = 0;
  };
  enum { l, b, r50, members, distance, log_age, mh };
  std::array<Column, 7> columns{{{"l", -360, 360},
                                 {"b", -90, 90},
                                 {"r50", 1e-5, 45},
                                 {"nbstars", 1, 1e7},
                                 {"dmode", 1, 1e6},
                                 {"logt_Kharchenko", 5, 10.3},
                                 {"FeH_synth", -5, 1}}};
  const std::string content = io::read_text(path);
  std::vector<ClusterParameters> clusters;
  std::vector<std::string_view> words;
  std::size_t width = 0;
  io::for_each_line(content, [&](index_t number, std::string_view line) {
    words.clear();
    for (std::size_t from = 0; (from = line.find_first_not_of(" \t", from)) != std::string_view::npos;) {
      const std::size_t end = std::min(line.find_first_of(" \t", from), line.size());
      words.push_back(line.substr(from, end - from));
      from = end;
    }
    if (words.empty()) return;
    if (width == 0) {
      if (words[0] != "#")
        throw FileError(text(path, ", line ", number, ": want '# ' and the names of the columns"));
      width = words.size() - 1;
      for (Column& column : columns) {
        const auto found = std::find(words.begin() + 1, words.end(), column.name);
        if (found == words.end())
          throw FileError(text(path, ", line ", number, ": no column '", column.name, "'"));
        column.at = static_cast<std::size_t>(found - words.begin()) - 1;
      }
      return;
    }
    if (words[0].starts_with('#')) return;
    if (words.size() != width)
      throw FileError(text(path, ", line ", number, ": ", words.size(), " words; want ", width, " columns"));
    std::array<double, columns.size()> value{};
    for (std::size_t k = 0; k < columns.size(); ++k) {
      const auto& [name, least, most, at] = columns[k];
      const std::string_view word = words[at];
      const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value[k]);
      if (error != std::errc{} || stop != word.data() + word.size())
        throw FileError(text(path, ", line ", number, ", column '", name, "': '", word, "' is not a number"));
      if (!(value[k] >= least && value[k] <= most))
        throw FileError(text(path, ", line ", number, ", column '", name, "': ", value[k], "; want ", least,
                             " to ", most));
    }
    ClusterParameters theta;
    theta.log_age = value[log_age], theta.mh = value[mh];
    theta.longitude = value[l], theta.latitude = value[b], theta.distance_pc = value[distance];
    theta.radius_pc = value[distance] * std::tan(value[r50] * radians_per_degree);
    theta.stars = std::max<index_t>(1, std::llround(value[members] * options.stars_per_member));
    const double heights =
        value[distance] * std::abs(std::sin(value[b] * radians_per_degree)) / options.dust_height_pc;
    const double in_dust = heights > 0 ? -std::expm1(-heights) / heights : 1; // share of the way
    theta.a_v = options.av_per_kpc * 1e-3 * value[distance] * in_dust;
    theta.a_v_spread = options.relative_av_spread * theta.a_v;
    theta.velocity_dispersion = options.velocity_dispersion;
    clusters.push_back(theta);
  });
  if (clusters.empty()) throw FileError(text(path, ": no clusters"));
  return EmpiricalClusterPrior(std::move(clusters), options.kernel);
}

} // namespace sbi::forward
