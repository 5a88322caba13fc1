// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/bounds.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/normal.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/survey_channels.hpp>
#include <sbi/forward/tout.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

namespace sbi::forward {

/// Prior of single field stars: mass from Kroupa (2001), [M/H] normal, A_V exponential, each cut to its
/// range; log age and log distance uniform; and only stars brighter than a limit in the simulator's own G,
/// found by rejection (three of four draws pass), so that the training set is not one of invisible stars. The
/// limit couples mass, distance and dust. The default ranges lie inside Tout et al. (1996), which ends at
/// [M/H] = +0.176, and span 3480 to 13600 K.
struct StarPrior {
  double mass_min = 0.3, mass_max = 2.5;      ///< solar masses
  double log_age_min = 7, log_age_max = 10.1; ///< years; used by evolutions that have an age
  double mh_mean = -0.1, mh_sigma = 0.25, mh_min = -1, mh_max = 0.17; ///< dex
  double av_scale = 0.3, av_max = 2;                                  ///< magnitudes
  double distance_min = 50, distance_max = 2000;                      ///< parsec
  double g_limit = 18;                                                ///< apparent, before noise

  /// Throws ValueError naming what is not a range.
  void check() const {
    const auto range = [](const char* name, double low, double high) {
      if (!(low < high))
        throw ValueError(
            sbi::text("star prior: ", name, " from ", low, " to ", high, "; want the second larger"));
    };
    range("lowest mass above zero", 0, mass_min), range("mass", mass_min, mass_max);
    range("log age", log_age_min, log_age_max), range("[M/H]", mh_min, mh_max), range("A_V", 0, av_max);
    range("lowest distance above zero", 0, distance_min), range("distance", distance_min, distance_max);
    range("width of [M/H]", 0, mh_sigma), range("scale of A_V", 0, av_scale);
    const double share =
        normal_cdf((mh_max - mh_mean) / mh_sigma) - normal_cdf((mh_min - mh_mean) / mh_sigma);
    if (!(share > 1e-4)) // draws outside the range are drawn again
      throw ValueError(sbi::text("star prior: [M/H] from ", mh_min, " to ", mh_max, " holds ", share,
                                 " of a normal of mean ", mh_mean, " and width ", mh_sigma,
                                 "; want more than 1e-4"));
  }
};

/// What may vary between two simulators of the same stars.
struct StarOptions {
  StarPrior prior;
  Missingness missingness;
  double r_v = 3.1;
};

/// Rows of simulated stars: theta [n, parameters], x [n, 9] and the standard deviations sigma [n, 9], NaN
/// where a value was not observed.
struct StarSample {
  Tensor<double> theta, x, sigma;
};

/// Simulator of single stars seen by Gaia, 2MASS and WISE: theta -> evolution -> spectrum -> dust ->
/// magnitudes -> noise and gaps. Parameters: log_mass (log10 solar masses), log_age (log10 years, only with
/// an evolution that has ages), mh (dex), av (mag), log_distance (log10 parsec). Observables: Vega magnitudes
/// and the parallax in mas. Immutable, so one object serves many threads.
template <Evolution E = Tout1996, Atmosphere A = AnalyticAtmosphere, DustLaw D = CCM89> class Stars {
public:
  static constexpr std::size_t dimension = E::has_age ? 5 : 4;
  static constexpr auto parameters = [] {
    if constexpr (E::has_age)
      return std::array{"log_mass", "log_age", "mh", "av", "log_distance"};
    else
      return std::array{"log_mass", "mh", "av", "log_distance"};
  }();
  static constexpr std::array observables{"G", "BP", "RP", "parallax", "J", "H", "Ks", "W1", "W2"};
  static constexpr std::array derived_names{"log_teff", "log_l", "log_g"};
  static constexpr bool thread_safe = true;

  /// Where the prior puts each parameter, in the order of `parameters`.
  std::array<Bounds, dimension> bounds;

  /// Throws ValueError for a prior whose ranges are none and for probabilities outside [0, 1].
  explicit Stars(E evolution = {}, A atmosphere = A{}, D law = {}, StarOptions options = {})
      : bounds(bounds_of(options.prior)), evolution_(std::move(evolution)), options_(options),
        imf_(options.prior.mass_min, options.prior.mass_max),
        photometry_(std::move(atmosphere), std::move(law),
                    passbands({"GaiaDR3.G", "GaiaDR3.BP", "GaiaDR3.RP", "2MASS.J", "2MASS.H", "2MASS.Ks",
                               "WISE.W1", "WISE.W2"}),
                    options.r_v) {
    options.missingness.check();
  }

  [[nodiscard]] const StarOptions& options() const { return options_; }

  /// Draws theta from the prior. Throws ValueError if not one of 100 000 draws is a star brighter than the
  /// limit.
  void sample_prior(Rng& rng, std::span<double> theta) const {
    Scratch scratch(photometry_);
    sample_prior(rng, theta, scratch);
  }

  /// Draws x and sigma of one star. The random numbers taken do not depend on theta or on the models: with
  /// equal streams, two simulators observe one star with the same noise. Throws ValueError where theta is no
  /// star.
  void simulate(Rng& rng, std::span<const double> theta, std::span<double> x, std::span<double> sigma) const {
    Scratch scratch(photometry_);
    require(look(theta, scratch), theta);
    observe(rng, scratch.truth, options_.missingness, x, sigma);
  }

  /// Noise-free observables of one star [9]; throws as `simulate`.
  [[nodiscard]] std::array<double, 9> truth(std::span<const double> theta) const {
    Scratch scratch(photometry_);
    require(look(theta, scratch), theta);
    return scratch.truth;
  }

  /// log10 T_eff [K], log10 L [solar] and log10 g [cm/s^2] of theta, or nothing where it is no star.
  [[nodiscard]] std::optional<std::array<double, 3>> derived(std::span<const double> theta) const {
    const std::optional<StarState> star = state(theta);
    if (!star) return std::nullopt;
    return std::array{star->log_teff, star->log_l, star->log_g};
  }

  /// n stars of the joint distribution in parallel. Row i is what sample_prior and simulate draw from
  /// rng.split(i), for any number of threads, at half the price: the spectrum that decides about the limit is
  /// used again.
  template <Backend B> [[nodiscard]] StarSample simulate_many(const B& backend, Rng rng, index_t n) const {
    StarSample out{Tensor<double>({n, static_cast<index_t>(dimension)}), Tensor<double>({n, 9}),
                   Tensor<double>({n, 9})};
    constexpr index_t block = 128; // stars a task
    backend.for_each((n + block - 1) / block, [&](index_t task) {
      Scratch scratch(photometry_);
      for (index_t i = task * block; i < std::min(n, (task + 1) * block); ++i) {
        Rng row = rng.split(static_cast<std::uint64_t>(i));
        sample_prior(row, {out.theta.row(i), dimension}, scratch);
        observe(row, scratch.truth, options_.missingness, {out.x.row(i), 9}, {out.sigma.row(i), 9});
      }
    });
    return out;
  }

private:
  static constexpr std::size_t mh_at = dimension - 3, av_at = dimension - 2, distance_at = dimension - 1;

  struct Scratch {
    explicit Scratch(const StellarPhotometry<A, D>& photometry)
        : spectrum(photometry.atmosphere().wavelengths().size()) {}
    std::vector<double> spectrum;
    std::array<double, 8> magnitudes{};
    std::array<double, 9> truth{};
  };

  static std::array<Bounds, dimension> bounds_of(const StarPrior& p) {
    p.check();
    std::array<Bounds, dimension> out;
    out[0] = {std::log10(p.mass_min), std::log10(p.mass_max)};
    if constexpr (E::has_age) out[1] = {p.log_age_min, p.log_age_max};
    out[mh_at] = {p.mh_min, p.mh_max};
    out[av_at] = {0, p.av_max};
    out[distance_at] = {std::log10(p.distance_min), std::log10(p.distance_max)};
    return out;
  }

  [[nodiscard]] std::optional<StarState> state(std::span<const double> theta) const {
    if (theta.size() != dimension)
      throw ShapeError(sbi::text("stars: ", theta.size(), " parameters; want ", dimension));
    double log_age = 0; // unused by an evolution without ages
    if constexpr (E::has_age) log_age = theta[1];
    return evolution_.state(theta[0], log_age, theta[mh_at]);
  }

  static void require(bool star, std::span<const double> theta) {
    if (!star)
      throw ValueError(sbi::text("stars: log mass ", theta[0], ", [M/H] ", theta[mh_at],
                                 " is no star of this evolution and atmosphere"));
  }

  /// True observables of theta into the scratch; false where it is no star.
  bool look(std::span<const double> theta, Scratch& scratch) const {
    const std::optional<StarState> star = state(theta);
    if (!star || !photometry_.atmosphere().covers(star->log_teff, star->log_g, star->mh)) return false;
    photometry_.magnitudes(*star, theta[av_at], theta[distance_at], scratch.spectrum, scratch.magnitudes);
    std::copy_n(scratch.magnitudes.begin(), 3, scratch.truth.begin());
    scratch.truth[3] = std::pow(10, 3 - theta[distance_at]); // parallax [mas]
    std::copy_n(scratch.magnitudes.begin() + 3, 5, scratch.truth.begin() + 4);
    return true;
  }

  void sample_prior(Rng& rng, std::span<double> theta, Scratch& scratch) const {
    const StarPrior& p = options_.prior;
    if (theta.size() != dimension)
      throw ShapeError(sbi::text("stars: ", theta.size(), " parameters; want ", dimension));
    for (int attempt = 0; attempt < 100'000; ++attempt) {
      theta[0] = std::log10(imf_.sample(rng));
      if constexpr (E::has_age) theta[1] = rng.uniform(p.log_age_min, p.log_age_max);
      do theta[mh_at] = rng.normal(p.mh_mean, p.mh_sigma);
      while (!(theta[mh_at] >= p.mh_min && theta[mh_at] <= p.mh_max));
      theta[av_at] = -p.av_scale * std::log1p(-rng.uniform() * -std::expm1(-p.av_max / p.av_scale));
      theta[distance_at] = rng.uniform(bounds[distance_at].low, bounds[distance_at].high);
      if (look(theta, scratch) && scratch.truth[0] < p.g_limit) return;
    }
    throw ValueError(sbi::text("stars: no star of the prior is brighter than G = ", p.g_limit));
  }

  E evolution_;
  StarOptions options_;
  Kroupa imf_;
  StellarPhotometry<A, D> photometry_;
};

/// Pairs of one star in two models: theta from the prior of the first, then both observe it with the same
/// noise and the same luck (values are missing in one and not in the other only where the models disagree
/// about brightness).
struct StarPairs {
  StarSample first, second; ///< equal theta
};

/// n pairs in parallel; row i depends on rng.split(i) only. Throws ValueError where a star of the first model
/// does not exist in the second.
template <Backend B, class First, class Second>
[[nodiscard]] StarPairs simulate_pairs(const B& backend, const First& first, const Second& second, Rng rng,
                                       index_t n) {
  static_assert(First::dimension == Second::dimension,
                "sbi: pairs want two simulators of the same parameters");
  StarPairs out{first.simulate_many(backend, rng, n), {}};
  out.second = {out.first.theta, Tensor<double>({n, 9}), Tensor<double>({n, 9})};
  backend.for_each(n, [&](index_t i) {
    Rng row = rng.split(static_cast<std::uint64_t>(i));
    std::array<double, First::dimension> theta{};
    first.sample_prior(row, theta); // again, to bring the stream to where the noise begins
    second.simulate(row, theta, {out.second.x.row(i), 9}, {out.second.sigma.row(i), 9});
  });
  return out;
}

} // namespace sbi::forward
