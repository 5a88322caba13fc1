// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/sbc.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi::diagnostics;
using doctest::Approx;

namespace {

/// Ranks of theta ~ N(0, 1) among samples of N(x / 2 + shift, width^2 / 2) with x ~ N(theta, 1).
std::vector<double> gaussian_ranks(double width, double shift, int objects, std::uint64_t seed,
                                   sbi::index_t among = 99) {
  Ranks ranks(1);
  sbi::Tensor<double> samples(sbi::Shape{among, 1});
  sbi::Rng rng(seed);
  for (int k = 0; k < objects; ++k) {
    const double theta = rng.normal(), x = theta + rng.normal();
    for (double& s : samples) s = rng.normal(x / 2 + shift, width * std::sqrt(0.5));
    ranks.add(samples.view(), std::vector<double>{theta});
  }
  return {ranks.of(0).begin(), ranks.of(0).end()};
}

} // namespace

TEST_CASE("diagnostics/sbc: statistics by hand") {
  const std::vector<double> u{0.1, 0.3, 0.3, 0.9}; // ranks 0, 1, 1 and 4 among 4 samples
  CHECK(rank_histogram(u, 2) == std::vector<sbi::index_t>{3, 1});
  const auto chi = chi_squared_uniformity(u, 2);
  CHECK(chi.statistic == Approx(1));
  CHECK(chi.p_value == Approx(std::erfc(std::sqrt(0.5))));
  const auto ks = kolmogorov_smirnov_uniformity(u, 4);
  CHECK(ks.statistic == Approx(0.35)); // 3/4 - 0.4, the upper edge of rank 1
  CHECK(ks.p_value == Approx(kolmogorov_tail(0.35 * (2 + 0.12 + 0.055))));
  CHECK(kolmogorov_smirnov_uniformity(std::vector<double>{0.7, 0.9}, 4).statistic ==
        Approx(0.6)); // below 0.7
  CHECK(kolmogorov_smirnov_uniformity(std::vector<double>{0.1, 0.3, 0.5, 0.7, 0.9}, 4).statistic ==
        Approx(0));
}

TEST_CASE("diagnostics/sbc: Kolmogorov's distribution at tabulated values") {
  CHECK(kolmogorov_tail(1.3580986) == Approx(0.05).epsilon(1e-6));
  CHECK(kolmogorov_tail(1.6276236) == Approx(0.01).epsilon(1e-6));
  CHECK(kolmogorov_tail(0.5) == Approx(0.9639452436).epsilon(1e-9));
  CHECK(kolmogorov_tail(1.0) == Approx(0.2699996717).epsilon(1e-9));
  CHECK(kolmogorov_tail(std::nextafter(1.0, 0.0)) == Approx(kolmogorov_tail(1.0)).epsilon(1e-12));
  CHECK(kolmogorov_tail(0) == 1);
}

TEST_CASE("diagnostics/sbc: exact posteriors pass, wrong ones do not") {
  int small_chi = 0, small_ks = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    const auto u = gaussian_ranks(1, 0, 200, seed);
    small_chi += chi_squared_uniformity(u, 10).p_value < 0.1;
    small_ks += kolmogorov_smirnov_uniformity(u, 99).p_value < 0.1;
  }
  // Binomial(100, 0.1): 1 to 22 has probability 1 - 1e-4; the p-values are neither too small nor too large.
  CHECK(small_chi >= 1);
  CHECK(small_chi <= 22);
  CHECK(small_ks >= 1);
  CHECK(small_ks <= 22);
  for (double width : {0.6, 1.7})
    CHECK(chi_squared_uniformity(gaussian_ranks(width, 0, 500, 1)).p_value < 1e-6);
  CHECK(kolmogorov_smirnov_uniformity(gaussian_ranks(1, 0.3, 500, 1), 99).p_value < 1e-6);
}

TEST_CASE("diagnostics/sbc: many calibrated ranks among few samples are not rejected, biased ones are") {
  for (const sbi::index_t samples : {1, 20, 99}) {
    CAPTURE(samples);
    int rejected = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
      sbi::Rng rng(seed);
      std::vector<double> u(2000);
      for (double& v : u)
        v = (static_cast<double>(rng.below(samples + 1)) + 0.5) / static_cast<double>(samples + 1);
      rejected += kolmogorov_smirnov_uniformity(u, samples).p_value < 0.05;
    }
    CHECK(rejected <= 22); // Binomial(200, 0.05) exceeds 22 with probability 2e-4
  }
  CHECK(kolmogorov_smirnov_uniformity(gaussian_ranks(1, 0.3, 2000, 1, 20), 20).p_value < 1e-6);
}

TEST_CASE("diagnostics/sbc: refused input") {
  const std::vector<double> u{0.5}, out{1.5};
  CHECK_THROWS_AS((void)rank_histogram(u, 1), sbi::ValueError);
  CHECK_THROWS_AS((void)rank_histogram(out, 5), sbi::ValueError);
  CHECK_THROWS_AS((void)chi_squared_uniformity({}), sbi::ValueError);
  CHECK_THROWS_AS((void)kolmogorov_smirnov_uniformity({}, 9), sbi::ValueError);
  CHECK_THROWS_AS((void)kolmogorov_smirnov_uniformity(u, 0), sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)kolmogorov_smirnov_uniformity(out, 4), doctest::Contains("u = 1.5 is no"),
                       sbi::ValueError);
  const std::vector<double> other{0.5, 0.37}, tied{0.1, 0.2}; // a rank and a half counts for a tie
  CHECK_THROWS_WITH_AS((void)kolmogorov_smirnov_uniformity(other, 4),
                       doctest::Contains("u = 0.37 is no normalised rank among 4 samples"), sbi::ValueError);
  CHECK_NOTHROW((void)kolmogorov_smirnov_uniformity(tied, 4));
}
