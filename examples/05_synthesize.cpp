// SPDX-License-Identifier: MIT
// A table of stars in, what the surveys record of them out: magnitudes of Gaia, 2MASS and WISE and the
// parallax, with or without errors and gaps, for a chosen atmosphere and dust law. Rows that no atmosphere
// covers are flagged and counted; a million of them fit into a few hundred megabytes.
#include "support/analytic_grid.hpp"
#include "support/program.hpp"

#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/black_body.hpp>
#include <sbi/forward/bt_settl_file.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/dust_fitzpatrick.hpp>
#include <sbi/forward/dust_g23.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/observatory.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/forward/xp_file.hpp>
#include <sbi/forward/xp_response.hpp>
#include <sbi/forward/xp_survey.hpp>
#include <sbi/io/csv_rows.hpp>
#include <sbi/io/number_columns.hpp>
#include <sbi/io/plot.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <tuple>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace {

using sbi::index_t;
using sbi::missing;
using sbi::Tensor;
namespace fw = sbi::forward;

struct Settings {
  std::string table, data, atmosphere = "kurucz", dust = "ccm89";
  std::vector<std::string> surveys{"gaia", "2mass", "wise"};
  bool noise = true;
  double missing_rate = 0;

  [[nodiscard]] bool wants(std::string_view survey) const {
    return std::find(surveys.begin(), surveys.end(), survey) != surveys.end();
  }
  Settings() {
    const char* variable = std::getenv("SBI_DATA_DIR");
    data = variable ? variable : SBI_SOURCE_DIR "/../shared/data";
  }
};

fw::SpectralGrid atmosphere_of(const Settings& settings, int threads) {
  if (settings.atmosphere == "kurucz") return fw::read_kurucz_grid(settings.data + "/ck04");
  if (settings.atmosphere == "kurucz93")
    return fw::read_kurucz_grid({settings.data + "/kurucz93_km05", settings.data + "/kurucz93_kp00"});
  if (settings.atmosphere == "bt_settl")
    return fw::read_bt_settl_grid(settings.data + "/btsettl_cifist", {}, 500, threads);
  if (settings.atmosphere == "analytic") return example::analytic_grid(threads);
  std::vector<double> wavelengths; // micron
  for (const double x : example::even_axis(std::log10(.05), std::log10(40), 960))
    wavelengths.push_back(std::pow(10, x));
  return fw::tabulate(fw::BlackBody(wavelengths), example::even_axis(3, 5, 200), {-2, 10}, {-9, 9}, threads);
}

/// The channels of the surveys. XP spectra exist for stars of a G magnitude.
std::vector<std::string_view> channels_of(const Settings& settings) {
  std::vector<std::string_view> out;
  if (settings.wants("gaia") || settings.wants("xp")) out.insert(out.end(), {"G", "BP", "RP", "parallax"});
  if (settings.wants("2mass")) out.insert(out.end(), {"J", "H", "Ks"});
  if (settings.wants("wise")) out.insert(out.end(), {"W1", "W2", "W3", "W4"});
  if (settings.wants("xp")) out.emplace_back("XP");
  return out;
}

/// The columns of the table that a star is made of. Values that can only be of another unit are refused: a
/// wrong unit in every row would otherwise come back as "outside the atmospheres".
class Stars {
public:
  explicit Stars(const std::string& path) : table_(sbi::io::read_number_columns(path)) {
    for (const char* name : {"teff", "logg", "mh", "distance"}) std::ignore = table_.column(name);
    if (table_.has("radius") == table_.has("luminosity"))
      throw sbi::ValueError(sbi::text(path, table_.has("radius") ? ": both of" : ": none of",
                                      " the columns 'radius' and 'luminosity' [solar]; want one"));
    unit("teff", 500, 200'000, "kelvin, not its logarithm"), unit("logg", -1, 9, "log10 of cm/s^2");
    unit("mh", -6, 2, "dex"), unit("distance", 1e-6, 1e8, "parsec");
    if (table_.has("radius")) unit("radius", 1e-3, 1e4, "solar radii");
    if (table_.has("luminosity")) unit("luminosity", 1e-8, 1e8, "solar luminosities, not their logarithm");
    if (table_.has("r_v")) unit("r_v", 1, 10, "A_V / E(B-V)");
    if (table_.has("a_v")) unit("a_v", -1e-9, 100, "magnitudes");
  }
  [[nodiscard]] index_t rows() const { return table_.rows(); }

  [[nodiscard]] fw::LightSource source(index_t row) const {
    const auto value = [&](const char* name, double otherwise) {
      return table_.has(name) ? table_.column(name)[static_cast<std::size_t>(row)] : otherwise;
    };
    fw::LightSource out;
    fw::StarState state;
    state.log_teff = std::log10(value("teff", 0)), state.log_g = value("logg", 0), state.mh = value("mh", 0);
    state.log_l = std::log10(value("luminosity", 1));
    out.stars[0] = fw::photosphere(state);
    if (table_.has("radius")) out.stars[0].log_radius = std::log10(value("radius", 1));
    out.log_distance = std::log10(value("distance", 0)), out.a_v = value("a_v", 0),
    out.r_v = value("r_v", 3.1);
    return out;
  }

private:
  /// The median of a column lies in a range that stars can have.
  void unit(const char* name, double low, double high, const char* want) const {
    std::vector<double> values;
    for (const double x : table_.column(name))
      if (sbi::is_finite(x)) values.push_back(x);
    if (values.empty())
      throw sbi::ValueError(sbi::text(table_.path(), ": column '", name, "' has no number; want ", want));
    const auto middle = values.begin() + static_cast<index_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (!(*middle >= low && *middle <= high))
      throw sbi::ValueError(
          sbi::text(table_.path(), ": the median of column '", name, "' is ", *middle, "; want ", want));
  }
  sbi::io::NumberColumns table_;
};

class Synthesizer {
public:
  Synthesizer(const example::Common& common, const Settings& settings)
      : common_(common), settings_(settings), cpu_(common.threads), stars_(settings.table),
        observatory_(make_observatory()) {
    if (settings.wants("xp"))
      xp_.emplace(observatory_, fw::read_xp_instrument(settings.data + instrument_folder));
  }

  void run() {
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
      names.push_back(name);
      if (settings_.noise) names.push_back(name + "_error");
    };
    for (const auto& c : observatory_.channels())
      if (c.name != "XP") add(std::string(c.name));
    for (index_t k = 0; k < observatory_.spectrum_size(); ++k)
      add(observatory_.synthesis().names()[static_cast<std::size_t>(observatory_.synthesis().outputs() -
                                                                    observatory_.spectrum_size() + k)]);
    names.emplace_back("flag");
    sbi::io::CsvRows out((common_.output / "stars.csv").string(), names);
    fw::SelectionCounts selected(observatory_.channels());
    for (index_t first = 0; first < stars_.rows(); first += chunk)
      write(first, std::min(chunk, stars_.rows() - first), out, selected);
    out.close();
    const double seconds = watch_.seconds();
    std::printf("%s\n", counts_.text().c_str());
    if (settings_.noise) std::printf("\n%s", selected.text().c_str());
    std::printf("\n%.2f s, %.3g stars/s with reading and writing everything; %s\n", seconds,
                static_cast<double>(stars_.rows()) / seconds, (common_.output / "stars.csv").c_str());
    report(seconds);
    picture();
  }

private:
  static constexpr index_t chunk = 1 << 15; // rows in memory at a time
  static constexpr const char* instrument_folder = "/gaiaxpy_instrument";

  [[nodiscard]] fw::Observatory<float> make_observatory() const {
    fw::SurveyOptions options;
    options.channels = fw::channels_named(channels_of(settings_));
    options.selection.missingness = fw::Missingness::at_random(settings_.missing_rate);
    const fw::SpectralGrid grid = atmosphere_of(settings_, common_.threads);
    const auto with = [&]<class D>(const D& law) {
      options.r_v_min = std::max<double>(D::r_v_min, 1.5), options.r_v_max = std::min<double>(D::r_v_max, 8);
      if (!settings_.wants("xp")) return fw::Observatory<float>(grid, law, options);
      return fw::Observatory<float>(
          grid, law, fw::XpResponse(fw::read_xp_instrument(settings_.data + instrument_folder)), options);
    };
    if (settings_.dust == "ccm89") return with(fw::CCM89{});
    if (settings_.dust == "odonnell94") return with(fw::ODonnell94{});
    if (settings_.dust == "f99") return with(fw::F99{});
    if (settings_.dust == "f19") return with(fw::F19{});
    return with(fw::G23{});
  }

  void write(index_t first, index_t n, sbi::io::CsvRows& out, fw::SelectionCounts& selected) {
    std::vector<fw::LightSource> sources;
    for (index_t i = 0; i < n; ++i) sources.push_back(stars_.source(first + i));
    Tensor<float> spectra(sbi::Shape{n, observatory_.spectrum_size()}), spectra_error = spectra;
    fw::SurveyTruth truth =
        observatory_.truth(cpu_, sources, std::vector<fw::StarFlag>(sources.size()), spectra.view());
    counts_.add(truth.flags);
    fw::SurveyRecord record;
    if (settings_.noise) {
      const sbi::Rng rng = sbi::Rng(common_.seed).split(static_cast<std::uint64_t>(first / chunk));
      record = observatory_.record(cpu_, rng, std::move(truth));
      if (xp_) xp_->observe(cpu_, rng, record, spectra.view(), spectra_error.view());
    } else {
      record.truth = truth, record.x = truth.values;
    }
    std::vector<double> row;
    const auto width = static_cast<std::size_t>(record.x.cols());
    for (index_t i = 0; i < n; ++i) {
      row.clear();
      const auto add = [&](double value, double error) {
        row.push_back(value);
        if (settings_.noise) row.push_back(error);
      };
      for (std::size_t c = 0; c < width; ++c)
        if (observatory_.channels()[c].name != "XP")
          add(record.x.row(i)[c], settings_.noise ? record.sigma.row(i)[c] : missing);
      const fw::StarFlag flag = record.truth.flags[static_cast<std::size_t>(i)];
      for (index_t k = 0; k < spectra.cols(); ++k)
        add(static_cast<double>(spectra(i, k)), static_cast<double>(spectra_error(i, k)));
      row.push_back(static_cast<double>(flag));
      out.add(row);
      if (settings_.noise && fw::shines(flag))
        selected.add({record.outcomes.data() + static_cast<std::size_t>(i) * width, width});
      if (observatory_.channels()[0].name == "G" && colour_.size() < 20'000) {
        colour_.push_back(record.x(i, 1) - record.x(i, 2));
        magnitude_.push_back(record.x(i, 0) + 5 - 5 * sources[static_cast<std::size_t>(i)].log_distance);
      }
    }
  }

  void report(double seconds) const {
    sbi::io::Results flags, out;
    flags.set("whole", counts_(fw::StarFlag::whole))
        .set("no_atmosphere", counts_(fw::StarFlag::no_atmosphere));
    flags.set("no_light", counts_(fw::StarFlag::no_light));
    flags.set("bad_value", counts_(fw::StarFlag::bad_value));
    out.set("stars", stars_.rows()).set("flags", flags).set("atmosphere", settings_.atmosphere);
    out.set("dust", settings_.dust).set("noise", settings_.noise).set("seconds", seconds);
    out.write(common_.output / "results.json");
  }
  void picture() const {
    std::vector<double> seen;
    for (const double m : magnitude_)
      if (!sbi::is_missing(m)) seen.push_back(m);
    if (seen.empty()) return;
    sbi::io::Figure figure(1, 1);
    sbi::io::Panel& panel = figure.panel(0);
    panel.title = "stars as Gaia sees them", panel.legend = "none";
    panel.x_label = "BP - RP [mag]", panel.y_label = "G + 5 - 5 log10(d / pc) [mag]";
    const auto [least, most] = std::minmax_element(seen.begin(), seen.end());
    panel.y_range = std::pair{*most + .5, *least - .5}; // bright is up
    panel.points_by_density(colour_, magnitude_);
    std::printf("%s\n", figure.write(common_.output / "colour_magnitude.png").note.c_str());
  }

  example::Stopwatch watch_;
  const example::Common& common_;
  const Settings& settings_;
  sbi::Cpu<float> cpu_;
  Stars stars_;
  fw::Observatory<float> observatory_;
  std::optional<fw::XpObserver> xp_;
  fw::StarFlagCounts counts_;
  std::vector<double> colour_, magnitude_;
};

} // namespace

int main(int argc, char** argv) {
  example::Common common;
  Settings settings;
  return example::program(
      argc, argv,
      "Synthetic observations of a table of stars: stars.csv with a row a star; its flag is 0 for a star "
      "with values, 3 outside the atmospheres, 4 without light in a band, 5 for unusable numbers.",
      "05_synthesize.output", common,
      [&](CLI::App& app) {
        app.add_option("table", settings.table,
                       "CSV or FITS with the columns teff [K], logg, mh [dex], distance [pc], radius or "
                       "luminosity [solar], and, "
                       "if not 0 and 3.1, a_v [mag] and r_v")
            ->required();
        app.add_option("--data", settings.data,
                       "folder of ck04, kurucz93_kp00, btsettl_cifist, gaiaxpy_instrument")
            ->capture_default_str();
        app.add_option("--atmosphere", settings.atmosphere, "kurucz93 has [M/H] -0.5 to 0, bt_settl 0 alone")
            ->capture_default_str()
            ->check(CLI::IsMember({"kurucz", "kurucz93", "bt_settl", "analytic", "black_body"}));
        app.add_option("--dust", settings.dust,
                       "R_V 2-6 for f99 and f19, 2.3-5.6 for g23, 1.5-8 for the others")
            ->capture_default_str()
            ->check(CLI::IsMember({"ccm89", "odonnell94", "f99", "f19", "g23"}));
        app.add_option("--surveys", settings.surveys, "which of gaia, 2mass, wise, xp")
            ->capture_default_str()
            ->delimiter(',')
            ->check(CLI::IsMember({"gaia", "2mass", "wise", "xp"}));
        app.add_flag("--noise,!--no-noise", settings.noise,
                     "errors, and gaps where stars are too faint (default)");
        app.add_option("--missing", settings.missing_rate,
                       "share of the values that are lost at random besides")
            ->capture_default_str();
      },
      [&] { Synthesizer(common, settings).run(); });
}
