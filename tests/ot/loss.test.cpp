// SPDX-License-Identifier: MIT
#include "loss_cases.hpp"

#include <sbi/ot/loss.hpp>
#include <sbi/ot/loss_sliced.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

using namespace sbi;
using namespace sbi::testing;

namespace {
using Matrix = Tensor<double>;
const ot::SquaredEuclidean square;

template <class T> ot::SinkhornDivergence divergence(double epsilon, double rho = ot::exact_marginal) {
  auto s = ot::SinkhornDivergence::relative(epsilon, rho);
  s.options.unit = ot::Unit::cost; // whose mean would be held
  set_tolerance<T>(s.options.sinkhorn);
  return s;
}
template <class T> ot::Sinkhorn entropic(double epsilon, double rho_a, ot::Costs costs) {
  ot::Sinkhorn s;
  s.options.epsilon = epsilon, s.options.rho_a = rho_a, s.options.costs = costs;
  set_tolerance<T>(s.options);
  return s;
}
} // namespace

TEST_CASE("ot/loss: agreement, gradients and errors of the divergence and of entropic transport") {
  // The inner tolerance in float is 1e-5, a hundred times its rounding.
  constexpr double condition = 300;
  std::vector<OpCase> cases;
  for (const Extent e : extents(Sizes::odd)) {
    const double size = static_cast<double>(e.cols); // the mean cost is 2 a coordinate
    add_loss(cases, "divergence", e, condition,
             [=]<class T>(Constants<T>&) { return ot::loss<T>(divergence<T>(0.3 * size)); });
    add_loss(cases, "sinkhorn", e, condition, [=]<class T>(Constants<T>& c) {
      return ot::loss<T>(entropic<T>(0.3 * size, ot::exact_marginal, ot::Costs::automatic), square,
                         weights(c, e.rows), weights(c, e.rows + 2));
    });
  }
  const Extent e{5, 16};
  add_loss(cases, "divergence, one side reweighted", e, condition,
           []<class T>(Constants<T>&) { return ot::loss<T>(divergence<T>(4, 20)); });
  add_loss(cases, "sinkhorn, one side priced, costs computed anew", e, condition,
           []<class T>(Constants<T>&) { return ot::loss<T>(entropic<T>(4, 20, ot::Costs::recomputed)); });
  add_loss(cases, "sinkhorn, distances", e, condition, []<class T>(Constants<T>&) {
    return ot::loss<T>(entropic<T>(1, ot::exact_marginal, ot::Costs::automatic), ot::Euclidean{});
  });
  check_all(cases);
}

TEST_CASE("ot/loss: agreement, gradients and errors of exact transport, of the line and of slices") {
  std::vector<OpCase> cases;
  for (const Extent e : extents(Sizes::odd)) {
    add_loss(cases, "exact", e, 1, [=]<class T>(Constants<T>& c) {
      return ot::loss<T>(ot::ExactTransport{}, square, weights(c, e.rows), weights(c, e.rows + 2));
    });
    add_loss(cases, "sliced", e, 10, [=]<class T>(Constants<T>& c) {
      return ot::loss<T>(ot::SlicedWasserstein<T>{directions(c, 9, e.cols)});
    });
    add_loss(
        cases, "sliced gromov", {e.rows + 1, e.cols}, 1000,
        [=]<class T>(Constants<T>& c) {
          return ot::loss<T>(ot::SlicedGromov<T>{directions(c, 5, e.cols + 3)});
        },
        3);
  }
  add_loss(cases, "exact, distances", {13, 17}, 1,
           []<class T>(Constants<T>&) { return ot::loss<T>(ot::ExactTransport{}, ot::Euclidean{}); });
  add_loss(cases, "largest slice", {13, 17}, 10, []<class T>(Constants<T>& c) {
    return ot::loss<T>(ot::SlicedWasserstein<T>{directions(c, 9, 17), 1.5, true});
  });
  for (const index_t n : {1, 7})
    for (const double p : {1.0, 2.0, 3.0})
      add_loss(cases, "line", {n, 1}, 10,
               [=]<class T>(Constants<T>&) { return ot::loss<T>(ot::LineTransport{p}); });
  check_all(cases);
}

TEST_CASE("ot/loss: values are the solvers'") {
  const Matrix x = points(1, 9, 2), y = points(2, 7, 2, 0.5), u = points(3, 9, 1), v = points(4, 7, 1);
  const Matrix wide = points(5, 7, 3), along = ot::random_directions<double>(Rng(6), 20, 2),
               along3 = ot::random_directions<double>(Rng(7), 20, 3);
  const Cpu<double> be(1);
  const auto d = divergence<double>(0.5, 2);
  CHECK(value(ot::loss<double>(d), x, y) ==
        ot::sinkhorn_divergence(be, square, x.view(), y.view(), {}, {}, d.options).value);
  const auto s = entropic<double>(0.5, 2, ot::Costs::automatic);
  CHECK(value(ot::loss<double>(s, ot::Euclidean{}), x, y) ==
        ot::sinkhorn(be, ot::Euclidean{}, x.view(), y.view(), {}, {}, s.options).value);
  const auto cost = ot::cost_matrix(be, square, x.view(), y.view());
  CHECK(value(ot::loss<double>(ot::ExactTransport{}), x, y) ==
        ot::exact_transport<double>(cost.view(), {}, {}).value);
  CHECK(value(ot::loss<double>(ot::LineTransport{1.5}), u, v) ==
        ot::line_transport<double>(std::span<const double>(u.data(), 9), std::span<const double>(v.data(), 7),
                                   {}, {}, 1.5)
            .value);
  CHECK(value(ot::loss<double>(ot::SlicedWasserstein<double>{along.view()}), x, y) ==
        ot::sliced_wasserstein(be, x.view(), y.view(), {}, {}, along.view()).value);
  CHECK(value(ot::loss<double>(ot::SlicedWasserstein<double>{along.view(), 2, true}), x, y) ==
        ot::max_sliced_wasserstein(be, x.view(), y.view(), {}, {}, along.view()).value);
  CHECK(value(ot::loss<double>(ot::SlicedGromov<double>{along3.view()}), x, wide) ==
        ot::sliced_gromov(be, x.view(), wide.view(), {}, {}, along3.view()).value);
}

TEST_CASE("ot/loss: epsilon in units of the mean cost, weights and a cotangent") {
  Cpu<double> be(1);
  const Matrix x = points(8, 12, 2), y = points(9, 10, 2, 1);
  const Matrix a(Shape{12}, std::vector<double>{.1, .1, .1, .1, .1, .1, .1, .1, .1, .05, .05, 0});
  const auto cost = ot::cost_matrix(be, square, x.view(), y.view());
  double mean = 0;
  for (index_t i = 0; i < 12; ++i)
    for (index_t j = 0; j < 10; ++j) mean += a.data()[i] * 0.1 * cost(i, j);
  auto relative = ot::SinkhornDivergence::relative(0.1, 0.5);
  set_tolerance<double>(relative.options.sinkhorn);
  Tape tape(be);
  const auto in_x = tape.input(x.view()), in_y = tape.input(y.view());
  const auto loss = tape.apply(ot::loss<double>(relative, a.view()), in_x, in_y);
  tape.backward(loss, -2);
  const auto s =
      ot::sinkhorn_divergence(be, square, x.view(), y.view(), std::span<const double>(a.data(), 12), {},
                              divergence<double>(0.1 * mean, 0.5 * mean).options);
  CHECK(loss.value.data[0] == doctest::Approx(s.value).epsilon(1e-11));
  for (index_t k = 0; k < x.size(); ++k)
    CHECK(std::abs(in_x.grad.view().data[k] + 2 * s.dx.data()[k]) < 1e-9);
  for (index_t k = 0; k < y.size(); ++k)
    CHECK(std::abs(in_y.grad.view().data[k] + 2 * s.dy.data()[k]) < 1e-9);

  for (const auto costs : {ot::Costs::stored, ot::Costs::recomputed}) {
    auto of_mean = entropic<double>(0.1, 0.5, costs);
    of_mean.unit = ot::Unit::mean_cost;
    CHECK(value(ot::loss<double>(of_mean, a.view()), x, y) ==
          doctest::Approx(
              value(ot::loss<double>(entropic<double>(0.1 * mean, 0.5 * mean, costs), a.view()), x, y))
              .epsilon(1e-11));
  }
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
    const auto loss =
        tape.apply(ot::loss<float>(ot::SinkhornDivergence::relative(0.05)), tape.constant(p.view()), in);
    tape.backward(loss);
    float most = 0;
    for (index_t k = 0; k < q.size(); ++k) most = std::max(most, std::abs(in.grad.view().data[k]));
    CHECK(((most > 0) == (factor > 0)));
    return loss.value.data[0];
  };
  CHECK(value(16) == doctest::Approx(256 * value(1)).epsilon(1e-4)); // squared distances; float potentials
  CHECK(std::abs(value(0)) < 1e-8); // rounding of terms of the size of epsilon, 0.05
}

TEST_CASE("ot/loss: what cannot be believed is refused by name") {
  const Matrix x = points(10, 6, 2), y = points(11, 5, 3), z = points(12, 6, 2, 1);
  auto d = divergence<double>(0.01);
  CHECK(refusal(ot::loss<double>(d), x, y) ==
        "sinkhorn divergence loss: the clouds are [6,2] and [5,3]; want [n,d] and [m,d]");
  d.options.sinkhorn.max_iterations = 2;
  CHECK(refusal(ot::loss<double>(d), x, z).find("sinkhorn divergence: residual") == 0);
  d.options.unconverged = ot::Unconverged::report; // a loss reports in no other way
  CHECK(refusal(ot::loss<double>(d), x, z).find("sinkhorn divergence: residual") == 0);
  auto s = entropic<double>(0.01, ot::exact_marginal, ot::Costs::automatic);
  s.options.max_iterations = 2;
  CHECK(refusal(ot::loss<double>(s), x, z) ==
        "sinkhorn loss between [6,2] and [6,2] has not converged: raise "
        "max_iterations, epsilon or tolerance");
  CHECK(refusal(ot::loss<double>(ot::ExactTransport{{1}}), points(13, 30, 2), points(14, 30, 2))
            .find("exact transport loss between [30,2] and [30,2] has not converged") == 0);
  CHECK(refusal(ot::loss<double>(ot::LineTransport{}), x, z) ==
        "line transport loss: the clouds are [6,2] and [6,2]; want [n,1] and [m,1]");
  CHECK(refusal(ot::loss<double>(ot::LineTransport{0.5}), points(15, 3, 1), points(16, 3, 1)) ==
        "line transport: p = 0.5; want finite and >= 1");
  const Matrix short_weights(Shape{4}, {0.25, 0.25, 0.25, 0.25});
  CHECK(refusal(ot::loss<double>(ot::ExactTransport{}, short_weights.view()), x, z) ==
        "ot: 4 weights a for 6 points");
  Cpu<float> be(1);
  Tape tape(be);
  const Tensor<float> far(Shape{1, 1}, {1e19F}), near(Shape{1, 1}, {-1e19F});
  CHECK_THROWS_AS((void)tape.apply(ot::loss<float>(ot::LineTransport{}), tape.constant(far.view()),
                                   tape.constant(near.view())),
                  NumericalError); // 4e38
}
