// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/gromov.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

ot::GromovOptions options(double epsilon) {
  ot::GromovOptions o;
  o.sinkhorn.epsilon = epsilon, o.sinkhorn.tolerance = 1e-12, o.sinkhorn.max_iterations = 20'000;
  o.tolerance = 1e-14, o.max_iterations = 3000;
  return o;
}
ot::GromovResult<double> solve(const Tensor<double>& x, const Tensor<double>& y, const Vector& a,
                               const Vector& b, const ot::GromovOptions& o) {
  return ot::entropic_gromov(be, x.view(), y.view(), a, b, o);
}
Tensor<double> plan_of(const ot::GromovResult<double>& r, const Vector& a, const Vector& b, double epsilon) {
  return ot::transport_plan(be, ot::stored_cost(be, r.cost).view(), a, b, r.plan, epsilon);
}
} // namespace

TEST_CASE("ot/gromov: value and objective are those of the plan by their definition") {
  const auto x = random_points(1, 7, 2), y = random_points(2, 6, 3);
  const Vector a = random_weights(3, 7), b = random_weights(4, 6);
  for (double epsilon : {2.0, 20.0}) {
    const auto r = solve(x, y, a, b, options(epsilon));
    CHECK(r.converged);
    const auto p = plan_of(r, a, b, epsilon);
    const double e = squared_distortion(x, y, p);
    CHECK(r.value == doctest::Approx(e).epsilon(1e-9));
    CHECK(r.objective == doctest::Approx(e + epsilon * relative_entropy(p, a, b)).epsilon(1e-9));
  }
}

TEST_CASE("ot/gromov: rounds never raise the objective") {
  const auto x = random_points(5, 20, 3), y = random_points(6, 25, 2);
  double before = std::numeric_limits<double>::infinity();
  for (int rounds : {1, 2, 3, 5, 8, 13, 21, 34}) {
    auto o = options(3);
    o.max_iterations = rounds, o.trial_iterations = 1, o.gradients = false;
    const double now = solve(x, y, {}, {}, o).objective;
    CHECK(now <= before * (1 + 1e-12));
    before = now;
  }
}

TEST_CASE("ot/gromov: an isometric copy is found, whatever its order, place and handedness") {
  const auto x = random_points(7, 12, 2);
  Tensor<double> y(x.shape());
  const double c = std::cos(0.7), s = std::sin(0.7);
  std::vector<index_t> copy(12);
  for (index_t i = 0; i < 12; ++i) {
    const index_t j = (5 * i + 3) % 12;
    copy[static_cast<std::size_t>(i)] = j;
    y(j, 0) = 30 + c * x(i, 0) - s * x(i, 1), y(j, 1) = -7 - (s * x(i, 0) + c * x(i, 1)); // reflected
  }
  const double epsilon = 0.05;
  auto o = options(epsilon);
  o.sinkhorn.tolerance = 1e-8;
  const auto r = solve(x, y, {}, {}, o);
  const auto p = plan_of(r, Vector(12, 1.0 / 12), Vector(12, 1.0 / 12), epsilon);
  for (index_t i = 0; i < 12; ++i) CHECK(p(i, copy[static_cast<std::size_t>(i)]) > 0.9 / 12);
  CHECK(r.value >= -1e-9);
  CHECK(r.value < 2 * epsilon); // at most eps log n above the unregularised minimum, which is 0
}

TEST_CASE("ot/gromov: one-dimensional normals have the closed form of Delon et al. (2022)") {
  // 12 (s_x^2 - s_y^2)^2 at eps = 0, reached by the linear map. On 51 points and with eps = 0.05 the plan is
  // blurred by little: one per cent is four times the difference seen.
  constexpr index_t n = 51;
  Tensor<double> x(Shape{n, 1}), y(Shape{n, 1});
  Vector a(static_cast<std::size_t>(n));
  double sum = 0;
  for (index_t i = 0; i < n; ++i) {
    const double u = -5 + 0.2 * static_cast<double>(i);
    x(i, 0) = u, y(i, 0) = 0.5 * u;
    sum += a[static_cast<std::size_t>(i)] = std::exp(-u * u / 2);
  }
  for (double& w : a) w /= sum;
  auto o = options(0.05);
  o.sinkhorn.tolerance = 1e-5, o.tolerance = 1e-8, o.gradients = false;
  CHECK(solve(x, y, a, a, o).value == doctest::Approx(12 * 0.75 * 0.75).epsilon(0.01));
}

TEST_CASE("ot/gromov: clouds that are symmetric leave the product plan, which is a saddle") {
  const Tensor<double> x({4, 2}, {1, 0.3, 1, -0.3, -1, 0.3, -1, -0.3});
  const Vector uniform(4, 0.25);
  Tensor<double> product(Shape{4, 4});
  for (double& v : product) v = 1.0 / 16;
  const double stuck = squared_distortion(x, x, product);
  const auto r = solve(x, x, {}, {}, options(0.2));
  CHECK(r.objective < 0.5 * stuck);
  CHECK(r.value < 0.1 * stuck);
}

TEST_CASE("ot/gromov: gradients are those of finite differences") {
  auto x = random_points(8, 6, 2), y = random_points(9, 5, 3);
  const Vector a = random_weights(10, 6), b = random_weights(11, 5);
  const auto o = options(15);
  const auto r = solve(x, y, a, b, o);
  REQUIRE(r.converged);
  for (auto [points, gradient] : {std::pair{&x, &r.dx}, std::pair{&y, &r.dy}})
    for (index_t k = 0; k < points->size(); ++k) {
      double& v = points->data()[k];
      const double at = v, h = 1e-4;
      v = at + h;
      const double up = solve(x, y, a, b, o).objective;
      v = at - h;
      const double down = solve(x, y, a, b, o).objective;
      v = at;
      CHECK(gradient->data()[k] == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6).scale(10));
    }
}

TEST_CASE("ot/gromov: weights count by their share; a cloud of one point couples to all") {
  const auto x = random_points(12, 8, 2), y = random_points(13, 9, 2);
  const auto o = options(5);
  CHECK(solve(x, y, Vector(8, 3.0), Vector(9, 0.5), o).objective ==
        doctest::Approx(solve(x, y, {}, {}, o).objective).epsilon(1e-12));
  const auto point = random_points(14, 1, 2);
  const auto r = solve(point, y, {}, {}, o);
  CHECK(r.converged);
  Tensor<double> all(Shape{1, 9});
  for (double& v : all) v = 1.0 / 9;
  CHECK(r.value == doctest::Approx(squared_distortion(point, y, all)).epsilon(1e-12));
}

TEST_CASE("ot/gromov: what cannot be solved is refused by name") {
  const auto x = random_points(15, 4, 2);
  auto y = x;
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, y, {}, {}, options(0)), "sinkhorn: epsilon = 0; want > 0",
                       ValueError);
  auto o = options(1);
  o.sinkhorn.rho_a = 1;
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, y, {}, {}, o),
                       "gromov: rho_a = 1, rho_b = inf; want infinity for both", ValueError);
  o = options(1), o.max_iterations = 0;
  CHECK_THROWS_AS(std::ignore = solve(x, y, {}, {}, o), ValueError);
  CHECK_THROWS_AS(std::ignore = solve(x, y, {1, 2}, {}, options(1)), ShapeError);
  y(1, 1) = missing;
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, y, {}, {}, options(1)), "ot: gromov: y[1,1] = nan; want finite",
                       ValueError);
  o = options(1), o.max_iterations = 1, o.trial_iterations = 1;
  CHECK(!solve(x, x, {}, {}, o).converged); // and says so where it is not
}
