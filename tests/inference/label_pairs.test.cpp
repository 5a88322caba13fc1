// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/inference/label_pairs.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {

/// theta = (a, b, d): a and b - a standard normal, d uniform on [0, 10], on its own.
Tensor<double> prior_draws(index_t n) {
  Tensor<double> pool({n, 3});
  for (index_t i = 0; i < n; ++i) {
    Rng rng = Rng(1).split(static_cast<std::uint64_t>(i));
    pool(i, 0) = rng.normal(), pool(i, 1) = pool(i, 0) + rng.normal(), pool(i, 2) = rng.uniform(0, 10);
  }
  return pool;
}
struct Stars {
  Labels labels{Tensor<double>({2, 3}), Tensor<double>({2, 3})};
  Tensor<double> x{{2, 2}}, sigma{{2, 2}};
  Stars() { // star 0: a = 1 +- 0.5, d = 4 +- 0.1; star 1: nothing known, its second value missing
    for (index_t i = 0; i < 2; ++i)
      for (index_t j = 0; j < 3; ++j) labels.theta(i, j) = labels.sigma(i, j) = missing;
    labels.theta(0, 0) = 1, labels.sigma(0, 0) = 0.5;
    labels.theta(0, 2) = 4, labels.sigma(0, 2) = 0.1;
    x(0, 0) = 1, x(0, 1) = 2, x(1, 0) = 3, x(1, 1) = missing;
    sigma(0, 0) = 0.1, sigma(0, 1) = 0.2, sigma(1, 0) = 0.3, sigma(1, 1) = missing;
  }
};
const auto measure = [](Rng&, std::span<const double> theta, std::span<const double> sigma,
                        std::span<double> x) {
  for (std::size_t k = 0; k < x.size(); ++k)
    x[k] = is_missing(sigma[k]) ? missing : theta[0] + 100 * theta[2];
};

} // namespace

TEST_CASE("inference/label_pairs: partners follow p(theta | labels)") {
  constexpr index_t copies = 4000;
  const Stars s;
  const auto out =
      label_pairs(Cpu<>(2), prior_draws(40'000), s.labels, {2}, s.x, s.sigma, copies, measure, Rng(5));
  REQUIRE(out.partners.rows() == 2 * copies);
  double a = 0, aa = 0, b = 0, d = 0, dd = 0, free_a = 0, free_d = 0;
  for (index_t c = 0; c < copies; ++c) {
    const double* known = out.partners.theta.row(2 * c);
    const double* unknown = out.partners.theta.row(2 * c + 1);
    a += known[0] / copies, aa += known[0] * known[0] / copies, b += known[1] / copies;
    d += known[2] / copies, dd += known[2] * known[2] / copies;
    free_a += unknown[0] / copies, free_d += unknown[2] / copies;
  }
  // N(0, 1) times N(1, 0.5): mean 0.8, variance 0.2; E b = E a. Four standard errors of 4000 draws, and of
  // the pool's 10000 effective ones.
  CHECK(std::abs(a - 0.8) < 0.035);
  CHECK(std::abs(aa - a * a - 0.2) < 0.025);
  CHECK(std::abs(b - 0.8) < 0.09);
  CHECK(std::abs(d - 4) < 0.0065);
  CHECK(std::abs(std::sqrt(dd - d * d) - 0.1) < 0.005);
  CHECK(std::abs(free_a) < 0.07); // a star without labels is drawn from the prior
  CHECK(std::abs(free_d - 5) < 0.2);
}

TEST_CASE("inference/label_pairs: pairs keep the real star, partners its gaps and errors") {
  const Stars s;
  const auto out = label_pairs(Cpu<>(2), prior_draws(1000), s.labels, {2}, s.x, s.sigma, 3, measure, Rng(6));
  for (index_t r = 0; r < 6; ++r) {
    const index_t star = r % 2;
    CHECK(out.pairs.x(r, 0) == s.x(star, 0));
    CHECK(out.pairs.sigma(r, 0) == s.sigma(star, 0));
    CHECK(out.partners.sigma(r, 0) == s.sigma(star, 0));
    CHECK(is_missing(out.pairs.x(r, 1)) == (star == 1));
    CHECK(is_missing(out.partners.x(r, 1)) == (star == 1));
    CHECK(out.partners.x(r, 0) == out.partners.theta(r, 0) + 100 * out.partners.theta(r, 2));
    for (index_t j = 0; j < 3; ++j) CHECK(out.pairs.theta(r, j) == out.partners.theta(r, j));
  }
  CHECK(out.partners.theta(0, 0) != out.partners.theta(2, 0)); // copies are draws of their own
}

TEST_CASE("inference/label_pairs: labels beyond the pool take the nearest, inside its range") {
  Stars s;
  s.labels.theta(0, 0) = 50, s.labels.sigma(0, 0) = 0.01; // 2e6 log units away from every draw
  s.labels.theta(0, 2) = 30;
  const Tensor<double> pool = prior_draws(500);
  const auto out = label_pairs(Cpu<>(1), pool, s.labels, {2}, s.x, s.sigma, 2, measure, Rng(7));
  double most = -10, farthest = 0;
  for (index_t i = 0; i < pool.rows(); ++i)
    most = std::max(most, pool(i, 0)), farthest = std::max(farthest, pool(i, 2));
  CHECK(out.partners.theta(0, 0) == most);
  CHECK(out.partners.theta(0, 2) == farthest);
}

TEST_CASE("inference/label_pairs: labels so far away that every weight underflows take the nearest") {
  const Tensor<double> pool = prior_draws(500);
  index_t highest = 0, lowest = 0;
  for (index_t i = 1; i < pool.rows(); ++i) {
    if (pool(i, 0) > pool(highest, 0)) highest = i;
    if (pool(i, 1) < pool(lowest, 1)) lowest = i;
  }
  REQUIRE(highest != pool.rows() - 1);
  REQUIRE(lowest != pool.rows() - 1);
  Stars s; // at 1e200 errors the squares overflow, and at 1e20 the pool is all at one distance to rounding
  for (const double far : {1e20, 1e197}) {
    CAPTURE(far);
    s.labels.theta(0, 0) = far, s.labels.sigma(0, 0) = 1e-3;
    s.labels.theta(1, 1) = -far, s.labels.sigma(1, 1) = 1e-3;
    const auto out = label_pairs(Cpu<>(1), pool, s.labels, {2}, s.x, s.sigma, 3, measure, Rng(7));
    for (index_t c = 0; c < 3; ++c) {
      CHECK(out.partners.theta(2 * c, 0) == pool(highest, 0));
      CHECK(out.partners.theta(2 * c, 1) == pool(highest, 1));
      CHECK(out.partners.theta(2 * c + 1, 1) == pool(lowest, 1));
      CHECK(out.partners.theta(2 * c + 1, 0) == pool(lowest, 0));
    }
  }
}

TEST_CASE("inference/label_pairs: the same for any number of threads") {
  const Stars s;
  const Tensor<double> pool = prior_draws(300);
  const auto one = label_pairs(Cpu<>(1), pool, s.labels, {2}, s.x, s.sigma, 5, measure, Rng(8));
  const auto two = label_pairs(Cpu<>(2), pool, s.labels, {2}, s.x, s.sigma, 5, measure, Rng(8));
  for (index_t r = 0; r < one.partners.rows(); ++r)
    for (index_t j = 0; j < 3; ++j) CHECK(one.partners.theta(r, j) == two.partners.theta(r, j));
}

TEST_CASE("inference/label_pairs: what does not fit is refused") {
  const Tensor<double> pool = prior_draws(10);
  const auto run = [&](const Stars& s, index_t copies = 1, std::vector<index_t> independent = {2}) {
    (void)label_pairs(Cpu<>(1), pool, s.labels, independent, s.x, s.sigma, copies, measure, Rng(9));
  };
  Stars s;
  CHECK_NOTHROW(run(s));
  CHECK_THROWS_AS(run(s, 0), ValueError);
  CHECK_THROWS_AS(run(s, 1, {3}), ValueError);
  s.labels.sigma(0, 0) = 0;
  CHECK_THROWS_AS(run(s), ValueError);
  s = {};
  s.labels.sigma(0, 0) = missing;
  CHECK_THROWS_AS(run(s), ValueError);
  s = {};
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double label : {infinity, -infinity})
    for (const index_t j : {0, 2}) { // matched, and drawn on its own
      s = {};
      s.labels.theta(1, j) = label, s.labels.sigma(1, j) = 0.1;
      CHECK_THROWS_WITH_AS(run(s), doctest::Contains(text("label ", j, " of star 1 is ", label).c_str()),
                           ValueError);
    }
  s = {};
  s.labels.theta(0, 0) = 1e308, s.labels.sigma(0, 0) = 1e-3;
  CHECK_THROWS_WITH_AS(run(s), doctest::Contains("label 0 of star 0 is 1e+308 with the error 0.001, too far"),
                       ValueError);
  s = {};
  s.labels.theta = Tensor<double>({2, 2});
  CHECK_THROWS_AS(run(s), ShapeError);
  s = {};
  s.sigma = Tensor<double>({1, 2});
  CHECK_THROWS_AS(run(s), ShapeError);
}
