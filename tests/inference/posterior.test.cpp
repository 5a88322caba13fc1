// SPDX-License-Identifier: MIT
#include <sbi/inference/posterior.hpp>

#include <doctest/doctest.h>

using sbi::observe;

namespace {

/// A model that says what it was asked.
struct Echo {
  sbi::Nodes names{{"a", "b", "x"}, {{}, {}, {}}, 2};
  [[nodiscard]] const sbi::Nodes& nodes() const { return names; }
  [[nodiscard]] sbi::Tensor<double> sample(const std::vector<sbi::Observation>& given,
                                           const std::vector<std::string>& latent, sbi::index_t n,
                                           const sbi::Rng& rng, const sbi::SampleOptions&) const {
    sbi::Tensor<double> out({n, static_cast<sbi::index_t>(latent.size())});
    for (sbi::index_t i = 0; i < n; ++i)
      for (sbi::index_t j = 0; j < out.cols(); ++j)
        out(i, j) = 100 * static_cast<double>(i) + 10 * static_cast<double>(j) + given.front().value +
                    static_cast<double>(rng.seed());
    return out;
  }
};
using P = sbi::Posterior<Echo>;

} // namespace

TEST_CASE("inference/posterior: samples come row by row") {
  Echo model;
  const P posterior(model, {observe("x", 0.5, 0.1)}, {"b", "a"});
  CHECK(posterior.names() == std::vector<std::string>{"b", "a"});
  const auto theta = posterior.sample(3, sbi::Rng(1));
  REQUIRE(theta.shape() == sbi::Shape{3, 2});
  CHECK(theta(0, 0) == 1.5);
  CHECK(theta(0, 1) == 11.5);
  CHECK(theta(2, 1) == 211.5);
  CHECK(posterior.sample(0, sbi::Rng(1)).rows() == 0);
}

TEST_CASE("inference/posterior: what cannot be asked is named") {
  Echo model;
  const auto refused = [&](std::vector<sbi::Observation> given, std::vector<std::string> latent) {
    try {
      (void)P(model, std::move(given), std::move(latent));
    } catch (const sbi::ValueError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({observe("x", 1)}, {}) == "posterior: every node is given; want at least one to sample");
  CHECK(refused({observe("x", sbi::missing)}, {"a"}) == "posterior: x = nan; want a finite value");
  CHECK(refused({observe("x", 1, -1)}, {"a"}) ==
        "posterior: sigma of x = -1; want a finite number, at least 0");
  CHECK(refused({observe("x", 1, std::numeric_limits<double>::infinity())}, {"a"}) ==
        "posterior: sigma of x = inf; want a finite number, at least 0");
  CHECK(refused({observe("a", 1, 0.1)}, {"b"}) ==
        "posterior: a is a parameter with sigma = 0.1; want 0, only observables are measured");
  CHECK(refused({observe("y", 1)}, {"a"}) == "no node is called y; want one of a, b, x");
  CHECK(refused({observe("x", 1)}, {"a", "a"}) ==
        "posterior: a is named twice; want each node given or sampled once");
  CHECK(refused({observe("a", 1)}, {"a"}).starts_with("posterior: a is named twice"));
  CHECK(refused({observe("x", 1), observe("x", 2)}, {"a"}).starts_with("posterior: x is named twice"));
  CHECK(refused({}, {"a", "x"}).empty()); // the joint distribution of some nodes
}
