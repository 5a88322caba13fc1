// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/forward/xp_instrument.hpp>
#include <sbi/io/names.hpp>
#include <sbi/io/text_file.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sbi::forward {

/// One channel of a source as Gaia's table xp_continuous_mean_spectrum has it; empty vectors where the
/// channel was not observed. `errors` already hold the factor `standard_deviation` (the root of chi^2 per
/// degree of freedom of the solution); `correlations` is the strict upper triangle of the matrix, packed by
/// columns.
struct XpMeasurement {
  std::vector<double> coefficients, errors, correlations;
  double standard_deviation = missing, measurements = missing; ///< missing where the file has no such column
};

struct XpSource {
  std::uint64_t id = 0;
  XpMeasurement bp, rp;

  /// All 110 coefficients, NaN for a channel that was not observed.
  [[nodiscard]] std::vector<double> coefficients() const {
    std::vector<double> out;
    for (const XpMeasurement* channel : {&bp, &rp}) {
      std::vector<double> c = channel->coefficients;
      c.resize(static_cast<std::size_t>(XpChannel::coefficients), missing);
      out.insert(out.end(), c.begin(), c.end());
    }
    return out;
  }
};

namespace detail {

/// Comma-separated values whose fields may be lists of numbers, "(1.5, 2)"; the first line names the columns.
class ListTable {
public:
  explicit ListTable(const std::string& path) : path_(path) {
    const std::string content = io::read_text(path);
    io::for_each_line(content, [&](index_t number, std::string_view line) {
      if (line.empty()) return;
      std::vector<std::string> row;
      for (std::size_t at = 0; at <= line.size();) {
        const bool quoted = at < line.size() && line[at] == '"';
        std::size_t end = quoted ? line.find('"', at + 1) : std::min(line.find(',', at), line.size());
        if (end == std::string_view::npos)
          throw FileError(text(path, ", line ", number, ": a quote that does not end"));
        row.emplace_back(line.substr(at + quoted, end - at - quoted));
        at = end + (quoted ? 2 : 1);
      }
      if (names_.empty()) {
        names_ = std::move(row);
        return;
      }
      if (row.size() != names_.size())
        throw FileError(text(path, ", line ", number, ": ", row.size(), " fields; want ", names_.size()));
      rows_.push_back(std::move(row));
      lines_.push_back(number);
    });
    if (rows_.empty()) throw FileError(text(path, ": no rows"));
  }

  [[nodiscard]] std::size_t rows() const { return rows_.size(); }
  [[nodiscard]] bool has(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  [[nodiscard]] const std::string& field(std::size_t row, const std::string& name) const {
    const auto at = std::find(names_.begin(), names_.end(), name);
    if (at == names_.end())
      throw FileError(text(path_, ": no column '", name, "'", io::nearest_names(name, names_)));
    return rows_[row][static_cast<std::size_t>(at - names_.begin())];
  }
  /// The numbers of a field, none if it is empty.
  [[nodiscard]] std::vector<double> list(std::size_t row, const std::string& name) const {
    std::string_view content = field(row, name);
    if (content.starts_with('(') && content.ends_with(')')) content = content.substr(1, content.size() - 2);
    std::vector<double> out;
    if (const index_t count = io::append_numbers(content, out); count < 0)
      throw FileError(text(path_, ", line ", lines_[row], ", column '", name, "': word ", -count,
                           " of the list is not a number"));
    return out;
  }
  /// The same with the number of values wanted; none is allowed where `optional`.
  [[nodiscard]] std::vector<double> list(std::size_t row, const std::string& name, index_t count,
                                         bool optional) const {
    std::vector<double> out = list(row, name);
    if (static_cast<index_t>(out.size()) != count && !(optional && out.empty()))
      throw FileError(text(path_, ", line ", lines_[row], ", column '", name, "': ", out.size(),
                           " numbers; want ", count));
    return out;
  }

private:
  std::string path_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<index_t> lines_;
};

/// Two rows of as many numbers: abscissae and ordinates.
inline std::array<std::vector<double>, 2> read_curve(const std::string& path) {
  const io::NumberTable table = io::read_numbers(path);
  if (table.rows() != 2) throw FileError(text(path, ": ", table.rows(), " rows of numbers; want 2"));
  const auto middle = table.values.begin() + table.columns;
  return {std::vector<double>(table.values.begin(), middle), std::vector<double>(middle, table.values.end())};
}

inline XpChannel read_xp_channel(const std::string& prefix, std::string name) {
  XpTables t;
  t.name = std::move(name);
  const std::string path = prefix + "_bases.csv";
  const ListTable bases(path);
  const auto number = [&](const char* column) { return bases.list(0, column, 1, false)[0]; };
  constexpr index_t n = XpChannel::coefficients;
  if (number("nBases") != n || number("nInverseBasesCoefficients") != n || number("nTransformedBases") != n)
    throw FileError(text(path, ": ", number("nBases"), " bases; want ", n));
  t.pseudo_range = {number("pwlRangeMin"), number("pwlRangeMax")};
  t.arguments = {number("normRangeMin"), number("normRangeMax")};
  t.inverse_bases = Tensor<double>(Shape{n, n}, bases.list(0, "inverseBasesCoefficients", n * n, false));
  t.transformation = Tensor<double>(Shape{n, n}, bases.list(0, "transformationMatrix", n * n, false));
  auto dispersion = read_curve(prefix + "_dispersion.csv"), response = read_curve(prefix + "_response.csv");
  t.dispersion_wavelengths = std::move(dispersion[0]);
  t.pseudo_wavelengths = std::move(dispersion[1]);
  t.response_wavelengths = std::move(response[0]);
  t.response = std::move(response[1]);
  try {
    return XpChannel(std::move(t));
  } catch (const Error& error) {
    throw FileError(text(prefix, ": ", error.what()));
  }
}

} // namespace detail

/// Reads the instrument of data release 3 from GaiaXPy's folder of configuration files
/// (src/gaiaxpy/config): {bpC03_v375wi, rpC03_v142r}_{bases, dispersion, response}.csv. Throws FileError.
[[nodiscard]] inline XpInstrument read_xp_instrument(const std::string& folder) {
  return {detail::read_xp_channel(folder + "/bpC03_v375wi", "BP"),
          detail::read_xp_channel(folder + "/rpC03_v142r", "RP")};
}

/// Reads continuous mean spectra as Gaia's archive gives them as CSV (datalink XP_CONTINUOUS, RAW): columns
/// source_id and, of each of bp and rp, {bp}_coefficients, _coefficient_errors, _coefficient_correlations and
/// optionally _standard_deviation and _n_measurements. A channel without coefficients is missing. Throws
/// FileError.
[[nodiscard]] inline std::vector<XpSource> read_xp_sources(const std::string& path) {
  const detail::ListTable table(path);
  std::vector<XpSource> out(table.rows());
  for (std::size_t r = 0; r < out.size(); ++r) {
    const std::string& id = table.field(r, "source_id");
    const auto [stop, error] = std::from_chars(id.data(), id.data() + id.size(), out[r].id);
    if (error != std::errc{} || stop != id.data() + id.size())
      throw FileError(text(path, ": source_id '", id, "' is not a whole number"));
    const auto channel = [&](const std::string& name, XpMeasurement& m) {
      constexpr index_t n = XpChannel::coefficients;
      m.coefficients = table.list(r, name + "_coefficients", n, true);
      if (m.coefficients.empty()) return;
      m.errors = table.list(r, name + "_coefficient_errors", n, false);
      m.correlations = table.list(r, name + "_coefficient_correlations", n * (n - 1) / 2, false);
      const auto number = [&](const std::string& column) {
        return table.has(column) ? table.list(r, column, 1, false)[0] : missing;
      };
      m.standard_deviation = number(name + "_standard_deviation");
      m.measurements = number(name + "_n_measurements");
    };
    channel("bp", out[r].bp);
    channel("rp", out[r].rp);
  }
  return out;
}

} // namespace sbi::forward
