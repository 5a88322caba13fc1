// SPDX-License-Identifier: MIT
// Numbers that are not finite: they stay with their sample, and training says in which step and row they came
// up.
#include <sbi/inference/domain_objective.hpp>
#include <sbi/inference/simformer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

namespace {
using sbi::index_t;
using sbi::Tensor;
using sbi::View;
constexpr double inf = std::numeric_limits<double>::infinity();

struct Line {
  static constexpr std::array parameters{"a"};
  static constexpr std::array observables{"x", "y"};
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.normal(); }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x,
                std::span<double> sigma) const {
    for (std::size_t i = 0; i < x.size(); ++i) sigma[i] = 0.3, x[i] = rng.normal(theta[0], 0.3);
  }
};
sbi::Dataset rows(index_t n) { return sbi::simulate(sbi::Cpu<>(1), Line{}, n, sbi::Rng(3)); }
sbi::Simformer<> small_model(const sbi::Dataset& fitted_to, int threads = 1) {
  sbi::SimformerConfig config;
  config.network.transformer = {24, 2, 2, 2, 16};
  sbi::Simformer<> model(sbi::Cpu<>(threads), sbi::joint(Line{}), config);
  sbi::detail::fit_transforms(model, fitted_to);
  return model;
}
sbi::FitOptions brief() {
  sbi::FitOptions o;
  o.steps = 20, o.batch = 16, o.validation = 0, o.progress = false;
  return o;
}
template <class Call> std::string message(Call&& call) {
  try {
    call();
  } catch (const sbi::Error& error) {
    return error.what();
  }
  return "no error";
}
template <class T> bool same_bits(const T* a, const T* b, index_t n) {
  return std::memcmp(a, b, static_cast<std::size_t>(n) * sizeof(T)) == 0;
}
} // namespace

TEST_CASE("inference/non_finite: a NaN changes no bit of the samples beside its own") {
  // 5 samples of 13 tokens: neither fills the tiles and vectors of any width.
  constexpr index_t samples = 5, tokens = 13, features = 3;
  sbi::Cpu<> backend(1);
  sbi::nn::Parameters<float> parameters(5);
  const sbi::nn::Linear in(parameters, "in", features, 24);
  const sbi::nn::Transformer transformer(parameters, "transformer", {24, 2, 4, 2, 0});
  const sbi::nn::Linear out(parameters, "out", 24, 2);
  sbi::Rng rng(7);
  Tensor<float> x({samples * tokens, features});
  for (float& v : x) v = static_cast<float>(rng.normal());
  const auto outputs = [&] {
    sbi::Tape<sbi::Cpu<>> tape(backend, parameters.values().data());
    sbi::AttentionExtent<float> at;
    at.tokens = tokens;
    const auto y = out(tape, transformer(tape, in(tape, tape.constant(x.view())), at));
    Tensor<float> copy({samples, tokens * 2});
    std::copy_n(y.value.data, y.value.size(), copy.data());
    return copy;
  };
  const auto clean = outputs();
  for (index_t poisoned : {0, 2, 4}) {
    const float kept = x(poisoned * tokens + 6, 1);
    x(poisoned * tokens + 6, 1) = std::numeric_limits<float>::quiet_NaN();
    const auto got = outputs();
    x(poisoned * tokens + 6, 1) = kept;
    for (index_t s = 0; s < samples; ++s)
      if (s != poisoned)
        CHECK(same_bits(got.row(s), clean.row(s), clean.cols()));
      else // every token of the sample attends to the bad one
        for (index_t i = 0; i < got.cols(); ++i) CHECK(std::isnan(got(s, i)));
  }
}

TEST_CASE("inference/non_finite: sampling refuses an infinite error and names its observation") {
  auto model = small_model(rows(200));
  Tensor<double> values({4, 2}, {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}), sigma({4, 2});
  std::fill(sigma.begin(), sigma.end(), 0.3);
  const auto sample = [&] { (void)model.sample_rows({1, 2}, values, sigma, {0}, 3, sbi::Rng(7)); };
  CHECK(message(sample) == "no error");
  sigma(2, 1) = inf;
  CHECK(message(sample) == "row 2: error of y = inf; want a finite number, at least 0");
}

TEST_CASE("inference/non_finite: fit refuses data that are not finite and names row and node") {
  const sbi::Dataset good = rows(50);
  const auto refused = [&](auto&& spoil, bool standardised = true) {
    sbi::Dataset bad = good;
    spoil(bad);
    sbi::SimformerConfig config;
    config.network.transformer = {24, 2, 2, 2, 16};
    auto fresh = sbi::Simformer<>(sbi::Cpu<>(1), sbi::joint(Line{}), config);
    auto fitted = small_model(good);
    return message([&] { (void)sbi::fit(standardised ? fitted : fresh, bad, brief()); });
  };
  for (bool standardised : {true, false}) {
    CHECK(refused([](auto& d) { d.x(17, 1) = inf; }, standardised) ==
          "row 17: y = inf; want a finite value in [-inf, inf]");
    CHECK(refused([](auto& d) { d.theta(3, 0) = -inf; }, standardised) ==
          "row 3: a = -inf; want a finite value in [-inf, inf]");
    CHECK(refused([](auto& d) { d.sigma(9, 0) = inf; }, standardised) ==
          "row 9: error of x = inf; want a finite number, at least 0");
    CHECK(refused([](auto& d) { d.sigma(8, 1) = -0.5; }, standardised) ==
          "row 8: error of y = -0.5; want a finite number, at least 0");
    // A missing value's error does not matter, and a missing error is none.
    CHECK(refused([](auto& d) { d.x(9, 0) = sbi::missing, d.sigma(9, 0) = sbi::missing; }, standardised) ==
          "no error");
  }
  CHECK(refused([](auto& d) { d.x(5, 0) = 1e60; }).starts_with("row 5: x = 1e+60; ")); // no float holds it
  CHECK(refused([](auto& d) { d.sigma(5, 0) = 1e60; }).starts_with("row 5: error of x = 1e+60; "));
}

TEST_CASE("inference/non_finite: fit names the step and the row whose loss overflows") {
  const sbi::Dataset good = rows(48);
  for (int threads : {1, 2}) {
    auto model = small_model(good, threads);
    sbi::Dataset bad = good;
    bad.x(31, 0) = 1e25; // a float, its square is none; whenever it is latent the loss is infinite
    const std::string said = message([&] { (void)sbi::fit(model, bad, brief()); });
    CAPTURE(said);
    // Three steps are an epoch: the row has been in seven batches at the end.
    CHECK(said.starts_with("fit: step "));
    CHECK(said.find(" has loss ") != std::string::npos);
    CHECK(said.ends_with(" from row 31; want finite numbers"));
    // The step that is named is the first whose batch holds a bad draw of the row: one step less is fine.
    const index_t step = std::stol(said.substr(10));
    if (step > 0) {
      auto shorter = small_model(good, threads);
      auto options = brief();
      options.warmup = 0, options.steps = step;
      CHECK(message([&] { (void)sbi::fit(shorter, bad, options); }) == "no error");
    }
  }
}

TEST_CASE("inference/non_finite: fit of a domain-adaptive model names the step and the row of which part") {
  sbi::DomainData good;
  good.simulated = rows(48), good.pairs = sbi::simulate(sbi::Cpu<>(1), Line{}, 16, sbi::Rng(4));
  good.real_x = good.pairs.x, good.real_sigma = good.pairs.sigma;
  const auto said = [&](const sbi::DomainData& data) {
    sbi::DomainAdaptiveConfig config;
    config.transformer = {24, 2, 2, 2, 16};
    sbi::DomainAdaptive<> model(sbi::Cpu<>(2), sbi::joint(Line{}), {{"one", {"x"}}, {"two", {"y"}}}, config);
    sbi::detail::fit_transforms(model, good.simulated);
    sbi::Alignment alignment;
    alignment.real_batch = alignment.pair_batch = 8, alignment.ramp = {-1, 1};
    return message([&] { (void)sbi::fit(model, data, alignment, brief()); });
  };
  CHECK(said(good) == "no error");
  const double huge = 1e25; // a float, its square is none
  auto bad = good;
  bad.simulated.theta(31, 0) = huge;
  CHECK(said(bad).starts_with("fit: step "));
  CHECK(said(bad).ends_with(" from simulated row 31; want finite numbers"));
  bad = good;
  bad.pairs.theta(7, 0) = huge;
  CHECK(said(bad).ends_with(" from paired row 7; want finite numbers"));
  bad = good;
  bad.real_x(3, 1) = inf;
  CHECK(said(bad) == "row 3: y = inf; want a finite value in [-inf, inf]");
}
