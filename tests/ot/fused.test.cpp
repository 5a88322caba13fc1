// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/fused.hpp>
#include <sbi/ot/gromov.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
using Matrix = Tensor<double>;
using Result = ot::FusedResult<double>;
const Cpu<double> be(1);
enum class Solver { exact, entropic, proximal };

Matrix squared_distances(const Matrix& x) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), x.view());
}
View<const double> view(const Matrix& m) { return m.size() > 0 ? m.view() : View<const double>(); }

ot::FusedOptions options(double alpha, double epsilon = 0.1) {
  ot::FusedOptions o;
  o.alpha = alpha, o.tolerance = 1e-13, o.max_iterations = 5000;
  o.sinkhorn.epsilon = epsilon, o.sinkhorn.tolerance = 1e-12, o.sinkhorn.max_iterations = 50'000;
  return o;
}
/// An empty matrix stands for none.
template <class L = ot::SquareLoss>
Result solve(Solver by, const Matrix& m, const Matrix& x, const Matrix& y, const Vector& a, const Vector& b,
             const ot::FusedOptions& o, const L& loss = {}, const Matrix& start = {}) {
  switch (by) {
  case Solver::exact:
    return ot::exact_fused(be, view(m), x.view(), y.view(), a, b, o, loss, view(start));
  case Solver::entropic:
    return ot::entropic_fused(be, view(m), x.view(), y.view(), a, b, o, loss, view(start));
  default:
    return ot::proximal_fused(be, view(m), x.view(), y.view(), a, b, o, loss, view(start));
  }
}
double inner(const Matrix& x, const Matrix& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}
void check_marginals(const Matrix& p, const Vector& a, const Vector& b, double tolerance) {
  const ot::detail::Marginals of(be, p.view());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(of.rows[i] - a[i]) < tolerance);
  for (std::size_t j = 0; j < b.size(); ++j) CHECK(std::abs(of.columns[j] - b[j]) < tolerance);
  CHECK(*std::min_element(p.begin(), p.end()) >= 0);
}
/// The largest difference of two matrices.
double apart(const Matrix& x, const Matrix& y) {
  double worst = 0;
  for (index_t k = 0; k < x.size(); ++k) worst = std::max(worst, std::abs(x.data()[k] - y.data()[k]));
  return worst;
}
} // namespace

TEST_CASE("ot/fused: values are those of the plan by their definition, the plan has its marginals") {
  const Matrix x = random_matrix(1, 9, 9), y = random_matrix(2, 7, 7), m = random_matrix(3, 9, 7);
  const Vector a = random_weights(4, 9), b = random_weights(5, 7);
  const auto check = [&](const auto& loss) {
    for (Solver by : {Solver::exact, Solver::entropic, Solver::proximal}) {
      const auto o = options(0.4);
      const Result r = solve(by, m, x, y, a, b, o, loss);
      const double e = ot::distortion(be, x.view(), y.view(), r.plan.view(), loss);
      CHECK(r.converged);
      CHECK(r.distortion == doctest::Approx(e).epsilon(1e-12));
      CHECK(r.value == doctest::Approx(0.6 * inner(m, r.plan) + 0.4 * e).epsilon(1e-12));
      const double entropy = by == Solver::entropic ? 0.1 * relative_entropy(r.plan, a, b) : 0;
      CHECK(r.objective == doctest::Approx(r.value + entropy).epsilon(1e-10));
      check_marginals(r.plan, a, b, 1e-11);
    }
  };
  check(ot::SquareLoss{}), check(ot::KullbackLeiblerLoss{0.2});
}

TEST_CASE("ot/fused: a rotated and permuted copy is found, with the permutation as plan and value 0") {
  const auto points = random_points(6, 15, 2);
  Matrix moved(points.shape()), permutation(Shape{15, 15});
  for (index_t i = 0; i < 15; ++i) {
    const index_t j = (7 * i + 2) % 15;
    moved(j, 0) = 3 + 0.6 * points(i, 0) - 0.8 * points(i, 1);
    moved(j, 1) = -1 - 0.8 * points(i, 0) - 0.6 * points(i, 1); // reflected too
    permutation(i, j) = 1.0 / 15;
  }
  const Matrix x = squared_distances(points), y = squared_distances(moved);
  for (Solver by : {Solver::exact, Solver::proximal}) {
    auto o = options(1, 1);
    o.sinkhorn.tolerance = 1e-6, o.sinkhorn.max_iterations = 300, o.random_starts = 2;
    const Result r = solve(by, {}, x, y, {}, {}, o);
    CHECK(r.converged);
    CHECK(r.value >= 0);
    CHECK(r.value < (by == Solver::exact ? 1e-12 : 1e-5)); // marginals to 1e-6 times the costs' size
    CHECK(apart(r.plan, permutation) < (by == Solver::exact ? 1e-15 : 1e-6)); // its marginals' error
  }
  const Result k = solve(Solver::exact, {}, x, y, {}, {}, options(1), ot::KullbackLeiblerLoss{0.1});
  CHECK(k.value < 1e-12);
  CHECK(apart(k.plan, permutation) < 1e-15);
}

TEST_CASE("ot/fused: identical spaces stop at once at value 0") {
  const Matrix x = squared_distances(random_points(7, 20, 3));
  Matrix identity(x.shape());
  for (index_t i = 0; i < 20; ++i) identity(i, i) = 1.0 / 20;
  for (Solver by : {Solver::exact, Solver::proximal}) {
    auto o = options(1, 1);
    o.sinkhorn.tolerance = 1e-6, o.sinkhorn.max_iterations = 300, o.random_starts = 2;
    const Result r = solve(by, {}, x, x, {}, {}, o, ot::SquareLoss{}, identity);
    CHECK(r.converged);
    CHECK(r.value < 1e-4); // the error of the marginals, 1e-6, times the squared costs' size, a hundred
    if (by == Solver::exact) CHECK((r.iterations <= 1 && r.value < 1e-12));
  }
  // Costs that are 0 altogether leave nothing for a relative criterion.
  const Result zero = solve(Solver::exact, {}, Matrix(Shape{4, 4}), Matrix(Shape{3, 3}), {}, {}, options(1));
  CHECK((zero.converged && zero.value == 0));
}

TEST_CASE("ot/fused: without distortion it is transport, exact and entropic") {
  const Matrix x = random_matrix(8, 14, 14), y = random_matrix(9, 11, 11), m = random_matrix(10, 14, 11);
  const Vector a = random_weights(11, 14), b = random_weights(12, 11);
  const auto o = options(0);
  CHECK(solve(Solver::exact, m, x, y, a, b, o).value ==
        doctest::Approx(ot::exact_transport<double>(m.view(), a, b).value).epsilon(1e-12));
  const Result r = solve(Solver::entropic, m, x, y, a, b, o);
  CHECK(r.objective == doctest::Approx(ot::sinkhorn(be, m.view(), a, b, o.sinkhorn).value).epsilon(1e-10));
  auto p = o;
  p.sinkhorn.tolerance = 1e-9, p.random_starts = 0;
  CHECK(solve(Solver::proximal, m, x, y, a, b, p).value ==
        doctest::Approx(ot::exact_transport<double>(m.view(), a, b).value).epsilon(1e-6));
}

TEST_CASE("ot/fused: the share of the distortion leads from transport to Gromov-Wasserstein") {
  const Matrix x = random_matrix(13, 9, 9), y = random_matrix(14, 9, 9), m = random_matrix(15, 9, 9);
  const Result plain = solve(Solver::exact, {}, x, y, {}, {}, options(0.3)); // alpha is not read without M
  const Result whole = solve(Solver::exact, m, x, y, {}, {}, options(1), ot::SquareLoss{}, plain.plan);
  CHECK(whole.value == doctest::Approx(plain.value).epsilon(1e-13));
  const Result nearly =
      solve(Solver::exact, m, x, y, {}, {}, options(1 - 1e-9), ot::SquareLoss{}, plain.plan);
  CHECK(nearly.value == doctest::Approx(plain.value).epsilon(1e-8));
}

TEST_CASE("ot/fused: the best of the starts is that of all permutations") {
  // Under squared Euclidean costs F is concave over the plans: a permutation is among the minima.
  int found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Matrix x = squared_distances(random_points(seed, 6, 2)),
                 y = squared_distances(random_points(100 + seed, 6, 3)), m = random_matrix(200 + seed, 6, 6);
    std::vector<index_t> p(6);
    std::iota(p.begin(), p.end(), 0);
    double best = 1e9;
    do {
      Matrix plan(Shape{6, 6});
      for (index_t i = 0; i < 6; ++i) plan(i, p[static_cast<std::size_t>(i)]) = 1.0 / 6;
      best = std::min(best, 0.5 * inner(m, plan) + 0.5 * ot::distortion(be, x.view(), y.view(), plan.view()));
    } while (std::next_permutation(p.begin(), p.end()));
    const double value = solve(Solver::exact, m, x, y, {}, {}, options(0.5)).value;
    CHECK(value >= best - 1e-12);
    found += value <= best + 1e-12;
  }
  CHECK(found >= 17);
}

TEST_CASE("ot/fused: steps never raise the objective") {
  const Vector a = random_weights(16, 14), b = random_weights(17, 11);
  const Matrix m = random_matrix(18, 14, 11), start = random_matrix(19, 14, 11);
  const auto check = [&](Solver by, const Matrix& x, const Matrix& y, const auto& loss, double epsilon) {
    double before = std::numeric_limits<double>::infinity();
    for (int steps : {1, 2, 3, 4, 6, 9, 14, 20}) {
      auto o = options(0.7, epsilon);
      o.max_iterations = steps, o.gradients = false;
      const double now = solve(by, m, x, y, a, b, o, loss, start).objective;
      CHECK(now <= before + 1e-12 * std::abs(before));
      before = now;
    }
  };
  // Of asymmetric costs F bends either way.
  for (double epsilon : {0.005, 0.1})
    for (Solver by : {Solver::exact, Solver::entropic, Solver::proximal}) {
      check(by, random_matrix(20, 14, 14), random_matrix(21, 11, 11), ot::SquareLoss{}, epsilon);
      check(by, random_matrix(20, 14, 14), random_matrix(21, 11, 11), ot::KullbackLeiblerLoss{0.01}, epsilon);
    }
}

TEST_CASE("ot/fused: entropic steps whose inner problems are not solved end in a plan all the same, not "
          "converged") {
  const Matrix x = random_matrix(61, 7, 7), y = random_matrix(62, 5, 5), m = random_matrix(63, 7, 5);
  const Vector a = random_weights(64, 7), b = random_weights(65, 5);
  auto o = options(0.5, 0.02);
  o.sinkhorn.max_iterations = 2, o.max_iterations = 50;
  const Result r = solve(Solver::entropic, m, x, y, a, b, o);
  CHECK_FALSE(r.converged);
  check_marginals(r.plan, a, b, 1e-14); // of sums of at most seven shares
}

TEST_CASE("ot/fused: entropic steps agree with the solver for clouds") {
  const auto px = random_points(22, 14, 2), py = random_points(23, 11, 3);
  const Vector a = random_weights(24, 14), b = random_weights(25, 11);
  const double epsilon = 2;
  ot::GromovOptions g;
  g.sinkhorn = options(1, epsilon).sinkhorn, g.tolerance = 1e-14, g.max_iterations = 3000;
  const auto cloud = ot::entropic_gromov(be, px.view(), py.view(), a, b, g);
  const Matrix plan =
      ot::transport_plan(be, ot::stored_cost(be, cloud.cost).view(), a, b, cloud.plan, epsilon);
  const Matrix x = squared_distances(px), y = squared_distances(py);
  auto o = options(1, epsilon);
  const Result same = solve(Solver::entropic, {}, x, y, a, b, o, ot::SquareLoss{}, plan);
  CHECK((cloud.converged && same.converged));
  CHECK(same.value == doctest::Approx(cloud.value).epsilon(1e-6));
  CHECK(same.objective == doctest::Approx(cloud.objective).epsilon(1e-10));
  CHECK(apart(same.plan, plan) < 1e-6); // as far as the objective, flat there, tells plans apart
  CHECK(solve(Solver::entropic, {}, x, y, a, b, o).objective ==
        doctest::Approx(cloud.objective).epsilon(1e-8)); // and from its own starts
}

TEST_CASE("ot/fused: one-dimensional normals have the closed form of Delon et al. (2022)") {
  // 12 (s_x^2 - s_y^2)^2, reached by the linear map. The fourth moments of 61 points between -5 and 5, which
  // the value depends on, miss those of the normal by 3e-5.
  Matrix x(Shape{61, 1}), y(Shape{61, 1});
  Vector a(61);
  for (index_t i = 0; i < 61; ++i) {
    const double u = -5 + static_cast<double>(i) / 6;
    x(i, 0) = u, y(60 - i, 0) = 0.5 * u + 2;
    a[static_cast<std::size_t>(i)] = std::exp(-u * u / 2);
  }
  const Result r = solve(Solver::exact, {}, squared_distances(x), squared_distances(y), a, a, options(1));
  CHECK(r.converged);
  CHECK(r.value == doctest::Approx(12 * 0.75 * 0.75).epsilon(1e-4));
}

TEST_CASE("ot/fused: proximal points end where the linearised problem has nothing left to gain") {
  for (std::uint64_t seed : {26u, 27u, 28u}) {
    const Matrix x = random_matrix(seed, 12, 12), y = random_matrix(seed + 10, 10, 10),
                 m = random_matrix(seed + 20, 12, 10);
    const Vector a = random_weights(seed + 30, 12), b = random_weights(seed + 40, 10);
    auto o = options(0.5, 0.05);
    const Result r = solve(Solver::proximal, m, x, y, a, b, o);
    CHECK(r.converged);
    // From there conditional gradients find next to nothing: the plans stay non-zero everywhere.
    const Result polished = solve(Solver::exact, m, x, y, a, b, o, ot::SquareLoss{}, r.plan);
    CHECK(r.value - polished.value < 1e-6 * r.value);
    CHECK(r.value >= polished.value - 1e-12);
  }
}

TEST_CASE("ot/fused: an end is no saddle and no minimum that an exchange between two pairs leaves") {
  // Under squared Euclidean costs F bends downwards. Proximal points from the product plan used to stop at
  // saddles, where they move too slowly to tell, and at minima that a single exchange leaves.
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Matrix x = squared_distances(random_points(300 + seed, 5, 2)),
                 y = squared_distances(random_points(400 + seed, 7, 3)), m = random_matrix(500 + seed, 5, 7);
    const Vector a = random_weights(600 + seed, 5), b = random_weights(700 + seed, 7);
    Matrix product(m.shape());
    for (index_t k = 0; k < product.size(); ++k)
      product.data()[k] = a[static_cast<std::size_t>(k / 7)] * b[static_cast<std::size_t>(k % 7)];
    for (const Solver by : {Solver::exact, Solver::proximal}) {
      auto o = options(0.8, 0.5);
      o.sinkhorn.tolerance = 1e-9, o.sinkhorn.max_iterations = 2000;
      const Result r = solve(by, m, x, y, a, b, o, ot::SquareLoss{}, product);
      REQUIRE(r.converged);
      check_marginals(r.plan, a, b, 1e-14);
      const auto value = [&](const Matrix& plan) {
        return 0.2 * inner(m, plan) + 0.8 * ot::distortion(be, x.view(), y.view(), plan.view());
      };
      Matrix slope(m.shape());
      for (index_t i = 0; i < 5; ++i)
        for (index_t j = 0; j < 7; ++j) {
          slope(i, j) = 0.2 * m(i, j);
          for (index_t k = 0; k < 5; ++k)
            for (index_t l = 0; l < 7; ++l)
              slope(i, j) += 1.6 * (x(i, k) - y(j, l)) * (x(i, k) - y(j, l)) * r.plan(k, l);
        }
      CHECK(inner(slope, r.plan) - ot::exact_transport<double>(slope.view(), a, b).value < 1e-9 * r.value);
      for (index_t p = 0; p < 35; ++p)
        for (index_t q = 0; q < p; ++q) {
          Matrix other = r.plan;
          const index_t i = p / 7, j = p % 7, k = q / 7, l = q % 7;
          const double mass = std::min(other(i, j), other(k, l));
          if (i == k || j == l || mass == 0) continue;
          other(i, j) -= mass, other(k, l) -= mass, other(i, l) += mass, other(k, j) += mass;
          CHECK(value(other) > r.value * (1 - 1e-9));
        }
    }
  }
}

TEST_CASE("ot/fused: symmetric spaces leave the product plan, which is a saddle") {
  const Matrix x = squared_distances(Matrix({4, 2}, {1, 0.3, 1, -0.3, -1, 0.3, -1, -0.3}));
  const Matrix product(Shape{4, 4}, Vector(16, 1.0 / 16));
  const double stuck = ot::distortion(be, x.view(), x.view(), product.view());
  CHECK(solve(Solver::entropic, {}, x, x, {}, {}, options(1, 0.2), ot::SquareLoss{}, product).value ==
        doctest::Approx(stuck));
  for (Solver by : {Solver::exact, Solver::entropic, Solver::proximal})
    CHECK(solve(by, {}, x, x, {}, {}, options(1, 0.2)).value < 0.1 * stuck);
}

TEST_CASE(
    "ot/fused: proximal points whose inner problems stop early are plans all the same, and never worse") {
  const Matrix x = squared_distances(random_points(91, 12, 3)),
               y = squared_distances(random_points(92, 12, 2));
  ot::FusedOptions o;
  o.alpha = 1, o.sinkhorn.epsilon = 0.1, o.sinkhorn.tolerance = 1e-9, o.gradients = false;
  o.random_starts = 3;
  double before = std::numeric_limits<double>::infinity();
  for (int inner_rounds : {2, 2000})
    for (int steps : {1, 2, 3, 50}) {
      o.sinkhorn.max_iterations = inner_rounds, o.max_iterations = o.trial_iterations = steps;
      const Result r = ot::proximal_fused(be, {}, x.view(), y.view(), {}, {}, o);
      for (index_t i = 0; i < 12; ++i) {
        double row = 0, column = 0;
        for (index_t j = 0; j < 12; ++j) row += r.plan(i, j), column += r.plan(j, i);
        CHECK(row == doctest::Approx(1. / 12).epsilon(1e-7));
        CHECK(column == doctest::Approx(1. / 12).epsilon(1e-7));
      }
      if (steps == 1) before = std::numeric_limits<double>::infinity();
      CHECK(r.value <= before * (1 + 1e-7)); // the starts are the same
      before = r.value;
    }
}

TEST_CASE("ot/fused: gradients are those of finite differences") {
  // Squared distances, by a little asymmetric: F stays concave enough for conditional gradients to end at a
  // vertex instead of creeping up to a minimum between them.
  Matrix m = random_matrix(50, 5, 4), x = squared_distances(random_points(51, 5, 2, 0.5)),
         y = squared_distances(random_points(52, 4, 2, 0.5));
  const Matrix ex = random_matrix(55, 5, 5), ey = random_matrix(56, 4, 4);
  for (index_t k = 0; k < x.size(); ++k) x.data()[k] += 0.2 + 0.05 * ex.data()[k];
  for (index_t k = 0; k < y.size(); ++k) y.data()[k] += 0.2 + 0.05 * ey.data()[k];
  Vector a = random_weights(53, 5), b = random_weights(54, 4);
  const auto check = [&](Solver by, const auto& loss, double precision) {
    // The entropic multipliers are those of a plan that differs from the stationary one by the root of the
    // tolerance, 3e-7, times the slope of G, about ten.
    const auto o = options(0.6, by == Solver::entropic ? 0.5 : 0.1);
    const Result r = solve(by, m, x, y, a, b, o, loss);
    REQUIRE(r.converged);
    const auto difference = [&](double& entry) {
      const double at = entry, h = 1e-5;
      entry = at + h;
      const double up = solve(by, m, x, y, a, b, o, loss, r.plan).objective;
      entry = at - h;
      const double down = solve(by, m, x, y, a, b, o, loss, r.plan).objective;
      entry = at;
      return (up - down) / (2 * h);
    };
    double worst = 0;
    const auto compare = [&](double& entry, double gradient) {
      worst = std::max(worst, std::abs(gradient - difference(entry)));
    };
    for (index_t k = 0; k < m.size(); k += 3) compare(m.data()[k], r.dcost.data()[k]);
    for (index_t k = 0; k < x.size(); k += 3) compare(x.data()[k], r.dx.data()[k]);
    for (index_t k = 0; k < y.size(); k += 3) compare(y.data()[k], r.dy.data()[k]);
    CHECK(worst < precision);
    worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) compare(a[i], r.da[i]);
    for (std::size_t j = 0; j < b.size(); ++j) compare(b[j], r.db[j]);
    CHECK(worst < precision);
  };
  for (Solver by : {Solver::exact, Solver::entropic, Solver::proximal})
    check(by, ot::SquareLoss{}, by == Solver::entropic ? 5e-6 : 1e-7),
        check(by, ot::KullbackLeiblerLoss{0.1}, by == Solver::entropic ? 5e-6 : 1e-7);
}

TEST_CASE("ot/fused: weights count by their share, those of 0 not at all; a given start is made a plan") {
  const Matrix x = random_matrix(60, 8, 8), y = random_matrix(61, 7, 7), m = random_matrix(62, 8, 7);
  const auto o = options(0.5);
  for (Solver by : {Solver::exact, Solver::entropic, Solver::proximal}) {
    CHECK(solve(by, m, x, y, Vector(8, 3), Vector(7, 0.1), o).objective ==
          doctest::Approx(solve(by, m, x, y, {}, {}, o).objective).epsilon(1e-10));
    Vector a = random_weights(63, 8), b = random_weights(64, 7);
    a[2] = 0, b[6] = 0;
    const Result r = solve(by, m, x, y, a, b, o);
    CHECK(r.converged);
    for (index_t k = 0; k < 7; ++k) CHECK(r.plan(2, k) == 0);
    for (index_t k = 0; k < 8; ++k) CHECK(r.plan(k, 6) == 0);
    const Result from = solve(by, m, x, y, a, b, o, ot::SquareLoss{}, random_matrix(65, 8, 7));
    const double sum = std::accumulate(a.begin(), a.end(), 0.0),
                 other = std::accumulate(b.begin(), b.end(), 0.0);
    for (double& v : a) v /= sum;
    for (double& v : b) v /= other;
    check_marginals(from.plan, a, b, 1e-11);
  }
}

TEST_CASE("ot/fused: a space of one point couples to all; threads, backends and float agree") {
  const Matrix y = squared_distances(random_points(66, 40, 2)),
               x = squared_distances(random_points(67, 33, 2));
  const Result one = solve(Solver::exact, {}, Matrix(Shape{1, 1}), y, {}, {}, options(1));
  CHECK(one.converged);
  CHECK(one.value == doctest::Approx(inner(y, y) / 1600).epsilon(1e-12));
  auto o = options(1, 5);
  o.max_iterations = 30, o.random_starts = 1, o.sinkhorn.tolerance = 1e-6;
  const auto run = [&](const auto& backend) {
    return std::pair{ot::exact_fused(backend, {}, x.view(), y.view(), {}, {}, o),
                     ot::entropic_fused(backend, {}, x.view(), y.view(), {}, {}, o)};
  };
  const auto [exact, entropic] = run(Cpu<double>(1));
  const auto [exact3, entropic3] = run(Cpu<double>(3));
  CHECK(apart(exact.plan, exact3.plan) == 0);
  CHECK(apart(entropic.plan, entropic3.plan) == 0);
  const auto [exact_loops, entropic_loops] = run(Reference<double>());
  CHECK(exact_loops.value == doctest::Approx(exact.value).epsilon(1e-10));
  CHECK(entropic_loops.objective == doctest::Approx(entropic.objective).epsilon(1e-10));
  Tensor<float> fx(x.shape()), fy(y.shape());
  for (index_t k = 0; k < x.size(); ++k) fx.data()[k] = static_cast<float>(x.data()[k]);
  for (index_t k = 0; k < y.size(); ++k) fy.data()[k] = static_cast<float>(y.data()[k]);
  ot::FusedOptions single;
  single.sinkhorn.epsilon = 5, single.random_starts = 1;
  const auto e = ot::exact_fused(Cpu<float>(1), {}, fx.view(), fy.view(), {}, {}, single);
  CHECK(e.converged);
  CHECK(e.value == doctest::Approx(exact.value).epsilon(1e-4));
  const auto s = ot::entropic_fused(Cpu<float>(1), {}, fx.view(), fy.view(), {}, {}, single);
  CHECK(s.converged);
  CHECK(s.objective == doctest::Approx(entropic.objective).epsilon(1e-3));
}

TEST_CASE("ot/fused: what cannot be solved is refused by name") {
  Matrix x = random_matrix(70, 3, 3), y = random_matrix(71, 2, 2), m = random_matrix(72, 3, 2);
  const auto run = [&](const ot::FusedOptions& o, const Matrix& start = {}) {
    std::ignore = solve(Solver::exact, m, x, y, {}, {}, o, ot::SquareLoss{}, start);
  };
  CHECK_THROWS_WITH_AS(run(options(1.5)), "fused: alpha = 1.5; want in [0, 1]", ValueError);
  CHECK_THROWS_WITH_AS(run(options(0.5), Matrix(Shape{3, 2})),
                       "fused: start has the least entry 0 and the sum 0; want >= 0 and > 0", ValueError);
  CHECK_THROWS_WITH_AS(run(options(0.5), random_matrix(73, 2, 2)), "fused: start is [2,2]; want [3,2]",
                       ShapeError);
  auto o = options(0.5);
  o.trial_iterations = 0;
  CHECK_THROWS_AS(run(o), ValueError);
  o = options(0.5), o.tolerance = -1;
  CHECK_THROWS_AS(run(o), ValueError);
  CHECK_THROWS_WITH_AS(std::ignore = solve(Solver::entropic, m, x, y, {}, {}, options(0.5, 0)),
                       "sinkhorn: epsilon = 0; want > 0", ValueError);
  o = options(0.5), o.sinkhorn.rho_b = 1;
  CHECK_THROWS_WITH_AS(std::ignore = solve(Solver::proximal, m, x, y, {}, {}, o),
                       "fused: rho_a = inf, rho_b = 1; want infinity for both", ValueError);
  CHECK_THROWS_AS(std::ignore = solve(Solver::exact, m, x, y, {1, 2}, {}, options(0.5)), ShapeError);
  CHECK_THROWS_AS(std::ignore = solve(Solver::exact, m, x, y, {1, 2, -1}, {}, options(0.5)), ValueError);
  CHECK_THROWS_WITH_AS(std::ignore = solve(Solver::exact, x, x, y, {}, {}, options(0.5)),
                       "fused: M is [3,3]; want [3,2]", ShapeError);
  m(1, 1) = missing;
  CHECK_THROWS_WITH_AS(run(options(0.5)), "fused: M[1,1] = nan; want finite", ValueError);
  m(1, 1) = 0, y(0, 1) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(run(options(0.5)), "distortion: y[0,1] = inf; want finite", ValueError);
  x = random_matrix(70, 3, 2);
  CHECK_THROWS_AS(run(options(0.5)), ShapeError);
  // A run that stops before it has settled says so.
  const Matrix u = random_matrix(74, 20, 20), v = random_matrix(75, 20, 20);
  o = options(1), o.max_iterations = 1;
  CHECK(!solve(Solver::exact, {}, u, v, {}, {}, o).converged);
}
