// SPDX-License-Identifier: MIT
// Star clusters: stars of one age, metallicity and place, given the parameters of the cluster; and many
// clusters, given a prior of those.
#pragma once
#include <sbi/backend/backend.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/cluster_profile.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/multiplicity.hpp>
#include <sbi/forward/sky.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace sbi::forward {

/// What the stars of a cluster have in common (theta_C).
struct ClusterParameters {
  double log_age = 8.5;               ///< log10 years
  double mh = 0;                      ///< [M/H], dex
  double longitude = 0, latitude = 0; ///< of the centre, galactic, degrees
  double distance_pc = 1000;          ///< of the centre
  double a_v = 0;                     ///< mean extinction [mag]
  double a_v_spread = 0;              ///< standard deviation of a star's A_V, log-normal with mean a_v
  double r_v = 3.1;                   ///< A_V / E(B-V)
  double radius_pc = 3;               ///< on the sky, holding half of the stars
  index_t stars = 0;                  ///< number of systems; or 0 and:
  double total_mass = 0;              ///< sum of the initial masses of all stars, solar
  double binary_fraction = missing;   ///< share of systems with companions; missing: as the model has it
  double velocity_dispersion = 0;     ///< in one direction, km/s
  std::array<double, 3> velocity{};   ///< of the centre, as in `Star`; the same across the cluster

  /// Throws ValueError naming a value that is out of its range, or unless one of stars and total_mass is
  /// positive and the other zero.
  void check() const {
    const auto want = [](bool fine, const char* name, double value, const char* wanted) {
      if (!fine) throw ValueError(sbi::text("cluster: ", name, " ", value, "; want ", wanted));
    };
    const auto finite = [&](const char* name, double value) {
      want(is_finite(value), name, value, "a finite value");
    };
    finite("log age", log_age), finite("[M/H]", mh), finite("longitude", longitude);
    want(latitude >= -90 && latitude <= 90, "latitude", latitude, "-90 to 90 degrees");
    const auto positive = [&](const char* name, double value) {
      want(value > 0 && is_finite(value), name, value, "a positive value");
    };
    const auto not_negative = [&](const char* name, double value) {
      want(value >= 0 && is_finite(value), name, value, "0 or more");
    };
    positive("distance", distance_pc), positive("radius", radius_pc), positive("R_V", r_v);
    not_negative("A_V", a_v), not_negative("spread of A_V", a_v_spread);
    want(a_v > 0 || a_v_spread == 0, "spread of A_V", a_v_spread, "0 where A_V is 0");
    want(stars >= 0, "number of stars", static_cast<double>(stars), "0 or more");
    not_negative("total mass", total_mass), not_negative("velocity dispersion", velocity_dispersion);
    want((stars > 0) != (total_mass > 0), "total mass", total_mass,
         "either a number of stars or a total mass");
    want(is_missing(binary_fraction) || (binary_fraction >= 0 && binary_fraction <= 1), "binary fraction",
         binary_fraction, "0 to 1, or missing");
    for (double v : velocity) finite("velocity", v);
  }
};

/// Initial mass of a system, companions included [solar masses].
[[nodiscard]] inline double system_mass(const Star& star) {
  double ratios = 1;
  for (double q : star.companions) ratios += q;
  return std::pow(10, star.log_mass) * ratios;
}

/// Clusters whose primaries follow a mass function, with a multiplicity and a profile of given shape: the
/// distribution of the stars given theta_C. Immutable, so one object serves many threads.
template <MassFunction F = Kroupa, Multiplicity M = LuMultiplicity, ClusterProfile P = Plummer>
class Cluster {
public:
  static constexpr int population = 1; ///< of every star

  explicit Cluster(F masses = F{}, M multiplicity = M{}, P shape = P{})
      : masses_(std::move(masses)), multiplicity_(std::move(multiplicity)), shape_(std::move(shape)),
        scale_(masses_, multiplicity_) {}

  [[nodiscard]] const F& masses() const { return masses_; }
  [[nodiscard]] const P& shape() const { return shape_; }

  /// One cluster as a source of stars. It refers to its `Cluster`, which must outlive it.
  class Members {
  public:
    /// A star: mass, place in space and with it distance and direction, A_V, velocity, and, drawn last so
    /// that two multiplicities can share everything else, companions.
    [[nodiscard]] Star draw(Rng& rng) const {
      Star star;
      const double mass = cluster_->masses_.sample(rng);
      star.log_mass = std::log10(mass);
      star.log_age = theta_.log_age, star.mh = theta_.mh, star.r_v = theta_.r_v;
      std::array<double, 3> place = sample_position(profile_, rng);
      for (std::size_t k = 0; k < place.size(); ++k) place[k] += centre_[k]; // the profile is isotropic
      const auto [longitude, latitude] = sky_angles(place);
      star.longitude = longitude, star.latitude = latitude;
      star.log_distance = std::log10(std::hypot(place[0], place[1], place[2]));
      star.a_v = theta_.a_v * std::exp(log_width_ * rng.normal() - 0.5 * log_width_ * log_width_);
      for (std::size_t k = 0; k < 3; ++k)
        star.velocity[k] = theta_.velocity[k] + theta_.velocity_dispersion * rng.normal();
      star.companions = cluster_->multiplicity_.draw(rng, mass, companion_scale_);
      star.population = population;
      return star;
    }

  private:
    friend Cluster;
    Members(const Cluster& cluster, const ClusterParameters& theta)
        : cluster_(&cluster), theta_(theta), profile_(cluster.shape_.with_half_light_radius(theta.radius_pc)),
          centre_(sky_vector(theta.longitude, theta.latitude)),
          companion_scale_(cluster.scale_(theta.binary_fraction)) {
      for (double& x : centre_) x *= theta.distance_pc;
      // ln A_V is normal with this width, and its mean such that the mean of A_V is theta's.
      if (theta.a_v_spread > 0) {
        const double relative = theta.a_v_spread / theta.a_v;
        log_width_ = std::sqrt(std::log1p(relative * relative));
      }
    }
    const Cluster* cluster_;
    ClusterParameters theta_;
    P profile_;
    std::array<double, 3> centre_;
    double companion_scale_, log_width_ = 0;
  };

  /// The stars of theta one at a time. Throws ValueError as `ClusterParameters::check`, and for a binary
  /// fraction that the multiplicity cannot give.
  [[nodiscard]] Members given(const ClusterParameters& theta) const& {
    theta.check();
    return Members(*this, theta);
  }
  Members given(const ClusterParameters&) const&& = delete;

  /// All stars of a cluster, in parallel. Star i is what `given(theta)` draws from rng.split(i), for any
  /// number of threads. With a total mass, stars are added in this order until their systems' masses reach
  /// it; the last one is left out if the sum is nearer without it, so a tiny cluster may have no star. Throws
  /// as `given`.
  template <Backend B>
  [[nodiscard]] std::vector<Star> draw(const B& backend, Rng rng, const ClusterParameters& theta) const {
    const Members members = given(theta);
    std::vector<Star> stars;
    if (theta.stars > 0) {
      append(backend, rng, members, theta.stars, stars);
      return stars;
    }
    // A guess of how many are still needed, from the mean mass so far; companions at most double a mean mass,
    // so the first one is cautious. It changes how often this goes round, not the stars.
    double sum = 0, mean = 2 * masses_.mean();
    for (std::size_t i = 0;;) {
      append(backend, rng, members, static_cast<index_t>((theta.total_mass - sum) / mean) + 16, stars);
      for (; i < stars.size(); ++i) {
        const double next = sum + system_mass(stars[i]);
        if (next >= theta.total_mass) {
          const bool keep = next - theta.total_mass < theta.total_mass - sum;
          stars.resize(keep ? i + 1 : i);
          return stars;
        }
        sum = next;
      }
      mean = sum / static_cast<double>(i);
    }
  }

private:
  /// Appends n stars from the streams that follow.
  template <Backend B>
  static void append(const B& backend, const Rng& rng, const Members& members, index_t n,
                     std::vector<Star>& stars) {
    constexpr index_t block = 256; // stars a task
    const auto first = static_cast<index_t>(stars.size()), end = first + n;
    stars.resize(static_cast<std::size_t>(end));
    backend.for_each((n + block - 1) / block, [&](index_t task) {
      for (index_t i = first + task * block; i < std::min(end, first + (task + 1) * block); ++i) {
        Rng row = rng.split(static_cast<std::uint64_t>(i));
        stars[static_cast<std::size_t>(i)] = members.draw(row);
      }
    });
  }

  F masses_;
  M multiplicity_;
  P shape_;
  MultiplicityScale scale_;
};

/// A prior of theta_C. Safe to call from many threads at once.
template <class C>
concept ClusterParameterPrior = requires(const C& prior, Rng& rng) {
  { prior.sample(rng) } -> std::same_as<ClusterParameters>;
};

/// Stars of many clusters: star i belongs to clusters[cluster[i]]. Those of one cluster are together, in
/// order.
struct ClusterSample {
  std::vector<ClusterParameters> clusters;
  std::vector<Star> stars;
  std::vector<index_t> cluster;
};

/// p(theta_C) prod_i p(theta_S,i | theta_C). Cluster c depends on rng.split(c) only: its parameters come from
/// child 0 of that stream, its stars from child 1.
template <ClusterParameterPrior C, class Model> class ClusterHierarchy {
public:
  ClusterHierarchy(C prior, Model model) : prior_(std::move(prior)), model_(std::move(model)) {}

  [[nodiscard]] ClusterParameters parameters(const Rng& rng, index_t cluster) const {
    Rng stream = rng.split(static_cast<std::uint64_t>(cluster)).split(0);
    return prior_.sample(stream);
  }

  /// Draws clusters 0 to n - 1 and calls visit(c, theta, stars) for each in this order, one at a time; stars
  /// is a std::vector<Star> that visit may keep. Never more than four clusters a thread are in memory. Throws
  /// as `Cluster::draw`.
  template <Backend B, class Visit>
  void for_each(const B& backend, const Rng& rng, index_t n, Visit&& visit) const {
    const index_t together = 4 * static_cast<index_t>(backend.threads());
    std::vector<ClusterParameters> theta(static_cast<std::size_t>(std::min(n, together)));
    std::vector<std::vector<Star>> stars(theta.size());
    for (index_t first = 0; first < n; first += together) {
      const index_t count = std::min(together, n - first);
      backend.for_each(count, [&](index_t i) {
        const auto at = static_cast<std::size_t>(i);
        theta[at] = parameters(rng, first + i);
        stars[at] =
            model_.draw(backend, rng.split(static_cast<std::uint64_t>(first + i)).split(1), theta[at]);
      });
      for (index_t i = 0; i < count; ++i)
        visit(first + i, theta[static_cast<std::size_t>(i)], std::move(stars[static_cast<std::size_t>(i)]));
    }
  }

  /// All stars of n clusters at once.
  template <Backend B> [[nodiscard]] ClusterSample draw(const B& backend, const Rng& rng, index_t n) const {
    ClusterSample out;
    for_each(backend, rng, n, [&](index_t c, const ClusterParameters& theta, std::vector<Star> stars) {
      out.clusters.push_back(theta);
      out.stars.insert(out.stars.end(), stars.begin(), stars.end());
      out.cluster.insert(out.cluster.end(), stars.size(), c);
    });
    return out;
  }

private:
  C prior_;
  Model model_;
};

} // namespace sbi::forward
