// SPDX-License-Identifier: MIT
// One network against the exact conditionals of a linear Gaussian.
#include <sbi/inference/simformer.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string_view>

using sbi::index_t;
using sbi::observe;

namespace {

/// theta ~ N(1, 2^2), x_1 = theta + N(0, 1), x_2 = -theta + N(0, 1), each sometimes missing.
struct Line {
  static constexpr std::array<std::string_view, 1> parameters{"theta"};
  static constexpr std::array<std::string_view, 2> observables{"x1", "x2"};
  double gaps = 0.3;
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.normal(1, 2); }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x) const {
    x[0] = rng.normal(theta[0], 1), x[1] = rng.normal(-theta[0], 1);
    for (double& v : x)
      if (rng.bernoulli(gaps)) v = sbi::missing;
  }
};
/// A bounded parameter, its measurement error part of the data.
struct Bounded {
  static constexpr std::array<std::string_view, 1> parameters{"p"};
  static constexpr std::array<std::string_view, 1> observables{"x"};
  static constexpr std::array bounds{sbi::Bounds{2, 3}};
  void sample_prior(sbi::Rng& rng, std::span<double> theta) const { theta[0] = rng.uniform(2, 3); }
  void simulate(sbi::Rng& rng, std::span<const double> theta, std::span<double> x,
                std::span<double> sigma) const {
    sigma[0] = rng.bernoulli(0.5) ? 0.05 : 0.4;
    x[0] = rng.normal(theta[0], sigma[0]);
  }
};

sbi::SimformerConfig small(std::uint64_t seed = 1) {
  sbi::SimformerConfig c;
  c.network.transformer = {24, 2, 2, 2, 16};
  c.seed = seed;
  return c;
}
sbi::FitOptions brief(index_t steps) {
  sbi::FitOptions o;
  o.steps = steps, o.simulations = 20'000, o.batch = 256, o.warmup = 100, o.learning_rate = 4e-3,
  o.average = 0.99, o.validate_every = 100, o.progress = false;
  return o;
}
template <class B = sbi::Cpu<>> sbi::Simformer<B> line_model(B backend = B(1)) {
  auto config = small();
  config.conditions.marginal = 0; // the conditionals asked for need none, and the budget is seconds
  return {std::move(backend), sbi::joint(Line{}), config, sbi::diffusion::VE(0.01, 10)};
}

struct Moments {
  double mean = 0, deviation = 0;
};
Moments moments(const sbi::Tensor<double>& samples, sbi::index_t column = 0) {
  Moments m;
  const auto n = static_cast<double>(samples.rows());
  for (sbi::index_t i = 0; i < samples.rows(); ++i) m.mean += samples(i, column) / n;
  for (sbi::index_t i = 0; i < samples.rows(); ++i)
    m.deviation += std::pow(samples(i, column) - m.mean, 2) / n;
  m.deviation = std::sqrt(m.deviation);
  return m;
}
/// N(mean, 1 / precision) times a measurement theta = value of that deviation.
struct Gaussian {
  double mean, precision;
  [[nodiscard]] Gaussian times(double value, double deviation) const {
    const double w = 1 / (deviation * deviation), sum = precision + w;
    return {(precision * mean + w * value) / sum, sum};
  }
  [[nodiscard]] double deviation() const { return 1 / std::sqrt(precision); }
};
constexpr Gaussian prior{1, 0.25};

bool same(const sbi::Tensor<double>& a, const sbi::Tensor<double>& b, sbi::index_t rows) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(rows * a.cols()) * sizeof(double)) == 0;
}

} // namespace

TEST_CASE("inference/simformer: every conditional of a linear Gaussian" * doctest::test_suite("statistics")) {
  auto model = line_model(sbi::Cpu<>(2));
  const auto report = sbi::fit(model, Line{}, brief(1500));
  CHECK(report.validation.front() > report.best_validation);

  // 2000 samples have standard errors of 0.022 (mean) and 0.016 (deviation) in deviations. A network of 10^4
  // parameters after a few seconds is off by up to a tenth itself. A conditional that ignores x2 would have a
  // deviation wrong by a third, one that ignores all by more than two.
  const auto check = [](const sbi::Tensor<double>& samples, sbi::index_t column, double mean,
                        double deviation) {
    const Moments m = moments(samples, column);
    CHECK(std::abs(m.mean - mean) < 0.2 * deviation);
    CHECK(std::abs(m.deviation / deviation - 1) < 0.15);
  };
  const sbi::Rng rng(3);
  constexpr index_t n = 2000;
  for (double x1 : {-1.0, 1.0, 3.0}) {
    const double x2 = 0.5 - x1;
    const Gaussian one = prior.times(x1, 1), both = one.times(-x2, 1), other = prior.times(-x2, 1);
    check(model.given(observe("x1", x1)).sample(n, rng), 0, one.mean,
          one.deviation()); // x2: missing, not imputed
    check(model.given(observe("x1", x1), observe("x2", x2)).sample(n, rng), 0, both.mean, both.deviation());
    check(model.conditional({"x1"}, {observe("theta", x1)}).sample(n, rng), 0, x1, 1); // the likelihood
    const auto rest = model.conditional({"theta", "x1"}, {observe("x2", x2)}).sample(n, rng);
    check(rest, 0, other.mean, other.deviation());
    check(rest, 1, other.mean, std::hypot(other.deviation(), 1)); // the predictive distribution
  }
  const auto joint = model.conditional({"theta", "x1", "x2"}, {}).sample(n, rng);
  check(joint, 0, 1, 2);
  check(joint, 1, 1, std::sqrt(5.0));
  check(joint, 2, -1, std::sqrt(5.0));
}

TEST_CASE("inference/simformer: nodes that were never missing can be left out where marginals were trained" *
          doctest::test_suite("statistics")) {
  auto config = small();
  CHECK(config.conditions.marginal == 0.2);
  config.conditions.marginal = 0.5; // that the seconds go to what is asked for
  sbi::Simformer model(sbi::Cpu<>(2), sbi::joint(Line{0.0}), config, sbi::diffusion::VE(0.01, 10));
  (void)sbi::fit(model, Line{0.0}, brief(1500));
  const sbi::Rng rng(3);
  // Tolerances a third wider than above: the masks are many more. A network that took what is left out for 0
  // would have a mean off by four fifths of a deviation.
  for (double x1 : {-1.0, 3.0}) {
    const Gaussian one = prior.times(x1, 1);
    const Moments theta = moments(model.given(observe("x1", x1)).sample(2000, rng)),
                  x2 = moments(model.conditional({"x2"}, {observe("x1", x1)}).sample(2000, rng));
    CHECK(std::abs(theta.mean - one.mean) < 0.27 * one.deviation());
    CHECK(std::abs(theta.deviation / one.deviation() - 1) < 0.2);
    CHECK(std::abs(x2.mean + one.mean) < 0.27 * std::hypot(one.deviation(), 1));
    CHECK(std::abs(x2.deviation / std::hypot(one.deviation(), 1) - 1) < 0.2);
  }
  const Moments x1 = moments(model.conditional({"x1"}, {}).sample(2000, rng)); // neither theta nor x2
  CHECK(std::abs(x1.mean - 1) < 0.27 * std::sqrt(5.0));
  CHECK(std::abs(x1.deviation / std::sqrt(5.0) - 1) < 0.2);
}

TEST_CASE(
    "inference/simformer: samples stay inside the bounds, and errors of measurement widen the posterior") {
  sbi::Simformer model(sbi::Cpu<>(2), sbi::joint(Bounded{}), small(), sbi::diffusion::VE(0.01, 10));
  (void)sbi::fit(model, Bounded{}, brief(600));
  const auto precise = model.given(observe("x", 2.5, 0.05)).sample(2000, sbi::Rng(3)),
             vague = model.given(observe("x", 2.5, 0.4)).sample(2000, sbi::Rng(3)),
             edge = model.given(observe("x", 3.4, 0.4)).sample(2000, sbi::Rng(3));
  for (const auto* samples : {&precise, &vague, &edge})
    for (double v : *samples) {
      CHECK(v >= 2);
      CHECK(v <= 3);
    }
  CHECK(moments(precise).deviation < 0.09);
  CHECK(moments(vague).deviation > 0.18);
  CHECK(moments(vague).deviation < 0.289); // the prior's
  CHECK(moments(edge).mean > 2.5);

  const auto odd =
      sbi::Simformer(sbi::Cpu<>(1), sbi::joint(Bounded{}), small(8)); // untrained: far-off values
  auto wild = odd;
  for (auto& v : wild.parameters().values()) v *= 20;
  for (double v : wild.given(observe("x", 1e3)).sample(200, sbi::Rng(1))) {
    CHECK(v >= 2);
    CHECK(v <= 3);
  }
}

TEST_CASE("inference/simformer: training further keeps the standardisation") {
  auto model = line_model();
  sbi::FitOptions o = brief(3);
  o.validate_every = 3;
  (void)sbi::fit(model, Line{}, o);
  const double mean = model.transforms()[1].mean(), deviation = model.transforms()[1].stddev();
  auto far_off = sbi::simulate(model.backend(), Line{}, 200, sbi::Rng(1));
  for (double& v : far_off.x) v = 5 + v / 10;
  (void)sbi::fit(model, far_off, o);
  CHECK(model.transforms()[1].mean() == mean);
  CHECK(model.transforms()[1].stddev() == deviation);
}

TEST_CASE("inference/simformer: same samples for any number of threads, and the first rows for any n") {
  auto one = line_model(sbi::Cpu<>(1)), two = line_model(sbi::Cpu<>(2));
  (void)sbi::fit(one, Line{}, brief(30));
  (void)sbi::fit(two, Line{}, brief(30));
  REQUIRE(one.parameters().values() == two.parameters().values());
  const auto posterior = [](auto& m) { return m.given(observe("x1", 0.3)); };
  const auto many = posterior(one).sample(1000, sbi::Rng(7)),
             threads = posterior(two).sample(1000, sbi::Rng(7)), few = posterior(two).sample(10, sbi::Rng(7));
  CHECK(same(many, threads, 1000));
  CHECK(same(few, many, 10));
  CHECK(!same(few, posterior(two).sample(10, sbi::Rng(8)), 10));

  // Many observations at once are the same rows as each alone, gaps and all.
  sbi::Tensor<double> values({3, 2}, {0.3, sbi::missing, 0.3, 1, sbi::missing, sbi::missing}), sigma({3, 2});
  const auto block = one.sample_rows({1, 2}, values, sigma, {0}, 10, sbi::Rng(7));
  for (index_t i = 0; i < 10; ++i)                   // a missing value is the same as one that is not given
    CHECK(std::abs(block(i, 0) - few(i, 0)) < 1e-4); // other sums, rounded in float
  CHECK_THROWS_AS((void)one.sample_rows({1}, values, sigma, {0}, 10, sbi::Rng(7)), sbi::ShapeError);
  CHECK_THROWS_AS((void)one.sample_rows({1, 2}, values, sigma, {0}, -1, sbi::Rng(7)), sbi::ValueError);
}

TEST_CASE("inference/simformer: an interrupted training goes on to the same bits") {
  const auto file = std::filesystem::temp_directory_path() / sbi::text("sbi_simformer_", ::getpid());
  std::filesystem::remove(file);
  auto whole = line_model(), first = line_model(), rest = line_model();
  sbi::FitOptions o = brief(60);
  o.simulations = 1000, o.batch = 64;
  (void)sbi::fit(whole, Line{}, o);

  const sbi::Dataset data = sbi::simulate(first.backend(), Line{}, o.simulations, sbi::Rng(o.seed));
  o.checkpoint = file.string(), o.checkpoint_every = 20;
  sbi::detail::fit_transforms(first, data);
  struct Stops : sbi::detail::SimformerObjective<sbi::Cpu<>, sbi::diffusion::VE> {
    using SimformerObjective::SimformerObjective;
    void prepare(sbi::Cpu<>& be, const std::vector<float>& values, index_t step) {
      if (step == 47) throw std::runtime_error("power cut");
      SimformerObjective::prepare(be, values, step);
    }
  } objective(first, data, o);
  CHECK_THROWS_WITH(sbi::train(first.backend(), first.parameters(), objective, o), "power cut");
  const auto report = sbi::fit(rest, Line{}, o);
  CHECK(report.resumed_from == 40);
  CHECK(rest.parameters().values() == whole.parameters().values());

  // Another diffusion, other condition masks, another attention or other data are another run.
  o.seed = 2;
  CHECK_THROWS_AS((void)sbi::fit(rest, Line{}, o), sbi::FileError);
  o.seed = 1;
  sbi::Simformer wider(sbi::Cpu<>(1), sbi::joint(Line{}), small(), sbi::diffusion::VE(0.01, 11));
  CHECK_THROWS_AS((void)sbi::fit(wider, Line{}, o), sbi::FileError);
  auto masks = small();
  masks.conditions.posterior = 5;
  sbi::Simformer masked(sbi::Cpu<>(1), sbi::joint(Line{}), masks, sbi::diffusion::VE(0.01, 10));
  CHECK_THROWS_AS((void)sbi::fit(masked, Line{}, o), sbi::FileError);
  auto general = small();
  general.conditions.marginal = 0, general.network.cached_context = false;
  sbi::Simformer uncached(sbi::Cpu<>(1), sbi::joint(Line{}), general, sbi::diffusion::VE(0.01, 10));
  CHECK_THROWS_AS((void)sbi::fit(uncached, Line{}, o), sbi::FileError);
  std::filesystem::remove(file);
}

TEST_CASE("inference/simformer: loss and gradient agree with the reference kernels") {
  auto fast = line_model(sbi::Cpu<double>(1));
  auto slow = line_model(sbi::Reference<double>());
  sbi::FitOptions o = brief(10);
  o.batch = 40;
  const sbi::Dataset data = sbi::simulate(fast.backend(), Line{}, 100, sbi::Rng(1));
  const auto evaluate = [&](auto& model, std::vector<double>& gradient) {
    using B = std::remove_reference_t<decltype(model.backend())>;
    sbi::detail::fit_transforms(model, data);
    sbi::detail::SimformerObjective<B, sbi::diffusion::VE> objective(model, data, o);
    gradient.assign(model.parameters().values().size(), 0);
    objective.prepare(model.backend(), model.parameters().values(), 3);
    double loss = 0;
    for (index_t i = 0; i < objective.chunks(); ++i) {
      sbi::Tape<B> tape(model.backend(), model.parameters().values().data(), gradient.data());
      loss += objective.chunk(tape, 3, i);
    }
    return std::pair{loss, objective.validation_loss(model.backend(), model.parameters().values())};
  };
  std::vector<double> a, b;
  const auto [loss_a, validation_a] = evaluate(fast, a);
  const auto [loss_b, validation_b] = evaluate(slow, b);
  CHECK(std::abs(loss_a / loss_b - 1) < 1e-12); // rounding of sums in double
  REQUIRE((validation_a && validation_b));
  CHECK(std::abs(*validation_a / *validation_b - 1) < 1e-12);
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(b[i])), difference = std::max(difference, std::abs(a[i] - b[i]));
  CHECK(difference < 1e-12 * largest);
}

TEST_CASE("inference/simformer: what cannot be is named") {
  auto model = line_model();
  CHECK_THROWS_AS((void)model.given(observe("y", 1)), sbi::ValueError);
  CHECK_THROWS_AS((void)model.given(observe("theta", 1)), sbi::ValueError); // nothing left to sample
  CHECK_THROWS_AS(
      (void)sbi::fit(model, sbi::Dataset{sbi::Tensor<double>({4, 2}), sbi::Tensor<double>({4, 2}), {}}),
      sbi::ShapeError);
  CHECK_THROWS_AS((sbi::Simformer<>(sbi::Cpu<>(1), sbi::Nodes{{"x"}, {{}}, 0})), sbi::ValueError);
  sbi::Simformer bounded(sbi::Cpu<>(1), sbi::joint(Bounded{}), small());
  const sbi::Dataset outside{sbi::Tensor<double>({2, 1}, {2.5, 3.5}), sbi::Tensor<double>({2, 1}), {}};
  CHECK_THROWS_WITH_AS((void)sbi::fit(bounded, outside), "row 1: p = 3.5; want a finite value in [2, 3]",
                       sbi::ValueError);
  CHECK_THROWS_AS((void)bounded.given(observe("p", 2.5)), sbi::ValueError);
  // A value that cannot be is refused, not moved inside.
  CHECK_THROWS_AS((void)bounded.conditional({"x"}, {observe("p", 3.5)}).sample(1, sbi::Rng(1)),
                  sbi::ValueError);
  CHECK_THROWS_AS((sbi::Simformer<>(sbi::Cpu<>(1), sbi::Nodes{{"a", "x"}, {{}, {}}, 3})), sbi::ValueError);

  const auto refused = [&](std::vector<index_t> given, double value, double sigma,
                           std::vector<index_t> latent) {
    const sbi::Tensor<double> values({1, 1}, {value}), errors({1, 1}, {sigma});
    try {
      (void)model.sample_rows(given, values, errors, latent, 1, sbi::Rng(1));
    } catch (const sbi::ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({1}, 1, 0.5, {0}).empty());
  CHECK(refused({3}, 1, 0, {0}) == "simformer: node 3; want 0 to 2");
  CHECK(refused({1}, 1, 0, {-1}) == "simformer: node -1; want 0 to 2");
  CHECK(refused({1}, 1, -3, {0}) == "row 0: error of x1 = -3; want a finite number, at least 0");
  CHECK(refused({1}, 1, 1e60, {0}).starts_with("row 0: error of x1 = 1e+60; ")); // no float holds it
  CHECK(refused({0}, 1, 0.1, {1}) ==
        "row 0: theta is a parameter with an error of 0.1; want 0, only observables are measured");
}

TEST_CASE("inference/simformer: a training that cannot start leaves the model as it was") {
  auto model = line_model();
  CHECK_THROWS_AS((void)sbi::fit(model,
                                 sbi::Dataset{sbi::Tensor<double>({0, 1}), sbi::Tensor<double>({0, 2}), {}},
                                 brief(1)),
                  sbi::ValueError);
  sbi::FitOptions o = brief(1);
  o.gradient_slots = 0;
  const auto data = sbi::simulate(model.backend(), Line{}, 50, sbi::Rng(1));
  CHECK_THROWS_AS((void)sbi::fit(model, data, o), sbi::ValueError);
  CHECK(!model.standardised());
}
