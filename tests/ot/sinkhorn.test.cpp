// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/sinkhorn.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

Tensor<double> squared(const Tensor<double>& x, const Tensor<double>& y) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
}
Vector row_sums(const Tensor<double>& p) {
  Vector out;
  for (index_t i = 0; i < p.rows(); ++i) out.push_back(std::accumulate(p.row(i), p.row(i) + p.cols(), 0.0));
  return out;
}
Vector column_sums(const Tensor<double>& p) {
  Vector out(static_cast<std::size_t>(p.cols()), 0);
  for (index_t i = 0; i < p.rows(); ++i)
    for (index_t j = 0; j < p.cols(); ++j) out[static_cast<std::size_t>(j)] += p(i, j);
  return out;
}
double inner(const Tensor<double>& p, const Tensor<double>& c) {
  double sum = 0;
  for (index_t i = 0; i < p.size(); ++i) sum += p.data()[i] * c.data()[i];
  return sum;
}
double divergence(const Vector& p, const Vector& q) {
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i)
    sum += (p[i] > 0 ? p[i] * std::log(p[i] / q[i]) : 0) - p[i] + q[i];
  return sum;
}
/// <P, C> + eps KL(P | a x b) + rho_a KL(P 1 | a) + rho_b KL(P^T 1 | b), finite prices only.
double primal(const Tensor<double>& p, const Tensor<double>& c, const Vector& a, const Vector& b,
              const ot::SinkhornOptions& o) {
  Vector product;
  for (double u : a)
    for (double v : b) product.push_back(u * v);
  double value = inner(p, c) + o.epsilon * divergence(Vector(p.begin(), p.end()), product);
  if (is_finite(o.rho_a)) value += o.rho_a * divergence(row_sums(p), a);
  if (is_finite(o.rho_b)) value += o.rho_b * divergence(column_sums(p), b);
  return value;
}
/// Closed form of OT_eps between 1-D normals of variances A, B and means d apart (Janati et al. 2020), eps =
/// 2 s^2.
double gaussian_ot(double d, double A, double B, double eps) {
  const double s2 = eps / 2, D = std::sqrt(4 * A * B + s2 * s2);
  return d * d + A + B - D + s2 * (1 - std::log(2 * s2)) + s2 * std::log(D + s2);
}
struct Grid {
  Tensor<double> x{Shape{401, 1}};
  Vector a, b;
  Grid(double mean_b, double A, double B) : a(401), b(401) {
    for (index_t i = 0; i < 401; ++i) x(i, 0) = -10 + 0.05 * static_cast<double>(i);
    fill(a, 0, A), fill(b, mean_b, B);
  }
  void fill(Vector& w, double mean, double variance) const {
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double u = x(static_cast<index_t>(i), 0) - mean;
      sum += w[i] = std::exp(-0.5 * u * u / variance);
    }
    for (double& v : w) v /= sum;
  }
};
ot::SinkhornOptions options(double eps, double tolerance = 1e-12) {
  ot::SinkhornOptions o;
  o.epsilon = eps, o.tolerance = tolerance, o.max_iterations = 200000;
  return o;
}
} // namespace

TEST_CASE("ot/sinkhorn: two by two and one by one in closed form") {
  const Tensor<double> cost(Shape{2, 2}, {0, 1, 1, 0});
  for (double eps : {1.0, 0.1}) {
    const auto r = ot::sinkhorn(be, cost.view(), {}, {}, options(eps));
    const Tensor<double> p = ot::transport_plan(be, cost.view(), {}, {}, r, eps);
    CHECK(r.converged);
    CHECK(p(0, 0) == doctest::Approx(1 / (2 * (1 + std::exp(-1 / eps)))).epsilon(1e-12));
  }
  const Tensor<double> one(Shape{1, 1}, {3.5});
  const auto r = ot::sinkhorn(be, one.view(), {}, {}, options(0.1));
  CHECK(r.value == doctest::Approx(3.5).epsilon(1e-14));
  CHECK(r.iterations == 1);
}

TEST_CASE("ot/sinkhorn: entropic transport of normals on a grid") {
  for (double eps : {0.5, 2.0}) {
    const Grid grid(1.0, 1.0, 0.36);
    const auto r = ot::sinkhorn(be, squared(grid.x, grid.x).view(), grid.a, grid.b, options(eps));
    // A sum over a grid of step 0.05 converges to the integral faster than any power; 1e-8 is the cut at 10
    // sigma.
    CHECK(r.value == doctest::Approx(gaussian_ot(1.0, 1.0, 0.36, eps)).epsilon(1e-8));
  }
}

TEST_CASE("ot/sinkhorn: small epsilon approaches the sorted coupling in one dimension") {
  const index_t n = 20;
  Tensor<double> x = random_points(1, n, 1), y = random_points(2, n, 1);
  const Tensor<double> cost = squared(x, y);
  std::sort(x.begin(), x.end()), std::sort(y.begin(), y.end());
  double exact = 0;
  for (index_t i = 0; i < n; ++i) exact += (x(i, 0) - y(i, 0)) * (x(i, 0) - y(i, 0)) / n;
  for (double eps : {0.03, 0.003}) {
    const auto r = ot::sinkhorn(be, cost.view(), {}, {}, options(eps, 1e-9));
    REQUIRE(r.converged);
    const double excess = inner(ot::transport_plan(be, cost.view(), {}, {}, r, eps), cost) - exact;
    CHECK(excess >= -1e-8);
    CHECK(excess <= eps * std::log(static_cast<double>(n)));
  }
}

TEST_CASE("ot/sinkhorn: the gradient of a convex function is found as the coupling") {
  const index_t n = 30;
  const Tensor<double> x = random_points(3, n, 2);
  Tensor<double> y(x.shape());
  for (index_t i = 0; i < n; ++i)
    y(i, 0) = 2 * x(i, 0) + 0.5 * x(i, 1) + 4, y(i, 1) = 0.5 * x(i, 0) + x(i, 1) - 3;
  const Tensor<double> cost = squared(x, y);
  const auto r = ot::sinkhorn(be, cost.view(), {}, {}, options(2e-3, 1e-4));
  REQUIRE(r.converged);
  const Tensor<double> p = ot::transport_plan(be, cost.view(), {}, {}, r, 2e-3);
  double diagonal = 0;
  for (index_t i = 0; i < n; ++i) diagonal += p(i, i);
  CHECK(diagonal > 0.97);
}

TEST_CASE("ot/sinkhorn: invariances") {
  const Tensor<double> x = random_points(4, 12, 3), y = random_points(5, 9, 3);
  const Vector a = random_weights(6, 12), b = random_weights(7, 9);
  const Tensor<double> cost = squared(x, y), back = squared(y, x);
  const auto r = ot::sinkhorn(be, cost.view(), a, b, options(0.4));
  CHECK(ot::sinkhorn(be, back.view(), b, a, options(0.4)).value == doctest::Approx(r.value).epsilon(1e-11));
  Tensor<double> scaled = cost, shifted = cost;
  for (double& c : scaled) c *= 1e7; // unnormalised costs
  for (double& c : shifted) c += 5;
  CHECK(ot::sinkhorn(be, scaled.view(), a, b, options(4e6)).value ==
        doctest::Approx(1e7 * r.value).epsilon(1e-11));
  CHECK(ot::sinkhorn(be, shifted.view(), a, b, options(0.4)).value ==
        doctest::Approx(r.value + 5).epsilon(1e-11));
  CHECK(ot::sinkhorn(be, ot::SquaredEuclidean{}, x.view(), y.view(), a, b, options(0.4)).value == r.value);
}

TEST_CASE("ot/sinkhorn: the residual is the marginal error of the plan it returns, and the dual bounds the "
          "primal") {
  const Tensor<double> cost = squared(random_points(8, 15, 2), random_points(9, 11, 2));
  const Vector a = random_weights(10, 15), b = random_weights(11, 11);
  double last = 10;
  for (int iterations : {1, 2, 5, 20, 100}) {
    auto o = options(0.05, 1e-300);
    o.max_iterations = iterations, o.scaling = 1;
    const auto r = ot::sinkhorn(be, cost.view(), a, b, o);
    const Tensor<double> p = ot::transport_plan(be, cost.view(), a, b, r, 0.05);
    const Vector rows = row_sums(p), columns = column_sums(p);
    double rows_error = 0, columns_error = 0;
    for (std::size_t i = 0; i < a.size(); ++i) rows_error += std::abs(rows[i] - a[i]);
    for (std::size_t j = 0; j < b.size(); ++j) columns_error += std::abs(columns[j] - b[j]);
    CHECK(r.residual == doctest::Approx(rows_error).epsilon(1e-9));
    CHECK(columns_error < 1e-13);
    CHECK(r.residual < last);
    last = r.residual;
    CHECK_FALSE(r.converged);
    // The plan has the columns b and other rows: with its own rows in the entropy its primal value is no
    // bound, so only the converged one is compared.
  }
  const auto r = ot::sinkhorn(be, cost.view(), a, b, options(0.05));
  const Tensor<double> p = ot::transport_plan(be, cost.view(), a, b, r, 0.05);
  CHECK(primal(p, cost, a, b, options(0.05)) == doctest::Approx(r.value).epsilon(1e-10));
  auto few = options(0.05);
  few.max_iterations = 3, few.scaling = 1;
  CHECK(ot::sinkhorn(be, cost.view(), a, b, few).value < r.value);
}

TEST_CASE("ot/sinkhorn: unbalanced solutions fulfil the optimality conditions and close the duality gap") {
  const Tensor<double> cost = squared(random_points(12, 10, 2), random_points(13, 14, 2));
  Vector a = random_weights(14, 10), b = random_weights(15, 14);
  for (double& v : a) v *= 1.7;
  for (const auto& prices :
       {std::pair{1.0, 1.0}, {0.3, 5.0}, {0.5, ot::exact_marginal}, {ot::exact_marginal, 2.0}, {1e4, 1e4}}) {
    const double rho_a = prices.first, rho_b = prices.second;
    CAPTURE(rho_a);
    CAPTURE(rho_b);
    auto o = options(0.2);
    o.rho_a = rho_a, o.rho_b = rho_b;
    const auto r = ot::sinkhorn(be, cost.view(), a, b, o);
    REQUIRE(r.converged);
    CHECK(r.iterations < 1000); // the common constant would need ~ rho / eps ln(1/tol) = 1e6 at rho = 1e4
    const Tensor<double> p = ot::transport_plan(be, cost.view(), a, b, r, o.epsilon);
    const Vector rows = row_sums(p), columns = column_sums(p);
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(rows[i] == doctest::Approx(a[i] * std::exp(-r.f[i] / rho_a)).epsilon(1e-9));
    for (std::size_t j = 0; j < b.size(); ++j)
      CHECK(columns[j] == doctest::Approx(b[j] * std::exp(-r.g[j] / rho_b)).epsilon(1e-9));
    CHECK(primal(p, cost, a, b, o) == doctest::Approx(r.value).epsilon(1e-9));
  }
}

TEST_CASE("ot/sinkhorn: an unbalanced two by two with the entropy relative to the product") {
  const Tensor<double> cost(Shape{2, 2}, {0, 1, 1, 0});
  auto o = options(1.0);
  o.rho_a = o.rho_b = 1;
  const auto r = ot::sinkhorn(be, cost.view(), {}, {}, o);
  const Tensor<double> p = ot::transport_plan(be, cost.view(), {}, {}, r, 1.0);
  CHECK(p(0, 0) == doctest::Approx(.32205357).epsilon(1e-7));
  CHECK(p(0, 1) == doctest::Approx(.11847689).epsilon(1e-7));
}

TEST_CASE("ot/sinkhorn: semi-unbalanced limits") {
  const index_t n = 12;
  Tensor<double> x = random_points(16, n, 2);
  const Tensor<double> y = random_points(17, 9, 2);
  for (index_t i = 8; i < n; ++i) x(i, 0) += 30; // simulations like no real star
  const Tensor<double> cost = squared(x, y);
  auto o = options(0.3);
  const double balanced = ot::sinkhorn(be, cost.view(), {}, {}, o).value;
  o.rho_a = 1e9;
  CHECK(ot::sinkhorn(be, cost.view(), {}, {}, o).value == doctest::Approx(balanced).epsilon(1e-5));
  o.rho_a = 3;
  const auto r = ot::sinkhorn(be, cost.view(), {}, {}, o);
  const Tensor<double> p = ot::transport_plan(be, cost.view(), {}, {}, r, o.epsilon);
  const Vector rows = row_sums(p), columns = column_sums(p);
  for (std::size_t i = 8; i < 12; ++i) CHECK(rows[i] < 1e-12);
  for (double c : columns) CHECK(c == doctest::Approx(1.0 / 9).epsilon(1e-9));
}

TEST_CASE(
    "ot/sinkhorn: points without weight are as good as absent, single points and identical clouds work") {
  const Tensor<double> x = random_points(18, 8, 2), y = random_points(19, 7, 2);
  Vector a(8, 0.2), b(7, 0.25);
  a[0] = a[3] = a[7] = 0, b[1] = b[2] = b[5] = 0;
  const auto pick = [](const Tensor<double>& z, const Vector& w) {
    Vector values;
    for (std::size_t i = 0; i < w.size(); ++i)
      if (w[i] > 0)
        values.insert(values.end(), z.row(static_cast<index_t>(i)), z.row(static_cast<index_t>(i)) + 2);
    const auto rows = static_cast<index_t>(values.size() / 2);
    return Tensor<double>(Shape{rows, 2}, values);
  };
  const auto with = ot::sinkhorn(be, squared(x, y).view(), a, b, options(0.2));
  const auto without = ot::sinkhorn(be, squared(pick(x, a), pick(y, b)).view(), {}, {}, options(0.2));
  CHECK(with.value == doctest::Approx(without.value).epsilon(1e-11));
  const Tensor<double> p = ot::transport_plan(be, squared(x, y).view(), a, b, with, 0.2);
  for (index_t j = 0; j < 7; ++j) CHECK(p(3, j) == 0);

  const Tensor<double> point(Shape{1, 2}, {1, 1});
  const auto one = ot::sinkhorn(be, squared(point, y).view(), {}, {}, options(0.2));
  CHECK(one.converged);
  CHECK(one.value ==
        doctest::Approx(inner(squared(point, y), Tensor<double>(Shape{1, 7}, Vector(7, 1.0 / 7)))));
  const Tensor<double> same(Shape{3, 2}, {1, 1, 1, 1, 1, 1});
  const auto zero = ot::sinkhorn(be, squared(same, same).view(), {}, {}, options(0.2));
  CHECK(zero.converged);
  CHECK(std::abs(zero.value) < 1e-15);
}

TEST_CASE("ot/sinkhorn: the self problem keeps f = g and agrees with alternation") {
  const Tensor<double> x = random_points(20, 25, 2);
  const Vector a = random_weights(21, 25);
  const Tensor<double> cost = squared(x, x);
  for (double rho : {ot::exact_marginal, 0.7}) {
    auto o = options(0.1);
    o.rho_a = o.rho_b = rho;
    const auto self = ot::sinkhorn_self(be, cost.view(), a, o);
    CHECK(self.converged);
    CHECK(self.f == self.g);
    CHECK(self.value == doctest::Approx(ot::sinkhorn(be, cost.view(), a, a, o).value).epsilon(1e-10));
  }
}

TEST_CASE("ot/sinkhorn: the self potential of a point without weight is there when the others are") {
  const Tensor<double> x = random_points(20, 9, 2), cost = squared(x, x);
  Vector a(9, 0.125);
  a[4] = 0;
  for (double rho : {ot::exact_marginal, 0.7}) {
    auto o = options(0.1, 1e-4);
    o.rho_a = rho;
    const auto r = ot::sinkhorn_self(be, cost.view(), a, o);
    double sum = 0;
    for (std::size_t j = 0; j < 9; ++j)
      sum += a[j] * std::exp((r.f[j] - cost(4, static_cast<index_t>(j))) / 0.1);
    const double exact = -0.1 * std::log(sum) * (is_finite(rho) ? rho / (rho + 0.1) : 1);
    // Others change by their residual times epsilon in the last round; a halving a round is far behind that.
    CHECK(std::abs(r.f[4] - exact) < 1e-4 * 0.1 * 8);
  }
}

TEST_CASE("ot/sinkhorn: a warm start is done at once") {
  const Tensor<double> cost = squared(random_points(22, 20, 2), random_points(23, 30, 2));
  const auto cold = ot::sinkhorn(be, cost.view(), {}, {}, options(0.05, 1e-9));
  const auto warm = ot::sinkhorn(be, cost.view(), {}, {}, options(0.05, 1e-9), &cold);
  CHECK(cold.iterations > 10);
  CHECK(warm.iterations == 1);
  CHECK(warm.value == doctest::Approx(cold.value).epsilon(1e-12));
}

TEST_CASE("ot/sinkhorn: forbidden pairs carry nothing") {
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor<double> cost(Shape{2, 2}, {0, 1, 1, inf});
  const Vector a{0.7, 0.3}, b{0.6, 0.4};
  const auto r = ot::sinkhorn(be, cost.view(), a, b, options(0.5));
  const Tensor<double> p = ot::transport_plan(be, cost.view(), a, b, r, 0.5);
  CHECK(p(1, 1) == 0);
  CHECK(p(0, 0) == doctest::Approx(0.3).epsilon(1e-10)); // the only plan
  const Tensor<double> closed(Shape{2, 2}, {0, 1, inf, inf});
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn(be, closed.view(), a, b, options(0.5)),
                       "sinkhorn: row 1 of the cost has weight but no allowed partner", ValueError);
}

TEST_CASE("ot/sinkhorn: bits do not depend on the number of threads; float and the reference backend agree") {
  const index_t n = 150, m = 130;
  Rng rng(5);
  Tensor<float> cost(Shape{n, m});
  for (float& c : cost) c = static_cast<float>(rng.uniform());
  ot::SinkhornOptions o;
  o.epsilon = 0.05;
  const auto one = ot::sinkhorn(Cpu<float>(1), cost.view(), {}, {}, o);
  const auto two = ot::sinkhorn(Cpu<float>(2), cost.view(), {}, {}, o);
  CHECK(one.f == two.f);
  CHECK(one.g == two.g);
  CHECK(one.value == two.value);
  CHECK(one.converged);
  const auto slow = ot::sinkhorn(Reference<float>(), cost.view(), {}, {}, o);
  CHECK(one.value == doctest::Approx(slow.value).epsilon(1e-5)); // float potentials
}

TEST_CASE("ot/sinkhorn: bad input is refused and named") {
  const Tensor<double> cost(Shape{2, 2}, {0, 1, 1, 0});
  const Vector half{0.5, 0.5}, more{0.5, 0.6}, nan{missing, 0.5};
  const auto run = [&](const Vector& a, const Vector& b, const ot::SinkhornOptions& o) {
    return ot::sinkhorn(be, cost.view(), a, b, o);
  };
  CHECK_THROWS_WITH_AS((void)run(half, more, options(1)),
                       "sinkhorn: a sums to 1, b to 1.1; want equal masses, or a finite rho_a or rho_b",
                       ValueError);
  CHECK_THROWS_AS((void)run(nan, half, options(1)), ValueError);
  CHECK_THROWS_AS((void)run(half, Vector{1}, options(1)), ShapeError);
  CHECK_THROWS_WITH_AS((void)run(half, half, options(0)), "sinkhorn: epsilon = 0; want > 0", ValueError);
  CHECK_THROWS_AS((void)run(half, half, options(missing)), ValueError);
  auto o = options(1);
  o.rho_a = -1;
  CHECK_THROWS_AS((void)run(half, half, o), ValueError);
  o = options(1), o.scaling = 0;
  CHECK_THROWS_AS((void)run(half, half, o), ValueError);
  o = options(1), o.max_iterations = 0;
  CHECK_THROWS_AS((void)run(half, half, o), ValueError);
  const Tensor<double> bad(Shape{2, 2}, {0, missing, 1, 0});
  CHECK_THROWS_WITH_AS((void)ot::sinkhorn(be, bad.view(), {}, {}, options(1)),
                       "sinkhorn: cost[0,1] = nan; want finite or +infinity (forbidden)", ValueError);
  o = options(0.01), o.max_iterations = 2;
  const auto r = ot::sinkhorn(be, squared(random_points(1, 9, 1), random_points(2, 9, 1)).view(), {}, {}, o);
  CHECK_FALSE(r.converged);
  CHECK(r.iterations == 2);
}

TEST_CASE("ot/sinkhorn: acceleration does not run away along what potentials may exchange") {
  // The plan is nearly decided by the costs, so that changes of the potentials hardly differ.
  const Vector a{1 / 1001., 1000 / 1001.}, b{1 / 102., 1 / 102., 100 / 102.};
  const Tensor<double> c(Shape{2, 3}, {1, .5, 0, .5, 1, 0});
  ot::SinkhornOptions o;
  o.epsilon = .00401933;
  const auto r = ot::sinkhorn(be, c.view(), a, b, o);
  REQUIRE(r.converged);
  const auto rows = row_sums(ot::transport_plan(be, c.view(), a, b, r, o.epsilon));
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(rows[i] - a[i]) < 1e-6); // the tolerance
  CHECK(std::abs(r.f[0]) < 10); // ten times the range of the costs
}
