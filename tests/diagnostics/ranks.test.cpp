// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/diagnostics/ranks.hpp>

#include <doctest/doctest.h>

using namespace sbi::diagnostics;
using doctest::Approx;

TEST_CASE("diagnostics/ranks: samples below the truth, ties half, missing truths skipped") {
  Ranks ranks(3);
  const sbi::Tensor<float> samples(sbi::Shape{4, 3}, {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4});
  ranks.add(samples.view(), std::vector<double>{2.5, sbi::missing, 4});
  ranks.add(samples.view(), std::vector<double>{0, 9, sbi::missing});
  REQUIRE(ranks.of(0).size() == 2);
  REQUIRE(ranks.of(1).size() == 1);
  REQUIRE(ranks.of(2).size() == 1);
  CHECK(ranks.of(0)[0] == Approx(2.5 / 5));
  CHECK(ranks.of(0)[1] == Approx(0.5 / 5));
  CHECK(ranks.of(1)[0] == Approx(4.5 / 5));
  CHECK(ranks.of(2)[0] == Approx(4.0 / 5));
}

TEST_CASE("diagnostics/ranks: refused input adds nothing") {
  Ranks ranks(2);
  const sbi::Tensor<double> bad(sbi::Shape{2, 2}, {1, 2, 3, sbi::missing}), wide(sbi::Shape{2, 3});
  CHECK_THROWS_AS(ranks.add(bad.view(), std::vector<double>{1, 1}), sbi::ValueError);
  CHECK_THROWS_AS(ranks.add(wide.view(), std::vector<double>{1, 1}), sbi::ShapeError);
  CHECK_THROWS_AS(ranks.add(bad.view(), std::vector<double>{1}), sbi::ShapeError);
  CHECK(ranks.of(0).empty());
  CHECK_THROWS_AS((void)ranks.of(2), sbi::ShapeError);
  CHECK_THROWS_AS(Ranks(0), sbi::ValueError);
}
