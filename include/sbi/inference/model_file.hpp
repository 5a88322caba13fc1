// SPDX-License-Identifier: MIT
#pragma once
#include <sbi/inference/domain_adaptation.hpp>
#include <sbi/inference/model_record.hpp>
#include <sbi/inference/simformer.hpp>

namespace sbi {

namespace detail {

inline constexpr const char* simformer_format = "sbi simformer 1";
inline constexpr const char* domain_adaptive_format = "sbi domain-adaptive 1";

/// What the files of all models hold.
template <class Model>
ModelRecord model_record(const Model& model, const char* format, const nn::TransformerConfig& transformer,
                         index_t value_octaves) {
  static_assert(
      requires { to_record(model.sde()); },
      "sbi: model files know the diffusions VE, VP and SubVP; want a model with one of them");
  ModelRecord out;
  out.format = format;
  out.transformer = transformer;
  out.value_octaves = value_octaves;
  out.conditions = model.config().conditions;
  out.sde = to_record(model.sde());
  out.nodes = model.nodes().names;
  out.parameters = model.nodes().parameters;
  put_parameters(out.tensors, model.parameters());
  out.tensors.set("standardisation", transforms_tensor(model.transforms()));
  return out;
}

/// The model of a file: `build(record, nodes)` with the parameters and the standardisation that the record
/// holds. Values that make no model become a FileError that names the file.
template <class Build> auto read_model(const std::filesystem::path& path, const char* format, Build&& build) {
  try {
    const ModelRecord record = read_record(path, format);
    auto transforms = transforms_from(record.tensors.get<double>("standardisation"));
    Nodes nodes{record.nodes, {}, record.parameters};
    for (const auto& t : transforms) nodes.bounds.push_back(t.bounds());
    auto model = build(record, std::move(nodes));
    get_parameters(record.tensors, path, model.parameters());
    model.transforms() = std::move(transforms);
    model.standardised() = true;
    return model;
  } catch (const ValueError& error) {
    throw FileError(sbi::text(path.string(), ": ", error.what()));
  }
}

} // namespace detail

/// Writes a model: tensors under their dotted names, standardisation [nodes, 4] (bounds, mean, standard
/// deviation), everything else as JSON in the metadata. Throws FileError; nothing is left half-written.
template <Backend B, diffusion::Sde S>
void save(const Simformer<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config().network;
  auto record = detail::model_record(model, detail::simformer_format, c.transformer, c.value_octaves);
  record.cached_context = c.cached_context;
  detail::write_record(std::move(record), path);
}
/// Reads a Simformer. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] Simformer<B, S> load_simformer(B backend, const std::filesystem::path& path) {
  return detail::read_model(
      path, detail::simformer_format, [&](const detail::ModelRecord& record, Nodes nodes) {
        SimformerConfig config;
        config.network.transformer = record.transformer;
        config.network.value_octaves = record.value_octaves;
        config.network.cached_context = record.cached_context;
        config.conditions = record.conditions;
        return Simformer<B, S>(std::move(backend), std::move(nodes), config, detail::sde_from<S>(record.sde));
      });
}

template <Backend B, diffusion::Sde S>
void save(const DomainAdaptive<B, S>& model, const std::filesystem::path& path) {
  const auto& c = model.config();
  auto record = detail::model_record(model, detail::domain_adaptive_format, c.transformer, c.value_octaves);
  auto& encoders = record.encoders.emplace();
  encoders.embedding_width = c.embedding_width;
  encoders.encoder_hidden = c.encoder_hidden, encoders.adapter_hidden = c.adapter_hidden;
  for (const auto& m : model.encoders().modalities()) {
    auto& [name, observables] = encoders.surveys.emplace_back(m.name, std::vector<std::string>{});
    for (index_t j : m.observables)
      observables.push_back(model.nodes().names[static_cast<std::size_t>(model.nodes().parameters + j)]);
  }
  detail::write_record(std::move(record), path);
}
/// Reads a domain-adaptive model. Throws FileError for a file that is no such model, listing all differences.
template <Backend B, diffusion::Sde S = diffusion::VE>
[[nodiscard]] DomainAdaptive<B, S> load_domain_adaptive(B backend, const std::filesystem::path& path) {
  return detail::read_model(
      path, detail::domain_adaptive_format, [&](const detail::ModelRecord& record, Nodes nodes) {
        if (!record.encoders) throw ValueError("its configuration has no surveys");
        DomainAdaptiveConfig config;
        config.transformer = record.transformer;
        config.value_octaves = record.value_octaves;
        config.embedding_width = record.encoders->embedding_width;
        config.encoder_hidden = record.encoders->encoder_hidden;
        config.adapter_hidden = record.encoders->adapter_hidden;
        config.conditions = record.conditions;
        return DomainAdaptive<B, S>(std::move(backend), std::move(nodes), record.encoders->surveys, config,
                                    detail::sde_from<S>(record.sde));
      });
}

#ifdef SBI_COMPILED
extern template void save(const Simformer<Cpu<float>, diffusion::VE>&, const std::filesystem::path&);
extern template Simformer<Cpu<float>, diffusion::VE> load_simformer(Cpu<float>, const std::filesystem::path&);
#endif

} // namespace sbi
