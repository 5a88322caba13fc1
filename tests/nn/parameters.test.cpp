// SPDX-License-Identifier: MIT
#include <sbi/nn/parameters.hpp>

#include <doctest/doctest.h>

#include <cmath>

using sbi::nn::Init;
using sbi::nn::Parameters;

TEST_CASE("nn/parameters: one flat buffer, aligned, zeros in the gaps") {
  Parameters<float> parameters(3);
  const auto a = parameters.add("a.weight", {3, 5}, Init::ones());
  const auto b = parameters.add("b", {17}, Init{2, 0});
  CHECK(a.offset == 0);
  CHECK(b.offset == 16); // 64 bytes
  CHECK(parameters.size() == 48);
  CHECK(parameters.count() == 32);
  CHECK(parameters.values()[14] == 1);
  CHECK(parameters.values()[15] == 0);
  CHECK(parameters.values()[16 + 16] == 2);
  CHECK(parameters.values().back() == 0);
  REQUIRE(parameters.entries().size() == 2);
  CHECK(parameters.entries()[1].name == "b");
  CHECK(parameters.view(parameters.entries()[0]).shape == sbi::Shape{3, 5});
}

TEST_CASE("nn/parameters: initial values have their spread and depend on seed and order only") {
  const auto made = [](std::uint64_t seed, bool extra) {
    Parameters<double> parameters(seed);
    (void)parameters.add("w", {100, 100}, Init::normal(0.3));
    if (extra) (void)parameters.add("v", {100, 100}, Init::normal(1));
    return parameters;
  };
  const auto one = made(1, false), more = made(1, true), other = made(2, false);
  double sum = 0, square = 0, cross = 0;
  for (std::size_t i = 0; i < 10000; ++i) {
    sum += one.values()[i], square += one.values()[i] * one.values()[i];
    cross += more.values()[i] * more.values()[10000 + i];
  }
  CHECK(std::abs(sum / 1e4) < 4 * 0.3 / 100); // four standard errors
  CHECK(std::sqrt(square / 1e4) == doctest::Approx(0.3).epsilon(4 / std::sqrt(2e4)));
  CHECK(std::abs(cross / 1e4) < 4 * 0.3 / 100); // two parameters do not share their numbers
  CHECK(std::equal(one.values().begin(), one.values().end(), more.values().begin()));
  CHECK(one.values()[0] != other.values()[0]);
}

TEST_CASE("nn/parameters: a name is given once") {
  Parameters<float> parameters;
  (void)parameters.add("x", {1}, Init::zeros());
  CHECK_THROWS_WITH_AS((void)parameters.add("x", {2}, Init::zeros()), "parameters: x is added twice",
                       sbi::ValueError);
}
