// SPDX-License-Identifier: MIT
#include <sbi/core/tensor.hpp>
#include <sbi/inference/trainer.hpp>
#include <sbi/nn/linear.hpp>
#include <sbi/ops/loss.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <optional>
#include <unistd.h>

namespace fs = std::filesystem;
using sbi::index_t;

namespace {

using Cpu = sbi::Cpu<float>;

/// Regression of y = 2 x_0 - x_1 + 0.5 + noise: batches of 64 drawn by step, in chunks of 8.
struct Regression {
  static constexpr index_t batch = 64, a_chunk = 8;
  sbi::nn::Parameters<float> parameters{5};
  sbi::nn::Linear line{parameters, "line", 2, 1};
  index_t interrupt_at = -1, poison_at = -1;
  std::vector<double>
      validation; ///< what validation says, one after the other; empty: the loss of fixed rows
  mutable std::size_t asked = 0;
  bool holds_out = true;
  std::string name = "regression";

  void prepare(Cpu&, const std::vector<float>&, index_t step) const {
    if (step == interrupt_at) throw std::runtime_error("power cut");
  }
  [[nodiscard]] index_t chunks() const { return batch / a_chunk; }
  double chunk(sbi::Tape<Cpu>& tape, index_t step, index_t i) const {
    const double loss = rows(tape, sbi::Rng(1).split(static_cast<std::uint64_t>(step * chunks() + i)), batch);
    return step == poison_at && i == 3 ? std::numeric_limits<double>::quiet_NaN() : loss;
  }
  std::optional<double> validation_loss(Cpu& backend, const std::vector<float>& values) const {
    if (!holds_out) return std::nullopt;
    if (!validation.empty()) return validation[std::min(asked++, validation.size() - 1)];
    sbi::Tape<Cpu> tape(backend, values.data());
    return rows(tape, sbi::Rng(2), a_chunk);
  }
  [[nodiscard]] std::string fingerprint() const { return name; }

private:
  double rows(sbi::Tape<Cpu>& tape, sbi::Rng rng, index_t total) const {
    const auto x = tape.scratch({a_chunk, 2}), y = tape.scratch({a_chunk, 1}), w = tape.scratch({a_chunk, 1});
    for (index_t r = 0; r < a_chunk; ++r) {
      x(r, 0) = static_cast<float>(rng.normal()), x(r, 1) = static_cast<float>(rng.normal());
      y(r, 0) = 2 * x(r, 0) - x(r, 1) + 0.5F + static_cast<float>(rng.normal(0, 0.1));
      w(r, 0) = 1;
    }
    const auto loss = tape.apply(sbi::ops::WeightedSquares<float>{y, w}, line(tape, tape.constant(x)));
    const float share = 1.0F / static_cast<float>(total);
    if (loss.wants_grad()) tape.backward(loss, share);
    return static_cast<double>(loss.value.data[0] * share);
  }
};

sbi::FitOptions options() {
  sbi::FitOptions o;
  o.steps = 400, o.warmup = 20, o.learning_rate = 0.05, o.average = 0.9, o.validate_every = 50,
  o.progress = false;
  o.checkpoint_every = 30;
  return o;
}
sbi::FitOptions first_steps() {
  sbi::FitOptions o = options();
  o.steps = 2;
  return o;
}
struct Result {
  sbi::FitReport report;
  std::vector<float> values;
};
Result run(int threads, const sbi::FitOptions& o, Regression task = {}) {
  Cpu cpu(threads);
  Result out;
  out.report = sbi::train(cpu, task.parameters, task, o);
  out.values = task.parameters.values();
  return out;
}
struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi_trainer_", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

} // namespace

TEST_CASE("inference/trainer: finds the line, reports what it did, and returns the best average") {
  const Result r = run(1, options());
  CHECK(r.report.steps == 400);
  CHECK(r.report.resumed_from == 0);
  CHECK(!r.report.stopped_early);
  REQUIRE(r.report.validation.size() == 8);
  // At first y is predicted by next to nothing: a loss of some 5. At the end only the noise is left, 0.1^2.
  CHECK(run(1, first_steps()).report.best_validation > 1);
  CHECK(r.report.best_validation < 0.03); // of eight rows: 0.01 (1 +- 0.5), four of them
  CHECK(r.report.best_validation ==
        *std::min_element(r.report.validation.begin(), r.report.validation.end()));
  // Noise 0.1 on some 10 batches of 64 that the average remembers: a standard error of 0.004; ten of them.
  Regression task;
  const auto& entries = task.parameters.entries();
  REQUIRE(entries.size() == 2);
  const auto weight = static_cast<std::size_t>(entries[0].at.offset),
             bias = static_cast<std::size_t>(entries[1].at.offset);
  CHECK(std::abs(r.values[weight] - 2) < 0.04);
  CHECK(std::abs(r.values[weight + 1] + 1) < 0.04);
  CHECK(std::abs(r.values[bias] - 0.5) < 0.04);
}

TEST_CASE("inference/trainer: the bits do not depend on threads") {
  CHECK(run(1, options()).values == run(2, options()).values);
  CHECK(run(1, options()).values == run(4, options()).values);
}

TEST_CASE("inference/trainer: interrupted and resumed ends in the bits of a run that was not") {
  const Folder folder;
  const Result whole = run(2, options());
  sbi::FitOptions o = options();
  o.checkpoint = (folder.path / "state").string();
  for (index_t at : {5, 95, 399}) { // before the first checkpoint, between two, in the last step
    fs::remove(o.checkpoint);
    Regression task;
    task.interrupt_at = at;
    CHECK_THROWS_WITH(run(2, o, task), "power cut");
    const Result rest = run(1, o);
    CHECK(rest.report.resumed_from == at / 30 * 30);
    CHECK(rest.report.steps == 400);
    CHECK(rest.values == whole.values);
    CHECK(rest.report.validation == whole.report.validation);
  }
  const Result again = run(1, o); // a finished run is not run again
  CHECK(again.report.resumed_from == 400);
  CHECK(again.values == whole.values);
  CHECK(again.report.best_validation == whole.report.best_validation);
}

TEST_CASE("inference/trainer: a checkpoint of another run or a damaged one is refused") {
  const Folder folder;
  sbi::FitOptions o = options();
  o.steps = 60, o.checkpoint = (folder.path / "state").string();
  (void)run(1, o);
  const auto refused = [](const sbi::FitOptions& how, Regression task = {}) {
    try {
      (void)run(1, how, task);
    } catch (const sbi::FileError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  sbi::FitOptions other = o;
  other.learning_rate = 0.04;
  const std::string message = refused(other);
  CHECK(message.find(o.checkpoint) != std::string::npos);
  CHECK(message.find("learning_rate=0.05") != std::string::npos);
  CHECK(message.find("learning_rate=0.04") != std::string::npos);
  other = o, other.patience = 7; // it may have stopped early
  CHECK(refused(other).find("patience=7") != std::string::npos);
  Regression renamed;
  renamed.name = "other data";
  CHECK(refused(o, renamed).find("want other data") != std::string::npos);
  other = o, other.progress = false, other.checkpoint_every = 7; // these do not shape the result
  CHECK(refused(other).empty());
  fs::resize_file(o.checkpoint, fs::file_size(o.checkpoint) / 2);
  CHECK(refused(o).find(o.checkpoint) != std::string::npos);
}

TEST_CASE("inference/trainer: a checkpoint of another start is refused") {
  const Folder folder;
  sbi::FitOptions o = first_steps();
  o.checkpoint = (folder.path / "state").string();
  (void)run(1, o);
  Regression other; // as a second member of an ensemble would have
  other.parameters.values()[0] += 1;
  CHECK_THROWS_AS((void)run(1, o, other), sbi::FileError);
}

TEST_CASE("inference/trainer: a validation that is not finite stops training") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  for (const std::vector<double>& bad : {std::vector<double>{3, nan}, {nan}, {inf}, {3, inf}}) {
    Regression task;
    task.validation = bad;
    CHECK_THROWS_AS((void)run(1, options(), task), sbi::NumericalError);
  }
}

TEST_CASE("inference/trainer: a loss that is not finite stops training and names the step") {
  Regression task;
  task.poison_at = 17;
  try {
    (void)run(1, options(), task);
    FAIL("wanted an exception");
  } catch (const sbi::NumericalError& error) {
    CHECK(std::string(error.what()).starts_with("fit: step 17 has loss nan"));
  }
}

TEST_CASE("inference/trainer: stops early, with the parameters of the best validation") {
  Regression task;
  task.validation = {3, 2, 4, 5, 2, 6};
  sbi::FitOptions o = options();
  o.patience = 3, o.validate_every = 10;
  const Result r = run(1, o, task);
  CHECK(r.report.stopped_early);
  CHECK(r.report.steps == 50); // best at step 20, then three that are no better
  CHECK(r.report.best_validation == 2);
  CHECK(r.report.validation == std::vector<double>{3, 2, 4, 5, 2});
  Regression best; // validation falls until step 20 and rises after it, however often it is asked
  best.validation = {3, 2, 9};
  o.patience = 1000;
  CHECK(run(1, o, best).values == r.values);

  const Folder folder; // an early stop survives a resume
  o.patience = 3, o.checkpoint = (folder.path / "state").string();
  CHECK(run(1, o, task).values == r.values);
  const Result again = run(1, o, task);
  CHECK(again.report.stopped_early);
  CHECK(again.report.resumed_from == 50);
  CHECK(again.values == r.values);
}

TEST_CASE("inference/trainer: without validation the last average is returned") {
  Regression task;
  task.holds_out = false;
  const Result r = run(1, options(), task);
  CHECK(r.report.validation.empty());
  CHECK(sbi::is_missing(r.report.best_validation));
  sbi::FitOptions o = options();
  o.validate_every = 7;
  CHECK(run(1, o, task).values == r.values);
}

TEST_CASE("inference/trainer: options out of range are refused before anything runs") {
  sbi::FitOptions o = options();
  o.gradient_slots = 0;
  CHECK_THROWS_AS((void)run(1, o), sbi::ValueError);
}
