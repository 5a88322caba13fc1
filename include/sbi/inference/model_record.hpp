// SPDX-License-Identifier: MIT
// The configuration that files of models hold, whatever type the model is of.
#pragma once
#include <sbi/diffusion/conditioning.hpp>
#include <sbi/diffusion/sde.hpp>
#include <sbi/io/json_text.hpp>
#include <sbi/nn/transformer.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sbi::detail {

inline constexpr const char* simformer_format = "sbi simformer 1";
inline constexpr const char* domain_adaptive_format = "sbi domain-adaptive 1";

/// A diffusion by name and numbers.
struct SdeRecord {
  std::string kind;
  std::vector<std::pair<std::string, double>> numbers;
};

/// What only a domain-adaptive model has.
struct EncodersRecord {
  index_t embedding_width = 0;
  std::vector<index_t> encoder_hidden, adapter_hidden;
  std::vector<std::pair<std::string, std::vector<std::string>>> surveys; ///< name, observables
};

/// Sizes and settings of a model; in a file they are JSON in the metadata.
struct ModelRecord {
  nn::TransformerConfig transformer;
  index_t value_octaves = 0;
  bool cached_context = true;
  diffusion::ConditionWeights conditions; ///< a training that goes on needs them
  SdeRecord sde;
  std::vector<std::string> nodes;
  index_t parameters = 0;   ///< that many of the nodes come first
  bool standardised = true; ///< whether a training has fitted the standardisation
  std::optional<EncodersRecord> encoders;
};

/// The JSON of a model without encoders.
[[nodiscard]] inline io::JsonObject configuration(const ModelRecord& record) {
  const auto& t = record.transformer;
  const auto& c = record.conditions;
  const auto transformer = io::JsonObject()
                               .add("width", t.width)
                               .add("layers", t.layers)
                               .add("heads", t.heads)
                               .add("mlp_factor", t.mlp_factor)
                               .add("time_width", t.time_width);
  const auto conditions = io::JsonObject()
                              .add("joint", c.joint)
                              .add("posterior", c.posterior)
                              .add("likelihood", c.likelihood)
                              .add("sparse", c.sparse)
                              .add("dense", c.dense)
                              .add("sparse_probability", c.sparse_probability)
                              .add("dense_probability", c.dense_probability)
                              .add("marginal", c.marginal);
  auto sde = io::JsonObject().add("kind", record.sde.kind);
  for (const auto& [name, number] : record.sde.numbers) sde.add(name, number);
  return io::JsonObject()
      .add("nodes", record.nodes)
      .add("parameters", record.parameters)
      .add("standardised", record.standardised)
      .add("transformer", transformer)
      .add("value_octaves", record.value_octaves)
      .add("cached_context", record.cached_context)
      .add("conditions", conditions)
      .add("sde", sde);
}
/// Adds what only a domain-adaptive model has.
inline void add_encoders(io::JsonObject& configuration, const EncodersRecord& encoders) {
  std::vector<io::JsonObject> surveys;
  for (const auto& [name, observables] : encoders.surveys)
    surveys.push_back(io::JsonObject().add("name", name).add("observables", observables));
  configuration.add("surveys", surveys)
      .add("embedding_width", encoders.embedding_width)
      .add("encoder_hidden", encoders.encoder_hidden)
      .add("adapter_hidden", encoders.adapter_hidden);
}

inline SdeRecord to_record(const diffusion::VE& sde) {
  return {"VE", {{"sigma_min", sde.sigma_min()}, {"sigma_max", sde.sigma_max()}}};
}
template <std::derived_from<diffusion::LinearBeta> S> SdeRecord to_record(const S& sde) {
  return {std::same_as<S, diffusion::VP> ? "VP" : "SubVP",
          {{"beta_min", sde.beta_min()}, {"beta_max", sde.beta_max()}, {"t_min", sde.t_min()}}};
}
/// Throws ValueError when the record is of another diffusion.
template <diffusion::Sde S> S sde_from(const SdeRecord& record) {
  if (const std::string kind = to_record(S{}).kind; record.kind != kind)
    throw ValueError(sbi::text("its diffusion is '", record.kind, "'; want ", kind));
  const auto number = [&](std::string_view name) {
    for (const auto& [key, value] : record.numbers)
      if (key == name) return value;
    throw ValueError(sbi::text("its diffusion ", record.kind, " has no ", name));
  };
  if constexpr (std::same_as<S, diffusion::VE>)
    return S(number("sigma_min"), number("sigma_max"));
  else
    return S(number("beta_min"), number("beta_max"), number("t_min"));
}

} // namespace sbi::detail
