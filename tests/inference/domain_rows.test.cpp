// SPDX-License-Identifier: MIT
#include <sbi/inference/domain_rows.hpp>

#include <doctest/doctest.h>

#include <cmath>

using sbi::index_t;

TEST_CASE(
    "inference/domain_rows: surveys and values are dropped at their rates, alike from the same stream") {
  const std::vector<sbi::Modality> surveys{{"first", {0, 2}}, {"second", {3, 4, 5}}}; // 1 belongs to none
  constexpr int rows = 20'000;
  const auto dropped = [&](double survey_rate, double value_rate, int row) {
    std::vector<float> x(6, 1.0f);
    sbi::detail::drop_values(surveys, survey_rate, value_rate,
                             sbi::Rng(1).split(static_cast<std::uint64_t>(row)), x);
    std::vector<bool> out;
    for (float v : x) out.push_back(sbi::is_missing(v));
    return out;
  };
  // Six deviations of a share of `rows` rows.
  const auto near = [](int count, double share) {
    return std::abs(count / double{rows} - share) < 6 * std::sqrt(share * (1 - share) / rows);
  };
  int whole = 0, in_part = 0, single = 0;
  for (int row = 0; row < rows; ++row) {
    const auto surveys_only = dropped(0.1, 0, row), values_only = dropped(0, 0.15, row);
    CHECK(!surveys_only[1]);
    CHECK(!values_only[1]);
    CHECK(dropped(0, 0.15, row) == values_only);
    whole += surveys_only[0], in_part += surveys_only[0] != surveys_only[2], single += values_only[4];
  }
  CHECK(near(whole, 0.1));
  CHECK(in_part == 0);
  CHECK(near(single, 0.15));
}

TEST_CASE("inference/domain_rows: kinds that the score loss reads, and their names in messages") {
  using enum sbi::detail::RowKind;
  CHECK(is_scored(simulated));
  CHECK(is_scored(pair));
  CHECK(!is_scored(real));
  CHECK(!is_scored(partner));
  CHECK(std::string(name(pair)) == "paired");
  CHECK(std::string(name(simulated)) == "simulated");
}
