// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/low_rank.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

ot::LowRankOptions options(index_t rank) {
  ot::LowRankOptions o;
  o.rank = rank;
  return o;
}
ot::LowRankResult<double> transport(const Tensor<double>& x, const Tensor<double>& y, const Vector& a,
                                    const Vector& b, const ot::LowRankOptions& o) {
  return ot::low_rank_transport(be, x.view(), y.view(), a, b, o);
}
ot::LowRankResult<double> gromov(const Tensor<double>& x, const Tensor<double>& y, const Vector& a,
                                 const Vector& b, const ot::LowRankOptions& o) {
  return ot::low_rank_gromov(be, x.view(), y.view(), a, b, o);
}
Tensor<double> dense(const ot::LowRankResult<double>& plan) {
  Tensor<double> p(Shape{plan.q.rows(), plan.r.rows()});
  for (index_t i = 0; i < p.rows(); ++i)
    for (index_t j = 0; j < p.cols(); ++j)
      for (index_t k = 0; k < plan.q.cols(); ++k)
        p(i, j) += plan.q(i, k) * plan.r(j, k) / plan.g[static_cast<std::size_t>(k)];
  return p;
}
/// x^T y
Tensor<double> transposed_product(const Tensor<double>& x, const Tensor<double>& y) {
  Tensor<double> out(Shape{x.cols(), y.cols()});
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t k = 0; k < x.cols(); ++k)
      for (index_t l = 0; l < y.cols(); ++l) out(k, l) += x(i, k) * y(i, l);
  return out;
}
Tensor<double> turned(const Tensor<double>& x) {
  Tensor<double> out(Shape{x.cols(), x.rows()});
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t k = 0; k < x.cols(); ++k) out(k, i) = x(i, k);
  return out;
}
/// The largest difference of entries.
double farthest(const Tensor<double>& x, const Tensor<double>& y) {
  CHECK(x.shape() == y.shape());
  return std::transform_reduce(
      x.begin(), x.end(), y.begin(), 0.0, [](double u, double v) { return std::max(u, v); },
      [](double u, double v) { return std::abs(u - v); });
}
double cost_of(const Tensor<double>& x, const Tensor<double>& y, const Tensor<double>& p) {
  double sum = 0;
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t j = 0; j < y.rows(); ++j) sum += p(i, j) * squared_distance(x, i, y, j);
  return sum;
}
double exact(const Tensor<double>& x, const Tensor<double>& y, const Vector& a, const Vector& b) {
  return ot::exact_transport<double>(ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view()).view(),
                                     a, b)
      .value;
}
/// The largest relative error of the marginals of the factors and of the plan.
double marginal_error(const ot::LowRankResult<double>& r, const Vector& a, const Vector& b) {
  double worst = 0;
  const auto check = [&](double sum, double wanted) {
    worst = std::max(worst, std::abs(sum - wanted) / std::max(wanted, 1e-3));
  };
  const auto p = dense(r);
  for (index_t i = 0; i < p.rows(); ++i) {
    const double wanted = a[static_cast<std::size_t>(i)];
    check(std::accumulate(p.row(i), p.row(i) + p.cols(), 0.0), wanted);
    check(std::accumulate(r.q.row(i), r.q.row(i) + r.q.cols(), 0.0), wanted);
  }
  for (index_t j = 0; j < p.cols(); ++j) {
    double sum = 0;
    for (index_t i = 0; i < p.rows(); ++i) sum += p(i, j);
    check(sum, b[static_cast<std::size_t>(j)]);
    check(std::accumulate(r.r.row(j), r.r.row(j) + r.r.cols(), 0.0), b[static_cast<std::size_t>(j)]);
  }
  for (index_t k = 0; k < r.q.cols(); ++k)
    for (const auto* factor : {&r.q, &r.r}) {
      double sum = 0;
      for (index_t i = 0; i < factor->rows(); ++i) sum += (*factor)(i, k);
      check(sum, r.g[static_cast<std::size_t>(k)]);
    }
  return worst;
}
/// `count` points about each of `clusters` centres that are far apart, cluster after cluster.
Tensor<double> clustered(std::uint64_t seed, index_t clusters, index_t count, index_t d, double spread) {
  const auto centres = random_points(seed, clusters, d, 4);
  auto out = random_points(seed + 1, clusters * count, d, spread);
  for (index_t i = 0; i < out.rows(); ++i)
    for (index_t k = 0; k < d; ++k) out(i, k) += centres(i / count, k);
  return out;
}
/// An isometric copy in the plane of which point i is point `order(i)`.
template <class Order> Tensor<double> turned_copy(const Tensor<double>& x, Order&& order) {
  Tensor<double> y(x.shape());
  const double c = std::cos(0.7), s = std::sin(0.7);
  for (index_t i = 0; i < x.rows(); ++i) {
    const index_t j = order(i);
    y(j, 0) = 30 + c * x(i, 0) - s * x(i, 1), y(j, 1) = -7 - (s * x(i, 0) + c * x(i, 1)); // reflected
  }
  return y;
}
} // namespace

TEST_CASE(
    "ot/low_rank: the projection is the nearest in relative entropy of all that fulfil its conditions") {
  // The KKT conditions of a convex problem are sufficient: kernels times row and column factors, g the larger
  // of the bound and k exp(-l - u), and marginals that hold.
  const auto kx = random_points(1, 40, 4, 3), ky = random_points(2, 30, 4, 3);
  const Vector a = random_weights(3, 40), b = random_weights(4, 30);
  const ot::Weights<double> wa("a", a, 40), wb("b", b, 30);
  const Vector log_k{0, 1, -9, 2};
  for (double least : {1e-10, 0.05, 0.25}) {
    const ot::detail::Projector<Cpu<double>, double> project(be, wa, wb, least, 1e-12, 200);
    const auto to = project(kx.view(), ky.view(), log_k);
    CHECK(to.residual <= 1e-12);
    Vector columns_x(4, 0), columns_y(4, 0);
    const auto add = [](const Tensor<double>& kernel, const Vector& w, const Vector& shift, Vector& sum) {
      for (index_t i = 0; i < kernel.rows(); ++i) {
        Vector p(4);
        for (std::size_t k = 0; k < 4; ++k) p[k] = std::exp(kernel(i, static_cast<index_t>(k)) + shift[k]);
        const double all = std::accumulate(p.begin(), p.end(), 0.0);
        for (std::size_t k = 0; k < 4; ++k) sum[k] += w[static_cast<std::size_t>(i)] * p[k] / all;
      }
    };
    add(kx, a, to.x, columns_x), add(ky, b, to.y, columns_y);
    const double scale = 2; // the largest log k: k counts up to a factor
    for (std::size_t k = 0; k < 4; ++k) {
      const double g = std::max(least, std::exp(log_k[k] - scale - to.x[k] - to.y[k]));
      CHECK(std::exp(to.log_g[k]) == doctest::Approx(g).epsilon(1e-12));
      CHECK(columns_x[k] == doctest::Approx(g).epsilon(1e-10));
      CHECK(columns_y[k] == doctest::Approx(g).epsilon(1e-10));
    }
  }
}

TEST_CASE("ot/low_rank: the projection converges where the kernels are almost hard assignments") {
  // The kernels' entries differ by factors of e^100 and more.
  const auto kx = random_points(5, 300, 10, 100), ky = random_points(6, 400, 10, 100);
  const ot::Weights<double> wa("a", {}, 300), wb("b", {}, 400);
  const ot::detail::Projector<Cpu<double>, double> project(be, wa, wb, 1e-8, 1e-9, 200);
  Vector log_k;
  for (int k = 0; k < 10; ++k) log_k.push_back(-100 + 200 * k / 9.0);
  const auto to = project(kx.view(), ky.view(), log_k);
  CHECK(to.residual <= 1e-9);
  CHECK(to.iterations < 200);
}

TEST_CASE("ot/low_rank: slopes of the mirror step are those of finite differences") {
  // Of the objective as a function of free factors: Q, R and g need not be those of a plan.
  const index_t n = 7, m = 6, r = 3;
  const ot::Weights<double> wa("a", {}, n), wb("b", {}, m);
  const ot::detail::DescentOptions unused{1e-8, 1, 1e-6, 1e-9, 1, 1};
  const auto run = [&](const ot::detail::MomentObjective& objective, index_t p, index_t q) {
    const auto f = random_points(8, n, p), g = random_points(9, m, q);
    const ot::detail::LowRankDescent<Cpu<double>, double> descent(be, f.view(), g.view(), wa, wb, objective,
                                                                  unused);
    auto left = random_points(10, n, r), right = random_points(11, m, r);
    for (auto* t : {&left, &right})
      for (double& v : *t) v = std::exp(0.5 * v) / 20;
    Vector weight{0.2, 0.5, 0.3};
    const auto at = [&] {
      ot::detail::LogFactors<double> out;
      for (double w : weight) out.log_g.push_back(std::log(w));
      out.mean_x = transposed_product(left, f), out.mean_y = transposed_product(right, g);
      descent.evaluate(out);
      return out;
    };
    const auto slopes = descent.slopes(at());
    const auto gradient = [](const Tensor<double>& features, const Tensor<double>& slope, index_t i,
                             index_t k) {
      double sum = 0;
      for (index_t c = 0; c < features.cols(); ++c) sum += features(i, c) * slope(c, k);
      return sum;
    };
    const auto check = [&](double& v, double slope) {
      const double before = v, h = 1e-5;
      v = before + h;
      const double up = at().value;
      v = before - h;
      const double down = at().value;
      v = before;
      CHECK(slope == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6).scale(1));
    };
    for (index_t k = 0; k < r; ++k) {
      for (index_t i = 0; i < n; ++i) check(left(i, k), gradient(f, slopes.x, i, k));
      for (index_t j = 0; j < m; ++j) check(right(j, k), gradient(g, slopes.y, j, k));
      check(weight[static_cast<std::size_t>(k)], slopes.g[static_cast<std::size_t>(k)]);
    }
  };
  run(ot::detail::TransportObjective{3}, 2, 2);
  run(ot::detail::GromovObjective{5}, 3, 4);
}

TEST_CASE("ot/low_rank: value, marginals and residual are those of the plan by their definition") {
  auto x = random_points(12, 20, 2), y = random_points(13, 15, 2);
  for (double& v : y) v += 40; // far from centred
  Vector a = random_weights(14, 20);
  const Vector b = random_weights(15, 15);
  a[3] += a[7], a[7] = 0; // a point without weight
  for (auto start : {ot::LowRankStart::clusters, ot::LowRankStart::random})
    for (index_t rank : {1, 3, 15}) {
      auto o = options(rank);
      o.start = start;
      const auto linear = transport(x, y, a, b, o);
      CHECK(linear.value == doctest::Approx(cost_of(x, y, dense(linear))).epsilon(1e-10));
      CHECK(marginal_error(linear, a, b) < 1e-12);
      CHECK(linear.residual < 1e-12);
      const auto quadratic = gromov(x, y, a, b, o);
      CHECK(quadratic.value == doctest::Approx(squared_distortion(x, y, dense(quadratic))).epsilon(1e-10));
      CHECK(marginal_error(quadratic, a, b) < 1e-12);
      CHECK(quadratic.residual < 1e-12);
      for (const auto* plan : {&linear, &quadratic}) {
        CHECK(*std::min_element(plan->q.begin(), plan->q.end()) >= 0);
        CHECK(*std::min_element(plan->r.begin(), plan->r.end()) >= 0);
        CHECK(*std::min_element(plan->g.begin(), plan->g.end()) > 0);
      }
      if (rank == 1) { // the product plan
        CHECK(linear.q(2, 0) == doctest::Approx(a[2]));
        CHECK(linear.r(2, 0) == doctest::Approx(b[2]));
      }
    }
  const auto z = random_points(16, 9, 3); // other coordinates
  const auto r = gromov(x, z, a, random_weights(17, 9), options(4));
  CHECK(r.value == doctest::Approx(squared_distortion(x, z, dense(r))).epsilon(1e-10));
}

TEST_CASE(
    "ot/low_rank: the value bounds exact transport, comes closer with the rank and meets it at full rank") {
  const auto x = random_points(18, 12, 2), y = random_points(19, 18, 2);
  const Vector a = random_weights(20, 12), b = random_weights(21, 18);
  const double best = exact(x, y, a, b);
  auto o = options(1);
  o.tolerance = 1e-7;
  double before = std::numeric_limits<double>::infinity();
  for (index_t rank : {1, 2, 4, 12}) {
    o.rank = rank;
    const auto r = transport(x, y, a, b, o);
    CHECK(r.value >= best * (1 - 1e-12));
    CHECK(r.value < before);
    before = r.value;
  }
  // The descent is local: 1 per cent is what it may miss, 0.1 per cent what is seen here.
  CHECK(before < 1.01 * best);
  // With as many points on both sides the start already finds the permutation.
  const auto z = random_points(22, 12, 2);
  o.rank = 12;
  CHECK(transport(x, z, {}, {}, o).value == doctest::Approx(exact(x, z, {}, {})).epsilon(1e-5));
}

TEST_CASE("ot/low_rank: random starts descend to values like those of clusters") {
  const auto x = clustered(23, 4, 25, 2, 0.3), y = clustered(25, 4, 25, 2, 0.3);
  auto o = options(4);
  const double clusters = transport(x, y, {}, {}, o).value,
               product = transport(x, y, {}, {}, options(1)).value;
  o.start = ot::LowRankStart::random;
  double least = product;
  for (o.seed = 1; o.seed <= 3; ++o.seed) {
    const auto r = transport(x, y, {}, {}, o);
    CHECK(r.converged);
    CHECK(r.value < product);
    least = std::min(least, r.value);
  }
  CHECK(least == doctest::Approx(clusters).epsilon(0.02)); // a local minimum at the worst
}

TEST_CASE("ot/low_rank: of several starts the best is kept") {
  const auto x = clustered(31, 6, 10, 2, 0.3), y = clustered(32, 6, 9, 2, 0.3);
  auto o = options(4);
  o.start = ot::LowRankStart::random, o.trial_iterations = 100;
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (o.seed = 1; o.seed <= 6; ++o.seed) {
    const double value = gromov(x, y, {}, {}, o).value;
    least = std::min(least, value), most = std::max(most, value);
  }
  CHECK(least < 0.99 * most); // single starts end in different minima
  o.seed = 1, o.starts = 8;
  const auto several = gromov(x, y, {}, {}, o);
  CHECK(several.converged);
  CHECK(several.value < 0.5 * (least + most));
  CHECK(gromov(x, y, {}, {}, o).value == several.value);
  o.starts = 0;
  CHECK_THROWS_WITH_AS(std::ignore = gromov(x, y, {}, {}, o),
                       "low-rank gromov: 0 starts of 100 iterations; want >= 1 of each", ValueError);
}

TEST_CASE("ot/low_rank: longer runs never have a worse objective") {
  const auto x = random_points(27, 60, 2), y = random_points(28, 50, 3);
  double before = std::numeric_limits<double>::infinity();
  for (int iterations : {1, 2, 4, 8, 16, 32}) {
    auto o = options(5);
    o.max_iterations = iterations, o.tolerance = 1e-9;
    const auto r = gromov(x, y, {}, {}, o);
    CHECK(!r.converged); // and says so
    CHECK(r.iterations == iterations);
    CHECK(r.value <= before * (1 + 1e-9));
    before = r.value;
  }
}

TEST_CASE("ot/low_rank: well separated clusters of a turned and permuted cloud find each other") {
  constexpr index_t clusters = 5, count = 20;
  const auto x = clustered(30, clusters, count, 2, 0.1);
  const auto order = [&](index_t i) { return (7 * i + 3) % (clusters * count); };
  const auto y = turned_copy(x, order);
  const auto r = gromov(x, y, {}, {}, options(clusters));
  CHECK(r.converged);
  const auto p = dense(r);
  const double spread = gromov(x, y, {}, {}, options(1)).value;
  CHECK(r.value < 0.01 * spread);
  for (index_t i = 0; i < x.rows(); ++i) {
    double own = 0;
    for (index_t k = 0; k < x.rows(); ++k)
      if (k / count == i / count) own += p(i, order(k));
    CHECK(own * static_cast<double>(x.rows()) > 0.99);
  }
}

TEST_CASE("ot/low_rank: isometric copies have distortion 0 at the rank of their distinct points") {
  const auto x = random_points(32, 6, 2, 2);
  const auto y = turned_copy(x, [](index_t i) { return (5 * i + 3) % 6; });
  auto o = options(6);
  o.tolerance = 1e-8;
  const double product = gromov(x, y, {}, {}, options(1)).value;
  const auto r = gromov(x, y, {}, {}, o);
  CHECK(r.value > -1e-9 * product);
  CHECK(r.value < 1e-4 * product);
  // Every point twice: rank 6 is still enough.
  Tensor<double> twice_x(Shape{12, 2}), twice_y(Shape{12, 2});
  for (index_t i = 0; i < 12; ++i)
    for (index_t k = 0; k < 2; ++k) twice_x(i, k) = x(i / 2, k), twice_y(i, k) = y(i % 6, k);
  CHECK(gromov(twice_x, twice_y, {}, {}, o).value < 1e-4 * product);
  // More ranks than distinct points begin at random.
  o.rank = 9;
  const auto more = gromov(twice_x, twice_y, {}, {}, o);
  CHECK(more.value < product);
  CHECK(marginal_error(more, Vector(12, 1.0 / 12), Vector(12, 1.0 / 12)) < 1e-12);
}

TEST_CASE("ot/low_rank: products with the plan and the barycentric map are those of the dense plan") {
  const auto x = random_points(34, 25, 2), y = random_points(35, 20, 2), v = random_points(36, 20, 3),
             u = random_points(37, 25, 4);
  Vector a = random_weights(38, 25);
  a[4] = 0;
  const double sum = std::accumulate(a.begin(), a.end(), 0.0);
  for (double& w : a) w *= 3 / sum; // mass 3
  Vector b = random_weights(39, 20);
  for (double& w : b) w *= 3;
  const auto r = transport(x, y, a, b, options(5));
  const auto p = dense(r);
  CHECK(r.value == doctest::Approx(cost_of(x, y, p)).epsilon(1e-10));
  CHECK(marginal_error(r, a, b) < 1e-12);
  CHECK(farthest(ot::apply_plan(be, r, v.view()), transposed_product(turned(p), v)) < 1e-13);
  CHECK(farthest(ot::apply_plan_transposed(be, r, u.view()), transposed_product(p, u)) < 1e-13);
  Tensor<double> wanted = transposed_product(turned(p), y);
  const Tensor<double> mean = transposed_product(Tensor<double>(Shape{20, 1}, b), y);
  for (index_t i = 0; i < 25; ++i)
    for (index_t k = 0; k < 2; ++k)
      wanted(i, k) =
          a[static_cast<std::size_t>(i)] > 0 ? wanted(i, k) / a[static_cast<std::size_t>(i)] : mean(0, k) / 3;
  CHECK(farthest(ot::barycentric_map(be, r, y.view()), wanted) < 1e-12);
  CHECK_THROWS_AS(std::ignore = ot::apply_plan(be, r, x.view()), ShapeError);
  CHECK_THROWS_AS(std::ignore = ot::apply_plan_transposed(be, r, y.view()), ShapeError);
}

TEST_CASE("ot/low_rank: scale and place of the clouds change the value as they change the cost") {
  const auto x = random_points(40, 40, 2), y = random_points(41, 30, 2);
  auto far_x = x, far_y = y;
  for (auto* t : {&far_x, &far_y})
    for (double& v : *t) v = 1000 * v + 5e4;
  const double tight = 1e-7; // centring at a distance of 50 takes the last digits
  CHECK(transport(far_x, far_y, {}, {}, options(4)).value ==
        doctest::Approx(1e6 * transport(x, y, {}, {}, options(4)).value).epsilon(tight));
  CHECK(gromov(far_x, far_y, {}, {}, options(4)).value ==
        doctest::Approx(1e12 * gromov(x, y, {}, {}, options(4)).value).epsilon(tight));
  const auto r = transport(x, y, Vector(40, 1.5), Vector(30, 2), options(4)); // mass 60
  CHECK(r.value == doctest::Approx(60 * transport(x, y, {}, {}, options(4)).value).epsilon(1e-9));
}

TEST_CASE("ot/low_rank: float and the reference backend agree with double; threads change no bit") {
  // Clouds whose plan no rounding leads into another basin: of those of seed 42 double found one of two.
  const auto x = clustered(142, 6, 200, 3, 0.5), y = clustered(144, 6, 150, 3, 0.5);
  const auto narrow = [](const Tensor<double>& t) {
    Tensor<float> out(t.shape());
    std::transform(t.begin(), t.end(), out.begin(), [](double v) { return static_cast<float>(v); });
    return out;
  };
  const auto fx = narrow(x), fy = narrow(y);
  auto o = options(6);
  o.max_iterations = 40;
  const Cpu<float> one(1), many(2);
  for (bool quadratic : {false, true}) {
    const auto run = [&](const Cpu<float>& threads) {
      return quadratic ? ot::low_rank_gromov(threads, fx.view(), fy.view(), {}, {}, o)
                       : ot::low_rank_transport(threads, fx.view(), fy.view(), {}, {}, o);
    };
    const auto a = run(one), b = run(many);
    CHECK(std::equal(a.q.begin(), a.q.end(), b.q.begin()));
    CHECK(std::equal(a.r.begin(), a.r.end(), b.r.begin()));
    CHECK(a.g == b.g);
    CHECK(a.value == b.value);
    CHECK(a.residual < 1e-5); // sums of 1200 numbers rounded to 6e-8
    const auto wide = quadratic ? gromov(x, y, {}, {}, o) : transport(x, y, {}, {}, o);
    CHECK(a.value == doctest::Approx(wide.value).epsilon(1e-3)); // the same minimum, to its tolerance
  }
  o.max_iterations = 10;
  const auto small_x = random_points(46, 30, 2), small_y = random_points(47, 20, 2);
  const auto r = ot::low_rank_transport(Reference<double>{}, small_x.view(), small_y.view(), {}, {}, o);
  CHECK(r.value == doctest::Approx(transport(small_x, small_y, {}, {}, o).value).epsilon(1e-8));
}

TEST_CASE("ot/low_rank: clouds of 2000 points in float") {
  const auto x = clustered(48, 10, 200, 4, 0.7), y = clustered(50, 10, 200, 4, 0.7);
  Tensor<float> fx(x.shape()), fy(y.shape());
  std::transform(x.begin(), x.end(), fx.begin(), [](double v) { return static_cast<float>(v); });
  std::transform(y.begin(), y.end(), fy.begin(), [](double v) { return static_cast<float>(v); });
  auto o = options(10);
  o.tolerance = 1e-4;
  const auto r = ot::low_rank_transport(Cpu<float>(2), fx.view(), fy.view(), {}, {}, o);
  CHECK(r.converged);
  CHECK(r.residual < 1e-5);
}

TEST_CASE("ot/low_rank: points that are all the same, and single points, have what transport there is") {
  Tensor<double> same(Shape{5, 2}), point({1, 2}, {3, 4});
  for (double& v : same) v = 2;
  CHECK(transport(same, same, {}, {}, options(2)).value == doctest::Approx(0).scale(1));
  CHECK(gromov(same, same, {}, {}, options(2)).value == doctest::Approx(0).scale(1));
  const auto r = transport(point, same, {}, {}, options(1));
  CHECK(r.value == doctest::Approx(1 + 4)); // (3, 4) to (2, 2)
  CHECK(r.converged);
  CHECK(gromov(point, random_points(51, 4, 3), {}, {}, options(1)).converged);
}

TEST_CASE("ot/low_rank: what cannot be solved is refused by name") {
  const auto x = random_points(52, 6, 2);
  auto y = random_points(53, 8, 2);
  CHECK_THROWS_WITH_AS(std::ignore = transport(x, y, {}, {}, options(7)),
                       "low-rank transport: rank = 7; want 1 to 6, the size of the smaller cloud",
                       ValueError);
  CHECK_THROWS_AS(std::ignore = gromov(x, y, {}, {}, options(0)), ValueError);
  auto o = options(4);
  o.least_weight = 0.3;
  CHECK_THROWS_WITH_AS(std::ignore = gromov(x, y, {}, {}, o),
                       "low-rank gromov: least_weight = 0.3; want > 0 and at most 1 / 4, one over the rank",
                       ValueError);
  o.least_weight = 0.25; // all g are 1 / 4
  for (double g : transport(x, y, {}, {}, o).g) CHECK(g == doctest::Approx(0.25).epsilon(1e-6));
  o = options(2), o.least_weight = 0;
  CHECK_THROWS_AS(std::ignore = transport(x, y, {}, {}, o), ValueError);
  o = options(2), o.step = 0;
  CHECK_THROWS_AS(std::ignore = transport(x, y, {}, {}, o), ValueError);
  o = options(2), o.tolerance = -1;
  CHECK_THROWS_AS(std::ignore = transport(x, y, {}, {}, o), ValueError);
  o = options(2), o.max_iterations = 0;
  CHECK_THROWS_AS(std::ignore = transport(x, y, {}, {}, o), ValueError);
  CHECK_THROWS_AS(std::ignore = transport(x, random_points(54, 8, 3), {}, {}, options(2)), ShapeError);
  CHECK_THROWS_AS(std::ignore = transport(x, y, {1, 2}, {}, options(2)), ShapeError);
  CHECK_THROWS_AS(std::ignore = transport(x, y, Vector(6, 1.0), Vector(8, 1.0), options(2)), ValueError);
  CHECK_THROWS_AS(std::ignore = gromov(x, Tensor<double>(Shape{0, 2}), {}, {}, options(2)), ShapeError);
  y(1, 1) = missing;
  CHECK_THROWS_WITH_AS(std::ignore = gromov(x, y, {}, {}, options(2)),
                       "ot: low-rank gromov: y[1,1] = nan; want finite", ValueError);
}
