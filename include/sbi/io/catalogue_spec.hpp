// SPDX-License-Identifier: MIT
// Which column of a catalogue is what: read from JSON, so that another catalogue needs another file, not
// another program.
#pragma once
#include <sbi/core/missing.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/names.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <vector>

namespace sbi::io {

/// A row passes if its entry of `column` is a number within [min, max], or text whose character at `position`
/// (the whole text where position < 0) is listed in `accept`.
struct RowFilter {
  std::string column;
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  int position = -1;
  std::vector<std::string> accept;
};

/// One quantity. With `flux` the columns hold a flux and its error and become the magnitude zero_point - 2.5
/// log10 flux; otherwise they hold the value, from which zero_point is subtracted (a parallax zero point).
/// Then, in this order: `corrections`, pairs (value, amount to add), linear in between and constant outside;
/// the error times `error_scale`; `error_floor` in quadrature; and log10 of the value if `log10`. Without an
/// error column `error_value` is the error.
struct CatalogueColumn {
  std::string name, value, error;
  bool flux = false, log10 = false;
  double zero_point = 0, error_value = 0, error_scale = 1, error_floor = 0;
  double error_max =
      std::numeric_limits<double>::infinity(); ///< above it, as catalogued, the value counts as missing
  std::vector<double> missing_values; ///< codes in the value column that mean: not observed (NaN always does)
  /// Codes in the error column that mean: an upper limit, which counts as missing. NaN is a code only if
  /// `limit_is_nan`; an undeclared one beside a value is an error of the file.
  std::vector<double> limit_values;
  bool limit_is_nan = false;
  std::vector<std::pair<double, double>> corrections;
  std::vector<RowFilter> keep_if; ///< where one fails the value counts as missing
  std::string band, curve;        ///< passband name, and the file of its full curve below the data folder
};

/// A catalogue: its file below the data folder, the identifier, what is observed, what is known better
/// (labels, from spectroscopy say), and the column of membership probabilities ("" for none).
struct CatalogueSpec {
  std::string path, file, table, id, membership;
  std::vector<CatalogueColumn> observables, labels;
  std::vector<RowFilter> keep_if; ///< rows where one fails are left out
};

namespace detail {

using Json = nlohmann::json;

/// A JSON object whose keys must all be known and whose entries have the type asked for; messages say where
/// it stands.
class Entry {
public:
  Entry(const Json& json, std::string where, const std::vector<std::string>& known)
      : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw FileError(text(where_, " is ", json.type_name(), "; want an object"));
    for (const auto& item : json.items())
      if (std::find(known.begin(), known.end(), item.key()) == known.end())
        throw FileError(text(where_, ": unknown entry '", item.key(), "'", nearest_names(item.key(), known)));
  }
  template <class T> void get(const char* key, T& out) const {
    if (!json_.contains(key)) return;
    try {
      json_.at(key).get_to(out);
    } catch (const Json::exception&) {
      throw FileError(text(where_, ": '", key, "' is ", json_.at(key).type_name(), " ", json_.at(key).dump(),
                           "; want another type"));
    }
  }
  void require(const char* key, std::string& out) const {
    get(key, out);
    if (out.empty()) throw FileError(text(where_, ": no '", key, "'"));
  }
  /// Calls f(element, where) for each element of the list `key`, if there is one.
  template <class F> void each(const char* key, F&& f) const {
    if (!json_.contains(key)) return;
    if (!json_.at(key).is_array()) throw FileError(text(where_, ": '", key, "' is not a list"));
    for (std::size_t i = 0; i < json_.at(key).size(); ++i)
      f(json_.at(key)[i], text(where_, ", ", key, "[", i, "]"));
  }
  [[nodiscard]] const std::string& where() const { return where_; }

private:
  const Json& json_;
  std::string where_;
};

inline std::vector<RowFilter> parse_filters(const Entry& parent) {
  std::vector<RowFilter> out;
  parent.each("keep_if", [&](const Json& json, const std::string& where) {
    const Entry entry(json, where, {"column", "min", "max", "position", "accept"});
    RowFilter filter;
    entry.require("column", filter.column);
    entry.get("min", filter.min);
    entry.get("max", filter.max);
    entry.get("position", filter.position);
    entry.get("accept", filter.accept);
    if (filter.accept.empty() && !json.contains("min") && !json.contains("max"))
      throw FileError(text(where, ": wants 'min' or 'max', or 'accept' with the texts to keep"));
    out.push_back(std::move(filter));
  });
  return out;
}

inline CatalogueColumn parse_column(const Json& json, const std::string& where) {
  const Entry entry(json, where,
                    {"name", "value", "error", "flux", "log10", "zero_point", "error_value", "error_scale",
                     "error_floor", "error_max", "missing_values", "limit_values", "corrections", "keep_if",
                     "band", "curve"});
  CatalogueColumn c;
  entry.require("name", c.name);
  entry.require("value", c.value);
  entry.get("error", c.error);
  entry.get("flux", c.flux);
  entry.get("log10", c.log10);
  entry.get("zero_point", c.zero_point);
  entry.get("error_value", c.error_value);
  entry.get("error_scale", c.error_scale);
  entry.get("error_floor", c.error_floor);
  entry.get("error_max", c.error_max);
  entry.get("missing_values", c.missing_values);
  entry.get("corrections", c.corrections);
  entry.get("band", c.band);
  entry.get("curve", c.curve);
  c.keep_if = parse_filters(entry);
  entry.each("limit_values", [&](const Json& code, const std::string& at) {
    if (code == "nan")
      c.limit_is_nan = true;
    else if (code.is_number())
      c.limit_values.push_back(code.get<double>());
    else
      throw FileError(text(at, " is ", code.dump(), "; want a number or \"nan\""));
  });
  for (std::size_t i = 1; i < c.corrections.size(); ++i)
    if (!(c.corrections[i].first > c.corrections[i - 1].first))
      throw FileError(text(where, ": the values of 'corrections' do not increase"));
  if (c.error.empty() && !(c.error_value > 0))
    throw FileError(text(where, ": wants 'error' or a positive 'error_value'"));
  if (!(c.error_scale > 0) || !(c.error_floor >= 0))
    throw FileError(text(where, ": error_scale = ", c.error_scale, ", error_floor = ", c.error_floor,
                         "; want > 0 and 0 or more"));
  return c;
}

} // namespace detail

/// Reads the description of a catalogue. The entries are the members of CatalogueSpec, CatalogueColumn and
/// RowFilter; "limit_values" may hold "nan". Throws FileError for text that is not JSON, an unknown or
/// missing entry or one of the wrong type and two observables of one name, naming the place.
[[nodiscard]] inline CatalogueSpec read_catalogue_spec(const std::string& path) {
  detail::Json json;
  try {
    json = detail::Json::parse(read_file(path), nullptr, true, true);
  } catch (const detail::Json::parse_error& error) {
    throw FileError(text(path, ": not JSON: ", error.what()));
  } catch (const detail::Json::out_of_range& error) {
    throw FileError(text(path, ": a number no double can hold: ", error.what()));
  }
  const detail::Entry entry(
      json, path, {"about", "file", "table", "id", "membership", "observables", "labels", "keep_if"});
  CatalogueSpec spec;
  spec.path = path;
  entry.require("file", spec.file);
  entry.get("table", spec.table);
  entry.require("id", spec.id);
  entry.get("membership", spec.membership);
  entry.each("observables", [&](const auto& j, const auto& at) {
    CatalogueColumn column = detail::parse_column(j, at);
    for (const CatalogueColumn& other : spec.observables)
      if (other.name == column.name)
        throw FileError(text(at, ": a second observable named '", column.name, "'"));
    spec.observables.push_back(std::move(column));
  });
  entry.each("labels",
             [&](const auto& j, const auto& at) { spec.labels.push_back(detail::parse_column(j, at)); });
  spec.keep_if = detail::parse_filters(entry);
  if (spec.observables.empty()) throw FileError(text(path, ": no observables"));
  return spec;
}

} // namespace sbi::io
