// SPDX-License-Identifier: MIT
// The Milky Way as a mixture of components, and its stars over the whole sky.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/galaxy_components.hpp>
#include <sbi/forward/galaxy_frame.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/line_of_sight.hpp>
#include <sbi/forward/sky_cells.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Components and their mass functions. Densities of the components are those of stars that shine today, so
/// the mass function is counted over these: a star of initial mass m shines for 10 Gyr m^-2.5. Drawn are
/// initial masses from `mass_min` to 1.25 times the heaviest that shines at the component's lowest age (so
/// that the cut takes no giant away); the few beyond their end are left to the evolution to tell. Immutable,
/// so one object serves many threads.
template <MassFunction M = BrokenPowerLaw<2>> class Galaxy {
public:
  /// One mass function a component. Stars lighter than `mass_min` are left out of numbers and draws; mass
  /// densities keep them. Throws ValueError for no or bad components, another number of mass functions, laws
  /// without a density at their anchors, mass functions that start at 0, never end, or have no star that
  /// shines, and a negative mass_min.
  Galaxy(const GalaxyFrame& frame, std::vector<GalaxyComponent> components, std::vector<M> masses,
         double mass_min = 0)
      : frame_(frame), components_(std::move(components)), masses_(std::move(masses)) {
    if (components_.empty()) throw ValueError("galaxy: no components; want one or more");
    if (masses_.size() != components_.size())
      throw ValueError(sbi::text("galaxy: ", masses_.size(), " mass functions for ", components_.size(),
                                 " components; want one each"));
    if (!(mass_min >= 0) || !is_finite(mass_min))
      throw ValueError(sbi::text("galaxy: lowest mass ", mass_min, "; want 0 solar masses or more"));
    for (std::size_t i = 0; i < components_.size(); ++i)
      scale_.push_back(scale(components_[i], masses_[i], mass_min));
  }
  /// The same mass function for all components.
  Galaxy(const GalaxyFrame& frame, std::vector<GalaxyComponent> components, const M& masses,
         double mass_min = 0)
      : Galaxy(frame, components, std::vector<M>(components.size(), masses), mass_min) {}

  [[nodiscard]] const GalaxyFrame& frame() const { return frame_; }
  [[nodiscard]] std::size_t size() const { return components_.size(); }
  [[nodiscard]] const GalaxyComponent& component(std::size_t i) const { return components_.at(i); }
  /// Lowest and highest initial mass of the drawn stars of component i.
  [[nodiscard]] std::array<double, 2> mass_range(std::size_t i) const {
    const Scale& s = scale_.at(i);
    return {masses_[i].quantile(s.low), masses_[i].quantile(s.high)};
  }

  /// Mass of the shining stars of component i [solar masses per cubic kpc], of all masses. Throws ValueError
  /// where its law gives no density.
  [[nodiscard]] double mass_density(std::size_t i, const Galactocentric& place) const {
    return scale_.at(i).mass * density(components_[i], place);
  }
  /// Number of stars of component i that can be drawn, per cubic kpc. Throws as `mass_density`.
  [[nodiscard]] double number_density(std::size_t i, const Galactocentric& place) const {
    return scale_.at(i).number * density(components_[i], place);
  }

  /// Sets mass, age, [M/H] (taken as [Fe/H]), velocity and population of a random star of component i that is
  /// at `place`: age uniform, [Fe/H] and velocity normal about their means there.
  void fill(Rng& rng, std::size_t i, const Galactocentric& place, Star& star) const {
    const GalaxyComponent& c = components_.at(i);
    const Scale& s = scale_[i];
    const double outwards = place.radius() - frame_.r_sun();
    star.population = GalaxyPopulation::first + static_cast<int>(i);
    star.log_mass = std::log10(masses_[i].quantile(rng.uniform(s.low, s.high)));
    star.log_age = c.age_min < c.age_max ? 9 + std::log10(rng.uniform(c.age_min, c.age_max)) : s.log_age;
    star.mh = rng.normal(c.feh + c.feh_gradient * outwards, c.feh_sigma);
    const double hotter = c.dispersion_slope == 0 ? 1 : std::exp(c.dispersion_slope * outwards);
    for (std::size_t k = 0; k < 3; ++k) star.velocity[k] = hotter * c.dispersion[k] * rng.normal();
    star.velocity[1] -= c.drift;
  }

private:
  /// Factors from a law's density to solar masses and to stars, the part of the mass function that is drawn,
  /// and the age of a component of one age.
  struct Scale {
    double mass, number, low, high, log_age;
  };

  static double density(const GalaxyComponent& c, const Galactocentric& p) {
    const double d = c.law(p);
    if (!(d >= 0) || !is_finite(d))
      throw ValueError(sbi::text("galaxy component ", c.name, ": density ", d, " at (", p.x, ", ", p.y, ", ",
                                 p.z, ") kpc; want 0 or more"));
    return d;
  }

  static Scale scale(const GalaxyComponent& c, const M& masses, double mass_min) {
    c.check();
    if (!(masses.lower() > 0) || !is_finite(masses.upper()))
      throw ValueError(sbi::text("galaxy component ", c.name, ": masses from ", masses.lower(), " to ",
                                 masses.upper(), "; want limits above 0 and finite"));
    const double anchor = density(c, c.anchor);
    if (!(anchor > 0)) throw ValueError(sbi::text("galaxy component ", c.name, ": density 0 at its anchor"));
    // Number and mass of shining stars for one star born: those of mass m shine in the part of the range of
    // ages that is shorter than their life.
    const double heaviest = std::pow(c.age_min / 10, -0.4); // infinite for age 0
    const double top = std::min(masses.upper(), heaviest);
    const double bend =
        std::clamp(std::pow(c.age_max / 10, -0.4), masses.lower(), std::max(masses.lower(), top));
    std::array<double, 2> shining{};
    for (const auto& [a, b] : {std::array{masses.lower(), bend}, std::array{bend, top}}) {
      if (!(a < b)) continue;
      constexpr int n = 2048; // midpoints in log mass
      const double step = std::log(b / a) / n;
      for (int k = 0; k < n; ++k) {
        const double m = a * std::exp((k + 0.5) * step), life = 10 * std::pow(m, -2.5);
        const double part =
            c.age_max > c.age_min ? std::clamp((life - c.age_min) / (c.age_max - c.age_min), 0.0, 1.0) : 1;
        const double born = masses.pdf(m) * m * step * part;
        shining[0] += born, shining[1] += m * born;
      }
    }
    if (!(shining[0] > 0) || !is_finite(shining[1]))
      throw ValueError(sbi::text("galaxy component ", c.name, ": no star of its mass function, from ",
                                 masses.lower(), " solar masses, shines at its age"));
    const double born = c.density / shining[c.counts_stars ? 0 : 1] / anchor;
    const double high = masses.cdf(std::min(masses.upper(), 1.25 * heaviest));
    const double low = std::min(masses.cdf(std::max(mass_min, masses.lower())), high);
    return {born * shining[1], born * (high - low), low, high, 9 + std::log10(c.age_max)};
  }

  GalaxyFrame frame_;
  std::vector<GalaxyComponent> components_;
  std::vector<M> masses_;
  std::vector<Scale> scale_;
};

/// The model of Robin et al. (2003) with the mass functions of Galaxia.
[[nodiscard]] inline Galaxy<> besancon(const GalaxyFrame& frame = GalaxyFrame(), double mass_min = 0) {
  return {frame, besancon_components(frame), galaxia_mass_functions(), mass_min};
}

/// A random number of stars with a mean. Throws ValueError for a mean that is negative, not finite or above
/// 1e15.
[[nodiscard]] inline index_t poisson(Rng& rng, double mean) {
  if (!(mean >= 0 && mean <= 1e15)) throw ValueError(sbi::text("poisson: mean ", mean, "; want 0 to 1e15"));
  return mean > 0 ? std::poisson_distribution<index_t>(mean)(rng) : 0;
}

/// Stars of the whole sky, cell by cell of HEALPix: positions uniform in each, distances and components those
/// of the line of sight through its centre. What a cell holds depends on rng.split(cell) only, never on the
/// number of threads; nothing is kept between cells.
template <StarField G> class WholeSky {
public:
  /// Refers to the galaxy, which must live longer. Throws ValueError for a bad range or nside.
  WholeSky(const G& galaxy, int nside, DistanceRange range) : galaxy_(&galaxy), cells_(nside), range_(range) {
    range.check();
  }
  WholeSky(const G&&, int, DistanceRange) = delete;

  [[nodiscard]] const SkyCells& cells() const { return cells_; }
  /// Expected number of stars in one cell. Throws ValueError for no cell.
  [[nodiscard]] double stars(index_t cell) const { return line(cell).stars() * cells_.area(); }
  /// And in each [cells], computed in parallel.
  template <Backend B> [[nodiscard]] std::vector<double> stars_of_cells(const B& backend) const {
    std::vector<double> out(static_cast<std::size_t>(cells_.count()));
    backend.for_each(cells_.count(),
                     [&](index_t cell) { out[static_cast<std::size_t>(cell)] = stars(cell); });
    return out;
  }

  /// Draws a Poisson number of stars in each cell and hands them over as take(cell, std::span<const Star>),
  /// in blocks of at most `block`. Cells run in parallel, so `take` is called from many threads at once; the
  /// blocks of one cell come one after the other.
  template <Backend B, class Take, DustMap D = NoDust>
  void stream(const B& backend, const Rng& rng, Take&& take, const D& a_v = {}, index_t block = 4096) const {
    run(backend, rng, take, a_v, block, [](index_t, Rng& r, double mean) { return poisson(r, mean); });
  }
  /// The same with numbers [cells] given, as `share_out` makes them. Throws ValueError for another length.
  template <Backend B, class Take, DustMap D = NoDust>
  void stream(const B& backend, const Rng& rng, std::span<const index_t> numbers, Take&& take,
              const D& a_v = {}, index_t block = 4096) const {
    if (static_cast<index_t>(numbers.size()) != cells_.count())
      throw ValueError(sbi::text("whole sky: numbers for ", numbers.size(), " cells; want ", cells_.count()));
    run(backend, rng, take, a_v, block,
        [&](index_t cell, Rng&, double) { return numbers[static_cast<std::size_t>(cell)]; });
  }

private:
  [[nodiscard]] LineOfSight<G> line(index_t cell) const {
    const auto [longitude, latitude] = cells_.centre(cell);
    return {*galaxy_, SkyDirection(longitude, latitude), range_};
  }
  template <Backend B, class Take, class D, class Number>
  void run(const B& backend, const Rng& rng, Take& take, const D& a_v, index_t block,
           const Number& number) const {
    if (block < 1) throw ValueError(sbi::text("whole sky: blocks of ", block, " stars; want 1 or more"));
    backend.for_each(cells_.count(), [&](index_t cell) {
      const LineOfSight<G> sight = line(cell);
      Rng own = rng.split(static_cast<std::uint64_t>(cell));
      std::vector<Star> stars;
      for (index_t left = number(cell, own, sight.stars() * cells_.area()); left > 0; --left) {
        const auto [longitude, latitude] = cells_.draw(cell, own);
        stars.push_back(sight.draw(own, SkyDirection(longitude, latitude), a_v));
        if (static_cast<index_t>(stars.size()) == block || left == 1) {
          take(cell, std::span<const Star>(stars));
          stars.clear();
        }
      }
    });
  }

  const G* galaxy_;
  SkyCells cells_;
  DistanceRange range_;
};

/// Numbers of stars with a fixed sum, multinomial with the given expectations (any scale): where the numbers
/// of a Poisson sky fall when it is known to hold `total`. Throws ValueError for a negative total and for
/// expectations that are negative, not finite or all zero.
[[nodiscard]] inline std::vector<index_t> share_out(Rng& rng, index_t total,
                                                    std::span<const double> expected) {
  std::vector<double> from(expected.size() +
                           1); // sums of what is still to come, so that the last gets the rest
  for (std::size_t i = expected.size(); i-- > 0;) {
    const double e = expected[i];
    if (!(e >= 0) || !is_finite(e))
      throw ValueError(sbi::text("share out: expectation ", e, "; want 0 or more"));
    from[i] = from[i + 1] + e;
  }
  if (total < 0 || !(from.front() > 0))
    throw ValueError(sbi::text("share out: ", total, " stars with expectations of sum ", from.front(),
                               "; want 0 or more and a positive sum"));
  std::vector<index_t> out;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool some = expected[i] > 0 && total > 0;
    out.push_back(some ? std::binomial_distribution<index_t>(total, expected[i] / from[i])(rng) : 0);
    total -= out.back();
  }
  return out;
}

} // namespace sbi::forward
