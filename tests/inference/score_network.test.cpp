// SPDX-License-Identifier: MIT
// Two ways through the network, one sequence and cached context, give the same latent outputs.
#include <sbi/core/tensor.hpp>
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/inference/score_network.hpp>

#include <doctest/doctest.h>

#include <string>

using sbi::index_t;
using sbi::Tensor;
using sbi::diffusion::Node;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr index_t nodes = 5, width = 6;

sbi::ScoreNetworkConfig config(index_t embeddings, bool cached_context = true) {
  sbi::ScoreNetworkConfig c;
  c.cached_context = cached_context;
  c.transformer = {24, 3, 2, 2, 8};
  c.embedding_tokens = embeddings, c.embedding_width = embeddings > 0 ? width : 0;
  return c;
}
const auto infinity = std::numeric_limits<double>::infinity();

struct Fixture {
  index_t extra, samples = 3;
  sbi::Cpu<double> cpu{1};
  sbi::nn::Parameters<double> parameters{17};
  sbi::ScoreNetwork network;
  Bytes states; ///< of all samples' tokens
  Tensor<double> value, embeddings;
  double noise_ratio = 0.7;

  explicit Fixture(index_t embedded, Bytes node_states, bool cached_context = true)
      : extra(embedded), network(parameters, "score", nodes, config(embedded, cached_context)),
        states(std::move(node_states)), value({samples, nodes}),
        embeddings({samples * std::max<index_t>(extra, 1), width}) {
    sbi::Rng rng(2);
    for (auto& v : parameters.values()) v += 0.05 * rng.normal(); // no parameter stays at 0 or 1
    for (auto& v : value) v = rng.normal();
    for (auto& v : embeddings) v = rng.normal();
  }
  [[nodiscard]] index_t tokens() const { return nodes + extra; }
  [[nodiscard]] sbi::nn::NodeState<double> state(index_t i, index_t j) const {
    const auto s = states[static_cast<std::size_t>(j)];
    return {value(i, j), s == Node::conditioned && j % 2 == 0 ? 0.1 : 0.0, s == Node::latent,
            s != Node::missing};
  }
  /// F of all nodes [samples, nodes] and, where wanted, every layer's keys and values.
  Tensor<double> whole() {
    sbi::Tape<sbi::Cpu<double>> tape(cpu, parameters.values().data());
    const auto features = tape.scratch({samples * nodes, network.tokenizer().features()});
    const auto mask = tape.scratch({samples, tokens(), tokens()});
    const auto gate = tape.scratch({samples * tokens()});
    const auto time = tape.scratch({samples, network.time().width()});
    std::vector<std::int32_t> ids;
    for (index_t j = 0; j < nodes; ++j) ids.push_back(static_cast<std::int32_t>(j));
    for (index_t i = 0; i < samples; ++i) {
      for (index_t j = 0; j < nodes; ++j) network.tokenizer().write(state(i, j), features.row(i * nodes + j));
      sbi::diffusion::attention_mask<double>(
          states, {mask.data + i * tokens() * tokens(), {tokens(), tokens()}}, network.attention_rules());
      for (index_t k = 0; k < tokens(); ++k)
        gate.data[i * tokens() + k] = network.sees_time(states[static_cast<std::size_t>(k)]) ? 1 : 0;
      network.time().write(noise_ratio, time.row(i));
    }
    sbi::TokenBlock<double> block{{ids.data(), {nodes}}, features, {}, mask};
    if (extra > 0) block.embeddings = tape.constant(embeddings.view());
    const auto f = network(tape, block, {tape.constant(time), gate});
    Tensor<double> out({samples, nodes});
    for (index_t i = 0; i < samples; ++i)
      for (index_t j = 0; j < nodes; ++j) out(i, j) = extra == 0 ? f.value(i * nodes + j, 0) : f.value(i, j);
    return out;
  }
  /// F of latent nodes by context and latent(); conditioned and missing ones stay NaN. Missing nodes stand in
  /// the context, cut by the mask, or are left out of it.
  Tensor<double> cached(bool leave_out_missing) {
    std::vector<std::int32_t> given, latent;
    for (index_t j = 0; j < nodes; ++j) {
      const auto s = states[static_cast<std::size_t>(j)];
      if (s == Node::latent) latent.push_back(static_cast<std::int32_t>(j));
      if (s == Node::conditioned || (s == Node::missing && !leave_out_missing))
        given.push_back(static_cast<std::int32_t>(j));
    }
    const auto k = static_cast<index_t>(given.size()), l = static_cast<index_t>(latent.size()), c = k + extra;
    const auto present = [&](index_t token) {
      return states[static_cast<std::size_t>(token < k ? given[static_cast<std::size_t>(token)]
                                                       : nodes + token - k)] != Node::missing;
    };
    sbi::Tape<sbi::Cpu<double>> tape(cpu, parameters.values().data());
    const auto features = tape.scratch({samples * k, network.tokenizer().features()});
    const auto mask = tape.scratch({samples, c, c});
    for (index_t i = 0; i < samples; ++i) {
      for (index_t j = 0; j < k; ++j)
        network.tokenizer().write(state(i, given[static_cast<std::size_t>(j)]), features.row(i * k + j));
      for (index_t a = 0; a < c; ++a)
        for (index_t b = 0; b < c; ++b)
          mask.data[(i * c + a) * c + b] = present(a) && present(b) ? 0 : -infinity;
    }
    const auto& t = network.config().transformer;
    const auto context = tape.scratch({t.layers * samples * c, 2 * t.width});
    sbi::TokenBlock<double> block{{given.data(), {k}}, features, {}, mask};
    if (extra > 0) block.embeddings = tape.constant(embeddings.view());
    network.context(tape, block, context);

    const auto own = tape.scratch({samples * l, network.tokenizer().features()});
    const auto own_mask = tape.scratch({samples, l, c + l});
    for (index_t i = 0; i < samples; ++i)
      for (index_t j = 0; j < l; ++j) {
        network.tokenizer().write(state(i, latent[static_cast<std::size_t>(j)]), own.row(i * l + j));
        for (index_t b = 0; b < c + l; ++b)
          own_mask.data[(i * l + j) * (c + l) + b] = b >= c || present(b) ? 0 : -infinity;
      }
    const auto gate = tape.scratch({samples * l});
    std::fill_n(gate.data, gate.size(), 1.0);
    const auto time = tape.scratch({1, network.time().width()}); // shared by all samples
    network.time().write(noise_ratio, time.data);
    const auto f = network.latent(tape, sbi::TokenBlock<double>{{latent.data(), {l}}, own, {}, own_mask},
                                  {tape.constant(time), gate}, context, c, 1);
    Tensor<double> out({samples, nodes});
    std::fill(out.begin(), out.end(), sbi::missing);
    for (index_t i = 0; i < samples; ++i)
      for (index_t j = 0; j < l; ++j) out(i, latent[static_cast<std::size_t>(j)]) = f.value(i * l + j, 0);
    return out;
  }
  [[nodiscard]] bool is(index_t j, std::uint8_t s) const { return states[static_cast<std::size_t>(j)] == s; }
};

constexpr std::uint8_t L = Node::latent, C = Node::conditioned, M = Node::missing;
/// Without embeddings and with two tokens of them, one of which may be missing.
std::vector<Fixture> cases(bool cached_context = true) {
  std::vector<Fixture> out;
  out.emplace_back(0, Bytes{L, L, C, C, C}, cached_context);
  out.emplace_back(0, Bytes{C, L, M, L, C}, cached_context);
  out.emplace_back(2, Bytes{L, L, L, L, L, C, C}, cached_context);
  out.emplace_back(2, Bytes{L, C, L, M, L, C, C}, cached_context);
  out.emplace_back(2, Bytes{L, L, C, L, M, M, C}, cached_context);
  return out;
}

} // namespace

TEST_CASE("inference/score_network: cached context and one sequence give the same outputs") {
  for (Fixture& f : cases()) {
    const auto whole = f.whole();
    for (bool leave_out : {false, true}) {
      const auto cached = f.cached(leave_out);
      for (index_t i = 0; i < f.samples; ++i)
        for (index_t j = 0; j < nodes; ++j)
          if (f.is(j, L)) // outputs are of order 1; rounding in double
            CHECK(std::abs(whole(i, j) - cached(i, j)) < 1e-12);
    }
  }
}

TEST_CASE("inference/score_network: conditioned tokens know nothing of latent ones and of time") {
  for (Fixture& f : cases()) {
    const auto before = f.whole();
    for (index_t i = 0; i < f.samples; ++i)
      for (index_t j = 0; j < nodes; ++j)
        if (f.is(j, L)) f.value(i, j) += 3;
    f.noise_ratio = 20;
    const auto after = f.whole();
    for (index_t i = 0; i < f.samples; ++i)
      for (index_t j = 0; j < nodes; ++j) {
        if (f.is(j, C)) CHECK(before(i, j) == after(i, j));
        if (f.is(j, L)) CHECK(before(i, j) != after(i, j));
      }
  }
}

TEST_CASE("inference/score_network: without cached context time and latent tokens reach every token") {
  for (Fixture& f : cases(false)) {
    const auto check_moved = [&](const Tensor<double>& before, const Tensor<double>& after) {
      for (index_t i = 0; i < f.samples; ++i)
        for (index_t j = 0; j < nodes; ++j)
          if (!f.is(j, M)) CHECK(before(i, j) != after(i, j));
    };
    const auto before = f.whole();
    f.noise_ratio = 20;
    const auto later = f.whole();
    check_moved(before, later);
    for (index_t i = 0; i < f.samples; ++i)
      for (index_t j = 0; j < nodes; ++j)
        if (f.is(j, L)) f.value(i, j) += 3;
    check_moved(later, f.whole());
    try {
      (void)f.cached(true);
      FAIL("there is no context to keep");
    } catch (const sbi::ValueError& error) {
      CHECK(std::string(error.what()) ==
            "score network: conditioned tokens see time and latent tokens, there is "
            "no context to keep; want cached_context");
    }
  }
}

TEST_CASE("inference/score_network: the rules of both kinds") {
  const Fixture cached(0, Bytes{L, L, C, C, C}), general(0, Bytes{L, L, C, C, C}, false);
  CHECK(cached.network.attention_rules().conditioned_ignore_latent);
  CHECK(!general.network.attention_rules().conditioned_ignore_latent);
  CHECK(cached.network.sees_time(L));
  CHECK(!cached.network.sees_time(C));
  CHECK(!cached.network.sees_time(M));
  CHECK(general.network.sees_time(L));
  CHECK(general.network.sees_time(C));
  CHECK(!general.network.sees_time(M));
}

TEST_CASE("inference/score_network: missing tokens influence nothing, present ones do") {
  for (Fixture& f : cases()) {
    const auto before = f.whole();
    for (index_t i = 0; i < f.samples; ++i) {
      for (index_t j = 0; j < nodes; ++j)
        if (f.is(j, M)) f.value(i, j) = 1e3;
      for (index_t k = 0; k < f.extra; ++k)
        if (f.is(nodes + k, M)) std::fill_n(f.embeddings.row(i * f.extra + k), width, 1e3);
    }
    const auto after = f.whole();
    for (index_t i = 0; i < f.samples; ++i)
      for (index_t j = 0; j < nodes; ++j)
        if (!f.is(j, M)) CHECK(before(i, j) == after(i, j));
    for (index_t i = 0; i < f.samples; ++i) {
      for (index_t j = 0; j < nodes; ++j)
        if (f.is(j, C)) f.value(i, j) += 0.1;
      for (index_t k = 0; k < f.extra; ++k)
        if (f.is(nodes + k, C)) f.embeddings(i * f.extra + k, 0) += 0.1;
    }
    const auto moved = f.whole();
    for (index_t i = 0; i < f.samples; ++i)
      for (index_t j = 0; j < nodes; ++j)
        if (f.is(j, L)) CHECK(after(i, j) != moved(i, j));
  }
}

TEST_CASE("inference/score_network: sizes that make no network are refused") {
  sbi::nn::Parameters<float> parameters;
  const auto build = [&](auto change) {
    auto c = config(2);
    change(c);
    (void)sbi::ScoreNetwork(parameters, "x", nodes, c);
  };
  CHECK_THROWS_AS(build([](auto& c) { c.transformer.time_width = 7; }), sbi::ValueError);
  CHECK_THROWS_AS(build([](auto& c) { c.transformer.heads = 5; }), sbi::ValueError);
  CHECK_THROWS_AS(build([](auto& c) { c.value_octaves = -1; }), sbi::ValueError);
  CHECK_THROWS_AS(build([](auto& c) { c.embedding_width = 0; }), sbi::ValueError);
}
