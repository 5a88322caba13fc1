// SPDX-License-Identifier: MIT
#include <sbi/inference/checkpoint.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / sbi::text("sbi_checkpoint_", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};
sbi::TrainingState<float> some_state() {
  sbi::TrainingState<float> s;
  s.fingerprint = "run 1";
  s.step = 7, s.optimiser_steps = 8, s.average_updates = 9, s.stale = 2, s.stopped_early = true;
  s.values = {1, 2, 0.1F}, s.first_moment = {3, 4, 5}, s.second_moment = {1e-30F, 0, 7};
  s.average = {0, 1, 0}, s.best = {-0.0F, 1, 2}, s.validation = {0.1, 1e-300};
  return s;
}
std::string thrown(const std::function<void()>& f) {
  try {
    f();
  } catch (const sbi::FileError& error) {
    return error.what();
  }
  return "";
}

} // namespace

TEST_CASE("inference/checkpoint: a training state comes back as it was") {
  const Folder folder;
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  sbi::TrainingState<float> read;
  read.fingerprint = "run 1";
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
  const Folder folder;
  const auto file = folder.path / "state.safetensors";
  auto state = some_state();
  sbi::save_training_state(file, state);
  sbi::TrainingState<float> other;
  other.fingerprint = "run 2";
  const std::string message = thrown([&] { (void)sbi::load_training_state(file, other); });
  CHECK(message.find(file.string()) != std::string::npos);
  CHECK(message.find("(run 1); want run 2") != std::string::npos);

  sbi::TrainingState<double> precise;
  precise.fingerprint = "run 1";
  CHECK(thrown([&] { (void)sbi::load_training_state(file, precise); }).find("F64") != std::string::npos);

  other.fingerprint = "run 1";
  const auto whole = fs::file_size(file);
  for (std::uintmax_t size : {whole - 1, whole / 2, std::uintmax_t{9}, std::uintmax_t{0}}) {
    fs::resize_file(file, size);
    CHECK(thrown([&] { (void)sbi::load_training_state(file, other); }).find(file.string()) !=
          std::string::npos);
  }
}

TEST_CASE("inference/checkpoint: parameters are set by name, and all differences are listed at once") {
  sbi::nn::Parameters<float> parameters(1), same(2), other(3);
  for (auto* p : {&parameters, &same}) {
    (void)p->add("a.weight", {2, 3}, sbi::nn::Init::normal(1));
    (void)p->add("b", {4}, sbi::nn::Init::normal(1));
  }
  sbi::io::Safetensors file;
  sbi::detail::put_parameters(file, parameters);
  CHECK(same.values() != parameters.values());
  sbi::detail::get_parameters(file, "model", same);
  CHECK(same.values() == parameters.values());

  (void)other.add("a.weight", {3, 2}, sbi::nn::Init::zeros());
  (void)other.add("b", {4}, sbi::nn::Init::zeros());
  (void)other.add("c", {1}, sbi::nn::Init::zeros());
  CHECK(thrown([&] { sbi::detail::get_parameters(file, "model", other); }) ==
        "model: the model does not fit:\n  a.weight is [2,3]; want [3,2]\n  c [1] is not in the file");
}

TEST_CASE("inference/checkpoint: standardisation and diffusion survive the text of a file") {
  const std::vector<sbi::NodeTransform> transforms{sbi::NodeTransform({}, 1.0 / 3, 2),
                                                   sbi::NodeTransform({0, 1}, -1e-9, 1e7)};
  const auto again = sbi::detail::transforms_from(sbi::detail::transforms_tensor(transforms));
  REQUIRE(again.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(again[i].bounds().low == transforms[i].bounds().low);
    CHECK(again[i].bounds().high == transforms[i].bounds().high);
    CHECK(again[i].mean() == transforms[i].mean());
    CHECK(again[i].stddev() == transforms[i].stddev());
  }
  const auto twice = [](auto sde) {
    const auto j = nlohmann::json::parse(sbi::detail::to_json(sde).dump());
    const auto read = sbi::detail::sde_from<decltype(sde)>(j);
    for (double t : {sde.t_min(), 0.4, 1.0}) {
      CHECK(read.alpha(t) == sde.alpha(t));
      CHECK(read.sigma(t) == sde.sigma(t));
    }
    CHECK(read.t_min() == sde.t_min());
  };
  twice(sbi::diffusion::VE(1.0 / 300, 17));
  twice(sbi::diffusion::VP());
  twice(sbi::diffusion::SubVP());
}
