// SPDX-License-Identifier: MIT
#include <sbi/autodiff/gradient_check.hpp>
#include <sbi/backend/cpu.hpp>
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/band_response.hpp>
#include <sbi/forward/dust_fitzpatrick.hpp>
#include <sbi/forward/synthesis_op.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <tuple>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

const Synthesis<double>& synthesis() {
  static const Synthesis<double> of(
      tabulate(AnalyticAtmosphere{}, {3.6, 3.65, 3.7, 3.75, 3.8, 3.85}, {3, 4, 5}, {-1, 0, .5}), F99{}, 2.5,
      5.5, BandResponse(passbands({"GaiaDR3.G", "GaiaDR3.RP", "2MASS.Ks"})));
  return of;
}
Tensor<double> parameters(index_t n) {
  Tensor<double> x(Shape{n, 7});
  Rng rng(2);
  for (index_t i = 0; i < n; ++i) {
    const double row[] = {rng.uniform(3.61, 3.84), rng.uniform(3.1, 4.9), rng.uniform(-.9, .4),
                          rng.uniform(-.2, .3),    rng.uniform(.1, 2),    rng.uniform(2.7, 5),
                          rng.uniform(2, 3)};
    std::copy_n(row, 7, x.row(i));
  }
  return x;
}

} // namespace

TEST_CASE("forward/synthesis_op: gradients of magnitudes and of fluxes against central differences") {
  Cpu<double> be(1);
  for (index_t magnitudes : {3, 1}) {
    const auto check = gradient_check(
        be,
        [&](auto& tape, auto& v) {
          return tape.apply(Synthesize<double>{&synthesis(), magnitudes}, v[0]);
        },
        {parameters(9)}, Rng(3), 1e-6);
    CHECK(check.relative_error < 1e-7); // truncation 1e-12, rounding 1e-16 / 1e-6 of the value
  }
}

TEST_CASE("forward/synthesis_op: a distance modulus and a radius are what they must be") {
  Cpu<double> be(1);
  Tape tape(be);
  const Tensor<double> x = parameters(4);
  const auto in = tape.input(x.view());
  const auto m = tape.apply(Synthesize<double>{&synthesis(), 3}, in);
  Tensor<double> seed(Shape{4, 3});
  seed(2, 1) = 1;
  tape.seed(m, seed.view());
  tape.backward();
  for (index_t i = 0; i < 4; ++i) {
    CHECK(in.grad(i, 6) == doctest::Approx(i == 2 ? 5 : 0).epsilon(1e-12));  // m grows by 5 log10 d
    CHECK(in.grad(i, 3) == doctest::Approx(i == 2 ? -5 : 0).epsilon(1e-12)); // and falls by 5 log10 R
  }
  CHECK(in.grad(2, 0) < -5); // hotter is brighter, by more than the Rayleigh-Jeans tail says
  CHECK(in.grad(2, 4) == doctest::Approx(.6).epsilon(.2)); // A_RP / A_V
}

TEST_CASE("forward/synthesis_op: a star without models and inputs of another shape are named") {
  Cpu<double> be(1);
  Tape tape(be);
  Tensor<double> x = parameters(3);
  x(1, 0) = 4.5;
  const auto in = tape.input(x.view());
  CHECK_THROWS_AS(std::ignore = tape.apply(Synthesize<double>{&synthesis(), 3}, in), ValueError);
  CHECK_THROWS_AS(std::ignore = tape.apply(Synthesize<double>{&synthesis(), 4}, in), ValueError);
  const Tensor<double> narrow(Shape{3, 6});
  const auto wrong = tape.input(narrow.view());
  CHECK_THROWS_AS(std::ignore = tape.apply(Synthesize<double>{&synthesis(), 3}, wrong), ShapeError);
}
