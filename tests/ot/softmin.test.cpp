// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/ot/softmin.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace sbi;

namespace {
template <class T> void check_softmin(double eps, double tolerance) {
  for (index_t m : {1, 3, 8, 16, 17, 63, 64, 65, 130, 257}) {
    const index_t n = 5;
    Rng rng(static_cast<std::uint64_t>(m));
    Tensor<T> cost(Shape{n, m});
    for (T& c : cost) c = static_cast<T>(rng.uniform());
    std::vector<T> g(static_cast<std::size_t>(m)), log_b(g.size()), fast(5), slow(5);
    for (std::size_t j = 0; j < g.size(); ++j) {
      g[j] = static_cast<T>(rng.uniform());
      log_b[j] =
          j % 3 == 1 ? -std::numeric_limits<T>::infinity() : static_cast<T>(std::log(0.1 + rng.uniform()));
      if (j % 3 == 1) g[j] = std::numeric_limits<T>::quiet_NaN(); // no weight: whatever the potential is
    }
    ot::softmin(Cpu<T>(2), cost.view(), log_b, g, eps, fast);
    ot::softmin(Reference<T>(), cost.view(), log_b, g, eps, slow);
    for (std::size_t i = 0; i < fast.size(); ++i) CHECK(std::abs(fast[i] - slow[i]) <= tolerance);
  }
}
} // namespace

TEST_CASE("ot/softmin: rows of any length agree with the definition") {
  // The exponents reach 1/eps with a rounding of 1/eps ulp each; eps times that is one ulp of the cost.
  check_softmin<float>(0.1, 1e-6);
  check_softmin<float>(1e-4, 1e-6);
  check_softmin<double>(0.1, 1e-15);
  check_softmin<double>(1e-6, 1e-15);
}

TEST_CASE("ot/softmin: forbidden pairs and rows without partner") {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor<float> cost(Shape{2, 2}, {1.0F, inf, inf, inf});
  const std::vector<float> log_b{0, 0}, g{0, 0};
  std::vector<float> out(2);
  ot::softmin(Cpu<float>(1), cost.view(), log_b, g, 0.5, out);
  CHECK(out[0] == doctest::Approx(1.0F));
  CHECK(out[1] == inf);
}

TEST_CASE(
    "ot/softmin: an estimate changes nothing but the last digits, and what is not a number stays that") {
  const index_t n = 9, m = 70;
  Rng rng(3);
  Tensor<float> cost(Shape{n, m});
  for (float& c : cost) c = static_cast<float>(rng.uniform());
  std::vector<float> g(70), log_b(70, -4.2F), f(9), log_a(9, -2.2F), want(9), wanted_columns(70);
  for (float& v : g) v = static_cast<float>(rng.normal());
  for (float& v : f) v = static_cast<float>(rng.normal());
  const double eps = 0.01;
  const Cpu<float> be(1);
  ot::softmin(Reference<float>(), cost.view(), log_b, g, eps, want);
  ot::softmin_columns(Reference<float>(), cost.view(), log_a, f, eps, wanted_columns);
  const float inf = std::numeric_limits<float>::infinity();
  for (float off : {0.0F, 0.3F, -0.3F, 0.7F, -0.7F, 50.0F, -50.0F, 1e30F, inf, -inf,
                    std::numeric_limits<float>::quiet_NaN()}) {
    CAPTURE(off);
    std::vector<float> rows = want, columns = wanted_columns;
    for (float& v : rows) v += off;
    for (float& v : columns) v += off;
    ot::softmin(be, cost.view(), log_b, g, eps, rows);
    ot::softmin_columns(be, cost.view(), log_a, f, eps, columns);
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(std::abs(rows[i] - want[i]) < 1e-6F);
    for (std::size_t j = 0; j < columns.size(); ++j) CHECK(std::abs(columns[j] - wanted_columns[j]) < 1e-6F);
  }
  cost(4, 33) = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> rows(9), columns(70);
  ot::softmin(be, cost.view(), log_b, g, eps, rows);
  ot::softmin_columns(be, cost.view(), log_a, f, eps, columns);
  for (std::size_t i = 0; i < rows.size(); ++i) CHECK(is_missing(rows[i]) == (i == 4));
  for (std::size_t j = 0; j < columns.size(); ++j) CHECK(is_missing(columns[j]) == (j == 33));
}

TEST_CASE("ot/softmin: weights are checked and named") {
  using W = ot::Weights<double>;
  CHECK(W("a", {}, 4).value[2] == 0.25);
  const std::vector<double> negative{0.5, -0.1}, nan{missing, 1.0}, none{0.0, 0.0}, three{1, 1, 1};
  CHECK_THROWS_WITH_AS(W("a", negative, 2), "ot: weight a[1] = -0.1; want >= 0 and finite", ValueError);
  CHECK_THROWS_WITH_AS(W("b", nan, 2), "ot: weight b[0] = nan; want >= 0 and finite", ValueError);
  CHECK_THROWS_AS(W("b", none, 2), ValueError);
  CHECK_THROWS_AS(W("b", three, 2), ShapeError);
  CHECK_THROWS_AS(W("b", {}, 0), ShapeError);
}
