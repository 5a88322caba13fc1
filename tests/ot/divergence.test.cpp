// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/divergence.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);
constexpr double inf = ot::exact_marginal;

Tensor<double> random_points(std::uint64_t seed, index_t n, index_t d, double shift = 0) {
  Rng rng(seed);
  Tensor<double> x(Shape{n, d});
  for (double& v : x) v = rng.normal() + shift;
  return x;
}
Vector random_weights(std::uint64_t seed, index_t n, double mass = 1) {
  Rng rng(seed);
  Vector w(static_cast<std::size_t>(n));
  for (double& v : w) v = 0.2 + rng.uniform();
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& v : w) v *= mass / sum;
  return w;
}
ot::DivergenceOptions options(double eps, double rho_a = inf, double rho_b = inf) {
  ot::DivergenceOptions o;
  o.sinkhorn.epsilon = eps, o.sinkhorn.rho_a = rho_a, o.sinkhorn.rho_b = rho_b;
  o.sinkhorn.tolerance = 1e-12, o.sinkhorn.max_iterations = 100000;
  return o;
}
template <class C>
double value(C cost, const Tensor<double>& x, const Tensor<double>& y, const Vector& a, const Vector& b,
             ot::DivergenceOptions o) {
  o.gradients = false;
  return ot::sinkhorn_divergence(be, cost, x.view(), y.view(), a, b, o).value;
}
/// Compares every gradient with central differences, relative to the largest entry: 1e-6 leaves room for h^2
/// and for the rounding 1e-13 / h of converged values.
template <class C>
void check_gradients(C cost, ot::DivergenceOptions o, double mass_a, double mass_b, bool free_mass) {
  Tensor<double> x = random_points(1, 7, 3), y = random_points(2, 5, 3, 0.5);
  Vector a = random_weights(3, 7, mass_a), b = random_weights(4, 5, mass_b);
  const auto s = ot::sinkhorn_divergence(be, cost, x.view(), y.view(), a, b, o);
  const auto check = [&](double* variable, double* other, double slope, double scale) {
    const double h = 1e-5, at = *variable, from = other ? *other : 0;
    const auto move = [&](double by) {
      *variable = at + by;
      if (other) *other = from - by;
    };
    move(h);
    const double up = value(cost, x, y, a, b, o);
    move(-h);
    const double down = value(cost, x, y, a, b, o);
    move(0);
    CHECK(std::abs(slope - (up - down) / (2 * h)) <= 1e-6 * scale);
  };
  const auto largest = [](const auto& g) {
    double most = 0;
    for (double v : g) most = std::max(most, std::abs(v));
    return most;
  };
  const double scale_x = largest(s.dx), scale_y = largest(s.dy);
  for (index_t k = 0; k < x.size(); ++k) check(x.data() + k, nullptr, s.dx.data()[k], scale_x);
  for (index_t k = 0; k < y.size(); ++k) check(y.data() + k, nullptr, s.dy.data()[k], scale_y);
  const double scale_a = largest(s.da) + 1e-3, scale_b = largest(s.db) + 1e-3;
  for (std::size_t i = 1; i < a.size(); ++i)
    free_mass ? check(&a[i], nullptr, s.da[i], scale_a) : check(&a[i], &a[0], s.da[i] - s.da[0], scale_a);
  for (std::size_t j = 1; j < b.size(); ++j)
    free_mass ? check(&b[j], nullptr, s.db[j], scale_b) : check(&b[j], &b[0], s.db[j] - s.db[0], scale_b);
}
double gaussian_ot(double d, double A, double B, double eps) { // Janati et al. 2020
  const double s2 = eps / 2, D = std::sqrt(4 * A * B + s2 * s2);
  return d * d + A + B - D + s2 * (1 - std::log(2 * s2)) + s2 * std::log(D + s2);
}
} // namespace

TEST_CASE("ot/divergence: gradients agree with differences, balanced") {
  check_gradients(ot::SquaredEuclidean{}, options(0.5), 1, 1, false);
  check_gradients(ot::Euclidean{}, options(0.2), 1, 1, false);
  check_gradients(ot::SquaredEuclidean{}, options(0.5), 2.5, 2.5, false);
}

TEST_CASE("ot/divergence: gradients agree with differences, one price for both sides") {
  check_gradients(ot::SquaredEuclidean{}, options(0.5, 0.8, 0.8), 1, 1, true);
  check_gradients(ot::Euclidean{}, options(0.3, 2, 2), 1.5, 0.7, true);
}

TEST_CASE("ot/divergence: gradients agree with differences, simulations reweighted") {
  check_gradients(ot::SquaredEuclidean{}, options(0.5, 0.8), 1, 1, true);
  check_gradients(ot::SquaredEuclidean{}, options(0.5, 5), 1.5, 0.7, true);
  check_gradients(ot::SquaredEuclidean{}, options(0.5, 0.1), 1, 1, true); // rho below epsilon
  check_gradients(ot::Euclidean{}, options(0.3, 1), 1, 1, true);
}

TEST_CASE("ot/divergence: normals on a grid in closed form") {
  Tensor<double> x(Shape{401, 1});
  Vector a(401), b(401);
  const auto fill = [&](Vector& w, double mean, double variance) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const double u = x(static_cast<index_t>(i), 0) - mean;
      w[i] = std::exp(-0.5 * u * u / variance);
    }
    const double sum = std::accumulate(w.begin(), w.end(), 0.0);
    for (double& v : w) v /= sum;
  };
  for (index_t i = 0; i < 401; ++i) x(i, 0) = -10 + 0.05 * static_cast<double>(i);
  fill(a, 0, 1), fill(b, 0.7, 0.36);
  const double eps = 1, want = gaussian_ot(0.7, 1, 0.36, eps) - 0.5 * gaussian_ot(0, 1, 1, eps) -
                               0.5 * gaussian_ot(0, 0.36, 0.36, eps);
  CHECK(value(ot::SquaredEuclidean{}, x, x, a, b, options(eps)) == doctest::Approx(want).epsilon(1e-8));
}

TEST_CASE("ot/divergence: 0 for equal clouds, positive for others, for every price") {
  const Tensor<double> x = random_points(5, 20, 2), near = random_points(6, 20, 2);
  const Vector a = random_weights(7, 20), b = random_weights(8, 20);
  for (const auto& prices : {std::pair{inf, inf}, {1.0, 1.0}, {1.0, inf}, {0.1, inf}, {20.0, inf}})
    for (double eps : {0.05, 0.5, 5.0}) {
      const double rho_a = prices.first, rho_b = prices.second;
      CAPTURE(rho_a);
      CAPTURE(eps);
      const auto s = ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), x.view(), a, a,
                                             options(eps, rho_a, rho_b));
      CHECK(std::abs(s.value) < 1e-10);
      for (double g : s.dx) CHECK(std::abs(g) < 1e-9);
      // At small epsilon a lone point's f and g are free to shift against each other by exp(gap / eps).
      if (eps > 0.1)
        for (double g : s.da) CHECK(std::abs(g - s.da[0]) < 1e-8);
      CHECK(value(ot::SquaredEuclidean{}, x, near, a, b, options(eps, rho_a, rho_b)) > 1e-6);
      CHECK(value(ot::SquaredEuclidean{}, x, x, a, b, options(eps, rho_a, rho_b)) > 1e-6);
      // Both clouds the same points, one with a little less weight somewhere: where the biased formulas go
      // negative.
      Vector c = a;
      c[0] *= 0.9, c[1] += 0.1 * a[0];
      CHECK(value(ot::SquaredEuclidean{}, x, x, a, c, options(eps, rho_a, rho_b)) > 0);
    }
}

TEST_CASE("ot/divergence: the semi-unbalanced problem cannot be debiased by its own self terms") {
  // Why the reweighting stands outside the balanced divergence; rho = 1 for the one cloud, infinity for the
  // other.
  const Tensor<double> x = random_points(1, 20, 2);
  const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), x.view());
  const auto transport = [&](const Vector& a, const Vector& b, double rho_a, double rho_b) {
    return ot::sinkhorn(be, cost.view(), a, b, options(0.5, rho_a, rho_b).sinkhorn).value;
  };
  const Vector a(20, 0.05);
  CHECK(transport(a, a, 1, inf) - 0.5 * transport(a, a, 1, 1) - 0.5 * transport(a, a, inf, inf) > 0.01);
  double lowest = 1;
  Rng rng(2);
  for (int trial = 0; trial < 50; ++trial) {
    Vector b = a;
    double sum = 0;
    for (double& v : b) sum += v *= std::exp(0.02 * rng.normal());
    for (double& v : b) v /= sum;
    lowest = std::min(lowest, transport(a, b, 1, inf) - 0.5 * transport(a, a, 1, inf) -
                                  0.5 * transport(b, b, 1, inf));
    CHECK(value(ot::SquaredEuclidean{}, x, x, a, b, options(0.5, 1)) > 0);
  }
  CHECK(lowest < -1e-4);
}

TEST_CASE("ot/divergence: fifty points in 160 dimensions, in float, stay above minus the tolerance") {
  Tensor<float> x(Shape{50, 160}), y(Shape{50, 160});
  Rng rng(9);
  for (float& v : x) v = static_cast<float>(rng.normal());
  for (float& v : y) v = static_cast<float>(rng.normal());
  ot::DivergenceOptions o;
  for (double eps : {3.0, 30.0, 1000.0}) {
    o.sinkhorn.epsilon = eps;
    const auto s =
        ot::sinkhorn_divergence(Cpu<float>(1), ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, o);
    CHECK(s.converged);
    CHECK(s.value >= -1e-4 * eps); // the residual's share of eps
    for (float& v : y) v = static_cast<float>(v * 0.999F);
  }
}

TEST_CASE("ot/divergence: reweighting is the balanced divergence of the best weights") {
  const Tensor<double> x = random_points(10, 9, 2), y = random_points(11, 7, 2, 0.8);
  const Vector a = random_weights(12, 9), b = random_weights(13, 7);
  const double rho = 0.6, eps = 0.3;
  const auto s =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), a, b, options(eps, rho));
  const auto objective = [&](const Vector& w) {
    double kl = 0;
    for (std::size_t i = 0; i < w.size(); ++i) kl += w[i] * std::log(w[i] / a[i]) - w[i] + a[i];
    return rho * kl + value(ot::SquaredEuclidean{}, x, y, w, b, options(eps));
  };
  CHECK(std::accumulate(s.w.begin(), s.w.end(), 0.0) == doctest::Approx(1).epsilon(1e-12));
  CHECK(objective(s.w) == doctest::Approx(s.value).epsilon(1e-10));
  Rng rng(14);
  for (int trial = 0; trial < 20; ++trial) {
    Vector w = s.w;
    double sum = 0;
    for (double& v : w) sum += v *= std::exp(0.1 * rng.normal());
    for (double& v : w) v /= sum;
    CHECK(objective(w) > s.value);
  }
}

TEST_CASE("ot/divergence: reweighting drops outlying simulations and tends to the balanced divergence") {
  Tensor<double> x = random_points(15, 30, 2);
  const Tensor<double> y = random_points(16, 25, 2);
  Tensor<double> inner(Shape{20, 2}, Vector(x.begin(), x.begin() + 40));
  for (index_t i = 20; i < 30; ++i) x(i, 0) += 40;
  const auto dropped =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options(0.5, 5));
  for (std::size_t i = 20; i < 30; ++i) CHECK(dropped.w[i] < 1e-10);
  for (index_t i = 20; i < 30; ++i)
    CHECK(std::abs(dropped.dx(i, 0)) < 1e-8); // and they are left where they are
  const Vector weights(dropped.w.begin(), dropped.w.begin() + 20);
  const double alone =
      value(ot::SquaredEuclidean{}, inner, y, Vector(20, 0.05), Vector(25, 0.04), options(0.5, 5));
  CHECK(dropped.value ==
        doctest::Approx(alone + 5 * std::log(1.5)).epsilon(1e-8)); // 2/3 of the weight is left
  const auto balanced =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options(0.5));
  const auto dear =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options(0.5, 1e9));
  CHECK(dear.value == doctest::Approx(balanced.value).epsilon(1e-5));
  for (index_t k = 0; k < x.size(); ++k)
    CHECK(dear.dx.data()[k] == doctest::Approx(balanced.dx.data()[k]).epsilon(1e-5));
}

TEST_CASE("ot/divergence: a single point against a single point") {
  const Tensor<double> x(Shape{1, 1}, {0}), y(Shape{1, 1}, {2});
  const auto s =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, options(0.1));
  CHECK(s.value == doctest::Approx(4));
  CHECK(s.dx(0, 0) == doctest::Approx(-4));
  CHECK(s.dy(0, 0) == doctest::Approx(4));
}

TEST_CASE("ot/divergence: Euclidean gradients with coincident points are finite") {
  const Tensor<double> x(Shape{3, 2}, {0, 0, 1, 1, 1, 1}), y(Shape{2, 2}, {1, 1, 0, 0});
  const auto s = ot::sinkhorn_divergence(be, ot::Euclidean{}, x.view(), y.view(), {}, {}, options(0.2));
  for (double g : s.dx) CHECK(is_finite(g));
  for (double g : s.dy) CHECK(is_finite(g));
}

TEST_CASE("ot/divergence: points without weight change nothing and get the gradient 0") {
  const Tensor<double> x = random_points(17, 6, 2), y = random_points(18, 5, 2);
  Vector a(6, 0.2);
  a[5] = 0;
  const Tensor<double> fewer(Shape{5, 2}, Vector(x.begin(), x.begin() + 10));
  for (double rho : {inf, 1.0}) {
    const auto s =
        ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), a, {}, options(0.3, rho));
    CHECK(s.value == doctest::Approx(value(ot::SquaredEuclidean{}, fewer, y, Vector(5, 0.2), Vector(5, 0.2),
                                           options(0.3, rho))));
    CHECK(s.dx(5, 0) == 0);
    // The gradient there is that of weight that comes from another point; 1e-6 of it for the one-sided slope.
    Vector moved = a;
    moved[5] += 1e-6, moved[0] -= 1e-6;
    CHECK((value(ot::SquaredEuclidean{}, x, y, moved, Vector(5, 0.2), options(0.3, rho)) - s.value) / 1e-6 ==
          doctest::Approx(s.da[5] - s.da[0]).epsilon(1e-4));
  }
}

TEST_CASE("ot/divergence: a far point without weight does not disturb the reweighting") {
  // Its own weight would be exp(1600) times another's, which no number holds.
  const Tensor<double> x(Shape{4, 1}, {0, 0.3, 0.6, 40}), y(Shape{3, 1}, {0, 0.5, 40});
  const Vector a{0.4, 0.3, 0.3, 0};
  const Tensor<double> fewer(Shape{3, 1}, {0, 0.3, 0.6});
  auto o = options(1);
  o.sinkhorn.rho_a = 1, o.sinkhorn.rho_b = inf;
  const auto s = ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), a, {}, o);
  CHECK(s.converged);
  CHECK(s.w[3] == 0);
  CHECK(s.value == doctest::Approx(value(ot::SquaredEuclidean{}, fewer, y, Vector{0.4, 0.3, 0.3},
                                         Vector(3, 1.0 / 3), o)));
}

TEST_CASE("ot/divergence: an unconverged problem is refused, or reported where asked") {
  const Tensor<double> x = random_points(19, 12, 2), y = random_points(20, 12, 2);
  auto o = options(0.01);
  o.sinkhorn.max_iterations = 3;
  const auto run = [&] {
    return ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, o);
  };
  CHECK_THROWS_AS((void)run(), NumericalError);
  o.unconverged = ot::Unconverged::report;
  const auto s = run();
  CHECK_FALSE(s.converged);
  CHECK(s.residual > 1e-12);
  o.sinkhorn.rho_a = 1, o.sinkhorn.rho_b = 2;
  CHECK_THROWS_AS((void)run(), ValueError);
  o.sinkhorn.rho_a = inf, o.sinkhorn.rho_b = 2;
  CHECK_THROWS_AS((void)run(), ValueError);
}

TEST_CASE("ot/divergence: same bits for any number of threads, and a warm start") {
  Tensor<float> x(Shape{100, 5}), y(Shape{90, 5});
  Rng rng(21);
  for (float& v : x) v = static_cast<float>(rng.normal());
  for (float& v : y) v = static_cast<float>(rng.normal() + 0.3);
  ot::DivergenceOptions o;
  o.sinkhorn.epsilon = 0.5;
  for (double rho : {inf, 2.0}) {
    o.sinkhorn.rho_a = rho;
    const auto run = [&](int threads, const ot::Divergence<float>* start) {
      return ot::sinkhorn_divergence(Cpu<float>(threads), ot::SquaredEuclidean{}, x.view(), y.view(), {}, {},
                                     o, start);
    };
    const auto one = run(1, nullptr), two = run(2, nullptr), warm = run(1, &one);
    CHECK(one.value == two.value);
    CHECK(std::equal(one.dx.begin(), one.dx.end(), two.dx.begin()));
    CHECK(std::equal(one.dy.begin(), one.dy.end(), two.dy.begin()));
    CHECK(one.da == two.da);
    CHECK(warm.iterations <= 6);
    CHECK(warm.value == doctest::Approx(one.value).epsilon(1e-4));
  }
}
