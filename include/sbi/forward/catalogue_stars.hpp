// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/isochrone.hpp>
#include <sbi/io/catalogue.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sbi::forward {

/// Fast magnitudes of stars, like `PhotometryTable`.
template <class P>
concept StarPhotometry = requires(const P& photometry, const StarState& star, std::span<double> out) {
  { photometry.bands() } -> std::convertible_to<const std::vector<Passband>&>;
  { photometry.covers(star) } -> std::convertible_to<bool>;
  photometry.magnitudes(star, 0.1, 2.0, out);
};

/// What stars a catalogue may hold, before its magnitude limits. Broad on purpose: a field and its clusters.
struct CataloguePrior {
  double log_age_min = 8, log_age_max = 10.1;    ///< half of the stars uniform in age, half in log age
  double mh_min = -2, mh_max = 0.5;              ///< bounds of a normal mixture:
  double mh_mean = 0, mh_sigma = 0.2;            ///< 4 stars of 5
  double old_mh_mean = -0.4, old_mh_sigma = 0.5; ///< 1 star of 5
  double av_max = 1.5; ///< A_V = av_max u^2, u uniform: half of the stars below av_max / 4
  double distance_min = 50, distance_max = 5000; ///< parsec, uniform in the logarithm
  double mass_min = 0.35, mass_max = 8;          ///< solar masses
  /// Share of the stars with an unresolved companion of the same age and metallicity that adds its light
  /// (0.44 of solar-type stars: Raghavan et al. 2010, ApJS 190, 1), and its least mass in units of the
  /// primary's; the ratio is uniform up to 1. A companion cooler than the photometry covers adds nothing.
  double companion_fraction = 0, companion_ratio_min = 0.1;
  /// How often a star is drawn from each stretch of the isochrone (order of `Phase`); within a stretch
  /// uniformly in its phase coordinate, on the main sequence above mass_min. By number of stars giants would
  /// be one in a hundred; here every kind is there to learn from. No star lives on the descent from the tip
  /// in low-mass isochrones.
  std::array<double, phase_count> phase_weight{0.5, 0.15, 0.2, 0, 0.1, 0.05};
};

/// Stars as a given catalogue would list them: the simulator to train on for inference about that catalogue's
/// stars.
///
/// theta = (log_teff, log_g, mh, av, log_distance, log_mass, log_age, log_l), units as in StarState, distance
/// in pc. log_teff, log_g and log_l follow from mass, age and metallicity through the evolution; they are
/// parameters because they are what one asks for, and the data depend on them alone: given (log_teff, log_g,
/// mh, av, log_distance, log_l), x does not depend on log_mass or log_age.
///
/// x: the catalogue's observables, magnitudes and the parallax [mas]; sigma: their errors. Which values are
/// missing, and how large the errors are, is taken from a real star of the catalogue: one of the `neighbours`
/// nearest in the reference magnitude, drawn at random; the measured value is the true one, that of an
/// unresolved companion included, plus a normal error of that size. theta is that of the primary. Stars
/// fainter or brighter than the catalogue by more than half a magnitude are not in it, so theta is drawn
/// again: the prior is that of a star given that the catalogue lists it.
template <Evolution E, StarPhotometry P> class CatalogueStars {
public:
  static constexpr std::array parameters{"log_teff",     "log_g",    "mh",      "av",
                                         "log_distance", "log_mass", "log_age", "log_l"};
  static constexpr bool thread_safe = true;
  std::vector<std::string> observables;
  std::array<Bounds, parameters.size()> bounds{};

  /// reference: the observable that patterns are matched in; "" takes the first magnitude. Throws ValueError
  /// for an observable that is neither a magnitude of a band of `photometry` nor called "parallax", for a
  /// prior whose limits are reversed, or fewer than `neighbours` catalogue stars with the reference
  /// magnitude.
  CatalogueStars(E evolution, P photometry, const io::Catalogue& catalogue, CataloguePrior prior = {},
                 const std::string& reference = "", index_t neighbours = 20)
      : observables(catalogue.observables), evolution_(std::move(evolution)),
        photometry_(std::move(photometry)), prior_(prior), neighbours_(neighbours) {
    const std::vector<Passband>& bands = photometry_.bands();
    for (std::size_t k = 0; k < observables.size(); ++k) {
      const auto at = std::find_if(bands.begin(), bands.end(),
                                   [&](const auto& b) { return b.name == catalogue.bands[k]; });
      if (catalogue.bands[k].empty() ? observables[k] != "parallax" : at == bands.end())
        throw ValueError(text("catalogue stars: observable '", observables[k], "' with band '",
                              catalogue.bands[k], "'; want a band of the photometry, or the parallax"));
      band_.push_back(catalogue.bands[k].empty() ? bands.size()
                                                 : static_cast<std::size_t>(at - bands.begin()));
    }
    std::size_t column = 0;
    while (column < band_.size() &&
           (reference.empty() ? band_[column] == bands.size() : observables[column] != reference))
      ++column;
    if (column == band_.size() || band_[column] == bands.size())
      throw ValueError(text("catalogue stars: reference '", reference, "'; want one of the magnitudes"));
    reference_ = band_[column];
    collect_patterns(catalogue, static_cast<index_t>(column));
    check_prior();
  }

  [[nodiscard]] const CataloguePrior& prior() const { return prior_; }
  /// Limits of the reference magnitude that a simulated star may have.
  [[nodiscard]] Bounds magnitude_limits() const {
    return {patterns_.front().magnitude - 0.5, patterns_.back().magnitude + 0.5};
  }

  /// Throws NumericalError if no star can be drawn that the catalogue would list.
  void sample_prior(Rng& rng, std::span<double> theta) const {
    std::vector<double> magnitudes(photometry_.bands().size());
    const Bounds limits = magnitude_limits();
    for (int attempt = 0; attempt < 100'000; ++attempt) {
      const std::optional<StarState> star = draw_star(rng);
      const double u = rng.uniform(), av = prior_.av_max * u * u;
      const double log_distance =
          rng.uniform(std::log10(prior_.distance_min), std::log10(prior_.distance_max));
      if (!star || !photometry_.covers(*star)) continue;
      photometry_.magnitudes(*star, av, log_distance, magnitudes);
      if (!(magnitudes[reference_] >= limits.low && magnitudes[reference_] <= limits.high)) continue;
      const std::array<double, parameters.size()> values{
          star->log_teff, star->log_g,    star->mh,      av,
          log_distance,   star->log_mass, star->log_age, star->log_l};
      std::copy(values.begin(), values.end(), theta.begin());
      return;
    }
    throw NumericalError(
        "catalogue stars: no star within the magnitude limits in 100000 draws; want a prior that "
        "reaches the catalogue");
  }

  /// Throws ValueError where the photometry covers no such star.
  void simulate(Rng& rng, std::span<const double> theta, std::span<double> x, std::span<double> sigma) const {
    const std::vector<double> magnitudes = light(rng, theta);
    const auto above = std::lower_bound(patterns_.begin(), patterns_.end(), magnitudes[reference_],
                                        [](const Pattern& p, double m) { return p.magnitude < m; });
    const index_t first = std::clamp<index_t>(above - patterns_.begin() - neighbours_ / 2, 0,
                                              static_cast<index_t>(patterns_.size()) - neighbours_);
    const Pattern& pattern = patterns_[static_cast<std::size_t>(first + rng.below(neighbours_))];
    std::copy(pattern.sigma.begin(), pattern.sigma.end(), sigma.begin());
    add_errors(rng, theta, magnitudes, sigma, x);
  }
  /// x as a star theta is seen with given errors; what has none (NaN) is not observed. Throws like
  /// `simulate`.
  void measure(Rng& rng, std::span<const double> theta, std::span<const double> sigma,
               std::span<double> x) const {
    add_errors(rng, theta, light(rng, theta), sigma, x);
  }

private:
  struct Pattern {
    double magnitude;
    std::vector<double> sigma; ///< NaN where the value is missing
  };

  /// Magnitudes of theta and of the companion it may have.
  [[nodiscard]] std::vector<double> light(Rng& rng, std::span<const double> theta) const {
    std::vector<double> magnitudes(photometry_.bands().size());
    const StarState star{theta[5], theta[6], theta[2], theta[7], theta[0], theta[1]};
    photometry_.magnitudes(star, theta[3], theta[4], magnitudes);
    if (!rng.bernoulli(prior_.companion_fraction)) return magnitudes;
    const double ratio = rng.uniform(prior_.companion_ratio_min, 1);
    const std::optional<StarState> companion =
        evolution_.state(star.log_mass + std::log10(ratio), star.log_age, star.mh);
    if (!companion || !photometry_.covers(*companion)) return magnitudes;
    std::vector<double> second(magnitudes.size());
    photometry_.magnitudes(*companion, theta[3], theta[4], second);
    for (std::size_t b = 0; b < magnitudes.size(); ++b)
      magnitudes[b] -= 2.5 * std::log10(1 + std::pow(10, 0.4 * (magnitudes[b] - second[b])));
    return magnitudes;
  }
  void add_errors(Rng& rng, std::span<const double> theta, const std::vector<double>& magnitudes,
                  std::span<const double> sigma, std::span<double> x) const {
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double truth = band_[k] < magnitudes.size() ? magnitudes[band_[k]] : std::pow(10, 3 - theta[4]);
      x[k] = is_missing(sigma[k]) ? missing : rng.normal(truth, sigma[k]);
    }
  }
  void collect_patterns(const io::Catalogue& catalogue, index_t column) {
    for (index_t r = 0; r < catalogue.rows(); ++r) {
      if (is_missing(catalogue.x(r, column))) continue;
      const double* sigma = catalogue.sigma.row(r);
      patterns_.push_back({catalogue.x(r, column), {sigma, sigma + catalogue.sigma.cols()}});
    }
    if (neighbours_ < 1 || static_cast<index_t>(patterns_.size()) < neighbours_)
      throw ValueError(text("catalogue stars: ", patterns_.size(), " stars with ",
                            catalogue.observables[static_cast<std::size_t>(column)], "; want at least the ",
                            neighbours_, " neighbours (one or more) to draw from"));
    std::stable_sort(patterns_.begin(), patterns_.end(),
                     [](const Pattern& a, const Pattern& b) { return a.magnitude < b.magnitude; });
  }
  void check_prior() {
    const auto check = [](const char* name, double low, double high) {
      if (!(low < high))
        throw ValueError(text("catalogue prior: ", name, " from ", low, " to ", high, "; want low < high"));
    };
    check("log age", prior_.log_age_min, prior_.log_age_max);
    check("[M/H]", prior_.mh_min, prior_.mh_max);
    check("A_V", 0, prior_.av_max);
    check("distance", prior_.distance_min, prior_.distance_max);
    check("mass", prior_.mass_min, prior_.mass_max);
    if (!(prior_.distance_min > 0) || !(prior_.mass_min > 0) || !(prior_.mh_sigma > 0) ||
        !(prior_.old_mh_sigma > 0))
      throw ValueError("catalogue prior: distance_min, mass_min and the sigmas of [M/H] want to be positive");
    for (const double w : prior_.phase_weight)
      if (!(w >= 0) || !is_finite(w))
        throw ValueError(text("catalogue prior: phase weight ", w, "; want a finite number, at least 0"));
    if (!(total_weight() > 0))
      throw ValueError("catalogue prior: all phase weights are 0; want one above it");
    if (!(prior_.companion_fraction >= 0 && prior_.companion_fraction <= 1) ||
        !(prior_.companion_ratio_min > 0 && prior_.companion_ratio_min < 1))
      throw ValueError(text("catalogue prior: companion_fraction = ", prior_.companion_fraction,
                            ", companion_ratio_min = ", prior_.companion_ratio_min,
                            "; want 0 to 1, and between 0 and 1"));
    bounds[2] = {prior_.mh_min, prior_.mh_max};
    bounds[3] = {0, prior_.av_max};
    bounds[4] = {std::log10(prior_.distance_min), std::log10(prior_.distance_max)};
    bounds[6] = {prior_.log_age_min, prior_.log_age_max};
  }

  [[nodiscard]] std::optional<StarState> draw_star(Rng& rng) const {
    double log_age = rng.uniform(prior_.log_age_min, prior_.log_age_max);
    if (rng.bernoulli(0.5))
      log_age = std::log10(rng.uniform(std::pow(10, prior_.log_age_min), std::pow(10, prior_.log_age_max)));
    const bool old = rng.bernoulli(0.2);
    const double mh =
        rng.normal(old ? prior_.old_mh_mean : prior_.mh_mean, old ? prior_.old_mh_sigma : prior_.mh_sigma);
    if (mh < prior_.mh_min || mh > prior_.mh_max) return std::nullopt;
    std::optional<StarState> star;
    if constexpr (requires { evolution_.at_phase(0.5, log_age, mh); }) {
      double pick = rng.uniform(0, total_weight());
      std::size_t k = 0;
      while (k + 1 < prior_.phase_weight.size() && pick >= prior_.phase_weight[k])
        pick -= prior_.phase_weight[k++];
      double low = 0;
      if (k == 0) {
        const double least = std::log10(prior_.mass_min);
        const std::optional<StarState> first = evolution_.at_phase(0, log_age, mh);
        if (first && first->log_mass < least) // else the whole main sequence is above it
          low = evolution_.phase(least, log_age, mh).value_or(1);
      }
      if (low >= 1) return std::nullopt;
      star = evolution_.at_phase(static_cast<double>(k) + rng.uniform(low, 1), log_age, mh);
    } else {
      star = evolution_.state(rng.uniform(std::log10(prior_.mass_min), std::log10(prior_.mass_max)), log_age,
                              mh);
    }
    if (star && star->log_mass > std::log10(prior_.mass_max)) return std::nullopt;
    return star;
  }
  [[nodiscard]] double total_weight() const {
    double sum = 0;
    for (const double w : prior_.phase_weight) sum += w;
    return sum;
  }

  E evolution_;
  P photometry_;
  CataloguePrior prior_;
  index_t neighbours_;
  std::size_t reference_ = 0;     ///< band that patterns are matched in
  std::vector<std::size_t> band_; ///< of each observable; the number of bands stands for the parallax
  std::vector<Pattern> patterns_; ///< by increasing reference magnitude
};

} // namespace sbi::forward
