// SPDX-License-Identifier: MIT
#include "clouds.hpp"

#include <sbi/ot/exchange.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace sbi;

namespace {
using Matrix = Tensor<double>;
const Cpu<double> be(1);

/// The largest fall of F, by its definition, over the exchanges between any two pairs of a plan, each in
/// fiftieths of what can be exchanged.
template <class F> double largest_fall(const Matrix& plan, F&& value) {
  double most = 0;
  const double before = value(plan);
  for (index_t p = 0; p < plan.size(); ++p)
    for (index_t q = 0; q < p; ++q) {
      const index_t i = p / plan.cols(), j = p % plan.cols(), k = q / plan.cols(), l = q % plan.cols();
      const double whole = std::min(plan(i, j), plan(k, l));
      if (i == k || j == l || whole == 0) continue;
      for (int part = 1; part <= 50; ++part) {
        const double mass = whole * part / 50;
        Matrix other = plan;
        other(i, j) -= mass, other(k, l) -= mass, other(i, l) += mass, other(k, j) += mass;
        most = std::max(most, before - value(other));
      }
    }
  return most;
}
} // namespace

TEST_CASE("ot/exchange: the best exchange is that of trying all, and falls by what it says") {
  // Of asymmetric costs F bends either way.
  const auto check = [](const Matrix& x, const Matrix& y, const auto& loss, double alpha) {
    const index_t n = x.rows(), m = y.rows();
    const Matrix cost = random_matrix(3, n, m);
    const ot::detail::LossRowsOf<double, std::decay_t<decltype(loss)>> rows(loss);
    ot::FusedOptions o;
    o.alpha = alpha;
    const ot::detail::FusedProblem<Cpu<double>, double> problem(
        be, cost.view(), x.view(), y.view(), random_weights(4, n), random_weights(5, m), o, rows, 0);
    const auto state = problem.begin(problem.start(3)); // a vertex
    const auto best = ot::detail::best_exchange(problem, problem.slope(state), state.plan);
    const auto value = [&](const Matrix& plan) { return problem.begin(plan).value; };
    Matrix moved = state.plan;
    for (const ot::Shipment& of : best.shipments()) moved(of.from, of.to) += of.mass;
    CHECK(*std::min_element(moved.begin(), moved.end()) >= 0);
    CHECK(state.value - value(moved) == doctest::Approx(best.fall).epsilon(1e-9));
    const double tried = largest_fall(state.plan, value);
    CHECK(tried > 0);
    CHECK(best.fall >= tried * (1 - 1e-9));
    CHECK(best.fall <=
          tried * 1.001); // a fiftieth of the way from the minimum of a parabola: 1 / 2500 at most
  };
  for (std::uint64_t seed = 10; seed < 16; ++seed) {
    const Matrix x = random_matrix(seed, 7, 7), y = random_matrix(seed + 10, 5, 5);
    check(x, y, ot::SquareLoss{}, 0.7);
    check(x, y, ot::KullbackLeiblerLoss{0.1}, 1);
  }
}

TEST_CASE("ot/exchange: of a plan with all its pairs the heaviest count; where nothing falls there is none") {
  const Matrix x({2, 2}, {0, 1, 1, 0});
  const ot::detail::LossRowsOf<double, ot::SquareLoss> rows(ot::SquareLoss{});
  const ot::detail::FusedProblem<Cpu<double>, double> problem(be, {}, x.view(), x.view(), {}, {}, {}, rows,
                                                              0);
  const auto fall = [&](const Matrix& plan) {
    const auto state = problem.begin(plan);
    return ot::detail::best_exchange(problem, problem.slope(state), state.plan);
  };
  CHECK(fall(Matrix({2, 2}, {0.5, 0, 0, 0.5})).fall == 0);
  // E of {{t, 1/2 - t}, {1/2 - t, t}} is 8 t (1/2 - t): from t = .3, .48, it goes to 0 either way.
  const auto found = fall(Matrix({2, 2}, {0.3, 0.2, 0.2, 0.3}));
  CHECK(found.fall == doctest::Approx(0.48));
  CHECK((found.mass == doctest::Approx(0.3) || found.mass == doctest::Approx(0.2)));
}
