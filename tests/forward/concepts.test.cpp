// SPDX-License-Identifier: MIT
#include <sbi/core/error.hpp>
#include <sbi/forward/concepts.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

struct PowerLawStars {
  static constexpr bool has_age = false;
  std::optional<sbi::forward::StarState> state(double log_mass, double log_age, double mh) const {
    if (log_mass < -1 || log_mass > 1) return std::nullopt;
    return sbi::forward::StarState{log_mass, log_age, mh, 3.5 * log_mass, 3.76 + 0.5 * log_mass, 4.4};
  }
};
struct NoAgeFlag {
  std::optional<sbi::forward::StarState> state(double, double, double) const { return std::nullopt; }
};
struct NoStateOptional {
  [[maybe_unused]] static constexpr bool has_age = false;
  sbi::forward::StarState state(double, double, double) const { return {}; }
};
struct Flat {
  std::vector<double> grid{0.5, 1.0};
  std::span<const double> wavelengths() const { return grid; }
  bool covers(double, double, double) const { return true; }
  void flux(double, double, double, std::span<double> out) const {
    for (double& f : out) f = 1;
  }
};
struct NoCoverage {
  std::vector<double> grid{0.5, 1.0};
  std::span<const double> wavelengths() const { return grid; }
  void flux(double, double, double, std::span<double>) const {}
};
struct Grey {
  double operator()(double, double) const { return 1; }
};

static_assert(sbi::forward::Evolution<PowerLawStars>);
static_assert(!sbi::forward::Evolution<NoAgeFlag>);
static_assert(!sbi::forward::Evolution<NoStateOptional>);
static_assert(sbi::forward::Atmosphere<Flat>);
static_assert(!sbi::forward::Atmosphere<NoCoverage>);
static_assert(sbi::forward::DustLaw<Grey>);
static_assert(!sbi::forward::DustLaw<Flat>);

} // namespace

TEST_CASE("forward/concepts: an evolution gives nothing outside its hull") {
  const PowerLawStars stars;
  CHECK(stars.state(0.5, 9, 0).has_value());
  CHECK_FALSE(stars.state(1.5, 9, 0).has_value());
}
