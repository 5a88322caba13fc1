// SPDX-License-Identifier: MIT
// A cluster among field stars: mixtures of the two, and the probability that a star is a member.
#pragma once
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/cluster.hpp>
#include <sbi/forward/cluster_profile.hpp>
#include <sbi/forward/quadrature.hpp>
#include <sbi/forward/sky.hpp>
#include <sbi/forward/star.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Whatever draws stars: a field population, a line of sight, `Cluster::Members`.
template <class S>
concept StarSource = requires(const S& source, Rng& rng) {
  { source.draw(rng) } -> std::same_as<Star>;
};

/// Stars of a cluster and of the field in random order; member[i] says which star i is.
struct MixedStars {
  std::vector<Star> stars;
  std::vector<bool> member;
};

/// Adds field stars to those of a cluster until they are the share `contamination` of all, to the nearest
/// star, and shuffles them. Field star i is drawn from rng.split(i). Throws ValueError unless 0 <=
/// contamination < 1.
template <StarSource S>
[[nodiscard]] MixedStars contaminate(const std::vector<Star>& cluster, const S& field, double contamination,
                                     Rng rng) {
  if (!(contamination >= 0 && contamination < 1))
    throw ValueError(sbi::text("contaminate: contamination ", contamination, "; want 0 or more and below 1"));
  const auto members = static_cast<double>(cluster.size());
  std::vector<std::size_t> order(
      cluster.size() + static_cast<std::size_t>(std::llround(members * contamination / (1 - contamination))));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  shuffle(rng, order);
  MixedStars out;
  for (std::size_t i : order) {
    out.member.push_back(i < cluster.size());
    if (out.member.back()) {
      out.stars.push_back(cluster[i]);
    } else {
      Rng row = rng.split(static_cast<std::uint64_t>(i - cluster.size()));
      out.stars.push_back(field.draw(row));
    }
  }
  return out;
}

/// Density of the parallaxes of field stars: true ones as a histogram of `bins` equally filled bins, and its
/// exact convolution with a normal error.
class FieldParallaxes {
public:
  /// true_parallaxes [mas] of at least `bins` simulated field stars, in any order. Throws ValueError for
  /// fewer, one that is not finite, or so many equal ones that they fill a bin.
  explicit FieldParallaxes(std::vector<double> true_parallaxes, index_t bins = 100) {
    std::vector<double>& p = true_parallaxes;
    if (bins < 1 || static_cast<index_t>(p.size()) < bins + 1)
      throw ValueError(
          sbi::text("field parallaxes: ", p.size(), " values for ", bins, " bins; want more values"));
    for (double x : p)
      if (!is_finite(x)) throw ValueError(sbi::text("field parallaxes: one is ", x, "; want finite values"));
    std::sort(p.begin(), p.end());
    for (index_t k = 0; k <= bins; ++k) {
      edge_.push_back(p[(p.size() - 1) * static_cast<std::size_t>(k) / static_cast<std::size_t>(bins)]);
      if (k > 0 && !(edge_.back() > edge_[edge_.size() - 2]))
        throw ValueError(
            sbi::text("field parallaxes: ", edge_.back(), " fills a whole bin; want fewer bins"));
    }
  }

  /// Density [1/mas] of an observed parallax with standard deviation `error` [mas].
  [[nodiscard]] double operator()(double parallax, double error) const {
    const auto below = [&](double edge) {
      return 0.5 * std::erfc((edge - parallax) / (error * std::numbers::sqrt2));
    };
    double sum = 0, left = below(edge_[0]);
    for (std::size_t k = 1; k < edge_.size(); ++k) {
      const double right = below(edge_[k]);
      sum += (left - right) / (edge_[k] - edge_[k - 1]);
      left = right;
    }
    return sum / static_cast<double>(edge_.size() - 1);
  }

private:
  std::vector<double> edge_;
};

/// Probability that a star seen within `opening` degrees of a cluster's centre is a member, from its
/// direction and parallax: p = f p_c / (f p_c + (1 - f) p_f), f the member share of the stars in that circle.
/// p_c is the profile's density in space, integrated along the line of sight against the normal error of the
/// parallax, and normalised to the circle (whose cone is taken as a cylinder: the difference is of second
/// order in radius over distance). p_f is uniform on the circle times the density of the field's parallaxes.
template <ClusterProfile P> class Membership {
public:
  /// Of theta only place, distance and radius count. Throws ValueError as `ClusterParameters::check`, and
  /// unless 0 < opening < 90 and 0 <= member_share <= 1.
  Membership(const ClusterParameters& theta, const P& shape, FieldParallaxes field, double opening,
             double member_share)
      : profile_(shape.with_half_light_radius(theta.radius_pc)), field_(std::move(field)),
        centre_(sky_vector(theta.longitude, theta.latitude)), distance_(theta.distance_pc),
        opening_(opening * radians_per_degree), share_(member_share) {
    theta.check();
    if (!(opening > 0 && opening < 90))
      throw ValueError(sbi::text("membership: opening ", opening, " degrees; want above 0 and below 90"));
    if (!(member_share >= 0 && member_share <= 1))
      throw ValueError(sbi::text("membership: member share ", member_share, "; want 0 to 1"));
    const double half = std::sin(0.5 * opening_);
    solid_angle_ = 4 * std::numbers::pi * half * half;
    inside_ = profile_.enclosed_projected(distance_ * std::sin(opening_));
  }

  /// longitude, latitude [degrees]; parallax and its standard deviation [mas]. With a missing parallax the
  /// direction decides alone. Throws ValueError for a star outside the circle, or a parallax whose error is
  /// not positive.
  [[nodiscard]] double operator()(double longitude, double latitude, double parallax, double error) const {
    const double angle = separation(longitude, latitude);
    if (!(angle <= opening_))
      throw ValueError(sbi::text("membership: a star ", angle / radians_per_degree,
                                 " degrees from the centre; want at most ", opening_ / radians_per_degree));
    const bool seen = !is_missing(parallax);
    if (seen && !(error > 0 && is_finite(error)))
      throw ValueError(sbi::text("membership: parallax error ", error, " mas; want a positive value"));
    const double member = share_ * along_sight(angle, seen, parallax, error) / inside_;
    const double field = (1 - share_) * (seen ? field_(parallax, error) : 1) / solid_angle_;
    return member > 0 ? member / (member + field) : 0;
  }

private:
  /// Angle to the centre [rad], from the chord: exact where the angle is small.
  [[nodiscard]] double separation(double longitude, double latitude) const {
    const std::array<double, 3> v = sky_vector(longitude, latitude);
    const double chord = std::hypot(v[0] - centre_[0], v[1] - centre_[1], v[2] - centre_[2]);
    return 2 * std::asin(std::min(1.0, 0.5 * chord));
  }
  /// int s^2 rho(s) N(parallax | 1000/s, error) ds, density per steradian (and mas) of the direction.
  [[nodiscard]] double along_sight(double angle, bool seen, double parallax, double error) const {
    const double impact = distance_ * std::sin(angle), nearest = distance_ * std::cos(angle);
    // s = nearest + length sinh t resolves centre and outskirts; members beyond 100 lengths do not count
    const double length = std::hypot(impact, profile_.half_light_radius()), edge = profile_.edge();
    if (impact >= edge) return 0;
    const double depth = std::min(100 * length, std::sqrt((edge - impact) * (edge + impact)));
    double from = std::max(nearest - depth, 0.0), to = nearest + depth;
    if (seen) { // nothing of the normal density is left at 9 standard deviations
      const double largest = parallax + 9 * error, least = parallax - 9 * error;
      if (!(largest > 0)) return 0;
      from = std::max(from, 1000 / largest);
      if (least > 0) to = std::min(to, 1000 / least);
    }
    if (!(from < to)) return 0;
    constexpr int panels = 24;
    const double t0 = std::asinh((from - nearest) / length), t1 = std::asinh((to - nearest) / length);
    double sum = 0;
    for (int i = 0; i < panels; ++i)
      detail::gauss4(std::lerp(t0, t1, i / double{panels}), std::lerp(t0, t1, (i + 1) / double{panels}),
                     [&](double t, double weight) {
                       const double z = length * std::sinh(t), s = nearest + z;
                       double f = s * s * profile_.density(std::hypot(impact, z)) * length * std::cosh(t);
                       if (seen) {
                         const double u = (parallax - 1000 / s) / error;
                         f *= std::exp(-0.5 * u * u) / (error * std::sqrt(2 * std::numbers::pi));
                       }
                       sum += weight * f;
                     });
    return sum;
  }

  P profile_;
  FieldParallaxes field_;
  std::array<double, 3> centre_;
  double distance_, opening_, share_; ///< opening_ in radian
  double solid_angle_ = 0, inside_ = 0;
};

} // namespace sbi::forward
