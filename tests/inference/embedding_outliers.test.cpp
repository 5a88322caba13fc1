// SPDX-License-Identifier: MIT
#include <sbi/backend/cpu.hpp>
#include <sbi/core/rng.hpp>
#include <sbi/inference/embedding_outliers.hpp>

#include <doctest/doctest.h>

#include <cmath>

using namespace sbi;

namespace {

Tensor<float> normal_cloud(index_t rows, index_t width, double shift, std::uint64_t seed) {
  Tensor<float> out({rows, width});
  Rng rng(seed);
  for (float& v : out) v = static_cast<float>(rng.normal(shift, 1));
  return out;
}

} // namespace

TEST_CASE("inference/embedding_outliers: p-values of rows like the reference are uniform") {
  constexpr index_t n = 1000;
  const auto p = embedding_p_values(Cpu<>(2), normal_cloud(2000, 4, 0, 1), normal_cloud(n, 4, 0, 2),
                                    normal_cloud(n, 4, 0, 3));
  for (const double level : {0.05, 0.25, 0.5, 0.9}) {
    double below = 0;
    for (const double v : p) below += v <= level ? 1.0 / n : 0.0;
    // Four standard errors; both samples are finite, hence the factor two in the variance.
    CHECK(std::abs(below - level) < 4 * std::sqrt(2 * level * (1 - level) / n) + 1.0 / n);
  }
}

TEST_CASE("inference/embedding_outliers: rows far from the reference get the smallest p-value") {
  const auto p = embedding_p_values(Cpu<>(2), normal_cloud(500, 4, 0, 1), normal_cloud(199, 4, 0, 2),
                                    normal_cloud(10, 4, 30, 3));
  for (const double v : p) CHECK(v == doctest::Approx(1.0 / 200));
}

TEST_CASE("inference/embedding_outliers: ranked by the distance to the neighbour asked for") {
  Tensor<double> reference({3, 1}), held_out({3, 1}), row({2, 1});
  reference(0, 0) = 0, reference(1, 0) = 1, reference(2, 0) = 5;
  held_out(0, 0) = 0, held_out(1, 0) = 3, held_out(2, 0) = 7; // second nearest at 1, 2 and 6
  row(0, 0) = 5, row(1, 0) = 0.5;                             // second nearest at 4 and 0.5
  const auto p = embedding_p_values(Cpu<>(1), reference, held_out, row, 2);
  CHECK(p[0] == doctest::Approx(0.5)); // one of three lies farther
  CHECK(p[1] == doctest::Approx(1.0));
}

TEST_CASE("inference/embedding_outliers: what does not fit is refused") {
  const Tensor<float> a = normal_cloud(10, 4, 0, 1), narrow = normal_cloud(10, 3, 0, 1),
                      few = normal_cloud(2, 4, 0, 1);
  CHECK_THROWS_AS((void)embedding_p_values(Cpu<>(1), a, a, narrow), ShapeError);
  CHECK_THROWS_AS((void)embedding_p_values(Cpu<>(1), few, a, a), ValueError);
  CHECK_THROWS_AS((void)embedding_p_values(Cpu<>(1), a, Tensor<float>({0, 4}), a), ValueError);
  CHECK_THROWS_AS((void)embedding_p_values(Cpu<>(1), a, a, a, 0), ValueError);
}
