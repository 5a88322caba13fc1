// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/io/catalogue.hpp>
#include <sbi/io/catalogue_spec.hpp>
#include <sbi/io/fits.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>
#include <vector>

namespace sbi::io {

namespace detail {

/// Columns read once, however many quantities and filters use them.
class ColumnCache {
public:
  explicit ColumnCache(const FitsTable& table) : table_(table) {}
  const std::vector<double>& numbers(const std::string& name) {
    const auto [at, fresh] = numbers_.try_emplace(name);
    if (fresh) at->second = table_.numbers(name);
    return at->second;
  }
  const std::vector<std::string>& strings(const std::string& name) {
    const auto [at, fresh] = strings_.try_emplace(name);
    if (fresh) at->second = table_.strings(name);
    return at->second;
  }
  bool passes(const RowFilter& filter, std::size_t row) {
    if (filter.accept.empty()) {
      const double v = numbers(filter.column)[row];
      return v >= filter.min && v <= filter.max;
    }
    std::string word = strings(filter.column)[row];
    if (filter.position >= 0)
      word = static_cast<std::size_t>(filter.position) < word.size()
                 ? std::string(1, word[static_cast<std::size_t>(filter.position)])
                 : std::string();
    return std::find(filter.accept.begin(), filter.accept.end(), word) != filter.accept.end();
  }
  [[nodiscard]] const std::string& path() const { return table_.path(); }

private:
  const FitsTable& table_;
  std::map<std::string, std::vector<double>> numbers_;
  std::map<std::string, std::vector<std::string>> strings_;
};

inline double correction(const std::vector<std::pair<double, double>>& table, double value) {
  if (table.empty() || value <= table.front().first) return table.empty() ? 0 : table.front().second;
  for (std::size_t i = 1; i < table.size(); ++i)
    if (value < table[i].first)
      return std::lerp(table[i - 1].second, table[i].second,
                       (value - table[i - 1].first) / (table[i].first - table[i - 1].first));
  return table.back().second;
}

struct Measured {
  double value = missing, sigma = missing;
};

/// One quantity of one star, or nothing observed. Throws FileError for a value the column's description
/// cannot explain.
inline Measured measure(ColumnCache& columns, const CatalogueColumn& c, std::size_t row) {
  const auto is_code = [](const std::vector<double>& codes, double x) {
    return std::find(codes.begin(), codes.end(), x) != codes.end();
  };
  const auto fail = [&](const std::string& column, double x, const char* want) {
    throw FileError(text(columns.path(), ", column '", column, "', row ", row + 1, ": ", x, "; want ", want));
  };
  double value = columns.numbers(c.value)[row];
  if (is_missing(value) || is_code(c.missing_values, value)) return {};
  if (!std::all_of(c.keep_if.begin(), c.keep_if.end(),
                   [&](const RowFilter& f) { return columns.passes(f, row); }))
    return {};
  double sigma = c.error_value;
  if (!c.error.empty()) {
    sigma = columns.numbers(c.error)[row];
    if (is_code(c.limit_values, sigma) || (c.limit_is_nan && is_missing(sigma))) return {};
    if (!(sigma > 0) || !is_finite(sigma)) fail(c.error, sigma, "a positive error, since there is a value");
  }
  if (sigma > c.error_max) return {};
  if (!is_finite(value)) fail(c.value, value, "a finite value");
  if (c.flux) {
    if (!(value > 0)) fail(c.value, value, "a positive flux");
    sigma *= 2.5 / std::numbers::ln10 / value;
    value = c.zero_point - 2.5 * std::log10(value);
  } else {
    value -= c.zero_point;
  }
  value += correction(c.corrections, value);
  sigma = std::hypot(c.error_scale * sigma, c.error_floor);
  if (c.log10) {
    if (!(value > 0)) fail(c.value, value, "a positive value, since its logarithm is taken");
    sigma /= std::numbers::ln10 * value;
    value = std::log10(value);
  }
  return {value, sigma};
}

} // namespace detail

/// Reads the catalogue that `spec` describes from below the folder `data`. Throws FileError naming file,
/// column and row for a missing column, a negative flux, or a value whose error is neither positive nor a
/// declared code.
[[nodiscard]] inline Catalogue read_catalogue(const CatalogueSpec& spec, const std::string& data) {
  const FitsTable table(data + "/" + spec.file, spec.table);
  detail::ColumnCache columns(table);
  std::vector<std::size_t> kept;
  for (std::size_t r = 0; r < static_cast<std::size_t>(table.rows()); ++r)
    if (std::all_of(spec.keep_if.begin(), spec.keep_if.end(),
                    [&](const auto& f) { return columns.passes(f, r); }))
      kept.push_back(r);
  const auto n = static_cast<index_t>(kept.size());
  Catalogue out;
  const auto fill = [&](const std::vector<CatalogueColumn>& list, std::vector<std::string>& names,
                        Tensor<double>& value, Tensor<double>& sigma) {
    value = Tensor<double>({n, static_cast<index_t>(list.size())});
    sigma = Tensor<double>(value.shape());
    for (index_t c = 0; c < value.cols(); ++c) {
      names.push_back(list[static_cast<std::size_t>(c)].name);
      for (index_t r = 0; r < n; ++r) {
        const detail::Measured m =
            detail::measure(columns, list[static_cast<std::size_t>(c)], kept[static_cast<std::size_t>(r)]);
        value(r, c) = m.value;
        sigma(r, c) = m.sigma;
      }
    }
  };
  fill(spec.observables, out.observables, out.x, out.sigma);
  for (const CatalogueColumn& c : spec.observables) out.bands.push_back(c.band);
  fill(spec.labels, out.labels, out.label, out.label_sigma);
  const bool named = table.column(spec.id).kind == FitsColumn::Kind::text;
  const auto words = named ? table.strings(spec.id) : std::vector<std::string>{};
  const auto numbers = named ? std::vector<std::int64_t>{} : table.integers(spec.id);
  for (const std::size_t r : kept) {
    out.ids.push_back(named ? words[r] : std::to_string(numbers[r]));
    out.membership.push_back(spec.membership.empty() ? 1 : columns.numbers(spec.membership)[r]);
  }
  return out;
}

} // namespace sbi::io
