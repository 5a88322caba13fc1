// SPDX-License-Identifier: MIT
#include "../folder.hpp"

#include <sbi/inference/model_record.hpp>

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>

namespace fs = std::filesystem;

namespace {
using sbi::testing::file_error;
using sbi::testing::Folder;

} // namespace

TEST_CASE("inference/model_record: parameters are set by name, and all differences are listed at once") {
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
  CHECK(file_error([&] { sbi::detail::get_parameters(file, "model", other); }) ==
        "model: the model does not fit:\n  a.weight is [2,3]; want [3,2]\n  c [1] is not in the file");
}

TEST_CASE("inference/model_record: standardisation and diffusion survive the text of a file") {
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
  const Folder folder("model_record");
  const auto twice = [&](auto sde) {
    sbi::detail::ModelRecord record;
    record.format = "test";
    record.sde = sbi::detail::to_record(sde);
    record.tensors.set("standardisation", sbi::Tensor<double>({0, 4}));
    sbi::detail::write_record(record, folder.path / "m");
    const auto stored = sbi::detail::read_record(folder.path / "m", "test");
    const auto read = sbi::detail::sde_from<decltype(sde)>(stored.sde);
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

TEST_CASE("inference/model_record: a diffusion of another kind is not taken for one's own") {
  const auto vp = sbi::detail::to_record(sbi::diffusion::VP()); // has the numbers of a SubVP
  CHECK_THROWS_WITH_AS((void)sbi::detail::sde_from<sbi::diffusion::SubVP>(vp),
                       "its diffusion is 'VP'; want SubVP", sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)sbi::detail::sde_from<sbi::diffusion::VE>({"VE", {{"sigma_min", 0.1}}}),
                       "its diffusion VE has no sigma_max", sbi::ValueError);
}
