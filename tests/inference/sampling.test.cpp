// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/inference/sampling.hpp>

#include <doctest/doctest.h>

#include <cstring>

using sbi::index_t;
using sbi::Tensor;

namespace {

using Solvers = std::variant<sbi::diffusion::DpmSolver, sbi::diffusion::Heun, sbi::diffusion::EulerMaruyama>;

/// A network of 4 nodes with parameters nobody trained: samples are of no distribution in particular, but
/// rows, blocks and threads must not show.
struct Fixture {
  sbi::nn::Parameters<float> parameters{9};
  sbi::ScoreNetwork network{parameters, "score", 4, make()};
  std::vector<std::int32_t> latent{0, 3}, given{1, 2};
  index_t groups = 5;
  Tensor<float> values{{5, 2}}, present{{5, 2}};

  static sbi::ScoreNetworkConfig make() {
    sbi::ScoreNetworkConfig c;
    c.transformer = {16, 2, 2, 2, 8};
    return c;
  }
  Fixture() {
    sbi::Rng rng(1);
    for (auto& v : values) v = static_cast<float>(rng.normal());
    for (auto& p : present) p = rng.bernoulli(0.7) ? 1.0F : 0.0F;
    for (auto& v : parameters.values()) v += static_cast<float>(0.02 * rng.normal());
  }
  Tensor<float> sample(int threads, index_t n, Solvers solver, std::uint64_t seed = 4,
                       index_t* evaluations = nullptr, index_t only_groups = 0) const {
    sbi::Cpu<> cpu(threads);
    const auto fill = [&](sbi::Tape<sbi::Cpu<>>&, index_t first, index_t count,
                          sbi::ContextRows<float>& rows) {
      for (index_t g = 0; g < count; ++g)
        for (index_t j = 0; j < 2; ++j) {
          const bool observed = present(first + g, j) != 0;
          network.tokenizer().write(sbi::nn::NodeState<float>{values(first + g, j), 0, false, observed},
                                    rows.features.row(g * 2 + j));
          rows.present(g, j) = present(first + g, j);
        }
    };
    return sbi::sample_latent(
        cpu, network, parameters.values(), sbi::diffusion::VE(0.01, 10), solver,
        only_groups > 0 ? only_groups : groups, n, sbi::View<const std::int32_t>(latent.data(), {2}),
        sbi::View<const std::int32_t>(given.data(), {2}), fill, sbi::Rng(seed), evaluations);
  }
};
bool same_bits(const float* a, const float* b, index_t n) {
  return std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(float)) == 0;
}
const Solvers quick = sbi::diffusion::DpmSolver{6, 7};

} // namespace

TEST_CASE(
    "inference/sampling: row r depends on stream r only, not on threads, blocks or the number of rows") {
  const Fixture f;
  for (const Solvers& solver :
       {quick, Solvers(sbi::diffusion::Heun{3, 7}), Solvers(sbi::diffusion::EulerMaruyama{8})}) {
    const auto one = f.sample(1, 300, solver), two = f.sample(2, 300, solver); // several blocks a group
    REQUIRE(one.shape() == sbi::Shape{1500, 2});
    CHECK(same_bits(one.data(), two.data(), one.size()));
    const auto few = f.sample(2, 10, solver, 4, nullptr, 1); // one block, one group: the first rows
    CHECK(same_bits(few.data(), one.data(), few.size()));
    const auto whole_groups = f.sample(1, 37, solver), part = f.sample(2, 37, solver, 4, nullptr, 2);
    CHECK(same_bits(whole_groups.data(), part.data(), part.size())); // several groups a block, cut elsewhere
  }
}

TEST_CASE("inference/sampling: the context matters where it is present, and only there") {
  Fixture f;
  f.present = Tensor<float>({5, 2}, {1, 1, 1, 0, 0, 1, 0, 0, 1, 1});
  const auto before = f.sample(1, 20, quick);
  for (index_t g = 0; g < 5; ++g)
    for (index_t j = 0; j < 2; ++j)
      if (f.present(g, j) == 0) f.values(g, j) = 55;
  const auto hidden = f.sample(1, 20, quick);
  CHECK(same_bits(before.data(), hidden.data(), before.size()));
  f.values(0, 0) += 1; // group 0 only
  const auto moved = f.sample(1, 20, quick);
  CHECK(!same_bits(before.data(), moved.data(), 40));
  CHECK(same_bits(before.row(20), moved.row(20), 160));
}

TEST_CASE("inference/sampling: seeds, evaluations and no rows") {
  const Fixture f;
  index_t evaluations = 0;
  const auto a = f.sample(1, 4, quick, 4, &evaluations);
  CHECK(evaluations == 8); // steps + 2
  const auto b = f.sample(1, 4, quick, 5);
  CHECK(!same_bits(a.data(), b.data(), a.size()));
  (void)f.sample(1, 4, sbi::diffusion::Heun{3, 7}, 4, &evaluations);
  CHECK(evaluations == 8); // 2 steps + 2
  CHECK(f.sample(1, 0, quick).size() == 0);
}
