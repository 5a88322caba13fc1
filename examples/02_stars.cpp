// SPDX-License-Identifier: MIT
// Stars seen by some surveys and not by others, through a simulator that is not quite right. Simulated stars
// have atmospheres of one family, "real" stars those of another whose truth is withheld; every tenth real
// star is a pair, simulated in both. Compares no adaptation, fine-tuning on the pairs, adaptation with and
// without pairs, and training on labelled real stars, the best possible.
#include "support/training.hpp"

#include <sbi/core/adapt.hpp>
#include <sbi/diagnostics/scores.hpp>
#include <sbi/forward/stars.hpp>
#include <sbi/inference/model_file.hpp>
#include <sbi/io/npy.hpp>

#include <Eigen/Eigenvalues>

namespace {

using Model = sbi::DomainAdaptive<>;
using sbi::Dataset;
using sbi::index_t;
using sbi::Tensor;

struct Settings {
  index_t simulations = 30'000, real = 10'000, held_out = 2'000, samples = 1'000;
  index_t steps = 6'000, adapt_steps = 2'000;
  double missing = 0.5, gap = 2.5;
};

Dataset dataset(sbi::forward::StarSample stars) {
  return {std::move(stars.theta), std::move(stars.x), std::move(stars.sigma)};
}

/// Held-out stars with their truth, theta and what follows from it.
struct TestStars {
  Dataset data;
  Tensor<double> derived; ///< log T_eff, log L, log g
};

template <class Simulator>
Tensor<double> derived_of(const sbi::Cpu<>& cpu, const Simulator& simulator, const Tensor<double>& theta) {
  Tensor<double> out({theta.rows(), 3});
  constexpr index_t block = 4096;
  cpu.for_each((theta.rows() + block - 1) / block, [&](index_t b) {
    for (index_t i = b * block; i < std::min(theta.rows(), (b + 1) * block); ++i) {
      const auto values = simulator.derived({theta.row(i), static_cast<std::size_t>(theta.cols())});
      for (index_t j = 0; j < 3; ++j) out(i, j) = (*values)[static_cast<std::size_t>(j)];
    }
  });
  return out;
}

std::vector<sbi::diagnostics::ParameterPrior> priors(const Tensor<double>& draws) {
  std::vector<sbi::diagnostics::ParameterPrior> out;
  for (index_t j = 0; j < draws.cols(); ++j) {
    const auto values = sbi::diagnostics::sorted(sbi::diagnostics::marginal(draws.view(), j));
    out.push_back({{values.front(), values.back()}, sbi::diagnostics::summarize(values).standard_deviation});
  }
  return out;
}

/// One line of the table.
struct Row {
  std::string name, domain;
  sbi::diagnostics::PosteriorScores scores, derived;
};

/// The two directions of largest variance of the rows of several clouds together, and the clouds seen along
/// them.
std::vector<Tensor<double>> principal_plane(const std::vector<Tensor<float>>& clouds) {
  const index_t width = clouds.front().cols();
  Eigen::MatrixXd all(0, width);
  for (const auto& c : clouds) {
    const index_t before = all.rows();
    all.conservativeResize(before + c.rows(), Eigen::NoChange);
    all.bottomRows(c.rows()) = sbi::as_eigen(c).cast<double>();
  }
  const Eigen::RowVectorXd mean = all.colwise().mean();
  all.rowwise() -= mean;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(all.transpose() * all);
  const Eigen::MatrixXd plane = all * solver.eigenvectors().rightCols(2);
  std::vector<Tensor<double>> out;
  index_t row = 0;
  for (const auto& c : clouds) {
    Tensor<double> seen({c.rows(), 2});
    for (index_t i = 0; i < c.rows(); ++i, ++row) seen(i, 0) = plane(row, 1), seen(i, 1) = plane(row, 0);
    out.push_back(std::move(seen));
  }
  return out;
}

class Experiment {
public:
  Experiment(const example::Common& common, const Settings& settings)
      : common_(common), settings_(settings), cpu_(common.threads), simulator_(make(1, 1)),
        reality_(make(2, settings.gap)), trainings_(common) {
    const sbi::Rng rng(common.seed);
    simulated_ = dataset(simulator_.simulate_many(cpu_, rng.split(1), settings.simulations));
    real_ = dataset(reality_.simulate_many(cpu_, rng.split(2), settings.real));
    labelled_ = dataset(reality_.simulate_many(cpu_, rng.split(3), settings.simulations));
    auto pairs = sbi::forward::simulate_pairs(cpu_, reality_, simulator_, rng.split(4), settings.real / 10);
    pairs_ = dataset(std::move(pairs.first)), partners_ = dataset(std::move(pairs.second));
    sim_test_.data = dataset(simulator_.simulate_many(cpu_, rng.split(5), settings.held_out));
    real_test_.data = dataset(reality_.simulate_many(cpu_, rng.split(6), settings.held_out));
    for (TestStars* t : {&sim_test_, &real_test_}) t->derived = derived_of(cpu_, simulator_, t->data.theta);
    theta_prior_ = priors(simulated_.theta);
    derived_prior_ = priors(derived_of(cpu_, simulator_, simulated_.theta));
  }

  void run() {
    Model base = model();
    trainings_.fit("no adaptation", base, only(simulated_), sbi::Alignment::none(), pretraining());
    score("no adaptation", base, sim_test_, sbi::Domain::simulated);
    score("no adaptation", base, real_test_, sbi::Domain::simulated);

    Model tuned = base;
    sbi::DomainData pairs_only;
    pairs_only.pairs = pairs_;
    sbi::FitOptions tuning = adaptation();
    tuning.steps = 400, tuning.batch = 256, tuning.learning_rate = 3e-4, tuning.warmup = 50;
    judged_by_pairs(tuning);
    trainings_.fit("fine-tuned on pairs", tuned, pairs_only, sbi::Alignment::none(), tuning);
    score("fine-tuned on pairs", tuned, real_test_, sbi::Domain::real);

    sbi::DomainData data = only(simulated_);
    data.real_x = real_.x, data.real_sigma = real_.sigma;
    Model unpaired = base;
    trainings_.fit("adapted without pairs", unpaired, data, sbi::Alignment{}, adaptation());
    score("adapted without pairs", unpaired, real_test_, sbi::Domain::real);

    data.pairs = pairs_, data.partner_x = partners_.x, data.partner_sigma = partners_.sigma;
    Model adapted = base;
    sbi::FitOptions full = adaptation();
    judged_by_pairs(full);
    sbi::Alignment alignment;
    alignment.translation = 2'000; // partners are the same star in all of theta
    trainings_.fit("fully adapted", adapted, data, alignment, full);
    score("fully adapted", adapted, sim_test_, sbi::Domain::simulated);
    score("fully adapted", adapted, real_test_, sbi::Domain::real);

    Model best = model();
    sbi::FitOptions as_long = pretraining(); // as the adapted models in all
    as_long.steps += settings_.adapt_steps;
    trainings_.fit("best possible", best, only(labelled_), sbi::Alignment::none(), as_long);
    score("best possible", best, real_test_, sbi::Domain::simulated);

    sbi::save(base, common_.output / "no_adaptation.safetensors");
    sbi::save(adapted, common_.output / "fully_adapted.safetensors");
    report();
    pictures(base, adapted);
    trainings_.remove_states();
  }

private:
  sbi::forward::Stars<> make(int family, double amplitude) const {
    sbi::forward::StarOptions options;
    options.missingness = sbi::forward::Missingness::at_random(settings_.missing);
    return sbi::forward::Stars<>({}, sbi::forward::AnalyticAtmosphere(family, amplitude), {}, options);
  }
  Model model() const {
    sbi::DomainAdaptiveConfig config;
    config.transformer = {32, 3, 2, 3, 32};
    config.value_octaves = 1; // broad posteriors
    config.seed = common_.seed;
    return {cpu_,
            sbi::joint(simulator_),
            {{"gaia", {"G", "BP", "RP", "parallax"}}, {"2mass", {"J", "H", "Ks"}}, {"wise", {"W1", "W2"}}},
            config,
            sbi::diffusion::VE(1e-2, 10)};
  }
  sbi::FitOptions pretraining() const {
    sbi::FitOptions o;
    o.steps = settings_.steps, o.seed = common_.seed, o.validate_every = 500;
    return o;
  }
  sbi::FitOptions adaptation() const {
    sbi::FitOptions o = pretraining();
    o.steps = settings_.adapt_steps, o.learning_rate = 5e-4, o.average = 0.99;
    o.validation = 0; // no labelled real stars to judge by: the last parameters
    return o;
  }
  /// Pairs are few: a tenth of them says when the others begin to be learnt by heart.
  static void judged_by_pairs(sbi::FitOptions& o) {
    o.validation = 0.1, o.validate_every = 50, o.patience = 20;
  }
  static sbi::DomainData only(const Dataset& simulated) {
    sbi::DomainData data;
    data.simulated = simulated;
    return data;
  }
  void score(const std::string& name, Model& model, const TestStars& test, sbi::Domain domain) {
    const example::Stopwatch watch;
    sbi::SampleOptions how;
    how.solver = sbi::diffusion::DpmSolver{10, 5};
    const Tensor<double> theta = model.sample(test.data.x, test.data.sigma, domain, settings_.samples,
                                              sbi::Rng(common_.seed).split(99), how);
    sampling_seconds_ += watch.seconds(), sampled_stars_ += test.data.rows();
    const Tensor<double> derived = derived_of(cpu_, simulator_, theta);
    rows_.push_back({name, &test == &sim_test_ ? "simulated" : "real",
                     sbi::diagnostics::score_posteriors(cpu_, theta, test.data.theta, theta_prior_),
                     sbi::diagnostics::score_posteriors(cpu_, derived, test.derived, derived_prior_)});
  }
  const Row& find(const std::string& name, const std::string& domain) const {
    for (const Row& r : rows_)
      if (r.name == name && r.domain == domain) return r;
    throw sbi::ValueError("no row " + name);
  }
  /// Share of the gap between no adaptation and the best possible that a method closes on real stars.
  double closed(const std::string& name, double (sbi::diagnostics::PosteriorScores::*mean)() const) const {
    const double none = (find("no adaptation", "real").scores.*mean)(),
                 best = (find("best possible", "real").scores.*mean)();
    return (none - (find(name, "real").scores.*mean)()) / (none - best);
  }

  void report() const {
    using sbi::diagnostics::PosteriorScores;
    example::Table table;
    table.add("%-22s %-9s %7s %7s   %s\n", "model", "stars", "CRPS", "NLL",
              "RMSE of log M, [M/H], A_V, log d, log Teff, log L, log g | 68 % coverage of each");
    sbi::io::Results results, scores;
    for (const Row& r : rows_) {
      table.add("%-22s %-9s %7.4f %7.3f  ", r.name.c_str(), r.domain.c_str(), r.scores.mean_crps(),
                r.scores.mean_nll());
      sbi::io::Results entry;
      entry.set("crps", r.scores.mean_crps()).set("nll", r.scores.mean_nll());
      std::string coverage;
      const auto put = [&](const PosteriorScores& of, const auto& names) {
        std::size_t j = 0;
        for (const auto& name : names) {
          const auto& p = of.parameters[j++];
          table.add(" %.4f", p.mean.rmse);
          coverage += sbi::text(" ", static_cast<int>(std::lround(100 * p.coverage_68)));
          sbi::io::Results one;
          one.set("rmse", p.mean.rmse).set("bias", p.mean.bias).set("crps", p.crps).set("nll", p.nll);
          one.set("coverage_68", p.coverage_68).set("coverage", p.coverage.observed);
          entry.set(name, one);
        }
      };
      put(r.scores, simulator_.parameters);
      put(r.derived, simulator_.derived_names);
      table.add(" |%s\n", coverage.c_str());
      scores.set(r.name + ", " + r.domain, entry);
    }
    results.set("seed", common_.seed).set("simulations", settings_.simulations).set("real", settings_.real);
    results.set("held_out", settings_.held_out).set("samples", settings_.samples);
    results.set("missing", settings_.missing).set("gap", settings_.gap).set("scores", scores);
    table.add(
        "\nCRPS over the prior's standard deviation and NLL are means over log M, [M/H], A_V, log d.\n");
    table.add("Share of the gap to the best possible that is closed on real stars (1: all of it):\n");
    for (const char* name : {"fine-tuned on pairs", "adapted without pairs", "fully adapted"}) {
      const double crps = closed(name, &PosteriorScores::mean_crps),
                   nll = closed(name, &PosteriorScores::mean_nll);
      table.add("  %-22s CRPS %6.2f   NLL %6.2f\n", name, crps, nll);
      results.set(std::string("gap closed, ") + name, sbi::io::Results().set("crps", crps).set("nll", nll));
    }
    const double cost = find("fully adapted", "simulated").scores.mean_crps() /
                            find("no adaptation", "simulated").scores.mean_crps() -
                        1;
    table.add("Cost of full adaptation on simulated stars: CRPS %+.1f %%\n", 100 * cost);
    table.add("%.0f stars/s at %td samples a star\n", static_cast<double>(sampled_stars_) / sampling_seconds_,
              settings_.samples);
    table.show(common_.output / "table.txt");

    results.set("cost on simulated stars, crps", cost);
    results.set("trained", trainings_.results());
    results.set("stars_a_second", static_cast<double>(sampled_stars_) / sampling_seconds_);
    results.write(common_.output / "results.json");
  }

  void pictures(Model& base, Model& adapted) const {
    sbi::io::Figure means(2, 2);
    means.title = "Posterior mean against truth, log_{10} mass";
    int at = 0;
    for (const char* name : {"no adaptation", "fully adapted"})
      for (const char* domain : {"simulated", "real"}) {
        const Row& row = find(name, domain);
        const TestStars& test = std::string(domain) == "real" ? real_test_ : sim_test_;
        auto& panel = means.panel(at++);
        panel.title = std::string(domain) + " stars, " + name;
        panel.x_label = "true log_{10} M", panel.y_label = "posterior mean", panel.diagonal = true;
        panel.points_by_density(sbi::diagnostics::marginal(test.data.theta.view(), 0),
                                sbi::diagnostics::marginal(row.scores.means.view(), 0));
      }
    std::printf("%s\n", means.write(common_.output / "means.png").note.c_str());

    sbi::io::Figure coverage(1, 4);
    coverage.title = "Coverage of central intervals, real stars";
    const std::array colours{sbi::io::Colour::vermillion, sbi::io::Colour::orange, sbi::io::Colour::blue,
                             sbi::io::Colour::grey};
    const std::array shown{"no adaptation", "fine-tuned on pairs", "fully adapted", "best possible"};
    const std::array labels{"log_{10} M", "[M/H]", "A_V", "log_{10} d"};
    for (int j = 0; j < 4; ++j) {
      auto& panel = coverage.panel(j);
      panel.title = labels[static_cast<std::size_t>(j)];
      panel.x_label = "nominal", panel.y_label = "observed", panel.diagonal = true;
      panel.x_range = panel.y_range = std::pair{0.0, 1.0};
      panel.legend = j == 0 ? "top left" : "none";
      for (std::size_t k = 0; k < shown.size(); ++k) {
        sbi::io::Style style;
        style.label = shown[k], style.colour = colours[k], style.dashed = k == 3;
        const auto& c = find(shown[k], "real").scores.parameters[static_cast<std::size_t>(j)].coverage;
        panel.line(c.nominal, c.observed, style);
      }
    }
    std::printf("%s\n", coverage.write(common_.output / "coverage.png").note.c_str());

    sbi::io::Figure embeddings(1, 2);
    embeddings.title = "Pooled embeddings of simulated and real stars, two principal components";
    int which = 0;
    for (Model* m : {&base, &adapted}) {
      const bool after = which == 1;
      const auto real = m->embed(real_test_.data.x, real_test_.data.sigma,
                                 after ? sbi::Domain::real : sbi::Domain::simulated);
      const auto plane =
          principal_plane({m->embed(sim_test_.data.x, sim_test_.data.sigma, sbi::Domain::simulated), real});
      auto& panel = embeddings.panel(which++);
      panel.title = after ? "after adaptation" : "before adaptation";
      panel.x_label = "first component", panel.y_label = "second component";
      for (std::size_t k = 0; k < 2; ++k) {
        sbi::io::Style style;
        style.label = k == 0 ? "simulated" : "real", style.size = 0.5, style.opacity = 0.5;
        style.colour = k == 0 ? sbi::io::Colour::blue : sbi::io::Colour::vermillion;
        panel.points(sbi::diagnostics::marginal(plane[k].view(), 0),
                     sbi::diagnostics::marginal(plane[k].view(), 1), style);
      }
    }
    std::printf("%s\n", embeddings.write(common_.output / "embeddings.png").note.c_str());
  }

  example::Common common_;
  Settings settings_;
  sbi::Cpu<> cpu_;
  sbi::forward::Stars<> simulator_, reality_;
  Dataset simulated_, real_, labelled_, pairs_, partners_;
  TestStars sim_test_, real_test_;
  std::vector<sbi::diagnostics::ParameterPrior> theta_prior_, derived_prior_;
  std::vector<Row> rows_;
  example::Trainings trainings_;
  double sampling_seconds_ = 0;
  index_t sampled_stars_ = 0;
};

} // namespace

int main(int argc, char** argv) {
  example::Common common;
  Settings s;
  const auto flags = [&](CLI::App& app) {
    const CLI::Range some(10, 100'000'000);
    app.add_option("--simulations", s.simulations, "simulated stars to train on")
        ->check(some)
        ->capture_default_str();
    app.add_option("--real", s.real, "real stars to adapt to; a tenth as many again are pairs")
        ->check(CLI::Range(100, 100'000'000))
        ->capture_default_str();
    app.add_option("--held-out", s.held_out, "test stars of each kind")->check(some)->capture_default_str();
    app.add_option("--samples", s.samples, "posterior samples a star")->check(some)->capture_default_str();
    app.add_option("--steps", s.steps, "training steps")->capture_default_str();
    app.add_option("--adapt-steps", s.adapt_steps, "adaptation steps")->capture_default_str();
    app.add_option("--missing", s.missing, "share of the values that are missing")->capture_default_str();
    app.add_option("--gap", s.gap, "difference of the atmosphere families; 1: as Kurucz and BT-Settl differ")
        ->capture_default_str();
  };
  return example::program(argc, argv, "Infers stars through a simulator that is not quite right.",
                          "out/02_stars", common, flags, [&] { Experiment(common, s).run(); });
}
