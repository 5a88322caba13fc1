// SPDX-License-Identifier: MIT
// Training and sampling on more threads than the machine has cores.
#include <sbi/inference/simformer.hpp>

#include <doctest/doctest.h>
#include <tbb/global_control.h>

#include <array>
#include <cstring>

namespace {
using sbi::index_t;

// TBB starts no more threads than the machine has cores unless it is told to; a race wants more.
struct ManyThreads {
  tbb::global_control control{tbb::global_control::max_allowed_parallelism, 8};
};
struct Line {
  static constexpr std::array parameters{"a", "b"};
  static constexpr std::array observables{"x", "y", "z"};
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const {
    for (double& t : theta) t = rng.normal();
  }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x) const {
    for (std::size_t i = 0; i < x.size(); ++i)
      x[i] = rng.bernoulli(0.2) ? sbi::missing : rng.normal(theta[i % 2], 0.3);
  }
};
/// The parameters after a few steps, then samples of 11 observations with gaps.
struct Bits {
  std::vector<float> parameters;
  std::vector<double> validation;
  sbi::Tensor<double> samples;
};
Bits bits(int threads) {
  sbi::SimformerConfig config;
  config.network.transformer = {24, 2, 2, 2, 16};
  sbi::Simformer<> model(sbi::Cpu<>(threads), sbi::joint(Line{}), config);
  sbi::FitOptions o;
  o.steps = 12, o.batch = 300, o.simulations = 700, o.validate_every = 4, o.progress = false;
  const auto report = sbi::fit(model, Line{}, o);
  sbi::Tensor<double> values({11, 3}), sigma({11, 3});
  sbi::Rng rng(2);
  for (double& v : values) v = rng.bernoulli(0.3) ? sbi::missing : rng.normal();
  return {model.parameters().values(), report.validation,
          model.sample_rows({2, 3, 4}, values, sigma, {0, 1}, 70, sbi::Rng(7))};
}
} // namespace

TEST_CASE_FIXTURE(ManyThreads,
                  "inference/threads: training steps, validation and samples are the same bits on 1, 2, "
                  "3 and 5 threads") {
  const Bits one = bits(1);
  for (int threads : {2, 3, 5}) {
    CAPTURE(threads);
    const Bits many = bits(threads);
    CHECK(many.parameters == one.parameters);
    CHECK(many.validation == one.validation);
    CHECK(std::memcmp(many.samples.data(), one.samples.data(),
                      static_cast<std::size_t>(one.samples.size()) * sizeof(double)) == 0);
  }
}
