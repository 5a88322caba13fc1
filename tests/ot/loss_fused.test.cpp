// SPDX-License-Identifier: MIT
#include "loss_cases.hpp"

#include <sbi/ot/loss_fused.hpp>
#include <sbi/ot/loss_keypoint.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace sbi;
using namespace sbi::testing;
using ot::Solver;

namespace {
using Matrix = Tensor<double>;
const ot::SquaredEuclidean square;
const std::array<ot::Keypoint, 3> pairs{{{0, 4}, {3, 0}, {6, 2}}};

template <class T> ot::EntropicGromov gromov(double epsilon) {
  ot::EntropicGromov s;
  s.options.sinkhorn.epsilon = epsilon, s.options.tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15;
  set_tolerance<T>(s.options.sinkhorn);
  return s;
}
template <class T> ot::FusedGromov fused(Solver solver, double alpha, double epsilon) {
  ot::FusedGromov s{{}, solver};
  s.options.alpha = alpha, s.options.tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15;
  s.options.sinkhorn.epsilon = epsilon, s.options.random_starts = 2;
  set_tolerance<T>(s.options.sinkhorn);
  if (solver == Solver::proximal && sizeof(T) == 8) s.options.sinkhorn.tolerance = 1e-11;
  return s;
}
template <class T> ot::KeypointGuided guided(ot::KeypointForm form, Solver solver, double alpha = 0.3) {
  ot::KeypointGuided s{pairs, {}};
  s.options.form = form, s.options.solver = solver, s.options.alpha = alpha;
  s.options.temperature = 2, s.options.temperature_unit = ot::TemperatureUnit::cost;
  s.options.partners = ot::PartnerWeights::common;
  s.options.fused.tolerance = sizeof(T) == 4 ? 1e-6 : 1e-15, s.options.fused.random_starts = 2;
  s.options.sinkhorn.epsilon = form != ot::KeypointForm::with_distortion ? 0.3
                               : solver == Solver::proximal              ? 1
                                                                         : 5;
  set_tolerance<T>(s.options.sinkhorn);
  if (solver == Solver::proximal && sizeof(T) == 8) s.options.sinkhorn.tolerance = 1e-11;
  return s;
}
} // namespace

TEST_CASE("ot/loss: agreement and gradients of losses between clouds of different spaces") {
  std::vector<OpCase> cases;
  for (const Extent e : {Extent{1, 1}, {7, 2}, {4, 7}}) {
    const double size = static_cast<double>(e.cols * e.cols);
    add_loss(
        cases, "entropic gromov", e, 1,
        [=]<class T>(Constants<T>& c) {
          return ot::loss<T>(gromov<T>(8 * size), weights(c, e.rows), weights(c, e.rows + 2));
        },
        1);
    add_loss(
        cases, "exact gromov", e, 1,
        [=]<class T>(Constants<T>& c) {
          return ot::loss<T>(fused<T>(Solver::exact, 1, 1), square, weights(c, e.rows),
                             weights(c, e.rows + 2));
        },
        2);
    add_loss(
        cases, "entropic gromov of distances", e, 1,
        [=]<class T>(Constants<T>&) {
          return ot::loss<T>(fused<T>(Solver::entropic, 1, 8), ot::Euclidean{});
        },
        1);
    add_loss(cases, "exact fused", e, 1,
             [=]<class T>(Constants<T>&) { return ot::loss<T>(fused<T>(Solver::exact, 0.3, 1)); });
    add_loss(cases, "entropic fused", e, 1,
             [=]<class T>(Constants<T>&) { return ot::loss<T>(fused<T>(Solver::entropic, 0.3, 20 * size)); });
    add_loss(cases, "proximal fused", e, 1, [=]<class T>(Constants<T>&) {
      return ot::loss<T>(fused<T>(Solver::proximal, 0.3, 0.1 * size));
    });
  }
  check_settled(cases);
}

TEST_CASE("ot/loss: agreement and gradients of keypoint-guided losses") {
  std::vector<OpCase> cases;
  using ot::KeypointForm;
  for (const Solver solver : {Solver::exact, Solver::entropic}) {
    add_loss(
        cases, "keypoints", {9, 2}, 1,
        [=]<class T>(Constants<T>&) { return ot::loss<T>(guided<T>(KeypointForm::relations, solver)); }, 1);
    add_loss(cases, "keypoints and cost", {9, 3}, 1, [=]<class T>(Constants<T>&) {
      return ot::loss<T>(guided<T>(KeypointForm::with_cost, solver), ot::Euclidean{});
    });
    add_loss(cases, "keypoints and cost, partial", {9, 3}, 1, [=]<class T>(Constants<T>&) {
      auto s = guided<T>(KeypointForm::with_cost, solver);
      s.options.mass = 0.6;
      return ot::loss<T>(s);
    });
  }
  for (const Solver solver : {Solver::exact, Solver::entropic, Solver::proximal})
    add_loss(
        cases, "keypoints and distortion", {9, 3}, 1,
        [=]<class T>(Constants<T>&) { return ot::loss<T>(guided<T>(KeypointForm::with_distortion, solver)); },
        1);
  check_settled(cases);
}

TEST_CASE("ot/loss: values between spaces are the solvers', without entropy that of the plan alone") {
  const Matrix x = points(1, 9, 2), y = points(2, 8, 2, 0.5), wide = points(3, 8, 3);
  const Cpu<double> be(1);
  const auto costs = [&](const Matrix& p, const Matrix& q) {
    return ot::cost_matrix(be, square, p.view(), q.view());
  };
  const auto g = gromov<double>(8);
  CHECK(value(ot::loss<double>(g), x, wide) ==
        ot::entropic_gromov(be, x.view(), wide.view(), {}, {}, g.options).objective);
  for (const Solver solver : {Solver::exact, Solver::entropic, Solver::proximal}) {
    const auto f = fused<double>(solver, 0.3, 3);
    CHECK(value(ot::loss<double>(f), x, y) == ot::fused_transport(be, solver, costs(x, y).view(),
                                                                  costs(x, x).view(), costs(y, y).view(), {},
                                                                  {}, f.options)
                                                  .objective);
    const auto k = guided<double>(ot::KeypointForm::with_distortion, solver);
    CHECK(value(ot::loss<double>(k), x, wide) ==
          ot::keypoint_guided(be, square, x.view(), wide.view(), pairs, {}, {}, k.options).value);
  }
  const auto exact = fused<double>(Solver::exact, 0.3, 1);
  const auto named =
      ot::exact_fused(be, costs(x, y).view(), costs(x, x).view(), costs(y, y).view(), {}, {}, exact.options);
  CHECK(value(ot::loss<double>(exact), x, y) == named.value);
}

TEST_CASE("ot/loss: what cannot be believed between spaces is refused by name") {
  const Matrix x = points(4, 9, 2), y = points(5, 8, 2), wide = points(6, 8, 3);
  const auto unconverged = [](const std::string& message, const char* name) {
    return message.find(std::string(name) + " loss between [9,2] and [8,3] has not converged") == 0;
  };
  auto g = gromov<double>(1);
  g.options.max_iterations = 1;
  CHECK(unconverged(refusal(ot::loss<double>(g), x, wide), "entropic gromov"));
  auto f = fused<double>(Solver::entropic, 1, 1);
  CHECK(refusal(ot::loss<double>(f), x, wide).empty());
  f.options.max_iterations = 1;
  CHECK(unconverged(refusal(ot::loss<double>(f), x, wide), "fused gromov"));
  f.options.alpha = 0.5;
  CHECK(refusal(ot::loss<double>(f), x, wide) ==
        "fused gromov loss: the clouds are [9,2] and [8,3]; want [n,d] and [m,d]");
  auto k = guided<double>(ot::KeypointForm::relations, Solver::entropic);
  CHECK(refusal(ot::loss<double>(k), x, wide).empty());
  k.options.sinkhorn.max_iterations = 1;
  CHECK(unconverged(refusal(ot::loss<double>(k), x, wide), "keypoint-guided"));
  k.options.partners = ot::PartnerWeights::refuse;
  CHECK(refusal(ot::loss<double>(k), x, wide).find("keypoints: keypoint 0 weighs 0.111111 in x") == 0);
  k.options.form = ot::KeypointForm::with_cost;
  CHECK(refusal(ot::loss<double>(k), x, wide) ==
        "keypoint-guided loss: the clouds are [9,2] and [8,3]; want [n,d] and [m,d]");
  const Matrix flat(Shape{6});
  CHECK(refusal(ot::loss<double>(g), flat, wide) ==
        "entropic gromov loss: the clouds are [6] and [8,3]; want [n,d] and [m,e]");
}
