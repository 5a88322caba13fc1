// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/core/rng.hpp>
#include <sbi/ot/distortion.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <tuple>

using namespace sbi;

namespace {
using Vector = std::vector<double>;
const Cpu<double> be(1);
const ot::detail::LossRowsOf<double, ot::SquareLoss> square(ot::SquareLoss{});

Tensor<double> symmetric_matrix(std::uint64_t seed, index_t n) {
  Tensor<double> c = random_matrix(seed, n, n);
  for (index_t i = 0; i < n; ++i)
    for (index_t k = 0; k < i; ++k) c(i, k) = c(k, i);
  return c;
}
template <class L>
double by_definition(const Tensor<double>& x, const Tensor<double>& y, const Tensor<double>& p,
                     const L& loss) {
  return distortion_by_definition(p, loss, x, y);
}
template <class L> void check_value(const L& loss) {
  for (int asymmetric = 0; asymmetric < 4; ++asymmetric) {
    const auto x = asymmetric & 1 ? random_matrix(1, 7, 7) : symmetric_matrix(1, 7),
               y = asymmetric & 2 ? random_matrix(2, 5, 5) : symmetric_matrix(2, 5);
    const auto p = random_matrix(3, 7, 5); // of no particular marginals
    CHECK(ot::distortion(be, x.view(), y.view(), p.view(), loss) ==
          doctest::Approx(by_definition(x, y, p, loss)).epsilon(1e-13));
  }
}
template <class L> void check_gradients(const L& loss) {
  auto x = random_matrix(4, 5, 5), y = random_matrix(5, 4, 4);
  auto p = random_matrix(6, 5, 4);
  for (double& v : x) v += 0.1;
  for (double& v : y) v += 0.1;
  const ot::detail::LossRowsOf<double, L> rows(loss);
  const ot::detail::Distortion<Cpu<double>, double> e(be, x.view(), y.view(), rows);
  Tensor<double> dx, dy, interaction;
  e.gradients(p.view(), 1, dx, dy);
  e.interaction(p.view(), interaction);
  const ot::detail::Marginals of(be, p.view());
  const Vector u = e.row_slope(of.rows), v = e.column_slope(of.columns);
  const auto difference = [&](double& entry) {
    const double at = entry, h = 1e-4;
    entry = at + h;
    const double up = by_definition(x, y, p, loss);
    entry = at - h;
    const double down = by_definition(x, y, p, loss);
    entry = at;
    return (up - down) / (2 * h);
  };
  // Third derivatives of the logarithm at 0.1 times h^2 / 6 stay below 1e-6 of the gradients' size, ten.
  for (index_t k = 0; k < x.size(); ++k)
    CHECK(dx.data()[k] == doctest::Approx(difference(x.data()[k])).epsilon(1e-6).scale(10));
  for (index_t k = 0; k < y.size(); ++k)
    CHECK(dy.data()[k] == doctest::Approx(difference(y.data()[k])).epsilon(1e-6).scale(10));
  for (index_t i = 0; i < 5; ++i)
    for (index_t j = 0; j < 4; ++j)
      CHECK(u[static_cast<std::size_t>(i)] + v[static_cast<std::size_t>(j)] - interaction(i, j) ==
            doctest::Approx(difference(p(i, j))).epsilon(1e-8).scale(10));
}
} // namespace

TEST_CASE("ot/distortion: the value is the four-fold sum, for both losses, symmetric or not, any marginals") {
  check_value(ot::SquareLoss{});
  check_value(ot::KullbackLeiblerLoss{});
  check_value(ot::KullbackLeiblerLoss{0.3});
}

TEST_CASE("ot/distortion: the losses split as they say and are 0 for equal costs alone") {
  const auto check = [](const auto& loss) {
    for (double u : {0.1, 0.7, 3.0}) {
      CHECK(loss(u, u) == 0);
      for (double v : {0.2, 0.9, 2.5}) {
        CHECK(loss(u, v) > 0);
        CHECK(loss.f1(u) + loss.f2(v) - loss.h1(u) * loss.h2(v) ==
              doctest::Approx(loss(u, v)).epsilon(1e-12));
      }
    }
  };
  check(ot::SquareLoss{}), check(ot::KullbackLeiblerLoss{}), check(ot::KullbackLeiblerLoss{0.5});
}

TEST_CASE("ot/distortion: gradients in the costs and the plan are those of finite differences") {
  check_gradients(ot::SquareLoss{});
  check_gradients(ot::KullbackLeiblerLoss{0.05});
}

TEST_CASE("ot/distortion: a sparse plan has the interaction of the same plan dense") {
  for (bool symmetric : {true, false}) {
    const auto x = symmetric ? symmetric_matrix(7, 40) : random_matrix(7, 40, 40),
               y = symmetric ? symmetric_matrix(8, 30) : random_matrix(8, 30, 30);
    const auto plan = ot::exact_transport<double>(random_matrix(9, 40, 30).view(), {}, {}).plan;
    Tensor<double> dense(Shape{40, 30}), one, other;
    for (const auto& s : plan) dense(s.from, s.to) = s.mass;
    const ot::detail::Distortion<Cpu<double>, double> e(be, x.view(), y.view(), square);
    e.interaction(plan, one);
    e.interaction(dense.view(), other);
    for (index_t k = 0; k < one.size(); ++k)
      CHECK(one.data()[k] == doctest::Approx(other.data()[k]).epsilon(1e-13));
  }
}

TEST_CASE("ot/distortion: costs of low rank, within one space or both, symmetric up to rounding or not") {
  constexpr index_t n = 48, m = 40;
  sbi::Rng rng(21);
  const auto low_rank = [&](index_t size, double asymmetry) {
    Tensor<double> points(Shape{size, 2}), out(Shape{size, size});
    for (double& v : points) v = rng.normal();
    for (index_t i = 0; i < size; ++i)
      for (index_t k = 0; k < size; ++k) {
        for (index_t c = 0; c < 2; ++c)
          out(i, k) += (points(i, c) - points(k, c)) * (points(i, c) - points(k, c));
        out(i, k) *= 1 + asymmetry * points(i, 0);
      }
    return out;
  };
  const auto p = random_matrix(22, n, m);
  for (const double asymmetry : {0.0, 1e-16, 0.1})
    for (const bool both : {true, false}) {
      CAPTURE(asymmetry);
      CAPTURE(both);
      const auto x = low_rank(n, asymmetry), y = both ? low_rank(m, asymmetry) : random_matrix(23, m, m);
      const ot::detail::Distortion<Cpu<double>, double> of(be, x.view(), y.view(), square);
      Tensor<double> interaction;
      of.interaction(p.view(), interaction);
      double error = 0, size = 0; // I(P) = X P (2 Y)^T + X^T P (2 Y)
      Tensor<double> right(Shape{n, m}), turned(Shape{n, m});
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < m; ++j)
          for (index_t l = 0; l < m; ++l)
            right(i, j) += 2 * p(i, l) * y(j, l), turned(i, j) += 2 * p(i, l) * y(l, j);
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < m; ++j) {
          double want = 0;
          for (index_t k = 0; k < n; ++k) want += x(i, k) * right(k, j) + x(k, i) * turned(k, j);
          error = std::max(error, std::abs(interaction(i, j) - want)), size = std::max(size, want);
        }
      // Factors hold the largest entries of X and Y to 64 roundings, sums of n of them as many.
      CHECK(error <= 4 * 64 * std::numeric_limits<double>::epsilon() * size);
    }
}

TEST_CASE("ot/distortion: of a permuted copy under its permutation nothing is left, nor anything negative") {
  const auto x = random_matrix(10, 50, 50);
  Tensor<double> y(x.shape()), p(x.shape());
  const auto image = [](index_t i) { return (17 * i + 3) % 50; };
  for (index_t i = 0; i < 50; ++i) {
    p(i, image(i)) = 1.0 / 50;
    for (index_t k = 0; k < 50; ++k) y(image(i), image(k)) = x(i, k);
  }
  const double e = ot::distortion(be, x.view(), y.view(), p.view());
  CHECK(e >= 0);
  CHECK(e < 1e-14); // of terms of size 1 / 3
}

TEST_CASE("ot/distortion: threads, backends and precision agree") {
  const auto x = random_matrix(11, 150, 150), y = random_matrix(12, 131, 131),
             p = random_matrix(13, 150, 131);
  const double e = ot::distortion(be, x.view(), y.view(), p.view());
  CHECK(ot::distortion(Cpu<double>(3), x.view(), y.view(), p.view()) == e);
  CHECK(ot::distortion(Reference<double>(), x.view(), y.view(), p.view()) ==
        doctest::Approx(e).epsilon(1e-12));
  Tensor<float> fx(x.shape()), fy(y.shape()), fp(p.shape());
  const auto round = [](const Tensor<double>& from, Tensor<float>& to) {
    for (index_t k = 0; k < to.size(); ++k) to.data()[k] = static_cast<float>(from.data()[k]);
  };
  round(x, fx), round(y, fy), round(p, fp);
  CHECK(ot::distortion(Cpu<float>(1), fx.view(), fy.view(), fp.view()) == doctest::Approx(e).epsilon(1e-5));
}

TEST_CASE("ot/distortion: what has no value is refused by name") {
  auto x = random_matrix(14, 3, 3), y = random_matrix(15, 2, 2), p = random_matrix(16, 3, 2);
  const auto run = [&](const auto& loss) {
    std::ignore = ot::distortion(be, x.view(), y.view(), p.view(), loss);
  };
  p(2, 1) = -1;
  CHECK_THROWS_WITH_AS(run(ot::SquareLoss{}), "distortion: plan[2,1] = -1; want >= 0 and finite", ValueError);
  p = random_matrix(16, 2, 3);
  CHECK_THROWS_WITH_AS(run(ot::SquareLoss{}), "distortion: the plan is [2,3]; want [3,2]", ShapeError);
  p = random_matrix(16, 3, 2);
  y(1, 1) = 0;
  CHECK_NOTHROW(run(ot::SquareLoss{}));
  CHECK_THROWS_WITH_AS(run(ot::KullbackLeiblerLoss{}), "distortion: y[1,1] = 0; the loss wants > 0",
                       ValueError);
  CHECK_NOTHROW(run(ot::KullbackLeiblerLoss{1e-3}));
  x(0, 2) = missing;
  CHECK_THROWS_WITH_AS(run(ot::SquareLoss{}), "distortion: x[0,2] = nan; want finite", ValueError);
  x = random_matrix(14, 3, 2);
  CHECK_THROWS_WITH_AS(run(ot::SquareLoss{}), "distortion: x is [3,2]; want [points, points]", ShapeError);
}
