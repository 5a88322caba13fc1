// SPDX-License-Identifier: MIT
// How model files are read; part of sbi/inference/model_file.hpp.
#pragma once
#include <sbi/inference/model_file.hpp>
#include <sbi/io/safetensors_read.hpp>

#include <nlohmann/json.hpp>

namespace sbi::detail {

template <class Lazy>
ModelFile read_model_file(const std::filesystem::path& path, const std::string& format) {
  using Json = typename io::detail::JsonLibrary<Lazy>::Json;
  const auto fail = [&](const auto&... why) { throw FileError(sbi::text(path.string(), ": ", why...)); };
  ModelFile file{{}, io::Safetensors::read<Lazy>(path)};
  ModelRecord& out = file.record;
  if (file.tensors.meta("format") != format)
    fail("format is '", file.tensors.meta("format"), "'; want '", format, "'");
  const Json j = Json::parse(file.tensors.meta("configuration"), nullptr, false);
  if (!j.is_object()) fail("its configuration is no JSON object");
  const auto set = [](const Json& from, const char* name, auto& value) { from.at(name).get_to(value); };
  try {
    const Json &transformer = j.at("transformer"), &conditions = j.at("conditions");
    auto& t = out.transformer;
    set(transformer, "width", t.width), set(transformer, "layers", t.layers);
    set(transformer, "heads", t.heads), set(transformer, "mlp_factor", t.mlp_factor);
    set(transformer, "time_width", t.time_width);
    auto& c = out.conditions;
    set(conditions, "joint", c.joint), set(conditions, "posterior", c.posterior);
    set(conditions, "likelihood", c.likelihood), set(conditions, "sparse", c.sparse);
    set(conditions, "dense", c.dense), set(conditions, "sparse_probability", c.sparse_probability);
    set(conditions, "dense_probability", c.dense_probability), set(conditions, "marginal", c.marginal);
    c.check();
    for (const auto& number : j.at("sde").items())
      if (number.key() == "kind")
        number.value().get_to(out.sde.kind);
      else
        out.sde.numbers.emplace_back(number.key(), number.value().template get<double>());
    set(j, "value_octaves", out.value_octaves);
    if (j.contains("cached_context")) set(j, "cached_context", out.cached_context);
    set(j, "nodes", out.nodes), set(j, "parameters", out.parameters);
    if (j.contains("standardised")) set(j, "standardised", out.standardised);
    if (j.contains("surveys")) {
      auto& encoders = out.encoders.emplace();
      set(j, "embedding_width", encoders.embedding_width);
      set(j, "encoder_hidden", encoders.encoder_hidden), set(j, "adapter_hidden", encoders.adapter_hidden);
      for (const auto& survey : j.at("surveys")) {
        auto& [name, observables] = encoders.surveys.emplace_back();
        set(survey, "name", name), set(survey, "observables", observables);
      }
    }
  } catch (const typename Json::exception& error) {
    fail("its configuration cannot be used: ", error.what());
  }
  const Shape have = file.tensors.template get<double>("standardisation").shape(),
              want{static_cast<index_t>(out.nodes.size()), 4};
  if (have != want) fail("standardisation is ", have, "; want ", want);
  return file;
}

} // namespace sbi::detail
