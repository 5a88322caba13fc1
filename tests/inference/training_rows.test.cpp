// SPDX-License-Identifier: MIT
#include <sbi/inference/training_rows.hpp>

#include <doctest/doctest.h>

#include <set>

using sbi::index_t;
using sbi::detail::BatchOrder;
using sbi::detail::Split;

TEST_CASE("inference/training_rows: the held-out rows are a share of all, spread evenly") {
  const Split split(1000, 0.05);
  CHECK(split.held_out.size() == 50);
  CHECK(split.train.size() == 950);
  for (std::size_t i = 1; i < split.held_out.size(); ++i)
    CHECK(split.held_out[i] - split.held_out[i - 1] == 20);
  const Split none(10, 0);
  CHECK(none.held_out.empty());
  CHECK(none.train.size() == 10);
  CHECK(Split(1, 0.5).train.size() == 1); // the first row always trains
  for (double share : {0.1, 0.3, 0.5, 0.7, 0.9}) {
    const Split part(1000, share);
    CHECK(std::abs(static_cast<double>(part.held_out.size()) - 1000 * share) < 1e-6);
    CHECK(part.train.front() == 0);
  }
}

TEST_CASE("inference/training_rows: each epoch is a fresh permutation, a function of seed and step") {
  std::vector<index_t> rows{3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  BatchOrder order(rows, 3, sbi::Rng(1));
  CHECK(order.batch() == 3);
  std::vector<std::vector<index_t>> epochs;
  for (index_t epoch = 0; epoch < 3; ++epoch) {
    std::vector<index_t> seen;
    for (index_t step = 3 * epoch; step < 3 * epoch + 3; ++step)
      for (index_t i = 0; i < 3; ++i) seen.push_back(order.row(step, i));
    CHECK(std::set<index_t>(seen.begin(), seen.end()).size() == 9); // none twice
    epochs.push_back(seen);
  }
  CHECK(epochs[0] != epochs[1]);
  BatchOrder again(rows, 3, sbi::Rng(1)); // entered in the middle, as a resumed run does
  CHECK(again.row(7, 2) == epochs[2][5]);
  CHECK(again.row(1, 0) == epochs[0][3]);
  CHECK(BatchOrder(rows, 64, sbi::Rng(1)).batch() == 10);
}

TEST_CASE("inference/training_rows: rows in the network's units, missing stays missing") {
  sbi::Dataset data{sbi::Tensor<double>({2, 1}, {0.25, sbi::missing}),
                    sbi::Tensor<double>({2, 2}, {10, sbi::missing, 30, 5}),
                    sbi::Tensor<double>({2, 2}, {2, sbi::missing, sbi::missing, 0})};
  std::vector<sbi::NodeTransform> transforms{sbi::NodeTransform({0, 1}), sbi::NodeTransform({}, 20, 10),
                                             sbi::NodeTransform({}, 5, 1)};
  const sbi::detail::StandardRows<double> rows(data, transforms, {"a", "x", "y"});
  CHECK(rows.z(0, 0) == doctest::Approx(sbi::normal_quantile(0.25)));
  CHECK(sbi::is_missing(rows.z(1, 0)));
  CHECK(rows.z(0, 1) == doctest::Approx(-1));
  CHECK(rows.z(1, 1) == doctest::Approx(1));
  CHECK(sbi::is_missing(rows.z(0, 2)));
  CHECK(rows.z(1, 2) == 0);
  CHECK(rows.sigma(0, 0) == 0); // parameters carry no error
  CHECK(rows.sigma(0, 1) == doctest::Approx(0.2));
  CHECK(rows.sigma(0, 2) == 0);
  CHECK(rows.sigma(1, 1) == 0);
}

TEST_CASE("inference/training_rows: the checksum sees values, signs and order") {
  using Values = sbi::Tensor<double>;
  const auto of = [](std::vector<double> v) { return sbi::detail::checksum(Values({2, 2}, std::move(v))); };
  CHECK(of({1, 2, 3, 4}) == of({1, 2, 3, 4}));
  CHECK(of({1, 2, 3, 4}) != of({2, 1, 3, 4}));
  CHECK(of({0, 0, 0, 0}) != of({0, 0, -0.0, 0}));
  CHECK(of({1, 2, 3, sbi::missing}) != of({1, 2, 3, 4}));
}
