// SPDX-License-Identifier: MIT
#include <sbi/forward/chabrier.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using sbi::Rng;
using sbi::forward::Chabrier;
using sbi::forward::ChabrierSingle;
using sbi::forward::ChabrierSystem;

namespace {

/// Simpson's rule in log10 m with 4000 intervals on each side of the kink at 1 solar mass.
double integral(const Chabrier& imf, double from, double to, int order) {
  const auto piece = [&](double a, double b) {
    constexpr int n = 4000;
    const double x0 = std::log10(a), h = (std::log10(b) - x0) / n;
    double sum = 0;
    for (int i = 0; i <= n; ++i) {
      const double m = std::clamp(std::pow(10, x0 + i * h), a, b);
      const double w = i == 0 || i == n ? 1 : i % 2 ? 4 : 2;
      sum += w * imf.pdf(m) * std::pow(m, order + 1) * std::log(10.0);
    }
    return sum * h / 3;
  };
  if (to <= 1 || from >= 1) return piece(from, to);
  return piece(from, 1) + piece(1, to);
}

} // namespace

TEST_CASE("forward/chabrier: means of the published functions") {
  // Reference values are given to five digits: half a unit of the last.
  CHECK(std::abs(ChabrierSingle(.01, 100).mean() - .34911) < 5e-6);
  CHECK(std::abs(ChabrierSingle(.08, 120).mean() - .61076) < 5e-6);
  CHECK(std::abs(ChabrierSystem(.1, 100).mean() - .83560) < 5e-6);
}

TEST_CASE("forward/chabrier: the shape of table 1") {
  const ChabrierSingle imf;
  const auto per_dex = [&](double m) { return imf.pdf(m) * m; };
  // 0.158 at the centre, 0.0443 at 1 solar mass: continuity leaves the second its 0.7 %.
  CHECK(per_dex(1.0 + 1e-9) / per_dex(.079) == doctest::Approx(.0443 / .158).epsilon(.01));
  CHECK(per_dex(1 - 1e-10) == doctest::Approx(per_dex(1 + 1e-10)).epsilon(1e-9));
  CHECK(per_dex(2) / per_dex(20) == doctest::Approx(std::pow(10, 1.3)).epsilon(1e-12));
  CHECK(per_dex(.079 * std::pow(10, .69)) / per_dex(.079) == doctest::Approx(std::exp(-.5)).epsilon(1e-12));
  const ChabrierSystem systems;
  CHECK(systems.pdf(.22 / 2) * .11 == doctest::Approx(systems.pdf(.44) * .44).epsilon(1e-12));
}

TEST_CASE("forward/chabrier: density, cumulative distribution, quantile and mean agree") {
  for (const Chabrier& imf :
       {Chabrier(ChabrierSingle()), Chabrier(ChabrierSystem()), Chabrier(.079, .69, .1, .8),
        Chabrier(.079, .69, 2, 50), Chabrier(.22, .57, 1, 150), Chabrier(.22, .57, .3, 1)}) {
    CAPTURE(imf.lower());
    for (double u = 0.005; u < 1; u += 0.01) CHECK(std::abs(imf.cdf(imf.quantile(u)) - u) < 1e-12);
    for (double u : {1e-9, 1e-6, 1 - 1e-6, 1 - 1e-9}) CHECK(std::abs(imf.cdf(imf.quantile(u)) - u) < 1e-12);
    for (double f : {.1, .3, .5, .9}) {
      const double m = imf.lower() * std::pow(imf.upper() / imf.lower(), f);
      CHECK(imf.quantile(imf.cdf(m)) == doctest::Approx(m).epsilon(1e-10)); // cdf(m) is flat at the top
      // Simpson's error with these intervals is below 1e-12
      CHECK(std::abs(integral(imf, imf.lower(), m, 0) - imf.cdf(m)) < 1e-10);
    }
    CHECK(std::abs(integral(imf, imf.lower(), imf.upper(), 0) - 1) < 1e-10);
    CHECK(integral(imf, imf.lower(), imf.upper(), 1) == doctest::Approx(imf.mean()).epsilon(1e-10));
    CHECK(imf.quantile(0) == doctest::Approx(imf.lower()).epsilon(1e-12));
    CHECK(imf.quantile(1) == doctest::Approx(imf.upper()).epsilon(1e-10));
    CHECK(imf.pdf(imf.lower() * .99) == 0);
    CHECK(imf.pdf(imf.upper() * 1.01) == 0);
    CHECK(imf.cdf(imf.lower() * .5) == 0);
    CHECK(imf.cdf(imf.upper() * 2) == 1);
  }
  const ChabrierSingle endless(.01, std::numeric_limits<double>::infinity());
  CHECK(std::abs(endless.cdf(endless.quantile(.9999)) - .9999) < 1e-12);
  CHECK(endless.mean() > ChabrierSingle(.01, 1e6).mean());
}

TEST_CASE("forward/chabrier: samples follow the cumulative distribution") {
  const ChabrierSystem imf(.05, 120);
  Rng rng(3);
  constexpr int n = 10000;
  std::vector<double> u;
  for (int i = 0; i < n; ++i) u.push_back(imf.cdf(imf.sample(rng)));
  std::sort(u.begin(), u.end());
  double distance = 0;
  for (std::size_t i = 0; i < n; ++i)
    distance = std::max({distance, std::abs(u[i] - static_cast<double>(i) / n),
                         std::abs(u[i] - static_cast<double>(i + 1) / n)});
  CHECK(distance < 1.63 / std::sqrt(n)); // Kolmogorov-Smirnov, 1 %
}

TEST_CASE("forward/chabrier: what is no mass function is refused") {
  CHECK_THROWS_AS(ChabrierSingle(0, 1), sbi::ValueError);
  CHECK_THROWS_AS(ChabrierSingle(1, 1), sbi::ValueError);
  CHECK_THROWS_AS(Chabrier(-.1, .5, .1, 1), sbi::ValueError);
  CHECK_THROWS_AS(Chabrier(.1, 0, .1, 1), sbi::ValueError);
  CHECK_THROWS_WITH(Chabrier(1e-3, .1, .5, .9), doctest::Contains("holds no stars from 0.5 to 0.9"));
  CHECK_THROWS_AS(Chabrier(.2, std::numeric_limits<double>::infinity(), .1, 100), sbi::ValueError);
  CHECK_THROWS_WITH((void)ChabrierSingle().quantile(1.5),
                    "imf: quantile of 1.5; want a fraction from 0 to 1");
}
