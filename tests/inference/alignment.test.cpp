// SPDX-License-Identifier: MIT
#include <sbi/core/rng.hpp>
#include <sbi/inference/alignment.hpp>

#include <doctest/doctest.h>

#include <cmath>

namespace {

using sbi::index_t;
using sbi::Tensor;

/// A batch of 24 simulated, 24 real and twice 8 paired rows, two surveys and a pool, width 3.
struct Batch {
  static constexpr index_t rows = 64, tokens = 3, width = 3;
  sbi::detail::BatchRanges ranges{{0, 24}, {24, 24}, {48, 8}, {56, 8}};
  Tensor<double> z{{rows * tokens, width}}, gradient{{rows * tokens, width}}, present{{tokens, rows}};

  Batch() {
    sbi::Rng rng(5);
    for (double& v : z) v = rng.normal();
    for (double& v : present) v = 1;
  }
  sbi::AlignmentLosses losses(const sbi::Alignment& alignment, int threads = 1) {
    const sbi::Cpu<double> cpu(threads);
    sbi::AlignmentLosses out;
    std::fill(gradient.begin(), gradient.end(), 0.0);
    sbi::detail::coupled_losses(cpu, alignment, 1.0, ranges, z, present, gradient, out);
    return out;
  }
};

} // namespace

TEST_CASE("inference/alignment: a setting out of range is named") {
  const auto refused = [](auto&& spoil) {
    sbi::Alignment a;
    spoil(a);
    try {
      a.check();
    } catch (const sbi::ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused([](auto&) {}).empty());
  CHECK(refused([](auto& a) { a = sbi::Alignment::none(); }).empty());
  CHECK(refused([](auto& a) { a.transport = -1; }) ==
        "alignment: transport = -1; want a finite number, at least 0");
  CHECK(refused([](auto& a) { a.pair_score = sbi::missing; }).starts_with("alignment: pair_score = nan; "));
  CHECK(refused([](auto& a) { a.real_batch = 0; }) == "alignment: real_batch = 0; want at least 1");
  CHECK(refused([](auto& a) { a.survey_dropout = 7; }).starts_with("alignment: survey_dropout = 7; "));
  CHECK(refused([](auto& a) { a.temperature = 0; }) == "alignment: temperature = 0; want a positive number");
}

TEST_CASE("inference/alignment: without weights nothing is computed") {
  Batch batch;
  const auto losses = batch.losses(sbi::Alignment::none());
  CHECK(losses.contrastive == 0);
  CHECK(losses.transport == 0);
  CHECK(losses.pairs == 0);
  for (double g : batch.gradient) CHECK(g == 0);
}

TEST_CASE(
    "inference/alignment: losses beside each other add up, to the same bits for any number of threads") {
  Batch all;
  const auto together = all.losses({});
  Tensor<double> sum(all.gradient.shape());
  for (int which = 0; which < 3; ++which) {
    sbi::Alignment one = sbi::Alignment::none();
    if (which == 0) one.contrastive = sbi::Alignment{}.contrastive;
    if (which == 1) one.transport = sbi::Alignment{}.transport;
    if (which == 2) one.pairs = sbi::Alignment{}.pairs;
    Batch batch;
    const auto alone = batch.losses(one);
    CHECK(alone.contrastive == (which == 0 ? together.contrastive : 0));
    CHECK(alone.transport == (which == 1 ? together.transport : 0));
    CHECK(alone.pairs == (which == 2 ? together.pairs : 0));
    for (index_t i = 0; i < sum.size(); ++i) sum.data()[i] += batch.gradient.data()[i];
  }
  for (index_t i = 0; i < sum.size(); ++i) // up to the order of the additions
    CHECK(std::abs(sum.data()[i] - all.gradient.data()[i]) < 1e-15);
  for (int turn = 0; turn < 20; ++turn) {
    Batch batch;
    const auto losses = batch.losses({}, 3);
    CHECK(losses.contrastive == together.contrastive);
    CHECK(losses.transport == together.transport);
    CHECK(losses.pairs == together.pairs);
    CHECK(batch.gradient == all.gradient);
  }
}

TEST_CASE("inference/alignment: equal clouds are at no distance, and the gradient leads from different ones "
          "downhill") {
  sbi::Alignment alignment = sbi::Alignment::none();
  alignment.transport = 1;
  Batch batch;
  const double apart = batch.losses(alignment).transport;
  CHECK(apart > 0.05);
  for (index_t i = 0; i < batch.z.size(); ++i)
    batch.z.data()[i] -= 0.5 * batch.gradient.data()[i] * Batch::width * 24;
  CHECK(batch.losses(alignment).transport < apart);
  for (index_t r = 0; r < 24 * Batch::tokens; ++r)
    for (index_t c = 0; c < Batch::width; ++c) batch.z(24 * Batch::tokens + r, c) = batch.z(r, c);
  CHECK(std::abs(batch.losses(alignment).transport) < 1e-3); // the tolerance of the plan is 2e-3 of the mass
}

TEST_CASE("inference/alignment: a batch of which no star has any survey is aligned to nothing") {
  sbi::Alignment alignment = sbi::Alignment::none();
  alignment.transport = 1;
  Batch batch;
  for (index_t r = 24; r < 48; ++r) batch.present(Batch::tokens - 1, r) = 0;
  CHECK(batch.losses(alignment).transport == 0);
  for (double g : batch.gradient) CHECK(g == 0);
}

TEST_CASE("inference/alignment: every token of a pair is drawn together, absent ones are not touched") {
  sbi::Alignment alignment = sbi::Alignment::none();
  alignment.pairs = 1;
  Batch batch;
  batch.present(0, 50) = 0; // the third pair lacks the first survey
  const double apart = batch.losses(alignment).pairs;
  for (index_t c = 0; c < Batch::width; ++c) {
    CHECK(batch.gradient(50 * Batch::tokens, c) == 0);
    CHECK(batch.gradient(58 * Batch::tokens, c) == 0);
    CHECK(batch.gradient(50 * Batch::tokens + 1, c) != 0);
    CHECK(batch.gradient(0, c) == 0);
  }
  for (index_t r = 0; r < 8 * Batch::tokens; ++r)
    for (index_t c = 0; c < Batch::width; ++c)
      batch.z(56 * Batch::tokens + r, c) = batch.z(48 * Batch::tokens + r, c);
  CHECK(batch.losses(alignment).pairs < 0.5 * apart);
}
