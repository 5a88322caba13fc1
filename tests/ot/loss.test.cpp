// SPDX-License-Identifier: MIT
#include <sbi/autodiff/gradient_check.hpp>
#include <sbi/ot/loss.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;

namespace {
Tensor<double> random_points(std::uint64_t seed, index_t n, index_t d, double shift) {
  Rng rng(seed);
  Tensor<double> x(Shape{n, d});
  for (double& v : x) v = rng.normal() + shift;
  return x;
}
ot::DivergenceOptions absolute(double epsilon, double rho = ot::exact_marginal) {
  ot::DivergenceOptions o = ot::DivergenceLoss<double>::relative(epsilon, rho);
  o.unit = ot::Unit::cost;
  o.sinkhorn.tolerance = 1e-12, o.sinkhorn.max_iterations = 100000;
  return o;
}
template <class C> void check(C cost, const ot::DivergenceOptions& options) {
  Cpu<double> be(1);
  const auto result = gradient_check(
      be,
      [&](auto& tape, const auto& in) {
        return tape.apply(ot::DivergenceLoss<double, C>{options, {}, {}, cost}, in[0], in[1]);
      },
      {random_points(1, 9, 3, 0), random_points(2, 7, 3, 0.5)}, Rng(3));
  CHECK(result.relative_error < 1e-7);
}
} // namespace

TEST_CASE("ot/loss: gradients to both clouds") {
  check(ot::SquaredEuclidean{}, absolute(0.5));
  check(ot::SquaredEuclidean{}, absolute(0.5, 2));
  check(ot::Euclidean{}, absolute(0.2));
}

TEST_CASE("ot/loss: the value and gradients of the divergence at the mean cost's share") {
  Cpu<double> be(1);
  const Tensor<double> x = random_points(4, 12, 2, 0), y = random_points(5, 10, 2, 1);
  const Tensor<double> a(Shape{12}, std::vector<double>{.1, .1, .1, .1, .1, .1, .1, .1, .1, .05, .05, 0});
  const auto cost = ot::cost_matrix(be, ot::SquaredEuclidean{}, x.view(), y.view());
  double mean = 0;
  for (index_t i = 0; i < 12; ++i)
    for (index_t j = 0; j < 10; ++j) mean += a.data()[i] * 0.1 * cost(i, j);
  auto options = ot::DivergenceLoss<double>::relative(0.1, 0.5);
  options.sinkhorn.tolerance = 1e-12;
  Tape tape(be);
  const auto in_x = tape.input(x.view()), in_y = tape.input(y.view());
  const auto loss = tape.apply(ot::DivergenceLoss<double>{options, a.view(), {}, {}}, in_x, in_y);
  tape.backward(loss, -2);
  const auto s =
      ot::sinkhorn_divergence(be, ot::SquaredEuclidean{}, x.view(), y.view(),
                              std::span<const double>(a.data(), 12), {}, absolute(0.1 * mean, 0.5 * mean));
  CHECK(loss.value.data[0] == doctest::Approx(s.value).epsilon(1e-11));
  for (index_t k = 0; k < x.size(); ++k) CHECK(std::abs(in_x.grad.data[k] + 2 * s.dx.data()[k]) < 1e-9);
  for (index_t k = 0; k < y.size(); ++k) CHECK(std::abs(in_y.grad.data[k] + 2 * s.dy.data()[k]) < 1e-9);
}

TEST_CASE("ot/loss: only the gradient that is wanted, scale-free, coincident clouds included") {
  Cpu<float> be(1);
  Tensor<float> x(Shape{6, 2}), y(Shape{5, 2});
  Rng rng(6);
  for (float& v : x) v = static_cast<float>(rng.normal());
  for (float& v : y) v = static_cast<float>(rng.normal());
  const auto value = [&](float factor) {
    Tensor<float> p = x, q = y;
    for (float& v : p) v *= factor;
    for (float& v : q) v *= factor;
    Tape tape(be);
    const auto in = tape.input(q.view());
    const auto loss = tape.apply(ot::DivergenceLoss<float>{}, tape.constant(p.view()), in);
    tape.backward(loss);
    float most = 0;
    for (index_t k = 0; k < q.size(); ++k) most = std::max(most, std::abs(in.grad.data[k]));
    CHECK(((most > 0) == (factor > 0)));
    return loss.value.data[0];
  };
  CHECK(value(16) == doctest::Approx(256 * value(1)).epsilon(1e-4)); // squared distances; float potentials
  CHECK(value(0) == 0);
}

TEST_CASE("ot/loss: shapes and convergence are checked") {
  Cpu<double> be(1);
  const Tensor<double> x = random_points(7, 6, 2, 0), y = random_points(8, 5, 3, 0),
                       z = random_points(9, 6, 2, 1);
  Tape tape(be);
  const auto run = [&](const Tensor<double>& p, const Tensor<double>& q, const ot::DivergenceOptions& o) {
    return tape.apply(ot::DivergenceLoss<double>{o, {}, {}, {}}, tape.constant(p.view()),
                      tape.constant(q.view()));
  };
  CHECK_THROWS_AS((void)run(x, y, absolute(0.1)), ShapeError);
  auto few = absolute(0.01);
  few.sinkhorn.max_iterations = 2;
  CHECK_THROWS_AS((void)run(x, z, few), NumericalError);
}
