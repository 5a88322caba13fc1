// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/forward/dust_curve.hpp>
#include <sbi/forward/dust_fitzpatrick.hpp>
#include <sbi/forward/dust_g23.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

using namespace sbi;
using namespace sbi::forward;

namespace {

/// From the Lyman limit to 30 micron, with wavelengths at and around the joins of the laws.
std::vector<double> grid() {
  std::vector<double> out;
  for (int i = 0; i <= 1000; ++i) out.push_back(0.05 * std::pow(30 / 0.05, i / 1000.0));
  for (double x : {0.3, 1.1, 1 / .27, 3.3, 5.9, 8.0, 8.7, 10.0}) out.push_back(1 / x);
  return out;
}

/// The largest errors of the curve and of its slope against the law itself.
template <class D> void compare(const D& law, double r_v_min, double r_v_max) {
  const std::vector<double> wavelengths = grid();
  const DustCurve curve(law, wavelengths, r_v_min, r_v_max);
  REQUIRE(curve.size() == wavelengths.size());
  Rng rng(5);
  double worst = 0, worst_slope = 0;
  for (int draw = 0; draw < 100; ++draw) {
    const double r_v = draw == 0 ? r_v_min : draw == 1 ? r_v_max : rng.uniform(r_v_min, r_v_max);
    curve.check(r_v);
    const auto basis = curve.basis(r_v), slope = curve.basis_slope(r_v);
    for (std::size_t i = 0; i < curve.size(); ++i) {
      const double x = 1 / wavelengths[i];
      CHECK(curve.covered(i) == (x >= D::x_min && x <= D::x_max));
      if (!curve.covered(i)) {
        for (std::size_t k = 0; k < 4; ++k) REQUIRE(curve.coefficient(k)[i] == 0);
        continue;
      }
      const Dual<double> want = law(x, Dual<double>{r_v, 1.0});
      worst = std::max(worst, std::abs(curve.at(basis, i) - want.value) / (1 + std::abs(want.value)));
      worst_slope = std::max(worst_slope, std::abs(curve.at(slope, i) - want.slope));
    }
  }
  CAPTURE(r_v_min);
  CHECK(worst < 1e-13); // rounding: the curve is a sum of four values of the law with factors of order 1
  CHECK(worst_slope < 1e-11);
}

struct NotACombination {
  static constexpr double x_min = 0.01, x_max = 20;
  double operator()(double x, double r_v) const { return x * std::exp(-r_v); }
};

} // namespace

TEST_CASE("forward/dust_curve: every law at any R_V, and its derivative, to rounding") {
  compare(CCM89{}, 2, 6);
  compare(CCM89{}, 1, 10);
  compare(ODonnell94{}, 2, 6);
  compare(F99{}, 2, 6);
  compare(F99{}, 3, 3.2);
  compare(F19{}, 2, 6);
  compare(G23{}, 2.3, 5.6);
}

TEST_CASE("forward/dust_curve: the factors at a node, and their sum") {
  const std::vector<double> wavelengths{0.4, 0.5494505494505495, 2.2};
  const DustCurve curve(CCM89{}, wavelengths, 2, 6);
  for (double r_v : {2.0, 2.7, 3.1, 6.0}) {
    double constant = 0;
    for (double b : curve.basis(r_v)) constant += b; // 1 is one of the four functions
    CHECK(constant == doctest::Approx(1).epsilon(1e-14));
    CHECK(curve.at(curve.basis(r_v), 1) ==
          doctest::Approx(1).epsilon(1e-13)); // CCM89 is 1 at 1.82 per micron
    CHECK(std::abs(curve.at(curve.basis_slope(r_v), 1)) < 1e-12);
  }
  CHECK(curve.r_v_min() == 2);
  CHECK(curve.r_v_max() == 6);
}

TEST_CASE("forward/dust_curve: what is refused is named") {
  const std::vector<double> wavelengths{0.4, 0.5};
  const DustCurve curve(CCM89{}, wavelengths, 2, 6);
  CHECK_THROWS_WITH_AS(curve.check(6.5), "dust curve: R_V = 6.5; want 2 to 6", ValueError);
  CHECK_THROWS_AS(curve.check(1.9), ValueError);
  CHECK_THROWS_AS(curve.check(std::nan("")), ValueError);
  CHECK_THROWS_WITH_AS(DustCurve(CCM89{}, wavelengths, 3, 3),
                       "dust curve: R_V from 3 to 3; want 0 < first < last", ValueError);
  CHECK_THROWS_AS(DustCurve(CCM89{}, wavelengths, -1, 3), ValueError);
  CHECK_THROWS_WITH_AS(DustCurve(G23{}, wavelengths, 2, 4), "G23: R_V = 2; want 2.3 to 5.6", ValueError);
  CHECK_THROWS_WITH_AS(DustCurve(CCM89{}, std::vector<double>{0.5, -1}, 2, 6),
                       "dust curve: wavelength -1 micron; want > 0", ValueError);
  try {
    const DustCurve wrong(NotACombination{}, wavelengths, 2, 6);
    FAIL("a law of another form was taken");
  } catch (const ValueError& e) {
    CHECK(std::string(e.what()).find("want a combination of R_V, 1, 1/R_V, 1/R_V^2") != std::string::npos);
  }
}
