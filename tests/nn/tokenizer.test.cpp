// SPDX-License-Identifier: MIT
#include "module_check.hpp"

#include <sbi/core/missing.hpp>
#include <sbi/nn/tokenizer.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {
using Node = sbi::nn::NodeState<float>;

struct Fixture {
  sbi::nn::Parameters<float> parameters{1};
  sbi::nn::Tokenizer tokenizer{parameters, "token", 4, 8, {2}};

  std::vector<float> features(const Node& node) const {
    std::vector<float> out(static_cast<std::size_t>(tokenizer.features()), 99.0f);
    tokenizer.write(node, out.data());
    return out;
  }
};
} // namespace

TEST_CASE("nn/tokenizer: features say value, state and error") {
  const Fixture f;
  REQUIRE(f.tokenizer.features() == 5 + 5);
  const auto latent = f.features({1.0f, 0.0f, true, true});
  CHECK(std::vector<float>(latent.end() - 5, latent.end()) == std::vector<float>{1, 0, 1, 0, 0});
  CHECK(latent[0] == 1);
  CHECK(latent[1] == doctest::Approx(1)); // sin(pi / 2)
  const auto given = f.features({1.0f, std::exp(-4.0f), false, true});
  CHECK(std::vector<float>(given.end() - 5, given.end() - 1) == std::vector<float>{0, 1, 1, 1});
  CHECK(std::abs(given.back()) < 1e-6f); // an error of e^-4 of the spread is the centre of its feature
}

TEST_CASE("nn/tokenizer: a missing value leaves no trace of what stood there") {
  const Fixture f;
  const auto a = f.features({static_cast<float>(sbi::missing), 0.0f, false, false});
  CHECK(a == f.features({17.0f, 0.0f, false, false}));
  CHECK(a == f.features({0.0f, 0.0f, false, false}));
}

TEST_CASE("nn/tokenizer: the identity is added to each token") {
  const Fixture f;
  sbi::Cpu<float> be(1);
  const auto features = sbi::testing::normals<float>({4, 10}, 3);
  const sbi::Tensor<std::int32_t> some({2}, {3, 0}), other({2}, {3, 1});
  sbi::Tape tape(be, f.parameters.values().data());
  const auto a = f.tokenizer(tape, features.view(), some.view()),
             b = f.tokenizer(tape, features.view(), other.view());
  const auto& identity = f.parameters.entries().back();
  REQUIRE(identity.name == "token.identity");
  const auto table = f.parameters.view(identity);
  for (sbi::index_t c = 0; c < 8; ++c) {
    CHECK(a.value(2, c) == b.value(2, c));
    CHECK(b.value(3, c) - a.value(3, c) == doctest::Approx(table(1, c) - table(0, c)).epsilon(1e-5));
  }
}
