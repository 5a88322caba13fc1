// SPDX-License-Identifier: MIT
#include "op_checks.hpp"

#include <sbi/core/missing.hpp>

#include <doctest/doctest.h>

#include <vector>

TEST_CASE("ops/tokens: agreement, gradients and errors of the table's entries") {
  sbi::testing::check_all(sbi::testing::tokens_cases(sbi::testing::Sizes::odd));
}

TEST_CASE("ops/tokens: each rearrangement by hand") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({4, 1}, {1, 2, 3, 4}), table({2, 1}, {10, 20}), u({2, 1}, {100, 200});
  const sbi::Tensor<float> gate({4}, {1, 0, 0, 1}), extra({2, 1}, {-1, -2}), present({4}, {1, 1, 0, 0});
  const sbi::Tensor<std::int32_t> ids({2}, {1, 0});
  const auto values = [](const sbi::Var<float>& y) {
    return std::vector<float>(y.value.data, y.value.data + y.value.size());
  };
  const auto in = tape.constant(x.view());
  CHECK(values(tape.apply(sbi::ops::AddEmbedding{ids.view()}, in, tape.constant(table.view()))) ==
        std::vector<float>{21, 12, 23, 14});
  CHECK(values(tape.apply(sbi::ops::AddGated<float>{gate.view()}, in, tape.constant(u.view()))) ==
        std::vector<float>{101, 2, 3, 204});
  CHECK(values(tape.apply(sbi::ops::Concatenate{2, 1}, in, tape.constant(extra.view()))) ==
        std::vector<float>{1, 2, -1, 3, 4, -2});
  CHECK(values(tape.apply(sbi::ops::MaskedMean<float>{present.view(), 2}, in)) ==
        std::vector<float>{1.5f, 0}); // 0, not 0 / 0, where nothing is present
}

TEST_CASE("ops/tokens: an identity outside the table is named") {
  const sbi::Tensor<std::int32_t> ids({2}, {0, 5});
  CHECK_THROWS_WITH_AS((void)sbi::ops::AddEmbedding{ids.view()}.shape({4, 3}, {5, 3}),
                       "add embedding: identity 5 in a table of 5", sbi::ShapeError);
}

TEST_CASE("ops/tokens: what is absent does not reach the mean, even if it is not a number") {
  sbi::Cpu<float> be;
  sbi::Tape tape(be);
  const sbi::Tensor<float> x({2, 1}, {3, static_cast<float>(sbi::missing)}), present({2}, {1, 0});
  const auto y = tape.apply(sbi::ops::MaskedMean<float>{present.view(), 2}, tape.constant(x.view()));
  CHECK(y.value.data[0] == 3);
}

TEST_CASE("ops/tokens: constants with gaps are refused") {
  const sbi::Tensor<float> table({4, 2});
  const auto column = table.view().columns(0, 1);
  CHECK_THROWS_WITH_AS((void)sbi::ops::AddGated<float>{column}.shape({4, 3}, {2, 3}),
                       "add gated: x is [4,3], u is [2,3], gate [4,1] with rows 2 apart", sbi::ShapeError);
  CHECK_THROWS_AS((void)(sbi::ops::MaskedMean<float>{column, 2}.shape({4, 3})), sbi::ShapeError);
  const sbi::Tensor<std::int32_t> ids({4, 2});
  CHECK_THROWS_AS((void)sbi::ops::AddEmbedding{ids.view().columns(0, 1)}.shape({4, 3}, {5, 3}),
                  sbi::ShapeError);
}
