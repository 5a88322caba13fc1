// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/checkpoint.hpp>
#include <sbi/inference/domain_adaptation.hpp>
#include <sbi/inference/simformer.hpp>

namespace sbi {

namespace detail {

inline nlohmann::json to_json(const nn::TransformerConfig& c) {
  return {{"width", c.width},
          {"layers", c.layers},
          {"heads", c.heads},
          {"mlp_factor", c.mlp_factor},
          {"time_width", c.time_width}};
}
inline nn::TransformerConfig transformer_from(const nlohmann::json& j) {
  return {j.at("width").get<index_t>(), j.at("layers").get<index_t>(), j.at("heads").get<index_t>(),
          j.at("mlp_factor").get<index_t>(), j.at("time_width").get<index_t>()};
}
inline nlohmann::json to_json(const diffusion::ConditionWeights& c) {
  return {{"joint", c.joint},
          {"posterior", c.posterior},
          {"likelihood", c.likelihood},
          {"sparse", c.sparse},
          {"dense", c.dense},
          {"sparse_probability", c.sparse_probability},
          {"dense_probability", c.dense_probability},
          {"marginal", c.marginal}};
}
inline diffusion::ConditionWeights conditions_from(const nlohmann::json& j) {
  const auto number = [&](const char* name) { return j.at(name).get<double>(); };
  const diffusion::ConditionWeights c{
      number("joint"), number("posterior"),          number("likelihood"),        number("sparse"),
      number("dense"), number("sparse_probability"), number("dense_probability"), number("marginal")};
  c.check();
  return c;
}
/// What every model file holds: parameters, standardisation, nodes, SDE and the condition masks it was
/// trained with, which a training that goes on needs.
template <class Model>
io::Safetensors model_tensors(const Model& model, const char* format, nlohmann::json configuration) {
  io::Safetensors file;
  put_parameters(file, model.parameters());
  file.set("standardisation", transforms_tensor(model.transforms()));
  configuration["nodes"] = model.nodes().names;
  configuration["parameters"] = model.nodes().parameters;
  configuration["sde"] = to_json(model.sde());
  configuration["conditions"] = to_json(model.config().conditions);
  file.metadata = {{"format", format}, {"configuration", configuration.dump()}};
  return file;
}
inline std::vector<NodeTransform> transforms_of(const io::Safetensors& file,
                                                const std::filesystem::path& path, const nlohmann::json& j) {
  const Tensor<double>& table = file.get<double>("standardisation");
  const Shape want{static_cast<index_t>(j.at("nodes").size()), 4};
  if (table.shape() != want)
    throw FileError(sbi::text(path.string(), ": standardisation is ", table.shape(), "; want ", want));
  return transforms_from(table);
}
inline Nodes nodes_from(const nlohmann::json& j, const std::vector<NodeTransform>& transforms) {
  Nodes nodes{j.at("nodes").get<std::vector<std::string>>(), {}, j.at("parameters").get<index_t>()};
  for (const auto& t : transforms) nodes.bounds.push_back(t.bounds());
  return nodes;
}
/// Runs `build(file, configuration)`, turning what JSON lacks and values that make no model into a FileError
/// that names the file.
template <class Build> auto read_model(const std::filesystem::path& path, const char* format, Build&& build) {
  const io::Safetensors file = io::Safetensors::read(path);
  const auto configuration = model_configuration(file, path, format);
  try {
    return build(file, configuration);
  } catch (const nlohmann::json::exception& error) {
    throw FileError(sbi::text(path.string(), ": its configuration cannot be used: ", error.what()));
  } catch (const ValueError& error) {
    throw FileError(sbi::text(path.string(), ": ", error.what()));
  }
}

inline constexpr const char* simformer_format = "sbi simformer 1";
inline constexpr const char* domain_adaptive_format = "sbi domain-adaptive 1";

} // namespace detail

/// Writes a model: tensors under their dotted names, standardisation [nodes, 4] (bounds, mean, standard
/// deviation), everything else as JSON in the metadata. Throws FileError; nothing is left half-written.
template <Backend B, diffusion::Sde S>
void save(const Simformer<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config().network;
  detail::model_tensors(model, detail::simformer_format,
                        {{"transformer", detail::to_json(c.transformer)}, {"value_octaves", c.value_octaves}})
      .write(path);
}
/// Reads a Simformer. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] Simformer<B, S> load_simformer(B backend, const std::filesystem::path& path) {
  return detail::read_model(path, detail::simformer_format,
                            [&](const io::Safetensors& file, const nlohmann::json& j) {
                              SimformerConfig config;
                              config.network.transformer = detail::transformer_from(j.at("transformer"));
                              config.network.value_octaves = j.at("value_octaves").get<index_t>();
                              config.conditions = detail::conditions_from(j.at("conditions"));
                              auto transforms = detail::transforms_of(file, path, j);
                              Simformer<B, S> model(std::move(backend), detail::nodes_from(j, transforms),
                                                    config, detail::sde_from<S>(j.at("sde")));
                              detail::get_parameters(file, path, model.parameters());
                              model.transforms() = std::move(transforms);
                              model.standardised() = true;
                              return model;
                            });
}

template <Backend B, diffusion::Sde S>
void save(const DomainAdaptive<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config();
  nlohmann::json surveys = nlohmann::json::array();
  for (const auto& m : model.encoders().modalities()) {
    nlohmann::json observables = nlohmann::json::array();
    for (index_t j : m.observables)
      observables.push_back(model.nodes().names[static_cast<std::size_t>(model.nodes().parameters + j)]);
    surveys.push_back({{"name", m.name}, {"observables", observables}});
  }
  detail::model_tensors(model, detail::domain_adaptive_format,
                        {{"transformer", detail::to_json(c.transformer)},
                         {"value_octaves", c.value_octaves},
                         {"embedding_width", c.embedding_width},
                         {"encoder_hidden", c.encoder_hidden},
                         {"adapter_hidden", c.adapter_hidden},
                         {"surveys", surveys}})
      .write(path);
}
/// Reads a domain-adaptive model. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] DomainAdaptive<B, S> load_domain_adaptive(B backend, const std::filesystem::path& path) {
  return detail::read_model(
      path, detail::domain_adaptive_format, [&](const io::Safetensors& file, const nlohmann::json& j) {
        DomainAdaptiveConfig config;
        config.transformer = detail::transformer_from(j.at("transformer"));
        config.value_octaves = j.at("value_octaves").get<index_t>();
        config.embedding_width = j.at("embedding_width").get<index_t>();
        config.encoder_hidden = j.at("encoder_hidden").get<std::vector<index_t>>();
        config.adapter_hidden = j.at("adapter_hidden").get<std::vector<index_t>>();
        config.conditions = detail::conditions_from(j.at("conditions"));
        std::vector<std::pair<std::string, std::vector<std::string>>> surveys;
        for (const auto& s : j.at("surveys"))
          surveys.emplace_back(s.at("name").get<std::string>(),
                               s.at("observables").get<std::vector<std::string>>());
        auto transforms = detail::transforms_of(file, path, j);
        DomainAdaptive<B, S> model(std::move(backend), detail::nodes_from(j, transforms), surveys, config,
                                   detail::sde_from<S>(j.at("sde")));
        detail::get_parameters(file, path, model.parameters());
        model.transforms() = std::move(transforms);
        model.standardised() = true;
        return model;
      });
}

} // namespace sbi
