// SPDX-License-Identifier: MIT
#include <sbi/autodiff/gradient_check.hpp>
#include <sbi/inference/encoder.hpp>

#include <doctest/doctest.h>

#include <cstring>

using sbi::index_t;
using sbi::Tensor;

namespace {

constexpr index_t observables = 5, width = 8;
/// Observable 3 belongs to no survey.
const std::vector<sbi::Modality> surveys{{"gaia", {0, 2}}, {"wise", {4, 1}}};

struct Fixture {
  sbi::Cpu<double> cpu{1};
  sbi::nn::Parameters<double> parameters{3};
  sbi::SurveyEncoders encoders{parameters, "encoder", surveys, {12}, {10}, width};
  std::vector<double> x{0.1, 0.2, 0.3, 0.4, 0.5}, sigma{0.01, 0, 0.02, 0, 3};

  /// z of two rows, `x` and a row without any survey, in one domain.
  Tensor<double> embed(bool real) {
    sbi::Tape<sbi::Cpu<double>> tape(cpu, parameters.values().data());
    auto rows = encoders.rows(tape, 2);
    const std::vector<double> nothing(observables, sbi::missing);
    encoders.write(rows, 0, x.data(), sigma.data(), real);
    encoders.write(rows, 1, nothing.data(), nothing.data(), real);
    const auto z = encoders(tape, rows);
    Tensor<double> out(z.shape());
    for (index_t r = 0; r < out.rows(); ++r) std::copy_n(z.value.row(r), width, out.row(r));
    return out;
  }
};
double distance(const double* a, const double* b) {
  double out = 0;
  for (index_t i = 0; i < width; ++i) out = std::max(out, std::abs(a[i] - b[i]));
  return out;
}

} // namespace

TEST_CASE("inference/encoder: a token a survey and their mean") {
  Fixture f;
  CHECK(f.encoders.tokens() == 3);
  CHECK(f.encoders.features(0) == 8);
  auto z = f.embed(false);
  REQUIRE(z.shape() == sbi::Shape{6, width});
  for (index_t i = 0; i < width; ++i)
    CHECK(z(2, i) == doctest::Approx((z(0, i) + z(1, i)) / 2).epsilon(1e-14));
  for (index_t m = 0; m < 2; ++m) { // normalised, so that an embedding cannot shrink
    double sum = 0, square = 0;
    for (index_t i = 0; i < width; ++i) sum += z(m, i), square += z(m, i) * z(m, i);
    CHECK(std::abs(sum / width) < 1e-12);
    CHECK(square / width == doctest::Approx(1).epsilon(1e-3)); // up to the 1e-5 of the normalisation
  }
  for (index_t i = 0; i < width; ++i) CHECK(z(5, i) == 0); // no survey at all: no pool

  f.x[1] = f.x[4] = sbi::missing; // no WISE: the pool is Gaia alone
  z = f.embed(false);
  CHECK(distance(z.row(2), z.row(0)) == 0);
}

TEST_CASE("inference/encoder: presence of surveys and pool") {
  Fixture f;
  sbi::Tape<sbi::Cpu<double>> tape(f.cpu, f.parameters.values().data());
  auto rows = f.encoders.rows(tape, 3);
  f.encoders.write(rows, 0, f.x.data(), f.sigma.data(), false);
  f.x[0] = f.x[2] = sbi::missing;
  f.encoders.write(rows, 1, f.x.data(), f.sigma.data(), false);
  f.x[1] = f.x[4] = sbi::missing;
  f.encoders.write(rows, 2, f.x.data(), f.sigma.data(), false);
  const auto present = [&](index_t row) {
    std::vector<bool> out;
    for (index_t k = 0; k < 3; ++k) out.push_back(f.encoders.present(rows, row, k));
    return out;
  };
  CHECK(present(0) == std::vector<bool>{true, true, true});
  CHECK(present(1) == std::vector<bool>{false, true, true});
  CHECK(present(2) == std::vector<bool>{false, false, false});
}

TEST_CASE("inference/encoder: values, errors and gaps are seen, each by its own survey only") {
  Fixture f;
  const auto z = f.embed(false);
  const auto changed = [&](auto change) {
    Fixture g;
    change(g);
    const auto moved = g.embed(false);
    return std::pair{distance(z.row(0), moved.row(0)) > 0, distance(z.row(1), moved.row(1)) > 0};
  };
  CHECK(changed([](auto& g) { g.x[0] = 0.11; }) == std::pair{true, false});
  CHECK(changed([](auto& g) { g.x[1] = 0.3; }) == std::pair{false, true});
  CHECK(changed([](auto& g) { g.sigma[2] = 0.03; }) == std::pair{true, false});
  CHECK(changed([](auto& g) { g.x[2] = sbi::missing; }) == std::pair{true, false});
  CHECK(changed([](auto& g) { g.x[1] = sbi::missing, g.sigma[1] = 7; }) ==
        changed([](auto& g) { g.x[1] = sbi::missing; }));
  CHECK(changed([](auto& g) { g.x[3] = 9; }) == std::pair{false, false});
  // A missing value is not the value 0 that stands in its place.
  Fixture zero, gap;
  zero.x[0] = 0, zero.sigma[0] = 0, gap.x[0] = sbi::missing;
  CHECK(distance(zero.embed(false).row(0), gap.embed(false).row(0)) > 0);
}

TEST_CASE("inference/encoder: adapters start as the identity and act on the real domain only") {
  Fixture f;
  const auto simulated = f.embed(false), real = f.embed(true);
  CHECK(std::memcmp(simulated.data(), real.data(), sizeof(double) * 6 * width) == 0);
  for (const auto& e : f.parameters.entries())
    if (e.name.find(".adapter.") != std::string::npos)
      for (index_t i = 0; i < e.at.shape.size(); ++i)
        f.parameters.values()[static_cast<std::size_t>(e.at.offset + i)] += 0.1;
  const auto after = f.embed(false), adapted = f.embed(true);
  CHECK(std::memcmp(simulated.data(), after.data(), sizeof(double) * 6 * width) == 0);
  CHECK(distance(after.row(0), adapted.row(0)) > 1e-3);
}

TEST_CASE("inference/encoder: simulated rows have the same bits in blocks with real rows and without") {
  Fixture f;
  sbi::Rng rng(9);
  for (auto& v : f.parameters.values()) v += 0.05 * rng.normal(); // adapters that do something
  const auto alone = f.embed(false);
  sbi::Tape<sbi::Cpu<double>> tape(f.cpu, f.parameters.values().data());
  auto rows = f.encoders.rows(tape, 2);
  f.encoders.write(rows, 0, f.x.data(), f.sigma.data(), true);
  f.encoders.write(rows, 1, f.x.data(), f.sigma.data(), false);
  const auto mixed = f.encoders(tape, rows);
  for (index_t token = 0; token < 3; ++token) {
    CHECK(std::memcmp(mixed.value.row(3 + token), alone.row(token), sizeof(double) * width) == 0);
    CHECK(distance(mixed.value.row(token), alone.row(token)) > 1e-3);
  }
}

TEST_CASE("inference/encoder: rows without a survey pass it by and change nothing for the others") {
  Fixture f;
  sbi::Rng rng(9);
  for (auto& v : f.parameters.values()) v += 0.05 * rng.normal();
  const auto alone = f.embed(true);
  auto gap = f.x;
  gap[0] = gap[2] = sbi::missing; // no Gaia
  std::vector<double> gradient(f.parameters.values().size());
  sbi::Tape<sbi::Cpu<double>> tape(f.cpu, f.parameters.values().data(), gradient.data());
  for (const bool both : {true, false}) { // with a row that has Gaia, and without any
    auto rows = f.encoders.rows(tape, 2);
    f.encoders.write(rows, 0, gap.data(), f.sigma.data(), true);
    f.encoders.write(rows, 1, both ? f.x.data() : gap.data(), f.sigma.data(), true);
    std::vector<sbi::Var<double>> moves;
    const auto z = f.encoders(tape, rows, &moves);
    for (index_t i = 0; i < width; ++i) CHECK(z.value(0, i) == 0);
    CHECK(std::memcmp(z.value.row(1), alone.row(1), sizeof(double) * width) == 0);
    CHECK(std::memcmp(z.value.row(2), alone.row(1), sizeof(double) * width) == 0); // the pool is WISE alone
    for (index_t token = 0; both && token < 3; ++token)
      CHECK(std::memcmp(z.value.row(3 + token), alone.row(token), sizeof(double) * width) == 0);
    REQUIRE(moves.size() == 4);
    for (std::size_t k = 0; k < 4; ++k) {
      REQUIRE(moves[k].shape() == sbi::Shape{2, k % 2 == 0 ? 8 : width});
      const auto moved = [&](index_t row) {
        return std::any_of(moves[k].value.row(row), moves[k].value.row(row) + moves[k].shape().cols(),
                           [](double v) { return v != 0; });
      };
      CHECK(moved(0) == (k >= 2));
      CHECK(moved(1) == (both || k >= 2));
    }
    if (both) continue;
    const std::vector<double> ones(6 * width, 1.0); // what nobody passed learns nothing
    tape.seed(z, sbi::View<const double>(ones.data(), z.shape())), tape.backward();
    for (const auto& e : f.parameters.entries()) {
      double most = 0;
      for (index_t i = 0; i < e.at.shape.size(); ++i)
        most = std::max(most, std::abs(gradient[static_cast<std::size_t>(e.at.offset + i)]));
      CHECK((most > 0) == (e.name.find("wise") != std::string::npos));
    }
  }
}

TEST_CASE("inference/encoder: gradients of all parameters, adapters among them, are those of differences") {
  Fixture f;
  sbi::Rng rng(8);
  for (auto& v : f.parameters.values()) v += 0.05 * rng.normal();
  const auto n = f.parameters.size();
  std::vector<double> gradient(static_cast<std::size_t>(n)), direction(gradient.size()), weight(9 * width);
  for (auto& v : direction) v = rng.normal();
  for (auto& v : weight) v = rng.normal();
  const auto loss = [&](const std::vector<double>& values, double* to) {
    sbi::Tape<sbi::Cpu<double>> tape(f.cpu, values.data(), to);
    auto rows = f.encoders.rows(tape, 3);
    f.encoders.write(rows, 0, f.x.data(), f.sigma.data(), true);
    f.encoders.write(rows, 1, f.x.data(), f.sigma.data(), false);
    auto gap = f.x;
    gap[1] = gap[4] = sbi::missing; // no WISE
    f.encoders.write(rows, 2, gap.data(), f.sigma.data(), true);
    const auto z = f.encoders(tape, rows);
    double sum = 0;
    for (index_t i = 0; i < 9 * width; ++i) sum += z.value.data[i] * weight[static_cast<std::size_t>(i)];
    if (to) tape.seed(z, sbi::View<const double>(weight.data(), z.shape())), tape.backward();
    return sum;
  };
  (void)loss(f.parameters.values(), gradient.data());
  double analytic = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) analytic += gradient[i] * direction[i];
  const auto at = [&](double h) {
    auto values = f.parameters.values();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += h * direction[i];
    return loss(values, nullptr);
  };
  const double h = 1e-4; // fourth order: truncation and rounding below 1e-8 of the derivative
  const double numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  CHECK(std::abs(analytic - numeric) < 1e-7 * std::abs(numeric));
}
