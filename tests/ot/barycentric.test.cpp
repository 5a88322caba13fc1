// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/barycentric.hpp>
#include <sbi/ot/partial.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace sbi;

namespace {
const Cpu<double> be(1);

Tensor<double> random_plan(std::uint64_t seed, index_t n, index_t m) {
  Rng rng(seed);
  Tensor<double> p(Shape{n, m});
  for (double& v : p) v = rng.uniform() / static_cast<double>(n * m);
  return p;
}
/// A cost of a user, not radial: sum_k (k + 1) |x_k - y_k|^3.
struct Cubic {
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    T sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k)
      sum += static_cast<T>(k + 1) * std::pow(std::abs(x[k] - y[k]), T(3));
    return sum;
  }
  template <class T>
  void add_gradient(T weight, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    for (std::size_t k = 0; k < x.size(); ++k)
      out[k] += weight * static_cast<T>(3 * (k + 1)) * (x[k] - y[k]) * std::abs(x[k] - y[k]);
  }
};
} // namespace

TEST_CASE("ot/barycentric: the map is the mean that its definition gives, on every backend") {
  for (auto [n, m, d] : {std::array<index_t, 3>{1, 1, 1}, {3, 5, 2}, {70, 45, 6}}) {
    const auto p = random_plan(1, n, m), y = random_points(2, m, d);
    const auto one = ot::barycentric_map(be, p.view(), y.view()),
               two = ot::barycentric_map(Cpu<double>(2), p.view(), y.view()),
               slow = ot::barycentric_map(Reference<double>(), p.view(), y.view());
    CHECK(std::equal(one.begin(), one.end(), two.begin()));
    for (index_t i = 0; i < n; ++i)
      for (index_t k = 0; k < d; ++k) {
        double sum = 0, mass = 0;
        for (index_t j = 0; j < m; ++j) sum += p(i, j) * y(j, k), mass += p(i, j);
        CHECK(std::abs(one(i, k) - sum / mass) < 1e-13);
        CHECK(std::abs(slow(i, k) - sum / mass) < 1e-13);
      }
  }
}

TEST_CASE("ot/barycentric: a permutation is followed, a shift of y shifts the map") {
  const index_t n = 9;
  Tensor<double> p(Shape{n, n});
  for (index_t i = 0; i < n; ++i) p(i, (i * 4 + 2) % n) = 1.0 / static_cast<double>(n);
  Tensor<double> y = random_points(3, n, 3);
  const auto image = ot::barycentric_map(be, p.view(), y.view());
  for (index_t i = 0; i < n; ++i)
    for (index_t k = 0; k < 3; ++k)
      CHECK(image(i, k) == doctest::Approx(y((i * 4 + 2) % n, k)).epsilon(1e-14));
  for (double& v : y) v += 1e6;
  const auto far = ot::barycentric_map(be, p.view(), y.view());
  for (index_t k = 0; k < far.size(); ++k)
    CHECK(std::abs(far.data()[k] - 1e6 - image.data()[k]) < 1e-9); // the coordinates' own rounding is 1e-10
}

TEST_CASE("ot/barycentric: the vjp is that of finite differences, with rows without mass") {
  const index_t n = 5, m = 7, d = 3;
  auto p = random_plan(4, n, m), y = random_points(5, m, d);
  for (index_t j = 0; j < m; ++j) p(3, j) = 0;
  const auto x = random_points(6, n, d), up = random_points(7, n, d);
  const auto value = [&] {
    const auto image = ot::barycentric_map(be, p.view(), y.view(), x.view());
    double sum = 0;
    for (index_t k = 0; k < image.size(); ++k) sum += up.data()[k] * image.data()[k];
    return sum;
  };
  const auto slope = [&](double& v, double h) {
    const double kept = v;
    const auto at = [&](double step) { return v = kept + step, value(); };
    const double out = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    v = kept;
    return out;
  };
  for (const double offset : {0.0, 1e4}) {
    for (double& v : y) v += offset;
    const auto r = ot::barycentric_map_vjp(be, p.view(), y.view(), up.view());
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < m; ++j)
        if (i == 3) {
          CHECK(r.plan(i, j) == 0);
        } else {
          // Far away sums of size 1e4 round to 1e-11, over steps of 1e-5 and less.
          CHECK(std::abs(slope(p(i, j), 0.02 * p(i, j)) - r.plan(i, j)) <
                1e-6 * std::abs(r.plan(i, j)) + (offset > 0 ? 1e-4 : 1e-8));
        }
    for (index_t k = 0; k < y.size(); ++k)
      CHECK(std::abs(slope(y.data()[k], 1e-2) - r.y.data()[k]) < (offset > 0 ? 1e-8 : 1e-10));
  }
  CHECK_THROWS_WITH_AS((void)ot::barycentric_map(be, p.view(), y.view()),
                       "ot: barycentric map: row 3 of the plan has no mass; want some, or idle points",
                       ValueError);
}

TEST_CASE("ot/barycentric: the gradient in the plan of a far cloud keeps its digits in float") {
  const index_t n = 40, m = 50, d = 4;
  const auto p = random_plan(8, n, m), y = random_points(9, m, d), up = random_points(10, n, d);
  Tensor<float> plan(p.shape()), near(y.shape()), far(y.shape()), upstream(up.shape());
  for (index_t k = 0; k < p.size(); ++k) plan.data()[k] = static_cast<float>(p.data()[k]);
  for (index_t k = 0; k < y.size(); ++k) {
    near.data()[k] = std::round(256 * static_cast<float>(y.data()[k])) / 256;
    far.data()[k] = near.data()[k] + 4096; // exact
  }
  for (index_t k = 0; k < up.size(); ++k) upstream.data()[k] = static_cast<float>(up.data()[k]);
  const Cpu<float> single(1);
  const auto r = ot::barycentric_map_vjp(single, plan.view(), near.view(), upstream.view()),
             s = ot::barycentric_map_vjp(single, plan.view(), far.view(), upstream.view());
  float scale = 0;
  for (float v : r.plan) scale = std::max(scale, std::abs(v));
  for (index_t k = 0; k < p.size(); ++k)
    CHECK(std::abs(r.plan.data()[k] - s.plan.data()[k]) < 1e-3f * scale); // the mean of y rounds to 2e-4
}

TEST_CASE("ot/barycentric: partial transport leaves idle points where they are") {
  const auto x = random_points(11, 12, 2), y = random_points(12, 9, 2);
  const auto c = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
  const auto r = ot::partial_transport<double>(c.view(), {}, {}, 0.25); // three of twelve points at most
  Tensor<double> plan(c.shape());
  for (const auto& s : r.plan) plan(s.from, s.to) = s.mass;
  const auto image = ot::barycentric_map(be, plan.view(), y.view(), x.view());
  index_t idle = 0;
  for (index_t i = 0; i < 12; ++i) idle += image(i, 0) == x(i, 0) && image(i, 1) == x(i, 1);
  CHECK(idle >= 6);
  CHECK(idle < 12);
}

TEST_CASE("ot/barycentric: gradients in points are those of finite differences for any cost") {
  const index_t n = 40, m = 35, d = 3;
  auto x = random_points(13, n, d), y = random_points(14, m, d);
  const auto up = random_points(15, n, m); // of any sign, unlike a plan
  const auto run = [&](const auto& cost) {
    const auto value = [&] {
      const auto c = ot::cost_matrix(be, cost, x.view(), y.view());
      double sum = 0;
      for (index_t k = 0; k < c.size(); ++k) sum += up.data()[k] * c.data()[k];
      return sum;
    };
    const auto r = ot::cost_matrix_vjp(be, cost, x.view(), y.view(), up.view());
    const auto two = ot::cost_matrix_vjp(Cpu<double>(2), cost, x.view(), y.view(), up.view());
    CHECK(std::equal(r.x.begin(), r.x.end(), two.x.begin()));
    CHECK(std::equal(r.y.begin(), r.y.end(), two.y.begin()));
    const auto check = [&](double& v, double gradient) {
      const double kept = v, h = 1e-4;
      const auto at = [&](double step) { return v = kept + step, value(); };
      const double slope = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      v = kept;
      CHECK(std::abs(slope - gradient) < 1e-6 * (1 + std::abs(gradient)));
    };
    for (index_t k = 0; k < x.size(); k += 7) check(x.data()[k], r.x.data()[k]);
    for (index_t k = 0; k < y.size(); k += 7) check(y.data()[k], r.y.data()[k]);
  };
  run(ot::SquaredEuclidean{});
  run(ot::Euclidean{});
  run(Cubic{});
  const Tensor<double> same(Shape{2, 1}, {1, 1}), ones(Shape{2, 2}, {1, 1, 1, 1}); // where |x - y| has a kink
  for (double v : ot::cost_matrix_vjp(be, ot::Euclidean{}, same.view(), same.view(), ones.view()).x)
    CHECK(v == 0);
}

TEST_CASE("ot/barycentric: bad input is refused") {
  auto p = random_plan(16, 3, 4);
  const auto y = random_points(17, 4, 2), x = random_points(18, 3, 2);
  CHECK_THROWS_WITH_AS((void)ot::barycentric_map(be, p.view(), x.view()),
                       "ot: barycentric map: the plan is [3,4], y is [3,2]; want [n, m] and [m, d]",
                       ShapeError);
  CHECK_THROWS_AS((void)ot::barycentric_map(be, p.view(), y.view(), y.view()), ShapeError);
  CHECK_THROWS_AS((void)ot::barycentric_map_vjp(be, p.view(), y.view(), y.view()), ShapeError);
  CHECK_THROWS_AS((void)ot::cost_matrix_vjp(be, ot::Euclidean{}, x.view(), x.view(), p.view()), ShapeError);
  auto bad = x;
  bad(1, 1) = missing;
  CHECK_THROWS_AS((void)ot::barycentric_map_vjp(be, p.view(), y.view(), bad.view()), ValueError);
  CHECK_THROWS_AS((void)ot::cost_matrix_vjp(be, ot::Euclidean{}, bad.view(), y.view(), p.view()), ValueError);
  p(2, 0) = -1e-3;
  CHECK_THROWS_WITH_AS((void)ot::barycentric_map(be, p.view(), y.view()),
                       "ot: barycentric map: plan[2,0] = -0.001; want >= 0 and finite", ValueError);
  p(2, 0) = missing;
  CHECK_THROWS_AS((void)ot::barycentric_map_vjp(be, p.view(), y.view(), x.view()), ValueError);
  CHECK_THROWS_AS((void)ot::cost_matrix_vjp(be, ot::Euclidean{}, x.view(), y.view(), p.view()), ValueError);
}
