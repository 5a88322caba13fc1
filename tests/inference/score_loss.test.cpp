// SPDX-License-Identifier: MIT
// The score loss against the same sum written out, its gradient, and its agreement between backends.
#include <sbi/core/tensor.hpp>
#include <sbi/inference/score_loss.hpp>

#include <doctest/doctest.h>

#include <cstring>

using sbi::index_t;
using sbi::diffusion::Node;
using Bytes = std::vector<std::uint8_t>;

namespace {

constexpr index_t nodes = 4, samples = 6, extra = 2, width = 5;
const std::vector<std::int32_t> ids{0, 1, 2, 3};

sbi::ScoreNetworkConfig config(index_t embeddings, bool cached = true) {
  sbi::ScoreNetworkConfig c;
  c.transformer = {16, 2, 2, 2, 8};
  c.embedding_tokens = embeddings, c.embedding_width = embeddings > 0 ? width : 0;
  c.cached_context = cached;
  return c;
}
/// Rows with latent, conditioned and missing nodes, errors on some.
struct Data {
  std::vector<double> z, sigma, embeddings;
  std::vector<Bytes> states;
  explicit Data(index_t embedded) {
    sbi::Rng rng(11);
    for (index_t i = 0; i < samples; ++i) {
      Bytes row;
      for (index_t j = 0; j < nodes; ++j) {
        z.push_back(rng.normal());
        sigma.push_back(rng.bernoulli(0.5) ? 0.1 * rng.uniform() : 0);
        row.push_back(static_cast<std::uint8_t>(j == i % nodes ? 0 : rng.below(3)));
      }
      for (index_t k = 0; k < embedded; ++k)
        row.push_back(rng.bernoulli(0.3) ? Node::missing : Node::conditioned);
      states.push_back(row);
    }
    for (index_t i = 0; i < samples * embedded * width; ++i) embeddings.push_back(rng.normal());
  }
};

struct Model {
  sbi::nn::Parameters<double> parameters;
  sbi::ScoreNetwork network;
  index_t embedded;
  explicit Model(index_t embeddings, bool cached = true)
      : parameters(3), network(parameters, "score", nodes, config(embeddings, cached)), embedded(embeddings) {
  }

  /// The loss, and its gradient where wanted.
  template <class B>
  double loss(B& backend, const std::vector<double>& values, const Data& data,
              std::vector<double>* gradient = nullptr,
              std::vector<double>* embedding_gradient = nullptr) const {
    sbi::Tape<B> tape(backend, values.data(), gradient ? gradient->data() : nullptr);
    sbi::ScoreRows<double> rows(tape, network, samples, nodes);
    const sbi::diffusion::VE sde(0.01, 10);
    for (index_t i = 0; i < samples; ++i) {
      sbi::Rng rng = sbi::Rng(5).split(static_cast<std::uint64_t>(i));
      rows.set(i, sde, sbi::stratified_time(sde, 0.3, i, samples), data.z.data() + i * nodes,
               data.sigma.data() + i * nodes, data.states[static_cast<std::size_t>(i)], rng,
               1.0 + 0.5 * double(i));
    }
    sbi::Var<double> embeddings;
    const sbi::Shape shape{samples * embedded, width};
    if (embedded > 0)
      embeddings = embedding_gradient
                       ? tape.input({data.embeddings.data(), shape}, {embedding_gradient->data(), shape})
                       : tape.constant({data.embeddings.data(), shape});
    const auto l = rows.loss(tape, sbi::View<const std::int32_t>(ids.data(), {nodes}), embeddings);
    if (l.wants_grad()) tape.backward(l);
    return l.value.data[0];
  }
};

} // namespace

TEST_CASE("inference/score_loss: the gradient is that of central differences") {
  sbi::Cpu<double> cpu(1);
  for (index_t embedded : {index_t{0}, extra}) {
    const Model model(embedded);
    const Data data(embedded);
    std::vector<double> gradient(model.parameters.values().size()),
        embedding_gradient(data.embeddings.size());
    const double loss = model.loss(cpu, model.parameters.values(), data, &gradient, &embedding_gradient);
    CHECK(loss > 0);
    for (std::uint64_t direction = 0; direction < 3; ++direction) {
      sbi::Rng rng(20 + direction);
      std::vector<double> v(gradient.size()), w(embedding_gradient.size());
      double analytic = 0;
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = rng.normal(), analytic += v[i] * gradient[i];
      for (std::size_t i = 0; i < w.size(); ++i)
        w[i] = rng.normal(), analytic += w[i] * embedding_gradient[i];
      // Fourth-order differences, steps of 1e-4: truncation O(h^4), rounding 1e-16 / 1e-4 of the loss,
      // together far below 1e-7 of the derivative.
      const auto at = [&](double h) {
        auto values = model.parameters.values();
        Data moved = data;
        for (std::size_t i = 0; i < v.size(); ++i) values[i] += h * v[i];
        for (std::size_t i = 0; i < w.size(); ++i) moved.embeddings[i] += h * w[i];
        return model.loss(cpu, values, moved);
      };
      const double h = 1e-4;
      const double numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
      CHECK(std::abs(analytic - numeric) < 1e-7 * std::abs(numeric));
    }
  }
}

TEST_CASE("inference/score_loss: fast and reference kernels agree, loss and gradient") {
  sbi::Cpu<double> cpu(1);
  sbi::Reference<double> reference;
  for (index_t embedded : {index_t{0}, extra}) {
    const Model model(embedded);
    const Data data(embedded);
    std::vector<double> fast(model.parameters.values().size()), slow(fast.size());
    const double a = model.loss(cpu, model.parameters.values(), data, &fast),
                 b = model.loss(reference, model.parameters.values(), data, &slow);
    CHECK(std::abs(a / b - 1) < 1e-12); // rounding of a few thousand sums
    double largest = 0, difference = 0;
    for (std::size_t i = 0; i < fast.size(); ++i) {
      largest = std::max(largest, std::abs(slow[i]));
      difference = std::max(difference, std::abs(fast[i] - slow[i]));
    }
    CHECK(difference < 1e-12 * largest);
  }
}

TEST_CASE("inference/score_loss: only latent nodes enter, and what is missing changes no bit") {
  sbi::Cpu<double> cpu(1);
  for (index_t embedded : {index_t{0}, extra}) {
    const Model model(embedded);
    const Data data(embedded);
    Data other = data;
    for (std::size_t i = 0; i < other.states.size(); ++i)
      for (std::size_t j = 0; j < other.states[i].size(); ++j) {
        if (other.states[i][j] != Node::missing) continue;
        if (j < nodes) {
          other.z[i * nodes + j] = sbi::missing; // as a data set holds it
          other.sigma[i * nodes + j] = 1e6;
        } else {
          for (std::size_t c = 0; c < width; ++c)
            other.embeddings[(i * static_cast<std::size_t>(embedded) + j - nodes) * width + c] = -77;
        }
      }
    std::vector<double> a(model.parameters.values().size()), b(a.size());
    CHECK(model.loss(cpu, model.parameters.values(), data, &a) ==
          model.loss(cpu, model.parameters.values(), other, &b));
    // The projection of a missing embedding has no gradient either, so that not a bit differs.
    CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
  }
  const Model model(0);
  Data data(0);
  for (auto& row : data.states)
    for (auto& s : row)
      if (s == Node::latent) s = Node::conditioned;
  CHECK(model.loss(cpu, model.parameters.values(), data) == 0);
}

TEST_CASE("inference/score_loss: a network that says 0 has the loss of the targets") {
  sbi::Cpu<double> cpu(1);
  Model model(0);
  const Data data(0);
  std::fill(model.parameters.values().begin(), model.parameters.values().end(), 0.0);
  double expected = 0;
  const sbi::diffusion::VE sde(0.01, 10);
  for (index_t i = 0; i < samples; ++i) {
    sbi::Rng rng = sbi::Rng(5).split(static_cast<std::uint64_t>(i));
    const double t = sbi::stratified_time(sde, 0.3, i, samples), s = sde.sigma(t), r = std::hypot(1, s);
    for (index_t j = 0; j < nodes; ++j) {
      const double eps = rng.normal(), z = data.z[static_cast<std::size_t>(i * nodes + j)];
      const double target = (s * z - eps) / r; // alpha = 1
      if (data.states[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] == Node::latent)
        expected += (1.0 + 0.5 * double(i)) * target * target;
    }
  }
  CHECK(model.loss(cpu, model.parameters.values(), data) == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("inference/score_loss: times of a batch cover [t_min, 1] evenly") {
  const sbi::diffusion::VP sde;
  std::vector<double> times;
  for (index_t i = 0; i < 8; ++i) times.push_back(sbi::stratified_time(sde, 0.61, i, 8));
  std::sort(times.begin(), times.end());
  for (std::size_t k = 0; k < 8; ++k) { // one in each eighth
    CHECK(times[k] >= sde.t_min() + (1 - sde.t_min()) * static_cast<double>(k) / 8 - 1e-12);
    CHECK(times[k] <= sde.t_min() + (1 - sde.t_min()) * static_cast<double>(k + 1) / 8 + 1e-12);
  }
}

TEST_CASE("inference/score_loss: without cached context what is given hears of time and of latent nodes") {
  sbi::Cpu<double> cpu(1);
  const Model cached(0), general(0, false);
  Data data(0);
  CHECK(general.loss(cpu, general.parameters.values(), data) !=
        doctest::Approx(cached.loss(cpu, cached.parameters.values(), data)).epsilon(1e-6));
  for (Bytes& row : data.states) std::fill(row.begin(), row.end(), Node::latent);
  CHECK(general.loss(cpu, general.parameters.values(), data) ==
        cached.loss(cpu, cached.parameters.values(), data)); // nothing is given: the same network
}
