// SPDX-License-Identifier: MIT
#include <sbi/inference/survey_gaps.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;

namespace {

Tensor<double> filled(index_t rows, index_t cols, double value) {
  Tensor<double> out({rows, cols});
  for (double& v : out) v = value;
  return out;
}

} // namespace

TEST_CASE("inference/survey_gaps: a gap takes all of its observables, as often as asked for") {
  constexpr index_t n = 4000;
  Tensor<double> x = filled(n, 4, 1), sigma = filled(n, 4, 0.1);
  add_gaps(x, sigma, {{{1, 2}, 0.3}, {{3}, 0.5}}, Rng(1));
  int pair = 0, single = 0, both = 0;
  for (index_t i = 0; i < n; ++i) {
    CHECK(x(i, 0) == 1);
    CHECK(is_missing(x(i, 1)) == is_missing(x(i, 2)));
    for (index_t k = 0; k < 4; ++k) CHECK(is_missing(x(i, k)) == is_missing(sigma(i, k)));
    pair += is_missing(x(i, 1)), single += is_missing(x(i, 3));
    both += is_missing(x(i, 1)) && is_missing(x(i, 3));
  }
  const auto four_sigma = [](double p) { return 4 * std::sqrt(n * p * (1 - p)); };
  CHECK(std::abs(pair - 0.3 * n) < four_sigma(0.3));
  CHECK(std::abs(single - 0.5 * n) < four_sigma(0.5));
  CHECK(std::abs(both - 0.15 * n) < four_sigma(0.15)); // gaps are independent
}

TEST_CASE("inference/survey_gaps: tables of as many rows lose the same with the same generator") {
  Tensor<double> x = filled(50, 3, 1), sigma = x, y = filled(50, 3, 2), tau = y;
  const std::vector<SurveyGap> gaps{{{0}, 0.4}, {{1, 2}, 0.4}};
  add_gaps(x, sigma, gaps, Rng(2));
  add_gaps(y, tau, gaps, Rng(2));
  int other = 0;
  Tensor<double> z = filled(50, 3, 1), upsilon = z;
  add_gaps(z, upsilon, gaps, Rng(3));
  for (index_t i = 0; i < 50; ++i)
    for (index_t k = 0; k < 3; ++k) {
      CHECK(is_missing(x(i, k)) == is_missing(y(i, k)));
      other += is_missing(x(i, k)) != is_missing(z(i, k));
    }
  CHECK(other > 10);
}

TEST_CASE("inference/survey_gaps: what was missing stays missing, and nothing else goes without a gap") {
  Tensor<double> x = filled(3, 2, 1), sigma = filled(3, 2, 0.1);
  x(1, 0) = sigma(1, 0) = missing;
  add_gaps(x, sigma, {{{1}, 0.0}}, Rng(1));
  CHECK(is_missing(x(1, 0)));
  CHECK(x(1, 1) == 1);
  add_gaps(x, sigma, {{{1}, 1.0}}, Rng(1));
  for (index_t i = 0; i < 3; ++i) CHECK(is_missing(x(i, 1)));
}

TEST_CASE("inference/survey_gaps: what does not fit is refused") {
  Tensor<double> x = filled(3, 2, 1), sigma = filled(3, 2, 0.1), narrow = filled(3, 1, 0.1);
  CHECK_THROWS_AS(add_gaps(x, narrow, {}, Rng(1)), ShapeError);
  CHECK_THROWS_AS(add_gaps(x, sigma, {{{2}, 0.5}}, Rng(1)), ValueError);
  CHECK_THROWS_AS(add_gaps(x, sigma, {{{-1}, 0.5}}, Rng(1)), ValueError);
  CHECK_THROWS_AS(add_gaps(x, sigma, {{{0}, 1.5}}, Rng(1)), ValueError);
  CHECK_THROWS_AS(add_gaps(x, sigma, {{{0}, missing}}, Rng(1)), ValueError);
}
