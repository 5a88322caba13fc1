// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/barycentric.hpp>
#include <sbi/ot/implicit.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

ot::SinkhornOptions options(double eps, double tolerance = 1e-14) {
  ot::SinkhornOptions o;
  o.epsilon = eps, o.tolerance = tolerance, o.max_iterations = 100'000;
  return o;
}

/// A problem with a loss on its solution, and the gradient of that loss by both ways.
struct Problem {
  Tensor<double> cost;
  Vector a, b;
  double eps;

  struct Solved {
    Tensor<double> plan;
    ot::SinkhornResult<double> potentials;
  };
  [[nodiscard]] Solved solve() const {
    Solved out;
    out.potentials = ot::sinkhorn(be, cost.view(), a, b, options(eps, 3e-14));
    REQUIRE(out.potentials.converged);
    out.plan = ot::transport_plan(be, cost.view(), a, b, out.potentials, eps);
    return out;
  }
};
/// Value and upstream gradients of a loss.
struct Loss {
  double value = 0;
  Tensor<double> plan;
  Vector f, g;
  [[nodiscard]] ot::PlanLoss<double> view() const {
    return {plan.size() ? plan.view() : View<const double>(), f, g};
  }
};
/// Slope of value(step) at 0, error of fourth order in h.
template <class F> double slope(F&& value, double h) {
  return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
}
/// All entries agree to 1e-6 of the largest one; 1e-11 is the noise of the differences where all are 0.
void check_close(const Vector& gradient, const Vector& differences) {
  double scale = 0;
  for (double v : differences) scale = std::max(scale, std::abs(v));
  for (std::size_t k = 0; k < gradient.size(); ++k)
    CHECK(std::abs(gradient[k] - differences[k]) <= 1e-6 * scale + 1e-11);
}
template <class L> void check_gradient(const Problem& problem, L&& loss) {
  const auto solved = problem.solve();
  const Loss at = loss(solved);
  const auto r = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, solved.potentials,
                                       problem.eps, at.view());
  CHECK(r.residual < 1e-12);
  CHECK(r.solver_residual <= 1e-10);
  const auto value = [&](auto&& change) {
    return [&](double step) {
      Problem moved = problem;
      change(moved, step);
      return loss(moved.solve()).value;
    };
  };
  // 1e-3: errors of 1e-12 by the step, and of 1e-13 / 1e-3 by Sinkhorn's residual.
  Vector differences;
  for (index_t k = 0; k < problem.cost.size(); ++k)
    differences.push_back(slope(value([&](Problem& p, double step) { p.cost.data()[k] += step; }), 1e-3));
  check_close(Vector(r.cost.begin(), r.cost.end()), differences);
  // Mass moves from the heaviest point to each of the others.
  const auto weights = [&](Vector Problem::*side, const Vector& gradient) {
    const Vector& w = problem.*side;
    const auto top = static_cast<std::size_t>(std::max_element(w.begin(), w.end()) - w.begin());
    Vector along, apart;
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (i == top || w[i] == 0) continue;
      const auto change = [&](Problem& p, double step) { (p.*side)[i] += step, (p.*side)[top] -= step; };
      apart.push_back(slope(value(change), 1e-3 * w[i]));
      along.push_back(gradient[i] - gradient[top]);
    }
    if (!along.empty()) check_close(along, apart);
  };
  weights(&Problem::a, r.a), weights(&Problem::b, r.b);
  // Both masses rise together.
  const double both = slope(value([](Problem& p, double step) { p.a[0] += step, p.b.back() += step; }), 1e-4);
  double size = std::abs(both);
  for (double v : r.a) size = std::max(size, std::abs(v));
  CHECK(std::abs(r.a[0] + r.b.back() - both) <= 1e-6 * size);
  double gauge = 0;
  for (std::size_t j = 0; j < r.b.size(); ++j) gauge += problem.b[j] * r.b[j];
  CHECK(std::abs(gauge) < 1e-12 * size);
}

/// sum_ij w_ij P_ij + 5 sum_ij P_ij^2
Loss on_plan(const Problem::Solved& s) {
  Loss out;
  out.plan = Tensor<double>(s.plan.shape());
  for (index_t k = 0; k < s.plan.size(); ++k) {
    const double w = std::sin(1.7 * static_cast<double>(k)), p = s.plan.data()[k];
    out.value += w * p + 5 * p * p, out.plan.data()[k] = w + 10 * p;
  }
  return out;
}
/// sum_ij w_ij sin(f_i + g_j), which no constant changes
Loss on_potentials(const Problem::Solved& s) {
  Loss out;
  const auto n = s.potentials.f.size(), m = s.potentials.g.size();
  out.f.assign(n, 0), out.g.assign(m, 0);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      const double w = std::cos(0.9 * static_cast<double>(i * m + j)),
                   sum = s.potentials.f[i] + s.potentials.g[j];
      out.value += w * std::sin(sum);
      out.f[i] += w * std::cos(sum), out.g[j] += w * std::cos(sum);
    }
  return out;
}
/// The variance of f: a loss on one potential alone
Loss on_f(const Problem::Solved& s) {
  Loss out;
  double mean = 0;
  const auto& f = s.potentials.f;
  for (double v : f) mean += v / static_cast<double>(f.size());
  for (double v : f) out.value += (v - mean) * (v - mean), out.f.push_back(2 * (v - mean));
  return out;
}
Loss on_g(const Problem::Solved& s) {
  Loss out;
  const auto& g = s.potentials.g;
  out.g.assign(g.size(), 0);
  for (std::size_t j = 1; j < g.size(); ++j) {
    const double step = g[j] - g[j - 1];
    out.value += step * step * step, out.g[j] += 3 * step * step, out.g[j - 1] -= 3 * step * step;
  }
  return out;
}
Loss on_all(const Problem::Solved& s) {
  Loss out = on_plan(s), more = on_potentials(s);
  out.value += more.value, out.f = more.f, out.g = more.g;
  return out;
}
} // namespace

TEST_CASE("ot/implicit: gradients of losses on plan and potentials are those of finite differences") {
  for (const double eps : {0.5, 0.1}) {
    const Problem problem{random_matrix(1, 6, 4), random_weights(2, 6), random_weights(3, 4), eps};
    CAPTURE(eps);
    check_gradient(problem, on_plan);
    check_gradient(problem, on_potentials);
    check_gradient(problem, on_f);
    check_gradient(problem, on_g);
    check_gradient(problem, on_all);
  }
}

TEST_CASE("ot/implicit: more columns than rows, masses other than one, vectors longer than a block") {
  Problem problem{random_matrix(4, 3, 8), random_weights(5, 3), random_weights(6, 8), 0.2};
  for (double& w : problem.a) w *= 2.5;
  for (double& w : problem.b) w *= 2.5;
  check_gradient(problem, on_all);

  const index_t n = 5, m = 300; // two blocks of columns
  Problem large{random_matrix(7, n, m), random_weights(8, n), random_weights(9, m), 0.3};
  const auto solved = large.solve();
  const Loss at = on_plan(solved);
  const auto r =
      ot::implicit_gradient(be, large.cost.view(), large.a, large.b, solved.potentials, large.eps, at.view());
  Tensor<double> way = random_matrix(10, n, m);
  double along = 0;
  for (index_t k = 0; k < way.size(); ++k) along += way.data()[k] * r.cost.data()[k];
  const auto value = [&](double step) {
    Problem moved = large;
    for (index_t k = 0; k < way.size(); ++k) moved.cost.data()[k] += step * way.data()[k];
    return on_plan(moved.solve()).value;
  };
  CHECK(std::abs(slope(value, 1e-3) - along) < 1e-6 * std::abs(along));
}

TEST_CASE("ot/implicit: two by two in closed form") {
  // C = t [[0, 1], [1, 0]] with equal weights: P_00 = 1 / (2 (1 + exp(-t / eps))).
  const double eps = 0.4;
  const Problem problem{Tensor<double>(Shape{2, 2}, {0, 1, 1, 0}), {0.5, 0.5}, {0.5, 0.5}, eps};
  const Tensor<double> first(Shape{2, 2}, {1, 0, 0, 0});
  const auto r =
      ot::implicit_gradient(be, problem.cost.view(), {}, {}, problem.solve().potentials, eps, {first.view()});
  const double e = std::exp(-1 / eps), in_t = e / (2 * eps * (1 + e) * (1 + e));
  CHECK(r.cost(0, 1) + r.cost(1, 0) == doctest::Approx(in_t).epsilon(1e-10));
  // Costs that change by rows or by columns change no plan.
  for (index_t i : {0, 1}) {
    CHECK(std::abs(r.cost(i, 0) + r.cost(i, 1)) < 1e-12);
    CHECK(std::abs(r.cost(0, i) + r.cost(1, i)) < 1e-12);
  }
}

TEST_CASE("ot/implicit: the value, as a loss on f and g, has the gradients of the envelope theorem") {
  // <a, f> + <b, g> has the gradient P in C and f, g in the weights. The weights in the sum itself are no
  // part of the loss here: without them nothing is left but constants.
  const Problem problem{random_matrix(11, 7, 5), random_weights(12, 7), random_weights(13, 5), 0.15};
  const auto solved = problem.solve();
  const auto r = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, solved.potentials,
                                       problem.eps, {{}, problem.a, problem.b});
  for (index_t k = 0; k < r.cost.size(); ++k)
    CHECK(std::abs(r.cost.data()[k] - solved.plan.data()[k]) < 1e-11);
  for (std::size_t i = 1; i < 7; ++i) CHECK(std::abs(r.a[i] - r.a[0]) < 1e-10);
  for (std::size_t j = 1; j < 5; ++j) CHECK(std::abs(r.b[j] - r.b[0]) < 1e-10);
}

TEST_CASE("ot/implicit: one row, one column, one pair") {
  check_gradient({random_matrix(14, 1, 5), {1}, random_weights(15, 5), 0.3}, on_potentials);
  check_gradient({random_matrix(16, 5, 1), random_weights(17, 5), {1}, 0.3}, on_potentials);
  // With one row the plan is b, whatever the costs.
  const Problem row{random_matrix(18, 1, 5), {1}, random_weights(19, 5), 0.3};
  const auto solved = row.solve();
  const auto r = ot::implicit_gradient(be, row.cost.view(), row.a, row.b, solved.potentials, 0.3,
                                       on_plan(solved).view());
  for (double v : r.cost) CHECK(std::abs(v) < 1e-12);
  CHECK(r.iterations == 0);
  const Problem pair{Tensor<double>(Shape{1, 1}, {3.5}), {1}, {1}, 0.3};
  const Vector one{1};
  const auto p =
      ot::implicit_gradient(be, pair.cost.view(), {}, {}, pair.solve().potentials, 0.3, {{}, one, one});
  CHECK(p.cost(0, 0) == doctest::Approx(1)); // f + g = C
}

TEST_CASE("ot/implicit: points without weight add nothing to the others and have one-sided gradients") {
  Problem problem{random_matrix(20, 6, 7), {0.3, 0, 0.2, 0.1, 0, 0.4}, {0.1, 0.2, 0, 0.2, 0.1, 0, 0.4}, 0.25};
  check_gradient(problem, on_plan);
  check_gradient(problem, on_all); // sees the potentials of the absent points too
  const auto solved = problem.solve();
  const auto r = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, solved.potentials,
                                       problem.eps, on_plan(solved).view());
  for (index_t j = 0; j < 7; ++j) CHECK(r.cost(1, j) == 0);
  const auto appears = [&](double step) { // one-sided, error of third order in the step
    Problem moved = problem;
    moved.a[1] += step, moved.a[0] -= step;
    return on_plan(moved.solve()).value;
  };
  const double h = 1e-4;
  const double forward =
      (-11 * appears(0) + 18 * appears(h) - 9 * appears(2 * h) + 2 * appears(3 * h)) / (6 * h);
  CHECK(std::abs(forward - (r.a[1] - r.a[0])) < 1e-6);
  const auto both = [&](double step) { // of a loss on potentials, absent ones on both sides included
    Problem moved = problem;
    moved.a[1] += step, moved.a[0] -= step, moved.b[2] += step, moved.b[6] -= step;
    return on_potentials(moved.solve()).value;
  };
  const auto s = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, solved.potentials,
                                       problem.eps, on_potentials(solved).view());
  const double also = (-11 * both(0) + 18 * both(h) - 9 * both(2 * h) + 2 * both(3 * h)) / (6 * h);
  CHECK(std::abs(also - (s.a[1] - s.a[0] + s.b[2] - s.b[6])) < 1e-6 * std::max(1.0, std::abs(also)));

  // A start may leave an absent potential anywhere.
  auto odd = solved.potentials;
  odd.f[1] = 77, odd.g[5] = -80;
  const auto same = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, odd, problem.eps,
                                          on_plan(solved).view());
  for (std::size_t i = 0; i < 6; ++i) CHECK(same.a[i] == doctest::Approx(r.a[i]).epsilon(1e-9));
}

TEST_CASE("ot/implicit: forbidden pairs") {
  Problem problem{random_matrix(21, 4, 4), random_weights(22, 4), random_weights(23, 4), 0.3};
  problem.cost(1, 2) = problem.cost(3, 0) = std::numeric_limits<double>::infinity();
  const auto solved = problem.solve();
  const auto r = ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, solved.potentials,
                                       problem.eps, on_all(solved).view());
  CHECK(r.cost(1, 2) == 0);
  CHECK(r.cost(3, 0) == 0);
  const auto value = [&](double step) {
    Problem moved = problem;
    moved.cost(0, 1) += step;
    return on_all(moved.solve()).value;
  };
  CHECK(slope(value, 1e-3) == doctest::Approx(r.cost(0, 1)).epsilon(1e-6));
}

TEST_CASE("ot/implicit: a loss on the barycentric map, down to points and weights") {
  const index_t n = 6, m = 8, d = 2;
  Tensor<double> x = random_points(24, n, d), y = random_points(25, m, d);
  Vector a = random_weights(26, n), b = random_weights(27, m);
  const Tensor<double> target = random_points(28, n, d);
  const double eps = 0.5;
  const auto run = [&](const auto& ground) {
    const auto value = [&] {
      const Problem problem{ot::cost_matrix(be, ground, x.view(), y.view()), a, b, eps};
      const auto image = ot::barycentric_map(be, problem.solve().plan.view(), y.view());
      double sum = 0;
      for (index_t k = 0; k < image.size(); ++k) sum += std::pow(image.data()[k] - target.data()[k], 2);
      return sum;
    };
    const Problem problem{ot::cost_matrix(be, ground, x.view(), y.view()), a, b, eps};
    const auto solved = problem.solve();
    Tensor<double> upstream = ot::barycentric_map(be, solved.plan.view(), y.view());
    for (index_t k = 0; k < upstream.size(); ++k)
      upstream.data()[k] = 2 * (upstream.data()[k] - target.data()[k]);
    const auto map = ot::barycentric_map_vjp(be, solved.plan.view(), y.view(), upstream.view());
    const auto r =
        ot::implicit_gradient(be, problem.cost.view(), a, b, solved.potentials, eps, {map.plan.view()});
    const auto points = ot::cost_matrix_vjp(be, ground, x.view(), y.view(), r.cost.view());
    const auto differences = [&](auto& of) {
      Vector out;
      for (double& v : of) {
        const double kept = v;
        out.push_back(slope([&](double step) { return v = kept + step, value(); }, 1e-3));
        v = kept;
      }
      return out;
    };
    check_close(Vector(points.x.begin(), points.x.end()), differences(x));
    Vector total;
    for (index_t k = 0; k < y.size(); ++k) total.push_back(points.y.data()[k] + map.y.data()[k]);
    check_close(total, differences(y));
    const auto shifted = [&](Vector& w, std::size_t i) {
      const double kept = w[i], first = w[0];
      const double out =
          slope([&](double step) { return w[i] = kept + step, w[0] = first - step, value(); }, 1e-4);
      w[i] = kept, w[0] = first;
      return out;
    };
    for (std::size_t i = 1; i < a.size(); ++i)
      CHECK(r.a[i] - r.a[0] == doctest::Approx(shifted(a, i)).epsilon(1e-6));
    for (std::size_t j = 1; j < b.size(); ++j)
      CHECK(r.b[j] - r.b[0] == doctest::Approx(shifted(b, j)).epsilon(1e-6));
  };
  run(ot::SquaredEuclidean{});
  run(ot::Euclidean{});
}

TEST_CASE("ot/implicit: what has not converged is refused by name") {
  const Problem problem{random_matrix(29, 20, 20), random_weights(30, 20), random_weights(31, 20), 0.02};
  auto few = options(0.02);
  few.max_iterations = 3;
  const auto rough = ot::sinkhorn(be, problem.cost.view(), problem.a, problem.b, few);
  const auto good = ot::sinkhorn(be, problem.cost.view(), problem.a, problem.b, options(0.02, 1e-10));
  const Tensor<double> upstream = random_matrix(32, 20, 20);
  const auto gradient = [&](const ot::SinkhornResult<double>& potentials, double eps,
                            const ot::ImplicitOptions& o) {
    return ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, potentials, eps,
                                 {upstream.view()}, o);
  };
  const auto message = [&](const ot::SinkhornResult<double>& potentials, double eps,
                           const ot::ImplicitOptions& o) {
    try {
      (void)gradient(potentials, eps, o);
    } catch (const NumericalError& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(message(good, 0.02, {}).empty());
  const std::string marginals = message(rough, 0.02, {});
  CHECK(marginals.find(sbi::text("residual of ", rough.residual)) != std::string::npos);
  CHECK(marginals.find("want <= 1e-06") != std::string::npos);
  CHECK_FALSE(message(good, 0.03, {}).empty()); // potentials of another epsilon
  ot::ImplicitOptions o;
  o.max_iterations = 2;
  const std::string solver = message(good, 0.02, o);
  CHECK(solver.find("conjugate gradients have a residual of") != std::string::npos);
  CHECK(solver.find("after 2 iterations; want <= 1e-10") != std::string::npos);
  o = {}, o.tolerance = 10; // whoever insists
  CHECK(message(rough, 0.02, o).empty());
}

TEST_CASE("ot/implicit: bits do not depend on the number of threads; float and the reference backend agree") {
  const index_t n = 150, m = 330;
  const auto c = random_matrix(33, n, m);
  const auto up = random_matrix(34, n, m);
  Tensor<float> cost(c.shape()), upstream(c.shape());
  std::transform(c.begin(), c.end(), cost.begin(), [](double v) { return static_cast<float>(v); });
  std::transform(up.begin(), up.end(), upstream.begin(), [](double v) { return static_cast<float>(v); });
  ot::SinkhornOptions o;
  o.epsilon = 0.1, o.tolerance = 1e-5;
  const auto run = [&](const auto& backend) {
    const auto potentials = ot::sinkhorn(backend, cost.view(), {}, {}, o);
    return ot::implicit_gradient(backend, cost.view(), {}, {}, potentials, o.epsilon, {upstream.view()});
  };
  const auto one = run(Cpu<float>(1)), two = run(Cpu<float>(2)), slow = run(Reference<float>());
  CHECK(one.a == two.a);
  CHECK(one.b == two.b);
  CHECK(std::equal(one.cost.begin(), one.cost.end(), two.cost.begin()));
  const auto solved = ot::sinkhorn(be, c.view(), {}, {}, options(0.1, 1e-12));
  const auto exact = ot::implicit_gradient(be, c.view(), {}, {}, solved, 0.1, {up.view()});
  double scale = 0, worst = 0, apart = 0;
  for (index_t k = 0; k < c.size(); ++k) {
    scale = std::max(scale, std::abs(exact.cost.data()[k]));
    worst = std::max(worst, std::abs(exact.cost.data()[k] - static_cast<double>(one.cost.data()[k])));
    apart = std::max(apart, static_cast<double>(std::abs(one.cost.data()[k] - slow.cost.data()[k])));
  }
  CHECK(worst < 1e-4 * scale); // float costs over epsilon, and Sinkhorn's tolerance
  CHECK(apart < 1e-4 * scale);
}

TEST_CASE("ot/implicit: bad input is refused") {
  const Problem problem{random_matrix(35, 3, 4), random_weights(36, 3), random_weights(37, 4), 0.3};
  const auto potentials = problem.solve().potentials;
  const auto gradient = [&](const ot::PlanLoss<double>& loss, double eps = 0.3, const Vector& a = {},
                            ot::ImplicitOptions o = {}) {
    return ot::implicit_gradient(be, problem.cost.view(), a.empty() ? problem.a : a, problem.b, potentials,
                                 eps, loss, o);
  };
  const Tensor<double> turned = random_matrix(38, 4, 3);
  CHECK_THROWS_WITH_AS((void)gradient({turned.view()}), "implicit gradient: dL/dP is [4,3]; want [3,4]",
                       ShapeError);
  const Vector three{1, 0, -1}, off{1, 1, 1}, four{1, 0, 0, 0};
  CHECK_THROWS_AS((void)gradient({{}, four, {}}), ShapeError);
  CHECK_THROWS_AS((void)gradient({{}, {}, three}), ShapeError);
  CHECK_THROWS_WITH_AS(
      (void)gradient({{}, off, four}),
      "implicit gradient: dL/df sums to 3, dL/dg to 1; want equal sums, as only f_i + g_j is "
      "determined",
      ValueError);
  const Vector nan{missing, 0, 0};
  CHECK_THROWS_AS((void)gradient({{}, nan, {}}), ValueError);
  Tensor<double> bad = random_matrix(39, 3, 4);
  bad(2, 1) = missing;
  CHECK_THROWS_WITH_AS((void)gradient({bad.view()}), "implicit gradient: dL/dP[2,1] = nan; want finite",
                       ValueError);
  CHECK_THROWS_AS((void)gradient({}, 0), ValueError);
  CHECK_THROWS_AS((void)gradient({}, 0.3, {1, 1}), ShapeError);
  CHECK_THROWS_AS((void)gradient({}, 0.3, {1, 1, 1}), ValueError); // another mass
  CHECK_THROWS_AS((void)gradient({}, 0.3, {0.5, -0.1, 0.6}), ValueError);
  ot::ImplicitOptions o;
  o.max_iterations = 0;
  CHECK_THROWS_AS((void)gradient({}, 0.3, {}, o), ValueError);
  o = {}, o.tolerance = -1;
  CHECK_THROWS_AS((void)gradient({}, 0.3, {}, o), ValueError);
  ot::SinkhornResult<double> short_one = potentials;
  short_one.f.pop_back();
  CHECK_THROWS_AS(
      (void)ot::implicit_gradient(be, problem.cost.view(), problem.a, problem.b, short_one, 0.3, {}),
      ShapeError);
}
