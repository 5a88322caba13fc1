// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/backend/cpu.hpp>
#include <sbi/backend/reference.hpp>
#include <sbi/ot/unbalanced_gromov.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
using Matrix = Tensor<double>;
const Cpu<double> be(1);

ot::UnbalancedGromovOptions options(double epsilon, double rho_a, double rho_b) {
  ot::UnbalancedGromovOptions o;
  o.sinkhorn.epsilon = epsilon, o.sinkhorn.rho_a = rho_a, o.sinkhorn.rho_b = rho_b;
  o.sinkhorn.tolerance = 1e-12, o.sinkhorn.max_iterations = 20'000;
  o.tolerance = 1e-13, o.max_iterations = 5000;
  return o;
}
auto solve(const Matrix& x, const Matrix& y, const Vector& a, const Vector& b,
           const ot::UnbalancedGromovOptions& o) {
  return ot::unbalanced_gromov(be, x.view(), y.view(), a, b, o);
}
auto solve_matrices(const Matrix& m, const Matrix& x, const Matrix& y, const Vector& a, const Vector& b,
                    const ot::UnbalancedGromovOptions& o, const Matrix& start = {}) {
  const auto view = [](const Matrix& of) { return of.size() > 0 ? of.view() : View<const double>(); };
  return ot::unbalanced_fused(be, view(m), x.view(), y.view(), a, b, o, ot::SquareLoss{}, view(start));
}
Matrix squared_distances(const Matrix& x) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), x.view());
}
double mass(const Vector& a) { return std::accumulate(a.begin(), a.end(), 0.0); }
/// KL(p x p | q x q), term by term.
double doubled_divergence(const Vector& p, const Vector& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    for (std::size_t k = 0; k < p.size(); ++k) {
      const double u = p[i] * p[k], v = q[i] * q[k];
      sum += (u > 0 ? u * std::log(u / v) : 0) - u + v;
    }
  return sum;
}
/// L(P) by its definition, without a cost between the spaces; infinite prices count as met.
double objective(double distortion, const Matrix& p, const Vector& a, const Vector& b,
                 const ot::SinkhornOptions& o) {
  Vector rows(a.size(), 0), columns(b.size(), 0), entries(p.begin(), p.end()), product;
  for (index_t i = 0; i < p.rows(); ++i)
    for (index_t j = 0; j < p.cols(); ++j) {
      rows[static_cast<std::size_t>(i)] += p(i, j), columns[static_cast<std::size_t>(j)] += p(i, j);
      product.push_back(a[static_cast<std::size_t>(i)] * b[static_cast<std::size_t>(j)]);
    }
  return distortion + (is_finite(o.rho_a) ? o.rho_a * doubled_divergence(rows, a) : 0) +
         (is_finite(o.rho_b) ? o.rho_b * doubled_divergence(columns, b) : 0) +
         o.epsilon * doubled_divergence(entries, product);
}
Vector scaled(Vector a, double factor) {
  for (double& v : a) v *= factor;
  return a;
}
constexpr double infinity = ot::exact_marginal;
} // namespace

TEST_CASE("ot/unbalanced gromov: objective, value and marginals are those of the plan by their definition") {
  const Matrix x = random_points(1, 6, 2), y = random_points(2, 5, 3);
  const Vector a = scaled(random_weights(3, 6), 1.4), b = scaled(random_weights(4, 5), 0.8);
  for (const auto& [rho_a, rho_b] :
       {std::pair{5.0, 9.0}, std::pair{infinity, 9.0}, std::pair{5.0, infinity}}) {
    const auto o = options(3, rho_a, rho_b);
    const auto r = solve(x, y, a, b, o);
    REQUIRE(r.converged);
    const Matrix p = ot::unbalanced_plan(be, r, a, b);
    const double e = squared_distortion(x, y, p);
    CHECK(r.value == doctest::Approx(e).epsilon(1e-9));
    CHECK(r.objective == doctest::Approx(objective(e, p, a, b, o.sinkhorn)).epsilon(1e-9));
    CHECK(r.relaxed == doctest::Approx(r.objective).epsilon(1e-9));
    for (index_t i = 0; i < 6; ++i) {
      double row = 0;
      for (index_t j = 0; j < 5; ++j) row += p(i, j);
      CHECK(r.rows[static_cast<std::size_t>(i)] == doctest::Approx(row).epsilon(1e-9));
      if (!is_finite(rho_a)) CHECK(row == doctest::Approx(a[static_cast<std::size_t>(i)]).epsilon(1e-9));
    }
    CHECK(mass(r.columns) == doctest::Approx(r.mass).epsilon(1e-12));
    if (!is_finite(rho_b))
      for (std::size_t j = 0; j < 5; ++j) CHECK(r.columns[j] == doctest::Approx(b[j]).epsilon(1e-9));
  }
}

TEST_CASE("ot/unbalanced gromov: a converged plan is a minimum among its neighbours") {
  // L along random directions p exp(s d): the slope vanishes, the objective rises on both sides.
  const Matrix x = random_points(5, 5, 2), y = random_points(6, 4, 2);
  const Vector a = random_weights(7, 5), b = scaled(random_weights(8, 4), 1.3);
  const auto o = options(4, 6, 10);
  const auto r = solve(x, y, a, b, o);
  REQUIRE(r.converged);
  const Matrix p = ot::unbalanced_plan(be, r, a, b);
  Rng rng(9);
  for (int k = 0; k < 8; ++k) {
    Matrix d(p.shape());
    for (double& v : d) v = rng.normal();
    const auto at = [&](double s) {
      Matrix q = p;
      for (index_t i = 0; i < q.size(); ++i) q.data()[i] *= std::exp(s * d.data()[i]);
      return objective(squared_distortion(x, y, q), q, a, b, o.sinkhorn);
    };
    const double h = 1e-3, up = at(h), down = at(-h), here = at(0);
    CHECK(up > here);
    CHECK(down > here);
    CHECK(std::abs(up - down) < 1e-2 * (up + down - 2 * here)); // the third derivative leaves h^3
  }
}

TEST_CASE("ot/unbalanced gromov: clouds and their matrices give one plan") {
  const Matrix x = random_points(10, 9, 3), y = random_points(11, 8, 2);
  const Vector a = random_weights(12, 9), b = random_weights(13, 8);
  for (double rho : {3.0, 30.0}) {
    const auto o = options(6, rho, 2 * rho);
    const auto clouds = solve(x, y, a, b, o);
    const Matrix p = ot::unbalanced_plan(be, clouds, a, b);
    // From the plan of the clouds: the same stationary point.
    const auto matrices = solve_matrices({}, squared_distances(x), squared_distances(y), a, b, o, p);
    CHECK(clouds.converged);
    CHECK(matrices.converged);
    CHECK(matrices.objective == doctest::Approx(clouds.objective).epsilon(1e-10));
    for (index_t k = 0; k < p.size(); ++k)
      CHECK(matrices.plan.data()[k] == doctest::Approx(p.data()[k]).epsilon(1e-5).scale(1e-3));
  }
}

TEST_CASE(
    "ot/unbalanced gromov: infinite and very large prices are the balanced problem with twice epsilon") {
  const Matrix x = random_points(14, 10, 2), y = random_points(15, 12, 3);
  const Vector a = random_weights(16, 10), b = random_weights(17, 12);
  ot::GromovOptions balanced;
  balanced.sinkhorn.epsilon = 8, balanced.sinkhorn.tolerance = 1e-12,
  balanced.sinkhorn.max_iterations = 20'000;
  balanced.tolerance = 1e-14, balanced.max_iterations = 3000;
  const auto expected = ot::entropic_gromov(be, x.view(), y.view(), a, b, balanced);
  const auto exact = solve(x, y, a, b, options(4, infinity, infinity));
  CHECK(exact.converged);
  CHECK(exact.value == doctest::Approx(expected.value).epsilon(1e-7));
  CHECK(exact.objective == doctest::Approx(expected.objective).epsilon(1e-9));
  for (index_t k = 0; k < x.size(); ++k)
    CHECK(exact.dx.data()[k] == doctest::Approx(expected.dx.data()[k]).epsilon(1e-5).scale(1));
  double before = std::numeric_limits<double>::infinity();
  for (double rho : {1e3, 1e4, 1e5}) { // the error falls with 1 / rho
    const double off = std::abs(solve(x, y, a, b, options(4, rho, rho)).objective - expected.objective);
    CHECK(off < 0.2 * before);
    before = off;
  }
  CHECK(before < 1e-3 * expected.objective);
}

TEST_CASE("ot/unbalanced gromov: rounds never raise the relaxed objective") {
  const Matrix x = random_points(18, 20, 3), y = random_points(19, 25, 2);
  for (double rho : {1.0, 20.0, infinity}) {
    double before = infinity;
    for (int rounds : {2, 3, 5, 8, 13, 21, 34}) { // a start by moments alone has no plan and no F
      auto o = options(3, rho, 15);
      o.max_iterations = rounds, o.trial_iterations = 1, o.gradients = false;
      const double now = solve(x, y, {}, {}, o).relaxed;
      CHECK(now <= before * (1 + 1e-11));
      before = now;
    }
  }
}

TEST_CASE("ot/unbalanced gromov: two points have a closed form") {
  // s = p^2 minimises (u - v)^2 s + rho_a KL(s | a^2) + rho_b KL(s | b^2) + eps KL(s | a^2 b^2).
  const double u = 0.7, v = 0.2, a = 1.7, b = 0.6, rho_a = 0.9, rho_b = 0.4, epsilon = 0.3;
  const auto expected = [&](double distortion, double price_a, double price_b) {
    return std::sqrt(std::exp(
        (2 * price_a * std::log(a) + 2 * price_b * std::log(b) + 2 * epsilon * std::log(a * b) - distortion) /
        (price_a + price_b + epsilon)));
  };
  const Matrix x({1, 1}, {u}), y({1, 1}, {v}), m({1, 1}, {0.35}), point({1, 2}, {3, 4});
  const auto o = options(epsilon, rho_a, rho_b);
  const double distortion = (u - v) * (u - v);
  CHECK(solve_matrices({}, x, y, {a}, {b}, o).mass ==
        doctest::Approx(expected(distortion, rho_a, rho_b)).epsilon(1e-10));
  CHECK(solve_matrices(m, x, y, {a}, {b}, o).mass ==
        doctest::Approx(expected(distortion + 0.35, rho_a, rho_b)).epsilon(1e-10));
  const auto r = solve(point, point, {a}, {b}, o);
  CHECK(r.converged);
  CHECK(r.mass == doctest::Approx(expected(0, rho_a, rho_b)).epsilon(1e-10));
  CHECK(solve(point, point, {a}, {b}, options(epsilon, infinity, rho_b)).mass ==
        doctest::Approx(a).epsilon(1e-12));
  CHECK(solve(point, point, {a}, {b}, options(epsilon, rho_a, infinity)).mass ==
        doctest::Approx(b).epsilon(1e-12));
}

TEST_CASE(
    "ot/unbalanced gromov: of isometric clouds with outliers these lose their mass, the rest is paired") {
  constexpr index_t n = 14, outliers = 2;
  const Matrix inliers = random_points(20, n, 2);
  Matrix x(Shape{n + outliers, 2}), y(Shape{n + outliers, 2});
  const double c = std::cos(0.7), s = std::sin(0.7);
  for (index_t i = 0; i < n; ++i) {
    const index_t j = (5 * i + 3) % n;
    const double u = inliers(i, 0), v = inliers(i, 1);
    x(i, 0) = u, x(i, 1) = v;
    y(j, 0) = 30 + c * u - s * v, y(j, 1) = -7 - (s * u + c * v); // reflected
  }
  x(n, 0) = 6, x(n, 1) = 5, x(n + 1, 0) = -7, x(n + 1, 1) = 1;
  y(n, 0) = 30, y(n, 1) = -17, y(n + 1, 0) = 38.5, y(n + 1, 1) = -9;
  auto o = options(0.02, 2, 2);
  o.sinkhorn.tolerance = 1e-8, o.tolerance = 1e-9, o.trial_iterations = 20, o.annealing = 100;
  o.sinkhorn.max_iterations = 1000; // starts that lead nowhere need not end there
  const auto r = solve(x, y, {}, {}, o);
  CHECK(r.converged);
  const double weight = 1.0 / (n + outliers);
  const Matrix p = ot::unbalanced_plan(be, r, {}, {});
  for (index_t i = 0; i < n; ++i) {
    CHECK(p(i, (5 * i + 3) % n) > 0.8 * r.rows[static_cast<std::size_t>(i)]);
    CHECK(r.rows[static_cast<std::size_t>(i)] > 0.7 * weight);
  }
  for (std::size_t i = n; i < n + outliers; ++i) {
    CHECK(r.rows[i] < 0.02 * weight);
    CHECK(r.columns[i] < 0.02 * weight);
  }
}

TEST_CASE("ot/unbalanced gromov: a change of the costs' unit that the prices follow changes no plan") {
  const Matrix x = random_points(21, 8, 2), y = random_points(22, 7, 2);
  const auto of = solve(x, y, {}, {}, options(2, 5, 7));
  const double t = 3, fourth = t * t * t * t;
  Matrix tx = x, ty = y;
  for (Matrix* m : {&tx, &ty})
    for (double& v : *m) v *= t;
  const auto r = solve(tx, ty, {}, {}, options(2 * fourth, 5 * fourth, 7 * fourth));
  CHECK(r.objective == doctest::Approx(fourth * of.objective).epsilon(1e-9));
  for (std::size_t i = 0; i < 8; ++i) CHECK(r.rows[i] == doctest::Approx(of.rows[i]).epsilon(1e-6));
  CHECK(r.mass < 0.9); // where the prices bind
}

TEST_CASE("ot/unbalanced gromov: gradients are those of finite differences") {
  Matrix x = random_points(23, 6, 2), y = random_points(24, 5, 3);
  const Vector a = scaled(random_weights(25, 6), 1.2), b = random_weights(26, 5);
  for (const auto& [rho_a, rho_b] : {std::pair{8.0, 12.0}, std::pair{infinity, 12.0}}) {
    auto o = options(10, rho_a, rho_b);
    o.random_starts = 0;
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
}

TEST_CASE("ot/unbalanced gromov: a cost between the spaces counts, with gradients in all three matrices") {
  Matrix m = random_matrix(27, 5, 4), x = random_matrix(28, 5, 5), y = random_matrix(29, 4, 4); // asymmetric
  const Vector a = random_weights(30, 5), b = scaled(random_weights(31, 4), 0.7);
  const auto o = options(0.1, 0.4, 0.3);
  const auto r = solve_matrices(m, x, y, a, b, o);
  REQUIRE(r.converged);
  double linear = 0;
  for (index_t k = 0; k < m.size(); ++k) linear += m.data()[k] * r.plan.data()[k];
  const double e = ot::distortion(be, x.view(), y.view(), r.plan.view()) + r.mass * linear;
  CHECK(r.value == doctest::Approx(e).epsilon(1e-10));
  CHECK(r.objective == doctest::Approx(objective(e, r.plan, a, b, o.sinkhorn)).epsilon(1e-10));
  CHECK(r.mass < solve_matrices({}, x, y, a, b, o).mass);
  for (auto [matrix, gradient] : {std::pair{&m, &r.dcost}, std::pair{&x, &r.dx}, std::pair{&y, &r.dy}})
    for (index_t k = 0; k < matrix->size(); ++k) {
      double& v = matrix->data()[k];
      const double at = v, h = 1e-4;
      v = at + h;
      const double up = solve_matrices(m, x, y, a, b, o, r.plan).objective;
      v = at - h;
      const double down = solve_matrices(m, x, y, a, b, o, r.plan).objective;
      v = at;
      CHECK(gradient->data()[k] == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6).scale(0.1));
    }
}

TEST_CASE("ot/unbalanced gromov: threads change no bit, the reference backend and float agree") {
  const Matrix x = random_points(32, 70, 3), y = random_points(33, 90, 2);
  auto o = options(8, 20, 30);
  o.sinkhorn.tolerance = 1e-9, o.tolerance = 1e-9, o.random_starts = 0, o.trial_iterations = 3;
  const auto one = solve(x, y, {}, {}, o);
  const auto many = ot::unbalanced_gromov(Cpu<double>(3), x.view(), y.view(), {}, {}, o);
  CHECK(one.objective == many.objective);
  CHECK(std::equal(one.dx.begin(), one.dx.end(), many.dx.begin()));
  const auto naive = ot::unbalanced_gromov(Reference<double>(), x.view(), y.view(), {}, {}, o);
  CHECK(naive.objective == doctest::Approx(one.objective).epsilon(1e-9));
  Tensor<float> fx(x.shape()), fy(y.shape());
  std::transform(x.begin(), x.end(), fx.begin(), [](double v) { return static_cast<float>(v); });
  std::transform(y.begin(), y.end(), fy.begin(), [](double v) { return static_cast<float>(v); });
  o.sinkhorn.tolerance = 0, o.tolerance = 1e-6;
  const auto narrow = ot::unbalanced_gromov(Cpu<float>(1), fx.view(), fy.view(), {}, {}, o);
  CHECK(narrow.converged);
  CHECK(narrow.objective == doctest::Approx(one.objective).epsilon(1e-4)); // the tolerance of Sinkhorn
}

TEST_CASE("ot/unbalanced gromov: points without weight take no part") {
  const Matrix x = random_points(37, 6, 2), y = random_points(38, 5, 2);
  Matrix more(Shape{7, 2});
  std::copy(x.begin(), x.end(), more.begin());
  more(6, 0) = 1e3, more(6, 1) = -1e3;
  const Vector a(6, 0.2);
  Vector with = a;
  with.push_back(0);
  const auto o = options(3, 6, 5);
  const auto r = solve(more, y, with, {}, o);
  CHECK(r.converged);
  CHECK(r.objective == doctest::Approx(solve(x, y, a, {}, o).objective).epsilon(1e-10));
  CHECK(r.rows[6] == 0);
  CHECK(r.dx(6, 0) == 0);
}

TEST_CASE("ot/unbalanced gromov: what cannot be solved is refused by name") {
  const Matrix x = random_points(34, 4, 2), square = random_matrix(35, 4, 4);
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, x, {}, {}, options(0, 1, 1)), "sinkhorn: epsilon = 0; want > 0",
                       ValueError);
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, x, {}, {}, options(1, -1, 1)), "sinkhorn: rho_a = -1; want > 0",
                       ValueError);
  auto o = options(1, 1, 1);
  o.annealing = 0.5;
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, x, {}, {}, o),
                       "unbalanced gromov: annealing = 0.5; want a finite factor >= 1", ValueError);
  o = options(1, 1, 1), o.max_iterations = 0;
  CHECK_THROWS_AS(std::ignore = solve(x, x, {}, {}, o), ValueError);
  o = options(1, 1, 1), o.tolerance = -1;
  CHECK_THROWS_AS(std::ignore = solve(x, x, {}, {}, o), ValueError);
  CHECK_THROWS_AS(std::ignore = solve(x, x, {1, 2}, {}, options(1, 1, 1)), ShapeError);
  CHECK_THROWS_AS(std::ignore = solve(x, x, Vector(4, 1), Vector(4, 2), options(1, infinity, infinity)),
                  ValueError);
  Matrix bad = x;
  bad(1, 1) = missing;
  CHECK_THROWS_WITH_AS(std::ignore = solve(x, bad, {}, {}, options(1, 1, 1)),
                       "ot: unbalanced gromov: y[1,1] = nan; want finite", ValueError);
  CHECK_THROWS_WITH_AS(std::ignore =
                           solve_matrices(Matrix(Shape{3, 4}), square, square, {}, {}, options(1, 1, 1)),
                       "unbalanced gromov: M is [3,4]; want [4,4]", ShapeError);
  Matrix start(Shape{4, 4});
  start(2, 3) = -1;
  CHECK_THROWS_WITH_AS(std::ignore = solve_matrices({}, square, square, {}, {}, options(1, 1, 1), start),
                       "unbalanced gromov: start[2,3] = -1; want finite and >= 0", ValueError);
  start(2, 3) = 0;
  CHECK_THROWS_WITH_AS(std::ignore = solve_matrices({}, square, square, {}, {}, options(1, 1, 1), start),
                       "unbalanced gromov: start sums to 0; want > 0", ValueError);
  const Matrix one({1, 1}, {1}), none({1, 1}, {0});
  CHECK_THROWS_WITH_AS(
      std::ignore = solve_matrices({}, one, none, {}, {}, options(1e-4, 1e-4, 1e-4)),
      "unbalanced gromov: no plan keeps a mass that is a normal number; want larger prices or epsilon",
      NumericalError);
  o = options(1, 5, 5), o.max_iterations = 1, o.trial_iterations = 1;
  CHECK(!solve(x, random_points(36, 5, 2), {}, {}, o).converged); // and says so where it is not
}
