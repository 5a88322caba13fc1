// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/diffusion/conditioning.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

using namespace sbi::diffusion;
using sbi::index_t;
using sbi::Shape;
using sbi::Tensor;
using Bytes = std::vector<std::uint8_t>;

namespace {

const Bytes roles{1, 1, 0, 0, 0}; // two parameters, three observables
const Bytes all_latent{0, 0, 0, 0, 0}, posterior{0, 0, 1, 1, 1}, likelihood{1, 1, 0, 0, 0};

Tensor<std::uint8_t> draw(const ConditionWeights& weights, index_t rows, std::uint64_t seed = 1) {
  Tensor<std::uint8_t> states(Shape{rows, 5});
  draw_conditions(weights, sbi::Rng(seed), roles, states.view());
  return states;
}
Bytes row(const Tensor<std::uint8_t>& states, index_t i) {
  return Bytes(states.row(i), states.row(i) + states.cols());
}

} // namespace

TEST_CASE("diffusion/conditioning: each kind alone") {
  const auto only = [](double joint, double post, double like) {
    ConditionWeights w;
    w.joint = joint, w.posterior = post, w.likelihood = like, w.sparse = 0, w.dense = 0;
    return w;
  };
  CHECK(row(draw(only(1, 0, 0), 3), 2) == all_latent);
  CHECK(row(draw(only(0, 1, 0), 3), 2) == posterior);
  CHECK(row(draw(only(0, 0, 1), 3), 2) == likelihood);
}

TEST_CASE("diffusion/conditioning: equal weights give the expected frequency of every mask") {
  const index_t n = 20000;
  const auto states = draw({}, n);
  std::map<Bytes, double> count;
  for (index_t i = 0; i < n; ++i) count[row(states, i)] += 1;
  CHECK(count.size() == 31); // 2^5 masks less the one without a latent node
  for (int bits = 0; bits < 31; ++bits) {
    Bytes mask(5);
    double sparse = 1, dense = 1;
    for (int j = 0; j < 5; ++j) {
      mask[std::size_t(j)] = bits >> j & 1;
      sparse *= bits >> j & 1 ? 0.3 : 0.7;
      dense *= bits >> j & 1 ? 0.7 : 0.3;
    }
    double p = (sparse + dense) / 5;
    if (mask == all_latent)
      p += (1 + std::pow(0.3, 5) + std::pow(0.7, 5)) / 5; // joint and replaced all-ones masks
    if (mask == posterior || mask == likelihood) p += 0.2;
    CAPTURE(bits);
    CHECK(std::abs(count[mask] - n * p) <
          4.5 * std::sqrt(n * p * (1 - p))); // 31 binomials: 4.5 sd is rarer than 1e-3
  }
}

TEST_CASE("diffusion/conditioning: rows have masks of their own, whatever the block") {
  const auto whole = draw({}, 64, 5);
  Tensor<std::uint8_t> part(Shape{20, 5});
  draw_conditions({}, sbi::Rng(5), roles, part.view(), 30);
  for (index_t i = 0; i < 20; ++i) CHECK(row(part, i) == row(whole, 30 + i));
  CHECK(row(draw({}, 64, 6), 0).size() == 5);
  bool differ = false;
  const auto other = draw({}, 64, 6);
  for (index_t i = 0; i < 64; ++i) differ |= row(other, i) != row(whole, i);
  CHECK(differ);
}

TEST_CASE("diffusion/conditioning: missing nodes stay missing, and a row keeps a latent node") {
  const double nan = sbi::missing;
  const Tensor<double> values(Shape{2, 5}, {nan, nan, 0.1, nan, 0.3, nan, nan, nan, nan, nan});
  Tensor<std::uint8_t> states(Shape{2, 5});
  mark_missing(values.view(), states.view());
  CHECK(row(states, 0) == Bytes{2, 2, 0, 2, 0});
  ConditionWeights w;
  w.joint = w.likelihood = w.sparse = w.dense = 0;
  draw_conditions(w, sbi::Rng(1), roles, states.view());
  // The posterior mask would condition every node that is present: the row becomes joint.
  CHECK(row(states, 0) == Bytes{2, 2, 0, 2, 0});
  CHECK(row(states, 1) == Bytes{2, 2, 2, 2, 2});
  Bytes mixed{2, 0, 2, 0, 0};
  sbi::Rng rng(1);
  draw_condition(w, rng, roles, mixed);
  CHECK(mixed == Bytes{2, 0, 2, 1, 1});
}

TEST_CASE("diffusion/conditioning: weights outside their domain are refused") {
  ConditionWeights w;
  w.joint = -1;
  CHECK_THROWS_AS(w.check(), sbi::ValueError);
  w = {0, 0, 0, 0, 0};
  CHECK_THROWS_AS(w.check(), sbi::ValueError);
  w = {};
  w.dense_probability = 1.5;
  CHECK_THROWS_AS(w.check(), sbi::ValueError);
  Bytes four(4);
  sbi::Rng rng(1);
  CHECK_THROWS_AS(draw_condition({}, rng, roles, four), sbi::ShapeError);
}

TEST_CASE("diffusion/conditioning: who attends to whom") {
  const double inf = std::numeric_limits<double>::infinity();
  const Bytes states{Node::latent, Node::conditioned, Node::missing, Node::latent};
  Tensor<double> mask(Shape{4, 4});
  const auto check = [&](const std::vector<std::vector<int>>& allowed) {
    for (index_t i = 0; i < 4; ++i)
      for (index_t j = 0; j < 4; ++j) {
        CAPTURE(i);
        CAPTURE(j);
        CHECK(mask(i, j) == (allowed[std::size_t(i)][std::size_t(j)] ? 0.0 : -inf));
      }
  };
  attention_mask<double>(states, mask.view());
  check({{1, 1, 0, 1}, {0, 1, 0, 0}, {0, 0, 0, 0}, {1, 1, 0, 1}});
  attention_mask<double>(states, mask.view(), {.conditioned_ignore_latent = false});
  check({{1, 1, 0, 1}, {1, 1, 0, 1}, {0, 0, 0, 0}, {1, 1, 0, 1}});
  const Tensor<std::uint8_t> graph(Shape{4, 4}, {0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0});
  attention_mask<double>(states, mask.view(), {}, graph.view());
  check({{1, 1, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}, {1, 0, 0, 1}});
  Tensor<double> small(Shape{3, 3});
  CHECK_THROWS_AS(attention_mask<double>(states, small.view()), sbi::ShapeError);
  CHECK_THROWS_AS(attention_mask<double>(states, mask.view(), {}, Tensor<std::uint8_t>(Shape{2, 2}).view()),
                  sbi::ShapeError);
}

TEST_CASE("diffusion/conditioning: rows that train a marginal leave nodes out, and only those rows") {
  sbi::diffusion::ConditionWeights weights;
  weights.marginal = 0.25;
  const std::vector<std::uint8_t> is_parameter{1, 1, 0, 0};
  const int rows = 20000;
  std::vector<std::uint8_t> states(static_cast<std::size_t>(4 * rows), sbi::diffusion::Node::latent);
  sbi::diffusion::draw_conditions(weights, sbi::Rng(3), is_parameter,
                                  sbi::View<std::uint8_t>(states.data(), {rows, 4}));
  int with_gaps = 0, gaps = 0;
  for (int i = 0; i < rows; ++i) {
    int here = 0;
    for (int j = 0; j < 4; ++j)
      here += states[static_cast<std::size_t>(4 * i + j)] == sbi::diffusion::Node::missing;
    with_gaps += here > 0, gaps += here;
  }
  // 0.25 (1 - 2^-4) of the rows, half the nodes of 0.25 of them; four binomial standard deviations
  CHECK(std::abs(with_gaps / double(rows) - 0.234375) < 4 * std::sqrt(0.234 * 0.766 / rows));
  CHECK(std::abs(gaps / double(4 * rows) - 0.125) < 4 * std::sqrt(0.125 * 0.875 / rows));
}
