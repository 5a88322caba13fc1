// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/keypoint.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

using namespace sbi;
using ot::Keypoint;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);
const ot::SquaredEuclidean square;

ot::KeypointOptions options(double epsilon) {
  ot::KeypointOptions o;
  o.sinkhorn.epsilon = epsilon, o.sinkhorn.tolerance = 1e-13, o.sinkhorn.max_iterations = 100'000;
  return o;
}
const std::array<Keypoint, 3> pairs{{{0, 4}, {3, 0}, {6, 2}}};
const Vector a{0.1, 0.12, 0.08, 0.2, 0.15, 0.1, 0.05, 0.2}, b{0.2, 0.2, 0.05, 0.3, 0.1, 0.15};

/// Jensen-Shannon divergence by its definition.
double divergence(const Vector& r, const Vector& s) {
  double sum = 0;
  for (std::size_t u = 0; u < r.size(); ++u) {
    const double m = (r[u] + s[u]) / 2;
    sum += (r[u] * std::log(r[u] / m) + s[u] * std::log(s[u] / m)) / 2;
  }
  return sum;
}
Vector relation(const Tensor<double>& x, index_t k, const Vector& keys, double temperature,
                const std::vector<index_t>& rest) {
  const auto cost = [&](index_t i, double key) {
    double sum = 0;
    for (index_t c = 0; c < x.cols(); ++c) sum += std::pow(x(i, c) - x(static_cast<index_t>(key), c), 2);
    return sum;
  };
  double largest = 0, sum = 0;
  for (index_t i : rest)
    for (double key : keys) largest = std::max(largest, cost(i, key));
  Vector out;
  for (double key : keys) out.push_back(std::exp(-cost(k, key) / (temperature * largest)));
  for (double v : out) sum += v;
  for (double& v : out) v /= sum;
  return out;
}
} // namespace

TEST_CASE("ot/keypoint: the guiding cost is the divergence of the relations to the keypoints") {
  const auto x = random_points(1, 8, 2), y = random_points(2, 6, 3);
  auto o = options(0.1);
  o.temperature = 0.4;
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, o);
  CHECK(r.converged);
  CHECK(r.rest_x == std::vector<index_t>{1, 2, 4, 5, 7});
  CHECK(r.rest_y == std::vector<index_t>{1, 3, 5});
  for (std::size_t i = 0; i < r.rest_x.size(); ++i)
    for (std::size_t j = 0; j < r.rest_y.size(); ++j) {
      const double want = divergence(relation(x, r.rest_x[i], {0, 3, 6}, 0.4, r.rest_x),
                                     relation(y, r.rest_y[j], {4, 0, 2}, 0.4, r.rest_y));
      CHECK(r.guide(r.rest_x[i], r.rest_y[j]) == doctest::Approx(want).epsilon(1e-10));
      CHECK(want <= std::log(2.0));
    }
}

TEST_CASE("ot/keypoint: leaving the keypoints out is the problem with a mask") {
  const auto x = random_points(3, 8, 2), y = random_points(4, 6, 2);
  const double epsilon = 0.1;
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, options(epsilon));
  // The whole cost matrix: keypoints meet their partner alone.
  Tensor<double> masked(Shape{8, 6});
  for (double& v : masked) v = std::numeric_limits<double>::infinity();
  for (const Keypoint& k : pairs) masked(k.x, k.y) = r.guide(k.x, k.y);
  for (index_t i : r.rest_x)
    for (index_t j : r.rest_y) masked(i, j) = r.guide(i, j);
  const auto whole = ot::sinkhorn(be, masked.view(), a, b, options(epsilon).sinkhorn);
  const auto all = ot::transport_plan(be, masked.view(), a, b, whole, epsilon);
  for (const Keypoint& k : pairs)
    CHECK(all(k.x, k.y) == doctest::Approx(a[static_cast<std::size_t>(k.x)]).epsilon(1e-10));
  for (index_t i = 0; i < 8; ++i)
    for (index_t j = 0; j < 6; ++j) CHECK(std::abs(r.plan(i, j) - all(i, j)) < 1e-10);
}

TEST_CASE(
    "ot/keypoint: moving a cloud as a whole changes nothing, and its gradient neither pushes nor turns it") {
  const auto x = random_points(5, 8, 2), y = random_points(6, 6, 2);
  Tensor<double> moved(y.shape());
  const double c = std::cos(2.1), s = std::sin(2.1);
  for (index_t j = 0; j < 6; ++j)
    moved(j, 0) = 5 + c * y(j, 0) - s * y(j, 1), moved(j, 1) = s * y(j, 0) + c * y(j, 1) - 3;
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, options(0.05)),
             t = ot::keypoint_guided(be, square, x.view(), moved.view(), pairs, a, b, options(0.05));
  CHECK(t.value == doctest::Approx(r.value).epsilon(1e-9));
  double push = 0, turn = 0;
  for (index_t j = 0; j < 6; ++j) push += r.dy(j, 0), turn += y(j, 0) * r.dy(j, 1) - y(j, 1) * r.dy(j, 0);
  CHECK(std::abs(push) < 1e-12);
  CHECK(std::abs(turn) < 1e-12);
}

TEST_CASE("ot/keypoint: gradients are those of finite differences, tau held") {
  // tau follows the largest cost within a cloud; the points that set it are far out and stay where they are.
  auto x = random_points(7, 8, 2), y = random_points(8, 6, 3);
  x(7, 0) = 6, x(3, 0) = -6, y(5, 2) = 7, y(0, 2) = -7;
  const auto o = options(0.2);
  const auto value = [&] {
    return ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, o).value;
  };
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, o);
  double largest = 0;
  const auto check = [&](Tensor<double>& points, const Tensor<double>& gradient, index_t far_point,
                         index_t far_key) {
    for (index_t i = 0; i < points.rows(); ++i)
      for (index_t k = 0; k < points.cols() && i != far_point && i != far_key; ++k) {
        const double at = points(i, k), h = 1e-5;
        points(i, k) = at + h;
        const double up = value();
        points(i, k) = at - h;
        const double down = value();
        points(i, k) = at;
        CHECK(std::abs(gradient(i, k) - (up - down) / (2 * h)) < 1e-9);
        largest = std::max(largest, std::abs(gradient(i, k)));
      }
  };
  check(x, r.dx, 7, 3);
  check(y, r.dy, 5, 0);
  CHECK(largest > 1e-3); // 10^6 times the error allowed
}

TEST_CASE("ot/keypoint: three pairs tell clusters apart that lie in another order in the other cloud") {
  // Three clusters on a triangle, turned by a third: plain transport sends each to the wrong one.
  constexpr index_t each = 12, n = 3 * each;
  const double third = 2 * 3.14159265358979 / 3;
  Tensor<double> x(Shape{n, 2}), y(Shape{n, 2});
  Rng rng(9);
  for (index_t i = 0; i < n; ++i) {
    const double angle = third * static_cast<double>(i / each);
    for (auto [cloud, turn] : {std::pair{&x, 0.0}, std::pair{&y, third}}) {
      (*cloud)(i, 0) = 3 * std::cos(angle + turn) + 0.4 * rng.normal();
      (*cloud)(i, 1) = 3 * std::sin(angle + turn) + 0.4 * rng.normal();
    }
  }
  const std::array<Keypoint, 3> known{{{0, 0}, {each, each}, {2 * each, 2 * each}}};
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), known, {}, {}, options(0.01));
  double right = 0, total = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) {
      total += r.plan(i, j);
      if (i / each == j / each) right += r.plan(i, j);
    }
  CHECK(right / total > 0.99); // all of it is seen, and without keypoints nothing

  const auto cost = ot::cost_matrix(be, square, x.view(), y.view());
  const auto plain = ot::sinkhorn(be, cost.view(), {}, {}, options(0.5).sinkhorn);
  const Vector uniform(n, 1.0 / n);
  const auto plan = ot::transport_plan(be, cost.view(), uniform, uniform, plain, 0.5);
  double without = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      if (i / each == j / each) without += plan(i, j);
  CHECK(without < 0.1);
}

TEST_CASE("ot/keypoint: a low temperature and points on a keypoint give numbers") {
  auto x = random_points(10, 8, 2);
  const auto y = random_points(11, 6, 2);
  for (index_t k = 0; k < 2; ++k) x(1, k) = x(0, k);
  auto o = options(0.05);
  o.temperature = 1e-5;
  o.sinkhorn.tolerance = 1e-6;
  const auto r = ot::keypoint_guided(be, square, x.view(), y.view(), pairs, a, b, o);
  CHECK(is_finite(r.value));
  for (double v : r.guide) CHECK(is_finite(v));
  for (double v : r.dx) CHECK(is_finite(v));
  for (double v : r.dy) CHECK(is_finite(v));
}

TEST_CASE("ot/keypoint: keypoints that cannot guide are refused by name") {
  const auto x = random_points(12, 8, 2), y = random_points(13, 6, 2);
  const auto message = [&](std::vector<Keypoint> k, const Vector& left, const Vector& right,
                           double temperature = 0.1) {
    auto o = options(0.1);
    o.temperature = temperature;
    try {
      std::ignore = ot::keypoint_guided(be, square, x.view(), y.view(), k, left, right, o);
    } catch (const ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message({{0, 4}}, a, b) == "keypoints: 1 of them; want two or more, one tells nothing apart");
  CHECK(message({{0, 4}, {8, 0}}, a, b) == "keypoints: keypoint 1 is point 8 of x; want 0 to 7");
  CHECK(message({{0, 4}, {3, -1}}, a, b) == "keypoints: keypoint 1 is point -1 of y; want 0 to 5");
  CHECK(message({{0, 4}, {0, 0}}, a, b) == "keypoints: point 0 of x is a keypoint twice");
  CHECK(
      message({{0, 4}, {3, 3}}, a, b) ==
      "keypoints: keypoint 1 weighs 0.2 in x and 0.3 in y; want equal weights, no plan joins them otherwise");
  CHECK(message({{0, 4}, {3, 0}}, {}, {}).find("weighs 0.125") != std::string::npos); // uniform, n != m
  CHECK(message({{0, 4}, {3, 0}}, a, b, 0) == "keypoints: temperature = 0; want > 0");
  CHECK(message({{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}}, Vector(8, 1), Vector(6, 1)) ==
        "keypoints: every point of a cloud is a keypoint; want others to couple");
}
