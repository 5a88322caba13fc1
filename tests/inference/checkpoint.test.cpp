// SPDX-License-Identifier: MIT
#include "../folder.hpp"

#include <sbi/inference/checkpoint.hpp>
#include <sbi/io/safetensors.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace {
using sbi::testing::file_error;
using sbi::testing::Folder;

sbi::TrainingState<float> some_state() {
  sbi::TrainingState<float> s;
  s.fingerprint = "run 1";
  s.step = 7, s.optimiser_steps = 8, s.average_updates = 9, s.stale = 2, s.stopped_early = true;
  s.values = {1, 2, 0.1F}, s.first_moment = {3, 4, 5}, s.second_moment = {1e-30F, 0, 7};
  s.average = {0, 1, 0}, s.best = {-0.0F, 1, 2}, s.validation = {0.1, 1e-300};
  return s;
}

} // namespace

TEST_CASE("inference/checkpoint: a training state comes back as it was") {
  const Folder folder("checkpoint");
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  sbi::TrainingState<float> read;
  read.fingerprint = "run 1", read.values.resize(3);
  CHECK(!sbi::load_training_state(file, read)); // no file: start afresh
  sbi::save_training_state(file, state);
  REQUIRE(sbi::load_training_state(file, read));
  CHECK(read.step == 7);
  CHECK(read.optimiser_steps == 8);
  CHECK(read.average_updates == 9);
  CHECK(read.stale == 2);
  CHECK(read.stopped_early);
  CHECK(read.values == state.values);
  CHECK(read.first_moment == state.first_moment);
  CHECK(read.second_moment == state.second_moment);
  CHECK(read.average == state.average);
  CHECK(std::signbit(read.best[0]));
  CHECK(read.validation == state.validation);

  state.validation.clear(); // no validation yet
  sbi::save_training_state(file, state);
  REQUIRE(sbi::load_training_state(file, read));
  CHECK(read.validation.empty());
}

TEST_CASE("inference/checkpoint: another run's state and a damaged one are refused") {
  const Folder folder("checkpoint");
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  sbi::save_training_state(file, state);
  sbi::TrainingState<float> other;
  other.fingerprint = "run 2", other.values.resize(3);
  const std::string message = file_error([&] { (void)sbi::load_training_state(file, other); });
  CHECK(message.find(file.string()) != std::string::npos);
  CHECK(message.find("(run 1); want run 2") != std::string::npos);

  sbi::TrainingState<double> precise; // another precision, another number of parameters
  precise.fingerprint = "run 1", precise.values.resize(3);
  CHECK(file_error([&] { (void)sbi::load_training_state(file, precise); }).find("in 8 bytes each") !=
        std::string::npos);
  other.fingerprint = "run 1", other.values.resize(4);
  CHECK(file_error([&] {
          (void)sbi::load_training_state(file, other);
        }).find("for 4 parameters in 4 bytes each") != std::string::npos);

  other.values.resize(3);
  const auto whole = fs::file_size(file);
  for (std::uintmax_t size : {whole - 1, whole / 2, std::uintmax_t{9}, std::uintmax_t{0}}) {
    fs::resize_file(file, size);
    CHECK(file_error([&] { (void)sbi::load_training_state(file, other); }).find(file.string()) !=
          std::string::npos);
  }

  const std::string nonsense = "no training state"; // as a wrong file name leads to
  std::ofstream(file) << nonsense;
  CHECK(file_error([&] { (void)sbi::load_training_state(file, other); }) ==
        file.string() +
            ": is no training state of this version of sbi, or cut short; remove it to start afresh");
}

TEST_CASE("inference/checkpoint: a damaged length or header is refused, and nothing is taken over") {
  const Folder folder("checkpoint");
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  sbi::save_training_state(file, state);
  std::string bytes = sbi::io::read_file(file);
  const std::size_t header =
      8 + static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
  for (std::size_t at = 0; at < header; ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    sbi::io::write_file(file, damaged);
    sbi::TrainingState<float> read;
    read.fingerprint = "run 1", read.values.resize(3);
    CHECK(file_error([&] { (void)sbi::load_training_state(file, read); }).starts_with(file.string()));
    CHECK(read.step == 0);
  }
}

TEST_CASE("inference/checkpoint: a negative counter is refused by name") {
  const Folder folder("checkpoint");
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  state.optimiser_steps = -3;
  sbi::save_training_state(file, state);
  sbi::TrainingState<float> read;
  read.fingerprint = "run 1", read.values.resize(3);
  CHECK(file_error([&] { (void)sbi::load_training_state(file, read); }) ==
        file.string() + ": the training state is damaged: optimiser_steps = -3; want 0 or more");
}

TEST_CASE("inference/checkpoint: the file is a safetensors file, and holds any fingerprint") {
  const Folder folder("checkpoint");
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  state.fingerprint = "a \"quoted\" \\ name,\n\"format\":\"sbi training state 2\"} and µ\x01";
  sbi::save_training_state(file, state);
  const auto read = sbi::io::Safetensors::read(file);
  CHECK(read.meta("fingerprint") == state.fingerprint);
  CHECK(read.meta("format") == "sbi training state 2");
  CHECK(read.get<std::int64_t>("stale").data()[0] == 2);
  CHECK(read.get<std::int64_t>("stopped_early").data()[0] == 1);
  CHECK(read.get<float>("second_moment").data()[0] == 1e-30F);
  CHECK(read.get<double>("validation").data()[1] == 1e-300);

  sbi::TrainingState<float> again;
  again.fingerprint = state.fingerprint, again.values.resize(3);
  CHECK(sbi::load_training_state(file, again));
  again.fingerprint += "!";
  CHECK(file_error([&] { (void)sbi::load_training_state(file, again); }).find("another run") !=
        std::string::npos);
}
