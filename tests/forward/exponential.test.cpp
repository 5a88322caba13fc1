// SPDX-License-Identifier: MIT
#include <sbi/forward/exponential.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

template <int N> void agrees_with_the_standard_function() {
  for (double x = -700; x < 700; x += 0.37) {
    double lane[N];
    for (int i = 0; i < N; ++i) lane[i] = x + 0.01 * i;
    double out[N];
    sbi::forward::detail::exponential(sbi::Vec<double, N>::load(lane)).store(out);
    for (int i = 0; i < N; ++i) CHECK(out[i] == doctest::Approx(std::exp(lane[i])).epsilon(1e-14));
  }
}

} // namespace

TEST_CASE(
    "forward/exponential: every width gives the standard exponential") { // to a few units in the last place
  agrees_with_the_standard_function<1>();
  agrees_with_the_standard_function<2>();
  agrees_with_the_standard_function<4>();
  agrees_with_the_standard_function<8>();
}
