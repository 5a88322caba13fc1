// SPDX-License-Identifier: MIT
#include <sbi/inference/domain_adaptation.hpp>

#include <doctest/doctest.h>

#include <cstring>

using sbi::Domain;
using sbi::index_t;
using sbi::Tensor;

namespace {

using Surveys = std::vector<std::pair<std::string, std::vector<std::string>>>;
const sbi::Nodes nodes{{"a", "b", "x1", "x2", "y1"}, {{0, 1}, {}, {}, {}, {}}, 2};
const Surveys two{{"x", {"x1", "x2"}}, {"y", {"y1"}}};

sbi::DomainAdaptiveConfig small() {
  sbi::DomainAdaptiveConfig c;
  c.transformer = {16, 2, 2, 2, 8};
  c.embedding_width = 8, c.encoder_hidden = {16}, c.adapter_hidden = {12};
  return c;
}
sbi::DomainAdaptive<> model(int threads = 1) { return {sbi::Cpu<>(threads), nodes, two, small()}; }

/// Rows with gaps; the last has none of the surveys.
struct Stars {
  Tensor<double> x, sigma;
  explicit Stars(index_t n) : x({n, 3}), sigma({n, 3}) {
    for (index_t i = 0; i < n; ++i) {
      sbi::Rng rng = sbi::Rng(6).split(static_cast<std::uint64_t>(i));
      for (index_t j = 0; j < 3; ++j) {
        x(i, j) = rng.normal(), sigma(i, j) = 0.1;
        if (rng.bernoulli(0.3) || i == n - 1) x(i, j) = sigma(i, j) = sbi::missing;
      }
    }
  }
};
template <class T> bool same_bits(const Tensor<T>& a, const Tensor<T>& b, index_t rows) {
  return std::memcmp(a.data(), b.data(), static_cast<std::size_t>(rows * a.cols()) * sizeof(T)) == 0;
}
const sbi::SampleOptions quick{sbi::diffusion::DpmSolver{5, 7}};

} // namespace

TEST_CASE("inference/domain_adaptation: samples of many stars, inside the bounds, the same on any threads") {
  auto one = model(1), more = model(2);
  const Stars stars(70);
  const auto a = one.sample(stars.x, stars.sigma, Domain::simulated, 20, sbi::Rng(3), quick),
             b = more.sample(stars.x, stars.sigma, Domain::simulated, 20, sbi::Rng(3), quick);
  REQUIRE(a.shape() == sbi::Shape{1400, 2});
  CHECK(same_bits(a, b, 1400));
  for (index_t i = 0; i < 1400; ++i) {
    CHECK(a(i, 0) >= 0);
    CHECK(a(i, 0) <= 1);
  }
  Tensor<double> x({10, 3}), sigma({10, 3}); // the first stars alone
  std::copy_n(stars.x.data(), 30, x.data()), std::copy_n(stars.sigma.data(), 30, sigma.data());
  CHECK(same_bits(a, one.sample(x, sigma, Domain::simulated, 20, sbi::Rng(3), quick), 200));
  CHECK(!same_bits(a, one.sample(x, sigma, Domain::simulated, 20, sbi::Rng(4), quick), 200));
}

TEST_CASE("inference/domain_adaptation: both domains are the same until something is adapted") {
  auto m = model();
  const Stars stars(50);
  const auto sample = [&](Domain d) { return m.sample(stars.x, stars.sigma, d, 5, sbi::Rng(3), quick); };
  const auto simulated = sample(Domain::simulated);
  const auto z = m.embed(stars.x, stars.sigma, Domain::simulated);
  CHECK(same_bits(simulated, sample(Domain::real), 250));
  CHECK(same_bits(z, m.embed(stars.x, stars.sigma, Domain::real), 50));
  for (const auto& e : m.parameters().entries())
    if (e.name.find(".adapter.") != std::string::npos)
      for (index_t i = 0; i < e.at.shape.size(); ++i)
        m.parameters().values()[static_cast<std::size_t>(e.at.offset + i)] += 0.2F;
  CHECK(same_bits(simulated, sample(Domain::simulated), 250));
  CHECK(!same_bits(simulated, sample(Domain::real), 5));
}

TEST_CASE("inference/domain_adaptation: embeddings are those of single rows, zero without any survey") {
  auto m = model(2);
  const Stars stars(130);
  const auto z = m.embed(stars.x, stars.sigma, Domain::real);
  REQUIRE(z.shape() == sbi::Shape{130, 8});
  for (index_t i : {0, 63, 64, 128}) {
    Tensor<double> x({1, 3}), sigma({1, 3});
    std::copy_n(stars.x.row(i), 3, x.data()), std::copy_n(stars.sigma.row(i), 3, sigma.data());
    const auto alone = m.embed(x, sigma, Domain::real);
    CHECK(std::memcmp(alone.data(), z.row(i), 8 * sizeof(float)) == 0);
  }
  for (index_t j = 0; j < 8; ++j) CHECK(z(129, j) == 0);
}

TEST_CASE("inference/domain_adaptation: what cannot be is named") {
  const auto refused = [](const Surveys& surveys) {
    try {
      (void)sbi::DomainAdaptive<>(sbi::Cpu<>(1), nodes, surveys, small());
    } catch (const sbi::ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({}) == "domain adaptation: no survey; want at least one");
  CHECK(refused({{"x", {"x3"}}}) == "no node is called x3; want one of a, b, x1, x2, y1");
  CHECK(refused({{"x", {"a"}}}) == "survey x: a is a parameter; want an observable");
  CHECK(refused({{"x", {"x1"}}, {"y", {"y1", "x1"}}}) == "survey y: x1 belongs to x already");
  CHECK(refused({{"x", {"x1"}}}).empty()); // not every observable needs a survey
  sbi::Nodes unbounded = nodes;
  unbounded.bounds.clear();
  CHECK_THROWS_WITH_AS(sbi::DomainAdaptive<>(sbi::Cpu<>(1), unbounded, two, small()),
                       "domain adaptation: 2 parameters among 5 nodes with 0 bounds; want at least one, and "
                       "bounds for each node",
                       sbi::ValueError);

  auto m = model();
  CHECK_THROWS_AS(
      (void)m.sample(Tensor<double>({4, 2}), Tensor<double>({4, 2}), Domain::real, 5, sbi::Rng(1)),
      sbi::ShapeError);
  CHECK_THROWS_AS((void)m.embed(Tensor<double>({4, 3}), Tensor<double>({3, 3}), Domain::real),
                  sbi::ShapeError);
  Stars stars(3);
  stars.x(1, 2) = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS((void)m.embed(stars.x, stars.sigma, Domain::real),
                       "row 1: y1 = inf; want a finite value in [-inf, inf]", sbi::ValueError);
}
