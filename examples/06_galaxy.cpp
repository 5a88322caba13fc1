// SPDX-License-Identifier: MIT
// A star cluster in its field as Gaia, 2MASS and WISE record it: members drawn given the parameters of the
// cluster, field stars from a model of the Galaxy, both seen by one survey with its errors, limits and gaps;
// then how well directions and parallaxes tell one from the other. With --compare m67 the same models beside
// the real cluster.
#include "support/analytic_grid.hpp"
#include "support/program.hpp"
#include "support/ridge_line.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/forward/cluster.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/dust_map.hpp>
#include <sbi/forward/galaxy.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/membership.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/survey.hpp>
#include <sbi/forward/tout.hpp>
#include <sbi/forward/xp_covariance.hpp>
#include <sbi/forward/xp_file.hpp>
#include <sbi/forward/xp_response.hpp>
#include <sbi/io/catalogue_file.hpp>
#include <sbi/io/fits_write.hpp>

#include <cstdlib>
#include <numeric>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace {

namespace fw = sbi::forward;
using fw::Outcome;
using fw::Star;
using fw::StarFlag;
using sbi::index_t;
using sbi::is_missing;
using sbi::Rng;
using ClusterModel = fw::Cluster<fw::Kroupa, fw::FieldMultiplicity, fw::Plummer>;

struct Settings {
  std::string data, compare;
  fw::ClusterParameters theta;
  double field_radius = 0.75, g_limit = 18; ///< degrees, magnitudes
  bool no_field = false, analytic = false;
  index_t stream = 0;

  Settings() {
    theta.log_age = 9.6, theta.distance_pc = 860, theta.a_v = 0.12, theta.radius_pc = 2.5;
    theta.longitude = 215.7, theta.latitude = 31.9;
    theta.binary_fraction = 0.45, theta.velocity_dispersion = 0.8;
  }
  [[nodiscard]] bool has_files() const {
    return std::filesystem::is_directory(data + "/ck04") &&
           std::filesystem::is_directory(data + "/isochrones_parsec_fsps");
  }
};

constexpr double lowest_mass = 0.1; // of any star, where evolution and its tables begin

/// All channels; which stars have XP spectra among them.
fw::SurveyOptions with_xp() {
  fw::SurveyOptions out;
  out.channels =
      fw::channels_named({"G", "BP", "RP", "parallax", "J", "H", "Ks", "W1", "W2", "W3", "W4", "XP"});
  return out;
}

/// Castelli-Kurucz atmospheres and PARSEC isochrones from their files.
fw::Survey<fw::Isochrones> survey_from_files(const std::string& data, int threads,
                                             fw::SurveyOptions options) {
  fw::ParsecOptions files;
  files.threads = threads;
  return {fw::read_kurucz_grid(data + "/ck04"),
          fw::read_parsec_isochrones(data + "/isochrones_parsec_fsps", files), fw::CCM89{},
          std::move(options)};
}
/// What the library brings along: analytic spectra and the main sequence of zero age.
fw::Survey<fw::Tout1996> embedded_survey(int threads) {
  return {example::analytic_grid(threads), fw::Tout1996{}, fw::CCM89{}, with_xp()};
}

/// Draws n stars of a source and records them, in parallel, a block at a time: take(stars, record) follows
/// each block, in order. Star i depends on its number and `rng` only.
template <class Source, class E, class Take>
void observe(const sbi::Cpu<>& cpu, const Source& source, const fw::Survey<E>& survey, const Rng& rng,
             index_t n, Take&& take) {
  constexpr index_t block = 1 << 15, task_size = 256;
  std::vector<Star> stars;
  for (index_t first = 0; first < n; first += block) {
    const Rng own = rng.split(static_cast<std::uint64_t>(first));
    const index_t count = std::min(block, n - first);
    stars.resize(static_cast<std::size_t>(count));
    cpu.for_each((count + task_size - 1) / task_size, [&](index_t task) {
      for (index_t i = task * task_size; i < std::min(count, (task + 1) * task_size); ++i) {
        Rng luck = own.split(static_cast<std::uint64_t>(i));
        stars[static_cast<std::size_t>(i)] = source.draw(luck);
      }
    });
    take(std::span<const Star>(stars),
         survey.record(cpu, own.split(static_cast<std::uint64_t>(block)), stars));
  }
}

/// The dust of the Galaxy's disc, scaled to the cluster's extinction.
struct FieldDust {
  fw::ExponentialDust disc;
  double scale;

  explicit FieldDust(const fw::ClusterParameters& theta)
      : scale(theta.a_v / disc(theta.longitude, theta.latitude, theta.distance_pc)) {}
  double operator()(double longitude, double latitude, double distance) const {
    return scale * disc(longitude, latitude, distance);
  }
};

/// The stars around the cluster, with companions, behind that dust.
struct Field {
  const fw::Cone<fw::Galaxy<>>* cone;
  FieldDust dust;
  fw::FieldMultiplicity multiplicity = fw::FieldMultiplicity();

  [[nodiscard]] Star draw(Rng& rng) const {
    Star star = cone->draw(rng, dust);
    star.companions = multiplicity.draw(rng, std::pow(10, star.log_mass));
    return star;
  }
};

double share_of(index_t part, index_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : sbi::missing;
}

/// The stars that a survey lists in a circle around the cluster.
struct Catalogue {
  std::vector<Star> stars;
  std::vector<fw::StarState> states;
  std::vector<std::int32_t> member;
  std::vector<std::vector<double>> truth, x, sigma; ///< [channels][stars]
  std::vector<double> probability;                  ///< of being a member; NaN without a field

  [[nodiscard]] index_t size() const { return static_cast<index_t>(stars.size()); }
};

template <class E> class Experiment {
public:
  Experiment(const example::Common& common, const Settings& settings, fw::Survey<E> survey)
      : common_(common), settings_(settings), cpu_(common.threads), survey_(std::move(survey)),
        galaxy_(fw::GalaxyFrame(), components(), fw::galaxia_mass_functions(), lowest_mass),
        centre_(settings.theta.longitude, settings.theta.latitude),
        cone_(galaxy_, centre_, settings.field_radius, fw::DistanceRange{0, 30'000}),
        field_{&cone_, FieldDust(settings.theta)}, counts_(survey_.channels()),
        cluster_(fw::Kroupa(lowest_mass, heaviest())) {
    catalogue_.truth.resize(survey_.channels().size());
    catalogue_.x = catalogue_.sigma = catalogue_.truth;
  }

  void run() {
    const Rng rng(common_.seed);
    if (settings_.stream > 0) {
      stream(rng.split(3));
      return;
    }
    const example::Stopwatch watch;
    add_cluster(rng.split(1));
    if (!settings_.no_field) add_field(rng.split(2));
    seconds_ = watch.seconds();
    if (catalogue_.size() == 0)
      throw sbi::ValueError(
          sbi::text("no star brighter than G = ", settings_.g_limit, "; want a fainter --g-limit"));
    catalogue_.probability.assign(catalogue_.stars.size(), sbi::missing);
    if (!settings_.no_field) find_members(rng.split(4));
    report();
    write();
    picture();
  }

private:
  /// The Galaxy's components, none older than the evolution knows.
  std::vector<fw::GalaxyComponent> components() {
    std::vector<fw::GalaxyComponent> out = fw::besancon_components();
    const double oldest = survey_.evolution().range().log_age_max - 1e-9; // rounding must not end beyond it
    for (fw::GalaxyComponent& c : out) {
      if (!(9 + std::log10(c.age_max) > oldest)) continue;
      const double age = std::pow(10, oldest - 9);
      younger_ += sbi::text("  ", c.name, " of ", std::round(10 * age) / 10, " instead of ", c.age_max,
                            " Gyr, where the isochrones end\n");
      c.age_max = age, c.age_min = std::min(c.age_min, age);
    }
    return out;
  }
  /// Of the cluster's stars. An evolution without ages would keep stars that have long ceased to shine.
  double heaviest() const {
    return E::has_age
               ? 100
               : std::clamp(std::pow(10, -0.4 * (settings_.theta.log_age - 10)), 2 * lowest_mass, 100.0);
  }
  [[nodiscard]] double from_centre(const Star& star) const {
    const fw::SkyDirection at(star.longitude, star.latitude);
    double chord = 0;
    for (std::size_t k = 0; k < 3; ++k) chord += std::pow(at.unit[k] - centre_.unit[k], 2);
    return 2 * std::asin(std::min(1.0, std::sqrt(chord) / 2)) * 180 / std::numbers::pi;
  }
  [[nodiscard]] bool listed(const Star& star, const fw::SurveyRecord& record, index_t row) const {
    return record.x(row, 0) < settings_.g_limit && from_centre(star) <= settings_.field_radius;
  }

  void add_cluster(const Rng& rng) {
    const std::vector<Star> stars = cluster_.draw(cpu_, rng.split(0), settings_.theta);
    cluster_drawn_ = static_cast<index_t>(stars.size());
    add(stars, survey_.record(cpu_, rng.split(1), stars), true);
    members_ = catalogue_.size();
  }
  void add_field(const Rng& rng) {
    Rng number = rng.split(0);
    field_drawn_ = fw::poisson(number, cone_.stars());
    observe(cpu_, field_, survey_, rng.split(1), field_drawn_,
            [&](auto stars, const fw::SurveyRecord& record) { add(stars, record, false); });
  }
  /// The stars of a record that the catalogue lists.
  void add(std::span<const Star> stars, const fw::SurveyRecord& record, bool member) {
    (member ? cluster_flags_ : field_flags_).add(record.truth.flags);
    const std::size_t channels = survey_.channels().size();
    for (std::size_t i = 0; i < stars.size(); ++i) {
      const auto row = static_cast<index_t>(i);
      if (!listed(stars[i], record, row)) continue;
      catalogue_.stars.push_back(stars[i]), catalogue_.states.push_back(record.truth.states[i]);
      catalogue_.member.push_back(member ? 1 : 0);
      for (std::size_t c = 0; c < channels; ++c) {
        const auto column = static_cast<index_t>(c);
        catalogue_.truth[c].push_back(record.truth.values(row, column));
        const bool is_xp = survey_.channels()[c].name == "XP"; // without a value: whether there is a spectrum
        catalogue_.x[c].push_back(!is_xp ? record.x(row, column)
                                  : record.outcomes[i * channels + c] == Outcome::observed ? 1
                                                                                           : sbi::missing);
        catalogue_.sigma[c].push_back(record.sigma(row, column));
      }
      counts_.add({record.outcomes.data() + i * channels, channels});
    }
  }

  /// Membership from direction and parallax. The field's parallaxes come from another simulation of it, the
  /// members' share from the catalogue: what makes it likeliest (expectation-maximisation).
  void find_members(const Rng& rng) {
    std::vector<double> parallaxes;
    Rng number = rng.split(0);
    observe(cpu_, field_, survey_, rng.split(1), fw::poisson(number, cone_.stars()),
            [&](auto stars, const fw::SurveyRecord& record) {
              for (std::size_t i = 0; i < stars.size(); ++i)
                if (listed(stars[i], record, static_cast<index_t>(i)))
                  parallaxes.push_back(std::pow(10, 3 - stars[i].log_distance));
            });
    if (parallaxes.size() < 20) {
      std::fprintf(stderr, "%zu field stars in that circle: too few to tell members by\n", parallaxes.size());
      return;
    }
    const auto bins = static_cast<index_t>(std::min<std::size_t>(parallaxes.size() / 10, 100));
    const fw::Membership even(settings_.theta, cluster_.shape(), fw::FieldParallaxes(parallaxes, bins),
                              settings_.field_radius, 0.5);
    const std::size_t parallax = channel("parallax");
    std::vector<double> odd(catalogue_.stars.size()); // probabilities if half of the stars were members
    cpu_.for_each(catalogue_.size(), [&](index_t i) {
      const auto at = static_cast<std::size_t>(i);
      const Star& star = catalogue_.stars[at];
      odd[at] =
          even(star.longitude, star.latitude, catalogue_.x[parallax][at], catalogue_.sigma[parallax][at]);
    });
    const auto given_share = [&](double p) {
      return member_share_ * p / (member_share_ * p + (1 - member_share_) * (1 - p));
    };
    for (double change = 1; change > 1e-6;) {
      double sum = 0;
      for (const double p : odd) sum += given_share(p);
      const double next = sum / static_cast<double>(odd.size());
      change = std::abs(next - member_share_), member_share_ = next;
    }
    for (std::size_t i = 0; i < odd.size(); ++i) {
      catalogue_.probability[i] = given_share(odd[i]);
      if (!(catalogue_.probability[i] > 0.5)) continue;
      ++likely_, likely_members_ += catalogue_.member[i];
    }
  }

  /// Any number of field stars in little memory: they are counted and forgotten.
  void stream(const Rng& rng) {
    const example::Stopwatch watch;
    index_t bright = 0;
    observe(cpu_, field_, survey_, rng, settings_.stream, [&](auto stars, const fw::SurveyRecord& record) {
      field_flags_.add(record.truth.flags);
      const std::size_t channels = survey_.channels().size();
      for (std::size_t i = 0; i < stars.size(); ++i) {
        counts_.add({record.outcomes.data() + i * channels, channels});
        bright += record.x(static_cast<index_t>(i), 0) < settings_.g_limit;
      }
    });
    seconds_ = watch.seconds(), field_drawn_ = settings_.stream;
    example::Table table;
    table.add("%td field stars drawn, %td of them brighter than G = %g\n", field_drawn_, bright,
              settings_.g_limit);
    table.add((field_flags_.text() + "\n" + younger_ + "\n" + counts_.text() +
               "a star outside evolution or atmospheres is lost in every channel\n")
                  .c_str());
    table.add("\n%.2f s, %.0f stars/s\n", seconds_, rate());
    table.show(common_.output / "table.txt");
    sbi::io::Results results;
    results.set("seed", common_.seed).set("field", of_flags(field_flags_).set("catalogue", bright));
    results.set("channels", of_channels()).set("seconds", seconds_).set("stars_a_second", rate());
    results.write(common_.output / "results.json");
  }

  [[nodiscard]] double rate() const { return static_cast<double>(cluster_drawn_ + field_drawn_) / seconds_; }
  [[nodiscard]] std::size_t channel(std::string_view name) const {
    const auto all = survey_.channels();
    return static_cast<std::size_t>(
        std::find_if(all.begin(), all.end(), [&](const fw::Channel& c) { return c.name == name; }) -
        all.begin());
  }
  static sbi::io::Results of_flags(const fw::StarFlagCounts& counts) {
    sbi::io::Results out;
    out.set("drawn", counts.total()).set("whole", counts(StarFlag::whole));
    out.set("dark_companions", counts(StarFlag::dark_companions));
    out.set("no_evolution", counts(StarFlag::no_evolution))
        .set("no_atmosphere", counts(StarFlag::no_atmosphere))
        .set("no_light", counts(StarFlag::no_light));
    return out.set("bad_value", counts(StarFlag::bad_value));
  }
  [[nodiscard]] sbi::io::Results of_channels() const {
    sbi::io::Results out;
    for (std::size_t c = 0; c < survey_.channels().size(); ++c) {
      sbi::io::Results one;
      one.set("observed", counts_(c, Outcome::observed)).set("not_covered", counts_(c, Outcome::not_covered));
      one.set("lost", counts_(c, Outcome::lost)).set("too_faint", counts_(c, Outcome::upper_limit));
      out.set(std::string(survey_.channels()[c].name), one);
    }
    return out;
  }
  void report() const {
    const index_t field = catalogue_.size() - members_;
    const double purity = share_of(likely_members_, likely_),
                 completeness = share_of(likely_members_, members_);
    example::Table table;
    table.add("cluster: %td stars drawn, %td in the catalogue (G < %g, within %g degrees)\n", cluster_drawn_,
              members_, settings_.g_limit, settings_.field_radius);
    table.add(("  " + cluster_flags_.text() + "\n").c_str());
    if (!settings_.no_field) {
      table.add("field: %td stars drawn of %.0f expected, %td in the catalogue\n", field_drawn_,
                cone_.stars(), field);
      table.add(("  " + field_flags_.text() + "\n" + younger_).c_str());
    }
    table.add(("\nvalues of the catalogue's stars\n" + counts_.text() + "\n").c_str());
    if (likely_ > 0)
      table.add(
          "membership from direction and parallax: %.1f %% of the stars; %td with p > 0.5, of which %td are "
          "members (purity %.0f %%, completeness %.0f %%)\n",
          100 * member_share_, likely_, likely_members_, 100 * purity, 100 * completeness);
    table.add("%.2f s, %.0f stars/s\n", seconds_, rate());
    table.show(common_.output / "table.txt");

    sbi::io::Results results;
    results.set("seed", common_.seed)
        .set("models", E::has_age ? "Castelli-Kurucz, PARSEC" : "analytic, Tout");
    results.set("g_limit", settings_.g_limit).set("field_radius", settings_.field_radius);
    results.set("cluster", of_flags(cluster_flags_).set("catalogue", members_));
    results.set("field", of_flags(field_flags_).set("catalogue", field));
    results.set("channels", of_channels());
    sbi::io::Results membership;
    membership.set("share", settings_.no_field ? sbi::missing : member_share_).set("likely", likely_);
    membership.set("likely_members", likely_members_).set("purity", purity).set("completeness", completeness);
    results.set("membership", membership).set("seconds", seconds_).set("stars_a_second", rate());
    results.write(common_.output / "results.json");
  }

  /// True and observed values of every star.
  void write() const {
    std::vector<sbi::io::FitsOutputColumn> columns;
    const auto column = [&](const char* name, const char* unit, auto&& value) {
      std::vector<double> v;
      for (std::size_t i = 0; i < catalogue_.stars.size(); ++i)
        v.push_back(value(catalogue_.stars[i], catalogue_.states[i]));
      columns.push_back({name, std::move(v), unit});
    };
    columns.push_back({"member", catalogue_.member});
    std::vector<std::int32_t> population;
    for (const Star& star : catalogue_.stars) population.push_back(star.population);
    columns.push_back({"population", population});
    column("longitude", "deg", [](const Star& s, const auto&) { return s.longitude; });
    column("latitude", "deg", [](const Star& s, const auto&) { return s.latitude; });
    column("log_mass", "log10 solar mass", [](const Star& s, const auto&) { return s.log_mass; });
    column("log_age", "log10 yr", [](const Star& s, const auto&) { return s.log_age; });
    column("mh", "dex", [](const Star& s, const auto&) { return s.mh; });
    column("log_distance", "log10 pc", [](const Star& s, const auto&) { return s.log_distance; });
    column("a_v", "mag", [](const Star& s, const auto&) { return s.a_v; });
    column("mass_ratio", "", [](const Star& s, const auto&) { return s.companions[0]; });
    column("log_teff", "log10 K", [](const Star&, const auto& state) { return state.log_teff; });
    column("log_g", "log10 cm/s^2", [](const Star&, const auto& state) { return state.log_g; });
    column("log_l", "log10 solar", [](const Star&, const auto& state) { return state.log_l; });
    columns.push_back({"member_probability", catalogue_.probability});
    for (std::size_t c = 0; c < survey_.channels().size(); ++c) {
      const std::string name(survey_.channels()[c].name), unit = name == "parallax" ? "mas" : "mag";
      if (name == "XP") {
        std::vector<std::int32_t> there;
        for (const double x : catalogue_.x[c]) there.push_back(is_missing(x) ? 0 : 1);
        columns.push_back({"has_xp", there});
        continue;
      }
      columns.push_back({name, catalogue_.x[c], unit});
      columns.push_back({name + "_error", catalogue_.sigma[c], unit});
      columns.push_back({name + "_true", catalogue_.truth[c], unit});
    }
    const auto path = common_.output / "stars.fits";
    sbi::io::write_fits_table(path.string(), columns, "STARS");
    std::printf("\ntable: %s\n", path.c_str());
  }

  void picture() const {
    sbi::io::Figure figure(2, 2);
    figure.title = "A cluster in its field";
    const auto two_kinds = [&](sbi::io::Panel& panel, auto&& x, auto&& y) {
      for (const bool member : {false, true}) {
        std::vector<double> a, b;
        for (std::size_t i = 0; i < catalogue_.stars.size(); ++i)
          if ((catalogue_.member[i] != 0) == member) a.push_back(x(i)), b.push_back(y(i));
        panel.points(a, b,
                     {member ? "cluster" : "field",
                      member ? sbi::io::Colour::vermillion : sbi::io::Colour::grey, member ? 0.7 : 0.5, 0.7});
      }
    };
    const auto value = [&](const char* name) {
      return [&values = catalogue_.x[channel(name)]](std::size_t i) { return values[i]; };
    };
    const auto colour = [&](const char* blue, const char* red) {
      return [a = value(blue), b = value(red)](std::size_t i) { return a(i) - b(i); };
    };
    auto& diagram = figure.panel(0);
    diagram.title = "Colour and magnitude", diagram.legend = "top right";
    diagram.x_label = "BP - RP", diagram.y_label = "G";
    diagram.x_range = {-0.2, 3.2}, diagram.y_range = {settings_.g_limit + 0.2, 8};
    two_kinds(diagram, colour("BP", "RP"), value("G"));
    auto& sky = figure.panel(1);
    sky.title = "Sky", sky.equal_units = true, sky.legend = "none";
    sky.x_label = "longitude x cos b [degrees from the centre]", sky.y_label = "latitude";
    two_kinds(
        sky,
        [&](std::size_t i) {
          return std::remainder(catalogue_.stars[i].longitude - centre_.longitude, 360) *
                 std::cos(centre_.latitude * std::numbers::pi / 180);
        },
        [&](std::size_t i) { return catalogue_.stars[i].latitude - centre_.latitude; });
    auto& parallax = figure.panel(2);
    parallax.title = "Parallax", parallax.legend = "none";
    parallax.x_label = "G", parallax.y_label = "parallax [mas]";
    const double near = 3 * 1000 / settings_.theta.distance_pc;
    parallax.y_range = {-near / 10, near};
    two_kinds(parallax, value("G"), value("parallax"));
    auto& last = figure.panel(3);
    if (std::filesystem::is_directory(settings_.data + "/gaiaxpy_instrument")) {
      draw_spectra(last);
    } else { // the tables of the spectrographs are not embedded
      last.title = "2MASS and WISE", last.legend = "none";
      last.x_label = "J - Ks", last.y_label = "Ks - W1";
      last.x_range = {-0.2, 1.3}, last.y_range = {-0.4, 0.6};
      two_kinds(last, colour("J", "Ks"), colour("Ks", "W1"));
    }
    std::printf("%s\n", figure.write(common_.output / "galaxy.png").note.c_str());
  }

  /// Sampled XP spectra of three stars, hot, like the Sun and cool, with their errors.
  void draw_spectra(sbi::io::Panel& panel) const {
    const fw::XpResponse response(fw::read_xp_instrument(settings_.data + "/gaiaxpy_instrument"));
    const fw::XpNoise noise(response.instrument());
    const fw::XpSampling sampling(response.instrument());
    const fw::Synthesis<> synthesis(survey_.synthesis().grid(), fw::CCM89{}, survey_.options().r_v_min,
                                    survey_.options().r_v_max, response);
    const std::size_t g = channel("G"), xp = channel("XP");
    std::vector<double> nanometres;
    for (const double micron : sampling.wavelengths()) nanometres.push_back(1000 * micron);
    panel.title = "XP spectra", panel.legend = "top right";
    panel.x_label = "wavelength [nm]", panel.y_label = "flux over its mean, shifted";
    panel.x_range = {330, 1030}, panel.y_range = {-0.2, 7.5};
    double shift = 3;
    for (const auto& [kelvin, shade] : {std::pair{10'000.0, sbi::io::Colour::blue},
                                        {5772.0, sbi::io::Colour::orange},
                                        {4000.0, sbi::io::Colour::vermillion}}) {
      std::size_t best = catalogue_.stars.size();
      const auto away = [&, wanted = std::log10(kelvin)](std::size_t i) {
        return std::abs(catalogue_.states[i].log_teff - wanted);
      };
      for (std::size_t i = 0; i < catalogue_.stars.size(); ++i)
        if (!is_missing(catalogue_.x[xp][i]) && catalogue_.x[g][i] < 16 &&
            (best == catalogue_.stars.size() || away(i) < away(best)))
          best = i;
      if (best == catalogue_.stars.size()) continue;
      fw::StarState state;
      const std::array sources{survey_.light(catalogue_.stars[best], state).first};
      std::array<fw::Coverage, 1> coverage{};
      sbi::Tensor<float> electrons(sbi::Shape{1, synthesis.outputs()});
      synthesis.fluxes(cpu_, sources, electrons.view(), coverage);
      std::vector<double> coefficients(electrons.begin(), electrons.end()), error(coefficients.size());
      const auto covariance = noise.covariance(coefficients);
      Rng rng = Rng(common_.seed).split(5).split(best);
      noise.draw(rng, coefficients, error);
      for (std::size_t k = 0; k < error.size(); ++k) coefficients[k] += error[k];
      std::vector<double> flux(nanometres.size()), sigma(flux), low(flux), high(flux);
      sampling.flux(coefficients, flux);
      sampling.error(covariance[0], covariance[1], sigma);
      const double mean = std::accumulate(flux.begin(), flux.end(), 0.0) / static_cast<double>(flux.size());
      for (std::size_t i = 0; i < flux.size(); ++i) {
        flux[i] = flux[i] / mean + shift, sigma[i] /= mean;
        low[i] = flux[i] - sigma[i], high[i] = flux[i] + sigma[i];
      }
      panel.band(nanometres, low, high, {"", shade});
      panel.line(nanometres, flux,
                 {sbi::text(std::lround(std::pow(10, state.log_teff)), " K, G ",
                            std::round(10 * catalogue_.x[g][best]) / 10),
                  shade, 0.6});
      shift -= 1.5;
    }
  }

  example::Common common_;
  Settings settings_;
  sbi::Cpu<> cpu_;
  fw::Survey<E> survey_;
  std::string younger_; ///< which components of the Galaxy have been given another age
  fw::Galaxy<> galaxy_;
  fw::SkyDirection centre_;
  fw::Cone<fw::Galaxy<>> cone_;
  Field field_;
  fw::StarFlagCounts cluster_flags_, field_flags_;
  fw::SelectionCounts counts_;
  ClusterModel cluster_;
  Catalogue catalogue_;
  double seconds_ = 0, member_share_ = 0.5;
  index_t cluster_drawn_ = 0, field_drawn_ = 0, members_ = 0, likely_ = 0, likely_members_ = 0;
};

/// The real M67 beside a simulated one, both in the passbands of Gaia DR2. From G = 16 on (below 0.8 solar
/// masses) the real stars are redder by up to 0.05 mag: PARSEC's K dwarfs are some 100 K hotter than field
/// dwarfs of the same M_G in the table of Pecaut & Mamajek (2013), whose colours at given temperature the
/// atmospheres do have, to 0.015 mag above 4400 K.
class Comparison {
public:
  Comparison(const example::Common& common, const Settings& settings)
      : common_(common), settings_(settings) {}

  void run() {
    read();
    simulate();
    for (Side* side : {&real_, &simulated_}) side->ridge = example::ridge_line(side->g, side->colour, bins);
    report();
    picture();
  }

private:
  struct Side {
    std::vector<double> g, colour; ///< G, G - RP
    example::RidgeLine ridge;
  };
  static constexpr example::MagnitudeBins bins{12, 17, 0.25};
  static constexpr double wanted = 0.05; // largest median offset

  /// Members of the real cluster. The description of the catalogue knows its zero points and corrections.
  void read() {
    const auto catalogue = sbi::io::read_catalogue(
        sbi::io::read_catalogue_spec(SBI_SOURCE_DIR "/examples/m67.json"), settings_.data);
    const index_t g = catalogue.find("gaia_g"), rp = catalogue.find("gaia_rp");
    for (index_t i = 0; i < catalogue.rows(); ++i)
      if (catalogue.membership[static_cast<std::size_t>(i)] > 0.5 && !is_missing(catalogue.x(i, rp)))
        add(real_, catalogue.x(i, g), catalogue.x(i, rp));
  }
  /// The stars that could be seen, ten times as many as asked for: its ridge line shall not be the noisy one.
  void simulate() {
    fw::SurveyOptions options;
    options.channels = fw::channels_named({"G", "BP", "RP"});
    options.bands = fw::passbands({"GaiaDR2.G", "GaiaDR2.BP", "GaiaDR2.RP"});
    const sbi::Cpu<> cpu(common_.threads);
    const auto survey = survey_from_files(settings_.data, common_.threads, options);
    const ClusterModel cluster(fw::Kroupa(0.4, 100));
    fw::ClusterParameters theta = settings_.theta;
    theta.stars *= 10, theta.total_mass *= 10;
    const Rng rng(common_.seed);
    const std::vector<Star> stars = cluster.draw(cpu, rng.split(1), theta);
    const fw::SurveyRecord record = survey.record(cpu, rng.split(2), stars);
    flags_.add(record.truth.flags);
    for (index_t i = 0; i < record.x.rows(); ++i) add(simulated_, record.x(i, 0), record.x(i, 2));
  }
  static void add(Side& side, double g, double rp) {
    if (is_missing(g) || is_missing(rp)) return;
    side.g.push_back(g), side.colour.push_back(g - rp);
  }
  [[nodiscard]] double offset(std::size_t bin) const {
    return simulated_.ridge.colour[bin] - real_.ridge.colour[bin];
  }
  [[nodiscard]] double error(std::size_t bin) const {
    return std::hypot(simulated_.ridge.error[bin], real_.ridge.error[bin]);
  }

  void report() const {
    example::Table table;
    table.add("M67: ridge lines in G - RP, simulated minus real (Gaia DR2)\n");
    table.add("%-14s %16s %16s %8s %8s\n", "G", "real (stars)", "sim. (stars)", "offset", "error");
    std::vector<double> absolute, offsets;
    for (std::size_t b = 0; b < bins.count(); ++b) {
      const double from = bins.middle(b) - bins.width / 2;
      table.add("%.2f .. %.2f %8.3f (%5td) %8.3f (%5td) %+8.3f %8.3f\n", from, from + bins.width,
                real_.ridge.colour[b], real_.ridge.stars[b], simulated_.ridge.colour[b],
                simulated_.ridge.stars[b], offset(b), error(b));
      offsets.push_back(offset(b));
      if (!is_missing(offset(b))) absolute.push_back(std::abs(offset(b)));
    }
    const double median =
        absolute.empty() ? sbi::missing : sbi::diagnostics::quantile(sbi::diagnostics::sorted(absolute), 0.5);
    table.add("median of the absolute offsets: %.4f mag; wanted: below %g\n", median, wanted);
    table.add(("simulated: " + flags_.text() + "\n").c_str());
    table.show(common_.output / "table.txt");
    sbi::io::Results results;
    results.set("seed", common_.seed).set("members", real_.g.size()).set("simulated", simulated_.g.size());
    results.set("real", real_.ridge.colour).set("ridge", simulated_.ridge.colour).set("offsets", offsets);
    results.set("median_offset", median).set("wanted", wanted);
    results.write(common_.output / "results.json");
  }

  void picture() const {
    sbi::io::Figure figure(1, 3);
    figure.title = "M67: Gaia DR2, and the same cluster simulated";
    figure.panel_height = 460;
    std::vector<double> g, offsets, low, high;
    for (std::size_t b = 0; b < bins.count(); ++b) {
      g.push_back(bins.middle(b)), offsets.push_back(offset(b));
      low.push_back(offset(b) - error(b)), high.push_back(offset(b) + error(b));
    }
    int at = 0;
    for (const Side* side : {&real_, &simulated_}) {
      auto& panel = figure.panel(at++);
      const bool real = side == &real_;
      panel.title = real ? "members of M67" : "simulated";
      panel.x_label = "G - RP", panel.y_label = "G", panel.legend = "bottom left";
      panel.x_range = {0, 1.3}, panel.y_range = {19, 9};
      // As many stars as the real cluster has.
      const std::size_t step = real ? 1 : std::max<std::size_t>(1, side->g.size() / real_.g.size());
      std::vector<double> x, y;
      for (std::size_t i = 0; i < side->g.size(); i += step)
        x.push_back(side->colour[i]), y.push_back(side->g[i]);
      panel.points(x, y, {"", real ? sbi::io::Colour::grey : sbi::io::Colour::sky, 0.8, 0.7});
      panel.line(real_.ridge.colour, g, {"ridge line, real", sbi::io::Colour::black, 0.8});
      panel.line(simulated_.ridge.colour, g, {"simulated", sbi::io::Colour::vermillion, 0.8});
    }
    auto& panel = figure.panel(2);
    panel.title = "simulated minus real", panel.legend = "none";
    panel.x_label = "G", panel.y_label = "offset in G - RP [mag]";
    panel.y_range = {-0.17, 0.1};
    panel.line({bins.bright, bins.faint}, {0.0, 0.0}, {"", sbi::io::Colour::black, 0.5});
    for (const double limit : {-wanted, wanted})
      panel.line({bins.bright, bins.faint}, {limit, limit}, {"", sbi::io::Colour::grey, 0.5, 1, true});
    panel.intervals(g, offsets, low, high, {"", sbi::io::Colour::vermillion});
    std::printf("%s\n", figure.write(common_.output / "m67_ridge.png").note.c_str());
  }

  example::Common common_;
  Settings settings_;
  Side real_, simulated_;
  fw::StarFlagCounts flags_;
};

/// With the data files where they are, or were asked for.
void run(const example::Common& common, Settings settings) {
  if (settings.theta.total_mass == 0 && settings.theta.stars == 0) settings.theta.stars = 1500;
  settings.theta.check();
  const bool asked = !settings.data.empty();
  if (!asked) {
    const char* variable = std::getenv("SBI_DATA_DIR");
    settings.data = variable ? variable : SBI_SOURCE_DIR "/../shared/data";
  }
  if (!settings.compare.empty()) {
    Comparison(common, settings).run();
    return;
  }
  if (!settings.analytic && (asked || settings.has_files())) {
    Experiment<fw::Isochrones>(common, settings, survey_from_files(settings.data, common.threads, with_xp()))
        .run();
    return;
  }
  Experiment<fw::Tout1996> experiment(common, settings, embedded_survey(common.threads));
  if (!settings.analytic)
    std::fprintf(stderr,
                 "no data files in '%s': analytic spectra and the main sequence of zero age, so no giants\n",
                 settings.data.c_str());
  experiment.run();
}

} // namespace

int main(int argc, char** argv) {
  example::Common common;
  Settings s;
  const auto flags = [&](CLI::App& app) {
    app.add_option("--data", s.data, "folder of the data files (default: $SBI_DATA_DIR or ../shared/data)");
    auto* analytic = app.add_flag("--analytic", s.analytic,
                                  "embedded models, without giants, even where the data files are");
    app.add_option("--compare", s.compare, "compare a simulated cluster with the real one: m67")
        ->check(CLI::IsMember({"m67"}))
        ->excludes(analytic);
    const auto option = [&](const char* name, auto& value, const char* what) {
      app.add_option(name, value, what)->capture_default_str();
    };
    option("--log-age", s.theta.log_age, "of the cluster, log10 years");
    option("--mh", s.theta.mh, "[M/H] of the cluster");
    option("--distance", s.theta.distance_pc, "of the cluster [pc]");
    option("--longitude", s.theta.longitude, "galactic, of the centre [degrees]");
    option("--latitude", s.theta.latitude, "galactic, of the centre [degrees]");
    option("--a-v", s.theta.a_v, "extinction of the cluster [mag]");
    auto* stars = app.add_option("--stars", s.theta.stars, "systems of the cluster (default: 1500)");
    app.add_option("--mass", s.theta.total_mass, "or its total mass [solar masses]")->excludes(stars);
    option("--binaries", s.theta.binary_fraction, "share of the cluster's systems with companions");
    option("--radius", s.theta.radius_pc, "that holds half of the cluster's stars on the sky [pc]");
    option("--field-radius", s.field_radius, "radius of the sky that is looked at [degrees]");
    option("--g-limit", s.g_limit, "faintest observed G of the catalogue");
    auto* no_field = app.add_flag("--no-field", s.no_field, "the cluster alone");
    app.add_option("--stream", s.stream, "draw and record so many field stars, counting only")
        ->check(CLI::PositiveNumber)
        ->excludes(no_field);
  };
  return example::program(argc, argv, "A star cluster in its field as Gaia, 2MASS and WISE record it.",
                          "out/06_galaxy", common, flags, [&] { run(common, s); });
}
