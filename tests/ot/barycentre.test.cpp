// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/barycentre.hpp>
#include <sbi/ot/divergence.hpp>
#include <sbi/ot/line.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
using Input = ot::BarycentreInput<double>;
const Cpu<double> be(1);

/// A grid of step 0.1 on [-8, 8] and normals on it: sums over it are integrals to 1e-12 for the widths here.
struct Grid {
  Tensor<double> x{Shape{161, 1}};
  Grid() {
    for (index_t i = 0; i < 161; ++i) x(i, 0) = 0.1 * static_cast<double>(i - 80);
  }
  [[nodiscard]] Vector normal(double mean, double variance) const {
    Vector w;
    for (double v : x) w.push_back(std::exp(-0.5 * (v - mean) * (v - mean) / variance));
    const double sum = std::accumulate(w.begin(), w.end(), 0.0);
    for (double& v : w) v /= sum;
    return w;
  }
  [[nodiscard]] std::pair<double, double> mean_and_variance(const Vector& w) const {
    double mean = 0, square = 0, mass = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double v = x(static_cast<index_t>(i), 0);
      mass += w[i], mean += w[i] * v, square += w[i] * v * v;
    }
    CHECK(mass == doctest::Approx(1).epsilon(1e-12));
    return {mean, square - mean * mean};
  }
};
ot::BarycentreOptions options(double epsilon, bool debiased, double tolerance = 1e-10) {
  ot::BarycentreOptions o;
  o.sinkhorn.epsilon = epsilon, o.sinkhorn.tolerance = tolerance, o.sinkhorn.max_iterations = 3000;
  o.debiased = debiased;
  return o;
}
double root(double a, double b, double s2) { return std::sqrt(4 * a * b + s2 * s2); }
/// The a in (0, 20) where an increasing function is 0.
template <class F> double zero_of(F&& f) {
  double low = 0, high = 20;
  for (int i = 0; i < 200; ++i) (f(0.5 * (low + high)) > 0 ? high : low) = 0.5 * (low + high);
  return low;
}
double worst_difference(const Vector& u, const Vector& v) {
  double worst = 0;
  for (std::size_t i = 0; i < u.size(); ++i) worst = std::max(worst, std::abs(u[i] - v[i]));
  return worst;
}
} // namespace

TEST_CASE("ot/barycentre: normals of one variance on a grid: blurred by eps/2, or not at all") {
  const Grid grid;
  const Vector a = grid.normal(-1.5, 0.5), b = grid.normal(1, 0.5), c = grid.normal(2, 0.5);
  const std::vector<Input> clouds{{grid.x.view(), a, 1}, {grid.x.view(), b, 2}, {grid.x.view(), c, 1}};
  for (double epsilon : {0.2, 0.5}) {
    CAPTURE(epsilon);
    for (const bool debiased : {false, true}) {
      CAPTURE(debiased);
      const auto r =
          ot::barycentre(be, ot::SquaredEuclidean{}, grid.x.view(), clouds, options(epsilon, debiased));
      CHECK(r.converged);
      const auto [mean, variance] = grid.mean_and_variance(r.weights);
      CHECK(mean == doctest::Approx(0.625).epsilon(1e-7));
      CHECK(variance == doctest::Approx(debiased ? 0.5 : 0.5 + epsilon / 2).epsilon(1e-7));
      CHECK(worst_difference(r.weights, grid.normal(0.625, debiased ? 0.5 : 0.5 + epsilon / 2)) < 1e-8);
    }
  }
}

TEST_CASE("ot/barycentre: normals of different variances have the variance of the first-order condition") {
  // Stationarity in the variance a of the closed form of OT_eps between normals (Janati et al. 2020), s^2 =
  // eps/2, D(a, b) = sqrt(4 a b + s^4):  debiased sum_k l_k D(a, b_k) = D(a, a), plain = 2 a - s^2.
  const Grid grid;
  const Vector a = grid.normal(0, 0.3), b = grid.normal(0.4, 1.2);
  const std::vector<Input> clouds{{grid.x.view(), a, 0.7}, {grid.x.view(), b, 0.3}};
  const double epsilon = 0.6, s2 = epsilon / 2;
  const auto mean_root = [&](double v) { return 0.7 * root(v, 0.3, s2) + 0.3 * root(v, 1.2, s2); };
  for (const bool debiased : {false, true}) {
    const double expected =
        zero_of([&](double v) { return (debiased ? root(v, v, s2) : 2 * v - s2) - mean_root(v); });
    const auto r =
        ot::barycentre(be, ot::SquaredEuclidean{}, grid.x.view(), clouds, options(epsilon, debiased));
    CHECK(r.converged);
    const auto [mean, variance] = grid.mean_and_variance(r.weights);
    CHECK(mean == doctest::Approx(0.12).epsilon(1e-7));
    CHECK(variance == doctest::Approx(expected).epsilon(1e-7));
  }
}

TEST_CASE(
    "ot/barycentre: all the share on one cloud gives it back if debiased, blurred by the kernel if not") {
  const auto y = random_points(2, 10, 2);
  Tensor<double> x(Shape{25, 2});
  for (index_t i = 0; i < 25; ++i) x(i, 0) = static_cast<double>(i % 5), x(i, 1) = static_cast<double>(i / 5);
  const Vector a = random_weights(3, 25);
  const double epsilon = 0.5; // half the distance of neighbours, squared: the blur can be undone
  const std::vector<Input> clouds{{x.view(), a, 1}, {y.view(), {}, 0}};
  const auto r = ot::barycentre(be, ot::SquaredEuclidean{}, x.view(), clouds, options(epsilon, true));
  CHECK(r.converged);
  CHECK(worst_difference(r.weights, a) < 1e-7); // the residual, 1e-10, over the kernel's smallest eigenvalue
  CHECK(r.transport[1].f.empty());
  // min over P with one marginal given is that marginal spread by the normalised kernel.
  const auto plain = ot::barycentre(be, ot::SquaredEuclidean{}, x.view(), clouds, options(epsilon, false));
  const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), x.view());
  Vector spread(25, 0);
  for (index_t j = 0; j < 25; ++j) {
    double sum = 0;
    for (index_t i = 0; i < 25; ++i) sum += std::exp(-cost(i, j) / epsilon);
    for (index_t i = 0; i < 25; ++i)
      spread[static_cast<std::size_t>(i)] +=
          a[static_cast<std::size_t>(j)] * std::exp(-cost(i, j) / epsilon) / sum;
  }
  CHECK(plain.converged);
  CHECK(worst_difference(plain.weights, spread) < 1e-12);
}

TEST_CASE("ot/barycentre: plans have the barycentre and the clouds as marginals") {
  const auto support = random_points(4, 30, 2, 1.5), x = random_points(5, 20, 2), y = random_points(6, 15, 2);
  Vector a = random_weights(7, 20);
  a[5] += a[3], a[3] = 0;
  const Vector b = random_weights(8, 15);
  const std::vector<Input> clouds{{x.view(), a, 0.6}, {y.view(), b, 0.4}};
  for (const bool debiased : {false, true}) {
    const auto r = ot::barycentre(be, ot::SquaredEuclidean{}, support.view(), clouds, options(0.5, debiased));
    REQUIRE(r.converged);
    for (std::size_t k = 0; k < 2; ++k) {
      const Vector& w = k == 0 ? a : b;
      const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, support.view(), clouds[k].points);
      const auto plan = ot::transport_plan(be, cost.view(), {}, w, r.transport[k], 0.5);
      Vector rows(30, 0), columns(w.size(), 0);
      for (index_t i = 0; i < 30; ++i)
        for (index_t j = 0; j < plan.cols(); ++j)
          rows[static_cast<std::size_t>(i)] += plan(i, j), columns[static_cast<std::size_t>(j)] += plan(i, j);
      CHECK(worst_difference(rows, r.weights) < 1e-9);
      CHECK(worst_difference(columns, w) < 1e-9);
    }
  }
}

TEST_CASE("ot/barycentre: the debiased one has the least mean Sinkhorn divergence") {
  const auto support = random_points(9, 8, 2), x = random_points(10, 12, 2), y = random_points(11, 9, 2);
  const std::vector<Input> clouds{{x.view(), {}, 0.6}, {y.view(), {}, 0.4}};
  const auto r = ot::barycentre(be, ot::SquaredEuclidean{}, support.view(), clouds, options(1, true, 1e-7));
  REQUIRE(r.converged);
  ot::DivergenceOptions o;
  o.sinkhorn.epsilon = 1, o.sinkhorn.tolerance = 1e-11, o.sinkhorn.max_iterations = 10'000,
  o.gradients = false;
  const auto objective = [&](const Vector& w) {
    return 0.6 *
               ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, support.view(), x.view(), w, {}, o).value +
           0.4 *
               ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, support.view(), y.view(), w, {}, o).value;
  };
  const double least = objective(r.weights);
  for (std::size_t i = 0; i < 8; ++i) { // moving mass from the heaviest point or to it does not help
    const auto heaviest =
        static_cast<std::size_t>(std::max_element(r.weights.begin(), r.weights.end()) - r.weights.begin());
    for (double by : {1e-2, -1e-2}) {
      Vector w = r.weights;
      if (i == heaviest || w[i] + by < 0) continue;
      w[i] += by, w[heaviest] -= by;
      CHECK(objective(w) > least);
    }
  }
}

TEST_CASE("ot/barycentre: masses, shares and views of one array; float; any number of threads") {
  const Grid grid;
  const Vector a = grid.normal(-1, 0.5), b = grid.normal(1, 0.8);
  const auto twice = [](Vector w) {
    for (double& v : w) v *= 2;
    return w;
  };
  const Vector aa = twice(a), bb = twice(b);
  const Tensor<double> copy = grid.x;
  for (const bool debiased : {false, true}) {
    const auto o = options(0.5, debiased, 1e-6);
    const std::vector<Input> one{{grid.x.view(), a, 1}, {grid.x.view(), b, 1}},
        two{{copy.view(), aa, 3}, {grid.x.view(), bb, 3}};
    const auto r = ot::barycentre(be, ot::SquaredEuclidean{}, grid.x.view(), one, o);
    const auto s = ot::barycentre(be, ot::SquaredEuclidean{}, grid.x.view(), two, o);
    CHECK(worst_difference(twice(r.weights), s.weights) < 1e-8);
    const auto t = ot::barycentre(Cpu<double>(2), ot::SquaredEuclidean{}, grid.x.view(), one, o);
    CHECK(t.weights == r.weights);

    Tensor<float> x(grid.x.shape());
    std::transform(grid.x.begin(), grid.x.end(), x.begin(), [](double v) { return static_cast<float>(v); });
    const std::vector<float> fa(a.begin(), a.end()), fb(b.begin(), b.end());
    const std::vector<ot::BarycentreInput<float>> single{{x.view(), fa, 1}, {x.view(), fb, 1}};
    auto rough = o;
    rough.sinkhorn.tolerance = 1e-4;
    const auto f = ot::barycentre(Cpu<float>(1), ot::SquaredEuclidean{}, x.view(), single, rough);
    CHECK(f.converged);
    CHECK(worst_difference(Vector(f.weights.begin(), f.weights.end()), r.weights) < 1e-4);
  }
}

TEST_CASE("ot/barycentre: a limit of iterations is reported; one point is its own barycentre") {
  const Grid grid;
  const Vector a = grid.normal(-1, 0.5), b = grid.normal(1, 0.8);
  const std::vector<Input> clouds{{grid.x.view(), a, 1}, {grid.x.view(), b, 1}};
  auto o = options(0.5, false);
  o.sinkhorn.max_iterations = 4;
  const auto r = ot::barycentre(be, ot::SquaredEuclidean{}, grid.x.view(), clouds, o);
  CHECK(!r.converged);
  CHECK(r.iterations == 4);
  CHECK(r.residual > 1e-10);
  const Tensor<double> point(Shape{1, 1}, {0.7});
  for (const bool debiased : {false, true}) {
    const auto one = ot::barycentre(be, ot::SquaredEuclidean{}, point.view(), clouds, options(0.5, debiased));
    CHECK(one.converged);
    CHECK(one.weights[0] == doctest::Approx(1).epsilon(1e-14));
  }
}

TEST_CASE("ot/barycentre: free points of shifted copies are the copy shifted by the mean") {
  const auto x = random_points(12, 15, 3);
  const double shifts[3][3] = {{4, 0, -1}, {-2, 3, 0}, {0, -5, 2}}, shares[3] = {0.5, 0.2, 0.3};
  std::vector<Tensor<double>> copies(3, x);
  std::vector<Input> clouds;
  for (std::size_t k = 0; k < 3; ++k) {
    for (index_t i = 0; i < 15; ++i)
      for (index_t c = 0; c < 3; ++c) copies[k]((4 * i + 1) % 15, c) = x(i, c) + shifts[k][c];
    clouds.push_back({copies[k].view(), {}, shares[k]});
  }
  Tensor<double> wanted = x;
  double spread = 0;
  for (index_t c = 0; c < 3; ++c) {
    const double mean = 0.5 * shifts[0][c] + 0.2 * shifts[1][c] + 0.3 * shifts[2][c];
    for (index_t i = 0; i < 15; ++i) wanted(i, c) += mean;
    for (std::size_t k = 0; k < 3; ++k) spread += shares[k] * std::pow(shifts[k][c] - mean, 2);
  }
  const auto start = random_points(13, 15, 3, 2); // the assignment does not see shifts: any start finds it
  const auto r = ot::free_barycentre(be, clouds, start.view(), {}, {});
  CHECK(r.converged);
  CHECK(r.iterations <= 3);
  CHECK(r.value == doctest::Approx(spread).epsilon(1e-12));
  const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, r.points.view(), wanted.view());
  CHECK(ot::exact_transport<double>(cost.view(), {}, {}).value < 1e-24);
}

TEST_CASE("ot/barycentre: free points on the line are the means of quantiles") {
  const auto x = random_points(14, 20, 1), y = random_points(15, 20, 1, 3);
  const std::vector<Input> clouds{{x.view(), {}, 1}, {y.view(), {}, 3}};
  Vector u(x.begin(), x.end()), v(y.begin(), y.end());
  std::sort(u.begin(), u.end()), std::sort(v.begin(), v.end());
  const auto r = ot::free_barycentre(be, clouds, x.view(), {}, {});
  CHECK(r.converged);
  Vector z(r.points.begin(), r.points.end());
  std::sort(z.begin(), z.end());
  for (std::size_t i = 0; i < 20; ++i)
    CHECK(z[i] == doctest::Approx(0.25 * u[i] + 0.75 * v[i]).epsilon(1e-12));
  // sum_k l_k W(b, a_k) = l_1 l_2 W(a_1, a_2) on a geodesic
  CHECK(r.value == doctest::Approx(3.0 / 16 * ot::line_transport<double>(u, v, {}, {}).value).epsilon(1e-12));
}

TEST_CASE("ot/barycentre: rounds never raise the value, the last step is its gradient") {
  const auto x = random_points(16, 30, 2), y = random_points(17, 25, 2, 2), start = random_points(18, 10, 2);
  const Vector a = random_weights(19, 30), b = random_weights(20, 25);
  Vector w = random_weights(21, 10);
  w[8] += w[2], w[2] = 0;
  const std::vector<Input> clouds{{x.view(), a, 0.4}, {y.view(), b, 0.6}};
  for (double epsilon : {0.0, 0.5}) {
    ot::FreeBarycentreOptions o;
    o.sinkhorn.epsilon = epsilon, o.sinkhorn.tolerance = 1e-11, o.sinkhorn.max_iterations = 20'000;
    double before = 1e300;
    for (int rounds : {1, 2, 3, 5, 8, 100}) {
      o.max_iterations = rounds;
      const auto r = ot::free_barycentre(be, clouds, start.view(), w, o);
      CHECK(r.value <= before * (1 + 1e-9));
      before = r.value;
      CHECK(r.converged == (r.residual <= 1e-6));
      CHECK(r.points(2, 0) == start(2, 0)); // no weight
      if (rounds < 100) continue;
      CHECK(r.converged);
      // Stationary: each point is the mean of what its mass goes to.
      Tensor<double> target(start.shape());
      double value = 0;
      for (std::size_t k = 0; k < 2; ++k) {
        const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, r.points.view(), clouds[k].points);
        Tensor<double> plan(cost.shape());
        if (epsilon == 0) {
          const auto exact = ot::exact_transport<double>(cost.view(), w, clouds[k].weights);
          for (const auto& s : exact.plan) plan(s.from, s.to) = s.mass;
          value += clouds[k].share * exact.value;
        } else {
          const auto s = ot::sinkhorn(be, cost.view(), w, clouds[k].weights, o.sinkhorn);
          plan = ot::transport_plan(be, cost.view(), w, clouds[k].weights, s, epsilon);
          value += clouds[k].share * s.value;
        }
        for (index_t i = 0; i < 10; ++i)
          for (index_t j = 0; j < plan.cols(); ++j)
            for (index_t c = 0; c < 2; ++c)
              target(i, c) += clouds[k].share * plan(i, j) * clouds[k].points(j, c);
      }
      CHECK(r.value == doctest::Approx(value).epsilon(1e-9));
      for (index_t i = 0; i < 10; ++i)
        for (index_t c = 0; c < 2; ++c)
          CHECK(std::abs(target(i, c) - w[static_cast<std::size_t>(i)] * r.points(i, c)) < 1e-5);
    }
  }
  // One free point is the common mean.
  const auto one = ot::free_barycentre(be, clouds, random_points(22, 1, 2).view(), {}, {});
  double mean = 0;
  for (index_t i = 0; i < 30; ++i) mean += 0.4 * a[static_cast<std::size_t>(i)] * x(i, 0);
  for (index_t j = 0; j < 25; ++j) mean += 0.6 * b[static_cast<std::size_t>(j)] * y(j, 0);
  CHECK(one.converged);
  CHECK(one.points(0, 0) == doctest::Approx(mean).epsilon(1e-12));
}

TEST_CASE("ot/barycentre: what cannot be solved is refused by name") {
  const auto x = random_points(23, 4, 2), y = random_points(24, 3, 1);
  const Vector heavy(4, 1);
  const auto run = [&](const std::vector<Input>& clouds, ot::BarycentreOptions o) {
    std::ignore = ot::barycentre(be, ot::SquaredEuclidean{}, x.view(), clouds, o);
  };
  const auto free = [&](const std::vector<Input>& clouds, ot::FreeBarycentreOptions o) {
    std::ignore = ot::free_barycentre(be, clouds, x.view(), {}, o);
  };
  const std::vector<Input> good{{x.view(), {}, 1}};
  CHECK_THROWS_WITH_AS(run({}, options(1, false)), "barycentre: the shares of 0 clouds sum to 0; want > 0",
                       ValueError);
  CHECK_THROWS_AS(run({{x.view(), {}, 0}}, options(1, false)), ValueError);
  CHECK_THROWS_WITH_AS(run({{x.view(), {}, -1}}, options(1, false)),
                       "barycentre: share 0 = -1; want >= 0 and finite", ValueError);
  CHECK_THROWS_WITH_AS(run({{y.view(), {}, 1}}, options(1, false)),
                       "barycentre: cloud 0 is [3,1]; want [m,2]", ShapeError);
  CHECK_THROWS_WITH_AS(run({{x.view(), {}, 1}, {x.view(), heavy, 1}}, options(1, false)),
                       "barycentre: a sums to 1, b to 4; want equal masses", ValueError);
  CHECK_THROWS_AS(run({{x.view(), std::span(heavy).first(3), 1}}, options(1, false)), ShapeError);
  CHECK_THROWS_AS(run(good, options(0, false)), ValueError);
  auto priced = options(1, false);
  priced.sinkhorn.rho_b = 1;
  CHECK_THROWS_WITH_AS(run(good, priced), "barycentre: rho_a = inf, rho_b = 1; want infinity for both",
                       ValueError);
  auto bad = x;
  bad(1, 0) = missing;
  CHECK_THROWS_AS(run({{bad.view(), {}, 1}}, options(1, false)), ValueError);
  CHECK_THROWS_AS(free({{bad.view(), {}, 1}}, {}), ValueError);
  CHECK_THROWS_AS(free({}, {}), ValueError);
  ot::FreeBarycentreOptions none;
  none.max_iterations = 0;
  CHECK_THROWS_AS(free(good, none), ValueError);
  none = {}, none.sinkhorn.epsilon = -1;
  CHECK_THROWS_AS(free(good, none), ValueError);
}
