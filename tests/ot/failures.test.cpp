// SPDX-License-Identifier: MIT
// Ways in which solvers of optimal transport are known to fail, one test each.
#include "clouds.hpp"

#include <sbi/ot.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);
const Cpu<float> single(2);

Tensor<double> squared(const Tensor<double>& x, const Tensor<double>& y) {
  return ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
}
template <class T, class U> Tensor<T> as(const Tensor<U>& x) {
  Tensor<T> out(x.shape());
  std::transform(x.begin(), x.end(), out.begin(), [](U v) { return static_cast<T>(v); });
  return out;
}
ot::SinkhornOptions options(double epsilon, double tolerance = 1e-9) {
  ot::SinkhornOptions o;
  o.epsilon = epsilon, o.tolerance = tolerance, o.max_iterations = 50'000;
  return o;
}
/// The l1 error of a plan's row sums.
double row_error(const Tensor<double>& plan, const Vector& a) {
  double error = 0;
  for (index_t i = 0; i < plan.rows(); ++i)
    error += std::abs(std::accumulate(plan.row(i), plan.row(i) + plan.cols(), 0.0) -
                      a[static_cast<std::size_t>(i)]);
  return error;
}
double inner(const Tensor<double>& x, const Tensor<double>& y) {
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}
double mean_of(const Tensor<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}
} // namespace

TEST_CASE("ot/failure 1: kernels that underflow, at small epsilon and for huge costs") {
  // exp(-C / eps) is 0 in all but the diagonal of the bins.
  const index_t n = 100;
  Tensor<double> x(Shape{n, 1});
  Vector a, b;
  for (index_t i = 0; i < n; ++i) {
    const double u = static_cast<double>(i);
    x(i, 0) = u / 100;
    a.push_back(std::exp(-0.5 * (u - 20) * (u - 20) / 25));
    b.push_back(std::exp(-0.5 * (u - 60) * (u - 60) / 100));
  }
  for (Vector* w : {&a, &b}) {
    const double sum = std::accumulate(w->begin(), w->end(), 0.0);
    for (double& v : *w) v /= sum;
  }
  const Tensor<double> cost = squared(x, x);
  const double exact = ot::exact_transport<double>(cost.view(), a, b).value;
  for (double factor : {1.0, 1e12}) {
    Tensor<double> scaled = cost;
    for (double& c : scaled) c *= factor;
    auto o = options(1e-5 * factor, 1e-3);
    o.max_iterations = 2000;
    const auto r = ot::sinkhorn(be, scaled.view(), a, b, o);
    CHECK(is_finite(r.residual));
    // Between the exact value and that plus eps log n, within what the residual moves.
    CHECK(r.value > factor * (exact - 1e-3 * 0.4));
    CHECK(r.value < factor * (exact + 1e-5 * std::log(100.0) + 1e-3 * 0.4));
  }
}

TEST_CASE("ot/failure 2: costs in the tens of millions, as of unscaled images, do not stall it") {
  // Pixels, squared distances in a unit that makes them 1e7.
  const index_t side = 12, n = side * side;
  Tensor<double> pixels(Shape{n, 2});
  Vector a(static_cast<std::size_t>(n)), b(a.size());
  Rng rng(3);
  for (index_t i = 0; i < n; ++i) {
    pixels(i, 0) = 204.0 * static_cast<double>(i / side),
              pixels(i, 1) = 204.0 * static_cast<double>(i % side);
    a[static_cast<std::size_t>(i)] = rng.uniform(), b[static_cast<std::size_t>(i)] = rng.uniform();
  }
  for (Vector* w : {&a, &b}) {
    const double sum = std::accumulate(w->begin(), w->end(), 0.0);
    for (double& v : *w) v /= sum;
  }
  const Tensor<double> cost = squared(pixels, pixels);
  CHECK(*std::max_element(cost.begin(), cost.end()) > 1e7);
  for (double epsilon : {1e4, 1e3}) {
    auto o = options(epsilon, 1e-7);
    o.max_iterations = 5000; // several times what it takes, half of what it takes without acceleration
    const auto r = ot::sinkhorn(be, cost.view(), a, b, o);
    CHECK(r.converged);
    CHECK(row_error(ot::transport_plan(be, cost.view(), a, b, r, epsilon), a) < 1.1e-7);
  }
}

TEST_CASE("ot/failure 3: no weight, one point, one place: clouds without a diameter") {
  const Tensor<double> one(Shape{1, 2}, {3, 4}), same(Shape{4, 2}, {3, 4, 3, 4, 3, 4, 3, 4}),
      other = random_points(1, 5, 2);
  const Vector some{0, 0.5, 0, 0.5}, none_first{0, 1};
  for (double scaling : {1.0, 0.999, 0.25}) {
    ot::DivergenceOptions o;
    o.sinkhorn = options(0.1), o.sinkhorn.scaling = scaling;
    const auto equal =
        ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, same.view(), one.view(), some, {}, o);
    CHECK(equal.converged);
    CHECK(std::abs(equal.value) < 1e-12);
    const auto apart =
        ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, same.view(), other.view(), some, {}, o);
    CHECK(apart.converged);
    CHECK(apart.value > 0);
    for (double v : apart.dx) CHECK(is_finite(v));
  }
  CHECK_THROWS_AS((void)ot::sinkhorn(be, squared(one, other).view(), Vector{0}, {}, options(0.1)),
                  ValueError);
}

TEST_CASE("ot/failure 4: a divergence or a distortion below 0") {
  // 50 points in 160 dimensions in float, the divergence of a cloud to a copy in another order.
  const Tensor<double> x = random_points(1, 50, 160);
  Tensor<float> fx = as<float>(x), fy(fx.shape());
  for (index_t i = 0; i < 50; ++i) std::copy_n(fx.row(i), 160, fy.row((7 * i + 3) % 50));
  ot::DivergenceOptions o;
  o.sinkhorn.epsilon = 0.05, o.unit = ot::Unit::mean_cost;
  const auto s = ot::sinkhorn_divergence(single, ot::SquaredEuclidean{}, fx.view(), fy.view(), {}, {}, o);
  CHECK(s.value >= -1e-4 * 320); // the tolerance, in units of the mean cost 2 d
  CHECK(s.value < 1e-4 * 320);
  // A matrix whose marginals are not a and b: the constant terms are those of its own.
  Tensor<double> off = random_matrix(5, 6, 6);
  const Tensor<double> within = squared(random_points(6, 6, 2), random_points(6, 6, 2));
  for (double& v : off) v *= 0.02;
  CHECK(ot::distortion(be, within.view(), within.view(), off.view()) >= 0);
}

TEST_CASE(
    "ot/failure 5: the dual value of an unconverged run is not the primal one, and the result says so") {
  const Tensor<double> cost = squared(random_points(1, 40, 2), random_points(2, 30, 2));
  auto o = options(0.01, 1e-9);
  o.max_iterations = 3, o.scaling = 1;
  const Vector a(40, 1.0 / 40), b(30, 1.0 / 30);
  const auto r = ot::sinkhorn(be, cost.view(), a, b, o);
  CHECK_FALSE(r.converged);
  const auto p = ot::transport_plan(be, cost.view(), a, b, r, o.epsilon);
  // The residual is what the plan's rows are off by, and the value a lower bound of the converged one.
  CHECK(r.residual == doctest::Approx(row_error(p, a)).epsilon(1e-9));
  CHECK(r.residual > 0.01);
  CHECK(r.value < ot::sinkhorn(be, cost.view(), a, b, options(0.01)).value);
  ot::DivergenceOptions d;
  d.sinkhorn = o;
  CHECK_THROWS_AS((void)ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, random_points(1, 40, 2).view(),
                                                random_points(2, 30, 2).view(), {}, {}, d),
                  NumericalError);
}

TEST_CASE("ot/failure 6: objectives in float stay finite where potentials do") {
  const Tensor<float> x = as<float>(random_points(1, 60, 3)), y = as<float>(random_points(2, 50, 3));
  for (double epsilon : {1e-3, 1e-5}) {
    auto o = options(epsilon, 1e-4);
    o.max_iterations = 200;
    const auto r = ot::sinkhorn(single, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, o);
    CHECK(is_finite(r.value));
    for (float f : r.f) CHECK(is_finite(f));
  }
  // Gromov-Wasserstein between a cloud and its copy with noise of 1e-4, at an epsilon near rounding.
  Tensor<float> noisy = x;
  Rng rng(3);
  for (float& v : noisy) v += static_cast<float>(1e-4 * rng.normal());
  ot::GromovOptions g;
  g.sinkhorn.epsilon = 1e-3, g.sinkhorn.max_iterations = 100, g.max_iterations = 10, g.trial_iterations = 2;
  const auto r = ot::entropic_gromov(single, x.view(), noisy.view(), {}, {}, g);
  CHECK(is_finite(r.objective));
  for (float v : r.dx) CHECK(is_finite(v));
}

TEST_CASE("ot/failure 7: costs of coordinates far from the origin keep the digits of their differences") {
  // Ten standard deviations away, and a thousand: |x|^2 + |y|^2 - 2 <x, y> would lose all of them in float.
  const index_t n = 60, d = 64;
  const Tensor<double> x = random_points(1, n, d), y = random_points(2, n, d);
  const double epsilon = 0.03 * mean_of(squared(x, y));
  const auto exact = ot::sinkhorn(be, squared(x, y).view(), {}, {}, options(epsilon, 1e-8));
  for (float offset : {0.0f, 10.0f, 1000.0f})
    for (ot::Costs costs : {ot::Costs::stored, ot::Costs::recomputed}) {
      Tensor<float> fx = as<float>(x), fy = as<float>(y);
      for (Tensor<float>* t : {&fx, &fy})
        for (float& v : *t) v += offset;
      auto o = options(epsilon, 1e-4);
      o.costs = costs;
      const auto r = ot::sinkhorn(single, ot::SquaredEuclidean{}, fx.view(), fy.view(), {}, {}, o);
      CHECK(r.converged);
      // The points themselves are rounded by 6e-8 offset each, in d coordinates.
      const double rounding =
          1e-3 * epsilon + 4 * 6e-8 * static_cast<double>(offset) * std::sqrt(2.0 * d) * 2;
      CHECK(std::abs(r.value - exact.value) < rounding);
    }
}

TEST_CASE("ot/failure 8: the Euclidean cost has a gradient where points coincide") {
  const Tensor<double> x = random_points(1, 12, 3);
  ot::DivergenceOptions o;
  o.sinkhorn = options(0.05);
  const auto s = ot::sinkhorn_divergence(be, ot::Euclidean{}, x.view(), x.view(), {}, {}, o);
  for (double v : s.dx) CHECK(std::abs(v) < 1e-9); // the clouds are equal: a minimum
  for (double v : s.dy) CHECK(std::abs(v) < 1e-9);
}

TEST_CASE("ot/failure 9: a distortion of 0 ends the iteration; a NaN in a cost is refused by every solver") {
  const Tensor<double> points = random_points(1, 10, 2), within = squared(points, points);
  Tensor<double> plan(within.shape());
  for (index_t i = 0; i < 10; ++i) plan(i, i) = 0.1;
  ot::FusedOptions o;
  o.alpha = 1, o.max_iterations = 50;
  const auto r =
      ot::exact_fused(be, {}, within.view(), within.view(), {}, {}, o, ot::SquareLoss{}, plan.view());
  CHECK(r.converged);
  CHECK(r.iterations <= 2);
  CHECK(r.value < 1e-12);
  Tensor<double> bad = squared(random_points(2, 4, 2), random_points(3, 5, 2));
  bad(2, 3) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS((void)ot::exact_transport<double>(bad.view(), {}, {}), ValueError);
  CHECK_THROWS_AS((void)ot::sinkhorn(be, bad.view(), {}, {}, options(0.1)), ValueError);
  CHECK_THROWS_AS((void)ot::partial_transport<double>(bad.view(), {}, {}, 0.5), ValueError);
  CHECK_THROWS_AS((void)ot::partial_sinkhorn(be, bad.view(), {}, {}, 0.5, options(0.1)), ValueError);
}

TEST_CASE(
    "ot/failure 10: exact transport beside entries of 1e32, with weights summed in float, many to few") {
  const Tensor<double> cost = random_matrix(1, 20, 20);
  const double best = ot::exact_transport<double>(cost.view(), {}, {}).value;
  // Two entries that the best plan does not use and that no sum survives.
  Tensor<double> huge = cost;
  std::vector<char> used(400, 0);
  for (const auto& s : ot::exact_transport<double>(cost.view(), {}, {}).plan)
    used[static_cast<std::size_t>(s.from * 20 + s.to)] = 1;
  int put = 0;
  for (index_t k = 0; k < 400 && put < 2; k += 37)
    if (!used[static_cast<std::size_t>(k)]) huge.data()[k] = 1e32, ++put;
  CHECK(put == 2);
  CHECK(ot::exact_transport<double>(huge.view(), {}, {}).value == doctest::Approx(best).epsilon(1e-12));
  // Weights that sum to one in float alone; a thousand sources and two sinks.
  const Tensor<float> wide = as<float>(random_matrix(2, 1000, 2));
  const std::vector<float> a(1000, 0.001f), b{0.3f, 0.7f};
  const auto r = ot::exact_transport<float>(wide.view(), a, b);
  CHECK(r.optimal);
  double mass = 0;
  for (const auto& s : r.plan) mass += s.mass;
  CHECK(mass == doctest::Approx(1).epsilon(1e-5));
}

TEST_CASE(
    "ot/failure 11: unbalanced plans where scalings have been absorbed, and the reference of the entropy") {
  const Tensor<double> swap(Shape{2, 2}, {0, 1, 1, 0});
  auto o = options(0.01, 1e-12);
  o.rho_a = o.rho_b = 100;
  const Vector a{0.3, 0.7}, b{0.7, 0.3};
  for (ot::SinkhornDomain domain : {ot::SinkhornDomain::automatic, ot::SinkhornDomain::log}) {
    o.domain = domain;
    const auto r = ot::sinkhorn(be, swap.view(), a, b, o);
    const auto p = ot::transport_plan(be, swap.view(), a, b, r, o.epsilon);
    // The mass of (0, 1) moves at the cost 1, of which the prices save a little: rows and columns keep
    // their optimality conditions, log(sum / weight) = -f / rho.
    for (index_t i = 0; i < 2; ++i) {
      const auto at = static_cast<std::size_t>(i);
      CHECK(std::log((p(i, 0) + p(i, 1)) / a[at]) == doctest::Approx(-r.f[at] / 100).epsilon(1e-9));
      CHECK(std::log((p(0, i) + p(1, i)) / b[at]) == doctest::Approx(-r.g[at] / 100).epsilon(1e-9));
    }
    CHECK(p(0, 0) == doctest::Approx(0.3).epsilon(0.01));
    CHECK(p(1, 0) == doctest::Approx(0.4).epsilon(0.01));
  }
  // KL(P | a x b), not the entropy: the values that both conventions give for one problem are known.
  o.epsilon = o.rho_a = o.rho_b = 1;
  const Vector half{0.5, 0.5};
  const auto r = ot::sinkhorn(be, swap.view(), half, half, o);
  const auto p = ot::transport_plan(be, swap.view(), half, half, r, 1);
  CHECK(p(0, 0) == doctest::Approx(0.32205357).epsilon(1e-7));
  CHECK(p(0, 1) == doctest::Approx(0.11847689).epsilon(1e-7));
}

TEST_CASE("ot/failure 12: entropic partial transport at an epsilon far below the costs") {
  Tensor<double> cost = squared(random_points(1, 50, 2), random_points(2, 50, 2));
  for (double& c : cost) c *= 50;
  const Vector wa = random_weights(3, 50), wb = random_weights(4, 50); // equal ones converge like 1 / rounds
  const double exact = ot::partial_transport<double>(cost.view(), wa, wb, 0.6).value;
  const auto r = ot::partial_sinkhorn(be, cost.view(), wa, wb, 0.6, options(0.5, 1e-5));
  CHECK(r.converged);
  const auto plan = ot::transport_plan(be, cost.view(), wa, wb, r, 0.5);
  for (double v : plan) CHECK(is_finite(v));
  const double moved = inner(plan, cost);
  CHECK(moved >= exact - 1e-3);
  CHECK(moved - exact < 0.5 * std::log(2500.0));
}

TEST_CASE(
    "ot/failure 13: low-rank plans end neither early nor with weights that no plan has, nor become dense") {
  const Tensor<double> x = random_points(1, 60, 2), y = random_points(2, 50, 2, 1.5);
  ot::LowRankOptions o;
  o.rank = 8;
  const auto r = ot::low_rank_transport(be, x.view(), y.view(), {}, {}, o);
  CHECK(r.converged);
  const double exact = ot::exact_transport<double>(squared(x, y).view(), {}, {}).value;
  CHECK(r.value >= exact - 1e-12);
  CHECK(r.value < exact + 0.12 * mean_of(squared(x, y))); // eight clusters hide a tenth of the spread
  o.least_weight = 0.2;
  CHECK_THROWS_AS((void)ot::low_rank_transport(be, x.view(), y.view(), {}, {}, o), ValueError);
  // Factors of two thousand and of one thousand by 5, never a matrix.
  const Tensor<float> p = as<float>(random_points(3, 2000, 3)), q = as<float>(random_points(4, 1000, 3));
  ot::LowRankOptions few;
  few.rank = 5, few.max_iterations = 3;
  const auto large = ot::low_rank_transport(single, p.view(), q.view(), {}, {}, few);
  CHECK(large.q.size() + large.r.size() == 3000 * 5);
  CHECK(is_finite(large.value));
}

TEST_CASE("ot/failure 14: keypoints that are infeasible, alone, repeated, cold or met by a point") {
  const Tensor<double> x = random_points(1, 12, 3), y = random_points(2, 12, 2),
                       few = random_points(3, 10, 2);
  ot::KeypointOptions o;
  using Pairs = std::vector<ot::Keypoint>;
  const Pairs two{{0, 1}, {3, 4}};
  o.sinkhorn = options(0.1);
  const auto solve = [&](const Tensor<double>& from, const Tensor<double>& to, const Pairs& pairs) {
    return ot::keypoint_guided(be, ot::SquaredEuclidean{}, from.view(), to.view(), pairs, {}, {}, o);
  };
  // Uniform weights of different numbers of points: a keypoint has 1/12 here and 1/10 there.
  CHECK_THROWS_AS((void)solve(x, few, two), ValueError);
  CHECK_THROWS_AS((void)solve(x, y, {{0, 1}}), ValueError);
  CHECK_THROWS_AS((void)solve(x, y, {{0, 1}, {0, 2}}), ValueError);
  CHECK_THROWS_AS((void)solve(x, y, {{0, 1}, {12, 2}}), ValueError);
  Tensor<double> met = x;
  std::copy_n(x.row(0), 3, met.row(5)); // a point upon a keypoint
  o.temperature = 1e-6;
  const auto r = solve(met, y, two);
  CHECK(is_finite(r.value));
  for (double v : r.dx) CHECK(is_finite(v));
}

TEST_CASE(
    "ot/failure 15: the product plan is a saddle of Gromov-Wasserstein transport between symmetric clouds") {
  // Points and their reflections: X^T (a x b) Y = 0, a fixed point of the rounds that is not the minimum.
  Tensor<double> x(Shape{8, 2}), y(Shape{8, 2});
  const Tensor<double> half = random_points(4, 4, 2);
  for (index_t i = 0; i < 4; ++i)
    for (index_t k = 0; k < 2; ++k) {
      const double scale = k == 0 ? 2 : 1;
      x(i, k) = scale * half(i, k), x(i + 4, k) = -x(i, k);
      y(i, k) = x(i, 1 - k), y(i + 4, k) = -y(i, k); // turned
    }
  ot::GromovOptions o;
  o.sinkhorn = options(0.1), o.tolerance = 1e-10;
  const auto r = ot::entropic_gromov(be, x.view(), y.view(), {}, {}, o);
  Tensor<double> product(Shape{8, 8}, Vector(64, 1.0 / 64));
  CHECK(r.value < 0.05 * squared_distortion(x, y, product));
}

TEST_CASE("ot/failure 16: a bad item of a batch neither stalls nor spoils the others") {
  const std::vector<std::size_t> kept{0, 2, 3, 5};
  std::vector<Tensor<double>> costs;
  for (std::uint64_t k = 0; k < 6; ++k) costs.push_back(random_matrix(k, 9, 7));
  costs[1](2, 2) = std::numeric_limits<double>::quiet_NaN();
  for (double& c : costs[4]) c *= 1e9; // its epsilon is nothing beside its costs
  std::vector<ot::BatchProblem<double>> problems, good;
  for (const auto& c : costs) problems.push_back({c.view(), {}, {}});
  for (std::size_t k : kept) good.push_back(problems[k]);
  ot::BatchOptions o;
  o.sinkhorn = options(0.05), o.sinkhorn.max_iterations = 300;
  const auto all = ot::sinkhorn_batch(be, problems, o), alone = ot::sinkhorn_batch(be, good, o);
  CHECK(all[1].status == ot::BatchStatus::invalid);
  CHECK(is_finite(all[4].value));
  std::size_t at = 0;
  for (std::size_t k : kept) {
    CHECK(all[k].status == ot::BatchStatus::converged);
    CHECK(all[k].f == alone[at].f);
    CHECK(all[k].iterations == alone[at++].iterations);
  }
}

TEST_CASE("ot/failure 17: sums over two hundred thousand points in float") {
  // All of them at the same distance: the softmin is that distance, whatever the number of terms.
  const index_t m = 200'000;
  Tensor<float> x(Shape{1, 1}, {0.0f}), y(Shape{m, 1});
  for (index_t j = 0; j < m; ++j) y(j, 0) = j % 2 ? 0.7f : -0.7f;
  auto o = options(0.05, 1e-6);
  for (ot::Costs costs : {ot::Costs::stored, ot::Costs::recomputed}) {
    o.costs = costs;
    const auto r = ot::sinkhorn(single, ot::SquaredEuclidean{}, x.view(), y.view(), {}, {}, o);
    // Sums of terms of one size lose at most their last digits: of 1e5 rounded one by one 1e-3 would be left.
    CHECK(r.value == doctest::Approx(0.49).epsilon(2e-6));
    CHECK(r.mass == doctest::Approx(1).epsilon(1e-5));
  }
}
