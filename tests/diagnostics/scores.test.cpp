// SPDX-License-Identifier: MIT
#include <sbi/backend/backend.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/diagnostics/scores.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numbers>

using namespace sbi::diagnostics;
using sbi::index_t;
using sbi::Tensor;

namespace {

constexpr index_t objects = 400, n = 200;

/// Posteriors N(m, spread^2) of truths drawn from N(m, 1), m ~ N(0, 3^2): calibrated for spread 1.
struct Draws {
  Tensor<double> samples{{objects * n, 2}}, truth{{objects, 2}};
  explicit Draws(double spread, double shift = 0) {
    for (index_t i = 0; i < objects; ++i) {
      sbi::Rng rng = sbi::Rng(4).split(static_cast<std::uint64_t>(i));
      for (index_t j = 0; j < 2; ++j) {
        const double m = rng.normal(0, 3);
        truth(i, j) = m + rng.normal();
        for (index_t k = 0; k < n; ++k) samples(i * n + k, j) = m + shift + spread * rng.normal();
      }
    }
  }
};
const std::vector<ParameterPrior> priors{{{-20, 20}, std::sqrt(10.0)}, {{-20, 20}, 1}};

} // namespace

TEST_CASE("diagnostics/scores: Gaussian posteriors have their closed-form scores") {
  const Draws draws(1);
  const auto scores = score_posteriors(sbi::Cpu<>(2), draws.samples, draws.truth, priors);
  REQUIRE(scores.parameters.size() == 2);
  // E CRPS of N(m, 1) at its own draws is 1 / sqrt(pi); a single one has deviation 0.39, the mean of 400
  // 0.02.
  const double crps = 1 / std::sqrt(std::numbers::pi);
  CHECK(scores.parameters[1].crps == doctest::Approx(crps).epsilon(0.1));
  CHECK(scores.parameters[0].crps == doctest::Approx(crps / std::sqrt(10.0)).epsilon(0.1));
  CHECK(scores.mean_crps() == doctest::Approx((scores.parameters[0].crps + scores.parameters[1].crps) / 2));
  for (const auto& p : scores.parameters) {
    CHECK(std::abs(p.mean.bias) < 0.2);                     // 1 / sqrt(400) = 0.05, four of them
    CHECK(p.mean.rmse == doctest::Approx(1).epsilon(0.15)); // 1 / sqrt(800) = 0.035, four of them
    CHECK(p.coverage_68 ==
          doctest::Approx(0.68).epsilon(0.14)); // sqrt(0.68 0.32 / 400) = 0.023, four of them
    CHECK(p.coverage.objects == objects);
    // Entropy of N(0, 1), log sqrt(2 pi e) = 1.419; deviation of the mean 0.035, and the density estimate of
    // 200 samples costs a few hundredths.
    CHECK(p.nll == doctest::Approx(1.419).epsilon(0.12));
  }
  for (index_t i = 0; i < objects; ++i) {
    double sum = 0;
    for (index_t k = 0; k < n; ++k) sum += draws.samples(i * n + k, 1);
    CHECK(scores.means(i, 1) == doctest::Approx(sum / n));
  }
}

TEST_CASE("diagnostics/scores: too narrow, too wide and shifted posteriors score worse and are told apart") {
  const auto of = [](const Draws& d) { return score_posteriors(sbi::Cpu<>(1), d.samples, d.truth, priors); };
  const auto good = of(Draws(1)), narrow = of(Draws(0.3)), wide = of(Draws(3)), shifted = of(Draws(1, 2));
  for (const auto* bad : {&narrow, &wide, &shifted}) {
    CHECK(bad->mean_crps() > good.mean_crps() * 1.05);
    CHECK(bad->mean_nll() > good.mean_nll() + 0.3);
  }
  CHECK(narrow.parameters[0].coverage_68 < 0.4);
  CHECK(wide.parameters[0].coverage_68 > 0.9);
  CHECK(shifted.parameters[0].mean.bias == doctest::Approx(2).epsilon(0.15));
}

TEST_CASE("diagnostics/scores: missing truths are skipped, threads change nothing, extents are checked") {
  Draws draws(1);
  for (index_t i = 0; i < objects; i += 2) draws.truth(i, 0) = sbi::missing;
  const auto one = score_posteriors(sbi::Cpu<>(1), draws.samples, draws.truth, priors);
  const auto two = score_posteriors(sbi::Cpu<>(2), draws.samples, draws.truth, priors);
  CHECK(one.parameters[0].mean.count == objects / 2);
  CHECK(one.parameters[0].coverage.objects == objects / 2);
  CHECK(one.parameters[1].mean.count == objects);
  CHECK(sbi::is_finite(one.mean_nll()));
  CHECK(one.mean_crps() == two.mean_crps());
  CHECK(one.mean_nll() == two.mean_nll());
  CHECK(std::memcmp(one.means.data(), two.means.data(), sizeof(double) * objects * 2) == 0);

  for (index_t i = 0; i < objects; ++i) draws.truth(i, 0) = sbi::missing; // no truth at all
  const auto unknown = score_posteriors(sbi::Cpu<>(1), draws.samples, draws.truth, priors).parameters[0];
  CHECK(unknown.mean.count == 0);
  for (double v : {unknown.crps, unknown.nll, unknown.coverage_68}) CHECK(sbi::is_missing(v));

  CHECK_THROWS_AS((void)score_posteriors(sbi::Cpu<>(1), draws.samples, draws.truth, {priors[0]}),
                  sbi::ShapeError);
  CHECK_THROWS_AS((void)score_posteriors(sbi::Cpu<>(1), draws.samples, Tensor<double>({objects, 3}), priors),
                  sbi::ShapeError);
  CHECK_THROWS_AS((void)score_posteriors(sbi::Cpu<>(1), draws.samples, Tensor<double>({399, 2}), priors),
                  sbi::ShapeError);
}
