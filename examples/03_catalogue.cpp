// SPDX-License-Identifier: MIT
// Infers the stars of a real catalogue. A JSON file says which column is which band, error and flag. A model
// is trained on the simulated stars that such a catalogue would list (Castelli-Kurucz atmospheres, PARSEC
// isochrones), adapted to the catalogue's own stars and to a few labelled ones, and judged by all the other
// labelled ones. M67 in Gaia DR2, 2MASS and AllWISE is the default.
#include "support/training.hpp"

#include <sbi/diagnostics/scores.hpp>
#include <sbi/forward/catalogue_bands.hpp>
#include <sbi/forward/catalogue_stars.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/kurucz_file.hpp>
#include <sbi/forward/parsec_file.hpp>
#include <sbi/forward/photometry_table.hpp>
#include <sbi/inference/embedding_outliers.hpp>
#include <sbi/inference/label_pairs.hpp>
#include <sbi/inference/model_file.hpp>
#include <sbi/inference/survey_gaps.hpp>
#include <sbi/io/catalogue_file.hpp>
#include <sbi/io/fits_write.hpp>

#include <Eigen/QR>

#include <cstdlib>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace {

using Model = sbi::DomainAdaptive<>;
using Simulator = sbi::forward::CatalogueStars<sbi::forward::Isochrones, sbi::forward::PhotometryTable>;
using Surveys = std::vector<std::pair<std::string, std::vector<std::string>>>;
using sbi::Dataset;
using sbi::Domain;
using sbi::index_t;
using sbi::is_missing;
using sbi::Tensor;
using sbi::diagnostics::MarginalSummary;

struct Settings {
  std::string data, catalogue, columns = SBI_SOURCE_DIR "/examples/m67.json", model;
  bool train = false;
  std::vector<std::string> labels;
  index_t pairs = 50, draws = 1, simulations = 80'000, steps = 4'000, adapt_steps = 800, samples = 250;
  double av_max = 0.3;

  Settings() {
    const char* variable = std::getenv("SBI_DATA_DIR");
    data = variable ? variable : SBI_SOURCE_DIR "/../shared/data";
  }
};

/// The parameters inferred: the simulator's but for the last, log_l, which follows from log_teff, log_g and
/// log_mass.
constexpr index_t inferred = 7;

Tensor<double> rows_of(const Tensor<double>& from, const std::vector<index_t>& rows) {
  Tensor<double> out({static_cast<index_t>(rows.size()), from.cols()});
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(from.row(rows[i]), from.cols(), out.row(static_cast<index_t>(i)));
  return out;
}
Tensor<double> first_columns(const Tensor<double>& from, index_t columns) {
  Tensor<double> out({from.rows(), columns});
  for (index_t i = 0; i < from.rows(); ++i) std::copy_n(from.row(i), columns, out.row(i));
  return out;
}
double power(double x) { return std::pow(10, x); }

/// The catalogue that the columns file describes, with the labels asked for.
struct Sky {
  sbi::io::CatalogueSpec spec;
  sbi::io::Catalogue catalogue;
  Surveys surveys; ///< a survey is the part of a band's name before the dot; the parallax goes with the first
  index_t parallax = -1;
  std::vector<index_t> members, labelled;

  explicit Sky(const Settings& settings) : spec(sbi::io::read_catalogue_spec(settings.columns)) {
    if (!settings.labels.empty()) {
      std::vector<std::string> known;
      for (const auto& l : spec.labels) known.push_back(l.name);
      std::vector<sbi::io::CatalogueColumn> kept;
      for (const auto& name : settings.labels) {
        const auto at = std::find(known.begin(), known.end(), name);
        if (at == known.end())
          throw sbi::ValueError(
              sbi::text(settings.columns, ": no label '", name, "'", sbi::io::nearest_names(name, known)));
        kept.push_back(spec.labels[static_cast<std::size_t>(at - known.begin())]);
      }
      spec.labels = std::move(kept);
    }
    std::filesystem::path folder = settings.data;
    if (!settings.catalogue.empty()) {
      const auto path = std::filesystem::absolute(settings.catalogue);
      folder = path.parent_path(), spec.file = path.filename().string();
    }
    catalogue = sbi::io::read_catalogue(spec, folder.string());
    for (std::size_t k = 0; k < catalogue.bands.size(); ++k) {
      const std::string survey = catalogue.bands[k].substr(0, catalogue.bands[k].find('.'));
      if (survey.empty())
        parallax = static_cast<index_t>(k);
      else if (surveys.empty() || surveys.back().first != survey)
        surveys.push_back({survey, {catalogue.observables[k]}});
      else
        surveys.back().second.push_back(catalogue.observables[k]);
    }
    if (surveys.empty()) throw sbi::ValueError(settings.columns + ": no magnitude; want one band at least");
    if (parallax >= 0)
      surveys.front().second.push_back(catalogue.observables[static_cast<std::size_t>(parallax)]);
    for (index_t i = 0; i < catalogue.rows(); ++i) {
      if (catalogue.membership[static_cast<std::size_t>(i)] > 0.5) members.push_back(i);
      bool any = false;
      for (index_t j = 0; j < catalogue.label.cols(); ++j) any |= !is_missing(catalogue.label(i, j));
      if (any) labelled.push_back(i);
    }
  }
  /// Gaps that the model shall have seen: any survey (the first, which names the stars, seldom),
  /// and the parallax.
  [[nodiscard]] std::vector<sbi::SurveyGap> gaps() const {
    std::vector<sbi::SurveyGap> out;
    for (std::size_t s = 0; s < surveys.size(); ++s) {
      out.push_back({{}, s == 0 ? 0.05 : 0.15});
      for (const auto& name : surveys[s].second) out.back().observables.push_back(catalogue.find(name));
    }
    if (parallax >= 0) out.push_back({{parallax}, 0.4});
    return out;
  }
};

Simulator simulator_of(const Sky& sky, const Settings& settings, int threads) {
  using namespace sbi::forward;
  GridRange range;
  range.teff_max = 13'000;
  const SpectralGrid grid = read_kurucz_grid(settings.data + "/ck04", range);
  const StellarPhotometry<SpectralGrid, CCM89> direct(grid, CCM89{},
                                                      catalogue_bands(sky.spec, settings.data));
  CataloguePrior prior;
  prior.companion_fraction = 0.4;
  prior.av_max = settings.av_max;
  ParsecOptions files;
  files.threads = threads;
  Isochrones isochrones = read_parsec_isochrones(settings.data + "/isochrones_parsec_fsps", files);
  std::fprintf(stderr, "photometry of %zu model atmospheres\n",
               grid.log_teffs().size() * grid.log_gs().size() * grid.metallicities().size());
  return {std::move(isochrones),
          PhotometryTable(
              direct,
              {refined(grid.log_teffs(), 3), refined(grid.log_gs(), 1), refined(grid.metallicities(), 3)},
              std::max(settings.av_max, 1.0), threads),
          sky.catalogue, prior};
}

/// A line of the table: how a method meets the labels of the test stars, T_eff in K.
struct Row {
  index_t draw = 0;
  std::string method;
  std::vector<sbi::diagnostics::ParameterScore> labels;
  double incomplete_rmse = sbi::missing; ///< of the first label, stars with a gap
  /// Quantiles (MarginalSummary::levels) of the members' medians [pc], their parallax hidden, and those
  /// medians.
  std::array<double, 5> distance{sbi::missing, sbi::missing, sbi::missing, sbi::missing, sbi::missing};
  std::vector<double> distances;
  Tensor<double> median, low, high; ///< [test stars, labels]: 50, 16 and 84 %
};

class Experiment {
public:
  Experiment(const example::Common& common, const Settings& settings)
      : common_(common), settings_(settings), cpu_(common.threads), rng_(common.seed), sky_(settings),
        trainings_(common) {
    for (const auto& l : sky_.catalogue.labels)
      if (std::find(Simulator::parameters.begin(), Simulator::parameters.begin() + inferred, l) ==
          Simulator::parameters.begin() + inferred)
        throw sbi::ValueError(sbi::text(settings.columns, ": label '", l,
                                        "' is no parameter; want one of log_teff, "
                                        "log_g, mh, av, log_distance, log_mass and log_age"));
    if (settings_.train)
      sbi::io::check_output_folder(std::filesystem::absolute(trained_model()).parent_path());
    if (sky_.labelled.empty()) settings_.pairs = 0;
    if (settings_.pairs > 0 && settings_.pairs + 10 > static_cast<index_t>(sky_.labelled.size()))
      throw sbi::ValueError(sbi::text("--pairs ", settings_.pairs, " of ", sky_.labelled.size(),
                                      " labelled stars; want ten or more left to judge by"));
  }

  void run() {
    Model base = load();
    simulate();
    if (!base.standardised()) train_base(base);
    for (index_t d = 0; d < settings_.draws; ++d) one_draw(base, d);
    report();
    pictures();
    trainings_.remove_states();
  }

private:
  [[nodiscard]] std::filesystem::path trained_model() const {
    return settings_.model.empty() ? common_.output / "model.safetensors"
                                   : std::filesystem::path(settings_.model);
  }
  /// The trained model, or an untrained one.
  Model load() const {
    sbi::Nodes nodes;
    for (index_t j = 0; j < inferred; ++j)
      nodes.names.emplace_back(Simulator::parameters[static_cast<std::size_t>(j)]);
    nodes.parameters = inferred;
    nodes.names.insert(nodes.names.end(), sky_.catalogue.observables.begin(),
                       sky_.catalogue.observables.end());
    nodes.bounds.resize(nodes.names.size());
    if (!settings_.model.empty() && !settings_.train) {
      Model model = sbi::load_domain_adaptive(cpu_, settings_.model);
      if (model.nodes().names != nodes.names)
        throw sbi::FileError(sbi::text(settings_.model, ": a model of other columns than ", settings_.columns,
                                       " names; want one trained for them"));
      return model;
    }
    nodes.bounds[2] = {prior_.mh_min, prior_.mh_max};
    nodes.bounds[3] = {0, settings_.av_max};
    nodes.bounds[4] = {std::log10(prior_.distance_min), std::log10(prior_.distance_max)};
    nodes.bounds[6] = {prior_.log_age_min, prior_.log_age_max};
    sbi::DomainAdaptiveConfig config;
    config.transformer = {32, 3, 2, 3, 32};
    config.seed = common_.seed;
    return {cpu_, nodes, sky_.surveys, config, sbi::diffusion::VE(3e-3, 10)};
  }
  void simulate() {
    simulator_.emplace(simulator_of(sky_, settings_, common_.threads));
    pool_ = sbi::simulate(cpu_, *simulator_, settings_.simulations, rng_.split(1));
    simulated_ = pool_;
    simulated_.theta = first_columns(pool_.theta, inferred);
    sbi::add_gaps(simulated_.x, simulated_.sigma, sky_.gaps(), rng_.split(2));
    std::vector<index_t> thrice; // with gaps of their own
    for (int c = 0; c < 3; ++c)
      for (index_t i = 0; i < sky_.catalogue.rows(); ++i) thrice.push_back(i);
    real_x_ = rows_of(sky_.catalogue.x, thrice), real_sigma_ = rows_of(sky_.catalogue.sigma, thrice);
    sbi::add_gaps(real_x_, real_sigma_, sky_.gaps(), rng_.split(3));
  }
  void train_base(Model& model) {
    sbi::DomainData data;
    data.simulated = simulated_;
    sbi::FitOptions o;
    o.steps = settings_.steps, o.seed = common_.seed, o.validate_every = 500, o.validation = 0.02;
    trainings_.fit("training", model, data, sbi::Alignment::none(), o);
    sbi::save(model, trained_model());
  }

  /// Labelled stars beside simulated ones of the same labels. A parallax better than 20 % is a label, too: of
  /// the distance, which the network then has to find where the parallax is taken away.
  sbi::LabelPairs pairs_of(const std::vector<index_t>& stars, const sbi::Rng& rng) const {
    const auto& c = sky_.catalogue;
    sbi::Labels labels{Tensor<double>({static_cast<index_t>(stars.size()), pool_.theta.cols()}), {}};
    std::fill(labels.theta.begin(), labels.theta.end(), sbi::missing);
    labels.sigma = labels.theta;
    constexpr index_t distance = 4;
    for (index_t i = 0; i < labels.theta.rows(); ++i) {
      const index_t star = stars[static_cast<std::size_t>(i)];
      if (sky_.parallax >= 0) {
        const double w = c.x(star, sky_.parallax), s = c.sigma(star, sky_.parallax);
        if (!is_missing(w) && w > 5 * s)
          labels.theta(i, distance) = 3 - std::log10(w), labels.sigma(i, distance) = s / w / std::log(10.0);
      }
      for (index_t j = 0; j < c.label.cols(); ++j) {
        labels.theta(i, parameter(j)) = c.label(star, j);
        labels.sigma(i, parameter(j)) = c.label_sigma(star, j);
      }
    }
    auto out = sbi::label_pairs(
        cpu_, pool_.theta, labels, {distance}, rows_of(c.x, stars), rows_of(c.sigma, stars), 8,
        [&](sbi::Rng& r, auto theta, auto sigma, auto x) { simulator_->measure(r, theta, sigma, x); }, rng);
    for (Dataset* d : {&out.pairs, &out.partners}) { // the same rows lose the same
      d->theta = first_columns(d->theta, inferred);
      sbi::add_gaps(d->x, d->sigma, sky_.gaps(), rng.split(1u << 20));
    }
    return out;
  }
  /// Column of theta of a label.
  index_t parameter(index_t label) const {
    return std::find(Simulator::parameters.begin(), Simulator::parameters.end(),
                     sky_.catalogue.labels[static_cast<std::size_t>(label)]) -
           Simulator::parameters.begin();
  }

  void one_draw(Model& base, index_t draw) {
    const sbi::Rng rng = rng_.split(100 + static_cast<std::uint64_t>(draw));
    std::vector<index_t> order = sky_.labelled;
    sbi::Rng shuffler = rng.split(1);
    sbi::shuffle(shuffler, order);
    const std::vector<index_t> paired(order.begin(), order.begin() + settings_.pairs);
    test_.assign(order.begin() + settings_.pairs, order.end());
    std::sort(test_.begin(), test_.end());
    const std::string of_draw = sbi::text(", draw ", draw + 1);
    sbi::DomainData data;
    if (settings_.pairs > 0) {
      colour_fit(paired, draw);
      const sbi::LabelPairs pairs = pairs_of(paired, rng.split(2));
      data.pairs = pairs.pairs, data.partner_x = pairs.partners.x, data.partner_sigma = pairs.partners.sigma;
    }
    score("unadapted", base, Domain::simulated, draw);
    if (settings_.pairs > 0) {
      sbi::DomainData only_pairs;
      only_pairs.pairs = data.pairs;
      sbi::FitOptions tuning = adaptation(draw); // stops before the pairs are learnt by heart
      tuning.validation = 0.2, tuning.validate_every = 20, tuning.patience = 10, tuning.batch = 128;
      tuning.learning_rate = 3e-4, tuning.average = 0.98;
      sbi::Alignment scores_alone = sbi::Alignment::none();
      scores_alone.survey_dropout = scores_alone.value_dropout = 0;
      Model tuned = base;
      trainings_.fit("fine-tuned" + of_draw, tuned, only_pairs, scores_alone, tuning);
      score("fine-tuned", tuned, Domain::real, draw);

      data.simulated = simulated_;
      sbi::Alignment none = alignment();
      none.contrastive = none.transport = none.pairs = 0;
      Model plain = base;
      trainings_.fit("no alignment" + of_draw, plain, data, none, adaptation(draw));
      score("no alignment", plain, Domain::real, draw);
    }
    data.simulated = simulated_, data.real_x = real_x_, data.real_sigma = real_sigma_;
    Model adapted = base;
    trainings_.fit("adapted" + of_draw, adapted, data, alignment(), adaptation(draw));
    score("adapted", adapted, Domain::real, draw);
    if (draw == 0) {
      infer_all(adapted);
      sbi::save(adapted, common_.output / "adapted.safetensors");
    }
  }
  /// The catalogue's population (a cluster) is not the prior's (a field). Transport may therefore reweight
  /// simulations (rho), and weighs little: with weight 0.5 it moves the cluster onto the prior.
  static sbi::Alignment alignment() {
    sbi::Alignment a;
    a.contrastive = 0.05, a.transport = 0.05, a.pairs = 0.2, a.pair_score = 1, a.attraction = 1;
    a.rho = 0.1, a.pair_batch = 100, a.ramp = {0, 200};
    a.survey_dropout = a.value_dropout = 0; // pairs have gaps already, those that the simulations have
    return a;
  }
  sbi::FitOptions adaptation(index_t draw) const {
    sbi::FitOptions o;
    o.steps = settings_.adapt_steps, o.seed = common_.seed + static_cast<std::uint64_t>(draw);
    o.batch = 256, o.learning_rate = 1e-4, o.warmup = 50, o.average = 0.99;
    o.validation = 0; // held-out simulations would favour the least adapted parameters
    return o;
  }

  Tensor<double> sample(Model& model, const Tensor<double>& x, const Tensor<double>& sigma, Domain domain,
                        index_t n, std::uint64_t stream) const {
    sbi::SampleOptions how;
    how.solver = sbi::diffusion::DpmSolver{12, 5};
    return model.sample(x, sigma, domain, n, rng_.split(stream), how);
  }
  bool in_kelvin(index_t label) const { return parameter(label) == 0; }
  void score(const std::string& method, Model& model, Domain domain, index_t draw) {
    std::fprintf(stderr, "sampling, %s\n", method.c_str());
    const auto& c = sky_.catalogue;
    Row row;
    row.draw = draw, row.method = method;
    if (!test_.empty()) {
      const Tensor<double> theta =
          sample(model, rows_of(c.x, test_), rows_of(c.sigma, test_), domain, settings_.samples, 50);
      Tensor<double> samples({theta.rows(), c.label.cols()}), truth = rows_of(c.label, test_);
      std::vector<sbi::diagnostics::ParameterPrior> prior;
      for (index_t j = 0; j < truth.cols(); ++j) {
        const auto unit = [&](double v) { return in_kelvin(j) && !is_missing(v) ? power(v) : v; };
        for (index_t i = 0; i < theta.rows(); ++i) samples(i, j) = unit(theta(i, parameter(j)));
        for (index_t i = 0; i < truth.rows(); ++i) truth(i, j) = unit(truth(i, j));
        auto values = sbi::diagnostics::marginal(simulated_.theta.view(), parameter(j));
        for (double& v : values) v = unit(v);
        const auto [low, high] = std::minmax_element(values.begin(), values.end());
        prior.push_back({{*low, *high}, sbi::diagnostics::summarize(values).standard_deviation});
      }
      const auto scores = sbi::diagnostics::score_posteriors(cpu_, samples, truth, prior);
      row.labels = scores.parameters;
      row.median = row.low = row.high = Tensor<double>(truth.shape());
      std::vector<double> gap_estimate, gap_truth;
      for (index_t i = 0; i < truth.rows(); ++i) {
        const auto summaries =
            sbi::diagnostics::summarize(samples.view().row_block(i * settings_.samples, settings_.samples));
        for (index_t j = 0; j < truth.cols(); ++j) {
          const auto& q = summaries[static_cast<std::size_t>(j)].quantiles;
          row.low(i, j) = q[1], row.median(i, j) = q[2], row.high(i, j) = q[3];
        }
        if (!incomplete(test_[static_cast<std::size_t>(i)])) continue;
        gap_estimate.push_back(scores.means(i, 0)), gap_truth.push_back(truth(i, 0));
      }
      const auto gaps = sbi::diagnostics::point_errors(gap_estimate, gap_truth);
      row.incomplete_rmse = gaps.rmse, incomplete_stars_ = gaps.count;
      truth_ = truth;
    }
    if (sky_.parallax >= 0 && !sky_.members.empty()) {
      Tensor<double> x = rows_of(c.x, sky_.members), sigma = rows_of(c.sigma, sky_.members);
      for (index_t i = 0; i < x.rows(); ++i) x(i, sky_.parallax) = sigma(i, sky_.parallax) = sbi::missing;
      const index_t n = std::min<index_t>(settings_.samples, 50);
      const Tensor<double> theta = sample(model, x, sigma, domain, n, 51);
      for (index_t i = 0; i < x.rows(); ++i)
        row.distances.push_back(
            power(sbi::diagnostics::summarize(sbi::diagnostics::marginal(theta.view().row_block(i * n, n), 4))
                      .median()));
      row.distance = sbi::diagnostics::summarize(row.distances).quantiles;
    }
    rows_.push_back(std::move(row));
  }
  /// Whether a survey but the first, or a band of it, has not seen the star.
  bool incomplete(index_t star) const {
    for (std::size_t s = 1; s < sky_.surveys.size(); ++s)
      for (const auto& name : sky_.surveys[s].second)
        if (is_missing(sky_.catalogue.x(star, sky_.catalogue.find(name)))) return true;
    return false;
  }

  /// What one would do without models: T_eff as a quadratic in BP - RP, fitted to the pairs, its error their
  /// scatter. Nothing where the catalogue has no such bands or label.
  void colour_fit(const std::vector<index_t>& paired, index_t draw) {
    const auto& c = sky_.catalogue;
    const auto band = [&](const std::string& end) {
      for (std::size_t k = 0; k < c.bands.size(); ++k)
        if (c.bands[k].ends_with(end)) return static_cast<index_t>(k);
      return index_t{-1};
    };
    const index_t bp = band(".BP"), rp = band(".RP");
    const auto label = std::find(c.labels.begin(), c.labels.end(), "log_teff") - c.labels.begin();
    if (bp < 0 || rp < 0 || label == static_cast<index_t>(c.labels.size())) return;
    const auto usable = [&](std::vector<index_t> stars) {
      std::erase_if(stars, [&](index_t i) {
        return is_missing(c.x(i, bp)) || is_missing(c.x(i, rp)) || is_missing(c.label(i, label));
      });
      return stars;
    };
    const auto colour = [&](index_t i) { return c.x(i, bp) - c.x(i, rp); };
    const auto teff = [&](index_t i) { return power(c.label(i, label)); };
    const std::vector<index_t> fit = usable(paired), test = usable(test_);
    if (fit.size() < 6 || test.empty()) return;
    Eigen::MatrixX3d a(static_cast<Eigen::Index>(fit.size()), 3);
    Eigen::VectorXd y(a.rows());
    for (Eigen::Index r = 0; r < a.rows(); ++r) {
      const index_t star = fit[static_cast<std::size_t>(r)];
      a.row(r) << 1, colour(star), colour(star) * colour(star);
      y(r) = teff(star);
    }
    const Eigen::Vector3d k = a.colPivHouseholderQr().solve(y);
    const double sd = std::sqrt((y - a * k).squaredNorm() / static_cast<double>(fit.size() - 3));
    Row row;
    row.draw = draw, row.method = "quadratic in BP - RP";
    row.labels.resize(c.labels.size());
    auto& score = row.labels[static_cast<std::size_t>(label)];
    score.nll = score.coverage_68 = 0;
    std::vector<double> estimate, truth, gap_estimate, gap_truth;
    for (const index_t star : test) {
      const double q = colour(star), t = teff(star);
      estimate.push_back(k[0] + k[1] * q + k[2] * q * q), truth.push_back(t);
      const double z = (estimate.back() - t) / sd, n = static_cast<double>(test.size());
      score.nll += (0.5 * z * z + std::log(sd * std::sqrt(2 * std::numbers::pi))) / n;
      score.coverage_68 += std::abs(sbi::normal_cdf(z) - 0.5) <= 0.34 ? 1 / n : 0;
      if (incomplete(star)) gap_estimate.push_back(estimate.back()), gap_truth.push_back(t);
    }
    score.mean = sbi::diagnostics::point_errors(estimate, truth);
    row.incomplete_rmse = sbi::diagnostics::point_errors(gap_estimate, gap_truth).rmse;
    rows_.push_back(std::move(row));
  }

  /// Mean, standard deviation and quantiles of every parameter of every star, as a FITS table.
  void infer_all(Model& model) {
    std::fprintf(stderr, "sampling, all stars\n");
    const auto& c = sky_.catalogue;
    const index_t n = settings_.samples, stars = c.rows();
    const example::Stopwatch watch;
    const Tensor<double> theta = sample(model, c.x, c.sigma, Domain::real, n, 52);
    sampling_seconds_ = watch.seconds();
    std::vector<sbi::io::FitsOutputColumn> columns{{"id", c.ids}, {"membership", c.membership}};
    static constexpr std::array unit{"log10 K",  "log10 cm/s^2",     "dex",     "mag",
                                     "log10 pc", "log10 solar mass", "log10 yr"};
    summaries_.assign(static_cast<std::size_t>(stars), {});
    cpu_.for_each(stars, [&](index_t i) {
      Tensor<double> own({n, inferred + 2}); // and T_eff and the distance themselves
      for (index_t r = 0; r < n; ++r) {
        std::copy_n(theta.row(i * n + r), inferred, own.row(r));
        own(r, inferred) = power(own(r, 0)), own(r, inferred + 1) = power(own(r, 4));
      }
      summaries_[static_cast<std::size_t>(i)] = sbi::diagnostics::summarize(own.view());
    });
    for (std::size_t j = 0; j < inferred + 2; ++j) {
      const std::string name = j < inferred ? Simulator::parameters[j] : j == inferred ? "teff" : "distance";
      const std::string of = j < inferred ? unit[j] : j == inferred ? "K" : "pc";
      const auto column = [&](const std::string& what, auto&& value) {
        std::vector<double> v;
        for (const auto& s : summaries_) v.push_back(value(s[j]));
        columns.push_back({name + "_" + what, std::move(v), of});
      };
      column("mean", [](const MarginalSummary& s) { return s.mean; });
      column("sd", [](const MarginalSummary& s) { return s.standard_deviation; });
      for (std::size_t k = 0; k < MarginalSummary::levels.size(); ++k)
        column(sbi::text("q", k == 0 ? "0" : "", std::lround(100 * MarginalSummary::levels[k])),
               [k](const MarginalSummary& s) { return s.quantiles[k]; });
    }
    // Goodness: does the model know such stars?
    std::vector<index_t> reference, held_out;
    for (index_t i = 0; i < std::min<index_t>(simulated_.rows(), 6'000); ++i)
      (i % 3 == 2 ? held_out : reference).push_back(i);
    const auto embed = [&](const std::vector<index_t>& rows) {
      return model.embed(rows_of(simulated_.x, rows), rows_of(simulated_.sigma, rows), Domain::simulated);
    };
    const auto p = sbi::embedding_p_values(cpu_, embed(reference), embed(held_out),
                                           model.embed(c.x, c.sigma, Domain::real));
    std::vector<std::int32_t> flag;
    for (index_t i = 0; i < stars; ++i) {
      index_t magnitudes = 0;
      for (index_t k = 0; k < c.x.cols(); ++k) magnitudes += k != sky_.parallax && !is_missing(c.x(i, k));
      flag.push_back((p[static_cast<std::size_t>(i)] < 0.01 ? 1 : 0) + (magnitudes < 3 ? 2 : 0));
      flagged_ += flag.back() != 0;
    }
    columns.push_back({"goodness", p});
    columns.push_back({"flag", flag});
    sbi::io::write_fits_table((common_.output / "posterior.fits").string(), columns, "POSTERIOR");
  }

  /// Mean over the draws of a figure of a method.
  template <class Value> double mean(const std::string& method, Value&& value) const {
    double sum = 0, n = 0;
    for (const Row& r : rows_)
      if (r.method == method) sum += value(r), ++n;
    return sum / n;
  }
  void report() const {
    const auto& c = sky_.catalogue;
    std::vector<std::string> methods;
    for (const Row& r : rows_)
      if (r.draw == 0) methods.push_back(r.method);
    example::Table table;
    table.add("%zu stars, %zu members, %zu labelled: %td pairs, %zu to judge by (%td of them with a gap)\n\n",
              c.ids.size(), sky_.members.size(), sky_.labelled.size(), settings_.pairs, test_.size(),
              incomplete_stars_);
    table.add("%-5s %-21s", "draw", "method");
    for (index_t j = 0; j < static_cast<index_t>(c.labels.size()); ++j)
      table.add("  %-27s", in_kelvin(j)
                               ? "T_eff [K]: RMSE  NLL  68 %"
                               : (c.labels[static_cast<std::size_t>(j)] + ": RMSE  NLL  68 %").c_str());
    table.add("  with gaps  distance of members without parallax [pc]\n");
    const auto line = [&](const std::string& draw, const std::string& method, auto&& figure) {
      table.add("%-5s %-21s", draw.c_str(), method.c_str());
      for (std::size_t j = 0; j < c.labels.size(); ++j) {
        const double rmse = figure([j](const Row& r) { return r.labels[j].mean.rmse; });
        if (is_missing(rmse)) {
          table.add("  %-27s", "-");
          continue;
        }
        table.add(in_kelvin(static_cast<index_t>(j)) ? "  %8.1f %8.3f %6.0f   " : "  %8.3f %8.3f %6.0f   ",
                  rmse, figure([j](const Row& r) { return r.labels[j].nll; }),
                  100 * figure([j](const Row& r) { return r.labels[j].coverage_68; }));
      }
      table.add("  %8.1f", figure([](const Row& r) { return r.incomplete_rmse; }));
      const double distance = figure([](const Row& r) { return r.distance[2]; });
      if (is_missing(distance))
        table.add("    -\n");
      else
        table.add("    %.0f (%.0f to %.0f)\n", distance, figure([](const Row& r) { return r.distance[1]; }),
                  figure([](const Row& r) { return r.distance[3]; }));
    };
    for (const Row& r : rows_)
      line(std::to_string(r.draw + 1), r.method, [&](auto&& value) { return value(r); });
    for (const auto& method : methods)
      if (settings_.draws > 1) line("mean", method, [&](auto&& value) { return mean(method, value); });
    table.show(common_.output / "table.txt");

    sbi::io::Results results, draws;
    results.set("seed", common_.seed).set("stars", c.rows()).set("members", sky_.members.size());
    results.set("labelled", sky_.labelled.size())
        .set("pairs", settings_.pairs)
        .set("test_stars", test_.size());
    results.set("test_stars_with_gap", incomplete_stars_).set("flagged", flagged_);
    results.set("simulations", settings_.simulations)
        .set("samples", settings_.samples)
        .set("av_max", settings_.av_max);
    const auto put = [&](auto&& figure) {
      sbi::io::Results out;
      for (std::size_t j = 0; j < c.labels.size(); ++j) {
        sbi::io::Results one;
        one.set("rmse", figure([j](const Row& r) { return r.labels[j].mean.rmse; }));
        one.set("bias", figure([j](const Row& r) { return r.labels[j].mean.bias; }));
        one.set("nll", figure([j](const Row& r) { return r.labels[j].nll; }));
        one.set("coverage_68", figure([j](const Row& r) { return r.labels[j].coverage_68; }));
        out.set(in_kelvin(static_cast<index_t>(j)) ? "teff" : c.labels[j], one);
      }
      out.set("rmse_with_gap", figure([](const Row& r) { return r.incomplete_rmse; }));
      out.set("distance_median", figure([](const Row& r) { return r.distance[2]; }));
      out.set("distance_16", figure([](const Row& r) { return r.distance[1]; }));
      out.set("distance_84", figure([](const Row& r) { return r.distance[3]; }));
      return out;
    };
    for (const Row& r : rows_)
      draws.set(sbi::text(r.method, ", draw ", r.draw + 1), put([&](auto&& value) { return value(r); }));
    for (const auto& method : methods)
      draws.set(method + ", mean", put([&](auto&& value) { return mean(method, value); }));
    results.set("scores", draws);
    results.set("trained", trainings_.results()).set("seconds_sampling_all_stars", sampling_seconds_);
    results.write(common_.output / "results.json");
    std::printf("\ntable: %s; %td stars flagged\n", (common_.output / "posterior.fits").c_str(), flagged_);
  }

  void pictures() const {
    const auto& c = sky_.catalogue;
    const auto all = [&](auto&& value) {
      std::vector<double> out;
      for (const auto& s : summaries_) out.push_back(value(s));
      return out;
    };
    const auto log_teff = all([](const auto& s) { return s[0].mean; });
    const auto log_g = all([](const auto& s) { return s[1].mean; });
    sbi::io::Figure hr(1, 2);
    hr.title = "Posterior means";
    for (int k = 0; k < 2; ++k) {
      auto& panel = hr.panel(k);
      panel.x_label = "log_{10} T_{eff}", panel.y_label = "log g", panel.legend = "none";
      panel.x_range = {4.05, 3.5}, panel.y_range = {5.2, 0.5};
      if (k == 0)
        panel.points_by_value(log_teff, log_g, c.membership, {"membership"});
      else
        panel.points_by_value(log_teff, log_g, all([](const auto& s) { return s[7].standard_deviation; }),
                              {"standard deviation of T_{eff} [K]"});
    }
    hr.panel(1).colour_range = {0, 300};
    std::printf("%s\n", hr.write(common_.output / "hr.png").note.c_str());

    const Row &before = last("unadapted"), &after = last("adapted");
    if (!test_.empty()) {
      sbi::io::Figure labels(1, 2);
      labels.title = "Medians and 68 % intervals against labels";
      int at = 0;
      for (const Row* r : {&before, &after}) {
        auto& panel = labels.panel(at++);
        panel.title = r->method, panel.diagonal = true, panel.legend = "none";
        panel.x_label =
            "label, " + (in_kelvin(0) ? std::string("T_{eff} [K]") : sbi::io::plain_text(c.labels[0]));
        panel.y_label = "posterior";
        const auto column = [](const Tensor<double>& t) { return sbi::diagnostics::marginal(t.view(), 0); };
        panel.intervals(column(truth_), column(r->median), column(r->low), column(r->high),
                        {"", sbi::io::Colour::blue, 1, 0.6});
      }
      std::printf("%s\n", labels.write(common_.output / "labels.png").note.c_str());
    }
    if (!after.distances.empty()) {
      sbi::io::Figure distances;
      auto& panel = distances.panel(0);
      panel.title = "Members without their parallax", panel.x_label = "median distance [pc]";
      panel.y_label = "density", panel.legend = "top right", panel.x_range = {0, 2000};
      const auto near = [](std::vector<double> v) {
        std::erase_if(v, [](double d) { return d > 2000; });
        return v;
      };
      panel.histogram(near(before.distances), 40, {"unadapted", sbi::io::Colour::grey});
      panel.histogram(near(after.distances), 40, {"adapted", sbi::io::Colour::blue});
      std::printf("%s\n", distances.write(common_.output / "distances.png").note.c_str());
    }
  }
  const Row& last(const std::string& method) const {
    const auto at =
        std::find_if(rows_.rbegin(), rows_.rend(), [&](const Row& r) { return r.method == method; });
    return *at;
  }

  example::Common common_;
  Settings settings_;
  sbi::Cpu<> cpu_;
  sbi::Rng rng_;
  Sky sky_;
  sbi::forward::CataloguePrior prior_;
  std::optional<Simulator> simulator_;
  Dataset pool_, simulated_; ///< all parameters and no further gaps; what is trained on
  Tensor<double> real_x_, real_sigma_, truth_;
  std::vector<index_t> test_;
  std::vector<Row> rows_;
  std::vector<std::vector<MarginalSummary>> summaries_; ///< of all stars, first draw
  example::Trainings trainings_;
  double sampling_seconds_ = 0;
  index_t incomplete_stars_ = 0, flagged_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  example::Common common;
  Settings s;
  const auto flags = [&](CLI::App& app) {
    app.add_option("--data", s.data, "folder of the data files (default: $SBI_DATA_DIR)")
        ->capture_default_str();
    app.add_option("--catalogue", s.catalogue,
                   "FITS table; default: the file that --columns names, below --data");
    app.add_option("--columns", s.columns, "JSON file that says which column is what")->capture_default_str();
    app.add_option("--model", s.model, "trained model; without one, or with --train, a model is trained");
    app.add_flag("--train", s.train, "train, and write the model to --model");
    app.add_option("--labels", s.labels, "labels to use; default: all that --columns names");
    app.add_option("--pairs", s.pairs, "labelled stars that become pairs; the others are for judging")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--draws", s.draws, "how often pairs are drawn and all is repeated but the training")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--av-max", s.av_max, "largest extinction of a simulated star, from a dust map [mag]")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--simulations", s.simulations, "simulated stars to train on")->capture_default_str();
    app.add_option("--steps", s.steps, "training steps")->capture_default_str();
    app.add_option("--adapt-steps", s.adapt_steps, "adaptation steps")->capture_default_str();
    app.add_option("--samples", s.samples, "posterior samples a star")
        ->check(CLI::Range(10, 100'000))
        ->capture_default_str();
  };
  return example::program(argc, argv, "Infers the stars of a real catalogue.", "out/03_catalogue", common,
                          flags, [&] { Experiment(common, s).run(); });
}
