// SPDX-License-Identifier: MIT
// Priors of the parameters of a cluster: ranges, and a list of real clusters.
#pragma once
#include <sbi/core/bounds.hpp>
#include <sbi/core/error.hpp>
#include <sbi/core/missing.hpp>
#include <sbi/core/normal.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/forward/cluster.hpp>
#include <sbi/forward/sky.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace sbi::forward {

/// Prior of theta_C by ranges; one of equal ends fixes its parameter. The defaults are those of open clusters
/// within 3 kpc of the Sun.
struct ClusterPrior {
  Bounds log_age{6.7, 9.7};                ///< uniform
  double mh_mean = -0.05, mh_sigma = 0.15; ///< normal, cut to the range
  Bounds mh{-0.6, 0.4};
  Bounds longitude{0, 360}, latitude{-20, 20}; ///< degrees; uniform on the sphere
  Bounds distance_pc{100, 3000};               ///< uniform in the logarithm
  Bounds a_v{0, 2};                            ///< uniform [mag]
  Bounds relative_av_spread{0, 0.2};           ///< a_v_spread over a_v; uniform
  Bounds stars{30, 3000};                      ///< uniform in the logarithm
  double radius_pc = 2.7, radius_sigma = 0.2;  ///< median and standard deviation in dex of a log-normal
  Bounds velocity_dispersion{0.3, 1.5};        ///< km/s; uniform
  double velocity_sigma = 10;                  ///< of each component of the centre's velocity, km/s
  Bounds binary_fraction{missing, missing};    ///< uniform; missing: as the model of multiplicity has it
  double r_v = 3.1;

  /// Throws ValueError naming what is not a range or not possible.
  void check() const {
    const auto range = [](const char* name, Bounds b, double least, double most) {
      if (!(b.low >= least && b.low <= b.high && b.high <= most))
        throw ValueError(sbi::text("cluster prior: ", name, " from ", b.low, " to ", b.high,
                                   "; want increasing values from ", least, " to ", most));
    };
    constexpr double huge = 1e6, tiny = 1e-6;
    range("log age", log_age, 0, 11), range("[M/H]", mh, -10, 10), range("longitude", longitude, -360, 360);
    range("latitude", latitude, -90, 90), range("distance", distance_pc, tiny, 1e9),
        range("A_V", a_v, 0, huge);
    range("relative spread of A_V", relative_av_spread, 0, huge), range("number of stars", stars, 1, 1e12);
    range("velocity dispersion", velocity_dispersion, 0, huge);
    if (!is_missing(binary_fraction.low) || !is_missing(binary_fraction.high))
      range("binary fraction", binary_fraction, 0, 1);
    const auto width = [](const char* name, double value) {
      if (!(value >= 0 && is_finite(value)))
        throw ValueError(sbi::text("cluster prior: ", name, " ", value, "; want 0 or more"));
    };
    width("width of [M/H]", mh_sigma), width("width of the radius", radius_sigma);
    width("width of the velocity", velocity_sigma);
    if (!(mh_mean >= mh.low && mh_mean <= mh.high))
      throw ValueError(sbi::text("cluster prior: mean [M/H] ", mh_mean, "; want ", mh.low, " to ", mh.high));
    if (!(radius_pc > 0 && is_finite(radius_pc) && r_v > 0 && is_finite(r_v)))
      throw ValueError(
          sbi::text("cluster prior: radius ", radius_pc, " pc, R_V ", r_v, "; want positive values"));
  }

  /// One cluster. Throws ValueError as `check`.
  [[nodiscard]] ClusterParameters sample(Rng& rng) const {
    check();
    const auto uniform = [&](Bounds b) { return rng.uniform(b.low, b.high); };
    const auto log_uniform = [&](Bounds b) {
      return std::exp(rng.uniform(std::log(b.low), std::log(b.high)));
    };
    ClusterParameters theta;
    theta.log_age = uniform(log_age);
    const auto share = [&](double x) { return normal_cdf((x - mh_mean) / mh_sigma); };
    const double between = rng.uniform(); // of the normal distribution between the bounds
    theta.mh = mh_sigma > 0 && mh.low < mh.high
                   ? std::clamp(mh_mean + mh_sigma * normal_quantile(
                                                         std::lerp(share(mh.low), share(mh.high), between)),
                                mh.low, mh.high)
                   : std::clamp(mh_mean, mh.low, mh.high);
    theta.longitude = uniform(longitude);
    theta.latitude = std::asin(rng.uniform(std::sin(latitude.low * radians_per_degree),
                                           std::sin(latitude.high * radians_per_degree))) /
                     radians_per_degree;
    theta.distance_pc = log_uniform(distance_pc);
    theta.a_v = uniform(a_v);
    theta.a_v_spread = theta.a_v * uniform(relative_av_spread);
    theta.stars = static_cast<index_t>(std::lround(log_uniform(stars)));
    theta.radius_pc = radius_pc * std::pow(10, radius_sigma * rng.normal());
    theta.velocity_dispersion = uniform(velocity_dispersion);
    for (double& v : theta.velocity) v = velocity_sigma * rng.normal();
    theta.binary_fraction = uniform(binary_fraction); // missing stays missing
    theta.r_v = r_v;
    return theta;
  }
};

/// Widths (standard deviations) by which an empirical prior smooths its clusters: normal in log age [dex],
/// [M/H] [dex] and direction [degrees, each way], log-normal in distance, radius, number of stars and A_V
/// [dex].
struct ClusterKernel {
  double log_age = 0.1, mh = 0.05, direction = 0.5;
  double log_distance = 0.02, log_radius = 0.1, log_stars = 0.1, log_av = 0.2;
};

/// A list of clusters as a prior: one of them, all equally probable, with every parameter smoothed by a
/// kernel, medians being kept. What the list leaves out of theta_C passes through.
class EmpiricalClusterPrior {
public:
  /// Throws ValueError for no clusters, one that is none (`ClusterParameters::check`) or has no number of
  /// stars, or a kernel with a width below zero.
  explicit EmpiricalClusterPrior(std::vector<ClusterParameters> clusters, ClusterKernel kernel = {})
      : clusters_(std::move(clusters)), kernel_(kernel) {
    if (clusters_.empty()) throw ValueError("cluster prior: no clusters; want one or more");
    for (const ClusterParameters& c : clusters_) {
      c.check();
      if (c.stars == 0) throw ValueError("cluster prior: a cluster of given mass; want a number of stars");
    }
    for (double width : {kernel.log_age, kernel.mh, kernel.direction, kernel.log_distance, kernel.log_radius,
                         kernel.log_stars, kernel.log_av})
      if (!(width >= 0 && is_finite(width)))
        throw ValueError(sbi::text("cluster prior: kernel of width ", width, "; want 0 or more"));
  }

  [[nodiscard]] const std::vector<ClusterParameters>& clusters() const { return clusters_; }

  [[nodiscard]] ClusterParameters sample(Rng& rng) const {
    ClusterParameters theta =
        clusters_[static_cast<std::size_t>(rng.below(static_cast<index_t>(clusters_.size())))];
    const auto factor = [&](double width) { return std::pow(10, width * rng.normal()); };
    theta.log_age += kernel_.log_age * rng.normal();
    theta.mh += kernel_.mh * rng.normal();
    std::array<double, 3> v = sky_vector(theta.longitude, theta.latitude);
    for (double& x : v)
      x += kernel_.direction * radians_per_degree * rng.normal(); // along the sight without effect
    const auto [longitude, latitude] = sky_angles(v);
    theta.longitude = longitude, theta.latitude = latitude;
    theta.distance_pc *= factor(kernel_.log_distance);
    theta.radius_pc *= factor(kernel_.log_radius);
    const double stars = static_cast<double>(theta.stars) * factor(kernel_.log_stars);
    theta.stars = std::max<index_t>(1, std::llround(stars));
    const double extinction = factor(kernel_.log_av);
    theta.a_v *= extinction, theta.a_v_spread *= extinction;
    return theta;
  }

private:
  std::vector<ClusterParameters> clusters_;
  ClusterKernel kernel_;
};

static_assert(ClusterParameterPrior<ClusterPrior> && ClusterParameterPrior<EmpiricalClusterPrior>);

} // namespace sbi::forward
