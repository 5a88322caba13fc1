// SPDX-License-Identifier: MIT
#include "../folder.hpp"

#include <sbi/inference/model_file.hpp>

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#ifndef SBI_SOURCE_DIR
#define SBI_SOURCE_DIR "."
#endif

namespace fs = std::filesystem;
using sbi::index_t;
using sbi::Tensor;

namespace {
using sbi::testing::file_error;
using sbi::testing::Folder;

const sbi::Nodes nodes{{"a", "b", "x1", "x2"}, {{0, 1}, {}, {}, {}}, 2};
const sbi::diffusion::VP vp(0.2, 15, 1e-4);

sbi::Simformer<sbi::Cpu<>, sbi::diffusion::VP> simformer(index_t width = 16) {
  sbi::SimformerConfig c;
  c.network.transformer = {width, 2, 2, 2, 8};
  c.network.value_octaves = 3;
  c.network.cached_context = false;
  c.conditions = {1, 2, 3, 4, 5, 0.25, 0.75, 0.125};
  c.seed = 7;
  sbi::Simformer model(sbi::Cpu<>(1), nodes, c, vp);
  model.transforms()[0] = sbi::NodeTransform({0, 1}, 0.1, 2);
  model.transforms()[2] = sbi::NodeTransform({}, -1.0 / 3, 0.7);
  model.standardised() = true;
  return model;
}
sbi::DomainAdaptive<> adaptive() {
  sbi::DomainAdaptiveConfig c;
  c.transformer = {16, 2, 2, 2, 8};
  c.embedding_width = 8, c.encoder_hidden = {12, 10}, c.adapter_hidden = {6}, c.seed = 9;
  sbi::DomainAdaptive<> model(sbi::Cpu<>(1), nodes, {{"second", {"x2"}}, {"first", {"x1"}}}, c,
                              sbi::diffusion::VE(0.02, 9));
  model.transforms()[2] = sbi::NodeTransform({}, 4, 3);
  model.standardised() = true;
  for (auto& v : model.parameters().values()) v *= 1.1F;
  return model;
}
void load_vp(const fs::path& path) {
  (void)sbi::load_simformer<sbi::Cpu<>, sbi::diffusion::VP>(sbi::Cpu<>(1), path);
}

} // namespace

TEST_CASE("inference/model_file: a Simformer comes back with the same samples") {
  const Folder folder("model_file");
  auto model = simformer();
  sbi::save(model, folder.file("m"));
  auto again = sbi::load_simformer<sbi::Cpu<>, sbi::diffusion::VP>(sbi::Cpu<>(1), folder.file("m"));
  CHECK(again.nodes().names == nodes.names);
  CHECK(again.nodes().parameters == 2);
  CHECK(again.nodes().bounds[0].high == 1);
  CHECK(again.parameters().values() == model.parameters().values());
  CHECK(again.standardised());
  const auto& masks = again.config().conditions; // a training that goes on draws the same ones
  CHECK(masks.likelihood == 3);
  CHECK(masks.dense == 5);
  CHECK(masks.sparse_probability == 0.25);
  CHECK(masks.dense_probability == 0.75);
  CHECK(masks.marginal == 0.125);
  const auto sample = [](auto& m) { return m.given(sbi::observe("x1", 0.2)).sample(20, sbi::Rng(3)); };
  CHECK(sample(model) == sample(again));
  sbi::save(again, folder.file("again")); // and the same file
  CHECK(fs::file_size(folder.file("m")) == fs::file_size(folder.file("again")));
}

TEST_CASE("inference/model_file: a domain-adaptive model comes back with the same samples in both domains") {
  const Folder folder("model_file");
  auto model = adaptive();
  sbi::save(model, folder.file("m"));
  auto again = sbi::load_domain_adaptive<sbi::Cpu<>>(sbi::Cpu<>(1), folder.file("m"));
  CHECK(again.standardised());
  CHECK(again.config().conditions.posterior == model.config().conditions.posterior);
  CHECK(again.encoders().modalities()[0].name == "second");
  CHECK(again.encoders().modalities()[0].observables == std::vector<index_t>{1});
  Tensor<double> x({2, 2}, {0.1, 0.2, sbi::missing, 3}), sigma({2, 2}, {0.01, 0, sbi::missing, 0.3});
  for (auto domain : {sbi::Domain::simulated, sbi::Domain::real}) {
    const auto a = model.sample(x, sigma, domain, 10, sbi::Rng(3)),
               b = again.sample(x, sigma, domain, 10, sbi::Rng(3));
    CHECK(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(double)) == 0);
  }
}

TEST_CASE("inference/model_file: a model that was not trained is standardised by its first training") {
  const Folder folder("model_file");
  auto model = simformer();
  model.standardised() = false;
  sbi::save(model, folder.file("m"));
  auto again = sbi::load_simformer<sbi::Cpu<>, sbi::diffusion::VP>(sbi::Cpu<>(1), folder.file("m"));
  CHECK(!again.standardised());
  auto stored = sbi::io::Safetensors::read(folder.file("m")); // files of before held trained models
  auto configuration = nlohmann::json::parse(stored.meta("configuration"));
  configuration.erase("standardised");
  stored.metadata["configuration"] = configuration.dump();
  stored.write(folder.file("m"));
  CHECK(sbi::load_simformer<sbi::Cpu<>, sbi::diffusion::VP>(sbi::Cpu<>(1), folder.file("m")).standardised());
}

TEST_CASE("inference/model_file: parameters are set by name, and all differences are listed at once") {
  sbi::nn::Parameters<float> parameters(1), same(2), other(3);
  for (auto* p : {&parameters, &same}) {
    (void)p->add("a.weight", {2, 3}, sbi::nn::Init::normal(1));
    (void)p->add("b", {4}, sbi::nn::Init::normal(1));
  }
  sbi::io::Safetensors file;
  for (const auto& e : parameters.entries()) file.set(e.name, parameters.view(e));
  CHECK(same.values() != parameters.values());
  sbi::detail::get_parameters(file, "model", same);
  CHECK(same.values() == parameters.values());

  (void)other.add("a.weight", {3, 2}, sbi::nn::Init::zeros());
  (void)other.add("b", {4}, sbi::nn::Init::zeros());
  (void)other.add("c", {1}, sbi::nn::Init::zeros());
  CHECK(file_error([&] { sbi::detail::get_parameters(file, "model", other); }) ==
        "model: the model does not fit:\n  a.weight is [2,3]; want [3,2]\n  c [1] is not in the file");
  file.set("d", Tensor<float>({2}));
  CHECK(file_error([&] { sbi::detail::get_parameters(file, "model", same); }) ==
        "model: the model does not fit:\n  d is no parameter of this model");
}

TEST_CASE("inference/model_file: standardisation and diffusion survive the text of a file") {
  const Folder folder("model_file");
  auto model = simformer(); // VP
  model.transforms()[1] = sbi::NodeTransform({-1.0 / 7, 1e9}, -1e-9, 1e7);
  sbi::save(model, folder.file("m"));
  const auto again = sbi::load_simformer<sbi::Cpu<>, sbi::diffusion::VP>(sbi::Cpu<>(1), folder.file("m"));
  for (std::size_t i = 0; i < nodes.names.size(); ++i) {
    const auto &want = model.transforms()[i], &have = again.transforms()[i];
    CHECK(have.bounds().low == want.bounds().low);
    CHECK(have.bounds().high == want.bounds().high);
    CHECK(have.mean() == want.mean());
    CHECK(have.stddev() == want.stddev());
  }
  CHECK(again.sde().beta_min() == vp.beta_min());
  CHECK(again.sde().beta_max() == vp.beta_max());
  CHECK(again.sde().t_min() == vp.t_min());

  const sbi::diffusion::VE ve(1.0 / 300, 17);
  sbi::save(sbi::Simformer(sbi::Cpu<>(1), nodes, {}, ve), folder.file("m"));
  const auto other = sbi::load_simformer(sbi::Cpu<>(1), folder.file("m"));
  CHECK(other.sde().sigma_min() == ve.sigma_min());
  CHECK(other.sde().sigma_max() == ve.sigma_max());
}

TEST_CASE("inference/model_file: a file of another kind, of another network or damaged is refused by name") {
  const Folder folder("model_file");
  const auto file = folder.file("m");
  sbi::save(simformer(), file);
  CHECK(file_error([&] { (void)sbi::load_domain_adaptive<sbi::Cpu<>>(sbi::Cpu<>(1), file); }) ==
        file.string() + ": format is 'sbi simformer 1'; want 'sbi domain-adaptive 1'");
  // The noise of another diffusion, and parameters of another precision.
  CHECK(file_error([&] {
          (void)sbi::load_simformer<sbi::Cpu<>>(sbi::Cpu<>(1), file);
        }).starts_with(file.string()));
  CHECK(file_error([&] {
          (void)sbi::load_simformer<sbi::Cpu<double>, sbi::diffusion::VP>(sbi::Cpu<double>(1), file);
        }).find("F32") != std::string::npos);

  auto stored = sbi::io::Safetensors::read(file); // tensors that are not those of its configuration
  auto configuration = nlohmann::json::parse(stored.meta("configuration"));
  auto changed = configuration;
  changed["transformer"]["width"] = 32;
  stored.metadata["configuration"] = changed.dump();
  stored.write(file);
  const std::string message = file_error([&] { load_vp(file); });
  CHECK(message.find("score.block.0.attention.qkv.weight is [16,48]; want [32,96]") != std::string::npos);
  CHECK(message.find("score.head.weight is [16,1]; want [32,1]") != std::string::npos);

  for (const char* key : {"transformer", "nodes", "parameters", "sde", "value_octaves", "conditions"}) {
    changed = configuration;
    changed.erase(key);
    stored.metadata["configuration"] = changed.dump();
    stored.write(file);
    CHECK(
        file_error([&] { load_vp(file); }).starts_with(file.string() + ": its configuration cannot be used"));
  }
  changed = configuration; // a network that cannot be
  changed["transformer"]["heads"] = 3;
  stored.metadata["configuration"] = changed.dump();
  stored.write(file);
  CHECK(file_error([&] { load_vp(file); }).starts_with(file.string()));
  changed = configuration; // fewer layers than the file has
  changed["transformer"]["layers"] = 1;
  stored.metadata["configuration"] = changed.dump();
  stored.write(file);
  CHECK(file_error([&] { load_vp(file); }).find("score.block.1.norm1") != std::string::npos);
  changed = configuration;
  changed["parameters"] = -1;
  stored.metadata["configuration"] = changed.dump();
  stored.write(file);
  CHECK(file_error([&] { load_vp(file); }).starts_with(file.string() + ": "));
  changed = configuration; // masks that cannot be drawn
  changed["conditions"]["marginal"] = 2;
  stored.metadata["configuration"] = changed.dump();
  stored.write(file);
  CHECK(file_error([&] { load_vp(file); }) == file.string() + ": condition mask: probability 2; want 0 to 1");
  stored.metadata["configuration"] = "{";
  stored.write(file);
  CHECK(file_error([&] { load_vp(file); }) == file.string() + ": its configuration is no JSON object");
  stored.metadata["configuration"] = configuration.dump();
  for (sbi::Shape shape : {sbi::Shape{4, 3}, sbi::Shape{3, 4}}) {
    stored.set("standardisation", Tensor<double>(shape));
    stored.write(file);
    CHECK(file_error([&] { load_vp(file); }) ==
          file.string() + sbi::text(": standardisation is ", shape, "; want [4,4]"));
  }

  sbi::save(simformer(), file);
  fs::resize_file(file, fs::file_size(file) - 1);
  CHECK(file_error([&] { load_vp(file); }).starts_with(file.string()));
  CHECK(file_error([&] { load_vp(folder.file("none")); }).find("none") != std::string::npos);
  CHECK(!file_error([&] { sbi::save(simformer(), "/proc/no such folder/m"); }).empty());
}

TEST_CASE("inference/model_file: Python reads the files") {
  std::string python;
  for (const std::string& candidate :
       {std::string(SBI_SOURCE_DIR) + "/build/peers/bin/python3", std::string("python3")})
    if (python.empty() &&
        std::system((candidate + " -c 'import safetensors, numpy' 2>/dev/null").c_str()) == 0)
      python = candidate;
  if (python.empty()) {
    MESSAGE("skipped: no Python with safetensors and numpy (bench/peers/setup.sh)");
    return;
  }
  const Folder folder("model_file");
  const auto model = simformer();
  sbi::save(model, folder.file("m"));
  std::ofstream(folder.file("read.py")) << R"(
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], framework="numpy") as f:
    names = set(f.keys())
    weight = f.get_tensor("score.head.weight")
    standard = f.get_tensor("standardisation")
    configuration = json.loads(f.metadata()["configuration"])
assert weight.shape == (16, 1) and str(weight.dtype) == "float32", weight
assert standard.shape == (4, 4) and standard[0, 1] == 1 and standard[2, 3] == 0.7, standard
assert configuration["nodes"] == ["a", "b", "x1", "x2"], configuration
assert len(names) == int(sys.argv[2]), names
)";
  const std::string command =
      sbi::text(python, " ", folder.file("read.py").string(), " ", folder.file("m").string(), " ",
                model.parameters().entries().size() + 1);
  CHECK(std::system(command.c_str()) == 0);
}
