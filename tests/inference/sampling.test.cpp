// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/inference/sampling.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using sbi::index_t;
using sbi::Tensor;

namespace {

using Solvers = std::variant<sbi::diffusion::DpmSolver, sbi::diffusion::Heun, sbi::diffusion::EulerMaruyama>;
const Solvers quick = sbi::diffusion::DpmSolver{6, 7};
const sbi::diffusion::VE ve(0.01, 10);
constexpr index_t nodes = 5, embedding_width = 3;

struct Sizes {
  bool cached = true;
  index_t embeddings = 0, heads = 2;
};

/// A network of 5 nodes with parameters nobody trained, 0 and 3 latent given 1 and 2: samples are of no
/// distribution in particular, but rows, blocks and threads must not show.
template <class T> struct Fixture {
  index_t groups = 5, extra;
  sbi::nn::Parameters<T> parameters{9};
  sbi::ScoreNetwork network;
  std::vector<std::int32_t> latent{0, 3}, given{1, 2};
  Tensor<T> values, embeddings, present;

  static sbi::ScoreNetworkConfig make(const Sizes& sizes) {
    sbi::ScoreNetworkConfig c;
    c.transformer = {16, 2, sizes.heads, 2, 8};
    c.embedding_tokens = sizes.embeddings, c.embedding_width = sizes.embeddings > 0 ? embedding_width : 0;
    c.cached_context = sizes.cached;
    return c;
  }
  explicit Fixture(const Sizes& sizes = {})
      : extra(sizes.embeddings), network(parameters, "score", nodes, make(sizes)), values({groups, nodes}),
        embeddings({groups, std::max<index_t>(extra, 1) * embedding_width}), present({groups, 2 + extra}) {
    sbi::Rng rng(1);
    for (auto& v : parameters.values()) v += static_cast<T>(0.05 * rng.normal());
    for (auto& v : values) v = static_cast<T>(rng.normal());
    for (auto& v : embeddings) v = static_cast<T>(rng.normal());
    for (auto& p : present) p = rng.bernoulli(0.7) ? T{1} : T{0};
  }
  [[nodiscard]] sbi::nn::NodeState<T> given_state(index_t group, index_t j) const {
    return {values(group, given[static_cast<std::size_t>(j)]), 0, false, present(group, j) != 0};
  }
  void fill(sbi::Tape<sbi::Cpu<T>>& tape, index_t first, index_t count, sbi::ContextRows<T>& rows) const {
    const auto k = static_cast<index_t>(given.size());
    for (index_t g = 0; g < count; ++g) {
      for (index_t j = 0; j < k; ++j)
        network.tokenizer().write(given_state(first + g, j), rows.features.row(g * k + j));
      for (index_t j = 0; j < k + extra; ++j) rows.present(g, j) = present(first + g, j);
    }
    if (extra > 0)
      rows.embeddings =
          tape.constant(embeddings.view().row_block(first, count).reshaped({count * extra, embedding_width}));
  }
  [[nodiscard]] Tensor<T> sample(const sbi::Cpu<T>& cpu, index_t n, Solvers solver = quick,
                                 index_t* evaluations = nullptr, index_t only_groups = -1) const {
    sbi::Cpu<T> backend(cpu);
    return sbi::sample_latent(
        backend, network, parameters.values(), ve, solver, only_groups < 0 ? groups : only_groups, n,
        sbi::View<const std::int32_t>(latent.data(), {static_cast<index_t>(latent.size())}),
        sbi::View<const std::int32_t>(given.data(), {static_cast<index_t>(given.size())}),
        [&](auto& tape, index_t first, index_t count, auto& rows) { fill(tape, first, count, rows); },
        sbi::Rng(4), evaluations);
  }
  [[nodiscard]] Tensor<T> sample(int threads, index_t n, Solvers solver = quick,
                                 index_t* evaluations = nullptr, index_t only_groups = -1) const {
    return sample(sbi::Cpu<T>(threads), n, solver, evaluations, only_groups);
  }
  /// What sampling throws, or nothing.
  [[nodiscard]] std::string refused(index_t n = 3) const {
    try {
      (void)sample(1, n);
    } catch (const sbi::Error& error) {
      return error.what();
    }
    return {};
  }
};

/// The denoiser by its definition: all tokens of one row in one sequence, nodes in order of their number, the
/// mask of the network's kind written out.
class OneRow {
public:
  OneRow(const Fixture<double>& f, index_t group) : f_(f), group_(group) {}

  void operator()(double t, sbi::View<const double> x, sbi::View<double> x0) {
    const bool cached = f_.network.config().cached_context;
    const sbi::diffusion::Precondition at(ve, t);
    const index_t given = static_cast<index_t>(f_.given.size()), n = nodes + f_.extra;
    std::vector<int> kind(static_cast<std::size_t>(n), 0); // 0 absent, 1 latent, 2 given
    sbi::Tape<sbi::Cpu<double>> tape(cpu_, f_.parameters.values().data());
    const auto features = tape.scratch({nodes, f_.network.tokenizer().features()});
    for (index_t j = 0; j < nodes; ++j)
      f_.network.tokenizer().write(sbi::nn::NodeState<double>{0, 0, false, false}, features.row(j));
    for (std::size_t j = 0; j < f_.latent.size(); ++j) {
      kind[static_cast<std::size_t>(f_.latent[j])] = 1;
      f_.network.tokenizer().write(
          sbi::nn::NodeState<double>{at.input() * x(0, static_cast<index_t>(j)), 0, true, true},
          features.row(f_.latent[j]));
    }
    for (index_t j = 0; j < given; ++j) {
      const auto node = f_.given[static_cast<std::size_t>(j)];
      if (f_.present(group_, j) != 0) kind[static_cast<std::size_t>(node)] = 2;
      f_.network.tokenizer().write(f_.given_state(group_, j), features.row(node));
    }
    for (index_t k = 0; k < f_.extra; ++k)
      if (f_.present(group_, given + k) != 0) kind[static_cast<std::size_t>(nodes + k)] = 2;
    const auto mask = tape.scratch({1, n, n});
    const auto gate = tape.scratch({n});
    for (index_t i = 0; i < n; ++i) {
      const int query = kind[static_cast<std::size_t>(i)];
      gate.data[i] = query == 1 || (query == 2 && !cached) ? 1 : 0;
      for (index_t k = 0; k < n; ++k) {
        const int key = kind[static_cast<std::size_t>(k)];
        const bool may = query != 0 && key != 0 && !(cached && query == 2 && key == 1);
        mask.data[i * n + k] = may ? 0 : -std::numeric_limits<double>::infinity();
      }
    }
    const auto time = tape.scratch({1, f_.network.time().width()});
    f_.network.time().write(sbi::diffusion::noise_ratio(ve, t), time.data);
    std::vector<std::int32_t> ids;
    for (std::int32_t j = 0; j < nodes; ++j) ids.push_back(j);
    sbi::TokenBlock<double> block{{ids.data(), {nodes}}, features, {}, mask};
    if (f_.extra > 0)
      block.embeddings =
          tape.constant(f_.embeddings.view().row_block(group_, 1).reshaped({f_.extra, embedding_width}));
    const auto out = f_.network(tape, block, {tape.constant(time), gate}).value;
    for (std::size_t j = 0; j < f_.latent.size(); ++j) {
      const double out_j = f_.extra > 0 ? out(0, f_.latent[j]) : out(f_.latent[j], 0);
      const auto k = static_cast<index_t>(j);
      x0(0, k) = at.denoised(x(0, k), out_j);
    }
  }

private:
  const Fixture<double>& f_;
  index_t group_;
  sbi::Cpu<double> cpu_{1};
};

template <class T> bool same_bits(const Tensor<T>& a, const Tensor<T>& b, index_t first, index_t rows) {
  return std::memcmp(a.row(first), b.row(first), static_cast<std::size_t>(rows * a.cols()) * sizeof(T)) == 0;
}

} // namespace

TEST_CASE("inference/sampling: both kinds of network agree with one row at a time by the definition") {
  for (const Sizes& sizes : {Sizes{true, 0, 2}, Sizes{true, 2, 1}, Sizes{false, 0, 2}, Sizes{false, 2, 2}}) {
    CAPTURE(sizes.cached);
    CAPTURE(sizes.embeddings);
    const Fixture<double> f(sizes);
    const index_t n = 3;
    const auto x = f.sample(1, n);
    double worst = 0;
    for (index_t r = 0; r < x.rows(); ++r) {
      Tensor<double> row({1, 2});
      std::get<0>(quick).sample(ve, OneRow(f, r / n), row.view(), {}, sbi::Rng(4), r);
      for (index_t j = 0; j < 2; ++j) worst = std::max(worst, std::abs(x(r, j) - row(0, j)));
    }
    CHECK(worst < 1e-11); // values of order 1, rounding in double through 8 evaluations
  }
}

TEST_CASE("inference/sampling: time and latent tokens reach what is given in the general network only") {
  // The same parameters under both rules give other samples, so neither path can stand in for the other.
  const Fixture<double> cached({true, 0, 2}), general({false, 0, 2});
  REQUIRE(cached.parameters.values() == general.parameters.values());
  const auto a = cached.sample(1, 20), b = general.sample(1, 20);
  double most = 0;
  for (index_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a.data()[i] - b.data()[i]));
  CHECK(most > 1e-3);
  // Where nothing is given they are the same network.
  Fixture<double> alone({true, 0, 2}), together({false, 0, 2});
  alone.given = together.given = {};
  CHECK(same_bits(alone.sample(1, 4), together.sample(1, 4), 0, 20));
}

TEST_CASE("inference/sampling: row r depends on its group and stream r only, not on threads or blocks") {
  for (const Sizes& sizes : {Sizes{true, 0, 2}, Sizes{true, 1, 2}, Sizes{false, 1, 2}}) {
    CAPTURE(sizes.cached);
    const Fixture<float> f(sizes);
    for (const Solvers& solver : {quick, Solvers(sbi::diffusion::Heun{2, 7, {.amount = 1}}),
                                  Solvers(sbi::diffusion::EulerMaruyama{4})}) {
      const auto many = f.sample(1, 150, solver); // several blocks a group
      REQUIRE(many.shape() == sbi::Shape{750, 2});
      CHECK(same_bits(many, f.sample(2, 150, solver), 0, 750));
      CHECK(same_bits(many, f.sample(3, 150, solver), 0, 750));
      // One block, another size of block: the first rows.
      CHECK(same_bits(f.sample(2, 11, solver, nullptr, 1), many, 0, 11));
    }
    for (index_t n : {1, 7, 37}) { // several groups a block; fewer groups are cut elsewhere
      CAPTURE(n);
      const auto all = f.sample(1, n);
      CHECK(same_bits(all, f.sample(3, n), 0, all.rows()));
      for (index_t g = 1; g < f.groups; ++g)
        CHECK(same_bits(f.sample(1 + static_cast<int>(g % 2), n, quick, nullptr, g), all, 0, g * n));
    }
  }
}

TEST_CASE("inference/sampling: the context matters where it is present, and to its group alone") {
  for (bool cached : {true, false}) {
    CAPTURE(cached);
    Fixture<float> f({cached, 1, 2});
    f.present = Tensor<float>({5, 3}, {1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1, 1});
    const auto before = f.sample(1, 8);
    for (index_t g = 0; g < 5; ++g)
      for (index_t j = 0; j < 2; ++j)
        if (f.present(g, j) == 0) f.values(g, j + 1) = 55;
    for (index_t g : {2, 3}) f.embeddings(g, 0) = 55;
    CHECK(same_bits(before, f.sample(1, 8), 0, 40));
    f.values(0, 1) += 1, f.embeddings(1, 0) += 1; // groups 0 and 1 only
    const auto moved = f.sample(1, 8);
    for (index_t r = 0; r < 16; ++r) CHECK(!same_bits(before, moved, r, 1));
    CHECK(same_bits(before, moved, 16, 24));
    // A group beside others of which something is missing has the bits that it has alone.
    CHECK(same_bits(f.sample(1, 8, quick, nullptr, 1), moved, 0, 8));
  }
}

TEST_CASE("inference/sampling: memory does not grow with the number of steps") {
  for (bool cached : {true, false}) {
    const Fixture<float> f({cached, 1, 2});
    const sbi::Cpu<float> cpu(1);
    (void)f.sample(cpu, 40, sbi::diffusion::DpmSolver{1, 7});
    const auto bytes = cpu.arena().capacity();
    (void)f.sample(cpu, 40, sbi::diffusion::DpmSolver{30, 7});
    CHECK(cpu.arena().capacity() == bytes);
  }
}

TEST_CASE("inference/sampling: evaluations, seeds and the smallest sizes") {
  Fixture<float> f;
  const auto evaluations = [&](const Solvers& solver) {
    index_t count = -1;
    (void)f.sample(2, 4, solver, &count);
    return count;
  };
  CHECK(evaluations(quick) == 8);                                     // steps + 2
  CHECK(evaluations(sbi::diffusion::Heun{3, 7}) == 8);                // 2 steps + 2
  CHECK(evaluations(sbi::diffusion::Heun{3, 7, {.amount = 1}}) == 8); // noise costs none
  CHECK(evaluations(sbi::diffusion::EulerMaruyama{5}) == 7);          // steps + 2
  CHECK(f.sample(1, 0).shape() == sbi::Shape{0, 2});
  CHECK(f.sample(1, 4, quick, nullptr, 0).shape() == sbi::Shape{0, 2});
  for (bool cached : {true, false}) {
    Fixture<float> one({cached, 0, 1});
    one.latent = {4}, one.given = {}; // one token, one head, nothing given
    const auto x = one.sample(1, 3);
    REQUIRE(x.shape() == sbi::Shape{15, 1});
    for (float v : x) CHECK(std::isfinite(v));
    CHECK(x(0, 0) != x(1, 0));
    one.latent = {};
    CHECK(one.sample(1, 3).size() == 0);
  }
  // Nothing of what is given is there: the same as giving nothing.
  Fixture<double> absent, none;
  for (auto& p : absent.present) p = 0;
  none.given = {};
  const auto a = absent.sample(1, 3), b = none.sample(1, 3);
  for (index_t i = 0; i < a.size(); ++i) CHECK(std::abs(a.data()[i] - b.data()[i]) < 1e-12); // rounding
}

TEST_CASE("inference/sampling: what cannot be sampled is named") {
  const auto nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (bool cached : {true, false}) {
    Fixture<float> f({cached, 1, 2});
    CHECK(f.refused().empty());
    CHECK(f.refused(-1) == "sampling: 5 groups of -1 samples; want 0 or more");
    f.values(3, 2) = inf;
    f.present(3, 1) = 1;
    CHECK(f.refused() == "sampling: the feature of given node 1 of group 3 is inf; want finite values");
    f.present(3, 1) = 0; // not looked at
    CHECK(f.refused().empty());
    f.embeddings(4, 2) = nan;
    CHECK(f.refused() == "sampling: the embedding of token 0 of group 4 is nan; want finite values");
    f = Fixture<float>({cached, 1, 2});
    f.latent = {0, 2};
    CHECK(f.refused() == "sampling: node 2 is named twice; want each given or sampled once");
    f.latent = {0, 0};
    CHECK(f.refused() == "sampling: node 0 is named twice; want each given or sampled once");
    f.latent = {0, 7};
    CHECK(f.refused() == "add embedding: identity 7 in a table of 5");
    f = Fixture<float>({cached, 1, 2});
    f.extra = 0; // fill leaves the embeddings out
    CHECK(f.refused().starts_with("sampling: embeddings are "));
    f = Fixture<float>({cached, 0, 2});
    for (auto& v : f.parameters.values()) v *= 1e30F;               // a network that overflows
    CHECK(f.refused().starts_with("sampler: node 0 of row 0 is ")); // nan of either sign
  }
}
