// SPDX-License-Identifier: MIT
#include <sbi/diagnostics/rmse.hpp>
#include <sbi/inference/domain_objective.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <unistd.h>

using sbi::Alignment;
using sbi::Dataset;
using sbi::Domain;
using sbi::index_t;
using sbi::Shape;
using sbi::Tensor;
using sbi::View;

namespace {

/// Two parameters, two surveys: x = (a, b), y = a + b, all with noise 0.1 and gaps. Reality adds `shift` to
/// x.
const sbi::Nodes nodes{{"a", "b", "x1", "x2", "y1"}, {{}, {}, {}, {}, {}}, 2};
const std::vector<std::pair<std::string, std::vector<std::string>>> surveys{{"x", {"x1", "x2"}},
                                                                            {"y", {"y1"}}};

Dataset draw(index_t n, std::uint64_t seed, double shift, double gaps = 0.2) {
  Dataset d{Tensor<double>({n, 2}), Tensor<double>({n, 3}), Tensor<double>({n, 3})};
  for (index_t i = 0; i < n; ++i) {
    sbi::Rng rng = sbi::Rng(seed).split(static_cast<std::uint64_t>(i));
    const double a = d.theta(i, 0) = rng.normal(), b = d.theta(i, 1) = rng.normal();
    const std::array<double, 3> x{a + shift, b - shift, a + b};
    for (index_t j = 0; j < 3; ++j) {
      d.sigma(i, j) = 0.1;
      d.x(i, j) = rng.normal(x[static_cast<std::size_t>(j)], 0.1);
      if (rng.bernoulli(gaps)) d.x(i, j) = sbi::missing;
    }
  }
  return d;
}
sbi::DomainData domain_data(index_t simulated, index_t real, index_t pairs, double shift) {
  sbi::DomainData data;
  data.simulated = draw(simulated, 1, 0);
  const Dataset r = draw(real, 2, shift);
  data.real_x = r.x, data.real_sigma = r.sigma;
  data.pairs = draw(pairs, 3, shift);
  const Dataset partners = draw(pairs, 3, 0); // the same stars and noise
  data.partner_x = partners.x, data.partner_sigma = partners.sigma;
  return data;
}
sbi::DomainAdaptiveConfig small() {
  sbi::DomainAdaptiveConfig c;
  c.transformer = {24, 2, 2, 2, 16};
  c.embedding_width = 16, c.encoder_hidden = {32}, c.adapter_hidden = {16};
  return c;
}
template <class B> using ModelOf = sbi::DomainAdaptive<B, sbi::diffusion::VE>;
template <class B = sbi::Cpu<>> ModelOf<B> make(B backend = B(1)) {
  return {std::move(backend), nodes, surveys, small(), sbi::diffusion::VE(0.01, 10)};
}
template <class Model> void standardise(Model& model, const Dataset& data) {
  sbi::detail::fit_transforms(model, data);
}
sbi::FitOptions brief(index_t steps) {
  sbi::FitOptions o;
  o.steps = steps, o.batch = 128, o.warmup = 50, o.learning_rate = 3e-3, o.average = 0.98, o.validation = 0;
  o.progress = false;
  return o;
}

using Double = sbi::Cpu<double>;
using Objective = sbi::DomainObjective<Double, sbi::diffusion::VE>;

/// Gradient of one step with all rows in the batch.
std::vector<double> gradient(ModelOf<Double>& model, const sbi::DomainData& data, const Alignment& alignment,
                             double* loss = nullptr) {
  sbi::FitOptions o = brief(10);
  o.batch = 1000;
  Objective objective(model, data, alignment, o);
  std::vector<double> out(model.parameters().values().size());
  objective.prepare(model.backend(), model.parameters().values(), 5);
  double sum = 0;
  for (index_t i = 0; i < objective.chunks(); ++i) {
    sbi::Tape<Double> tape(model.backend(), model.parameters().values().data(), out.data());
    sum += objective.chunk(tape, 5, i);
  }
  if (loss) *loss = sum;
  return out;
}
/// z of all rows of a cloud on one tape, the tokens of a row side by side, and their presence.
struct Cloud {
  sbi::Var<double> z;
  std::vector<std::vector<double>> present; ///< a token
  std::vector<sbi::Var<double>> moves;      ///< by the adapters: of features and embedding, a survey
  index_t width;
  Cloud(sbi::Tape<Double>& tape, ModelOf<Double>& model, const Tensor<double>& x, const Tensor<double>& sigma,
        bool real)
      : width(model.encoders().width()) {
    const sbi::detail::DomainRows<double> rows(model, x, sigma);
    auto in = model.encoders().rows(tape, x.rows());
    const index_t tokens = model.encoders().tokens();
    present.resize(static_cast<std::size_t>(tokens));
    for (index_t i = 0; i < x.rows(); ++i) {
      model.encoders().write(in, i, rows.x(i), rows.sigma(i), real);
      for (index_t k = 0; k < tokens; ++k)
        present[static_cast<std::size_t>(k)].push_back(model.encoders().present(in, i, k) ? 1 : 0);
    }
    z = model.encoders()(tape, in, &moves).reshaped({x.rows(), tokens * width});
  }
  [[nodiscard]] sbi::Var<double> token(index_t k) const { return z.columns(k * width, width); }
  [[nodiscard]] View<const double> mask(index_t k) const {
    const auto& p = present[static_cast<std::size_t>(k)];
    return {p.data(), {static_cast<index_t>(p.size())}};
  }
};
double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}
double largest(const std::vector<double>& a) { return largest_difference(a, std::vector<double>(a.size())); }

} // namespace

TEST_CASE("inference/domain_objective: two passes give the gradient of one tape that holds everything") {
  auto model = make(Double(1));
  const auto data = domain_data(90, 70, 50, 0.8);
  standardise(model, data.simulated);
  sbi::Rng rng(4);
  for (auto& v : model.parameters().values()) v += 0.05 * rng.normal(); // adapters that do something
  for (int which = 0; which < 4; ++which) {
    Alignment on = Alignment::none();
    (which == 0 ? on.contrastive : which == 1 ? on.transport : which == 2 ? on.pairs : on.translation) = 0.7;
    on.survey_dropout = on.value_dropout = 0, on.displacement = 0.3;
    on.real_batch = on.pair_batch = 1000;
    Alignment off = on;
    on.ramp = {0, 1}, off.ramp = {100, 1}; // the same score loss, with and without the coupled one
    auto two_pass = gradient(model, data, on);
    const auto score = gradient(model, data, off);
    for (std::size_t i = 0; i < score.size(); ++i) two_pass[i] -= score[i];

    std::vector<double> one_tape(score.size());
    sbi::Tape<Double> tape(model.backend(), model.parameters().values().data(), one_tape.data());
    Cloud simulated(tape, model, data.simulated.x, data.simulated.sigma, false),
        real(tape, model, data.real_x, data.real_sigma, true),
        pair(tape, model, data.pairs.x, data.pairs.sigma, true),
        partner(tape, model, data.partner_x, data.partner_sigma, false);
    const auto seed = [&](const sbi::Var<double>& loss, double weight) {
      tape.seed(loss, View<const double>(&weight, {1}));
    };
    constexpr index_t pool = 2;
    std::vector<Tensor<double>> priced; // lives as long as the tape
    std::vector<double> a = simulated.present[pool], b = real.present[pool];
    if (which == 0) {
      for (const Cloud* c : {&simulated, &real})
        for (index_t m = 0; m < pool; ++m)
          seed(tape.apply(sbi::ops::InfoNce<double>{on.temperature, c->mask(m)}, c->token(m), c->token(pool)),
               0.7 / 2);
    } else if (which == 1) {
      for (auto* w : {&a, &b}) {
        const double sum = std::accumulate(w->begin(), w->end(), 0.0);
        CHECK(sum < static_cast<double>(w->size())); // some stars have no survey at all
        for (double& v : *w) v /= sum;
      }
      auto divergence = sbi::ot::SinkhornDivergence::relative(on.epsilon, on.rho);
      divergence.options.sinkhorn.tolerance = 2e-3;
      const auto loss = sbi::ot::loss<double>(divergence, {a.data(), {90}}, {b.data(), {70}});
      seed(tape.apply(loss, simulated.token(pool), real.token(pool)), 0.7 / 16);
    } else if (which == 2) {
      for (index_t k = 0; k <= pool; ++k) { // a token counts where star and partner both have it
        auto& both = pair.present[static_cast<std::size_t>(k)];
        for (std::size_t i = 0; i < both.size(); ++i)
          both[i] *= partner.present[static_cast<std::size_t>(k)][i];
        seed(tape.apply(sbi::ops::PairLoss<double>{on.temperature, on.attraction, pair.mask(k)},
                        partner.token(k), pair.token(k)),
             0.7 / 3);
      }
    }
    for (const Cloud* c : {&real, &pair}) {
      if (which >= 2 && c == &real) continue; // the losses of pairs do not read unlabelled rows
      for (index_t k = 0; k < 2 * pool; ++k) {
        const sbi::Var<double>& move = c->moves[static_cast<std::size_t>(k)];
        const index_t n = move.shape().rows(), d = move.shape().cols();
        Tensor<double> wanted({n, d}), price({n, d});
        const bool translated = which == 3 && k % 2 == 0; // by what the partner shows, per value
        for (index_t i = 0; i < n; ++i)                   // a survey that did not see the star moves nothing
          for (index_t j = 0; j < d; ++j) {
            price(i, j) =
                (translated ? 0.7 / static_cast<double>(3 * n) : 0.3 / static_cast<double>(pool * n * d)) *
                c->mask(k / 2).data[i];
            const index_t value = (k / 2 == 0 ? 0 : 2) + j / 4;
            if (translated && j % 4 == 0 && !sbi::is_missing(data.pairs.x(i, value)))
              wanted(i, j) = (data.partner_x(i, value) - data.pairs.x(i, value)) /
                             model.transforms()[static_cast<std::size_t>(2 + value)].stddev();
          }
        seed(tape.apply(sbi::ops::WeightedSquares<double>{wanted.view(), price.view()}, move), 1);
        priced.push_back(std::move(wanted)), priced.push_back(std::move(price));
      }
    }
    tape.backward();
    CHECK(largest(one_tape) > 1e-4);
    // The difference of two sums loses digits of the score's gradient; the order of rows differs, which the
    // Sinkhorn iterations and their extrapolation magnify.
    CHECK(largest_difference(two_pass, one_tape) <
          (which == 1 ? 1e-8 : 1e-12) * (largest(one_tape) + largest(score)));
  }
}

TEST_CASE("inference/domain_objective: coupled losses are reported and fall when the domains agree") {
  auto model = make(Double(1));
  const auto apart = domain_data(90, 90, 50, 2), together = domain_data(90, 90, 50, 0);
  standardise(model, apart.simulated);
  const auto losses = [&](const sbi::DomainData& data) {
    sbi::FitOptions o = brief(10);
    o.batch = 1000;
    Alignment a;
    a.real_batch = a.pair_batch = 1000, a.ramp = {0, 1};
    Objective objective(model, data, a, o);
    objective.prepare(model.backend(), model.parameters().values(), 5);
    return objective.losses();
  };
  const auto far = losses(apart), near = losses(together);
  CHECK(far.unconverged == 0);
  CHECK(far.contrastive > 0);
  CHECK(far.transport > 2 * near.transport);
  CHECK(far.pairs > near.pairs);
}

TEST_CASE("inference/domain_objective: a pair whose theta is known in part teaches that part") {
  auto model = make(Double(1));
  sbi::DomainData data;
  data.pairs = draw(40, 3, 0.5);
  standardise(model, data.pairs);
  const auto identity = [&](const std::vector<double>& g, index_t node) {
    for (const auto& e : model.parameters().entries())
      if (e.name == "score.token.identity") {
        double out = 0;
        for (index_t c = 0; c < e.at.shape.cols(); ++c)
          out = std::max(out,
                         std::abs(g[static_cast<std::size_t>(e.at.offset + node * e.at.shape.cols() + c)]));
        return out;
      }
    FAIL("no identities");
    return 0.0;
  };
  double both = 0, known = 0, unknown = 0;
  const auto full = gradient(model, data, Alignment::none(), &both);
  CHECK(identity(full, 0) > 0);
  CHECK(identity(full, 1) > 0);
  for (index_t i = 0; i < 40; ++i) data.pairs.theta(i, 1) = sbi::missing;
  const auto part = gradient(model, data, Alignment::none(), &known);
  CHECK(identity(part, 0) > 0);
  CHECK(identity(part, 1) == 0);
  CHECK(known > 0);
  CHECK(known < both);
  for (index_t i = 0; i < 40; ++i) data.pairs.theta(i, 0) = sbi::missing;
  const auto none = gradient(model, data, Alignment::none(), &unknown);
  CHECK(unknown == 0);
  CHECK(largest(none) == 0);
}

TEST_CASE("inference/domain_objective: the bits depend neither on threads nor on an interruption") {
  const auto data = domain_data(400, 200, 60, 0.5);
  Alignment alignment;
  alignment.real_batch = 64, alignment.pair_batch = 32, alignment.ramp = {2, 5};
  sbi::FitOptions o = brief(20);
  auto one = make(sbi::Cpu<>(1)), two = make(sbi::Cpu<>(2));
  sbi::AlignmentLosses losses;
  (void)sbi::fit(one, data, alignment, o, &losses);
  CHECK(losses.unconverged == 0);
  (void)sbi::fit(two, data, alignment, o);
  CHECK(one.parameters().values() == two.parameters().values());

  const auto file = std::filesystem::temp_directory_path() / sbi::text("sbi_domain_", ::getpid());
  std::filesystem::remove(file);
  o.checkpoint = file.string(), o.checkpoint_every = 4;
  auto rest = make(sbi::Cpu<>(2));
  {
    auto first = make(sbi::Cpu<>(2));
    standardise(first, data.simulated);
    struct Stops : sbi::DomainObjective<sbi::Cpu<>, sbi::diffusion::VE> {
      using DomainObjective::DomainObjective;
      void prepare(sbi::Cpu<>& be, const std::vector<float>& values, index_t step) {
        if (step == 14) throw std::runtime_error("power cut");
        DomainObjective::prepare(be, values, step);
      }
    } objective(first, data, alignment, o);
    CHECK_THROWS_WITH(sbi::train(first.backend(), first.parameters(), objective, o), "power cut");
  }
  CHECK(sbi::fit(rest, data, alignment, o).resumed_from == 12);
  CHECK(rest.parameters().values() == one.parameters().values());
  alignment.transport = 0.25; // another run
  CHECK_THROWS_AS((void)sbi::fit(rest, data, alignment, o), sbi::FileError);
  std::filesystem::remove(file);
}

TEST_CASE("inference/domain_objective: adaptation undoes a shift of reality" *
          doctest::test_suite("statistics")) {
  auto model = make(sbi::Cpu<>(2));
  const double shift = 0.8; // eight deviations of the noise
  auto data = domain_data(6000, 3000, 200, shift);
  const Dataset test = draw(300, 9, shift, 0), same = draw(300, 9, 0, 0);
  const auto error = [&](const Dataset& stars, Domain domain) {
    const auto theta =
        model.sample(stars.x, stars.sigma, domain, 50, sbi::Rng(2), {sbi::diffusion::DpmSolver{10, 5}});
    std::vector<double> estimate, truth;
    for (index_t i = 0; i < stars.x.rows(); ++i) {
      double sum = 0;
      for (index_t k = 0; k < 50; ++k) sum += theta(i * 50 + k, 0);
      estimate.push_back(sum / 50), truth.push_back(stars.theta(i, 0));
    }
    return sbi::diagnostics::point_errors(estimate, truth).rmse;
  };
  sbi::DomainData simulations;
  simulations.simulated = data.simulated;
  (void)sbi::fit(model, simulations, Alignment::none(), brief(500));
  const double at_home = error(same, Domain::simulated), before = error(test, Domain::real);
  CHECK(at_home < 0.2); // noise 0.1, a small network
  CHECK(before > 0.4);  // near the shift
  const auto kept = model.transforms();
  Alignment alignment;
  alignment.real_batch = 128, alignment.pair_batch = 64, alignment.ramp = {0, 50};
  (void)sbi::fit(model, data, alignment, brief(250));
  for (std::size_t j = 0; j < kept.size(); ++j) { // an adapted model keeps its units
    CHECK(model.transforms()[j].mean() == kept[j].mean());
    CHECK(model.transforms()[j].stddev() == kept[j].stddev());
  }
  CHECK(error(test, Domain::real) < 0.5 * before);
  CHECK(error(same, Domain::simulated) < 2 * at_home); // and is not forgotten at home
}

TEST_CASE("inference/domain_objective: partners alone show the adapters what separates the worlds" *
          doctest::test_suite("statistics")) {
  auto model = make();
  sbi::DomainData data = domain_data(2000, 10, 300, 0.8);
  sbi::DomainData simulations;
  simulations.simulated = data.simulated;
  (void)sbi::fit(model, simulations, Alignment::none(), brief(1));
  std::fill(data.pairs.theta.begin(), data.pairs.theta.end(), sbi::missing);
  Alignment only = Alignment::none();
  only.translation = 100, only.ramp = {0, 1};
  const auto apart = [&] { // between the embeddings of stars in both worlds, by the scale of embeddings
    const Dataset real = draw(200, 9, 0.8, 0), same = draw(200, 9, 0, 0);
    const auto z = model.embed(real.x, real.sigma, Domain::real),
               w = model.embed(same.x, same.sigma, Domain::simulated);
    double difference = 0, scale = 0;
    for (index_t i = 0; i < z.size(); ++i)
      difference += std::pow(z.data()[i] - w.data()[i], 2), scale += std::pow(w.data()[i], 2);
    return std::sqrt(difference / scale);
  };
  const double before = apart();
  (void)sbi::fit(model, data, only, brief(300));
  CHECK(before > 0.3);
  CHECK(apart() < 0.2 * before);
}

TEST_CASE("inference/domain_objective: data that do not fit are refused") {
  auto model = make();
  CHECK_THROWS_AS((void)sbi::fit(model, sbi::DomainData{}, Alignment{}, brief(1)), sbi::Error);
  auto data = domain_data(20, 10, 8, 0);
  data.partner_x = Tensor<double>({7, 3}), data.partner_sigma = Tensor<double>({7, 3});
  CHECK_THROWS_AS((void)sbi::fit(model, data, Alignment{}, brief(1)), sbi::ShapeError);
  data = domain_data(20, 10, 8, 0);
  data.real_x = Tensor<double>({10, 2});
  CHECK_THROWS_AS((void)sbi::fit(model, data, Alignment{}, brief(1)), sbi::ShapeError);
  sbi::FitOptions o = brief(1);
  o.gradient_slots = 0;
  CHECK_THROWS_AS((void)sbi::fit(model, domain_data(20, 10, 8, 0), Alignment{}, o), sbi::ValueError);
  Alignment alignment;
  alignment.pair_batch = -3;
  CHECK_THROWS_WITH_AS((void)sbi::fit(model, domain_data(20, 10, 8, 0), alignment, brief(1)),
                       "alignment: pair_batch = -3; want at least 1", sbi::ValueError);
}

TEST_CASE("inference/domain_objective: a checkpoint of other surveys is refused") {
  const auto file = std::filesystem::temp_directory_path() / sbi::text("sbi_surveys_", ::getpid());
  std::filesystem::remove(file);
  const auto data = domain_data(20, 10, 8, 0);
  sbi::FitOptions o = brief(2);
  o.checkpoint = file.string();
  auto model = make();
  (void)sbi::fit(model, data, Alignment{}, o);
  sbi::DomainAdaptive<> other(sbi::Cpu<>(1), nodes, {{"x", {"x2", "x1"}}, {"y", {"y1"}}}, small(),
                              sbi::diffusion::VE(0.01, 10));
  CHECK_THROWS_AS((void)sbi::fit(other, data, Alignment{}, o), sbi::FileError);
  std::filesystem::remove(file);
}
