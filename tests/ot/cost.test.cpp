// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/cost.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {
template <class T> Tensor<T> random_points(std::uint64_t seed, index_t n, index_t d, double offset = 0) {
  Rng rng(seed);
  Tensor<T> x(Shape{n, d});
  for (T& v : x) v = static_cast<T>(rng.normal() + offset);
  return x;
}

/// A cost of a user: sum_k |x_k - y_k|^1.5, not radial.
struct Power {
  template <class T> T operator()(std::span<const T> x, std::span<const T> y) const {
    T sum = 0;
    for (std::size_t k = 0; k < x.size(); ++k) sum += std::pow(std::abs(x[k] - y[k]), T(1.5));
    return sum;
  }
  template <class T>
  void add_gradient(T weight, std::span<const T> x, std::span<const T> y, std::span<T> out) const {
    for (std::size_t k = 0; k < x.size(); ++k)
      out[k] += weight * T(1.5) * std::copysign(std::sqrt(std::abs(x[k] - y[k])), x[k] - y[k]);
  }
};
static_assert(ot::RadialCost<ot::SquaredEuclidean, float> && ot::RadialCost<ot::Euclidean, double>);
static_assert(ot::Cost<Power, double> && !ot::RadialCost<Power, double>);

template <class T, class C> void check_against_reference(C cost, double tolerance) {
  for (auto [n, m, d] : {std::array<index_t, 3>{1, 1, 1}, {3, 70, 2}, {70, 3, 5}, {37, 41, 33}}) {
    const Tensor<T> x = random_points<T>(1, n, d), y = random_points<T>(2, m, d);
    const Tensor<T> fast = ot::cost_matrix(Cpu<T>(2), cost, x.view(), y.view());
    const Tensor<T> slow = ot::cost_matrix(Reference<T>(), cost, x.view(), y.view());
    REQUIRE(fast.shape() == Shape{n, m});
    for (index_t i = 0; i < n; ++i)
      for (index_t j = 0; j < m; ++j)
        CHECK(std::abs(fast(i, j) - slow(i, j)) <= tolerance * (1 + std::abs(slow(i, j))));
  }
}

template <class C> void check_gradient(C cost) {
  Tensor<double> x = random_points<double>(3, 1, 4), out(Shape{1, 4});
  const Tensor<double> y = random_points<double>(4, 1, 4);
  const std::span<const double> xs(x.row(0), 4), ys(y.row(0), 4);
  cost.add_gradient(0.7, xs, ys, std::span<double>(out.row(0), 4));
  for (index_t k = 0; k < 4; ++k) {
    const double h = 1e-6, at = x(0, k);
    x(0, k) = at + h;
    const double up = cost(xs, ys);
    x(0, k) = at - h;
    const double down = cost(xs, ys);
    x(0, k) = at;
    // Central differences: rounding 1e-16 / h, truncation h^2.
    CHECK(out(0, k) == doctest::Approx(0.7 * (up - down) / (2 * h)).epsilon(1e-8));
  }
}
} // namespace

TEST_CASE("ot/cost: matrices agree with the pointwise definition for every size") {
  check_against_reference<float>(ot::SquaredEuclidean{}, 2e-6);
  check_against_reference<double>(ot::SquaredEuclidean{}, 4e-15);
  check_against_reference<float>(ot::Euclidean{}, 2e-6);
  check_against_reference<double>(ot::Euclidean{}, 4e-15);
  check_against_reference<float>(ot::Cosine{}, 2e-6);
  check_against_reference<double>(ot::Cosine{}, 4e-15);
  check_against_reference<double>(Power{}, 4e-15);
}

TEST_CASE("ot/cost: gradients agree with differences") {
  check_gradient(ot::SquaredEuclidean{});
  check_gradient(ot::Euclidean{});
  check_gradient(ot::Cosine{});
  check_gradient(Power{});
}

TEST_CASE("ot/cost: the dot-product form is the cost, far from the origin too") {
  const auto check = [](const auto& cost, double offset, double tolerance) {
    const Tensor<float> x = random_points<float>(5, 20, 7, offset),
                        y = random_points<float>(6, 30, 7, offset);
    const auto form = cost.dot_form(View<const float>(x.view()), View<const float>(y.view()));
    const auto turned = form.transposed();
    CHECK(form.shape() == Shape{20, 30});
    CHECK(turned.shape() == Shape{30, 20});
    for (index_t i = 0; i < 20; ++i)
      for (index_t j = 0; j < 30; ++j) {
        const double exact = cost(std::span<const float>(x.row(i), 7), std::span<const float>(y.row(j), 7));
        double got = form.alpha[static_cast<std::size_t>(i)] + form.beta[static_cast<std::size_t>(j)];
        for (index_t k = 0; k < 7; ++k)
          got -= static_cast<double>(form.q(i, k)) * static_cast<double>(form.k(j, k));
        CHECK(std::abs(got - exact) <= tolerance);
        double back = turned.alpha[static_cast<std::size_t>(j)] + turned.beta[static_cast<std::size_t>(i)];
        for (index_t k = 0; k < 7; ++k)
          back -= static_cast<double>(turned.q(j, k)) * static_cast<double>(turned.k(i, k));
        CHECK(back == doctest::Approx(got).epsilon(1e-12));
      }
  };
  static_assert(ot::DotFormCost<ot::SquaredEuclidean, float> && ot::DotFormCost<ot::Cosine, double>);
  static_assert(!ot::DotFormCost<ot::Euclidean, float> && !ot::DotFormCost<Power, float>);
  check(ot::SquaredEuclidean{}, 0, 1e-5);    // sums of squares near 50, in float coordinates
  check(ot::SquaredEuclidean{}, 1000, 0.02); // the points themselves have lost 6e-5 each there
  check(ot::Cosine{}, 0, 1e-6);
}

TEST_CASE("ot/cost: clouds of one and the same point have squared distances of exactly 0 in this form too") {
  for (index_t n : {1, 3, 7}) { // thirds and sevenths of .1 add up to something else than .1
    Tensor<float> x(Shape{n, 2}), y(Shape{n + 3, 2});
    for (Tensor<float>* points : {&x, &y})
      for (index_t i = 0; i < points->rows(); ++i) (*points)(i, 0) = 0.1f, (*points)(i, 1) = -1234.567f;
    const auto form =
        ot::SquaredEuclidean{}.dot_form(View<const float>(x.view()), View<const float>(y.view()));
    for (double v : form.alpha) CHECK(v == 0);
    for (double v : form.beta) CHECK(v == 0);
    for (float v : form.q) CHECK(v == 0);
    for (float v : form.k) CHECK(v == 0);
  }
}

TEST_CASE("ot/cost: the origin has no direction: its cosine cost is 1, its gradient 0") {
  const double x[2] = {0, 0}, y[2] = {1, 2};
  double out[2] = {0, 0};
  const std::span<const double> xs(x), ys(y);
  CHECK(ot::Cosine{}(xs, ys) == 1);
  ot::Cosine{}.add_gradient(1.0, xs, ys, std::span<double>(out));
  CHECK(out[0] == 0);
  CHECK(out[1] == 0);
}

TEST_CASE("ot/cost: the Euclidean gradient at coincident points is 0, not NaN") {
  const double x[2] = {1, 2};
  double out[2] = {0, 0};
  ot::Euclidean{}.add_gradient(1.0, std::span<const double>(x), std::span<const double>(x),
                               std::span<double>(out));
  CHECK(out[0] == 0);
  CHECK(out[1] == 0);
}

TEST_CASE("ot/cost: a common offset costs no digits") {
  // Integers below 2^24 and their differences are exact in float, |x|^2 + |y|^2 - 2 x.y would not be.
  Tensor<float> x(Shape{5, 3}), y(Shape{4, 3});
  for (index_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i);
  for (index_t i = 0; i < y.size(); ++i) y.data()[i] = static_cast<float>(3 * i);
  const Tensor<float> near = ot::cost_matrix(Cpu<float>(1), ot::SquaredEuclidean{}, x.view(), y.view());
  for (float& v : x) v += 1e6F;
  for (float& v : y) v += 1e6F;
  const Tensor<float> far = ot::cost_matrix(Cpu<float>(1), ot::SquaredEuclidean{}, x.view(), y.view());
  for (index_t i = 0; i < near.size(); ++i) CHECK(near.data()[i] == far.data()[i]);
}

TEST_CASE("ot/cost: bad points are named") {
  const Cpu<float> be(1);
  Tensor<float> x(Shape{2, 3}), y(Shape{2, 2});
  CHECK_THROWS_AS((void)ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view()), ShapeError);
  Tensor<float> bad(Shape{2, 3});
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS((void)ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), bad.view()),
                       "ot: cost matrix: y[1,2] = nan; want finite", ValueError);
}
