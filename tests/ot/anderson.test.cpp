// SPDX-License-Identifier: MIT
#include <sbi/ot/anderson.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {
/// x -> M x + c with M diagonal, eigenvalues up to `most`; gives the rounds until |F(x) - x| < tolerance.
template <class T> int rounds(double most, bool accelerated, double tolerance, std::vector<T>& x) {
  const std::size_t n = 40;
  const std::vector<double> weights(n, 1.0 / n);
  ot::Anderson<T> accelerate(weights, std::numeric_limits<double>::infinity());
  x.assign(n, T{0});
  std::vector<T> image(n);
  for (int k = 1;; ++k) {
    double worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double slope = most * static_cast<double>(i + 1) / static_cast<double>(n);
      image[i] =
          static_cast<T>(slope * static_cast<double>(x[i]) + (1 - slope) * std::cos(static_cast<double>(i)));
      worst = std::max(worst, std::abs(static_cast<double>(image[i]) - static_cast<double>(x[i])));
    }
    if (worst < tolerance || k == 100000) return k;
    if (accelerated)
      accelerate.step(x, image);
    else
      x = image;
  }
}
} // namespace

TEST_CASE("ot/anderson: finds the fixed point of a slow linear map in far fewer rounds") {
  std::vector<double> x;
  const int plain = rounds(0.999, false, 1e-10, x), fast = rounds(0.999, true, 1e-10, x);
  CHECK(fast * 10 < plain);
  for (std::size_t i = 0; i < x.size(); ++i)
    CHECK(x[i] == doctest::Approx(std::cos(static_cast<double>(i))).epsilon(1e-6));
  std::vector<float> y;
  CHECK(rounds(0.99, true, 1e-5, y) * 4 < rounds(0.99, false, 1e-5, y));
}

TEST_CASE("ot/anderson: entries without weight take the image and do not spoil the rest") {
  const std::vector<double> weights{1, 0};
  ot::Anderson<double> accelerate(weights, std::numeric_limits<double>::infinity());
  std::vector<double> x{0, 0}, image(2);
  for (int k = 0; k < 4; ++k) {
    image = {0.5 * x[0] + 1, missing};
    accelerate.step(x, image);
    CHECK(is_missing(x[1]));
  }
  CHECK(x[0] == doctest::Approx(2).epsilon(1e-10)); // one secant step solves a linear equation in one unknown
}

TEST_CASE("ot/anderson: residuals of 0 are left alone") {
  const std::vector<double> weights{1, 1};
  ot::Anderson<double> accelerate(weights, std::numeric_limits<double>::infinity());
  std::vector<double> x{3, 4};
  const std::vector<double> image = x;
  for (int k = 0; k < 5; ++k) accelerate.step(x, image);
  CHECK(x == image);
}

TEST_CASE("ot/anderson: an extrapolation out of the linear region goes back to the best iterate") {
  const std::vector<double> weights{1, 1};
  ot::Anderson<double> accelerate(weights, std::numeric_limits<double>::infinity());
  std::vector<double> x{1, 1};
  accelerate.step(x, std::vector<double>{0.9, 0.8});
  const std::vector<double> best{0.84, 0.77};
  accelerate.step(x, best);
  CHECK(x != best); // extrapolated
  accelerate.step(x, std::vector<double>{50, -50});
  CHECK(x == best);
  // And forgets: the next step is a plain one.
  const std::vector<double> next{0.8, 0.76};
  accelerate.step(x, next);
  CHECK(x == next);
}

TEST_CASE("ot/anderson: a step beyond its reach is a plain one") {
  const std::vector<double> weights{1, 1};
  ot::Anderson<double> accelerate(weights, 2);
  // Residuals (-1, 1) and (-.999, .999): the secant through them leads a thousand units away.
  std::vector<double> x{0, 0};
  accelerate.step(x, std::vector<double>{-1, 1});
  CHECK(x == std::vector<double>{-1, 1});
  const std::vector<double> next{-1.999, 1.999};
  accelerate.step(x, next);
  CHECK(x == next);
}
