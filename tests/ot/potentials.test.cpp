// SPDX-License-Identifier: MIT
#include <sbi/ot/potentials.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;

namespace {
constexpr double inf = ot::exact_marginal;
}

TEST_CASE("ot/potentials: the terms of the dual tend to the balanced ones") {
  CHECK(ot::detail::damping(inf, 0.1) == 1);
  CHECK(ot::detail::damping(0.3, 0.1) == doctest::Approx(0.75));
  CHECK(ot::detail::wanted(0.5, inf) == 1);
  CHECK(ot::detail::wanted(0.5, 2) == doctest::Approx(std::exp(-0.25)));
  CHECK(ot::detail::conjugate(0.5, inf) == 0.5);
  CHECK(ot::detail::conjugate(0.5, 1e12) == doctest::Approx(0.5).epsilon(1e-11));
  const double h = 1e-6; // the slope of the dual's term is the marginal that it asks for
  CHECK((ot::detail::conjugate(0.5 + h, 2) - ot::detail::conjugate(0.5 - h, 2)) / (2 * h) ==
        doctest::Approx(ot::detail::wanted(0.5, 2)).epsilon(1e-9));
}

TEST_CASE("ot/potentials: the shift maximises the dual over the common constant") {
  const std::vector<double> a{0.3, 0.9, 0}, b{0.5, 0.2}, f{0.4, -0.2, 1e9}, g{0.7, 0.1};
  const ot::Weights<double> wa("a", a, 3), wb("b", b, 2);
  for (const auto& prices : {std::pair{1.0, 2.0}, {0.5, inf}, {inf, 3.0}}) {
    const double rho_a = prices.first, rho_b = prices.second;
    const auto dual = [&](double t) { // the plan does not depend on t
      std::vector<double> u = f, v = g;
      for (double& p : u) p += t;
      for (double& p : v) p -= t;
      return ot::detail::side(wa, u, rho_a) + ot::detail::side(wb, v, rho_b);
    };
    const double t = ot::detail::best_shift<double>(wa, wb, f, g, rho_a, rho_b);
    CHECK(dual(t) > dual(t + 1e-3));
    CHECK(dual(t) > dual(t - 1e-3));
  }
  CHECK(ot::detail::best_shift<double>(wa, wb, f, g, inf, inf) == 0);
}

TEST_CASE("ot/potentials: the schedule ends at epsilon and keeps to the limit of iterations") {
  ot::SinkhornOptions o;
  o.epsilon = 0.1, o.scaling = 0.5;
  std::vector<double> seen;
  const auto at_once = [&](double eps) {
    seen.push_back(eps);
    return 0.0;
  };
  constexpr double range = 64; // of the costs; the schedule begins at 1/64 of it
  const auto [residual, used] = ot::detail::anneal(o, range, 1e-6, at_once);
  CHECK(seen == std::vector<double>{0.8, 0.4, 0.2, 0.1});
  CHECK(used == 4);
  CHECK(residual == 0);
  for (int limit : {1, 3, 50}) {
    o.max_iterations = limit;
    double last = 0;
    const auto never = [&](double eps) { return last = eps, 1.0; };
    CHECK(ot::detail::anneal(o, range, 1e-6, never).second == limit);
    CHECK(last == 0.1); // the result belongs to the epsilon that was asked for
  }
  CHECK_THROWS_AS((void)ot::detail::anneal(o, range, 1e-6, [](double) { return missing; }), NumericalError);
}
