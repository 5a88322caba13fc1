// SPDX-License-Identifier: MIT
#include <sbi/forward/exponential.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

template <int N> void agrees_with_the_standard_function() {
  // to a few units in the last place
  for (double x = -700; x < 700; x += 0.37) {
    double lane[N];
    for (int i = 0; i < N; ++i) lane[i] = x + 0.01 * i;
    double out[N];
    sbi::forward::detail::exponential(sbi::Vec<double, N>::load(lane)).store(out);
    for (int i = 0; i < N; ++i) CHECK(out[i] == doctest::Approx(std::exp(lane[i])).epsilon(1e-14));
  }
}

} // namespace

// Wider vectors than the instruction set has would change how they are passed between functions.
TEST_CASE("forward/exponential: narrow and native vectors give the standard exponential") {
  agrees_with_the_standard_function<1>();
  agrees_with_the_standard_function<2>();
  agrees_with_the_standard_function<sbi::native_lanes<double>>();
}
