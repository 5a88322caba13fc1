// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/reweight.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;

namespace {
Tensor<double> line(std::uint64_t seed, index_t n, double shift) {
  Rng rng(seed);
  Tensor<double> x(Shape{n, 1});
  for (double& v : x) v = rng.normal() + shift;
  return x;
}
} // namespace

TEST_CASE(
    "ot/reweight: weights, potentials and multiplier fulfil their equation on both sides of rho = epsilon") {
  const Cpu<double> be(1);
  const Tensor<double> x = line(1, 30, 0), y = line(2, 20, 1);
  const ot::SquaredEuclidean cost;
  const auto xy = ot::cost_matrix(be, cost, x.view(), y.view());
  const auto xx = ot::cost_matrix(be, cost, x.view(), x.view());
  ot::Weights<double> a("a", {}, 30), b("b", {}, 20);
  b.scale(2);
  for (double rho : {0.01, 0.1, 0.5, 1.0, 100.0}) {
    ot::SinkhornOptions o;
    o.epsilon = 0.5, o.rho_a = rho, o.tolerance = 1e-11, o.max_iterations = 20000;
    const auto r =
        ot::detail::reweight<Cpu<double>, double>(be, xy.view(), xx.view(), a, b, o, nullptr, nullptr);
    CAPTURE(rho);
    REQUIRE(r.cross.converged);
    double kl = 0;
    for (std::size_t i = 0; i < 30; ++i) {
      const double log_ratio = (r.self.f[i] - r.cross.f[i] - r.lambda) / rho;
      CHECK(r.w.value[i] == doctest::Approx(a.value[i] * std::exp(log_ratio)).epsilon(1e-8));
      CHECK(r.ratio[i] == doctest::Approx(r.w.value[i] / a.value[i]).epsilon(1e-12));
      kl += r.w.value[i] * std::log(r.ratio[i]) - r.w.value[i] + a.value[i];
    }
    CHECK(r.w.mass == doctest::Approx(2).epsilon(1e-12));
    CHECK(r.price == doctest::Approx(rho * kl).epsilon(1e-10));
    // The potentials are those of the balanced problems of w.
    ot::SinkhornOptions balanced = o;
    balanced.rho_a = ot::exact_marginal;
    CHECK(r.cross.value ==
          doctest::Approx(ot::sinkhorn(be, xy.view(), r.w.value, b.value, balanced).value).epsilon(1e-9));
    CHECK(r.self.value ==
          doctest::Approx(ot::sinkhorn_self(be, xx.view(), r.w.value, balanced).value).epsilon(1e-9));
  }
}
