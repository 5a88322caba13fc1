// SPDX-License-Identifier: MIT
#include <sbi/inference/model_record.hpp>

#include <doctest/doctest.h>

namespace {

/// sde_from(to_record(sde)) is the same noise.
template <class S> void comes_back(const S& sde) {
  const S read = sbi::detail::sde_from<S>(sbi::detail::to_record(sde));
  for (double t : {sde.t_min(), 0.4, 1.0}) {
    CHECK(read.alpha(t) == sde.alpha(t));
    CHECK(read.sigma(t) == sde.sigma(t));
  }
  CHECK(read.t_min() == sde.t_min());
}

} // namespace

TEST_CASE("inference/model_record: a diffusion comes back from its record") {
  comes_back(sbi::diffusion::VE(1.0 / 300, 17));
  comes_back(sbi::diffusion::VP(0.3, 14, 1e-4));
  comes_back(sbi::diffusion::SubVP(0.2, 15, 1e-3));
}

TEST_CASE("inference/model_record: a diffusion of another kind is not taken for one's own") {
  const auto vp = sbi::detail::to_record(sbi::diffusion::VP()); // has the numbers of a SubVP
  CHECK_THROWS_WITH_AS((void)sbi::detail::sde_from<sbi::diffusion::SubVP>(vp),
                       "its diffusion is 'VP'; want SubVP", sbi::ValueError);
  CHECK_THROWS_WITH_AS((void)sbi::detail::sde_from<sbi::diffusion::VE>({"VE", {{"sigma_min", 0.1}}}),
                       "its diffusion VE has no sigma_max", sbi::ValueError);
}

TEST_CASE("inference/model_record: the configuration is JSON with every digit of its numbers") {
  sbi::detail::ModelRecord record;
  record.transformer = {16, 2, 4, 3, 8};
  record.value_octaves = 5, record.cached_context = false;
  record.conditions = {1, 2, 3, 4, 5, 0.25, 0.75, 0.1};
  record.sde = sbi::detail::to_record(sbi::diffusion::VE(1.0 / 3, 9));
  record.nodes = {"a", "b \"c\""}, record.parameters = 1;
  const std::string network =
      R"({"nodes":["a","b \"c\""],"parameters":1,"standardised":true,)"
      R"("transformer":{"width":16,"layers":2,"heads":4,"mlp_factor":3,"time_width":8},)"
      R"("value_octaves":5,"cached_context":false,)"
      R"("conditions":{"joint":1,"posterior":2,"likelihood":3,"sparse":4,"dense":5,)"
      R"("sparse_probability":0.25,"dense_probability":0.75,"marginal":0.1},)"
      R"("sde":{"kind":"VE","sigma_min":0.3333333333333333,"sigma_max":9})";
  auto configuration = sbi::detail::configuration(record);
  CHECK(configuration.text() == network + "}");
  sbi::detail::add_encoders(configuration, {6, {12, 10}, {}, {{"first", {"b"}}, {"second", {}}}});
  CHECK(configuration.text() ==
        network + R"(,"surveys":[{"name":"first","observables":["b"]},{"name":"second","observables":[]}],)"
                  R"("embedding_width":6,"encoder_hidden":[12,10],"adapter_hidden":[]})");
}
