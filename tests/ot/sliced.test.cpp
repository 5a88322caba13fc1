// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/sliced.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);

Tensor<double> directions(index_t count, index_t d) {
  return ot::random_directions<double>(Rng(99), count, d);
}
ot::SlicedResult<double> sliced(const Tensor<double>& x, const Tensor<double>& y, const Vector& a,
                                const Vector& b, const Tensor<double>& u, double p = 2) {
  return ot::sliced_wasserstein(be, x.view(), y.view(), a, b, u.view(), p);
}
ot::SlicedResult<double> gromov(const Tensor<double>& x, const Tensor<double>& y, const Vector& a,
                                const Vector& b, const Tensor<double>& u) {
  return ot::sliced_gromov(be, x.view(), y.view(), a, b, u.view());
}
Vector projected(const Tensor<double>& x, const Tensor<double>& u, index_t l) {
  Vector out(static_cast<std::size_t>(x.rows()), 0);
  for (index_t i = 0; i < x.rows(); ++i)
    for (index_t k = 0; k < x.cols(); ++k) out[static_cast<std::size_t>(i)] += x(i, k) * u(l, k);
  return out;
}
/// Compares gradients with central differences, relative to the largest entry.
template <class Value>
void check_gradient(Tensor<double>& points, const Tensor<double>& gradient, Value&& value) {
  double scale = 0;
  for (double g : gradient) scale = std::max(scale, std::abs(g));
  for (index_t k = 0; k < points.size(); ++k) {
    double& v = points.data()[k];
    const double at = v, h = 1e-5;
    v = at + h;
    const double up = value();
    v = at - h;
    const double down = value();
    v = at;
    CHECK(std::abs(gradient.data()[k] - (up - down) / (2 * h)) <= 1e-6 * scale);
  }
}
double line_distortion(const Vector& x, const Vector& y, const std::vector<std::size_t>& order) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t k = 0; k < x.size(); ++k)
      sum += std::pow(std::pow(x[i] - x[k], 2) - std::pow(y[order[i]] - y[order[k]], 2), 2);
  return sum / static_cast<double>(x.size() * x.size());
}
double best_permutation(const Vector& x, const Vector& y) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0u);
  double best = 1e300;
  do best = std::min(best, line_distortion(x, y, order));
  while (std::next_permutation(order.begin(), order.end()));
  return best;
}
} // namespace

TEST_CASE("ot/sliced: directions are unit vectors, isotropic, and fewer are the first of more") {
  const auto u = directions(4000, 3), few = directions(10, 3);
  double second[3] = {0, 0, 0}, mixed = 0;
  for (index_t l = 0; l < u.rows(); ++l) {
    CHECK(std::abs(u(l, 0) * u(l, 0) + u(l, 1) * u(l, 1) + u(l, 2) * u(l, 2) - 1) < 1e-14);
    for (index_t k = 0; k < 3; ++k) second[k] += u(l, k) * u(l, k) / 4000;
    mixed += u(l, 0) * u(l, 1) / 4000;
  }
  // var(u_k^2) = 4/45, var(u_0 u_1) = 1/15: standard errors 0.0047 and 0.0041, four of them allowed.
  for (double s : second) CHECK(std::abs(s - 1.0 / 3) < 0.019);
  CHECK(std::abs(mixed) < 0.017);
  for (index_t k = 0; k < few.size(); ++k) CHECK(few.data()[k] == u.data()[k]);
}

TEST_CASE("ot/sliced: each direction's value is the transport of its projections on the line") {
  const auto x = random_points(1, 40, 4), y = random_points(2, 27, 4, 2);
  const Vector a = random_weights(3, 40), b = random_weights(4, 27);
  const auto u = directions(70, 4); // more than two blocks of directions
  for (double p : {1.0, 1.5, 2.0}) {
    const auto r = sliced(x, y, a, b, u, p);
    double mean = 0, square = 0;
    for (index_t l = 0; l < 70; ++l) {
      const double line = ot::line_transport<double>(projected(x, u, l), projected(y, u, l), a, b, p).value;
      CHECK(r.values[static_cast<std::size_t>(l)] == doctest::Approx(line).epsilon(1e-12));
      mean += line / 70, square += line * line / 70;
    }
    CHECK(r.value == doctest::Approx(mean).epsilon(1e-12));
    CHECK(r.standard_error == doctest::Approx(std::sqrt((square - mean * mean) / 69)).epsilon(1e-9));
    CHECK(r.values[static_cast<std::size_t>(r.largest)] ==
          *std::max_element(r.values.begin(), r.values.end()));
  }
}

TEST_CASE("ot/sliced: in one dimension it is transport on the line, without any scatter") {
  const auto x = random_points(5, 20, 1), y = random_points(6, 15, 1);
  const Vector a = random_weights(7, 20), b = random_weights(8, 15);
  const auto r = sliced(x, y, a, b, directions(5, 1), 1.5);
  const auto line =
      ot::line_transport<double>(Vector(x.begin(), x.end()), Vector(y.begin(), y.end()), a, b, 1.5);
  CHECK(r.value == doctest::Approx(line.value).epsilon(1e-13));
  CHECK(r.standard_error == 0);
  CHECK(sliced(x, y, a, b, directions(1, 1)).standard_error == 0);
  for (index_t i = 0; i < 20; ++i)
    CHECK(r.dx(i, 0) == doctest::Approx(line.dx[static_cast<std::size_t>(i)]).epsilon(1e-12));
  for (index_t j = 0; j < 15; ++j)
    CHECK(r.dy(j, 0) == doctest::Approx(line.dy[static_cast<std::size_t>(j)]).epsilon(1e-12));
}

TEST_CASE("ot/sliced: a shift by v costs |v|^2 / d in the mean and at most |v|^2") {
  const index_t d = 5;
  const auto x = random_points(9, 30, d);
  Tensor<double> y = x;
  const double v[5] = {1, -2, 0.5, 0, 3};
  double square = 0;
  for (double s : v) square += s * s;
  for (index_t i = 0; i < 30; ++i)
    for (index_t k = 0; k < d; ++k) y(i, k) += v[k];
  const auto u = directions(2000, d);
  const auto r = sliced(x, y, {}, {}, u);
  CHECK(std::abs(r.value - square / static_cast<double>(d)) < 3 * r.standard_error);
  // |v|^4 times the variance of u_1^2, 2 (d - 1) / (d^2 (d + 2)), over 2000 draws; its own error is a few per
  // cent.
  CHECK(r.standard_error == doctest::Approx(square * std::sqrt(8.0 / (25 * 7) / 2000)).epsilon(0.1));
  // Along v itself the whole distance is seen.
  Tensor<double> with_v(Shape{51, d});
  std::copy_n(u.begin(), 50 * d, with_v.begin());
  for (index_t k = 0; k < d; ++k) with_v(50, k) = v[k] / std::sqrt(square);
  const auto most = ot::max_sliced_wasserstein(be, x.view(), y.view(), {}, {}, with_v.view());
  CHECK(most.value == doctest::Approx(square).epsilon(1e-12));
  CHECK(most.largest == 50);
  CHECK(most.standard_error == 0);
  for (index_t i = 0; i < 30; ++i)
    for (index_t k = 0; k < d; ++k)
      CHECK(most.dx(i, k) == doctest::Approx(-2 * v[k] / 30).epsilon(1e-11).scale(1e-3));
}

TEST_CASE("ot/sliced: no direction is worth more than transport in space") {
  const auto x = random_points(10, 25, 3), y = random_points(11, 25, 3, 1.5);
  const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
  const double space = ot::exact_transport<double>(cost.view(), {}, {}).value;
  const auto most = ot::max_sliced_wasserstein(be, x.view(), y.view(), {}, {}, directions(500, 3).view());
  CHECK(most.value < space);
  CHECK(most.value > sliced(x, y, {}, {}, directions(500, 3)).value);
}

TEST_CASE("ot/sliced: gradients are those of finite differences") {
  auto x = random_points(12, 6, 3), y = random_points(13, 5, 3, 2);
  const Vector a = random_weights(14, 6), b = random_weights(15, 5);
  const auto u = directions(40, 3);
  for (double p : {1.0, 1.5, 2.0, 3.0}) {
    CAPTURE(p);
    const auto r = sliced(x, y, a, b, u, p);
    check_gradient(x, r.dx, [&] { return sliced(x, y, a, b, u, p).value; });
    check_gradient(y, r.dy, [&] { return sliced(x, y, a, b, u, p).value; });
    const auto largest = [&] {
      return ot::max_sliced_wasserstein(be, x.view(), y.view(), a, b, u.view(), p);
    };
    const auto most = largest();
    check_gradient(x, most.dx, [&] { return largest().value; });
    check_gradient(y, most.dy, [&] { return largest().value; });
  }
}

TEST_CASE("ot/sliced: the same bits for any number of threads; the reference and float agree") {
  const auto x = random_points(16, 150, 6), y = random_points(17, 120, 6);
  const auto u = directions(50, 6);
  const auto one = sliced(x, y, {}, {}, u);
  const Cpu<double> three(3);
  const auto many = ot::sliced_wasserstein(three, x.view(), y.view(), {}, {}, u.view());
  CHECK(many.value == one.value);
  CHECK(std::equal(one.dx.begin(), one.dx.end(), many.dx.begin()));
  CHECK(std::equal(one.dy.begin(), one.dy.end(), many.dy.begin()));
  const auto reference = ot::sliced_wasserstein(Reference<double>(), x.view(), y.view(), {}, {}, u.view());
  CHECK(reference.value == doctest::Approx(one.value).epsilon(1e-12));

  Tensor<float> fx(x.shape()), fy(y.shape()), fu(u.shape()), far(x.shape()), far_y(y.shape());
  const auto round = [](double v) { return static_cast<float>(v); };
  std::transform(x.begin(), x.end(), fx.begin(), round),
      std::transform(y.begin(), y.end(), fy.begin(), round);
  std::transform(u.begin(), u.end(), fu.begin(), round);
  const auto single = ot::sliced_wasserstein(Cpu<float>(1), fx.view(), fy.view(), {}, {}, fu.view());
  CHECK(single.value == doctest::Approx(one.value).epsilon(1e-5));
  for (index_t k = 0; k < x.size(); ++k)
    CHECK(static_cast<double>(single.dx.data()[k]) ==
          doctest::Approx(one.dx.data()[k]).epsilon(1e-4).scale(1e-2));
  // Coordinates around 1000 are rounded to 6e-5, which is all that may be lost.
  for (index_t k = 0; k < x.size(); ++k) far.data()[k] = fx.data()[k] + 1000;
  for (index_t k = 0; k < y.size(); ++k) far_y.data()[k] = fy.data()[k] + 1000;
  CHECK(ot::sliced_wasserstein(Cpu<float>(1), far.view(), far_y.view(), {}, {}, fu.view()).value ==
        doctest::Approx(one.value).epsilon(1e-4));
}

TEST_CASE("ot/sliced: points without weight are as good as absent; a single point meets all") {
  const auto x = random_points(18, 6, 2), y = random_points(19, 5, 2);
  const auto u = directions(20, 2);
  Tensor<double> less(Shape{4, 2});
  std::copy_n(x.begin(), 8, less.begin());
  const auto with = sliced(x, y, {0.25, 0.25, 0.25, 0.25, 0, 0}, {}, u);
  CHECK(with.value == doctest::Approx(sliced(less, y, {}, {}, u).value).epsilon(1e-12));
  for (index_t k = 0; k < 2; ++k) CHECK(with.dx(5, k) == 0);
  CHECK(gromov(x, y, {0.25, 0.25, 0.25, 0.25, 0, 0}, {}, u).value ==
        doctest::Approx(gromov(less, y, {}, {}, u).value).epsilon(1e-11));
  const auto point = random_points(20, 1, 2);
  double expected = 0;
  for (index_t l = 0; l < 20; ++l)
    for (double v : projected(y, u, l)) expected += std::pow(v - projected(point, u, l)[0], 2) / 100;
  CHECK(sliced(point, y, {}, {}, u).value == doctest::Approx(expected).epsilon(1e-12));
  CHECK(gromov(point, point, {}, {}, u).value == 0);
}

TEST_CASE("ot/sliced: Gromov-Wasserstein on the line is the best permutation") {
  // Cases in which a monotone plan is optimal (all of these; see the next case for one where it is not).
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto x = random_points(seed, 7, 1), y = random_points(seed + 100, 7, 1, 0.7);
    const double best = best_permutation(Vector(x.begin(), x.end()), Vector(y.begin(), y.end()));
    CAPTURE(seed);
    CHECK(gromov(x, y, {}, {}, directions(1, 1)).value == doctest::Approx(best).epsilon(1e-11));
  }
}

TEST_CASE("ot/sliced: where neither monotone plan is optimal the value is an upper bound") {
  // One outlying point on one side, two on the other (after Beinert, Heiss, Steidl 2022): a cyclic shift is
  // better.
  const double e = 0.01;
  const Tensor<double> x(Shape{7, 1}, {-1, -2 * e, -e, 0, e, 2 * e, 1}),
      y(Shape{7, 1}, {-1, -1 + e, e, 2 * e, 3 * e, 4 * e, 5 * e});
  const double best = best_permutation(Vector(x.begin(), x.end()), Vector(y.begin(), y.end()));
  const double value = gromov(x, y, {}, {}, directions(1, 1)).value;
  CHECK(value > 1.05 * best); // 0.714 and 0.655
  std::vector<std::size_t> order(7);
  std::iota(order.begin(), order.end(), 0u);
  const Vector vx(x.begin(), x.end()), vy(y.begin(), y.end());
  const double kept = line_distortion(vx, vy, order);
  std::reverse(order.begin(), order.end());
  CHECK(value == doctest::Approx(std::min(kept, line_distortion(vx, vy, order))).epsilon(1e-12));
}

TEST_CASE("ot/sliced: Gromov-Wasserstein has the value of its plan for any weights") {
  // The plan that keeps the order and the one that reverses it, by definition.
  const auto x = random_points(21, 9, 1), y = random_points(22, 6, 1);
  const Vector a = random_weights(23, 9), b = random_weights(24, 6), vx(x.begin(), x.end());
  double best = 1e300;
  for (double sign : {1.0, -1.0}) {
    Vector vy(y.begin(), y.end());
    for (double& v : vy) v *= sign;
    const auto line = ot::line_transport<double>(vx, vy, a, b);
    double sum = 0;
    for (const auto& s : line.plan)
      for (const auto& t : line.plan)
        sum += s.mass * t.mass *
               std::pow(std::pow(x(s.from, 0) - x(t.from, 0), 2) - std::pow(y(s.to, 0) - y(t.to, 0), 2), 2);
    best = std::min(best, sum);
  }
  CHECK(gromov(x, y, a, b, directions(1, 1)).value == doctest::Approx(best).epsilon(1e-12));
}

TEST_CASE("ot/sliced: Gromov-Wasserstein is zero for copies that are moved and reflected through a point") {
  for (index_t d : {1, 4}) {
    const auto x = random_points(25, 50, d);
    const auto u = directions(30, d);
    for (double sign : {1.0, -1.0}) {
      Tensor<double> y(x.shape());
      for (index_t i = 0; i < 50; ++i)
        for (index_t k = 0; k < d; ++k)
          y((7 * i + 3) % 50, k) = 100 + 3 * static_cast<double>(k) + sign * x(i, k);
      const auto r = gromov(x, y, {}, {}, u);
      CHECK(r.value >= 0);
      CHECK(r.value < 1e-24); // the square of what rounding at 100 leaves of differences
      for (double g : r.dx) CHECK(std::abs(g) < 1e-12);
    }
  }
  // 1-D normals: 12 (s^2 - t^2)^2 for a linear map between them (Delon et al. 2022): E of x and x / 2 is
  // (3/4)^2 sum |x_i - x_k|^4.
  const auto x = random_points(26, 40, 1);
  Tensor<double> half = x;
  double fourth = 0;
  for (double& v : half) v /= 2;
  for (double u : x)
    for (double v : x) fourth += std::pow(u - v, 4) / 1600;
  CHECK(gromov(x, half, {}, {}, directions(1, 1)).value == doctest::Approx(9.0 / 16 * fourth).epsilon(1e-12));
}

TEST_CASE("ot/sliced: Gromov-Wasserstein between dimensions pads with zeros") {
  const auto x = random_points(27, 20, 2), y = random_points(28, 15, 3);
  Tensor<double> padded(Shape{20, 3});
  for (index_t i = 0; i < 20; ++i) padded(i, 0) = x(i, 0), padded(i, 1) = x(i, 1);
  const auto u = directions(40, 3);
  const auto r = gromov(x, y, {}, {}, u), full = gromov(padded, y, {}, {}, u);
  CHECK(r.value == doctest::Approx(full.value).epsilon(1e-12));
  CHECK(r.dx.shape() == Shape{20, 2});
  for (index_t i = 0; i < 20; ++i) CHECK(r.dx(i, 1) == doctest::Approx(full.dx(i, 1)).epsilon(1e-10));
  CHECK(gromov(y, x, {}, {}, u).value == doctest::Approx(r.value).epsilon(1e-11));
}

TEST_CASE("ot/sliced: gradients of Gromov-Wasserstein are those of finite differences") {
  auto x = random_points(29, 6, 2), y = random_points(30, 6, 3);
  const auto u = directions(25, 3);
  for (const bool weighted : {false, true}) {
    const Vector a = weighted ? random_weights(31, 6) : Vector(6, 1.0 / 6),
                 b = weighted ? random_weights(32, 6) : a;
    const auto r = gromov(x, y, a, b, u);
    check_gradient(x, r.dx, [&] { return gromov(x, y, a, b, u).value; });
    check_gradient(y, r.dy, [&] { return gromov(x, y, a, b, u).value; });
  }
}

TEST_CASE("ot/sliced: what cannot be solved is refused by name") {
  const auto x = random_points(33, 4, 2), y = random_points(34, 5, 3);
  auto u = directions(3, 2);
  CHECK_THROWS_WITH_AS(std::ignore = sliced(x, y, {}, {}, u),
                       "sliced wasserstein: x is [4,2], y is [5,3]; want equal last axes", ShapeError);
  CHECK_THROWS_WITH_AS(std::ignore = gromov(x, y, {}, {}, u),
                       "sliced gromov: directions are [3,2]; want [1 or more, 3]", ShapeError);
  CHECK_THROWS_WITH_AS(std::ignore = sliced(x, x, {}, {}, u, 0.5),
                       "sliced wasserstein: p = 0.5; want finite and >= 1", ValueError);
  CHECK_THROWS_AS(std::ignore = sliced(x, x, {1, 1, 1, 1}, {}, u), ValueError);
  CHECK_THROWS_AS(std::ignore = sliced(x, x, {1, 1, 1}, {}, u), ShapeError);
  CHECK_THROWS_AS((std::ignore = ot::random_directions<double>(Rng(1), 0, 3)), ShapeError);
  const Tensor<double> nobody(Shape{0, 2});
  CHECK_THROWS_AS(std::ignore = sliced(nobody, x, {}, {}, u), ShapeError);
  auto bad = x;
  bad(2, 1) = missing;
  CHECK_THROWS_AS(std::ignore = sliced(bad, x, {}, {}, u), ValueError);
  CHECK_THROWS_AS(std::ignore = gromov(x, bad, {}, {}, u), ValueError);
  bad(2, 1) = 1e200;
  CHECK_THROWS_AS(std::ignore = sliced(bad, x, {}, {}, u), NumericalError);
  u(1, 0) = 2;
  CHECK_THROWS_AS(std::ignore = sliced(x, x, {}, {}, u), ValueError);
}
